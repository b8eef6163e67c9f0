"""How fast is a replay? Outer steps per second on NAS-Bench-Macro, and their ratio to the target of
1,000 in 10 s; one line per searcher.

A step is a batch of the searcher: for FaDE a hyper-architecture and an evaluation, for the others
an evaluation. Bayesian search fits its model anew in each step, which costs more the more it knows,
and has no target: it is timed over its first `--bayes-steps`.

    python scripts/bench_replay.py --table FILE [--searchers fade random evolution] [--steps 1000]
    [--repeats 3] [--json FILE]
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from _ratio import Ratio, print_ratio, write_json

from fade_ray.replay.benchmarks import Benchmark, read_benchmark
from fade_ray.replay.replay_study import searcher_of
from fade_ray.replay.table_objective import RankModel, TableObjective
from fade_ray.search.entrants import entrant, replayed

TARGET = 10.0  # seconds for STEPS steps
STEPS = 1000


@dataclass(frozen=True)
class Bench:
    """Command line."""

    table: Path
    searchers: tuple[str, ...] = tuple(
        name for name, each in replayed().items() if not each.searcher.slow
    )
    steps: int = STEPS
    bayes_steps: int = 20
    repeats: int = 3
    json: Path | None = None


def seconds(benchmark: Benchmark, name: str, steps: int, seed: int) -> float:
    """Processor time of `steps` batches of a new searcher, the objective's answers included; one
    thread, so that a busy machine does not count.
    """
    searcher = searcher_of(benchmark, name, seed)
    objective = TableObjective(benchmark, seed, RankModel())
    started = time.process_time()
    while searcher.iteration <= steps and (proposal := searcher.ask()) is not None:
        searcher.tell(proposal.id, objective(proposal))
    return time.process_time() - started


def main(bench: Bench) -> None:
    benchmark = read_benchmark(bench.table)
    benchmark.space.boxes  # noqa: B018  # made once, whatever the number of seeds
    figures: dict[str, Ratio | float | str] = {"benchmark": benchmark.name}
    for name in bench.searchers:
        steps = bench.bayes_steps if entrant(name).searcher.slow else bench.steps
        taken = [seconds(benchmark, name, steps, seed) for seed in range(bench.repeats)]
        each = statistics.median(taken) / steps
        figures[f"{name}, ms per step"] = 1000 * each
        print(
            f"{name}: {1000 * each:.2f} ms per step, {steps} steps, n={bench.repeats}", flush=True
        )
        if not entrant(name).searcher.slow:
            ratios = [TARGET / STEPS * steps / one for one in taken]
            figures[name] = Ratio(
                statistics.median(ratios), min(ratios), max(ratios), bench.repeats
            )
            print_ratio(f"{name}, against {STEPS} steps in {TARGET:g} s", figures[name])
    if bench.json is not None:
        write_json(bench.json, figures)


if __name__ == "__main__":
    main(tyro.cli(Bench))
