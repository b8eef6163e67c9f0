"""A retraining as a kind of run: a genotype trained from scratch, exported and checked."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from fade_ray.cells.cells_run import CELLS
from fade_ray.export import in_forms
from fade_ray.export.onnx_file import Facts
from fade_ray.nn.cell_network import CellNetwork
from fade_ray.records.additions import joined
from fade_ray.records.history import RunHistory
from fade_ray.records.journal import Event
from fade_ray.records.json_form import as_json
from fade_ray.records.remote import directory, is_address, remove, store_of
from fade_ray.records.run_files import Run, read_object
from fade_ray.records.standings import Epochs, TrialStanding
from fade_ray.retrain.deliver import deliver, measure, trained_network
from fade_ray.retrain.origin import Origin, find_genotype
from fade_ray.retrain.parallel import share
from fade_ray.retrain.telling import EpochLines, telling
from fade_ray.retraining.fitted_network import fitted_network
from fade_ray.retraining.retrain_config import RetrainConfig, RetrainData, upgrade
from fade_ray.retraining.retrain_examples import Examples
from fade_ray.retraining.retrain_recipes import QUICK, RETRAIN_RECIPES, retrain_recipe
from fade_ray.retraining.retraining import (
    CHECKPOINT,
    Retraining,
    build_network,
    open_examples,
    retrain,
    weights_path,
)
from fade_ray.run.command import parse
from fade_ray.run.inputs import IMAGES, Inputs, input_paths
from fade_ray.run.kind import Asked, RunKind, Standing, Start
from fade_ray.run.lifecycle import run
from fade_ray.run.run_config import RayOptions
from fade_ray.run.tensorboard import EpochBoard
from fade_ray.run.watcher import Watcher
from fade_ray.training import Placement, TrainingFailed, place
from fade_ray.training.latency import latency
from fade_ray.trials.job import Unwritable
from fade_ray.trials.trainee import read_weights
from searchers import Outcome
from spaces.cell import Macro
from spaces.errors import InvalidInput, require


class RetrainHistory(RunHistory):
    """What the record of a retraining says. `epochs`: epoch (0: before the first) -> metrics."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.epochs: dict[int, dict[str, Any]] = {}
        super().__init__(events)

    def _take(self, event: Event) -> None:
        super()._take(event)
        if event["event"] == "epoch":
            self.epochs[int(event["epoch"])] = event["metrics"]

    @property
    def standings(self) -> list[TrialStanding]:
        """Of the one training."""
        ended = Outcome() if self.ended else None
        about = "1", "retraining", self.epochs, None, ended
        return [TrialStanding.of(*about, {}, self.last, {} if self.epochs else None)]

    @property
    def curves(self) -> Mapping[str, Epochs]:
        return {"1": self.epochs}


Ran = Run[RetrainConfig, RetrainHistory]
Began = Start[RetrainConfig, RetrainHistory]


@dataclass(frozen=True)
class Prepared:
    """A retraining with its data; `placement` is where this process trains and measures."""

    job: Retraining
    examples: Examples
    placement: Placement


@dataclass(frozen=True)
class Chosen:
    """Which genotype."""

    trial: str | None = None
    """A trial of a run of `fade-ray cells`; by default the one with the best proxy accuracy."""
    check: str | None = None
    """Compare the weights in this directory with the accuracy recorded with them; train nothing."""
    all: bool = False
    """Everything that the run of `fade-ray cells` found, as trials of that run: the same as
    `fade-ray cells --out SOURCE --retrain`, whose flags it takes.
    """


