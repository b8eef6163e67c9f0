"""The one exception for a user's mistake, and the one way to check a rule."""


class InvalidInput(ValueError):
    """A value that breaks a stated rule.

    The message states the rule, the values that broke it and the remedy; the command line prints it alone, without a traceback.
    """


def require(holds: bool, rule: str, remedy: str, **values: object) -> None:
    """InvalidInput with the rule, the values that break it and the remedy, unless it holds."""
    if not holds:
        got = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise InvalidInput(f"`{rule}` must hold, but got {got}. {remedy}")
