"""Figures of any run of trials, drawn while it goes on: from trials and curves alone."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from fade_ray.records.standings import Epochs, TrialStanding, accuracy
from fade_ray.report.page import Drawing, figured
from fade_ray.report.style import (
    INK,
    MUTED,
    PAPER,
    SERIES,
    count_axis,
    legend_above,
    look,
    new_figure,
)
from fade_ray.report.words import Measure, count, number, short

NAMED = 8
"""Curves with a colour and a name: those of trials that run, then of the last ones to end."""
BEHIND = 40
"""Curves in grey behind them."""
AXES = 16
"""Settings beside each other."""

WORDS = 12
"""Names that have room on an axis; of more, some are shown."""
LEVEL = 5
"""Names of settings that have room beside each other."""

Value = float | str


@figured("best", "Best {score.name} so far", "No trial has ended with a score yet.")
def best_so_far(ended: Sequence[TrialStanding], score: Measure) -> Drawing | None:
    """Each score in the order in which the trials ended, and the best until then."""
    scored = [(trial.id, trial.score) for trial in ended if trial.score is not None]
    if not scored:
        return None
    x, scores = np.arange(1, len(scored) + 1), score.scale * np.array([s for _, s in scored])
    best, figure = np.maximum.accumulate(scores), new_figure(3.0)
    axis = figure.subplots()
    axis.plot(x, scores, ls="", marker="o", ms=4, color=MUTED, alpha=0.6, label="a trial")
    axis.step(x, best, where="post", color=SERIES[0], lw=2.2, label="the best until then")
    axis.set(ylabel=score.axis("{}"), xmargin=0.02)
    count_axis(axis, "trials that have ended with a score")
    legend_above(figure, axis)
    id = scored[int(scores.argmax())][0]
    told = f"The best of {count(len(scored), 'trial')} is {id} with {number(best[-1])}"
    caption = f"{told} {score.unit}".rstrip() + "."
    return figure, caption, caption


@figured("curves", "Loss and accuracy over the epochs", "No epoch has been told yet.")
def epoch_curves(curves: Mapping[str, Epochs], named: Sequence[str]) -> Drawing | None:
    """Of each trial; those `named` stand out, the last ones of all others are behind them."""
    others = [id for id in curves if id not in named][-BEHIND:]
    told = {"loss": lambda metrics: metrics.get("loss"), "accuracy (%)": _percent}
    lines = {
        name: {id: line for id in (*others, *named) if len(line := _line(curves, id, of))}
        for name, of in told.items()
    }
    shown = {name: drawn for name, drawn in lines.items() if drawn}
    if not shown:
        return None
    figure = new_figure(3.4)
    axes: Any = figure.subplots(1, len(shown), squeeze=False)[0]
    for axis, (name, drawn) in zip(axes, shown.items(), strict=True):
        for id, line in drawn.items():
            if id in named:
                dots = max(1, len(line) // 10)
                style_of = look(named.index(id), ms=4, markevery=dots, label=short(id))
            else:
                style_of = {"color": MUTED, "lw": 0.8, "alpha": 0.45}
            axis.plot(*line.T, **style_of)
        axis.set_ylabel(name)
        count_axis(axis, "epoch")
    if named:
        legend_above(figure, axes[0], 4)
    told_of = {id for drawn in shown.values() for id in drawn}
    behind = len(told_of - {*named})
    grey = f", {count(behind, 'other')} in grey" if behind else ""
    caption = (
        f"{count(len(told_of) - behind, 'trial')} by name{grey}. Accuracy is measured on test or "
        "held-out images where an epoch tells that, else on training images."
    )
    return figure, caption, caption


def _percent(metrics: Mapping[str, Any]) -> float | None:
    share = accuracy(metrics)
    return None if share is None else 100 * share


def _line(curves: Mapping[str, Epochs], id: str, of: Any) -> Any:
    """[epochs, 2]: numbers and values, where there are any."""
    values = ((epoch, of(metrics)) for epoch, metrics in sorted(curves.get(id, {}).items()))
    return np.array([pair for pair in values if pair[1] is not None], float)


class Tried(NamedTuple):
    """What was tried in a trial, by the names of its settings, and the score it came to."""

    id: str
    settings: Mapping[str, Value]
    score: float


@figured(
    "settings",
    "What was tried, and its {score.name}",
    "Fewer than two trials with different settings have ended with a score.",
)
def parallel_coordinates(tried: Sequence[Tried], score: Measure) -> Drawing | None:
    """A line per trial through its settings, those that differ, to its score."""
    names = [
        name for name in dict.fromkeys(n for t in tried for n in t.settings) if _vary(tried, name)
    ]
    left, names = names[AXES:], names[:AXES]
    if not names:
        return None
    columns = {name: [t.settings.get(name) for t in tried] for name in names}
    scores = [score.scale * t.score for t in tried]
    scales = {name: _Scale.of(values) for name, values in columns.items()}
    scales[score.axis("{}")] = last = _Scale.of(scores)
    places = [[scales[n].place(v) for v in columns[n]] for n in names]
    heights = np.array([*places, [last.place(s) for s in scores]])  # [axis, trial]
    order = np.argsort(scores, kind="stable")
    best, top = order[-1], set(order[-max(1, len(order) // 10) :])
    labels = {
        MUTED: "a trial",
        SERIES[0]: "of the best tenth",
        SERIES[1]: f"best: {tried[best].id}",
    }
    figure = new_figure(4.6)
    axis, x = figure.subplots(), np.arange(len(scales))
    for i in order:
        drawn = _BEST if i == best else _TOP if i in top else _GREY
        axis.plot(x, heights[:, i], **drawn, label=labels.pop(drawn["color"], ""))
    for place, scale in zip(x, scales.values(), strict=True):
        scale.draw(axis, float(place))
    axis.set(ylim=(-0.09, 1.09), xlim=(-0.35, len(x) - 0.65), yticks=[])
    axis.grid(visible=False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.tick_params(length=0)
    slanted: Any = {"rotation": 30, "ha": "right"} if len(x) > LEVEL else {}
    axis.set_xticks(x, list(scales), color=INK, **slanted)
    legend_above(figure, axis)
    caption = (
        f"{count(len(tried), 'trial')} that ended with a score, each a line through its settings; "
        f"the best is {tried[best].id}."
    )
    caption += f" {count(len(left), 'more setting')} left out." if left else ""
    return figure, caption, caption


_BOX: dict[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
_GREY: dict[str, Any] = {"color": MUTED, "alpha": 0.35, "lw": 0.9}
_TOP: dict[str, Any] = {"color": SERIES[0], "alpha": 0.8, "lw": 1.4}
_BEST: dict[str, Any] = {"color": SERIES[1], "lw": 2.4, "marker": "o", "ms": 4}


def _vary(tried: Sequence[Tried], name: str) -> bool:
    return len({t.settings.get(name) for t in tried}) > 1


class _Scale(NamedTuple):
    """An axis of numbers, from the lowest to the highest, or of words, evenly."""

    low: float
    high: float
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Sequence[Value | None]) -> "_Scale":
        if any(isinstance(value, str | None) for value in values):
            words = tuple(sorted({str(value) for value in values}))
            return cls(0, len(words) - 1, words)
        numbers = [float(value or 0) for value in values]
        return cls(min(numbers), max(numbers))

    def place(self, value: Value | None) -> float:
        """The height of a value in [0, 1]."""
        number = self.words.index(str(value)) if self.words else float(value or 0)
        return (number - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def draw(self, axis: Axes, x: float) -> None:
        axis.plot([x, x], [0, 1], color=MUTED, lw=0.8, zorder=0)
        text: dict[str, Any] = {"fontsize": 8, "color": INK, "ha": "center"}
        if self.words:
            for word in self.words[:: -(-len(self.words) // WORDS)]:
                axis.text(x, self.place(word), short(word), va="center", bbox=_BOX, **text)
        else:
            axis.text(x, 1.02, f"{self.high:.3g}", va="bottom", **text)
            axis.text(x, -0.02, f"{self.low:.3g}", va="top", **text)
