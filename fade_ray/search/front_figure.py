"""What architectures cost beside what they reach, and the front of both."""

from typing import Any

from matplotlib.ticker import FuncFormatter, MaxNLocator

from fade_ray.report import style
from fade_ray.report.page import Drawing, figured
from fade_ray.report.style import legend_above, new_figure, series
from fade_ray.report.words import ACCURACY, Measure, count, listed, si
from fade_ray.search.search_history import History
from searchers.repeats import Pooled, chosen, front

COSTS = {
    "parameters": "parameters",
    "network_multiply_adds": "multiply-adds of one image",
    "latency_ms": "milliseconds per image",
}
"""What is drawn, by the name under which trials tell it."""


@figured(
    "front",
    "What architectures reach for what they cost",
    "No evaluation has told what its architecture costs.",
)
def cost_fronts(history: History, score: Measure = ACCURACY) -> Drawing | None:
    """Mean scores of the evaluated architectures over each of their costs, with the front of those
    that no other one of at most their cost beats.
    """
    evaluated = history.pooled
    known = {
        name: told
        for name in COSTS
        if (told := {each.hyper: of for each in evaluated if (of := _cost(history, each, name))})
    }
    if not known:
        return None
    figure, best, fronts = new_figure(3.6), chosen(evaluated), []
    axes = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
    for axis, (name, told) in zip(axes, known.items(), strict=True):
        held = [each for each in evaluated if each.hyper in told]
        along = front(held, told.__getitem__)
        fronts.append(f"{len(along)} by {COSTS[name]}")
        dots: Any = {"mec": style.PAPER, "mew": 0.6, "alpha": 0.85}
        xy = [(told[each.hyper], score.scale * each.score) for each in held]
        axis.plot(*zip(*xy, strict=True), "o", color=series(1), ms=6, label="architecture", **dots)
        xy = [(told[each.hyper], score.scale * each.score) for each in along]
        line: Any = {"color": series(0), "lw": 1.6, "ms": 4, "drawstyle": "steps-post"}
        axis.plot(*zip(*xy, strict=True), "s-", label="front", **line)
        if best is not None and best.hyper in told:
            ring: Any = {"ms": 10, "mfc": "none", "mec": style.INK, "mew": 1.2}
            axis.plot(told[best.hyper], score.scale * best.score, "o", label="chosen", **ring)
        axis.set_xlabel(COSTS[name])
        axis.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    axes[0].set_ylabel(score.axis("mean {} on the architecture split"))
    legend_above(figure, axes[0], 3)
    alt = f"Of {count(len(evaluated), 'architecture')}, on the front are {listed(fronts)}."
    caption = (
        f"{alt} No other one that costs no more has as high a mean score. Scores of one training "
        "each are noisy, so that a front of them is optimistic."
    )
    return figure, alt, caption


def _cost(history: History, each: Pooled, name: str) -> float | None:
    """The least that was told: latencies are measured beside other work."""
    told = (history.metrics[proposal.id].get(name) for proposal, _ in each.trainings)
    return min((cost for cost in told if cost is not None), default=None)
