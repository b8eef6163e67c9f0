"""What a search asks of its data: batches of each part, and networks for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch

from fade_ray.data import AnyBatches, Feed, LabelledImages, Splits
from fade_ray.data.data_config import DataConfig, load_images
from fade_ray.data.splits import stratified_halves
from fade_ray.data.text import Corpus, TextBatches, load_text
from fade_ray.nn import AnyNetwork, CellNetwork, CellNetworkConfig
from fade_ray.nn.language_network import LanguageNetwork
from fade_ray.training.device import Placement
from spaces.cell import Macro
from spaces.errors import require

if TYPE_CHECKING:
    from fade_ray.cells.search_setup import SearchSetup, SizedStage


class SearchData(ABC):
    """The data of one search on a device."""

    @abstractmethod
    def batches(self, held_out: bool) -> AnyBatches:
        """As they are trained on: of the logits' part, or of the weights'."""

    @abstractmethod
    def plain(self, held_out: bool) -> AnyBatches:
        """The same, to measure on."""

    @staticmethod
    @abstractmethod
    def load(config: DataConfig) -> Any:
        """What is read of the data. Raises InvalidInput for everything a user can mend."""

    @staticmethod
    @abstractmethod
    def network(
        macro: Macro, data: Any, setup: SearchSetup, stage: SizedStage, generator: torch.Generator
    ) -> AnyNetwork:
        """The search network of a stage: batch statistics, no scale and shift (algorithms B.1)."""


class ImageData(SearchData):
    """`train_images` for the weights, `valid_images` for the logits: see `halves`."""

    def __init__(self, setup: SearchSetup, splits: Splits, placement: Placement) -> None:
        augment = setup.data.augmentation(splits.augment)
        self.feed = Feed(splits, placement, setup.train.batch_size, augment)
        self.train_images, self.valid_images = halves(splits, setup.grid.held_out)

    def part(self, held_out: bool) -> LabelledImages:
        return self.valid_images if held_out else self.train_images

    def batches(self, held_out: bool) -> AnyBatches:
        return self.feed.augmented(self.part(held_out))

    def plain(self, held_out: bool) -> AnyBatches:
        return self.feed.plain(self.part(held_out))

    @staticmethod
    def load(config: DataConfig) -> Splits:
        return load_images(config)

    @staticmethod
    def network(
        macro: Macro, data: Any, setup: SearchSetup, stage: SizedStage, generator: torch.Generator
    ) -> CellNetwork:
        network = CellNetworkConfig(
            channels=stage.channels,
            stem=setup.stem,
            auxiliary=setup.train.auxiliary,
            partial=setup.recipe.partial,
        ).for_search(macro.stack)
        images = {"side": data.side, "channels": data.channels, "classes": data.num_classes}
        return CellNetwork(macro, network, **images, generator=generator)


class TextData(SearchData):
    """The weights learn from train, the logits from valid (algorithms B.5)."""

    def __init__(self, setup: SearchSetup, corpus: Corpus, placement: Placement) -> None:
        self.setup, self.corpus, self.placement = setup, corpus, placement

    def batches(self, held_out: bool) -> AnyBatches:
        train: Any = self.setup.train
        return TextBatches(
            self.corpus.valid if held_out else self.corpus.train,
            batch_size=train.batch_size,
            bptt=train.objective.bptt,
            spread=train.objective.spread,
            device=self.placement.device,
        )

    plain = batches

    @staticmethod
    def load(config: DataConfig) -> Corpus:
        return load_text(config.data).limited(config.limit, config.test_limit)

    @staticmethod
    def network(
        macro: Macro, data: Any, setup: SearchSetup, stage: SizedStage, generator: torch.Generator
    ) -> LanguageNetwork:
        rule, partial = "all channels go through the operations of text", setup.recipe.partial
        require(partial == 1, rule, "Use another recipe.", partial=partial)
        sizes = {"vocabulary": len(data.vocabulary), "units": stage.channels}
        return LanguageNetwork(macro, **sizes, search=True, generator=generator)


SEARCH_DATA: dict[str, type[ImageData] | type[TextData]] = {"images": ImageData, "text": TextData}
"""By the task of a stacking."""


def halves(splits: Splits, held_out: float) -> tuple[LabelledImages, LabelledImages]:
    """The training images in two disjoint parts, stratified: for the weights, and (a share
    `held_out`) for the logits.

    DARTS halves the training set of CIFAR-10 (algorithms B.2). The parts of the outer search, 4 :
    1, are put together and split anew. Where nothing is held out both are all of them.
    """
    images = splits.all_but_test
    return stratified_halves(images, held_out) if held_out else (images, images)
