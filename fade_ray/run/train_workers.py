"""A training shared by several workers, on Ray Train. The GPU lines have not run on one yet."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fade_ray.records.additions import Addition, load_additions
from fade_ray.records.journal import Journal, read_events
from fade_ray.records.run_files import read_object
from fade_ray.run.ends_when import ends_when
from fade_ray.run.head_watch import head_watched
from fade_ray.run.losses import loss
from fade_ray.run.ray_cluster import ray_cluster
from fade_ray.run.ray_nodes import avoiding, survey
from fade_ray.run.resources import Amounts, Resources
from fade_ray.run.room import autoscaled, wait_words
from fade_ray.run.run_config import WorkersConfig
from fade_ray.training import TrainingFailed
from fade_ray.trials.job import Event, write_output
from searchers.outcome import Failure
from searchers.restarts import Restarts
from spaces.errors import InvalidInput

Task = Callable[[Any, Path, str], Iterator[Event]]
"""What one worker does with settings (JSON), the run directory and its device; its events."""
GROUP = "workers"  # what is restarted
RESULT, FAILURE = "trained.json", "failed.json"
POLL = 1.0  # seconds between looks at the records, for the display alone
WAITING = 30.0  # seconds between looks at workers that wait
EXPECTED = {"InvalidInput": InvalidInput, "TrainingFailed": TrainingFailed}


def train_on_workers(
    task: Task,
    settings: Any,
    options: WorkersConfig,
    folder: Path,
    tell: Callable[[Event], None],
    warn: Callable[[str], None],
    additions: Sequence[Addition] = (),
    data: Sequence[str] = (),
) -> dict[str, Any]:
    """Carry `task` out on `workers` of a Ray cluster; returns the metrics of its last event.

    The first worker's epochs go into the record in `folder`; `tell` is shown what is recorded,
    `warn` told of nodes that are left out. `data`: absolute paths that every worker reads. A group
    that loses a worker starts again, to go on from its last epoch. Raises InvalidInput and
    TrainingFailed as the task, and InvalidInput when the cluster has not what is asked for.
    """
    record = folder / "records.jsonl"
    with ray_cluster(options) as ray, head_watched(ray, folder), following(record, tell):
        asked = survey(ray, folder, warn, gpus=options.device != "cpu", data=data)
        each = worker_resources(options, [node.resources for node in asked.good], autoscaled())
        waits = _waiting(ray, each, options.workers, warn)
        for name in (RESULT, FAILURE):
            (folder / name).unlink(missing_ok=True)
        loop = {
            "task": task,
            "settings": settings,
            "folder": str(folder),
            "additions": [(addition.path, addition.text) for addition in additions],
        }
        restarts = Restarts()
        while True:
            try:
                with ends_when(waits, WAITING):
                    _fit(loop, options.workers, each, folder, avoiding(ray))
                break
            except Exception as error:
                _raise_expected(folder, error)
                lost = _lost(error)
                told = [event["epoch"] for event in _epochs(record)]
                restarts.reached(GROUP, max(told, default=0))
                if lost is None or not restarts.again(GROUP, lost):
                    raise
                warn(f"the workers are started again from their checkpoint: {lost}")
                asked.complete()
    result = read_object(folder / RESULT)
    (folder / RESULT).unlink()
    return result


def _fit(
    loop: dict[str, Any],
    workers: int,
    each: Resources,
    folder: Path,
    labels: dict[str, str],
) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        work,
        train_loop_config=loop,
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=each.gpus > 0,
            resources_per_worker=each.amounts,
            label_selector=labels or None,
        ),
        run_config=RunConfig(name="workers", storage_path=str(folder / "tune")),
    )
    trainer.fit()


def work(loop: dict[str, Any]) -> None:
    """What each worker runs."""
    import ray.train.torch

    from fade_ray.run.ray_placing import this_node

    load_additions(Addition(path, text) for path, text in loop["additions"])
    folder = Path(loop["folder"])
    leads = ray.train.get_context().get_world_rank() == 0
    keep = _keeper(folder, this_node()) if leads else None
    try:
        for event in loop["task"](loop["settings"], folder, str(ray.train.torch.get_device())):
            if keep is not None:
                keep(event)
    except (InvalidInput, TrainingFailed) as error:
        failure = {"kind": type(error).__name__, "message": str(error)}
        write_output(folder / FAILURE, json.dumps(failure).encode())
        raise


def _keeper(folder: Path, node: str) -> Callable[[Event], None]:
    """Puts epochs, each once, into the record, the last event's metrics into a file. `node`: the
    name of the one that it keeps them on.
    """
    path = folder / "records.jsonl"
    known = {event["epoch"] for event in _epochs(path)}
    journal = Journal(path)

    def tell(event: Event) -> None:
        if "outcome" in event:
            write_output(folder / RESULT, json.dumps(event["metrics"]).encode())
        elif event["epoch"] not in known:
            metrics = {**event["metrics"], "node": node}
            journal.append("epoch", epoch=event["epoch"], metrics=metrics)

    return tell


def _raise_expected(folder: Path, error: Exception) -> None:
    """What a worker found wrong, in place of Ray's account of it."""
    if (folder / FAILURE).exists():
        failure = read_object(folder / FAILURE)
        (folder / FAILURE).unlink()
        raise EXPECTED[failure["kind"]](failure["message"]) from error


