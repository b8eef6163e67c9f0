"""The sections of `check_gpu.py` that start programs, or write what others read."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from _gpu_agreement import drawn, gap, genotype_network
from _gpu_sections import FAILED, NOT_RUN, OK, Check, Machine, judged, reason
from _gpu_steps import CLASSES, SIDE, Size
from safetensors.torch import load_file

from fade_ray.export import export_module, export_onnx
from fade_ray.nn import ChainNetwork, Network, NetworkConfig
from fade_ray.training.device import without_tf32
from spaces import HyperArchitecture, enumerate_dags

SEARCH = "search --engine local --limit 240 --depth 2 --final-channels 8 --batch-size 30"
SEARCH += " --confirmed 0 --baselines off"
SHORT = " --iterations 1 --walks 1 --rank-epochs 1 --evaluation-epochs 1 --retrain-epochs 1"
PACKED = "search --searcher random --iterations 1 --walks 1 --evaluations 4 --address local"
PACKED += " --confirmed 0 --baselines off"
DAEMON = "nvidia-cuda-mps-control"


def run(arguments: str, machine: Machine, variables: Mapping[str, str] | None = None) -> str:
    """`fade-ray ARGUMENTS`; what it says at its end. RuntimeError where it does not end well."""
    call = [sys.executable, "-m", "fade_ray.cli", *arguments.split()]
    environment = {**os.environ, **(variables or {})}
    ended = subprocess.run(
        call, env=environment, capture_output=True, text=True, timeout=machine.seconds
    )
    if ended.returncode:
        words = (ended.stderr or ended.stdout).strip().splitlines()
        raise RuntimeError(f"fade-ray {arguments} ended with {ended.returncode}: {words[-3:]}")
    return ended.stdout


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def search(machine: Machine) -> Iterator[Check]:
    """From nothing to a retrained network, as a user does it."""
    folder = machine.folder / "search"
    run(f"{SEARCH}{SHORT} --device {machine.device} --out {folder}", machine)
    ended = [event for event in events(folder) if event["event"] == "finished"]
    yield judged("trials that failed", sum("failure" in e["outcome"] for e in ended), 0)
    devices = {event["metrics"]["device"] for event in ended}
    name = torch.cuda.get_device_name() if machine.on_card else "cpu"
    verdict = OK if devices == {name} else FAILED
    yield Check("trained on", ", ".join(sorted(devices)), name, verdict)
    seconds = [e["metrics"]["seconds"] for e in events(folder) if e["event"] == "epoch"]
    yield Check("seconds per epoch, 160 images", sum(seconds) / len(seconds))


def packing(machine: Machine) -> Iterator[Check]:
    """Four trials at once on a quarter of the card each, against one after the other."""
    alone = _window(machine, "alone", 1)
    yield Check("four trials one after the other, seconds", alone)
    packed = _window(machine, "packed", 4)
    yield Check("four at once, times faster", alone / packed)
    if not machine.on_card:
        yield Check("with MPS", verdict=NOT_RUN, note="asked for the CPU")
        return
    if shutil.which(DAEMON) is None:
        yield Check("with MPS", verdict=NOT_RUN, note=f"{DAEMON} is not installed")
        return
    try:
        with multi_process_service(machine.folder) as variables:
            shared = _window(machine, "mps", 4, variables)
    except (OSError, subprocess.SubprocessError, RuntimeError, ValueError) as error:
        yield Check("with MPS", verdict=NOT_RUN, note=reason(error))  # many machines forbid it
        return
    yield Check("four at once with MPS, times faster", alone / shared)


def _window(
    machine: Machine, name: str, at_once: int, variables: Mapping[str, str] | None = None
) -> float:
    """Seconds from the start of the first trial's training to the end of the last trial."""
    folder = machine.folder / name
    share = f"--gpus-per-trial {1 / at_once}" if machine.on_card else "--gpus-per-trial 0"
    size = "--evaluation-epochs 40 --final-channels 64" if machine.on_card else LITTLE
    options = f"--device {machine.device} {share} --concurrency {at_once} --retrain-epochs 1"
    run(f"{PACKED} {size} {options} --out {folder}", machine, variables)
    return window(events(folder))


