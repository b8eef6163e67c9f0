"""A whole search in the plain loop: what it leaves behind, how it is continued, how it fails."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs import status
from stopper import Stopper

import fade_ray
from fade_ray.records.journal import Journal
from fade_ray.records.json_form import as_json, differences, from_json
from fade_ray.results import search
from fade_ray.run.folder import opened
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.watcher import Watcher
from fade_ray.search.baselines import BASELINES
from fade_ray.search.search_config import Config, FinishConfig
from fade_ray.training import Adam, Training
from fade_ray.trials.job import checkpoint_path
from searchers import RandomPoints
from spaces.errors import InvalidInput

Small = Callable[..., Config]
Story = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture
def undisturbed(whole: Path, small: Small) -> Path:
    """The folder of one run that nothing disturbed, made once."""
    search(small(whole), watchers=())
    return whole


def test_a_run_directory_holds_everything(undisturbed: Path) -> None:
    result = fade_ray.open_run(undisturbed)
    assert result.architecture.is_architecture
    assert result.architecture.depth == 2
    assert 0 <= result.test_accuracy <= 1
    assert "images of 8x8" in result.run.environment["data"]
    assert [row["side"] for row in result.summary["architecture"]["rows"]][-1] <= 2
    assert len(repr(result).splitlines()) == 5
    assert "result test accuracy" in repr(result)
    # ranks and evaluations, finalists, retraining
    trials = {"done": 2 * (2 + 2) + 2 + 1, "failed": 0, "retried": 0}
    assert result.summary["trials"] == trials
    assert result.summary["cost"]["training_images"] > 0
    names = ["config.json", "environment.json", "records.jsonl", "result.json", "report.html"]
    assert all((undisturbed / name).exists() for name in names)
    assert {p.suffix for p in (undisturbed / "architectures").iterdir()} >= {
        ".py",
        ".safetensors",
        ".json",
    }
    assert {p.stem for p in (undisturbed / "tables").iterdir()} == {
        "trials",
        "epochs",
        "ranks",
        "anchors",
    }
    assert len(list((undisturbed / "tensorboard").iterdir())) == trials["done"] + 1  # the run
    assert not list(undisturbed.rglob("*.pkl"))
    assert not list((undisturbed / "checkpoints").iterdir())


def test_the_test_part_is_seen_by_the_retraining_alone(undisturbed: Path, story: Story) -> None:
    told = story(undisturbed)
    with_test = [id for id, (_, metrics) in told["finished"].items() if "test_accuracy" in metrics]
    assert with_test == [
        id for id, proposal in told["proposed"].items() if proposal["kind"] == "retraining"
    ]
    assert all(
        "score" not in outcome for id, (outcome, _) in told["finished"].items() if id in with_test
    )


def test_a_finished_run_is_not_run_again(undisturbed: Path, small: Small) -> None:
    before = (undisturbed / "records.jsonl").read_bytes()
    assert search(small(undisturbed), watchers=()).folder == undisturbed
    assert (undisturbed / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize("epochs", [1, 2, 5, 9, 12])
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    epochs: int, tmp_path: Path, undisturbed: Path, small: Small, story: Story
) -> None:
    config = small(tmp_path / "run")
    with pytest.raises(Interrupted) as stopped:
        search(config, watchers=[Stopper(epochs)])
    assert stopped.value.folder == tmp_path / "run"
    assert "not finished" in status(tmp_path / "run")
    with pytest.raises(Interrupted):
        search(config, watchers=[Stopper(2)])
    search(config, watchers=())
    assert story(tmp_path / "run") == story(undisturbed)


class Late(Watcher):
    """Of every trial that has ended a checkpoint comes again: as by a worker that was frozen while
    the trial went on elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finished(self, proposal: Any, outcome: Any, metrics: Mapping[str, Any]) -> None:
        assert not checkpoint_path(self.folder, proposal.id).exists()
        checkpoint_path(self.folder, proposal.id).write_bytes(b"late")


def test_no_checkpoint_is_left_also_where_one_comes_late(
    tmp_path: Path, undisturbed: Path, small: Small, story: Story
) -> None:
    folder = tmp_path / "run"
    search(small(folder), watchers=[Late(folder)])
    assert not list((folder / "checkpoints").iterdir())
    assert story(folder) == story(undisturbed)


