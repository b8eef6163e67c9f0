"""The page of a run of cell searches: finished, unfinished and empty ones, what it says, and that
it needs nothing but itself.
"""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fade_ray.cells.cell_facts import CellRun
from fade_ray.cells.cell_figures import (
    courses,
    indicators_over_epochs,
    methods_over_seeds,
    weight_maps,
)
from fade_ray.cells.cell_page import write_cell_report
from fade_ray.cells.cells_config import CellPlan
from fade_ray.records.journal import Journal
from fade_ray.report.style import house_style
from searchers import Outcome
from spaces.cell import Macro
from spaces.darts import published
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES

EVIL = "<script>alert('1')</script>\"&"


class SyntheticCells:
    """A made-up run directory, written through `Journal` as a run of cell searches writes it;
    skip-connects win with time.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.journal = Journal(folder / "records.jsonl")
        self.plans: list[CellPlan] = []
        config = {
            "kind": "cells",
            "grid": {"recipes": ["darts-1st"], "seeds": [0, 1]},
            "name": EVIL,
        }
        (folder / "config.json").write_text(json.dumps(config))
        environment = {
            "fade_ray": "0.1.0",
            "torch": "2.5.1",
            "device": "cpu",
            "command": f"fade-ray cells {EVIL}",
        }
        (folder / "environment.json").write_text(json.dumps(environment))
        self.journal.append("start", format=1, resumed=False)

    def propose(self, recipe: str, space: str, seed: int, epochs: int = 6) -> CellPlan:
        plan = CellPlan(f"{len(self.plans):03d}", len(self.plans), 0, recipe, space, seed, epochs)
        self.plans.append(plan)
        self.journal.append("proposed", proposal=plan.to_dict())
        return plan

    def train(self, plan: CellPlan, upto: int, stages: int = 1) -> None:
        macro = published(plan.space).macro
        starts = {
            kind: self.rng.normal(0, 1, cell.mask.shape) for kind, cell in macro.cells.items()
        }
        for epoch in range(upto + 1):
            weights = {}
            for kind, cell in macro.cells.items():
                logits = starts[kind] * epoch / 4 + 0.25 * epoch * (
                    np.array(cell.ops) == "skip_connect"
                )
                weights[kind] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            metrics: dict[str, Any] = {
                "weights": weights,
                "factors": {},
                "stage": stages * epoch // (upto + 1),
                "search": 0,
            }
            metrics |= {
                "skip_share": epoch / upto * 0.6 if upto else 0.0,
                "parameter_free_share": 0.2 + 0.1 * plan.seed,
            }
            metrics |= {
                "none_weight": 1 / (epoch + 2),
                "entropy": 1 / (epoch + 1),
                "eigenvalue": None,
            }
            if epoch:
                metrics |= {
                    "loss": 2.3 / epoch,
                    "accuracy": 1 - 0.8 / epoch,
                    "architecture_loss": 2.4 / epoch,
                }
                metrics |= {
                    "images": 100,
                    "multiply_adds": 10**6,
                    "seconds": 1.5,
                    "peak_memory_mib": 200.0,
                }
                metrics["eigenvalue"] = 0.1 * epoch if epoch % 2 == 0 else None
            self.journal.append("epoch", id=plan.id, epoch=epoch, metrics=metrics)

    def finish(self, plan: CellPlan, macro: Macro, **metrics: Any) -> None:
        found = {
            "genotype": macro.notation,
            "skip_share": 0.5,
            "parameter_free_share": 0.625,
            "proxy_accuracy": 0.71,
        }
        found |= {
            "discrete_accuracy": 0.41,
            "seconds": 75.0,
            "peak_memory_mib": 321.4,
            "true": None,
            "images": 600,
        }
        (self.folder / "genotypes").mkdir(exist_ok=True)
        text = json.dumps(macro.to_dict() | {"found": {"id": plan.id}})
        (self.folder / "genotypes" / f"{plan.id}.json").write_text(text)
        outcome = Outcome(score=0.71).to_dict()
        self.journal.append("finished", id=plan.id, outcome=outcome, metrics={**found, **metrics})


def whole(folder: Path) -> SyntheticCells:
    """Two methods with two seeds on S3, of which the last one failed, and one search on
    NAS-Bench-201 under way.
    """
    run = SyntheticCells(folder)
    for seed in (0, 1):
        for recipe in ("darts-1st", "amended-edges"):
            plan = run.propose(recipe, "amended-s3", seed)
            run.train(plan, 6, stages=2 if recipe == "amended-edges" else 1)
            if (recipe, seed) == ("amended-edges", 1):
                reason = f"the loss became not finite {EVIL}"
                run.journal.append(
                    "finished", id=plan.id, outcome=Outcome(failure=reason).to_dict(), metrics={}
                )
            else:
                run.finish(plan, GENOTYPES["all-skip"])
    run.train(run.propose("gdas", "nasbench201", 0, epochs=50), 3)
    run.journal.append(
        "warning", id="000", message="the result may have collapsed: 100% of its operations"
    )
    return run


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `whole`, one of whose results was retrained."""
    folder = tmp_path_factory.mktemp("whole")
    whole(folder)
    retrained = folder / "retrain" / "000"
    retrained.mkdir(parents=True)
    (retrained / "result.json").write_text(json.dumps({"test_accuracy_last": 0.9712}))
    return write_cell_report(folder)


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
    assert "000 darts-1st amended-s3 0 finished 62 % 71.0 % 41.0 % 97.1 % 1 min 15 s 321 –" in text
    assert "004 gdas nasbench201 0 3 of 50 epochs" in text
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


