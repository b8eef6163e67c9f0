"""What a rank study trains, and how its sample is drawn."""

import re
from itertools import product

import numpy as np
import pytest

from fade_ray.compare.compare_config import CompareConfig, ContestConfig
from fade_ray.nn import NetworkConfig
from fade_ray.ranks.candidates import graphs
from fade_ray.ranks.rank_config import SETTINGS, RankStudyConfig, StudyConfig
from fade_ray.ranks.rank_trials import ALONE, search, stratified
from fade_ray.records.json_form import as_json, from_json
from fade_ray.training import ArchitectureConfig, TrainConfig
from searchers import Outcome
from spaces.errors import InvalidInput


def outcomes(plan, ranks):
    width = plan.hyper.width
    rows = ranks if ranks is not None else ((-float(np.log(width)),) * width,) * plan.hyper.depth
    return Outcome(log_weights=rows) if plan.ranks else Outcome(score=0.5)


def everything(study, depth=2, ranks=None):
    searcher, asked = search(study, study.hyper_architecture(depth)), []
    while not searcher.done:
        plan = searcher.ask()
        asked.append(plan)
        searcher.tell(plan.id, outcomes(plan, ranks))
    return asked


def test_the_graphs_have_the_operations_and_are_spread():
    five = graphs(5, (7,))
    assert len(set(five)) == 5
    assert all(dag.operations == 7 and dag.n == 5 for dag in five)
    assert len(graphs(86, (7,))) == len(set(graphs(86, (7,)))) == 86
    assert [dag.operations for dag in graphs(5, (5, 6, 7, 8, 10))] == [5, 6, 7, 8, 10]
    assert [dag.operations for dag in graphs(5, (6, 9))] == [6, 6, 6, 9, 9]
    with pytest.raises(InvalidInput, match="there are 86"):
        graphs(87, (7,))


