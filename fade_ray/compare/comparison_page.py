"""`report.html` of a comparison of searchers, trained or replayed: what its sections say."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fade_ray.analysis.paired_tests import PairedTest
from fade_ray.compare import comparison_figures as figures
from fade_ray.compare.comparison import Comparison
from fade_ray.compare.comparison_verdict import differing
from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.record_traces import unspent
from fade_ray.compare.trace import Trace
from fade_ray.records.run_files import Run
from fade_ray.report.page import (
    Block,
    Column,
    Figure,
    Headline,
    Numbers,
    Page,
    Row,
    Section,
    State,
    Table,
    Verdict,
)
from fade_ray.report.trials import (
    ITERATION,
    cost_table,
    measure_of,
    origin,
    state,
    time_rows,
    trial_table,
    warnings,
)
from fade_ray.report.words import DASH, Measure, count, interval, listed, number, percent, si

CompareRun = Run[Any, EnteredHistory]
MOST_EVALUATIONS = 2000
"""Of a replay, that are listed on the page; more are in the traces alone."""
FILES = "the traces, comparison.json, config.json and environment.json"


def comparison_page(
    run: CompareRun, traces: Sequence[Trace], comparison: Comparison | None, replayed: bool = False
) -> Page:
    """The report of a comparison, finished or not; `comparison` is None before there is a trace.

    `replayed`: on a table, so that there is no record of trials.
    """
    done, whole = sum(trace.complete for trace in traces), len(traces)
    share = whole_of(done, whole, "search", "searches")
    reached = state(run.history, run.folder, "compare", share)
    title = "Comparison of searchers"
    if replayed:
        title, finished = f"{title}, replayed on a table", done == whole > 0
        again = None if finished else f"fade-ray replay --out {run.folder}"
        sentence = f"{share} Replayed on a table: nothing was trained."
        reached = State("finished" if finished else "unfinished", sentence, again)
    return Page(title, run.name, reached, _sections(run, traces, comparison, replayed))


def whole_of(done: int, whole: int, noun: str, plural: str = "") -> str:
    """ "3 of 4 searches complete."."""
    return f"{done} of {count(whole, noun, plural)} complete." if whole else f"No {noun} has begun."


def _sections(
    run: CompareRun, traces: Sequence[Trace], made: Comparison | None, replayed: bool
) -> Iterator[Section]:
    score = measure_of(run.settings)
    first, sentences = verdict(made)
    top: list[Block] = [Verdict(first, sentences), warnings(run.history)]
    yield Section("", [*top, Headline([] if made is None else headline(run, made, score))])
    drawn = (
        {}
        if made is None
        else {
            "anytime": partial(figures.anytime_curves, traces, made, score),
            "seeds": partial(figures.seeds, made, score),
            "effects": partial(figures.effects, made, score),
            "best": partial(figures.best_evaluations, traces, made, score),
        }
    )
    shown = {
        name: Figure(name, title, drawn.get(name, lambda: None), missing)
        for name, (title, missing) in FIGURES.items()
    }
    tables = (
        {}
        if made is None
        else {
            "results": results_table(made, score),
            "tests": paired_table(made, score),
            "searches": search_table(made, score),
        }
    )
    table = {name: [block] for name, block in tables.items()}
    curves: list[Block] = [shown["anytime"], *table.get("results", []), shown["seeds"]]
    yield Section(score.axis("{} against budget", "").capitalize(), curves)
    yield Section("Tests", [shown["effects"], *table.get("tests", [])])
    yield Section("Best architectures", [shown["best"]])
    groups = grouped(run.history, list(dict.fromkeys(trace.searcher for trace in traces)))
    costs = cost_table("Cost per searcher", run.history, "search", groups)
    trials = _trials(run.history, traces, score)
    yield Section("Cost and trials", [costs, *table.get("searches", []), trials])
    files = FILES if replayed else f"records.jsonl, result.json, {FILES}"
    yield Section("How it was made", origin(run, f"the files of this directory alone: {files}"))


FIGURES = {
    "anytime": (
        "Best architecture so far against the budget",
        "No search has evaluated an architecture yet.",
    ),
    "seeds": ("Every seed", "No search has come to the end of its budget yet."),
    "effects": (
        "Difference from the baseline",
        "There is no pair of complete searches with the same seed yet, or no searcher besides the "
        "baseline.",
    ),
    "best": (
        "The best architectures of each searcher",
        "No search has come to the end of its budget with an evaluation yet.",
    ),
}
"""Titles, and what the page says where a figure has nothing to show."""


def grouped(history: EnteredHistory, searchers: Sequence[str]) -> Mapping[str, list[str]]:
    """Searcher -> the ids of its trials; a search of no known searcher stands for itself."""
    groups: dict[str, list[str]] = {name: [] for name in searchers}
    for id, entered in history.proposals.items():
        stem = entered.entry.rpartition("-")[0]  # of a name such as "fade-0"
        groups.setdefault(stem if stem in groups else entered.entry, []).append(id)
    return {name: ids for name, ids in groups.items() if ids}


def entered_trials(history: EnteredHistory, score: Measure, missing: str) -> Table:
    """A line per attempt at a trial of one of several searches."""
    cost = Numbers("cost", lambda one: DASH if one.outcome is None else _cost(one.outcome.cost))
    more = {1: Column("search", lambda one: one.plan.entry), 3: ITERATION, 8: cost}
    return trial_table(history, score, more, missing)


def _cost(cost: float | None) -> str:
    return DASH if cost is None else si(cost)


def _trials(history: EnteredHistory, traces: Sequence[Trace], score: Measure) -> Table:
    evaluated = sum(len(trace.costs) for trace in traces)
    if history.proposals or not evaluated:
        return entered_trials(history, score, "No trial was proposed yet.")
    evaluations = [
        (trace, number, *values)
        for trace in traces
        for number, values in enumerate(
            zip(trace.costs, trace.scores, trace.reports, strict=True), start=1
        )
    ]
    columns = (
        Column("searcher", lambda one: one[0].searcher),
        Numbers("seed", lambda one: str(one[0].seed)),
        Numbers("number", lambda one: str(one[1])),
        Numbers("spent", lambda one: si(one[2])),
        Numbers("validated", lambda one: score.text(one[3], 2)),
        Numbers("reported", lambda one: score.text(one[4], 2)),
    )
    listed = evaluations if evaluated <= MOST_EVALUATIONS else []
    many = f"The {evaluated:,} evaluations are in the traces beside this page."
    return Table.of(f"All {evaluated} evaluations", columns, listed, missing=many, folded=True)


FINDINGS = ("better", "worse")


def verdict(comparison: Comparison | None) -> tuple[str, tuple[str, ...]]:
    """A sentence on what was reported at the end of the budget, and those of the comparison."""
    if comparison is None:
        return "There are no traces yet, so nothing can be said.", ()
    return _first(comparison), comparison.verdict


def _first(comparison: Comparison) -> str:
    tests = [test for test in comparison.tests if test.measure == "final"]
    if not any(test.seeds for test in tests):
        return "Nothing can be said yet: no two searchers have completed the same seed."
    against = " or ".join(comparison.baselines)
    if not any(test.shown for test in tests):
        shown = f"no searcher was shown to be better or worse than {against}"
        return f"No difference shown: {shown}."
    sentences = []
    for word in FINDINGS:
        names = dict.fromkeys(test.searcher for test in tests if test.finding == word)
        if names:
            sentences.append(f"Shown to be {word} than {against}: {listed(list(names))}.")
    decided = {test.searcher for test in tests if test.shown}
    rest = [name for name in dict.fromkeys(t.searcher for t in tests) if name not in decided]
    return " ".join([*sentences, *([f"No difference shown for {listed(rest)}."] if rest else [])])


def headline(run: CompareRun, comparison: Comparison, score: Measure) -> list[Row]:
    """(label, value, remark) of the figures that matter."""
    rows: list[Row] = []
    known = [summary for summary in comparison.summaries if summary.seeds]
    if known:
        best = max(known, key=lambda summary: summary.mean)
        deviation = f"{score.scale * best.std:.2f} {score.steps}".rstrip()
        over = f"standard deviation {deviation} over " if best.seeds > 1 else "spread unknown: "
        chance = run.result.get("chance")
        guess = "" if chance is None else f"; chance level {score.text(chance)}"
        seeds = f"{best.searcher}, {over}{count(best.seeds, 'seed')}{guess}"
        remark = f"{seeds}. Whether it is more than luck, the tests say."
        rows.append((f"highest mean {score.name}", score.text(best.mean, 2), remark))
    scale, unit = figures.budget_axis(comparison)
    rows.append(("budget", si(comparison.budget / scale), f"{unit}, for each search"))
    left = unspent(run.result, comparison.budget)
    if any(left.values()):
        text = listed([f"{percent(share)} ({name})" for name, share in left.items()])
        rows.append(("unspent", text, "on average of each budget: it covers nothing more of use"))
    results = comparison.results
    partial = sum(not result.complete for result in results)
    text = f"{partial} partial, left out of means and tests" if partial else "all complete"
    evaluations = sum(result.evaluations for result in results)
    rows += [
        ("searches", f"{len(results) - partial} of {len(results)}", text),
        ("evaluations", f"{evaluations:,}", "within the budget, of all searches"),
    ]
    return rows + time_rows(run.history)


def results_table(comparison: Comparison, score: Measure) -> Table:
    """Per searcher, what its complete seeds come to."""
    x, k = score.scale, comparison.k
    columns = (
        Column("searcher", lambda s: s.searcher),
        Numbers(
            "seeds", lambda s: f"{s.seeds}" + ((s.partial and f" (+ {s.partial} partial)") or "")
        ),
        Numbers(score.axis("mean"), lambda s: number(x * s.mean)),
        Numbers("std", lambda s: number(x * s.std)),
        Numbers("95 % interval", lambda s: interval(x * s.low, x * s.high)),
        Numbers(score.axis("area"), lambda s: number(x * s.area)),
        Numbers("std", lambda s: number(x * s.area_std)),
        Numbers("mean rank", lambda s: number(s.rank)),
        Numbers("rank by area", lambda s: number(s.area_rank)),
        Numbers(score.axis(f"{k} best"), lambda s: number(x * s.top_mean)),
        Numbers("evaluations", lambda s: number(s.evaluations, 1)),
        Numbers("on ranks", lambda s: _share(s.spent_on_ranks, comparison.budget)),
    )
    note = (
        f"Reported {score.name} of the best validated architecture at the end of the budget "
        f"({comparison.unit}), mean over complete searches. Area: mean height of its curve over "
        f"the budget, {score.text(comparison.floor)} before the first evaluation. Ranks: 1 is "
        f"best, over the seeds that all searchers completed. {k} best: mean reported {score.name} "
        f"of the {k} best validated of each seed. On ranks: share of the budget spent on "
        "hyper-architectures."
    )
    title, label = "Results per searcher", "results per searcher"
    return Table.of(title, columns, comparison.summaries, note=note, label=label)


def _share(part: float | None, whole: float) -> str:
    return DASH if part is None else percent(part / whole, 0)


def paired_table(comparison: Comparison, score: Measure) -> Table:
    """Per test, what it says."""
    x = score.scale
    columns = (
        Column("searcher", lambda t: t.searcher),
        Column("against", lambda t: t.baseline),
        Column("measure", lambda t: figures.MEASURES[t.measure].format(score.name)),
        Numbers("pairs", lambda t: str(len(t.seeds))),
        Numbers(
            score.axis("difference", score.steps), lambda t: number(x * t.difference, signed=True)
        ),
        Numbers("95 % interval", lambda t: interval(x * t.low, x * t.high, signed=True)),
        Numbers("d_z", lambda t: number(t.effect, signed=True)),
        Numbers("better pairs", lambda t: percent(t.superiority, 0) if t.seeds else DASH),
        Numbers("p", lambda t: p_value(t.p) if t.seeds else DASH),
        Numbers("p after Holm", lambda t: p_value(t.corrected) if t.seeds else DASH),
        Column("verdict", conclusion),
    )
    note = (
        "Differences are searcher minus baseline on the same seeds. p: two-sided exact signed-rank "
        "test; Holm's correction over all tests of one measure. d_z: mean over standard deviation "
        "of the differences. Better pairs: ties count half."
    )
    return Table.of("Paired tests", columns, comparison.tests, note=note, label="paired tests")


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def conclusion(test: PairedTest) -> str:
    """What a test has shown, or why it could not."""
    if test.shown:
        return test.finding
    if not test.can_show:
        return "too few seeds to show one"
    return f"no difference shown{'' if test.differ_enough else f': {differing(test)}'}"


def search_table(comparison: Comparison, score: Measure) -> Table:
    """Per search, what it spent and found."""
    scale, unit = figures.budget_axis(comparison)
    short = "" if scale == 1 else f" {unit.split()[0]}"
    columns = (
        Column("searcher", lambda r: r.searcher),
        Numbers("seed", lambda r: str(r.seed)),
        Column("state", lambda r: "complete" if r.complete else "partial"),
        Numbers("evaluations", lambda r: f"{r.evaluations:,}"),
        Numbers("spent", lambda r: si(r.spent / scale) + short),
        Numbers(
            "on ranks",
            lambda r: DASH if r.spent_on_ranks is None else si(r.spent_on_ranks / scale) + short,
        ),
        Numbers("best validated", lambda r: score.text(r.score, 2)),
        Numbers("reported at the end", lambda r: score.text(r.final if r.evaluations else None, 2)),
        Numbers("area", lambda r: score.text(r.area if r.evaluations else None, 2)),
    )
    title = f"All {len(comparison.results)} searches"
    return Table.of(title, columns, comparison.results, folded=True)
