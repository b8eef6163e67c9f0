"""What a rank study comes to, in words: the sentences that it ends with."""

import math
from collections.abc import Iterator

import numpy as np

from fade_ray.analysis.resampling import shown
from fade_ray.ranks.rank_correlation import Ceiling, Estimate, Result
from fade_ray.ranks.rank_records import TRUTHS
from fade_ray.ranks.rank_summary import PairedEstimate, RankFindings, TableStudy
from fade_ray.report.words import count, listed, number

LOW = 0.5
"""Lower end of the interval from which on ranks are called reliable here."""
NOTHING = (
    "Nothing can be correlated yet: it takes a trained hyper-architecture and three of its "
    "architectures trained alone."
)


def in_words(findings: RankFindings) -> list[str]:
    """A sentence per setting and difference, then the noise, the truth and the baseline."""
    sentences, baseline = list(_in_words(findings)), findings.baseline
    if baseline is not None:
        sentences.append(
            f"Ordering the architectures by {baseline.name} alone, without any training, "
            f"has a correlation of {baseline.spearman:.3f}."
        )
    return sentences


def first_in_words(results: tuple[Result, ...]) -> str:
    """In one sentence: where the ranks were shown to agree with training alone."""
    if not results:
        return NOTHING
    agree = [one.rho for one in results if one.rho.low > 0]  # which NaN is not
    if not agree:
        where = "in no setting does the 95 % interval of the correlation lie above 0"
        return f"No agreement shown: {where}."
    names = [f"{rho.setting} ({number(rho.value)})" for rho in agree]
    rest = [one.rho.setting for one in results if one.rho not in agree]
    others = f" Not shown for {listed(rest)}." if rest else ""
    return f"The ranks agree with training alone, better than chance, for {listed(names)}.{others}"


def _in_words(findings: RankFindings) -> Iterator[str]:
    study = findings.study
    if study is None:
        yield NOTHING
        return
    if isinstance(study, TableStudy):
        yield from _table_in_words(study)
    else:
        yield from (_setting_in_words(one, study.architectures) for one in study.results)
    for name, estimate in study.differences:
        yield _difference_in_words(name, study.results[0].rho.setting, estimate)
    if not isinstance(study, TableStudy):
        yield _ceiling_in_words(study.ceiling)
        yield f"The ranks were held against {TRUTHS[findings.truth]}."


def _setting_in_words(one: Result, architectures: int) -> str:
    rho = one.rho
    about = (
        f"{rho.setting}: Spearman's correlation of the ranks with {architectures} architectures "
        f"trained alone, mean over {rho.seeds} seeds: "
    )
    if not (math.isfinite(rho.low) and math.isfinite(rho.value)):
        return about + "is undefined (all ranks or all accuracies are equal)."
    verdict = "the ranks say something" if rho.low > 0 else "not shown to differ from 0"
    verdict = "the ranks can be relied on" if rho.low >= LOW else verdict
    return f"{about}{rho.value:.2f} (95 % interval {rho.low:.2f} to {rho.high:.2f}): {verdict}."


def _difference_in_words(name: str, first: str, estimate: Estimate) -> str:
    """Those against a table are paired over the seeds that both settings have."""
    low, high, about = estimate.low, estimate.high, f"{name} against {first}: "
    if not math.isfinite(estimate.value):
        return about + "no difference in Spearman's correlation is defined."
    about += f"{estimate.value:+.2f} in Spearman's correlation"
    if not (math.isfinite(low) and math.isfinite(high)):
        return about + ", without an interval (it takes two seeds), so that no difference is shown."
    how = ""
    if isinstance(estimate, PairedEstimate):
        how = f", paired over {estimate.seeds} shared seeds, Student's t"
    return f"{about} (95 % interval {low:+.2f} to {high:+.2f}{how}): {shown(low, high)}."


def _ceiling_in_words(noise: Ceiling) -> str:
    if not math.isfinite(noise.between):
        return (
            "How noisy the truth is cannot be told: each architecture was trained alone once. "
            "Raise --repeats."
        )
    agree = f"Two trainings alone of the same architectures agree by {noise.between:.2f}"
    if not math.isfinite(noise.bound):
        return f"{agree}: the truth of this study is noise."
    return f"{agree}; the mean of all repeats bounds any correlation by {noise.bound:.2f}."


def _table_in_words(table: TableStudy) -> Iterator[str]:
    for name, pooled in table.pooled.items():
        rhos = (point.spearman for point in table.last(name))
        values = [rho for rho in rhos if math.isfinite(rho)]
        if not values:
            yield f"{name}: no correlation is defined."
            continue
        spread = f" +- {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        each = ", ".join(f"{value:.3f}" for value in values)
        yield (
            f"{name}: Spearman's correlation of the FaDE-ranks with the "
            f"{pooled.architectures:,} published accuracies of {table.name} is "
            f"{np.mean(values):.3f}{spread} ({count(len(values), 'seed')}: {each}); of their "
            f"pooled ranks {pooled.spearman:.3f}. "
            f"Two trainings in the table agree by {table.ceiling:.3f}."
        )
