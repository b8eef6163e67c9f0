"""What the record of an outer search says."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import Event
from fade_ray.records.run_files import Run
from searchers.base import Proposal

Anchors = list[list[list[float]]]
"""[walk][depth][feature], each in [0, 1]."""


class Evaluation(NamedTuple):
    """One architecture trained and scored on the architecture split."""

    iteration: int
    walk: int
    score: float
    id: str


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
            Evaluation(proposal.iteration, proposal.walk, outcome.score, id)
            for id, proposal in self.proposals.items()
            if proposal.scored
            and (outcome := self.outcomes.get(id)) is not None
            and outcome.failure is None
            and outcome.score is not None
        ]

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation so far, ties by the lower id; None if there is none."""
        return max(self.evaluations, key=lambda evaluation: evaluation.score, default=None)


SearchRun = Run[Any, History]
