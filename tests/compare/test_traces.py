"""From the record of a comparison to its traces."""

from itertools import permutations

from searches import random_search

from fade_ray.compare.entered_history import EnteredHistory, unspent
from searchers import Outcome
from searchers.contest import Entered
from spaces import GraphSpace

TIME = "2024-01-01T00:00:00.000+00:00"
TESTED = (0.1, 0.2, 0.3)


def record(order: tuple[int, ...]) -> EnteredHistory:
    """Three evaluations of one batch, equally good on the architecture split, that end in this
    order.
    """
    search = random_search(GraphSpace.create(2, 4), 2, 1, evaluations=3)
    batch = [Entered.of("random-0", proposal) for proposal in iter(search.ask, None)]
    asked = [
        {"event": "proposed", "time": TIME, "proposal": entered.to_dict()} for entered in batch
    ]
    ended = [
        {
            "event": "finished",
            "time": TIME,
            "id": batch[i].id,
            "outcome": Outcome(score=0.5, cost=i + 1.0).to_dict(),
            "metrics": {"test_accuracy": TESTED[i]},
        }
        for i in order
    ]
    return EnteredHistory([*asked, *ended])


def test_which_of_several_trials_ends_first_does_not_matter() -> None:
    """Else equally good architectures, frequent on few images, would make two runs of the same
    comparison differ.
    """
    for order in permutations(range(3)):
        (found,) = record(order).traces({"random-0": ("random", 0)}, 10.0, "images", {"random-0"})
        assert found.reports == TESTED
        assert found.costs == (1.0, 3.0, 6.0)
        assert len(found.architectures) == 3


def test_a_search_is_complete_by_its_event_or_by_the_result_of_an_earlier_version() -> None:
    ended = EnteredHistory([{"event": "over", "time": TIME, "entry": "random-0"}])
    assert ended.complete({}) == {"random-0"}
    assert record((0,)).complete({}) == set()
    assert EnteredHistory([]).complete({"complete": {"random-0": True, "fade-0": False}}) == {
        "random-0"
    }


def test_what_is_unspent_is_a_mean_share_of_the_budgets() -> None:
    rest = {"fade-blind-0": 1.0, "fade-blind-1": 3.0, "random-0": 0.0}
    assert unspent({"unspent": rest}, 10.0) == {"fade-blind": 0.2, "random": 0.0}
    assert unspent({}, 10.0) == {}
