"""`report.html` of a search: what its sections say."""

from collections.abc import Iterator
from statistics import mean, stdev
from typing import Any, NamedTuple

from fade_ray.analysis.regression import wilson
from fade_ray.records.run_files import Run
from fade_ray.report.graph_drawing import draw_cells
from fade_ray.report.page import (
    Block,
    Column,
    Figure,
    Headline,
    Numbers,
    Page,
    Row,
    Section,
    Table,
    Words,
)
from fade_ray.report.style import Picture
from fade_ray.report.trials import (
    ITERATION,
    KIND_NAMES,
    cost_table,
    measure_of,
    origin,
    state,
    time_rows,
    trial_table,
    warnings,
)
from fade_ray.report.words import Measure, count, interval, si
from fade_ray.search import search_figures as figures
from fade_ray.search.search_history import Evaluation, History
from fade_ray.search.weight_figures import rank_densities, weights_over_epochs
from spaces.dag import Dag

SearchRun = Run[Any, History]
FILES = "records.jsonl, config.json, environment.json and result.json of the run alone"
BEST = 10
"""Evaluations that are listed."""


def search_page(run: SearchRun) -> Page:
    """The report of a search, finished or not."""
    nothing = None if run.result else "nothing was found to retrain"
    reached = state(run.history, run.folder, "search", without=nothing)
    return Page("FaDE search report", run.name, reached, _sections(run))


def _sections(run: SearchRun) -> Iterator[Section]:
    history, score = run.history, measure_of(run.settings)
    nothing = "There is no result: no evaluation has succeeded."
    yield Section("", [warnings(history), Headline(headline(run, score), nothing)])
    yield Section("Architecture", _architecture(run))
    accuracy = Figure(
        "accuracy",
        f"Evaluation {score.name} over the search",
        lambda: figures.scores_over_iterations(history, score),
        "No evaluation has finished yet.",
    )
    features = [str(name) for name in (run.settings.get("space") or {}).get("features") or ()]
    anchors = Figure(
        "anchors",
        "Anchor trajectories",
        lambda: figures.anchor_trajectories(history, features),
        "No anchors were recorded: this searcher has none, or it has not started.",
    )
    yield Section("Search", [accuracy, anchors, best_table(history, score)])
    ranks = Figure(
        "ranks",
        "Densities of the architecture weights",
        lambda: rank_densities(history),
        "No hyper-architecture has finished yet, or this searcher trains none.",
    )
    weights = Figure(
        "weights",
        "Weights while training the last hyper-architecture",
        lambda: weights_over_epochs(history),
        "No epoch of a hyper-architecture was recorded, or this searcher trains none.",
    )
    yield Section("Ranks", [ranks, weights])
    cost = Figure(
        "cost",
        "Cumulative cost by kind of trial",
        lambda: figures.cumulative_cost(history),
        "No trial has finished yet.",
    )
    tables = [_costs(history), failed_table(history), trial_table(history, score, {2: ITERATION})]
    yield Section("Cost and trials", [cost, *tables])
    named = "; trials are named as in the records and in tables/"
    yield Section("How it was made", origin(run, FILES, named))


def _architecture(run: SearchRun) -> list[Block]:
    code = (run.result.get("architecture") or {}).get("code")
    drawing = Figure(
        "cells",
        "Cells from the shallowest row to the deepest",
        lambda: _cells(run),
        "No architecture was evaluated with success yet, so there is nothing to draw.",
    )
    return [drawing, *([Words("Code of the architecture: ", code=code)] if code else [])]


def _cells(run: SearchRun) -> Picture | None:
    """Of the architecture that was found, or of the best one evaluated so far."""
    codes, best = (run.result.get("architecture") or {}).get("cells"), run.history.best
    if codes:
        cells = [Dag.from_code(str(code)) for code in codes]
    elif best is not None:
        cells = [row[0] for row in run.history.proposals[best.id].hyper.graphs()]
    else:
        return None
    shown = "found architecture" if run.result else "best architecture evaluated so far"
    caption = (
        "Each solid arrow is one operation, a convolution; dashed arrows from INPUT are "
        "identities. A vertex adds up what arrives. Below each cell its size and the code of "
        "its graph."
    )
    return draw_cells(cells, f"One cell of the {shown} per row", caption)


