"""A retraining that is killed and started again is the one that was not."""

import json
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from retrainings import run_retraining
from safetensors.torch import load_file, save_file

from fade_ray.records.journal import read_events
from fade_ray.records.run_files import read_object
from fade_ray.retrain.deliver import recorded_score
from fade_ray.retrain.retrain_run import check_accuracy
from fade_ray.retraining import Retraining
from fade_ray.retraining.retraining import open_examples, retrain
from fade_ray.training import place
from fade_ray.trials.job import Event
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES

Tiny = Callable[..., Retraining]
Told = Callable[[Path], dict[str, Any]]


class Killed(BaseException):
    """As abrupt as an exception can be."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Path:
    """A retraining that ran through."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_retraining(tiny(), folder)
    return folder


@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_killed_after_an_epoch_it_goes_on_with_the_same_bits(
    epoch: int, tmp_path: Path, tiny: Tiny, whole: Path, told: Told
) -> None:
    def kill(event: Event) -> None:
        if event["epoch"] == epoch:
            raise Killed

    with pytest.raises(Killed):
        run_retraining(tiny(), tmp_path, tell=kill)
    assert not (tmp_path / "result.json").exists()
    run_retraining(tiny(), tmp_path)
    assert told(tmp_path) == told(whole)


@pytest.mark.parametrize("events", [2, 4])
def test_an_epoch_that_was_kept_but_not_recorded_is_recorded_later(
    events: int, tmp_path: Path, tiny: Tiny, whole: Path, told: Told
) -> None:
    # the process dies between its checkpoint and its record
    list(islice(retrain(tiny(), open_examples(tiny().config), tmp_path, place("cpu")), events))
    run_retraining(tiny(), tmp_path)
    assert told(tmp_path) == told(whole)


def test_a_finished_one_is_not_run_again(whole: Path, tiny: Tiny) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}

    def refuse(event: Event) -> None:
        raise AssertionError("it ran again")

    assert run_retraining(tiny(), whole, tell=refuse) == read_object(whole / "result.json")
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == before


def test_another_configuration_or_genotype_is_refused_by_name(whole: Path, tiny: Tiny) -> None:
    with pytest.raises(InvalidInput, match=r"epochs: 3 -> 5"):
        run_retraining(tiny(epochs=5), whole)
    with pytest.raises(InvalidInput, match=r"data.limit: None -> 40"):
        run_retraining(tiny(data={"limit": 40}), whole)
    with pytest.raises(InvalidInput, match="another genotype"):
        run_retraining(tiny(macro=GENOTYPES["DARTS_V2"]), whole)


def test_last_and_best_epoch_are_reported_as_recorded(whole: Path) -> None:
    result = json.loads((whole / "result.json").read_text())
    epochs = [
        event["metrics"]
        for event in read_events(whole / "records.jsonl")
        if event["event"] == "epoch"
    ][1:]
    accuracies = [metrics["test_accuracy"] for metrics in epochs]
    assert result["test_accuracy_last"] == accuracies[-1]
    assert result["test_accuracy_best"] == max(accuracies) == accuracies[result["best_epoch"] - 1]
    assert "optimistic" in result["best_note"]
    assert result["average_test_accuracy_last"] == epochs[-1]["average_test_accuracy"]
    assert epochs[-1]["average_test_loss"] != epochs[-1]["test_loss"]
    facts = json.loads((whole / "architectures" / "architecture.json").read_text())
    assert facts["test_accuracy"] == result["test_accuracy_last"]
    assert recorded_score(whole / "weights" / "best.safetensors") == result["test_accuracy_best"]


def test_weights_are_checked_against_the_accuracy_recorded_with_them(
    tmp_path: Path, whole: Path
) -> None:
    with pytest.raises(InvalidInput, match="Only a finished retraining"):
        check_accuracy(tmp_path)
    found = check_accuracy(whole, device="cpu")
    assert set(found) == {"last", "best", "average"}
    assert all(recorded == measured for recorded, measured in found.values())
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    path = copy / "weights" / "last.safetensors"
    save_file(load_file(path), path, {"test_accuracy": str((recorded_score(path) + 0.5) % 1)})
    with pytest.raises(InvalidInput, match="recorded"):
        check_accuracy(copy, device="cpu")
    noted = read_object(copy / "environment.json")
    noted["inputs"]["data.data"]["contents"] = "a folder of 61 files (fingerprint 0)"
    (copy / "environment.json").write_text(json.dumps(noted))
    with pytest.raises(InvalidInput, match=r"was a folder of 61 .*, and it is a folder of 60"):
        check_accuracy(copy, device="cpu")
