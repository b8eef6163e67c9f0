"""How and where a run is carried out."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from spaces.errors import at_least, require


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """What is asked of Ray."""

    address: str | None = None
    """Ray cluster to use; by default a running one, else a new one on this machine. "local" always
    starts a new one.
    """
    dashboard: bool = False
    """Serve Ray's dashboard on this machine (a cluster that is already running decides for itself).
    """
    verbose: bool = False
    """Show all of Ray's output."""


@dataclass(frozen=True)
class RunConfig(RayOptions):
    """How and where a run is carried out, not what it finds; it may change on the way."""

    engine: Literal["ray", "local"] = "ray"
    """ray: trials on Ray Tune, on this machine or a cluster; local: the same loop in this process,
    one trial at a time.
    """
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    cpus_per_trial: Annotated[int, tyro.conf.arg(aliases=["--threads"])] = 1
    """Processors per trial, and the threads it uses."""
    gpus_per_trial: float | None = None
    """GPUs per trial, fractions allowed; by default one where the cluster has any and the device
    allows it, else none.
    """
    concurrency: int | None = None
    """Trials at once; by default as many as fit."""
    checkpoint_steps: int = 0
    """Also checkpoint a trial within its epochs, every so many steps; 0: at the end of each alone.
    """
    track: tuple[Literal["mlflow", "wandb"], ...] = ()
    """Tell MLflow, Weights & Biases or both of every trial; where, say their own environment
    variables (MLFLOW_TRACKING_URI; WANDB_PROJECT, WANDB_MODE).
    """

    def __post_init__(self) -> None:
        gpus = self.gpus_per_trial
        with_ray = self.engine == "ray" or not self.track
        remedy = "What is told to trackers goes through Ray Tune: use --engine ray."
        require(with_ray, "track with the ray engine", remedy, track=self.track)
        at_least(1, cpus_per_trial=self.cpus_per_trial, concurrency=self.concurrency)
        at_least(0, gpus_per_trial=gpus, checkpoint_steps=self.checkpoint_steps)
        whole = gpus is None or gpus <= 1 or gpus == int(gpus)
        require(whole, "gpus_per_trial is whole above 1", "Use 1, or 2.", gpus_per_trial=gpus)
        rule = "gpus_per_trial == 0 with the local engine"
        remedy = "It has no resources to share out: choose the GPU with --device cuda."
        require(not (gpus and self.engine == "local"), rule, remedy, gpus_per_trial=gpus)
        seen = self.engine == "local" or gpus != 0 or not self.device.startswith("cuda")
        rule = "gpus_per_trial > 0 with device cuda"
        remedy = "A trial sees the GPUs that it is lent: use --device cpu, or a share of a GPU."
        require(seen, rule, remedy, gpus_per_trial=gpus, device=self.device)

    @property
    def may_use_gpus(self) -> bool:
        return self.gpus_per_trial != 0 and self.device.startswith(("auto", "cuda"))

    @property
    def share(self) -> str:
        """What a trial takes, in words."""
        gpus = self.gpus_per_trial
        taken = "a GPU where there is one" if gpus is None else f"{gpus:g} GPU"
        return f"{self.cpus_per_trial} CPU" + (f" and {taken}" if gpus != 0 else "")


@dataclass(frozen=True)
class WorkersConfig(RayOptions):
    """How and where a training is carried out that several processes may share. None of this
    changes what is trained; one may be continued with other values.
    """

    workers: int = 1
    """Processes that share every batch (data parallel, on Ray Train); 1 trains in this process,
    without Ray.
    """
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    cpus_per_worker: int | None = None
    """Processors per worker, and the threads it uses; by default 1, and without other workers all
    of this machine's.
    """
    checkpoint_steps: int = 0
    """Also checkpoint within an epoch, every so many steps; 0: at its end alone."""
    loader_workers: int = 4
    """Processes that decode the images of the folder loader, per worker; 0: none of their own."""

    def __post_init__(self) -> None:
        at_least(1, workers=self.workers, cpus_per_worker=self.cpus_per_worker)
        steps = self.checkpoint_steps
        at_least(0, loader_workers=self.loader_workers, checkpoint_steps=steps)
        rule, remedy = "checkpoint_steps == 0 with several workers", "Each knows its share alone."
        require(self.workers == 1 or not steps, rule, remedy, checkpoint_steps=steps)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the configurations of all kinds of run begin with."""

    out: str | None = None
    """Run directory; by default runs/<time>-<name>. An unfinished run in it is continued."""
    name: str = ""
    """Name of the run, part of the default run directory; by default that of its kind."""
    use: Annotated[tuple[str, ...], tyro.conf.Suppress, tyro.conf.Fixed] = ()
    """Files of your own that are loaded first, here and in every worker."""
