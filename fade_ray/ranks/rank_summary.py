"""What a rank study comes to: the numbers of its file."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fade_ray.analysis.rank_measures import mean_correlation, spearman
from fade_ray.analysis.resampling import t_interval
from fade_ray.compare.comparison import jsonable
from fade_ray.ranks.rank_correlation import RankStudy, rank_against_table
from fade_ray.ranks.rank_courses import Course, equal_computation, known
from fade_ray.ranks.rank_records import Alone, RankRun, Rows
from spaces import HyperArchitecture
from spaces.nasbench_macro import MacroTable

REPEATS_SEED = 0


def summary_of(runs: Sequence[RankRun], alone: Sequence[Alone]) -> dict[str, Any] | None:
    """`RankStudy` as JSON, over the architectures that have all their repeats; None where there is
    nothing to correlate yet.
    """
    repeats = max((len(one.accuracies) for one in alone), default=0)
    whole = [one for one in alone if len(one.accuracies) == repeats]
    if not runs or len(whole) < 3:
        return None
    return RankStudy.of(runs, whole, np.random.default_rng(REPEATS_SEED)).to_dict()


def table_of(runs: Sequence[RankRun], table: MacroTable) -> dict[str, Any]:
    """The ranks of every run after every epoch, and those of each setting's mean log weights at the
    end, against the whole table.

    {"name", "agreements": [{"setting", "seed", "epoch", "multiply_adds", ...TableAgreement}],
    "pooled": {setting: TableAgreement}, "ceiling": mean Spearman between the table's own trainings,
    "differences": [[setting, {"value", "low", "high", "seeds"}]] of each further setting from the
    first, paired over the seeds that both have, "equal_computation": EqualComputation or None}.
    Intervals are Student's t over seeds: the architectures are all there are.
    """
    means = table.accuracies.mean(axis=-1)
    agreements = [
        {
            "setting": run.setting,
            "seed": run.seed,
            "epoch": epoch.epoch,
            "multiply_adds": epoch.multiply_adds,
        }
        | rank_against_table(epoch.weights, means).to_dict()
        for run in runs
        for epoch in run.epochs
    ]
    names = list(dict.fromkeys(run.setting for run in runs))
    pooled = {name: _pooled([run for run in runs if run.setting == name]) for name in names}
    trainings = table.accuracies.reshape(-1, table.accuracies.shape[-1])
    found = _courses(runs, agreements)
    equal = equal_computation(
        found,
        lambda name, ended: t_interval(
            [c.rho[n - 1] for c, n in zip(found[name], ended, strict=True)]
        ),
    )
    return {
        "name": "NAS-Bench-Macro",
        "agreements": agreements,
        "pooled": {
            name: rank_against_table(rows, means).to_dict() for name, rows in pooled.items()
        },
        "ceiling": mean_correlation(trainings),
        "differences": [[name, _paired(found[names[0]], found[name])] for name in names[1:]],
        "equal_computation": None if equal is None else equal.to_dict(),
    }


def _courses(
    runs: Sequence[RankRun], agreements: Sequence[Mapping[str, Any]]
) -> dict[str, list[Course]]:
    """The agreements of every run over its epochs, by setting."""
    found: dict[str, list[Course]] = {}
    for run in runs:
        told = [
            one for one in agreements if (one["setting"], one["seed"]) == (run.setting, run.seed)
        ]
        rho = tuple(known(one["spearman"]) for one in told)
        epochs, spent = (one["epoch"] for one in told), (one["multiply_adds"] for one in told)
        found.setdefault(run.setting, []).append(
            Course(run.setting, run.seed, tuple(epochs), tuple(spent), rho)
        )
    return found


def _paired(first: Sequence[Course], other: Sequence[Course]) -> dict[str, Any]:
    """Mean difference in rho at the end, other - first, over the seeds that both have, with
    Student's t interval; None where undefined.
    """
    before = {course.seed: course.rho[-1] for course in first}
    values = [course.rho[-1] - before[course.seed] for course in other if course.seed in before]
    low, high = t_interval(values)
    value = float(np.mean(values)) if values else math.nan
    return {
        name: jsonable(v)
        for name, v in {"value": value, "low": low, "high": high, "seeds": len(values)}.items()
    }


def _pooled(runs: Sequence[RankRun]) -> Rows:
    """Normalised geometric means of the final weights of several trainings."""
    logs = [
        np.mean([np.log(np.maximum(run.epochs[-1].weights[i], 1e-38)) for run in runs], axis=0)
        for i in _rows(runs)
    ]
    return tuple(tuple(np.exp(row - np.logaddexp.reduce(row)).tolist()) for row in logs)


def _rows(runs: Sequence[RankRun]) -> range:
    return range(len(runs[0].epochs[-1].weights))


def by_size(hyper: HyperArchitecture, alone: Sequence[Alone]) -> dict[str, Any] | None:
    """The baseline of a study, {"name", "spearman"}: of the sum of the cells' sizes with the mean
    accuracies; None where all sizes are equal.
    """
    distinct = hyper.distinct()
    sizes = [sum(row[k].size for row, k in zip(distinct, one.choice, strict=True)) for one in alone]
    if len(set(sizes)) < 2:
        return None
    return {
        "name": hyper.rows[0][0].size_name,
        "spearman": float(
            spearman(np.array(sizes), np.array([np.mean(o.accuracies) for o in alone]))
        ),
    }
