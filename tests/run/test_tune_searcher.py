"""The Tune adapter translates and nothing else; no cluster is needed to see that."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher
from searches import anchor_search, random_search

from searchers import AskTell, Outcome, Proposal, WithRetraining
from searchers.outcome import Failure
from searchers.remembered import Remembered
from searchers.tune import TuneSearcher
from spaces import GraphSpace, InvalidInput

SPACE = GraphSpace.create(min_vertices=2, max_vertices=4)
SEARCHERS: dict[str, Callable[[], AskTell]] = {
    "anchor": lambda: anchor_search(SPACE, 2, 3, walks=2, gamma=0.26, evaluate_every=1),
    "random": lambda: random_search(SPACE, 2, 3, batch=2, evaluations=2),
    "retraining": lambda: WithRetraining(random_search(SPACE, 2, 2, evaluations=2), 3),
}


def outcome_of(proposal: Proposal) -> Outcome:
    """Something a trial could have found, by the proposal's id alone."""
    number = proposal.index + 1
    if proposal.kind == "ranks":
        row = [-float(number + place) for place in range(proposal.hyper.width)]
        return Outcome(log_weights=(tuple(row),) * proposal.hyper.depth)
    return Outcome(score=None if proposal.kind == "retraining" else 1 / number)


def result_of(outcome: Outcome) -> dict[str, Any]:
    return {"event": json.dumps({"outcome": outcome.to_dict(), "metrics": {}})}


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("at_once", [1, 3])
def test_tune_and_the_loop_ask_for_the_same_trials(name: str, at_once: int) -> None:
    plain, asked, flying = SEARCHERS[name](), list[Proposal](), list[Proposal]()
    while not plain.done:
        while len(flying) < at_once and (plan := plain.ask()) is not None:
            asked.append(plan)
            flying.append(plan)
        last = flying.pop()
        plain.tell(last.id, outcome_of(last))

    adapter, suggested = TuneSearcher(SEARCHERS[name]()), list[Proposal]()
    running: list[tuple[str, Proposal]] = []
    for number in range(10 * len(asked)):
        suggestion = adapter.suggest(f"tune-{number}") if len(running) < at_once else None
        if suggestion == Searcher.FINISHED:
            break
        if suggestion is not None:
            suggested.append(Proposal.from_dict(suggestion["proposal"]))
            running.append((f"tune-{number}", suggested[-1]))
        else:
            trial, proposal = running.pop()
            adapter.on_trial_complete(trial_id=trial, result=result_of(outcome_of(proposal)))
    assert suggestion == Searcher.FINISHED
    assert suggested == asked


LOST, CRASHED = Failure("node lost", "gone"), Failure("worker lost", "killed")


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_dead_trial_is_a_failure_and_the_search_ends(name: str) -> None:
    adapter, count = TuneSearcher(SEARCHERS[name]()), 0
    while (suggestion := adapter.suggest(f"tune-{count}")) != Searcher.FINISHED:
        assert suggestion is not None
        adapter.on_trial_complete(trial_id=f"tune-{count}", result=None, error=True)
        count += 1
        assert count < 600
    assert adapter.source.failures  # type: ignore[attr-defined]


def test_a_lost_node_costs_no_attempt_and_a_crash_is_bounded_without_progress() -> None:
    seen: list[Any] = []
    adapter = TuneSearcher(SEARCHERS["random"](), lambda id, event: seen.append((id, event)))
    plan, count = adapter.suggest("0"), 0

    def dies(failure: Failure) -> Any:
        nonlocal count
        adapter.died(str(count), failure)
        adapter.on_trial_complete(str(count), None, error=True)
        count += 1
        return adapter.suggest(str(count))

    def told(epoch: int) -> None:
        adapter.on_trial_result(str(count), {"event": json.dumps({"epoch": epoch, "metrics": {}})})

    for _ in range(20):
        assert dies(LOST) == plan  # the same id and seed
    assert [dies(CRASHED), dies(CRASHED)] == [plan, plan]
    told(1)
    assert [dies(CRASHED), dies(LOST), dies(CRASHED)] == [plan] * 3
    told(1)  # told again is no progress
    retried = dies(CRASHED)["proposal"]
    first = plan["proposal"]
    while retried["index"] != first["index"]:  # others of the batch stand before it
        retried = adapter.suggest(f"more-{retried['id']}")["proposal"]
    assert retried["attempt"] == 1
    assert retried["seed"] != first["seed"]
    restarted = [event["restarted"] for _, event in seen if "restarted" in event]
    assert restarted.count(vars(LOST)) == 21
    assert restarted.count(vars(CRASHED)) == 4


def test_no_more_run_than_there_are_slots_and_new_ones_are_used() -> None:
    slots = 1
    adapter = TuneSearcher(SEARCHERS["random"](), slots=lambda: slots)
    assert adapter.suggest("a") is not None
    assert adapter.suggest("b") is None
    slots = 2
    assert adapter.suggest("b") is not None
    assert adapter.suggest("c") is None


def test_events_reach_the_observer_under_the_proposals_id() -> None:
    seen: list[tuple[str, Any]] = []
    adapter = TuneSearcher(SEARCHERS["random"](), lambda id, event: seen.append((id, event)))
    proposal = Proposal.from_dict(adapter.suggest("abc")["proposal"])
    adapter.on_trial_result("abc", {"event": json.dumps({"epoch": 1, "metrics": {"loss": 0.5}})})
    adapter.on_trial_complete("abc", result_of(outcome_of(proposal)))
    assert [id for id, _ in seen] == [proposal.id] * 2
    assert seen[0][1] == {"epoch": 1, "metrics": {"loss": 0.5}}


def test_waiting_without_a_running_trial_is_an_error_and_no_hang() -> None:
    class Stuck:
        done = False

        def ask(self) -> None:
            return None

    with pytest.raises(RuntimeError, match="no trial is running"):
        TuneSearcher(Stuck()).suggest("abc")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_remembered_searcher_goes_on_from_the_saved_state_which_is_json(
    name: str, tmp_path: Path
) -> None:
    first = TuneSearcher(Remembered(SEARCHERS[name]()))
    proposal = Proposal.from_dict(first.suggest("a")["proposal"])
    first.save(str(tmp_path / "state"))
    json.loads((tmp_path / "state").read_text())
    second = TuneSearcher(Remembered(SEARCHERS[name]()))
    second.restore(str(tmp_path / "state"))
    for adapter in (first, second):
        adapter.on_trial_complete("a", result_of(outcome_of(proposal)))
    assert first.suggest("b") == second.suggest("b")


def test_a_snapshot_holds_what_runs_and_not_the_history(tmp_path: Path) -> None:
    adapter, sizes = TuneSearcher(SEARCHERS["random"]()), list[int]()
    for number in range(6):
        proposal = Proposal.from_dict(adapter.suggest(f"tune-{number}")["proposal"])
        adapter.save(str(tmp_path / "state"))
        sizes.append((tmp_path / "state").stat().st_size)
        adapter.on_trial_complete(f"tune-{number}", result_of(outcome_of(proposal)))
    assert max(sizes) < 1.5 * sizes[0]
    with pytest.raises(InvalidInput, match="`Remembered`"):
        TuneSearcher(Remembered(SEARCHERS["random"]())).restore(str(tmp_path / "state"))
    with pytest.raises(InvalidInput, match="`Remembered`"):
        adapter.restore(str(tmp_path / "state"))
