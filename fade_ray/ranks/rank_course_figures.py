"""Figures of the correlation of FaDE-ranks with training alone, over epochs and computation."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fade_ray.ranks.rank_correlation import Ceiling
from fade_ray.ranks.rank_courses import EqualComputation
from fade_ray.ranks.rank_records import TRUTHS, by_setting
from fade_ray.ranks.rank_summary import MOST_RESAMPLED, RankFindings
from fade_ray.report import style
from fade_ray.report.page import Drawing, figured
from fade_ray.report.style import LINES, MARKERS, MUTED, look, new_figure, series
from fade_ray.report.words import count, listed, short, si

NOT_TIME = (
    "Computation is that of all weight and architecture steps; the wall time of trials that share "
    "a machine would tell how busy the others keep it."
)


def rho_text(rho: float) -> str:
    return f"{rho:.2f}" if math.isfinite(rho) else "undefined"


@figured(
    "epochs",
    "Correlation over the epochs",
    "It takes a trained hyper-architecture and three architectures trained alone to correlate "
    "them.",
)
def over_epochs(findings: RankFindings) -> Drawing | None:
    """Spearman's rho over the epochs of each seed and their mean; a panel per setting."""
    groups, noise = findings.courses, findings.noise
    if not groups:
        return None
    figure = new_figure(0.6 + 2.6 * -(-len(groups) // 3))
    labels = ("epoch", "Spearman's correlation")
    axes = style.grid_axes(
        figure, len(groups), min(3, len(groups)), *labels, sharex=True, sharey=True
    )
    rhos = [rho for group in groups.values() for course in group for rho in course.rho]
    axes[0].set_ylim(min([0.0, *(rho for rho in rhos if rho < 0)]) - 0.06, 1.04)
    ends = []
    for index, (axis, (setting, group)) in enumerate(zip(axes, groups.items(), strict=True)):
        colour = series(index)
        for course in group:
            axis.plot(course.epochs, course.rho, color=colour, lw=0.9, alpha=0.6)
        epochs = sorted(set.intersection(*(set(course.epochs) for course in group)))
        each = [dict(zip(course.epochs, course.rho, strict=True)) for course in group]
        mean = np.mean([[rhos[epoch] for epoch in epochs] for rhos in each], axis=0)
        axis.plot(epochs, mean, color=colour, lw=2.8, marker=MARKERS[index % 8], ms=4)
        _ceiling(axis, noise, upright=False)
        axis.axhline(0, color=MUTED, lw=1.0, zorder=1)
        axis.set_title(f"{short(setting)} ({count(len(group), 'seed')})")
        style.count_axis(axis)
        last = f"{rho_text(float(mean[-1]))} after epoch {epochs[-1]}" if epochs else "unknown"
        ends.append(f"{setting} {last}")
    caption = (
        "Correlation of log psi with accuracy when trained alone after every epoch: thin lines are "
        "seeds, the thick line is their mean where all of them have ended the epoch. "
        f"{ceiling_words(noise)} {truth_words(findings)}"
    )
    return figure, f"Mean over seeds: {listed(ends)}.", caption


def _ceiling(axis: Axes, noise: Ceiling, upright: bool) -> None:
    """Shade what the noise of training alone keeps out of reach."""
    if math.isfinite(noise.bound):
        span, line = (axis.axvspan, axis.axvline) if upright else (axis.axhspan, axis.axhline)
        span(noise.bound, 1.04, color=MUTED, alpha=0.16, lw=0)
        line(noise.bound, color=MUTED, lw=1.2, ls=LINES[2])


def ceiling_words(noise: Ceiling, shaded: bool = True) -> str:
    """What the noise ceiling is, in words; `shaded`: where it is drawn."""
    if noise.repeats < 2:
        return "Architectures were trained alone once each, so the noise ceiling is unknown."
    if not math.isfinite(noise.bound):
        return (
            f"The {noise.repeats} repeats of training alone do not agree with each other "
            f"({rho_text(noise.between)}): there is no noise ceiling."
        )
    return (
        f"{'Shaded: above the noise ceiling. ' if shaded else ''}A rank without any noise would "
        f"reach {noise.bound:.2f} on average, the noise ceiling, since "
        f"{count(noise.repeats, 'repeat')} of training alone agree with each other by "
        f"{noise.between:.2f}."
    )


@figured(
    "computation",
    "Correlation at equal computation",
    "There is no computation yet that all hyper-architectures have reached, or their record does "
    "not tell their multiply-adds.",
)
def at_equal_computation(findings: RankFindings) -> Drawing | None:
    """Mean rho over the computation, and with its interval where all runs have come."""
    equal = None if findings.study is None else findings.study.equal_computation
    if equal is None or not equal.settings:
        return None
    names, noise = list(by_setting(findings.runs)), findings.noise
    spent = computation(equal)
    figure = new_figure(max(3.0, 1.2 + 0.4 * len(equal.settings)))
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1.0])
    _curves(left, equal)
    for height, one in enumerate(equal.settings):
        style.estimate(right, height, one.value, (one.low, one.high), names.index(one.setting))
        style.beside(right, height, f"{rho_text(one.value)}, {count(one.seeds, 'seed')}")
    for axis in (left, right):
        _ceiling(axis, noise, upright=axis is right)
    right.axvline(0, color=MUTED, lw=1.2, ls=LINES[1], zorder=1)
    ends = [(-0.1, one.low - 0.05, one.value - 0.1) for one in equal.settings]
    lowest = min(end for three in ends for end in three if math.isfinite(end))
    style.name_rows(right, [short(one.setting) for one in equal.settings])
    right.set(xlim=(lowest, 1.04), xlabel="Spearman's correlation", title=f"after {spent}")
    right.grid(axis="y", visible=False)
    style.legend_above(figure, left, 4)
    intervals = "bootstrap over architectures and seeds"
    if len(findings.alone) > MOST_RESAMPLED:
        intervals = "Student's t over the seeds; the architectures are all there are"
    caption = (
        f"Left: mean over the seeds after the last epoch that had ended; dashed: {spent}, the "
        f"computation that every run reached. Right: there, with 95 % intervals ({intervals}). "
        f"{NOT_TIME} {ceiling_words(noise)} {truth_words(findings)}{_missing(names, equal)}"
    )
    means = [f"{one.setting} {rho_text(one.value)}" for one in equal.settings]
    return figure, f"Mean Spearman's correlation after {spent}: {listed(means)}.", caption


