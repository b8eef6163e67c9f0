"""What a study of gradient confusion measured, and what it says in numbers and words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fade_ray.analysis.rank_measures import spearman
from fade_ray.analysis.resampling import Interval, t_interval
from fade_ray.cells.confusion_plan import ConfusionPlan
from fade_ray.cells.confusion_trial import MILLION, PREFIXES
from fade_ray.cells.watch import Drawn
from fade_ray.report.words import DASH, count, interval, listed, number, percent, si
from spaces.darts import published

Array = npt.NDArray[np.float64]
REDUCES = "reduce"

CAVEAT = (
    "Confusion is the largest -<g_i, g_j> of two of m batches' gradients in the weights, floored "
    "at 0, a mean over the measurements of each training, per million parameters. It grows with m, "
    "and falls with the gradients as a network learns: only values of the same m, batch size and "
    "training are comparable. Raw: not floored. Cosine: the least of two batches, free of the "
    "gradients' scale. Network: cells x channels. Aux.: with the auxiliary head. Skips: "
    "skip-connects of the normal cells. 95 %: the interval of the mean over the trainings, or over "
    "the measurements of a single one."
)


@dataclass(frozen=True)
class Network:
    """A network with its trainings: S seeds, I measurements of each. `values`: zeta, raw, cosine,
    and those with the auxiliary head where there is one: name -> [S, I], zeta and raw per million
    parameters. `skips`: kind of cell -> skip-connects of the genotype [S]; `skip_share` of all its
    operations [S].
    """

    plan: ConfusionPlan
    """Of its first seed."""
    seeds: tuple[int, ...]
    parameters: int
    batches: int
    values: Mapping[str, Array]
    skips: Mapping[str, Array]
    skip_share: Array

    @property
    def label(self) -> str:
        """ "14 cells, 16 channels"."""
        size = f"{count(self.plan.cells, 'cell')}, {count(self.plan.channels, 'channel')}"
        return f"final: {size}" if self.plan.final else size

    @property
    def size(self) -> str:
        """ "14 x 16", "final 20 x 36"."""
        return f"{'final ' * self.plan.final}{self.plan.cells} x {self.plan.channels}"

    @cached_property
    def means(self) -> Array:
        """Confusion of each training [S]."""
        return np.asarray(self.values["zeta"].mean(axis=1), float)

    @property
    def mean(self) -> float:
        return float(self.means.mean())

    @property
    def interval(self) -> Interval:
        """95 % t interval of the mean: over trainings, over the measurements of a single one."""
        return t_interval(self.means if len(self.seeds) > 1 else self.values["zeta"][0])

    @property
    def interval_text(self) -> str:
        ends = [si(end) for end in self.interval if isfinite(end)]
        return " to ".join(ends) or DASH

    def text(self, name: str = "zeta") -> str:
        """Mean over trainings and measurements; a dash where there is none."""
        return si(float(self.values[name].mean())) if name in self.values else DASH

    @property
    def normal_skips(self) -> Array:
        """In the cells that do not reduce [S]."""
        kinds = [values for kind, values in self.skips.items() if kind != REDUCES]
        return np.asarray(sum(kinds), float)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "network": "final" if self.plan.final else "search",
            **{name: getattr(self.plan, name) for name in ("cells", "channels", "space", "recipe")},
            "stage": self.plan.stage,
            "parameters": self.parameters,
            "batches": self.batches,
            "seeds": list(self.seeds),
            "confusion": self.mean,
            "interval": list(self.interval),
            "interval_over": "trainings" if len(self.seeds) > 1 else "measurements",
            "per_training": [
                {"seed": seed, "confusion": float(mean), "interval": list(t_interval(values))}
                for seed, mean, values in zip(
                    self.seeds, self.means, self.values["zeta"], strict=True
                )
            ],
            "measured": {name: values.tolist() for name, values in self.values.items()},
            "skips": {kind: values.tolist() for kind, values in self.skips.items()},
            "skip_share": self.skip_share.tolist(),
        }


Trained = tuple[ConfusionPlan, Mapping[int, Mapping[str, Any]], Mapping[str, Any]]
"""A plan, its epochs, what was told at its end."""


def networks(trainings: Iterable[Trained]) -> list[Network]:
    """Those of trainings that have ended well, by channels and cells, the final one last."""
    groups: dict[tuple[bool, int, int], list[Trained]] = {}
    for each in sorted(trainings, key=lambda trained: trained[0].seed):
        plan = each[0]
        groups.setdefault((plan.final, plan.channels, plan.cells), []).append(each)
    return [_network(groups[key]) for key in sorted(groups)]


def _network(trainings: Sequence[Trained]) -> Network:
    plan, first, told = trainings[0]
    names = [name for name in first[max(first)] if name.endswith(("zeta", "raw", "cosine"))]
    values = {
        name: np.array(
            [[m[name] for m in epochs.values() if name in m] for _, epochs, _ in trainings]
        )
        for name in names
    }
    for name in names:
        prefix = PREFIXES[name.startswith(PREFIXES[True])]
        if not name.endswith("cosine"):
            sizes = [ending[f"{prefix}parameters"] for _, _, ending in trainings]
            values[name] = values[name] / (np.array(sizes)[:, None] / MILLION)
    skips = {
        kind: np.array([ending["skips"][kind] for _, _, ending in trainings], float)
        for kind in told["skips"]
    }
    seeds = tuple(trained[0].seed for trained in trainings)
    parameters = round(np.mean([ending["parameters"] for _, _, ending in trainings]))
    share = np.array([ending["skip_share"] for _, _, ending in trainings])
    return Network(plan, seeds, parameters, told["batches"], values, skips, share)


@dataclass(frozen=True)
class Trend:
    """Spearman's rank correlation of depth and some quantity, for each seed by itself; 0 where the
    quantity is the same at all depths.
    """

    per_seed: Array

    @classmethod
    def of(cls, line: Sequence[Network], quantity: Callable[[Network], Array]) -> "Trend | None":
        """Over networks of one width, on the seeds that all of them have; None for less than two
        depths or no seed.
        """
        seeds = set.intersection(*(set(network.seeds) for network in line))
        if len(line) < 2 or not seeds:
            return None
        kept = [[network.seeds.index(seed) for seed in sorted(seeds)] for network in line]
        values = np.stack([quantity(n)[k] for n, k in zip(line, kept, strict=True)], axis=1)
        depths = np.array([network.plan.cells for network in line], float)
        return cls(np.nan_to_num(spearman(depths, values)))

    @property
    def interval(self) -> Interval:
        """95 % t interval of the mean over seeds."""
        return t_interval(self.per_seed)

    @property
    def text(self) -> str:
        """What it shows, in words."""
        low, high = self.interval
        found = "grows" if low > 0 else "falls" if high < 0 else "not shown to grow or to fall"
        mean, seeds = number(float(self.per_seed.mean()), 2, True), len(self.per_seed)
        ends = interval(low, high, 2, True)
        return f"rank correlation with depth {mean} ({ends}; {count(seeds, 'seed')}): {found}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        mean = float(self.per_seed.mean())
        return {"per_seed": self.per_seed.tolist(), "mean": mean, "interval": list(self.interval)}


QUANTITIES: dict[str, Callable[[Network], Array]] = {
    "confusion": lambda network: network.means,
    "skip_share": lambda network: network.skip_share,
}
"""What may grow with depth."""


def final_of(study: Sequence[Network]) -> Network | None:
    return next((network for network in study if network.plan.final), None)


def widths(study: Sequence[Network]) -> dict[int, list[Network]]:
    """Channels -> the search networks of that width, by depth."""
    lines: dict[int, list[Network]] = {}
    for network in study:
        if not network.plan.final:
            lines.setdefault(network.plan.channels, []).append(network)
    return lines


def summary(study: Sequence[Network]) -> dict[str, Any]:
    """JSON-able."""
    trends = [
        {"channels": channels, "quantity": name, **trend.to_dict()}
        for channels, line in widths(study).items()
        for name, quantity in QUANTITIES.items()
        if (trend := Trend.of(line, quantity)) is not None
    ]
    networks = [network.to_dict() for network in study]
    return {"caveat": CAVEAT, "networks": networks, "against_depth": trends}


def as_table(study: Sequence[Network]) -> pa.Table:
    """A row per measurement."""
    return pa.Table.from_pylist(
        [
            {
                **{name: getattr(network.plan, name) for name in ("final", "cells", "channels")},
                "parameters": network.parameters,
                "batches": network.batches,
                "seed": seed,
                "measurement": k,
                **{name: float(values[row, k]) for name, values in network.values.items()},
            }
            for network in study
            for row, seed in enumerate(network.seeds)
            for k in range(network.values["zeta"].shape[1])
        ]
    )


def findings(study: Sequence[Network]) -> list[str]:
    """What the study shows, in sentences."""
    found, final = [], final_of(study)
    for channels, line in widths(study).items():
        at, depths = f"At {count(channels, 'channel')}", listed([str(n.plan.cells) for n in line])
        for name, quantity in QUANTITIES.items():
            trend = Trend.of(line, quantity)
            if trend is not None:
                means = ", ".join(si(float(quantity(n).mean())) for n in line)
                found.append(f"{at} {WORDS[name]} is {means} for {depths} cells; {trend.text}.")
        if final is not None:
            found.append(_nearest(line, final))
    if found:
        drawn = Drawn.of(published(study[0].plan.space).macro, skip=True)
        share, most = percent(drawn.mean, 0), percent(drawn.most, 0)
        found.append(
            f"Of genotypes drawn from the space {share} of the operations are skip-connects, and "
            f"at most {most} in 95 of 100."
        )
    return found


WORDS = {
    "confusion": "confusion per million parameters",
    "skip_share": "the share of skip-connects",
}


def _nearest(line: Sequence[Network], final: Network) -> str:
    if final.mean == 0:
        return (
            "In the final network no gradients of two batches opposed each other: no depth can be "
            "matched to a confusion of 0. Train longer."
        )
    chosen = min(line, key=lambda network: abs(network.mean - final.mean))
    inside = final.interval.low <= chosen.mean <= final.interval.high
    return (
        f"Of them {chosen.label} are nearest to the final network: {chosen.text()} beside "
        f"{final.text()} ({final.interval_text}), "
        f"{'within' if inside else 'outside'} its interval."
    )
