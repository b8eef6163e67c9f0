"""One suite for every searcher: a new one is a new row of CASES."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import anchor_search, bayes_search, evolution_search, random_search, size_search
from simulate_scale import made_up_ranks

import searchers.bayes
from searchers import (
    AnchorSearch,
    AskTell,
    BayesSearch,
    EvolutionSearch,
    Outcome,
    Proposal,
    RandomSearch,
    SizeSearch,
    WithRepeats,
    WithRetraining,
)
from searchers.following import Following
from searchers.remembered import Remembered
from searchers.repeats import chosen, pooled
from spaces import nasbench_macro
from spaces.errors import InvalidInput
from spaces.feature_space import FeatureSpace, GraphSpace

RETRIES = 2


Space = Callable[[], FeatureSpace]


@cache
def graphs() -> FeatureSpace:
    return GraphSpace.create()


@cache
def macro() -> FeatureSpace:
    return nasbench_macro.space()


@pytest.fixture(scope="module", autouse=True)
def suggested_once() -> Iterator[None]:
    """What Bayesian search suggests is a pure function, of which tests/searchers/test_bayes.py
    makes sure: the same question is computed once.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searchers.bayes, "suggest", cache(searchers.bayes.suggest))
        yield


def anchor(seed: int, space: Space = graphs, **arguments: object) -> AnchorSearch:
    plain = {"depth": 2, "iterations": 4, "evaluate_every": 2, "max_retries": RETRIES}
    return anchor_search(space(), seed=seed, **(plain | arguments))  # type: ignore[arg-type]


def population(seed: int) -> AnchorSearch:
    return anchor(
        seed, walks=3, repeats=2, iterations=3, evaluations=2, finalists=2, carry_weights=True
    )


def wide(seed: int, space: Space = graphs) -> AnchorSearch:
    """Everything at once."""
    parts = {
        "gradient": "least-squares",
        "gamma_rule": "distinct",
        "step_rule": "normalised",
        "momentum": 0.5,
    }
    return anchor(
        seed,
        space,
        wide=True,
        walks=3,
        repeats=2,
        iterations=3,
        evaluations=2,
        elites=2,
        carry_weights=True,
        **parts,
    )


def random(seed: int) -> RandomSearch:
    return random_search(
        graphs(), depth=3, iterations=3, batch=2, evaluations=3, seed=seed, max_retries=RETRIES
    )


def bayes(seed: int, space: Space = graphs, **arguments: object) -> BayesSearch:
    plain = {"depth": 2, "iterations": 3, "evaluations": 2, "n_initial": 1, "max_retries": RETRIES}
    return bayes_search(space(), seed=seed, **(plain | arguments))  # type: ignore[arg-type]


def evolution(seed: int, space: Space = graphs, depth: int = 2) -> EvolutionSearch:
    return evolution_search(
        space(),
        depth,
        iterations=4,
        population=5,
        tournament=2,
        batch=3,
        seed=seed,
        max_retries=RETRIES,
    )


def by_size(seed: int, space: Space = graphs, depth: int = 2) -> SizeSearch:
    return size_search(space(), depth, iterations=7, seed=seed, max_retries=RETRIES)


def retrained(inner: AskTell, seed: int) -> WithRetraining:
    return WithRetraining(inner, epochs=7, repeats=2, seed=seed, max_retries=RETRIES)


def repeated(inner: AskTell, seed: int) -> WithRepeats:
    return WithRepeats(inner, best_few=2, times=2, seed=seed, max_retries=RETRIES)


@dataclass(frozen=True)
class Case:
    """How to build a searcher from a seed, its trials when none fails, where it searches, stencils
    in a row.
    """

    build: Callable[[int], AskTell]
    trials: int
    space: Space = graphs
    stencils: int = 1