LITTLE = "--limit 240 --depth 2 --final-channels 8 --evaluation-epochs 1"


def window(record: list[dict[str, Any]]) -> float:
    """Of the evaluations in a record. ValueError where one failed."""
    plans = [event["proposal"] for event in record if event["event"] == "proposed"]
    evaluated = {plan["id"] for plan in plans if plan["kind"] == "evaluation"}
    ours = [event for event in record if event.get("id") in evaluated]
    ended = [event for event in ours if event["event"] == "finished"]
    if len(ended) < 4 or any("failure" in event["outcome"] for event in ended):
        raise ValueError(f"Four evaluations must end well, but {len(ended)} did, or one failed.")
    starts = [_time(e) - e["metrics"]["seconds"] for e in ours if e["event"] == "epoch"]
    return max(map(_time, ended)) - min(starts)


def _time(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


@contextmanager
def multi_process_service(folder: Path) -> Iterator[dict[str, str]]:
    """NVIDIA's MPS as a daemon of our own, in folders of our own; the variables that lead to it."""
    places = {"CUDA_MPS_PIPE_DIRECTORY": folder / "pipe", "CUDA_MPS_LOG_DIRECTORY": folder / "log"}
    for path in places.values():
        path.mkdir()
    variables = {name: str(path) for name, path in places.items()}
    environment = {**os.environ, **variables}
    subprocess.run([DAEMON, "-d"], env=environment, check=True, timeout=20)
    try:
        yield variables
    finally:
        subprocess.run([DAEMON], env=environment, input="quit\n", text=True, timeout=20)


def export(machine: Machine) -> Iterator[Check]:
    """Exported networks give the scores of those on the device."""
    graphs = HyperArchitecture(tuple((dag,) for dag in enumerate_dags(4)[-3:]))
    made, options = torch.Generator().manual_seed(0), {"side": SIDE, "channels": 3}
    config = NetworkConfig(depth=3, final_channels=8)
    chain = ChainNetwork(graphs, config, **options, classes=CLASSES, generator=made)
    networks = {"chain": chain, "genotype": genotype_network(Size(4, 4), auxiliary=False)}
    for name, network in networks.items():
        network.to(machine.place.device, memory_format=torch.channels_last).eval()
        yield from _exported(f"exported_{name}", network, machine)


def _exported(name: str, network: Network, machine: Machine) -> Iterator[Check]:
    images = drawn(3, 2, *network.input_shape)
    with without_tf32(), torch.no_grad():
        ours = {"scores": network(images.to(machine.place.device)).main}
    facts = {"classes": [str(i) for i in range(CLASSES)], "mean": (0.5,) * 3, "std": (0.25,) * 3}
    path = export_module(network, machine.folder, name, **facts)
    with without_tf32(), torch.no_grad():
        theirs = _imported(path).to(machine.place.device)(images.to(machine.place.device))
    yield judged(f"{name}: .py", gap({"scores": theirs}, ours), 1e-4, "relative gap")
    if any(importlib.util.find_spec(package) is None for package in ("onnx", "onnxruntime")):
        note = "onnx and onnxruntime are not both installed"
        yield Check(f"{name}: ONNX", verdict=NOT_RUN, note=note)
        return
    import onnxruntime

    file = export_onnx(network, machine.folder / f"{name}.onnx", **facts)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    scores = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    yield judged(f"{name}: ONNX", gap({"scores": scores}, ours), 1e-4, "relative gap")


def _imported(path: Path) -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = module.Network()
    network.load_state_dict(load_file(path.with_suffix(".safetensors")))
    return network.eval()
