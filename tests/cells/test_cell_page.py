"""The page of a run of cell searches: finished, unfinished and empty ones, what it says, and that
it needs nothing but itself.
"""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from parsed_page import read_run
from synthetic_cells import SyntheticCells, whole

from fade_ray.cells.cell_figures import (
    MOST,
    Course,
    courses,
    indicators_over_epochs,
    methods_over_seeds,
    weight_maps,
)
from fade_ray.cells.cell_page import cells_page
from fade_ray.cells.cell_trials import CellHistory, Trial, trials_of
from fade_ray.report.page import write_page
from fade_ray.report.style import house_style
from spaces.darts import published
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `whole`, one of whose results was retrained."""
    folder = tmp_path_factory.mktemp("whole")
    whole(folder)
    retrained = folder / "retrain" / "000"
    retrained.mkdir(parents=True)
    (retrained / "result.json").write_text(json.dumps({"test_accuracy_last": 0.9712}))
    return write_report(folder)


def write_report(folder: Path) -> Path:
    return write_page(cells_page(read_run(folder, CellHistory)), folder)


def trials_in(folder: Path) -> list[Trial]:
    return trials_of(read_run(folder, CellHistory))


def words(path: Path) -> str:
    """The text of a page, without what lies in its figures."""
    source = re.sub(r"<svg.*?</svg>|<style>.*?</style>", " ", path.read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", source).split())


def test_the_page_of_a_run_under_way(shown: Path) -> None:
    text = words(shown)
    assert "unfinished 3 of 5 searches done" in text
    assert (
        "Methods darts-1st, amended-edges, gdas; spaces amended-s3, nasbench201; seeds 0, 1."
        in text
    )
    assert "1 warning the result may have collapsed: 100% of its operations" in text
    assert (
        "000 darts-1st amended-s3 small 0 finished 62 % 71.0 % 41.0 % 97.1 % 1 min 15 s 321 –"
        in text
    )
    assert "004 gdas nasbench201 small 0 3 of 50 epochs" in text
    assert "failed: the loss became not finite" in text
    assert "Genotype(normal=[(&#39;skip_connect&#39;, 0)" in text
    figures = set(re.findall(r'<figure id="([^"]*)"', shown.read_text()))
    assert figures >= {
        "methods",
        "cells-000",
        "indicators-000",
        "weights-000-normal",
        "weights-000-reduce",
    }
    assert figures >= {"weights-004-cell", "indicators-004"}
    assert "cells-003" not in figures, "a search that failed found nothing"
    assert {path.stem for path in (shown.parent / "figures").glob("*.svg")} == figures


def test_the_page_needs_nothing_but_itself_and_escapes_everything(shown: Path) -> None:
    page = shown.read_text()
    assert "<script" not in page
    links = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "img-src data:" in page, "the heat maps are images within the page"
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    for path in (shown.parent / "figures").glob("*.svg"):
        ET.parse(path)


def test_a_row_says_what_the_record_and_the_retraining_do(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    plan = run.propose("gdas", "nasbench201", 0)
    run.train(plan, 3)
    (tmp_path / "retrain" / "000").mkdir(parents=True)
    (tmp_path / "retrain" / "000" / "result.json").write_text('{"test_accuracy_last": 0.5}')
    (before,) = trials_in(tmp_path)
    assert before.row["parameter_free_share"] == 0.2, "of the last epoch"
    assert (before.row["state"], before.row["proxy_accuracy"]) == ("epoch 3 of 6", None)
    true = {"c10_test_200": 93.25, "c10_valid_200": 90.1, "c100_test_200": 70.5, "index": 3}
    run.finish(plan, GENOTYPES["all-skip"], proxy_accuracy=0.123, true=true)
    run.journal.append("end", training_share=0.9)
    text = words(write_report(tmp_path))
    assert "finished 1 of 1 search done" in text
    assert "62 % 12.3 % 41.0 % 50.0 % 1 min 15 s 321 93.25 / 70.50 / –" in text


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    assert "No search has begun yet" in words(write_report(tmp_path))
    plan = run.propose("random", "s3", 0, epochs=0)
    assert "Nothing to draw yet: 0 of 0 epochs." in words(write_report(tmp_path))
    run.train(plan, 0)
    assert 'id="weights-000-normal"' in write_report(tmp_path).read_text()


def test_unshared_cells_are_one_picture_of_all_kinds(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    run.train(run.propose("amended-fixed", "amended-s2-fixed", 0), 2)
    (trial,) = trials_in(tmp_path)
    with house_style():
        (picture,) = weight_maps(trial)
    assert picture.name == "weights-000"
    assert "20 kinds" in picture.alt


def test_the_image_of_an_edge_is_its_weights_beside_their_mean(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    run.train(run.propose("gdas", "nasbench201", 0), 5)
    (trial,) = trials_in(tmp_path)
    course = courses(trial)["cell"]
    assert course.weights.shape == (6, 6, 5)
    with house_style():
        (picture,) = weight_maps(trial)
    images = picture.figure.axes[0].images
    assert len(images) == 6 + 1, "one per edge, and the colour bar"
    for edge, image in enumerate(images[:-1]):
        colours, beside = np.asarray(image.get_array()), course.relative[:, edge].T
        assert colours[..., 3] == pytest.approx(np.abs(beside) / np.abs(course.relative).max())
        assert ((colours[..., 2] > colours[..., 0]) == (beside >= 0)).all(), "blue from the mean on"


def test_weights_are_told_in_doublings_of_their_edges_mean() -> None:
    cell = published("nasbench201").macro.cells["cell"]
    weights = np.full((3, *cell.mask.shape), 1 / 5)
    weights[1, :, 0], weights[1, :, 1] = 0.4, 0.0
    weights[2] = 0.5 * weights[1]  # those of sigmoids add up to anything
    course = Course(cell, [0, 1, 2], weights, cell.mask, [])
    assert course.relative[0] == pytest.approx(0)
    assert course.relative[1, 0].tolist() == pytest.approx([1, -MOST, 0, 0, 0])
    assert course.relative[2] == pytest.approx(course.relative[1])
    # of a genotype, which allows one operation per edge, the weights of the search are seen
    alone = cell.narrowed(np.eye(1, cell.mask.shape[1], dtype=bool).repeat(len(cell.edges), axis=0))
    assert (course._replace(cell=alone).relative == course.relative).all()


def test_the_triangles_mark_the_genotype(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    plan = run.propose("darts-1st", "amended-s3", 0)
    run.train(plan, 2)
    space = published("amended-s3").macro
    genes = [(source, node, "skip_connect") for node in range(2, 6) for source in (0, node - 1)]
    cell = space.cells["normal"].genotype(genes)
    run.finish(plan, space.with_cells({"normal": cell, "reduce": cell}))
    (trial,) = trials_in(tmp_path)
    with house_style():
        normal, _ = weight_maps(trial)
    marks = [line for line in normal.figure.axes[0].lines if line.get_marker() == "<"]
    assert len(marks) == len(genes)
    assert "Triangles" in normal.caption


def test_stages_and_missing_values_in_the_indicators(tmp_path: Path) -> None:
    whole(tmp_path)
    plain, staged, *_ = trials_in(tmp_path)
    assert (plain.stages, staged.stages) == ([], [4])
    assert plain.series("eigenvalue") == ([2, 4, 6], [0.2, 0.4, pytest.approx(0.6)])
    assert plain.series("loss")[0] == [1, 2, 3, 4, 5, 6], "nothing was trained in epoch 0"
    with house_style():
        picture = indicators_over_epochs(staged)
    assert picture is not None
    assert "Dashed" in picture.caption
    assert [axis.get_title(loc="left") for axis in picture.figure.axes][-1].startswith(
        "Largest eigenvalue"
    )


def test_methods_are_means_and_ranges_over_seeds(tmp_path: Path) -> None:
    whole(tmp_path)
    with house_style():
        picture = methods_over_seeds(trials_in(tmp_path))
    assert picture is not None
    _, free = picture.figure.axes[:2]
    line = next(line for line in free.lines if line.get_label() == "darts-1st")
    assert np.asarray(line.get_ydata()) == pytest.approx(0.25), "seeds 0 and 1 have 0.2 and 0.3"
    assert not free.collections, "two seeds are no band"
    same = [each for each in free.lines if each.get_color() == line.get_color()]
    heights = sorted(float(np.asarray(each.get_ydata())[0]) for each in same)
    assert heights == pytest.approx([0.2, 0.25, 0.3])
    assert "1 to 2 seeds each" in picture.caption


def test_a_directory_that_is_no_run_or_holds_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"records\.jsonl"):
        write_report(tmp_path)
    run = SyntheticCells(tmp_path)
    run.finish(run.propose("gdas", "nasbench201", 0), GENOTYPES["all-skip"])
    for name in ("genotypes/000.json", "retrain/000/result.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{")
        with pytest.raises(InvalidInput, match=path.name):
            write_report(tmp_path)
        path.unlink()
    (tmp_path / "figures").write_text("a file where the folder should be")
    run.train(run.propose("gdas", "nasbench201", 1), 1)
    with pytest.raises(InvalidInput, match="must be writable"):
        write_report(tmp_path)
