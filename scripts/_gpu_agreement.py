"""Do operations, networks, estimators, updates and optimisers on a device agree with the CPU?"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
import torch
from _gpu_steps import CLASSES, SIDE, Size, cells, chain
from torch import Tensor, nn
from torch.nn import functional as F

from fade_ray.nn import OPERATIONS, CellNetwork, CellNetworkConfig, MacroNetwork
from fade_ray.nn.chain import NetworkConfig
from fade_ray.nn.layers import Build
from fade_ray.nn.norms import Norm
from fade_ray.nn.relaxations import EDGE_RELAXATIONS, RELAXATIONS
from fade_ray.nn.sums import Source, Sum, Term
from fade_ray.nn.sync_norm import Reduction, SyncNorm
from fade_ray.training.device import Placement, without_tf32
from fade_ray.training.edge_architecture import CellArchitectureConfig, EdgeArchitecture
from fade_ray.training.estimators import DRAWS, ESTIMATORS, RowProblem
from fade_ray.training.network_problem import NetworkProblem
from fade_ray.training.objectives import Classification
from fade_ray.training.optimisers import ASGD, SGD, Adam, Optimiser
from fade_ray.training.penalties import PENALTIES, scaled
from fade_ray.training.row_architecture import ArchitectureConfig
from fade_ray.training.updates import UPDATES, Unroll
from spaces import GENOTYPES, HyperArchitecture
from spaces.nasbench_macro import BLOCKS, DEPTH

HOST = Placement(torch.device("cpu"))
PRECISIONS = {
    "float64": (torch.float64, None),
    "float32": (torch.float32, None),
    "bfloat16": (torch.float32, torch.bfloat16),
}
"""The type of weights and images, and autocast's. TF32 is off in all."""

Values = Mapping[str, Tensor]
"""Outputs and gradients by name."""


@dataclass(frozen=True)
class Case:
    """`compute(place, dtype)`: the same computation anywhere. `length`: terms of the longest sum
    behind a number. `same`: relative gap up to which float64 counts as the same; above its rounding
    where parts are float32 in any case. `own`: also allowed 4 times what the CPU's own float32 is
    off, for long chains. `precisions`: in which it is compared.
    """

    compute: Callable[[Placement, torch.dtype], Values]
    length: int
    same: float = 1e-7
    own: bool = True
    precisions: tuple[str, ...] = tuple(PRECISIONS)


@dataclass(frozen=True)
class Agreement:
    """How far a device is off in one precision, relative, and how far it may be."""

    precision: str
    gap: float
    bound: float

    @property
    def holds(self) -> bool:
        return self.gap <= self.bound  # not for NaN


def agreements(case: Case, place: Placement) -> Iterator[Agreement]:
    """One for each precision. The reference is the CPU in float64."""
    with without_tf32():
        reference = case.compute(HOST, torch.float64)
        for name in case.precisions:
            dtype, autocast = PRECISIONS[name]
            off = gap(case.compute(replace(place, autocast=autocast), dtype), reference)
            bound = case.same
            if name != "float64":
                own = 0.0
                if case.own or autocast is not None:
                    own = off
                    if place.device.type != "cpu":
                        host = replace(HOST, autocast=autocast)
                        own = gap(case.compute(host, dtype), reference)
                most = 0.5 if autocast is None else 1.0  # what has nothing in common is further off
                bound = min(most, 4 * own + _rounding(dtype, autocast, case.length))
            yield Agreement(name, off, bound)


def _rounding(dtype: torch.dtype, autocast: torch.dtype | None, length: int) -> float:
    """16 eps sqrt(n) of a sum of n terms; bfloat16 products are summed in float32: 4 eps."""
    if autocast is not None:
        return 4 * torch.finfo(autocast).eps
    return float(16 * torch.finfo(dtype).eps * np.sqrt(length))


def gap(values: Values, reference: Values) -> float:
    """The largest |a - b| / |b| of a tensor, |b| being at least a tenth of the largest tensor's:
    that of a bias in front of a BatchNorm is 0 but for rounding.
    """
    exact = {name: tensor.detach().double().cpu() for name, tensor in reference.items()}
    least = 0.1 * max(float(tensor.norm()) for tensor in exact.values())
    gaps = [
        float((values[name].detach().double().cpu() - b).norm()) / max(float(b.norm()), least)
        for name, b in exact.items()
    ]
    return float(np.max(gaps))  # NaN where one is


