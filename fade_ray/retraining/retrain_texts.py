"""The text of a retraining."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from fade_ray.data.images import IntArray
from fade_ray.data.text import Corpus, TextBatches, load_text
from fade_ray.nn.language_network import LanguageNetwork
from fade_ray.retraining.retrain_config import RetrainConfig
from fade_ray.retraining.retrain_examples import Examples, Opener
from fade_ray.training import Placement
from fade_ray.training.sums import Workers
from spaces.cell import Macro
from spaces.errors import require

MEASURED, TESTED = 10, 1
"""Texts side by side on which a language model is measured while it is trained, and tested
(algorithms B.5).
"""


@dataclass(frozen=True, eq=False)
class Texts(Examples):
    """`valid`: to measure on after each epoch; `counts` in words."""

    vocabulary: tuple[str, ...]
    valid: Opener

    @staticmethod
    def opened(config: RetrainConfig) -> Texts:
        """See `Examples`."""
        data = config.data
        return Texts.of(load_text(data.data).limited(data.limit, data.test_limit), config)

    @staticmethod
    def of(data: Corpus, config: RetrainConfig) -> Texts:
        workers, remedy = config.workers.workers, "A text is read in one piece: use --workers 1."
        require(workers == 1, "workers == 1 on text", remedy, workers=workers)
        rule, remedy = "export best on text", "The best epoch is what is tested: use --export best."
        require(config.export == "best", rule, remedy, export=config.export)
        objective: Any = config.train.objective
        lengths = {"bptt": objective.bptt, "spread": objective.spread}

        def rows(words: IntArray, own: int | None = None) -> Opener:
            def build(placement: Placement, workers: Workers, batch_size: int) -> TextBatches:
                size = own or batch_size
                return TextBatches(words, batch_size=size, device=placement.device, **lengths)

            return build

        return Texts(
            counts=(len(data.train), len(data.test)),
            description=data.describe(),
            train=rows(data.train),
            test=rows(data.test, TESTED),
            vocabulary=data.vocabulary,
            valid=rows(data.valid, MEASURED),
        )

    def network(
        self, macro: Macro, config: RetrainConfig, generator: torch.Generator
    ) -> LanguageNetwork:
        fits, remedy = config.network.fits, "Say the units with --channels."
        require(not fits, "the width of networks of images is fitted", remedy, **fits)
        vocabulary, units = len(self.vocabulary), config.network.channels
        return LanguageNetwork(macro, vocabulary=vocabulary, units=units, generator=generator)
