"""Language models in the one training: gradients of all updates against double backward through
time, states, masks, lengths, penalties, resuming.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.cells.cells_run import checked_data
from fade_ray.data.data_config import DataConfig
from fade_ray.data.text import TextBatches
from fade_ray.nn import Draw
from fade_ray.nn.language_network import LanguageNetwork
from fade_ray.training import SGD, LanguageModel, TrainConfig, Training, evaluate, place
from fade_ray.training.edge_architecture import CellArchitectureConfig, EdgeArchitecture
from fade_ray.training.updates import (
    UPDATES,
    Problem,
    Unroll,
    UpdateConfig,
    generator_states,
    rewind,
)
from spaces.errors import InvalidInput
from spaces.recurrent import KIND, macro, recurrent_cell

CPU = place("cpu")
SPACE = macro(recurrent_cell(3))
VOCABULARY, UNITS, BPTT = 12, 5, 4
TEXT = np.random.default_rng(0).integers(0, VOCABULARY, 300)
DROPOUTS = {f"{name}_dropout": 0.3 for name in ("output", "hidden", "input", "embedding", "word")}
OBJECTIVE = LanguageModel(bptt=BPTT, slowness=0.1, activation=0.1, **DROPOUTS)
TRAIN = TrainConfig(
    batch_size=6,
    objective=OBJECTIVE,
    optimiser=SGD(
        learning_rate=2.0, schedule="constant", momentum=0.0, weight_decay=1e-4, clip=0.25
    ),
)


def batches(words: Any = TEXT, spread: float = 0.0) -> TextBatches:
    return TextBatches(words, batch_size=6, bptt=BPTT, spread=spread, device=CPU.device)


def searching(update: str, train: TrainConfig = TRAIN, *, double: bool = False) -> Training:
    generator = torch.Generator().manual_seed(0)
    network = LanguageNetwork(
        SPACE, vocabulary=VOCABULARY, units=UNITS, search=True, generator=generator
    )
    held_out = batches(TEXT[::-1].copy()) if UPDATES[update].held_out else None
    options = CellArchitectureConfig(update=update, logit_std=1.0)
    architecture = EdgeArchitecture(SPACE, options, generator, CPU.device, held_out)
    if double:
        network.double()
        architecture.logits = {kind: each.double() for kind, each in architecture.logits.items()}
    return Training(network, batches(spread=2.0), train, 3, CPU, 5, architecture)


def flat(tensors: Any) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


class Twice:
    """The derivatives of a problem by double backward, each pass with the noise that belongs to it:
    the train batch's from `noise`, the valid batch's from where it stands otherwise.
    """

    def __init__(self, problem: Problem, train: Any, valid: Any, noise: dict[str, Any]) -> None:
        self.problem, self.batches, self.noise = problem, {"train": train, "valid": valid}, noise
        self.weights, self.logits = list(problem.weights), list(problem.logits)

    def slopes(self, part: str, *, graph: bool = False) -> tuple[Any, Any]:
        """In the logits and in the weights."""
        for tensor in (*self.weights, *self.logits):
            tensor.requires_grad_(True)
        rewind(self.problem, self.noise[part])
        loss = self.problem.loss(self.batches[part])
        found = torch.autograd.grad(loss, [*self.logits, *self.weights], create_graph=graph)
        return found[: len(self.logits)], found[len(self.logits) :]

    def along(self, vector: Any, wanted: Any) -> Any:
        """d (grad_w L_train . vector) / d wanted."""
        _, slope = self.slopes("train", graph=True)
        return torch.autograd.grad(flat(slope) @ flat(vector), wanted)


def second_order(twice: Twice, xi: float, clip: float, cap: bool) -> Tensor:
    _, slope = twice.slopes("train")
    share = clip / (float(flat(slope).norm()) + 1e-6) if clip else 1.0
    kept = [weight.detach().clone() for weight in twice.weights]
    with torch.no_grad():
        for weight, step in zip(twice.weights, slope, strict=True):
            weight -= xi * min(share, 1.0) * step
    direct, v = twice.slopes("valid")
    with torch.no_grad():
        for weight, value in zip(twice.weights, kept, strict=True):
            weight.copy_(value)
    own = min(clip / (float(flat(v).norm()) + 1e-6), 1.0) if clip else 1.0
    implicit = flat(twice.along(v, twice.logits)) * own
    return flat(direct) - xi * (min(share, 1.0) if cap else share) * implicit


def amended(twice: Twice, eta: float) -> Tensor:
    direct, v = twice.slopes("valid")
    hv = twice.along(v, twice.weights)
    return flat(direct) - eta * flat(twice.along(hv, twice.logits))


def noise_of(problem: Problem, order: tuple[str, str], pair: dict[str, Any]) -> dict[str, Any]:
    """The states of the generators before a pass over each batch, in this order; as they were."""
    before, states = generator_states(problem), {}
    for part in order:
        states[part] = generator_states(problem)
        problem.loss(pair[part])
    rewind(problem, before)
    return states


CLIPS = {"no clip": (0.0, True), "clip": (1e-3, True), "parity": (50.0, False), "cap": (50.0, True)}


def second_step(update: str) -> tuple[Problem, Any, Any]:
    """A problem at its second batches, with a state in both streams."""
    training = searching(update, double=True)
    training.network.train()
    drawn = training.batches.epoch(torch.Generator().manual_seed(1))
    held_out = batches(TEXT[::-1].copy()).epoch(torch.Generator().manual_seed(2))
    for _ in range(2):
        train, valid = next(drawn), next(held_out)
        training.problem.begin(train, valid)
        for batch in (train, valid):
            training.problem.loss(batch)
    assert training.problem.train.state is not None
    return training.problem, train, valid


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_second_order_against_double_backward_through_time(clip: tuple[float, bool]) -> None:
    problem, train, valid = second_step("second-order")
    pair = {"train": train, "valid": valid}
    twice = Twice(problem, train, valid, noise_of(problem, ("train", "valid"), pair))
    start = generator_states(problem)
    expected = second_order(twice, 0.5, *clip)
    rewind(problem, start)
    config = UpdateConfig(radius=1e-5, clip=clip[0], cap=clip[1])
    found = UPDATES["second-order"](problem, train, valid, Unroll(0.5), config)
    torch.testing.assert_close(flat(found.architecture), expected, rtol=1e-4, atol=1e-7)


def test_amended_against_double_backward_through_time() -> None:
    problem, train, valid = second_step("amended")
    pair = {"train": train, "valid": valid}
    twice = Twice(problem, train, valid, noise_of(problem, ("valid", "train"), pair))
    start = generator_states(problem)
    expected, plain = amended(twice, 0.1), flat(twice.slopes("valid")[0])
    assert float((expected - plain).norm() / plain.norm()) > 1e-3
    rewind(problem, start)
    config = UpdateConfig(radius=1e-5)
    found = UPDATES["amended"](problem, train, valid, Unroll(0.5), config)
    torch.testing.assert_close(flat(found.architecture), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("update", UPDATES)
def test_a_training_that_is_restored_goes_on_with_the_same_bits(update: str) -> None:
    whole, first = searching(update), searching(update)
    metrics = [whole.run_epoch() for _ in range(2)]
    first.run_epoch()
    again = searching(update)
    again.load_state_dict(first.state_dict())
    told = again.run_epoch()
    for name in ("loss", "perplexity", "images"):
        assert told[name] == metrics[1][name]
    for mine, theirs in zip(again.problem.weights, whole.problem.weights, strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(flat(again.problem.logits), flat(whole.problem.logits))


def test_steps_are_as_long_as_their_sequences() -> None:
    training, seen = searching("first-order"), []
    training.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"])
    )
    state = training.generators["weights"].get_state()
    training.run_epoch()
    training.generators["weights"].set_state(state)
    lengths = [w.shape[1] for w, _ in training.batches.epoch(training.generators["weights"])]
    assert len(set(lengths)) > 1
    assert seen == [2.0 * length / BPTT for length in lengths]


def test_penalties_are_of_the_text_of_the_weights_alone() -> None:
    problem, train, valid = second_step("first-order")
    bare = replace(OBJECTIVE, slowness=0.0, activation=0.0)
    for batch, penalised in ((train, True), (valid, False)):
        states = generator_states(problem)
        whole = float(problem.loss(batch).detach())
        rewind(problem, states)
        problem.objective, kept = bare, problem.objective
        without = float(problem.loss(batch).detach())
        problem.objective = kept
        assert (whole > without) == penalised


def test_the_perplexity_is_that_of_the_whole_text() -> None:
    generator = torch.Generator().manual_seed(0)
    genotype = macro(SPACE.cells[KIND].genotype([(0, 1, "tanh"), (0, 2, "relu"), (1, 3, "tanh")]))
    network = LanguageNetwork(genotype, vocabulary=VOCABULARY, units=UNITS, generator=generator)
    text = TextBatches(TEXT, batch_size=1, bptt=BPTT, spread=0.0, device=CPU.device)
    found = evaluate(network, text, OBJECTIVE, CPU)
    words = torch.from_numpy(TEXT)
    scores = network.eval()(words[None, :-1], Draw())[0].main[0]
    loss = float(F.cross_entropy(scores, words[1:]).detach())
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert OBJECTIVE.score(found) == -found["perplexity"]


def test_a_text_that_repeats_itself_is_learned() -> None:
    generator = torch.Generator().manual_seed(0)
    genotype = macro(SPACE.cells[KIND].genotype([(0, 1, "tanh"), (0, 2, "relu"), (1, 3, "tanh")]))
    network = LanguageNetwork(genotype, vocabulary=4, units=8, generator=generator)
    objective = LanguageModel(bptt=BPTT, **dict.fromkeys(DROPOUTS, 0.0))
    train = replace(TRAIN, objective=objective)
    training = Training(network, batches(np.arange(600) % 4), train, 20, CPU, 0)
    told = [training.run_epoch()["perplexity"] for _ in range(20)]
    assert told[0] > 3
    assert told[-1] < 1.2


def test_an_objective_of_other_data_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"an objective of text.*--objective language-model"):
        searching("joint", TrainConfig())
    with pytest.raises(InvalidInput, match=r"an objective of images.*objective='language-model'"):
        TRAIN.check_rows()
    grid = GridConfig(spaces=("s5",), recipes=("darts-1st",))
    with pytest.raises(InvalidInput, match=r"an objective of images"):
        checked_data(CellsConfig(data=DataConfig(limit=100), grid=grid, train=TRAIN))
