"""What a comparison of searchers is made of: one trace per searcher and seed."""

from collections.abc import Iterator
from dataclasses import dataclass


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
    """[N], ascending: what had been spent when each evaluation ended, hyper-architectures too."""
    scores: tuple[float, ...]
    """[N]: validated scores, all that the searcher has seen of an architecture."""
    reports: tuple[float, ...]
    """[N]: the same on the test part (of a table: on what no searcher sees); never fed back."""
    complete: bool = True
    """Whether the budget was used up; a trace that failed or was stopped half-way is partial."""

    def numbered(self) -> Iterator[tuple[int, tuple[float, float, float]]]:
        """(number from 1, (cost, score, report)) of each evaluation."""
        return enumerate(zip(self.costs, self.scores, self.reports, strict=True), start=1)
