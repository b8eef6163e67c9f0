"""What a rank study is made of: weights over the epochs, and architectures trained alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from fade_ray.analysis.rank_measures import Rows

TRUTHS: dict[str, str] = {
    "test": "accuracies on the test images, which no rank was learned on",
    "architecture": (
        "accuracies on the architecture split, the images that the ranks were learned on: both "
        "share the luck of these images, so that the correlations and the noise ceiling are biased "
        "upwards"
    ),
    "table": "the accuracies of the table",
}
"""What ranks are held against: the images, or the table, that the accuracies of training alone are
from. Records without test accuracies are older: their graphs go by the architecture split.
"""


@dataclass(frozen=True)
class RankEpoch:
    """A hyper-architecture under training after an epoch."""

    epoch: int
    """From 1; 0 are the initial weights."""
    seconds: float
    """Wall time so far, for display: of trials that share a machine it tells the machine's load."""
    weights: Rows
    """FaDE weights."""
    multiply_adds: int | None = None
    """Of all passes of weight and architecture steps so far; None where no record tells."""


@dataclass(frozen=True)
class RankRun:
    """One training of the hyper-architecture, in one setting, with one seed."""

    setting: str
    """Such as "default" or "shared"."""
    seed: int
    epochs: tuple[RankEpoch, ...]
    accuracy: float | None = None
    """Of the path of largest weights, on the architecture split, with the shared weights."""

    @property
    def weights(self) -> Rows:
        """After the last epoch."""
        return self.epochs[-1].weights


@dataclass(frozen=True)
class Alone:
    """An architecture trained alone, `len(accuracies)` times (or read from a table)."""

    choice: tuple[int, ...]
    """[d]: the distinct candidate of each row."""
    accuracies: tuple[float, ...]
    """[repeats]; of which images, see TRUTHS."""


def by_setting(runs: Iterable[RankRun]) -> dict[str, list[RankRun]]:
    """The runs that have ended an epoch, by setting in the order in which they first appear."""
    groups: dict[str, list[RankRun]] = {}
    for run in runs:
        if run.epochs:
            groups.setdefault(run.setting, []).append(run)
    return groups
