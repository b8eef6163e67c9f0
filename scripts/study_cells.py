"""Several runs of `fade-ray cells` as one study: small tables, a summary over seeds and a figure of
how the searches went.

    python scripts/study_cells.py --runs runs/a runs/b --out docs/results/nasbench201 \\
        [--table nasbench201.parquet]

Writes searches.parquet (one row per search), epochs.parquet (one per epoch, with all architecture
weights), summary.json (mean, standard deviation and number of seeds per recipe and learning rate,
beside random picks), searches.svg and .png, and the configuration and environment of each run.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tyro

from fade_ray.cells.cell_trials import trials_of
from fade_ray.cells.cells_run import CellsRun
from fade_ray.report import style
from fade_ray.run.folder import command_line, environment, write_json
from spaces.errors import InvalidInput
from spaces.nasbench201_table import Table

COLUMNS = (
    *("true_accuracy", "skip_share", "parameter_free_share", "none_weight", "entropy", "accuracy"),
    *("loss", "architecture_loss", "eigenvalue", "seconds", "stage", "search"),
)
TRUE = ("index", "c10_valid_200", "c10_test_200", "c100_test_200", "in16_test_200")
TITLES = {
    "skip_share": "Share of skip-connects",
    "parameter_free_share": "Share without parameters",
    "true_accuracy": "True test accuracy, %",
    "none_weight": "Mean weight of none",
    "eigenvalue": "Dominant eigenvalue of the Hessian",
}


@dataclass(frozen=True)
class Study:
    """Command line."""

    runs: tuple[Path, ...]
    """Run directories of `fade-ray cells`, finished or not."""
    out: Path = Path("docs/results/cells")
    panels: tuple[str, ...] = ("skip_share", "parameter_free_share")
    """What the figure shows over the epochs: names of epoch metrics."""
    table: Path | None = None
    """NAS-Bench-201 table, for random picks."""
    title: str = "Cell searches"


def read(runs: tuple[Path, ...]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Searches and epochs of all runs, as rows."""
    searches, epochs = [], []
    for folder in runs:
        run = CellsRun().read(folder)
        shared = {
            "run": folder.name,
            "learning_rate": run.config.train.optimiser.learning_rate,
            "optimizer": run.config.architecture.architecture_optimizer,
        }
        for trial in trials_of(run):
            row, plan = trial.row, trial.plan
            true = row.pop("true") or {}
            searches.append(shared | row | {name: true.get(name) for name in TRUE})
            named = {"id": plan.id, "method": plan.recipe, "space": plan.space, "seed": plan.seed}
            for epoch, metrics in sorted(trial.epochs.items()):
                weights = {
                    kind: [round(value, 5) for value in np.ravel(rows).tolist()]
                    for kind, rows in metrics["weights"].items()
                }
                told = {name: metrics.get(name) for name in COLUMNS}
                more = {"epoch": epoch, **told, "weights": json.dumps(weights)}
                epochs.append(shared | named | more)
    return searches, epochs


def spread(values: list[float]) -> dict[str, float] | None:
    """Mean, standard deviation over the n seeds, least and largest."""
    if not values:
        return None
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return {
        "mean": float(np.mean(values)),
        "std": deviation,
        "n": len(values),
        "min": min(values),
        "max": max(values),
    }


