"""Several searches under one budget: who asks when, what is charged, what does not matter."""

import itertools
import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import anchor_search, lengths, random_search

from searchers import Failure, Outcome, RandomPoints, RandomSearch
from searchers.contest import Contest, Entered
from searchers.remembered import Remembered
from spaces import GraphSpace
from spaces.errors import InvalidInput

PRICES = {"ranks": 3.0, "evaluation": 2.0}


@cache
def space():
    return GraphSpace.create(2, 4)


def searches(seed=0):
    return {
        "walk": anchor_search(space(), 2, 1000, walks=2, evaluate_every=2, seed=seed),
        "random": random_search(space(), 2, 1000, evaluations=1, seed=seed),
        "few": random_search(space(), 2, 2, evaluations=1, seed=seed),
        "elites": anchor_search(space(), 2, 1000, evaluate_every=1, elites=1, seed=seed),
    }


def contest(budget=40.0, price=lambda entry, proposal: PRICES[proposal.kind], entries=None):
    return Contest(searches() if entries is None else entries, budget, price)


def found(entered, cost=None):
    rng = np.random.default_rng(entered.seed)
    if entered.scored:
        return Outcome(score=float(rng.random()), cost=cost)
    width = entered.hyper.width
    return Outcome(log_weights=((-float(width),) * width,) * entered.hyper.depth, cost=cost)


def drive(contest, order, at_once, result=found):
    """[id -> Entered] of everything asked, ending trials in an order drawn from `order`."""
    rng, flying, asked = np.random.default_rng(order), [], {}
    while not contest.done:
        while len(flying) < at_once and (entered := contest.ask()) is not None:
            assert entered.id not in asked
            asked[entered.id] = entered
            flying.append(entered)
        if not flying:
            assert contest.done, "a contest that is not done has something to run"
            break
        entered = flying.pop(int(rng.integers(len(flying))))
        contest.tell(entered.id, result(entered))
        assert len(asked) < 500
    return asked


def test_each_search_spends_its_budget_and_no_more():
    one = contest()
    asked = drive(one, 0, 1)
    by_entry = {name: [e for e in asked.values() if e.entry == name] for name in one.entries}
    assert one.spent("random") == 40 == 2 * len(by_entry["random"])
    assert len(by_entry["few"]) == 2  # it has no more to ask
    cost = sum(PRICES[p.kind] for p in by_entry["walk"])
    assert one.spent("walk") == cost <= 40 < cost + 2
    assert all(one.over(name) for name in one.entries)
    assert one.ask() is None
    for entered in asked.values():
        assert entered.id == f"{entered.entry}-{entered.index:05d}"
        assert Entered.from_dict(json.loads(json.dumps(entered.to_dict()))) == entered


@settings(max_examples=20, deadline=None)
@given(
    order=st.integers(0, 2**32),
    at_once=st.integers(1, 12),
    priced=st.booleans(),
    failing=st.booleans(),
)
def test_what_is_asked_depends_neither_on_order_nor_on_concurrency(order, at_once, priced, failing):
    price = (
        (lambda entry, proposal: PRICES[proposal.kind])
        if priced
        else (lambda entry, proposal: None)
    )

    def result(entered):  # a cost that only the trial can tell
        cost = 1.0 + entered.seed % 7 / 4
        return (
            Outcome(failure=Failure("crashed", "broken"), cost=cost)
            if failing and entered.seed % 3
            else found(entered, cost)
        )

    reference, other = contest(price=price), contest(price=price)
    one, two = drive(reference, 0, 1, result), drive(other, order, at_once, result)
    assert one == two
    assert [reference.spent(name) for name in reference.entries] == [
        other.spent(name) for name in other.entries
    ]


def test_ranks_that_no_evaluation_can_act_on_are_not_bought():
    # every batch: two hyper-architectures at 3 and two evaluations at 2; after two batches 5 of 25
    # are left
    walk = {"walk": anchor_search(space(), 2, 1000, walks=2, evaluate_every=1)}
    one = contest(entries=walk, budget=25)
    kinds = [entered.kind for entered in drive(one, 0, 1).values()]
    assert kinds == ["ranks", "ranks", "evaluation", "evaluation"] * 2 + [
        "evaluation",
        "evaluation",
    ]
    assert one.spent("walk") == 24
    assert one.over("walk")


def test_what_is_left_goes_to_the_best_that_the_last_ranks_know():
    one = contest(
        entries={"walk": anchor_search(space(), 2, 1000, evaluate_every=1, elites=1)},
        budget=5 + 3 + 4 + 2,
    )
    # 5 for the first batch, 9 are left: the second takes 7 and leaves one evaluation to act on its
    # ranks
    assert [e.kind for e in drive(one, 0, 1).values()] == ["ranks", "evaluation"] * 2 + [
        "evaluation"
    ] * 2

    def ranked(entered):
        width = entered.hyper.width
        rows = tuple(
            tuple(-1.0 - (9 * row + 1) * place for place in range(width)) for row in range(2)
        )
        return Outcome(log_weights=rows) if entered.kind == "ranks" else found(entered)

    one = contest(
        entries={"walk": anchor_search(space(), 2, 1000, evaluate_every=1, elites=1)}, budget=13
    )
    first, *rest = drive(one, 0, 1, ranked).values()
    # the anchor, then the new anchor, the elite and two more
    assert [e.kind for e in rest] == ["evaluation"] * 5
    hyper = first.hyper
    places = [[row.index(graph) for graph in dict.fromkeys(row)] for row in hyper.rows]
    best = sorted(itertools.product(*places), key=lambda choice: choice[0] + 10 * choice[1])[:3]
    expected = [
        tuple((row[place],) for row, place in zip(hyper.rows, choice, strict=True))
        for choice in best
    ]
    assert [e.hyper.rows for e in rest[2:]] == expected
    assert one.spent("walk") == 13


