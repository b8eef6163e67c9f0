"""How fast is a step of a cell search? Ratios measured within one run; one line per figure.

The search network of DARTS: 8 operations, 8 cells, 16 channels, batch 32, 32 x 32 images, float32.
A step is one architecture update with its batch and one weight step. The plain form
(`_plain_cells.py`) computes in NCHW, one module per operation and edge, all gradients in both
passes, as the original code does.

StacNAS's steps are joint ones on S1 with 16 channels: of stage 1 on the representatives of its
groups and none, 14 cells; of stage 2 on the members of one group and none on each edge, 20 cells,
here the groups in turn.

    python scripts/bench_cells.py [--part step updates stages sampled memory] [--json FILE]
    [--repeats 5] [--threads 1]
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from _plain_cells import PlainCells
from _ratio import ratios, write_json
from bench_hyper import Scale, peak_memory
from torch import Tensor
from torch.nn import functional as F

from fade_ray.nn import CellNetwork, CellNetworkConfig, Draw, EdgeWeights
from fade_ray.nn.relaxations import RELAXATIONS
from fade_ray.training.updates import UPDATES, Unroll, UpdateConfig
from spaces.cell import NONE, Macro
from spaces.darts import published
from spaces.groups import representatives

Difference = Literal["central", "forward"]
Part = Literal["step", "updates", "stages", "sampled", "memory"]
PARTS: tuple[Part, ...] = ("step", "updates", "stages", "sampled", "memory")
MACRO = published("darts").macro.at_depth(8)
SAMPLED = "gumbel-softmax-sampled"
BATCH, RATE, MOMENTUM, DECAY, CLIP = 32, 0.025, 0.9, 3e-4, 5.0


@dataclass(frozen=True)
class Bench:
    """Command line."""

    part: tuple[Part, ...] = PARTS
    json: Path | None = None
    repeats: int = 5
    threads: int = 1
    memory_of: str | None = None
    """Internal: print the resident memory in MiB that steps of this form add, and end."""


def stage(number: int) -> Macro:
    """What StacNAS searches on S1 in stage 1 and 2."""
    space = published("s1")
    groups = space.groups or ()
    cells = {}
    for kind, cell in space.macro.cells.items():
        mask = cell.mask
        for edge, row in enumerate(mask):
            members = groups[edge % len(groups)] if number == 2 else representatives(groups)
            row &= [op in (NONE, *members) for op in cell.ops]
        cells[kind] = cell.narrowed(mask)
    return space.macro.with_cells(cells).at_depth({1: 14, 2: 20}[number])


SCALE = Scale(batch=BATCH, channels=16)
"""`channels` of the first cells."""


def network(macro: Macro = MACRO, scale: Scale = SCALE) -> CellNetwork:
    generator = torch.Generator().manual_seed(0)
    return CellNetwork(
        macro,
        CellNetworkConfig(channels=scale.channels).for_search(macro.stack),
        side=32,
        classes=10,
        generator=generator,
    )


def batch(seed: int, scale: Scale = SCALE) -> tuple[Tensor, Tensor]:
    generator, device = torch.Generator().manual_seed(seed), scale.place.device
    images = torch.randn(scale.batch, 3, 32, 32, generator=generator)
    return images.to(device), torch.randint(0, 10, (scale.batch,), generator=generator).to(device)


def logits(macro: Macro = MACRO, scale: Scale = SCALE) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        kind: (1e-3 * torch.randn(cell.mask.shape, generator=generator)).to(scale.place.device)
        for kind, cell in macro.cells.items()
    }


def adam(leaves: Sequence[Tensor], scale: Scale = SCALE) -> torch.optim.Adam:
    betas, capturable = (0.5, 0.999), scale.capturable
    return torch.optim.Adam(leaves, 3e-4, betas, weight_decay=1e-3, capturable=capturable)


def plain_step(macro: Macro = MACRO, scale: Scale = SCALE) -> Callable[[], None]:
    """The original code's form of one first-order step, in float32."""
    model = PlainCells(network(macro, scale)).to(scale.place.device)
    leaves, train, valid = logits(macro, scale), batch(0, scale), batch(1, scale)
    architecture = adam([leaf.requires_grad_() for leaf in leaves.values()])
    weights = torch.optim.SGD(model.parameters(), RATE, MOMENTUM, weight_decay=DECAY)

    def step() -> None:
        for optimizer, (images, labels) in ((architecture, valid), (weights, train)):
            optimizer.zero_grad()
            mixed = {kind: EdgeWeights(leaf.softmax(1)) for kind, leaf in leaves.items()}
            F.cross_entropy(model(images, mixed), labels).backward()
            if optimizer is weights:
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()

    return step


