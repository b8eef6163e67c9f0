"""The training of cells: its schedules, its steps against plain torch, its state."""

import io
import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from fade_ray.data import Batches, load
from fade_ray.nn.cell_network import CellNetwork, CellNetworkConfig
from fade_ray.training import (
    SGD,
    Classification,
    TrainConfig,
    Training,
    TrainingFailed,
    evaluate,
    place,
)
from fade_ray.training.device import without_tf32
from fade_ray.training.edge_architecture import CellArchitectureConfig, EdgeArchitecture
from fade_ray.training.optimisers import SCHEDULES
from fade_ray.training.sums import Workers
from spaces import nasbench201
from spaces.cell import Macro
from spaces.errors import InvalidInput

PLACEMENT = place("cpu")
SPACE = Macro({"cell": nasbench201.space()}, "nasbench201", 3)
GENOTYPE = SPACE.with_cells(
    {
        "cell": nasbench201.decode(
            "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
        )
    }
)
SPLITS = load("digits", limit=96)


def batches(size: int = 24) -> Batches:
    return Batches(
        SPLITS.weights,
        batch_size=size,
        device=PLACEMENT.device,
        mean=SPLITS.mean,
        std=SPLITS.std,
        channels_last=True,
    )


def network(macro: Macro, seed: int = 0) -> CellNetwork:
    config = CellNetworkConfig(channels=4, stem="nasbench201")
    return CellNetwork(
        macro,
        config if macro.is_discrete else config.for_search(macro.stack),
        side=8,
        channels=1,
        classes=10,
        generator=torch.Generator().manual_seed(seed),
    )


def training(
    macro: Macro = GENOTYPE,
    architecture: Any = None,
    epochs: int = 3,
    sgd: SGD = SGD(),  # noqa: B008, frozen
    **config: Any,
) -> Training:
    built = None
    if architecture is not None:
        held_out = batches() if architecture.held_out else None
        generator = torch.Generator().manual_seed(1)
        built = EdgeArchitecture(macro, architecture, generator, PLACEMENT.device, held_out)
    chosen = TrainConfig(**({"batch_size": 24, "optimiser": sgd} | config))
    return Training(network(macro), batches(), chosen, epochs, PLACEMENT, 15, built)


