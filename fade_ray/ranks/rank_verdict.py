"""What a rank study comes to, in words: the sentences that it ends with, from what ranks.json
holds.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fade_ray.analysis.resampling import shown
from fade_ray.ranks.rank_records import TRUTHS, truth_of

LOW = 0.5
"""Of the lower end of an interval of Spearman's correlation, from which on ranks are called
reliable here.
"""


def in_words(found: Mapping[str, Any]) -> list[str]:
    """A sentence per setting, one per difference between settings, then the noise, the truth and
    the baseline.
    """
    sentences = _in_words(found)
    baseline = found.get("baseline")
    if baseline is not None:
        sentences.append(
            f"Ordering the architectures by {baseline['name']} alone, without any training, has a correlation of {baseline['spearman']:.3f}."
        )
    return sentences


def _in_words(found: Mapping[str, Any]) -> list[str]:
    if found["table"] is not None:
        return [*_table_in_words(found["table"]), *_differences_in_words(found["table"])]
    if found["summary"] is None:
        return [
            "Nothing can be correlated yet: the hyper-architecture and three of its architectures alone must be trained."
        ]
    summary = found["summary"]
    return [
        *(_setting_in_words(setting, summary["architectures"]) for setting in summary["settings"]),
        *_differences_in_words(summary),
        _ceiling_in_words(summary["ceiling"]),
        f"The ranks were held against {TRUTHS[truth_of(found)]}.",
    ]


def _setting_in_words(setting: Mapping[str, Any], architectures: int) -> str:
    rho, seeds = setting["overall"]["spearman"], len(setting["seeds"])
    told = f"{setting['setting']}: Spearman's correlation of the ranks with {architectures} architectures trained alone, mean over {seeds} seeds: "
    if rho["low"] is None or rho["value"] is None:
        return told + "is undefined (all ranks or all accuracies are equal)."
    verdict = "the ranks say something" if rho["low"] > 0 else "not shown to differ from 0"
    verdict = "the ranks can be relied on" if rho["low"] >= LOW else verdict
    return (
        told
        + f"{rho['value']:.2f} (95 % interval {rho['low']:.2f} to {rho['high']:.2f}): {verdict}."
    )


def _differences_in_words(part: Mapping[str, Any]) -> list[str]:
    """Of the summary or the table: each further setting against the first."""
    names = list(part.get("pooled") or [setting["setting"] for setting in part.get("settings", ())])
    return [
        _difference_in_words(name, names[0], estimate)
        for name, estimate in part.get("differences") or ()
    ]


def _difference_in_words(name: str, first: str, estimate: Mapping[str, Any]) -> str:
    """`seeds` stands in the differences of a table alone: those are paired over the seeds that both
    settings have.
    """
    value, low, high, seeds = (estimate.get(key) for key in ("value", "low", "high", "seeds"))
    told = f"{name} against {first}: "
    if value is None:
        return told + "no difference in Spearman's correlation is defined."
    told += f"{value:+.2f} in Spearman's correlation"
    if low is None or high is None:
        return told + ", without an interval (it takes two seeds), so that no difference is shown."
    how = "" if seeds is None else f", paired over {seeds} shared seeds, Student's t"
    return told + f" (95 % interval {low:+.2f} to {high:+.2f}{how}): {shown(low, high)}."


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
    last: dict[tuple[str, int], float | None] = {
        (a["setting"], a["seed"]): a["spearman"] for a in table["agreements"]
    }
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
