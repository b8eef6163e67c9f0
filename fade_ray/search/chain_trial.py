"""One plan, trained: what is behind every trial of the outer search, with or without Ray."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from fade_ray.data import Feed, LabelledImages, Splits
from fade_ray.data.targets import TARGETS
from fade_ray.nn import (
    Chain,
    ChainNetwork,
    Draw,
    MacroNetwork,
    ModuleNetwork,
    Network,
    architecture_weights,
    parameters,
)
from fade_ray.records.remote import fetched
from fade_ray.search.baselines import BASELINES, chain_of, of_the_space
from fade_ray.search.fade_ranks import FadeRanks, misgivings
from fade_ray.search.search_config import Config
from fade_ray.training import RowArchitecture, TrainConfig, Training, evaluate, place
from fade_ray.training.latency import latency
from fade_ray.training.loop import scored
from fade_ray.trials.job import Event, checkpoint_path, write_output
from fade_ray.trials.trainee import Ending, Trainee, lifecycle, read_weights, weights_bytes
from searchers import Outcome, Proposal, Trial
from spaces import Candidate, Dag, HyperArchitecture
from spaces.errors import InvalidInput
from spaces.module_cell import ModuleCell
from spaces.nasbench_macro import Block


@dataclass(frozen=True)
class SearchJob:
    """The `Job` of the outer search: its plans are proposals, its data the splits of the images."""

    config: Config

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        return run_trial(Proposal.from_dict(plan), data, self.config, folder)


def run_trial(plan: Trial, splits: Splits, config: Config, folder: Path) -> Iterator[Event]:
    """The events of a trial: see `fade_ray.trials.trainee.lifecycle`."""
    return lifecycle(
        lambda: ChainTrial(plan, splits, config, folder),
        checkpoint_path(folder, plan.id),
        threads=config.run.cpus_per_trial,
        steps=config.run.checkpoint_steps,
    )


class ChainTrial(Trainee):
    """A trial in training; its parent's weights and, if kept, its own are in `folder`."""

    def __init__(self, plan: Trial, splits: Splits, config: Config, folder: Path) -> None:
        self.plan, self.splits, self.config, self.folder = plan, splits, config, folder
        self.kind = KINDS[plan.kind]
        self.train = self.kind.training(config)
        self.placement = place(config.run.device, config.train.precision)
        augment = config.data.augmentation(splits.augment)
        self.feed = Feed(splits, self.placement, self.train.batch_size, augment)
        seeds = [int(s) for s in np.random.SeedSequence(plan.seed).generate_state(3) >> 1]
        generator, drawn = (torch.Generator().manual_seed(seed) for seed in seeds[:2])
        self.network = build_network(plan, splits, config, generator)
        if plan.parent is not None:
            assert isinstance(self.network, Chain)
            self.network.inherit(read_weights(fetched(weights_path(folder, plan.parent))))
        batches = self.feed.augmented(self.kind.part(splits))
        architecture = None
        if plan.ranks:
            assert isinstance(self.network, Chain)
            held_out = self.feed.augmented(splits.architecture)
            architecture = RowArchitecture(self.network, held_out, config.architecture, drawn)
        seed = 4 * seeds[2]
        self.training = Training(
            self.network, batches, self.train, plan.epochs, self.placement, seed, architecture
        )

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        ending = self.kind.ending(self)
        if self.kind.keeps_weights(self.config):
            path = weights_path(self.folder, self.plan.id)
            write_output(path, weights_bytes(self.network))
        return ending

    def measured(
        self,
        part: LabelledImages,
        draw: Draw = Draw(),  # noqa: B008, frozen
        *,
        batch_statistics: bool = False,
    ) -> dict[str, float]:
        """Mean loss and measures on a part of the images."""
        return evaluate(
            self.network,
            self.feed.plain(part),
            self.train.objective,
            self.placement,
            draw,
            batch_statistics=batch_statistics,
        )


def _ranks(trial: ChainTrial) -> Ending:
    architecture = trial.training.architecture
    assert isinstance(architecture, RowArchitecture)
    hyper, splits = trial.plan.hyper, trial.splits
    first = architecture_weights(architecture.start, architecture.mask)
    ranks, start = (
        FadeRanks(hyper, tuple(tuple(row) for row in architecture.rows(weights)))
        for weights in (architecture.weights, first)
    )
    best = Draw(architecture.best_path())
    means = trial.measured(splits.architecture, best, batch_statistics=True)
    warnings = misgivings(ranks, start, means.get("accuracy"), splits.num_classes)
    return Ending(Outcome(log_weights=ranks.credited()), _named("hyper", means), warnings)


