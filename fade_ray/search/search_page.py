"""`report.html` of a search: what its sections say."""

from collections.abc import Iterator
from statistics import mean, stdev

from fade_ray.analysis.regression import wilson
from fade_ray.report import trials
from fade_ray.report.page import Column, Headline, Numbers, Page, Row, Section, Table, Words
from fade_ray.report.words import Measure, count, interval, si
from fade_ray.search import search_figures as figures
from fade_ray.search.beside import Beside
from fade_ray.search.front_figure import cost_fronts
from fade_ray.search.search_config import SpaceConfig
from fade_ray.search.search_history import History, SearchRun
from fade_ray.search.weight_figures import rank_densities, weights_over_epochs
from searchers import Proposal

FILES = "records.jsonl, config.json, environment.json and result.json of the run alone"
BEST = 10
"""Architectures that are listed."""


def search_page(run: SearchRun) -> Page:
    """The report of a search, finished or not."""
    nothing = None if run.result else "nothing was found to retrain"
    reached = trials.state(run.history, run.folder, "search", without=nothing)
    return Page("FaDE search report", run.name, reached, _sections(run))


def _sections(run: SearchRun) -> Iterator[Section]:
    history, score = run.history, trials.measure_of(run.settings)
    nothing = "There is no result: no evaluation has succeeded."
    yield Section("", [trials.warnings(history), Headline(headline(run, score), nothing)])
    yield Beside.of(history, score).section(score)
    yield from search_sections(run)
    yield Section("Ranks", [rank_densities(history), weights_over_epochs(history)])
    attempts = trials.trial_table(history, score, {2: trials.ITERATION})
    tables = [_costs(history), failed_table(history), attempts]
    yield Section("Cost and trials", [figures.cumulative_cost(history), *tables])
    names = "; trials are named as in the records and in tables/"
    yield Section("How it was made", trials.origin(run, FILES, names))


def search_sections(run: SearchRun) -> Iterator[Section]:
    """What was found, and how: also of a search that goes on."""
    history, score = run.history, trials.measure_of(run.settings)
    code = (run.result.get("architecture") or {}).get("code")
    named = [Words("Code of the architecture: ", code=code)] if code else []
    yield Section("Architecture", [figures.found_cells(run), rows_table(run), *named])
    space = run.settings.get("space")
    axes = SpaceConfig(**space).axes if space else ()
    anchors = figures.anchor_trajectories(history, axes)
    evaluated = figures.scores_over_iterations(history, score)
    fronts = cost_fronts(history, score)
    yield Section("Search", [evaluated, anchors, fronts, best_table(history, score)])


def headline(run: SearchRun, score: Measure) -> list[Row]:
    """(label, value, remark) of the figures that matter, the first the result of the run."""
    found, best = run.result.get("architecture") or {}, run.history.best
    rows, valid = _tested(run, score), score.score(run.result, "valid")
    if valid is not None:
        chosen = (
            f"{run.history.chosen_text(score)}, on the architecture split, by which it was chosen: "
            "optimistic"
        )
        rows.append((f"valid {score.name}", score.text(valid, 2), chosen))
    elif best is not None:
        where = f"on the architecture split, trial {best.id}; not retrained and tested"
        rows.append(("best evaluation so far", score.text(best.score, 2), where))
    if (parameters := found.get("parameters")) is not None:
        rows.append(("parameters", si(parameters), f"{parameters:,} in the found architecture"))
    if (operations := found.get("multiply_adds")) is not None:
        rows.append(("multiply-adds", si(operations), "for one image, found architecture"))
    if (milliseconds := found.get("latency_ms")) is not None:
        about = "for one image on a CPU of this machine, beside whatever ran there"
        rows.append(("latency", f"{milliseconds:.2g} ms", about))
    return rows + trials.time_rows(run.history, run.result.get("training_share"))


