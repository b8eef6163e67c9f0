"""What a retraining hands over, and proof that the files are what was measured."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from fade_ray.export import export_module
from fade_ray.nn.cell_network import CellNetwork
from fade_ray.retraining.retrain_images import Images
from fade_ray.retraining.retraining import Retraining, build_network, weights_path
from fade_ray.training import Placement, evaluate
from fade_ray.training.sums import ALONE
from fade_ray.trials.trainee import read_weights
from spaces.errors import InvalidInput

NAME = "architecture"
TOLERANCE = 0.002
"""By which an accuracy may be off on another device (or two images, where that is more)."""


def trained_network(job: Retraining, images: Images, folder: Path, name: str) -> CellNetwork:
    """The network with the weights called `name` (last, best, average), in evaluation mode. Raises
    InvalidInput where these do not exist.
    """
    path = weights_path(folder, name)
    if not path.exists():
        raise InvalidInput(
            f"Only a finished retraining has weights, but {path} does not exist. Finish it first."
        )
    network = build_network(job, images)
    network.load_state_dict(read_weights(path))
    return network.eval()


def deliver(
    job: Retraining, images: Images, folder: Path, result: Mapping[str, Any], placement: Placement
) -> Path:
    """Export the network to `folder/architectures`, its test accuracy beside it, and compare scores
    of the files as loaded anew with its own.

    Returns the path of the module. Raises RuntimeError where the two differ.
    """
    chosen = job.config.export
    network = trained_network(job, images, folder, chosen)
    facts = {
        "test_accuracy": recorded_accuracy(weights_path(folder, chosen)),
        "epochs": result["epochs"],
        "recipe": result["recipe"],
        "weights": chosen,
        "data": result["data"],
        "seed": result["seed"],
    }
    path = export_module(
        network,
        folder / "architectures",
        NAME,
        classes=images.classes,
        mean=images.mean,
        std=images.std,
        facts=facts,
    )
    batch = next(
        images.test(Placement(torch.device("cpu"), None, channels_last=False), ALONE, 8).ordered()
    )[0]
    check_export(network, path, batch)
    return path


def check_export(network: CellNetwork, path: Path, images: torch.Tensor) -> None:
    """Whether the module at `path`, loaded anew, gives the scores of `network` on normalised
    `images`, in double precision.

    Raises RuntimeError where it does not.
    """
    spec = importlib.util.spec_from_file_location(f"_exported_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.inference_mode():
        theirs = module.load().double().eval()(images.double())
        ours = network.double()(images.double()).main
    network.float()
    if not torch.allclose(ours, theirs, rtol=1e-6, atol=1e-6):
        worst = float((ours - theirs).abs().max())
        raise RuntimeError(
            f"the exported network {path} differs from the trained one by up to {worst:g} in its "
            "scores"
        )


def recorded_accuracy(path: Path) -> float:
    """The test accuracy that was written into a file of weights with them."""
    with safe_open(path, "pt") as file:
        return float(file.metadata()["test_accuracy"])


def measure(
    job: Retraining, images: Images, folder: Path, placement: Placement
) -> dict[str, tuple[float, float]]:
    """Recorded and measured test accuracy of each file of weights in `folder`.

    Raises InvalidInput where they differ by more than rounding explains.
    """
    found = {}
    for path in sorted((folder / "weights").glob("*.safetensors")):
        network = trained_network(job, images, folder, path.stem)
        network.to(placement.device, memory_format=placement.memory_format)  # type: ignore[call-overload]
        test = images.test(placement, ALONE, job.config.train.batch_size)
        objective = job.config.train.objective
        accuracy = objective.score(evaluate(network, test, objective, placement))
        recorded = recorded_accuracy(path)
        if abs(accuracy - recorded) > max(TOLERANCE, 2 / images.counts[1]) + 1e-9:
            raise InvalidInput(
                f"Weights must have the accuracy that is recorded with them, but those in {path} "
                f"have {accuracy:.4f} on the test part and {recorded:.4f} recorded. Have the "
                "weights or the test images changed since?"
            )
        found[path.stem] = (recorded, accuracy)
    if not found:
        raise InvalidInput(
            f"Only a finished retraining can be checked, but {folder / 'weights'} is empty. Finish "
            "it."
        )
    return found