def _evaluation(trial: ChainTrial) -> Ending:
    config, means = trial.config, trial.measured(trial.splits.architecture)
    outcome = Outcome(score=scored(config.train.objective, means), measures=means)
    if not config.outer.test_evaluations:
        return Ending(outcome, _counts(trial.network))
    tested, objective = trial.measured(trial.splits.test), config.train.objective
    if objective.measure.key not in tested:
        tested["score"] = scored(objective, tested)
    return Ending(outcome, _named("test", tested) | _sizes(trial))


def _retraining(trial: ChainTrial) -> Ending:
    means = trial.measured(trial.splits.test)
    score = scored(trial.train.objective, means)
    # the outcome that a searcher sees holds nothing of the test part
    return Ending(Outcome(), _named("test", means | {"score": score}) | _sizes(trial))


def _sizes(trial: ChainTrial) -> dict[str, float]:
    """What its network takes; latency on its device."""
    return _counts(trial.network) | {"latency_ms": latency(trial.network, trial.placement.device)}


def _counts(network: Network) -> dict[str, float]:
    return {"parameters": parameters(network), "network_multiply_adds": network.multiply_adds()}


def _named(part: str, means: Mapping[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in means.items()}


@dataclass(frozen=True)
class TrialKind:
    """What kinds of trials train on, measure at the end, whether their weights stay, and how they
    train.
    """

    part: Callable[[Splits], LabelledImages]
    ending: Callable[[ChainTrial], Ending]
    keeps_weights: Callable[[Config], bool]
    training: Callable[[Config], TrainConfig] = lambda c: c.train


_SCORED = TrialKind(lambda s: s.weights, _evaluation, lambda c: False)


def _final(keeps_weights: bool) -> TrialKind:
    return TrialKind(
        lambda s: s.all_but_test,
        _retraining,
        lambda c: keeps_weights,
        lambda c: c.finish.training(c.train),
    )


KINDS: dict[str, TrialKind] = {
    "ranks": TrialKind(lambda s: s.weights, _ranks, lambda c: c.outer.carry_weights),
    "evaluation": _SCORED,
    "repeat": _SCORED,
    "retraining": _final(keeps_weights=True),
    "baseline": _final(keeps_weights=False),
}


def weights_path(folder: Path, id: str) -> Path:
    """Where the final network weights of a trial are kept, if they are."""
    return folder / "weights" / f"{id}.safetensors"


class Shape(NamedTuple):
    """What a network must know of its images."""

    side: int
    channels: int
    num_classes: int
    dense: bool = False


Shaped = Splits | Shape


def build_network(
    plan: Trial, shape: Shaped, config: Config, generator: torch.Generator
) -> Network:
    """The (hyper-)network of a trial, or its baseline.

    Raises InvalidInput for cells of several kinds, and of a kind that no network is made of.
    """
    sizes = {"side": shape.side, "channels": shape.channels, "classes": shape.num_classes}
    dense = TARGETS[config.train.objective.target].dense
    kinds = {type(cell) for row in plan.hyper.rows for cell in row}
    if len(kinds) > 1 or not kinds <= set(NETWORKS):
        names = " or ".join(kind.__name__ for kind in NETWORKS)
        raise InvalidInput(
            f"A network is made of cells of one kind, {names}, but got {plan.hyper.code()!r}. "
            "Give every row cells of that kind."
        )
    made = NETWORKS[kinds.pop()]

    def alone(hyper: HyperArchitecture, **built: Any) -> Network:
        return made(replace(plan, hyper=hyper), config, **built)

    build = BASELINES[plan.network].build if plan.network else of_the_space
    return build(alone, plan.hyper, config.network, generator=generator, dense=dense, **sizes)


def _graph_network(plan: Trial, config: Config, **built: Any) -> Chain:
    if not plan.ranks:
        return chain_of(plan.hyper, config.network, **built)
    largest = config.space.max_vertices
    return ChainNetwork(plan.hyper, config.network, share_vertices=largest, **built)


def _block_network(plan: Trial, config: Config, **built: Any) -> Chain:
    return MacroNetwork(plan.hyper, config.network.base_channels, **built)


def _module_network(plan: Trial, config: Config, **built: Any) -> Chain:
    space = config.space.choices
    if space is None:
        rule = f"Candidates of one's own stand in a space, but got {plan.hyper.code()!r} without"
        raise InvalidInput(f"{rule} one. Name its file with --space.")
    return ModuleNetwork(plan.hyper, space, config.network, **built)


NETWORKS: dict[type[Candidate], Callable[..., Chain]] = {
    Dag: _graph_network,
    Block: _block_network,
    ModuleCell: _module_network,
}
"""The network of each kind of cells."""
