"""The cells of NAS-Bench-201 as candidates of a row, with features to walk along."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Self

from spaces.candidates import Candidate
from spaces.errors import InvalidInput
from spaces.feature_space import FeatureSpace
from spaces.features import Feature
from spaces.nasbench201 import EDGES, OPS, check_numbers


@dataclass(frozen=True)
class BenchCell(Candidate, kind="nb201"):
    """A cell of NAS-Bench-201: `numbers` as in `nasbench201.numbers`, of each edge's operation."""

    size_name: ClassVar = "the weights of their convolutions"
    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        check_numbers(self.numbers)

    @property
    def code(self) -> str:
        return "nb201." + "".join(map(str, self.numbers))

    @classmethod
    def from_code(cls, code: str) -> Self:
        """InvalidInput for a code that is none."""
        digits = code.removeprefix("nb201.")
        if not (digits.isascii() and digits.isdecimal()):
            rule = "A cell of NAS-Bench-201 has a code such as 'nb201.421034'"
            raise InvalidInput(f"{rule}, but got {code!r}.")
        return cls(tuple(int(digit) for digit in digits))

    def edits(self) -> Mapping[str, tuple[Candidate, ...]]:
        now, all = self.numbers, range(len(OPS))
        swaps = [(edge, new) for edge, old in enumerate(now) for new in all if new != old]
        return {"swap": tuple(BenchCell((*now[:e], new, *now[e + 1 :])) for e, new in swaps)}

    @property
    def size(self) -> float:
        """In squared channels: 9 per 3x3 convolution, 1 per 1x1; orders as parameters do."""
        ops = [OPS[number] for number in self.numbers]
        return 9 * ops.count("nor_conv_3x3") + ops.count("nor_conv_1x1")


def _count(op: str) -> Callable[[BenchCell], float]:
    number = OPS.index(op)
    return lambda cell: cell.numbers.count(number)


def _depth(cell: BenchCell) -> float:
    """Convolutions on the longest way from input to output; 0 where no way carries anything."""
    longest: list[int | None] = [0, None, None, None]
    for (source, target), number in sorted(zip(EDGES, cell.numbers, strict=True)):
        before = longest[source]
        if OPS[number] != "none" and before is not None:
            length = before + OPS[number].startswith("nor_conv")
            longest[target] = max(length, longest[target] or 0)
    return longest[3] or 0


CELL_FEATURES = {
    "conv_3x3": Feature(_count("nor_conv_3x3"), True, "3x3 convolutions"),
    "conv_1x1": Feature(_count("nor_conv_1x1"), True, "1x1 convolutions"),
    "depth": Feature(_depth, True, "convolutions on the longest way"),
    "skips": Feature(_count("skip_connect"), True, "skip-connects"),
    "nones": Feature(_count("none"), True, "edges that carry nothing"),
}


def space(features: tuple[str, ...] = ("conv_3x3", "conv_1x1", "depth")) -> FeatureSpace:
    """All 15,625 cells on the axes `features`, among `CELL_FEATURES`."""
    cells = [BenchCell(numbers) for numbers in product(range(len(OPS)), repeat=len(EDGES))]
    return FeatureSpace.over(cells, features, CELL_FEATURES)
