"""What scores measure, and how they are told."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

DASH = "–"


def number(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """A figure with its digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


@dataclass(frozen=True)
class Measure:
    """What scores measure, and how they are told: as multiples of 1 / `scale`, in `unit`s."""

    name: str = "score"
    unit: str = ""
    scale: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    steps: str = ""
    """The unit of differences."""
    data: str = "images"
    """What it is measured on."""
    example: str = "image"
    """What it is the mean over."""
    trained: str = "after the last epoch"
    """Of which state of a retraining it is told."""
    counted: bool = False
    """Whether it is the share of examples that are right."""

    @property
    def key(self) -> str:
        """What it is called in records: "mean_iou" of "mean IoU"."""
        return self.name.replace(" ", "_").lower()

    def text(self, score: float | None, digits: int = 1) -> str:
        """ "97.2 %"; a dash for none."""
        text = number(None if score is None else self.scale * score, digits)
        return text if text == DASH else f"{text} {self.unit}".rstrip()

    def plain(self, score: float) -> float:
        """What a score measures, as a number without a unit: an accuracy of 1 at most. Also the
        score of such a number.
        """
        return math.copysign(1.0, self.scale) * score

    def score(self, metrics: Mapping[str, Any], part: str) -> float | None:
        """That on a `part` of the images, as a trial tells it or a result; None where none does."""
        told = metrics.get(f"{part}_{self.key}")
        return None if told is None else self.plain(told)

    def spread(self, deviation: float) -> float:
        """A standard deviation of scores, or how far one falls short, as a number in `unit`s: it
        has no sign, whatever is better.
        """
        return abs(self.scale) * deviation

    def difference(self, shares: float) -> str:
        """ "+1.20 points"."""
        return f"{self.scale * shares:+.2f} {self.steps}".rstrip()

    def axis(self, words: str, unit: str | None = None) -> str:
        """The label of an axis: "reported accuracy (%)" of "reported {}"."""
        unit = self.unit if unit is None else unit
        return words.format(self.name) + (f" ({unit})" if unit else "")


PERCENT: tuple[Any, ...] = ("%", 100.0, 0.0, 1.0, "points")
ACCURACY = replace(Measure("accuracy", *PERCENT), counted=True)

MEASURES: dict[str, Measure] = {
    "classification": ACCURACY,
    "language-model": Measure(
        "perplexity",
        scale=-1.0,
        data="text",
        example="word",
        trained="of the epoch that is best on valid",
    ),
    "multi-label": Measure("F1", *PERCENT),
    "regression": Measure("RMSE", scale=-1.0, high=0.0),
    "segmentation": Measure("mean IoU", *PERCENT),
}
"""What scores measure, by the name of the objective; one of your own joins as its class is made."""
