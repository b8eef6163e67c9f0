"""Who may import what: `spaces <- searchers <- fade_ray <- scripts`, Ray at the edge, torch above
the searchers.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "spaces": {"searchers", "fade_ray", "torch", "ray"},
    "searchers": {"fade_ray", "torch", "ray"},
    "fade_ray": {"scripts", "ray"},
}
RAY_EDGE = {"searchers/tune.py", "fade_ray/run"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        allowed = (
            {"ray"}
            if any(name == edge or name.startswith(f"{edge}/") for edge in RAY_EDGE)
            else set()
        )
        assert not imported(path) & (FORBIDDEN[package] - allowed), name


def whole_names(path: Path) -> set[str]:
    """Modules by their full names, wherever in the file they are imported."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {
        node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level
    }


def test_runs_stand_on_everything_and_nothing_on_them() -> None:
    """But the command line, the package's own names, and the page of a run of `cells`, whose record
    is read by `run/cell_history.py`.
    """
    above = {"fade_ray/__init__.py", "fade_ray/cli.py", "fade_ray/cells/cell_facts.py"}
    for path in sorted((ROOT / "fade_ray").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in above and not name.startswith("fade_ray/run/"):
            assert not any(module.startswith("fade_ray.run") for module in whole_names(path)), name


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    return set(answer.stdout.split())


def test_all_but_the_edge_runs_without_ray() -> None:
    modules = [
        path.relative_to(ROOT)
        .with_suffix("")
        .as_posix()
        .replace("/", ".")
        .removesuffix(".__init__")
        for package in FORBIDDEN
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name not in ("tune.py", "ray_trial.py")
    ]
    assert "ray" not in loaded_after("\n".join(f"import {module}" for module in modules))


def test_spaces_and_searchers_run_without_torch() -> None:
    assert not loaded_after("import spaces, searchers") & {"torch", "ray", "fade_ray"}


def test_the_command_line_answers_before_torch_is_loaded() -> None:
    assert "torch" not in loaded_after("import fade_ray, fade_ray.cli")
