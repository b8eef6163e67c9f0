"""One proposal, trained: the plain function behind every trial of the outer search, with or without
Ray.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save

from fade_ray.data import Augment, Batches, LabelledImages, Splits
from fade_ray.nn import Chain, ChainNetwork, MacroNetwork, architecture_weights
from fade_ray.nn.draw import Draw
from fade_ray.search.search_config import Config
from fade_ray.training import Placement, RowArchitecture, Training, evaluate, place
from fade_ray.training.states import state_bytes
from fade_ray.trials.fade_ranks import FadeRanks, misgivings
from fade_ray.trials.job import Event, checkpoint_path, write_output
from searchers import Outcome, Proposal
from spaces import Candidate, Dag
from spaces.errors import InvalidInput
from spaces.nasbench_macro import Block


@dataclass(frozen=True)
class SearchJob:
    """The `Job` of the outer search: its plans are proposals, its data the splits of the images."""

    config: Config

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        return run_trial(Proposal.from_dict(plan), data, self.config, folder)


def run_trial(proposal: Proposal, splits: Splits, config: Config, folder: Path) -> Iterator[Event]:
    """Train `proposal`, yielding one event per epoch {"epoch", "metrics"} and at last {"outcome",
    "metrics", "warnings"}.

    After each epoch everything the next one depends on is written to `folder/checkpoints`
    (atomically); a trial that starts again goes on there. Raises what goes wrong in training, and
    Unwritable where the run directory cannot be written.
    """
    torch.set_num_threads(config.run.cpus_per_trial)
    placement = place(config.run.device, config.train.precision)
    kind = KINDS[proposal.kind]
    training = build_training(proposal, splits, config, placement, folder)
    checkpoint = checkpoint_path(folder, proposal.id)
    totals = {"images": 0, "multiply_adds": 0, "seconds": 0.0, "peak_memory_mib": 0.0}
    told: list[Event] = []
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        training.load_state_dict(saved["training"])
        totals, told = saved["totals"], saved["told"]
        yield from told
    while not training.finished:
        metrics = training.run_epoch()
        for key in ("images", "multiply_adds", "seconds"):
            totals[key] += metrics[key]
        totals["peak_memory_mib"] = max(totals["peak_memory_mib"], metrics["peak_memory_mib"])
        told.append({"epoch": training.epoch, "metrics": metrics})
        write_output(
            checkpoint,
            state_bytes({"training": training.state_dict(), "totals": totals, "told": told}),
        )
        yield told[-1]
    outcome, found, warnings = kind.finish(training, splits, config)
    if kind.keeps_weights(config):
        # cloned: safetensors refuses channels-last strides
        weights = {
            k: v.detach().cpu().contiguous() for k, v in training.network.state_dict().items()
        }
        write_output(weights_path(folder, proposal.id), save(weights))
    checkpoint.unlink(missing_ok=True)
    device = (
        torch.cuda.get_device_name(placement.device)
        if placement.device.type == "cuda"
        else placement.device.type
    )
    yield {
        "outcome": outcome.to_dict(),
        "metrics": totals | found | {"device": device},
        "warnings": warnings,
    }


def build_training(
    proposal: Proposal, splits: Splits, config: Config, placement: Placement, folder: Path
) -> Training:
    """The network of a proposal with its optimisers, data and generators, at epoch 0."""
    kind = KINDS[proposal.kind]
    seeds = [int(s) for s in np.random.SeedSequence(proposal.seed).generate_state(3) >> 1]
    network = build_network(proposal, splits, config, torch.Generator().manual_seed(seeds[0]))
    if proposal.parent is not None:
        network.inherit(load_file(weights_path(folder, proposal.parent)))
    batches = _batches(kind.part(splits), splits, config, placement, augmented=True)
    architecture = None
    if kind.ranks:
        architecture = RowArchitecture(
            network,
            _batches(splits.architecture, splits, config, placement, augmented=True),
            config.architecture,
            torch.Generator().manual_seed(seeds[1]),
        )
    return Training(
        network, batches, config.train, proposal.epochs, placement, 4 * seeds[2], architecture
    )


class Shaped(Protocol):
    """What a network must know of its data."""

    @property
    def side(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def num_classes(self) -> int: ...


def build_network(
    proposal: Proposal, shape: Shaped, config: Config, generator: torch.Generator
) -> Chain:
    """The (hyper-)network of a proposal.

    Raises InvalidInput for cells of several kinds, and of a kind that no network is made of.
    """
    kinds = {type(cell) for row in proposal.hyper.rows for cell in row}
    if len(kinds) > 1 or not kinds <= set(NETWORKS):
        raise InvalidInput(
            f"A network is made of cells of one kind, {' or '.join(kind.__name__ for kind in NETWORKS)}, "
            f"but got {proposal.hyper.code()!r}. Give every row cells of that kind."
        )
    return NETWORKS[kinds.pop()](proposal, shape, config, generator)


def weights_path(folder: Path, id: str) -> Path:
    """Where the final network weights of a trial are kept, if they are."""
    return folder / "weights" / f"{id}.safetensors"


def augmentation(splits: Splits, config: Config) -> Augment:
    """The data set's augmentation with what the configuration overrides."""
    chosen = {name: getattr(config.data, name) for name in ("crop", "flip", "cutout")}
    return replace(
        splits.augment, **{name: value for name, value in chosen.items() if value is not None}
    )


