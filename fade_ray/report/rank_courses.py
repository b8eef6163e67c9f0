"""The correlation of FaDE-ranks with training alone while the hyper-architectures are trained: over epochs and over time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from fade_ray.analysis.rank_correlation import Ceiling, RankStudy, ceiling
from fade_ray.analysis.rank_measures import log_psis, spearman
from fade_ray.analysis.rank_records import Alone, RankRun
from fade_ray.analysis.resampling import t_interval
from fade_ray.report.comparison_figures import short
from fade_ray.report.style import LINES, MARKERS, MUTED, Picture, count_axis, grid_axes, new_figure, series
from fade_ray.report.words import count, duration, listed

Array = npt.NDArray[np.float64]
MOST_RESAMPLED = 400
"""Architectures that are resampled; more are taken for all that there are."""


class Correlation(NamedTuple):
    """Mean Spearman's rho of a setting and its 95 % interval; NaN where there is none."""

    setting: str
    seeds: int
    value: float
    low: float
    high: float


def by_setting(runs: Sequence[RankRun]) -> dict[str, list[RankRun]]:
    """The runs that have ended an epoch, by setting in the order in which they first appear."""
    groups: dict[str, list[RankRun]] = {}
    for run in runs:
        if run.epochs:
            groups.setdefault(run.setting, []).append(run)
    return groups


def means(alone: Sequence[Alone]) -> Array:
    """[n]: mean accuracy of training alone."""
    return np.asarray([np.mean(one.accuracies) for one in alone])


def psis(runs: Sequence[RankRun], alone: Sequence[Alone]) -> Array:
    """[run, n]: log psi of the architectures after the last epoch of each run."""
    choices = np.asarray([one.choice for one in alone], dtype=np.intp)
    return np.asarray([log_psis(run.epochs[-1].weights, choices) for run in runs])


def rho_text(rho: float) -> str:
    return f"{rho:.2f}" if math.isfinite(rho) else "undefined"


class Course(NamedTuple):
    """Spearman's rho of a run after each of its epochs [T]; NaN where all candidates have equal weights."""

    run: RankRun
    epochs: list[int]
    seconds: list[float]
    rho: Array


def courses(runs: Sequence[RankRun], alone: Sequence[Alone]) -> dict[str, list[Course]]:
    """By setting; {} where too few architectures were trained alone."""
    if len(alone) < 3:
        return {}
    true, choices = means(alone), np.asarray([one.choice for one in alone], dtype=np.intp)
    return {setting: [_course(run, choices, true) for run in group] for setting, group in by_setting(runs).items()}


def _course(run: RankRun, choices: npt.NDArray[np.intp], true: Array) -> Course:
    rho = [float(spearman(log_psis(epoch.weights, choices), true)) for epoch in run.epochs]
    return Course(run, [epoch.epoch for epoch in run.epochs], [epoch.seconds for epoch in run.epochs], np.asarray(rho))


