"""The sections of `check_gpu.py` that run in its own process: what each looks at, as checks."""

import platform
import shutil
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bench_cells
import bench_hyper
import torch
from _crossings import Crossings
from _gpu_agreement import FAMILIES, agreements, gap, genotype_network
from _gpu_steps import STEPS, Size, StepKind, cells, chain
from _ratio import ratios
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from fade_ray.nn import Draw
from fade_ray.nn.draw import EdgeWeights
from fade_ray.records.release import VERSION
from fade_ray.training.device import Placement, place, without_tf32
from fade_ray.training.loop import Training

OK, FAILED, NOT_RUN, FIGURE = "ok", "FAILED", "not run", "figure"


@dataclass(frozen=True)
class Check:
    """One line of the table: what was looked at, its value, how far it may go, and the verdict.

    `shown`: in the table; all are in the JSON.
    """

    what: str
    value: Any = None
    bound: Any = None
    verdict: str = FIGURE
    note: str = ""
    shown: bool = True


@dataclass(frozen=True)
class Machine:
    """`device`: cuda, or cpu, where all sizes are the smallest. `folder`: for what is written.
    `seconds`: the section's limit.
    """

    device: str
    folder: Path
    seconds: float = 60.0

    @property
    def on_card(self) -> bool:
        return self.device == "cuda"

    @property
    def place(self) -> Placement:
        """In float32."""
        return place(self.device, "float32")

    @property
    def low(self) -> Placement:
        """In bfloat16."""
        return replace(self.place, autocast=torch.bfloat16)

    @property
    def size(self) -> Size:
        return Size(16, 32) if self.on_card else Size()


def judged(what: str, value: float, bound: float, note: str = "", shown: bool = True) -> Check:
    """`ok` up to the bound; NaN is not."""
    return Check(what, value, bound, OK if value <= bound else FAILED, note, shown)


def reason(error: BaseException) -> str:
    text = str(error).strip() or "no words"
    return f"{type(error).__name__}: {text.splitlines()[0]}"


def environment(machine: Machine) -> Iterator[Check]:
    """Versions, the card, and what the product chooses on it by itself."""
    chosen = place(machine.device)  # in a process that has not touched the card yet
    yield Check("fade_ray", VERSION)
    yield Check("python", platform.python_version())
    yield Check("torch", torch.__version__)
    yield Check("product's choice", f"{chosen.device}, {chosen.autocast or torch.float32}")
    if not machine.on_card:
        yield Check("card", verdict=NOT_RUN, note="asked for the CPU")
        return
    card = torch.cuda.get_device_properties(0)
    yield Check("card", f"{card.name}, {card.total_memory / 2**30:.0f} GiB")
    yield Check("compute capability", f"{card.major}.{card.minor}")
    yield Check("CUDA, cuDNN", f"{torch.version.cuda}, {torch.backends.cudnn.version()}")
    yield Check("cards", torch.cuda.device_count())
    yield Check("driver", driver())


def driver() -> str:
    """The version of NVIDIA's, as its own program says it."""
    if shutil.which("nvidia-smi") is None:
        return "unknown: there is no nvidia-smi"
    call = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    said = subprocess.run(call, capture_output=True, text=True, timeout=10)
    return said.stdout.strip() or said.stderr.strip()


def kernels(machine: Machine) -> Iterator[Check]:
    """Every operation, network, estimator, update and optimiser against the CPU in float64."""
    for family, cases in FAMILIES.items():
        worst: dict[str, list[float]] = {}
        for name, case in cases(machine.size).items():
            try:
                for made in agreements(case, machine.place):
                    what = f"{family}: {name}, {made.precision}"
                    shown = not made.holds
                    yield judged(what, made.gap, made.bound, "relative gap", shown)
                    worst.setdefault(made.precision, []).append(made.gap / made.bound)
            except Exception as error:  # recorded, and the next one is tried
                yield Check(f"{family}: {name}", verdict=FAILED, note=reason(error))
        for precision, shares in worst.items():
            note = f"largest gap over its bound, {len(shares)} compared"
            yield judged(f"{family}, {precision}", max(shares), 1.0, note)


def layout(machine: Machine) -> Iterator[Check]:
    """Maps stay channels-last from the stem on; the weights' layout changes no score."""
    for name, (network, draw) in _layout_cases(machine).items():
        images = torch.randn(machine.size.batch, *network.input_shape).to(machine.place.device)
        astray: list[str] = []
        _watch(network, astray)
        with without_tf32(), torch.no_grad():
            plain = network.to(images.device, memory_format=torch.contiguous_format)(images, draw)
            astray.clear()
            laid = network.to(memory_format=torch.channels_last)(images, draw)
        yield judged(f"{name}: maps in another layout", len(astray), 0, ", ".join(astray[:3]))
        off = gap({"scores": laid.main}, {"scores": plain.main})
        yield judged(f"{name}: scores with weights in the other layout", off, 1e-4)


