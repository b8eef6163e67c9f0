"""The numbers behind the figures, against scipy, closed forms and what was planted; and the drawn
figures themselves.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic_run import FEATURES, SyntheticRun

from fade_ray.analysis.regression import density, regress, wilson
from fade_ray.report.style import DARK, DEPTH, INK, PAPER, SERIES, depth_colour, house_style, spread
from fade_ray.report.words import count, duration, listed, probability, si
from fade_ray.search.search_figures import (
    accuracy_limits,
    accuracy_over_iterations,
    anchor_array,
    anchor_trajectories,
    architecture_means,
    cumulative_cost,
    regression_text,
)
from fade_ray.search.search_history import History
from fade_ray.search.weight_figures import (
    entropy_shares,
    last_weights,
    rank_densities,
    relative_weights,
    weights_over_epochs,
)
from searchers.outcome import Outcome
from spaces.dag import Dag
from spaces.hyper import HyperArchitecture

coordinates = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=30))
def test_regression_agrees_with_scipy(points: list[tuple[float, float]]) -> None:
    x, y = zip(*points, strict=True)
    assume(np.ptp(x) > 0.1 and np.ptp(y) > 0.1)
    ours, theirs = regress(x, y), stats.linregress(x, y)
    assume(abs(theirs.rvalue) < 0.9999)  # the residuals of an exact fit are rounding
    assert ours is not None
    assert ours.r is not None
    assert ours.p is not None
    scale = np.ptp(y) / np.ptp(x)
    assert ours.slope == pytest.approx(theirs.slope, rel=1e-6, abs=1e-9 * scale)
    assert ours.intercept == pytest.approx(theirs.intercept, abs=1e-6)
    assert ours.r == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert ours.p == pytest.approx(stats.pearsonr(x, y).pvalue, abs=1e-6)
    # At x = 0 the standard error of the line is that of the intercept.
    half = stats.t.ppf(0.975, len(x) - 2) * theirs.intercept_stderr
    assert ours.band(np.zeros(1))[0] == pytest.approx(half, rel=1e-5, abs=1e-5)


def test_regression_of_a_case_worked_by_hand() -> None:
    """x = 0, 1, 2 and y = 0, 2, 1: slope 1/2, mean 1, residuals -1/2, 1, -1/2, so s^2 = 3/2 with
    one degree of freedom.
    """
    regression = regress([0, 1, 2], [0, 2, 1])
    assert regression is not None
    assert (regression.slope, regression.intercept) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (regression.r, regression.p) == (pytest.approx(0.5), pytest.approx(2 / 3))
    t = math.tan(math.pi * 0.475)  # Student's t with one degree of freedom is Cauchy's distribution
    expected = [t * math.sqrt(1.5 * (1 / 3 + d * d / 2)) for d in (-1, 0, 1)]
    assert regression.band(np.array([0.0, 1.0, 2.0])) == pytest.approx(expected)


def test_the_band_holds_the_true_line_as_often_as_it_says() -> None:
    """2,000 draws of a known line: the count within the band is binomial with p = 0.95; 4 sigma is
    alpha = 6e-5.
    """
    rng = np.random.default_rng(0)
    x, at, draws = np.arange(8.0), np.array([6.0]), 2000
    hits = 0
    for _ in range(draws):
        regression = regress(x, 1 + 2 * x + rng.normal(size=8))
        assert regression is not None
        hits += abs(regression.line(at) - 13)[0] <= regression.band(at)[0]
    assert abs(hits - 0.95 * draws) < 4 * math.sqrt(draws * 0.95 * 0.05)


def test_no_regression_where_there_is_none() -> None:
    assert regress([], []) is None
    assert regress([1, 2], [0.1, 0.2]) is None
    assert regress([3, 3, 3], [0.1, 0.2, 0.3]) is None
    flat = regress([1, 2, 3], [0.5, 0.5, 0.5])
    assert flat is not None
    assert (flat.slope, flat.r, flat.p) == (0, None, None)
    exact = regress([1, 2, 3], [1, 2, 3])
    assert exact is not None
    assert (exact.r, exact.p) == (pytest.approx(1), pytest.approx(0, abs=1e-6))


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([1, 2], [0.5, 0.6], "2 architectures: too few"),
        ([4, 4, 4], [0.5, 0.6, 0.7], "one iteration: nothing can be said"),
        ([1, 2, 3], [0.5, 0.5, 0.5], "undefined"),
        ([1, 2, 3, 4, 5, 6], [0.1, 0.2, 0.3, 0.4, 0.5, 0.7], "a trend at the 5 % level"),
        ([1, 2, 3, 4], [0.5, 0.4, 0.6, 0.5], "no trend at the 5 % level"),
    ],
)
def test_the_text_says_no_more_than_the_points_do(
    x: list[float], y: list[float], said: str
) -> None:
    assert said in regression_text(regress(x, y), len(x), len(x))


def test_trainings_of_one_architecture_are_one_point_of_a_trend(tmp_path: Path) -> None:
    """Four finalists that are one architecture would make a trend of what two architectures say."""
    run, (a, b) = SyntheticRun(tmp_path), (HyperArchitecture(((dag,),)) for dag in (Dag(2), Dag(3)))
    trainings = [(a, 2, 0.5), (a, 4, 0.52), (b, 7, 0.9), (b, 7, 0.91), (b, 7, 0.92), (b, 7, 0.93)]
    for architecture, iteration, accuracy in trainings:
        run.finish(run.propose("evaluation", iteration, architecture), Outcome(score=accuracy))
    history = History.read(tmp_path / "records.jsonl")
    assert regress([i for _, i, _ in trainings], [y for *_, y in trainings]).p < 0.05  # type: ignore[union-attr, operator]
    assert architecture_means(history) == [(3.0, pytest.approx(0.51)), (7.0, pytest.approx(0.915))]
    with house_style():
        picture = accuracy_over_iterations(history)
    assert picture is not None
    assert "2 architectures in 6 evaluations: too few for a regression" in picture.caption


@given(st.lists(st.floats(0, 1), min_size=1), st.lists(st.floats(-3, 3)))
def test_limits_hold_every_point_and_stay_within_percent(
    accuracies: list[float], band: list[float]
) -> None:
    low, high = accuracy_limits(accuracies, [*accuracies, *band])
    assert -1 <= low < 100 * min(accuracies) + 1e-9
    assert 100 * max(accuracies) - 1e-9 < high <= 101


@given(st.lists(st.floats(0, 7).map(lambda value: round(value, 4)), min_size=3, max_size=40))
def test_a_density_integrates_to_one_within_its_bounds(values: list[float]) -> None:
    assume(np.ptp(values) > 0.01)
    found = density(values, 0.0, 7.0, points=4000)
    assert found is not None
    x, y = found
    assert x[0] >= 0
    assert x[-1] <= 7
    assert (y >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.03)


def test_density_agrees_with_scipy_far_from_the_bounds() -> None:
    values = np.random.default_rng(1).normal(50, 1, size=60)
    found = density(list(values), 0.0, 100.0)
    assert found is not None
    assert found[1] == pytest.approx(stats.gaussian_kde(values)(found[0]), rel=1e-6)


def test_no_density_of_equal_values() -> None:
    assert density([1.0, 1.0, 1.0, 1.0], 0, 2) is None
    assert density([0.2, 0.9], 0, 2) is None


@pytest.mark.parametrize(("share", "n"), [(0.0, 10), (0.5, 40), (0.97, 300), (1.0, 25)])
def test_wilson_interval_agrees_with_scipy(share: float, n: int) -> None:
    interval = stats.binomtest(round(share * n), n).proportion_ci(method="wilson")
    assert wilson(share, n) == pytest.approx((interval.low, interval.high))


@settings(max_examples=200)
@given(st.lists(st.floats(0, 1), max_size=9))
def test_labels_are_spread_in_order_and_within_the_axis(heights: list[float]) -> None:
    gap = 0.1
    placed = spread(heights, gap, 0.0, 1.0)
    ordered = [placed[i] for i in sorted(range(len(heights)), key=lambda i: heights[i])]
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(ordered))
    assert all(-1e-9 <= height <= 1 + 1e-9 for height in placed)
    if all(abs(a - b) >= gap for i, a in enumerate(heights) for b in heights[:i]):
        assert placed == pytest.approx(heights), "labels that have room stay where they are"


def test_relative_weights_average_one_and_count_a_duplicate_once(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    a, b = Dag(3), Dag(2)
    proposal = run.propose("ranks", 1, HyperArchitecture(((a, b, a), (a, a, a))))
    logs = ((np.log(0.25), np.log(0.75), np.log(0.25)), (0.0, 0.0, 0.0))
    run.finish(proposal, Outcome(log_weights=logs))
    rows = relative_weights(History.read(tmp_path / "records.jsonl"))
    assert rows[0] == pytest.approx([0.5, 1.5])
    assert rows[1] == pytest.approx([1.0])


def test_entropy_shares() -> None:
    uniform, one, single = np.full((2, 4), 0.25), np.array([[1.0, 0.0]]), np.ones((3, 1))
    assert [list(share) for share in entropy_shares([uniform, one, single])] == [
        [1, 1],
        [0],
        [0, 0, 0],
    ]
    (half,) = entropy_shares([np.array([[0.5, 0.5, 0.0, 0.0]])])
    assert half == pytest.approx([0.5])


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("run")
    SyntheticRun(folder, depth=5, walks=2).search(6).end()
    return History.read(folder / "records.jsonl")


def test_anchor_figure_shows_every_trajectory(history: History) -> None:
    iterations, anchors = anchor_array(history)
    assert anchors.shape == (7, 2, 5, 3)
    with house_style():
        picture = anchor_trajectories(history, FEATURES)
    assert picture is not None
    *rows, together = picture.figure.axes
    assert len(rows) == 5
    for row, axis in enumerate(rows):
        drawn = {tuple(np.asarray(line.get_ydata())) for line in axis.lines}
        assert drawn == {tuple(anchors[:, walk, row, k]) for walk in range(2) for k in range(3)}
    assert together.lines[2].get_ydata() == pytest.approx(anchors[:, :, :, 2].mean(axis=(1, 2)))
    assert all(
        list(line.get_xdata()) == list(iterations)
        for axis in picture.figure.axes
        for line in axis.lines
    )


def test_accuracy_figure_shows_every_evaluation_and_the_line(history: History) -> None:
    with house_style():
        picture = accuracy_over_iterations(history)
    assert picture is not None
    line, *walks = picture.figure.axes[0].lines
    points = {
        (x, y) for walk in walks for x, y in zip(walk.get_xdata(), walk.get_ydata(), strict=True)
    }
    assert points == {(e.iteration, 100 * e.accuracy) for e in history.evaluations}
    means = architecture_means(history)
    theirs = stats.linregress([x for x, _ in means], [100 * y for _, y in means])
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert y == pytest.approx(theirs.intercept + theirs.slope * x)
    assert f"n\u00a0=\u00a0{len(means)}" in picture.caption


def test_weight_figures_show_the_last_hyper_architecture_and_every_row(history: History) -> None:
    found = last_weights(history)
    assert found is not None
    id, epochs, rows, codes = found
    assert id == max(id for id, proposal in history.proposals.items() if proposal.kind == "ranks")
    assert epochs == [1, 2, 3, 4, 5]
    assert [weights.shape for weights in rows] == [(5, len(row)) for row in codes]
    with house_style():
        courses, densities = weights_over_epochs(history), rank_densities(history)
    assert courses is not None
    assert densities is not None
    assert len(courses.figure.axes) == 5 + 1
    texts = {text.get_text() for axis in courses.figure.axes for text in axis.texts}
    assert texts == {code for row in codes for code in row} | {f"row {row}" for row in range(1, 6)}
    colours = [line.get_color() for line in densities.figure.axes[0].lines[:5]]
    assert colours == [depth_colour(row, 5) for row in range(5)]


def test_cost_figure_ends_at_the_total(history: History) -> None:
    with house_style():
        picture = cumulative_cost(history)
    assert picture is not None
    images, minutes = picture.figure.axes
    assert max(np.max(line.get_ydata()) for line in images.lines) == history.cost.images
    assert max(np.max(line.get_ydata()) for line in minutes.lines) in (
        pytest.approx(history.cost.seconds),
        pytest.approx(history.cost.seconds / 60),
    )


def test_nothing_is_drawn_from_nothing() -> None:
    empty = History([])
    assert anchor_trajectories(empty, FEATURES) is None
    for figure in (accuracy_over_iterations, rank_densities, weights_over_epochs, cumulative_cost):
        assert figure(empty) is None


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_on_light_and_dark_pages() -> None:
    """WCAG asks for 3 for graphics and 4.5 for text; the lightest row is let off at 1.8 since rows
    carry labels too.
    """
    for colour in SERIES:
        assert contrast(colour, PAPER) >= 3
        assert contrast(DARK[colour], DARK[PAPER]) >= 3
    assert contrast(INK, PAPER) >= 7
    assert contrast(DARK[INK], DARK[PAPER]) >= 7
    for ramp, ground in ((DEPTH, PAPER), ([DARK[colour] for colour in DEPTH], DARK[PAPER])):
        levels = [luminance(colour) for colour in ramp]
        assert levels == sorted(levels, reverse=True), "deeper is darker"
        assert all(contrast(colour, ground) >= 1.8 for colour in ramp)


def test_numbers_in_words() -> None:
    assert [si(n) for n in (0, 7, 999, 1000, 36_000, 999_600, 7_431_000, 2.5e13, None)] == [
        *("0", "7", "999", "1 k", "36 k", "1 M", "7.43 M", "25 T", "unknown"),
    ]
    assert [duration(s) for s in (0.04, 9.94, 9.96, 59.6, 125, 3600, 3661, 90_000)] == [
        *("0.0 s", "9.9 s", "10 s", "1 min", "2 min 5 s", "1 h", "1 h 1 min", "25 h"),
    ]
    assert [probability(p).replace("\u00a0", " ") for p in (1e-9, 0.0341, 0.25)] == [
        "< 0.001",
        "= 0.034",
        "= 0.25",
    ]
    assert [count(1, "vertex", "vertices"), count(1200, "image")] == ["1 vertex", "1,200 images"]
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
