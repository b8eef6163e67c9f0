"""The one exception for a user's mistake, and the one way to check a rule."""

from collections.abc import Iterable
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


def require_known(what: str, name: str, names: Iterable[str]) -> None:
    """InvalidInput with the nearest of `names`, unless `name` is one of them; `what` it names, such
    as "A searcher".
    """
    known = list(names)
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise InvalidInput(
            f"{what} must be one of {', '.join(known)}, but got {name!r}. Did you mean {near!r}?"
        )
