"""Numbers and names in words, the same in figures, tables and alternative texts."""

import math
from collections.abc import Sequence

from fade_ray.records.measures import ACCURACY as ACCURACY
from fade_ray.records.measures import DASH as DASH
from fade_ray.records.measures import Measure as Measure
from fade_ray.records.measures import number as number
from spaces.features import FEATURES

LONGEST = 22
"""Characters of a name in a figure."""


def count(number: int, noun: str, plural: str = "") -> str:
    """ "1 vertex", "2,400 vertices"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def interval(low: float, high: float, digits: int = 2, signed: bool = False) -> str:
    """ "0.12 to 0.34", the lower end first; a dash where there is none."""
    ends = (number(end, digits, signed) for end in sorted((low, high)))
    return " to ".join(ends) if math.isfinite(low) else DASH


def percent(fraction: float | None, digits: int = 1) -> str:
    return "unknown" if fraction is None else f"{100 * fraction:.{digits}f} %"


def share(fraction: float | None, digits: int = 2) -> str:
    """In percent; a dash for none."""
    return DASH if fraction is None else percent(fraction, digits)


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


def short(name: str, most: int = LONGEST) -> str:
    """A name that fits beside a figure, in so many characters."""
    return name if len(name) <= most else f"{name[: most - 9]}…{name[-8:]}"


OPERATION = 14
"""Characters of an operation that fit into a drawing."""