CASES: dict[str, Case] = {
    "anchor": Case(anchor, 4 + 2),
    "anchor, printed sign": Case(lambda seed: anchor(seed, direction=-1), 4 + 2),
    "anchor, not evaluated": Case(lambda seed: anchor(seed, evaluations=0), 4),
    "anchor, evolving population": Case(population, 3 * 6 + 2 * 6 + 6),
    "anchor, least squares": Case(lambda seed: anchor(seed, gradient="least-squares"), 4 + 2),
    "anchor, distinct": Case(lambda seed: anchor(seed, gamma_rule="distinct"), 4 + 2),
    "anchor, normalised": Case(lambda seed: anchor(seed, step_rule="normalised"), 4 + 2),
    "anchor, momentum": Case(
        lambda seed: anchor(seed, walks=2, evolve=True, momentum=0.5), 2 * (4 + 2)
    ),
    "anchor, elites": Case(lambda seed: anchor(seed, elites=2, finalists=1), 4 + 2 + 2 * 2),
    "anchor, wide": Case(wide, 3 * 2 + 2 * 6 + 2 * 2, stencils=3),
    "anchor, wide macro": Case(
        lambda seed: wide(seed, macro), 3 * 2 + 2 * 6 + 2 * 2, macro, stencils=3
    ),
    "anchor, macro": Case(lambda seed: anchor(seed, macro, depth=8), 4 + 2, macro),
    "random": Case(random, 18),
    "bayes": Case(bayes, 6),
    "bayes, joint": Case(lambda seed: bayes(seed, joint=True, iterations=2), 4),
    "bayes, batches": Case(lambda seed: bayes(seed, batch=2, iterations=2), 8),
    "bayes, macro": Case(lambda seed: bayes(seed, macro, iterations=2), 4, macro),
    "evolution": Case(evolution, 12),
    "evolution, macro": Case(lambda seed: evolution(seed, macro, depth=8), 12, macro),
    "by size": Case(by_size, 7),
    "by size, macro": Case(lambda seed: by_size(seed, macro, depth=8), 7, macro),
    "anchor, repeated": Case(lambda seed: repeated(anchor(seed), seed), 6 + 4),
    "random, repeated": Case(lambda seed: repeated(random(seed), seed), 18 + 4),
    "anchor, repeated, retrained": Case(
        lambda seed: retrained(repeated(anchor(seed), seed), seed), 6 + 4 + 2
    ),
    "anchor, retrained": Case(lambda seed: retrained(anchor(seed), seed), 6 + 2),
    "population, retrained": Case(lambda seed: retrained(population(seed), seed), 36 + 2),
    "random, retrained": Case(lambda seed: retrained(random(seed), seed), 18 + 2),
    "evolution, retrained": Case(lambda seed: retrained(evolution(seed), seed), 12 + 2),
}
every = pytest.mark.parametrize("name", CASES)
few = settings(max_examples=15, deadline=None)


def build(name: str, seed: int = 3) -> AskTell:
    return CASES[name].build(seed)


def in_lockstep(name: str) -> AskTell:
    """As `build` where `TrialLengths` says so."""
    searcher = build(name)
    inner: Any = searcher
    while isinstance(inner, Following):
        inner = inner.inner
    inner.lockstep = True
    return searcher


def found(proposal: Proposal, key: int | None = None) -> Outcome:
    """A made-up result: random, fixed by the proposal's seed or by `key`."""
    rng = np.random.default_rng(proposal.seed if key is None else key)
    if proposal.kind != "ranks":
        return Outcome(score=float(100 * rng.normal()))  # a score need not be an accuracy
    return made_up_ranks(proposal, rng)


