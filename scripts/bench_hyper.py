"""How fast is a bilevel step? Ratios to the plain dense form, measured within one run; one line per
figure.

The paper's hyper-architecture: 4 cells, graphs with 7 operations, 5x5 kernels, 32 final channels,
32 x 32 images, batch 128. A step is one architecture batch and one weight batch. The dense form
(`_dense.py`) evaluates every candidate in NCHW, stacks them, multiplies by the one-hot and computes
all gradients in both steps.

    python scripts/bench_hyper.py [--json FILE] [--repeats 7] [--threads 2]
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from _dense import DenseChain
from _ratio import print_ratio, ratios, write_json
from torch.nn import functional as F

from fade_ray.nn import ChainNetwork, Draw, NetworkConfig, gumbel_softmax
from fade_ray.nn.relaxations import draw_path
from fade_ray.training.device import Placement
from fade_ray.training.estimators import DRAWS, ESTIMATORS, RowProblem
from fade_ray.training.objectives import Classification
from fade_ray.training.row_architecture import ArchitectureConfig
from spaces import HyperArchitecture, enumerate_dags

CANDIDATES = [dag for dag in enumerate_dags(5) if dag.operations == 7]
SETTING = ArchitectureConfig(draw="weighted")


@dataclass(frozen=True)
class Bench:
    """Command line."""

    json: Path | None = None
    repeats: int = 7
    threads: int = 2
    memory_of: str | None = None
    """Internal: print the resident memory in MiB that steps of this form add, and end."""


def hyper(depth: int = 4, window: int = 5) -> HyperArchitecture:
    return HyperArchitecture((tuple(CANDIDATES[:window]),) * depth)


@dataclass(frozen=True)
class Scale:
    """Where a step is taken, and how large it is."""

    place: Placement = Placement(torch.device("cpu"))  # noqa: RUF009, frozen
    batch: int = 128
    channels: int = 32
    """Of the last row."""
    capturable: bool = False
    """Optimisers that a CUDA graph can hold."""


PAPER = Scale()


def network(
    architecture: HyperArchitecture, strides: tuple[int, ...] = (), scale: Scale = PAPER
) -> ChainNetwork:
    config = NetworkConfig(
        depth=architecture.depth,
        final_channels=scale.channels,
        kernel=5,
        norm="none",
        share=False,
        strides=strides,
    )
    return ChainNetwork(
        architecture,
        config,
        side=32,
        channels=3,
        classes=10,
        generator=torch.Generator().manual_seed(0),
    )


def batch(scale: Scale = PAPER) -> tuple[torch.Tensor, torch.Tensor]:
    generator, device = torch.Generator().manual_seed(1), scale.place.device
    images = torch.randn(scale.batch, 3, 32, 32, generator=generator)
    labels = torch.randint(0, 10, (scale.batch,), generator=generator)
    return images.to(device), labels.to(device)


def dense_step(architecture: HyperArchitecture, scale: Scale = PAPER) -> Callable[[], None]:
    """The released code's form of one bilevel step, in float32."""
    model = DenseChain(network(architecture, scale=scale)).to(scale.place.device)
    images, labels = batch(scale)
    logits = torch.zeros(architecture.depth, architecture.width, requires_grad=True)
    mask = torch.ones(logits.shape, dtype=torch.bool)
    optimizers = [
        torch.optim.Adam([logits]),
        torch.optim.Adam(model.parameters(), weight_decay=1e-4),
    ]
    generator = torch.Generator().manual_seed(2)

    def step() -> None:
        # the logits on the architecture batch, then the weights on theirs
        for optimizer in optimizers:
            for each in optimizers:
                each.zero_grad()
            gates = gumbel_softmax(logits, mask, 10.0, generator).hard.to(images.device)
            F.cross_entropy(model(images, gates), labels).backward()
            torch.nn.utils.clip_grad_value_(model.parameters(), 10.0)
            optimizer.step()

    return step


def our_step(
    architecture: HyperArchitecture,
    estimator: str,
    strides: tuple[int, ...] = (),
    scale: Scale = PAPER,
    compiled: bool = False,
) -> Callable[[], None]:
    """The product's form of one bilevel step."""
    model, images, labels, optimizer = _ours(architecture, strides, scale)
    if compiled:
        model.compile_candidates()
    logits = torch.zeros(architecture.depth, architecture.width)
    mask = torch.ones(logits.shape, dtype=torch.bool)
    logit_optimizer = torch.optim.Adam([logits])
    generator = torch.Generator().manual_seed(2)
    problem = RowProblem(
        model,
        Classification(),
        logits,
        mask,
        lambda weights: weights.new_zeros(()),
        SETTING,
        generator,
    )

    def step() -> None:
        with scale.place.precision():
            estimate = ESTIMATORS[estimator].estimate(problem, (images, labels))
        logits.grad = estimate.grad
        logit_optimizer.step()
        path = draw_path(DRAWS[SETTING.draw](logits, mask), generator)
        _weight_step(model, optimizer, Draw(path), images, labels, scale)

    return step


