"""What a comparison of searchers is made of: one trace per searcher and seed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Trace:
    """What one searcher found with one seed, in the order of its evaluations; of those that ran at
    once, in the order they were asked for.

    All sequences have the same length N, which may be 0: nothing was evaluated within the budget.
    """

    searcher: str
    seed: int
    budget: float
    """What it was allowed to spend, in `unit`s."""
    unit: str
    """Such as "training images", "seconds" or "evaluations"."""
    costs: tuple[float, ...]
    """[N], ascending: what the searcher had spent in all when each evaluation ended,
    hyper-architectures included.
    """
    scores: tuple[float, ...]
    """[N], in [0, 1]: validated accuracy, all that the searcher has seen of an architecture."""
    reports: tuple[float, ...]
    """[N], in [0, 1]: accuracy on the test part (of a table: of what the searcher has not seen);
    never fed back.
    """
    complete: bool = True
    """Whether the budget was used up; a trace that failed half-way, or of a run that was stopped,
    is partial.
    """

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        sequences = {name: tuple(values[name]) for name in ("costs", "scores", "reports")}
        return cls(**{**values, **sequences})
