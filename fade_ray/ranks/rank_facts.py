"""What the files of a rank study say: its results per setting in words and tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from fade_ray.analysis.resampling import shown, t_interval
from fade_ray.compare.comparison_page import interval, number
from fade_ray.compare.entered_facts import EnteredRun
from fade_ray.ranks.rank_course_figures import MOST_RESAMPLED, means, psis
from fade_ray.ranks.rank_courses import Correlation, Course, EqualComputation, by_setting, known
from fade_ray.ranks.rank_records import Alone, RankRun, truth_of
from fade_ray.report.words import count, duration, listed, percent, si
from fade_ray.search.search_facts import Row, read_object, share
from spaces.errors import InvalidInput
from spaces.hyper import HyperArchitecture

LISTED = 10
"""Architectures of a table that are listed, the best of it."""


@dataclass(frozen=True)
class RankFiles:
    """A directory of `fade-ray rank-study`. What is not there yet is empty.

    `alone`: with all their repeats; `waiting`: how many others have been trained alone, less often;
    `truth`: a key of TRUTHS.
    """

    run: EnteredRun
    hyper: HyperArchitecture | None
    runs: list[RankRun]
    alone: list[Alone]
    waiting: int
    summary: dict[str, Any]
    table: dict[str, Any]
    words: list[str]
    truth: str

    @property
    def equal(self) -> EqualComputation | None:
        """None before there is one, and in files of before multiply-adds were counted."""
        values = (self.table or self.summary).get("equal_computation")
        return EqualComputation.from_dict(values) if values else None

    @classmethod
    def read(cls, folder: Path) -> "RankFiles":
        """Read a directory. Raises InvalidInput: neither record nor ranks.json, or a file that does
        not hold what it should.
        """
        run, data = EnteredRun.read(folder), read_object(folder / "ranks.json")
        if not run.recorded and not data:
            raise InvalidInput(
                f"A rank study has records.jsonl or ranks.json, but {folder} has neither. Name the directory of a rank study."
            )
        try:
            runs = [RankRun.from_dict(one) for one in data.get("runs") or []]
            trained = [Alone.from_dict(one) for one in data.get("alone") or []]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"ranks.json of a rank study must be complete, but that of {folder} is not: {error}. Make it again from the record."
            ) from error
        repeats = max((len(one.accuracies) for one in trained), default=0)
        alone = [one for one in trained if len(one.accuracies) == repeats > 0]
        hyper = HyperArchitecture.from_code(data["hyper"]) if data.get("hyper") else None
        words = [str(sentence) for sentence in data.get("verdict") or []]
        parts = (data.get("summary") or {}, data.get("table") or {}, words, truth_of(data))
        return cls(
            run,
            hyper,
            [one for one in runs if one.epochs],
            alone,
            len(trained) - len(alone),
            *parts,
        )


@dataclass(frozen=True)
class Result:
    """A setting after its last epochs. `rho`: mean over seeds and its interval; `pooled`: rho of
    all seeds together; NaN where unknown.
    """

    rho: Correlation
    kendall: float
    regrets: tuple[float, ...]
    pooled: float


def results(files: RankFiles) -> list[Result]:
    """Per setting, as the study's summary, or its comparison with a table, has it; [] before there
    is one.
    """
    if files.table:
        return [_of_table(files.table, name) for name in files.table.get("pooled") or {}]
    return [_of_summary(one) for one in files.summary.get("settings") or []]


def _of_summary(one: Mapping[str, Any]) -> Result:
    mean, overall = one["mean"], one["overall"]["spearman"]
    values = (known(overall[name]) for name in ("value", "low", "high"))
    rho = Correlation(str(one["setting"]), len(one["seeds"]), *values)
    regrets = tuple(known(regret["value"]) for regret in mean["regrets"])
    return Result(
        rho, known(mean["kendall"]["value"]), regrets, known(one["pooled"]["spearman"]["value"])
    )


def _of_table(table: Mapping[str, Any], name: str) -> Result:
    # in order of epochs
    last = {line["seed"]: line for line in table["agreements"] if line["setting"] == name}
    values = [known(line["spearman"]) for line in last.values()]
    rho = Correlation(name, len(values), float(np.mean(values)), *t_interval(values))
    regrets = np.mean(
        [[known(value) for value in line["regrets"]] for line in last.values()], axis=0
    )
    kendall = float(np.mean([known(line["kendall"]) for line in last.values()]))
    return Result(rho, kendall, tuple(regrets.tolist()), known(table["pooled"][name]["spearman"]))


def regret_sizes(files: RankFiles) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The k of the regrets, and what as many architectures drawn at random lose."""
    source = next(iter((files.table.get("pooled") or {}).values()), files.summary)
    return tuple(source.get("ks") or ()), tuple(
        known(value) for value in source.get("chance_regrets") or ()
    )


def verdict(found: Sequence[Result]) -> str:
    """In one sentence: where the ranks were shown to agree with training alone."""
    if not found:
        return "Nothing can be correlated yet: it takes a trained hyper-architecture and three of its architectures trained alone."
    shown = [one for one in found if math.isfinite(one.rho.low) and one.rho.low > 0]
    if not shown:
        return "No agreement shown: in no setting does the 95 % interval of the correlation lie above 0."
    told = [f"{one.rho.setting} ({number(one.rho.value)})" for one in shown]
    rest = [one.rho.setting for one in found if one not in shown]
    others = f" Not shown for {listed(rest)}." if rest else ""
    return f"The ranks agree with training alone, better than chance, for {listed(told)}.{others}"