def drawn(seed: int, *shape: int) -> Tensor:
    """Standard normal, the same numbers in every precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels(count: int) -> Tensor:
    return torch.randint(0, CLASSES, (count,), generator=torch.Generator().manual_seed(9))


def _placed(tensor: Tensor, place: Placement, dtype: torch.dtype) -> Tensor:
    x = tensor.to(place.device, dtype)
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _batch(count: int, place: Placement, dtype: torch.dtype, side: int = SIDE) -> tuple:
    images = _placed(drawn(7, count, 3, side, side), place, dtype)
    return images, labels(count).to(place.device)


def _with_gradients(y: Tensor, of: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The output, and the gradients of a random weighing of its entries."""
    towards = drawn(8, *y.shape).to(y)
    found = torch.autograd.grad(y, list(of.values()), towards, materialize_grads=True)
    return {"output": y, **dict(zip(of, found, strict=True))}


def operation(name: str, stride: int, size: Size, place: Placement, dtype: torch.dtype) -> Values:
    """One operation as an edge of a search network runs it, weighted."""
    made = torch.Generator().manual_seed(0)
    build = Build(size.channels, stride, False, False, True, made)
    module = OPERATIONS[name](build).to(place.device, dtype, memory_format=torch.channels_last)
    x = _placed(drawn(1, size.batch, size.channels, SIDE, SIDE), place, dtype).requires_grad_()
    weight = torch.tensor(0.7, dtype=dtype, device=place.device, requires_grad=True)
    total = Sum()
    with place.precision():
        module(Source(x), Term(total, weight))
        y = total.value()
    assert y is not None
    return _with_gradients(y, {"x": x, "weight": weight, **dict(module.named_parameters())})


def norm(build: Callable[[int], Norm], size: Size, place: Placement, dtype: torch.dtype) -> Values:
    module = build(size.channels).to(place.device, dtype)
    x = _placed(drawn(1, size.batch, size.channels, SIDE, SIDE), place, dtype).requires_grad_()
    weight = torch.tensor(0.7, dtype=dtype, device=place.device, requires_grad=True)
    with place.precision():
        y = module(x, weight)
    return _with_gradients(y, {"x": x, "weight": weight, **dict(module.named_parameters())})


def synchronised(channels: int) -> Norm:
    return SyncNorm(Norm(channels), Reduction(0, 1, lambda tensor: None))


