"""A trained architecture as ONNX, for other runtimes."""

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import nn

from fade_ray.export.export_module import write_whole
from fade_ray.export.main_scores import main_scores
from fade_ray.nn import ModuleNetwork, Network
from fade_ray.records.run_files import read_object
from spaces.errors import InvalidInput, upheld


def export_onnx(
    network: Network,
    path: Path,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
) -> Path:
    """Write a network without choices to `path` as one ONNX file, in evaluation mode.

    Its input "images", float32 [batch, channels, side, side], holds normalised images, as
    `preprocess` of the exported module makes them; its output "scores" is float32 [batch, classes].
    Any batch size may be run. Its metadata hold `classes`, `mean` and `std` as JSON, as
    `export_module` takes them. `network` stays as it is. Returns `path`. InvalidInput for a network
    with a choice left, what does not fit it, a place that cannot be written, and without the
    package onnx.
    """
    model, about = main_scores(network, classes, mean, std)
    try:
        import onnx
    except ImportError as error:
        rule = f"ONNX export needs the package onnx, which cannot be imported: {error}"
        raise InvalidInput(f'{rule}. Run: pip install "fade-ray[onnx]"') from error
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # PyTorch 2.9 deprecates this exporter for one built on torch.export. For these networks
        # both write the same graph, but this one takes 0.5 s instead of 16 s, and all versions of
        # PyTorch that we support have it.
        warnings.simplefilter("ignore")
        file = Path(folder) / "network.onnx"
        rule = "ONNX must have an operation for each of the network's"
        remedy = "The .py and the .safetensors are exported: use these, or --pt2."
        with upheld(rule, remedy, Exception):
            torch.onnx.export(
                model,
                (torch.zeros(1, *network.input_shape),),
                file,
                input_names=["images"],
                output_names=["scores"],
                dynamic_axes={"images": {0: "batch"}, "scores": {0: "batch"}},
                dynamo=False,
            )
            onnx.checker.check_model(file, full_check=True)
        described = onnx.load(file)
        if isinstance(network, ModuleNetwork):
            _check_batches(described, model, network.input_shape)
        texts = {name: json.dumps(values) for name, values in about.items()}
        onnx.helper.set_model_props(described, texts)
        return write_whole(path, described.SerializeToString())


class Facts(TypedDict):
    """The `.json` beside an exported module, as far as it is read again."""

    classes: list[str]
    mean: list[float]
    std: list[float]
    input_shape: tuple[int, int, int]


def _check_batches(described: Any, model: nn.Module, shape: Sequence[int]) -> None:
    """InvalidInput for modules of a user's own that were written for one size of batch alone, as
    torch's attention is, or for other scores.
    """
    from onnx.reference import ReferenceEvaluator

    images = torch.rand(2, *shape)
    rule = "As ONNX a network must run for any size of batch"
    remedy = "The .py and the .safetensors are exported: use these, or --pt2."
    with upheld(rule, remedy, Exception), torch.inference_mode():
        (scores,) = ReferenceEvaluator(described).run(None, {"images": images.numpy()})
        torch.testing.assert_close(torch.tensor(scores), model(images), rtol=1e-3, atol=1e-4)


def of_images(described: Path) -> dict[str, Any]:
    """Classes, mean and std as the `.json` of an exported module tells them."""
    facts = read_object(described, Facts)
    return {name: facts[name] for name in ("classes", "mean", "std")}
