"""A study of operators on digits: records, restart, groups, figures, and a user's mistakes."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fade_ray import results
from fade_ray.analyse.operator_config import OperatorStudy
from fade_ray.analyse.operator_figures import pictures
from fade_ray.analyse.operator_summary import (
    Measured,
    agreement,
    compared,
    findings,
    groups_file,
    summary,
)
from fade_ray.analyse.operator_trial import PARTS
from fade_ray.cli import main
from fade_ray.data.data_config import DataConfig
from fade_ray.report.style import house_style
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.run_config import RunConfig
from fade_ray.run.watcher import Watcher
from fade_ray.training.train_config import CELL_TRAINING
from spaces import SKIP, SPACES, InvalidInput, check_groups, load_groups
from spaces.groups import S1_CORRELATIONS, Groups

STUDY = OperatorStudy(
    data=DataConfig(limit=150),
    seeds=(0,),
    cells=3,
    channels=2,
    epochs=1,
    train=dataclasses.replace(CELL_TRAINING, batch_size=8),
    run=RunConfig(engine="local", device="cpu"),
)
OPS = SPACES["s1"].ops[1:]
KILLS = [1, 1 + PARTS // 2]
"""Epochs behind which a trial is killed: the training's last one, and half-way through the pass."""


def carry_out(study: OperatorStudy, folder: Path, watcher: Watcher | None = None) -> Any:
    study = dataclasses.replace(study, out=str(folder))
    watchers = () if watcher is None else [watcher]
    return results.carry_out("analyse operators", study, watchers).run.made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    carry_out(STUDY, folder)
    return folder


def told(folder: Path) -> dict[str, Any]:
    """What the trial told at its end, but for times."""
    events = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    (end,) = (event["metrics"] for event in events if event["event"] == "finished")
    (before,) = (event["metrics"]["matrices"] for event in events if event.get("epoch") == 0)
    known = {name: end[name] for name in ("matrices", "ops", "measured_images", "images")}
    return {**known, "before": before}


def test_every_edge_of_every_cell_is_measured(whole: Path) -> None:
    study = carry_out(STUDY, whole)
    assert study.matrices.keys() == {(place, edge) for place in range(3) for edge in range(14)}
    shown = [OPS.index(op) for op in OPS if op != SKIP]
    for values in study.matrices.values():
        known = values[0][np.ix_(shown, shown)]
        assert np.allclose(np.diag(known), 1)
        assert np.allclose(known, known.T)
        assert np.isnan(values[0][OPS.index(SKIP)]).all()
    assert study.before.matrices.keys() == study.matrices.keys()
    moved = [np.nanmax(abs(study.before.matrices[e] - study.matrices[e])) for e in study.matrices]
    assert min(moved) > 1e-3
    table = pq.read_table(whole / "tables" / "correlations.parquet").to_pydict()
    assert len(table["correlation"]) == 3 * 14 * 15
    assert table["edge"][0] == "0-2"
    assert table["correlation"][0] == study.matrices[0, 0][0, 0, 1]
    check_groups(load_groups(whole / "groups.json"), OPS)
    assert (whole / "report.html").exists()


@pytest.mark.parametrize("epoch", KILLS)
def test_killed_and_resumed_it_measures_the_same_bits(
    epoch: int, whole: Path, tmp_path: Path
) -> None:
    class Killer(Watcher):
        def epoch(self, proposal: Any, number: int, metrics: Any) -> None:
            if number == epoch:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        carry_out(STUDY, tmp_path / "run", Killer())
    assert list((tmp_path / "run" / "checkpoints").iterdir())
    carry_out(STUDY, tmp_path / "run")
    assert told(tmp_path / "run") == told(whole)


def test_a_study_goes_on_with_seeds_and_another_cut(whole: Path, tmp_path: Path) -> None:
    carry_out(STUDY, tmp_path / "run")
    grown = dataclasses.replace(STUDY, seeds=(0, 1), cut=0.99, matrix="mean")
    study = carry_out(grown, tmp_path / "run")
    assert study.seeds == (0, 1)
    assert len(load_groups(tmp_path / "run" / "groups.json")) == len(OPS)
    with pytest.raises(InvalidInput, match="epochs: 1 -> 2"):
        carry_out(dataclasses.replace(grown, epochs=2), tmp_path / "run")


