"""The page and the figures of a comparison: finished, partial, empty and replayed ones; what they
say is what the traces say.
"""

import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parsed_page import EVIL, Page, read_run
from synthetic_comparison import (
    SKILL,
    SyntheticEntered,
    architecture,
    compared,
    comparison_report,
    made,
    synthetic_traces,
    write,
)

from fade_ray.compare.comparison import Comparison
from fade_ray.compare.comparison_figures import (
    anytime_curves,
    best_evaluations,
    budget_axis,
    effects,
    seeds,
)
from fade_ray.compare.comparison_page import (
    comparison_page,
    paired_table,
    results_table,
    search_table,
    verdict,
)
from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.trace import Trace
from fade_ray.records.journal import plain
from fade_ray.records.json_form import as_json
from fade_ray.records.run_files import Run
from fade_ray.report.page import write_page
from fade_ray.report.style import SERIES, Picture, house_style, save
from fade_ray.report.words import ACCURACY, Measure
from searchers.outcome import Outcome
from spaces.dag import Dag

FIGURES = {"anytime", "seeds", "effects", "best"}


def pictures(traces: list[Trace], comparison: Comparison) -> list[Picture]:
    candidates = (
        anytime_curves(traces, comparison),
        best_evaluations(traces, comparison),
        seeds(comparison),
        effects(comparison),
    )
    drawn = (figure.draw() for figure in candidates)
    return [picture for picture in drawn if picture is not None]


def report(folder: Path, traces: list[Trace]) -> Page:
    path = comparison_report(folder, traces)
    assert path == folder / "report.html"
    return Page(path)


def numbers(data: Any) -> list[float]:
    """All numbers in JSON data."""
    if isinstance(data, bool) or data is None or isinstance(data, str):
        return []
    if isinstance(data, dict):
        return [value for item in data.values() for value in numbers(item)]
    return (
        [value for item in data for value in numbers(item)]
        if isinstance(data, list)
        else [float(data)]
    )


