"""`fade-ray doctor`: whether trials can run on every node of a cluster, before there are any."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fade_ray.records.remote import directory
from fade_ray.run.doctor import shown
from fade_ray.run.inputs import input_paths, placed
from fade_ray.run.marks import taken_back
from fade_ray.run.ray_cluster import ray_cluster
from fade_ray.run.ray_nodes import Question, Survey, autoscaler, coming
from fade_ray.run.run_config import RayOptions
from spaces.errors import InvalidInput


@dataclass(frozen=True)
class DoctorOptions:
    """What a run would be started with."""

    address: str | None = None
    """Ray cluster to look at; by default a running one, else a new one on this machine."""
    out: str | None = None
    """Run directory, which need not exist yet."""
    data: str = "digits"
    """The images, as a name or a path."""
    test_data: str | None = None
    """The test images."""
    device: str = "auto"
    """auto, cpu or cuda."""


READ = ("data", "test_data")
"""Options that name images."""


@taken_back()
def doctor(options: DoctorOptions, console: Console) -> bool:
    """Ask every node and print what it says; whether all is well. Raises InvalidInput as a run
    does.
    """
    data = input_paths(placed(options, READ), READ).values()
    folder = None if options.out is None else _existing(directory(options.out).resolve())
    with ray_cluster(RayOptions(address=options.address)) as ray:
        question = Question(folder, tuple(data), gpus=options.device != "cpu")
        asked = Survey(ray, question).complete()
        lines = coming(autoscaler(ray))
    console.print(shown(asked.nodes), soft_wrap=True)
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    if options.device.startswith("cuda") and not any(node.amount("GPU") for node in asked.good):
        raise InvalidInput(
            "`--device cuda` needs a node with a GPU on which trials can run, but this cluster has "
            "none. Use `--device cpu`, or start nodes with GPUs."
        )
    return len(asked.good) == len(asked.nodes)


def _existing(folder: Path) -> Path:
    """The nearest directory that exists already: a run makes the others."""
    return folder if folder.is_dir() else _existing(folder.parent)
