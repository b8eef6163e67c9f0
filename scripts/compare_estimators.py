"""Which architecture gradient ranks best at equal CPU time? The study behind the default of the
main job.

One hyper-architecture (4 rows x 5 graphs with 5, 6, 7, 8 and 10 operations) on a stratified part of
a data set. Truth: random architectures of the 625 in it, each trained alone. Every setting trains
the hyper-architecture with one thread until its CPU time is used up, with several seeds; at each
epoch the architecture weights are recorded, and Spearman's correlation of psi with the truth is
computed from them.

    python scripts/compare_estimators.py run --data digits --share
    python scripts/compare_estimators.py show --out docs/results/estimators-digits

`run` appends one line per finished training to records.jsonl and goes on where it was stopped.
`show` writes summary.json and a figure.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from scipy import stats

from fade_ray.data import Splits, load
from fade_ray.data.data_config import DataConfig
from fade_ray.nn import NetworkConfig
from fade_ray.run.folder import command_line, environment, write_json
from fade_ray.run.run_config import RunConfig
from fade_ray.search.chain_trial import ChainTrial
from fade_ray.search.search_config import RECIPES, Config, OuterConfig
from fade_ray.training import Adam, ArchitectureConfig, TrainConfig
from searchers import Trial
from spaces import HyperArchitecture, enumerate_dags

OPERATIONS = (5, 6, 7, 8, 10)
SETTINGS: dict[str, ArchitectureConfig] = {
    "paper": RECIPES["paper"].architecture,
    "exact": ArchitectureConfig(estimator="straight-through-exact", draw="weighted"),
    "exact, uniform": ArchitectureConfig(estimator="straight-through-exact", draw="uniform"),
    "score": ArchitectureConfig(estimator="score-function", draw="weighted"),
    "score, uniform": ArchitectureConfig(estimator="score-function", draw="uniform"),
}
"""The records hold "sampled" too: straight-through of the drawn candidate alone, which BatchNorm
behind the rows leaves without a gradient, and which `Config` refuses since.
"""


@dataclass(frozen=True)
class Run:
    """Train what has not been trained yet."""

    data: str = "digits"
    test_data: str | None = None
    limit: int | None = None
    image_side: int | None = None
    out: Path = Path("docs/results/estimators-digits")
    architectures: int = 30
    """Architectures that are trained alone."""
    truth_seeds: int = 3
    truth_epochs: int = 4
    seeds: int = 5
    cpu_seconds: float = 20.0
    """Of one training of the hyper-architecture."""
    norm: str = "row"
    share: bool = False
    kernel: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Show:
    """Summarise the records."""

    out: Path = Path("docs/results/estimators-digits")


def hyper_architecture() -> HyperArchitecture:
    """The same five graphs in every row: the middle one, in canonical order, of those with that
    many operations.
    """
    groups = [[dag for dag in enumerate_dags(5) if dag.operations == count] for count in OPERATIONS]
    return HyperArchitecture((tuple(group[len(group) // 2] for group in groups),) * 4)


def truth_choices(count: int) -> list[tuple[int, ...]]:
    """Random architectures of the 625, none twice."""
    rng = np.random.default_rng(2026)
    drawn = rng.choice(5**4, size=count, replace=False)
    return [tuple(int(i) for i in np.unravel_index(index, (5,) * 4)) for index in drawn]


def jobs(run: Run) -> Iterator[tuple[str, Trial, ArchitectureConfig]]:
    """Every training of the study with its name."""
    hyper = hyper_architecture()
    for choice in truth_choices(run.architectures):
        for seed in range(run.truth_seeds):
            one = hyper.architecture(choice)
            yield (
                f"truth {choice} {seed}",
                _proposal("evaluation", one, seed, run.truth_epochs),
                ArchitectureConfig(),
            )
    for seed in range(run.seeds):
        for name, setting in SETTINGS.items():
            # the penalty's time axis: the epochs that fit into the CPU time are not known before,
            # 20 is what was seen
            yield f"{name} {seed}", _proposal("ranks", hyper, 100 + seed, 20), setting


def _proposal(kind: Any, hyper: HyperArchitecture, seed: int, epochs: int) -> Trial:
    return Trial(kind, kind, hyper, seed, epochs)


def run_job(name: str, proposal: Trial, config: Config, splits: Splits, run: Run) -> dict[str, Any]:
    """Train one proposal; its record."""
    torch.set_num_threads(1)
    trial = ChainTrial(proposal, splits, config, Path())
    epochs: list[dict[str, Any]] = []
    start = time.process_time()
    while not _over(trial.training.epoch, proposal, time.process_time() - start, run):
        metrics = trial.run_epoch()
        kept = {key: metrics[key] for key in ("loss", "accuracy", "weights") if key in metrics}
        epochs.append({"cpu_seconds": time.process_time() - start, **kept})
    record: dict[str, Any] = {
        "job": name,
        "kind": proposal.kind,
        "code": proposal.hyper.code(),
        "epochs": epochs,
    }
    ending = trial.ending([])
    return record | {
        "accuracy": ending.outcome.score,
        "warnings": list(ending.warnings),
        **ending.metrics,
    }


def _over(epoch: int, proposal: Trial, seconds: float, run: Run) -> bool:
    return epoch >= proposal.epochs if proposal.scored else seconds >= run.cpu_seconds


def run_all(run: Run) -> None:
    """Every job without a record, one after the other."""
    run.out.mkdir(parents=True, exist_ok=True)
    records = run.out / "records.jsonl"
    done = {record["job"] for record in read(run.out)}
    splits = load(run.data, test_data=run.test_data, limit=run.limit, image_side=run.image_side)
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in asdict(run).items()
    }
    settings["data"] = Path(run.data).name  # where it lies on this machine says nothing
    settings["test_data"] = run.test_data and Path(run.test_data).name
    about = {**environment(command_line()), "images": len(splits.weights), "study": settings}
    write_json(
        run.out / "study.json",
        about | {"settings": {name: asdict(value) for name, value in SETTINGS.items()}},
    )
    for name, proposal, architecture in jobs(run):
        if name in done:
            continue
        config = Config(
            data=DataConfig(data=run.data),
            outer=OuterConfig(carry_weights=False),
            run=RunConfig(device="cpu"),
            network=NetworkConfig(
                norm=run.norm, kernel=run.kernel, final_channels=32, share=run.share
            ),  # type: ignore[arg-type]
            train=TrainConfig(
                batch_size=run.batch_size, optimiser=Adam(learning_rate=run.learning_rate)
            ),
            architecture=architecture,
        )
        record = run_job(name, proposal, config, splits, run)
        with records.open("a") as file:
            file.write(json.dumps(record) + "\n")
        measure = "accuracy" if record["kind"] == "evaluation" else "hyper_accuracy"
        print(f"{name}: {record[measure]:.3f}", flush=True)


def read(folder: Path) -> list[dict[str, Any]]:
    """All complete records."""
    path = folder / "records.jsonl"
    return (
        [json.loads(line) for line in path.read_text().splitlines() if line]
        if path.exists()
        else []
    )


def log_psi(weights: list[list[float]], choice: tuple[int, ...]) -> float:
    return math.fsum(math.log(max(row[k], 1e-38)) for row, k in zip(weights, choice, strict=True))


def reliability(records: list[dict[str, Any]]) -> float | None:
    """Of the truth's means over seeds, in [0, 1] (Spearman-Brown): its square root bounds any
    correlation with them. None for one seed.
    """
    by_architecture: dict[str, list[float]] = {}
    for record in records:
        if record["kind"] == "evaluation":
            by_architecture.setdefault(record["job"].rpartition(" ")[0], []).append(
                record["accuracy"]
            )
    table = np.array(list(by_architecture.values()))
    seeds = table.shape[1]
    if seeds == 1:
        return None
    between = np.corrcoef(table.T)
    mean = (between.sum() - seeds) / (seeds * (seeds - 1))
    return float(np.clip(seeds * mean / (1 + (seeds - 1) * mean), 0, 1))


def correlations(records: list[dict[str, Any]]) -> dict[str, list[list[tuple[float, float]]]]:
    """Per setting and seed: (CPU seconds, correlation with the truth) after each epoch."""
    truth: dict[tuple[int, ...], list[float]] = {}
    for record in records:
        if record["kind"] == "evaluation":
            choice = tuple(int(c) for c in record["job"].split("(")[1].split(")")[0].split(","))
            truth.setdefault(choice, []).append(record["accuracy"])
    choices = list(truth)
    means = [float(np.mean(truth[choice])) for choice in choices]
    curves: dict[str, list[list[tuple[float, float]]]] = {}
    for record in records:
        if record["kind"] == "ranks":
            curve = []
            for epoch in record["epochs"]:
                predicted = [log_psi(epoch["weights"], choice) for choice in choices]
                curve.append(
                    (epoch["cpu_seconds"], float(stats.spearmanr(predicted, means).statistic))
                )
            curves.setdefault(record["job"].rpartition(" ")[0], []).append(curve)
    return curves


def at(curve: list[tuple[float, float]], seconds: float) -> float:
    """The last value of a curve up to `seconds`; its first where the first epoch took longer."""
    return [value for time_, value in curve if time_ <= seconds * 1.02 or time_ == curve[0][0]][-1]


def show(folder: Path) -> None:
    """summary.json, a table on the terminal and curves.svg/.png."""
    records = read(folder)
    curves = correlations(records)
    budget = min(curve[-1][0] for runs in curves.values() for curve in runs)
    accuracies = [record["accuracy"] for record in records if record["kind"] == "evaluation"]
    summary: dict[str, Any] = {
        "truth": {
            "trainings": len(accuracies),
            "mean": float(np.mean(accuracies)),
            "min": min(accuracies),
            "max": max(accuracies),
            "reliability": reliability(records),
        },
        "cpu_seconds": budget,
        "settings": {},
    }
    print(f"reliability of the truth: {summary['truth']['reliability']}")
    print(
        f"truth: {len(accuracies)} accuracies from {min(accuracies):.3f} to {max(accuracies):.3f}"
    )
    for name, runs in sorted(curves.items()):
        row: dict[str, Any] = {}
        for share in (0.5, 1.0):
            values = [at(curve, share * budget) for curve in runs]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            row[f"{share:g}"] = {"mean": float(np.mean(values)), "std": spread, "values": values}
        summary["settings"][name] = row
        cells = "  ".join(f"{row[k]['mean']:+.2f} +- {row[k]['std'] or 0:.2f}" for k in row)
        print(f"{name:16} {cells}  (n={len(runs)}; after half and all of {budget:.0f} CPU seconds)")
    write_json(folder / "summary.json", summary)
    draw(curves, folder / "curves")


def draw(curves: dict[str, list[list[tuple[float, float]]]], path: Path) -> None:
    """One panel per setting, one line per seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(curves), 2.8), layout="constrained")
    axes = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axis, (name, runs) in zip(axes, curves.items(), strict=True):
        for curve in runs:
            axis.plot(*zip(*curve, strict=True), color="#0072b2", alpha=0.8)
        axis.axhline(0, color="0.5", linewidth=0.8)
        axis.set(title=name, xlabel="CPU time (s)", ylim=(-1, 1))
    axes[0].set_ylabel("Spearman correlation of psi")
    for suffix in (".svg", ".png"):
        figure.savefig(path.with_suffix(suffix), dpi=110)


if __name__ == "__main__":
    command = tyro.extras.subcommand_cli_from_dict({"run": Run, "show": Show})
    show(command.out) if isinstance(command, Show) else run_all(command)
