"""What a rank study comes to: numbers for its file, and words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fade_ray.analysis.rank_correlation import RankStudy, rank_against_table
from fade_ray.analysis.rank_measures import mean_correlation, spearman
from fade_ray.analysis.rank_records import Alone, RankRun, Rows
from spaces import Dag, HyperArchitecture
from spaces.nasbench_macro import Block, MacroTable

LOW = 0.5
"""Of the lower end of an interval of Spearman's correlation, under which ranks are called unreliable here."""
REPEATS_SEED = 0


def summary_of(runs: Sequence[RankRun], alone: Sequence[Alone]) -> dict[str, Any] | None:
    """`RankStudy` as JSON, over the architectures that have all their repeats; None where there is nothing to correlate yet."""
    repeats = max((len(one.accuracies) for one in alone), default=0)
    whole = [one for one in alone if len(one.accuracies) == repeats]
    if not runs or len(whole) < 3:
        return None
    return RankStudy.of(runs, whole, np.random.default_rng(REPEATS_SEED)).to_dict()


def table_of(runs: Sequence[RankRun], table: MacroTable) -> dict[str, Any]:
    """The ranks of every run after every epoch, and those of each setting's mean log weights at the end, against the whole table.

    {"name", "agreements": [{"setting", "seed", "epoch", "seconds", ...TableAgreement}], "pooled": {setting: TableAgreement}, "ceiling": mean Spearman
    between the table's own trainings}.
    """
    means = table.accuracies.mean(axis=-1)
    agreements = [
        {"setting": run.setting, "seed": run.seed, "epoch": epoch.epoch, "seconds": epoch.seconds}
        | rank_against_table(epoch.weights, means).to_dict()
        for run in runs
        for epoch in run.epochs
    ]
    names = list(dict.fromkeys(run.setting for run in runs))
    pooled = {name: _pooled([run for run in runs if run.setting == name]) for name in names}
    trainings = table.accuracies.reshape(-1, table.accuracies.shape[-1])
    return {
        "name": "NAS-Bench-Macro",
        "agreements": agreements,
        "pooled": {name: rank_against_table(rows, means).to_dict() for name, rows in pooled.items()},
        "ceiling": mean_correlation(trainings),
    }


def _pooled(runs: Sequence[RankRun]) -> Rows:
    """Normalised geometric means of the final weights of several trainings."""
    logs = [
        np.mean([np.log(np.maximum(run.epochs[-1].weights[i], 1e-38)) for run in runs], axis=0) for i in _rows(runs)
    ]
    return tuple(tuple(np.exp(row - np.logaddexp.reduce(row)).tolist()) for row in logs)


def _rows(runs: Sequence[RankRun]) -> range:
    return range(len(runs[0].epochs[-1].weights))


SIZES: dict[type, tuple[str, Callable[[Any], float]]] = {
    Dag: ("the number of their operations", lambda dag: dag.operations),
    Block: ("the sizes of their blocks", lambda block: block.number),
}
"""By the kind of cell: what a rank without any training goes by."""


def by_size(hyper: HyperArchitecture, alone: Sequence[Alone]) -> dict[str, Any] | None:
    """The baseline of a study, {"name", "spearman"}: of the sum of the cells' sizes with the mean accuracies; None where all sizes are equal."""
    name, size = SIZES[type(hyper.rows[0][0])]
    distinct = hyper.distinct()
    sizes = [sum(size(row[k]) for row, k in zip(distinct, one.choice, strict=True)) for one in alone]
    if len(set(sizes)) < 2:
        return None
    return {
        "name": name,
        "spearman": float(spearman(np.array(sizes), np.array([np.mean(o.accuracies) for o in alone]))),
    }


def in_words(found: Mapping[str, Any]) -> list[str]:
    """The sentences a study ends with, from what ranks.json holds."""
    sentences = _in_words(found)
    baseline = found.get("baseline")
    if baseline is not None:
        sentences.append(
            f"Ordering the architectures by {baseline['name']} alone, without any training, has a correlation of {baseline['spearman']:.3f}."
        )
    return sentences


def _in_words(found: Mapping[str, Any]) -> list[str]:
    if found["table"] is not None:
        return _table_in_words(found["table"])
    if found["summary"] is None:
        return [
            "Nothing can be correlated yet: the hyper-architecture and three of its architectures alone must be trained."
        ]
    summary = found["summary"]
    return [_setting_in_words(setting, summary["architectures"]) for setting in summary["settings"]] + [
        _ceiling_in_words(summary["ceiling"])
    ]


def _setting_in_words(setting: Mapping[str, Any], architectures: int) -> str:
    rho, seeds = setting["overall"]["spearman"], len(setting["seeds"])
    told = f"{setting['setting']}: Spearman's correlation of the ranks with {architectures} architectures trained alone, mean over {seeds} seeds: "
    if rho["low"] is None or rho["value"] is None:
        return told + "is undefined (all ranks or all accuracies are equal)."
    verdict = "the ranks say something" if rho["low"] > 0 else "not shown to differ from 0"
    verdict = "the ranks can be relied on" if rho["low"] >= LOW else verdict
    return told + f"{rho['value']:.2f} (95 % interval {rho['low']:.2f} to {rho['high']:.2f}): {verdict}."


def _ceiling_in_words(ceiling: Mapping[str, Any]) -> str:
    if ceiling["between"] is None:
        return "How noisy the truth is cannot be told: each architecture was trained alone once. Raise --repeats."
    return (
        f"Two trainings alone of the same architectures agree by {ceiling['between']:.2f}; the mean of all repeats bounds any correlation by "
        f"{ceiling['bound']:.2f}."
        if ceiling["bound"] is not None
        else f"Two trainings alone of the same architectures agree by {ceiling['between']:.2f}: the truth of this study is noise."
    )


def _table_in_words(table: Mapping[str, Any]) -> list[str]:
    last: dict[tuple[str, int], float | None] = {(a["setting"], a["seed"]): a["spearman"] for a in table["agreements"]}
    sentences = []
    for name in table["pooled"]:
        values = [rho for (setting, _), rho in last.items() if setting == name and rho is not None]
        if not values:
            sentences.append(f"{name}: no correlation is defined.")
            continue
        spread = f" +- {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        pooled = table["pooled"][name]["spearman"]
        sentences.append(
            f"{name}: Spearman's correlation of the FaDE-ranks with the {6561:,} published accuracies of {table['name']} is "
            f"{np.mean(values):.3f}{spread} ({len(values)} seeds: {', '.join(f'{v:.3f}' for v in values)}); of their pooled ranks "
            f"{pooled:.3f}. Two trainings in the table agree by {table['ceiling']:.3f}."
        )
    return sentences
