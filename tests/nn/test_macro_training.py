"""Blocks are trained, ranked and evaluated by the very code that serves graphs."""

import io
import itertools
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from fade_ray.data import Batches, Splits, load
from fade_ray.data.data_config import DataConfig
from fade_ray.nn import ChainNetwork, MacroNetwork, NetworkConfig
from fade_ray.run.run_config import RunConfig
from fade_ray.search.chain_trial import build_network, run_trial
from fade_ray.search.search_config import Config, OuterConfig
from fade_ray.training import (
    Adam,
    ArchitectureConfig,
    Classification,
    RowArchitecture,
    TrainConfig,
    Training,
    evaluate,
    place,
)
from fade_ray.training.estimators import ESTIMATORS
from searchers import Proposal
from spaces import HyperArchitecture, catalogue
from spaces.errors import InvalidInput
from spaces.nasbench_cell import BenchCell
from spaces.nasbench_macro import BLOCKS, DEPTH

ALL = HyperArchitecture((BLOCKS,) * DEPTH)
SOME = HyperArchitecture((BLOCKS[1:], (BLOCKS[2], BLOCKS[0])) * (DEPTH // 2))
CPU = place("cpu")


@lru_cache
def digits(limit: int = 90) -> Splits:
    return load("digits", limit=limit)


def batches(part: str, splits: Splits) -> Batches:
    return Batches(
        getattr(splits, part),
        batch_size=32,
        device=torch.device("cpu"),
        mean=splits.mean,
        std=splits.std,
        augment=splits.augment,
        channels_last=True,
    )


def training(epochs: int = 2, seed: int = 0, estimator: str = "score-function") -> Training:
    generator = torch.Generator().manual_seed(seed)
    network = MacroNetwork(ALL, 2, side=8, channels=1, classes=10, generator=generator)
    config = ArchitectureConfig(estimator=estimator, paths=2)  # type: ignore[arg-type]
    held_out, weights = batches("architecture", digits()), batches("weights", digits())
    generator = torch.Generator().manual_seed(seed + 1)
    architecture = RowArchitecture(network, held_out, config, generator)
    return Training(network, weights, TrainConfig(batch_size=32), epochs, CPU, seed, architecture)


def weights_of(trained: Training) -> list[torch.Tensor]:
    assert trained.architecture is not None
    return [*trained.network.state_dict().values(), trained.architecture.logits]  # type: ignore[attr-defined]


def equal(first: Training, second: Training) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(weights_of(first), weights_of(second), strict=True)
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_restored_training_is_the_same_training(estimator: str) -> None:
    whole = training(estimator=estimator)
    start = [value.clone() for value in weights_of(whole)]
    metrics = whole.run_epoch()
    assert [len(row) for row in metrics["weights"]] == [3] * DEPTH
    buffer = io.BytesIO()
    torch.save(whole.state_dict(), buffer)
    moved = sum(not torch.equal(a, b) for a, b in zip(start, weights_of(whole), strict=True))
    assert moved > len(start) / 4  # what was drawn
    buffer.seek(0)
    second = training(seed=9, estimator=estimator)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    whole.run_epoch()
    assert not equal(whole, second)
    second.run_epoch()
    assert equal(whole, second)


def test_an_architecture_learns_and_evaluating_changes_nothing() -> None:
    alone = HyperArchitecture(
        tuple((block,) for block in itertools.islice(itertools.cycle(BLOCKS[:2]), DEPTH))
    )
    network = MacroNetwork(
        alone, 4, side=8, channels=1, classes=10, generator=torch.Generator().manual_seed(0)
    )
    config = TrainConfig(batch_size=32, optimiser=Adam(learning_rate=1e-2))
    trained = Training(network, batches("weights", digits(300)), config, 8, CPU, 0)
    losses = [trained.run_epoch()["loss"] for _ in range(8)]
    assert losses[-1] < losses[0] / 2
    before = {key: value.clone() for key, value in network.state_dict().items()}
    held_out = batches("architecture", digits(300))
    means = evaluate(network, held_out, Classification(), CPU, batch_statistics=True)
    assert means["accuracy"] > 0.4  # ten classes
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def proposal(
    hyper: HyperArchitecture, kind: str = "ranks", number: int = 0, parent: str | None = None
) -> Proposal:
    kinds = {"kind": kind, "iteration": 1, "walk": 0, "repeat": 0, "points": ()}
    return Proposal(
        id=f"t{number}",
        index=number,
        attempt=0,
        hyper=hyper,
        seed=5,
        epochs=1,
        parent=parent,
        **kinds,
    )  # type: ignore[arg-type]


CONFIG = Config(
    data=DataConfig(limit=90),
    network=NetworkConfig(depth=2, base_channels=2),
    train=TrainConfig(batch_size=32),
    architecture=ArchitectureConfig(paths=2),
    outer=OuterConfig(rank_epochs=1),
    run=RunConfig(engine="local"),
)


def test_trials_of_blocks_one_inheriting_from_another(tmp_path: Path) -> None:
    for number, (hyper, parent) in enumerate(((SOME, None), (ALL, "t0"))):
        events = list(
            run_trial(proposal(hyper, number=number, parent=parent), digits(), CONFIG, tmp_path)
        )
        weights = events[-1]["outcome"]["log_weights"]
        assert [len(row) for row in weights] == [hyper.width] * DEPTH
    alone = HyperArchitecture(
        tuple((block,) for block in itertools.islice(itertools.cycle(BLOCKS), DEPTH))
    )
    last = list(run_trial(proposal(alone, "evaluation", 2), digits(), CONFIG, tmp_path))[-1]
    assert 0 <= last["outcome"]["score"] <= 1


def test_the_network_follows_from_the_cells() -> None:
    generator = torch.Generator()
    network = build_network(proposal(ALL), digits(), CONFIG, generator)
    assert isinstance(network, MacroNetwork)
    assert network.state_dict()["stem.blocks.0.conv.weight"].shape[0] == 2
    graphs = HyperArchitecture((catalogue(1, 3)[:2],) * 2)
    assert isinstance(build_network(proposal(graphs), digits(), CONFIG, generator), ChainNetwork)


@pytest.mark.parametrize("strange", [BenchCell.from_code("nb201.000000"), BLOCKS[0]])
def test_cells_that_no_network_is_made_of(strange: object) -> None:
    mixed = HyperArchitecture(((catalogue(1, 3)[0],), (strange,)))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"cells of one kind, Dag or Block"):
        build_network(proposal(mixed), digits(), CONFIG, torch.Generator())
    only = proposal(HyperArchitecture(((BenchCell.from_code("nb201.000000"),),)))
    with pytest.raises(InvalidInput, match=r"cells of one kind, Dag or Block"):
        build_network(only, digits(), CONFIG, torch.Generator())
