"""The page and the figures of a rank study: finished, unfinished and tabular ones; what they say is
what the ranks say.
"""

import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from synthetic_comparison import (
    HYPER,
    SyntheticEntered,
    studied,
    synthetic_alone,
    synthetic_runs,
    true_accuracy,
    write,
)
from test_report_page import EVIL, Page

from fade_ray.ranks.rank_correlation import rank_against_table
from fade_ray.ranks.rank_course_figures import at_equal_computation, over_epochs
from fade_ray.ranks.rank_courses import EqualComputation, by_setting, courses
from fade_ray.ranks.rank_facts import RankFiles, results, verdict
from fade_ray.ranks.rank_figures import agreement, marginals
from fade_ray.ranks.rank_page import write_rank_report
from fade_ray.ranks.rank_records import Alone, RankEpoch, RankRun
from fade_ray.report.style import house_style
from spaces.errors import InvalidInput

FIGURES = {"agreement", "marginals", "epochs", "computation"}


def report(folder: Path) -> Page:
    path = write_rank_report(folder)
    assert path == folder / "report.html"
    return Page(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    studied(folder, synthetic_runs(), synthetic_alone())
    write_rank_report(folder)
    return folder


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "ranks.json").read_text())["summary"]
    return found


def test_a_finished_study(finished: Path) -> None:
    page = Page(finished / "report.html")
    assert {name for name, alt in page.figures().items() if len(alt) > 20} == FIGURES
    first, second = (setting["overall"]["spearman"] for setting in summary(finished)["settings"])
    assert first["low"] > 0 > second["low"], "as it was planted"
    assert (
        f"better than chance, for default ({first['value']:.2f}). Not shown for shared."
        in page.text
    )
    assert "as the command says it" in page.text
    assert f"{first['low']:.2f} to {first['high']:.2f}" in page.text
    assert f"noise ceiling {summary(finished)['ceiling']['bound']:.2f}" in page.text
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
    page, whole = Page(finished / "report.html"), summary(finished)
    for setting in whole["settings"]:
        rho, mean = setting["overall"]["spearman"], setting["mean"]
        row = (
            f"{rho['value']:.2f} {rho['low']:.2f} to {rho['high']:.2f}",
            f"{mean['kendall']['value']:.2f}",
        )
        regrets = " ".join(f"{100 * regret['value']:.2f}" for regret in mean["regrets"])
        pattern = rf"{setting['setting']} 3 {re.escape(row[0])} \S+ \S+ {re.escape(row[1])} {re.escape(regrets)}"
        assert re.search(pattern, page.text)
    name, estimate = whole["differences"][0]
    assert (
        f"{name} {estimate['value']:+.2f} {estimate['low']:+.2f} to {estimate['high']:+.2f}"
        in page.text
    )


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
    assert courses(runs, alone)["exact"][0].rho == pytest.approx([1.0])
    with house_style():
        picture = agreement(runs, alone, "test")
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
    for setting, group in courses(runs, alone).items():
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
    found = courses([shorter, *runs[1:]], alone)
    with house_style():
        picture = over_epochs(found, alone, "test")
    assert picture is not None
    axis = picture.figure.axes[0]
    thin = [line for line in axis.lines if line.get_linewidth() == 0.9]
    (mean,) = (line for line in axis.lines if line.get_linewidth() == 2.8)
    assert [len(line.get_xdata()) for line in thin] == [4, 7, 7]
    assert list(mean.get_xdata()) == [0, 1, 2, 3], "where all of them have ended the epoch"
    assert np.asarray(mean.get_ydata()) == pytest.approx(
        np.mean([c.rho[:4] for c in found["default"]], axis=0)
    )
    assert "noise ceiling" in picture.caption
    with house_style():
        once = over_epochs(
            courses(runs, synthetic_alone(repeats=1)), synthetic_alone(repeats=1), "test"
        )
    assert once is not None
    assert "the noise ceiling is unknown" in once.caption


def test_what_is_drawn_at_equal_computation_is_what_the_study_found(finished: Path) -> None:
    files = RankFiles.read(finished)
    equal = files.equal
    assert equal is not None
    assert equal.multiply_adds == 6 * 10**9, "the second setting takes twice as much, however long"
    with house_style():
        picture = at_equal_computation(equal, files.alone, "test", ["default", "shared"])
    assert picture is not None
    left, right = picture.figure.axes
    for line, curve in zip(left.lines, equal.curves, strict=False):
        assert list(line.get_xdata()) == pytest.approx(
            [spent / 10**9 for spent in curve.multiply_adds]
        )
        assert list(line.get_ydata()) == pytest.approx(curve.spearman)
    assert [text.get_text() for text in right.texts] == [
        f"{one.value:.2f}, 3 seeds" for one in equal.settings
    ]
    assert "6 G multiply-adds" in picture.caption
    assert "Left out, since no epoch had ended: late." in _caption(
        equal, files, ["default", "shared", "late"]
    )


def _caption(equal: EqualComputation, files: RankFiles, names: list[str]) -> str:
    with house_style():
        picture = at_equal_computation(equal, files.alone, "test", names)
    assert picture is not None
    return picture.caption


