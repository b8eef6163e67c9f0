"""NAS-Bench-Macro: 8 layers of one of three blocks, and 6,561 accuracies (Su et al. 2021)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from spaces.candidates import Candidate
from spaces.errors import InvalidInput, require
from spaces.feature_space import FeatureSpace
from spaces.features import Feature
from spaces.parquet import read_columns

STAGES = (2, 3, 3)
"""Layers per stage; the first of each doubles the channels and halves the map."""
DEPTH = sum(STAGES)
NAMES = ("identity", "MBConv, expansion 3, kernel 3", "MBConv, expansion 6, kernel 5")
SEEDS = 3
"""Trainings of each architecture in the table."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Block(Candidate, kind="block"):
    """One of the three blocks, 0 to 2 as in `NAMES`."""

    size_name: ClassVar = "the sizes of their blocks"
    number: int

    def __post_init__(self) -> None:
        rule, remedy = f"0 <= number < {len(NAMES)}", f"The blocks are {', '.join(NAMES)}."
        require(self.number in range(len(NAMES)), rule, remedy, number=self.number)

    @property
    def code(self) -> str:
        return f"block.{self.number}"

    @classmethod
    def from_code(cls, code: str) -> Self:
        """InvalidInput for a code that is none."""
        if code not in {f"block.{number}" for number in range(len(NAMES))}:
            rule = "A block of NAS-Bench-Macro has the code 'block.0', '.1' or '.2'"
            raise InvalidInput(f"{rule}, but got {code!r}.")
        return cls(int(code[-1]))

    def edits(self) -> Mapping[str, tuple[Candidate, ...]]:
        return {"swap": tuple(other for other in BLOCKS if other != self)}

    @property
    def size(self) -> float:
        return self.number


BLOCKS = tuple(Block(number) for number in range(len(NAMES)))

BLOCK_FEATURES = {"size": Feature(lambda block: block.number, True, "size of the block")}


def space() -> FeatureSpace:
    """The blocks on one axis from identity to the largest, one bin each."""
    return FeatureSpace.over(BLOCKS, tuple(BLOCK_FEATURES), BLOCK_FEATURES)


@dataclass(frozen=True, eq=False)
class MacroTable:
    """Test accuracies on CIFAR-10 of all architectures, shares in [0, 1]: `accuracies` [3, ..., 3
    (8 times), seed], by the block of each layer.

    The benchmark has no validation accuracies: let a search see one seed and score it on the mean
    of the others.
    """

    accuracies: Floats

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """From a Parquet file with the columns `arch` (8 digits from 0 to 2) and `test_acc_0..2`
        (percent). InvalidInput for another file, and for duplicate, missing, malformed rows.
        """
        needed = ["arch", *(f"test_acc_{seed}" for seed in range(SEEDS))]
        columns = read_columns(path, needed, "Give the table of NAS-Bench-Macro.", text=["arch"])
        codes = [str(code) for code in columns.pop("arch")]
        malformed = next((c for c in codes if len(c) != DEPTH or set(c) - set("012")), None)
        if malformed is not None:
            rule = f"`arch` in {path} must hold {DEPTH} digits from 0 to 2"
            raise InvalidInput(f"{rule}, but holds {malformed!r}.")
        if len(set(codes)) < len(codes):
            twice = next(code for code in codes if codes.count(code) > 1)
            rule = f"Each architecture must have one row, but {path} has {twice!r}"
            raise InvalidInput(f"{rule} more than once. Remove one.")
        whole = len(codes) == 3**DEPTH
        require(whole, f"{3**DEPTH} rows", "Give the whole table.", rows=len(codes))
        places = np.array([[int(digit) for digit in code] for code in codes])
        trainings = [np.asarray(column, float) for column in columns.values()]
        accuracies = np.full((*(3,) * DEPTH, SEEDS), np.nan)
        accuracies[tuple(places.T)] = np.stack(trainings, axis=1) / 100
        if not ((accuracies >= 0) & (accuracies <= 1)).all():
            rule = f"Accuracies in {path} must lie between 0 and 100 percent"
            raise InvalidInput(f"{rule}, but some do not.")
        accuracies.flags.writeable = False
        return cls(accuracies)


def codes() -> list[str]:
    """The 6,561 architectures as 8 digits, in the order of `accuracies.reshape(-1, 3)`."""
    return ["".join(digits) for digits in product("012", repeat=DEPTH)]
