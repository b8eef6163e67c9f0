"""The end of a run: the found architecture exported, result.json written."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from fade_ray.data import Splits
from fade_ray.export import export_module, export_onnx
from fade_ray.nn import ChainNetwork
from fade_ray.run.folder import read_json, stored_config, write_json
from fade_ray.search.chain_trial import Shaped, build_network, weights_path
from fade_ray.search.search_config import Config
from fade_ray.search.search_history import History
from searchers import AskTell, Proposal
from spaces.errors import InvalidInput


def retrained_network(
    folder: Path, proposal: Proposal, shape: Shaped, config: Config
) -> ChainNetwork:
    """The network of a finished retraining, in evaluation mode. Raises InvalidInput for one that is
    no chain of graphs.
    """
    network = build_network(proposal, shape, config, torch.Generator())
    if not isinstance(network, ChainNetwork):
        raise InvalidInput(
            f"Chains of graphs alone are exported, but the one found is {proposal.hyper.code()!r}."
        )
    network.load_state_dict(load_file(weights_path(folder, proposal.id)))
    return network.eval()


def write_result(
    folder: Path, splits: Splits, config: Config, searcher: AskTell, share: float | None
) -> None:
    """Export the architecture to `folder/architectures` and write result.json. Raises InvalidInput
    when there is none.
    """
    history = History.read(folder / "records.jsonl")
    retrained = [
        p
        for p in history.proposals.values()
        if p.kind == "retraining" and _succeeded(history, p.id)
    ]
    if searcher.best is None or not retrained:
        reasons = "; ".join(f"{id}: {reason}" for id, reason in searcher.failures[-3:])
        raise InvalidInput(
            f"No architecture was evaluated and retrained with success in {folder}, so there is no result ({reasons}). "
            "Mend the cause and start in a new directory."
        )
    found, accuracy = searcher.best
    proposal = retrained[0]
    metrics = history.metrics[proposal.id]
    network = retrained_network(folder, proposal, splits, config)
    scores = {"valid_accuracy": accuracy, "test_accuracy": metrics["test_accuracy"]}
    export_module(
        network,
        folder / "architectures",
        "architecture",
        classes=splits.classes,
        mean=splits.mean,
        std=splits.std,
        facts={"data": splits.describe(), **scores},
    )
    cost = history.cost
    result: dict[str, Any] = {
        "architecture": {
            "code": found.code(),
            "cells": [row[0].code for row in found.rows],
            "parameters": sum(p.numel() for p in network.parameters()),
            "multiply_adds": network.multiply_adds(),
        },
        **scores,
        "shape": {
            "side": splits.side,
            "channels": splits.channels,
            "num_classes": splits.num_classes,
        },
        "chance": 1 / splits.num_classes,
        "test_images": len(splits.test),
        "data": splits.describe(),
        "cost": {
            "training_images": cost.images,
            "multiply_adds": cost.multiply_adds,
            "seconds": cost.seconds,
            "trial_seconds": cost.trial_seconds,
        },
        "trials": history.trials,
        "training_share": share,
        "run": folder.name,
    }
    write_json(folder / "result.json", result)


def _succeeded(history: History, id: str) -> bool:
    outcome = history.outcomes.get(id)
    return outcome is not None and outcome.failure is None


class _Shape(NamedTuple):
    side: int
    channels: int
    num_classes: int


def export_run(folder: Path, *, onnx: bool) -> list[Path]:
    """The files of a finished run's architecture; with `onnx` an ONNX file is added to them. Raises
    InvalidInput for an unfinished run.
    """
    config = stored_config(folder)
    if config is None or not (folder / "result.json").exists():
        raise InvalidInput(
            f"Only a finished run has an architecture to export, and the one in {folder} is not finished. "
            f"Finish it with `fade-ray search --out {folder}`."
        )
    architectures = folder / "architectures"
    paths = [architectures / f"architecture{suffix}" for suffix in (".py", ".safetensors", ".json")]
    if onnx:
        shape = _Shape(**read_json(folder / "result.json")["shape"])
        history = History.read(folder / "records.jsonl")
        proposal = next(
            p
            for p in history.proposals.values()
            if p.kind == "retraining" and _succeeded(history, p.id)
        )
        network = retrained_network(folder, proposal, shape, config)
        paths.append(export_onnx(network, architectures / "architecture.onnx"))
    return paths
