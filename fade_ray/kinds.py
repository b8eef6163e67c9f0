"""What stands behind each word after `fade-ray`: the table that the command line is made from.

A kind of run is loaded when it is asked for, so that the list itself is shown at once. Kinds that a
user's file registers (`--use`) stand in `RunKind.table` and are listed in a group of their own.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from fade_ray.records.additions import kept, load_additions
from fade_ray.records.run_files import Begun, read_object
from fade_ray.run.kind import RunKind, stored_kind
from spaces.errors import require_known


@dataclass(frozen=True)
class Listed:
    """A command: what `fade-ray --help` says of it, and the module that has it."""

    group: str
    summary: str
    module: str


KINDS: dict[str, Listed] = {
    "search": Listed(
        "search",
        "which graphs form the cells of a network: search, retrain, test, report",
        "fade_ray.search.search_run",
    ),
    "cells": Listed(
        "search",
        "which operation stands on which edge of a cell: recipes x spaces x seeds",
        "fade_ray.cells.cells_run",
    ),
    "retrain": Listed(
        "search",
        "SOURCE: train a genotype from scratch, test and export it",
        "fade_ray.retrain.retrain_run",
    ),
    "compare": Listed(
        "study",
        "searchers x seeds under one budget: curves, tests, a verdict",
        "fade_ray.compare.compare_run",
    ),
    "rank-study": Listed(
        "study",
        "ranks of a hyper-architecture against architectures trained alone",
        "fade_ray.ranks.rank_run",
    ),
    "replay": Listed(
        "study",
        "searchers on a table of known accuracies, without training",
        "fade_ray.replay.replay_run",
    ),
    "analyse gradients": Listed(
        "study",
        "what the architecture gradient of a cell search consists of",
        "fade_ray.analyse.gradient_run",
    ),
    "analyse operators": Listed(
        "study",
        "how operations correlate in a trained search network, and their groups",
        "fade_ray.analyse.operator_run",
    ),
    "analyse confusion": Listed(
        "study",
        "[SOURCE]: gradient confusion and skip-connects against the depth of a search network",
        "fade_ray.analyse.confusion_run",
    ),
    "analyse alpha": Listed(
        "study",
        "how well the weights of a cell search order its operations",
        "fade_ray.analyse.alpha_run",
    ),
}
"""The kinds of run, by the name that their folders have too."""


def kind_of_run(name: str) -> RunKind[Any, Any]:
    """The kind of that name, loaded. Raises InvalidInput with the nearest one."""
    if name in KINDS:
        import_module(KINDS[name].module)
    require_known("A kind of run", name, {**KINDS, **RunKind.table})
    return RunKind.table[name]


def kind_in(folder: Path) -> RunKind[Any, Any]:
    """The kind of the run in `folder`, which a file of the user's may have added. Raises
    InvalidInput where there is none.
    """
    name = stored_kind(folder)
    load_additions(kept(folder, read_object(folder / "config.json", Begun).get("use", ())))
    return kind_of_run(name)
