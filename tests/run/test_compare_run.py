"""`fade-ray compare` from configuration to verdict: carried out, stopped, continued, refused."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs import compare, prepare, read_traces, status
from stopper import Stopper

from fade_ray.cli import main
from fade_ray.compare.compare_config import CompareConfig, ContestConfig
from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.trace import pooled
from fade_ray.data.data_config import DataConfig
from fade_ray.kinds import kind_in
from fade_ray.nn import NetworkConfig
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from fade_ray.search.entrants import WALK
from fade_ray.search.search_config import OuterConfig, SpaceConfig
from fade_ray.training import Adam, ArchitectureConfig, TrainConfig
from searchers import Outcome
from spaces.errors import InvalidInput

Story = Callable[[Path], dict[str, Any]]


def small(out: Path, **contest: Any) -> CompareConfig:
    return CompareConfig(
        contest=ContestConfig(**({"seeds": (0, 1), "budget": 160 * 7.0} | contest)),
        data=DataConfig(limit=240),
        space=SpaceConfig(min_vertices=2, max_vertices=4),
        network=NetworkConfig(depth=2, final_channels=4, kernel=3),
        train=TrainConfig(batch_size=64),
        architecture=ArchitectureConfig(paths=2),
        anchor=replace(WALK, gamma=0.26),
        outer=OuterConfig(rank_epochs=1, evaluation_epochs=1),
        run=RunConfig(engine="local"),
        out=str(out),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compare(small(tmp_path_factory.mktemp("compare") / "run"), watchers=())


def test_every_search_spends_what_it_may(whole: Path) -> None:
    found = read_traces(whole)
    assert [(trace.searcher, trace.seed) for trace in found] == [
        (name, seed) for seed in (0, 1) for name in ("fade", "random", "bayes", "evolution")
    ]
    assert all(trace.complete for trace in found)
    for trace in found:
        assert trace.costs[-1] <= 160 * 7
        # an evaluation costs an epoch of the 160 images; a hyper-architecture one and a third of it
        # per path
        assert len(trace.costs) == (7 if trace.searcher != "fade" else 5)
    assert len({report for trace in found for report in trace.reports}) > 2


def test_fade_buys_no_ranks_that_it_cannot_act_on(whole: Path) -> None:
    """After its first batch 693 of 1,120 images are left: another one takes 587, and the rest
    covers no evaluation to act on it.
    """
    history = EnteredHistory.read(whole / "records.jsonl")
    result = json.loads((whole / "result.json").read_text())
    ranks = 160 * (1 + 2 / 3)
    for search in ("fade-0", "fade-1"):
        kinds = [history.proposals[id].kind for id in history.of(entry=search)]
        assert kinds == ["ranks"] + ["evaluation"] * 5
        costs = [history.outcomes[id].cost for id in history.of(entry=search)]
        assert costs == pytest.approx([ranks] + [160] * 5)
        assert result["unspent"][search] == pytest.approx(160 * 7 - ranks - 160 * 5)
    assert all(result["unspent"][f"{name}-0"] == 0 for name in ("random", "bayes", "evolution"))
    fade = next(trace for trace in read_traces(whole) if trace.searcher == "fade")
    assert fade.costs == pytest.approx([ranks + 160 * i for i in range(1, 6)])


def test_the_folder_of_a_comparison(whole: Path) -> None:
    comparison = json.loads((whole / "comparison.json").read_text())
    assert {row["searcher"] for row in comparison["summaries"]} == {
        "fade",
        "random",
        "bayes",
        "evolution",
    }
    fade = next(row for row in comparison["summaries"] if row["searcher"] == "fade")
    assert fade["spent_on_ranks"] == pytest.approx(160 * (1 + 2 / 3))
    assert comparison["verdict"]
    assert (whole / "report.html").stat().st_size > 10_000
    assert list((whole / "tables").glob("*.csv"))
    assert "finished, 99% of the budgets of 8 searches on digits, 8 at their end" in status(whole)


def test_the_report_tells_what_the_found_architectures_take(whole: Path) -> None:
    text = (whole / "report.html").read_text()
    table = text[text.index("What was found takes") :]
    assert "latency (ms)" in table[: table.index("</table>")]
    history = kind_in(whole).read(whole).history
    for trace in read_traces(whole):
        sizes = history.measured(f"{trace.searcher}-{trace.seed}", str(pooled([trace]).best))
        assert sizes["latency_ms"] > 0
        assert sizes["parameters"] > 0


def test_seeds_that_cannot_show_anything_are_said_to_before_the_first_trial(whole: Path) -> None:
    events = [json.loads(line) for line in (whole / "records.jsonl").read_text().splitlines()]
    names = [event["event"] for event in events]
    told = events[names.index("warning")]["message"]
    assert "With 2 seeds no p can be below 0.500" in told
    assert names.index("warning") < names.index("proposed")


def test_no_searcher_sees_a_test_accuracy(whole: Path) -> None:
    for line in (whole / "records.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "finished":
            assert set(event["outcome"]) <= {"log_weights", "score", "failure", "cost", "measures"}
            assert "test_accuracy" not in event["outcome"].get("measures", {})
            if "score" in event["outcome"]:
                assert event["metrics"]["test_accuracy"] is not None


@pytest.mark.parametrize("epochs", [20, 50])
def test_stopped_and_continued_is_the_same_comparison(
    whole: Path, tmp_path: Path, story: Story, epochs: int
) -> None:
    with pytest.raises(Interrupted):
        compare(small(tmp_path / "run"), watchers=[Stopper(epochs)])
    main(["report", str(tmp_path / "run")])
    finished = {
        (trace.searcher, trace.seed): len(trace.costs) == (5 if trace.searcher == "fade" else 7)
        for trace in read_traces(tmp_path / "run")
    }
    assert {
        (trace.searcher, trace.seed): trace.complete for trace in read_traces(tmp_path / "run")
    } == finished
    assert any(finished.values()) == (epochs == 50)
    assert not all(finished.values())
    said = status(tmp_path / "run")
    assert "not finished" in said
    assert f"{sum(finished.values())} at their end" in said
    compare(small(tmp_path / "run"), watchers=())
    told, before = story(tmp_path / "run"), story(whole)
    for events in (told, before):  # what it was called with and measured differs
        for _, metrics in events["finished"].values():
            metrics.pop("device", None)
    assert told == before


def test_seconds_may_be_the_unit(tmp_path: Path) -> None:
    config = small(
        tmp_path / "run", unit="seconds", budget=1.0, searchers=("fade", "random"), seeds=(0,)
    )
    found = read_traces(compare(config, watchers=()))
    assert all(trace.unit == "seconds of training" for trace in found)
    assert all(0 < trace.costs[-1] <= 1.0 for trace in found if trace.costs)


def test_a_record_without_ends_is_complete_by_its_result(whole: Path, tmp_path: Path) -> None:
    """As those of earlier versions."""
    old = tmp_path / "run"
    shutil.copytree(whole, old)
    lines = (old / "records.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["event"] != "over"]
    assert len(lines) - len(kept) == 8
    (old / "records.jsonl").write_text("".join(kept))
    (old / ".records.jsonl.kept").unlink()
    assert read_traces(old) == read_traces(whole)
    (old / "result.json").unlink()
    assert not any(trace.complete for trace in read_traces(old))


def test_one_that_was_stopped_before_its_first_search_has_nothing_to_report(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for name in ("budget.json", "result.json", ".records.jsonl.kept"):
        (folder / name).unlink()
    (folder / "records.jsonl").write_text("")
    with pytest.raises(SystemExit) as left:
        main(["report", str(folder)])
    assert left.value.code == 2
    assert "nothing to report. Continue it with" in capsys.readouterr().err


def test_seconds_that_cover_no_evaluation_are_said_to(tmp_path: Path) -> None:
    config = small(
        tmp_path / "run", unit="seconds", budget=1e-6, searchers=("fade", "random"), seeds=(0,)
    )
    folder = compare(config, watchers=())
    assert all(trace.complete and not trace.costs for trace in read_traces(folder))
    (told,) = [line for line in status(folder).splitlines() if "ended without one" in line]
    assert (
        "fade-0, random-0 ended without one inside the budget of 1e-06 seconds of training" in told
    )
    assert "an evaluation took" in told
    assert "Raise --budget" in told
    history = EnteredHistory.read(folder / "records.jsonl")
    assert {id: history.proposals[id].kind for id in history.outcomes} == {
        "fade-0-00000": "ranks",
        "fade-0-00001": "evaluation",
        "random-0-00000": "evaluation",
    }


class Impatient(Watcher):
    """Ends a run that does not end by itself."""

    def __init__(self) -> None:
        self.trials = 0

    def finished(self, proposal: Any, outcome: Outcome, metrics: Any) -> None:
        self.trials += 1
        assert self.trials < 100


@pytest.mark.parametrize(("unit", "budget"), [("images", 160 * 7.0), ("seconds", 0.001)])
def test_trials_that_fail_are_paid_for_in_the_record_too(
    tmp_path: Path, unit: str, budget: float
) -> None:
    config = small(
        tmp_path / "run", unit=unit, budget=budget, searchers=("random", "evolution"), seeds=(0,)
    )
    folder = compare(
        replace(config, train=TrainConfig(batch_size=64, optimiser=Adam(learning_rate=1e30))),
        watchers=[Impatient()],
    )
    history = EnteredHistory.read(folder / "records.jsonl")
    assert all(outcome.failure for outcome in history.outcomes.values())
    for search in ("random-0", "evolution-0"):
        costs = [history.outcomes[id].cost for id in history.of(entry=search)]
        assert all(cost is not None and cost > 0 for cost in costs)
        if unit == "images":
            assert costs == [160.0] * 7
    assert not any(trace.scores for trace in read_traces(folder))
    assert "finished, 100% of the budgets of 2 searches" in status(folder)
    assert "without one inside" not in status(folder), "the failures are told already"


@pytest.mark.parametrize(
    ("contest", "words"),
    [
        ({"searchers": ("fade", "randon")}, "Did you mean 'random'"),
        ({"searchers": ("fade",)}, "baseline takes part"),
        ({"budget": 200.0}, "first evaluation"),
        ({"budget": 0.0}, "0 < budget < inf"),
        ({"budget": math.inf}, "0 < budget < inf"),
        ({"budget": math.nan, "unit": "seconds"}, "0 < budget < inf"),
        ({"seeds": ()}, "len"),
        ({"seeds": (0, 0)}, "seeds differ"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(
    tmp_path: Path, contest: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        prepare("compare", small(tmp_path, **contest))


def test_another_comparison_in_the_same_folder_is_refused(whole: Path) -> None:
    config = small(whole)
    other = replace(config, contest=replace(config.contest, seeds=(0, 1, 2)))
    with pytest.raises(InvalidInput, match=r"contest\.seeds"):
        compare(other, watchers=())


def test_a_comparison_exports_nothing_and_says_so(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["export", str(whole)])
    told = capsys.readouterr().err
    assert "a run of `fade-ray compare`" in told
    assert "retrain " not in told


def test_searchers_may_be_given_with_commas() -> None:
    assert ContestConfig(searchers=("fade,random", "bayes")).searchers == (
        "fade",
        "random",
        "bayes",
    )
