"""A gradient study on digits: records, restart, numbers, figures, and a user's mistakes."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fade_ray import results
from fade_ray.analyse.gradient_config import SPACE, GradientStudy, Setting
from fade_ray.analyse.gradient_figures import pictures
from fade_ray.analyse.gradient_study import SITUATIONS, GradientJob, plans
from fade_ray.analyse.gradient_summary import Measured, in_words, numbers, summary
from fade_ray.analyse.gradients import OperationGradients
from fade_ray.cells.cell_trial import CellSearch
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cli import main
from fade_ray.data import Splits, load
from fade_ray.data.data_config import DataConfig
from fade_ray.kinds import kind_in
from fade_ray.records.run_files import read_object
from fade_ray.report.style import house_style
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from searchers import Outcome
from spaces.errors import InvalidInput
from spaces.nasbench201 import EDGES, OPS

STUDY = GradientStudy(
    data=DataConfig(limit=120),
    seeds=(0,),
    channels=2,
    epochs=2,
    batch_size=16,
    pairs=2,
    run=RunConfig(engine="local", device="cpu"),
)
BILEVEL, JOINT = STUDY.settings
TIMES = {"time", "seconds", "images_per_second", "peak_memory_mib"}


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load("digits", limit=120)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    carry_out(STUDY, folder)
    return folder


def carry_out(study: GradientStudy, folder: Path, watcher: Watcher | None = None) -> list[Measured]:
    study = dataclasses.replace(study, out=str(folder))
    watchers = () if watcher is None else [watcher]
    made: list[Measured] = results.carry_out("analyse gradients", study, watchers).run.made
    return made


def untimed(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in TIMES}


def lines(folder: Path) -> list[dict[str, Any]]:
    """Every epoch's metrics with its search, as recorded."""
    events = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    return [{**e["metrics"], "search": e["id"], "epoch": e["epoch"]} for e in epochs]


def test_the_record_has_every_epoch_of_every_search_once(whole: Path) -> None:
    found = [(line["search"], line["epoch"]) for line in lines(whole)]
    assert found == [
        (f"{setting.name}-seed0", epoch) for setting in (BILEVEL, JOINT) for epoch in range(3)
    ]
    assert not list((whole / "checkpoints").iterdir())
    for line in lines(whole):
        for place, node in itertools.product("024", "123"):
            same = line["correlation"]["same"][place][node]
            other = line["correlation"]["other"][place][node]
            assert same["value"] > abs(other["value"])
            assert same["cosine"] == pytest.approx(1)
            assert abs(other["cosine"]) < 0.999
        assert (line["gradients"] is None) == (line["epoch"] == 0)


def test_a_restored_search_goes_on_with_the_same_bits(whole: Path, tmp_path: Path) -> None:
    """The process dies in the middle of writing the first epoch of the second search."""
    joint = f"{JOINT.name}-seed0"

    class Killer(Watcher):
        def epoch(self, proposal: Any, epoch: int, metrics: Any) -> None:
            if (proposal.id, epoch) == (joint, 1):
                raise KeyboardInterrupt

    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        carry_out(STUDY, folder, Killer())
    record = folder / "records.jsonl"
    record.write_text(record.read_text()[:-30])  # torn: it is recorded when it is told again
    carry_out(STUDY, folder)
    assert [untimed(line) for line in lines(folder)] == [untimed(line) for line in lines(whole)]

    text = (whole / "records.jsonl").read_text()
    carry_out(STUDY, whole)
    assert (whole / "records.jsonl").read_text() == text  # nothing left to do


def test_measuring_does_not_change_the_search(splits: Splits, tmp_path: Path) -> None:
    def course(pairs: int) -> list[Any]:
        study = dataclasses.replace(STUDY, pairs=pairs, epochs=1)
        events = GradientJob(study).run(plans(study)[0].to_dict(), splits, tmp_path)
        return [event["metrics"]["weights"] for event in events if "epoch" in event]

    assert course(2) == course(3)


@pytest.mark.parametrize("setting", [BILEVEL, JOINT])
def test_the_steps_of_the_logits_are_counted_and_no_others(
    setting: Setting, splits: Splits
) -> None:
    plan = CellPlan("0", 0, 0, setting.recipe, SPACE, 0, 2)
    search = CellSearch(plan, splits, STUDY.search_config(setting))
    with OperationGradients(search.network, (0,)) as measured:
        search.run_epoch()
    assert measured.passes == {0: len(search.training.batches)}
    assert search.architecture.config.optimizer == "sgd"
    assert search.architecture.config.weight_decay == 0


def test_a_search_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    study = dataclasses.replace(STUDY, learning_rate=(1e30, 0.01), update=("joint",), epochs=1)

    class Ends(Watcher):
        def __init__(self) -> None:
            self.failures: list[str] = []

        def finished(self, proposal: Any, outcome: Outcome, metrics: Any) -> None:
            self.failures.append(str(outcome.failure))

    said = Ends()
    (measured,) = carry_out(study, tmp_path / "run", said)
    assert "became" in said.failures[0]
    assert said.failures[1] == "None"
    assert measured.setting.learning_rate == 0.01


def test_a_study_may_be_continued_with_further_settings(whole: Path, tmp_path: Path) -> None:
    carry_out(dataclasses.replace(STUDY, update=("joint",)), tmp_path / "run")
    carry_out(STUDY, tmp_path / "run")
    told = sorted(map(str, map(untimed, lines(tmp_path / "run"))))
    assert told == sorted(map(str, map(untimed, lines(whole))))
    with pytest.raises(InvalidInput, match="channels: 2 -> 4"):
        carry_out(dataclasses.replace(STUDY, channels=4), tmp_path / "run")


