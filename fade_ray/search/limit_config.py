"""What an architecture may cost at most."""

from dataclasses import dataclass

from spaces.errors import at_least


@dataclass(frozen=True)
class LimitConfig:
    """What an architecture may cost: no other one is drawn, evaluated or retrained."""

    max_params: int | None = None
    """Parameters of an architecture at most."""
    max_macs: int | None = None
    """Multiply-adds of one image at most, in convolutions and linear maps."""

    def __post_init__(self) -> None:
        at_least(1, max_params=self.max_params, max_macs=self.max_macs)