class RetrainRun(RunKind[RetrainConfig, RetrainHistory], name="retrain"):
    """Train a genotype from scratch, test it, export it.

    SOURCE: the run directory of a `fade-ray cells` (its trial with the best proxy accuracy, or
    --trial ID), a genotype as text or in a file, or a published name. `--recipe NAME` starts from a
    named setting; flags override it. The same command again continues where it stopped, and so does
    `fade-ray retrain --out DIR`.
    """

    example = "fade-ray retrain DARTS_V2 --recipe darts-cifar10"
    config, history, recipes = RetrainConfig, RetrainHistory, RETRAIN_RECIPES
    folders, reports = (), False
    source = "SOURCE"
    options = Chosen

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        return upgrade(values)

    def to_json(self, config: RetrainConfig) -> dict[str, Any]:
        """With the genotype at its full depth."""
        macro = Retraining.asked(config).macro
        return super().to_json(config) | {"genotype": macro.to_dict()}

    def instead(self, asked: Asked) -> bool:
        console = Console(highlight=False, markup=False)
        if asked.options.all:
            _retrain_all(asked, console)
            return True
        if asked.options.check is None:
            return False
        for name, (recorded, measured) in check_accuracy(directory(asked.options.check)).items():
            console.print(f"{name:8} {recorded:.4f} recorded, {measured:.4f} measured")
        return True

    def base(self, asked: Asked) -> RetrainConfig:
        """A recipe, or what is stored in the directory, on the genotype that is asked for."""
        origin = self._origin(asked)
        out = asked.out
        if out is None and origin.run is not None and store_of(origin.run) is None:
            out = str(origin.run / "retrain" / str(origin.trial))
        before = None if out is None or asked.recipe else self.stored(directory(out))
        usual = QUICK[origin.macro.stack.task]
        config = before or _on(origin, retrain_recipe(asked.recipe or usual))
        return replace(config, genotype=origin.macro, out=out, use=joined(origin.use, config.use))

    def _origin(self, asked: Asked) -> Origin:
        before = self.stored(directory(asked.out)) if asked.out else None
        if asked.source is not None:
            try:
                return find_genotype(asked.source, asked.options.trial)
            except InvalidInput as error:
                if before is None:
                    raise
                alone = f"`fade-ray retrain --out {asked.out}` goes on without it."
                raise InvalidInput(f"{error} {alone}") from error
        if before is None or before.genotype is None:
            raise InvalidInput(
                "`fade-ray retrain` needs a genotype, or a directory with a retraining, but got "
                "neither. Name a run directory of `fade-ray cells`, a genotype file or a published "
                "genotype before the options."
            )
        return Origin(before.genotype, str(asked.out))

    def same(self, folder: Path, config: RetrainConfig, inputs: Inputs) -> bool:
        """One of which no epoch is done may start with other flags: a batch that fits, say."""
        before = self.stored(folder)
        if before is not None:
            if not (folder / "result.json").exists() and not (folder / CHECKPOINT).exists():
                return True
            # in words: a difference of cells is long
            if Retraining.asked(before).macro.cells != Retraining.asked(config).macro.cells:
                raise InvalidInput(
                    f"{folder} holds the retraining of another genotype. Continue that one with "
                    f"`fade-ray retrain --out {folder}`, or choose another directory with --out."
                )
        return super().same(folder, config, inputs)

    def ray_options(self, config: RetrainConfig) -> RayOptions | None:
        return config.workers if config.workers.workers > 1 else None

    def prepare(self, config: RetrainConfig) -> Prepared:
        require(
            config.workers.workers == 1 or not is_address(config.out or ""),
            "--workers 1 where --out is in an object store",
            "Several workers share a directory: name one that all nodes see.",
            workers=config.workers.workers,
        )
        job = Retraining.asked(config)
        examples, alone = open_examples(config), config.workers.workers == 1
        build_network(job, examples)
        device = config.workers.device if alone else "cpu"
        return Prepared(job, examples, place(device, config.train.precision))

    def data(self, prepared: Prepared) -> str:
        return prepared.examples.description

    def watchers(
        self, config: RetrainConfig, prepared: Prepared, history: RetrainHistory
    ) -> list[Watcher]:
        return [EpochLines(config.epochs, telling(config).epoch)]

    def work(self, prepared: Prepared, start: Began) -> Mapping[str, Any]:
        carry_out = _here if start.config.workers.workers == 1 else _on_workers
        board = EpochBoard(start.folder / "tensorboard")
        start = replace(start, watchers=(*start.watchers, board))
        try:
            return carry_out(prepared, start)
        except TrainingFailed as error:
            kept = (start.folder / CHECKPOINT).exists()
            other = ", and start in another directory with --out" if kept else ""
            raise InvalidInput(f"A retraining must stay finite, but {error}{other}.") from error
        except Unwritable as error:
            raise InvalidInput(str(error)) from error

    def deliver(self, prepared: Prepared, run: Ran) -> Mapping[str, Any]:
        deliver(prepared.job, prepared.examples, run.folder, run.result, prepared.placement)
        kept = run.folder, run.config.export
        network: Any = trained_network(prepared.job, prepared.examples, *kept)
        places = getattr(network, "places", ())
        return {
            **run.result,
            "latency_ms": latency(network, torch.device("cpu")),
            "places": [{"kind": place.kind, **place.out._asdict()} for place in places],
        }

    def finish(self, run: Ran) -> None:
        remove(run.folder / CHECKPOINT)

    def standing(self, run: Ran) -> Standing:
        config, epochs = run.config, run.history.epochs
        done = max(epochs, default=0)
        reached = f"epoch {done} of {config.epochs} on {config.data.data}"
        (part, name), told = telling(config).measured, epochs.get(done, {})
        value = told.get(f"{part}_{name}")
        return Standing(reached, [] if value is None else [(part, f"{value:.4f} after it")])

    def tell(self, run: Ran, console: Console) -> None:
        for label, text in telling(run.config).result(run.result, run.folder).items():
            console.print(f"{label:14} {text}", soft_wrap=True)

    def architecture(self, run: Ran) -> Macro:
        return Retraining.asked(run.config).macro

    def export(self, run: Ran, forms: Sequence[str] = ()) -> list[Path]:
        if not run.result:
            raise InvalidInput(
                f"Only a finished retraining has files to export, and the one in {run.folder} is "
                f"not finished. Finish it with `fade-ray retrain --out {run.folder}`."
            )
        stem = run.folder / "architectures" / "architecture"
        paths = [stem.with_suffix(suffix) for suffix in (".py", ".safetensors", ".json")]
        if forms:
            telling(run.config).check_forms()
            network = _trained(run, read_object(paths[-1], Weighed))
            paths += in_forms(network, stem, forms)
        return paths


