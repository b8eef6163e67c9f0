"""Several searches at once, each with the same budget: what a comparison of searchers runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from searchers.attempts import answered
from searchers.base import AskTell, Kind, Proposal
from searchers.outcome import Outcome
from spaces.errors import require


@dataclass(frozen=True)
class Entered(Proposal):
    """A proposal of one of several searches: of the one named `entry`, with which its id begins."""

    entry: str = ""

    @classmethod
    def of(cls, entry: str, proposal: Proposal) -> Self:
        """`proposal` of the search `entry`, its own id and its parent's made unique."""
        parent = None if proposal.parent is None else f"{entry}-{proposal.parent}"
        unique = {"id": f"{entry}-{proposal.id}", "parent": parent, "entry": entry}
        return cls(**{**vars(proposal), **unique})


@dataclass
class _Entry:
    """One search and what it has spent."""

    name: str
    searcher: AskTell
    # asked by the searcher, and not yet decided about
    pending: list[Proposal] = field(default_factory=list)
    waiting: list[Proposal] = field(default_factory=list)  # these will run
    flying: dict[str, Proposal] = field(default_factory=dict)  # by the searcher's own id
    last: bool = False  # the running batch does not fit into the budget: there is none after it
    costs: list[tuple[str, float]] = field(default_factory=list)  # (kind, cost) of all told trials
    failure: str | None = None

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.flying

    @property
    def spent(self) -> float:
        # rounds once: the order of the trials does not matter
        return math.fsum(cost for _, cost in self.costs)

    def mean(self, kind: Kind) -> float | None:
        """Mean cost of the told trials of a kind, failed ones too; None without any."""
        known = [cost for its_kind, cost in self.costs if its_kind == kind]
        return math.fsum(known) / len(known) if known else None

    def fail(self, error: Exception) -> None:
        self.pending, self.waiting, self.failure = [], [], f"{type(error).__name__}: {error}"


