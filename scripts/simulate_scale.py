"""How well does a search keep many GPUs busy, and what does it cost its driver? The real searcher,
Tune adapter, session, journal and TensorBoard files against trials that only take simulated time.

    python scripts/simulate_scale.py [--out docs/results/bench] [--only walks/64 random/2000]

Each population is simulated as it is, and in lockstep (`--lockstep`, in which every batch waits for
its slowest trial) with batches as large as the GPUs are many. A trial lasts exp(N(0, sigma)) units
of time, whatever it trains; with `--study compare-cifar10` one of the times that the trials of that
study took, in their mean. Neither Ray nor Tune takes part: what they cost a trial comes on top.
Writes scale.svg, scale.png and scale.json; what is in the latter, by the same commit and settings,
is not simulated again.
"""

import heapq
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from fade_ray.records.journal import FORMAT, Journal, read_events
from fade_ray.report import style
from fade_ray.run.folder import command_line, environment, write_json
from fade_ray.run.tensorboard import ROWS, RunBoard, TensorBoard
from fade_ray.run.text_table import text_table
from fade_ray.search.search_history import History
from fade_ray.search.search_session import SearchSession
from searchers import (
    AnchorWalk,
    BayesPoints,
    Evolution,
    Outcome,
    Proposal,
    RandomPoints,
    Searcher,
    TrialLengths,
)
from searchers.tune import TuneSearcher
from spaces import GraphSpace

DEPTH = 4  # rows, as in FaDE
LOCKSTEP_BATCHES = 5  # of other searches than walks: each waits for as long
METRICS = {"loss": 0.5, "accuracy": 0.5, "seconds": 1.0, "images": 1000, "learning_rate": 1e-3}


@dataclass(frozen=True)
class Simulation:
    """Command line."""

    out: Path = Path("docs/results/bench")
    only: tuple[str, ...] = ()
    """Cases such as walks/64; all of them without any."""
    rounds: int = 20
    """Trials per GPU, about; walks do `walk_iterations` iterations each."""
    walk_iterations: int = 6
    epochs: int = 2
    """Of every trial."""
    sigma: float = 0.3
    study: str | None = None
    """Of docs/results: the one whose trials' times are drawn from, in place of sigma's."""
    failing: float = 0.0
    """Share of the trials whose process dies, at their end: each is tried again from its beginning,
    as if it had kept nothing, at most twice."""
    seed: int = 0


Lasts = Callable[[np.random.Generator], float]
"""Draws how long a trial lasts."""


def durations(sim: Simulation) -> Lasts:
    if sim.study is None:
        return lambda rng: float(rng.lognormal(0.0, sim.sigma))
    with tempfile.TemporaryDirectory() as name:
        results.unpack(results.RESULTS / sim.study, Path(name))
        events = read_events(Path(name) / "records.jsonl")
    finished = [event["metrics"] for event in events if event["event"] == "finished"]
    times = np.array([metrics["trial_seconds"] for metrics in finished])
    return lambda rng: float(rng.choice(times) / times.mean())


def random(gpus: int, sim: Simulation, lockstep: bool) -> Searcher:
    return RandomPoints(**points(gpus, sim, lockstep))


def bayes(gpus: int, sim: Simulation, lockstep: bool) -> Searcher:
    return BayesPoints(**points(gpus, sim, lockstep))