def test_what_cells_json_says_counts_first(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    run.propose("gdas", "nasbench201", 0)
    true = {"c10_test_200": 93.25, "c10_valid_200": 90.1, "c100_test_200": 70.5, "index": 3}
    rows = [{"id": "000", "proxy_accuracy": 0.123, "true": true, "retrained_accuracy": 0.5}]
    (tmp_path / "cells.json").write_text(json.dumps({"trials": rows}))
    run.journal.append("end", training_share=0.9)
    text = words(write_cell_report(tmp_path))
    assert "finished 0 of 1 search done" in text
    assert "12.3 % – 50.0 % – – 93.25 / 70.50 / –" in text


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    assert "No search has begun yet" in words(write_cell_report(tmp_path))
    plan = run.propose("random", "s3", 0, epochs=0)
    assert "Nothing to draw yet: 0 of 0 epochs." in words(write_cell_report(tmp_path))
    run.train(plan, 0)
    assert 'id="weights-000-normal"' in write_cell_report(tmp_path).read_text()


def test_unshared_cells_are_one_picture_of_all_kinds(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    run.train(run.propose("amended-fixed", "amended-s2-fixed", 0), 2)
    (trial,) = CellRun.read(tmp_path).trials
    with house_style():
        (picture,) = weight_maps(trial)
    assert picture.name == "weights-000"
    assert "20 kinds" in picture.alt


def test_the_image_of_an_edge_is_its_weights(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    run.train(run.propose("gdas", "nasbench201", 0), 5)
    (trial,) = CellRun.read(tmp_path).trials
    course = courses(trial)["cell"]
    assert course.weights.shape == (6, 6, 5)
    with house_style():
        (picture,) = weight_maps(trial)
    images = picture.figure.axes[0].images
    assert len(images) == 6 + 1, "one per edge, and the colour bar"
    for edge, image in enumerate(images[:-1]):
        opacity = np.asarray(image.get_array())[..., 3]
        assert opacity == pytest.approx(course.weights[:, edge].T / course.weights.max())


def test_the_triangles_mark_the_genotype(tmp_path: Path) -> None:
    run = SyntheticCells(tmp_path)
    plan = run.propose("darts-1st", "amended-s3", 0)
    run.train(plan, 2)
    space = published("amended-s3").macro
    genes = [(source, node, "skip_connect") for node in range(2, 6) for source in (0, node - 1)]
    cell = space.cells["normal"].genotype(genes)
    run.finish(plan, space.with_cells({"normal": cell, "reduce": cell}))
    (trial,) = CellRun.read(tmp_path).trials
    with house_style():
        normal, _ = weight_maps(trial)
    marks = [line for line in normal.figure.axes[0].lines if line.get_marker() == "<"]
    assert len(marks) == len(genes)
    assert "Triangles" in normal.caption


def test_stages_and_missing_values_in_the_indicators(tmp_path: Path) -> None:
    whole(tmp_path)
    plain, staged, *_ = CellRun.read(tmp_path).trials
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
        picture = methods_over_seeds(CellRun.read(tmp_path).trials)
    assert picture is not None
    _, free = picture.figure.axes[:2]
    line = next(line for line in free.lines if line.get_label() == "darts-1st")
    assert np.asarray(line.get_ydata()) == pytest.approx(0.25), "seeds 0 and 1 have 0.2 and 0.3"
    band = free.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(0.2), pytest.approx(0.3))
    assert "1 to 2 seeds each" in picture.caption


def test_a_directory_that_is_no_run_or_holds_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"records\.jsonl"):
        write_cell_report(tmp_path)
    run = SyntheticCells(tmp_path)
    run.finish(run.propose("gdas", "nasbench201", 0), GENOTYPES["all-skip"])
    for name in ("genotypes/000.json", "cells.json"):
        path = tmp_path / name
        path.write_text("{")
        with pytest.raises(InvalidInput, match=path.name):
            write_cell_report(tmp_path)
        path.unlink()
    (tmp_path / "figures").write_text("a file where the folder should be")
    run.train(run.propose("gdas", "nasbench201", 1), 1)
    with pytest.raises(InvalidInput, match="could not be written"):
        write_cell_report(tmp_path)
