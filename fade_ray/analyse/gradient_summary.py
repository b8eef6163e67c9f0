"""The records of a gradient study as arrays, and what they say in numbers and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fade_ray.analyse.gradient_config import Setting
from fade_ray.analyse.gradient_study import SITUATIONS
from fade_ray.cells.watch import parameter_free
from fade_ray.report.words import count, percent
from spaces.cell import NONE
from spaces.nasbench201 import OPS

Array = npt.NDArray[np.float64]

LEARNABLE = tuple(op for op in OPS if not parameter_free(op))
FREE = tuple(op for op in OPS if parameter_free(op) and op != NONE)
"""The operations without weights that let something through; dL/dp of `none` is 0."""

CAVEAT = (
    "A batch's correlation with itself is a squared norm, at least 0 by construction: that it lies "
    "above that of two batches shows that gradients of single batches are noisy, not that one way "
    "of searching is better. In a joint search too the weights that meet a batch were moved by the "
    "batch before, so that its own correlation is that with another batch of the same images."
)
BATCH_TEXT = {"held-out": "held-out batch", "other": "another batch", "same": "same batch"}


@dataclass(frozen=True)
class Measured:
    """Whole searches of a setting: S seeds, T epochs, P cells, N nodes, E edges, O operations."""

    setting: Setting
    seeds: tuple[int, ...]
    places: tuple[int, ...]
    weights: Array
    """[S, T + 1, E, O], from before the first step."""
    gradients: Array
    """dL/dp [S, T, P, E, O]."""
    correlations: Mapping[str, Array]
    """Situation -> [S, T + 1, P, N, 2], value and cosine."""
    shares: Array
    """[S, T + 1, 2]: skip-connects, operations free of parameters, of the genotype then."""

    @classmethod
    def of(
        cls, setting: Setting, searches: Mapping[int, Sequence[Mapping[str, Any]]]
    ) -> "Measured":
        """`searches`: seed -> what was measured after each epoch, from 0."""
        runs = list(searches.values())
        places = sorted(runs[0][1]["gradients"], key=int)
        shares = ("skip_share", "parameter_free_share")
        return cls(
            setting,
            tuple(searches),
            tuple(int(place) for place in places),
            np.array([[line["weights"] for line in run] for run in runs]),
            np.array([[[m["gradients"][p] for p in places] for m in run[1:]] for run in runs]),
            {
                name: np.array([[_nodes(line["correlation"][name]) for line in r] for r in runs])
                for name in SITUATIONS
            },
            np.array([[[line[name] for name in shares] for line in run] for run in runs]),
        )


def measured(
    searches: Mapping[tuple[Setting, int], Mapping[int, Mapping[str, Any]]], epochs: int
) -> list[Measured]:
    """By setting, from (setting, seed) -> epoch -> what was measured; of whole searches."""
    whole = {key: lines for key, lines in searches.items() if len(lines) == epochs + 1}
    groups: dict[Setting, dict[int, list[Mapping[str, Any]]]] = {}
    for (setting, seed), lines in sorted(whole.items(), key=lambda item: item[0][1]):
        groups.setdefault(setting, {})[seed] = [lines[epoch] for epoch in range(epochs + 1)]
    order = sorted(groups, key=lambda s: (s.learning_rate, s.relaxation, s.update))
    return [Measured.of(setting, groups[setting]) for setting in order]


def _nodes(by_place: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[list[list[float]]]:
    """[P, N, 2] in the order of places and nodes."""
    rows = [sorted(by_place[p].items(), key=lambda i: int(i[0])) for p in sorted(by_place, key=int)]
    return [[[both["value"], both["cosine"]] for _, both in row] for row in rows]


def numbers(group: Measured) -> dict[str, Array]:
    """Quantity -> one value per seed [S].

    correlation_*, cosine_*: of gradients, means over epochs after the start, cells and nodes.
    gap_early, gap_late: dL/dp of the learnable operations minus that of skip-connect and pool, mean
    over cells and edges in the first and the last third of the epochs; above 0 descent favours
    those without parameters. learnable_weight: share of the learnable operations in the weights of
    an edge at the end.
    """
    means = {
        name: values[:, 1:].mean(axis=(1, 2, 3)) for name, values in group.correlations.items()
    }
    agreement = {
        f"{kind}_{name}": mean[:, k]
        for name, mean in means.items()
        for k, kind in enumerate(("correlation", "cosine"))
    }
    learnable, free = ([OPS.index(op) for op in ops] for ops in (LEARNABLE, FREE))
    gap = group.gradients[..., learnable].mean(-1) - group.gradients[..., free].mean(-1)
    gap = gap.mean(axis=(2, 3))  # [S, T]
    third, last = max(1, gap.shape[1] // 3), group.weights[:, -1]
    return agreement | {
        "gap_early": gap[:, :third].mean(axis=1),
        "gap_late": gap[:, -third:].mean(axis=1),
        "learnable_weight": (last[..., learnable].sum(-1) / last.sum(-1)).mean(axis=1),
        "skip_share": group.shares[:, -1, 0],
        "parameter_free_share": group.shares[:, -1, 1],
    }


def spread(values: Array) -> dict[str, Any]:
    """Mean, standard deviation over seeds (None for one) and the values."""
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "std": std, "values": values.tolist()}


def summary(study: Sequence[Measured]) -> dict[str, Any]:
    """JSON-able: of every setting its seeds and its `numbers`, each with mean and spread."""
    settings = [
        {
            **vars(group.setting),
            "text": group.setting.text,
            "seeds": list(group.seeds),
            "places": list(group.places),
            "numbers": {name: spread(values) for name, values in numbers(group).items()},
        }
        for group in study
    ]
    return {"caveat": CAVEAT, "settings": settings}


def in_words(study: Sequence[Measured]) -> str:
    """The summary as lines for people."""
    lines: list[str] = []
    for group in study:
        lines += [f"{group.setting.text} ({count(len(group.seeds), 'seed')})"]
        lines += [f"  {head:30} {text}" for head, text in findings(group).items()] + [""]
    return "\n".join([*lines, CAVEAT])


def findings(group: Measured) -> dict[str, str]:
    """What a setting comes to: a head and a line of words."""
    known = {name: spread(values) for name, values in numbers(group).items()}

    def shown(name: str) -> str:
        std = known[name]["std"]
        return f"{known[name]['mean']:+.3g}" + ("" if std is None else f" ± {std:.2g}")

    def over(kind: str, names: Sequence[str]) -> str:
        return ", ".join(f"{BATCH_TEXT[name]} {shown(f'{kind}_{name}')}" for name in names)

    shares = ("parameter_free_share", "skip_share", "learnable_weight")
    free, skip, weight = (known[name]["mean"] for name in shares)
    thirds = f"first third {shown('gap_early')}, last third {shown('gap_late')}"
    others = [name for name in BATCH_TEXT if name != "same"]
    return {
        "gradient correlation (eq. 13)": over("correlation", list(BATCH_TEXT)),
        "cosine": over("cosine", others),
        "dL/dp, learnable minus not": f"{thirds}: {_favoured(known['gap_late'])}",
        "result": (
            f"{percent(free, 0)} of operations free of parameters ({percent(skip, 0)} "
            f"skip-connects); learnable ones hold {percent(weight, 1)} of the weights, "
            f"{percent(len(LEARNABLE) / len(OPS), 0)} at the start"
        ),
    }


def _favoured(gap: Mapping[str, Any]) -> str:
    if gap["std"] is not None and abs(gap["mean"]) <= gap["std"]:
        return "no more than the spread between seeds"
    favoured = "those without parameters" if gap["mean"] > 0 else "the learnable ones"
    return f"descent favours {favoured}"
