"""How far a run is, from its files alone."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from fade_ray.cells.cell_history import CELLS, CellHistory
from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.record_traces import complete
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import read_events, wording
from fade_ray.replay.replay_run import REPLAY, recorded
from fade_ray.run.folder import SEARCH, read_json, read_result, stored, stored_kind
from fade_ray.run.progress import clock
from fade_ray.search.search_config import upgrade
from fade_ray.search.search_history import History
from spaces.errors import InvalidInput


class Standing(NamedTuple):
    """What a kind of run says about itself beside what every run says."""

    history: TrialHistory[Any]
    reached: str
    """How much is done of what, where."""
    best: str
    result: Callable[[Mapping[str, Any]], str]
    """From result.json."""


def _search(folder: Path, config: Mapping[str, Any]) -> Standing:
    history = History.read(folder / "records.jsonl")
    searcher = upgrade(config)["searcher"]
    reached = min(searcher["iterations"], max(history.anchors, default=0))
    return Standing(
        history,
        f"iteration {reached} of {searcher['iterations']}, {searcher['name']} search on "
        f"{config['data']['data']}",
        "-" if history.best is None else f"{history.best.score:.4f} (evaluation {history.best.id})",
        lambda result: (
            f"test accuracy {result['test_accuracy']:.4f}, {result['architecture']['code']}"
        ),
    )


def _best(history: TrialHistory[Any]) -> tuple[str, float] | None:
    """(id, accuracy) of the trial of highest accuracy, the first to end of equal ones; None without
    any.
    """
    scored = [
        (id, outcome.score) for id, outcome in history.outcomes.items() if outcome.score is not None
    ]
    return max(scored, key=lambda one: one[1], default=None)


def _cells(folder: Path, config: Mapping[str, Any]) -> Standing:
    history = CellHistory.read(folder / "records.jsonl")
    grid = config["grid"]
    total = len(grid["recipes"]) * len(grid["spaces"]) * len(grid["seeds"])
    best = _best(history)
    return Standing(
        history,
        f"{len(history.outcomes)} of {total} cell searches on {config['data']['data']}",
        "-"
        if best is None
        else f"proxy accuracy {best[1]:.4f} ({history.proposals[best[0]].kind}, trial {best[0]})",
        lambda result: f"{folder / 'cells.json'}",
    )


def _compare(folder: Path, config: Mapping[str, Any]) -> Standing:
    history = EnteredHistory.read(folder / "records.jsonl")
    contest, budget = config["contest"], read_json(folder / "budget.json")
    searches = len(contest["searchers"]) * len(contest["seeds"])
    entries = {entered.entry for entered in history.proposals.values()}
    each = [sum(history.outcomes[id].cost or 0.0 for id in history.of(entry)) for entry in entries]
    # in seconds a search ends a little beyond
    spent = sum(min(budget["budget"], cost) for cost in each)
    over = len(complete(history, read_result(folder)))
    best = _best(history)
    return Standing(
        history,
        f"{spent / (searches * budget['budget']):.0%} of the budgets of {searches} searches on {config['data']['data']}, {over} at their end",
        "-" if best is None else f"{best[1]:.4f} (evaluation {best[0]})",
        lambda result: f"{folder / 'comparison.json'}",
    )


def _rank_study(folder: Path, config: Mapping[str, Any]) -> Standing:
    history = EnteredHistory.read(folder / "records.jsonl")
    study = config["study"]
    alone = 0 if study["table"] else study["sample"] * study["repeats"]
    trials = len(study["settings"]) * len(study["seeds"]) + alone
    return Standing(
        history,
        f"{len(history.outcomes)} of {trials} trainings of a rank study on {config['data']['data']}",
        "-",
        lambda result: f"{folder / 'ranks.json'}",
    )


STANDINGS: dict[str, Callable[[Path, Mapping[str, Any]], Standing]] = {
    SEARCH.command: _search,
    CELLS.command: _cells,
    "compare": _compare,
    "rank-study": _rank_study,
}
"""By the kind of run: (folder, config.json) -> Standing."""


def _retraining(folder: Path) -> str:
    """A retraining is no run of trials: its record holds the epochs of one."""
    events = read_events(folder / "records.jsonl")
    config = read_json(folder / "config.json")
    epochs = [event for event in events if event["event"] == "epoch"]
    finished = (folder / "result.json").exists()
    done = max((event["epoch"] for event in epochs), default=0)
    last = epochs[-1]["metrics"] if epochs else {}
    lines = [
        f"{folder}: {'finished' if finished else 'not finished'}, epoch {done} of {config['train']['epochs']} on {config['data']['data']}",
        *(
            [f"  test       {last['test_accuracy']:.4f} after it"]
            if last.get("test_accuracy") is not None
            else []
        ),
        f"  last event {events[-1]['time'] if events else '-'}{_age(events[-1]['time'] if events else None)}",
        *([] if finished else [f"  continue   fade-ray retrain --out {folder}"]),
    ]
    return "\n".join(lines)


def _replay(folder: Path) -> str:
    """Searches on a table are no trials either: its record holds those that have ended."""
    config = stored(folder, REPLAY)
    assert config is not None
    result = read_result(folder)
    if result:
        return f"{folder}: finished, a replay on {result['benchmark']}\n  report     {folder / 'report.html'}"
    jobs, done = config.jobs(), recorded(folder)
    reached = (
        f"{sum(job in done for job in jobs)} of {len(jobs)} searches of a replay on {config.table}"
    )
    return f"{folder}: not finished, {reached}\n  continue   fade-ray replay --out {folder}"


def status(folder: Path) -> str:
    """A few lines for people. Raises InvalidInput if the records cannot be read."""
    kind = stored_kind(folder) or SEARCH.command
    if kind == "retrain":
        return _retraining(folder)
    if kind == "replay":
        return _replay(folder)
    if kind not in STANDINGS:
        raise InvalidInput(
            f"{folder} holds a run of `fade-ray {kind}`, but this version knows {', '.join(STANDINGS)} only. "
            "Use the version of fade_ray that wrote it (see environment.json)."
        )
    history, reached, best, result = STANDINGS[kind](folder, read_json(folder / "config.json"))
    trials, cost = history.trials, history.cost
    finished = (folder / "result.json").exists()
    lines = [
        f"{folder}: {'finished' if finished else 'not finished'}, {reached}",
        f"  trials     {trials['done']} done, {trials['failed']} failed, {trials['retried']} retried, {len(history.in_flight)} open",
        f"  best       {best}",
        f"  cost       {cost.images:,} training images, {cost.multiply_adds:.3g} multiply-adds, {clock(cost.seconds)} training",
        f"  last event {history.last or '-'}{_age(history.last)}",
    ]
    lines += [
        f"  warning    {message}"
        for message in {wording(m): m for _, m in history.warnings}.values()
    ]
    if finished:
        lines.append(f"  result     {result(read_json(folder / 'result.json'))}")
        lines.append(f"  report     {folder / 'report.html'}")
    else:
        lines.append(f"  continue   fade-ray {kind} --out {folder}")
    return "\n".join(lines)


def _age(stamp: str | None) -> str:
    if stamp is None:
        return ""
    now = datetime.now().astimezone()
    return f" ({clock((now - datetime.fromisoformat(stamp)).total_seconds())} ago)"
