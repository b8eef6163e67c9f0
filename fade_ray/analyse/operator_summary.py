"""The records of a study of operators as matrices, and what they say in numbers and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fade_ray.analyse.operator_config import OperatorStudy
from fade_ray.cells.search_setup import SearchSetup
from fade_ray.report.words import count, number
from fade_ray.training.operator_correlation import PUBLISHED, Edge, mean_matrix
from spaces.cell import SKIP, CellSpace
from spaces.darts import published
from spaces.groups import S1_CORRELATIONS, Groups, cluster

Array = npt.NDArray[np.float64]
Telling = tuple[Mapping[str, Any], Mapping[str, Any]]
"""What a trial told before its first step, and at its end."""

KINDS = {"first": "first edge of the first cell", "mean": "mean over all edges"}
"""The matrices that a study sums up by."""
SHORT = {"_pool": "", "_conv": "", "_connect": "", "_": " "}


def short(op: str) -> str:
    """ "sep 3x3" of sep_conv_3x3."""
    for part, instead in SHORT.items():
        op = op.replace(part, instead)
    return op


@dataclass(frozen=True)
class Measured:
    """The networks of a study, S seeds: [O, O] of every edge of each."""

    config: OperatorStudy
    ops: tuple[str, ...]
    seeds: tuple[int, ...]
    matrices: Mapping[Edge, Array]
    """(place of a cell, number of an edge) -> [S, O, O]; NaN for what is not known."""
    images: int
    """That were measured, of each network."""
    before: "Measured | None" = None
    """The same networks before their first step."""

    @classmethod
    def of(cls, config: OperatorStudy, ended: Mapping[int, Telling]) -> "Measured | None":
        """`ended`: by seed; None of none."""
        if not ended:
            return None
        seeds = tuple(sorted(ended))
        start, end = (_stacked([ended[seed][when] for seed in seeds]) for when in (0, 1))
        last = ended[seeds[0]][1]
        known, images = (config, tuple(last["ops"]), seeds), int(last["measured_images"])
        return cls(*known, end, images, cls(*known, start, images))

    @cached_property
    def setup(self) -> SearchSetup:
        """Of the trainings: cells, stages."""
        return self.config.search_config.setup(self.config.recipe, self.config.space)

    def cell(self, place: int) -> tuple[str, CellSpace]:
        """Kind and space of the cell at a place."""
        kind = self.setup.whole.layout[place].kind
        return kind, self.setup.whole.cells[kind]

    def by_seed(self, matrix: str) -> Array:
        """Of a kind of matrix [S, O, O]."""
        if matrix == "first":
            return self.matrices[PUBLISHED]
        return np.stack(
            [mean_matrix([each[k] for each in self.matrices.values()]) for k in self._numbers]
        )

    @property
    def _numbers(self) -> range:
        return range(len(self.seeds))

    def groups(self, matrix: str) -> Groups:
        """By the mean over the seeds."""
        return cluster(mean_matrix(self.by_seed(matrix)), self.ops, self.config.cut)

    def groups_by_seed(self, matrix: str) -> list[Groups]:
        """Of each network alone."""
        return [cluster(each, self.ops, self.config.cut) for each in self.by_seed(matrix)]

    @property
    def published(self) -> Groups | None:
        return published(self.config.space).groups

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Numbers of the operations of which a correlation is known somewhere."""
        known = np.any([np.isfinite(each).any(axis=0) for each in self.matrices.values()], axis=0)
        numbers = combinations(range(len(self.ops)), 2)
        return [(one, other) for one, other in numbers if known[one, other]]


def _stacked(tellings: Sequence[Mapping[str, Any]]) -> dict[Edge, Array]:
    """Edge -> [S, O, O] of what as many trials told."""
    names = {name: tuple(map(int, name.split("-"))) for name in tellings[0]["matrices"]}
    return {
        (place, edge): np.array([each["matrices"][name] for each in tellings], dtype=float)
        for name, (place, edge) in names.items()
    }


def agreement(ours: Groups, theirs: Groups) -> float:
    """Adjusted Rand index of two groupings of the same operations: 1 where they are equal, about 0
    of chance (Hubert and Arabie 1985).
    """
    from sklearn.metrics import adjusted_rand_score

    labels = [
        {op: number for number, group in enumerate(groups) for op in group}
        for groups in (ours, theirs)
    ]
    first, second = ([each[op] for op in sorted(labels[0])] for each in labels)
    return float(adjusted_rand_score(first, second))


@dataclass(frozen=True)
class Pair:
    """A pair of operations: its correlations [S] by the kind of matrix, those of the first edge
    `before` the first step, and the published one.
    """

    one: str
    other: str
    values: Mapping[str, Array]
    before: Array
    published: float | None

    @property
    def name(self) -> str:
        return f"{short(self.one)}, {short(self.other)}"

    def dissimilarity(self) -> float:
        """Least where they are most alike."""
        return -float(np.nan_to_num(self.values["first"].mean(), nan=-1.0))


def mean_text(values: Array) -> str:
    """Mean and standard deviation over the seeds [S]."""
    spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return number(float(values.mean()), 2, signed=True) + spread