TRUTH_FACTS: dict[str, tuple[str, str]] = {
    "test": ("test images", "accuracies of training alone on them; no rank was learned on them"),
    "architecture": (
        "architecture split",
        "the ranks were learned on the same images: correlations and the noise ceiling are biased upwards",
    ),
    "table": ("table", "its published accuracies"),
}
"""By the keys of TRUTHS: what the ranks are held against, and a remark."""


def headline(files: RankFiles, found: Sequence[Result], bound: float) -> list[Row]:
    """(label, value, remark) of the figures that matter."""
    rows: list[Row] = []
    if found:
        first = found[0].rho
        ends = (
            "interval unknown"
            if not math.isfinite(first.low)
            else f"95 % interval {interval(first.low, first.high)}"
        )
        rows.append(
            (
                "Spearman's correlation",
                number(first.value),
                f"{first.setting}, mean over {count(first.seeds, 'seed')}, {ends}",
            )
        )
    if math.isfinite(bound):
        rows.append(
            ("noise ceiling", number(bound), "what a rank without any noise would reach on average")
        )
    settings = by_setting(files.runs)
    rows.append(
        (
            "trainings",
            str(len(files.runs)),
            f"of the hyper-architecture, in {count(len(settings), 'setting')}",
        )
    )
    repeats = len(files.alone[0].accuracies) if files.alone else 0
    where = f"in {files.table['name']}" if files.table else "trained alone"
    waiting = f"; {files.waiting} more wait for their repeats" if files.waiting else ""
    rows.append(
        (
            "architectures",
            f"{len(files.alone):,}",
            f"{where}, {count(repeats, 'time')} each{waiting}",
        )
    )
    rows.append(("truth", *TRUTH_FACTS[files.truth]))
    cost = files.run.history.cost
    if cost.seconds:
        rows.append(("training time", duration(cost.seconds), "summed over trials"))
    return rows


def result_table(found: Sequence[Result], equal: EqualComputation | None) -> list[Row]:
    """Per setting: seeds, rho, interval, rho at equal computation, of all seeds together, Kendall's
    tau, regrets.
    """
    at = {} if equal is None else {one.setting: one.value for one in equal.settings}
    return [
        (
            one.rho.setting,
            str(one.rho.seeds),
            number(one.rho.value),
            interval(one.rho.low, one.rho.high),
            number(at.get(one.rho.setting, math.nan)),
            number(one.pooled),
            number(one.kendall),
            *(number(100 * regret) for regret in one.regrets),
        )
        for one in found
    ]


def difference_table(files: RankFiles) -> list[Row]:
    """Per further setting: its rho minus that of the first, the interval, and what that shows."""
    rows: list[Row] = []
    for setting, estimate in (files.table or files.summary).get("differences") or []:
        value, low, high = (known(estimate[name]) for name in ("value", "low", "high"))
        rows.append(
            (
                str(setting),
                number(value, signed=True),
                interval(low, high, signed=True),
                shown(low, high),
            )
        )
    return rows


def run_table(runs: Sequence[RankRun], found: Mapping[str, Sequence[Course]]) -> list[Row]:
    """Per training of the hyper-architecture: setting, seed, epochs, multiply-adds, time, rho at
    the end, accuracy of the path of largest weights.
    """
    rhos = {(c.setting, c.seed): c.rho[-1] for group in found.values() for c in group}
    return [
        (
            run.setting,
            str(run.seed),
            str(run.epochs[-1].epoch),
            si(run.epochs[-1].multiply_adds),
            duration(run.epochs[-1].seconds),
            number(rhos.get((run.setting, run.seed), math.nan)),
            share(run.accuracy),
        )
        for run in runs
    ]


def alone_table(files: RankFiles) -> list[Row]:
    """Per architecture, the best first: mean, accuracies, predicted place in each setting, code. Of
    a table the best only.
    """
    if not files.alone:
        return []
    true = means(files.alone)
    groups = by_setting(files.runs)
    places = {
        name: rankdata(-psis(group, files.alone).mean(axis=0)) for name, group in groups.items()
    }
    order = np.argsort(-true, kind="stable")[
        : LISTED if len(files.alone) > MOST_RESAMPLED else None
    ]
    return [
        (
            " / ".join(str(candidate + 1) for candidate in files.alone[i].choice),
            percent(float(true[i]), 2),
            ", ".join(f"{100 * accuracy:.2f}" for accuracy in files.alone[i].accuracies),
            *(f"{place[i]:g}" for place in places.values()),
            "–" if files.hyper is None else files.hyper.architecture(files.alone[i].choice).code(),
        )
        for i in order.tolist()
    ]


def candidate_table(files: RankFiles) -> list[Row]:
    """Per row and candidate: its code, and mean and deviation over seeds of its weight in each
    setting.
    """
    if files.hyper is None:
        return []
    groups = by_setting(files.runs)
    return [
        (
            f"{row + 1}",
            f"{number_ + 1}",
            cell.code,
            *(_weight(group, row, number_) for group in groups.values()),
        )
        for row, cells in enumerate(files.hyper.distinct())
        for number_, cell in enumerate(cells)
    ]


def _weight(group: Sequence[RankRun], row: int, candidate: int) -> str:
    values = [run.epochs[-1].weights[row][candidate] for run in group]
    return f"{np.mean(values):.3f}" + (
        f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    )
