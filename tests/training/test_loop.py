"""The one training: it learns, restores to the same bits, steps only what was drawn, and says why
it fails.
"""

import io
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fade_ray.data import Batches, LabelledImages, Splits, load
from fade_ray.nn import ChainNetwork, Draw, NetworkConfig
from fade_ray.training import (
    Adam,
    ArchitectureConfig,
    Classification,
    Objective,
    RowArchitecture,
    Segmentation,
    TrainConfig,
    Training,
    TrainingFailed,
    evaluate,
    place,
)
from fade_ray.training.estimators import ESTIMATORS, split_batch
from spaces import HyperArchitecture, catalogue
from spaces.errors import InvalidInput

DAGS = catalogue(1, 4)
ONE = HyperArchitecture(((DAGS[20],), (DAGS[12],)))
SEVERAL = HyperArchitecture(((DAGS[3], DAGS[7], DAGS[30]), (DAGS[20], DAGS[20], DAGS[1])))
CPU = place("cpu")
PLAIN = TrainConfig(batch_size=64)


@lru_cache(maxsize=1)
def digits() -> Splits:
    return load("digits", limit=600)


def batches(part: str, splits: Splits, size: int = 64) -> Batches:
    return Batches(
        getattr(splits, part),
        batch_size=size,
        device=torch.device("cpu"),
        mean=splits.mean,
        std=splits.std,
        augment=splits.augment,
        channels_last=True,
    )


def mapped() -> Splits:
    """The digits, and of each pixel whether it is bright."""
    parts = {
        name: LabelledImages(part.images, (part.images[:, 0] > 127).astype(np.uint8), "map")
        for name in ("weights", "architecture", "test")
        for part in [getattr(digits(), name)]
    }
    return replace(digits(), classes=("dark", "bright"), **parts)


def training(
    hyper: HyperArchitecture = ONE,
    config: TrainConfig = PLAIN,
    epochs: int = 4,
    seed: int = 0,
    splits: Splits | None = None,
    **logits: object,
) -> Training:
    splits = splits or digits()
    network = ChainNetwork(
        hyper,
        NetworkConfig(depth=2, final_channels=8, kernel=3, share=False),
        side=splits.side,
        channels=splits.channels,
        classes=splits.num_classes,
        dense=splits.dense,
        generator=torch.Generator().manual_seed(seed),
    )
    architecture = None
    if not hyper.is_architecture:
        chosen = ArchitectureConfig(**({"architecture_learning_rate": 0.05} | logits))  # type: ignore[arg-type]
        held_out = batches("architecture", splits, config.batch_size)
        generator = torch.Generator().manual_seed(seed + 1)
        architecture = RowArchitecture(network, held_out, chosen, generator)
    return Training(
        network,
        batches("weights", splits, config.batch_size),
        config,
        epochs,
        CPU,
        seed,
        architecture,
    )


def state_of(trained: Training) -> bytes:
    buffer = io.BytesIO()
    torch.save(trained.state_dict(), buffer)
    return buffer.getvalue()


def weights_of(trained: Training) -> list[torch.Tensor]:
    logits = [trained.architecture.logits] if trained.architecture else []  # type: ignore[attr-defined]
    return [*trained.network.state_dict().values(), *logits]


def test_an_architecture_learns() -> None:
    trained = training(
        config=TrainConfig(batch_size=32, optimiser=Adam(learning_rate=3e-3)), epochs=8
    )
    first = trained.run_epoch()
    while not trained.finished:
        last = trained.run_epoch()
    means = evaluate(trained.network, batches("architecture", digits()), Classification(), CPU)
    assert last["loss"] < first["loss"]
    assert means["accuracy"] > 0.6  # ten classes


