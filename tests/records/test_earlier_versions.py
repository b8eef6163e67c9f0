"""Configurations and records that earlier versions wrote."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import fade_ray
from fade_ray import results
from fade_ray.kinds import kind_in
from fade_ray.ranks.rank_trials import RankTrial
from fade_ray.records.json_form import as_json, from_json
from fade_ray.records.old_formats import from_format_1
from fade_ray.run.standing import status
from fade_ray.search.search_config import Config, upgrade
from fade_ray.training.optimisers import Adam
from searchers import AnchorWalk, BayesPoints, Evolution, RandomPoints, Searcher
from searchers.contest import Entered

RESULTS = Path(__file__).parents[2] / "docs" / "results"
RECORDED = sorted(path.parent.name for path in RESULTS.glob("*/config.json"))
OUTER = {
    "searcher": "anchor",
    "iterations": 4,
    "walks": 3,
    "gamma": 0.2,
    "evaluations": None,
    "kappa": 1.0,
    "population": 4,
    "tournament": 2,
    "carry_weights": False,
    "rank_epochs": 3,
}
"""The options of all searchers side by side, as they were kept."""


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_configuration_is_read(name: str) -> None:
    kind = kind_in(RESULTS / name)
    config = kind.stored(RESULTS / name)
    assert config is not None
    assert from_json(type(config), {k: v for k, v in kind.to_json(config).items() if k != "kind"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anchor", AnchorWalk(iterations=4, walks=3, gamma=0.2)),
        ("random", RandomPoints(iterations=4, batch=3)),
        ("bayes", BayesPoints(iterations=4, kappa=1.0)),
        ("evolution", Evolution(iterations=4, batch=3, population=4, tournament=2)),
    ],
)
def test_each_searcher_finds_its_options(name: str, expected: Searcher) -> None:
    config = from_json(Config, upgrade({"outer": {**OUTER, "searcher": name}}))
    assert config.searcher == expected
    assert (config.outer.rank_epochs, config.outer.carry_weights) == (3, False)


def test_scripts_of_the_first_version_find_their_configurations() -> None:
    from fade_ray.config import OuterConfig
    from fade_ray.training.config import TrainConfig

    options = {name: value for name, value in OUTER.items() if value is not None}
    config = fade_ray.Config(
        outer=OuterConfig(**options | {"searcher": "evolution"}),
        train=TrainConfig(batch_size=16, learning_rate=0.1, clip=5.0),
    )
    assert config.searcher == Evolution(iterations=4, batch=3, population=4, tournament=2)
    lengths = fade_ray.OuterConfig(rank_epochs=3, carry_weights=False, lockstep=True)
    assert config.outer == lengths
    assert config.train == fade_ray.TrainConfig(16, Adam(learning_rate=0.1, clip=5.0))
    assert replace(config, seed=1).searcher == config.searcher
    assert from_json(Config, as_json(config)) == config
    assert fade_ray.Config(outer=OuterConfig(walks=1)).searcher == AnchorWalk(walks=1)
    for given in (lambda: OuterConfig(iteration=3), lambda: TrainConfig(learning_rat=1.0)):
        with pytest.raises(fade_ray.InvalidInput, match="Did you mean"):
            given()


def test_plans_around_a_proposal_are_read() -> None:
    proposal = {
        "id": "late-5",
        "index": 0,
        "attempt": 0,
        "kind": "ranks",
        "iteration": 1,
        "walk": 0,
        "repeat": 5,
        "points": [],
        "hyper": "3.5,3.1/3.1,3.5",
        "seed": 7,
        "epochs": 2,
        "parent": None,
    }
    plan = {"id": "late-5", "entry": "late", "proposal": proposal}
    told = from_format_1({"event": "proposed", "time": "", "proposal": plan})["proposal"]
    trained, entered = RankTrial.from_dict(told), Entered.from_dict(told)
    assert (trained.setting, trained.study_seed, trained.seed) == ("late", 5, 7)
    assert (entered.entry, entered.repeat, entered.hyper.depth) == ("late", 5, 2)


RELEASED = sorted((Path(__file__).parent / "released").iterdir())
"""A run directory of each format of the record, without what is drawn from it."""


@pytest.mark.slow
@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.name)
def test_a_run_of_every_released_format_is_read_and_continued(
    released: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(released, folder)
    kind = kind_in(folder)
    ended = fade_ray.open_run(folder)
    assert ended.architecture.is_architecture
    assert status(kind, folder)
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    first = next(at for at, line in enumerate(lines) if '"finished"' in line)
    (folder / "records.jsonl").write_text("".join(lines[: first + 1]))
    (folder / "result.json").unlink()
    config = kind.stored(folder)
    again = results.search(replace(config, out=str(folder)), watchers=())
    assert again.architecture == ended.architecture
    assert len(again.run.history.outcomes) == len(kind.read(released).history.outcomes)
