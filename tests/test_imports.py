"""Who may import what: `spaces <- searchers <- fade_ray <- scripts`, Ray at the edge, torch above
the searchers.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
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


FLOORS = (
    *("records", "data", "nn", "training", "trials", "export", "analysis"),
    *("report", "run", "retraining"),
    *("search", "compare", "ranks", "replay", "cells", "retrain", "analyse", "describe"),
    *("config", "kinds", "results", "commands", "cli"),
)
"""Of the house, lowest first: what stands on one may import those below it and itself."""


def floor(module: str) -> int:
    """Of `fade_ray.records.journal`: 0."""
    return FLOORS.index(module.split(".")[1])


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that type checkers alone see."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from executed(node)


def graph() -> nx.DiGraph:
    """Module -> modules of ours that it imports, wherever in the file."""
    paths = [path for name in FORBIDDEN for path in sorted((ROOT / name).rglob("*.py"))]
    known = {dotted(path): path for path in paths}
    edges = nx.DiGraph()
    for module, path in known.items():
        for node in executed(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                deeper = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in known else node.module for name in deeper]
            else:
                continue
            edges.add_edges_from((module, name) for name in names if name in known)
    return edges


def dotted(path: Path) -> str:
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


def test_imports_go_down_the_floors_only() -> None:
    """But for the package's own names, which are loaded when they are used."""
    folders = {path.stem for path in (ROOT / "fade_ray").iterdir() if path.suffix in ("", ".py")}
    assert set(FLOORS) == {name for name in folders if not name.startswith("_")}
    up = [
        (module, name)
        for module, name in graph().edges
        if module.startswith("fade_ray.") and name.startswith("fade_ray.")
        if floor(name) > floor(module)
    ]
    assert up == []


def test_there_is_no_circle() -> None:
    edges = graph()
    assert [circle for circle in nx.strongly_connected_components(edges) if len(circle) > 1] == []


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    return set(answer.stdout.split())


def test_all_but_the_edge_runs_without_ray() -> None:
    modules = [
        dotted(path)
        for package in FORBIDDEN
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name not in ("tune.py", "ray_trial.py", "ray_placing.py")
    ]
    assert "ray" not in loaded_after("\n".join(f"import {module}" for module in modules))


def test_spaces_and_searchers_run_without_torch() -> None:
    assert not loaded_after("import spaces, searchers") & {"torch", "ray", "fade_ray"}


def test_the_command_line_answers_before_torch_is_loaded() -> None:
    assert "torch" not in loaded_after("import fade_ray, fade_ray.commands")


def test_the_command_hears_signals_before_it_imports_what_takes_time() -> None:
    ours = {name for name in loaded_after("import fade_ray.cli") if name.startswith("fade_ray.")}
    assert ours == {"fade_ray.cli", "fade_ray.run", "fade_ray.run.ending"}
    assert not loaded_after("import fade_ray.cli") & {"numpy", "tyro", "rich"}
