"""Configurations and records that earlier versions wrote."""

from pathlib import Path

import pytest

from fade_ray.kinds import kind_in
from fade_ray.ranks.rank_trials import RankTrial
from fade_ray.records.json_form import from_json
from fade_ray.records.old_formats import from_format_1
from fade_ray.search.search_config import Config, upgrade
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