@dataclass
class Drive:
    """The loop with `concurrency` trials at once that end in an order drawn from `rng`, one `step`
    at a time.
    """

    searcher: AskTell
    result: Callable[[Proposal], Outcome] = found
    concurrency: int = 1
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    flying: list[Proposal] = field(default_factory=list)
    asked: dict[str, Proposal] = field(default_factory=dict)
    told: dict[str, Outcome] = field(default_factory=dict)
    anchors: dict[int, object] = field(default_factory=dict)  # by iteration
    through: Remembered[Proposal] | None = None  # which stands before `searcher`

    def step(self) -> None:
        asks = self.through or self.searcher
        while len(self.flying) < self.concurrency and (proposal := asks.ask()) is not None:
            assert proposal.id not in self.asked, "ids are unique"
            assert proposal.iteration >= self.searcher.iteration
            self.asked[proposal.id] = proposal
            self.flying.append(proposal)
        self.anchors[self.searcher.iteration] = self.searcher.anchors
        assert self.flying, "a searcher that is not done has something to run"
        proposal = self.flying.pop(int(self.rng.integers(len(self.flying))))
        self.told[proposal.id] = self.result(proposal)
        asks.tell(proposal.id, self.told[proposal.id])

    def run(self) -> "Drive":
        while not self.searcher.done:
            self.step()
            assert len(self.told) < 1000, "a search ends"
        return self


def standing(searcher: AskTell) -> tuple[object, ...]:
    """Where a search is, as far as it can be seen."""
    return searcher.iteration, searcher.best, searcher.failures, searcher.anchors, searcher.done


@every
def test_proposals(name: str) -> None:
    space = CASES[name].space()
    drive = Drive(build(name), concurrency=100).run()
    assert [p.index for p in drive.asked.values()] == list(range(CASES[name].trials))
    for proposal in drive.asked.values():
        assert Proposal.from_dict(json.loads(json.dumps(proposal.to_dict()))) == proposal
        assert proposal.id == f"{proposal.index:05d}"
        assert 0 <= proposal.seed < 2**31
        assert proposal.epochs >= 1
        assert (
            proposal.parent is None
            or drive.asked[proposal.parent].iteration == proposal.iteration - 1
        )
        assert proposal.hyper.width == (
            CASES[name].stencils * (2 * space.dim + 1) if proposal.kind == "ranks" else 1
        )
        if proposal.points:
            shape = (proposal.hyper.depth, proposal.hyper.width, space.dim)
            assert np.asarray(proposal.points).shape == shape
        for row, points in zip(proposal.hyper.rows, proposal.points, strict=False):
            for graph, point in zip(row, points, strict=True):
                assert all(0 <= x <= 1 for x in point)
                assert graph in space.members(point)
    seeds = [proposal.seed for proposal in drive.asked.values()]
    assert len(set(seeds)) == len(seeds)


@every
def test_outcomes_survive_json(name: str) -> None:
    for outcome in [
        *Drive(build(name)).run().told.values(),
        Outcome.failed("crashed", "no reason"),
    ]:
        assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


def unlucky(share: float) -> Callable[[Proposal], Outcome]:
    """`found`, but for a share of the seeds, which fail."""

    def result(proposal: Proposal) -> Outcome:
        fails = np.random.default_rng([proposal.seed, 1]).random() < share
        return Outcome.failed("crashed", "unlucky") if fails else found(proposal)

    return result


any_order = given(
    order=st.integers(0, 2**32), concurrency=st.integers(1, 40), failing=st.sampled_from([0.0, 0.4])
)


@every
@few
@any_order
def test_in_lockstep_completion_order_and_concurrency_do_not_matter(
    name: str, order: int, concurrency: int, failing: float
) -> None:
    """One trial at a time is that sequence without lockstep, too."""
    result, rng = unlucky(failing), np.random.default_rng(order)
    reference = Drive(in_lockstep(name), result, concurrency, rng).run()
    for searcher in (in_lockstep(name), build(name)):
        drive = Drive(searcher, result).run()
        assert list(drive.asked) == sorted(reference.asked, key=list(drive.asked).index)
        assert drive.asked == reference.asked
        assert drive.anchors == reference.anchors
        assert standing(drive.searcher) == standing(reference.searcher)


