"""Replays with the ranks that were really learned: every recorded training of NAS-Bench-Macro, none
chosen by its outcome.

    python scripts/replay_learned_ranks.py --table nasbench_macro.parquet \\
        --studies docs/results/nasbench-macro docs/results/nasbench-macro-again \\
        --out docs/results/replay-learned

Each training answers the hyper-architectures of 100 walks of 200 evaluations. The walks of one
training share its ranks, so the unit of all tests is the training: a setting's mean over its
trainings, Student's t, two-sided, corrected by Holm over all tests of a measure. Searches that
`--out` holds already are read, not made again.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from ranks_against_size import recorded_runs
from scipy.stats import ttest_1samp

from fade_ray.analysis.paired_tests import LEVEL, holm
from fade_ray.analysis.resampling import NOTHING, shown, t_interval
from fade_ray.compare.trace import area, final
from fade_ray.ranks.rank_records import RankRun
from fade_ray.records.atomic import write_atomically
from fade_ray.records.journal import plain
from fade_ray.replay.benchmarks import Benchmark, read_benchmark
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.replay.replay_study import Study, agreement, run_study
from fade_ray.replay.table_objective import RankModel
from fade_ray.run.folder import command_line, environment, write_json

UNRANKED = ("random", "evolution", "by-size")
"""Searchers that ask for no ranks: the same with every training."""
RANKED = ("fade", "fade-blind")
NONE = "none"
"""The setting of what was searched without ranks."""


@dataclass(frozen=True)
class Options:
    table: Path
    """Parquet file of NAS-Bench-Macro."""
    studies: tuple[Path, ...] = (
        Path("docs/results/nasbench-macro"),
        Path("docs/results/nasbench-macro-again"),
    )
    """Directories of rank studies of its blocks."""
    seeds: int = 100
    """Walks of each searcher."""
    budget: float = 200.0
    """Evaluations of each walk; a hyper-architecture costs one."""
    out: Path = Path("docs/results/replay-learned")


Row = dict[str, Any]
"""One search: setting and number of the training, searcher, seed of the walk, final report and
area, shares of 1.
"""


def searches(
    options: Options, benchmark: Benchmark, searchers: Sequence[str], run: RankRun | None = None
) -> list[Row]:
    config = ReplayConfig(
        str(options.table),
        tuple(searchers),
        options.seeds,
        baseline=(searchers[0],),
        budget=options.budget,
    )
    model = RankModel(weights=None if run is None else run.epochs[-1].weights)
    training = {
        "setting": NONE if run is None else run.setting,
        "training": None if run is None else run.seed,
    }
    return [
        training
        | {"searcher": one.trace.searcher, "seed": one.trace.seed}
        | {"final": final(one.trace), "area": area(one.trace, benchmark.random_pick)}
        for one in run_study(Study(config, benchmark, model, benchmark))
    ]


def mean_of(rows: Sequence[Row], measure: str, **which: Any) -> float:
    """Over the walks of one searcher, of one training."""
    chosen = [
        row[measure] for row in rows if all(row[key] == value for key, value in which.items())
    ]
    return float(np.mean(chosen))


def against(trainings: Sequence[float], baseline: Sequence[float]) -> Row:
    """Mean difference over trainings, its two-sided interval and p of Student's t, and what they
    show.
    """
    differences = np.subtract(trainings, baseline)
    low, high = t_interval(differences)
    p = float(ttest_1samp(differences, 0.0).pvalue)
    found = {"difference": float(differences.mean()), "low": low, "high": high, "p": p}
    return found | {"above": int((differences > 0).sum())}


def corrected(settings: dict[str, Row]) -> dict[str, Row]:
    """With Holm's p over the tests of all settings, and what each has shown: the interval and this
    p must agree.
    """
    tests = [test for one in settings.values() for test in one["against"].values()]
    for test, p in zip(tests, holm([test["p"] for test in tests]), strict=True):
        found = shown(test["low"], test["high"]) if p <= LEVEL else NOTHING
        test.update(corrected=p, family=len(tests), finding=found)
    return settings


def of_setting(rows: Sequence[Row], setting: str, seeds: Sequence[int], measure: str) -> Row:
    """FaDE with every training of a setting, and against all others."""
    fade, blind = (
        [mean_of(rows, measure, setting=setting, training=seed, searcher=name) for seed in seeds]
        for name in RANKED
    )
    others = {
        name: [mean_of(rows, measure, setting=NONE, searcher=name)] * len(seeds)
        for name in UNRANKED
    }
    low, high = t_interval(fade)
    return {
        "trainings": dict(zip(map(str, seeds), fade, strict=True)),
        "fade-blind": float(np.mean(blind)),
        "mean": float(np.mean(fade)),
        "std": float(np.std(fade, ddof=1)),
        "low": low,
        "high": high,
        "against": {
            name: against(fade, values) for name, values in {"fade-blind": blind, **others}.items()
        },
    }


def summary(
    rows: Sequence[Row], runs: Sequence[RankRun], rho: Mapping[tuple[str, int], float]
) -> Row:
    seeds = {
        setting: [run.seed for run in runs if run.setting == setting]
        for setting in sorted({r.setting for r in runs})
    }
    return {
        "environment": environment(command_line()),
        "rho": {
            setting: {str(seed): rho[setting, seed] for seed in known}
            for setting, known in seeds.items()
        },
        **{
            measure: {
                "settings": corrected(
                    {name: of_setting(rows, name, known, measure) for name, known in seeds.items()}
                ),
                "without_ranks": {
                    name: mean_of(rows, measure, setting=NONE, searcher=name) for name in UNRANKED
                },
            }
            for measure in ("final", "area")
        },
    }


def draw(rows: Sequence[Row], found: Row, path: Path) -> None:
    """Every training's mean final report by setting, beside what needs no ranks."""
    from fade_ray.report.style import (
        INK,
        LINES,
        MARKERS,
        Picture,
        house_style,
        new_figure,
        save,
        series,
    )

    with house_style():
        figure = new_figure(2.8)
        axis = figure.subplots()
        settings = found["final"]["settings"]
        for height, one in enumerate(settings.values()):
            values = [100 * value for value in one["trainings"].values()]
            axis.plot(
                values, [height] * len(values), MARKERS[0], color=series(0), ms=7, clip_on=False
            )
            axis.plot([100 * one["low"], 100 * one["high"]], [height - 0.25] * 2, color=INK, lw=1.6)
            axis.plot(100 * one["mean"], height - 0.25, "|", color=INK, ms=9, mew=2)
        for index, (name, value) in enumerate(found["final"]["without_ranks"].items(), start=1):
            axis.axvline(100 * value, color=series(index), ls=LINES[index], lw=1.6, label=name)
        axis.set(
            yticks=range(len(settings)),
            yticklabels=list(settings),
            ylim=(len(settings) - 0.5, -0.6),
        )
        axis.set_xlabel("final report (%), mean over the walks")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
        told = [f"{setting} {100 * one['mean']:.2f} %" for setting, one in settings.items()]
        caption = "Points: trainings; black: their mean with its 95 % interval (Student's t)."
        save(Picture("finals", "FaDE with learned ranks", figure, ", ".join(told), caption), path)


