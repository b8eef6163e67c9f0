"""What does a run lose on a disk that fails? Of all writes, flushes and renames of a tiny run the
n-th one goes wrong, n = 1, 2, ... until a run has fewer; it is continued and its directory compared
with that of a run that nothing disturbed.

    python scripts/inject_faults.py [--runs tiny search] [--every 1] [--out FILE.jsonl]
    python scripts/inject_faults.py --show

A line for each run and kind of fault is appended to the file, with the calls that did not end well;
kinds that are in it already are not injected again. `--every 5` injects at every fifth call. Needs
Linux and the source tree, whose tests' disk it uses. Ends with exit code 1 where a trial was lost,
counted twice or other than undisturbed, or a fault was told without words.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import tyro
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "run")]

from failing_disk import FAULTS  # noqa: E402
from faulty_runs import carried_out, judged, left_behind, story  # noqa: E402

from fade_ray.run.folder import environment  # noqa: E402
from fade_ray.run.text_table import text_table  # noqa: E402

COUNTS = ("lost", "twice", "differing")
CONTINUED, KILLED = "continued", 60
"""A tiny run that was killed at its 60th call."""
SAID = ("died", "in words", "ended")


@dataclass(frozen=True)
class Options:
    """Command line."""

    runs: tuple[str, ...] = ("tiny", CONTINUED, "search", "compare", "cells", "retrain", "replay")
    """`tiny`: three trials of two weights; `continued`: the rest of one that was killed; and the
    commands, in this process on a few of the digits: `search`, `compare`, `cells`, `retrain` and
    (on a table) `replay`.
    """
    faults: tuple[str, ...] = FAULTS
    every: int = 1
    """Inject at each so many-th call."""
    within: Path | None = Path("/dev/shm")
    """Where the runs lie: no flush is needed there."""
    out: Path = ROOT / "docs" / "results" / "bench" / "faults.jsonl"
    show: bool = False
    """Inject nothing: print the table of what is in the file."""


def injected(name: str, fault: str, every: int, base: Path) -> dict[str, Any]:
    """One run and one kind of fault, at every call."""
    began, said, sums = time.monotonic(), Counter[str](), Counter[str]()
    wrong, kind, tree = list[dict[str, Any]](), name, None
    if name == CONTINUED:
        kind = "tiny"
        with TemporaryDirectory(dir=base) as place:
            tree = left_behind(kind, Path(place), KILLED)
    with TemporaryDirectory(dir=base) as place:
        carried_out(kind, Path(place))
        plain = story(Path(place) / "run")
    for at in count(1, every):
        with TemporaryDirectory(dir=base) as place:
            found = judged(kind, Path(place), fault, at, plain, tree)
        if found is None:
            break
        said[found.said if found.said in SAID else "without words"] += 1
        sums.update({each: getattr(found, each) for each in COUNTS})
        if not found.fine:
            wrong.append({"at": at, **vars(found)})
    return {
        "run": name,
        "fault": fault,
        "every": every,
        "calls": at - 1,
        "injected": said.total(),
        **{each: sums[each] for each in COUNTS},
        "said": dict(said),
        "wrong": wrong[:10],
        "silent": sum(not found["problem"] for found in wrong),
        "commit": environment("")["commit"],
        "seconds": round(time.monotonic() - began, 1),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """A line for each run and kind of fault, and one for all."""
    sums = Counter[str]()
    for row in rows:
        told = {name: row["said"].get(name, 0) for name in (*SAID, "without words")}
        numbers = {name: row[name] for name in ("injected", *COUNTS, "silent")} | told
        sums.update(numbers)
        yield [row["run"], row["fault"], *map(str, numbers.values())]
    yield ["together", "", *(str(sums[name]) for name in HEADS[2:])]


HEADS = ("run", "fault", "injected", *COUNTS, "silent", *SAID, "without words")


def main(options: Options) -> None:
    torch.set_num_threads(1)
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    rows = [json.loads(line) for line in lines]
    done = {(row["run"], row["fault"]) for row in rows}
    asked = (
        [] if options.show else [(run, fault) for run in options.runs for fault in options.faults]
    )
    for run, fault in asked:
        if (run, fault) not in done:
            with TemporaryDirectory(dir=options.within, prefix="faults-") as place:
                rows.append(injected(run, fault, options.every, Path(place)))
            with options.out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(json.dumps(rows[-1]), flush=True)
    Console(highlight=False, width=120).print(text_table(HEADS, table(rows), left=HEADS[:2]))
    if any(row["wrong"] for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Options))
