"""What a rank study is made of: weights of trained hyper-architectures over the epochs, and architectures trained alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

Rows = tuple[tuple[float, ...], ...]  # [d][distinct candidates of the row], each row on the simplex


@dataclass(frozen=True)
class RankEpoch:
    """A hyper-architecture under training after an epoch."""

    epoch: int
    """From 1; 0 are the initial weights."""
    seconds: float
    """Training time so far."""
    weights: Rows
    """FaDE weights."""


@dataclass(frozen=True)
class RankRun:
    """One training of the hyper-architecture, in one setting, with one seed."""

    setting: str
    """Such as "default" or "shared"."""
    seed: int
    epochs: tuple[RankEpoch, ...]
    accuracy: float | None = None
    """Of the path of largest weights, on the architecture split, with the network weights of the hyper-architecture."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        epochs = tuple(
            RankEpoch(e["epoch"], e["seconds"], tuple(tuple(row) for row in e["weights"])) for e in values["epochs"]
        )
        return cls(values["setting"], values["seed"], epochs, values.get("accuracy"))


@dataclass(frozen=True)
class Alone:
    """An architecture of the hyper-architecture, trained alone `len(accuracies)` times with different seeds (or read from a table)."""

    choice: tuple[int, ...]
    """[d]: the distinct candidate of each row."""
    accuracies: tuple[float, ...]
    """[repeats], in [0, 1], on images that no rank was learned on."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(tuple(values["choice"]), tuple(values["accuracies"]))