def planted(seeds: int = 2, space: str = "s1") -> Measured:
    """The published matrix on the first edge; on the second nothing correlates."""
    matrix, ops = np.eye(len(OPS)), list(OPS)
    for pair, value in S1_CORRELATIONS.items():
        one, other = map(ops.index, pair)
        matrix[one, other] = matrix[other, one] = value
    matrix[ops.index(SKIP)] = matrix[:, ops.index(SKIP)] = np.nan
    apart = np.where(np.isnan(matrix), np.nan, np.eye(len(OPS)))
    matrices = {(0, 0): np.stack([matrix] * seeds), (0, 1): np.stack([apart] * seeds)}
    config, numbers = dataclasses.replace(STUDY, space=space), tuple(range(seeds))
    before = Measured(config, OPS, numbers, dict.fromkeys(matrices, matrices[0, 1]), 100)
    return Measured(config, OPS, numbers, matrices, 100, before)


def test_the_published_matrix_is_told_as_published() -> None:
    study = planted()
    first, second, before, protocol = findings(study)
    assert "max_pool_3x3 | avg_pool_3x3 | skip_connect" in before
    assert "0 of 2" in before
    assert "The published ones" in first
    assert "2 of 2" in first
    assert "adjusted Rand index 1.00" in first
    assert "Not the published ones" in second  # the mean, .26 at most, but for the pools
    assert "100 training images" in protocol
    assert "2 networks of 3 cells and 2 channels" in protocol
    assert groups_file(study)["groups"] == SPACES["s1"].groups
    held = json.loads(json.dumps(summary(study)))["matrices"]["first"]
    assert held["mean"][0][1] == pytest.approx(0.52)
    assert held["std"][0][1] == pytest.approx(0)
    assert held["mean"][0][OPS.index(SKIP)] is None
    other = dataclasses.replace(study, config=dataclasses.replace(study.config, space="darts"))
    assert "None are published" in findings(other)[0]


def test_skip_connect_is_not_compared() -> None:
    groups = SPACES["s2"].groups
    assert groups is not None
    apart: Groups = ((SKIP,), ("sep_conv_5x5", "sep_conv_3x3"), groups[0][1:])
    assert compared(groups) == compared(apart)


@pytest.mark.parametrize(
    ("ours", "theirs", "index"),
    [
        ((("a", "b"), ("c", "d")), (("d", "c"), ("b", "a")), 1.0),
        ((("a", "b"), ("c", "d")), (("a", "c"), ("b", "d")), -0.5),
        ((("a", "b", "c", "d"),), (("a",), ("b",), ("c",), ("d",)), 0.0),
    ],
)
def test_agreement_is_the_adjusted_rand_index(ours: Groups, theirs: Groups, index: float) -> None:
    """(RI - E) / (1 - E); in the second case RI = 2/6 and E = 5/9: (1/3 - 5/9) / (4/9)."""
    assert agreement(ours, theirs) == pytest.approx(index)


def test_figures() -> None:
    with house_style():
        drawn = list(pictures(planted()))
    assert [picture.name for picture in drawn] == ["correlations", "edges"]
    assert all(picture.alt and picture.caption for picture in drawn)
    assert "max_pool_3x3 + avg_pool_3x3" in drawn[0].alt
    numbers = [text.get_text() for text in drawn[0].figure.axes[0].texts]
    assert numbers[:2] == ["1.00", "0.52"]
    assert len(numbers) == 36
    assert "-0.13" in numbers
    assert list(pictures(None)) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "--limit 150 --batch-size 8 --cells 3 --channels 2 --epochs 1 --device cpu"
    flags = ["analyse", "operators", "--out", str(tmp_path / "s"), *small.split()]
    main([*flags, "--engine", "local", "--seeds", "0", "--space", "s5", "--skips"])
    out = capsys.readouterr().out
    assert "Groups by the first edge of the first cell" in out
    assert "skip, sep 3x3" in out
    refused = {
        "data.limit: 150 -> 160": [*flags, "--space", "s5", "--seeds", "0", "--limit", "160"],
        "Did you mean 's5'": [*flags, "--out", str(tmp_path / "t"), "--space", "s55"],
        "in one stage": [*flags, "--out", str(tmp_path / "t"), "--recipe", "stacnas"],
        "-1 < cut < 1": [*flags, "--out", str(tmp_path / "t"), "--cut", "1.5"],
        "images >= 1": [*flags, "--out", str(tmp_path / "t"), "--images", "0"],
    }
    for said, arguments in refused.items():
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "t").exists()
