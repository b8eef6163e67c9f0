"""How long a run will take: by what its epochs cost, from the record as from the live line."""

import heapq
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fade_ray.kinds import kind_of_run
from fade_ray.records.journal import FORMAT
from fade_ray.run.forecast import Forecast
from fade_ray.search.search_config import Config
from fade_ray.search.search_history import History
from searchers import BayesPoints, Outcome, RandomPoints
from searchers.rehearsal import rehearsed

SEARCH: Any = kind_of_run("search")
EPOCH = dict.fromkeys(("evaluation", "repeat"), 1.0) | {"ranks": 3.0}
EPOCH |= dict.fromkeys(("retraining", "baseline"), 1.4)
STARTS = 0.8  # seconds before the first epoch of a trial


def played(config: Config, at_once: int) -> list[dict[str, Any]]:
    """The events of a search whose epochs take the seconds of `EPOCH`, so many trials at once."""
    searcher, events, now = SEARCH.searcher(config), [], 0.0
    coming: list[tuple[float, str, int]] = []  # when, trial, its epoch
    plans: dict[str, Any] = {}
    began: dict[str, float] = {}

    def event(name: str, **fields: Any) -> None:
        time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=now)
        events.append({"event": name, "time": time.isoformat(timespec="milliseconds"), **fields})

    event("start", format=FORMAT)
    now = 30.0  # a cluster is started
    while not searcher.done:
        while len({id for _, id, _ in coming}) < at_once and (plan := searcher.ask()) is not None:
            plans[plan.id], began[plan.id] = plan, now
            event("proposed", proposal=plan.to_dict())
            heapq.heappush(coming, (now + STARTS + EPOCH[plan.kind], plan.id, 1))
        now, id, epoch = heapq.heappop(coming)
        plan = plans[id]
        event("epoch", id=id, epoch=epoch, metrics={"seconds": EPOCH[plan.kind], "images": 1})
        if epoch < plan.epochs:
            heapq.heappush(coming, (now + EPOCH[plan.kind], id, epoch + 1))
            continue
        w, d = plan.hyper.width, plan.hyper.depth
        score = len(plans) / 100 if plan.scored else None
        outcome = Outcome(log_weights=((-1.0,) * w,) * d) if plan.ranks else Outcome(score=score)
        sums = {"seconds": plan.epochs * EPOCH[plan.kind], "trial_seconds": now - began[id]}
        event("finished", id=id, outcome=outcome.to_dict(), metrics=sums)
        searcher.tell(id, outcome)
    return events


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("searcher", [None, RandomPoints(iterations=4), BayesPoints(iterations=4)])
def test_after_a_quarter_the_time_left_is_within_a_factor_of_1_3(
    searcher: Any, at_once: int
) -> None:
    config = Config() if searcher is None else replace(Config(), searcher=searcher)
    events = played(config, at_once)
    whole = History(events).active
    planned = SEARCH.coming(config)
    told = []
    for count in range(2, len(events), max(1, len(events) // 30)):
        history = History(events[:count])
        left = Forecast.of(planned, history).left(history.active)
        if 0.25 * whole <= history.active <= 0.75 * whole:
            told.append((left or 0.0) / (whole - history.active))
    assert len(told) > 8
    assert 1 / 1.3 < min(told) <= max(told) < 1.3
    assert planned["retraining"].epochs >= config.outer.retrain_epochs
    assert Forecast.of(planned, History(events)).left(whole) == 0


def test_time_between_two_starts_and_before_the_first_trial_does_not_count() -> None:
    times = ("00:00:00", "00:00:30", "00:00:40", "02:00:00", "02:00:20", "02:00:25")
    plan = SEARCH.searcher(Config()).ask()
    names = ("start", "proposed", "epoch", "start", "epoch", "epoch")
    more: list[dict[str, Any]] = [{}, {"proposal": plan.to_dict()}, {}, {"resumed": True}, {}, {}]
    events = [
        {"event": name, "time": f"2026-01-01T{time}+00:00", "id": plan.id, "epoch": n, **fields}
        | ({"metrics": {"seconds": 1.0}} if name == "epoch" else {})
        for n, (name, time, fields) in enumerate(zip(names, times, more, strict=True))
    ]
    assert History(events).active == 10 + 5


def test_a_rehearsal_asks_for_what_the_search_asks() -> None:
    config = Config()
    asked = [e["proposal"]["kind"] for e in played(config, 1) if e["event"] == "proposed"]
    assert [plan.kind for plan in rehearsed(SEARCH.searcher(config))] == asked