def _batches(
    part: LabelledImages,
    splits: Splits,
    config: Config,
    placement: Placement,
    *,
    augmented: bool = False,
) -> Batches:
    return Batches(
        part,
        batch_size=config.train.batch_size,
        device=placement.device,
        mean=splits.mean,
        std=splits.std,
        augment=augmentation(splits, config) if augmented else Augment(),
        channels_last=placement.channels_last,
    )


Finish = Callable[[Training, Splits, Config], tuple[Outcome, dict[str, Any], list[str]]]


def _ranks(
    training: Training, splits: Splits, config: Config
) -> tuple[Outcome, dict[str, Any], list[str]]:
    architecture, network = training.architecture, training.network
    assert isinstance(architecture, RowArchitecture)
    assert isinstance(network, Chain)
    weights = architecture.rows(architecture.weights)
    ranks = FadeRanks(network.hyper, tuple(tuple(row) for row in weights))
    best = Draw(architecture.best_path())
    means = _measured(training, splits.architecture, splits, config, best, batch_statistics=True)
    first = architecture.rows(architecture_weights(architecture.start, architecture.mask))
    start = FadeRanks(network.hyper, tuple(tuple(row) for row in first))
    warnings = misgivings(ranks, start, means.get("accuracy"), splits.num_classes)
    return Outcome(log_weights=ranks.credited()), _named("hyper", means), warnings


def _evaluation(
    training: Training, splits: Splits, config: Config
) -> tuple[Outcome, dict[str, Any], list[str]]:
    means = _measured(training, splits.architecture, splits, config)
    metrics: dict[str, Any] = {}
    if config.outer.test_evaluations:
        metrics = _named("test", _measured(training, splits.test, splits, config))
    return Outcome(score=config.train.objective.score(means), measures=means), metrics, []


def _retraining(
    training: Training, splits: Splits, config: Config
) -> tuple[Outcome, dict[str, Any], list[str]]:
    # the outcome that a searcher sees holds no test accuracy
    return Outcome(), _named("test", _measured(training, splits.test, splits, config)), []


def _measured(
    training: Training,
    part: LabelledImages,
    splits: Splits,
    config: Config,
    draw: Draw = Draw(),  # noqa: B008, frozen
    **options: Any,
) -> dict[str, float]:
    batches = _batches(part, splits, config, training.placement)
    objective = config.train.objective
    return evaluate(training.network, batches, objective, training.placement, draw, **options)


def _named(part: str, means: Mapping[str, float]) -> dict[str, Any]:
    return {f"{part}_{name}": value for name, value in means.items()}


def _all_but_test(splits: Splits) -> LabelledImages:
    parts = (splits.weights, splits.architecture)
    return LabelledImages(
        np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts])
    )


@dataclass(frozen=True)
class TrialKind:
    """What tells the kinds of trial apart: the images trained on, whether logits are learned, and
    what is measured at the end.
    """

    part: Callable[[Splits], LabelledImages]
    ranks: bool
    finish: Finish
    keeps_weights: Callable[[Config], bool]


KINDS: dict[str, TrialKind] = {
    "ranks": TrialKind(lambda s: s.weights, True, _ranks, lambda c: c.outer.carry_weights),
    "evaluation": TrialKind(lambda s: s.weights, False, _evaluation, lambda c: False),
    "retraining": TrialKind(_all_but_test, False, _retraining, lambda c: True),
}


def _graph_network(
    proposal: Proposal, shape: Shaped, config: Config, generator: torch.Generator
) -> Chain:
    # a single architecture has nothing to share
    network = config.network if KINDS[proposal.kind].ranks else replace(config.network, share=False)
    return ChainNetwork(
        proposal.hyper,
        network,
        side=shape.side,
        channels=shape.channels,
        classes=shape.num_classes,
        generator=generator,
        share_vertices=config.space.max_vertices,
    )


def _block_network(
    proposal: Proposal, shape: Shaped, config: Config, generator: torch.Generator
) -> Chain:
    return MacroNetwork(
        proposal.hyper,
        config.network.base_channels,
        side=shape.side,
        channels=shape.channels,
        classes=shape.num_classes,
        generator=generator,
    )


NETWORKS: dict[type[Candidate], Callable[[Proposal, Shaped, Config, torch.Generator], Chain]] = {
    Dag: _graph_network,
    Block: _block_network,
}
"""The network of each kind of cells."""
