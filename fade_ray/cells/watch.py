"""What to watch while cells are searched: the signs of the skip-connect collapse."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
from torch import Tensor

from fade_ray.cells.cell_recipes import Stage
from fade_ray.cells.discretise import Learned, Whole
from fade_ray.cells.search_setup import after
from fade_ray.training.edge_architecture import EdgeArchitecture
from spaces.cell import NONE, SKIP, CellSpace, Macro


def parameter_free(op: str) -> bool:
    """Whether an operation holds no weights at stride 1: none, skip-connect, pools."""
    return op in (NONE, SKIP) or "_pool_" in op


def learned(architecture: EdgeArchitecture) -> dict[str, Learned]:
    """The weights of every kind of cell as they are now, without noise."""
    parts = {}
    for kind, weights in architecture.expected().items():
        factors = None if weights.edges is None else _array(weights.edges)
        edge_logits, logits = (
            _array(values[kind]) for values in (architecture.edge_logits, architecture.logits)
        )
        parts[kind] = Learned(_array(weights.operations), factors, edge_logits, logits)
    return parts


def _array(values: Tensor) -> Any:
    return values.double().cpu().numpy()


def genotype_now(
    stages: Iterable[Stage],
    known: Mapping[str, Learned],
    searched: Macro,
    wholes: Mapping[str, Whole],
) -> Macro:
    """What `stages` would make of the weights as they are now. A stage that lets operations in is
    passed over: nothing was learned of these yet.
    """
    for stage in stages:
        smaller = after(stage, known, searched, wholes)
        searched = smaller if smaller <= searched else searched
    return searched


def share(genotype: Macro, *, skip: bool = False) -> float:
    """Of all kept edges the share that is free of parameters, or is a skip-connect."""
    ops = [gene.op for cell in genotype.cells.values() for gene in cell.genes]
    return sum(op == SKIP if skip else parameter_free(op) for op in ops) / max(1, len(ops))


def indicators(searched: Macro, known: Mapping[str, Learned], genotype: Macro) -> dict[str, Any]:
    """The watchdogs of one moment, of the weights and the `genotype` they now give.

    weights {kind: [E][O]}, factors {kind: [E]}, skip_share, parameter_free_share; none_weight (mean
    over edges, None where the space holds no `none`), entropy (mean over edges of the weights made
    to add up to 1, as a share of the uniform one's).
    """
    cells, factors = searched.cells, {kind: part.factors for kind, part in known.items()}
    nones = (
        part.weights[cells[kind].mask.any(axis=1), cells[kind].ops.index(NONE)]
        for kind, part in known.items()
        if NONE in cells[kind].ops
    )
    return {
        "weights": {kind: part.weights.tolist() for kind, part in known.items()},
        "factors": {kind: part.tolist() for kind, part in factors.items() if part is not None},
        "skip_share": share(genotype, skip=True),
        "parameter_free_share": share(genotype),
        "none_weight": _mean(nones),
        "entropy": _mean(_entropy(part, cells[kind]) for kind, part in known.items()),
    }


def _mean(parts: Iterable[Any]) -> float | None:
    arrays = [np.asarray(part) for part in parts]
    values = np.concatenate(arrays) if arrays else np.empty(0)
    return float(values.mean()) if values.size else None


def _entropy(part: Learned, cell: CellSpace) -> Any:
    choices = cell.mask.sum(axis=1)
    rows = part.weights[choices > 1]
    rows = rows / rows.sum(axis=1, keepdims=True).clip(1e-30)
    value = -(rows * np.log(rows.clip(1e-30))).sum(axis=1)
    return value / np.log(choices[choices > 1])


@dataclass(frozen=True)
class Drawn:
    """The exact share of some operations in genotypes drawn uniformly from a space: its mean, and
    what 95 % of them have at most.
    """

    mean: float
    most: float

    @classmethod
    def of(cls, space: Macro, *, skip: bool = False) -> "Drawn":
        """Of the operations that `share` counts."""
        ops = [op for cell in space.cells.values() for op in cell.ops]
        counts = space.tally({op for op in ops if (op == SKIP if skip else parameter_free(op))})
        edges, total = max(1, len(counts) - 1), sum(counts)
        mean = Fraction(sum(k * count for k, count in enumerate(counts)), total * edges)
        within = (k for k, sum_ in enumerate(accumulate(counts)) if 20 * sum_ >= 19 * total)
        return cls(float(mean), next(within) / edges)


def misgivings(genotype: Macro, space: Macro) -> list[str]:
    """What a user should know about a genotype before training it, in words: whether it holds more
    skip-connects, or operations free of parameters, than genotypes drawn from `space` do.
    """
    shares = {skip: share(genotype, skip=skip) for skip in (False, True)}
    drawn = {skip: Drawn.of(space, skip=skip) for skip in shares}
    if all(shares[skip] <= drawn[skip].most for skip in shares):
        return []
    told = [
        f"{shares[skip]:.0%} of its operations are {name} (of genotypes drawn at random from the "
        f"space {drawn[skip].mean:.0%} on average, and at most {drawn[skip].most:.0%} in 95 of 100)"
        for skip, name in ((False, "free of parameters"), (True, "skip-connects"))
    ]
    return [
        f"the result may have collapsed: {' and '.join(told)}; such networks train quickly and end "
        "worse. Lower the weight learning rate, or use another recipe."
    ]
