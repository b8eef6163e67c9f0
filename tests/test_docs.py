"""The guide is a promise: its commands run, its words name what exists, its lines fit a screen."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ("install", "data", "search", "cells", "comparing", "cluster")
"""Pages with commands, in the order of reading: later ones go on with the runs of earlier ones."""
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^ {0,4}(fade-ray (?:.+\\\n)*.+?)(?: {2,}#.*)?$", re.MULTILINE)
WIDTH = 100

SMALL = "--limit 300 --engine local"
TINY = {
    "search": "--data digits --iterations 1 --walks 1 --finalists 1 --rank-epochs 1 "
    f"--evaluation-epochs 1 --retrain-epochs 1 --gpus-per-trial 0 {SMALL}",
    "cells": "--recipes darts-1st random --seeds 0 --cells 3 --channels 4 --epochs 1 "
    f"--data digits {SMALL}",
    "retrain": "--epochs 1 --cells 3 --channels 4",
    "compare": "--searchers random evolution --seeds 0 --rank-epochs 1 --evaluation-epochs 1 "
    f"--budget 1200 {SMALL}",
    "replay": "--seeds 2 --budget 10",
    "rank-study": "--rank-epochs 1 --alone-epochs 1 --sample 3 --repeats 1 --seeds 0 "
    f"--settings default {SMALL}",
}
"""What is appended to a command of the guide, so that it takes seconds."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(page: Path) -> list[list[str]]:
    """The words after `fade-ray` of each whole command of a page."""
    written = [found.replace("\\\n", " ") for found in COMMAND.findall(page.read_text())]
    return [command.split()[1:] for command in written if " ..." not in command]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_prose_fits_a_screen(page: Path) -> None:
    long = [line for line in page.read_text().splitlines() if len(line) > WIDTH]
    assert [line for line in long if not line.startswith("|")] == []


def test_the_readme_is_a_door() -> None:
    assert (ROOT / "README.md").stat().st_size <= 6 * 1024
    assert (ROOT / "docs" / "images" / "report-top.png").stat().st_size < 200_000


def test_the_reference_has_every_exported_name() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    for package in ("fade_ray", "spaces", "searchers"):
        assert f"<!-- {package}: every exported name -->" in page
        module = importlib.import_module(package)
        assert all(getattr(module, name).__doc__ for name in module.__all__)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the guide's commands name: a folder of images and tables."""
    folder = tmp_path_factory.mktemp("guide")
    sys.path.insert(0, str(ROOT / "examples"))
    own_folder, own_parquet = map(importlib.import_module, ("own_folder", "own_parquet"))
    own_folder.make_photos(folder / "photos")
    digits = load_digits()
    for name, part in (("train", slice(0, 300)), ("test", slice(300, 360))):
        pictures = (digits.images[part] * 15.9).astype("uint8")
        columns = {"img": [own_parquet.encoded(p) for p in pictures], "label": digits.target[part]}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    tables = ROOT / "docs" / "results" / "tables"
    shutil.copy(tables / "nasbench_macro.parquet", folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_commands_of_the_guide_run(place: Path) -> None:
    pages = [ROOT / "docs" / f"{name}.md" for name in GUIDE]
    for page in [*pages, ROOT / "README.md"]:
        for words in commands(page):
            run(place, words)


def run(place: Path, words: list[str]) -> None:
    """One command with what makes it small, except where it names data of its own."""
    tiny = TINY.get(words[0], "").split()
    if any(name in words for name in ("photos", "train.parquet")):
        tiny = [word for word in tiny if word not in ("--data", "digits")]
    local = [word.replace("/shared/", "") for word in words]
    answer = subprocess.run(
        [sys.executable, "-m", "fade_ray.cli", *local, *tiny],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, f"fade-ray {' '.join(local)}\n{answer.stderr}"


WALKS = re.split(r"^## ", (ROOT / "docs" / "walk.md").read_text(), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.splitlines()[0])
def test_a_walk_has_at_most_twelve_stops_that_exist(walk: str) -> None:
    stops = re.findall(r"^\d+\. `([^`]+)`", walk, re.MULTILINE)
    assert 0 < len(stops) <= 12
    assert len(stops) == len(set(stops))
    for stop in re.findall(r"`([a-z_/]+\.py)`", walk):
        assert (ROOT / stop).exists(), stop