def over_epochs(found: Mapping[str, Sequence[Course]], alone: Sequence[Alone]) -> Picture | None:
    """Spearman's rho over the epochs, a thin line per seed and their mean, below the noise ceiling; a panel per setting."""
    if not found:
        return None
    noise = ceiling(alone)
    figure = new_figure(0.6 + 2.6 * -(-len(found) // 3))
    axes = grid_axes(figure, len(found), min(3, len(found)), sharex=True, sharey=True)
    told = []
    lowest = min([0.0, *(float(value) for group in found.values() for c in group for value in c.rho if value < 0)])
    axes[0].set_ylim(lowest - 0.06, 1.04)
    for index, (axis, (setting, group)) in enumerate(zip(axes, found.items(), strict=True)):
        for number, course in enumerate(group):
            label = "one seed" if number == 0 else None
            axis.plot(course.epochs, course.rho, color=series(index), lw=0.9, alpha=0.6, label=label)
        epochs = sorted(set.intersection(*(set(course.epochs) for course in group)))
        mean = np.mean([[c.rho[c.epochs.index(epoch)] for epoch in epochs] for c in group], axis=0)
        axis.plot(epochs, mean, color=series(index), lw=2.8, marker=MARKERS[index % 8], ms=4, label="mean")
        _ceiling(axis, noise, upright=False)
        axis.axhline(0, color=MUTED, lw=1.0, zorder=1)
        axis.set_title(f"{short(setting)} ({count(len(group), 'seed')})")
        count_axis(axis, "epoch" if index + 3 >= len(found) else "")
        if index % min(3, len(found)) == 0:
            axis.set_ylabel("Spearman's correlation")
        told.append(
            f"{setting} {rho_text(float(mean[-1]))} after epoch {epochs[-1]}" if epochs else f"{setting} unknown"
        )
    caption = (
        "Correlation of log psi with accuracy when trained alone after every epoch: thin lines are seeds, the thick line is their mean where all of "
        f"them have ended the epoch. {ceiling_words(noise)}"
    )
    return Picture("epochs", "Correlation over the epochs", figure, f"Mean over seeds: {listed(told)}.", caption)


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


def equal_seconds(found: Mapping[str, Sequence[Course]]) -> float:
    """Training time that every run reached."""
    return min(course.seconds[-1] for group in found.values() for course in group)


def correlations_at(runs: Sequence[RankRun], alone: Sequence[Alone], seconds: float) -> list[Correlation]:
    """Per setting, rho after the last epochs that had ended then; a setting with a run that had ended none is left out.

    The interval is that of resampled architectures and seeds (`RankStudy.overall`); where the architectures are all there are, Student's t
    over the seeds.
    """
    cut = [replace(run, epochs=tuple(e for e in run.epochs if e.seconds <= seconds)) for run in runs if run.epochs]
    groups = {setting: [run for run in cut if run.setting == setting] for setting in by_setting(runs)}
    whole = {setting: group for setting, group in groups.items() if all(run.epochs for run in group)}
    if not whole:
        return []
    if len(alone) <= MOST_RESAMPLED:
        study = RankStudy.of([run for group in whole.values() for run in group], alone, np.random.default_rng(0))
        return [Correlation(s.setting, len(s.seeds), *vars(s.overall.spearman).values()) for s in study.settings]
    true, choices = means(alone), np.asarray([one.choice for one in alone], dtype=np.intp)
    rhos = {setting: [float(_course(run, choices, true).rho[-1]) for run in group] for setting, group in whole.items()}
    return [Correlation(setting, len(rho), float(np.mean(rho)), *t_interval(rho)) for setting, rho in rhos.items()]


def at_equal_time(
    found: Mapping[str, Sequence[Course]], estimates: Sequence[Correlation], alone: Sequence[Alone]
) -> Picture | None:
    """Mean rho over training time per setting, and with its interval at the time that all runs reached."""
    if not found or not estimates:
        return None
    seconds, noise = equal_seconds(found), ceiling(alone)
    figure = new_figure(max(3.0, 1.2 + 0.4 * len(estimates)))
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1.0])
    _time_curves(left, found, seconds)
    names = list(found)
    for height, one in enumerate(estimates):
        _estimate(right, height, one, names.index(one.setting))
    for axis in (left, right):
        _ceiling(axis, noise, upright=axis is right)
    right.axvline(0, color=MUTED, lw=1.2, ls=LINES[1], zorder=1)
    lowest = min(
        value for one in estimates for value in (-0.1, one.low - 0.05, one.value - 0.1) if math.isfinite(value)
    )
    right.set(yticks=range(len(estimates)), yticklabels=[short(one.setting) for one in estimates])
    right.set(ylim=(len(estimates) - 0.4, -0.6), xlim=(lowest, 1.04), xlabel="Spearman's correlation")
    right.set_title(f"after {duration(seconds)}")
    right.grid(axis="y", visible=False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    caption = (
        f"Left: mean over the seeds after the last epoch that had ended; dashed: {duration(seconds)}, the training time that every run reached. "
        f"Right: there, with 95 % intervals ({interval_words(alone)}). {ceiling_words(noise)}{_left_out(found, estimates)}"
    )
    told = [f"{one.setting} {rho_text(one.value)}" for one in estimates]
    alt = f"Mean Spearman's correlation after {duration(seconds)}: {listed(told)}."
    return Picture("time", "Correlation at equal training time", figure, alt, caption)


def _time_curves(axis: Axes, found: Mapping[str, Sequence[Course]], seconds: float) -> None:
    """The mean of each setting over training time, and a line at `seconds`."""
    last = max(course.seconds[-1] for group in found.values() for course in group)
    unit, text = (3600, "h") if last > 7200 else (60, "min") if last > 120 else (1, "s")
    for index, (setting, group) in enumerate(found.items()):
        times, mean = mean_over_time(group)
        style: dict[str, Any] = {"color": series(index), "ls": LINES[index % len(LINES)], "label": short(setting)}
        every = [*range(0, len(times), max(1, len(times) // 6)), *([len(times) - 1] if len(times) else [])]
        marks: dict[str, Any] = {"marker": MARKERS[index % 8], "ms": 4.5, "markevery": every}
        axis.plot(times / unit, mean, drawstyle="steps-post", **style, **marks)
    axis.axvline(seconds / unit, color=MUTED, lw=1.2, ls=LINES[1])
    axis.set(xlabel=f"training time ({text})", ylabel="Spearman's correlation", xlim=(0, 1.02 * last / unit))
    axis.set_title("mean over the seeds")


def mean_over_time(group: Sequence[Course]) -> tuple[Array, Array]:
    """Times [T] at which an epoch of any run ended, and mean rho of the last epochs ended by then; from when all have ended one to the first end."""
    first, last = max(c.seconds[0] for c in group), min(c.seconds[-1] for c in group)
    times = np.asarray(sorted({time for course in group for time in course.seconds if first <= time <= last}))
    ended = [np.searchsorted(course.seconds, times, side="right") - 1 for course in group]
    return times, np.mean([course.rho[places] for course, places in zip(group, ended, strict=True)], axis=0)


def _estimate(axis: Axes, height: int, one: Correlation, index: int) -> None:
    if math.isfinite(one.low):
        axis.plot([one.low, one.high], [height, height], color=series(index), lw=2)
    axis.plot(one.value, height, MARKERS[index % 8], color=series(index), ms=8)
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (5, 0), "textcoords": "offset points"}
    said = f"{rho_text(one.value)}, {count(one.seeds, 'seed')}"
    axis.annotate(said, (1.0, height), va="center", fontsize=8.5, annotation_clip=False, **place)


def interval_words(alone: Sequence[Alone]) -> str:
    if len(alone) > MOST_RESAMPLED:
        return "Student's t over the seeds; the architectures are all there are"
    return "bootstrap over architectures and seeds"


def _left_out(found: Mapping[str, Sequence[Course]], estimates: Sequence[Correlation]) -> str:
    missing = [setting for setting in found if setting not in {one.setting for one in estimates}]
    return f" Left out, since no epoch had ended: {listed(missing)}." if missing else ""
