"""Several searches at once, each with the same budget: what a comparison of searchers runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from searchers.base import AskTell, Kind, Outcome, Proposal, State
from spaces.errors import require


@dataclass(frozen=True)
class Entered:
    """A trial of one of several searches: `proposal`, whose ids begin with the name of its search, `entry`."""

    entry: str
    proposal: Proposal

    @classmethod
    def of(cls, entry: str, proposal: Proposal) -> Self:
        """`proposal` of the search `entry`, its own id and its parent's made unique."""
        parent = None if proposal.parent is None else f"{entry}-{proposal.parent}"
        return cls(entry, replace(proposal, id=f"{entry}-{proposal.id}", parent=parent))

    @property
    def id(self) -> str:
        return self.proposal.id

    @property
    def kind(self) -> Kind:
        return self.proposal.kind

    @property
    def attempt(self) -> int:
        return self.proposal.attempt

    @property
    def epochs(self) -> int:
        return self.proposal.epochs

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"id": self.id, "entry": self.entry, "proposal": self.proposal.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["entry"], Proposal.from_dict(data["proposal"]))


@dataclass
class _Entry:
    """One search and what it has spent."""

    name: str
    searcher: AskTell
    open: bool = True
    last: bool = False  # a trial of the running batch did not fit into the budget: there is no batch after it
    flying: dict[str, Proposal] = field(default_factory=dict)  # by the searcher's own id
    iteration: int = 0  # of the batch that `charged` is about
    charged: float = 0.0  # for the trials of that batch, as they were asked
    settled: float = 0.0  # for those of the batches before
    costs: dict[str, list[float]] = field(default_factory=dict)  # of all told trials of earlier batches, by kind
    told: list[tuple[str, float]] = field(default_factory=list)  # (kind, cost) of those of the running batch
    failure: str | None = None


class Contest:
    """Asks every search of `entries` in turn, the one that has spent least first, until each has spent `budget`.

    A trial is charged with its `cost` as told, before that with `price(entry, proposal)`, its cost where that is known beforehand; None: the mean
    of that search's trials of that kind so far, 0 of none. A trial that would take its search beyond the budget is not run; the others of its batch
    that fit are, and the search ends with them. What a search asks depends on its own outcomes alone, not on their order or on the other searches
    (but where trials fail in the batch that ends a budget: whether a retry or another trial of it gets the rest is a matter of order). A search
    that raises an exception has ended, with its reason in `failures`; the others go on.

    Raises:
        InvalidInput: no search, or a budget that is not above 0.
    """

    def __init__(
        self, entries: Mapping[str, AskTell], budget: float, price: Callable[[str, Proposal], float | None]
    ) -> None:
        require(len(entries) > 0, "at least one search", "Name a searcher.", entries=list(entries))
        require(budget > 0, "budget > 0", "Give each search something to spend.", budget=budget)
        self.budget, self.price = budget, price
        self.entries = {name: _Entry(name, searcher) for name, searcher in entries.items()}

    def ask(self) -> Entered | None:
        """The next trial of any search; None while all that can run is in flight, and when done."""
        order = sorted(self.entries, key=lambda name: self.spent(name))  # stable: ties in the order of the entries
        for name in order:
            proposal = self._ask(self.entries[name])
            if proposal is not None:
                return Entered.of(name, proposal)
        return None

    def _ask(self, entry: _Entry) -> Proposal | None:
        if not entry.open:
            return None
        try:
            while (proposal := entry.searcher.ask()) is not None:
                if self._affords(entry, proposal):
                    return proposal
                entry.last = True
            entry.open = not (entry.last or entry.searcher.done)
        except Exception as error:
            entry.open, entry.failure = False, f"{type(error).__name__}: {error}"
        return None

    def _affords(self, entry: _Entry, proposal: Proposal) -> bool:
        """Whether the budget has room for a trial; if so it is charged and in flight."""
        if proposal.iteration != entry.iteration:
            self._settle(entry, proposal.iteration)
        price = self._estimate(entry, proposal)
        if entry.settled + entry.charged + price > self.budget * (1 + 1e-9):
            return False
        entry.charged += price
        entry.flying[proposal.id] = proposal
        return True

    def _estimate(self, entry: _Entry, proposal: Proposal) -> float:
        """What a trial is charged with when it is asked; by batches before its own alone, whatever has ended meanwhile."""
        price = self.price(entry.name, proposal)
        if price is not None:
            return price
        known = entry.costs.get(proposal.kind, [])
        return sum(known) / len(known) if known else 0.0

    def _settle(self, entry: _Entry, iteration: int) -> None:
        """A batch is over: its true costs count from now on."""
        for kind, cost in entry.told:
            entry.costs.setdefault(kind, []).append(cost)
        entry.settled += sum(cost for _, cost in entry.told)
        entry.told, entry.charged, entry.iteration = [], 0.0, iteration

    def tell(self, id: str, outcome: Outcome) -> None:
        """Answer a trial, in any order. InvalidInput if `id` is not in flight."""
        flying = {f"{name}-{own}": (entry, own) for name, entry in self.entries.items() for own in entry.flying}
        require(id in flying, "id in flight", "Answer each trial of `ask` once.", id=id, in_flight=sorted(flying))
        entry, own = flying[id]
        proposal = entry.flying.pop(own)
        price = self.price(entry.name, proposal)
        cost = outcome.cost if outcome.cost is not None else (price or 0.0)
        entry.told.append((proposal.kind, cost))
        try:
            entry.searcher.tell(own, replace(outcome, cost=None))
        except Exception as error:
            entry.open, entry.failure = False, f"{type(error).__name__}: {error}"

    def spent(self, name: str) -> float:
        """What the ended trials of a search have cost."""
        entry = self.entries[name]
        return entry.settled + sum(cost for _, cost in entry.told)

    @property
    def done(self) -> bool:
        return all(not e.flying and (not e.open or e.searcher.done) for e in self.entries.values())

    @property
    def failures(self) -> dict[str, str]:
        """Why a search ended before its budget, by its name."""
        return {name: entry.failure for name, entry in self.entries.items() if entry.failure is not None}

    def over(self, name: str) -> bool:
        """Whether a search has come to its end: its budget is used up, or it has nothing left to ask."""
        entry = self.entries[name]
        return entry.failure is None and not entry.flying and (not entry.open or entry.searcher.done)

    def state_dict(self) -> State:
        """JSON-able; a run is continued from its record instead."""
        return {
            name: {
                "searcher": entry.searcher.state_dict(),
                "open": [entry.open, entry.last],
                "flying": [proposal.to_dict() for proposal in entry.flying.values()],
                "spending": [entry.iteration, entry.charged, entry.settled, entry.costs, entry.told, entry.failure],
            }
            for name, entry in self.entries.items()
        }

    def load_state_dict(self, state: State) -> None:
        """Go on where `state_dict` was taken; InvalidInput if that had other searches."""
        remedy = "Enter the same searches."
        require(list(state) == list(self.entries), "same entries", remedy, here=list(self.entries), saved=list(state))
        for name, entry in self.entries.items():
            saved = state[name]
            entry.searcher.load_state_dict(saved["searcher"])
            entry.open, entry.last = saved["open"]
            proposals = [Proposal.from_dict(proposal) for proposal in saved["flying"]]
            entry.flying = {proposal.id: proposal for proposal in proposals}
            entry.iteration, entry.charged, entry.settled, entry.costs, told, entry.failure = saved["spending"]
            entry.told = [(kind, cost) for kind, cost in told]