def test_a_study_of_before_it_was_a_kind_of_run_is_continued(whole: Path, tmp_path: Path) -> None:
    """Its configuration is in study.json, and its epochs say which search they are of."""
    new = read_object(whole / "config.json")
    rest = {key: value for key, value in new.items() if key not in ("kind", "run", "name", "use")}
    old = {"kind": "gradients", **rest, "device": "cpu", "threads": 1}
    (tmp_path / "study.json").write_text(json.dumps({"study": old}))
    settings = {f"{setting.name}-seed0": setting for setting in (BILEVEL, JOINT)}
    with (tmp_path / "records.jsonl").open("w") as file:
        for line in lines(whole)[:4]:  # the first search whole, of the second the start
            setting = dataclasses.asdict(settings[line["search"]])
            about = {"event": "epoch", "time": "2020-01-01T00:00:00+00:00", "seed": 0}
            file.write(json.dumps({**about, **setting, **line}) + "\n")
    assert kind_in(tmp_path).name == "analyse gradients"  # for `fade-ray status` and `report`
    measured = carry_out(STUDY, tmp_path)
    assert json.dumps(summary(measured)) == (
        json.dumps(json.loads((whole / "summary.json").read_text()))
    )


def synthetic(seeds: int = 2, update: str = "first-order") -> Measured:
    """Learnable operations have dL/dp 1 more than the others in the first three epochs of 9, then 2
    less; the weights end at the convolutions.
    """
    gradients = np.zeros((seeds, 9, 3, len(EDGES), len(OPS)))
    gradients[:, :3, ..., 2:4], gradients[:, 6:, ..., 2:4] = 1, -2
    weights = np.full((seeds, 10, len(EDGES), len(OPS)), 0.2)
    weights[:, -1] = (0, 0.25, 0, 0.75, 0)
    correlations = {
        name: np.full((seeds, 10, 3, 3, 2), float(k)) for k, name in enumerate(SITUATIONS)
    }
    setting = Setting(0.01, "softmax", update)
    return Measured(
        setting,
        tuple(range(seeds)),
        (0, 2, 4),
        weights,
        gradients,
        correlations,
        np.full((seeds, 10, 2), 0.5),
    )


def test_numbers_of_what_was_planted() -> None:
    found = {name: values.tolist() for name, values in numbers(synthetic()).items()}
    assert found["gap_early"] == [1, 1]
    assert found["gap_late"] == [-2, -2]
    assert found["learnable_weight"] == [0.75, 0.75]
    assert (found["correlation_held-out"], found["cosine_same"]) == ([0, 0], [2, 2])
    assert found["parameter_free_share"] == [0.5, 0.5]
    words = in_words([synthetic(), synthetic(1, "joint")])
    assert "bilevel, softmax, learning rate 0.01 (2 seeds)" in words
    assert "single-level, softmax, learning rate 0.01 (1 seed)" in words
    assert "favours the learnable ones" in words
    assert "by construction" in words


def test_figures_of_a_study(whole: Path) -> None:
    study = carry_out(STUDY, whole)
    assert [one.setting for one in study] == [BILEVEL, JOINT]
    assert study[0].gradients.shape == (1, 2, 3, len(EDGES), len(OPS))
    with house_style():
        drawn = list(pictures(study))
    assert [one.name.partition("-")[0] for one in drawn] == [
        *["weights", "gradients"] * 2,
        "correlation",
        "cosine",
    ]
    assert all(picture.alt and picture.caption for picture in drawn)
    assert "by construction" in drawn[-2].caption
    labels = {
        text.get_text().partition(", ")[2] for text in drawn[-2].figure.legends[0].get_texts()
    }
    assert labels == {"bilevel: held-out batch", "single-level: same batch"}
    # the weight of skip_connect on the edge 1<-0
    first = drawn[0].figure.axes[0].get_lines()[1].get_ydata()
    assert np.allclose(np.asarray(first), study[0].weights[0, :, 0, 1])
    assert (
        json.loads(json.dumps(summary(study)))["settings"][0]["numbers"]["gap_late"]["std"] is None
    )


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "analyse",
        "gradients",
        "--out",
        str(tmp_path / "s"),
        "--limit",
        "120",
        "--batch-size",
        "16",
        "--channels",
        "2",
    ]
    flags += [
        "--epochs",
        "1",
        "--seeds",
        "0",
        "--pairs",
        "2",
        "--device",
        "cpu",
        "--relaxation",
        "sigmoid",
        "--update",
    ]
    main([*flags, "joint"])
    assert "single-level, sigmoid, learning rate 0.025 (1 seed)" in capsys.readouterr().out
    assert list((tmp_path / "s" / "figures").glob("gradients-*.svg"))
    assert (tmp_path / "s" / "report.html").exists()
    assert (
        json.loads((tmp_path / "s" / "summary.json").read_text())["settings"][0]["update"]
        == "joint"
    )
    refused = {
        r"data.limit: 120 -> 140": [*flags, "joint", "--limit", "140"],
        "something else": [*flags, "joint", "--out", str(tmp_path)],
        "2 batches": ["analyse", "gradients", "--out", str(tmp_path / "t"), "--limit", "120"],
        "Did you mean `fade-ray analyse gradients`": ["analyse", "gradient"],
    }
    (tmp_path / "page.html").write_text("")
    for said, arguments in refused.items():
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "t").exists()


def test_unknown_names_are_met_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="'first-order'"):
        GradientStudy(update=("fist-order",))
    with pytest.raises(InvalidInput, match="'sigmoid'"):
        GradientStudy(relaxation=("sigmoi",))
    with pytest.raises(InvalidInput, match="once"):
        GradientStudy(seeds=(0, 0))
    with pytest.raises(InvalidInput, match="multiple of 3"):
        GradientStudy(cells=4)
