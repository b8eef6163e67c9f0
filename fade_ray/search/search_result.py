"""The end of a run: the found architecture exported, result.json made."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fade_ray.export import export_module, folded_text, in_forms
from fade_ray.nn import Network, parameters
from fade_ray.records.additions import check_unchanged, load_additions
from fade_ray.records.run_files import Run, read_object
from fade_ray.report.trials import measure_of
from fade_ray.run.inputs import files_of
from fade_ray.run.run_of_trials import Trials
from fade_ray.search.beside import Beside
from fade_ray.search.chain_trial import Shape, Shaped, build_network, weights_path
from fade_ray.search.search_config import Config
from fade_ray.search.search_history import History
from fade_ray.training.latency import latency
from fade_ray.training.objective_check import guess
from fade_ray.trials.trainee import read_weights
from searchers import AskTell, Proposal
from spaces import HyperArchitecture
from spaces.errors import InvalidInput

STORED = ("side", "channels", "num_classes")
"""Of the shape of the images, in result.json; the rest follows from the objective."""
LOG = logging.getLogger(__name__)


def retrained_network(folder: Path, proposal: Proposal, shape: Shaped, config: Config) -> Network:
    """The network of a finished retraining, to evaluate."""
    network = build_network(proposal, shape, config, torch.Generator())
    network.load_state_dict(read_weights(weights_path(folder, proposal.id)))
    return network.eval()


def deliver(prepared: Trials[AskTell], run: Run[Config, History]) -> dict[str, Any]:
    """Export the architecture; what becomes result.json. InvalidInput where there is none."""
    splits, history, folder = prepared.data, run.history, run.folder
    best, proposal = prepared.searcher.best, _retrained(history)
    if best is None or proposal is None:
        reasons = "; ".join(f"{id}: {reason}" for id, reason in prepared.searcher.failures[-3:])
        raise InvalidInput(
            f"No architecture was evaluated and retrained with success in {folder}, so there is no "
            f"result ({reasons}). Mend the cause and start in a new directory."
        )
    architecture, score = best
    network = retrained_network(folder, proposal, splits, run.config)
    measure = measure_of(run.settings)
    tested = history.metrics[proposal.id].items()
    valid = {f"valid_{measure.key}": measure.plain(score)}
    scores = {**valid, **{k: v for k, v in tested if k.startswith("test_")}}
    export_module(
        network,
        folder / "architectures",
        "architecture",
        classes=splits.classes,
        mean=splits.mean,
        std=splits.std,
        target=splits.weights.target,
        facts={"data": splits.describe(), **scores},
    )
    cost = history.cost
    return {
        "architecture": {
            "code": architecture.code(),
            "cells": [row[0].code for row in architecture.rows],
            "parameters": parameters(network),
            "multiply_adds": network.multiply_adds(),
            "latency_ms": latency(network, torch.device("cpu")),
            "rows": _rows(network, architecture),
        },
        **scores,
        "shape": {name: getattr(splits, name) for name in STORED},
        "chance": measure.plain(guess(run.config.train.objective, splits)),
        "test_images": len(splits.test),
        "data": splits.describe(),
        "cost": {
            "training_images": cost.images,
            "multiply_adds": cost.multiply_adds,
            "seconds": cost.seconds,
            "trial_seconds": cost.trial_seconds,
        },
        "trials": history.trials,
        "beside": Beside.of(history, measure).to_dict(),
        **run.result,
        "run": run.name,
    }


def _rows(network: Network, found: HyperArchitecture) -> list[dict[str, Any]]:
    """From the shallowest to the deepest: cell, channels and side behind it, weights and
    multiply-adds of one image.
    """
    return [
        {
            "cell": cell.code,
            "channels": place.out.channels,
            "side": place.out.side,
            "parameters": parameters(place),
            "multiply_adds": place.along(0).multiply_adds,
        }
        for (cell,), place in zip(found.rows, network.places, strict=True)
    ]


def _retrained(history: History) -> Proposal | None:
    """The first retraining that ended well."""
    return next(
        (
            proposal
            for id, proposal in history.proposals.items()
            if proposal.final and id in history.outcomes and history.outcomes[id].failure is None
        ),
        None,
    )


def exported(run: Run[Config, History], forms: Sequence[str]) -> list[Path]:
    """The files of a finished run's architecture, and in further `forms`. InvalidInput before."""
    if not run.result:
        raise InvalidInput(
            "Only a finished run has an architecture to export, and the one in "
            f"{run.folder} is not finished. Finish it with `fade-ray search --out {run.folder}`."
        )
    stem = run.folder / "architectures" / "architecture"
    paths = [stem.with_suffix(suffix) for suffix in (".py", ".safetensors", ".json")]
    if run.config.space.space:
        paths.append(stem.with_name(Path(run.config.space.space).name))
    proposal = _retrained(run.history)
    if saved := folded_text(read_object(stem.with_suffix(".json"))):
        LOG.info("%s", saved.capitalize())
    if forms and proposal is not None:
        check_unchanged(load_additions(files_of(run.config)), run.environment, run.folder)
        shape = Shape(*(run.result["shape"][name] for name in STORED))
        network = retrained_network(run.folder, proposal, shape, run.config)
        paths += in_forms(network, stem, forms)
    return paths
