"""What a rank study says of its record, of a whole table, and in words."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fade_ray.ranks.rank_config import StudyConfig
from fade_ray.ranks.rank_correlation import Estimate, rank_against_table
from fade_ray.ranks.rank_records import (
    Alone,
    RankEpoch,
    RankHistory,
    RankRun,
    rank_runs,
    trained_alone,
)
from fade_ray.ranks.rank_summary import RankFindings, TableStudy, summary_of
from fade_ray.ranks.rank_trials import search
from fade_ray.ranks.rank_verdict import in_words
from fade_ray.records.journal import Journal, plain
from fade_ray.records.json_form import as_json
from searchers import Outcome
from spaces.nasbench_macro import DEPTH, SEEDS, MacroTable

STUDY = StudyConfig(settings=("default", "exact"), seeds=(0, 1), graphs=3, sample=4, repeats=2)


def softmax(row: np.ndarray) -> tuple[float, ...]:
    return tuple((np.exp(row) / np.exp(row).sum()).tolist())


def recorded(path: Path, seconds: float, counted: bool = True) -> RankHistory:
    """A whole study in a record, whose trials take so long for an epoch, the later ones longer."""
    searcher, journal, rng = (
        search(STUDY, STUDY.hyper_architecture(2)),
        Journal(path),
        np.random.default_rng(0),
    )
    while not searcher.done:
        plan = searcher.ask()
        journal.append("proposed", proposal=plan.to_dict())
        for epoch in (1, 2, 3):
            seconds *= 1.3
            metrics: dict[str, Any] = {"seconds": seconds, "loss": 1.0}
            if plan.ranks:
                metrics["weights"] = [softmax(rng.normal(size=3)) for _ in range(2)]
            if counted:
                metrics["multiply_adds"] = (
                    1000 + 10 * epoch + (500 if plan.setting == "exact" else 0)
                )
            journal.append("epoch", id=plan.id, epoch=epoch, metrics=metrics)
        ranks = plan.ranks
        accuracy = float(rng.uniform(0.3, 0.5))
        outcome = (
            Outcome(log_weights=((-1.0, -1.1, -1.2),) * 2) if ranks else Outcome(score=accuracy)
        )
        told = {"hyper_accuracy": 0.3} if ranks else {"test_accuracy": accuracy}
        journal.append("finished", id=plan.id, outcome=outcome.to_dict(), metrics=told)
        searcher.tell(plan.id, outcome)
    return RankHistory.read(path)


def judged(history: RankHistory) -> Any:
    """The summary as its file has it."""
    alone = trained_alone(history, STUDY.hyper_architecture(2))
    found = summary_of(rank_runs(history, STUDY.settings), alone)
    assert found is not None
    return plain(as_json(found))


def test_a_machine_of_another_speed_gives_the_same_study(tmp_path: Path) -> None:
    """All that the record tells of time is left to display."""
    slow, fast = (
        recorded(tmp_path / name, seconds) for name, seconds in (("slow", 30.0), ("fast", 0.1))
    )
    assert (
        rank_runs(slow, STUDY.settings)[3].epochs[2].seconds
        > rank_runs(fast, STUDY.settings)[3].epochs[2].seconds
    )
    assert judged(slow) == judged(fast)
    equal = judged(slow)["equal_computation"]
    assert equal["multiply_adds"] == 3060, "the whole of the cheaper setting"
    assert [curve["multiply_adds"] for curve in equal["curves"]] == [
        [1010, 2030, 3060],
        [1510, 3030, 4560],
    ]


def test_a_record_without_multiply_adds_is_a_study_without_equal_computation(
    tmp_path: Path,
) -> None:
    history = recorded(tmp_path / "records.jsonl", 1.0, counted=False)
    assert {
        epoch.multiply_adds for run in rank_runs(history, STUDY.settings) for epoch in run.epochs
    } == {None}
    assert judged(history)["equal_computation"] is None


def test_equal_accuracies_do_not_make_the_trainings_of_a_table_agree() -> None:
    """Each training depends on another layer alone: they are independent, and full of ties."""
    digits = np.indices((3,) * DEPTH)[:SEEDS]
    table = MacroTable(np.moveaxis(digits, 0, -1) / 10)
    assert TableStudy.of([], table).ceiling == pytest.approx(0, abs=1e-12)


def macro() -> MacroTable:
    """Accuracies that grow with the sizes of the blocks, the more the deeper."""
    accuracies = np.tensordot(np.arange(1, DEPTH + 1), np.indices((3,) * DEPTH), 1) / 100
    return MacroTable(np.repeat(accuracies[..., None], SEEDS, axis=-1))


def macro_run(setting: str, seed: int, noise: float) -> RankRun:
    """Two epochs; the ranks after the second are those of the blocks, with noise."""
    rng = np.random.default_rng([seed, len(setting)])
    epochs = tuple(
        RankEpoch(
            i,
            i,
            tuple(softmax(i / 2 * np.arange(3) + rng.normal(0, noise, 3)) for _ in range(DEPTH)),
            100 * i,
        )
        for i in (1, 2)
    )
    return RankRun(setting, seed, epochs)


def test_settings_are_paired_over_the_seeds_they_share_in_a_table() -> None:
    seeds = {"default": (0, 1, 2), "late": (1, 2, 7)}
    runs = [
        macro_run(name, seed, 0.4 + 0.4 * (name == "late"))
        for name, some in seeds.items()
        for seed in some
    ]
    found = TableStudy.of(runs, macro())
    means = macro().accuracies.mean(axis=-1)
    rho = {
        (run.setting, run.seed): rank_against_table(run.epochs[-1].weights, means).spearman
        for run in runs
    }
    values = [rho["late", seed] - rho["default", seed] for seed in (1, 2)]
    low, high = stats.t.interval(0.95, 1, np.mean(values), stats.sem(values))
    [(name, difference)] = found.differences
    assert (name, difference.seeds) == ("late", 2)
    assert [difference.value, difference.low, difference.high] == pytest.approx(
        [np.mean(values), low, high]
    )
    words = in_words(RankFindings(STUDY.hyper_architecture(2), tuple(runs), (), "table", found))
    shown = "no difference shown" if low < 0 < high else "worse" if high < 0 else "better"
    assert words[2] == (
        f"late against default: {np.mean(values):+.2f} in Spearman's correlation (95 % interval "
        f"{low:+.2f} to {high:+.2f}, paired over 2 shared seeds, Student's t): {shown}."
    )
    [default, _] = found.equal_computation.settings
    low, high = stats.t.interval(
        0.95,
        2,
        np.mean([rho["default", s] for s in range(3)]),
        stats.sem([rho["default", s] for s in range(3)]),
    )
    assert (default.low, default.high) == pytest.approx((low, high))


def words_of(*differences: tuple[str, Estimate], truth: str = "test") -> list[str]:
    epochs = (RankEpoch(1, 1.0, ((0.7, 0.2, 0.1),)),)
    runs = tuple(RankRun(name, 0, epochs) for name in ("default", "late"))
    alone = tuple(Alone((i,), (0.5 - i / 10, 0.5 - i / 11)) for i in range(3))
    summary = summary_of(runs, alone)
    assert summary is not None
    found = replace(summary, differences=differences)
    return in_words(RankFindings(STUDY.hyper_architecture(2), runs, alone, truth, summary=found))


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (
            0.08,
            -0.2,
            0.35,
            "+0.08 in Spearman's correlation (95 % interval -0.20 to +0.35): no difference shown.",
        ),
        (
            0.2,
            0.05,
            0.35,
            "+0.20 in Spearman's correlation (95 % interval +0.05 to +0.35): better.",
        ),
        (
            -0.2,
            -0.35,
            -0.05,
            "-0.20 in Spearman's correlation (95 % interval -0.35 to -0.05): worse.",
        ),
        (
            0.0,
            0.0,
            0.0,
            "+0.00 in Spearman's correlation (95 % interval +0.00 to +0.00): no difference shown.",
        ),
        (
            0.1,
            math.nan,
            math.nan,
            "+0.10 in Spearman's correlation, without an interval (it takes two seeds), so that",
        ),
        (math.nan, math.nan, math.nan, "no difference in Spearman's correlation is defined."),
    ],
)
def test_the_verdict_speaks_of_every_difference(
    value: float, low: float, high: float, words: str
) -> None:
    told = words_of(("late", Estimate(value, low, high)))
    assert told[2].startswith(f"late against default: {words}")
    assert len(told) == 5, "two settings, a difference, the noise, the truth"


def test_the_verdict_says_when_ranks_and_truth_share_their_images() -> None:
    assert "which no rank was learned on" in words_of()[-1]
    assert "the noise ceiling are biased upwards" in words_of(truth="architecture")[-1]
