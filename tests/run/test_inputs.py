"""A run goes with the data that it began with, wherever they lie by now."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fade_ray.cli import main
from fade_ray.data.data_config import DataConfig
from fade_ray.records.history import RunHistory
from fade_ray.run.inputs import placed
from fade_ray.run.kind import RunKind, Start
from fade_ray.run.lifecycle import Interrupted, run
from fade_ray.run.run_config import RunOptions
from spaces.errors import InvalidInput

FIELDS = ("data.data", "data.test_data", "table")


@dataclass(frozen=True)
class TallyConfig(RunOptions):
    """Data, and a file of another kind."""

    data: DataConfig = field(default_factory=DataConfig)
    table: str | None = None
    most: int = 9


@pytest.fixture
def tally() -> Iterator[RunKind[TallyConfig, RunHistory]]:
    """A kind of run that only counts how often it was worked on, and stops the first time."""

    class Tally(RunKind[TallyConfig, RunHistory], name="tally"):
        """Counts."""

        example = "fade-ray tally"
        config, history = TallyConfig, RunHistory
        folders, inputs = (), FIELDS
        worked = 0

        def prepare(self, config: TallyConfig) -> None:
            if config.data.data != "digits" and not Path(config.data.data).exists():
                raise InvalidInput(f"no data at {config.data.data}")

        def work(self, prepared: None, start: Start[TallyConfig, RunHistory]) -> Mapping[str, Any]:
            Tally.worked += 1
            if Tally.worked == 1:
                raise KeyboardInterrupt
            return {"worked": Tally.worked}

        def grows(self, before: TallyConfig, now: TallyConfig) -> bool:
            return replace(now, most=before.most) == before

    yield RunKind.table["tally"]
    del RunKind.table["tally"]


@pytest.fixture
def begun(tally: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TallyConfig:
    """A run of a folder and a table that was stopped in `tmp_path`, both by relative paths."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "0.png").write_text(name)
    (tmp_path / "table").write_text("1 2 3")
    config = TallyConfig(out=str(tmp_path / "run"), data=DataConfig(data="data"), table="./table")
    with pytest.raises(Interrupted):
        run(tally, config, watchers=())
    return config


def test_paths_are_kept_absolute_with_what_lay_there(begun: TallyConfig, tmp_path: Path) -> None:
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["data"]["data"] == str(tmp_path / "data")
    inputs = json.loads((tmp_path / "run" / "environment.json").read_text())["inputs"]
    assert set(inputs) == {"data.data", "table"}
    assert inputs["table"]["path"] == str(tmp_path / "table")
    assert inputs["table"]["contents"].startswith("a file of 5 bytes (fingerprint ")
    event = json.loads((tmp_path / "run" / "records.jsonl").read_text().splitlines()[0])
    assert event["environment"]["inputs"] == inputs


@pytest.mark.parametrize("name", ["data/a/0.png", "table"])
def test_other_data_in_the_same_place_are_refused(
    name: str, begun: TallyConfig, tally: Any, tmp_path: Path
) -> None:
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(before[::-1] + b" ")
    place = tmp_path / name.split("/")[0]
    told = (
        rf"{place} was a .*\(fingerprint \w+\), and it is a .*\(fingerprint \w+\)\. Restore it, or"
    )
    for config in (begun, replace(begun, most=10)):  # continued, and grown
        with pytest.raises(InvalidInput, match=told):
            run(tally, config, watchers=())
    assert tally.worked == 1
    (tmp_path / name).write_bytes(before)
    assert run(tally, begun, watchers=()).result["worked"] == 2
    # one that has ended too: what it says is not of these
    (tmp_path / name).write_bytes(before * 2)
    with pytest.raises(InvalidInput, match=told):
        run(tally, begun, watchers=())


def test_a_run_goes_on_from_another_directory_and_where_its_data_were_moved(
    begun: TallyConfig, tally: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    shutil.move(tmp_path / "data", tmp_path / "moved")
    stored = tally.stored(tmp_path / "run")
    with pytest.raises(InvalidInput, match=f"no data at {tmp_path / 'data'}"):
        run(tally, stored, watchers=())
    moved = replace(stored, data=DataConfig(data="../moved"))
    assert run(tally, moved, watchers=()).result["worked"] == 2
    assert run(tally, replace(moved, most=10), watchers=()).result["worked"] == 3
    assert tally.stored(tmp_path / "run").data.data == str(tmp_path / "moved")


def test_other_data_in_another_place_are_refused(
    begun: TallyConfig, tally: Any, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "data", tmp_path / "more")
    (tmp_path / "more" / "b" / "1.png").write_text("more")
    other = replace(begun, data=DataConfig(data="more"))
    with pytest.raises(InvalidInput, match=rf"/data was .*, and {tmp_path}/more is a folder of 3"):
        run(tally, other, watchers=())
    with pytest.raises(InvalidInput, match=r"data.data: '.*/data' -> 'digits'"):
        run(tally, replace(begun, data=DataConfig()), watchers=())


def test_a_run_of_before_there_were_fingerprints_goes_by_its_paths(
    begun: TallyConfig, tally: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "environment.json"
    environment = json.loads(path.read_text())
    del environment["inputs"], environment["crc32"]
    path.write_text(json.dumps(environment))
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    with pytest.raises(InvalidInput, match="another configuration"):
        run(tally, replace(begun, data=DataConfig(data="copy")), watchers=())
    run(tally, begun, watchers=())
    assert set(json.loads(path.read_text())["inputs"]) == {"data.data", "table"}


def test_a_report_says_that_the_data_are_others_now(
    begun: TallyConfig, tally: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["report", str(tmp_path / "run")])
    assert capsys.readouterr().err == ""
    (tmp_path / "table").write_text("3 2 1")
    main(["report", str(tmp_path / "run")])
    told = capsys.readouterr().err
    assert f"The report is of the run as it was, but {tmp_path / 'table'} was a file" in told


@pytest.mark.parametrize("path", ["", "~nobody-of-that-name/x", "zero\0byte", "x" * 5000, "no"])
def test_what_leads_nowhere_is_left_to_the_reader(path: str) -> None:
    config = TallyConfig(data=DataConfig(data=path))
    assert placed(config, FIELDS) == config


def test_named_sets_are_kept_where_they_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the folder is still to be made; a home is whoever's."""
    monkeypatch.chdir(tmp_path)
    kept = {
        root: placed(TallyConfig(data=DataConfig(data_root=root)), FIELDS).data.data_root
        for root in ("sets", "../sets", "~/sets", "/sets")
    }
    theirs = [str(tmp_path / "sets"), str(tmp_path.parent / "sets"), "~/sets", "/sets"]
    assert list(kept.values()) == theirs
