"""A study of gradient confusion on digits: its trainings, restarts, numbers, figures, mistakes."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fade_ray import results
from fade_ray.analyse.confusion_config import ConfusionStudy
from fade_ray.analyse.confusion_figures import pictures
from fade_ray.analyse.confusion_run import job_of
from fade_ray.analyse.confusion_summary import (
    QUANTITIES,
    Network,
    Trend,
    as_table,
    findings,
    networks,
    summary,
)
from fade_ray.analysis.resampling import t_interval
from fade_ray.cells.confusion_plan import ConfusionPlan, Protocol, possible_depths
from fade_ray.cells.confusion_trial import MEASURE, ConfusionTrial, skips
from fade_ray.cli import main
from fade_ray.data import Splits, load
from fade_ray.data.data_config import DataConfig
from fade_ray.report.style import house_style
from fade_ray.run.run_config import RunConfig
from fade_ray.training import Classification, TrainConfig
from fade_ray.training.confusion import measuring, network_confusion
from spaces.darts import published
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES

STUDY = ConfusionStudy(
    data=DataConfig(limit=96),
    space="s5",
    recipe="single-level-softmax",
    held_out=0.5,
    cells=(3, 4),
    channels=(2,),
    seeds=(0,),
    epochs=1,
    final_cells=3,
    final_channels=2,
    protocol=Protocol(batches=3, iterations=2),
    train=TrainConfig(batch_size=8),
    run=RunConfig(engine="local", device="cpu"),
)
TIMES = {"seconds", "images_per_second", "peak_memory_mib", "step_memory_mib"}


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load("digits", limit=96)


def timeless(event: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in event["metrics"].items() if name not in TIMES}
    return event | {"metrics": kept}


def course(plan: ConfusionPlan, splits: Splits, folder: Path) -> Iterator[dict[str, Any]]:
    return map(timeless, job_of(STUDY).run(plan.to_dict(), splits, folder))


@pytest.mark.parametrize("plan", STUDY.plans()[:2], ids=["final", "search"])
def test_a_training_stopped_anywhere_goes_on_with_the_same_bits(
    plan: ConfusionPlan, splits: Splits, tmp_path: Path
) -> None:
    whole = list(course(plan, splits, tmp_path / "whole"))
    last = len(whole) - 1  # the training, the first measurement, the second one
    assert [event["epoch"] for event in whole[-1 - plan.epochs : -1]] == [1, 2, 3]
    for stopped in range(1, last):
        folder = tmp_path / str(stopped)
        before = list(itertools.islice(course(plan, splits, folder), stopped + 1))
        assert before == whole[: stopped + 1]
        assert list(course(plan, splits, folder)) == whole
    values = [event["metrics"]["zeta"] for event in whole if "zeta" in event.get("metrics", {})]
    size = whole[-1]["metrics"]["parameters"]
    expected = np.mean(values) / (size / 1e6)
    assert whole[-1]["outcome"]["measures"][MEASURE] == pytest.approx(expected)


def test_a_measurement_is_of_the_trained_network_which_it_leaves_alone(splits: Splits) -> None:
    study = replace(
        STUDY, train=replace(STUDY.train, objective=Classification(auxiliary_weight=0.4))
    )
    plan = ConfusionPlan("x", 0, "s5", "single-level-softmax", 1, 3, 2, 5, 1, 1, 2)
    trial = ConfusionTrial(plan, replace_side(splits), job_of(study))
    trial.run_epoch()
    training = trial.network.training
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    first = trial.run_epoch()
    seed = int(np.random.SeedSequence([5, 1]).generate_state(1)[0] >> 1)
    batches = list(itertools.islice(training.batches.epoch(torch.Generator().manual_seed(seed)), 3))
    for prefix, auxiliary in (("", False), ("auxiliary_", True)):
        found = network_confusion(measuring(training.problem, auxiliary=auxiliary), batches)
        assert (first[f"{prefix}zeta"], first[f"{prefix}raw"]) == (found.zeta, found.raw)
    assert trial.run_epoch()["raw"] != first["raw"]  # of other batches
    assert trial.finished
    after = training.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    told = trial.ending([first]).metrics
    whole = sum(p.numel() for p in training.network.parameters())
    assert told["auxiliary_parameters"] == whole > told["parameters"]


def replace_side(splits: Splits) -> Splits:
    """Larger images, for an auxiliary head."""
    return load("digits", limit=96, image_side=32)


def test_skips_are_counted_by_kind_of_cell() -> None:
    assert skips(GENOTYPES["DARTS_V2"]) == {"normal": 2, "reduce": 3}


def test_depths_have_room_for_two_reduction_cells() -> None:
    assert possible_depths(published("s1").macro, 5) == [3, 4, 5]
    assert possible_depths(published("amended-s2").macro, 4) == [3, 4]
    assert possible_depths(published("nasbench201").macro, 10) == [3, 6, 9]
    with pytest.raises(InvalidInput, match=r"deepest=2.*two reduction cells"):
        possible_depths(published("s1").macro, 2)


def told(cells: int, seed: int, values: list[float], final: bool = False) -> Any:
    plan = ConfusionPlan("x", 0, "s5", "r", 1, cells, 16, seed, 1, 1, len(values), final)
    epochs: dict[int, dict[str, float]] = {1: {"loss": 1.0}}
    for number, value in enumerate(values, start=2):
        epochs[number] = {"zeta": value, "raw": value - 1, "cosine": -0.5}
    ending = {"parameters": 2_000_000, "batches": 10, "skips": {"normal": cells, "reduce": 1}}
    ending["skip_share"] = cells / 100
    return plan, epochs, ending


def study() -> list[Network]:
    return networks(
        [
            told(8, 1, [3.0, 5.0]),
            told(8, 0, [1.0, 3.0]),
            told(5, 0, [0.0, 2.0]),
            told(5, 1, [2.0, 2.0]),
            told(20, 0, [3.0, 5.0], final=True),
            told(20, 1, [2.0, 4.0], final=True),
        ]
    )


def test_the_numbers_are_means_per_million_parameters() -> None:
    five, eight, final = study()
    assert (five.plan.cells, eight.plan.cells, final.plan.final) == (5, 8, True)
    assert eight.values["zeta"].tolist() == [[0.5, 1.5], [1.5, 2.5]]  # by seed, over 2 M
    assert eight.values["cosine"].tolist() == [[-0.5, -0.5]] * 2  # of no size
    assert eight.means.tolist() == [1.0, 2.0]
    assert eight.interval == t_interval([1.0, 2.0])
    assert five.normal_skips.tolist() == [5, 5]
    (alone,) = networks([told(5, 0, [1.0, 3.0])])
    assert alone.interval == t_interval([0.5, 1.5])
    said = findings([five, eight, final])
    assert "0.75, 1.5 for 5 and 8 cells; rank correlation with depth +1.00" in said[0]
    assert "(+1.00 to +1.00; 2 seeds): grows" in said[0]
    assert "8 cells, 16 channels are nearest" in said[2]
    assert "1.5 beside 1.75" in said[2]
    assert "Of genotypes drawn from the space 50 %" in said[3]
    assert json.loads(json.dumps(summary([five, eight, final])))["networks"][2]["confusion"] == 1.75
    assert as_table([five]).num_rows == 4


def test_the_trend_is_a_rank_correlation_of_each_seed() -> None:
    rows = {0: (1.0, 3.0, 2.0), 1: (3.0, 2.0, 1.0), 2: (1.0, 1.0, 1.0)}
    depths = (5, 8, 14)
    line = networks(
        told(cells, seed, [row[k]]) for seed, row in rows.items() for k, cells in enumerate(depths)
    )
    trend = Trend.of(line, QUANTITIES["confusion"])
    assert trend is not None
    assert trend.per_seed.tolist() == [0.5, -1.0, 0.0]
    assert trend.interval == t_interval([0.5, -1.0, 0.0])
    assert "not shown" in trend.text
    assert Trend.of(line[:1], QUANTITIES["confusion"]) is None
    uneven = networks([told(5, 0, [1.0]), told(8, 0, [2.0]), told(8, 1, [0.0])])
    assert Trend.of(uneven, QUANTITIES["confusion"]) == Trend(np.array([1.0]))


def test_the_figures_say_what_they_show() -> None:
    with house_style():
        confusion, skipped = pictures(study())
    assert "final: 20 cells, 16 channels: 1.75" in confusion.alt
    assert "8 cells, 16 channels: 8.0" in skipped.alt
    assert list(pictures([])) == []


def test_a_study_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = results.carry_out("analyse confusion", replace(STUDY, out=str(tmp_path / "run"))).run
    assert [(n.plan.cells, n.plan.final, len(n.seeds)) for n in made.made] == [
        (3, False, 1),
        (4, False, 1),
        (3, True, 1),
    ]
    text = (tmp_path / "run" / "records.jsonl").read_text()
    main(["analyse", "confusion", "--out", str(tmp_path / "run"), "--seeds", "0", "1"])
    assert (tmp_path / "run" / "records.jsonl").read_text().startswith(text)
    shown = capsys.readouterr().out
    assert "final 3 x 2" in shown
    assert "nearest to the final network" in shown
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [network["seeds"] for network in written["networks"]] == [[0, 1]] * 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batches", "1"], "batches >= 2"),
        (["--iterations", "0"], "iterations >= 1"),
        (["--cells", "2"], "two reduction cells"),
        (["--final-cells", "1"], "two reduction cells"),
        (["--stage", "3"], "1 <= stage <= stages"),
        (["--space", "s9"], "A space must be one of"),
        (["--batch-size", "40", "--limit", "96"], "fill all batches"),
    ],
)
def test_mistakes_are_one_message(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--space", "s5", "--engine", "local", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit):
        main(["analyse", "confusion", *common, *flags])
    captured = capsys.readouterr()
    assert message in " ".join((captured.err + captured.out).split())
    assert not (tmp_path / "run").exists()
