"""Numbers and names in words, the same in figures, tables and alternative texts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spaces.features import FEATURES

DASH = "–"
LONGEST = 22
"""Characters of a name in a figure."""


def count(number: int, noun: str, plural: str = "") -> str:
    """ "1 vertex", "2,400 vertices"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def number(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """A figure with its digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def interval(low: float, high: float, digits: int = 2, signed: bool = False) -> str:
    """ "0.12 to 0.34"; a dash where there is none."""
    ends = (number(end, digits, signed) for end in (low, high))
    return " to ".join(ends) if math.isfinite(low) else DASH


def percent(fraction: float | None, digits: int = 1) -> str:
    return "unknown" if fraction is None else f"{100 * fraction:.{digits}f} %"


def share(fraction: float | None, digits: int = 2) -> str:
    """In percent; a dash for none."""
    return DASH if fraction is None else percent(fraction, digits)


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

    def text(self, score: float | None, digits: int = 1) -> str:
        """ "97.2 %"; a dash for none."""
        text = number(None if score is None else self.scale * score, digits)
        return text if text == DASH else f"{text} {self.unit}".rstrip()

    def plain(self, score: float) -> float:
        """What a score measures, as a number without a unit: an accuracy of 1 at most."""
        return math.copysign(score, self.scale * score)

    def difference(self, shares: float) -> str:
        """ "+1.20 points"."""
        return f"{self.scale * shares:+.2f} {self.steps}".rstrip()

    def axis(self, words: str, unit: str | None = None) -> str:
        """The label of an axis: "reported accuracy (%)" of "reported {}"."""
        unit = self.unit if unit is None else unit
        return words.format(self.name) + (f" ({unit})" if unit else "")


ACCURACY = Measure("accuracy", "%", 100.0, 0.0, 1.0, "points")
PERPLEXITY = Measure("perplexity", scale=-1.0, data="text")
"""The score is minus it."""


def si(number: float | None) -> str:
    """A large number with three digits, without trailing zeros, and k, M, G, T or P."""
    if number is None:
        return "unknown"
    power = 0
    while abs(number) >= 999.5 and power < 5:
        number, power = number / 1000, power + 1
    return f"{number:.3g} {'kMGTP'[power - 1] if power else ''}".rstrip()


def duration(seconds: float | None) -> str:
    """ "0.4 s", "12 s", "3 min 20 s", "5 h 2 min"."""
    if seconds is None:
        return "unknown"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def moment(time: str | None) -> str:
    """An ISO time to the second."""
    return "unknown" if time is None else time[:19].replace("T", " ") + " UTC"


def probability(p: float) -> str:
    """A p-value: "= 0.034", or "< 0.001", with spaces that do not break."""
    return "<\u00a00.001" if p < 0.001 else f"=\u00a0{p:.3f}" if p < 0.1 else f"=\u00a0{p:.2f}"


def feature_text(name: str) -> str:
    """The words for a feature of the graph space; an unknown name as it is."""
    return FEATURES[name].text if name in FEATURES else name.replace("_", " ")


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def short(name: str) -> str:
    """A name that fits beside a figure."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}…{name[-8:]}"
