"""What a retraining hands over, and proof that the files are what was measured."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from fade_ray.export import export_language, export_module
from fade_ray.nn import AnyNetwork
from fade_ray.retraining.retrain_examples import Examples
from fade_ray.retraining.retraining import Retraining, build_network, weights_path
from fade_ray.training import Placement, evaluate
from fade_ray.training.sums import ALONE
from fade_ray.trials.trainee import read_weights
from spaces.errors import InvalidInput

NAME = "architecture"
TOLERANCE = 0.002
"""By which an accuracy may be off on another device (or two images, where that is more), and the
share by which a perplexity may be.
"""


def trained_network(job: Retraining, examples: Examples, folder: Path, name: str) -> AnyNetwork:
    """The network with the weights called `name` (last, best, average), in evaluation mode. Raises
    InvalidInput where these do not exist.
    """
    path = weights_path(folder, name)
    if not path.exists():
        raise InvalidInput(
            f"Only a finished retraining has weights, but {path} does not exist. Finish it first."
        )
    network = build_network(job, examples)
    network.load_state_dict(read_weights(path))
    return network.eval()


def deliver(
    job: Retraining,
    examples: Examples,
    folder: Path,
    result: Mapping[str, Any],
    placement: Placement,
) -> Path:
    """Export the network to `folder/architectures`, its test score beside it, and compare scores
    of the files as loaded anew with its own.

    Returns the path of the module. Raises RuntimeError where the two differ.
    """
    chosen = job.config.export
    network: Any = trained_network(job, examples, folder, chosen)
    facts = {
        f"test_{job.config.train.objective.measure.key}": recorded_score(
            weights_path(folder, chosen)
        ),
        "epochs": result["epochs"],
        "recipe": result["recipe"],
        "weights": chosen,
        "data": result["data"],
        "seed": result["seed"],
    }
    export, said = EXPORTS[job.macro.stack.task]
    about = {name: getattr(examples, name) for name in said}
    path = export(network, folder / "architectures", NAME, facts=facts, **about)
    cpu = Placement(torch.device("cpu"), None, channels_last=False)
    check_export(network, path, next(examples.test(cpu, ALONE, 8).ordered())[0])
    return path


EXPORTS: dict[str, tuple[Callable[..., Path], tuple[str, ...]]] = {
    "images": (export_module, ("classes", "mean", "std")),
    "text": (export_language, ("vocabulary",)),
}
"""By the task of a stacking: what writes a network, and what of the data it is told."""


def check_export(network: AnyNetwork, path: Path, inputs: torch.Tensor) -> None:
    """Whether the module at `path`, loaded anew, gives the scores of `network` on `inputs`
    (normalised images, words), in double precision.

    Raises RuntimeError where it does not.
    """
    spec = importlib.util.spec_from_file_location(f"_exported_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.inference_mode():
        inputs = inputs.double() if inputs.is_floating_point() else inputs
        theirs = _scores(module.load().double().eval()(inputs))
        ours = _scores(network.double()(inputs))
    network.float()
    if not torch.allclose(ours, theirs, rtol=1e-6, atol=1e-6):
        worst = float((ours - theirs).abs().max())
        raise RuntimeError(
            f"the exported network {path} differs from the trained one by up to {worst:g} in its "
            "scores"
        )


def _scores(given: Any) -> torch.Tensor:
    """Those of the network, which stand first in all that it gives."""
    while isinstance(given, tuple):
        given = given[0]
    scores: torch.Tensor = given
    return scores


def recorded_score(path: Path) -> float:
    """The test accuracy, or perplexity, that was written into a file of weights with them."""
    with safe_open(path, "pt") as file:
        told = file.metadata()
        return float(told.get("test_accuracy") or told["test_perplexity"])


def measure(
    job: Retraining, examples: Examples, folder: Path, placement: Placement
) -> dict[str, tuple[float, float]]:
    """Recorded and measured test accuracy, or perplexity, of each file of weights in `folder`.

    Raises InvalidInput where they differ by more than rounding explains.
    """
    found = {}
    for path in sorted((folder / "weights").glob("*.safetensors")):
        network = trained_network(job, examples, folder, path.stem)
        network.to(placement.device, memory_format=placement.memory_format)  # type: ignore[call-overload]
        test = examples.test(placement, ALONE, job.config.train.batch_size)
        objective = job.config.train.objective
        score = objective.measure
        measured = score.plain(objective.score(evaluate(network, test, objective, placement)))
        recorded = recorded_score(path)
        allowed = max(TOLERANCE * max(1.0, recorded), 2 / examples.counts[1])
        if abs(measured - recorded) > allowed + 1e-9:
            raise InvalidInput(
                f"Weights must have the {score.name} that is recorded with them, but those in "
                f"{path} have {measured:.4f} on the test part and {recorded:.4f} recorded. Have "
                f"the weights or the test {score.data} changed since?"
            )
        found[path.stem] = (recorded, measured)
    if not found:
        raise InvalidInput(
            f"Only a finished retraining can be checked, but {folder / 'weights'} is empty. Finish "
            "it."
        )
    return found
