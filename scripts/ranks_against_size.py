"""Are FaDE-ranks better than ordering by size? Both sides, from the recorded trainings of
NAS-Bench-Macro.

    python scripts/ranks_against_size.py --table nasbench_macro.parquet \\
        --studies docs/results/nasbench-macro docs/results/nasbench-macro-again \\
        --out docs/results/ranks-against-size

The unit is the training: all intervals are Student's t over trainings, two-sided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tyro
from scipy.stats import rankdata

from fade_ray.analysis.rank_measures import log_psis, regret, spearman
from fade_ray.analysis.resampling import t_interval
from fade_ray.ranks.rank_records import RankRun
from fade_ray.records.journal import plain
from fade_ray.records.json_form import from_json
from fade_ray.records.run_files import read_object
from fade_ray.run.folder import command_line, environment, write_json
from spaces.errors import require
from spaces.nasbench_macro import DEPTH, MacroTable, codes
from spaces.parquet import read_columns

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    table: Path
    """Parquet file of NAS-Bench-Macro."""
    studies: tuple[Path, ...] = (
        Path("docs/results/nasbench-macro"),
        Path("docs/results/nasbench-macro-again"),
    )
    """Directories of rank studies of its blocks."""
    setting: str = "marginal-late"
    out: Path = Path("docs/results/ranks-against-size")


def recorded_runs(studies: Sequence[Path], setting: str | None = None) -> list[RankRun]:
    """The trainings of several studies, by setting and seed; of one setting where it is named."""
    runs = [from_json(RankRun, run) for folder in studies for run in _ranks(folder)["runs"]]
    chosen = [run for run in runs if setting in (None, run.setting)]
    return sorted(chosen, key=lambda run: (run.setting, run.seed))


def _ranks(folder: Path) -> Mapping[str, Any]:
    """The ranks of a run directory; of a packed study those of the last epochs."""
    path = folder / "ranks.json"
    ranks: Mapping[str, Any] = read_object(path) or read_object(folder / "summary.json")["ranks"]
    return ranks


def without_training(table: Path) -> dict[str, Array]:
    """What is known of every architecture [6561] without any training: size, parameters and
    multiply-adds.
    """
    columns = read_columns(
        table, ["arch", "params", "flops"], "Give the table of NAS-Bench-Macro.", text=["arch"]
    )
    place = {str(code): i for i, code in enumerate(columns["arch"])}
    order = [place[code] for code in codes()]
    known = {name: np.asarray(columns[name], float)[order] for name in ("params", "flops")}
    return {"size": np.array([sum(map(int, code)) for code in codes()], float)} | known


def partial_spearman(x: Array, y: Array, given: Sequence[Array]) -> float:
    """Spearman's rho of x [n] and y [n] given other quantities [n] each: Pearson's r of what is
    left of their mid-ranks.

    "Left" once a least-squares line through the mid-ranks of all `given` is taken off; NaN where
    nothing is left of one.
    """
    ranks = [rankdata(side) for side in (x, y)]
    others = np.column_stack([np.ones(len(x)), *(rankdata(side) for side in given)])
    left = [side - others @ np.linalg.lstsq(others, side, rcond=None)[0] for side in ranks]
    if any(np.abs(rest).max() < 1e-6 for rest in left):  # of ranks that differ by 1/2 or more
        return float("nan")
    return float(np.corrcoef(left[0], left[1])[0, 1])


def top_overlap(predicted: Array, true: Array, share: float) -> float:
    """Which part of the true best `share` of all [n] is among the predicted best `share`; by chance
    it is `share`.

    Of predictions that tie at the border each counts with the probability of being among them.
    """
    require(0 < share <= 1, "0 < share <= 1", "Use 0.1 for the top decile.", share=share)
    predicted, true = np.asarray(predicted, float), np.asarray(true, float)
    k = max(1, round(share * len(true)))
    best = np.argsort(-true, kind="stable")[:k]
    border = np.sort(predicted)[-k]
    above, equal = predicted > border, predicted == border
    chosen = above + equal * ((k - above.sum()) / equal.sum())
    return float(chosen[best].sum() / k)


def measures(predicted: Array, true: Array, known: Mapping[str, Array]) -> dict[str, float]:
    """Of one order of all architectures.

    "among_best": Spearman's rho within the true best tenth; "best_found": the part of that tenth
    among the predicted best tenth, by chance 0.1; "regret": of the best-ranked one, in shares of 1.
    """
    best = np.argsort(-true, kind="stable")[: round(len(true) / 10)]
    return {
        "spearman": float(spearman(predicted, true)),
        "given_size": partial_spearman(predicted, true, [known["size"]]),
        "given_all": partial_spearman(predicted, true, list(known.values())),
        "among_best": float(spearman(predicted[best], true[best])),
        "best_found": top_overlap(predicted, true, 0.1),
        "regret": float(regret(predicted, true, 1)),
    }


def over_trainings(values: Sequence[float]) -> dict[str, float]:
    low, high = t_interval(values)
    return {"mean": float(np.mean(values)), "low": low, "high": high, "trainings": len(values)}


def summary(options: Options) -> dict[str, Any]:
    table = MacroTable.read(options.table)
    true, known = table.accuracies.mean(axis=-1).reshape(-1), without_training(options.table)
    choices = np.indices((3,) * DEPTH).reshape(DEPTH, -1).T
    runs = recorded_runs(options.studies, options.setting)
    each = [measures(log_psis(run.epochs[-1].weights, choices), true, known) for run in runs]
    baselines = {name: measures(values, true, known) for name, values in known.items()}
    means = {name: over_trainings([one[name] for one in each]) for name in each[0]}
    by_size = baselines["size"]
    differences = {
        name: over_trainings([one[name] - by_size[name] for one in each])
        for name in ("spearman", "among_best", "best_found", "regret")
    }
    return {
        "environment": environment(command_line()),
        "setting": options.setting,
        "trainings": [{"seed": run.seed, **one} for run, one in zip(runs, each, strict=True)],
        "over_trainings": means,
        "without_training": baselines,
        "minus_size": differences,
    }


def main(options: Options) -> None:
    found = plain(summary(options))
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "summary.json", found)
    for part in ("over_trainings", "minus_size"):
        for name, value in found[part].items():
            print(
                f"{part:15} {name:11} {value['mean']:+.4f}"
                f" ({value['low']:+.4f} to {value['high']:+.4f})"
            )
    for name, values in found["without_training"].items():
        print(
            f"by {name:12}",
            {key: None if value is None else round(value, 4) for key, value in values.items()},
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
