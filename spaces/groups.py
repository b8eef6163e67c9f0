"""Groups of operations that compute alike: by hand, or by how their outputs correlate (StacNAS)."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spaces.cell import NONE, SKIP
from spaces.errors import InvalidInput, require, require_known, upheld

Array = npt.NDArray[np.float64]
Groups = tuple[tuple[str, ...], ...]
"""Every operation of a space but `none` in exactly one group, whose representative stands first."""

S1_CORRELATIONS: dict[frozenset[str], float] = {
    frozenset((one, other)): value
    for one, row in {
        "max_pool_3x3": {"avg_pool_3x3": 0.52, "sep_conv_5x5": 0.02, "dil_conv_3x3": -0.13},
        "sep_conv_3x3": {"max_pool_3x3": 0.0, "avg_pool_3x3": -0.03, "sep_conv_5x5": 0.38},
        "sep_conv_5x5": {"avg_pool_3x3": -0.03, "dil_conv_3x3": 0.11, "dil_conv_5x5": 0.06},
        "dil_conv_3x3": {"avg_pool_3x3": 0.0, "sep_conv_3x3": 0.15, "dil_conv_5x5": 0.27},
        "dil_conv_5x5": {"max_pool_3x3": -0.08, "avg_pool_3x3": -0.04, "sep_conv_3x3": 0.08},
    }.items()
    for other, value in row.items()
}
"""The published correlations, in S1 (StacNAS of 2019, Table 5)."""
KERNEL = "3x3"
"""Representatives have the same kernel where they can (StacNAS, section 3.1)."""
_FORM = 'Write {"groups": [["max_pool_3x3", "avg_pool_3x3"], ["skip_connect"], ...]}.'


def check_groups(groups: Groups, ops: Iterable[str]) -> None:
    """InvalidInput unless `groups` hold each of `ops` but `none` exactly once."""
    wanted = [op for op in ops if op != NONE]
    held = [op for group in groups for op in group]
    remedy = "Name a member first that stands for the group."
    require(all(groups), "every group has a representative", remedy, groups=groups)
    for op in held:
        require(op != NONE, "`none` is in no group", "Leave it out: it is always there.", op=op)
        require_known("An operation of a group", op, wanted)
    twice = sorted({op for op in held if held.count(op) > 1})
    require(not twice, "groups do not overlap", "Name each operation once.", repeated=twice)
    missing = [op for op in wanted if op not in held]
    remedy = "Add them, as groups of their own if they are like no other."
    require(not missing, "groups hold every operation of the space", remedy, missing=missing)


def representatives(
    groups: Groups,
    how: Literal["same-kernel", "random"] = "same-kernel",
    generator: np.random.Generator | None = None,
) -> tuple[str, ...]:
    """One operation of each group: the first, or one drawn from `generator` (ablation of StacNAS).

    Raises InvalidInput for another `how`, and for a draw without a generator.
    """
    require_known("`how`", how, ("same-kernel", "random"))
    if how == "same-kernel":
        return tuple(group[0] for group in groups)
    if generator is None:
        raise InvalidInput("Random representatives are drawn from a generator. Give one.")
    return tuple(group[int(generator.integers(len(group)))] for group in groups)


def without_variance(correlation: Array, ops: Sequence[str]) -> tuple[str, ...]:
    """Those of `ops` of which no correlation is known: their rows of [O, O] are NaN."""
    return tuple(op for op, value in zip(ops, np.diag(correlation), strict=True) if value != value)


def cluster(correlation: Array, ops: Sequence[str], cut: float = 0.2) -> Groups:
    """Groups of `ops` by their `correlation` [O, O]: average linkage on the distance 1 -
    correlation, as long as two groups correlate by `cut` or more on average (algorithms C.3: the
    paper states no rule; this one gives its groups of S1).

    skip-connect is a group of its own, and so is an operation whose row is NaN, which had no
    variance (see `without_variance`). Members of kernel 3x3 stand first, else all is in the order
    of `ops`, none of which is `none`. Raises InvalidInput for another matrix or cut.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    require(-1 < cut < 1, "-1 < cut < 1", "Use 0.2.", cut=cut)
    shape, wanted = correlation.shape, (len(ops), len(ops))
    remedy = "Give a row per operation."
    require(shape == wanted, "correlation is [O, O]", remedy, shape=shape, ops=tuple(ops))
    like = np.allclose(correlation, correlation.T, atol=1e-8, equal_nan=True)
    require(bool(like), "correlation is symmetric", "Measure it anew.", correlation=correlation)
    alone = {SKIP, *without_variance(correlation, ops)}
    compared = [number for number, op in enumerate(ops) if op not in alone]
    labels = {op: -1 - number for number, op in enumerate(ops)}  # each on its own
    if len(compared) > 1:
        among = correlation[np.ix_(compared, compared)]
        distances = 1 - among[np.triu_indices(len(compared), 1)]
        found = fcluster(linkage(distances, "average"), 1 - cut, "distance")
        labels |= {ops[number]: int(label) for number, label in zip(compared, found, strict=True)}
    by_label: dict[int, list[str]] = {}
    for op in ops:
        by_label.setdefault(labels[op], []).append(op)
    return tuple(tuple(sorted(group, key=_other_kernel)) for group in by_label.values())


def _other_kernel(op: str) -> bool:
    return not op.endswith(KERNEL)


def load_groups(path: str | Path) -> Groups:
    """The groups in a JSON file: a list of lists of names, or an object with it as "groups", which
    `groups.json` of `fade-ray analyse operators` is. Raises InvalidInput for anything else.
    """
    with upheld(f"{path} must be a readable JSON file", _FORM, OSError, ValueError):
        held: Any = json.loads(Path(path).expanduser().read_bytes())
    groups = held.get("groups") if isinstance(held, dict) else held
    if not (isinstance(groups, list) and all(map(_names, groups))):
        raise InvalidInput(f"{path} must hold groups of names, but holds {held!r:.200}. {_FORM}")
    return tuple(tuple(group) for group in groups)


def _names(group: Any) -> bool:
    return isinstance(group, list) and all(isinstance(op, str) for op in group)
