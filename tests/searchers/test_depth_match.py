"""The depth nearest to a target, on functions that grow with depth and on some that do not."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchers import Outcome
from searchers.depth_match import DepthMatch, Match, match, probes
from searchers.remembered import Remembered
from spaces.errors import InvalidInput


@dataclass(frozen=True)
class Plan:
    id: str
    depth: int | None
    seed: int
    attempt: int = 0
    epochs: int = 1

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def plans(depth: int | None, seeds: int = 1) -> list[Plan]:
    return [Plan(f"{depth}-{seed}", depth, seed) for seed in range(seeds)]


def again(plan: Plan) -> Plan:
    return replace(plan, id=f"{plan.depth}-{plan.seed}r", attempt=plan.attempt + 1)


def search(
    depths: list[int], at_once: int = 2, seeds: int = 1, retries: int = 0
) -> DepthMatch[Plan]:
    return DepthMatch(
        depths,
        lambda depth: plans(depth, seeds),
        "confusion",
        again=again,
        at_once=at_once,
        max_retries=retries,
    )


Verdict = Callable[[Plan], Outcome]


def drive(
    searcher: DepthMatch[Plan],
    verdict: Verdict,
    workers: int = 1,
    pick: Callable[[int], int] = lambda flying: 0,
    steps: int = 10**6,
    through: Remembered[Plan] | None = None,
) -> list[Plan]:
    asked, asks = [], through or searcher
    for _ in range(steps):
        if searcher.done:
            break
        flying = searcher.in_flight
        plan = asks.ask() if len(flying) < workers else None
        if plan is not None:
            asked.append(plan)
        else:
            told = flying[pick(len(flying))]
            asks.tell(told.id, verdict(told))
    return asked


def answers(values: Mapping[int | None, float]) -> Verdict:
    return lambda plan: Outcome(measures={"confusion": values[plan.depth]})


numbers = st.floats(-10, 10)


@st.composite
def growing(draw: st.DrawFn) -> dict[int | None, float]:
    """depth -> a value that grows with it, and the target's."""
    depths = sorted(draw(st.sets(st.integers(3, 60), min_size=1, max_size=20)))
    heights = sorted(draw(st.lists(numbers, min_size=len(depths), max_size=len(depths))))
    return {None: draw(numbers), **dict(zip(depths, heights, strict=True))}


def depths_of(values: Mapping[int | None, float]) -> list[int]:
    return [depth for depth in values if depth is not None]


@settings(max_examples=60, deadline=None)
@given(
    values=growing(),
    at_once=st.integers(1, 4),
    workers=st.integers(1, 5),
    order=st.randoms(use_true_random=False),
)
def test_what_grows_is_matched_as_if_all_were_measured(
    values: dict[int | None, float], at_once: int, workers: int, order: Any
) -> None:
    depths = depths_of(values)
    searcher = search(depths, at_once)
    asked = drive(searcher, answers(values), workers, order.randrange)
    found, target = searcher.match, values[None]
    assert found is not None
    assert found.monotone
    assert found.target == target
    nearest = min(abs(values[depth] - target) for depth in depths)
    assert abs(values[found.depth] - target) == nearest
    rounds = math.ceil(math.log(len(depths) + 1, at_once + 1) + 1e-9)
    assert len(asked) <= 1 + searcher.most_probes <= 1 + at_once * rounds
    assert len({plan.id for plan in asked}) == len(asked)
    one_by_one = search(depths, at_once)
    drive(one_by_one, answers(values))
    assert one_by_one.match == found


