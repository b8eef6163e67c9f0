"""Figures of a study of gradient confusion: against depth, and the skip-connects of each depth."""

from collections.abc import Callable, Iterator, Sequence
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fade_ray.analyse.confusion_summary import Array, Network, final_of, widths
from fade_ray.report import style
from fade_ray.report.style import INK, Picture
from fade_ray.report.words import count, number


def pictures(study: Sequence[Network]) -> Iterator[Picture]:
    """Both figures; nothing where no search network is measured yet."""
    if widths(study):
        yield by_depth(study)
        yield skips(study)


def by_depth(study: Sequence[Network]) -> Picture:
    """Confusion per million parameters against depth, the final network as a line (C.7)."""
    figure = style.new_figure(3.8)
    axis = figure.subplots()
    _lines(axis, study, lambda network: network.means)
    final = final_of(study)
    if final is not None:
        label = f"{final.label} ({final.text()})"
        axis.axhline(final.mean, color=INK, lw=1.4, label=label)
        axis.axhspan(*final.interval, color=INK, alpha=0.1, lw=0)
    for index, line in enumerate(widths(study).values()):
        for network in (network for network in line if isfinite(network.interval.low)):
            ends, cells = network.interval, network.plan.cells
            axis.plot([cells, cells], ends, color=style.series(index), lw=1.0)
    highest = max(float(network.means.max()) for network in study)
    axis.set(ylabel="confusion per million parameters", ylim=(0, 1.15 * highest or None))
    style.legend_above(figure, axis, 3)
    first = study[0]
    caption = (
        f"Mean over trainings, each a dot; bars and band: 95 % interval over {_over(first)}. "
        f"m = {first.batches} batches of each measurement, {first.values['zeta'].shape[1]} "
        "measurements of each training. The axis is cut to what was measured."
    )
    alt = "; ".join(f"{network.label}: {network.text()}" for network in study)
    return Picture("confusion", "Gradient confusion against depth", figure, alt, caption)


def skips(study: Sequence[Network]) -> Picture:
    """Skip-connects of the genotypes against depth (StacNAS, Table 2)."""
    figure = style.new_figure(3.2)
    axis = figure.subplots()
    _lines(axis, study, lambda network: network.normal_skips)
    axis.set(ylabel="skip-connects in the normal cells", ylim=(-0.2, None))
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend_above(figure, axis, 3)
    searched = [network for line in widths(study).values() for network in line]
    shown = (f"{n.label}: {number(float(n.normal_skips.mean()), 1)}" for n in searched)
    caption = (
        "Of the genotypes that the search networks come to, the mean over trainings, each a dot; "
        f"{count(len(study[0].seeds), 'training')} of each depth."
    )
    title = "Skip-connects of the genotype against depth"
    return Picture("skips", title, figure, "; ".join(shown), caption)


def _lines(axis: Axes, study: Sequence[Network], of: Callable[[Network], Array]) -> None:
    """A line per width, a dot per training."""
    for index, (channels, line) in enumerate(widths(study).items()):
        colour = style.series(index)
        for network in line:
            values = of(network)
            axis.plot([network.plan.cells] * len(values), values, ".", color=colour, alpha=0.5)
        depths, means = [n.plan.cells for n in line], [float(of(n).mean()) for n in line]
        label = f"search network, {count(channels, 'channel')}"
        axis.plot(depths, means, **style.look(index, ms=5, label=label))
    style.count_axis(axis, "cells in the search network")


def _over(network: Network) -> str:
    return "trainings" if len(network.seeds) > 1 else "the measurements of the one training"
