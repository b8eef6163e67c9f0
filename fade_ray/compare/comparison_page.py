"""`report.html` of a comparison of searchers, trained or replayed: one self-contained page from the
files of its directory.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from markupsafe import Markup

from fade_ray.analysis.paired_tests import PairedTest
from fade_ray.compare import entered_facts
from fade_ray.compare.comparison import Comparison
from fade_ray.compare.comparison_figures import MEASURES, budget_axis, compared, pictures
from fade_ray.compare.comparison_verdict import differing
from fade_ray.compare.entered_facts import EnteredRun
from fade_ray.compare.record_traces import unspent
from fade_ray.compare.trace import Trace
from fade_ray.report.page import element, environment
from fade_ray.report.style import Picture, dark_colours, house_style, inline, replace_file, save
from fade_ray.report.words import count, duration, listed, percent, si
from fade_ray.search import search_facts as facts
from fade_ray.search.search_facts import Row, read_object
from spaces.errors import InvalidInput

MISSING = {
    "anytime": "No search has evaluated an architecture yet.",
    "seeds": "No search has come to the end of its budget yet.",
    "effects": "There is no pair of complete searches with the same seed yet, or no searcher besides the baseline.",
    "best": "No search has come to the end of its budget with an evaluation yet.",
}
"""What the page says where a figure has nothing to show."""
MOST_EVALUATIONS = 2000
"""Of a replay, that are listed on the page; more are in traces.json alone."""


@dataclass(frozen=True)
class ComparisonRun:
    """A directory of `fade-ray compare` or `fade-ray replay`; `comparison` is None before there is
    a trace.
    """

    run: EnteredRun
    traces: list[Trace]
    comparison: Comparison | None

    @classmethod
    def read(cls, folder: Path) -> "ComparisonRun":
        """Read a directory. Raises InvalidInput: neither record nor traces, or a file that does not
        hold what it should.
        """
        run, traces = EnteredRun.read(folder), read_traces(folder)
        if not run.recorded and traces is None:
            raise InvalidInput(
                f"A comparison has records.jsonl, traces.json or traces.parquet, but {folder} has none. Name the directory of a comparison."
            )
        made = read_object(folder / "comparison.json")
        return cls(run, traces or [], _compare(traces, made) if traces else None)


def _compare(traces: Sequence[Trace], made: dict[str, Any]) -> Comparison:
    """The comparison as it was made, from the traces; by the defaults where that is not recorded."""
    if not made:
        return compared(traces)
    spent = {
        (r["searcher"], int(r["seed"])): r.get("spent_on_ranks") for r in made.get("results") or []
    }
    known = {key: float(value) for key, value in spent.items() if value is not None}
    return Comparison.of(traces, made["baselines"], made["floor"], made["k"], known)


def read_traces(folder: Path) -> list[Trace] | None:
    """The traces in `traces.json` (a list) or `traces.parquet` (a line each, with the fields of a
    trace as columns); None without either.

    Raises InvalidInput where they cannot be read.
    """
    path = next(
        (folder / name for name in ("traces.json", "traces.parquet") if (folder / name).exists()),
        None,
    )
    if path is None:
        return None
    try:
        lines = (
            json.loads(path.read_bytes())
            if path.suffix == ".json"
            else pq.read_table(path).to_pylist()
        )
        return [Trace.from_dict(line) for line in lines]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidInput(
            f"The traces of a comparison must be readable, but {path} is not: {error}. Restore it, or make it again from the record."
        ) from error


def write_comparison_report(folder: Path) -> Path:
    """Write `figures/*.svg`, `figures/*.png` and `report.html` into the directory of a comparison,
    finished or not; the page's path.

    Raises InvalidInput if the directory holds no readable comparison, or cannot be written.
    """
    folder = Path(folder)
    found = ComparisonRun.read(folder)
    try:
        with house_style():
            shown = (
                [] if found.comparison is None else list(pictures(found.traces, found.comparison))
            )
            drawn = {picture.name: drawing(picture, folder) for picture in shown}
        path = folder / "report.html"
        replace_file(path, _page(found, drawn).encode())
    except OSError as error:
        raise unwritable(folder, error) from error
    return path


def drawing(picture: Picture, folder: Path) -> Markup:
    """Save a picture into the figures of a run; what stands on its page."""
    return element(picture, inline(save(picture, folder / "figures"), picture.name, picture.alt))


def unwritable(folder: Path, error: OSError) -> InvalidInput:
    return InvalidInput(
        f"A report is written into its run directory, but {error.filename or folder} could not be written: "
        f"{error.strerror or error}. Free space or set the permissions and write the report again."
    )


def _page(found: ComparisonRun, drawn: dict[str, Markup]) -> str:
    run, comparison, traces = found.run, found.comparison, found.traces
    complete = sum(trace.complete for trace in traces)
    word, sentence = run.state(complete, len(traces), "search")
    first, sentences = verdict(comparison)
    searchers = list(dict.fromkeys(trace.searcher for trace in traces))
    trials = entered_facts.trial_table(run.history)
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            name=run.name,
            state=word,
            sentence=sentence,
            continuation=run.continuation("compare"),
            warnings=facts.warnings(run.history),
            first=first,
            sentences=sentences,
            headline=headline(found),
            drawn={name: drawn.get(name, missing) for name, missing in MISSING.items()},
            k=comparison.k if comparison else 10,
            results=results_table(comparison) if comparison else [],
            tests=paired_table(comparison) if comparison else [],
            searches=search_table(comparison) if comparison else [],
            floor=percent(comparison.floor) if comparison else None,
            unit=comparison.unit if comparison else None,
            cost=entered_facts.cost_table(run.history, grouped(run, searchers)),
            costs=(entered_facts.COSTS, entered_facts.COST_NUMBERS),
            trials=trials,
            trial_columns=(
                (*entered_facts.TRIALS, "architecture, rows separated by /"),
                entered_facts.TRIAL_NUMBERS,
            ),
            evaluations=[] if trials else evaluation_table(traces),
            evaluated=sum(len(trace.costs) for trace in traces),
            recorded=run.recorded,
            config=facts.config_table(run.config),
            environment=facts.config_table(
                {k: v for k, v in run.environment.items() if k != "command"}
            ),
            command=run.command,
            dark=Markup(dark_colours()),
        )
    )


def grouped(run: EnteredRun, searchers: Sequence[str]) -> dict[str, list[str]]:
    """Searcher -> the names of its searches in the record, such as "fade-0"; a search of no known
    searcher stands for itself.
    """
    groups: dict[str, list[str]] = {name: [] for name in searchers}
    for entry in dict.fromkeys(entered.entry for entered in run.history.proposals.values()):
        stem = entry.rpartition("-")[0]
        groups.setdefault(stem if stem in groups else entry, []).append(entry)
    return {name: entries for name, entries in groups.items() if entries}


def verdict(comparison: Comparison | None) -> tuple[str, tuple[str, ...]]:
    """A sentence on accuracy at the end of the budget, and those of the comparison."""
    if comparison is None:
        return "There are no traces yet, so nothing can be said.", ()
    tests = [test for test in comparison.tests if test.measure == "final"]
    if not any(test.seeds for test in tests):
        return (
            "Nothing can be said yet: no two searchers have completed the same seed.",
            comparison.verdict,
        )
    against = " or ".join(comparison.baselines)
    if not any(test.shown for test in tests):
        told = f"No difference shown: no searcher was shown to be better or worse than {against}."
        return told, comparison.verdict
    sentences = [
        f"Shown to be {word} than {against}: {names}."
        for word in FINDINGS
        if (names := _shown(tests, word))
    ]
    rest = dict.fromkeys(test.searcher for test in tests)
    undecided = [name for name in rest if not any(t.shown for t in tests if t.searcher == name)]
    others = [f"No difference shown for {listed(undecided)}."] if undecided else []
    return " ".join([*sentences, *others]), comparison.verdict


FINDINGS = ("better", "worse")


def _shown(tests: Sequence[PairedTest], word: str) -> str:
    """The searchers that a test has shown to be so, listed; "" without any."""
    return listed(list(dict.fromkeys(test.searcher for test in tests if test.finding == word)))


def headline(found: ComparisonRun) -> list[Row]:
    """(label, value, remark) of the figures that matter."""
    comparison, history = found.comparison, found.run.history
    if comparison is None:
        return []
    rows: list[Row] = []
    known = [summary for summary in comparison.summaries if summary.seeds]
    if known:
        best = max(known, key=lambda summary: summary.mean)
        spread = (
            f"standard deviation {100 * best.std:.2f} points over "
            if best.seeds > 1
            else "spread unknown: "
        )
        chance = found.run.result.get("chance")
        guess = "" if chance is None else f"; chance level {percent(chance)}"
        remark = f"{best.searcher}, {spread}{count(best.seeds, 'seed')}{guess}. Whether it is more than luck, the tests say."
        rows.append(("highest mean accuracy", percent(best.mean, 2), remark))
    scale, unit = budget_axis(comparison)
    rows.append(("budget", si(comparison.budget / scale), f"{unit}, for each search"))
    left = unspent(found.run.result, comparison.budget)
    if any(left.values()):
        text = listed([f"{percent(share)} ({name})" for name, share in left.items()])
        rows.append(("unspent", text, "on average of each budget: it covers nothing more of use"))
    results = comparison.results
    partial = sum(not result.complete for result in results)
    text = f"{partial} partial, left out of means and tests" if partial else "all complete"
    rows.append(("searches", f"{len(results) - partial} of {len(results)}", text))
    rows.append(
        (
            "evaluations",
            f"{sum(result.evaluations for result in results):,}",
            "within the budget, of all searches",
        )
    )
    if history.cost.seconds:
        rows.append(
            (
                "training time",
                duration(history.cost.seconds),
                f"{si(history.cost.images)} images, summed over trials",
            )
        )
    if history.training_share is not None:
        rows.append(
            (
                "training share",
                percent(history.training_share, 0),
                "of the trials' wall time was training",
            )
        )
    return rows


def results_table(comparison: Comparison) -> list[Row]:
    """Per searcher: seeds, mean, deviation, interval, area with deviation, both mean ranks, mean of
    the k best, evaluations, share on ranks.
    """
    return [
        (
            s.searcher,
            f"{s.seeds}" + (f" (+ {s.partial} partial)" if s.partial else ""),
            number(100 * s.mean),
            number(100 * s.std),
            interval(100 * s.low, 100 * s.high),
            number(100 * s.area),
            number(100 * s.area_std),
            number(s.rank),
            number(s.area_rank),
            number(100 * s.top_mean),
            number(s.evaluations, 1),
            "–" if s.spent_on_ranks is None else percent(s.spent_on_ranks / comparison.budget, 0),
        )
        for s in comparison.summaries
    ]


def paired_table(comparison: Comparison) -> list[Row]:
    """Per test: searcher, baseline, measure, pairs, difference, interval, d_z, share of better
    pairs, p, p after Holm, verdict.
    """
    return [
        (
            t.searcher,
            t.baseline,
            MEASURES[t.measure],
            str(len(t.seeds)),
            number(100 * t.difference, signed=True),
            interval(100 * t.low, 100 * t.high, signed=True),
            number(t.effect, signed=True),
            "–" if not t.seeds else percent(t.superiority, 0),
            p_value(t.p) if t.seeds else "–",
            p_value(t.corrected) if t.seeds else "–",
            conclusion(t),
        )
        for t in comparison.tests
    ]


def conclusion(test: PairedTest) -> str:
    """What a test has shown, or why it could not."""
    if test.shown:
        return test.finding
    if not test.can_show:
        return "too few seeds to show one"
    return f"no difference shown{'' if test.differ_enough else f': {differing(test)}'}"


def search_table(comparison: Comparison) -> list[Row]:
    """Per search: searcher, seed, state, evaluations, spent, on hyper-architectures, best
    validated, reported at the end, area.
    """
    scale, unit = budget_axis(comparison)
    short_unit = "" if scale == 1 else f" {unit.split()[0]}"
    return [
        (
            r.searcher,
            str(r.seed),
            "complete" if r.complete else "partial",
            f"{r.evaluations:,}",
            si(r.spent / scale) + short_unit,
            "–" if r.spent_on_ranks is None else si(r.spent_on_ranks / scale) + short_unit,
            facts.share(r.score),
            facts.share(r.final if r.evaluations else None),
            facts.share(r.area if r.evaluations else None),
        )
        for r in comparison.results
    ]


def evaluation_table(traces: Sequence[Trace]) -> list[Row]:
    """Per evaluation: searcher, seed, number, spent until then, validated, reported; [] where there
    are too many for a page.
    """
    if sum(len(trace.costs) for trace in traces) > MOST_EVALUATIONS:
        return []
    return [
        (t.searcher, str(t.seed), str(i), si(cost), percent(score, 2), percent(report, 2))
        for t in traces
        for i, (cost, score, report) in enumerate(
            zip(t.costs, t.scores, t.reports, strict=True), start=1
        )
    ]


def number(value: float, digits: int = 2, signed: bool = False) -> str:
    """A figure with its digits; a dash where it is undefined."""
    if not math.isfinite(value):
        return "–"
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def interval(low: float, high: float, digits: int = 2, signed: bool = False) -> str:
    return (
        "–"
        if not math.isfinite(low)
        else f"{number(low, digits, signed)} to {number(high, digits, signed)}"
    )


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