@every
@few
@any_order
def test_in_any_order_no_trial_is_lost_or_counted_twice(
    name: str, order: int, concurrency: int, failing: float
) -> None:
    drive = Drive(build(name), unlucky(failing), concurrency, np.random.default_rng(order)).run()
    assert drive.told.keys() == drive.asked.keys()
    assert drive.searcher.in_flight == []
    attempts: dict[int, list[Proposal]] = {}
    for proposal in drive.asked.values():
        attempts.setdefault(proposal.index, []).append(proposal)
    assert sorted(attempts) == list(range(len(attempts)))
    for proposals in attempts.values():
        assert [proposal.attempt for proposal in proposals] == list(range(len(proposals)))
        *failed, last = [drive.told[proposal.id].failure for proposal in proposals]
        assert None not in failed
        assert (last is None) or len(proposals) == RETRIES + 1
    assert len(attempts) == CASES[name].trials or (failing and len(attempts) < CASES[name].trials)
    asked, told = drive.asked, drive.told.items()
    scores = [(asked[id], o.score) for id, o in told if asked[id].scored and o.score]
    repeats = any(proposal.kind == "repeat" for proposal, _ in scores)
    assert repeats or "repeated" not in name or failing
    best, expected = drive.searcher.best, chosen(pooled(scores))
    assert best == (None if expected is None else (expected.hyper, expected.told))
    assert repeats or best is None or best[1] == max(score for _, score in scores)


@pytest.mark.parametrize("name", ["random", "evolution", "evolution, macro", "bayes", "by size"])
def test_what_needs_no_outcome_is_asked_at_once(name: str) -> None:
    searcher = build(name)
    asked = list(iter(searcher.ask, None))
    assert len(asked) == CASES[name].trials
    assert not searcher.done
    assert searcher.in_flight == asked
    assert searcher.iteration == 1 < asked[-1].iteration
    for proposal in asked:
        searcher.tell(proposal.id, found(proposal))
    assert searcher.done
    assert searcher.iteration == asked[-1].iteration


@every
@few
@given(steps=st.integers(0, 40), concurrency=st.integers(1, 8), failing=st.sampled_from([0.0, 0.4]))
def test_a_saved_state_goes_on_alike(
    name: str, steps: int, concurrency: int, failing: float
) -> None:
    searcher, copy, result = build(name), build(name), unlucky(failing)
    first, second = Remembered(searcher), Remembered(copy)
    drive = Drive(searcher, result, concurrency=concurrency, through=first)
    for _ in range(steps):
        if not first.done:
            drive.step()
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert standing(copy) == standing(drive.searcher)
    assert copy.in_flight == drive.searcher.in_flight
    assert {p.id for p in copy.in_flight} == {p.id for p in drive.flying}
    continued = Drive(copy, result, concurrency, flying=list(drive.flying), through=second)
    continued.rng.bit_generator.state = drive.rng.bit_generator.state
    before = set(drive.asked)
    drive.run()
    continued.run()
    assert continued.asked == {id: p for id, p in drive.asked.items() if id not in before}
    assert standing(copy) == standing(drive.searcher)


@every
@few
@given(steps=st.integers(0, 40), concurrency=st.integers(1, 8))
def test_in_lockstep_outcomes_in_the_order_of_the_trials_rebuild_the_searcher(
    name: str, steps: int, concurrency: int
) -> None:
    drive = Drive(in_lockstep(name), concurrency=concurrency)
    for _ in range(steps):
        if not drive.searcher.done:
            drive.step()
    rebuilt, pending = in_lockstep(name), dict(drive.asked)
    while pending:
        proposal = rebuilt.ask()
        assert proposal is not None
        assert pending.pop(proposal.id) == proposal
        if proposal.id in drive.told:
            rebuilt.tell(proposal.id, drive.told[proposal.id])
    assert standing(rebuilt) == standing(drive.searcher)
    assert rebuilt.in_flight == drive.searcher.in_flight


