"""The README is a promise: what it names exists."""

import re
from pathlib import Path

import pytest

from fade_ray.cli import COMMANDS, parse

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMANDS_IN_README = re.findall(r"^ {4}(fade-ray .+?)(?: {2,}#.*)?$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("target", re.findall(r"^ {4}make (\w+)", TEXT, re.MULTILINE))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS_IN_README)
def test_commands_exist_with_their_flags(command: str) -> None:
    words = command.split("   ")[0].split()
    assert words[1] in COMMANDS
    if words[1] == "search":
        parse([word for word in words[2:] if word not in ("--out", "runs/mine")])


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT))
def test_linked_files_exist(link: str) -> None:
    assert (ROOT / link).exists()


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS_IN_README) >= 3


def test_code_in_the_readme_compiles() -> None:
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        compile(block, "README.md", "exec")
