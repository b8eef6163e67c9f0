"""The README and the results are promises: what they name exists."""

import re
from pathlib import Path

import pytest

from fade_ray.cells.cell_history import CELLS
from fade_ray.cells.cells_config import CellsConfig
from fade_ray.cli import COMMANDS, _parsed, parse, take_flag
from fade_ray.compare.compare_config import CompareConfig
from fade_ray.compare.compare_run import COMPARE
from fade_ray.ranks.rank_config import RankStudyConfig
from fade_ray.ranks.rank_run import RANK_STUDY
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.replay.replay_run import REPLAY

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMAND = re.compile(r"^ {0,4}(fade-ray (?:.+\\\n)*.+?)(?: {2,}#.*)?$", re.MULTILINE)
COMMANDS_IN_README = COMMAND.findall(TEXT)
RESULTS = sorted((ROOT / "docs").rglob("*.md"))
WRITTEN = [
    *COMMANDS_IN_README,
    *(command for page in RESULTS for command in COMMAND.findall(page.read_text())),
]
KINDS = {
    "cells": (CellsConfig, CELLS, CellsConfig()),
    "compare": (CompareConfig, COMPARE, CompareConfig()),
    "rank-study": (RankStudyConfig, RANK_STUDY, RankStudyConfig()),
    "replay": (ReplayConfig, REPLAY, None),
}


@pytest.mark.parametrize("target", re.findall(r"^ {4}make (\w+)", TEXT, re.MULTILINE))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", [command for command in WRITTEN if " ..." not in command])
def test_commands_exist_with_their_flags(command: str) -> None:
    _, name, *flags = command.replace("\\\n", " ").split()
    assert name in COMMANDS
    flags, _ = take_flag(flags, "--out")
    if name == "search":
        parse(flags)
    if name in KINDS:
        config, kind, default = KINDS[name]
        _parsed(flags, config, kind, default, "")


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT))
def test_linked_files_exist(link: str) -> None:
    assert (ROOT / link).exists()


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS_IN_README) >= 3
    assert len(WRITTEN) >= len(COMMANDS_IN_README) + 10


def test_code_in_the_readme_compiles() -> None:
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        compile(block, "README.md", "exec")
