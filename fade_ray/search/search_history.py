"""What the record of an outer search says."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Event
from fade_ray.records.measures import Measure
from fade_ray.records.run_files import Run
from searchers.base import Proposal
from searchers.repeats import Pooled, chosen, pooled

Anchors = list[list[list[float]]]
"""[walk][depth][feature], each in [0, 1]."""


class Evaluation(NamedTuple):
    """One architecture trained and scored on the architecture split."""

    iteration: int
    walk: int
    score: float
    id: str
    again: bool = False
    """Whether it repeats one for a better mean."""


class History(TrialHistory[Proposal]):
    """What the events of an outer search say together.

    Attributes:
        anchors: iteration -> [walk][depth][feature]; iteration 0 is the random start.
    """

    plan = Proposal

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.anchors: dict[int, Anchors] = {}
        super().__init__(events)

    def _take(self, event: Event) -> None:
        super()._take(event)
        if event["event"] == "iteration":
            self.anchors[int(event["iteration"])] = event["anchors"]

    @property
    def evaluations(self) -> list[Evaluation]:
        """The architectures trained and scored so far, by id."""
        return [
            Evaluation(
                proposal.iteration, proposal.walk, outcome.score, id, proposal.kind == "repeat"
            )
            for id, proposal in self.proposals.items()
            if proposal.scored
            and (outcome := self.outcomes.get(id)) is not None
            and outcome.failure is None
            and outcome.score is not None
        ]

    @property
    def best(self) -> Evaluation | None:
        """The evaluation of what would be chosen now, its score the mean of all of them where they
        were repeated; None if there is none.
        """
        found = chosen(self.pooled)
        if found is None:
            return None
        plan = next((p for p, score in found.trainings if score == found.told), found.first)
        return Evaluation(plan.iteration, plan.walk, found.told, plan.id)

    @property
    def pooled(self) -> list[Pooled]:
        """All evaluations by architecture, the best mean first."""
        return pooled((self.proposals[e.id], e.score) for e in self.evaluations)

    def chosen_text(self, measure: Measure) -> str:
        """What its score is: "mean of 3 evaluations, 0.7340 to 0.7660"."""
        found = chosen(self.pooled)
        if found is None or not found.repeated:
            return "one evaluation"
        low, high = sorted(map(measure.plain, (min(found.scores), max(found.scores))))
        return f"mean of {len(found.scores)} evaluations, {low:.4f} to {high:.4f}"


SearchRun = Run[Any, History]
