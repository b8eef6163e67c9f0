"""The page and the figures of a rank study: finished, unfinished and tabular ones; what they say is
what the ranks say.
"""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from parsed_page import EVIL, Page
from scipy import stats
from synthetic_comparison import (
    HYPER,
    SyntheticEntered,
    ranks_report,
    studied,
    synthetic_alone,
    synthetic_runs,
    true_accuracy,
    write,
)

from fade_ray.ranks.rank_correlation import rank_against_table
from fade_ray.ranks.rank_course_figures import at_equal_computation, over_epochs
from fade_ray.ranks.rank_courses import ComputationCurve, Correlation, EqualComputation
from fade_ray.ranks.rank_figures import agreement, marginals
from fade_ray.ranks.rank_records import Alone, RankEpoch, RankRun, by_setting
from fade_ray.ranks.rank_summary import RankFindings, TablePoint, TableStudy, summary_of
from fade_ray.ranks.rank_verdict import first_in_words
from fade_ray.report.style import house_style

FIGURES = {"agreement", "marginals", "epochs", "computation"}


def findings(runs: list[RankRun], alone: list[Alone], truth: str = "test") -> RankFindings:
    found = RankFindings(HYPER, tuple(runs), tuple(alone), truth)
    return replace(found, summary=summary_of(runs, found.whole))