def path_step(architecture: HyperArchitecture, scale: Scale = PAPER) -> Callable[[], None]:
    """The weight step along the first path, always the same one."""
    model, images, labels, optimizer = _ours(architecture, (), scale)
    return lambda: _weight_step(model, optimizer, Draw(), images, labels, scale)


def _ours(
    architecture: HyperArchitecture, strides: tuple[int, ...], scale: Scale
) -> tuple[ChainNetwork, torch.Tensor, torch.Tensor, torch.optim.Optimizer]:
    """Network, images, labels and the optimiser of the weights."""
    model, (images, labels) = network(architecture, strides, scale), batch(scale)
    model = model.to(scale.place.device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(
        model.parameters(), weight_decay=1e-4, fused=True, capturable=scale.capturable
    )
    return model, images.contiguous(memory_format=torch.channels_last), labels, optimizer


def _weight_step(
    model: ChainNetwork,
    optimizer: torch.optim.Optimizer,
    draw: Draw,
    images: torch.Tensor,
    labels: torch.Tensor,
    scale: Scale,
) -> None:
    optimizer.zero_grad(set_to_none=True)
    with scale.place.precision():
        loss = F.cross_entropy(model(images, draw).main, labels)
    loss.backward()
    torch.nn.utils.clip_grad_value_([p for p in model.parameters() if p.grad is not None], 10.0)
    optimizer.step()


FORMS: dict[str, Callable[[HyperArchitecture], Callable[[], None]]] = {
    "dense": dense_step,
    "sampled": lambda architecture: our_step(architecture, "straight-through-sampled"),
    "exact": lambda architecture: our_step(architecture, "straight-through-exact"),
    "score function": lambda architecture: our_step(architecture, "score-function"),
}


def added_memory(form: str, threads: int) -> float:
    """Peak resident memory in MiB that three steps add to a process that has torch and the
    network's data loaded.
    """
    call = [sys.executable, __file__, "--memory-of", form, "--threads", str(threads)]
    return float(subprocess.run(call, capture_output=True, text=True, check=True).stdout)


def print_added_memory(form: str) -> None:
    step_of, architecture = FORMS[form], hyper()
    F.conv2d(torch.randn(1, 3, 8, 8), torch.randn(3, 3, 3, 3))  # load the kernels
    # the peak starts again at what is resident now (Linux)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory()
    step = step_of(architecture)
    for _ in range(3):
        step()
    print(peak_memory() - before)


def peak_memory() -> float:
    """Peak resident memory of this process in MiB."""
    (line,) = [
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) / 1024


def main(bench: Bench) -> None:
    torch.set_num_threads(bench.threads)
    if bench.memory_of is not None:
        print_added_memory(bench.memory_of)
        return
    figures = {}

    def compare(name: str, slow: Callable[[], None], fast: Callable[[], None]) -> None:
        figures[name] = ratios(slow, fast, repeats=bench.repeats)
        print_ratio(name, figures[name])

    dense = dense_step(hyper())
    for form in ("sampled", "exact", "score function"):
        compare(form, dense, FORMS[form](hyper()))
    for form in ("sampled", "exact", "dense"):
        # the time of the wide over that of the narrow one
        compare(
            f"{form}, window 10 to 2", FORMS[form](hyper(window=10)), FORMS[form](hyper(window=2))
        )
    for layout, strides in (("paper's layout", ()), ("rows of one size", (1,))):
        shallow, deep = (network(hyper(depth=depth), strides * depth) for depth in (2, 8))
        work = deep.multiply_adds() / shallow.multiply_adds()
        times = [
            our_step(hyper(depth=depth), "straight-through-sampled", strides * depth)
            for depth in (8, 2)
        ]
        compare(f"sampled, depth 8 to 2, {layout} ({work:.2f}x the multiply-adds)", *times)
    memory = {form: added_memory(form, bench.threads) for form in FORMS}
    for form in ("sampled", "exact", "score function"):
        print(
            f"{form}, memory beyond torch: {memory[form] / memory['dense']:.2f}x of dense "
            f"({memory[form]:.0f} MiB)"
        )
    if bench.json is not None:
        write_json(bench.json, figures | {"added_memory_mib": memory})


if __name__ == "__main__":
    main(tyro.cli(Bench))
