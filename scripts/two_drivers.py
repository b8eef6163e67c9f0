"""Does one of two drivers of a run directory win, and one alone? Rounds of two real processes, on
one machine or as on two (the file lock between them is put aside), of which the first one may be
frozen, for longer than leases last or for less, at a drawn moment.

    python scripts/two_drivers.py --rounds 0 50 [--out FILE.jsonl]

A line for each round is appended to the file. Ends with exit code 1 where not exactly one won, an
event that was acknowledged is not on record, or is there twice, or a loser's came behind its
successor's. Needs Linux and the source tree.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tyro

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "run")]

from processes import wait_for  # noqa: E402

from fade_ray.records.journal import FORMAT, Journal, read_events  # noqa: E402
from fade_ray.run import ends_when, lease  # noqa: E402
from fade_ray.run.folder import opened  # noqa: E402
from spaces.errors import InvalidInput  # noqa: E402

KINDS = ("at once", "at once, elsewhere", "frozen for long", "frozen for a moment")
RENEWED, EXPIRES = 0.1, 1.5
MORE = 20
"""Events that a winner writes once the other one has ended or holds no longer."""
PATIENCE = 120.0


@dataclass(frozen=True)
class Options:
    """Command line."""

    rounds: tuple[int, int] = (0, 50)
    """The first one, and the one behind the last."""
    out: Path = ROOT / "docs" / "results" / "bench" / "drivers.jsonl"


def drive(folder: Path, name: str, elsewhere: bool) -> None:
    """Hold the run and write, each event noted in `acks` once it is acknowledged, until `enough`
    lies in the folder above.
    """
    lease.RENEWED, lease.EXPIRES, lease.LOOK, lease.SETTLED = RENEWED, EXPIRES, 0.3, 0.3
    ends_when.GRACE = 5.0
    acks = os.open(folder.parent / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if elsewhere:
        (folder / ".lock").unlink(missing_ok=True)
    code = 0
    try:
        with opened(folder, ()) as held, Journal(folder / "records.jsonl", held.check) as journal:
            journal.append("start", format=FORMAT)
            number = left = 0
            while left < MORE:
                journal.append("warning", message=f"{name} {number}")
                os.write(acks, f"{name} {number}\n".encode())
                number += 1
                left += (folder.parent / "enough").exists()
    except InvalidInput as error:
        code = 2 if "One process at a time" in str(error) else 3
    os._exit(code)


def play(seed: int, base: Path) -> dict[str, Any]:
    """One round."""
    rng, kind, folder = random.Random(seed), KINDS[seed % len(KINDS)], base / "run"
    fork = multiprocessing.get_context("fork")
    elsewhere = kind != "at once"
    first = fork.Process(target=drive, args=(folder, "first", False))
    second = fork.Process(target=drive, args=(folder, "second", elsewhere))
    first.start()
    if kind.startswith("frozen"):
        wait_for(lambda: acknowledged(base, "first"), PATIENCE)
        time.sleep(rng.uniform(0, 0.2))  # anywhere in an append
        os.kill(first.pid or 0, signal.SIGSTOP)
    second.start()
    if kind == "frozen for long":
        wait_for(lambda: acknowledged(base, "second"), PATIENCE)
    elif kind == "frozen for a moment":
        time.sleep(EXPIRES / 5)
    os.kill(first.pid or 0, signal.SIGCONT)
    both = (first, second)
    wait_for(lambda: not all(process.is_alive() for process in both), PATIENCE)
    (base / "enough").touch()
    for process in both:
        process.join(PATIENCE)
    codes = [process.exitcode for process in both]
    return {"round": seed, "kind": kind, "codes": codes, **told(base)}


def acknowledged(base: Path, name: str) -> Sequence[str]:
    path = base / name
    return path.read_text().splitlines() if path.exists() else []


def told(base: Path) -> dict[str, int]:
    """What the record lacks, has twice, or has of a loser behind its successor."""
    events = read_events(base / "run" / "records.jsonl")
    messages = [event["message"] for event in events if event["event"] == "warning"]
    names = [message.split()[0] for message in messages]
    turns = [a for a, b in zip(names, [*names[1:], ""], strict=True) if a != b]
    acks = {*acknowledged(base, "first"), *acknowledged(base, "second")}
    return {
        "acknowledged": len(acks),
        "lost": len(acks - set(messages)),
        "twice": sum(count - 1 for count in Counter(messages).values()),
        "late": len(turns) - len(set(turns)),
    }


def main(options: Options) -> None:
    before = options.out.read_text().splitlines() if options.out.exists() else []
    rounds = [json.loads(line) for line in before]
    done = {row["round"] for row in rounds}
    for seed in range(*options.rounds):
        if seed in done:
            continue
        with TemporaryDirectory(prefix="drivers-") as place:
            rounds.append(play(seed, Path(place)))
        with options.out.open("a") as file:
            file.write(json.dumps(rounds[-1]) + "\n")
        print(json.dumps(rounds[-1]), flush=True)
    wrong = [
        row["round"]
        for row in rounds
        if sorted(row["codes"]) != [0, 2] or row["lost"] or row["twice"] or row["late"]
    ]
    print(f"{len(rounds)} rounds, exactly one won in all but {wrong}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(tyro.cli(Options))
