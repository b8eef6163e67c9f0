"""Every update against double backward, closed forms and the promise to leave the network as it
was; float64 unless said otherwise.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn.norms import Norm
from fade_ray.training.updates import UPDATES, Unroll, UpdateConfig
from spaces.errors import InvalidInput

CASES = [
    *((name, "central") for name in UPDATES),
    ("second-order", "forward"),
    ("amended", "forward"),
]
UNROLL = Unroll(0.1)


class Quadratic:
    """L(w, a) = 1/2 w'Aw + w'Ba + 1/2 a'Ca + p'w + q'a, its coefficients being the batch; w of two
    tensors, a of two.
    """

    generators: tuple[torch.Generator, ...] = ()

    def __init__(self, weights: Tensor, logits: Tensor) -> None:
        self.weights = [
            part.clone().requires_grad_() for part in weights.split([3, len(weights) - 3])
        ]
        self.logits = [part.clone().requires_grad_() for part in logits.split([1, len(logits) - 1])]

    def loss(self, batch: Sequence[Tensor]) -> Tensor:
        A, B, C, p, q = batch
        w, a = torch.cat(self.weights), torch.cat(self.logits)
        return w @ A @ w / 2 + w @ B @ a + a @ C @ a / 2 + p @ w + q @ a


def quadratic(seed: int, n: int = 5, m: int = 3) -> tuple[Quadratic, list[Tensor], list[Tensor]]:
    """A problem with its train and valid coefficients; A and C symmetric, of any sign."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def coefficients() -> list[Tensor]:
        A, C = normal(n, n), normal(m, m)
        return [A + A.T, normal(n, m), C + C.T, normal(n), normal(m)]

    return Quadratic(normal(n), normal(m)), coefficients(), coefficients()


class Network(nn.Module):
    """A mixed layer between two convolutions, smooth, with BatchNorm that has buffers, dropout from
    a generator, a weight and a logit unused.
    """

    def __init__(self, seed: int = 0, dropout: float = 0.5) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(2, 4, 3, padding=1)
            self.ops = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)])
            self.norm, self.head = Norm(4), nn.Linear(4, 3)
            self.unused = nn.Parameter(torch.ones(2))
            self.mixture, self.idle = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.zeros(2))
        self.double()
        self.dropout, self.generators = dropout, [torch.Generator().manual_seed(seed + 1)]
        self.logits = [self.mixture, self.idle]
        self.weights = [
            p for p in self.parameters() if all(p is not logit for logit in self.logits)
        ]

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, labels = batch
        self.norm.updating = False
        x = torch.tanh(self.stem(images))
        for row in self.mixture.softmax(dim=1):
            outputs = [op(x) for op in self.ops]
            x = torch.tanh(row[0] * outputs[0] + row[1] * outputs[1] + row[2] * x)
            if self.dropout:
                keep = (
                    torch.rand(x.shape, generator=self.generators[0], dtype=x.dtype) >= self.dropout
                )
                x = x * keep / (1 - self.dropout)
        return F.cross_entropy(self.head(self.norm(x).mean(dim=(2, 3))), labels)


def images(seed: int, size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 2, 5, 5, generator=generator, dtype=torch.float64), torch.randint(
        0, 3, (size,), generator=generator
    )


TRAIN, VALID = images(1), images(2)


def flat(tensors: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors if tensor is not None])