def _lost(error: Exception) -> Failure | None:
    """How a worker was lost, None where none was: Ray has no public class for that."""
    failures = getattr(error, "worker_failures", {}).values()
    died = [getattr(each, "health_check_failure", None) for each in failures]
    losses = [loss(each) for each in died if each is not None]
    if type(error).__name__.startswith("WorkerGroupStartup"):  # a node died under a group's start
        losses.append(Failure("node lost", "a worker did not start"))
    return min(losses, key=lambda each: each.kind != "node lost", default=None)


def _use_gpu(device: str, nodes: Sequence[Amounts]) -> bool:
    """Whether each worker gets a GPU. InvalidInput for a device that it cannot have."""
    if device not in ("auto", "cpu") and not device.startswith("cuda"):
        raise InvalidInput(
            f"Several workers run on the CPU or on CUDA GPUs, but got {device=}. "
            "Use `--device auto`."
        )
    available = any(node.get("GPU", 0) >= 1 for node in nodes)
    if device.startswith("cuda") and not available:
        raise InvalidInput(
            f"{device=} was asked for, but no node of the Ray cluster has a GPU. "
            "Use `--device cpu`."
        )
    return available and device != "cpu"


def worker_resources(
    options: WorkersConfig, up: Sequence[Amounts], growth: Sequence[Amounts]
) -> Resources:
    """What each worker is given, on nodes that are up or that an autoscaler may start. InvalidInput
    where so many do not fit: Ray would wait for them for ever.
    """
    use_gpu = _use_gpu(options.device, [*up, *growth])
    each = Resources(options.cpus_per_worker or 1, float(use_gpu))
    room = max(each.fitting(up), each.fitting(growth))
    if room < options.workers:
        raise InvalidInput(
            f"{options.workers} workers of {each} must fit into the Ray cluster, but {room} do. "
            "Lower --workers or --cpus-per-worker, or add nodes."
        )
    return each


def _waiting(
    ray: Any, each: Resources, workers: int, warn: Callable[[str], None]
) -> Callable[[], None]:
    """To be called now and then: says once that the workers' placement group waits for room."""
    said = False

    def look() -> None:
        nonlocal said
        with suppress(Exception):  # a head that is gone is told of elsewhere
            groups = ray.util.placement_group_table().values()
            pending = [list(g["bundles"].values()) for g in groups if g["state"] == "PENDING"]
            if not said and [each.amounts] * workers in pending:
                said = True
                warn(wait_words(ray, f"{workers} worker(s) wait", each))

    return look


@contextmanager
def following(path: Path, tell: Callable[[Event], None]) -> Iterator[None]:
    """Shows epochs that other processes add to a record."""
    seen, ended = len(_epochs(path)), threading.Event()

    def look() -> None:
        nonlocal seen
        found = _epochs(path)
        for event in found[seen:]:
            tell(event)
        seen = len(found)

    def follow() -> None:
        while not ended.wait(POLL):
            look()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()


def _epochs(path: Path) -> list[Event]:
    if not path.exists():
        return []
    return [
        {"epoch": event["epoch"], "metrics": event["metrics"]}
        for event in read_events(path)
        if event["event"] == "epoch"
    ]