def test_the_sample_has_one_of_each_stratum_of_the_predicted_rank():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 4, 5))
    ranks = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    chosen = stratified(ranks.tolist(), 25)
    mean = ranks.mean(axis=0)
    psi = {
        choice: sum(mean[i, k] for i, k in enumerate(choice))
        for choice in product(range(5), repeat=4)
    }
    places = {choice: place for place, choice in enumerate(sorted(psi, key=psi.get))}
    assert [places[choice] * 25 // 625 for choice in chosen] == list(range(25))
    with pytest.raises(InvalidInput, match="sample <= 625"):
        stratified(ranks.tolist(), 626)


def test_every_setting_and_seed_then_the_sample_with_repeats():
    study = StudyConfig(settings=("default", "exact"), seeds=(0, 3), graphs=3, sample=4, repeats=2)
    asked = everything(study)
    assert [plan.id for plan in asked[:4]] == ["default-0", "exact-0", "default-3", "exact-3"]
    assert {plan.hyper for plan in asked[:4]} == {study.hyper_architecture(2)}
    alone = asked[4:]
    assert [plan.setting for plan in alone] == [ALONE] * 8
    assert [plan.id for plan in alone[:2]] == ["alone-000-0", "alone-001-0"]
    assert len({plan.hyper for plan in alone}) == 4
    assert len({plan.seed for plan in asked}) == 2 + 8  # settings of one seed start alike
    assert asked[0].seed == asked[1].seed
    assert all(plan.hyper.is_architecture for plan in alone)


def test_what_failed_is_tried_again_under_another_id_and_seed():
    study = StudyConfig(graphs=2, sample=3, repeats=1, seeds=(0,))
    searcher = search(study, study.hyper_architecture(2))
    plan = searcher.ask()
    searcher.tell(plan.id, Outcome.failed("crashed", "bad"))
    again = searcher.ask()
    assert (again.id, again.attempt) == ("default-0r1", 1)
    assert again.seed != plan.seed
    searcher.tell(again.id, Outcome.failed("crashed", "bad"))
    assert searcher.done  # without ranks there is no sample


def test_a_table_takes_the_place_of_the_sample():
    study = StudyConfig(cells="nasbench-macro", table="t.parquet", seeds=(0, 1))
    asked = everything(study, ranks=((-1.1,) * 3,) * 8)
    assert [plan.id for plan in asked] == ["default-0", "default-1"]
    assert asked[0].hyper.size == 6561


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_a_configuration(name):
    norm = "none" if name == "sampled" else "row"
    config = RankStudyConfig(
        study=StudyConfig(settings=(name,)), network=NetworkConfig(share=False, norm=norm)
    )
    one = config.config(name)
    assert one.network.share == (name == "shared")
    assert one.outer.rank_epochs == 50
    assert from_json(RankStudyConfig, as_json(config)) == config


def test_a_gradient_that_a_norm_undoes_is_refused_before_any_work():
    with pytest.raises(InvalidInput, match="Use --norm none"):
        RankStudyConfig(StudyConfig(settings=("default", "sampled"))).check_ranks()
    macro = StudyConfig(settings=("sampled",), cells="nasbench-macro", table="t.parquet")
    with pytest.raises(InvalidInput, match="behind the last row of each stage"):
        RankStudyConfig(macro, network=NetworkConfig(share=False, norm="none")).check_ranks()
    with pytest.raises(InvalidInput, match="Use --norm none"):
        CompareConfig(ContestConfig(searchers=("fade-sampled", "random"))).check_ranks()
    contest = ContestConfig(searchers=("fade-sampled", "random"))
    CompareConfig(contest, network=NetworkConfig(norm="none")).check_ranks()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"settings": ("exakt",)}, "Did you mean 'exact'"),
        ({"settings": ()}, "len"),
        ({"seeds": (1, 1)}, "seeds differ"),
        ({"graphs": 1}, "graphs >= 2"),
        ({"cells": "nasbench-macro"}, "--table"),
        ({"table": "t.parquet"}, "Leave --table out"),
        ({"sample": 2}, "sample >= 3"),
    ],
)
def test_studies_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises(InvalidInput, match=words):
        StudyConfig(**arguments)


def test_more_paths_than_images_of_a_batch_are_refused_before_any_work():
    few, many = TrainConfig(batch_size=4), ArchitectureConfig(paths=5)
    RankStudyConfig(train=few, architecture=many)  # each path sees the whole batch
    with pytest.raises(InvalidInput, match="paths=5, batch_size=4"):
        RankStudyConfig(
            StudyConfig(settings=("default", "score-split")), train=few, architecture=many
        )
    with pytest.raises(InvalidInput, match="weight_paths=5, batch_size=4"):
        RankStudyConfig(train=few, architecture=ArchitectureConfig(weight_paths=5))


@pytest.mark.parametrize(
    ("study", "architecture", "names"),
    [
        (
            {"settings": ("default", "late", "separate", "score-uniform")},
            {},
            "['default', 'separate', 'score-uniform']",
        ),
        (
            {"settings": ("marginal", "blind", "default")},
            {"estimator": "marginal"},
            "['marginal', 'default']",
        ),
        ({"settings": ("default", "late"), "rank_epochs": 1}, {}, "['default', 'late']"),
        (
            {"settings": ("default", "shared"), "cells": "nasbench-macro", "table": "t.parquet"},
            {},
            "['default', 'shared']",
        ),
    ],
)
def test_settings_that_train_the_same_are_refused(study, architecture, names):
    with pytest.raises(InvalidInput, match=re.escape(names) + ".*Leave all but one"):
        RankStudyConfig(study=StudyConfig(**study), architecture=ArchitectureConfig(**architecture))


def test_settings_that_differ_only_under_other_options_are_not_refused():
    """score-uniform is the default, and another training where the default is not."""
    RankStudyConfig(
        study=StudyConfig(settings=("default", "score-uniform", "shared")),
        architecture=ArchitectureConfig(draw="weighted"),
    )
