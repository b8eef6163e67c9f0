"""`fade-ray retrain`: a genotype trained from scratch in a directory of its own, resumed, exported
and checked.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console
from safetensors.torch import load_file

from fade_ray.export import export_onnx
from fade_ray.nn.cell_network import CellNetwork
from fade_ray.records.journal import FORMAT, Journal, read_events
from fade_ray.retrain import (
    RETRAIN_RECIPES,
    Origin,
    RetrainConfig,
    Retraining,
    find_genotype,
    retrain_recipe,
)
from fade_ray.retrain.deliver import deliver, measure
from fade_ray.retrain.retrain_config import RetrainData
from fade_ray.retrain.retrain_images import Images, open_images
from fade_ray.retrain.retraining import (
    BEST_NOTE,
    CHECKPOINT,
    build_network,
    retrain,
    weights_path,
)
from fade_ray.run.engines import interruptible
from fade_ray.run.folder import (
    RunKind,
    check_same_run,
    command_line,
    default_folder,
    environment,
    opened,
    read_json,
    stored,
    write_json,
)
from fade_ray.training import Placement, TrainingFailed, place
from fade_ray.trials.job import Event
from spaces.errors import InvalidInput

RETRAIN = RunKind("retrain", Retraining.from_dict)
USAGE = f"""usage: fade-ray retrain SOURCE [--trial ID] [--recipe NAME] [options]
       fade-ray retrain --out DIR            continue an unfinished retraining
       fade-ray retrain --check DIR          compare the weights in DIR with the accuracy recorded with them

