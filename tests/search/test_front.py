"""The front of cost and mean score, and the evaluations that go along it."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from searchers import Outcome, Proposal, RandomPoints, TrialLengths, WithRepeats
from searchers.repeats import Pooled, front, spread
from spaces import GraphSpace, HyperArchitecture

SPACE = GraphSpace.create(2, 4)


def cost(hyper: HyperArchitecture) -> float:
    return sum(row[0].size for row in hyper.rows)


def architectures(scores: list[float]) -> list[Pooled]:
    cells = zip(SPACE.cells, scores, strict=False)
    plans = [
        (Proposal(str(i), "evaluation", HyperArchitecture(((cell,),)), 0, 1, index=i), score)
        for i, (cell, score) in enumerate(cells)
    ]
    return [Pooled((plan,)) for plan in plans]


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=1, max_size=30))
def test_the_front_is_what_nothing_beats_at_its_cost(scores: list[float]) -> None:
    known = architectures(scores)
    along = front(known, cost)
    for each in known:
        beaten = any(
            other.score >= each.score and cost(other.hyper) <= cost(each.hyper) and other != each
            for other in along
        )
        assert beaten != (each in along)
    assert [cost(each.hyper) for each in along] == sorted(cost(each.hyper) for each in along)


def test_a_part_of_the_front_goes_from_its_beginning_to_its_end() -> None:
    known = architectures([0.1 * i for i in range(9)])
    assert spread(known, 20) == known
    assert spread(known, 3) == [known[0], known[4], known[8]]
    assert spread(known, 1) == [known[8]]


def test_evaluations_go_along_the_front_and_what_is_best_there_is_chosen() -> None:
    inner = RandomPoints(iterations=6, batch=2, evaluations=1).build(SPACE, 2, TrialLengths(), 0)
    search, scores = WithRepeats(inner, 4, 2, along=cost), count(1)
    told: dict[str, float] = {}
    repeated = []
    while (proposal := search.ask()) is not None:
        code = proposal.hyper.code()
        # the larger the better but for noise
        told.setdefault(code, cost(proposal.hyper) + 0.01 * next(scores))
        if proposal.kind == "repeat":
            repeated.append(proposal.hyper)
        search.tell(proposal.id, Outcome(score=told[code]))
    costs = [cost(hyper) for hyper in repeated[: len(repeated) // 2]]
    assert costs == sorted(set(costs))
    assert len(costs) > 2
    assert costs[0] == min(cost(HyperArchitecture.from_code(code)) for code in told)
    assert search.best is not None
    assert search.best[0] == repeated[-1]
