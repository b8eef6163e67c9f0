"""The numbers behind the figures, against scipy, closed forms and what was planted; and the drawn
figures themselves.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from synthetic_run import FEATURES, SyntheticRun

from fade_ray.analysis.regression import regress
from fade_ray.report.style import depth_colour, house_style
from fade_ray.search.search_figures import (
    anchor_array,
    anchor_trajectories,
    architecture_means,
    cumulative_cost,
    regression_text,
    score_limits,
    scores_over_iterations,
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
        picture = scores_over_iterations(history).draw()
    assert picture is not None
    assert "2 architectures in 6 evaluations: too few for a regression" in picture.caption


@given(st.lists(st.floats(0, 1), min_size=1), st.lists(st.floats(-3, 3)))
def test_limits_hold_every_point_and_stay_within_percent(
    accuracies: list[float], band: list[float]
) -> None:
    low, high = score_limits(accuracies, [*accuracies, *band])
    assert -1 <= low < 100 * min(accuracies) + 1e-9
    assert 100 * max(accuracies) - 1e-9 < high <= 101


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
        picture = anchor_trajectories(history, FEATURES).draw()
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
        picture = scores_over_iterations(history).draw()
    assert picture is not None
    line, *walks = picture.figure.axes[0].lines
    points = {
        (x, y) for walk in walks for x, y in zip(walk.get_xdata(), walk.get_ydata(), strict=True)
    }
    assert points == {(e.iteration, 100 * e.score) for e in history.evaluations}
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
        courses, densities = weights_over_epochs(history).draw(), rank_densities(history).draw()
    assert courses is not None
    assert densities is not None
    assert len(courses.figure.axes) == 5 + 1
    texts = {text.get_text() for axis in courses.figure.axes for text in axis.texts}
    assert texts == {code for row in codes for code in row} | {f"row {row}" for row in range(1, 6)}
    colours = [line.get_color() for line in densities.figure.axes[0].lines[:5]]
    assert colours == [depth_colour(row, 5) for row in range(5)]


def test_cost_figure_ends_at_the_total(history: History) -> None:
    with house_style():
        picture = cumulative_cost(history).draw()
    assert picture is not None
    images, minutes = picture.figure.axes
    assert max(np.max(line.get_ydata()) for line in images.lines) == history.cost.images
    assert max(np.max(line.get_ydata()) for line in minutes.lines) in (
        pytest.approx(history.cost.seconds),
        pytest.approx(history.cost.seconds / 60),
    )


def test_nothing_is_drawn_from_nothing() -> None:
    empty = History([])
    assert anchor_trajectories(empty, FEATURES).draw() is None
    for figure in (scores_over_iterations, rank_densities, weights_over_epochs, cumulative_cost):
        assert figure(empty).draw() is None
