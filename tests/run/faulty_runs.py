"""Runs on a disk that fails, continued on one that does not, and compared with undisturbed ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from failing_disk import Died, FailingDisk, Tree, placed, replaced
from pyarrow.parquet import write_table

from fade_ray.analyse.alpha_config import AlphaStudy, SwapOptions
from fade_ray.analyse.gradient_config import GradientStudy
from fade_ray.cells.cells_config import CellsConfig, GridConfig, RetrainingOptions
from fade_ray.compare.compare_config import CompareConfig, ContestConfig
from fade_ray.data.data_config import DataConfig
from fade_ray.export.export_module import write_whole
from fade_ray.kinds import kind_in, kind_of_run
from fade_ray.nn import NetworkConfig
from fade_ray.ranks.rank_config import RankStudyConfig, StudyConfig
from fade_ray.records.history import TrialHistory
from fade_ray.records.journal import read_events
from fade_ray.records.run_files import Run, read_object
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.retraining import RetrainConfig
from fade_ray.retraining.retrain_config import NetworkOptions, RetrainData
from fade_ray.run import folder, lease
from fade_ray.run.kind import RunKind
from fade_ray.run.lifecycle import run as carry_out
from fade_ray.run.run_config import RunConfig, RunOptions, WorkersConfig
from fade_ray.run.run_of_trials import RunOfTrials, Trials
from fade_ray.run.watcher import Watcher
from fade_ray.search.chain_trial import weights_path
from fade_ray.search.search_config import Config, FinishConfig, OuterConfig, SpaceConfig
from fade_ray.training import SGD, ArchitectureConfig, TrainConfig, place
from fade_ray.trials.job import Event, checkpoint_path, write_output
from fade_ray.trials.trainee import Ending, Trainee, lifecycle, read_weights, weights_bytes
from searchers import AnchorWalk, Outcome
from searchers.grid import GridSearch
from spaces.errors import InvalidInput, at_least
from spaces.genotype import named_genotype
from spaces.nasbench_macro import DEPTH, codes

# a run that is small enough to be made thousands of times


@dataclass(frozen=True)
class TinyPlan:
    """A trial that goes on with the weights of the one before it."""

    id: str
    parent: str | None
    seed: int
    epochs: int = 2
    attempt: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TinyPlan":
        return cls(**data)

    def retry(self) -> "TinyPlan":
        return replace(self, id=f"{self.id}r", attempt=self.attempt + 1, seed=self.seed + 100)


@dataclass(frozen=True)
class TinyConfig(RunOptions):
    """A chain of trials."""

    trials: int = 3
    run: RunConfig = field(default_factory=lambda: RunConfig(engine="local"))

    def __post_init__(self) -> None:
        at_least(1, trials=self.trials)


class TinyHistory(TrialHistory[TinyPlan]):
    plan = TinyPlan


class TinyTrial(Trainee):
    """Two weights that walk at random, and the generator."""

    def __init__(self, plan: TinyPlan, folder: Path) -> None:
        self.plan, self.folder, self.placement = plan, folder, place("cpu", "float32")
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.network, self.epoch = torch.nn.Linear(1, 1), 0
        for value in self.network.parameters():
            value.requires_grad_(False).zero_()
        if plan.parent is not None:
            self.network.load_state_dict(read_weights(weights_path(folder, plan.parent)))

    @property
    def finished(self) -> bool:
        return self.epoch == self.plan.epochs

    def run_epoch(self) -> dict[str, Any]:
        self.epoch += 1
        for value in self.network.parameters():
            value += torch.rand(value.shape, generator=self.generator)
        loss = float(self.network.weight)
        return {"loss": loss, "images": 1, "multiply_adds": 1, "seconds": 0.0}

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        write_output(weights_path(self.folder, self.plan.id), weights_bytes(self.network))
        return Ending(Outcome(score=float(self.network.bias)))

    def state_dict(self) -> dict[str, Any]:
        drawn, network = self.generator.get_state(), self.network.state_dict()
        return {"epoch": self.epoch, "generator": drawn, "network": network}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.generator.set_state(state["generator"])
        self.network.load_state_dict(state["network"])


class TinyJob:
    def run(self, plan: Mapping[str, Any], data: Any, folder: Path) -> Iterator[Event]:
        planned = TinyPlan.from_dict(plan)
        return lifecycle(lambda: TinyTrial(planned, folder), checkpoint_path(folder, planned.id))


class TinyRun(RunOfTrials[TinyConfig, TinyHistory], name="tiny"):
    """A chain of trials, each of two weights."""

    example = "fade-ray tiny"
    config, history, reports = TinyConfig, TinyHistory, False

    def prepare(self, config: TinyConfig) -> Trials[GridSearch[TinyPlan]]:
        ids = [f"{number:05d}" for number in range(config.trials)]
        plans = [
            TinyPlan(id, before, int(id)) for id, before in zip(ids, [None, *ids[:-1]], strict=True)
        ]
        return Trials(GridSearch(plans, TinyPlan.retry), TinyJob(), None)

    def deliver(
        self, prepared: Trials[GridSearch[TinyPlan]], run: Run[TinyConfig, TinyHistory]
    ) -> dict[str, Any]:
        last = max(run.history.outcomes)
        content = weights_path(run.folder, last).read_bytes()
        write_whole(run.folder / "architectures" / "architecture.safetensors", content)
        return {"score": run.history.outcomes[last].score}


def tiny(out: Path) -> TinyConfig:
    return TinyConfig(out=str(out))


def digits(out: Path) -> Config:
    """A search on the embedded digits with all kinds of trial."""
    return Config(
        data=DataConfig(limit=120),
        space=SpaceConfig(min_vertices=2, max_vertices=3),
        network=NetworkConfig(depth=2, final_channels=4, kernel=3),
        train=TrainConfig(batch_size=64),
        architecture=ArchitectureConfig(paths=2),
        searcher=AnchorWalk(iterations=1, walks=1, gamma=0.26, evaluate_every=1, finalists=1),
        outer=OuterConfig(rank_epochs=2, evaluation_epochs=1, retrain_epochs=2, lockstep=True),
        finish=FinishConfig(confirmed=1, confirmations=1, retrain_seeds=1, baselines=("random",)),
        run=RunConfig(engine="local"),
        out=str(out),
    )


def contest(out: Path) -> CompareConfig:
    """Two searchers that pay for four evaluations each."""
    return CompareConfig(
        contest=ContestConfig(searchers=("random", "evolution"), seeds=(0,), budget=80 * 4.0),
        data=DataConfig(limit=120),
        space=SpaceConfig(min_vertices=2, max_vertices=3),
        network=NetworkConfig(depth=2, final_channels=4, kernel=3),
        train=TrainConfig(batch_size=64),
        outer=OuterConfig(evaluation_epochs=1),
        run=RunConfig(engine="local"),
        out=str(out),
    )


def grid(out: Path) -> CellsConfig:
    """A search of cells and a drawn cell, each retrained."""
    return CellsConfig(
        data=DataConfig(limit=96),
        grid=GridConfig(
            recipes=("darts-1st", "random"),
            spaces=("nasbench201",),
            seeds=(0,),
            epochs=2,
            cells=3,
            channels=2,
            lower_rate=False,
        ),
        retraining=RetrainingOptions(retrain=True, retrain_epochs=(1,), retrain_seeds=1),
        train=TrainConfig(batch_size=24, optimiser=SGD()),
        run=RunConfig(engine="local"),
        out=str(out),
    )


def retraining(out: Path) -> RetrainConfig:
    """A cell of NAS-Bench-201, its average kept too."""
    cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    return RetrainConfig(
        genotype=named_genotype(cell, "A cell"),
        data=RetrainData(limit=96),
        network=NetworkOptions(cells=3, channels=2),
        train=TrainConfig(batch_size=24, optimiser=SGD(), ema=0.9),
        epochs=2,
        workers=WorkersConfig(device="cpu"),
        out=str(out),
    )


_OF_USER = TemporaryDirectory(prefix="fade-ray-table-")  # on a disk that does not fail


@cache
def table() -> str:
    """A made up one."""
    place = Path(_OF_USER.name) / "table.parquet"
    columns = {f"test_acc_{seed}": np.linspace(20 + seed, 90, 3**DEPTH) for seed in range(3)}
    write_table(pa.table({"arch": codes(), **columns}), place)
    return str(place)


def replayed(out: Path) -> ReplayConfig:
    searchers = ("random", "evolution")
    return ReplayConfig(table(), searchers=searchers, seeds=2, budget=5, out=str(out))


def ranked(out: Path) -> RankStudyConfig:
    """Ranks of three graphs in each of two rows, and three architectures alone."""
    return RankStudyConfig(
        study=StudyConfig(seeds=(0,), graphs=3, rank_epochs=2, sample=3, repeats=1, alone_epochs=1),
        data=DataConfig(limit=120),
        network=NetworkConfig(depth=2, final_channels=4, kernel=3, share=False),
        train=TrainConfig(batch_size=40),
        architecture=ArchitectureConfig(paths=2),
        run=RunConfig(engine="local"),
        out=str(out),
    )


def gradients(out: Path) -> GradientStudy:
    """Of two searches, bilevel and joint."""
    sizes = {"channels": 2, "epochs": 1, "batch_size": 16, "pairs": 1}
    run = RunConfig(engine="local", device="cpu")
    return GradientStudy(data=DataConfig(limit=96), seeds=(0,), run=run, out=str(out), **sizes)


def swapped(out: Path) -> AlphaStudy:
    """One search whose operations are swapped on one edge, each trained."""
    many = {"retrain": True, "retrain_seeds": 1, "retrain_epochs": (1,), "retrain_cells": (3,)}
    return AlphaStudy(
        data=DataConfig(limit=96),
        grid=GridConfig(("darts-1st",), ("nasbench201",), (0,), epochs=1, cells=3, channels=2),
        train=TrainConfig(batch_size=24, optimiser=SGD()),
        retraining=RetrainingOptions(**many),
        swaps=SwapOptions(("cell:0-1",)),
        run=RunConfig(engine="local", device="cpu"),
        out=str(out),
    )


def unreported(kind: RunKind[Any, Any]) -> RunKind[Any, Any]:
    """`kind` without its page, which is made of the record again whenever it is asked for."""
    made: type[RunKind[Any, Any]] = type("Unreported", (type(kind),), {"finish": lambda *_: None})
    return made()


RUNS: dict[str, tuple[RunKind[Any, Any], Callable[[Path], Any]]] = {
    "tiny": (TinyRun(), tiny),
    "search": (unreported(kind_of_run("search")), digits),
    "compare": (unreported(kind_of_run("compare")), contest),
    "cells": (unreported(kind_of_run("cells")), grid),
    "retrain": (kind_of_run("retrain"), retraining),
    "replay": (unreported(kind_of_run("replay")), replayed),
    "rank-study": (unreported(kind_of_run("rank-study")), ranked),
    "gradients": (unreported(kind_of_run("analyse gradients")), gradients),
    "alpha": (unreported(kind_of_run("analyse alpha")), swapped),
}

# what became of it


class Acknowledged(Watcher):
    """The trials whose end somebody was told of."""

    def __init__(self) -> None:
        self.ended = dict[str, dict[str, Any]]()

    def finished(self, proposal: Any, outcome: Outcome, metrics: Mapping[str, Any]) -> None:
        self.ended[proposal.id] = outcome.to_dict()


def carried_out(name: str, base: Path, watchers: Sequence[Watcher] = ()) -> None:
    """A run in `base/run`, or what is left of it."""
    kind, config = RUNS[name]
    with ExitStack() as patches:
        patches.enter_context(replaced(lease, EXPIRES=0.0, LOOK=0.0, SETTLED=0.0))
        patches.enter_context(replaced(folder, _commit=lambda: None))  # asks git
        carry_out(kind, config(base / "run"), watchers=watchers, command=name)


TIMES = (
    *("seconds", "trial_seconds", "images_per_second", "latency_ms", "training_share"),
    *("peak_memory_mib", "step_memory_mib"),
)
NAMED = ("proposed", "epoch", "finished", "iteration", "over", "replayed")
"""Events that are in a record once, and the words that tell them apart."""
WHOSE = ("id", "entry", "searcher", "seed")


def story(folder: Path) -> dict[str, Any]:
    """What a run directory says, but for times: of its record, and of each file that lasts."""
    told: dict[str, list[Any]] = {}
    for event in read_events(folder / kind_in(folder).record):
        name, plan = event["event"], event.get("proposal") or event.get("trace") or event
        if name in NAMED:
            key = " ".join(f"{word} {plan.get(word, '')}" for word in WHOSE)
            key = f"{name} {key} {event.get('epoch', event.get('iteration', ''))}"
            told.setdefault(key, []).append(timeless(event))
    kept = [
        *folder.glob("weights/*"),
        *folder.glob("architectures/*"),
        *folder.glob("checkpoints/*"),
    ]
    files = {str(path.relative_to(folder)): lasting(path) for path in kept if path.is_file()}
    return {**told, **files, "result": timeless(read_object(folder / "result.json"))}


def lasting(path: Path) -> bytes:
    """The content of a file; of weights the numbers, without the head that says what they are."""
    content = path.read_bytes()
    head = 8 + int.from_bytes(content[:8], "little") if path.suffix == ".safetensors" else 0
    return content[head:]


def timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: timeless(v) for k, v in value.items() if k not in (*TIMES, "time")}
    if isinstance(value, list):
        return [timeless(each) for each in value]
    return value


@dataclass(frozen=True)
class Judged:
    """What a fault did. `said`: how the run ended that it struck; `lost`: acknowledged trials that
    are not on record behind it; `twice`: entries that were recorded again; `differing`: what is not
    as in an undisturbed run at the end of the continued one; `problem`: what kept that from it.
    """

    call: str
    said: str
    lost: int = 0
    twice: int = 0
    differing: int = 0
    problem: str = ""

    @property
    def fine(self) -> bool:
        wrong = self.lost or self.twice or self.differing or self.problem
        return not wrong and self.said in ("ended", "died", "in words")


def left_behind(name: str, base: Path, at: int) -> Tree:
    """What a run holds that was killed at call `at`, but for its lease."""
    with FailingDisk(base, "killed", at) as disk, suppress(Died):
        carried_out(name, base)
    assert disk.left is not None
    return {name: content for name, content in disk.left.items() if ".lease" not in name}


def damages(tree: Tree, many: int) -> Iterator[tuple[str, str, bytes]]:
    """(file, what was done to it, its content) of each file of a run, `many` of each kind, evenly
    spread: a bit flipped, the tail cut.
    """
    for name, content in sorted(tree.items()):
        for number in range(many if content else 0):
            assert content is not None
            at = (2 * number + 1) * len(content) // (2 * many)
            flipped = bytes([content[at] ^ 1 << number % 8])
            yield name, f"bit {number % 8} of byte {at}", content[:at] + flipped + content[at + 1 :]
            yield name, f"cut at byte {at}", content[:at]


def judged_damage(
    name: str, base: Path, tree: Tree, damage: tuple[str, str, bytes], plain: Mapping[str, Any]
) -> Judged:
    """Continue a run one of whose files is damaged; it is named, or has no effect."""
    file, what, content = damage
    said, problem = "ended", ""
    placed(base, {**tree, file: content})
    try:
        with FailingDisk(base):
            carried_out(name, base)
    except InvalidInput as error:
        said = "in words"
        problem = "" if Path(file).name in str(error) else f"not named: {error}"
    except Exception as error:
        problem = repr(error)
    ours = plain if said == "in words" else story(base / "run")
    if said == "ended" and file.endswith((".pt", ".earlier")):
        warned = Path(file).name in (base / "run" / "records.jsonl").read_text()
        problem = problem or "" if warned or file.endswith(".earlier") else "not warned of"
    differing = sum(ours.get(key) != plain.get(key) for key in ours.keys() | plain.keys())
    return Judged(f"{file}: {what}", said, differing=differing, problem=problem)


def judged(
    name: str,
    base: Path,
    fault: str,
    at: int,
    plain: Mapping[str, Any],
    tree: Tree | None = None,
) -> Judged | None:
    """Strike at call `at` of a run in the empty folder `base`, or of one that goes on with what is
    in `tree`, and continue it; None where it has fewer calls.
    """
    watcher, said = Acknowledged(), "ended"
    if tree is not None:
        placed(base, tree)
    disk = FailingDisk(base, fault, at, seed=at)
    with disk:
        try:
            carried_out(name, base, [watcher])
        except Died:
            said = "died"
        except InvalidInput:
            said = "in words"
        except Exception as error:
            said = repr(error)
    if disk.struck is None:
        return None
    if disk.left is not None:
        placed(base, disk.left)
    call = disk.struck
    try:
        record = base / "run" / RUNS[name][0].record
        known = read_events(record) if record.exists() else []
        on_record = {e["id"]: e["outcome"] for e in known if e["event"] == "finished"}
        lost = sum(on_record.get(id) != outcome for id, outcome in watcher.ended.items())
        with FailingDisk(base):  # which flushes nothing for real: that takes most of the time
            carried_out(name, base)
        ours = story(base / "run")
    except Exception as error:
        return Judged(call, said, problem=repr(error))
    twice = sum(len(value) > 1 for key, value in ours.items() if isinstance(value, list))
    differing = sum(ours.get(key) != plain.get(key) for key in ours.keys() | plain.keys())
    return Judged(call, said, lost, twice, differing)
