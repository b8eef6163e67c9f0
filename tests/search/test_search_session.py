"""The session of a search whose trials end in any order goes on by its record, stopped anywhere."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulate_scale import answer

from fade_ray.records.journal import FORMAT, Journal, read_events
from fade_ray.search.search_history import History
from fade_ray.search.search_session import SearchSession
from searchers import (
    AnchorWalk,
    AskTell,
    Evolution,
    Outcome,
    Proposal,
    RandomPoints,
    TrialLengths,
    WithRetraining,
)
from spaces.errors import InvalidInput
from spaces.feature_space import GraphSpace

ITERATIONS = 4


@cache
def space() -> GraphSpace:
    return GraphSpace.create(2, 4)


LENGTHS = TrialLengths(max_retries=1)
WALKS = AnchorWalk(walks=3, iterations=ITERATIONS, gamma=0.26, evaluate_every=1, elites=1)
EVOLUTION = Evolution(iterations=6, population=4, tournament=2)
SEARCHES: dict[str, Callable[[], AskTell]] = {
    "walks": lambda: WALKS.build(space(), 2, LENGTHS, 1),
    "random": lambda: RandomPoints(iterations=3, evaluations=2).build(space(), 2, LENGTHS, 1),
    "evolution": lambda: EVOLUTION.build(space(), 2, LENGTHS, 1),
    "retrained": lambda: WithRetraining(EVOLUTION.build(space(), 2, LENGTHS, 1), 3, seed=1),
}


def outcome(proposal: Proposal) -> Outcome:
    """By the seed alone; some fail."""
    rng = np.random.default_rng(proposal.seed)
    if rng.random() < 0.2:
        return Outcome.failed("crashed", "unlucky")
    return answer(proposal, rng)


def go(
    name: str, path: Path, steps: int, concurrency: int, rng: np.random.Generator
) -> SearchSession:
    """Begin or continue the record at `path` until so many trials have ended, then drop dead."""
    searcher = SEARCHES[name]()
    with Journal(path) as journal:
        journal.append("start", format=FORMAT)
        session = SearchSession(searcher, journal, History.read(path))
        session.iterations = ITERATIONS
        session.begin()
        flying: list[Proposal] = []
        for _ in range(steps):
            while len(flying) < concurrency and (plan := session.ask()) is not None:
                flying.append(plan)
            if not flying:
                assert session.done
                break
            ended = flying.pop(int(rng.integers(len(flying))))
            session.tell(ended.id, outcome(ended))
    return session


@pytest.mark.parametrize("name", SEARCHES)
@settings(max_examples=15, deadline=None)
@given(
    stops=st.lists(st.integers(0, 15), max_size=3),
    concurrency=st.integers(1, 12),
    order=st.integers(0, 2**32),
)
def test_a_stopped_search_goes_on_by_its_record(
    name: str,
    stops: list[int],
    concurrency: int,
    order: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path, rng = tmp_path_factory.mktemp("run") / "records.jsonl", np.random.default_rng(order)
    for steps in [*stops, 1000]:
        session = go(name, path, steps, concurrency, rng)
    assert session.done
    events = read_events(path)
    proposed = [event["proposal"]["id"] for event in events if event["event"] == "proposed"]
    finished = [event["id"] for event in events if event["event"] == "finished"]
    assert len(set(proposed)) == len(proposed)
    assert sorted(finished) == sorted(proposed)
    moved = [event["iteration"] for event in events if event["event"] == "iteration"]
    assert moved == list(range(len(moved)))
    again, told = SEARCHES[name](), History.read(path)
    for event in events:
        if event["event"] == "proposed":
            asked = again.ask()
            assert asked is not None
            assert asked.to_dict() == Proposal.from_dict(event["proposal"]).to_dict()
        elif event["event"] == "finished":
            again.tell(event["id"], told.outcomes[event["id"]])
        elif event["event"] == "iteration":
            assert again.anchors == event["anchors"]
    assert (again.best, again.failures) == (session.searcher.best, session.searcher.failures)
    assert again.done


def test_a_record_of_another_searcher_is_refused(tmp_path: Path) -> None:
    path, rng = tmp_path / "records.jsonl", np.random.default_rng(0)
    go("evolution", path, 3, 2, rng)
    with pytest.raises(InvalidInput, match="propose the same"):
        go("random", path, 3, 2, rng)
