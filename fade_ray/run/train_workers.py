"""A retraining shared by several workers, on Ray Train. The GPU lines have not run on one yet."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fade_ray.records.additions import Addition
from fade_ray.records.journal import Journal, read_events
from fade_ray.records.json_form import as_json, from_json
from fade_ray.retrain import RetrainConfig, Retraining
from fade_ray.retrain.parallel import data_parallel, process_workers
from fade_ray.retrain.retrain_images import open_images
from fade_ray.retrain.retraining import retrain
from fade_ray.run.folder import read_json
from fade_ray.run.ray_engine import ALWAYS, QUIET, WORKER_RESTARTS, check_storage, ray_cluster
from fade_ray.training import TrainingFailed, place
from fade_ray.trials.job import Event, write_output
from spaces.cell import Macro
from spaces.errors import InvalidInput

RESULT, FAILURE = "trained.json", "failed.json"
POLL = 1.0  # seconds between looks at the records, for the display alone
EXPECTED = {"InvalidInput": InvalidInput, "TrainingFailed": TrainingFailed}


def train_on_workers(
    job: Retraining,
    folder: Path,
    tell: Callable[[Event], None],
    additions: Sequence[Addition] = (),
) -> dict[str, Any]:
    """Carry `job` out on `workers` of a Ray cluster; returns what goes into result.json.

    The first worker writes checkpoints, weights and records into `folder`; `tell` is shown what it
    records. A group that loses a worker starts again from its last epoch. Raises InvalidInput and
    TrainingFailed as `retrain`, and InvalidInput when the cluster has not what is asked for.
    """
    options = job.config.workers
    for name, value in (ALWAYS if options.verbose else ALWAYS | QUIET).items():
        os.environ.setdefault(name, value)
    with ray_cluster(job.config.run) as ray, following(folder / "records.jsonl", tell):
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        use_gpu = _use_gpu(options.device, nodes)
        _check_room(job, nodes, use_gpu)
        check_storage(ray, folder)
        for name in (RESULT, FAILURE):
            (folder / name).unlink(missing_ok=True)
        for left in range(WORKER_RESTARTS, -1, -1):
            try:
                _fit(job, folder, use_gpu, additions)
                break
            except Exception as error:
                _raise_expected(folder, error)
                if not left or not _lost_a_worker(error):
                    raise
    result: dict[str, Any] = read_json(folder / RESULT)
    (folder / RESULT).unlink()
    return result


def _fit(job: Retraining, folder: Path, use_gpu: bool, additions: Sequence[Addition]) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    options = job.config.workers
    resources = {"CPU": float(options.cpus_per_worker or 1)} | ({"GPU": 1.0} if use_gpu else {})
    trainer = TorchTrainer(
        work,
        train_loop_config={
            "genotype": as_json(job.macro),
            "config": as_json(job.config),
            "folder": str(folder),
            "additions": [(addition.path, addition.text) for addition in additions],
        },
        scaling_config=ScalingConfig(
            num_workers=options.workers, use_gpu=use_gpu, resources_per_worker=resources
        ),
        run_config=RunConfig(name="workers", storage_path=str(folder / "tune")),
    )
    trainer.fit()


def work(settings: dict[str, Any]) -> None:
    """What each worker runs."""
    import ray.train.torch

    for path, text in settings["additions"]:
        Addition(path, text).load()
    config = from_json(RetrainConfig, settings["config"])
    job, folder = (
        Retraining(from_json(Macro, settings["genotype"]), config),
        Path(settings["folder"]),
    )
    workers = process_workers()
    placement = place(str(ray.train.torch.get_device()), job.config.train.precision)
    told = retrain_events(job, folder) if workers.rank == 0 else None
    try:
        wrap = data_parallel(workers, placement.device)
        for event in retrain(
            job, open_images(job.config), folder, placement, workers=workers, wrap=wrap
        ):
            if told is not None:
                told(event)
    except (InvalidInput, TrainingFailed) as error:
        failure = {"kind": type(error).__name__, "message": str(error)}
        write_output(folder / FAILURE, json.dumps(failure).encode())
        raise


def retrain_events(job: Retraining, folder: Path) -> Callable[[Event], None]:
    """Puts the events of a retraining where they belong: epochs, each once, into the record, the
    result into a file for the driver.
    """
    path = folder / "records.jsonl"
    known = (
        {event["epoch"] for event in read_events(path) if event["event"] == "epoch"}
        if path.exists()
        else set()
    )
    journal = Journal(path)

    def tell(event: Event) -> None:
        if "outcome" in event:
            write_output(folder / RESULT, json.dumps(event["metrics"]).encode())
        elif event["epoch"] not in known:
            journal.append("epoch", **event)

    return tell


def _raise_expected(folder: Path, error: Exception) -> None:
    """What a worker found wrong, in place of Ray's account of it."""
    if (folder / FAILURE).exists():
        failure = read_json(folder / FAILURE)
        (folder / FAILURE).unlink()
        raise EXPECTED[failure["kind"]](failure["message"]) from error


def _lost_a_worker(error: Exception) -> bool:
    """Whether a worker's process died, rather than said what is wrong: Ray has no public class for
    that.
    """
    failures = getattr(error, "worker_failures", {}).values()
    return any(type(failure).__name__.startswith("WorkerHealthCheck") for failure in failures)


def _use_gpu(device: str, nodes: list[dict[str, float]]) -> bool:
    """Whether each worker gets a GPU: where the cluster has any and the device allows it. Raises
    InvalidInput for a device it cannot have.
    """
    if device not in ("auto", "cpu") and not device.startswith("cuda"):
        raise InvalidInput(
            f"Several workers run on the CPU or on CUDA GPUs, but got {device=}. Use `--device auto`."
        )
    available = any(node.get("GPU", 0) >= 1 for node in nodes)
    if device.startswith("cuda") and not available:
        raise InvalidInput(
            f"{device=} was asked for, but no node of the Ray cluster has a GPU. Use `--device cpu`."
        )
    return available and device != "cpu"


def _check_room(job: Retraining, nodes: list[dict[str, float]], use_gpu: bool) -> None:
    """Ray would wait for ever for workers that fit nowhere."""
    options = job.config.workers
    cpus = options.cpus_per_worker or 1
    room = sum(
        min(
            int(node.get("CPU", 0) // cpus), int(node.get("GPU", 0)) if use_gpu else options.workers
        )
        for node in nodes
    )
    if room < options.workers:
        raise InvalidInput(
            f"{options.workers} workers of {cpus} CPU(s)"
            + (" and 1 GPU" if use_gpu else "")
            + f" must fit into the Ray cluster, but {room} do. "
            "Lower --workers or --cpus-per-worker, or add nodes."
        )


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