def _layout_cases(machine: Machine) -> dict[str, tuple[Any, Draw]]:
    network, device = cells(machine.size), machine.place.device
    shapes = {kind: cell.mask.shape for kind, cell in network.macro.cells.items()}
    edges = {kind: EdgeWeights(torch.full(s, 1 / s[1]).to(device)) for kind, s in shapes.items()}
    return {
        "chain": (chain(machine.size), Draw()),
        "search cells": (network, Draw(edges=edges)),
        "genotype": (genotype_network(machine.size), Draw()),
    }


def _watch(network: nn.Module, astray: list[str]) -> None:
    """`astray` is told the modules whose output is a map that is not channels-last."""
    for name, module in network.named_modules():

        def look(module: nn.Module, inputs: Any, y: Any, name: str = name) -> None:
            is_map = isinstance(y, Tensor) and y.dim() == 4
            if is_map and not y.is_contiguous(memory_format=torch.channels_last):
                astray.append(name)

        module.register_forward_hook(look)


def precision(machine: Machine) -> Iterator[Check]:
    """A training in bfloat16: finite, about the float32 loss, float32 weights, no GradScaler."""
    for name in ("rows, straight-through-exact", "cells, first-order", "cells, second-order"):
        losses, networks = [], []
        for where in (machine.low, machine.place):
            training = STEPS[name].training(where, machine.size, 2)
            losses.append(training.run_epoch()["loss"])  # raises where it is not finite
            networks.append(training.network)
        yield judged(f"{name}: loss in bfloat16", abs(losses[0] / losses[1] - 1), 0.1, "relative")
        others = sum(p.dtype != torch.float32 for p in networks[0].parameters())
        yield judged(f"{name}: weights that are not float32", others, 0)
    chosen = place(machine.device).autocast
    kind = OK if chosen in (None, torch.bfloat16) else FAILED
    note = "a GradScaler is for float16, which the product never takes"
    yield Check("autocast by itself", str(chosen), "bfloat16 or none", kind, note)


def waits(machine: Machine) -> Iterator[Check]:
    """How often a step waits: for the card, or without one for a device that stands for any."""
    for name, kind in STEPS.items():
        try:
            yield from _waits(name, kind, machine)
        except Exception as error:  # recorded, and the next one is tried
            yield Check(name, verdict=FAILED, note=reason(error))


def _waits(name: str, kind: StepKind, machine: Machine) -> Iterator[Check]:
    if machine.on_card:
        yield from _waits_of_the_card(name, kind, machine)
    elif kind.simulated:
        few, more = (_crossings(kind, META, Size(), count) for count in (1, 2))
        for word, allowed in (("reads", kind.reads), ("sends", 0)):
            extra = getattr(more, word) - getattr(few, word)
            what, over = f"{name}: {word} of a step that block", extra.total() > allowed
            yield judged(what, extra.total(), allowed, _lines(extra) or kind.what_for, over)


META = Placement(torch.device("meta"))
"""Stands for any device: computes nothing, and what it answers is made up."""


def _crossings(kind: StepKind, where: Placement, size: Size, count: int) -> Crossings:
    training = kind.training(where, size, count)
    training.epoch = 1  # the last: drop path rises from 0
    with Crossings() as crossings:
        training.run_epoch()
    return crossings


def _lines(counted: Counter[str]) -> str:
    return ", ".join(f"{count}x {line}" for line, count in counted.most_common(3))


def _waits_of_the_card(name: str, kind: StepKind, machine: Machine) -> Iterator[Check]:
    for what, counted in (("warned of", _warned), ("seen by the profiler", _profiled)):
        few, more = (counted(kind, machine, batches) for batches in (1, 3))
        if few is None or more is None:
            note = "the profiler sees nothing of the card here"
            yield Check(f"{name}: synchronisations {what}", verdict=NOT_RUN, note=note)
            continue
        per_step, note = (more - few) / 2, kind.what_for
        if per_step > kind.reads:
            crossings = _crossings(kind, machine.low, machine.size, 1)
            note = _lines(crossings.reads + crossings.sends)
        yield judged(f"{name}: synchronisations {what}", per_step, kind.reads, note)