def _tested(run: SearchRun, score: Measure) -> list[Row]:
    tested, chance = score.score(run.result, "test"), run.result.get("chance")
    if tested is None:
        return []
    level = "chance level" if score.counted else "the same answer for all images reaches"
    known = chance is not None and score.key != "score"
    remarks = [f"{level} {score.text(score.plain(chance or 0.0))}"] if known else []
    images = run.result.get("test_images")
    if images and score.counted:
        low, high = (score.scale * end for end in wilson(tested, images))
        ends = f"95 % interval {interval(low, high, 1)} {score.unit}".rstrip()
        remarks.append(f"{count(images, 'test image')}, {ends}")
    retrained = [
        value
        for id, metrics in run.history.metrics.items()
        if run.history.proposals[id].final and (value := score.score(metrics, "test")) is not None
    ]
    if len(retrained) > 1:
        spread = f"{score.spread(stdev(retrained)):.2f} {score.steps}".rstrip()
        over = f"standard deviation {spread} over {len(retrained)} retrainings"
        remarks.append(f"mean {score.text(mean(retrained), 2)}, {over}")
    else:
        remarks.append("retrained once from scratch, so the spread is unknown")
    return [(f"test {score.name}", score.text(tested, 2), "; ".join(remarks))]


def rows_table(run: SearchRun) -> Table:
    """What each row of the found architecture takes; nothing before there is one."""
    rows = (run.result.get("architecture") or {}).get("rows") or []
    columns = (
        Column("row", lambda row: str(row[0])),
        Column("cell", lambda row: str(row[1]["cell"])),
        Numbers("channels", lambda row: f"{row[1]['channels']:,}"),
        Numbers("side (pixels)", lambda row: str(row[1]["side"])),
        Numbers("parameters", lambda row: f"{row[1]['parameters']:,}"),
        Numbers("multiply-adds", lambda row: si(row[1]["multiply_adds"])),
    )
    note = "Channels and side of the map behind each row; stem and head are not among them."
    return Table.of("Rows of the network", columns, enumerate(rows, start=1), note=note)


def best_table(history: History, score: Measure) -> Table:
    """The architectures of the best scores, means over the evaluations of each."""
    best = history.pooled
    columns = (
        Column("first trial", lambda each: each.first.id),
        Numbers("iteration", lambda each: str(each.first.iteration)),
        Numbers("walk", lambda each: str(each.first.walk + 1)),
        Numbers("evaluations", lambda each: str(len(each.scores))),
        Numbers(f"mean {score.name}", lambda each: score.text(each.score, 2)),
        Numbers("lowest", lambda each: score.text(min(each.scores), 2)),
        Numbers("highest", lambda each: score.text(max(each.scores), 2)),
        Column("architecture, rows separated by /", lambda each: each.hyper.code()),
    )
    some, whole = f"Best {BEST} of {len(best)} architectures", "Architectures, the best first"
    title = some if len(best) > BEST else whole
    return Table.of(title, columns, best[:BEST], label="best architectures", look="codes")


def _costs(history: History) -> Table:
    again = history.trials["retried"]
    retried = f"{again} {'trial was a retry' if again == 1 else 'trials were retries'}"
    note = f" Every failed attempt counts as failed; {retried}."
    names, about = trials.KIND_NAMES, ("Trials", history, "kind")
    return trials.cost_table(*about, lambda plan: names[plan.kind], names.values(), note)


def failed_table(history: History) -> Table:
    """Every attempt that failed, and what became of it."""
    last = {plan.index: id for id, plan in history.proposals.items()}  # by id: the last one stays

    def then(plan: Proposal) -> str:
        return f"tried again as {id}" if (id := last[plan.index]) != plan.id else "not tried again"

    columns = (
        Column("trial", lambda plan: plan.id),
        Column("kind", lambda plan: trials.KIND_NAMES[plan.kind]),
        Numbers("iteration", lambda plan: str(plan.iteration)),
        Column("reason", lambda plan: str(history.outcomes[plan.id].failure)),
        Column("then", then),
    )
    ends = history.outcomes
    failed = [p for id, p in history.proposals.items() if id in ends and ends[id].failure]
    return Table.of("Failed trials", columns, failed)
