"""Trials that are not those of a search go through the same machinery: recorded once, tried again,
continued from any event.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from runs import parse, status

from fade_ray.kinds import kind_of_run
from fade_ray.records.journal import read_events
from fade_ray.records.json_form import as_json
from fade_ray.records.run_files import read_object
from fade_ray.results import search
from fade_ray.run.kind import stored_kind
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.watcher import Watcher
from fade_ray.search.search_config import Config
from fade_ray.search.search_history import History
from fade_ray.trials.job import Event, write_output
from spaces.errors import InvalidInput

Toy = Callable[..., Path]
ToyConfigs = Callable[..., Any]
Story = Callable[[Path], dict[str, Any]]


class Counting(Watcher):
    """Counts what it is shown, and stops the run at the n-th time, as Ctrl-C would."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.shown, self.closed = stop, 0, 0

    def _show(self, *told: Any) -> None:
        self.shown += 1
        if self.shown == self.stop:
            raise KeyboardInterrupt

    proposed = epoch = finished = warned = _show  # type: ignore[assignment]

    def close(self) -> None:
        self.closed += 1


def epochs_once(folder: Path) -> bool:
    told = [
        (event["id"], event["epoch"])
        for event in read_events(folder / "records.jsonl")
        if event["event"] == "epoch"
    ]
    return len(told) == len(set(told))


@pytest.fixture
def undisturbed(tmp_path: Path, toy: Toy, toy_config: ToyConfigs) -> Path:
    return toy(toy_config(tmp_path / "whole"))


def test_every_trial_is_recorded_once_and_what_raises_is_tried_again(
    undisturbed: Path, story: Story
) -> None:
    told = story(undisturbed)  # which itself refuses what is proposed or finished twice
    asked = ["00000", "00001", "00001r1", "00002", "00002r1", "00003"]
    assert list(told["proposed"]) == list(told["finished"]) == asked
    broken = {
        id: outcome["failure"]["reason"]
        for id, (outcome, _) in told["finished"].items()
        if "failure" in outcome
    }
    assert broken == {id: f"ValueError: toy {id} broke" for id in ("00001", "00002", "00002r1")}
    assert {path.stem for path in (undisturbed / "errors").iterdir()} == set(broken)
    assert told["finished"]["00003"][0]["score"] == pytest.approx(0.3)  # from the data
    epochs = {id: 1 if id in broken else told["proposed"][id]["epochs"] for id in asked}
    assert sorted(told["epoch"]) == [
        (id, epoch) for id in asked for epoch in range(1, epochs[id] + 1)
    ]
    assert {id: metrics["images"] for id, (_, metrics) in told["finished"].items()} == {
        id: 8 * epochs[id] for id in asked
    }
    failures = json.loads((undisturbed / "result.json").read_text())["failures"]
    assert failures == [["00002r1", "ValueError: toy 00002r1 broke"]]
    assert [event["event"] for event in read_events(undisturbed / "records.jsonl")][-1] == "end"


def test_a_finished_run_is_not_run_again(
    undisturbed: Path, toy: Toy, toy_config: ToyConfigs
) -> None:
    before = (undisturbed / "records.jsonl").read_bytes()
    toy(toy_config(undisturbed))
    assert (undisturbed / "records.jsonl").read_bytes() == before


def test_a_run_stopped_at_any_event_goes_on_as_if_nothing_had_been(
    tmp_path: Path, undisturbed: Path, toy: Toy, toy_config: ToyConfigs, story: Story
) -> None:
    whole = Counting()
    toy(toy_config(tmp_path / "counted"), [whole])
    assert whole.closed == 1
    for number in range(1, whole.shown + 1):
        config = toy_config(tmp_path / f"stopped-{number}")
        stopper = Counting(number)
        with pytest.raises(Interrupted) as stopped:
            toy(config, [stopper])
        assert (stopped.value.folder, stopped.value.command) == (Path(config.out), "toy")
        assert stopper.closed == 1
        assert story(toy(config)) == story(undisturbed)
        assert epochs_once(Path(config.out))  # a toy keeps no checkpoint and tells them all again


