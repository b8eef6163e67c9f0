"""A search followed by the retraining of what it found, beside baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from searchers.base import AskTell
from searchers.following import Following
from spaces.errors import at_least
from spaces.hyper import HyperArchitecture

Cells = Callable[[HyperArchitecture, np.random.Generator], HyperArchitecture]
"""What a baseline is made of, from the architecture that was found."""


class WithRetraining(Following):
    """Any searcher, then `repeats` retrainings (kind "retraining", `epochs` each, different seeds)
    of its best evaluated architecture, each with one of every baseline (kind "baseline") behind it.

    Where the search evaluated nothing with success there is nothing to retrain: done, with a
    failure recorded under the id "retraining".
    """

    def __init__(
        self,
        inner: AskTell,
        epochs: int,
        repeats: int = 1,
        seed: int = 0,
        max_retries: int = 2,
        baselines: Mapping[str, Cells] | None = None,
    ) -> None:
        at_least(1, epochs=epochs, repeats=repeats)
        self.epochs, self.repeats, self.baselines = epochs, repeats, baselines or {}
        self._nothing: list[tuple[str, str]] = []
        super().__init__(inner, seed, max_retries)

    def follow(self) -> None:
        if self.inner.best is None:
            reason = "the best evaluated architecture is retrained, but no evaluation has succeeded"
            self._nothing.append(("retraining", reason))
            return
        found, epochs = self.inner.best[0], self.epochs
        rng = np.random.default_rng([self.seed, self.proposed])  # not what the search drew from
        for repeat in range(self.repeats):
            self.propose("retraining", found, epochs, repeat=repeat)
            for name, cells in self.baselines.items():
                hyper = cells(found, rng)
                self.propose("baseline", hyper, epochs, repeat=repeat, network=name)

    @property
    def failures(self) -> list[tuple[str, str]]:
        return super().failures + self._nothing
