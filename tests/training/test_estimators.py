"""Architecture gradients against closed forms, the dense form and exact expectations."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from _dense import DenseChain
from scipy import stats
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fade_ray.nn import (
    Chain,
    ChainNetwork,
    Draw,
    NetworkConfig,
    architecture_weights,
    entropy,
    gumbel_softmax,
    initial_logits,
    still,
)
from fade_ray.nn.relaxations import draw_path
from fade_ray.search.search_config import Config
from fade_ray.training.estimators import (
    DRAWS,
    ESTIMATORS,
    Estimate,
    RowProblem,
    forward_passes,
    leave_one_out,
    split_batch,
)
from fade_ray.training.objectives import Batch, Classification
from fade_ray.training.penalties import PENALTIES, factors, scaled
from fade_ray.training.row_architecture import ArchitectureConfig
from spaces import HyperArchitecture, catalogue
from spaces.errors import InvalidInput

DAGS = catalogue(1, 4)
PATHS = list(itertools.product(range(3), range(2), range(3)))
SCORE_FUNCTIONS = ["score-function", "score-function-split", "marginal", "permuted"]
HYPER = HyperArchitecture(
    ((DAGS[3], DAGS[7], DAGS[30]), (DAGS[20], DAGS[20], DAGS[1]), (DAGS[2], DAGS[9], DAGS[12]))
)
MASK = torch.tensor([[True, True, True], [True, True, False], [True, True, True]])


def estimated(name: str, network: Chain, batch: Batch, *of_rows: Any) -> Estimate:
    """`of_rows`: logits, mask, penalty, configuration and generator."""
    problem = RowProblem(network, Classification(), *of_rows)
    return ESTIMATORS[name].estimate(problem, batch)


def no_penalty(weights: Tensor) -> Tensor:
    return weights.new_zeros(())


def network(norm: str = "none", seed: int = 0) -> ChainNetwork:
    config = NetworkConfig(depth=3, final_channels=4, kernel=3, norm=norm, share=False)
    generator = torch.Generator().manual_seed(seed)
    return ChainNetwork(HYPER, config, side=8, channels=3, classes=5, generator=generator).double()


def batch(seed: int = 1, size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 3, 8, 8, dtype=torch.float64, generator=generator)
    return images, torch.randint(0, 5, (size,), generator=generator)


def logits(seed: int = 2) -> Tensor:
    return initial_logits(MASK, 0.5, torch.Generator().manual_seed(seed)).double()


def dense_gradient(
    net: ChainNetwork, data: tuple[Tensor, Tensor], alpha: Tensor, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """dL/d gates, soft sample and dL/d logits of the plain dense form, for the draw that `seed`
    gives.
    """
    leaf = alpha.clone().requires_grad_(True)
    sample = gumbel_softmax(leaf, MASK, 10.0, torch.Generator().manual_seed(seed))
    gates = sample.hard.detach().requires_grad_(True)
    loss = F.cross_entropy(DenseChain(net)(data[0], gates), data[1])
    (gate_grad,) = torch.autograd.grad(loss, gates)
    (grad,) = torch.autograd.grad(
        F.cross_entropy(DenseChain(net)(data[0], sample.hard), data[1]), leaf
    )
    return gate_grad, sample.soft.detach(), grad


def through_softmax(gate_grad: Tensor, soft: Tensor, temperature: float) -> Tensor:
    """(1/tau) (diag(y) - y y^T) dL/dz, row by row."""
    return soft * (gate_grad - (soft * gate_grad).sum(dim=1, keepdim=True)) / temperature


@pytest.mark.parametrize("norm", ["none", "row", "operation"])
@pytest.mark.parametrize("seed", range(4))
def test_exact_straight_through_is_the_dense_form(norm: str, seed: int) -> None:
    net, data, alpha = network(norm), batch(), logits()
    gate_grad, soft, expected = dense_gradient(net, data, alpha, seed)
    estimate = estimated(
        "straight-through-exact",
        net,
        data,
        alpha,
        MASK,
        no_penalty,
        ArchitectureConfig(),
        torch.Generator().manual_seed(seed),
    )
    torch.testing.assert_close(estimate.grad, expected, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(
        estimate.grad, through_softmax(gate_grad, soft, 10.0), rtol=1e-8, atol=1e-12
    )
    assert estimate.grad.abs().sum() > 0


@pytest.mark.parametrize("seed", range(4))
def test_sampled_straight_through_leaves_the_other_terms_out(seed: int) -> None:
    net, data, alpha = network(), batch(), logits()
    gate_grad, soft, dense = dense_gradient(net, data, alpha, seed)
    drawn = F.one_hot(soft.argmax(dim=1), 3)
    expected = through_softmax(gate_grad * drawn, soft, 10.0)
    estimate = estimated(
        "straight-through-sampled",
        net,
        data,
        alpha,
        MASK,
        no_penalty,
        ArchitectureConfig(),
        torch.Generator().manual_seed(seed),
    )
    torch.testing.assert_close(estimate.grad, expected, rtol=1e-8, atol=1e-12)
    # another estimator, not a faster form of the same
    assert not torch.allclose(estimate.grad, dense, rtol=1e-2)


def scales(norm: str) -> tuple[Tensor, Tensor]:
    """[d] each: <dL/d out, y_k> of the drawn candidate k of every row, and the largest of the
    others', as absolute values.
    """
    net, (images, labels), path = network(norm).train(), batch(), (2, 0, 1)
    drawn = F.one_hot(torch.tensor(path), 3).bool()
    gates = drawn.double().requires_grad_(True)
    with still(net):
        (grad,) = torch.autograd.grad(
            F.cross_entropy(net(images, Draw(path, gates, others=True)).main, labels), gates
        )
    return grad[drawn].abs(), grad.masked_fill(drawn, 0.0).abs().amax(dim=1)


def test_a_norm_behind_a_row_leaves_the_sampled_gradient_without_signal() -> None:
    """The loss does not depend on the scale of what is normalised, so <dL/d out, out> = 0 up to the
    norm's epsilon.
    """
    drawn, others = scales("none")
    assert (drawn > 0.1 * others).all()
    drawn, others = scales("row")
    assert (drawn < 1e-3 * others).all()
    # here the operations of the next row normalise, and none follows the last
    drawn, others = scales("operation")
    assert (drawn[:-1] < 1e-3 * others[:-1]).all()
    assert drawn[-1] > 0.1 * others[-1]


@pytest.mark.parametrize("norm", ["row", "operation"])
def test_a_run_of_the_sampled_gradient_with_a_norm_is_refused(norm: str) -> None:
    def check(norm: str, estimator: str) -> None:
        architecture = ArchitectureConfig(estimator=estimator)
        network = NetworkConfig(norm=norm)  # type: ignore[arg-type]
        Config(network=network, architecture=architecture).check_ranks()

    with pytest.raises(InvalidInput, match="Use --norm none"):
        check(norm, "straight-through-sampled")
    check("none", "straight-through-sampled")
    for other in set(ESTIMATORS) - {"straight-through-sampled"}:
        check(norm, other)


def test_weight_gradient_of_the_drawn_path_is_the_dense_one() -> None:
    net, data = network(), batch()
    path = [2, 0, 1]
    dense = DenseChain(net)
    F.cross_entropy(dense(data[0], F.one_hot(torch.tensor(path), 3).double()), data[1]).backward()
    F.cross_entropy(net(data[0], Draw(path)).main, data[1]).backward()
    for (name, ours), theirs in zip(
        net.named_parameters(), dense.network.parameters(), strict=True
    ):
        if ours.grad is None:
            assert theirs.grad is None or not theirs.grad.any(), name
        else:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-12)


def exact_gradient(losses: dict[tuple[int, ...], float], alpha: Tensor) -> Tensor:
    """d/d alpha of sum over all paths of psi(path) L(path)."""
    leaf = alpha.clone().requires_grad_(True)
    logs = architecture_weights(leaf, MASK).clamp_min(1e-300).log()
    total = sum(
        loss * torch.stack([logs[i, k] for i, k in enumerate(path)]).sum().exp()
        for path, loss in losses.items()
    )
    (grad,) = torch.autograd.grad(total, leaf)
    return grad


def losses_of_parts(
    net: ChainNetwork, data: tuple[Tensor, Tensor], parts: int
) -> list[dict[tuple[int, ...], float]]:
    """The loss of every path on each part of the batch."""
    found = []
    with torch.no_grad():
        for images, labels in split_batch(data, parts):
            scores = net.forward_paths(images, PATHS)
            found.append(
                {p: float(F.cross_entropy(s, labels)) for p, s in zip(PATHS, scores, strict=True)}
            )
    return found


def mean_over_images(
    losses: list[dict[tuple[int, ...], float]], counts: list[int]
) -> dict[tuple[int, ...], float]:
    return {
        p: sum(n * part[p] for n, part in zip(counts, losses, strict=True)) / sum(counts)
        for p in PATHS
    }


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("score-function", "none"),
        ("score-function", "row"),
        ("score-function-split", "row"),
        ("marginal", "row"),
        ("permuted", "row"),
    ],
)
def test_score_functions_are_unbiased(name: str, norm: str) -> None:
    """Mean of the estimates against the gradient by enumeration: 7 z-tests together at alpha =
    1e-3.

    With BatchNorm the split one estimates the gradient of the loss under the statistics of the
    parts. The marginal one estimates the gradient at equal weights, the permuted one nothing.
    """
    net, data, alpha = network(norm).train(), batch(), 2 * logits()
    parts = 3 if name == "score-function-split" else 1
    with still(net):
        losses = mean_over_images(losses_of_parts(net, data, parts), [6 // parts] * parts)
        expected = exact_gradient(losses, 0 * alpha if name == "marginal" else alpha)
        size = expected.abs().max()
        expected = 0 * expected if name == "permuted" else expected
    generator = torch.Generator().manual_seed(5)
    config = ArchitectureConfig(paths=3)
    arguments = (net, data, alpha, MASK, no_penalty, config, generator)
    estimates = torch.stack([estimated(name, *arguments).grad for _ in range(400)])
    error = (estimates.mean(dim=0) - expected)[MASK]
    spread = (estimates.std(dim=0) / len(estimates) ** 0.5)[MASK]
    limit = stats.norm.ppf(1 - 1e-3 / 2 / int(MASK.sum()))
    assert (error.abs() / spread).max() < limit
    assert spread.max() < 0.2 * size  # precise enough to notice a wrong gradient


@pytest.mark.parametrize("size", [6, 5, 3])
@pytest.mark.parametrize("paths", [2, 3])
def test_the_split_estimator_has_the_expectation_of_the_plain_one(size: int, paths: int) -> None:
    """Exactly, by enumeration of all draws of 2 or 3 paths: without BatchNorm, both expect the
    gradient of the batch's mean loss.
    """
    net, data, alpha = network(), batch(size=size), 2 * logits()
    weights = architecture_weights(alpha, MASK)
    losses, (whole,) = losses_of_parts(net, data, paths), losses_of_parts(net, data, 1)
    counts = torch.tensor([len(labels) for _, labels in split_batch(data, paths)])
    split, plain = torch.zeros_like(alpha), torch.zeros_like(alpha)
    for drawn in itertools.product(PATHS, repeat=paths):
        probability = math.prod(float(weights[i, k]) for path in drawn for i, k in enumerate(path))
        parts = weights.new_tensor([part[path] for part, path in zip(losses, drawn, strict=True)])
        split += probability * leave_one_out(parts, counts, drawn, weights)
        alike = weights.new_tensor([whole[path] for path in drawn])
        plain += probability * leave_one_out(alike, torch.full((paths,), size), drawn, weights)
    torch.testing.assert_close(split, plain, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(split, exact_gradient(whole, alpha), rtol=1e-8, atol=1e-12)
    assert split.abs().max() > 1e-3


@pytest.mark.parametrize("size", [8, 11])
def test_the_split_estimate_sees_each_image_on_one_path(size: int) -> None:
    net, data, alpha = network(), batch(size=size), logits()
    config = ArchitectureConfig(paths=4)
    weights = architecture_weights(alpha, MASK)
    generator = torch.Generator().manual_seed(4)
    drawn = [draw_path(weights, generator) for _ in range(4)]
    scores = torch.cat(
        [net(x, Draw(path)).main for (x, _), path in zip(split_batch(data, 4), drawn, strict=True)]
    )
    losses = F.cross_entropy(scores, data[1], reduction="none").detach()
    parts = losses.tensor_split(4)
    expected = torch.zeros_like(alpha)
    for p, path in enumerate(drawn):
        others = torch.stack([part.mean() for q, part in enumerate(parts) if q != p]).mean()
        onehot = F.one_hot(torch.tensor(path), 3)
        expected += (parts[p] - others).sum() / size * (onehot - weights)
    generator.manual_seed(4)
    estimate = estimated(
        "score-function-split", net, data, alpha, MASK, no_penalty, config, generator
    )
    torch.testing.assert_close(
        estimate.grad, expected.masked_fill(~MASK, 0.0), rtol=1e-8, atol=1e-12
    )
    torch.testing.assert_close(estimate.loss, losses.mean())
    assert int(estimate.measures["accuracy"]) == int((scores.argmax(dim=1) == data[1]).sum())
    cost = sum(net.multiply_adds(path) * len(part) for path, part in zip(drawn, parts, strict=True))
    assert estimate.multiply_adds == cost


def test_on_equal_images_the_score_functions_agree() -> None:
    net, alpha = network(), logits()
    images, labels = batch(size=1)
    data = images.expand(8, -1, -1, -1), labels.expand(8)
    first, second = (
        estimated(
            name,
            net,
            data,
            alpha,
            MASK,
            no_penalty,
            ArchitectureConfig(paths=4),
            torch.Generator().manual_seed(3),
        )
        for name in ("score-function", "score-function-split")
    )
    torch.testing.assert_close(first.grad, second.grad, rtol=1e-8, atol=1e-12)
    assert second.multiply_adds < first.multiply_adds


@pytest.mark.parametrize("name", SCORE_FUNCTIONS)
def test_multiply_adds_of_the_score_functions_count_what_runs(name: str) -> None:
    config, generator = ArchitectureConfig(paths=5), torch.Generator().manual_seed(1)
    with FlopCounterMode(display=False) as counter:
        estimate = estimated(
            name, network(), batch(size=11), logits(), MASK, no_penalty, config, generator
        )
    assert counter.get_total_flops() == 2 * estimate.multiply_adds


def test_more_paths_than_images_cannot_be_split() -> None:
    rows = logits(), MASK, no_penalty, ArchitectureConfig(paths=7), torch.Generator()
    with pytest.raises(InvalidInput, match="paths=7, images=6"):
        estimated("score-function-split", network(), batch(), *rows)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_forward_passes_bound_what_is_counted(name: str) -> None:
    """With candidates of equal cost the bound is reached, but for what several paths or candidates
    share: the entry of a row.
    """
    equal = [dag for dag in DAGS if dag.operations == 5][:3]
    config = ArchitectureConfig(estimator=name, paths=4)  # type: ignore[arg-type]
    layers = NetworkConfig(depth=1, final_channels=4, kernel=3, share=False)
    hyper = HyperArchitecture((tuple(equal),))
    net = ChainNetwork(hyper, layers, side=8, channels=1, classes=5, generator=torch.Generator())
    images, labels = torch.zeros(8, 1, 8, 8), torch.zeros(8, dtype=torch.long)
    alpha, mask = torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool)
    estimate = estimated(
        name, net, (images, labels), alpha, mask, no_penalty, config, torch.Generator()
    )
    passes = estimate.multiply_adds / (8 * net.multiply_adds([0]))
    bound = forward_passes(config, width=3)
    exact = name in ("straight-through-sampled", "score-function-split")
    assert passes == pytest.approx(bound) if exact else 1 < passes < bound
    assert forward_passes(config, 5) - bound == (2 if name == "straight-through-exact" else 0)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("norm", ["none", "row", "operation"])
def test_estimating_leaves_the_network_bitwise_as_it_was(name: str, norm: str) -> None:
    net, alpha = network(norm).train(), logits()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    kept = alpha.clone()
    generator = torch.Generator().manual_seed(0)
    estimate = estimated(
        name, net, batch(), alpha, MASK, no_penalty, ArchitectureConfig(), generator
    )
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(alpha, kept)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not estimate.grad[~MASK].any()


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("penalty", ["max-norm", "max-norm-by-cell"])
def test_the_penalty_adds_its_gradient(name: str, penalty: str) -> None:
    net, data, alpha = network(), batch(), logits()

    def grad(extra: Callable[[Tensor], Tensor]) -> Tensor:
        generator = torch.Generator().manual_seed(3)
        return estimated(name, net, data, alpha, MASK, extra, ArchitectureConfig(), generator).grad

    difference = grad(scaled(PENALTIES[penalty], 1.0, 0.0)) - grad(no_penalty)
    leaf = alpha.clone().requires_grad_(True)
    sample = gumbel_softmax(leaf, MASK, 10.0, torch.Generator().manual_seed(3)).soft
    weights = architecture_weights(leaf, MASK) if name in SCORE_FUNCTIONS else sample
    (expected,) = torch.autograd.grad(weights.amax(dim=1).sum(), leaf)  # r(0) = 1 in every row
    torch.testing.assert_close(difference, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_hard_samples_follow_the_softmax_at_any_temperature(temperature: float) -> None:
    """FaDE 2.1: E[one-hot] = softmax(alpha'), chi-square of 4,000 draws per row, alpha = 1e-4 for
    each of three rows.
    """
    alpha, generator = 2 * logits(), torch.Generator().manual_seed(11)
    counts = torch.zeros(3, 3)
    for _ in range(4000):
        counts += F.one_hot(
            torch.tensor(gumbel_softmax(alpha, MASK, temperature, generator).path), 3
        )
    expected = architecture_weights(alpha, MASK) * 4000
    for row in range(3):
        used = MASK[row]
        assert counts[row][~used].sum() == 0
        assert stats.chisquare(counts[row][used], expected[row][used].numpy()).pvalue > 1e-4


@pytest.mark.parametrize("draw", DRAWS)
def test_paths_are_drawn_with_the_stated_probabilities(draw: str) -> None:
    alpha, generator = 2 * logits(), torch.Generator().manual_seed(12)
    probabilities = DRAWS[draw](alpha, MASK).double()
    probabilities /= probabilities.sum(dim=1, keepdim=True)
    counts = sum(
        F.one_hot(torch.tensor(draw_path(probabilities, generator)), 3) for _ in range(4000)
    )
    for row in range(3):
        used = MASK[row]
        assert stats.chisquare(counts[row][used], 4000 * probabilities[row][used]).pvalue > 1e-4


def test_a_masked_candidate_has_no_weight_and_no_gradient() -> None:
    leaf = logits().requires_grad_(True)
    weights = architecture_weights(leaf, MASK)
    (grad,) = torch.autograd.grad(weights.pow(2).sum(), leaf)
    assert weights[1, 2] == 0
    assert grad[1, 2] == 0
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, dtype=torch.float64))


def test_entropy_is_one_at_uniform_and_zero_when_decided() -> None:
    assert torch.allclose(
        entropy(torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])), torch.tensor([1.0, 0.0])
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 7])
def test_factors_run_from_plus_to_minus_one_and_shallow_cells_first(depth: int) -> None:
    curves = torch.tensor([factors(depth, t / 50) for t in range(51)])
    assert curves[0].tolist() == [1.0] * depth
    assert curves[-1].tolist() == pytest.approx([-1.0] * depth)
    assert (curves.diff(dim=0) < 0).all()
    assert (curves.diff(dim=1) >= 0).all()
    straight = 1 - 2 * torch.linspace(0, 1, 51)
    assert (
        depth == 1 or ((curves[:, 0] <= straight + 1e-6) & (straight - 1e-6 <= curves[:, -1])).all()
    )


def test_the_penalty_flattens_early_and_rewards_late() -> None:
    flat, sharp = torch.full((2, 4), 0.25), torch.tensor([[0.97, 0.01, 0.01, 0.01]] * 2)
    for name in ("max-norm", "max-norm-by-cell"):
        assert PENALTIES[name](sharp, 0.0) > PENALTIES[name](flat, 0.0)
        assert PENALTIES[name](sharp, 1.0) < PENALTIES[name](flat, 1.0)
    assert PENALTIES["none"](sharp, 0.0) == 0
