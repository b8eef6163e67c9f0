"""What a rank study is made of: weights of trained hyper-architectures over the epochs, and
architectures trained alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

Rows = tuple[tuple[float, ...], ...]  # [d][distinct candidates of the row], each row on the simplex

TRUTHS: dict[str, str] = {
    "test": "accuracies on the test images, which no rank was learned on",
    "architecture": (
        "accuracies on the architecture split, the images that the ranks were learned on: both share the luck of these images, "
        "so that the correlations and the noise ceiling are biased upwards"
    ),
    "table": "the accuracies of the table",
}
"""What ranks are held against, by "truth" in ranks.json: the images, or the table, that the
accuracies of training alone are from.
"""


def truth_of(found: Mapping[str, Any]) -> str:
    """The key of TRUTHS in what ranks.json holds. Files that do not tell are older than the test
    part: graphs went by the architecture split.
    """
    return str(found.get("truth") or ("table" if found.get("table") else "architecture"))


@dataclass(frozen=True)
class RankEpoch:
    """A hyper-architecture under training after an epoch."""

    epoch: int
    """From 1; 0 are the initial weights."""
    seconds: float
    """Wall time of the training so far, for display: of trials that share a machine it tells the
    load of the machine.
    """
    weights: Rows
    """FaDE weights."""
    multiply_adds: int | None = None
    """Computation so far: of all passes of the weight and the architecture steps, over all images;
    None where the record does not tell.
    """


@dataclass(frozen=True)
class RankRun:
    """One training of the hyper-architecture, in one setting, with one seed."""

    setting: str
    """Such as "default" or "shared"."""
    seed: int
    epochs: tuple[RankEpoch, ...]
    accuracy: float | None = None
    """Of the path of largest weights, on the architecture split, with the network weights of the
    hyper-architecture.
    """

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        epochs = tuple(
            RankEpoch(
                e["epoch"],
                e["seconds"],
                tuple(tuple(row) for row in e["weights"]),
                e.get("multiply_adds"),
            )
            for e in values["epochs"]
        )
        return cls(values["setting"], values["seed"], epochs, values.get("accuracy"))


@dataclass(frozen=True)
class Alone:
    """An architecture of the hyper-architecture, trained alone `len(accuracies)` times with
    different seeds (or read from a table).
    """

    choice: tuple[int, ...]
    """[d]: the distinct candidate of each row."""
    accuracies: tuple[float, ...]
    """[repeats], in [0, 1]; of which images, see TRUTHS."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(tuple(values["choice"]), tuple(values["accuracies"]))
