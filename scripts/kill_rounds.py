"""What do faults cost a run? Rounds of a tiny search on a loopback cluster of two nodes, in which
nodes, workers, the head and the driver are killed, frozen, replaced and told to leave.

    python scripts/kill_rounds.py --rounds 0 110 [--kinds "driver killed"] [--out FILE.jsonl]
    python scripts/kill_rounds.py --show

A round's number is its seed: its faults and their moments (counted in recorded epochs, never in
time) are drawn from it; in rounds 100 to 109 each kind has its turn. Behind its last fault the run
goes on to its end, and its record is compared with that of a run that nothing disturbed. A line per
round is appended to the file; rounds that are in it already are not played again. Needs Linux (a
loopback address per node, /proc) and the source tree, whose tests' harness it uses. Ends with exit
code 1 where a record differed or a process was left.
"""

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tyro
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "run")]

from forked import Forked  # noqa: E402
from loopback import Loopback  # noqa: E402
from processes import children_of, commands, end_by_id, wait_for  # noqa: E402
from scoped_ray import of_cluster, stop  # noqa: E402

from fade_ray.records.journal import read_events  # noqa: E402
from fade_ray.records.run_files import read_object  # noqa: E402
from fade_ray.run.ending import Ending  # noqa: E402
from fade_ray.run.text_table import text_table  # noqa: E402