@settings(max_examples=40, deadline=None)
@given(
    budget=st.floats(5.0, 60.0),
    walks=st.integers(1, 3),
    every=st.integers(1, 3),
    elites=st.integers(0, 2),
    wide=st.booleans(),
)
def test_all_ranks_are_acted_on_and_less_than_an_evaluation_is_left(
    budget, walks, every, elites, wide
):
    walk = anchor_search(
        space(), 2, 1000, walks=walks, evaluate_every=every, elites=elites, wide=wide
    )
    one = contest(entries={"walk": walk}, budget=budget)
    asked = list(drive(one, 0, 1).values())
    evaluated = [p.iteration for p in asked if p.kind == "evaluation"]
    ranked = [p.iteration for p in asked if p.kind == "ranks"]
    if evaluated:  # before the first one nobody knows what an evaluation costs
        assert max(ranked, default=0) < max(evaluated)
    if max(ranked, default=0) > 0 and evaluated:
        assert budget - PRICES["evaluation"] < one.spent("walk") <= budget * (1 + 1e-9)


def test_where_only_trials_tell_their_cost_the_first_of_a_kind_runs_alone():
    points = {"points": random_search(space(), 2, 1000, evaluations=5)}
    one = contest(entries=points, budget=40, price=lambda entry, proposal: None)
    entered = one.ask()
    assert one.ask() is None
    one.tell(entered.id, found(entered, 15.0))
    # of the other four one fits
    assert len(drive(one, 0, 9, lambda entered: found(entered, 15.0))) == 1
    assert one.spent("points") == 30
    assert one.over("points")


def test_the_search_that_has_spent_least_is_asked_first():
    one = contest()
    told = {}
    while (entered := one.ask()) is not None and one.spent("random") < 20:
        one.tell(entered.id, found(entered))
        told[entered.entry] = told.get(entered.entry, 0.0) + PRICES[entered.kind]
        if not one.over("few"):
            assert max(told.values()) - min(told.get(name, 0) for name in one.entries) <= 3


def test_a_search_alone_asks_what_it_asks_in_a_contest():
    asked = drive(contest(), 1, 3)
    alone = searches()["random"]
    for entered in (e for e in asked.values() if e.entry == "random"):
        proposal = alone.ask()
        assert Entered.of("random", proposal) == entered
        alone.tell(proposal.id, found(Entered.of("random", proposal)))


def test_parents_are_those_of_the_same_search():
    walk = {"a": anchor_search(space(), 2, 1000, evaluate_every=50, carry_weights=True)}
    asked = drive(contest(entries=walk, budget=20), 0, 1)
    parents = [entered.parent for entered in asked.values()]
    assert parents[0] is None
    assert parents[1:6] == list(asked)[:5]
    assert parents[6:] == [
        None
        # 2 of 20 are left: too little for ranks, and what they say needs no network
    ]


def test_a_search_that_breaks_leaves_the_others_alone():
    class Broken(RandomSearch):
        def tell(self, id, outcome):
            raise RuntimeError("no more")

    broken = Broken(RandomPoints(5), space(), 2, lengths(), 0)
    one = contest(entries={"broken": broken, **searches()})
    asked = drive(one, 0, 1)
    assert one.failures == {"broken": "RuntimeError: no more"}
    assert not one.over("broken")
    assert one.over("random")
    assert sum(entered.entry == "broken" for entered in asked.values()) == 1


def test_failed_trials_are_charged():
    one = contest()
    asked = drive(one, 0, 2, lambda entered: Outcome.failed("crashed", "broken"))
    assert sum(entered.entry == "random" for entered in asked.values()) == 20


@pytest.mark.parametrize("trials", [0, 7, 48])
def test_a_saved_state_goes_on_alike(trials):
    one = Remembered(contest())
    for _ in range(trials):
        entered = one.ask()
        one.tell(entered.id, found(entered))
    entered = one.ask()
    copy = Remembered(contest())
    copy.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for contest_ in (one, copy):
        contest_.tell(entered.id, found(entered))
    rest = drive(one, 0, 1)
    assert drive(copy, 0, 1) == rest
    assert rest


def test_what_makes_no_contest_is_refused():
    with pytest.raises(InvalidInput, match="at least one search"):
        contest(entries={})
    for budget in (0, float("inf"), float("nan")):
        with pytest.raises(InvalidInput, match="0 < budget < inf"):
            contest(budget=budget)
    with pytest.raises(InvalidInput, match="id in flight"):
        contest().tell("random-00000", Outcome(score=0.5))
