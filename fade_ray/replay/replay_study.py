"""Searchers x seeds against one table, in one process or several: with the same results."""

import pickle
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import active_children, get_context

import numpy as np

from fade_ray.compare.entered_history import Job
from fade_ray.compare.entry_job import first_evaluation
from fade_ray.compare.trace import Trace
from fade_ray.records.additions import Addition, load_additions
from fade_ray.replay.benchmarks import Benchmark, read_benchmark
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.replay.table_objective import RankModel, TableObjective
from fade_ray.report.words import count
from fade_ray.search.entrants import WALK, entrant
from searchers import AskTell, Trial, TrialLengths
from searchers.contest import Contest
from spaces.accel_nasbench import MULTIPLY_ADDS, PARAMETERS
from spaces.errors import InvalidInput, require
from spaces.generator import limited
from spaces.hyper import HyperArchitecture

UNIT = "evaluations"
"""Of budgets."""


def searcher_of(benchmark: Benchmark, name: str, seed: int) -> AskTell:
    """The entrant `name` against a benchmark. The half width of its stencil is a box of the
    coarsest axis, so that M and both sides lie in three boxes; at most half the cube.
    """
    walk = replace(WALK, gamma=min(0.5, benchmark.narrowest))
    options = entrant(name).build([walk])
    return options.build(benchmark.space, benchmark.depth, TrialLengths(lockstep=True), seed)


def price(trial: Trial, rank_cost: float) -> float:
    """What a trial costs, in evaluations: training one architecture alone is 1."""
    return rank_cost if trial.ranks else 1.0


@dataclass(frozen=True)
class Replayed:
    """A trace, and what of its budget went into hyper-architectures."""

    trace: Trace
    spent_on_ranks: float
    failure: str | None = None
    """What the searcher raised, on one line; its trace ends with the evaluation before."""
    seconds: float = field(default=0.0, compare=False)
    """It took; 0 where an earlier version did not tell."""

    @property
    def job(self) -> Job:
        return self.trace.searcher, self.trace.seed

    @property
    def alike(self) -> str:
        """What takes as long."""
        return self.trace.searcher

    @property
    def id(self) -> str:
        return f"{self.trace.searcher}-{self.trace.seed}"


def replay(
    name: str,
    build: Callable[[], AskTell],
    objective: TableObjective,
    budget: float,
    rank_cost: float = 1.0,
) -> Replayed:
    """Build a searcher, then ask and tell, one trial after the other, to the end of its budget (in
    evaluations, of which a hyper-architecture costs `rank_cost`), kept as in a `Contest` of one.
    The trace is complete if the search came to its end. An exception ends this search alone.
    """
    evaluations: list[
        tuple[float, float, float, str]
    ] = []  # (spent until then, score, report, code)
    spent, on_ranks, began = 0.0, 0.0, time.perf_counter()
    complete = False
    try:
        contest = Contest({name: build()}, budget, lambda _, asked: price(asked, rank_cost))
        while (entered := contest.ask()) is not None:
            outcome, cost = objective(entered), price(entered, rank_cost)
            spent += cost
            if outcome.score is None:
                on_ranks += cost
            else:
                report = objective.report(entered.hyper)
                evaluations.append((spent, outcome.score, report, entered.hyper.code()))
            contest.tell(entered.id, outcome)
        complete, failure = contest.over(name), contest.failures.get(name)
    # a searcher is the user's to extend: whatever it raises, the other searches go on
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    costs, scores, reports, codes = zip(*evaluations, strict=True) if evaluations else [()] * 4
    told = costs, scores, reports, complete, codes
    trace = Trace(name, objective.seed, budget, UNIT, *told)
    reason = None if failure is None else " ".join(failure.split())
    return Replayed(trace, on_ranks, reason, time.perf_counter() - began)


DRAWS = 20
"""Of noise, in `agreement`."""


@dataclass(frozen=True, eq=False)
class Study:
    """A replay's configuration with everything that it reads. Made by `prepare`."""

    config: ReplayConfig
    benchmark: Benchmark
    model: RankModel
    within: Benchmark
    """What is searched of it: what keeps to the limits."""

    def run(self, job: Job) -> Replayed:
        """One search. What it raises is told in its `failure`."""
        name, seed = job
        build = partial(searcher_of, self.within, name, seed)
        model = replace(self.model, **entrant(name).ranks)
        objective = TableObjective(self.benchmark, seed, model)
        return replay(name, build, objective, self.config.budget, self.config.rank_cost)


def prepare(config: ReplayConfig) -> Study:
    """Read the table and the learned ranks, and check what can be checked before work. InvalidInput
    for files that are not as they should be, or a budget below a searcher's first evaluation.
    """
    weights = config.learned()
    benchmark = read_benchmark(config.table, config.valid)
    study = Study(config, benchmark, config.model(weights), within_limits(benchmark, config))
    TableObjective(study.benchmark, 0, study.model)  # checks the shape of the weights
    for name in config.searchers:
        try:
            searcher = searcher_of(study.within, name, 0)
            needed = first_evaluation(searcher, partial(price, rank_cost=config.rank_cost))
        except InvalidInput:
            raise
        except Exception:  # the search itself will tell of it, as of any later failure
            continue
        rule = "budget >= the cost of the first evaluation of each searcher"
        remedy = f"Give --budget {needed:g} or more, lower --rank-cost, or leave {name} out."
        values = {"budget": config.budget, "searcher": name, "cost": needed}
        require(needed <= config.budget, rule, remedy, **values)
    return study


