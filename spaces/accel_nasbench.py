"""Accel-NASBench: chains of 7 mobile blocks (Ahmad et al. 2024), 5,138 of which were trained."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from spaces.candidates import Candidate
from spaces.errors import InvalidInput, require
from spaces.feature_space import FeatureSpace, RowSpaces
from spaces.features import Feature
from spaces.parquet import read_columns

Floats = npt.NDArray[np.float64]

EXPANSIONS, KERNELS, LAYERS = (1, 4, 6), (3, 5), (1, 2, 3, 4)
MOST = (3, 3, 3, 3, 3, 4, 3)
"""Layers of each block at most."""
DEPTH = len(MOST)
CODE = re.compile(r"mbconv\.([146])-([35])-([1-4])-([01])")
COLUMNS = ("expansion", "kernel", "layers", "se")
"""Of each block, in the table as "block0_expansion"."""
PARAMETERS, MULTIPLY_ADDS = "parameters", "multiply-adds"
DEVICES: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "zcu102": ("latency_zcu102_ms", lambda latency: latency),
    "vck190": ("latency_vck190_ms", lambda latency: latency),
    **{
        device: (f"throughput_{device}", lambda images: 1000 / images)
        for device in ("a100", "3090", "tpuv2", "tpuv3")
    },
}
"""Column, and from it milliseconds per image: of one alone on FPGAs, else of many at once."""


@dataclass(frozen=True, order=True)
class MobileBlock(Candidate, kind="mbconv"):
    """Mobile inverted residuals, `layers` of them, with squeeze-and-excitation or without."""

    size_name: ClassVar = "the number of their parameters"
    layers: int
    expansion: int
    kernel: int
    squeezes: bool
    parameters: float = field(default=0.0, compare=False, repr=False)
    """At its place, in millions, but for a constant of each place."""

    def __post_init__(self) -> None:
        if CODE.fullmatch(self.code) is None:
            rule = f"expansion in {EXPANSIONS}, kernel in {KERNELS}, layers in {LAYERS}"
            require(False, rule, "Choose of these.", block=self.code)

    @property
    def code(self) -> str:
        return f"mbconv.{self.expansion}-{self.kernel}-{self.layers}-{int(self.squeezes)}"

    @classmethod
    def from_code(cls, code: str) -> Self:
        """InvalidInput for a code that is none."""
        digits = CODE.fullmatch(code)
        if digits is None:
            rule = "A block of Accel-NASBench has a code such as 'mbconv.6-5-3-1' (expansion, "
            raise InvalidInput(f"{rule}kernel, layers, squeeze-and-excitation), but got {code!r}.")
        expansion, kernel, layers, squeezes = map(int, digits.groups())
        return cls(layers, expansion, kernel, bool(squeezes))

    def edits(self) -> Mapping[str, tuple[Candidate, ...]]:
        choices: dict[str, tuple[Any, ...]] = {
            "expansion": EXPANSIONS,
            "kernel": KERNELS,
            "layers": LAYERS,
            "squeezes": (False, True),
        }
        return {
            name: tuple(replace(self, **{name: v}) for v in values if v != getattr(self, name))
            for name, values in choices.items()
        }

    @property
    def size(self) -> float:
        return self.parameters


BLOCKS = tuple(
    MobileBlock(layers, expansion, kernel, squeezes)
    for layers, expansion, kernel, squeezes in product(LAYERS, EXPANSIONS, KERNELS, (False, True))
)
"""All of them; those of a block with 3 layers at most come first."""
FEATURES = {
    "expansion": Feature(lambda block: EXPANSIONS.index(block.expansion), True, "expansion"),
    "kernel": Feature(lambda block: KERNELS.index(block.kernel), True, "size of the kernel"),
    "layers": Feature(lambda block: block.layers, True, "layers"),
    "squeezes": Feature(lambda block: block.squeezes, True, "squeeze-and-excitation"),
}


def blocks(row: int) -> tuple[MobileBlock, ...]:
    """What block `row`, from 0, may be."""
    return tuple(block for block in BLOCKS if block.layers <= MOST[row])


def space(parameters: Floats) -> RowSpaces:
    """A box for each block; `parameters` [DEPTH, blocks] are their sizes."""
    rows = (
        [replace(block, parameters=float(size)) for block, size in zip(known, sizes, strict=False)]
        for known, sizes in zip(map(blocks, range(DEPTH)), parameters, strict=True)
    )
    return RowSpaces(tuple(FeatureSpace.over(row, tuple(FEATURES), FEATURES) for row in rows))


@dataclass(frozen=True, eq=False)
class AccelTable:
    """What was trained on ImageNet, once each, by a short recipe."""

    choices: npt.NDArray[np.intp]
    """[N, DEPTH]: places in `BLOCKS`. 13 architectures stand twice."""
    accuracies: Floats
    """[N]: top 1, shares in [0, 1]."""
    parameters: Floats
    """[N], in millions."""
    costs: Mapping[str, Floats] = field(default_factory=dict)
    """Name -> [N]: PARAMETERS, MULTIPLY_ADDS, and by DEVICES milliseconds per image, NaN where
    they were not measured.
    """

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """From a Parquet file with `block0_expansion`, `_kernel`, `_layers`, `_se` to those of
        `block6`, `top1` (percent) and `params_m`. InvalidInput for another file, and rows that are
        malformed.
        """
        remedy = "Give the table of Accel-NASBench."
        names = [f"block{row}_{name}" for row in range(DEPTH) for name in COLUMNS]
        columns = read_columns(path, [*names, "top1", "params_m"], remedy)
        chosen = np.stack([columns[name] for name in names], axis=-1)  # [N, 4 DEPTH]
        choices = np.stack([_places(path, r, chosen[:, 4 * r : 4 * r + 4]) for r in range(DEPTH)])
        accuracies, parameters = columns["top1"] / 100, columns["params_m"]
        fits = bool(((accuracies >= 0) & (accuracies <= 1) & np.isfinite(parameters)).all())
        require(fits and len(accuracies) > 0, "0 <= top1 <= 100, params_m finite", remedy)
        return cls(choices.T, accuracies, parameters, _costs(path, parameters))


def _costs(path: str | Path, parameters: Floats) -> dict[str, Floats]:
    """What a table says beside the accuracies; a table need not."""
    import pyarrow.parquet as pq

    columns: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
        MULTIPLY_ADDS: ("macs_m", lambda millions: 1e6 * millions),
        **DEVICES,
    }
    known = set(pq.read_schema(path).names)
    held = {name: each for name, each in columns.items() if each[0] in known}
    wanted = [column for column, _ in held.values()]
    read = read_columns(path, wanted, "Give the table of Accel-NASBench.")
    told = {name: of(read[column]) for name, (column, of) in held.items()}
    return {PARAMETERS: 1e6 * parameters, **told}


def _places(path: str | Path, row: int, rows: Floats) -> npt.NDArray[np.intp]:
    """[N, 4] of COLUMNS -> [N]. InvalidInput."""
    known = {
        (block.expansion, block.kernel, block.layers, block.squeezes): place
        for place, block in enumerate(blocks(row))
    }
    odd = [each for each in map(tuple, rows.tolist()) if each not in known]
    if odd:
        rule = f"block{row} in {path} must have expansion {EXPANSIONS}, kernel {KERNELS}, layers 1 "
        raise InvalidInput(f"{rule}to {MOST[row]}, se 0 or 1, but one has {odd[0]}.")
    return np.array([known[each] for each in map(tuple, rows.tolist())], dtype=np.intp)
