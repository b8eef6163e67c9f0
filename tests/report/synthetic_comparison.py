"""Made-up directories of comparisons and rank studies with planted behaviour, written as the
commands write them.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from parsed_page import read_run

from fade_ray.compare.comparison import Comparison
from fade_ray.compare.comparison_page import comparison_page
from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.trace import Trace
from fade_ray.ranks.rank_page import rank_page
from fade_ray.ranks.rank_records import Alone, RankEpoch, RankHistory, RankRun
from fade_ray.ranks.rank_summary import RankFindings, TableStudy, summary_of
from fade_ray.ranks.rank_trials import RankTrial
from fade_ray.records.journal import FORMAT, Journal
from fade_ray.report.page import write_page
from searchers.base import Proposal, Trial
from searchers.contest import Entered
from searchers.outcome import Outcome
from spaces.dag import Dag
from spaces.hyper import HyperArchitecture

ENVIRONMENT = {
    "fade_ray": "0.1.0",
    "torch": "2.5.1",
    "platform": "Linux x86_64",
    "device": "cpu",
    "cpus": 2,
}
SKILL = {"fade": 0.05, "random": 0.0, "bayes": 0.0, "evolution": 0.02}
"""By how much the evaluations of a searcher are better than those of random search."""


def write(folder: Path, **files: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.json").write_text(json.dumps(data))


def synthetic_traces(
    seeds: int = 8,
    evaluations: int = 12,
    searchers: Sequence[str] = tuple(SKILL),
    partial: Sequence[tuple[str, int]] = (),
    unit: str = "training images",
) -> list[Trace]:
    """Accuracies around 0.6; "fade" begins when a quarter of the budget is spent, since it pays for
    its ranks.
    """
    found = []
    for number, name in enumerate(searchers):
        for seed in range(seeds):
            rng, budget = np.random.default_rng([number, seed]), 1000.0 * evaluations
            start = budget / 4 if name == "fade" else budget / evaluations
            n = evaluations // 2 if (name, seed) in partial else evaluations
            costs = np.linspace(start, budget, evaluations)[:n]
            scores = np.clip(rng.normal(0.6 + SKILL.get(name, 0.0), 0.01, n), 0, 1).round(4)
            reports = np.clip(scores + rng.normal(0, 0.004, n), 0, 1).round(4)
            sequences = (tuple(values.tolist()) for values in (costs, scores, reports))
            found.append(Trace(name, seed, budget, unit, *sequences, (name, seed) not in partial))
    return found


class SyntheticEntered:
    """A record of trials of several searches."""

    def __init__(self, folder: Path, command: str) -> None:
        write(
            folder,
            environment={**ENVIRONMENT, "command": command},
            config={"data": {"name": "digits"}},
        )
        self.folder, self.journal, self.index = folder, Journal(folder / "records.jsonl"), 0
        self.journal.append("start", format=FORMAT, resumed=False)

    def propose(self, entry: str, kind: Any, hyper: HyperArchitecture) -> Entered:
        id = f"{self.index:05d}"
        proposal = Proposal(id, kind, hyper, 7 * self.index, 5, index=self.index)
        return self.proposed(Entered.of(entry, proposal))

    def proposed(self, plan: Any) -> Any:
        self.index += 1
        self.journal.append("proposed", proposal=plan.to_dict())
        return plan

    def finish(self, entered: Trial, outcome: Outcome, **metrics: Any) -> None:
        cost = {
            "images": 1000,
            "multiply_adds": 10**6,
            "seconds": 2.0,
            "trial_seconds": 2.5,
            "peak_memory_mib": 123.4,
        }
        self.journal.append(
            "finished", id=entered.id, outcome=outcome.to_dict(), metrics={**cost, **metrics}
        )


def architecture(*graphs: Dag) -> HyperArchitecture:
    return HyperArchitecture(tuple((graph,) for graph in graphs))


def compared(folder: Path, traces: Sequence[Trace], ended: bool = True) -> SyntheticEntered:
    """A directory of `fade-ray compare` with a trial in the record per evaluation."""
    run = SyntheticEntered(folder, "fade-ray compare --seeds 0 1 2")
    for trace in traces:
        before = 0.0
        for cost, score, report in zip(trace.costs, trace.scores, trace.reports, strict=True):
            entered = run.propose(
                f"{trace.searcher}-{trace.seed}", "evaluation", architecture(Dag(3), Dag(4))
            )
            run.finish(entered, Outcome(score=score, cost=cost - before), test_accuracy=report)
            before = cost
    if ended:
        write(folder, result={"kind": "compare", "chance": 0.1, "training_share": 0.91})
        run.journal.append("end", training_share=0.91)
    return run


def made(traces: Sequence[Trace]) -> Comparison:
    spent = {(t.searcher, t.seed): t.budget / 5 if t.searcher == "fade" else 0.0 for t in traces}
    names = [trace.searcher for trace in traces]
    baseline = "random" if "random" in names else names[0]
    return Comparison.of(traces, baseline, 0.1, spent_on_ranks=spent)


def comparison_report(folder: Path, traces: Sequence[Trace]) -> Path:
    """The page of a comparison in `folder` whose searches found `traces`."""
    run = read_run(folder, EnteredHistory)
    return write_page(comparison_page(run, traces, made(traces)), folder)


HYPER = HyperArchitecture(((Dag(2), Dag(3), Dag(4)),) * 3)


def true_accuracy(choice: Sequence[int]) -> float:
    """Larger candidates are better, and deeper rows count more."""
    return 0.4 + 0.03 * sum((row + 1) * candidate for row, candidate in enumerate(choice))


def synthetic_runs(
    settings: Sequence[str] = ("default", "shared"), seeds: int = 3, epochs: int = 6
) -> list[RankRun]:
    """Weights that move from uniform to a softmax of the true order; the second setting half as
    far, for twice the computation.
    """
    found = []
    for number, setting in enumerate(settings):
        for seed in range(seeds):
            rng, told = np.random.default_rng([number, seed]), []
            for epoch in range(epochs + 1):
                reach = epoch / epochs / (number + 1)
                logits = [
                    reach * np.arange(3) * (row + 1) / 2 + rng.normal(0, 0.4 + 0.3 * number, 3)
                    for row in range(3)
                ]
                weights = tuple(tuple((np.exp(row) / np.exp(row).sum()).tolist()) for row in logits)
                told.append(RankEpoch(epoch, 10.0 * epoch, weights, 10**9 * epoch * (number + 1)))
            found.append(RankRun(setting, seed, tuple(told), 0.5 + 0.01 * seed))
    return found


def synthetic_alone(repeats: int = 2, architectures: int = 14) -> list[Alone]:
    rng = np.random.default_rng(5)
    choices = list(product(range(3), repeat=3))
    chosen = rng.permutation(len(choices))[:architectures]
    return [
        Alone(
            choices[i],
            tuple((true_accuracy(choices[i]) + rng.normal(0, 0.02, repeats)).round(4).tolist()),
        )
        for i in chosen
    ]


def studied(
    folder: Path,
    runs: Sequence[RankRun],
    alone: Sequence[Alone],
    hyper: HyperArchitecture = HYPER,
    ended: bool = True,
) -> SyntheticEntered:
    """A directory of `fade-ray rank-study`."""
    record = SyntheticEntered(folder, "fade-ray rank-study --seeds 0 1 2")
    for run in runs:
        id, seed = f"{run.setting}-{run.seed}", run.seed
        trial = RankTrial(id, "ranks", hyper, 7, 5, setting=run.setting, study_seed=seed)
        log_weights = ((-1.0,) * hyper.width,) * hyper.depth
        outcome = Outcome(log_weights=log_weights)
        record.finish(record.proposed(trial), outcome, hyper_accuracy=run.accuracy)
    for number, one in enumerate(alone):
        for repeat, accuracy in enumerate(one.accuracies):
            architecture, id = hyper.architecture(one.choice), f"alone-{number:03d}-{repeat}"
            trial = RankTrial(id, "evaluation", architecture, 7, 5, repeat=repeat)
            record.finish(record.proposed(trial), Outcome(score=accuracy))
    if ended:
        record.journal.append("end", training_share=0.93)
    return record


def ranks_report(
    folder: Path,
    runs: Sequence[RankRun],
    alone: Sequence[Alone],
    hyper: HyperArchitecture = HYPER,
    truth: str = "architecture",
    table: TableStudy | None = None,
) -> Path:
    """The page of a study in `folder` that found these; its sentences are made up."""
    found = RankFindings(hyper, tuple(runs), tuple(alone), truth, table)
    if table is None:
        found = replace(found, summary=summary_of(runs, found.whole))
    page = rank_page(read_run(folder, RankHistory), found, ["as the command says it"])
    return write_page(page, folder)
