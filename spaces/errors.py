"""The one exception for a user's mistake, and the one way to check a rule."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches


class InvalidInput(ValueError):
    """A value that breaks a stated rule.

    The message states the rule, the values that broke it and the remedy; the command line prints it
    alone, without a traceback.
    """


def require(holds: bool, rule: str, remedy: str, **values: object) -> None:
    """InvalidInput with the rule, the values that break it and the remedy, unless it holds."""
    if not holds:
        got = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise InvalidInput(f"`{rule}` must hold, but got {got}. {remedy}")


@contextmanager
def upheld(rule: str, remedy: str, *errors: type[Exception]) -> Iterator[None]:
    """InvalidInput with the rule, what is wrong and the remedy in place of `errors`, but for one
    that says already which rule is broken.
    """
    try:
        yield
    except InvalidInput:
        raise
    except errors as error:
        said = repr(error) if isinstance(error, LookupError) else str(error) or repr(error)
        raise InvalidInput(f"{rule}, but: {said}. {remedy}") from error


def require_known(what: str, name: str, names: Iterable[str]) -> None:
    """InvalidInput, with one of `names` near it, unless `name` is one; `what`: "A space"."""
    known = list(names)
    if name not in known:
        folded = {each.casefold(): each for each in known}
        matches = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
        near = "".join(f" Did you mean {folded[each]!r}?" for each in matches)
        raise InvalidInput(f"{what} must be one of {', '.join(known)}, but got {name!r}.{near}")


def require_text(*names: str) -> None:
    """InvalidInput for the first of `names` that is no text: its bytes are no UTF-8."""
    for name in names:
        remedy = "Rename it; if it is UTF-8 and this process reads ASCII, set PYTHONUTF8=1."
        holds = not any("\ud800" <= character <= "\udfff" for character in name)
        require(holds, "names and paths are UTF-8", remedy, name=name)


def at_least(low: float, **values: float | None) -> None:
    """InvalidInput for the first of `values` below `low`; None stands for a default."""
    for name, value in values.items():
        remedy = f"Give `{name}` a value of {low} or more."
        require(value is None or value >= low, f"{name} >= {low}", remedy, **{name: value})


LARGEST = 2**31
"""Whole numbers in configurations are smaller: images, epochs and channels that can be."""


def countable(value: object) -> bool:
    """Whether it is a finite number, and smaller than `LARGEST` where it is a whole one."""
    if isinstance(value, int):
        return abs(value) < LARGEST
    return isinstance(value, float) and math.isfinite(value)


def each_once(**values: Sequence[object]) -> None:
    """InvalidInput for the first of `values` that is empty or holds something twice."""
    for name, held in values.items():
        require(len(held) > 0, f"len({name}) >= 1", "Name at least one.", **{name: held})
        repeated = [value for value in dict.fromkeys(held) if held.count(value) > 1]
        require(not repeated, f"{name} differ", "Name each once.", repeated=repeated)