def _warmed_up(kind: StepKind, machine: Machine, count: int) -> Training:
    """In its last epoch."""
    training = kind.training(machine.low, machine.size, count)
    training.run_epoch()
    return training


def _warned(kind: StepKind, machine: Machine, count: int) -> int | None:
    training = _warmed_up(kind, machine, count)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            training.run_epoch()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in caught)


def _profiled(kind: StepKind, machine: Machine, count: int) -> int | None:
    training = _warmed_up(kind, machine, count)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        training.run_epoch()
    counts = {event.key: event.count for event in seen.key_averages()}
    if not any("LaunchKernel" in name for name in counts):
        return None
    waiting = ("cudaStreamSynchronize", "cudaEventSynchronize", "cudaMemcpy")
    return sum(counts.get(name, 0) for name in waiting)


Build = Callable[[bench_hyper.Scale, bool], Callable[[], None]]
"""(scale, compiled) -> a step."""


@dataclass(frozen=True)
class Timed:
    """`plain`: eager, float32, contiguous; `ours`: the product's; `captured`: what a CUDA graph can
    hold of it; `compiled`: a shorter network of it, since compilation takes its time per cell.
    """

    plain: Build
    ours: Build
    captured: Build
    compiled: Build


def _timed() -> dict[str, Timed]:
    short = bench_cells.MACRO.at_depth(3)
    sampled, wide = "straight-through-sampled", bench_hyper.hyper()

    def rows(architecture: Any) -> Build:
        return lambda scale, compiled: bench_hyper.our_step(
            architecture, sampled, (), scale, compiled
        )

    def edges(macro: Any) -> Build:
        return lambda scale, compiled: bench_cells.our_step(
            "first-order", macro=macro, scale=scale, compiled=compiled
        )

    return {
        "hyper-architecture": Timed(
            lambda scale, compiled: bench_hyper.dense_step(wide, scale),
            rows(wide),
            lambda scale, compiled: bench_hyper.path_step(wide, scale),
            rows(bench_hyper.hyper(depth=2, window=1)),
        ),
        "cells": Timed(
            lambda scale, compiled: bench_cells.plain_step(scale=scale),
            edges(bench_cells.MACRO),
            edges(bench_cells.MACRO),
            edges(short),
        ),
    }


def steps(machine: Machine) -> Iterator[Check]:
    """Times of steps over each other, alternating, median of five pairs."""
    plain, low = machine.place, machine.low
    sizes = {"hyper-architecture": (128, 32), "cells": (32, 16)}
    for name, timed in _timed().items():
        batch, channels = sizes[name] if machine.on_card else (2, 8)
        scale = bench_hyper.Scale(plain, batch, channels)
        fast = replace(scale, place=low)
        baseline = finished(timed.plain(scale, False), machine)
        for form, where in (("channels-last float32", scale), ("channels-last bfloat16", fast)):
            what = f"{name}: plain float32 contiguous to {form}"
            yield _ratio(what, machine, baseline, finished(timed.ours(where, False), machine))
        if not machine.on_card:
            for form in ("CUDA graph", "torch.compile"):
                yield Check(f"{name}: {form}", verdict=NOT_RUN, note="asked for the CPU")
            continue
        held = replace(fast, capturable=True)
        eager = finished(timed.captured(held, False), machine)
        what = f"{name}: bfloat16 step without to with CUDA graph"
        yield _ratio(what, machine, eager, finished(captured(timed.captured(held, False)), machine))
    for name, timed in _timed().items():  # last: minutes where the cache is empty
        if machine.on_card:
            scale = bench_hyper.Scale(low, *sizes[name])
            eager = finished(timed.compiled(scale, False), machine)
            what = f"{name}, shorter: bfloat16 without to with torch.compile"
            yield _ratio(what, machine, eager, finished(timed.compiled(scale, True), machine))


def finished(step: Callable[[], None], machine: Machine) -> Callable[[], None]:
    """A few steps, which have ended on the device when it returns."""

    def run() -> None:
        for _ in range(5 if machine.on_card else 1):
            step()
        if machine.on_card:
            torch.cuda.synchronize()

    return run


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The step as one CUDA graph, replayed."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    held = (graph, step)  # the graph reads and writes the memory of what the step is made of
    return lambda: held[0].replay()


def _ratio(
    what: str, machine: Machine, baseline: Callable[[], None], contender: Callable[[], None]
) -> Check:
    found = ratios(baseline, contender, repeats=5 if machine.on_card else 1)
    note = f"lowest {found.low:.2f}, highest {found.high:.2f}, {found.n} pairs"
    return Check(what, found.median, None, FIGURE, note)