class Search:
    """A search network with its logits: the `Problem` of the updates."""

    def __init__(self, relaxation: str, macro: Macro, scale: Scale) -> None:
        device, self.precision = scale.place.device, scale.place.precision
        form = torch.channels_last if device.type == "cuda" else torch.preserve_format
        self.network = network(macro, scale).to(device, memory_format=form)
        self.leaves = logits(macro, scale)
        self.relaxation, self.generator = RELAXATIONS[relaxation], torch.Generator().manual_seed(3)
        cells = macro.cells.items()
        self.masks = {kind: torch.tensor(cell.mask).to(device) for kind, cell in cells}
        self.weights: Sequence[Tensor] = list(self.network.parameters())
        self.logits: Sequence[Tensor] = list(self.leaves.values())
        self.generators = [self.generator]

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        mixed = {}
        for kind, leaf in self.leaves.items():
            operations, used = self.relaxation.weights(leaf, self.masks[kind], 1.0, self.generator)
            mixed[kind] = EdgeWeights(operations, used=used)
        with self.precision():
            return F.cross_entropy(self.network(batch[0], Draw(edges=mixed)).main, batch[1])


def our_step(
    update: str,
    relaxation: str = "softmax",
    difference: Difference = "central",
    macro: Macro = MACRO,
    scale: Scale = SCALE,
    compiled: bool = False,
) -> Callable[[], None]:
    """The product's form of one step."""
    problem, config = Search(relaxation, macro, scale), UpdateConfig(difference=difference)
    train, valid = batch(0, scale), batch(1, scale)
    if compiled:
        problem.network.compile_candidates()
    architecture = adam(problem.logits, scale)
    weights = torch.optim.SGD(problem.weights, RATE, MOMENTUM, weight_decay=DECAY, fused=True)
    for weight in problem.weights:  # which the fused step cannot make for some of them only
        weights.state[weight]["momentum_buffer"] = torch.zeros_like(weight)

    def step() -> None:
        buffers = [weights.state[weight]["momentum_buffer"] for weight in problem.weights]
        found = UPDATES[update](
            problem, train, valid, Unroll(RATE, MOMENTUM, DECAY, buffers), config
        )
        for leaf, gradient in zip(problem.logits, found.architecture, strict=True):
            leaf.grad = gradient
        architecture.step()
        if found.weights is None:
            problem.loss(train).backward()
        else:
            for weight, gradient in zip(problem.weights, found.weights, strict=True):
                weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(problem.weights, CLIP)
        weights.step()
        weights.zero_grad(set_to_none=True)

    return step


FORMS: dict[str, Callable[[], Callable[[], None]]] = {
    "plain": plain_step,
    "ours": lambda: our_step("first-order"),
}


def added_memory(form: str, threads: int) -> float:
    """Peak resident memory in MiB that two steps add to a process that has torch loaded."""
    call = [sys.executable, __file__, "--memory-of", form, "--threads", str(threads)]
    return float(subprocess.run(call, capture_output=True, text=True, check=True).stdout)


def print_added_memory(form: str) -> None:
    F.conv2d(torch.randn(1, 3, 8, 8), torch.randn(3, 3, 3, 3))  # load the kernels
    # the peak starts again at what is resident now (Linux)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory()
    step = FORMS[form]()
    for _ in range(2):
        step()
    print(peak_memory() - before)


def main(bench: Bench) -> None:
    torch.set_num_threads(bench.threads)
    if bench.memory_of is not None:
        print_added_memory(bench.memory_of)
        return
    figures: dict[str, object] = {}

    def compare(name: str, slow: Callable[[], None], fast: Callable[[], None]) -> None:
        figures[name] = ratio = ratios(slow, fast, repeats=bench.repeats)
        print(
            f"{name}: {ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}] n={ratio.n}",
            flush=True,
        )
        if bench.json is not None:  # each as soon as it is there
            write_json(bench.json, figures)

    ours = our_step("first-order")
    if "step" in bench.part:
        compare("first-order step: plain form to ours", plain_step(), ours)
    if "updates" in bench.part:  # the time of the other update over that of the first-order step
        compare("joint to first-order step", our_step("joint"), ours)
        for update in ("second-order", "amended"):
            compare(f"{update} to first-order step, central differences", our_step(update), ours)
            compare(
                f"{update} to first-order step, forward differences",
                our_step(update, difference="forward"),
                ours,
            )
    if "stages" in bench.part:
        for number in (1, 2):
            step = our_step("joint", macro=stage(number))
            compare(f"step of StacNAS's stage {number} to first-order step", step, ours)
    if "sampled" in bench.part:
        compare(
            "first-order step: all operations to one sampled per edge",
            ours,
            our_step("first-order", SAMPLED),
        )
    if "memory" in bench.part:
        memory = {form: added_memory(form, bench.threads) for form in FORMS}
        print(
            f"memory beyond torch: {memory['ours'] / memory['plain']:.2f}x of the plain form "
            f"({memory['ours']:.0f} MiB)"
        )
        figures["added_memory_mib"] = memory
    if bench.json is not None:
        write_json(bench.json, figures)


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