def write(rows: Sequence[Row], path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())


def all_searches(options: Options, benchmark: Benchmark, runs: Sequence[RankRun]) -> list[Row]:
    """Those without ranks, then those with each training's."""
    rows = searches(options, benchmark, UNRANKED)
    for run in runs:
        rows += searches(options, benchmark, RANKED, run)
        mean = mean_of(rows, "final", setting=run.setting, training=run.seed, searcher="fade")
        print(f"{run.setting} {run.seed}: {100 * mean:.3f}", flush=True)
    return rows


def main(options: Options) -> None:
    benchmark, runs = read_benchmark(options.table), recorded_runs(options.studies)
    record = options.out / "searches.parquet"
    rows = (
        pq.read_table(record).to_pylist()
        if record.exists()
        else all_searches(options, benchmark, runs)
    )
    rho = {
        (r.setting, r.seed): agreement(benchmark, RankModel(weights=r.epochs[-1].weights))
        for r in runs
    }
    found = plain(summary(rows, runs, rho))
    options.out.mkdir(parents=True, exist_ok=True)
    write(rows, record)
    write_json(options.out / "summary.json", found)
    draw(rows, found, options.out)
    for name, value in found["final"]["without_ranks"].items():
        print(f"{name}: {100 * value:.3f}")
    for setting, one in found["final"]["settings"].items():
        print(
            f"{setting}: {100 * one['mean']:.3f}"
            f" ({100 * one['low']:.3f} to {100 * one['high']:.3f})"
        )
        for name, test in one["against"].items():
            difference, low, high = (100 * test[key] for key in ("difference", "low", "high"))
            numbers = f"{difference:+.3f} ({low:+.3f} to {high:+.3f})"
            print(
                f"  from {name}: {numbers}, p = {test['p']:.3f} ({test['corrected']:.3f}), "
                f"{test['above']} trainings above: {test['finding']}"
            )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
