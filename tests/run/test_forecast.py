"""How long a run will take: by what its epochs cost, from the record as from the live line."""

import heapq
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from fade_ray.cells.cell_job import cell_stages, staged
from fade_ray.cells.cell_trials import CellHistory
from fade_ray.cells.cells_config import CellsConfig, GridConfig, RetrainingOptions
from fade_ray.compare.compare_config import CompareConfig, ContestConfig
from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.trace import Trace
from fade_ray.kinds import kind_of_run
from fade_ray.records.journal import FORMAT
from fade_ray.records.json_form import as_json
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.replay.replay_run import ReplayHistory, forecast
from fade_ray.replay.replay_study import Replayed
from fade_ray.run.forecast import ByShare, Forecast, GridForecast, Remaining
from fade_ray.search.search_config import Config
from fade_ray.search.search_history import History
from searchers import BayesPoints, Outcome, RandomPoints
from searchers.contest import Contest
from searchers.rehearsal import rehearsed
from spaces import GraphSpace

SEARCH: Any = kind_of_run("search")
CELLS: Any = kind_of_run("cells")
EPOCH = dict.fromkeys(("evaluation", "repeat"), 1.0) | {"ranks": 3.0}
EPOCH |= dict.fromkeys(("retraining", "baseline"), 1.4)
STARTS = 0.8  # seconds before the first epoch of a trial


def in_search(plan: Any) -> tuple[float, Outcome]:
    """Seconds of an epoch, and the outcome."""
    w, d = plan.hyper.width, plan.hyper.depth
    ranks = Outcome(log_weights=((-1.0,) * w,) * d)
    return EPOCH[plan.kind], ranks if plan.ranks else Outcome(score=0.5 if plan.scored else None)


def played(
    searcher: Any, at_once: int, of: Callable[[Any], tuple[float, Outcome]] = in_search
) -> list[dict[str, Any]]:
    """The events of a run, so many trials at once; `of` a plan: seconds of an epoch, outcome."""
    events, now = list[dict[str, Any]](), 0.0
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
            if not hasattr(plan, "hyper"):  # trials of cells tell how they begin
                event("epoch", id=plan.id, epoch=0, metrics={"skip_share": 0.1})
            heapq.heappush(coming, (now + STARTS + of(plan)[0], plan.id, 1))
        now, id, epoch = heapq.heappop(coming)
        plan = plans[id]
        seconds, outcome = of(plan)
        event("epoch", id=id, epoch=epoch, metrics={"seconds": seconds, "images": 1})
        if epoch < plan.epochs:
            heapq.heappush(coming, (now + seconds, id, epoch + 1))
            continue
        sums = {"seconds": plan.epochs * seconds, "trial_seconds": now - began[id]}
        event("finished", id=id, outcome=outcome.to_dict(), metrics=sums)
        searcher.tell(id, outcome)
    return events


def within_1_3(
    events: list[dict[str, Any]], read: type[Any], foreseen: Callable[[Any], Remaining]
) -> None:
    """What is told between a quarter and three quarters of a run."""
    whole, told = read(events).active, list[float]()
    for count in range(2, len(events), max(1, len(events) // 30)):
        history = read(events[:count])
        if 0.25 * whole <= history.active <= 0.75 * whole:
            left = foreseen(history).left(history.active) or 0.0
            told.append(left / (whole - history.active))
    assert len(told) > 8
    assert 1 / 1.3 < min(told) <= max(told) < 1.3


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_so_it_is_for_a_comparison(at_once: int) -> None:
    contest = ContestConfig(searchers=("fade", "random", "evolution"))
    space = GraphSpace.create()
    searches = {n: config.search(space) for n, config in CompareConfig(contest=contest).configs()}

    def price(name: str, plan: Any) -> float:
        return plan.epochs * EPOCH[plan.kind]

    def of(plan: Any) -> tuple[float, Outcome]:
        seconds, outcome = in_search(plan)
        varied = seconds * (0.7 + 0.6 * (plan.index % 7) / 6)  # architectures differ
        return varied, replace(outcome, cost=price("", plan))

    events = played(Contest(searches, budget := 90.0, price), at_once, of)
    read = partial(EnteredHistory.share, entries=searches, budget=budget)
    within_1_3(events, EnteredHistory, lambda history: ByShare(partial(read, history)))


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_so_it_is_for_searches_of_cells(at_once: int) -> None:
    grid = GridConfig(recipes=("darts-1st", "darts-2nd"), spaces=("s5",), seeds=(0, 1, 2, 3))
    config = CellsConfig(grid=replace(grid, epochs=10))
    seconds = {"darts-1st-s5": 1.0, "darts-2nd-s5": 2.7}

    def of(plan: Any) -> tuple[float, Outcome]:
        return seconds[plan.alike], Outcome(found=plan.id)

    events = played(staged(config, cell_stages(config)), at_once, of)
    planned = CELLS.coming(config)
    within_1_3(events, CellHistory, lambda history: GridForecast.of(planned, history))
    assert GridForecast.of(planned, CellHistory(events)).left(1.0) == 0
    more = replace(config, retraining=RetrainingOptions(retrain=True, retrain_epochs=(10,)))
    (trained,) = (part for part in CELLS.coming(more).values() if part.at_once)
    assert (trained.trials, trained.epochs) == (16, 160)


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("searcher", [None, RandomPoints(iterations=4), BayesPoints(iterations=4)])
def test_after_a_quarter_the_time_left_is_within_a_factor_of_1_3(
    searcher: Any, at_once: int
) -> None:
    config = Config() if searcher is None else replace(Config(), searcher=searcher)
    events = played(SEARCH.searcher(config), at_once)
    whole = History(events).active
    planned = SEARCH.coming(config)
    within_1_3(events, History, lambda history: Forecast.of(planned, history))
    assert planned["retraining"].epochs >= config.outer.retrain_epochs
    assert Forecast.of(planned, History(events)).left(whole) == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_so_it_is_for_a_replay(workers: int) -> None:
    """Bayesian search takes two hundred times as long, for fewer seeds; it is stopped once."""
    names = ("random", "bayes", "fade")
    config = ReplayConfig("x.parquet", names, seeds=60, bayes_seeds=40, workers=workers)
    lasts = {"random": 0.1, "bayes": 20.0, "fade": 8.0}
    events: list[dict[str, Any]] = []
    now, places, late = 0.0, [5.0] * workers, 0.0  # processes are started

    def event(name: str, **fields: Any) -> None:
        time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=now + late)
        events.append({"event": name, "time": time.isoformat(), **fields})

    event("start", format=FORMAT)
    for number, (name, seed) in enumerate(sorted(config.jobs(), key=lambda job: job[1] > 0)):
        seconds = lasts[name] * (0.8 + 0.4 * (seed * 7 % 5) / 4)
        ended = heapq.heappop(places) + seconds
        heapq.heappush(places, ended)
        now = max(now, ended)  # they are told of in their order
        if number == 75:
            late = 10000.0
            event("start", resumed=True)
        trace = Trace(name, seed, 200.0, "evaluations", (), (), ())
        event("replayed", **as_json(Replayed(trace, 0.0, None, seconds)))
    within_1_3(events, ReplayHistory, partial(forecast, config))
    assert forecast(config, ReplayHistory(events)).left(100.0) == 0
    assert forecast(config, ReplayHistory(events[:2])).left(100.0) is None


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
    asked = [
        e["proposal"]["kind"]
        for e in played(SEARCH.searcher(config), 1)
        if e["event"] == "proposed"
    ]
    assert [plan.kind for plan in rehearsed(SEARCH.searcher(config))] == asked