def within_limits(benchmark: Benchmark, config: ReplayConfig) -> Benchmark:
    """What searchers walk in. InvalidInput where a table does not tell what is limited, or the
    limits leave nothing to choose.
    """
    names = {
        "max_params": PARAMETERS,
        "max_macs": MULTIPLY_ADDS,
        "max_latency_ms": config.latency_device,
    }
    known = {field: name for field, name in names.items() if name in benchmark.costs}
    costs = {field: benchmark.costs[name] for field, name in known.items()}
    limits = config.limits.over(costs)
    name = f"{benchmark.name}, {limits}" if limits else benchmark.name
    space = limited(benchmark.space, benchmark.depth, limits)
    return replace(benchmark, name=name, space=space)


def run_study(
    study: Study,
    additions: Sequence[Addition] = (),
    tell: Callable[[str], None] = lambda text: None,
    done: Mapping[Job, Replayed] | None = None,
    keep: Callable[[Replayed], None] = lambda one: None,
) -> list[Replayed]:
    """All jobs in their order, but for one seed of each searcher first, which tells how long it
    takes; those that are `done`, failed ones too, are not run again: they would answer the same.

    `additions` are loaded in each worker first. `keep` gets each of the others as it ends, `tell` a
    line per searcher and per search that failed.
    """
    known, jobs = dict(done or {}), study.config.jobs()
    left = sorted((job for job in jobs if job not in known), key=lambda job: job[1] > 0)
    with _mapped(study, left, additions) as results:
        for result in results:
            keep(result)
            name, seed = job = result.job
            known[job] = result
            if result.failure is not None:
                partial = f"failed, partial (evaluations: {len(result.trace.costs)})"
                tell(f"{name}, seed {seed}: {partial}: {result.failure}")
            ended = [one for one in known.values() if one.alike == name]
            if len(ended) == sum(each == name for each, _ in jobs):
                took = sum(one.seconds for one in ended)
                tell(f"{name}: {count(len(ended), 'seed')}, {took:.1f} s")
    return [known[job] for job in jobs]


@contextmanager
def _mapped(
    study: Study, jobs: Sequence[Job], additions: Sequence[Addition]
) -> Iterator[Iterator[Replayed]]:
    workers = min(study.config.workers, len(jobs))
    if workers <= 1:
        yield map(study.run, jobs)
        return
    # Spawned, not forked: libraries with threads of their own may hold locks, and a fork would
    # inherit them held.
    context, others = get_context("spawn"), set(active_children())
    given = (tuple(additions), pickle.dumps(study.config))
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=given) as pool:
        try:
            with _deaf():
                # `map` would cancel those that the pool ends below
                futures = [pool.submit(_work, job) for job in jobs]
            yield (future.result() for future in as_completed(futures))
        except BaseException as error:
            for worker in set(active_children()) - others:
                worker.terminate()  # a search may take minutes, and nobody waits for it any more
            if isinstance(error, BrokenProcessPool):
                raise InvalidInput(
                    "Every process of a replay must live to its end, but one was killed or ran out "
                    "of memory. The searches that ended are kept: continue with the same command, "
                    "perhaps with fewer --workers."
                ) from error
            raise


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes started in here never hear of Ctrl-C, which goes to all of a terminal: the parent
    hears of it afterwards, and ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_STUDY: dict[str, Study] = {}  # of a worker process


def _begin(additions: Sequence[Addition], config: bytes) -> None:
    load_additions(additions)  # before anything that they define is unpickled
    _STUDY["study"] = prepare(pickle.loads(config))


def _work(job: Job) -> Replayed:
    return _STUDY["study"].run(job)


def noise_points(benchmark: Benchmark, model: RankModel) -> float | None:
    """The noise of ranks in points of accuracy (0 to 100), mean over `DRAWS` seeds; None for
    learned ranks.

    A table with failed trainings has a large standard deviation, and noise in that unit hides all
    differences between good architectures.
    """
    if model.weights is not None:
        return None
    spreads = [benchmark.view(seed).spread for seed in range(DRAWS)]
    return 100 * model.noise * float(np.mean(spreads))


def agreement(benchmark: Benchmark, model: RankModel) -> float:
    """Spearman's rho between psi and the reports over all architectures of the benchmark, mean over
    `DRAWS` seeds and their noise: how good the ranks of a replay are, in the unit of rank studies.
    """
    most = max(map(len, benchmark.rows))
    filled = (tuple(row) + row[:1] * (most - len(row)) for row in benchmark.rows)
    everything = HyperArchitecture(tuple(filled))
    rhos = []
    for seed in range(DRAWS):
        objective = TableObjective(benchmark, seed, model)
        rows = objective.log_weights(everything, seed)
        whole = zip(rows, benchmark.rows, strict=True)
        weights = tuple(tuple(np.exp(row[: len(known)]).tolist()) for row, known in whole)
        rhos.append(objective.view.spearman(weights))
    return float(np.mean(rhos))
