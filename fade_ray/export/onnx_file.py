"""A trained architecture as ONNX, for other runtimes."""

import copy
import tempfile
import warnings
from functools import singledispatch
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from fade_ray.export.export_cells import check_genotype
from fade_ray.export.export_chain import check_architecture
from fade_ray.export.files import write_whole
from fade_ray.nn import ChainNetwork
from fade_ray.nn.cell_network import CellNetwork
from spaces.errors import InvalidInput


@singledispatch
def scoring(network: nn.Module) -> nn.Module:
    """`network` as a module from images to scores alone. Raises InvalidInput where a choice is
    left.
    """
    raise TypeError(f"not a network of fade_ray: {type(network).__name__}")


@scoring.register
def _(network: ChainNetwork) -> nn.Module:
    check_architecture(network)
    return network


@scoring.register
def _(network: CellNetwork) -> nn.Module:
    check_genotype(network)
    return Scores(network)


class Scores(nn.Module):
    """A network of cells without its auxiliary scores."""

    def __init__(self, network: CellNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.network(x)[0])


def export_onnx(network: ChainNetwork | CellNetwork, path: Path) -> Path:
    """Write an architecture (a chain of width one, or the network of a genotype) to `path` as one
    ONNX file, in evaluation mode.

    Its input "images", float32 [batch, channels, side, side], holds normalised images, as
    `preprocess` of the exported module makes them; its output "scores" is float32 [batch, classes].
    Any batch size may be run. `network` stays as it is. Returns `path`.

    Raises:
        InvalidInput: a network with a choice left, the package onnx not installed, or a place that
        cannot be written.
    """
    scoring(network)
    try:
        import onnx
    except ImportError as error:
        raise InvalidInput(
            f'ONNX export needs the package onnx, which cannot be imported: {error}. Run: pip install "fade-ray[onnx]"'
        ) from error
    model = scoring(copy.deepcopy(network)).eval().to("cpu", torch.float32)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # PyTorch 2.9 deprecates this exporter for one built on torch.export. For these networks
        # both write the same graph, but this one takes 0.5 s instead of 16 s, and all versions of
        # PyTorch that we support have it.
        warnings.simplefilter("ignore")
        file = Path(folder) / "network.onnx"
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
        return write_whole(path, file.read_bytes())
