"""A fixed list of trials, asked and told like a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from searchers.attempts import Attempts
from searchers.outcome import Outcome
from searchers.plan import P
from spaces.errors import at_least, require


class GridSearch(Attempts[P]):
    """Every plan of a list once. An outcome without a failure is a success, whatever else it holds.
    InvalidInput without plans, and where two attempts share an id.
    """

    def __init__(self, plans: Sequence[P], again: Callable[[P], P], max_retries: int = 2) -> None:
        at_least(0, max_retries=max_retries)
        at_least(1, plans=len(plans))
        super().__init__(plans, again, max_retries)
        ids = Counter[str]()
        for plan in plans:
            ids[plan.id] += 1
            for _ in range(max_retries):
                plan = again(plan)
                ids[plan.id] += 1
        repeated = sorted(id for id, count in ids.items() if count > 1)
        remedy = "Name each attempt at each plan apart."
        require(not repeated, "ids are unique", remedy, repeated=repeated)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The last outcome of every plan that has one, by the id of its first attempt."""
        return {first.id: outcome for first, _, outcome in self.told}