def points(gpus: int, sim: Simulation, lockstep: bool) -> dict[str, int]:
    """One point of five evaluations per batch, or enough of them for all GPUs."""
    if lockstep:
        return {"batch": gpus // 5, "iterations": LOCKSTEP_BATCHES}
    return {"batch": 1, "iterations": sim.rounds * gpus // 5}


def evolution(gpus: int, sim: Simulation, lockstep: bool) -> Searcher:
    if lockstep:
        return Evolution(population=gpus, iterations=LOCKSTEP_BATCHES, batch=gpus)
    return Evolution(iterations=sim.rounds * gpus, batch=1)


def fade(gpus: int, sim: Simulation, lockstep: bool) -> Searcher:
    """The default search: two walks."""
    return AnchorWalk(iterations=sim.walk_iterations)


def walks(gpus: int, sim: Simulation, lockstep: bool) -> Searcher:
    return AnchorWalk(iterations=sim.walk_iterations, walks=gpus)


def twice_the_walks(gpus: int, sim: Simulation, lockstep: bool) -> Searcher:
    return AnchorWalk(iterations=sim.walk_iterations, walks=2 * gpus)


POPULATIONS: dict[str, Callable[[int, Simulation, bool], Searcher]] = {
    "random": random,
    "evolution": evolution,
    "bayes": bayes,
    "walks": walks,
    "twice the walks": twice_the_walks,
    "two walks": fade,
}
"""The options for a number of GPUs, as they are or for lockstep."""
GPUS = {
    "random": (10, 64, 2000),
    "evolution": (10, 64, 2000),
    "bayes": (10, 64),
    "walks": (8, 64, 500),
    "twice the walks": (8, 64),
    "two walks": (2, 8),
}
"""Numbers of GPUs that each population is simulated on."""


def made_up_ranks(proposal: Proposal, rng: np.random.Generator) -> Outcome:
    """Of each row; equal cells have equal weights."""
    rows = []
    for cells, places in zip(proposal.hyper.distinct(), proposal.hyper.places(), strict=True):
        logits = rng.normal(size=len(cells))
        weights = logits - np.logaddexp.reduce(logits)
        rows.append(tuple(float(weights[place]) for place in places))
    return Outcome(log_weights=tuple(rows))


def answer(proposal: Proposal, rng: np.random.Generator) -> Outcome:
    """Made up: a score, or ranks."""
    return made_up_ranks(proposal, rng) if proposal.ranks else Outcome(score=float(rng.random()))


def told(proposal: Proposal, rng: np.random.Generator) -> Iterator[str]:
    """What Tune would pass on of a trial, its last event last."""
    for epoch in range(1, proposal.epochs + 1):
        yield json.dumps({"epoch": epoch, "metrics": METRICS})
    yield json.dumps({"outcome": answer(proposal, rng).to_dict(), "metrics": METRICS})


class Cluster:
    """GPUs on a simulated clock; what `adapter` is asked and told takes the driver's time."""

    def __init__(self, adapter: TuneSearcher, gpus: int, sim: Simulation) -> None:
        self.adapter, self.gpus, self.sim, self.lasts = adapter, gpus, sim, durations(sim)
        self.rng = np.random.default_rng(sim.seed)
        self.running: list[tuple[float, str, Proposal]] = []  # a heap: (end, id, trial)
        self.now, self.busy, self.driver, self.trials = 0.0, 0.0, 0.0, 0

    @contextmanager
    def driving(self) -> Iterator[None]:
        started = time.process_time()
        yield
        self.driver += time.process_time() - started

    def run(self) -> None:
        self.fill()
        while self.running:
            self.end_next()
            self.fill()

    def fill(self) -> None:
        while len(self.running) < self.gpus:
            id = f"{self.trials:06d}"
            with self.driving():
                suggestion = self.adapter.suggest(id)
            if suggestion is None or suggestion == self.adapter.FINISHED:
                break
            lasts = self.lasts(self.rng)
            plan = Proposal.from_dict(suggestion["proposal"])
            heapq.heappush(self.running, (self.now + lasts, id, plan))
            self.busy, self.trials = self.busy + lasts, self.trials + 1

    def end_next(self) -> None:
        self.now, id, plan = heapq.heappop(self.running)
        *events, last = told(plan, self.rng)
        with self.driving():
            if self.rng.random() < self.sim.failing:
                self.adapter.on_trial_complete(trial_id=id, error=True)
                return
            for event in events:
                self.adapter.on_trial_result(id, {"event": event})
            self.adapter.on_trial_complete(trial_id=id, result={"event": last})


def simulate(options: Searcher, gpus: int, lockstep: bool, sim: Simulation) -> dict[str, float]:
    """One search to its end: how busy the GPUs were, and what the driver took (processor time)."""
    lengths = TrialLengths(sim.epochs, sim.epochs, lockstep=lockstep)
    searcher: Any = options.build(GraphSpace.create(), DEPTH, lengths, sim.seed)
    with tempfile.TemporaryDirectory() as name, Journal(Path(name) / "records.jsonl") as journal:
        journal.append("start", format=FORMAT)
        boards, history = Path(name) / "tensorboard", History()
        watchers = TensorBoard(boards, ROWS), RunBoard(boards, history)
        session = SearchSession(searcher, journal, history, watchers)
        session.iterations = options.iterations
        session.begin()
        cluster = Cluster(TuneSearcher(session, session.observe), gpus, sim)
        cluster.run()
        records = journal.path.read_bytes().count(b"\n")
    return {
        "utilisation": round(cluster.busy / (gpus * cluster.now), 4),
        "trials": cluster.trials,
        "driver_ms_per_trial": round(1e3 * cluster.driver / cluster.trials, 3),
        "records_per_driver_second": round(records / cluster.driver),
    }


Found = dict[str, dict[str, dict[str, float]]]  # by case, such as walks/64, and by mode
MODES = {"asynchronous": False, "lockstep": True}


def compute(sim: Simulation) -> Found:
    """All cases, written one by one."""
    settings = {key: value for key, value in asdict(sim).items() if key not in ("out", "only")}
    place = sim.out / "scale.json"
    record = {**environment(command_line()), "settings": settings}
    before = json.loads(place.read_text()) if place.exists() else {}
    same = all(before.get(key) == record[key] for key in ("commit", "settings"))
    found: Found = before["cases"] if same else {}
    for case in sim.only or [f"{name}/{gpus}" for name, each in GPUS.items() for gpus in each]:
        if case not in found:
            found[case] = simulated(case, sim)
            write_json(place, {**record, "cases": found})
        print(f"{case} done", flush=True)
    return found


def simulated(case: str, sim: Simulation) -> dict[str, dict[str, float]]:
    """By mode."""
    name, number = case.split("/")
    gpus = int(number)
    return {
        mode: simulate(POPULATIONS[name](gpus, sim, lockstep), gpus, lockstep, sim)
        for mode, lockstep in MODES.items()
    }


def table(found: Found) -> Table:
    """How busy the GPUs were; the driver's time per trial and records by its second, without
    lockstep; how long trials must last for one driver to keep up, as far as this code goes.
    """
    rows = []
    for case, modes in found.items():
        now = modes["asynchronous"]
        shares = [
            f"{100 * modes[mode]['utilisation']:.0f} %" for mode in ("lockstep", "asynchronous")
        ]
        cost = now["driver_ms_per_trial"]
        least = f"{cost / 1e3 * int(case.split('/')[1]):.2g} s"
        rows.append(
            (case, *shares, f"{cost:.1f}", f"{now['records_per_driver_second']:.0f}", least)
        )
    heads = ("case", "lockstep", "async", "ms/trial", "records/s", "shortest trial")
    return text_table(heads, rows, left=("case",))


def figure(found: Found) -> Figure:
    drawn = style.new_figure(4.4)
    axis = drawn.subplots()
    for i, name in enumerate(POPULATIONS):
        by_gpus = {
            int(case.split("/")[1]): modes
            for case, modes in found.items()
            if case.split("/")[0] == name
        }
        for mode, line in {"asynchronous": "-", "lockstep": ":"}.items():
            shares = [100 * modes[mode]["utilisation"] for modes in by_gpus.values()]
            label = {"label": name} if mode == "asynchronous" else {}
            axis.plot(list(by_gpus), shares, **style.look(i, ls=line, **label))
    axis.set(xscale="log", ylim=(0, 102), xlabel="GPUs", ylabel="of their time busy, %")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    style.legend_above(drawn, axis)
    return drawn


ALT = "Share of time that GPUs are busy, by their number, for six searches; dotted in lockstep."


def main(sim: Simulation) -> None:
    sim.out.mkdir(parents=True, exist_ok=True)
    found = compute(sim)
    with style.house_style():
        picture = style.Picture("scale", "GPUs kept busy", figure(found), ALT, "")
        style.save(picture, sim.out)
    Console().print(table(found))


if __name__ == "__main__":
    main(tyro.cli(Simulation, description=__doc__))