@pytest.mark.parametrize(
    ("estimator", "paths"), [*((name, 1) for name in ESTIMATORS), ("score-function-split", 3)]
)
def test_a_restored_training_is_the_same_training(estimator: str, paths: int) -> None:
    options = {"estimator": estimator, "weight_paths": paths}
    whole = training(SEVERAL, epochs=3, **options)
    for _ in range(3):
        expected = whole.run_epoch()
    first = training(SEVERAL, epochs=3, **options)
    first.run_epoch()
    second = training(SEVERAL, epochs=3, seed=9, **options)  # another start, all of it replaced
    second.load_state_dict(torch.load(io.BytesIO(state_of(first)), weights_only=True))
    while not second.finished:
        got = second.run_epoch()
    assert all(
        torch.equal(a, b) for a, b in zip(weights_of(whole), weights_of(second), strict=True)
    )
    timeless = {"seconds", "images_per_second", "peak_memory_mib"}
    assert {k: v for k, v in got.items() if k not in timeless} == {
        k: v for k, v in expected.items() if k not in timeless
    }


class Stopped(Exception):
    pass


@pytest.mark.parametrize("hyper", [ONE, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize("objective", [Classification(), Segmentation()], ids=lambda o: o.name)
def test_stopped_within_an_epoch_it_goes_on_with_the_same_bits(
    hyper: HyperArchitecture, objective: Objective
) -> None:
    """Also with a measure of several numbers, such as the pixels of each class."""
    config = TrainConfig(batch_size=64, objective=objective)
    splits = mapped() if objective.target == "map" else digits()
    whole, stopped, again = (training(hyper, config, splits=splits) for _ in range(3))
    states = list[bytes]()

    def save() -> None:
        states.append(state_of(stopped))
        if len(states) == 2:
            raise Stopped

    stopped.every, stopped.save = 1, save
    with pytest.raises(Stopped):
        stopped.run_epoch()
    again.load_state_dict(torch.load(io.BytesIO(states[-1]), weights_only=True))
    kept = ("loss", *objective.higher_is_better)
    kept += () if hyper is ONE else tuple(f"architecture_{name}" for name in kept)
    for _ in range(2):
        ours, theirs = whole.run_epoch(), again.run_epoch()
        assert [ours[name] for name in kept] == [theirs[name] for name in kept]
    assert all(map(torch.equal, weights_of(whole), weights_of(again)))


def test_the_seed_decides() -> None:
    results = []
    for seed in (0, 0, 1):
        trained = training(SEVERAL, epochs=1, seed=seed)
        trained.run_epoch()
        results.append(weights_of(trained))
    assert all(torch.equal(a, b) for a, b in zip(results[0], results[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(results[0], results[2], strict=True))


def test_metrics_of_an_epoch() -> None:
    trained = training(SEVERAL)
    metrics = trained.run_epoch()
    assert [len(row) for row in metrics["weights"]] == [3, 2]
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in metrics["weights"])
    assert len(metrics["entropy"]) == 2
    steps = len(trained.batches)
    assert metrics["images"] == steps * 2 * 64  # an architecture batch and a weight batch per step
    assert 0 <= metrics["accuracy"] <= 1
    assert 0 <= metrics["architecture_accuracy"] <= 1


def test_multiply_adds_of_an_epoch_of_one_architecture() -> None:
    trained = training()
    metrics = trained.run_epoch()
    assert metrics["multiply_adds"] == 3 * metrics["images"] * trained.network.multiply_adds()


def test_the_logits_rest_in_the_warm_up_and_move_after_it() -> None:
    trained = training(SEVERAL, warm_up=1)
    assert trained.architecture is not None
    start = trained.architecture.logits.clone()
    assert "architecture_loss" not in trained.run_epoch()
    assert torch.equal(trained.architecture.logits, start)
    assert "architecture_loss" in trained.run_epoch()
    assert not torch.equal(trained.architecture.logits, start)


def test_only_the_drawn_candidates_are_stepped() -> None:
    trained = training(SEVERAL, config=TrainConfig(batch_size=64, optimiser=Adam(weight_decay=0.1)))
    cells = trained.network.places[0].mixed.cells
    before = [{k: v.clone() for k, v in cell.state_dict().items()} for cell in cells]
    trained.network.train()
    take_step(trained, first_batch(trained), [1, 0])
    moved = [
        any(not torch.equal(v, old[k]) for k, v in cell.state_dict().items())
        for cell, old in zip(cells, before, strict=True)
    ]
    assert moved == [False, True, False]


def on_paths(trained: Training, *paths: list[int]) -> None:
    """The next weight steps run along `paths`, whatever the logits are."""
    assert trained.architecture is not None
    trained.architecture.draws = lambda: [Draw(path) for path in paths]  # type: ignore[method-assign]


def take_step(
    trained: Training, batch: tuple[torch.Tensor, torch.Tensor], *paths: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and images classified right of a weight step on `paths`."""
    on_paths(trained, *paths)
    trained.problem.begin(batch, None)
    trained.weight_gradients(batch)
    passes = trained.problem.train.passes
    trained.weight_step()
    right = [(one.scores.main.argmax(dim=1) == one.batch[1]).sum() for one in passes]
    return torch.stack([one.loss for one in passes]).sum(), torch.stack(right).sum()


def first_batch(trained: Training) -> tuple[torch.Tensor, torch.Tensor]:
    return next(trained.batches.epoch(torch.Generator().manual_seed(0)))


def test_one_path_per_batch_is_the_plain_step_bit_by_bit() -> None:
    ours, plain = training(SEVERAL), training(SEVERAL)
    ours.network.train()
    plain.network.train()
    for path in ([1, 0], [2, 1], [0, 0]):
        images, labels = first_batch(plain)
        loss, correct = take_step(ours, (images, labels), path)
        plain.optimizer.zero_grad()
        scores = plain.network(images, Draw(path)).main
        expected = F.cross_entropy(scores, labels)
        expected.backward()
        torch.nn.utils.clip_grad_value_(plain.network.parameters(), 10.0)
        plain.optimizer.step()
        assert torch.equal(loss, expected.detach())
        assert torch.equal(correct, (scores.argmax(dim=1) == labels).sum())
        assert all(
            torch.equal(a, b) for a, b in zip(weights_of(ours), weights_of(plain), strict=True)
        )


@pytest.mark.parametrize("size", [64, 61])
def test_a_split_batch_averages_the_gradients_of_its_paths_over_the_images(size: int) -> None:
    trained = training(SEVERAL)
    trained.network.train()
    images, labels = (value[:size] for value in first_batch(trained))
    paths = [[1, 0], [2, 1], [1, 1]]
    expected = {name: torch.zeros_like(p) for name, p in trained.network.named_parameters()}
    total = 0.0
    for path, (x, y) in zip(paths, split_batch((images, labels), 3), strict=True):
        trained.network.zero_grad()
        loss = F.cross_entropy(trained.network(x, Draw(path)).main, y)
        loss.backward()
        total += float(loss.detach()) * len(y) / size
        for name, p in trained.network.named_parameters():
            if p.grad is not None:
                expected[name] += p.grad * (len(y) / size)
    on_paths(trained, *paths)
    batch = images, labels
    trained.network.zero_grad()
    trained.problem.begin(batch, None)
    trained.weight_gradients(batch)
    loss = sum(one.loss for one in trained.problem.train.passes)
    assert float(loss) == pytest.approx(total, rel=1e-5)
    for name, p in trained.network.named_parameters():
        if p.grad is None:  # of candidate 0 of the first row, which is on no path
            assert name.startswith("places.0.mixed.cells.0.")
        else:
            torch.testing.assert_close(p.grad, expected[name], rtol=1e-4, atol=1e-6)


def test_an_epoch_of_split_batches_sees_every_image_once() -> None:
    trained = training(SEVERAL, estimator="score-function-split", weight_paths=4)
    metrics = trained.run_epoch()
    whole = training(SEVERAL, estimator="straight-through-sampled").run_epoch()
    assert metrics["images"] == whole["images"]
    cheapest, dearest = trained.network.multiply_adds([0, 1]), trained.network.multiply_adds([2, 0])
    assert 4 * cheapest <= metrics["multiply_adds"] / (metrics["images"] / 2) <= 4 * dearest
    assert 0 <= metrics["accuracy"] <= 1
    assert 0 <= metrics["architecture_accuracy"] <= 1


def test_the_larger_split_sets_the_epoch() -> None:
    splits = digits()
    swapped = replace(splits, weights=splits.architecture, architecture=splits.weights)
    trained = training(SEVERAL)
    assert trained.architecture is not None
    trained.batches, trained.architecture.batches = (
        batches("weights", swapped),
        batches("architecture", swapped),
    )
    assert len(trained.architecture.batches) > len(trained.batches)
    assert trained.run_epoch()["images"] == len(trained.architecture.batches) * 2 * 64


def test_a_loss_that_is_not_finite_names_epoch_and_learning_rate() -> None:
    trained = training(config=TrainConfig(optimiser=Adam(learning_rate=1e30)))
    with pytest.raises(TrainingFailed, match=r"epoch 1 of 4 at learning rate 1e\+30"):
        trained.run_epoch()


def test_the_cosine_schedule_ends_near_zero() -> None:
    trained = training(config=TrainConfig(optimiser=Adam(schedule="cosine", learning_rate=0.01)))
    rates = []
    for epoch in range(4):
        trained.epoch = epoch
        rates.append(trained.learning_rate)
    assert rates[0] == 0.01
    assert rates == sorted(rates, reverse=True)
    trained.epoch = 4
    assert trained.learning_rate == pytest.approx(0)


def test_gradients_are_clipped_by_value() -> None:
    trained = training()
    trained.network.train()
    trained.weight_gradients(first_batch(trained))
    Adam(clip=1e-6).clipped(trained.problem.weights)
    largest = max(
        float(p.grad.abs().max()) for p in trained.network.parameters() if p.grad is not None
    )
    assert largest <= 1e-6 * (1 + 1e-6)


def test_evaluating_changes_nothing() -> None:
    trained = training()
    trained.run_epoch()
    before = [value.clone() for value in weights_of(trained)]
    tested = trained.network, batches("test", digits()), Classification(), CPU
    first = evaluate(*tested, batch_statistics=True)
    second = evaluate(*tested, batch_statistics=True)
    assert first == second
    assert all(torch.equal(a, b) for a, b in zip(weights_of(trained), before, strict=True))


@pytest.mark.parametrize(("device", "word"), [("gpu", "device"), ("cuda", "CUDA"), ("mps", "MPS")])
def test_devices_that_are_not_there(device: str, word: str) -> None:
    if (device == "cuda" and torch.cuda.is_available()) or (
        device == "mps" and torch.backends.mps.is_available()
    ):
        pytest.skip("this machine has that device")
    with pytest.raises(InvalidInput, match=word):
        place(device)


@pytest.mark.parametrize(
    "values",
    [
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"beta1": 1.0},
        {"clip": -1.0},
        {"weight_decay": -1.0},
        {"epsilon": 0.0},
    ],
)
def test_training_configurations_that_cannot_be(values: dict[str, float]) -> None:
    made = TrainConfig if "batch_size" in values else Adam
    with pytest.raises(InvalidInput, match=next(iter(values))):
        made(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"paths": 1},
        {"temperature": 0.0},
        {"logit_std": -1.0},
        {"warm_up": -1},
        {"penalty_scale": -1.0},
        {"weight_paths": 0},
    ],
)
def test_architecture_configurations_that_cannot_be(values: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(values))):
        ArchitectureConfig(**values)  # type: ignore[arg-type]
