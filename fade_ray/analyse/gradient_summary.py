"""The records of a gradient study as arrays, and what they say in numbers and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fade_ray.analyse.gradient_config import Setting
from fade_ray.analyse.gradient_study import SITUATIONS
from fade_ray.cells.watch import parameter_free
from fade_ray.records.journal import read_events
from fade_ray.report.words import count, percent
from spaces.cell import NONE
from spaces.nasbench201 import OPS

Array = npt.NDArray[np.float64]

LEARNABLE = tuple(op for op in OPS if not parameter_free(op))
FREE = tuple(op for op in OPS if parameter_free(op) and op != NONE)
"""The operations without weights that let something through; dL/dp of `none` is 0."""

CAVEAT = (
    "A batch's correlation with itself is a squared norm, at least 0 by construction: that it lies above that of two batches shows that gradients of "
    "single batches are noisy, not that one way of searching is better. In a joint search too the weights that meet a batch were moved by the "
    "batch before, so that its own correlation is that with another batch of the same images."
)


@dataclass(frozen=True)
class Measured:
    """The whole searches of one setting: S seeds, T epochs, P places (cells), N nodes, E edges, O
    operations.
    """

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
    """[S, T + 1, 2] of the genotype that the weights then give: skip-connects, operations free of
    parameters.
    """


def read_study(folder: Path, epochs: int) -> list[Measured]:
    """What `folder`/records.jsonl holds, by setting; searches that are not whole yet, or failed,
    are left out.
    """
    searches: dict[tuple[Setting, int], dict[int, dict[str, Any]]] = {}
    for event in read_events(folder / "records.jsonl"):
        if event["event"] == "epoch":
            setting = Setting(event["learning_rate"], event["relaxation"], event["update"])
            searches.setdefault((setting, event["seed"]), {})[event["epoch"]] = event
    whole = {
        key: [found[t] for t in range(epochs + 1)]
        for key, found in searches.items()
        if len(found) == epochs + 1
    }
    settings = sorted(
        {setting for setting, _ in whole}, key=lambda s: (s.learning_rate, s.relaxation, s.update)
    )
    return [
        _measured(
            setting,
            {seed: lines for (s, seed), lines in sorted(whole.items(), key=_seed) if s == setting},
        )
        for setting in settings
    ]


def _seed(item: tuple[tuple[Setting, int], Any]) -> int:
    return item[0][1]


def _measured(setting: Setting, searches: Mapping[int, list[dict[str, Any]]]) -> Measured:
    lines = list(searches.values())
    places = sorted(int(place) for place in lines[0][1]["gradients"])
    return Measured(
        setting,
        tuple(searches),
        tuple(places),
        np.array([[line["weights"] for line in one] for one in lines]),
        np.array(
            [
                [[line["gradients"][str(place)] for place in places] for line in one[1:]]
                for one in lines
            ]
        ),
        {
            name: np.array([[_nodes(line["correlation"][name]) for line in one] for one in lines])
            for name in SITUATIONS
        },
        np.array(
            [[(line["skip_share"], line["parameter_free_share"]) for line in one] for one in lines]
        ),
    )


def _nodes(by_place: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[list[list[float]]]:
    """[P, N, 2] in the order of places and nodes."""
    rows = [
        sorted(by_place[place].items(), key=lambda item: int(item[0]))
        for place in sorted(by_place, key=int)
    ]
    return [[[one["value"], one["cosine"]] for _, one in row] for row in rows]


def numbers(measured: Measured) -> dict[str, Array]:
    """Quantity -> one value per seed [S].

    correlation_*, cosine_*: of gradients, means over epochs after the start, cells and nodes.
    gap_early, gap_late: dL/dp of the learnable operations minus that of skip-connect and pool, mean
    over cells and edges in the first and the last third of the epochs; above 0 descent favours
    those without parameters. learnable_weight: share of the learnable operations in the weights of
    an edge at the end.
    """
    found = {}
    for situation, values in measured.correlations.items():
        found[f"correlation_{situation}"], found[f"cosine_{situation}"] = (
            values[:, 1:].mean(axis=(1, 2, 3)).T
        )
    learnable = [OPS.index(op) for op in LEARNABLE]
    slopes = measured.gradients
    gap = (
        slopes[..., learnable].mean(-1) - slopes[..., [OPS.index(op) for op in FREE]].mean(-1)
    ).mean(axis=(2, 3))
    third = max(1, gap.shape[1] // 3)
    last = measured.weights[:, -1]
    return found | {
        "gap_early": gap[:, :third].mean(axis=1),
        "gap_late": gap[:, -third:].mean(axis=1),
        "learnable_weight": (last[..., learnable].sum(-1) / last.sum(-1)).mean(axis=1),
        "skip_share": measured.shares[:, -1, 0],
        "parameter_free_share": measured.shares[:, -1, 1],
    }


def spread(values: Array) -> dict[str, Any]:
    """Mean, standard deviation over seeds (None for one) and the values."""
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "std": std, "values": values.tolist()}


def summary(study: Sequence[Measured]) -> dict[str, Any]:
    """JSON-able: of every setting its seeds and its `numbers`, each with mean and spread."""
    settings = [
        {
            **vars(one.setting),
            "text": one.setting.text,
            "seeds": list(one.seeds),
            "places": list(one.places),
            "numbers": {name: spread(values) for name, values in numbers(one).items()},
        }
        for one in study
    ]
    return {"caveat": CAVEAT, "settings": settings}


def in_words(study: Sequence[Measured]) -> str:
    """The summary as lines for people."""
    lines: list[str] = []
    for one in study:
        found = {name: spread(values) for name, values in numbers(one).items()}
        lines += [
            f"{one.setting.text} ({count(len(one.seeds), 'seed')})",
            *_lines(found),
            "",
        ]
    return "\n".join([*lines, CAVEAT])


def _lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    def said(name: str) -> str:
        one = found[name]
        return f"{one['mean']:+.3g}" + ("" if one["std"] is None else f" ± {one['std']:.2g}")

    free, skip, weight = (
        found[name]["mean"] for name in ("parameter_free_share", "skip_share", "learnable_weight")
    )
    return [
        "  gradient correlation (eq. 13)  "
        + ", ".join(f"{text} {said(f'correlation_{name}')}" for name, text in BATCH_TEXT.items()),
        "  cosine                         "
        + ", ".join(
            f"{text} {said(f'cosine_{name}')}"
            for name, text in BATCH_TEXT.items()
            if name != "same"
        ),
        f"  dL/dp, learnable minus not     first third {said('gap_early')}, last third {said('gap_late')}: {_favoured(found['gap_late'])}",
        f"  result                         {percent(free, 0)} of operations free of parameters ({percent(skip, 0)} skip-connects); learnable ones "
        f"hold {percent(weight, 1)} of the weights, {percent(len(LEARNABLE) / len(OPS), 0)} at the start",
    ]


def _favoured(gap: Mapping[str, Any]) -> str:
    if gap["std"] is not None and abs(gap["mean"]) <= gap["std"]:
        return "no more than the spread between seeds"
    return (
        f"descent favours {'those without parameters' if gap['mean'] > 0 else 'the learnable ones'}"
    )


BATCH_TEXT = {"held-out": "held-out batch", "other": "another batch", "same": "same batch"}
