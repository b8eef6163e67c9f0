"""The guide is a promise: its commands run, its words name what exists, its lines fit a screen."""

import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forked import Forked
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ("install", "data", "search", "cells", "comparing", "cluster")
"""Pages with commands, in the order of reading: later ones go on with the runs of earlier ones."""
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^ {0,4}(fade-ray (?:.+\\\n)*.+?)(?: {2,}#.*)?$", re.MULTILINE)
WIDTH = 100

SMALL = {"--limit": "300", "--engine": "local"}
SHORT = {"--rank-epochs": "1", "--evaluation-epochs": "1", "--retrain-epochs": "1"}
TINY: dict[str, dict[str, str]] = {
    "search": {"--data": "digits", "--iterations": "1", "--gpus-per-trial": "0"}
    | {"--retrain-seeds": "1", "--baselines": "off", **SHORT, **SMALL},
    "cells": {"--data": "digits", "--recipes": "darts-1st random", "--seeds": "0", "--cells": "3"}
    | {"--channels": "4", "--epochs": "1", **SMALL},
    "analyse alpha": {"--data": "digits", "--recipes": "darts-1st", "--seeds": "0"}
    | {"--cells": "3", "--channels": "4", "--epochs": "1", "--retrain-epochs": "1"}
    | {"--retrain-cells": "3", "--retrain-channels": "4", **SMALL},
    "analyse confusion": {"--seeds": "0", "--cells": "3", "--channels": "4", "--epochs": "1"}
    | {"--final-cells": "3", "--final-channels": "4", "--batches": "2", **SMALL},
    "analyse operators": {"--seeds": "0", "--cells": "3", "--channels": "4", "--epochs": "1"}
    | SMALL,
    "retrain": {"--epochs": "1", "--cells": "3", "--channels": "4"},
    "compare": {"--data": "digits", "--seeds": "0", "--budget": "1200", **SHORT, **SMALL},
    "doctor": {"--address": "local"},  # whatever else runs on this machine
    "replay": {"--seeds": "2", "--budget": "10"},
    "rank-study": {"--data": "digits", "--rank-epochs": "1", "--alone-epochs": "1"}
    | {"--sample": "3", "--repeats": "1", "--seeds": "0", **SMALL},
}
"""What is appended to a command of the guide, so that it takes seconds."""
OWN = {"photos", "train.parquet", "stripes", "squared", "stacnas"}
"""What a command must keep of what it says."""
ELSEWHERE = {
    "/shared/runs": "shared",
    "/shared/": "",
    "s3://my-bucket": "file://{place}/bucket",
}
"""What the guide names that is not here -> what is."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(text: str) -> list[list[str]]:
    """The words after `fade-ray` of each whole command."""
    written = [found.replace("\\\n", " ") for found in COMMAND.findall(text)]
    return [command.split()[1:] for command in written if " ..." not in command]


def small(words: list[str]) -> list[str]:
    """`words` with what makes them take seconds, but for what is their very point."""
    kept = {before for before, word in pairwise(words) if word in OWN}
    usual = TINY.get(" ".join(words[:2]), TINY.get(words[0], {}))
    tiny = {flag: value for flag, value in usual.items() if flag not in kept}
    if "compare" in words and "--searchers" not in words:
        tiny["--searchers"] = "random evolution"
    return [*words, *(word for flag, value in tiny.items() for word in (flag, *value.split()))]


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
        exported = {name: getattr(module, name) for name in module.__all__}
        assert [
            name for name, it in exported.items() if inspect.isclass(it) and not it.__doc__
        ] == []


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with what the guide's commands name: a folder of images and tables."""
    sys.path.insert(0, str(ROOT / "examples"))
    own_folder, own_parquet = map(importlib.import_module, ("own_folder", "own_parquet"))
    own_folder.make_photos(tmp_path / "photos")
    digits = load_digits()
    for name, part in (("train", slice(0, 300)), ("test", slice(300, 360))):
        pictures = (digits.images[part] * 15.9).astype("uint8")
        columns = {"img": [own_parquet.encoded(p) for p in pictures], "label": digits.target[part]}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    tables = Path("docs", "results", "tables")  # the guide's commands start in the source tree
    shutil.copytree(ROOT / tables, tmp_path / tables)
    return tmp_path


GUIDED = [tuple(ROOT / "docs" / f"{name}.md" for name in GUIDE), (ROOT / "README.md",)]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pages", GUIDED, ids=["guide", "readme"])
def test_the_commands_of_the_guide_run(place: Path, pages: tuple[Path, ...]) -> None:
    for page in pages:
        for words in commands(page.read_text()):
            here = " ".join(words)
            for said, meant in ELSEWHERE.items():
                here = here.replace(said, meant.format(place=place))
            run(place, here.split())


ADDITIONS = sorted((ROOT / "examples" / "additions").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", ADDITIONS, ids=lambda path: path.stem)
def test_an_addition_is_used_as_it_says(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path)
    asked = commands(ast.get_docstring(ast.parse(path.read_text())) or "")
    assert asked
    for words in asked:
        assert path.name in words
        run(tmp_path, words)


def run(place: Path, words: list[str]) -> None:
    """One command, made small; one that continues a run as it stands."""
    out = {after for word, after in pairwise(words) if word == "--out"}
    continues = words[0] != "doctor" and any((place / folder).exists() for folder in out)
    asked, log = words if continues else small(words), place / "log"
    code = Forked(["fade-ray", *asked], log, place).wait(900)
    assert code == 0, f"fade-ray {' '.join(words)}\n{log.read_text()[-5000:]}"


WALKS = re.split(r"^## ", (ROOT / "docs" / "walk.md").read_text(), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.splitlines()[0])
def test_a_walk_has_at_most_twelve_stops_that_exist(walk: str) -> None:
    stops = re.findall(r"^\d+\. `([^`]+)`", walk, re.MULTILINE)
    assert 0 < len(stops) <= 12
    assert len(stops) == len(set(stops))
    for stop in re.findall(r"`([a-z_/]+\.py)`", walk):
        assert (ROOT / stop).exists(), stop


ENTERED = """
import json, sys
entered = set()

def note(frame, event, argument):
    if event == "call" and frame.f_code.co_name != "<module>":
        entered.add(frame.f_code.co_filename)

import sklearn.datasets, torch._dynamo  # which nobody looks at
sys.setprofile(note)
from fade_ray.cli import main
main(sys.argv[1:])
sys.setprofile(None)
print(json.dumps(sorted(entered)), file=sys.stderr)
"""
WALKED = {
    "An image batch": "search",
    "An anchor": "search",
    "A logit": "cells",
    "An option": "search",
}
OTHER_ENGINE = {"searchers/tune.py"}
"""Entered under Ray alone."""


@pytest.mark.slow
def test_the_walks_are_those_of_a_run(tmp_path: Path) -> None:
    entered = {}
    for command in set(WALKED.values()):
        words = small([command, "--out", command])
        answer = subprocess.run(
            [sys.executable, "-c", ENTERED, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        paths = json.loads(answer.stderr.splitlines()[-1])
        entered[command] = {path.removeprefix(f"{ROOT}/") for path in paths}
    for walk in WALKS:
        stops = set(re.findall(r"^\d+\. `([^`]+)`", walk, re.MULTILINE)) - OTHER_ENGINE
        assert stops <= entered[WALKED[walk.splitlines()[0]]]


FIXED = {
    "FITS": "what a width is fitted to",
    "DEVICES": "what a table was measured on",
    "TOOLS": "commands that are no run",
    "TRACKERS": "those that Ray Tune has callbacks for",
    "KINDS": "of runs: a list for help, they register themselves; of trials: the search's own",
    "CONVENTIONS": "how multiply-adds are counted",
    "STEMS": "belong to the stackings",
    "UPGRADES": "formats of records",
    "PRODUCTS": "two ways to the same product",
    "FORMERLY": "how a search ended before there was a choice",
    "HEAD": "shapes of arrows",
    "STYLE": "of figures",
    "EXPORTERS": "by class of network",
    "LOADERS": "from memory or from disk",
    "NORMALISATIONS": "published numbers",
    "PAPER": "options of an entrant",
    "ANALYSES": "one kind of run",
    "TRUTHS": "words",
    "TRUTH_FACTS": "words",
    "PRICES": "of kinds of trial",
    "MACROS": "published networks to be described",
    "FORMS": "notations to be read",
    "ENGINES": "two",
    "SORTS": "of the trials of one run",
    "CORRELATIONS": "two readings of one sentence of the paper",
    "QUANTITIES": "what StacNAS says of depth",
    "TOLD": "of the sorts of trial",
    "COSTS": "columns of one table",
    "ANSWERS": "of one server",
    "HEADERS": "of one server",
    "GAUGES": "of one board",
    "CLOSED_FORMS": "of a toy",
    "LOADED": "files of a process",
    "ACTIVATIONS": "of the published recurrent cell",
    **dict.fromkeys(
        ("SEARCH_DATA", "EXAMPLES", "TRIALS", "QUICK", "EXPORTS", "TELLINGS", "TEXTS"),
        "of the tasks that there are",
    ),
    "ACTIVATION_TEXTS": "of the published recurrent cell",
}
"""Tables that are not meant to be added to, and why."""


def registers() -> dict[str, str]:
    """Every table of named things and every class whose members have names: name -> module."""
    found = {}
    for package in ("spaces", "searchers", "fade_ray"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    table = ast.unparse(node.annotation).startswith("dict[str")
                    if table and re.fullmatch("[A-Z][A-Z_]+", node.target.id):
                        found[f"{node.target.id} {named(path)}"] = named(path)
                if isinstance(node, ast.ClassDef) and "Choice" in map(ast.unparse, node.bases):
                    found[f"{node.name} {named(path)}"] = named(path)
    return found


def test_the_table_of_extension_points_is_complete() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "extending.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    for key, path in registers().items():
        name = key.split()[0]
        told = any(f"`{name}`" in row and f"`{path}`" in row for row in rows)
        assert told or name in FIXED, f"{name} of {path} is neither in docs/extending.md nor fixed"


def test_the_table_of_extension_points_names_what_exists() -> None:
    text = (ROOT / "docs" / "extending.md").read_text()
    for path in re.findall(r"`([a-z_/0-9]+\.py)`", text):
        assert (ROOT / path).exists(), path