def computation(equal: EqualComputation) -> str:
    """ "4.95 T multiply-adds"."""
    return f"{si(equal.multiply_adds)} multiply-adds"


def truth_words(findings: RankFindings) -> str:
    """Which accuracies the ranks are held against."""
    return f"Held against {TRUTHS[findings.truth]}."


def _curves(axis: Axes, equal: EqualComputation) -> None:
    """The mean of each setting over the computation, and a line where all are compared."""
    last = max(curve.multiply_adds[-1] for curve in equal.curves if curve.multiply_adds)
    power = min(5, int(math.log10(max(last, 1)) // 3))
    unit, prefix = 1000**power, " kMGTP"[power].strip()
    for index, curve in enumerate(equal.curves):
        places = np.asarray(curve.multiply_adds) / unit
        every = [*range(0, len(places), max(1, len(places) // 6)), *range(len(places))[-1:]]
        looks: dict[str, Any] = look(index, ms=4.5, markevery=every, label=short(curve.setting))
        axis.plot(places, curve.spearman, drawstyle="steps-post", **looks)
    axis.axvline(equal.multiply_adds / unit, color=MUTED, lw=1.2, ls=LINES[1])
    xlabel = f"computation ({prefix} multiply-adds)" if prefix else "computation (multiply-adds)"
    axis.set(xlabel=xlabel, ylabel="Spearman's correlation", xlim=(0, 1.02 * last / unit))
    axis.set_title("mean over the seeds")


def _missing(names: list[str], equal: EqualComputation) -> str:
    gaps = [curve.setting for curve in equal.curves if not all(map(math.isfinite, curve.spearman))]
    known = {one.setting for one in equal.settings}
    left = [setting for setting in names if setting not in known]
    undefined = "No curve while all candidates of a seed have equal weights"
    without = f" {undefined}: {listed(gaps)}." if gaps else ""
    return without + (f" Left out, since no epoch had ended: {listed(left)}." if left else "")
