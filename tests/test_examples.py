"""The examples that the guide shows do what it says, from an empty directory."""

import subprocess
import sys
from pathlib import Path

import pytest
from forked import Forked

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
LONGEST = 60
"""Lines: an example is short."""

pytestmark = pytest.mark.slow


def run(folder: Path, *words: str) -> str:
    """What a script prints, run in `folder`."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    assert Forked(words, log, folder).wait(250) == 0, log.read_text()
    return log.read_text()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a search by `search_digits.py`."""
    folder = tmp_path_factory.mktemp("searched")
    assert "test accuracy" in run(folder, str(EXAMPLES / "search_digits.py"))
    return folder / "runs" / "digits"


TOLD = {
    "own_folder.py": "test accuracy",
    "own_parquet.py": "test accuracy",
    "cells_and_retraining.py": "test accuracy",
    "compare_searchers.py": "no difference shown",
}


@pytest.mark.parametrize("name", TOLD)
def test_an_example_that_stands_alone_ends_well(name: str, tmp_path: Path) -> None:
    assert TOLD[name] in run(tmp_path, str(EXAMPLES / name))


def test_a_search_that_is_run_again_reads_what_was_found(searched: Path) -> None:
    before = (searched / "records.jsonl").read_bytes()
    run(searched.parent.parent, str(EXAMPLES / "search_digits.py"))
    assert (searched / "records.jsonl").read_bytes() == before


def test_the_exported_network_needs_nothing_of_this_project(searched: Path, tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['fade_ray'] = None; import runpy; sys.argv = sys.argv[1:]; "
    code = blocked + "runpy.run_path(sys.argv[0])"
    exported = str(searched / "architectures")
    call = [sys.executable, "-c", code, str(EXAMPLES / "use_exported.py"), exported]
    told = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert len(eval(told)) == 5


def test_records_are_read_as_tables_and_lines(searched: Path, tmp_path: Path) -> None:
    told = run(tmp_path, str(EXAMPLES / "read_records.py"), str(searched))
    assert "retraining" in told
    assert "'end': 1" in told


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) <= LONGEST