Train a genotype from scratch, test it, export it. SOURCE: the run directory of a finished `fade-ray cells` (its trial with the best proxy
accuracy, or --trial ID), a genotype file, or a published name. `--recipe NAME` starts from a named setting ({", ".join(RETRAIN_RECIPES)});
flags override it. The same command again continues where it stopped.
"""


def run_retraining(
    job: Retraining,
    folder: Path,
    *,
    source: str = "",
    tell: Callable[[Event], None] = lambda e: None,
) -> dict[str, Any]:
    """Carry `job` out in `folder`, or continue the one there; returns what its result.json says. A
    finished one is not run again.

    `tell` is shown each epoch. Raises InvalidInput for everything a user can mend, before any
    training where that is possible; Interrupted on Ctrl-C, with everything done so far on disk.
    """
    folder = folder.expanduser().resolve()
    if _check_same(folder, job):
        (folder / CHECKPOINT).unlink(missing_ok=True)
        return dict(read_json(folder / "result.json"))
    with interruptible(folder, RETRAIN):
        images = open_images(job.config)
        # every rule that can be checked is checked before the directory is made
        build_network(job, images)
        alone = job.config.workers.workers == 1
        placement = place(job.config.workers.device if alone else "cpu", job.config.train.precision)
        command = command_line()
        with opened(folder, job, command, RETRAIN), Journal(folder / "records.jsonl") as journal:
            resumed = bool(read_events(folder / "records.jsonl"))
            journal.append(
                "start",
                format=FORMAT,
                resumed=resumed,
                source=source,
                environment=environment(command),
            )
            try:
                result = (_train_here if alone else _train_on_workers)(
                    job, images, folder, placement, journal, tell
                )
            except TrainingFailed as error:
                other = (
                    ", and start in another directory with --out"
                    if (folder / CHECKPOINT).exists()
                    else ""
                )
                raise InvalidInput(f"A retraining must stay finite, but {error}{other}.") from error
            deliver(job, images, folder, result, placement)
            write_json(folder / "result.json", result)
            journal.append("end", test_accuracy=result["test_accuracy_last"])
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def _train_here(
    job: Retraining,
    images: Images,
    folder: Path,
    placement: Placement,
    journal: Journal,
    tell: Callable[[Event], None],
) -> dict[str, Any]:
    """In this process."""
    if job.config.workers.cpus_per_worker is not None:
        torch.set_num_threads(job.config.workers.cpus_per_worker)
    known = {event["epoch"] for event in read_events(journal.path) if event["event"] == "epoch"}
    result: dict[str, Any] = {}
    for event in retrain(job, images, folder, placement):
        if "outcome" in event:
            result = event["metrics"]
        elif event["epoch"] not in known:
            journal.append("epoch", **event)
            tell(event)
    return result


def _train_on_workers(
    job: Retraining,
    images: Images,
    folder: Path,
    placement: Placement,
    journal: Journal,
    tell: Callable[[Event], None],
) -> dict[str, Any]:
    """On several workers of a Ray cluster, each of which reads the images itself."""
    from fade_ray.run.train_workers import (
        train_on_workers,  # Ray is imported by those who run on it
    )

    result = train_on_workers(job, folder, tell)
    # Ray's own state of the run: pickles that nothing here reads
    shutil.rmtree(folder / "tune", ignore_errors=True)
    return result


def _check_same(folder: Path, job: Retraining) -> bool:
    """Whether `folder` holds this retraining, finished. InvalidInput where it holds another one of
    which an epoch is done.

    One that has not got so far may be started with other flags: a batch that fits, a lower learning
    rate.
    """
    before, finished = stored(folder, RETRAIN), (folder / "result.json").exists()
    if before is not None and not finished and not (folder / CHECKPOINT).exists():
        return False
    # in words: a difference of cells is long
    if before is not None and before.macro.cells != job.macro.cells:
        raise InvalidInput(
            f"{folder} holds the retraining of another genotype. Continue that one with `fade-ray retrain --out {folder}`, or choose another "
            "directory with --out."
        )
    return check_same_run(folder, job, RETRAIN) and finished


def check_accuracy(folder: Path, *, device: str = "auto") -> dict[str, tuple[float, float]]:
    """Test accuracy of every file of weights in a retraining's directory: name -> (recorded with
    the weights, measured now).

    Raises InvalidInput where there is no finished retraining, or where the two differ by more than
    rounding explains.
    """
    folder = folder.expanduser()
    job = stored(folder, RETRAIN)
    if job is None or not (folder / "result.json").exists():
        raise InvalidInput(
            f"Only a finished retraining can be checked, but {folder} holds none. Finish it first."
        )
    return measure(job, open_images(job.config), folder, place(device, job.config.train.precision))


def export_retraining(folder: Path, *, onnx: bool) -> list[Path]:
    """The exported files of a finished retraining; with `onnx` an ONNX file is added. Raises
    InvalidInput for an unfinished one.
    """
    job = stored(folder, RETRAIN)
    if job is None or not (folder / "result.json").exists():
        raise InvalidInput(
            f"Only a finished retraining has files to export, and the one in {folder} is not finished. "
            f"Finish it with `fade-ray retrain --out {folder}`."
        )
    architectures = folder / "architectures"
    paths = [architectures / f"architecture{suffix}" for suffix in (".py", ".safetensors", ".json")]
    if onnx:
        told = read_json(paths[-1])
        channels, side, _ = told["input_shape"]
        network = CellNetwork(
            job.macro,
            job.config.network_config(job.macro),
            side=side,
            channels=channels,
            classes=len(told["classes"]),
            generator=torch.Generator(),
        )
        network.load_state_dict(load_file(weights_path(folder, told["weights"])))
        paths.append(export_onnx(network.eval(), architectures / "architecture.onnx"))
    return paths


def retrain_command(arguments: list[str]) -> None:
    """`fade-ray retrain` with these arguments."""
    from fade_ray.cli import take_flag

    if not arguments or arguments in (["-h"], ["--help"]):
        print(USAGE + "\n`fade-ray retrain SOURCE --help` lists the options.")
        raise SystemExit(0 if arguments else 2)
    rest, checked = take_flag(arguments, "--check")
    console = Console(highlight=False)
    if checked is not None:
        for name, (recorded, measured) in check_accuracy(Path(checked)).items():
            console.print(f"{name:8} {recorded:.4f} recorded, {measured:.4f} measured")
        return
    source = None if rest[0].startswith("-") else rest[0]
    job, folder = parse_retraining(rest if source is None else rest[1:], source)
    result = run_retraining(job, folder, source=source or "", tell=EpochLines(job))
    _print(console, result, folder)


def parse_retraining(arguments: list[str], source: str | None) -> tuple[Retraining, Path]:
    """The retraining that a command line asks for, and its directory: a recipe, or what is stored
    in the directory, and flags over it.
    """
    import tyro

    from fade_ray.cli import take_flag

    rest, trial = take_flag(arguments, "--trial")
    rest, recipe = take_flag(rest, "--recipe")
    out = take_flag(rest, "--out")[1]
    origin = _origin(source, trial, out)
    usual = None if origin.run is None else origin.run / "retrain" / str(origin.trial)
    folder = Path(out).expanduser() if out else usual
    before = None if folder is None else stored(folder, RETRAIN)
    base = (
        before.config if before is not None and recipe is None else _base(origin, recipe or "quick")
    )
    config: RetrainConfig = tyro.cli(
        Annotated[RetrainConfig, tyro.conf.OmitArgPrefixes],
        args=rest,
        default=base,
        prog="fade-ray retrain SOURCE",
        description=USAGE,
    )
    return Retraining.of(origin.macro, config), folder or default_folder(
        Retraining.of(origin.macro, config)
    )


def _origin(source: str | None, trial: str | None, out: str | None) -> Origin:
    if source is not None:
        return find_genotype(source, trial)
    before = None if out is None else stored(Path(out).expanduser(), RETRAIN)
    if before is None:
        raise InvalidInput(
            "`fade-ray retrain` needs a genotype, or a directory with a retraining, but got neither. Name a run directory of `fade-ray cells`, "
            "a genotype file or a published genotype before the options."
        )
    return Origin(before.macro, str(out))


def _base(origin: Origin, recipe: str) -> RetrainConfig:
    """The recipe, on the data of the search where it names none, at the depth of the search where
    every cell is its own.
    """
    config = retrain_recipe(recipe)
    if origin.data is not None and config.data == RetrainData():
        data = RetrainData(**vars(origin.data) | {"cutout": config.data.cutout})
        config = replace(config, data=data)
    if not origin.macro.stack.shared:
        config = replace(config, network=replace(config.network, cells=origin.macro.depth))
    return config


class EpochLines:
    """Shows each epoch as a line on stderr."""

    def __init__(self, job: Retraining, console: Console | None = None) -> None:
        self.epochs = job.config.epochs
        self.console = console or Console(stderr=True, highlight=False)

    def __call__(self, event: Event) -> None:
        number, found = event["epoch"], event["metrics"]
        if number == 0:
            self.console.print(
                f"one step takes {found['step_memory_mib']:,.0f} MiB at its peak", soft_wrap=True
            )
            return
        parts = [
            f"epoch {number}/{self.epochs}",
            f"loss {found['loss']:.4f}",
            f"test {found['test_accuracy']:.4f}",
            *(
                [f"average {found['average_test_accuracy']:.4f}"]
                if "average_test_accuracy" in found
                else []
            ),
            f"{found['images_per_second']:,.0f} images/s",
        ]
        self.console.print(" · ".join(parts), soft_wrap=True)


def _print(console: Console, result: dict[str, Any], folder: Path) -> None:
    average, cost = result["average_test_accuracy_last"], result["cost"]
    lines = [
        f"genotype       {result['genotype']}",
        f"test accuracy  {result['test_accuracy_last']:.4f} (last epoch, {result['test_images']:,} images)",
        f"best epoch     {result['test_accuracy_best']:.4f} (epoch {result['best_epoch']}; {BEST_NOTE})",
        *(
            []
            if average is None
            else [f"average        {average:.4f} (moving average of the weights, last epoch)"]
        ),
        f"parameters     {result['parameters']:,} (with the auxiliary head {result['parameters_with_auxiliary']:,})",
        f"multiply-adds  {result['multiply_adds']:,} per image (conv+fc), {result['multiply_adds_2bn_relu']:,} (conv+fc+2bn+relu)",
        f"cost           {cost['images']:,} training images, {cost['multiply_adds']:.3g} multiply-adds, {cost['seconds']:.0f} s training",
        f"exported       {folder / 'architectures' / 'architecture.py'}",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