SEARCH = [
    *("search", "--limit", "240", "--min-vertices", "2", "--max-vertices", "4", "--depth", "2"),
    *("--final-channels", "4", "--kernel", "3", "--iterations", "1", "--walks", "2"),
    *("--rank-epochs", "4", "--evaluations", "1", "--evaluation-epochs", "3"),
    *("--retrain-epochs", "4", "--cpus-per-trial", "1", "--lockstep"),
    *("--confirmed", "0", "--baselines", "off"),
]
"""In lockstep, in which the record depends on nothing but the seed."""
PATIENCE = 1500.0  # seconds until a step of a round counts as hung
NODE = {
    "PYTHONPATH": str(ROOT),
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "90",  # of a busy machine
}
LEAN = ("--include-dashboard=false", "--no-monitor", "--include-log-monitor=false")
STARTS = 5
"""Tries to start a node: one whose agents need more than 15 seconds gives up."""
DETECTION = {"RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "5000"}
"""A node that does not answer is given up after half a minute, in place of a whole one."""
COUNTER = """
import os
from fade_ray.training.loop import Training

def counted(run_epoch):
    def begin(self):
        place = os.open({place!r}, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(place, b".")
        os.close(place)
        return run_epoch(self)
    return begin

Training.run_epoch = counted(Training.run_epoch)
"""
"""A file for `--use` that counts the epochs that are begun, in every process."""
PATHS = {
    "good": ("lean",),
    "without the package": ("hiding",),
    "with other source": ("lean", "other"),
}
"""What comes before the source tree on a node's PYTHONPATH."""
HIDDEN = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r} or name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")
sys.meta_path.insert(0, Hidden())
"""
"""A sitecustomize.py that hides modules from a node."""
HIDING = {
    "lean": ("ray.dashboard.optional_deps",),  # agents without a server
    "hiding": ("ray.dashboard.optional_deps", "fade_ray", "searchers", "spaces"),
}


@dataclass(frozen=True)
class Options:
    """Command line."""

    rounds: tuple[int, int] = (0, 110)
    """The first one, and the one behind the last."""
    kinds: tuple[str, ...] = ()
    """Faults to draw from; all of them without any."""
    out: Path = ROOT / "docs" / "results" / "bench" / "kills.jsonl"
    show: bool = False
    """Play nothing: print the table of what is in the file."""


# nodes


def came_up(cluster: Loopback) -> bool:
    try:
        cluster.wait()
    except AssertionError:
        return False
    return True


def environment(base: Path, kind: str) -> dict[str, str]:
    """That a node of a kind is started in."""
    paths = [str(base / name) for name in PATHS[kind]]
    return {**NODE, "PYTHONPATH": ":".join([*paths, str(ROOT)])}


@dataclass
class Stage:
    """A run and what it runs on: the cluster, its node beside the head, the driver."""

    base: Path
    rng: random.Random = field(default_factory=random.Random)
    cluster: Loopback | None = None
    node: subprocess.Popen[bytes] | None = None
    good: bool = True
    """Whether trials can run on `node`."""
    run: Path = Path()
    driver: Forked | None = None
    clusters: int = 0

    @property
    def up(self) -> Loopback:
        assert self.cluster is not None
        return self.cluster

    def add(self, kind: str = "good") -> None:
        """A node beside the head, with one of the PATHS."""
        flags = ["--include-log-monitor=false"]
        for _ in range(STARTS):
            self.node = self.up.add(environment=environment(self.base, kind), flags=flags)
            self.good = kind == "good"
            if came_up(self.up):
                return
            self.lose()
        raise AssertionError("no node comes up")

    def lose(self) -> None:
        """The node beside the head, without a word."""
        if self.node is not None:
            self.up.lose(self.node)
        self.node = None

    def restore(self) -> None:
        """A head and one good node, whatever was before."""
        for _ in range(STARTS):
            if self.cluster is not None and came_up(self.cluster):
                break
            self.close()
            folder = self.base / f"{self.clusters}"
            folder.mkdir()
            self.clusters += 1
            around = {**environment(self.base, "good"), **DETECTION}
            self.cluster = Loopback(folder, environment=around, flags=LEAN)
        if self.node is not None and (self.node.poll() is not None or not self.good):
            self.lose()
        if self.node is None:
            self.add()

    def close(self) -> None:
        """End the cluster."""
        if self.cluster is not None:
            self.cluster.__exit__(None, None, None)
            stop(str(self.cluster.folder / "ray"))
        self.cluster = self.node = None

    @property
    def begun(self) -> Path:
        """As many bytes as epochs were begun."""
        return self.run.with_suffix(".begun")

    @property
    def log(self) -> Path:
        return self.run.with_suffix(".log")

    def start(self, engine: str = "ray") -> None:
        """A driver: on the cluster, or of the plain loop.

        It works where Ray's workers look for modules first: in ROOT, all had its source. And it is
        connected before: its own look at who answers there asks for an answer within seconds, which
        a busy machine has not.
        """
        counter = self.run.with_suffix(".py")
        counter.write_text(COUNTER.format(place=str(self.begun)))
        call = [*SEARCH, "--out", str(self.run), "--use", str(counter), "--engine", engine]
        address = self.up.address if engine == "ray" else None
        self.driver = Forked(["fade-ray", *call], self.log, self.base, os.environ, address)

    def end(self, seconds: float = PATIENCE) -> int:
        """Wait for the driver; its exit code."""
        assert self.driver is not None
        try:
            return self.driver.wait(seconds)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            raise AssertionError(f"the driver hangs: {self.log.read_text()[-2000:]}") from None

    @property
    def running(self) -> bool:
        return self.driver is not None and self.driver.poll() is None

    def events(self) -> list[dict[str, Any]]:
        """But for the beginnings of trials, which were not recorded when rounds were drawn."""
        path = self.run / "records.jsonl"
        recorded = read_events(path) if path.exists() else []
        return [event for event in recorded if event["event"] != "begun"]

    def record(self) -> str:
        path = self.run / "records.jsonl"
        return path.read_text() if path.exists() else ""

    def epochs(self) -> int:
        """How many are recorded; -1 before the first trial is."""
        text = self.record()
        return text.count('"event": "epoch"') if '"proposed"' in text else -1

    def used(self) -> list[str]:
        """The nodes that epochs were carried out on."""
        events = (event for event in self.events() if event["event"] == "epoch")
        return sorted({event["metrics"]["node"] for event in events})

    def trials(self, of: Sequence[subprocess.Popen[bytes]]) -> list[int]:
        """The processes that carry trials out on some nodes."""
        below = (children_of(node.pid) for node in of)
        return sorted(pid for each in below for pid, line in each.items() if "FadeTrial" in line)

    def await_trial(self, *of: subprocess.Popen[bytes] | None) -> list[int]:
        """The processes of trials, on some nodes or on all, once there are any."""
        nodes = [node for node in of if node is not None] or self.up.nodes
        wait_for(lambda: self.trials(nodes) or not self.running, PATIENCE)
        return self.trials(nodes)


# faults: each happens to a stage, and returns what there is to say of it

Fault = Callable[[Stage], Mapping[str, Any] | None]


def worker_killed(stage: Stage) -> None:
    end_by_id(stage.await_trial()[:1])


def worker_told_to_leave(stage: Stage) -> None:
    send(stage.await_trial()[:1], signal.SIGTERM)


def node_lost(stage: Stage) -> None:
    stage.await_trial(stage.node)
    stage.lose()
    stage.add()


def replaced(kind: str, words: str) -> Fault:
    """The node is lost, and another one of a kind comes; the head's trial is held until the record
    says in these words that it was asked.
    """

    def fault(stage: Stage) -> Mapping[str, Any]:
        stage.await_trial(stage.node)
        stage.lose()
        with held(stage):
            stage.add(kind)
            wait_for(lambda: words in stage.record() or not stage.running, PATIENCE)
        return {"asked": words in stage.record()}

    return fault


def node_told_to_leave(stage: Stage) -> None:
    """All of its processes are, as those of a machine that is taken away."""
    stage.await_trial(stage.node)
    assert stage.node is not None
    below = [stage.node.pid, *children_of(stage.node.pid)]
    send(below, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        stage.node.wait(30)
    stage.lose()
    end_by_id([pid for pid in below if pid in of_cluster(str(stage.up.folder / "ray"))])
    stage.add()


def node_joins(stage: Stage) -> Mapping[str, Any]:
    """While trials wait for one (`play` took the other one away before): the one that runs is held
    until one of the others has run there.
    """
    stage.await_trial()
    with held(stage):
        stage.add()
        wait_for(lambda: beside_head(stage) or not stage.running, PATIENCE)
        return {"used": beside_head(stage)}


def beside_head(stage: Stage) -> bool:
    """Whether a trial has had an epoch on another node."""
    head = f"{stage.up.address.partition(':')[0]} ("
    return any(not node.startswith(head) for node in stage.used())


@contextmanager
def held(stage: Stage) -> Iterator[None]:
    """The trial on the head stands still."""
    pids = stage.trials(stage.up.nodes[:1])
    send(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        send(pids, signal.SIGCONT)


def send(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def node_frozen(stage: Stage) -> Mapping[str, Any]:
    """Until the run has got on by as many events as are drawn, or, every other time, for good."""
    on = stage.rng.randint(1, 8)
    return frozen(stage, on, for_good=stage.rng.random() < 1 / 2)


def node_given_up(stage: Stage) -> Mapping[str, Any]:
    return frozen(stage, 0, for_good=True)


def frozen(stage: Stage, on: int, for_good: bool) -> Mapping[str, Any]:
    """The node is, until the run has got on by `on` events, or until Ray has given the node up:
    what thaws then is no more part of the run.
    """
    stage.await_trial(stage.node)
    assert stage.node is not None
    below = [stage.node.pid, *children_of(stage.node.pid)]
    events = len(stage.events())

    def given_up() -> bool:
        return any(event["event"] == "restarted" for event in stage.events()[events:])

    def enough() -> bool:
        return given_up() if for_good else len(stage.events()) >= events + on

    send(below, signal.SIGSTOP)
    try:
        with held(stage) if for_good else nullcontext():
            wait_for(lambda: enough() or not stage.running, PATIENCE)
    finally:
        send(below, signal.SIGCONT)
    stage.good = False  # one that was given up ends by itself
    return {"given_up": given_up()}


def head_killed(stage: Stage) -> Mapping[str, Any]:
    """What makes it the head; the driver must end in words of its own. Goes on on a new cluster."""
    stage.await_trial()
    below = children_of(stage.up.nodes[0].pid)
    end_by_id([pid for pid, line in below.items() if "gcs_server" in line])
    killed = time.monotonic()
    code = stage.end()
    seconds = time.monotonic() - killed
    said = " ".join(stage.log.read_text().split())  # however its lines are broken
    words = f"continue with fade-ray search --out {stage.run}" in said
    stage.close()
    stage.restore()
    stage.start()
    return {"ended": seconds, "code": code, "words": words and "Traceback" not in said}


def driver_killed(stage: Stage) -> None:
    assert stage.driver is not None
    stage.driver.kill()
    stage.end()
    stage.start()


def driver_told_to_end(stage: Stage) -> Mapping[str, Any]:
    number = stage.rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    assert stage.driver is not None
    stage.driver.send_signal(number)
    told = time.monotonic()
    code = stage.end()
    seconds = time.monotonic() - told
    stage.start()
    return {"ended": seconds, "code": code, "words": code == 128 + number}


FAULTS: dict[str, Fault] = {
    "node lost": node_lost,
    "driver killed": driver_killed,
    "worker killed": worker_killed,
    "replaced by one without the package": replaced("without the package", "cannot import"),
    "driver told to end": driver_told_to_end,
    "node joins": node_joins,
    "node frozen": node_frozen,
    "replaced by one with other source": replaced("with other source", "other source"),
    "head killed": head_killed,
    "node told to leave": node_told_to_leave,
    "worker told to leave": worker_told_to_leave,
    "node frozen until it is given up": node_given_up,
}
DRAWN = tuple(FAULTS)[:-1]
"""Round by round the first fault is the next one of these; the last one came after they had been
played."""
TEN = (
    *(("node lost",), ("node frozen",), ("node joins",)),
    *(("driver killed", "worker killed"), ("driver told to end", "worker told to leave")),
    *(("replaced by one without the package",), ("replaced by one with other source",)),
    *(("node told to leave",), ("node frozen until it is given up",), ("head killed",)),
)
"""The faults of rounds 100 to 109: each kind once."""
SECOND = ("driver killed", "worker killed", "driver told to end", "worker told to leave")
"""What may come on top, in one round of three."""


def drawn(seed: int, kinds: Sequence[str], epochs: int) -> list[tuple[int, str]]:
    """The faults of a round, each with the number of recorded epochs at which it strikes."""
    rng = random.Random(seed)
    named = [kinds[seed % len(kinds)]]
    if rng.random() < 1 / 3:
        named.append(rng.choice(SECOND))
    if seed >= 100:
        named = list(TEN[seed % len(TEN)])
    moments = rng.sample(range(epochs - 4), len(named))
    if named[0] == "node joins":
        moments[0] %= 3  # while the second of two trials waits for a place
    return sorted(zip(moments, named, strict=True))


# rounds

TIMES = {"seconds", "trial_seconds", "images_per_second", "peak_memory_mib", "node", "latency_ms"}
"""What a record says of when and where."""


def recorded(events: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], list[Any]]:
    """What was recorded under each name: once, if nothing was counted twice."""
    found: dict[tuple[str, ...], list[Any]] = {}
    for event in events:
        metrics = {k: v for k, v in event.get("metrics", {}).items() if k not in TIMES}
        match event["event"]:
            case "proposed":
                key, value = ("proposed", event["proposal"]["id"]), event["proposal"]
            case "epoch":
                key, value = ("epoch", event["id"], str(event["epoch"])), metrics
            case "finished":
                key, value = ("finished", event["id"]), [event["outcome"], metrics]
            case "iteration":
                key, value = ("iteration", str(event["iteration"])), event["anchors"]
            case _:
                continue
        found.setdefault(key, []).append(value)
    return found


def compared(
    plain: Mapping[tuple[str, ...], list[Any]], other: Mapping[tuple[str, ...], list[Any]]
) -> dict[str, int]:
    """What is not as in the undisturbed run: trials lost, entries counted twice, entries that
    differ or should not be there.
    """
    ended = [key for key in plain if key[0] == "finished"]
    return {
        "lost": sum(key not in other for key in ended),
        "twice": sum(len(values) - 1 for values in other.values()),
        "differing": sum(plain.get(key) != [values[0]] for key, values in other.items())
        + sum(key not in other for key in plain if key[0] != "finished"),
    }


def got_on(events: Sequence[Mapping[str, Any]], struck: float) -> float | None:
    """Seconds until all trials that were open when a fault struck had told another epoch or had
    ended; None where none was open.
    """
    at = [(datetime.fromisoformat(event["time"]).timestamp(), event) for event in events]
    named = {e["proposal"]["id"] for t, e in at if e["event"] == "proposed" and t <= struck}
    waits = named - {e["id"] for t, e in at if e["event"] == "finished" and t <= struck}
    if not waits:
        return None
    for when, event in at:
        if when > struck and event["event"] in ("epoch", "finished"):
            waits -= {event["id"]}
            if not waits:
                return when - struck
    return None


def play(stage: Stage, seed: int, kinds: Sequence[str], plain: Sequence[Any]) -> dict[str, Any]:
    """One round."""
    began = time.monotonic()
    epochs = sum(event["event"] == "epoch" for event in plain)
    faults = drawn(seed, kinds, epochs)
    stage.rng, stage.run = random.Random(seed + 1_000_000), stage.base / f"round{seed}"
    stage.restore()
    if any(kind == "node joins" for _, kind in faults):
        stage.lose()  # until then
    stage.start()
    struck = []
    for moment, kind in faults:
        wait_for(lambda moment=moment: stage.epochs() >= moment or not stage.running, PATIENCE)
        if stage.running:
            when = time.time()
            said = FAULTS[kind](stage) or {}
            struck.append({"kind": kind, "epoch": moment, "when": when, **said})
    code = stage.end()
    assert code == 0, f"exit code {code}: {stage.log.read_text()[-3000:]}"
    events = stage.events()
    for fault in struck:
        seconds = got_on(events, fault.pop("when"))
        fault["seconds"] = seconds if seconds is None else round(seconds, 1)
        if "ended" in fault:
            fault["ended"] = round(fault["ended"], 1)
    wait_for(lambda: not stage.trials(stage.up.nodes), PATIENCE)
    return {
        "round": seed,
        "faults": struck,
        **compared(recorded(plain), recorded(events)),
        "epochs": epochs,
        "repeated": stage.begun.stat().st_size - epochs,
        "restarts": dict(
            Counter(e["failure"]["kind"] for e in events if e["event"] == "restarted")
        ),
        "checkpoints": len(list((stage.run / "checkpoints").iterdir())),
        "nodes": stage.used(),
        "commit": read_object(stage.run / "environment.json")["commit"],
        "seconds": round(time.monotonic() - began, 1),
    }


def tried(stage: Stage, seed: int, kinds: Sequence[str], plain: Sequence[Any]) -> dict[str, Any]:
    """A round, or what kept it from its end; then the next one has another cluster."""
    try:
        return play(stage, seed, kinds, plain)
    except AssertionError as error:
        stage.close()
        return {"round": seed, "faults": [], "problem": str(error)}


def undisturbed(stage: Stage) -> list[dict[str, Any]]:
    """The record of the same search in the plain loop."""
    stage.run = stage.base / "plain"
    stage.start("local")
    code = stage.end()
    assert code == 0, stage.log.read_text()[-2000:]
    events = stage.events()
    assert stage.begun.stat().st_size == sum(event["event"] == "epoch" for event in events)
    return events


def prepare(base: Path) -> None:
    """What makes a node another one."""
    for name, modules in HIDING.items():
        (base / name).mkdir()
        (base / name / "sitecustomize.py").write_text(HIDDEN.format(names=modules))
    for package in ("fade_ray", "searchers", "spaces"):
        shutil.copytree(ROOT / package, base / "other" / package)
    with (base / "other" / "spaces" / "dag.py").open("a") as file:
        file.write("\n# another commit\n")


def table(rounds: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """By kind of fault; the counts are those of the rounds that it struck in."""
    for kind in FAULTS:
        rows = [row for row in rounds if any(fault["kind"] == kind for fault in row["faults"])]
        faults = [fault for row in rows for fault in row["faults"] if fault["kind"] == kind]
        waits = [fault["seconds"] for fault in faults if fault["seconds"] is not None]
        if rows:
            sums = [sum(row[name] for row in rows) for name in COUNTS]
            middle = f"{statistics.median(waits):.0f}" if waits else "-"
            longest = f"{max(waits):.0f}" if waits else "-"
            yield [kind, *map(str, (len(faults), len(rows), *sums)), middle, longest]
    sums = [sum(row.get(name, 0) for row in rounds) for name in COUNTS]
    struck = sum(len(row["faults"]) for row in rounds)
    yield ["together", *map(str, (struck, len(rounds), *sums)), "", ""]


COUNTS = ("lost", "twice", "differing", "repeated")
HEADS = ("fault", "struck", "rounds", *COUNTS, "seconds", "longest")


def main(options: Options) -> None:
    before = options.out.read_text().splitlines() if options.out.exists() else []
    rounds = [json.loads(line) for line in before]
    left = 0 if options.show else played(options, rounds)
    Console(highlight=False, width=110).print(text_table(HEADS, table(rounds), left=("fault",)))
    signs = ("problem", "lost", "twice", "differing", "checkpoints")
    wrong = [row["round"] for row in rounds if any(row.get(sign) for sign in signs)]
    if wrong or left:
        print(f"rounds that did not end as an undisturbed run: {wrong}; processes left: {left}")
        sys.exit(1)


def played(options: Options, rounds: list[dict[str, Any]]) -> int:
    """Play what is missing, appending to `rounds` and to the file; the processes that are left."""
    os.environ.update(NODE)
    Ending()  # whatever ends this ends its clusters
    kinds = options.kinds or DRAWN
    done = {row["round"] for row in rounds}
    with TemporaryDirectory(prefix="kr", dir="/tmp") as place:
        stage = Stage(Path(place))
        prepare(stage.base)
        try:
            plain = undisturbed(stage)
            for seed in range(*options.rounds):
                if seed not in done:
                    rounds.append(tried(stage, seed, kinds, plain))
                    with options.out.open("a") as file:
                        file.write(json.dumps(rounds[-1]) + "\n")
                    print(json.dumps(rounds[-1]), flush=True)
        finally:
            if stage.running:
                stage.driver.kill()
            stage.close()
        with suppress(AssertionError):
            wait_for(lambda: not mentions(place), 30)
        return len(mentions(place))


def mentions(place: str) -> list[str]:
    """The processes that speak of a folder."""
    return [line for line in commands().values() if place in line]


if __name__ == "__main__":
    main(tyro.cli(Options))