TRACES = synthetic_traces(partial=[("bayes", 2)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    compared(folder, TRACES)
    comparison_report(folder, TRACES)
    return folder


def test_a_finished_comparison(finished: Path) -> None:
    page = Page(finished / "report.html")
    assert {name for name, alt in page.figures().items() if len(alt) > 20} == FIGURES
    assert (
        "Shown to be better than random: fade and evolution. No difference shown for bayes."
        in page.text
    )
    for sentence in made(TRACES).verdict:
        assert sentence in page.text
    assert page.source.index("Verdict") < page.source.index("<svg")
    assert "finished 31 of 32 searches complete." in page.text
    assert "1 partial, left out of means and tests" in page.text
    assert "bayes 2 partial 6 6 k" in page.text, "the search that did not come to its end is marked"
    assert "7 (+ 1 partial)" in page.text
    assert "All 378 trials" in page.text
    assert "chance level 10.0 %" in page.text
    assert "fade-ray compare --seeds 0 1 2" in page.text
    assert "data.name digits" in page.text


def test_every_trial_of_the_record_is_on_the_page(finished: Path) -> None:
    page = Page(finished / "report.html")
    for trace in TRACES[::5]:
        for score, test in zip(trace.scores, trace.reports, strict=True):
            scores = f"{100 * score:.2f} % {100 * test:.2f} %"
            assert f"{trace.searcher}-{trace.seed} evaluation 1 5 done {scores}" in page.text


def test_no_number_of_the_tables_is_made_up() -> None:
    comparison = made(TRACES)
    known = np.array(numbers(plain(as_json(comparison))))
    known = np.concatenate(
        [known, 100 * known, known / 12_000 * 100]
    )  # shares in percent, spending as a share of the budget
    tables = (results_table, paired_table, search_table)
    rows = [row for table in tables for row in table(comparison, ACCURACY).rows]
    cells = [cell for row in rows for cell in row if re.search(r"\d", cell) and " k" not in cell]
    assert len(cells) > 200
    for found in (
        float(text) for cell in cells for text in re.findall(r"[-+]?\d+(?:\.\d+)?", cell)
    ):
        assert np.abs(known - found).min() <= 0.0051 or found == 0.001, found


def test_the_page_needs_nothing_but_itself(finished: Path) -> None:
    page = Page(finished / "report.html")
    assert not re.search(r"https?:|@import", page.source)
    assert not {tag for tag, _ in page.tags} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "image",
    }
    for _, attributes in page.tags:
        for key in ("src", "href", "xlink:href"):
            assert (attributes.get(key) or "#").startswith("#")
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_a_verdict_claims_no_more_than_the_tests() -> None:
    alike = Comparison.of(synthetic_traces(searchers=("random", "bayes")), "random")
    assert (
        verdict(alike)
        == "No difference shown: no searcher was shown to be better or worse than random."
    )
    few = Comparison.of(synthetic_traces(seeds=2, searchers=("random", "fade")), "random")
    assert verdict(few).startswith("No difference shown")
    assert paired_table(few, ACCURACY).rows[0][-1] == "too few seeds to show one", (
        "2 seeds give p = 0.5 at best"
    )
    traces = synthetic_traces(searchers=("random", "fade"))
    same = {trace.seed: trace for trace in traces if trace.searcher == "random"}
    traces = [
        replace(same[t.seed], searcher="fade") if t.searcher == "fade" and t.seed else t
        for t in traces
    ]
    assert (
        paired_table(Comparison.of(traces, "random"), ACCURACY).rows[0][-1]
        == "no difference shown: only 1 of 8 seeds differs"
    )
    single = Comparison.of(synthetic_traces(searchers=("random",)), "random")
    assert verdict(single).startswith("Nothing can be said yet")


def test_harm_is_said_as_plainly_as_gain() -> None:
    harmed = Comparison.of(synthetic_traces(searchers=("random", "fade")), "fade")
    assert verdict(harmed) == "Shown to be worse than fade: random."
    assert paired_table(harmed, ACCURACY).rows[0][-1] == "worse"


def test_the_curves_are_means_that_begin_where_all_seeds_have_something() -> None:
    traces = synthetic_traces()
    comparison = Comparison.of(traces, "random")
    with house_style():
        picture = anytime_curves(traces, comparison).draw()
    assert picture is not None
    (axis,) = picture.figure.axes
    for name, band, line in zip(SKILL, comparison.bands, axis.lines, strict=True):
        assert line.get_label() == f"{name} (8 seeds)"
        heights = np.asarray(line.get_ydata(), float)
        assert heights[:-1] == pytest.approx(100 * np.asarray(band.mean), nan_ok=True)
        first = float(np.asarray(line.get_xdata())[np.isfinite(heights)][0])
        assert first == pytest.approx(3000 if name == "fade" else 1000, abs=120), (
            "FaDE has paid for its ranks before"
        )
        finals = [
            trace.reports[int(np.argmax(trace.scores))]
            for trace in traces
            if trace.searcher == name
        ]
        assert heights[-1] == pytest.approx(100 * np.mean(finals))
    looks = {
        (line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in axis.lines
    }
    assert len(looks) == len(SKILL)
    assert axis.get_xlabel() == "budget spent (training images)"
    assert "%" in axis.get_ylabel()


def test_seconds_become_minutes_or_hours() -> None:
    traces = [
        Trace("random", 0, budget, "seconds of training", (1.0,), (0.5,), (0.5,))
        for budget in (60.0, 600.0, 9000.0)
    ]
    axes = [budget_axis(Comparison.of([trace], "random")) for trace in traces]
    assert axes == [
        (1.0, "seconds of training"),
        (60.0, "minutes of training"),
        (3600.0, "hours of training"),
    ]


def test_partial_searches_are_thin_lines_and_in_no_mean() -> None:
    traces = synthetic_traces(
        seeds=2, searchers=("random", "fade"), partial=[("fade", 0), ("fade", 1), ("random", 1)]
    )
    comparison = Comparison.of(traces, "random")
    with house_style():
        picture = anytime_curves(traces, comparison).draw()
        shown = {picture.name for picture in pictures(traces, comparison)}
    assert picture is not None
    lines = picture.figure.axes[0].lines
    assert [line.get_linewidth() == 1.0 for line in lines] == [False, True, True, True]
    labels = [str(line.get_label()) for line in lines]
    assert labels[0] == "random (1 seed)"
    assert [label for label in labels if "partial" in label] == ["fade (partial)"]
    assert shown == {"anytime", "seeds", "best"}, "without a pair there is no test"


def test_the_forest_plot_shows_the_tests() -> None:
    comparison = Comparison.of(synthetic_traces(), "random")
    with house_style():
        picture = effects(comparison).draw()
    assert picture is not None
    axis = picture.figure.axes[0]
    tests = [test for test in comparison.tests if test.measure == "final"]
    drawn = [line for line in axis.lines if line.get_marker() not in ("None", "")]
    assert [float(line.get_xdata()[0]) for line in drawn] == pytest.approx(
        [100 * test.difference for test in tests]
    )
    bars = [
        line
        for line in axis.lines
        if line.get_marker() in ("None", "") and line.get_color() in SERIES
    ]
    assert [tuple(line.get_xdata()) for line in bars] == [
        pytest.approx((100 * t.low, 100 * t.high)) for t in tests
    ]
    filled = [line.get_markerfacecolor() == line.get_color() for line in drawn]
    assert filled == [test.shown for test in tests]
    assert len(set(filled)) == 2
    texts = [text.get_text() for text in axis.texts]
    assert texts[0].startswith("better in 100 % of 8 pairs")
    heights = [text.xy[1] for text in axis.texts]
    assert heights == [0, 1, 2], "each beside its searcher"


def test_few_seeds_are_joined_and_many_are_not() -> None:
    with house_style():
        joined, many = (
            seeds(Comparison.of(synthetic_traces(n, 3), "random")).draw() for n in (3, 20)
        )
    assert joined is not None
    assert many is not None
    assert "Lines join" in joined.caption
    assert "Lines join" not in many.caption
    assert max(len(line.get_xdata()) for line in many.figure.axes[0].lines) == 20


def test_figures_alone_of_a_hundred_seeds(tmp_path: Path) -> None:
    traces = synthetic_traces(100, 6, ("fade", "random"))
    with house_style():
        for picture in pictures(traces, Comparison.of(traces)):
            save(picture, tmp_path)
    paths = list(tmp_path.iterdir())
    assert {path.stem for path in paths} == FIGURES
    assert sum(path.stat().st_size for path in paths if path.suffix == ".svg") < 1_500_000
    for path in paths:
        assert path.suffix == ".svg" or path.read_bytes().startswith(b"\x89PNG")
    without = synthetic_traces(2, 4, ("evolution", "bayes"))
    shown = {picture.name for picture in pictures(without, Comparison.of(without, "evolution"))}
    assert "effects" in shown, "of any baseline"


def test_a_replay_has_no_record(tmp_path: Path) -> None:
    traces = synthetic_traces(2, 5, ("fade", "random"), unit="evaluations")
    run = Run(tmp_path, EnteredHistory([]), {})
    page = comparison_page(run, traces, Comparison.of(traces), replayed=True)
    shown = Page(write_page(page, tmp_path))
    assert "Comparison of searchers, replayed on a table" in shown.text
    assert "finished 4 of 4 searches complete. Replayed on a table" in shown.text
    assert "All 20 evaluations" in shown.text
    first = f"{100 * traces[0].scores[0]:.2f} % {100 * traces[0].reports[0]:.2f} %"
    assert f"fade 0 1 1.25 k {first}" in shown.text
    assert "No config.json" in shown.text
    half = [replace(traces[0], complete=False), *traces[1:]]
    partial = comparison_page(run, half, Comparison.of(half), replayed=True)
    assert partial.state.continuation == f"fade-ray replay --out {tmp_path}"


def test_scores_that_are_no_accuracies_are_told_as_they_are(tmp_path: Path) -> None:
    """Minus a distance, say: nothing is a share of anything, or cut at 0."""
    traces = [
        replace(t, **{name: tuple(-10 * value for value in getattr(t, name)) for name in VALUES})
        for t in synthetic_traces(4, 5, ("fade", "random"))
    ]
    comparison = Comparison.of(traces, floor=-12.0)
    run = SyntheticEntered(tmp_path, "fade-ray compare")
    write(tmp_path, config={"train": {"objective": {"name": "of-ones-own"}}})
    history = read_run(run.folder, EnteredHistory)
    page = Page(write_page(comparison_page(history, traces, comparison), tmp_path))
    summary = comparison.summaries[0]
    assert f"fade 4 {summary.mean:.2f} {summary.std:.2f}" in page.text
    assert all("%" not in alt for name, alt in page.figures().items() if name != "effects")
    with house_style():
        curves = anytime_curves(traces, comparison, Measure()).draw()
    assert curves is not None
    (axis,) = curves.figure.axes
    assert axis.get_ylabel().startswith("reported score\n")
    assert axis.get_ylim()[1] < 0


VALUES = ("scores", "reports")


def test_what_a_budget_did_not_buy_is_told(tmp_path: Path) -> None:
    traces = synthetic_traces(2, 4, ("random", "fade"))
    compared(tmp_path, traces)
    assert "unspent" not in report(tmp_path, traces).text, "an earlier version did not record it"
    result = json.loads((tmp_path / "result.json").read_text())
    rest = {"random-0": 0.0, "random-1": 0.0, "fade-0": 400.0, "fade-1": 200.0}
    write(tmp_path, result=result | {"unspent": rest})
    text = report(tmp_path, traces).text
    assert "unspent up to 7.5 % of a budget, on average: 0.0 % (random) and 7.5 % (fade)" in text


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    run = SyntheticEntered(tmp_path, "fade-ray compare")
    nothing = [Trace("fade", 0, 100.0, "training images", (), (), (), False)]
    page = report(tmp_path, nothing)
    assert set(page.figures()) == FIGURES
    assert not any(page.figures().values())
    assert "unfinished 0 of 1 search complete." in page.text
    assert "Nothing can be said yet" in page.text
    assert "No trial was proposed yet" in page.text
    assert f"fade-ray compare --out {tmp_path}" in page.text
    waiting = run.propose("fade-0", "ranks", architecture(Dag(3)))
    failing = run.propose("fade-0", "evaluation", architecture(Dag(3)))
    run.finish(failing, Outcome.failed("crashed", "the loss is NaN"))
    page = report(tmp_path, nothing)
    assert not any(page.figures().values()), "nothing was evaluated"
    assert "0 of 1 search complete." in page.text
    assert "1 trial in flight" in page.text
    assert f"{waiting.id} fade-0 hyper-architecture 1 5 in flight" in page.text
    assert "failed: the loss is NaN" in page.text
    assert "nan" not in re.sub(r"is NaN|<svg.*?</svg>", "", page.text).lower().split()


def test_everything_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<b>run<b>"
    traces = synthetic_traces(2, 4, ("random", EVIL))
    run = compared(folder, traces, ended=False)
    run.journal.append("warning", id=None, message=EVIL)
    write(folder, config={"command": EVIL, EVIL: [EVIL]}, environment={"platform": EVIL})
    page = report(folder, traces)
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert page.text.count("alert('1')") >= 10
    for path in (folder / "figures").glob("*.svg"):
        ET.parse(path)


def test_what_is_undefined_is_a_dash() -> None:
    one = Comparison.of(synthetic_traces(1, 3, ("random",)), "random")
    (row,) = results_table(one, ACCURACY).rows
    assert row[3:5] == ("–", "–"), "one seed has no deviation"
    assert not any("nan" in cell for cell in row)
    assert math.isfinite(float(row[2]))