WHOLE = findings(synthetic_runs(), synthetic_alone())
assert WHOLE.summary is not None
STUDY = WHOLE.summary
"""What the finished study comes to."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    studied(folder, synthetic_runs(), synthetic_alone())
    return ranks_report(folder, synthetic_runs(), synthetic_alone()).parent


def test_a_finished_study(finished: Path) -> None:
    page = Page(finished / "report.html")
    assert {name for name, alt in page.figures().items() if len(alt) > 20} == FIGURES
    first, second = (setting.overall.spearman for setting in STUDY.settings)
    assert first.low > 0 > second.low, "as it was planted"
    assert (
        f"better than chance, for default ({first.value:.2f}). Not shown for shared." in page.text
    )
    assert "as the command says it" in page.text
    assert f"{first.low:.2f} to {first.high:.2f}" in page.text
    assert f"noise ceiling {STUDY.ceiling.bound:.2f}" in page.text
    assert "finished 34 of 34 trials complete" in page.text
    assert "All 6 trainings of the hyper-architecture" in page.text
    assert "All 14 architectures trained alone" in page.text
    assert "All 34 trials" in page.text
    assert "default 0 6 6 G 1 min 0" in page.text, "computation beside the wall time"
    assert "fade-ray rank-study --seeds 0 1 2" in page.text


def test_every_architecture_and_candidate_is_on_the_page(finished: Path) -> None:
    page = Page(finished / "report.html")
    for one in synthetic_alone():
        accuracies = ", ".join(f"{100 * value:.2f}" for value in one.accuracies)
        choice = " / ".join(str(candidate + 1) for candidate in one.choice)
        assert f"{choice} {100 * np.mean(one.accuracies):.2f} % {accuracies}" in page.text
        assert HYPER.architecture(one.choice).code() in page.text
    weights = [run.epochs[-1].weights[1][2] for run in synthetic_runs() if run.setting == "default"]
    code = HYPER.distinct()[1][2].code
    assert f"2 3 {code} {np.mean(weights):.3f} ± {np.std(weights, ddof=1):.3f}" in page.text


def test_the_numbers_of_the_results_are_those_of_the_summary(finished: Path) -> None:
    page = Page(finished / "report.html")
    for setting in STUDY.settings:
        rho, mean = setting.overall.spearman, setting.mean
        row = f"{rho.value:.2f} {rho.low:.2f} to {rho.high:.2f}"
        regrets = " ".join(f"{100 * regret.value:.2f}" for regret in mean.regrets)
        rest = rf"{re.escape(f'{mean.kendall.value:.2f}')} {re.escape(regrets)}"
        assert re.search(rf"{setting.setting} 3 {re.escape(row)} \S+ \S+ {rest}", page.text)
    [(name, estimate)] = STUDY.differences
    ends = f"{estimate.low:+.2f} to {estimate.high:+.2f}"
    assert f"{name} {estimate.value:+.2f} {ends}" in page.text


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
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_a_planted_order_is_found_to_the_last_place() -> None:
    """Weights exp(c accuracy) per candidate give psi the order of the accuracies: rho is 1, and the
    points rise without a fall.
    """
    rows = tuple(
        tuple((np.exp(row * np.arange(3)) / np.exp(row * np.arange(3)).sum()).tolist())
        for row in (1, 2, 3)
    )
    runs = [RankRun("exact", 0, (RankEpoch(1, 5.0, rows),))]
    choices = [(0, 0, 0), (0, 1, 0), (2, 0, 1), (0, 0, 2), (1, 2, 2)]
    alone = [Alone(choice, (true_accuracy(choice),)) for choice in choices]
    found = findings(runs, alone)
    assert found.courses["exact"][0].rho == pytest.approx([1.0])
    with house_style():
        picture = agreement(found).draw()
    assert picture is not None
    assert "exact 1.00" in picture.caption
    axis = picture.figure.axes[0]
    points = sorted(
        zip(axis.lines[0].get_xdata(), axis.lines[0].get_ydata(), strict=True), reverse=True
    )
    assert [y for _, y in points] == sorted(y for _, y in points)
    low, high = axis.get_xlim()
    assert low > high, "the best place is on the right"


def test_courses_are_spearman_of_log_psi() -> None:
    runs, alone = synthetic_runs(), synthetic_alone()
    true = [float(np.mean(one.accuracies)) for one in alone]
    for setting, group in WHOLE.courses.items():
        for run, course in zip(by_setting(runs)[setting], group, strict=True):
            for epoch, rho in zip(run.epochs, course.rho, strict=True):
                psi = [
                    math.prod(row[k] for row, k in zip(epoch.weights, one.choice, strict=True))
                    for one in alone
                ]
                assert rho == pytest.approx(stats.spearmanr(psi, true).statistic)


def test_epochs_show_a_line_per_seed_and_their_mean_below_the_ceiling() -> None:
    runs, alone = synthetic_runs(), synthetic_alone()
    shorter = replace(runs[0], epochs=runs[0].epochs[:4])
    found = findings([shorter, *runs[1:]], alone)
    with house_style():
        picture = over_epochs(found).draw()
    assert picture is not None
    axis = picture.figure.axes[0]
    thin = [line for line in axis.lines if line.get_linewidth() == 0.9]
    (mean,) = (line for line in axis.lines if line.get_linewidth() == 2.8)
    assert [len(line.get_xdata()) for line in thin] == [4, 7, 7]
    assert list(mean.get_xdata()) == [0, 1, 2, 3], "where all of them have ended the epoch"
    assert np.asarray(mean.get_ydata()) == pytest.approx(
        np.mean([c.rho[:4] for c in found.courses["default"]], axis=0)
    )
    assert "noise ceiling" in picture.caption
    with house_style():
        once = over_epochs(findings(runs, synthetic_alone(repeats=1))).draw()
    assert once is not None
    assert "the noise ceiling is unknown" in once.caption


def test_what_is_drawn_at_equal_computation_is_what_the_study_found() -> None:
    equal = STUDY.equal_computation
    assert equal is not None
    assert equal.multiply_adds == 6 * 10**9, "the second setting takes twice as much, however long"
    with house_style():
        picture = at_equal_computation(WHOLE).draw()
    assert picture is not None
    left, right = picture.figure.axes
    for line, curve in zip(left.lines, equal.curves, strict=False):
        places = [spent / 10**9 for spent in curve.multiply_adds]
        assert list(line.get_xdata()) == pytest.approx(places)
        assert list(line.get_ydata()) == pytest.approx(curve.spearman)
    assert [text.get_text() for text in right.texts] == [
        f"{one.value:.2f}, 3 seeds" for one in equal.settings
    ]
    assert "6 G multiply-adds" in picture.caption
    late = replace(WHOLE, runs=(*WHOLE.runs, replace(WHOLE.runs[0], setting="late")))
    with house_style():
        picture = at_equal_computation(late).draw()
    assert picture is not None
    assert "Left out, since no epoch had ended: late." in picture.caption


def test_without_multiply_adds_the_page_leaves_the_figure_out(tmp_path: Path) -> None:
    """Records of earlier versions tell times alone."""
    runs = [
        replace(run, epochs=tuple(replace(epoch, multiply_adds=None) for epoch in run.epochs))
        for run in synthetic_runs()
    ]
    studied(tmp_path, runs, synthetic_alone())
    page = Page(ranks_report(tmp_path, runs, synthetic_alone()))
    assert {name for name, alt in page.figures().items() if alt} == FIGURES - {"computation"}
    assert "does not tell their multiply-adds" in page.text
    assert "default 0 6 unknown 1 min 0" in page.text


def test_the_page_says_which_images_the_truth_is_from(finished: Path, tmp_path: Path) -> None:
    runs, alone = synthetic_runs(), synthetic_alone()
    studied(tmp_path, runs, alone)
    test = "Held against accuracies on the test images, which no rank was learned on."
    split = "and the noise ceiling are biased upwards."
    for page, fact, words in (
        (Page(ranks_report(tmp_path, runs, alone, truth="test")), "test images", test),
        (Page(finished / "report.html"), "architecture split", split),
    ):
        assert page.text.count(words) == 4, "three captions, and below the results"
        assert f"truth {fact}" in page.text


def test_marginals_are_means_over_seeds() -> None:
    runs = synthetic_runs()
    with house_style():
        picture = marginals(runs).draw()
    assert picture is not None
    axes = picture.figure.axes
    assert len(axes) == 2 * 3
    bars = [bar.get_height() for bar in axes[1].patches]
    assert bars == pytest.approx(
        np.mean([r.epochs[-1].weights[1] for r in runs if r.setting == "default"], axis=0)
    )


def test_more_than_eight_rows_go_on_in_the_next_line() -> None:
    uniform = ((0.5, 0.5),) * 10
    with house_style():
        picture = marginals([RankRun("default", 0, (RankEpoch(1, 1.0, uniform),))]).draw()
    assert picture is not None
    assert [axis.get_title(loc="left") for axis in picture.figure.axes] == [
        f"row {row}" for row in range(1, 11)
    ]


def test_a_whole_table_is_a_density(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hyper = replace(HYPER, rows=HYPER.rows[:1] * 6)
    choices = list(product(range(3), repeat=6))
    alone = [
        Alone(choice, (0.5 + 0.04 * sum(choice) + float(rng.normal(0, 0.01)),))
        for choice in choices
    ]
    truth = np.array([one.accuracies[0] for one in alone]).reshape((3,) * 6)
    runs = []
    for seed in range(3):
        logits = [np.arange(3) * 0.5 + rng.normal(0, 0.2, 3) for _ in range(6)]
        rows = tuple(tuple((np.exp(row) / np.exp(row).sum()).tolist()) for row in logits)
        runs.append(RankRun("default", seed, (RankEpoch(1, 9.0, rows),)))
    judged = [rank_against_table(run.weights, truth) for run in runs]
    points = tuple(
        TablePoint(**asdict(one), setting="default", seed=seed, epoch=1, multiply_adds=3 * 10**9)
        for seed, one in enumerate(judged)
    )
    curve = ComputationCurve("default", (3 * 10**9,), (0.5,))
    equal = (Correlation("default", 3, 0.5, 0.4, 0.6),)
    equal = EqualComputation(3 * 10**9, equal, (curve,))
    pooled = {"default": judged[0]}
    table = TableStudy("NAS-Bench-Macro", points, pooled, 0.9, (), equal)
    studied(tmp_path, runs, [], hyper)
    page = Page(ranks_report(tmp_path, runs, alone, hyper, "table", table))
    assert all(page.figures().values())
    svg = (tmp_path / "figures" / "agreement.svg").read_text()
    assert svg.count("<use") < 300, "hexagons instead of 729 points"
    assert len(svg) < 400_000
    rhos = [one.spearman for one in judged]
    half = stats.t.ppf(0.975, 2) * np.std(rhos, ddof=1) / math.sqrt(3)
    assert (
        f"default 3 {np.mean(rhos):.2f} {np.mean(rhos) - half:.2f} to {np.mean(rhos) + half:.2f}"
        in page.text
    )
    assert "Best 10 of 729 architectures" in page.text
    assert "Student's t over the seeds" in page.text
    assert "729 in NAS-Bench-Macro, 1 time each" in page.text


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    record = SyntheticEntered(tmp_path, "fade-ray rank-study")
    page = Page(ranks_report(tmp_path, [], []))
    assert set(page.figures()) == FIGURES
    assert not any(page.figures().values())
    assert "Nothing can be correlated yet" in page.text
    assert "No trial was proposed yet" in page.text
    record.propose("default", "ranks", HYPER)
    page = Page(ranks_report(tmp_path, [], []))
    assert "0 of 1 trial complete." in page.text
    assert f"fade-ray rank-study --out {tmp_path}" in page.text


def test_a_study_under_way_shows_what_there_is(tmp_path: Path) -> None:
    runs = [synthetic_runs()[0], RankRun("shared", 0, ())]
    first, second = synthetic_alone(architectures=2)
    alone = [first, Alone(second.choice, second.accuracies[:1])]
    studied(tmp_path, runs, alone, ended=False)
    page = Page(ranks_report(tmp_path, runs, alone))
    assert {name for name, alt in page.figures().items() if alt} == {"marginals"}
    assert "1 more wait for their repeats" in page.text
    assert "unfinished" in page.text
    assert "nan" not in page.text.lower().split()


def test_a_verdict_needs_an_interval_above_zero() -> None:
    good, bad = STUDY.results
    unknown = replace(good, rho=replace(good.rho, low=math.nan))
    for one in (bad, unknown):
        assert first_in_words((one,)).startswith("No agreement shown")
    assert first_in_words((good,)).endswith(f"for default ({good.rho.value:.2f}).")


def test_everything_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<b>study<b>"
    runs, alone = synthetic_runs((EVIL,), 2, 2), synthetic_alone()
    record = studied(folder, runs, alone)
    record.journal.append("warning", id=None, message=EVIL)
    write(folder, config={"command": EVIL, EVIL: [EVIL]}, environment={"platform": EVIL})
    page = Page(ranks_report(folder, runs, alone))
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert page.text.count("alert('1')") >= 10
    for path in (folder / "figures").glob("*.svg"):
        ET.parse(path)
