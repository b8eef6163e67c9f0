"""Proof by addition: a file of at most 30 lines outside of the package adds a part of each sort,
which is then used from the command line, here and in the workers of Ray.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from loopback import own_ray

from fade_ray.cli import main
from fade_ray.records.additions import Addition
from fade_ray.records.journal import read_events
from fade_ray.results import open_run
from fade_ray.training import Optimiser
from spaces.errors import InvalidInput

pytestmark = pytest.mark.ray

FILES = Path(__file__).parent / "additions"
CHAIN = ["--limit", "120", "--batch-size", "40", "--depth", "2", "--final-channels", "4"]
CHAIN += ["--kernel", "3", "--rank-epochs", "1", "--evaluation-epochs", "1"]
HYPER = [*CHAIN, "--iterations", "1"]
SEARCH = ["search", *HYPER, "--retrain-epochs", "1", "--baselines", "off"]
CELLS = ["cells", "--limit", "120", "--batch-size", "24", "--epochs", "1", "--channels", "4"]
CELLS += ["--cells", "3", "--no-lower-rate"]


@dataclass(frozen=True)
class Use:
    """A file, the command that uses what it adds, and the words of a setting that shows it."""

    file: str
    command: list[str]
    shown: str


USES = {
    "estimator": Use(
        "my_estimator",
        [*SEARCH, "--estimator", "bare-score-function", "--paths", "2"],
        '"estimator": "bare-score-function"',
    ),
    "update": Use(
        "my_update", [*CELLS, "--recipes", "unit-darts", "--spaces", "s3"], '"unit-darts"'
    ),
    "searcher": Use(
        "my_searcher", [*SEARCH, "--searcher", "climbing", "--tries", "3"], '"tries": 3'
    ),
    "space": Use("my_space", [*CELLS, "--recipes", "darts-1st", "--spaces", "small"], '"small"'),
    "operation": Use(
        "my_operation", [*CELLS, "--recipes", "darts-1st", "--spaces", "grouped"], '"grouped"'
    ),
    "objective": Use("my_objective", [*SEARCH, "--objective", "brier"], '"name": "brier"'),
    "kind of run": Use("my_kind", ["census", "--max-vertices", "4"], '"kind": "census"'),
}


def path(file: str) -> Path:
    return FILES / f"{file}.py"


@pytest.mark.parametrize("file", sorted(FILES.glob("*.py")), ids=lambda file: file.stem)
def test_an_addition_is_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 30
    assert file.stem in {use.file for use in USES.values()}


@pytest.mark.parametrize("part", USES)
def test_what_a_file_adds_is_used_from_the_command_line(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use, out = USES[part], tmp_path / "run"
    flags = ["--use", str(path(use.file)), "--out", str(out)]
    flags += [] if part == "kind of run" else ["--engine", "local"]
    main([*use.command, *flags])
    assert use.shown in (out / "config.json").read_text()
    environment = json.loads((out / "environment.json").read_text())
    assert environment["use"] == {str(path(use.file)): Addition.read(path(use.file)).sha256}
    failures = [e for e in read_events(out / "records.jsonl") if "failure" in e.get("outcome", {})]
    assert failures == []
    capsys.readouterr()
    main(["status", str(out)])  # which finds the file by the configuration
    assert "finished" in capsys.readouterr().out


SEARCHER, OPERATION = "my_searcher", "my_operation"
TABLE = str(FILES.parents[1] / "docs/results/tables/nasbench_macro.parquet")
MET = ["--searchers", "climbing", "random", "--budget"]
TRAINED = ["--data", "digits", "--limit", "120", "--batch-size", "24", "--epochs", "1"]
LOCAL = ["--engine", "local"]
COMMANDS = {
    "search": (SEARCHER, [*USES["searcher"].command, *LOCAL]),
    "compare": (SEARCHER, ["compare", *CHAIN, *MET, "400", "--seeds", "0", *LOCAL]),
    "replay": (SEARCHER, ["replay", "--table", TABLE, *MET, "5", "--seeds", "1"]),
    "cells": (OPERATION, [*USES["operation"].command, *LOCAL]),
    "retrain": (OPERATION, ["retrain", "found", *TRAINED]),
}
"""By the command: the file, and the words that are said with it."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_knows_what_a_file_adds_also_when_it_is_gone(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, words = COMMANDS[command]
    monkeypatch.chdir(tmp_path)
    file = Path(f"{name}.py").resolve()
    file.write_text(path(name).read_text())
    use = ["--use", file.name]
    if command == "retrain":
        main([*COMMANDS["cells"][1], *use, "--out", "found"])
        use = []  # what it was found with is known
    main([*words, *use, "--out", "run"])
    Path("run").rename("moved")
    Path("moved/result.json").unlink()  # as if it had been stopped
    file.unlink()
    main([command, "--out", "moved"])
    main(["status", "moved"])
    result = open_run("moved")
    assert result.finished
    if command in ("search", "retrain"):
        main(["export", "moved", "--onnx"])
        assert Path("moved/architectures/architecture.onnx").exists()
        assert result.model()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    if command != "retrain":
        main(["report", "moved"])
    capsys.readouterr()
    file.write_text(path(name).read_text())  # elsewhere, as it was
    main([command, "--use", str(file), "--out", "moved"])