def headline(run: SearchRun, score: Measure) -> list[Row]:
    """(label, value, remark) of the figures that matter, the first the result of the run."""
    found, best = run.result.get("architecture") or {}, run.history.best
    rows, valid = _tested(run, score), run.result.get("valid_accuracy")
    if valid is not None:
        chosen = "on the architecture split, by which it was chosen: optimistic"
        rows.append((f"valid {score.name}", score.text(valid, 2), chosen))
    elif best is not None:
        where = f"on the architecture split, trial {best.id}; not retrained and tested"
        rows.append(("best evaluation so far", score.text(best.score, 2), where))
    if (parameters := found.get("parameters")) is not None:
        rows.append(("parameters", si(parameters), f"{parameters:,} in the found architecture"))
    if (operations := found.get("multiply_adds")) is not None:
        rows.append(("multiply-adds", si(operations), "for one image, found architecture"))
    return rows + time_rows(run.history, run.result.get("training_share"))


def _tested(run: SearchRun, score: Measure) -> list[Row]:
    accuracy, chance = run.result.get("test_accuracy"), run.result.get("chance")
    if accuracy is None:
        return []
    remarks = [] if chance is None else [f"chance level {score.text(chance)}"]
    images = run.result.get("test_images")
    if images:
        low, high = (score.scale * end for end in wilson(accuracy, images))
        ends = f"95 % interval {interval(low, high, 1)} {score.unit}".rstrip()
        remarks.append(f"{count(images, 'test image')}, {ends}")
    retrained = [
        metrics["test_accuracy"]
        for id, metrics in run.history.metrics.items()
        if run.history.proposals[id].final and metrics.get("test_accuracy") is not None
    ]
    if len(retrained) > 1:
        spread = f"{score.scale * stdev(retrained):.2f} {score.steps}".rstrip()
        over = f"standard deviation {spread} over {len(retrained)} retrainings"
        remarks.append(f"mean {score.text(mean(retrained), 2)}, {over}")
    else:
        remarks.append("retrained once from scratch, so the spread is unknown")
    return [(f"test {score.name}", score.text(accuracy, 2), "; ".join(remarks))]


def best_table(history: History, score: Measure) -> Table:
    """The best evaluations, the best first."""
    best = sorted(history.evaluations, key=lambda evaluation: -evaluation.score)
    columns = (
        Column("trial", lambda e: e.id),
        Numbers("iteration", lambda e: str(e.iteration)),
        Numbers("walk", lambda e: str(e.walk + 1)),
        Numbers(score.name, lambda e: score.text(e.score, 2)),
        Column("architecture, rows separated by /", lambda e: history.proposals[e.id].hyper.code()),
    )
    title = f"Best {BEST} of {len(best)} evaluations"
    title = title if len(best) > BEST else "Evaluations, the best first"
    items: list[Evaluation] = best[:BEST]
    return Table.of(title, columns, items, label="best evaluations", look="codes")


def _costs(history: History) -> Table:
    groups = {
        name: [id for id, proposal in history.proposals.items() if proposal.kind == kind]
        for kind, name in KIND_NAMES.items()
    }
    again = history.trials["retried"]
    retried = f"{again} {'trial was a retry' if again == 1 else 'trials were retries'}"
    note = f" Every failed attempt counts as failed; {retried}."
    groups = {name: ids for name, ids in groups.items() if ids}
    return cost_table("Trials", history, "kind", groups, note)


class _Failed(NamedTuple):
    id: str
    kind: str
    iteration: int
    reason: str
    then: str


def failed_table(history: History) -> Table:
    """Every attempt that failed, and what became of it."""
    last = {plan.index: id for id, plan in history.proposals.items()}  # by id: the last one stays
    failed = [
        _Failed(
            id,
            KIND_NAMES[plan.kind],
            plan.iteration,
            str(history.outcomes[id].failure),
            f"tried again as {last[plan.index]}" if last[plan.index] != id else "not tried again",
        )
        for id, plan in history.proposals.items()
        if id in history.outcomes and history.outcomes[id].failure is not None
    ]
    columns = (
        Column("trial", lambda one: one.id),
        Column("kind", lambda one: one.kind),
        Numbers("iteration", lambda one: str(one.iteration)),
        Column("reason", lambda one: one.reason),
        Column("then", lambda one: one.then),
    )
    return Table.of("Failed trials", columns, failed)