@every
def test_a_state_is_a_copy(name: str) -> None:
    searcher = Remembered(build(name))
    searcher.ask()
    saved = searcher.state_dict()
    text = json.dumps(saved)
    searcher.ask()
    assert json.dumps(saved) == text


@every
def test_a_state_of_other_arguments_is_refused(name: str) -> None:
    saved, other = Remembered(build(name, seed=4)), Remembered(build(name))
    saved.ask()
    with pytest.raises(InvalidInput, match=r"the same plans.*seed"):
        other.load_state_dict(saved.state_dict())


@every
def test_seeds(name: str) -> None:
    one, same, other = (Drive(build(name, seed)).run() for seed in (3, 3, 4))
    assert one.asked == same.asked
    assert one.anchors == same.anchors
    assert one.asked["00000"].seed != other.asked["00000"].seed
    assert [p.points for p in one.asked.values()] != [p.points for p in other.asked.values()]


@every
def test_always_failing_ends_and_is_reported(name: str) -> None:
    drive = Drive(
        build(name), lambda proposal: Outcome.failed("crashed", "broken"), concurrency=3
    ).run()
    attempts: dict[int, list[int]] = {}
    for proposal in drive.asked.values():
        attempts.setdefault(proposal.index, []).append(proposal.attempt)
    assert all(numbers == list(range(RETRIES + 1)) for numbers in attempts.values())
    reported = dict(drive.searcher.failures)
    searched = "retrained" in name
    assert reported.pop("retraining", None) == (
        "the best evaluated architecture is retrained, but no evaluation has succeeded"
        if searched
        else None
    )
    assert reported == {f"{index:05d}r{RETRIES}": "broken" for index in attempts}
    assert drive.searcher.best is None
    assert all(anchors == drive.searcher.anchors for anchors in drive.anchors.values())


@every
def test_failing_once_is_retried_with_another_seed_and_does_not_change_the_walk(name: str) -> None:
    undisturbed = Drive(build(name), lambda p: found(p, p.index)).run()
    retried = Drive(
        in_lockstep(name),
        lambda p: found(p, p.index) if p.attempt else Outcome.failed("crashed", "first attempt"),
        concurrency=5,
    ).run()
    assert retried.searcher.failures == []
    assert retried.searcher.best == undisturbed.searcher.best
    assert retried.anchors == undisturbed.anchors
    for proposal in undisturbed.asked.values():
        first, second = retried.asked[proposal.id], retried.asked[f"{proposal.id}r1"]
        assert first.seed == proposal.seed != second.seed
        assert (second.index, second.attempt) == (first.index, 1)
        assert (
            (first.hyper, first.points)
            == (second.hyper, second.points)
            == (proposal.hyper, proposal.points)
        )


@every
@few
@given(unlucky=st.integers(0, 7))  # few, so that what Bayesian search suggests is asked again
def test_the_number_of_trials_is_bounded(name: str, unlucky: int) -> None:
    def result(proposal: Proposal) -> Outcome:
        rng = np.random.default_rng([unlucky, proposal.index, proposal.attempt])
        return Outcome.failed("crashed", "unlucky") if rng.random() < 0.6 else found(proposal)

    drive = Drive(build(name), result, concurrency=4).run()
    assert len(drive.asked) <= CASES[name].trials * (RETRIES + 1)
    succeeded = {
        drive.asked[id].index for id, outcome in drive.told.items() if outcome.failure is None
    }
    given_up = {drive.asked[id].index for id, _ in drive.searcher.failures if id != "retraining"}
    assert succeeded | given_up == {p.index for p in drive.asked.values()}
    assert not succeeded & given_up


