"""What a searcher is made of: its own options, one dataclass each, and what all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from searchers.base import AskTell
from spaces.choices import Choice
from spaces.errors import at_least
from spaces.feature_space import Space

Batch = Annotated[int, tyro.conf.arg(aliases=["--walks"])]
"""How many at once: `--batch` or, as for walks of anchors, `--walks`."""
UNLIMITED = 1_000_000
"""Iterations of a search that its budget ends, and nothing else."""


@dataclass(frozen=True)
class TrialLengths:
    """How long trials train, whatever the searcher; raises InvalidInput for counts below 1."""

    rank_epochs: int = 6
    """Epochs of a hyper-architecture."""
    evaluation_epochs: int = 8
    """Epochs of an evaluated architecture."""
    retrain_epochs: int = 30
    """Epochs of the found architecture, trained from scratch on the weights and architecture parts.
    """
    carry_weights: bool = True
    """Start each hyper-architecture from the network weights of the one before (needs --share)."""
    max_retries: int = 2
    """How often a failed trial is proposed again, with a new seed."""
    lockstep: bool = False
    """Complete each batch before the next one is proposed. What is proposed then depends on the
    seed alone, not on which of several trials ends first; the slowest one is waited for.
    """

    def __post_init__(self) -> None:
        at_least(1, rank_epochs=self.rank_epochs, evaluation_epochs=self.evaluation_epochs)
        at_least(1, retrain_epochs=self.retrain_epochs)
        at_least(0, max_retries=self.max_retries)


@dataclass(frozen=True)
class Searcher(Choice):
    """The options of one outer searcher, checked when built; `build` makes the search of them.

    A subclass with a name is known by it to every kind of run that searches. Its fields are its
    options; `slow` says that it thinks for seconds before each question.
    """

    iterations: int = 6
    """Batches of trials."""

    slow = False

    def __post_init__(self) -> None:
        at_least(1, iterations=self.iterations)

    def build(self, space: Space, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        """The search at its beginning, for chains of `depth` rows with cells of `space`. Raises
        InvalidInput where the options do not fit the space.
        """
        raise NotImplementedError
