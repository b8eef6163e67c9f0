"""`report.html` of a comparison of searchers, trained or replayed: what its sections say."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from fade_ray.analysis.paired_tests import PairedTest
from fade_ray.compare import comparison_figures as figures
from fade_ray.compare.comparison import Comparison, Summary
from fade_ray.compare.entered_history import EnteredHistory, unspent
from fade_ray.compare.trace import Trace, pooled
from fade_ray.records.run_files import Run
from fade_ray.report import trials
from fade_ray.report.page import Column, Headline, Numbers, Page, Row, Section, Table, Verdict
from fade_ray.report.verdict import conclusion, in_one
from fade_ray.report.words import DASH, Measure, count, interval, listed, number, percent, si
from fade_ray.search.beside import LATENCY, median_latency
from fade_ray.training.latency import about_latency
from searchers.contest import Entered

Compared = Run[Any, EnteredHistory]
MOST_EVALUATIONS = 2000
"""Of a replay, that are listed on the page; more are in the traces alone."""
FILES = "the traces, comparison.json, config.json and environment.json"


def comparison_page(
    run: Compared, traces: Sequence[Trace], comparison: Comparison, replayed: bool = False
) -> Page:
    """The report of a comparison, finished or not; `replayed` on a table: no trials on record."""
    done, whole = sum(trace.complete for trace in traces), len(traces)
    share = whole_of(done, whole, "search", "searches")
    reached = trials.state(run.history, run.folder, "compare", share)
    title = "Comparison of searchers"
    if replayed:
        title, finished = f"{title}, replayed on a table", done == whole > 0
        again = None if finished else f"fade-ray replay --out {run.folder}"
        sentence = f"{share} Replayed on a table: nothing was trained."
        word = "finished" if finished else "unfinished"
        reached = replace(reached, word=word, sentence=sentence, continuation=again)
    return Page(title, run.name, reached, _sections(run, traces, comparison, replayed))


def whole_of(done: int, whole: int, noun: str, plural: str = "") -> str:
    """ "3 of 4 searches complete."."""
    return f"{done} of {count(whole, noun, plural)} complete." if whole else f"No {noun} has begun."


def _sections(
    run: Compared, traces: Sequence[Trace], made: Comparison, replayed: bool
) -> Iterator[Section]:
    score = trials.measure_of(run.settings)
    numbers = Headline(headline(run, made, score))
    yield Section("", [Verdict(verdict(made), made.verdict), trials.warnings(run.history), numbers])
    curves, seeds = figures.anytime_curves(traces, made, score), figures.seeds(made, score)
    against = score.axis("{} against budget", "").capitalize()
    yield Section(against, [curves, results_table(made, score), seeds])
    yield Section("Tests", [figures.effects(made, score), paired_table(made, score)])
    best = figures.best_evaluations(traces, made, score)
    yield Section("Best architectures", [best, *sizes_table(run.history, traces)])
    searchers = [summary.searcher for summary in made.summaries]

    def searcher(plan: Entered) -> str:
        """A search of no known searcher, by a name such as "fade-0", stands for itself."""
        stem = plan.entry.rpartition("-")[0]
        return stem if stem in searchers else plan.entry

    costs = trials.cost_table("Cost per searcher", run.history, "search", searcher, searchers)
    table = _trials(run.history, traces, score)
    yield Section("Cost and trials", [costs, search_table(made, score), table])
    files = FILES if replayed else f"records.jsonl, result.json, {FILES}"
    made_from = f"the files of this directory alone: {files}"
    yield Section("How it was made", trials.origin(run, made_from))


def _trials(history: EnteredHistory, traces: Sequence[Trace], score: Measure) -> Table:
    """A line per attempt at a trial; of a replay, which has no trials, one per evaluation."""
    evaluated = sum(len(trace.costs) for trace in traces)
    if history.proposals or not evaluated:
        cost = Numbers("cost", lambda one: DASH if one.outcome is None else _cost(one.outcome.cost))
        more = {1: Column("search", lambda one: one.plan.entry), 3: trials.ITERATION, 8: cost}
        return trials.trial_table(history, score, more, "No trial was proposed yet.")
    evaluations = [
        (trace, number, *values) for trace in traces for number, values in trace.numbered()
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


def _cost(cost: float | None) -> str:
    return DASH if cost is None else si(cost)


def verdict(comparison: Comparison) -> str:
    """In one sentence: which searchers were shown to differ from a baseline at the end."""
    tests = [test for test in comparison.tests if test.measure == "final"]
    return in_one(tests, " or ".join(comparison.baselines))


def headline(run: Compared, comparison: Comparison, score: Measure) -> list[Row]:
    """(label, value, remark) of the figures that matter."""
    rows: list[Row] = []
    known = [summary for summary in comparison.summaries if summary.seeds]
    if known:
        best = max(known, key=lambda summary: summary.mean)
        deviation = f"{score.spread(best.std):.2f} {score.steps}".rstrip()
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
        remark = f"of a budget, on average: {text}; it covers nothing more of use"
        rows.append(("unspent", f"up to {percent(max(left.values()))}", remark))
    whole = len(comparison.results)
    left_out = sum(not result.complete for result in comparison.results)
    text = f"{left_out} partial, left out of means and tests" if left_out else "all complete"
    rows.append(("searches", f"{whole - left_out} of {whole}", text))
    evaluations = sum(result.evaluations for result in comparison.results)
    rows.append(("evaluations", f"{evaluations:,}", "within the budget, of all searches"))
    return rows + trials.time_rows(run.history)


def results_table(comparison: Comparison, score: Measure) -> Table:
    """Per searcher, what its complete seeds come to."""
    x, k = score.scale, comparison.k

    def on_ranks(spent: float | None) -> str:
        return DASH if spent is None else percent(spent / comparison.budget, 0)

    columns = (
        Column("searcher", lambda s: s.searcher),
        Numbers("seeds", seeds_text),
        Numbers(score.axis("mean"), lambda s: number(x * s.mean)),
        Numbers("std", lambda s: number(score.spread(s.std))),
        Numbers("95 % interval", lambda s: interval(x * s.low, x * s.high)),
        Numbers(score.axis("area"), lambda s: number(x * s.area)),
        Numbers("std", lambda s: number(score.spread(s.area_std))),
        Numbers("mean rank", lambda s: number(s.rank)),
        Numbers("rank by area", lambda s: number(s.area_rank)),
        Numbers(score.axis(f"{k} best"), lambda s: number(x * s.top_mean)),
        Numbers("evaluations", lambda s: number(s.evaluations, 1)),
        Numbers("on ranks", lambda s: on_ranks(s.spent_on_ranks)),
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


def sizes_table(history: EnteredHistory, traces: Sequence[Trace]) -> Iterator[Table]:
    """What the architectures take that the complete searches of each searcher ended with; nothing
    where none was measured, as in replays.
    """
    ended = defaultdict[str, list[Mapping[str, Any]]](list)
    for trace in traces:
        found = history.measured(f"{trace.searcher}-{trace.seed}", str(pooled([trace]).best))
        if trace.complete and found:
            ended[trace.searcher].append(found)

    def mean(name: str) -> Callable[[str], str]:
        return lambda searcher: si(fmean(each[name] for each in ended[searcher]))

    columns = (
        Column("searcher", lambda searcher: searcher),
        Numbers("seeds", lambda searcher: str(len(ended[searcher]))),
        Numbers("parameters", mean("parameters")),
        Numbers("multiply-adds", mean("network_multiply_adds")),
        Numbers(LATENCY, lambda searcher: number(median_latency(ended[searcher]))),
    )
    note = f"Of the best validated architecture of each search, mean over seeds. {about_latency()}"
    if ended:
        yield Table.of("What was found takes", columns, list(ended), note=note)


def seeds_text(summary: Summary) -> str:
    """ "5", "4 (+ 1 partial)"."""
    return f"{summary.seeds}" + (f" (+ {summary.partial} partial)" if summary.partial else "")


def paired_table(comparison: Comparison, score: Measure) -> Table:
    """Per test, what it says."""
    texts = {name: text.format(score.name) for name, text in figures.MEASURES.items()}
    return table_of_tests(comparison.tests, texts, score)


def table_of_tests(
    tests: Sequence[PairedTest],
    texts: Mapping[str, str],
    score: Measure,
    head: str = "searcher",
    title: str = "Paired tests",
) -> Table:
    """Of what `head` says, with the `texts` of measures."""
    x, difference = score.scale, score.axis("difference", score.steps)
    columns = (
        Column(head, lambda t: t.searcher),
        Column("against", lambda t: t.baseline),
        Column("measure", lambda t: texts[t.measure]),
        Numbers("pairs", lambda t: str(len(t.seeds))),
        Numbers(difference, lambda t: number(x * t.difference, signed=True)),
        Numbers("95 % interval", lambda t: interval(x * t.low, x * t.high, signed=True)),
        Numbers("d_z", lambda t: number(t.effect, signed=True)),
        Numbers("better pairs", lambda t: percent(t.superiority, 0) if t.seeds else DASH),
        Numbers("p", lambda t: p_value(t.p) if t.seeds else DASH),
        Numbers("p after Holm", lambda t: p_value(t.corrected) if t.seeds else DASH),
        Column("verdict", conclusion),
    )
    note = (
        f"Differences are {head} minus baseline on the same seeds. p: two-sided exact signed-rank "
        "test; Holm's correction over all tests of one measure. d_z: mean over standard deviation "
        "of the differences. Better pairs: ties count half."
    )
    return Table.of(title, columns, tests, note=note, label=title.lower())


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def search_table(comparison: Comparison, score: Measure) -> Table:
    """Per search, what it spent and found."""
    scale, unit = figures.budget_axis(comparison)
    short = "" if scale == 1 else f" {unit.split()[0]}"

    def spent(cost: float | None) -> str:
        return DASH if cost is None else si(cost / scale) + short

    columns = (
        Column("searcher", lambda r: r.searcher),
        Numbers("seed", lambda r: str(r.seed)),
        Column("state", lambda r: "complete" if r.complete else "partial"),
        Numbers("evaluations", lambda r: f"{r.evaluations:,}"),
        Numbers("spent", lambda r: spent(r.spent)),
        Numbers("on ranks", lambda r: spent(r.spent_on_ranks)),
        Numbers("best validated", lambda r: score.text(r.score, 2)),
        Numbers("reported at the end", lambda r: score.text(r.final if r.evaluations else None, 2)),
        Numbers("area", lambda r: score.text(r.area if r.evaluations else None, 2)),
    )
    title = f"All {len(comparison.results)} searches"
    return Table.of(title, columns, comparison.results, folded=True)