def test_a_replay_grows_with_a_file_that_adds_another_searcher(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["replay", "--table", TABLE, "--budget", "5", "--seeds", "1"]
    words += ["--out", str(tmp_path / "run"), "--searchers", "random"]
    main(words)
    main([*words, "climbing", "--use", str(path(SEARCHER))])
    assert "climbing against random" in capsys.readouterr().out


def test_a_kind_of_run_tells_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    census = ["census", "--use", str(path("my_kind")), "--out", str(tmp_path / "run")]
    main([*census, "--max-vertices", "4"])
    assert "37 graphs" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*census, "--help"])
    assert "Count the graphs of a space" in capsys.readouterr().out


def test_a_file_that_has_changed_ends_a_continued_run_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "mine.py", tmp_path / "run"
    file.write_text(path("my_kind").read_text())
    main(["census", "--use", str(file), "--out", str(out)])
    (out / "result.json").unlink()  # as if it had been stopped
    file.write_text(file.read_text() + "# another thought\n")
    with pytest.raises(SystemExit):
        main(["census", "--use", str(file), "--out", str(out)])
    said = capsys.readouterr().err
    assert f"{file} has changed" in " ".join(said.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "can be read, but"), ("1 / 0", "ZeroDivisionError"), ("x = (", "SyntaxError")],
)
def test_a_file_that_does_not_run_is_one_message(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit) as left:
        main([*SEARCH, "--use", str(file), "--out", str(tmp_path / "run")])
    assert left.value.code == 2
    message = capsys.readouterr().err
    assert said in message
    assert "Traceback" not in message
    assert not (tmp_path / "run").exists()


def test_two_states_of_a_file_are_two_modules(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("VALUE = 1\n")
    first = Addition.read(file).load()
    file.write_text("VALUE = 2\n")
    second = Addition.read(file).load()
    assert (first.VALUE, second.VALUE) == (1, 2)
    assert Addition.read(file).load() is second
    with pytest.raises(InvalidInput, match="nowhere"):
        Addition.read(tmp_path / "nowhere.py")


def test_two_files_may_not_add_the_same_thing(tmp_path: Path) -> None:
    """One read again may, whatever it says now; another one may not, though it says the same."""
    text = (
        "from dataclasses import dataclass\n"
        "from fade_ray.training import Optimiser\n\n"
        "@dataclass(frozen=True)\nclass Mine(Optimiser, name='mine'):\n    rate: float = 0.1\n"
    )
    file, other = tmp_path / "mine.py", tmp_path / "other.py"
    file.write_text(text)
    Addition.read(file).load()
    file.write_text(f"{text}    more: int = 1\n")
    Addition.read(file).load()
    assert Optimiser.table["mine"]().more == 1
    other.write_text(text)
    with pytest.raises(InvalidInput, match=f"Mine of {file} and Mine of {other}.*'mine'"):
        Addition.read(other).load()
    del Optimiser.table["mine"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with own_ray(num_cpus=2):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("command", ["compare", "cells"])
def test_the_commands_know_it_on_ray(command: str, tmp_path: Path) -> None:
    """A search stands in the next table."""
    name, words = COMMANDS[command]
    on_ray = [word for word in words if word not in LOCAL]
    main([*on_ray, "--use", str(path(name)), "--out", str(tmp_path / "run")])
    ended = open_run(tmp_path / "run").run
    assert ended.result
    assert ended.history.trials["failed"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_file_of_cells_travels_to_the_workers_of_ray(tmp_path: Path) -> None:
    file = FILES.parents[1] / "examples" / "own_cells.py"
    trained = ("--retrain", "--retrain-epochs", "1", "--retrain-cells", "3", "--retrain-seeds", "1")
    recipes = ("--recipes", "random", "--spaces", str(file), "--retrain-channels", "4")
    main([*CELLS, *recipes, *trained, "--out", str(tmp_path / "run")])
    ended = open_run(tmp_path / "run").run
    assert ended.history.trials["failed"] == 0
    assert len(ended.history.outcomes) == 2
    assert ended.environment["use"] == {str(file): Addition.read(file).sha256}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("part", ["searcher", "objective"])
def test_what_a_file_adds_is_known_to_the_workers_of_ray(part: str, tmp_path: Path) -> None:
    use, out = USES[part], tmp_path / "run"
    main([*use.command, "--use", str(path(use.file)), "--out", str(out)])
    assert use.shown in (out / "config.json").read_text()
    failures = [e for e in read_events(out / "records.jsonl") if "failure" in e.get("outcome", {})]
    assert failures == []
