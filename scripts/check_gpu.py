"""Does everything that is written for GPUs work on one? One table, one JSON; 6 minutes on one card.

    python scripts/check_gpu.py --device cuda --out gpu.json [--sections NAME ...] [--budget 360]
    python scripts/check_gpu.py --device cpu --out cpu.json    # the smallest sizes, for its test

Each section is a process of its own under its own limit: one that raises, runs out of time or loses
the card is recorded with its reason, with the checks it had, and the next one begins. The JSON is
written anew after each. Ends with exit code 1 where a check failed or a section did not end.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import _gpu_runs as runs
import _gpu_sections as parts
from _gpu_sections import FAILED, Check, Machine, reason
from rich.console import Console

from fade_ray.records.atomic import write_atomically
from fade_ray.run.text_table import text_table

ENDED, RAISED, CUT, SKIPPED = "ended", "raised", "out of time", "not run"
LEAST = 5.0
"""Seconds without which no section begins."""


@dataclass(frozen=True)
class Section:
    """`checks` are told one by one; `seconds`: the limit."""

    checks: Callable[[Machine], Iterator[Check]]
    seconds: float


SECTIONS: dict[str, Section] = {
    "environment": Section(parts.environment, 30),
    "kernels": Section(parts.kernels, 75),
    "channels-last": Section(parts.layout, 20),
    "mixed precision": Section(parts.precision, 20),
    "synchronisations": Section(parts.waits, 75),
    "export": Section(runs.export, 30),
    "search": Section(runs.search, 60),
    "packing": Section(runs.packing, 120),
    "steps": Section(parts.steps, 150),
}
"""In this order: what is quick and says most comes first, what compiles last."""


@dataclass(frozen=True)
class Told:
    """What became of a section."""

    ending: str
    seconds: float
    note: str
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        return self.ending == ENDED and all(check.verdict != FAILED for check in self.checks)


def tell(section: Section, machine: Machine) -> Told:
    """Carry a section out in a process of its own, at most `machine.seconds` long."""
    start = time.monotonic()
    reader, writer = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")  # what is imported stays imported
    process = context.Process(target=_child, args=(section, machine, reader, writer))
    process.start()
    writer.close()
    checks: list[Check] = []
    ending, note = CUT, f"after {machine.seconds:.0f} s"
    try:
        while (left := start + machine.seconds - time.monotonic()) > 0:
            if not reader.poll(left):
                break
            try:
                said = reader.recv()
            except EOFError:
                process.join()
                ending, note = RAISED, f"the process ended with {process.exitcode}"
                break
            if isinstance(said, Check):
                checks.append(said)
                continue
            ending, note = said
            break
    finally:  # also where this process is asked to leave
        _end(process)
    return Told(ending, time.monotonic() - start, note, tuple(checks))


def _child(section: Section, machine: Machine, reader: Connection, writer: Connection) -> None:
    os.setsid()  # what it starts is of its group, and ends with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was begun is put away
    reader.close()
    try:
        for check in section.checks(machine):
            writer.send(check)
    except Exception as error:  # told to the parent, which records it
        writer.send((RAISED, reason(error)))
    else:
        writer.send((ENDED, ""))


def _end(process: Any) -> None:
    """The process and its group: asked first, so that a run can close its cluster."""
    for sign, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        process.join(seconds)


def carry_out(
    sections: Mapping[str, Section],
    device: str,
    budget: float,
    out: Path,
    show: Callable[[str, Told], None] = lambda name, told: None,
) -> dict[str, Told]:
    """All sections one after the other, within `budget` seconds; `out` is written after each."""
    start, results = time.monotonic(), {}
    for name, section in sections.items():
        left = budget - (time.monotonic() - start)
        if left < min(LEAST, section.seconds):
            results[name] = Told(SKIPPED, 0.0, f"the budget of {budget:.0f} s is used up", ())
        else:
            with tempfile.TemporaryDirectory(prefix="gpu-", ignore_cleanup_errors=True) as folder:
                machine = Machine(device, Path(folder), min(section.seconds, left))
                results[name] = tell(section, machine)
        write(out, results, device)
        show(name, results[name])
    return results


def write(out: Path, results: Mapping[str, Told], device: str) -> None:
    content = {
        "device": device,
        "holds": all(told.holds for told in results.values()),
        "sections": {name: asdict(told) for name, told in results.items()},
    }
    write_atomically(out, (json.dumps(_finite(content), indent=1) + "\n").encode())


def _finite(value: Any) -> Any:
    """JSON has no NaN: as its name."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value if not isinstance(value, float) or abs(value) < float("inf") else str(value)


def table(results: Mapping[str, Told]) -> Any:
    """The checks that are shown, and a line for what became of each section."""
    rows = []
    for name, told in results.items():
        for each in told.checks:
            if each.shown:
                words = (_short(each.value), _short(each.bound), each.verdict, each.note[:60])
                rows.append((name, each.what, *words))
        rows.append((name, told.ending, f"{told.seconds:.0f} s", "", "", told.note[:60]))
    heads = ("section", "what", "value", "bound", "verdict", "note")
    return text_table(heads, rows, left=("section", "what", "verdict", "note"))


def _short(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--budget", type=float, default=360.0, help="seconds for all (360)")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="times the sections' limits (1)"
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    chosen = {
        name: replace(section, seconds=given.patience * section.seconds)
        for name, section in SECTIONS.items()
        if name in given.sections
    }

    def show(name: str, told: Told) -> None:
        print(f"{name}: {told.ending} after {told.seconds:.0f} s {told.note}", flush=True)

    results = carry_out(chosen, given.device, given.budget, given.out, show)
    Console(width=200, soft_wrap=True).print(table(results))
    return 0 if all(told.holds for told in results.values()) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
