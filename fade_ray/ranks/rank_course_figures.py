"""How the correlation of FaDE-ranks with training alone is drawn while the hyper-architectures are
trained: over epochs and over computation.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from fade_ray.analysis.rank_measures import log_psis
from fade_ray.compare.comparison_figures import short
from fade_ray.ranks.rank_correlation import Ceiling, ceiling
from fade_ray.ranks.rank_courses import Correlation, Course, EqualComputation
from fade_ray.ranks.rank_records import TRUTHS, Alone, RankRun
from fade_ray.report.style import (
    LINES,
    MARKERS,
    MUTED,
    Picture,
    count_axis,
    grid_axes,
    new_figure,
    series,
)
from fade_ray.report.words import count, listed, si

Array = npt.NDArray[np.float64]
MOST_RESAMPLED = 400
"""Architectures that are resampled; more are taken for all that there are."""


def means(alone: Sequence[Alone]) -> Array:
    """[n]: mean accuracy of training alone."""
    return np.asarray([np.mean(one.accuracies) for one in alone])


def psis(runs: Sequence[RankRun], alone: Sequence[Alone]) -> Array:
    """[run, n]: log psi of the architectures after the last epoch of each run."""
    choices = np.asarray([one.choice for one in alone], dtype=np.intp)
    return np.asarray([log_psis(run.epochs[-1].weights, choices) for run in runs])


def rho_text(rho: float) -> str:
    return f"{rho:.2f}" if math.isfinite(rho) else "undefined"


def over_epochs(
    found: Mapping[str, Sequence[Course]], alone: Sequence[Alone], truth: str
) -> Picture | None:
    """Spearman's rho over the epochs, a thin line per seed and their mean, below the noise ceiling;
    a panel per setting.
    """
    if not found:
        return None
    noise = ceiling(alone)
    figure = new_figure(0.6 + 2.6 * -(-len(found) // 3))
    axes = grid_axes(figure, len(found), min(3, len(found)), sharex=True, sharey=True)
    told = []
    lowest = min(
        [
            0.0,
            *(
                float(value)
                for group in found.values()
                for c in group
                for value in c.rho
                if value < 0
            ),
        ]
    )
    axes[0].set_ylim(lowest - 0.06, 1.04)
    for index, (axis, (setting, group)) in enumerate(zip(axes, found.items(), strict=True)):
        for number, course in enumerate(group):
            label = "one seed" if number == 0 else None
            axis.plot(
                course.epochs, course.rho, color=series(index), lw=0.9, alpha=0.6, label=label
            )
        epochs = sorted(set.intersection(*(set(course.epochs) for course in group)))
        mean = np.mean([[c.rho[c.epochs.index(epoch)] for epoch in epochs] for c in group], axis=0)
        axis.plot(
            epochs, mean, color=series(index), lw=2.8, marker=MARKERS[index % 8], ms=4, label="mean"
        )
        _ceiling(axis, noise, upright=False)
        axis.axhline(0, color=MUTED, lw=1.0, zorder=1)
        axis.set_title(f"{short(setting)} ({count(len(group), 'seed')})")
        count_axis(axis, "epoch" if index + 3 >= len(found) else "")
        if index % min(3, len(found)) == 0:
            axis.set_ylabel("Spearman's correlation")
        told.append(
            f"{setting} {rho_text(float(mean[-1]))} after epoch {epochs[-1]}"
            if epochs
            else f"{setting} unknown"
        )
    caption = (
        "Correlation of log psi with accuracy when trained alone after every epoch: thin lines are seeds, the thick line is their mean where all of "
        f"them have ended the epoch. {ceiling_words(noise)} {truth_words(truth)}"
    )
    return Picture(
        "epochs",
        "Correlation over the epochs",
        figure,
        f"Mean over seeds: {listed(told)}.",
        caption,
    )


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
        return f"The {noise.repeats} repeats of training alone do not agree with each other ({rho_text(noise.between)}): there is no noise ceiling."
    shade = "Shaded: above the noise ceiling. " if shaded else ""
    return (
        f"{shade}A rank without any noise would reach {noise.bound:.2f} on average, the noise ceiling, since {count(noise.repeats, 'repeat')} of "
        f"training alone agree with each other by {noise.between:.2f}."
    )


def at_equal_computation(
    equal: EqualComputation | None, alone: Sequence[Alone], truth: str, names: Sequence[str]
) -> Picture | None:
    """Mean rho over the computation per setting, and with its interval at the computation that all
    runs reached; `names`: of all settings.
    """
    if equal is None or not equal.settings:
        return None
    spent, noise = computation(equal.multiply_adds), ceiling(alone)
    figure = new_figure(max(3.0, 1.2 + 0.4 * len(equal.settings)))
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1.0])
    _curves(left, equal)
    for height, one in enumerate(equal.settings):
        _estimate(right, height, one, names.index(one.setting))
    for axis in (left, right):
        _ceiling(axis, noise, upright=axis is right)
    right.axvline(0, color=MUTED, lw=1.2, ls=LINES[1], zorder=1)
    lowest = min(
        value
        for one in equal.settings
        for value in (-0.1, one.low - 0.05, one.value - 0.1)
        if math.isfinite(value)
    )
    right.set(
        yticks=range(len(equal.settings)),
        yticklabels=[short(one.setting) for one in equal.settings],
    )
    right.set(
        ylim=(len(equal.settings) - 0.4, -0.6), xlim=(lowest, 1.04), xlabel="Spearman's correlation"
    )
    right.set_title(f"after {spent}")
    right.grid(axis="y", visible=False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    caption = (
        f"Left: mean over the seeds after the last epoch that had ended; dashed: {spent}, the computation that every run reached. "
        f"Right: there, with 95 % intervals ({interval_words(alone)}). {NOT_TIME} {ceiling_words(noise)} {truth_words(truth)}"
        f"{_undefined(equal)}{_left_out(names, equal)}"
    )
    told = [f"{one.setting} {rho_text(one.value)}" for one in equal.settings]
    alt = f"Mean Spearman's correlation after {spent}: {listed(told)}."
    return Picture("computation", "Correlation at equal computation", figure, alt, caption)


def computation(multiply_adds: int) -> str:
    """ "4.95 T multiply-adds"."""
    return f"{si(multiply_adds)} multiply-adds"


NOT_TIME = (
    "Computation is that of all weight and architecture steps; "
    "the wall time of trials that share a machine would tell how busy the others keep it."
)


def truth_words(truth: str) -> str:
    """Which accuracies the ranks are held against, see TRUTHS."""
    return f"Held against {TRUTHS[truth]}."


def _curves(axis: Axes, equal: EqualComputation) -> None:
    """The mean of each setting over the computation, and a line where all are compared."""
    last = max(curve.multiply_adds[-1] for curve in equal.curves if curve.multiply_adds)
    power = min(5, int(math.log10(max(last, 1)) // 3))
    unit, prefix = 1000**power, " kMGTP"[power].strip()
    for index, curve in enumerate(equal.curves):
        places = np.asarray(curve.multiply_adds) / unit
        style: dict[str, Any] = {
            "color": series(index),
            "ls": LINES[index % len(LINES)],
            "label": short(curve.setting),
        }
        every = [
            *range(0, len(places), max(1, len(places) // 6)),
            *([len(places) - 1] if len(places) else []),
        ]
        marks: dict[str, Any] = {"marker": MARKERS[index % 8], "ms": 4.5, "markevery": every}
        axis.plot(places, curve.spearman, drawstyle="steps-post", **style, **marks)
    axis.axvline(equal.multiply_adds / unit, color=MUTED, lw=1.2, ls=LINES[1])
    xlabel = f"computation ({prefix} multiply-adds)" if prefix else "computation (multiply-adds)"
    axis.set(xlabel=xlabel, ylabel="Spearman's correlation", xlim=(0, 1.02 * last / unit))
    axis.set_title("mean over the seeds")


def _estimate(axis: Axes, height: int, one: Correlation, index: int) -> None:
    if math.isfinite(one.low):
        axis.plot([one.low, one.high], [height, height], color=series(index), lw=2)
    axis.plot(one.value, height, MARKERS[index % 8], color=series(index), ms=8)
    place: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "xytext": (5, 0),
        "textcoords": "offset points",
    }
    said = f"{rho_text(one.value)}, {count(one.seeds, 'seed')}"
    axis.annotate(said, (1.0, height), va="center", fontsize=8.5, annotation_clip=False, **place)


def interval_words(alone: Sequence[Alone]) -> str:
    if len(alone) > MOST_RESAMPLED:
        return "Student's t over the seeds; the architectures are all there are"
    return "bootstrap over architectures and seeds"


def _undefined(equal: EqualComputation) -> str:
    gaps = [curve.setting for curve in equal.curves if not all(map(math.isfinite, curve.spearman))]
    return (
        f" No curve while all candidates of a seed have equal weights: {listed(gaps)}."
        if gaps
        else ""
    )


def _left_out(names: Sequence[str], equal: EqualComputation) -> str:
    missing = [
        setting for setting in names if setting not in {one.setting for one in equal.settings}
    ]
    return f" Left out, since no epoch had ended: {listed(missing)}." if missing else ""
