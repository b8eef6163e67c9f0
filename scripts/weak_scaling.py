"""Do two nodes do twice the work of one in the same time? The same searches per node, on a loopback
cluster of one node and on one of two, by turns; each node has one processor.

    python scripts/weak_scaling.py [--pairs 5] [--json docs/results/bench/weak.json]

The time of a run is that from its first trial's proposal to its last one's end, by its record: the
start of workers is in it, that of the driver and the nodes is not. Prints and writes the time on
one node over that on two (1 is perfect): median, lowest and highest of the pairs. The driver, Ray
and both nodes share this machine's processors: with two of them, and with other work on it, the
figure is a lower bound. Needs Linux (a loopback address per node) and the source tree, whose tests'
harness it uses.
"""

import os
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro
from _ratio import Ratio, write_json

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "run")]

from loopback import Loopback  # noqa: E402

from fade_ray import results  # noqa: E402
from fade_ray.kinds import kind_of_run  # noqa: E402
from fade_ray.records.journal import read_events  # noqa: E402
from fade_ray.run.command import parse  # noqa: E402
from fade_ray.run.find_cluster import imported_ray  # noqa: E402

LEAN = ("--include-dashboard=false", "--no-monitor", "--include-log-monitor=false")
LOAD = ("--recipes", "darts-1st", "--limit", "300", "--cells", "3", "--channels", "4")
"""Searches that cost the same whatever their seed."""


@dataclass(frozen=True)
class Options:
    """Command line."""

    pairs: int = 5
    """Runs on each cluster, after one of each that does not count."""
    trials: int = 4
    """Searches per node."""
    epochs: int = 6
    """Of each search."""
    json: Path | None = None


def cluster(folder: Path, nodes: int) -> Loopback:
    around = {"PYTHONPATH": str(ROOT)}
    started = Loopback(folder, environment=around, flags=LEAN)
    for _ in range(1, nodes):
        started.add(environment=around)
    return started


def seconds(up: Loopback, folder: Path, trials: int, epochs: int) -> float:
    """That the trials took, together, on a cluster."""
    ray = imported_ray(verbose=False)
    ray.init(up.address, log_to_driver=False)
    seeds = map(str, range(trials))
    options = ["--epochs", str(epochs), "--seeds", *seeds, "--device", "cpu", "--out", str(folder)]
    try:
        results.cells(parse(kind_of_run("cells"), [*LOAD, *options]))
    finally:
        ray.shutdown()
    events = list(read_events(folder / "records.jsonl"))
    ends = [event for event in events if event["event"] == "finished"]
    assert [event["outcome"].get("failure") for event in ends] == [None] * trials
    first = next(event for event in events if event["event"] == "proposed")
    begun, ended = (datetime.fromisoformat(event["time"]) for event in (first, ends[-1]))
    return (ended - begun).total_seconds()


def main(options: Options) -> None:
    os.environ["RAY_AUTH_MODE"] = "disabled"  # as the harness's nodes have it
    load = [os.getloadavg()[0]]
    with TemporaryDirectory(prefix="fw", dir="/tmp") as name, ExitStack() as stack:
        base, taken = Path(name), dict[int, list[float]]()
        clusters = {}
        for nodes in (1, 2):
            (base / f"{nodes}").mkdir()
            clusters[nodes] = stack.enter_context(cluster(base / f"{nodes}", nodes))
            clusters[nodes].wait()
        for pair in range(options.pairs + 1):
            for nodes in (1, 2) if pair % 2 else (2, 1):
                folder = base / f"run-{pair}-{nodes}"
                took = seconds(clusters[nodes], folder, nodes * options.trials, options.epochs)
                taken.setdefault(nodes, []).append(took)
                load.append(os.getloadavg()[0])
                print(f"pair {pair}: {nodes} node(s), {took:.1f} s", flush=True)
    shares = [one / two for one, two in zip(taken[1][1:], taken[2][1:], strict=True)]
    ratio = Ratio(statistics.median(shares), min(shares), max(shares), len(shares))
    print(f"one / two: {ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] n={ratio.n}")
    if options.json is not None:
        figures = {"one / two": ratio, "seconds": taken, "load before each run": load[:-1]}
        write_json(options.json, figures | {"trials": options.trials, "epochs": options.epochs})


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
