"""The README and the results are promises: what they name exists."""

import re
from pathlib import Path

import pytest

from fade_ray.commands import TOOLS
from fade_ray.kinds import KINDS, kind_of_run
from fade_ray.run.command import parse

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMAND = re.compile(r"^ {0,4}(fade-ray (?:.+\\\n)*.+?)(?: {2,}#.*)?$", re.MULTILINE)
COMMANDS_IN_README = COMMAND.findall(TEXT)
RESULTS = sorted((ROOT / "docs").rglob("*.md"))
WRITTEN = [
    *COMMANDS_IN_README,
    *(command for page in RESULTS for command in COMMAND.findall(page.read_text())),
]
OUT = re.compile(r" --out \S+")
"""Names what is not there."""


@pytest.mark.parametrize("target", re.findall(r"^ {4}make (\w+)", TEXT, re.MULTILINE))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


WHOLE = [c for c in WRITTEN if " ..." not in c and " --use " not in c]
"""Without those that are cut short, and those that `test_docs.py` runs with a file of their own."""


@pytest.mark.parametrize("command", WHOLE)
def test_commands_exist_with_their_flags(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples")  # files of one's own that they name
    whole = command.replace("\\\n", " ").removeprefix("fade-ray ")
    name = max((name for name in {**KINDS, **TOOLS} if f"{whole} ".startswith(f"{name} ")), key=len)
    if name in KINDS and (kind := kind_of_run(name)).source is None:
        parse(kind, OUT.sub("", whole.removeprefix(name)).split())


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT))
def test_linked_files_exist(link: str) -> None:
    assert (ROOT / link).exists()


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS_IN_README) >= 3
    assert len(WRITTEN) >= len(COMMANDS_IN_README) + 10


def test_code_in_the_readme_compiles() -> None:
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        compile(block, "README.md", "exec")