def network(
    build: Callable[[], nn.Module], size: Size, place: Placement, dtype: torch.dtype
) -> Values:
    """Scores, loss and all gradients of a network without choices, in training mode."""
    module = build().to(place.device, dtype, memory_format=torch.channels_last)
    images, targets = _batch(size.batch, place, dtype, module.input_shape[1])
    with place.precision():
        scores = module(images)
        loss = F.cross_entropy(scores.main, targets)
        if scores.auxiliary is not None:
            loss = loss + F.cross_entropy(scores.auxiliary, targets)
    parameters = dict(module.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
    return {"scores": scores.main, "loss": loss, **dict(zip(parameters, found, strict=True))}


def genotype_network(size: Size, auxiliary: bool = True) -> CellNetwork:
    """With running statistics and scales, as retraining has them."""
    config = CellNetworkConfig(channels=size.channels, auxiliary=auxiliary)
    made = torch.Generator().manual_seed(0)
    return CellNetwork(
        GENOTYPES["DARTS_V1"].at_depth(3), config, side=32, classes=CLASSES, generator=made
    )


def macro_network(size: Size) -> MacroNetwork:
    hyper = HyperArchitecture((BLOCKS[:1], *[BLOCKS[2:]] * (DEPTH - 1)))
    options = {"side": SIDE, "channels": 3, "classes": CLASSES}
    made = torch.Generator().manual_seed(0)
    return MacroNetwork(hyper, size.channels // 2, **options, generator=made)


def estimate(name: str, draw: str, penalty: str, size: Size, place: Placement, dtype) -> Values:
    """An architecture gradient of rows; logits, noise and gradient are float32 on the host."""
    module = chain(size).to(place.device, dtype, memory_format=torch.channels_last)
    mask = torch.ones(3, 3, dtype=torch.bool)
    problem = RowProblem(
        module,
        Classification(),
        0.3 * drawn(2, 3, 3),
        mask,
        scaled(PENALTIES[penalty], 0.7, 0.2),
        ArchitectureConfig(name, draw, penalty=penalty),
        torch.Generator().manual_seed(3),
    )
    with place.precision():
        made = ESTIMATORS[name].estimate(problem, _batch(size.batch, place, dtype))
    return {"gradient": made.grad, "loss": made.loss}


def update(
    config: CellArchitectureConfig, partial: int, size: Size, place: Placement, dtype: torch.dtype
) -> Values:
    """The gradients of the logits, and of the weights where the update has them."""
    module = cells(size, partial).to(place.device, dtype, memory_format=torch.channels_last)
    architecture = EdgeArchitecture(
        module.macro, config, torch.Generator().manual_seed(1), place.device
    )
    for logits in (architecture.logits, architecture.edge_logits):
        logits |= {kind: leaf.to(dtype) for kind, leaf in logits.items()}
    noise = torch.Generator().manual_seed(2)
    problem = NetworkProblem(
        module, module, Classification(), place, architecture, noise, lambda: None
    )
    train = _batch(size.batch, place, dtype)
    held_out = tuple(part.flip(0) for part in train) if config.other_batches else None
    made = architecture.estimate(problem, train, held_out, lambda: Unroll(0.025))
    found = {f"logits {number}": leaf for number, leaf in enumerate(made.logits)}
    weights = {f"weights {number}": w for number, w in enumerate(made.weights or ())}
    return {"loss": made.loss, **found, **weights}


def optimised(config: Optimiser, place: Placement, dtype: torch.dtype) -> Values:
    """Weights after three clipped steps along random gradients."""
    weights = [
        _placed(drawn(i, *shape), place, dtype).requires_grad_()
        for i, shape in enumerate([(8, 4, 3, 3), (8,), (10, 8)])
    ]
    optimizer = config.build(weights)
    for step in range(3):
        for i, weight in enumerate(weights):
            weight.grad = _placed(drawn(10 * step + i, *weight.shape), place, dtype)
        config.clipped(weights)
        optimizer.step()
    return {str(i): weight for i, weight in enumerate(weights)}


def _operations(size: Size) -> dict[str, Case]:
    pixels = size.batch * SIDE**2  # of a channel's statistics, and of a weight's gradient
    return {
        f"{name}, stride {stride}": Case(partial(operation, name, stride, size), pixels, own=False)
        for name, stride in product(OPERATIONS, (1, 2))
    }


def _norms(size: Size) -> dict[str, Case]:
    pixels, built = size.batch * SIDE**2, {"norm": Norm, "synchronised norm": synchronised}
    return {n: Case(partial(norm, build, size), pixels, own=False) for n, build in built.items()}


def _networks(size: Size) -> dict[str, Case]:
    made: dict[str, Callable[[], nn.Module]] = {
        f"chain, norm {n}, activation {a}": partial(
            chain, size, NetworkConfig(3, size.channels, norm=n, activation=a)
        )
        for n, a in product(("row", "operation", "none"), ("vertex", "edge"))
    }
    made["macro"] = partial(macro_network, size)
    made["genotype"] = partial(genotype_network, size)
    pixels = size.batch * SIDE**2
    return {name: Case(partial(network, build, size), pixels) for name, build in made.items()}


def _estimators(size: Size) -> dict[str, Case]:
    named = {(e, d, "none") for e, d in product(ESTIMATORS, DRAWS)}
    named |= {("straight-through-exact", "weighted", p) for p in PENALTIES}
    return {
        ", ".join(names): Case(partial(estimate, *names, size), size.batch * SIDE**2, same=1e-4)
        for names in sorted(named)
    }


def _updates(size: Size) -> dict[str, Case]:
    plain = CellArchitectureConfig(logit_std=0.1)
    configs = {name: replace(plain, update=name) for name in UPDATES}
    configs |= {
        f"{name}, forward": replace(plain, update=name, difference="forward")
        for name, update_kind in UPDATES.items()
        if update_kind.by_differences
    }
    for name in RELAXATIONS:
        configs[f"first-order, {name}"] = replace(plain, relaxation=name)
    for name in EDGE_RELAXATIONS:
        configs[f"joint, edges {name}"] = replace(plain, update="joint", edges=name)
    parts = {name: 4 if config.edges == "softmax" else 1 for name, config in configs.items()}
    return {
        name: Case(partial(update, config, parts[name], size), size.batch * SIDE**2)
        for name, config in configs.items()
    }


def _optimisers(size: Size) -> dict[str, Case]:
    return {
        type(config).__name__: Case(
            partial(optimised, config), 1, own=False, precisions=("float64", "float32")
        )
        for config in (Adam(), SGD(), ASGD(learning_rate=0.1))
    }


FAMILIES: dict[str, Callable[[Size], dict[str, Case]]] = {
    "operations": _operations,
    "norms": _norms,
    "networks": _networks,
    "estimators": _estimators,
    "updates": _updates,
    "optimisers": _optimisers,
}