def pairs(study: Measured) -> list[Pair]:
    """Every pair, the most alike first."""
    by_matrix = {matrix: study.by_seed(matrix) for matrix in KINDS}
    before = np.full_like(by_matrix["first"], np.nan)
    if study.before is not None:
        before = study.before.by_seed("first")
    found = [
        Pair(
            study.ops[one],
            study.ops[other],
            {matrix: values[:, one, other] for matrix, values in by_matrix.items()},
            before[:, one, other],
            S1_CORRELATIONS.get(frozenset((study.ops[one], study.ops[other]))),
        )
        for one, other in study.pairs
    ]
    return sorted(
        found, key=lambda pair: -float(np.nan_to_num(pair.values["first"].mean(), nan=-1))
    )


def as_words(groups: Groups) -> str:
    """ "max_pool_3x3 + avg_pool_3x3 | skip_connect"."""
    return " | ".join(" + ".join(group) for group in groups)


def compared(groups: Groups) -> Groups:
    """Without skip-connect, whose place is a rule here and by hand in the paper."""
    without = (tuple(op for op in group if op != SKIP) for group in groups)
    return tuple(sorted(tuple(sorted(group)) for group in without if group))


def findings(study: Measured) -> list[str]:
    """What the study comes to, a sentence each; the first of the matrix that was asked for."""
    chosen = study.config.matrix
    order = [chosen, *(matrix for matrix in KINDS if matrix != chosen)]
    sentences = [
        f"Groups by the {KINDS[matrix]} at a cut of {study.config.cut:g}: "
        f"{as_words(study.groups(matrix))}. {_beside(study, matrix)}"
        for matrix in order
    ]
    if study.before is not None:
        start = study.before
        sentences.append(
            f"Before the first step the {KINDS[chosen]} gives {as_words(start.groups(chosen))}, "
            f"which is no result of training. {_beside(start, chosen)}"
        )
    (stage,), networks = study.setup.stages, count(len(study.seeds), "network")
    size = f"{networks} of {stage.cells} cells and {stage.channels} channels"
    epochs, images = count(stage.epochs, "epoch"), f"{study.images:,} training images each"
    protocol = f"Measured in {size}, trained for {epochs}, on {images}."
    return [*sentences, protocol]


def _beside(study: Measured, matrix: str) -> str:
    theirs, groups = study.published, study.groups(matrix)
    if theirs is None:
        return "None are published for this space."
    same = (
        "The published ones" if compared(groups) == compared(theirs) else "Not the published ones"
    )
    several = study.groups_by_seed(matrix)
    equal = sum(compared(each) == compared(theirs) for each in several)
    index = number(agreement(compared(groups), compared(theirs)))
    return (
        f"{same} ({as_words(theirs)}; skip-connect aside, adjusted Rand index {index}); of single "
        f"networks {equal} of {len(several)} give these."
    )


def summary(study: Measured | None) -> dict[str, Any]:
    """JSON-able: per kind of matrix the correlations [O][O] with mean, standard deviation and the
    groups, of all and of each seed; None where nothing is known.
    """
    if study is None:
        return {"seeds": []}
    return {
        "space": study.config.space,
        "ops": list(study.ops),
        "seeds": list(study.seeds),
        "images": study.images,
        "cut": study.config.cut,
        "published": study.published,
        "matrices": {matrix: _summed(study, matrix) for matrix in KINDS},
        "before": {matrix: _summed(study.before, matrix) for matrix in KINDS if study.before},
        "findings": findings(study),
    }


def _summed(study: Measured, matrix: str) -> dict[str, Any]:
    values, theirs = study.by_seed(matrix), study.published
    groups, several = study.groups(matrix), study.groups_by_seed(matrix)
    rand = theirs and [agreement(compared(each), compared(theirs)) for each in (groups, *several)]
    return {
        "edge": KINDS[matrix],
        "mean": _known(mean_matrix(values)),
        "std": _known(values.std(axis=0, ddof=1)) if len(values) > 1 else None,
        "groups": groups,
        "groups_by_seed": several,
        "adjusted_rand": rand[0] if rand else None,
        "adjusted_rand_by_seed": rand[1:] if rand else None,
    }


def _known(matrix: Array) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in matrix]


def groups_file(study: Measured) -> dict[str, Any]:
    """groups.json, for `fade-ray cells --groups`."""
    config = study.config
    return {
        "groups": study.groups(config.matrix),
        "space": config.space,
        "matrix": KINDS[config.matrix],
        "cut": config.cut,
        "seeds": list(study.seeds),
        "images": study.images,
    }


def as_table(study: Measured) -> pa.Table:
    """A row per edge, seed and pair of operations."""
    rows = [
        {
            "seed": seed,
            "place": place,
            "kind": study.cell(place)[0],
            "edge": study.cell(place)[1].edge_names[edge],
            "one": study.ops[one],
            "other": study.ops[other],
            "correlation": float(matrix[one, other]),
        }
        for (place, edge), values in study.matrices.items()
        for seed, matrix in zip(study.seeds, values, strict=True)
        for one, other in study.pairs
    ]
    return pa.Table.from_pylist(rows)