def test_a_run_killed_between_any_two_writes_goes_on_as_if_nothing_had_been(
    tmp_path: Path, undisturbed: Path, toy: Toy, toy_config: ToyConfigs, story: Story
) -> None:
    lines = (undisturbed / "records.jsonl").read_bytes().splitlines(keepends=True)
    for number in range(len(lines)):
        config = toy_config(tmp_path / f"killed-{number}")
        folder = Path(config.out)
        folder.mkdir()
        (folder / "config.json").write_bytes((undisturbed / "config.json").read_bytes())
        torn = lines[number][: len(lines[number]) // 2]
        (folder / "records.jsonl").write_bytes(b"".join(lines[:number]) + torn)
        assert story(toy(config)) == story(undisturbed)
        assert epochs_once(Path(config.out))  # a toy keeps no checkpoint and tells them all again


def test_a_folder_that_cannot_be_written_ends_the_run_and_fails_no_trial(
    tmp_path: Path, toy: Toy, toy_config: ToyConfigs, story: Story
) -> None:
    class Hoarder:
        def run(self, plan: Mapping[str, Any], data: Any, folder: Path) -> Iterator[Event]:
            write_output(folder / "config.json" / "below", b"")  # below a file
            yield {}

    config = toy_config(tmp_path / "run")
    with pytest.raises(InvalidInput, match="must be writable"):
        toy(config, job=Hoarder())
    assert story(tmp_path / "run")["finished"] == {}
    assert not list((tmp_path / "run" / "errors").iterdir())
    toy(config)  # what was open is still to be done


def test_another_configuration_in_the_same_directory_is_refused(
    undisturbed: Path, toy: Toy, toy_config: ToyConfigs
) -> None:
    with pytest.raises(InvalidInput, match="trials: 4 -> 3"):
        toy(toy_config(undisturbed, trials=3))


def test_a_run_of_another_kind_in_the_same_directory_is_refused(
    tmp_path: Path,
    undisturbed: Path,
    toy: Toy,
    toy_config: ToyConfigs,
    small: Callable[..., Config],
) -> None:
    assert stored_kind(undisturbed) == "toy"
    for search_it in (
        lambda: search(small(undisturbed), watchers=()),
        lambda: parse("search", ["--out", str(undisturbed)]),
        lambda: kind_of_run("search").read(undisturbed),
    ):
        with pytest.raises(InvalidInput, match=r"holds (one|a run) of `fade-ray toy`"):
            search_it()
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(as_json(small(folder))))  # it names no kind
    assert stored_kind(folder) == "search"
    with pytest.raises(InvalidInput, match=f"fade-ray search --out {folder}"):
        toy(toy_config(folder))
    with pytest.raises(InvalidInput, match="directory of a run"):
        stored_kind(tmp_path)
    assert "6 of 6 trials" in status(undisturbed)


def test_the_cost_of_a_failed_trial_counts_what_earlier_sessions_saw(
    tmp_path: Path, toy: Toy, toy_config: ToyConfigs, story: Story
) -> None:
    config = toy_config(tmp_path / "run", trials=1, breaking=((0, 9),))
    with pytest.raises(Interrupted):
        toy(config, [Counting(2)])  # after its only epoch
    told = story(toy(config))
    assert told["finished"]["00000"][1]["images"] == 8


def test_a_search_is_stopped_at_its_start(tmp_path: Path, small: Callable[..., Config]) -> None:
    with pytest.raises(Interrupted) as stopped:
        search(small(tmp_path / "run"), watchers=[Counting(1)])
    stored = read_object(tmp_path / "run" / "config.json")
    assert stored == {"kind": "search", **as_json(small(tmp_path / "run"))}
    assert stopped.value.command == "search"
    assert list(History.read(tmp_path / "run" / "records.jsonl").anchors) == [0]