def test_a_trial_whose_end_was_not_recorded_is_not_trained_again(
    tmp_path: Path, small: Small, story: Story, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver goes between the end of a trial and the record of it."""
    append, run_epoch = Journal.append, Training.run_epoch
    trained, gone = list[Training](), list[str]()

    def appended(journal: Journal, event: str, **fields: Any) -> None:
        if event == "finished" and not gone:
            gone.append(event)
            raise KeyboardInterrupt
        append(journal, event, **fields)

    def counted(training: Training) -> dict[str, Any]:
        trained.append(training)
        return run_epoch(training)

    monkeypatch.setattr(Journal, "append", appended)
    monkeypatch.setattr(Training, "run_epoch", counted)
    with pytest.raises(Interrupted):
        search(small(tmp_path / "run"), watchers=())
    search(small(tmp_path / "run"), watchers=())
    told = story(tmp_path / "run")
    assert gone
    assert len(trained) == len(told["epoch"])
    assert told == story(undisturbed)


def test_baselines_are_trained_once_however_often_the_run_is_stopped(
    tmp_path: Path, small: Small, story: Story
) -> None:
    """And a run that has ended takes more seeds of them: what it has stays as it is."""

    def config(out: str, seeds: int) -> Config:
        finish = FinishConfig(retrain_seeds=seeds)
        return replace(small(tmp_path / out, epochs=1, iterations=1), finish=finish)

    search(config("whole", 2), watchers=())
    told = story(tmp_path / "whole")
    trained = [p["network"] for p in told["proposed"].values() if p["kind"] == "baseline"]
    assert trained == [*BASELINES] * 2
    for stop in (8, 6, 3, 1):
        with pytest.raises(Interrupted):
            search(config("run", 2), watchers=[Stopper(stop)])
    search(config("run", 2), watchers=())
    assert story(tmp_path / "run") == told
    result = search(config("whole", 3), watchers=())
    grown = story(tmp_path / "whole")
    assert len(grown["proposed"]) == len(told["proposed"]) + 4
    for name, before in told.items():
        assert grown[name] | before == grown[name]
    beside = result.summary["beside"]
    assert [len(network["scores"]) for network in beside["networks"]] == [3] * 4
    assert "no difference can be shown. It takes at least 7 seeds" in beside["verdict"]
    assert beside["verdict"] in (tmp_path / "whole" / "report.html").read_text()
    with pytest.raises(InvalidInput, match=r"finish\.retrain_seeds"):
        search(config("whole", 1), watchers=())


def test_a_torn_last_line_is_repaired(
    tmp_path: Path, undisturbed: Path, small: Small, story: Story
) -> None:
    config = small(tmp_path / "run")
    with pytest.raises(Interrupted):
        search(config, watchers=[Stopper(6)])
    with (tmp_path / "run" / "records.jsonl").open("a") as file:
        file.write('{"event": "finished", "id": "000')
    search(config, watchers=())
    assert story(tmp_path / "run") == story(undisturbed)


def test_weights_are_carried_from_one_hyper_architecture_to_the_next(
    tmp_path: Path, small: Small, story: Story
) -> None:
    search(small(tmp_path / "run"), watchers=())
    told = story(tmp_path / "run")
    second = [p for p in told["proposed"].values() if p["kind"] == "ranks" and p["iteration"] == 2]
    assert (
        [told["proposed"][p["parent"]]["walk"] for p in second]
        == [p["walk"] for p in second]
        == [0, 1]
    )
    fresh = small(tmp_path / "fresh")
    search(replace(fresh, outer=replace(fresh.outer, carry_weights=False)), watchers=())
    first = min(told["epoch"], key=lambda key: key)
    assert told["epoch"][first] == story(tmp_path / "fresh")["epoch"][first]
    later = (second[0]["id"], 1)
    assert told["epoch"][later]["loss"] != story(tmp_path / "fresh")["epoch"][later]["loss"]


def test_random_search_runs_by_the_same_protocol(tmp_path: Path, small: Small) -> None:
    config = small(tmp_path / "run")
    result = search(
        replace(config, searcher=RandomPoints(iterations=2, batch=2, evaluations=2)), watchers=()
    )
    assert result.summary["trials"]["done"] == 2 * 2 * 2 + 1


def test_another_configuration_in_the_same_directory_is_refused(
    undisturbed: Path, small: Small
) -> None:
    config = small(undisturbed)
    other = replace(config, searcher=replace(config.searcher, gamma=0.3), seed=1)
    with pytest.raises(InvalidInput, match=r"searcher\.gamma: 0\.26 -> 0\.3; seed: 0 -> 1"):
        search(other, watchers=())


def test_how_a_run_is_carried_out_may_change(small: Small) -> None:
    here, there = small(Path("a")), small(Path("b"), engine="ray", cpus_per_trial=2)
    assert differences(as_json(here), as_json(there)) == []


def test_a_directory_of_another_version_is_refused(tmp_path: Path, small: Small) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    values = as_json(small(folder))
    (folder / "config.json").write_text(json.dumps(values | {"novelty": 1}))
    with pytest.raises(InvalidInput, match="novelty"):
        search(small(folder), watchers=())
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "records.jsonl").write_text(
        '{"event": "start", "time": "2030-01-01T00:00:00+00:00", "format": 99}\n'
    )
    with pytest.raises(InvalidInput, match="format"):
        search(small(folder), watchers=())


def test_a_directory_in_use_is_refused(tmp_path: Path, small: Small) -> None:
    config = small(tmp_path / "run")
    with opened(tmp_path / "run", ()), pytest.raises(InvalidInput, match="One process"):
        search(config, watchers=())


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path, small: Small) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="writable"):
        search(small(tmp_path / "file" / "run"), watchers=())


def test_trials_that_fail_are_tried_again_and_then_reported(
    tmp_path: Path, small: Small, story: Story
) -> None:
    config = small(tmp_path / "run")
    hopeless = replace(config, train=replace(config.train, optimiser=Adam(learning_rate=1e30)))
    with pytest.raises(InvalidInput, match=r"epoch 1 of .* at learning rate 1e\+30"):
        search(hopeless, watchers=())
    told = story(tmp_path / "run")
    attempts = [p["attempt"] for p in told["proposed"].values() if p["index"] == 0]
    seeds = {p["seed"] for p in told["proposed"].values() if p["index"] == 0}
    assert attempts == [0, 1, 2]
    assert len(seeds) == 3
    assert len(told["finished"]) == len(told["proposed"])
    assert list((tmp_path / "run" / "errors").iterdir())


def test_the_configuration_survives_json(small: Small) -> None:
    config = small(Path("a"))
    assert from_json(Config, json.loads(json.dumps(as_json(config)))) == config
    with pytest.raises(InvalidInput, match=r"walk"):
        from_json(Config, {"outer": {"walk": 3}})