class Weighed(Facts):
    """Also which weights they are."""

    weights: str


RETRAIN = RunKind.table["retrain"]


def _retrain_all(asked: Asked, console: Console) -> None:
    """Continue a run of cell searches with the retrainings of everything that it found."""
    if asked.source is None or CELLS.stored(directory(asked.source)) is None:
        raise InvalidInput(
            "`--all` is of a run of `fade-ray cells`, but there is none in "
            f"{asked.source or 'no SOURCE'}. Name its directory before the flags."
        )
    flags = [flag for flag in asked.flags if flag != "--all"]
    ended = run(CELLS, parse(CELLS, ["--out", asked.source, "--retrain", *flags]))
    CELLS.tell(ended, console)
    console.print(f"report         {ended.folder / 'report.html'}", soft_wrap=True)


def _on(origin: Origin, config: RetrainConfig) -> RetrainConfig:
    """A recipe on the data of the search where it names none; unshared cells keep their number."""
    if origin.data is not None and config.data == RetrainData():
        config = config.on(origin.data)
    return config.of_cells(origin.macro)


def _here(prepared: Prepared, start: Began) -> Mapping[str, Any]:
    """In this process."""
    result: Mapping[str, Any] = {}
    for event in retrain(prepared.job, prepared.examples, start.folder, prepared.placement):
        if "outcome" in event:
            result = event["metrics"]
        elif event["epoch"] not in start.history.epochs:
            start.journal.append("epoch", **event)
            start.show("epoch", None, event["epoch"], event["metrics"])
    start.journal.append("end", **telling(start.config).end(result))
    return result


def _on_workers(prepared: Prepared, start: Began) -> Mapping[str, Any]:
    """On several workers of a Ray cluster, each of which reads the images itself."""
    # Ray is imported by those who run on it
    from fade_ray.run.train_workers import train_on_workers

    result = train_on_workers(
        share,
        as_json(replace(start.config, genotype=prepared.job.macro)),
        start.config.workers,
        start.folder,
        lambda event: start.show("epoch", None, event["epoch"], event["metrics"]),
        start.warn,
        start.additions,
        tuple(input_paths(start.config, IMAGES).values()),
    )
    # Ray's own state of the run: pickles that nothing here reads
    shutil.rmtree(start.folder / "tune", ignore_errors=True)
    start.journal.append("end", **telling(start.config).end(result))
    return result


def _trained(run: Ran, facts: Mapping[str, Any]) -> CellNetwork:
    """The network that was exported with these facts, in evaluation mode."""
    job = Retraining.asked(run.config)
    channels, side, _ = facts["input_shape"]
    network = fitted_network(
        job.macro,
        job.config,
        side=side,
        channels=channels,
        classes=len(facts["classes"]),
        generator=torch.Generator(),
    )
    network.load_state_dict(read_weights(weights_path(run.folder, facts["weights"])))
    return network.eval()


def check_accuracy(folder: Path, *, device: str = "auto") -> dict[str, tuple[float, float]]:
    """Test accuracy of every file of weights in a retraining's directory: name -> (recorded with
    the weights, measured now).

    Raises InvalidInput where there is no finished retraining, where its data have changed, or where
    the two differ by more than rounding explains.
    """
    folder = folder.expanduser()
    config = RETRAIN.stored(folder)
    if config is None or not (folder / "result.json").exists():
        raise InvalidInput(
            f"Only a finished retraining can be checked, but {folder} holds none. Finish it first."
        )
    RETRAIN.inputs_of(config, folder).check_unchanged()
    placement = place(device, config.train.precision)
    job = Retraining.asked(config)
    return measure(job, open_examples(config), folder, placement)