class Contest:
    """Asks every search of `entries` in turn, the one that has spent least first, until each has
    spent `budget`.

    A trial costs what is told, before that `price(entry, proposal)` where that is known beforehand;
    None: the mean of that search's trials of that kind so far. Of a kind without any the first
    trial runs alone, to learn what it costs: it may end beyond the budget.

    The searches go in lockstep (`TrialLengths.lockstep`): what of a batch runs is decided when all
    that its search asked before has ended. Ranks serve later batches only, so a batch runs as a
    whole where the budget has room for it and, if it has ranks, for one evaluation more. Else it is
    the last one of its search: its ranks are not run, nor is any trial repeated; those of its
    evaluations that fit are, then as many as fit of those that the searcher can spare
    (`AskTell.spare`). What is left after that stays unspent. What a search asks depends on its own
    outcomes alone, not on their order or on the other searches. A search that raises an exception
    has ended, with its reason in `failures`; the others go on. InvalidInput for no search, or a
    budget that is not above 0 and finite.
    """

    def __init__(
        self,
        entries: Mapping[str, AskTell],
        budget: float,
        price: Callable[[str, Proposal], float | None],
    ) -> None:
        require(len(entries) > 0, "at least one search", "Name a searcher.", entries=list(entries))
        remedy = "Give each search something to spend."
        require(0 < budget < math.inf, "0 < budget < inf", remedy, budget=budget)
        self.budget, self.price = budget, price
        self.entries = {name: _Entry(name, searcher) for name, searcher in entries.items()}
        for entry in self.entries.values():
            self._plan(entry)

    def ask(self) -> Entered | None:
        """The next trial of any search; None while all that can run is in flight, and when done."""
        ready = [entry for entry in self.entries.values() if entry.waiting]
        if not ready:
            return None
        entry = min(ready, key=lambda entry: entry.spent)  # ties in the order of the entries
        proposal = entry.waiting.pop(0)
        entry.flying[proposal.id] = proposal
        return Entered.of(entry.name, proposal)

    def _plan(self, entry: _Entry) -> None:
        """Decide what runs next of a search of which nothing runs."""
        if entry.last or entry.failure is not None:
            return
        try:
            entry.pending += iter(entry.searcher.ask, None)
            # the first trial of each kind that nothing is known about
            unknown: dict[str, Proposal] = {}
            for proposal in entry.pending:
                if self._price(entry, proposal) is None:
                    unknown.setdefault(proposal.kind, proposal)
            if unknown and entry.spent < self.budget:
                entry.waiting = list(unknown.values())
                entry.pending = [each for each in entry.pending if each not in entry.waiting]
            else:
                self._fit(entry)
        except Exception as error:
            entry.fail(error)

    def _fit(self, entry: _Entry) -> None:
        """All that is pending if the budget has room for it; else what is useful by itself."""
        room = self.budget * (1 + 1e-9) - entry.spent
        batch, entry.pending = entry.pending, []
        cost = math.fsum(self._price(entry, proposal) or 0.0 for proposal in batch)
        if cost + self._acting(entry, batch) <= room:
            entry.waiting = batch
            return
        entry.last = True
        offered = [proposal for proposal in batch if not proposal.ranks]
        room = self._take(entry, offered, room)
        before = -1
        while len(entry.waiting) > before:
            before = len(entry.waiting)
            entry.searcher.spare()
            room = self._take(entry, list(iter(entry.searcher.ask, None)), room, free=False)

    def _acting(self, entry: _Entry, batch: Sequence[Proposal]) -> float:
        """What it takes to act on the ranks of a batch: the price of an evaluation, 0 where there
        are no ranks or no evaluation is known.
        """
        if not any(proposal.ranks for proposal in batch):
            return 0.0
        known = next((self._price(entry, proposal) for proposal in batch if proposal.scored), None)
        return (entry.mean("evaluation") if known is None else known) or 0.0

    def _take(
        self, entry: _Entry, offered: Sequence[Proposal], room: float, free: bool = True
    ) -> float:
        """Let those run that fit, without `free` none that costs nothing; the room that is left."""
        for proposal in offered:
            price = self._price(entry, proposal) or 0.0
            if price <= room and (free or price > 0):
                entry.waiting.append(proposal)
                room -= price
        return room

    def _price(self, entry: _Entry, proposal: Proposal) -> float | None:
        """What a trial is expected to cost, None where nothing is known; asked when nothing runs:
        what ended first does not matter.
        """
        price = self.price(entry.name, proposal)
        return entry.mean(proposal.kind) if price is None else price

    def tell(self, id: str, outcome: Outcome) -> None:
        """Answer a trial, in any order. InvalidInput if `id` is not in flight."""
        entries = self.entries.items()
        flying = {f"{name}-{own}": (entry, own) for name, entry in entries for own in entry.flying}
        entry, own = answered(id, flying)
        proposal = entry.flying.pop(own)
        cost = outcome.cost if outcome.cost is not None else self.price(entry.name, proposal)
        entry.costs.append((proposal.kind, cost or 0.0))
        if entry.failure is not None:
            return
        try:
            entry.searcher.tell(own, replace(outcome, cost=None))
        except Exception as error:
            entry.fail(error)
        if entry.idle:
            self._plan(entry)

    def spent(self, name: str) -> float:
        """What the ended trials of a search have cost."""
        return self.entries[name].spent

    @property
    def done(self) -> bool:
        return all(entry.idle for entry in self.entries.values())

    @property
    def failures(self) -> dict[str, str]:
        """Why a search ended before its budget, by its name."""
        failed = {name: entry.failure for name, entry in self.entries.items()}
        return {name: failure for name, failure in failed.items() if failure is not None}

    def over(self, name: str) -> bool:
        """Whether a search has come to its end: nothing left to ask, or that its budget covers."""
        entry = self.entries[name]
        return entry.failure is None and entry.idle