@every
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None])
def test_a_result_that_is_no_number_is_a_failure(name: str, value: float | None) -> None:
    searcher = build(name)
    proposal = searcher.ask()
    assert proposal is not None
    outcome = Outcome(score=value)
    if proposal.kind == "ranks" and value is not None:
        rows = found(proposal).log_weights
        assert rows is not None
        outcome = Outcome(log_weights=((value, *rows[0][1:]), *rows[1:]))
    searcher.tell(proposal.id, outcome)
    ids = [p.id for p in iter(searcher.ask, None)]
    assert "00000r1" in ids


@every
def test_what_no_such_trial_can_find_is_refused(name: str) -> None:
    searcher = build(name)
    proposal = searcher.ask()
    assert proposal is not None
    before = standing(searcher), searcher.in_flight
    rows = found(proposal).log_weights
    if rows is None:
        pytest.skip("every finite score is one")
    weights = tuple(tuple(float(np.exp(value)) for value in row) for row in rows)
    for outcome in (
        Outcome(log_weights=rows[1:]),
        Outcome(log_weights=(rows[0], rows[1][1:])),
        Outcome(log_weights=weights),
    ):
        with pytest.raises(InvalidInput, match="must hold, but got"):
            searcher.tell(proposal.id, outcome)
        assert (standing(searcher), searcher.in_flight) == before


@every
def test_unknown_and_repeated_ids_are_refused(name: str) -> None:
    searcher = build(name)
    for early in ("00000", "99999", ""):
        with pytest.raises(InvalidInput, match="in flight"):
            searcher.tell(early, Outcome(score=0.5))
    proposal = searcher.ask()
    assert proposal is not None
    searcher.tell(proposal.id, Outcome.failed("crashed", "once"))
    before = standing(searcher), searcher.in_flight
    for repeated in (proposal.id, f"{proposal.id}r1"):
        with pytest.raises(InvalidInput, match="in flight"):
            searcher.tell(repeated, found(proposal))
    assert (standing(searcher), searcher.in_flight) == before
    drive = Drive(searcher).run()
    with pytest.raises(InvalidInput, match="in flight"):
        searcher.tell(list(drive.told)[-1], Outcome(score=0.5))


@every
def test_in_lockstep_ask_waits_for_the_batch_and_for_nothing_when_done(name: str) -> None:
    searcher = in_lockstep(name)
    batch = list(iter(searcher.ask, None))
    assert batch
    assert {p.iteration for p in batch} == {searcher.iteration} == {1}
    assert not searcher.done
    assert searcher.in_flight == batch
    for proposal in batch[:-1]:
        searcher.tell(proposal.id, found(proposal))
        assert searcher.ask() is None
    searcher.tell(batch[-1].id, found(batch[-1]))
    following = searcher.ask()
    assert following is not None
    assert following.iteration == 2
    drive = Drive(searcher, flying=[following]).run()
    assert drive.searcher.done
    assert drive.searcher.ask() is None
    assert drive.searcher.in_flight == []


@every
def test_best_is_the_best_evaluation_ties_by_lower_index(name: str) -> None:
    def result(proposal: Proposal) -> Outcome:
        if proposal.kind == "ranks":
            return found(proposal)
        return Outcome(score=1e6 if proposal.final else round(found(proposal).score or 0.0, -1))

    drive = Drive(build(name), result, concurrency=7).run()
    evaluated = [p for p in drive.asked.values() if p.kind == "evaluation"]
    if not evaluated:
        assert drive.searcher.best is None
        return
    repeats = {p.hyper for p in drive.asked.values() if p.kind == "repeat"}
    if repeats:
        trained = [p for p in drive.asked.values() if p.scored]
        means = [
            fmean(drive.told[p.id].score or 0.0 for p in trained if p.hyper == hyper)
            for hyper in repeats
        ]
        assert drive.searcher.best is not None
        assert drive.searcher.best[1] == max(means)
        return
    scores = [drive.told[p.id].score or 0.0 for p in evaluated]
    assert drive.searcher.best == (evaluated[int(np.argmax(scores))].hyper, max(scores))
