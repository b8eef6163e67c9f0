"""A network as what further forms than the module are made of."""

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from fade_ray.export.export_module import check_images, exporter
from fade_ray.nn import Network, Scores


class MainScores(nn.Module):
    """A network as a module from images to its main scores alone."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return cast(Scores, self.network(x)).main


def main_scores(
    network: Network, classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> tuple[MainScores, dict[str, list[Any]]]:
    """A copy without choices, folded, in evaluation mode, float32 on the CPU; and what is to be
    said of its images. InvalidInput for a network with a choice left, and what does not fit it.
    """
    network = exporter(network).fold(network)
    check_images(network, classes, mean, std)
    about: dict[str, list[Any]] = {"classes": [*classes]}
    about |= {"mean": [*map(float, mean)], "std": [*map(float, std)]}
    return MainScores(copy.deepcopy(network)).eval().to("cpu", torch.float32), about
