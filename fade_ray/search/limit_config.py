"""What an architecture may cost at most."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from spaces.errors import InvalidInput, at_least, require
from spaces.limits import Limit, Limits, RowCosts


@dataclass(frozen=True)
class LimitConfig:
    """What an architecture may cost: no other one is drawn, evaluated or retrained."""

    max_params: int | None = None
    """Parameters of an architecture at most."""
    max_macs: int | None = None
    """Multiply-adds of one image at most, in convolutions and linear maps."""
    max_latency_ms: float | None = None
    """Milliseconds per image at most."""

    def __post_init__(self) -> None:
        at_least(1, max_params=self.max_params, max_macs=self.max_macs)
        latency, remedy = self.max_latency_ms, "Give the milliseconds that one image may take."
        holds = latency is None or 0 < latency < math.inf
        require(holds, "0 < max_latency_ms < inf", remedy, max_latency_ms=latency)

    @property
    def most(self) -> dict[str, float]:
        """The limits that are set, by their names."""
        given = {field.name: getattr(self, field.name) for field in fields(LimitConfig)}
        return {name: most for name, most in given.items() if most is not None}

    def over(self, costs: Mapping[str, RowCosts]) -> Limits:
        """Of what is known of a space by the names of the fields. InvalidInput for a limit on what
        is not.
        """
        made = []
        for name, most in self.most.items():
            flag = f"--{name.replace('_', '-')}"
            if name not in costs:
                known = ", ".join(f"--{each.replace('_', '-')}" for each in costs) or "none"
                raise InvalidInput(
                    f"A limit is on a cost that is known here, but got {flag} where these are: "
                    f"{known}. Leave it out."
                )
            cost = costs[name]
            made.append(Limit(flag, math.floor(most * cost.unit), cost))
        return Limits(tuple(made))


@dataclass(frozen=True)
class MeasuredLimits(LimitConfig):
    """What an architecture may cost: no other one is drawn, evaluated or retrained. Latencies are
    measured before the search, of each candidate at its place, on the device of the run.
    """

    latency_batch: int = 1
    """Images that go through at once where latencies are measured."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, latency_batch=self.latency_batch)