def relative(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    return float((flat(found) - flat(expected)).detach().norm() / flat(expected).detach().norm())


def grad(loss: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, tensors, create_graph=True, materialize_grads=True)


def inner(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    return flat(left) @ flat(right)


# -----------------------------------------------------------------------------------------------
# what every update promises


def everything(net: Network) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in net.state_dict().values()]


@pytest.mark.parametrize(("name", "difference"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_update_leaves_the_network_as_it_was(
    name: str, difference: Any, dtype: torch.dtype
) -> None:
    net = Network().to(dtype)
    train, valid = [(x.to(dtype), y) for x, y in (TRAIN, VALID)]
    net.weights[0].requires_grad_(False)
    for i, parameter in enumerate(net.parameters()):
        parameter.grad = torch.full_like(parameter, i)
    asked = [p.requires_grad for p in net.parameters()]
    grads = [p.grad for p in net.parameters()]
    before = everything(net)
    unroll = Unroll(0.1, 0.9, 3e-4, [torch.ones_like(w) for w in net.weights])
    found = UPDATES[name](net, train, valid, unroll, UpdateConfig(difference=difference))
    assert all(torch.equal(a, b) for a, b in zip(before, everything(net), strict=True))
    assert [p.requires_grad for p in net.parameters()] == asked
    for i, (parameter, old) in enumerate(zip(net.parameters(), grads, strict=True)):
        assert parameter.grad is old
        assert torch.equal(old, torch.full_like(parameter, i))
    for part, tensors in ((found.architecture, net.logits), (found.weights, net.weights)):
        assert part is None or [(g.shape, g.dtype) for g in part] == [
            (t.shape, t.dtype) for t in tensors
        ]
        assert part is None or all(g.isfinite().all() and not g.requires_grad for g in part)
    assert found.architecture[0].any()
    assert not found.architecture[1].any()  # a logit without influence has gradient 0
    assert found.loss.shape == ()
    assert not found.loss.requires_grad


PASSES = {  # batches drawn from, in order; what is repeated with the same noise counts once
    "joint": [TRAIN],
    "first-order": [VALID],
    "second-order": [TRAIN, VALID],
    "amended": [VALID, TRAIN],
}


@pytest.mark.parametrize(("name", "difference"), CASES)
def test_generators_stand_where_single_passes_leave_them(name: str, difference: Any) -> None:
    net, twin = Network(), Network()
    # other batch size, so that the passes draw different amounts
    small = (VALID[0][:4], VALID[1][:4])
    UPDATES[name](net, TRAIN, small, UNROLL, UpdateConfig(difference=difference))
    for batch in PASSES[name]:
        twin.loss(small if batch is VALID else batch)
    assert torch.equal(net.generators[0].get_state(), twin.generators[0].get_state())


class Breaking(Network):
    """Raises in its pass number `at`."""

    passes, at = 0, 0

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        self.passes += 1
        found = super().loss(batch)
        if self.passes == self.at:
            raise torch.cuda.OutOfMemoryError("the pass did not fit")
        return found


@pytest.mark.parametrize(
    ("name", "passes"), [("joint", 1), ("first-order", 1), ("second-order", 4), ("amended", 5)]
)
def test_a_pass_that_raises_leaves_everything_as_it_was(name: str, passes: int) -> None:
    for at in range(1, passes + 1):
        net = Breaking()
        net.at = at
        before, noise = everything(net), net.generators[0].get_state()
        with pytest.raises(torch.cuda.OutOfMemoryError):
            UPDATES[name](net, TRAIN, VALID, UNROLL, UpdateConfig())
        assert all(torch.equal(a, b) for a, b in zip(before, everything(net), strict=True))
        assert torch.equal(noise, net.generators[0].get_state())
        assert all(p.requires_grad for p in net.parameters())
    net = Breaking()
    UPDATES[name](net, TRAIN, VALID, UNROLL, UpdateConfig())
    assert net.passes == passes


class Watched(Network):
    """Notes which tensors each pass asks gradients for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        kind = {(True, False): "w", (False, True): "a", (True, True): "wa"}
        self.asked.append(kind[self.weights[0].requires_grad, self.logits[0].requires_grad])
        assert len({w.requires_grad for w in self.weights}) == 1
        return super().loss(batch)


@pytest.mark.parametrize(
    ("name", "difference", "asked"),
    [
        ("joint", "central", ["wa"]),
        ("first-order", "central", ["a"]),
        ("second-order", "central", ["w", "wa", "a", "a"]),
        ("second-order", "forward", ["wa", "wa", "a"]),
        ("amended", "central", ["wa", "w", "w", "a", "a"]),
        ("amended", "forward", ["wa", "wa", "w", "a"]),
    ],
)
def test_only_what_is_needed_is_computed(name: str, difference: Any, asked: list[str]) -> None:
    net = Watched()
    UPDATES[name](net, TRAIN, VALID, UNROLL, UpdateConfig(difference=difference))
    assert net.asked == asked


class Measured(Quadratic):
    """Notes how far from the start each pass takes place."""

    def loss(self, batch: Sequence[Tensor]) -> Tensor:
        here = flat(self.weights).detach()
        self.places = [*getattr(self, "places", []), here]
        return super().loss(batch)

    @property
    def lengths(self) -> list[float]:
        return [float((place - flat(self.weights).detach()).norm()) for place in self.places]


@pytest.mark.parametrize("kind", ["central", "forward"])
def test_perturbations_have_the_length_of_the_papers(kind: Any) -> None:
    sides = {"central": 2, "forward": 1}[kind]
    start, train, valid = quadratic(1)

    def lengths(name: str, **config: Any) -> list[float]:
        problem = Measured(flat(start.weights).detach(), flat(start.logits).detach())
        UPDATES[name](problem, train, valid, UNROLL, UpdateConfig(difference=kind, **config))
        return problem.lengths

    w, a = flat(start.weights).detach(), flat(start.logits).detach()
    slope, v = [A @ w + B @ a + p for A, B, _, p, _ in (train, valid)]
    first = [0.0] * (3 - sides)  # valid batch, and the train batch at the weights themselves
    ratio = float((train[0] @ v).norm() / v.norm())
    assert lengths("second-order") == pytest.approx(
        [0, 0.1 * float(slope.norm()), *[0.01] * sides], rel=1e-6
    )
    assert lengths("amended") == pytest.approx(
        [*first, *[0.01] * sides, *[0.01 * ratio] * sides], rel=1e-6
    )
    assert lengths("amended", renormalise=True, radius=0.1) == pytest.approx(
        [*first, *[0.1] * 2 * sides], rel=1e-6
    )


@pytest.mark.parametrize("name", UPDATES)
def test_returned_gradients_are_the_callers_own(name: str) -> None:
    # d/dw of w1 + w2 is one tensor for both; clipping in place must not meet it twice
    class Sum(Quadratic):
        def loss(self, batch: None) -> Tensor:  # type: ignore[override]
            return (self.weights[0] + self.weights[1]).square().sum() + (
                self.logits[0] + self.logits[1]
            ).square().sum()

    problem = Sum(torch.ones(6), torch.ones(2))
    found = UPDATES[name](problem, None, None, UNROLL, UpdateConfig(difference="forward"))
    tensors = [*found.architecture, *(found.weights or ())]
    before = [tensor.clone() for tensor in tensors]
    tensors[0].mul_(0)
    assert all(torch.equal(a, b) for a, b in zip(tensors[1:], before[1:], strict=True))


@pytest.mark.parametrize("name", UPDATES)
def test_logits_without_influence_have_gradient_zero(name: str) -> None:
    problem, train, valid = quadratic(0)
    zero = [[A, 0 * B, 0 * C, p, 0 * q] for A, B, C, p, q in (train, valid)]

    class Weights(Quadratic):
        def loss(self, batch: Sequence[Tensor]) -> Tensor:
            w = torch.cat(self.weights)
            return w @ batch[0] @ w / 2

    alone = Weights(torch.ones(5, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    for one in (problem, alone):
        found = UPDATES[name](one, *zero, UNROLL, UpdateConfig())
        assert [g.shape for g in found.architecture] == [(1,), (2,)]
        assert not flat(found.architecture).any()


@pytest.mark.parametrize(
    ("name", "difference"), [c for c in CASES if c[0] in ("second-order", "amended")]
)
def test_a_zero_weight_gradient_leaves_the_direct_term(name: str, difference: Any) -> None:
    problem, train, (A, B, C, p, q) = quadratic(3)
    valid = [0 * A, 0 * B, C, 0 * p, q]
    config = UpdateConfig(difference=difference, hessian_weight_decay=0.1, renormalise=True)
    found = UPDATES[name](problem, train, valid, UNROLL, config)
    torch.testing.assert_close(flat(found.architecture), C @ flat(problem.logits) + q)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(InvalidInput, match="radius > 0"):
        UpdateConfig(radius=0.0)
    with pytest.raises(InvalidInput, match="difference"):
        UpdateConfig(difference="backward")  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------
# exact on quadratics

Expected = Callable[
    [Tensor, Tensor, Sequence[Tensor], Sequence[Tensor], Unroll, UpdateConfig], Tensor
]


def by_first_order(
    w: Tensor, a: Tensor, train: Any, valid: Any, unroll: Unroll, config: UpdateConfig
) -> Tensor:
    _, B, C, _, q = valid
    return B.T @ w + C @ a + q


def by_joint(
    w: Tensor, a: Tensor, train: Any, valid: Any, unroll: Unroll, config: UpdateConfig
) -> Tensor:
    return by_first_order(w, a, train, train, unroll, config)


def by_second_order(
    w: Tensor, a: Tensor, train: Any, valid: Any, unroll: Unroll, config: UpdateConfig
) -> Tensor:
    A, B, _, p, _ = train
    momentum = (
        unroll.momentum * flat(unroll.buffers) if unroll.buffers and config.unroll_momentum else 0.0
    )
    moved = w - unroll.learning_rate * (momentum + A @ w + B @ a + p + unroll.weight_decay * w)
    v = valid[0] @ moved + valid[1] @ a + valid[3]
    return by_first_order(moved, a, train, valid, unroll, config) - unroll.learning_rate * B.T @ v


def by_amended(
    w: Tensor, a: Tensor, train: Any, valid: Any, unroll: Unroll, config: UpdateConfig
) -> Tensor:
    A, B = train[0], train[1]
    v = valid[0] @ w + valid[1] @ a + valid[3]
    amending = config.eta * B.T @ (A @ v + config.hessian_weight_decay * v)
    return by_first_order(w, a, train, valid, unroll, config) - amending


EXPECTED: dict[str, Expected] = {
    "joint": by_joint,
    "first-order": by_first_order,
    "second-order": by_second_order,
    "amended": by_amended,
}


@pytest.mark.parametrize(("name", "difference"), CASES)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    xi=st.floats(0, 2),
    eta=st.floats(0, 2),
    decay=st.floats(0, 1),
    momentum=st.sampled_from([0.0, 0.9]),
    unroll_momentum=st.booleans(),
    renormalise=st.booleans(),
    radius=st.sampled_from([1e-3, 0.01, 1.0]),
)
def test_exact_on_quadratics(
    name: str,
    difference: Any,
    seed: int,
    xi: float,
    eta: float,
    decay: float,
    momentum: float,
    unroll_momentum: bool,
    renormalise: bool,
    radius: float,
) -> None:
    problem, train, valid = quadratic(seed)
    buffers = [weight.detach().cos() for weight in problem.weights]
    unroll = Unroll(xi, momentum, decay, buffers)
    config = UpdateConfig(eta, unroll_momentum, renormalise, decay, radius, difference)
    w, a = flat(problem.weights).detach(), flat(problem.logits).detach()
    expected = EXPECTED[name](w, a, train, valid, unroll, config)
    found = UPDATES[name](problem, train, valid, unroll, config)
    scale = (
        1 + float(expected.norm()) + float(by_amended(w, a, train, valid, unroll, config).norm())
    )
    torch.testing.assert_close(flat(found.architecture), expected, rtol=0, atol=1e-9 * scale)
    if found.weights is not None:
        slope = train[0] @ w + train[1] @ a + train[3]
        torch.testing.assert_close(flat(found.weights), slope, rtol=1e-10, atol=1e-10)


def test_momentum_buffers_may_be_missing() -> None:
    problem, train, valid = quadratic(5)
    first = problem.weights[0].detach().cos()
    zeros = torch.zeros_like(problem.weights[1])

    def found(*buffers: Tensor | None) -> Tensor:
        return flat(
            UPDATES["second-order"](
                problem, train, valid, Unroll(0.3, 0.9, 0.1, buffers), UpdateConfig()
            ).architecture
        )

    assert torch.equal(found(first, None), found(first, zeros))
    assert torch.equal(found(), found(0 * first, zeros))
    assert not torch.allclose(found(first, None), found())


# ------------------------------------------------------------------------------------- against
# double backward on a network


def moving(net: Network) -> Unroll:
    return Unroll(0.5, 0.9, 0.01, [0.1 * w.detach().cos() for w in net.weights])


def stepped(net: Network) -> list[Tensor]:
    """w - xi (momentum buf + grad_w L_train(w, a) + decay w), with its graph."""
    unroll = moving(net)
    slope = grad(net.loss(TRAIN), net.weights)
    return [
        w - unroll.learning_rate * (unroll.momentum * b + g + unroll.weight_decay * w)
        for w, g, b in zip(net.weights, slope, unroll.buffers, strict=True)
    ]


class Loss(nn.Module):
    """The loss with other tensors in the place of the weights."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return self.net.loss(batch)

    def at(self, weights: Sequence[Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
        names = {id(p): name for name, p in self.named_parameters()}
        swapped = {names[id(old)]: new for old, new in zip(self.net.weights, weights, strict=True)}
        return torch.func.functional_call(self, swapped, (batch,))


def second_order_term(net: Network) -> list[Tensor]:
    """What reaches the logits through the unrolled step, by differentiating through it."""
    weights = stepped(net)
    start = net.generators[0].get_state()
    whole = grad(Loss(net).at(weights, VALID), net.logits)
    net.generators[0].set_state(start)
    direct = grad(Loss(net).at([w.detach() for w in weights], VALID), net.logits)
    return difference(whole, direct)


def amended_term(net: Network) -> list[Tensor]:
    """-eta J H v, each product by double backward."""
    v = [g.detach() for g in grad(net.loss(VALID), net.weights)]
    slope = grad(net.loss(TRAIN), net.weights)
    hv = [g.detach() for g in grad(inner(slope, v), net.weights)]
    return [-ETA * h for h in grad(inner(slope, hv), net.logits)]


ETA = 5.0
TERMS = {"second-order": second_order_term, "amended": amended_term}


def error(name: str, seed: int, **config: Any) -> float:
    """Relative error of the second-order term, at the same noise as the exact one."""
    net = Network(seed)
    start = net.generators[0].get_state()
    exact = [g.detach() for g in TERMS[name](net)]
    net.generators[0].set_state(start)
    whole = UPDATES[name](net, TRAIN, VALID, moving(net), UpdateConfig(eta=ETA, **config))
    net.generators[0].set_state(start)
    direct = direct_term(name, net)
    return relative(difference(whole.architecture, direct), exact)


def direct_term(name: str, net: Network) -> tuple[Tensor, ...]:
    """grad_a L_valid at the weights it is taken at, held fixed."""
    weights = {"second-order": stepped, "amended": lambda net: net.weights}[name](net)
    return grad(Loss(net).at([w.detach() for w in weights], VALID), net.logits)


def difference(left: Sequence[Tensor], right: Sequence[Tensor]) -> list[Tensor]:
    return [a - b for a, b in zip(left, right, strict=True)]


@pytest.mark.parametrize("name", ["second-order", "amended"])
@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_near_the_double_backward_and_nearer_the_smaller_the_step(
    name: str, renormalise: bool, seed: int
) -> None:
    # the order that a difference claims: a tenth of the step leaves 1/100 of a central one's error,
    # 1/10 of a forward one's
    for kind, order in (("central", 2), ("forward", 1)):
        errors = [
            error(name, seed, renormalise=renormalise, radius=r, difference=kind)
            for r in (0.1, 0.01)
        ]
        slope = torch.tensor(errors).log10().diff().neg().item()
        assert slope == pytest.approx(order, abs=0.2), (kind, errors)
    assert error(name, seed, renormalise=renormalise) < 2e-3


def test_without_their_second_term_all_are_first_order() -> None:
    net = Network(dropout=0.0)
    none = UPDATES["second-order"](net, TRAIN, VALID, Unroll(0.0), UpdateConfig())
    zero = UPDATES["amended"](net, TRAIN, VALID, UNROLL, UpdateConfig(eta=0.0))
    first = UPDATES["first-order"](net, TRAIN, VALID, UNROLL, UpdateConfig())
    assert (
        relative(none.architecture, first.architecture)
        == 0
        == relative(zero.architecture, first.architecture)
    )
    assert none.loss == zero.loss == first.loss


def test_joint_gives_both_gradients_of_the_train_loss() -> None:
    net = Network()
    start = net.generators[0].get_state()
    found = UPDATES["joint"](net, TRAIN, VALID, UNROLL, UpdateConfig())
    net.generators[0].set_state(start)
    loss = net.loss(TRAIN)
    loss.backward()
    assert found.loss == loss.detach()
    assert found.weights is not None
    for tensors, grads in ((net.logits, found.architecture), (net.weights, found.weights)):
        for tensor, g in zip(tensors, grads, strict=True):
            expected = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
            torch.testing.assert_close(g, expected)


class Noted(Network):
    """Notes the generator's state at the start of each pass, per batch size: the masks of the pass
    are a function of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[int, list[Tensor]] = {}

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        self.states.setdefault(len(batch[1]), []).append(self.generators[0].get_state())
        return super().loss(batch)


class Frozen(Network):
    """Its masks are fixed, one set per batch size."""

    states: dict[int, Tensor]

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        self.generators[0].set_state(self.states[len(batch[1])])
        return super().loss(batch)


@pytest.mark.parametrize(
    ("name", "kind"), [c for c in CASES if c[0] in ("second-order", "amended")]
)
def test_differences_hold_no_mask_noise(name: str, kind: Any) -> None:
    small = (VALID[0][:4], VALID[1][:4])
    config = UpdateConfig(difference=kind)
    noted, frozen = Noted(), Frozen()
    found = UPDATES[name](noted, TRAIN, small, UNROLL, config)
    assert all(
        torch.equal(state, states[0]) for states in noted.states.values() for state in states
    )
    assert not torch.equal(noted.states[4][0], noted.states[6][0])
    frozen.states = {size: states[0] for size, states in noted.states.items()}
    expected = UPDATES[name](frozen, TRAIN, small, UNROLL, config)
    assert relative(found.architecture, expected.architecture) == 0