@settings(max_examples=60, deadline=None)
@given(values=growing(), other=st.lists(numbers, min_size=20, max_size=20))
def test_what_does_not_grow_ends_at_the_nearest_measured(
    values: dict[int | None, float], other: list[float]
) -> None:
    depths = depths_of(values)
    values |= dict(zip(depths, other, strict=False))
    searcher = search(depths)
    asked = {plan.depth for plan in drive(searcher, answers(values))} - {None}
    found = searcher.match
    assert found is not None
    assert set(found.values) == asked
    assert found.depth == min(asked, key=lambda d: (abs(values[d] - found.target), d))
    heights = [values[depth] for depth in sorted(d for d in asked if d is not None)]
    assert found.monotone == (heights == sorted(heights))


def test_the_published_depth() -> None:
    # StacNAS v2, Table 6, width 16; the values between are ours
    known: dict[int | None, float] = {5: 0.36, 8: 0.42, 11: 0.5, 14: 0.56, 17: 0.87, 20: 1.02}
    searcher = search(depths_of(known))
    asked = drive(searcher, answers({None: 0.57, **known}))
    assert searcher.match == Match(14, 0.57, {11: 0.5, 14: 0.56, 17: 0.87})
    assert [plan.depth for plan in asked] == [None, 11, 17, 14]


def test_the_mean_over_seeds_counts() -> None:
    values = {5: (0.1, 0.3), 8: (0.9, 0.1), 11: (1.0, 1.2), None: (0.4, 0.6)}
    searcher = search([5, 8, 11], seeds=2)
    drive(searcher, lambda p: Outcome(measures={"confusion": values[p.depth][p.seed]}))
    assert searcher.match is not None
    assert (searcher.match.depth, searcher.match.target) == (8, 0.5)


@pytest.mark.parametrize("retries", [0, 1])
def test_failed_trials_are_left_out(retries: int) -> None:
    def verdict(plan: Plan) -> Outcome:
        if plan.depth == 8 and plan.attempt == 0:
            return Outcome.failed("diverged", "bad luck")
        return Outcome(measures={"confusion": 0.5 if plan.depth is None else plan.depth / 16})

    searcher = search([5, 8, 11], retries=retries)
    drive(searcher, verdict)
    assert searcher.match is not None
    assert searcher.match.depth == (8 if retries else 5)
    assert searcher.failures == ([] if retries else [("8-0", "bad luck")])


def test_without_a_target_it_ends() -> None:
    searcher = search([5, 8, 11])
    asked = drive(
        searcher, lambda p: Outcome.failed("diverged", "x") if p.depth is None else Outcome()
    )
    assert searcher.done
    assert searcher.match is None
    assert len(asked) == 3


@settings(max_examples=40, deadline=None)
@given(values=growing(), steps=st.integers(0, 20), workers=st.integers(1, 3))
def test_a_saved_state_is_json_and_goes_on(
    values: dict[int | None, float], steps: int, workers: int
) -> None:
    depths, verdict = depths_of(values), answers(values)
    first, second = search(depths), search(depths)
    remembered, copy = Remembered(first), Remembered(second)
    drive(first, verdict, workers, steps=steps, through=remembered)
    copy.load_state_dict(json.loads(json.dumps(remembered.state_dict(), allow_nan=False)))
    assert second.in_flight == first.in_flight
    assert drive(second, verdict) == drive(first, verdict)
    assert second.match == first.match


def test_probes_are_evenly_spaced() -> None:
    depths = list(range(3, 21))
    assert probes({}, None, depths, 2) == [9, 15]
    assert probes({9: 1.0, 15: 2.0}, 1.5, depths, 2) == [11, 13]
    assert probes({9: 1.0, 10: 2.0}, 1.5, depths, 2) == []
    assert probes({9: 1.0, 15: 2.0}, 0.5, depths, 9) == list(range(3, 9))
    assert match({}, 1.0) is None


def test_mistakes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="depths"):
        search([])
    with pytest.raises(InvalidInput, match="depths grow"):
        search([5, 3])
    with pytest.raises(InvalidInput, match="at_once"):
        search([3], at_once=0)
    with pytest.raises(InvalidInput, match="in flight"):
        search([3]).tell("3-0", Outcome())