def test_the_schedules_at_their_ends() -> None:
    """DARTS: lr(e) = min + (max - min) / 2 (1 + cos(pi e / E)), e from 0 (algorithms B.2)."""
    cosine = SGD()
    assert cosine.rate(0, 50) == 0.025
    assert cosine.rate(25, 50) == pytest.approx((0.025 + 0.001) / 2)
    assert cosine.rate(49, 50) == pytest.approx(0.001 + 0.012 * (1 + math.cos(math.pi * 49 / 50)))
    linear = SGD(schedule="linear-slow-end", final_learning_rate=0, warm_up_epochs=5)
    assert [linear.rate(e, 250) / 0.025 for e in (0, 4)] == pytest.approx([1 / 5, 1])
    assert linear.rate(244, 250) == pytest.approx(0.025 / 245)
    ends = [linear.rate(e, 250) for e in (245, 249)]
    assert ends == pytest.approx([0.025 / 245, 0.025 / 245 / 5])
    exponential = SGD(schedule="exponential", learning_rate=0.1, final_learning_rate=0)
    assert exponential.rate(2, 600) == pytest.approx(0.1 * 0.97**2)
    assert TrainConfig(drop_path=0.2).dropped(300, 600) == pytest.approx(0.1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_falls_or_stays_one_cycle_behind_its_top(name: str) -> None:
    rates = [SGD(schedule=name, final_learning_rate=0).rate(epoch, 30) for epoch in range(30)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert (top > 0) == (name == "one-cycle")
    assert top > 0 or rates[0] == 0.025
    assert rates[-1] > 0


def test_an_epoch_is_that_of_plain_sgd() -> None:
    ours = training(
        sgd=SGD(clip=0.5, momentum=0.9, weight_decay=1e-2),
        objective=Classification(label_smoothing=0.1),
    )
    theirs = network(GENOTYPE).train()
    theirs.load_state_dict(ours.network.state_dict())
    theirs.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.025, momentum=0.9, weight_decay=1e-2)
    for images, labels in batches().epoch(torch.Generator().manual_seed(5 * 3)):
        optimizer.zero_grad()
        F.cross_entropy(theirs(images).main, labels, label_smoothing=0.1).backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        optimizer.step()
    ours.run_epoch()
    for (name, mine), other in zip(
        ours.network.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5, msg=name)


def test_an_average_of_the_weights_follows_them() -> None:
    """One step from w0 to w1 gives w0 + (1 - d) (w1 - w0), d = (1 + 1) / (10 + 1) at the first
    step.
    """
    one = training(ema=0.75, batch_size=64, epochs=1)
    one.batches = batches(64)
    assert one.average is not None
    before = [tensor.detach().clone() for tensor in one.average.tensors]
    one.run_epoch()
    for average, start, end in zip(one.average.values, before, one.average.tensors, strict=True):
        torch.testing.assert_close(average, start + 9 / 11 * (end - start))


def test_the_joint_update_takes_one_backward_and_no_other_images() -> None:
    joint = training(
        SPACE, CellArchitectureConfig(relaxation="sigmoid", update="joint", weight_decay=0.0)
    )
    bilevel = training(SPACE, CellArchitectureConfig())
    assert bilevel.run_epoch()["images"] == 2 * joint.run_epoch()["images"]


def test_logits_stand_still_while_the_weights_warm_up() -> None:
    searching = training(SPACE, CellArchitectureConfig(warm_up=0.5), epochs=2)
    start = {kind: logits.clone() for kind, logits in searching.architecture.logits.items()}  # type: ignore[union-attr]
    first = searching.run_epoch()
    assert "architecture_loss" not in first
    assert all(torch.equal(start[k], v) for k, v in searching.architecture.logits.items())  # type: ignore[union-attr]
    assert "architecture_loss" in searching.run_epoch()
    assert not any(torch.equal(start[k], v) for k, v in searching.architecture.logits.items())  # type: ignore[union-attr]


def test_plain_sgd_moves_the_logits_at_the_rate_of_the_weights() -> None:
    searching = training(SPACE, CellArchitectureConfig(optimizer="sgd", weight_decay=0.0))
    searching.run_epoch()
    searching.run_epoch()
    assert searching.architecture is not None
    assert searching.architecture.optimizer.param_groups[0]["lr"] == SGD().rate(1, 3)


def test_a_restored_training_goes_on_with_the_same_bits() -> None:
    options = CellArchitectureConfig(
        relaxation="gumbel-softmax-sampled", temperature=5.0, final_temperature=0.5
    )
    one, other = (training(SPACE, options, drop_path=0.3, ema=0.9) for _ in range(2))
    one.run_epoch()
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    expected, found = one.run_epoch(), other.run_epoch()
    assert expected["loss"] == found["loss"]
    for mine, theirs in zip(one.problem.weights, other.problem.weights, strict=True):
        assert torch.equal(mine, theirs)
    assert one.average is not None
    assert other.average is not None
    assert all(
        torch.equal(a, b) for a, b in zip(one.average.values, other.average.values, strict=True)
    )


def test_a_loss_that_is_not_finite_is_told_with_the_learning_rate() -> None:
    with pytest.raises(TrainingFailed, match=r"in epoch 1 of 3 at learning rate 1e\+25"):
        training(sgd=SGD(learning_rate=1e25, clip=0)).run_epoch()


def test_workers_share_a_batch_in_equal_parts() -> None:
    parts = [Workers(rank, 3).slice(24) for rank in range(3)]
    assert [(part.start, part.stop) for part in parts] == [(0, 8), (8, 16), (16, 24)]


def test_evaluation_leaves_the_network_as_it_was() -> None:
    one = training()
    before = {name: value.clone() for name, value in one.network.state_dict().items()}
    one.network.train()
    evaluate(one.network, batches(), Classification(), PLACEMENT)
    assert one.network.training
    assert all(torch.equal(before[name], value) for name, value in one.network.state_dict().items())


def test_values_out_of_range_are_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidInput, match="final_learning_rate <= learning_rate"):
        SGD(learning_rate=0.0001)
    with pytest.raises(InvalidInput, match="0 <= drop_path < 1"):
        TrainConfig(drop_path=1.0)
    with pytest.raises(InvalidInput, match="0 <= warm_up < 1"):
        CellArchitectureConfig(warm_up=1.0)


@pytest.mark.parametrize("update", ["first-order", "second-order", "amended"])
def test_differences_of_gradients_are_taken_in_float32(update: str) -> None:
    """In bfloat16 the updates that take them give the float32 logits, bit for bit; others do
    not.
    """
    steps = []
    for autocast in (None, torch.bfloat16):
        made = training(SPACE, CellArchitectureConfig(update=update))
        made.problem.placement = replace(PLACEMENT, autocast=autocast)
        train, held_out = itertools.islice(made.batches.ordered(), 2)
        assert made.architecture is not None
        steps.append(made.architecture.estimate(made.problem, train, held_out, made.unroll))
        assert made.problem.placement.autocast == autocast
    same = torch.equal(steps[0].logits[0], steps[1].logits[0])
    assert same == (update != "first-order")


def test_tf32_is_off_within_and_as_before_behind() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with without_tf32():
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