def test_without_multiply_adds_the_page_leaves_the_figure_out(
    finished: Path, tmp_path: Path
) -> None:
    """ranks.json of earlier versions: times alone, without the record."""
    old = json.loads((finished / "ranks.json").read_text())
    del old["summary"]["equal_computation"]
    old["summary"] |= {"equal_seconds": 60.0, "at_equal_time": [["default", 0.5]], "curves": []}
    for one in [
        *old["summary"]["points"],
        *(epoch for run in old["runs"] for epoch in run["epochs"]),
    ]:
        del one["multiply_adds"]
    write(tmp_path, ranks=old)
    page = report(tmp_path)
    assert {name for name, alt in page.figures().items() if alt} == FIGURES - {"computation"}
    assert "does not tell their multiply-adds" in page.text
    assert "default 0 6 unknown 1 min 0" in page.text


def test_the_page_says_which_images_the_truth_is_from(finished: Path, tmp_path: Path) -> None:
    """Files that do not say it are from before the test images were asked."""
    write(tmp_path, ranks=json.loads((finished / "ranks.json").read_text()) | {"truth": "test"})
    for page, fact, words in (
        (
            report(tmp_path),
            "test images",
            "Held against accuracies on the test images, which no rank was learned on.",
        ),
        (
            Page(finished / "report.html"),
            "architecture split",
            "and the noise ceiling are biased upwards.",
        ),
    ):
        assert page.text.count(words) == 4, "three captions, and below the results"
        assert f"truth {fact}" in page.text


def test_marginals_are_means_over_seeds() -> None:
    runs = synthetic_runs()
    with house_style():
        picture = marginals(runs)
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
        picture = marginals([RankRun("default", 0, (RankEpoch(1, 1.0, uniform),))])
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
    found = [rank_against_table(run.epochs[-1].weights, truth).to_dict() for run in runs]
    lines = [
        {"setting": "default", "seed": seed, "epoch": 1, "seconds": 9.0, **one}
        for seed, one in enumerate(found)
    ]
    equal = {
        "multiply_adds": 3 * 10**9,
        "settings": [{"setting": "default", "seeds": 3, "value": 0.5, "low": 0.4, "high": 0.6}],
        "curves": [{"setting": "default", "multiply_adds": [3 * 10**9], "spearman": [0.5]}],
    }
    pooled = {"default": found[0]}
    table = {
        "name": "NAS-Bench-Macro",
        "agreements": lines,
        "pooled": pooled,
        "ceiling": 0.9,
        "equal_computation": equal,
    }
    studied(tmp_path, runs, alone, hyper, table)
    page = report(tmp_path)
    assert all(page.figures().values())
    svg = (tmp_path / "figures" / "agreement.svg").read_text()
    assert svg.count("<use") < 300, "hexagons instead of 729 points"
    assert len(svg) < 400_000
    rhos = [line["spearman"] for line in lines]
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
    page = report(tmp_path)
    assert set(page.figures()) == FIGURES
    assert not any(page.figures().values())
    assert "Nothing can be correlated yet" in page.text
    assert "No trial was proposed yet" in page.text
    record.propose("default", "ranks", HYPER)
    page = report(tmp_path)
    assert "0 of 1 trial complete." in page.text
    assert f"fade-ray rank-study --out {tmp_path}" in page.text


def test_a_study_under_way_shows_what_there_is(tmp_path: Path) -> None:
    runs = [synthetic_runs()[0], RankRun("shared", 0, ())]
    alone = synthetic_alone(architectures=2)
    studied(
        tmp_path, runs, [alone[0], Alone(alone[1].choice, alone[1].accuracies[:1])], ended=False
    )
    page = report(tmp_path)
    assert {name for name, alt in page.figures().items() if alt} == {"marginals"}
    assert "1 more wait for their repeats" in page.text
    assert "unfinished" in page.text
    assert "nan" not in page.text.lower().split()


def test_a_verdict_needs_an_interval_above_zero(finished: Path, tmp_path: Path) -> None:
    files = RankFiles.read(finished)
    good, bad = results(files)
    assert verdict([bad]).startswith("No agreement shown")
    assert verdict([replace(good, rho=replace(good.rho, low=math.nan))]).startswith(
        "No agreement shown"
    )
    assert verdict([good]).endswith("for default (0.82).")


def test_everything_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<b>study<b>"
    record = studied(folder, synthetic_runs((EVIL,), 2, 2), synthetic_alone())
    record.journal.append("warning", id=None, message=EVIL)
    write(folder, config={"command": EVIL, EVIL: [EVIL]}, environment={"platform": EVIL})
    page = report(folder)
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert page.text.count("alert('1')") >= 10
    for path in (folder / "figures").glob("*.svg"):
        ET.parse(path)


def test_directories_that_are_no_study(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"records\.jsonl or ranks\.json"):
        write_rank_report(tmp_path)
    for content in ("{", "[1]", '{"runs": [{"seed": 1}]}'):
        (tmp_path / "ranks.json").write_text(content)
        with pytest.raises(InvalidInput, match=r"ranks\.json"):
            write_rank_report(tmp_path)
