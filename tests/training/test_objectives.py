"""What an objective carries from batch to batch, and how optimisers step."""

import io
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from fade_ray.data import Feed, load
from fade_ray.nn import CellNetwork, CellNetworkConfig
from fade_ray.training import (
    ASGD,
    SGD,
    Adam,
    Classification,
    Optimiser,
    TrainConfig,
    Training,
    evaluate,
    place,
)
from fade_ray.training.edge_architecture import CellArchitectureConfig, EdgeArchitecture
from fade_ray.training.updates import UPDATES
from fade_ray.trials.trainee import state_bytes
from spaces.errors import InvalidInput
from spaces.nasbench201 import macro

CPU = place("cpu")
SPLITS = load("digits", limit=96)
FEED = Feed(SPLITS, CPU, 16, SPLITS.augment)


@dataclass(frozen=True)
class Carrying(Classification, name="carrying"):
    """Hands the number of the batch on, as a recurrent network its hidden state."""

    seen: ClassVar[list[tuple[int, bytes]]] = []

    def first_state(self, batch: Any) -> int:
        return 0

    def forward(self, network: Any, batch: Any, draw: Any, state: int) -> Any:
        self.seen.append((state, batch[1].numpy().tobytes()))
        return network(batch[0], draw), state + 1


def searching(update: str, train: TrainConfig) -> Training:
    space = macro(3)
    network = CellNetwork(
        space,
        CellNetworkConfig(channels=2, stem="nasbench201").for_search(space.stack),
        side=8,
        channels=1,
        classes=10,
        generator=torch.Generator().manual_seed(0),
    )
    options = CellArchitectureConfig(update=update)
    held_out = FEED.augmented(SPLITS.architecture) if options.held_out else None
    generator = torch.Generator().manual_seed(1)
    architecture = EdgeArchitecture(space, options, generator, CPU.device, held_out)
    return Training(network, FEED.augmented(SPLITS.weights), train, 2, CPU, 3, architecture)


@pytest.mark.parametrize("update", UPDATES)
def test_each_stream_hands_its_state_from_batch_to_batch(update: str) -> None:
    """However many passes an update takes over a batch, all see the state that came with it; an
    epoch begins with the first one.
    """
    Carrying.seen.clear()
    training = searching(update, TrainConfig(batch_size=16, objective=Carrying()))
    for _ in range(2):
        training.run_epoch()
    steps = len(training.batches)
    passes = Counter(state for state, _ in Carrying.seen)
    assert list(passes) == list(range(steps))
    assert len(set(passes.values())) == 1
    per_step = 1 if update == "joint" else 2  # batches of the weights and of the logits
    assert len(set(Carrying.seen)) == 2 * steps * per_step


def test_evaluation_hands_the_state_on_too() -> None:
    Carrying.seen.clear()
    training = searching("joint", TrainConfig())
    batches = FEED.plain(SPLITS.architecture)
    assert isinstance(training.architecture, EdgeArchitecture)
    (draw,) = training.architecture.draws()
    evaluate(training.network, batches, Carrying(), CPU, draw)
    assert [state for state, _ in Carrying.seen] == list(range(len(list(batches.ordered()))))


def weights(seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, generator=generator).requires_grad_(True) for _ in range(2)]


def with_gradients(tensors: list[Tensor], size: float = 1.0) -> list[Tensor]:
    for tensor in tensors:
        tensor.grad = torch.full_like(tensor, size)
    return tensors


def test_gradients_are_clipped_by_value_or_by_the_norm_of_all() -> None:
    ours = with_gradients(weights(), 2.0)
    SGD(clip=1.0, clip_by="value").clipped(ours)
    assert all(torch.equal(w.grad, torch.ones(3)) for w in ours if w.grad is not None)
    ours = with_gradients(weights(), 2.0)
    SGD(clip=1.0, clip_by="norm").clipped(ours)
    assert float(torch.cat([w.grad for w in ours if w.grad is not None]).norm()) == pytest.approx(1)
    ours = with_gradients(weights(), 2.0)
    SGD(clip=0.0).clipped(ours)
    assert all(torch.equal(w.grad, torch.full((3,), 2.0)) for w in ours if w.grad is not None)


def test_asgd_keeps_the_mean_of_the_weights_over_its_steps() -> None:
    """Every step is -0.1 down; torch starts the mean anew at the first two steps."""
    config, ours = ASGD(learning_rate=0.1, weight_decay=0.0), weights()
    start = [weight.detach().clone() for weight in ours]
    optimizer = config.build(ours)
    for _ in range(4):
        with_gradients(ours)
        optimizer.step()
    for begun, weight, mean in zip(start, ours, config.averages(optimizer, ours), strict=True):
        torch.testing.assert_close(weight.detach(), begun - 0.4)
        torch.testing.assert_close(mean, begun - 0.3)


def test_a_training_shows_the_average_of_asgd_and_takes_it_back() -> None:
    config = TrainConfig(batch_size=16, optimiser=ASGD(learning_rate=0.1))
    training = searching("joint", config)
    training.run_epoch()
    before = [weight.detach().clone() for weight in training.problem.weights]
    averaged = training.averaged()
    assert averaged is not None
    with averaged:
        moved = [
            not torch.equal(a, b) for a, b in zip(before, training.problem.weights, strict=True)
        ]
    assert any(moved)
    assert all(torch.equal(a, b) for a, b in zip(before, training.problem.weights, strict=True))
    assert searching("joint", TrainConfig()).averaged() is None


@pytest.mark.parametrize("optimiser", [Adam(), SGD(), ASGD(learning_rate=0.1)])
def test_every_optimiser_trains_and_is_restored_with_the_same_bits(optimiser: Optimiser) -> None:
    config = TrainConfig(batch_size=16, optimiser=optimiser)
    whole, other = searching("second-order", config), searching("second-order", config)
    whole.run_epoch()
    kept = io.BytesIO(state_bytes(whole.state_dict()))
    other.load_state_dict(torch.load(kept, weights_only=True))
    assert whole.run_epoch()["loss"] == other.run_epoch()["loss"]
    assert all(
        torch.equal(a, b) for a, b in zip(whole.problem.weights, other.problem.weights, strict=True)
    )


def test_sgd_looks_ahead_with_its_momentum() -> None:
    ours = weights()
    config = SGD(momentum=0.5, weight_decay=0.1)
    optimizer = config.build(ours)
    with_gradients(ours)
    optimizer.step()
    unroll = config.unroll(optimizer, ours)
    assert (unroll.learning_rate, unroll.momentum, unroll.weight_decay) == (0.025, 0.5, 0.1)
    assert all(buffer is not None and bool(buffer.any()) for buffer in unroll.buffers)


@pytest.mark.parametrize(
    ("made", "values"),
    [
        (SGD, {"momentum": 1.0}),
        (SGD, {"schedule": "cosin"}),
        (Adam, {"clip_by": "size"}),
        (Adam, {"warm_up_epochs": -1}),
        (Classification, {"label_smoothing": 1.0}),
        (Classification, {"auxiliary_weight": -1.0}),
    ],
)
def test_values_that_cannot_be(made: Any, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        made(**values)