def summarise(searches: list[dict[str, Any]], table: Path | None) -> dict[str, Any]:
    """Per recipe, space and learning rate over the seeds."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in searches:
        if row["state"] == "done":
            groups.setdefault((row["method"], row["space"], row["learning_rate"]), []).append(row)
    names = (
        "skip_share",
        "parameter_free_share",
        "proxy_accuracy",
        "discrete_accuracy",
        "c10_valid_200",
        "c10_test_200",
        "device_seconds",
    )
    found = [
        {"method": method, "space": space, "learning_rate": rate}
        | {"genotypes": [row["genotype"] for row in rows], "seeds": [row["seed"] for row in rows]}
        | {name: spread([row[name] for row in rows if row[name] is not None]) for name in names}
        for (method, space, rate), rows in groups.items()
    ]
    picks = None
    if table is not None:
        read = Table.read(table)
        pick, best = read.random_pick("c10_test_200"), read.optimum("c10_test_200")
        picks = {
            "mean": pick.mean,
            "std": pick.std,
            "quantiles": {str(k): v for k, v in pick.quantiles.items()},
            "count": pick.count,
        }
        picks["optimum"] = {"index": best.index, "c10_test_200": best.to_dict()["c10_test_200"]}
    return {"groups": found, "random_picks": picks}


def draw(epochs: list[dict[str, Any]], panels: tuple[str, ...], title: str) -> style.Picture:
    """A panel per metric and learning rate; a line per recipe: mean over seeds, the band from least
    to largest.
    """
    rates = sorted({row["learning_rate"] for row in epochs})
    methods = list(dict.fromkeys(row["method"] for row in epochs if row["epoch"]))
    wide = len(rates) == 1  # the metrics side by side, else one row of panels each
    figure = style.new_figure(3.6 if wide else 2.5 * len(panels) + 0.6)
    grid = (1, len(panels)) if wide else (len(panels), len(rates))
    axes = figure.subplots(*grid, squeeze=False, sharex=True, sharey=False if wide else "row")
    for i, name in enumerate(panels):
        for j, rate in enumerate(rates):
            axis = axes[0][i] if wide else axes[i][j]
            for k, method in enumerate(methods):
                draw_method(
                    axis,
                    [r for r in epochs if (r["method"], r["learning_rate"]) == (method, rate)],
                    name,
                    method,
                    k,
                )
            if name.endswith("share"):
                axis.set_ylim(-0.03, 1.03)
            words = TITLES.get(name, name)
            axis.set_title(words if wide else f"weights' learning rate {rate:g}" if i == 0 else "")
            if not wide and j == 0:
                axis.set_ylabel(words.replace(" of ", "\nof ", 1))
            style.count_axis(axis, "epoch" if wide or i == len(panels) - 1 else "")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    alt = f"{', '.join(TITLES.get(p, p) for p in panels)} over the epochs for {', '.join(methods)}."
    return style.Picture(
        "searches", title, figure, alt, "Lines: means over seeds; bands: least to largest."
    )


def draw_method(axis: Any, rows: list[dict[str, Any]], name: str, method: str, number: int) -> None:
    """One recipe in one panel. An accuracy is drawn from epoch 1: before, the genotype is a tie."""
    by_epoch: dict[int, list[float]] = {}
    for row in rows:
        if row[name] is not None and (row["epoch"] or not name.endswith("accuracy")):
            by_epoch.setdefault(row["epoch"], []).append(row[name])
    x = sorted(by_epoch)
    if x:
        mean = [float(np.mean(by_epoch[epoch])) for epoch in x]
        colour = style.series(number)
        axis.plot(x, mean, color=colour, ls=style.LINES[number % len(style.LINES)], label=method)
        low, high = ([end(by_epoch[epoch]) for epoch in x] for end in (min, max))
        style.shade(axis, x, low, high, colour, alpha=0.13)


def main(study: Study) -> None:
    """Read, summarise, draw, write."""
    searches, epochs = read(study.runs)
    study.out.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(searches), study.out / "searches.parquet", compression="zstd"
    )
    pq.write_table(pa.Table.from_pylist(epochs), study.out / "epochs.parquet", compression="zstd")
    summary = summarise(searches, study.table)
    write_json(
        study.out / "summary.json",
        summary | {"command": command_line(), "environment": environment(command_line())},
    )
    for run in study.runs:
        folder = study.out / run.name
        folder.mkdir(exist_ok=True)
        for name in ("config.json", "environment.json"):
            shutil.copy(run / name, folder / name)
    with style.house_style():
        style.save(draw(epochs, study.panels, study.title), study.out)
    for group in summary["groups"]:
        parts = [f"{group['method']:22} {group['space']:12} lr {group['learning_rate']:<6g}"]
        for name in ("skip_share", "parameter_free_share", "c10_test_200", "proxy_accuracy"):
            if group[name] is not None:
                mean, std, n = (group[name][key] for key in ("mean", "std", "n"))
                parts.append(f"{name} {mean:.3f} +- {std:.3f} (n {n})")
        print(" | ".join(parts))


if __name__ == "__main__":
    try:
        main(tyro.cli(Study, description=__doc__))
    except InvalidInput as error:
        raise SystemExit(f"study_cells: {error}") from None
