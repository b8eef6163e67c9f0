"""Whether the nodes of a cluster can run trials, and what to do where one cannot."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from fade_ray.run.node_answer import PACKAGES, digest
from fade_ray.run.resources import Amounts
from fade_ray.run.text_table import text_table

Answer = Mapping[str, Any]
"""Of `fade_ray.run.node_answer.answer`."""
EQUAL = ("torch", "numpy")
"""Packages that every node needs in the driver's version, for the same seed to give the same."""
SHOWN = 3


@dataclass(frozen=True)
class Fault:
    """Why trials cannot run on a node, and what to do about it."""

    cause: str
    remedy: str


@dataclass(frozen=True)
class Examined:
    """A node of a cluster with what was found. `resources`: Ray's, such as CPU; `answer`: None of
    one that gave none.
    """

    id: str
    address: str
    resources: Amounts
    answer: Answer | None
    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        return node_name(self.address, self.id)

    def amount(self, resource: str) -> float:
        return self.resources.get(resource, 0)

    def description(self) -> dict[str, Any]:
        """For the record."""
        told = {}
        if self.answer is not None:
            told = {"host": self.answer["host"], "python": self.answer["python"]}
            told |= self.answer["versions"] | {"source": source_of(self.answer)}
            told |= {"torch_gpus": self.answer["cuda"]}
        kept = {name: n for name, n in self.resources.items() if not name.startswith("node:")}
        return {**told, "resources": kept, "faults": [fault.cause for fault in self.faults]}


def node_name(address: str, id: str) -> str:
    """Its address and the beginning of Ray's id: nodes may share an address."""
    return f"{address} ({id[:6]})"


def source_of(answer: Answer) -> str | None:
    """None of one that cannot import the packages."""
    return digest(answer["source"]) if answer["source"] else None


def faults(theirs: Answer, ours: Answer, gpus: float = 0) -> tuple[Fault, ...]:
    """What is wrong with a node that answered `theirs`, where the driver answers `ours`. `gpus`:
    how many Ray would lend to trials there, 0 also where they are not to use any.
    """
    if theirs["failed"]:
        return tuple(_not_imported(theirs["failed"], ours))
    return (
        *_other_source(theirs["source"], ours["source"]),
        *_other_versions(theirs["versions"], ours["versions"]),
        *_folder(theirs["folder"]),
        *_data(theirs["data"], ours["data"]),
        *_devices(theirs, gpus),
    )


def _not_imported(failed: Mapping[str, str], ours: Answer) -> Iterator[Fault]:
    if "torch" in failed:
        yield Fault(
            f"cannot import torch: {failed['torch']}",
            f"Install torch=={ours['versions']['torch']} there, where Ray's Python finds it.",
        )
    for package in [package for package in PACKAGES if package in failed][:1]:  # all come together
        yield Fault(
            f"cannot import {package}: {failed[package]}",
            "Install the driver's fade_ray there, where Ray's Python finds it, or send it with the "
            "job: `ray job submit --working-dir .` in its source tree.",
        )


def _other_source(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[Fault]:
    differing = sorted(
        name for name in {*theirs, *ours} if theirs.get(name, "") != ours.get(name, "")
    )
    if differing:
        further = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        yield Fault(
            f"has other source of fade_ray, {digest(theirs)} in place of {digest(ours)}: "
            f"{', '.join(differing[:SHOWN])}{further}",
            "Install the same commit on every node, or send it with the job: "
            "`ray job submit --working-dir .` in its source tree.",
        )


def _other_versions(theirs: Answer, ours: Answer) -> Iterator[Fault]:
    for package in EQUAL:
        here, there = (str(of[package]).partition("+")[0] for of in (ours, theirs))
        if here != there:
            yield Fault(
                f"has {package} {there} in place of {here}",
                f"Install {package}=={here} there.",
            )


def _folder(trouble: str | None) -> Iterator[Fault]:
    if trouble is not None:
        yield Fault(
            f"cannot write in the run directory: {trouble}",
            "Put `--out` on storage that all nodes share and may write (NFS).",
        )


def _data(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[Fault]:
    for path, expected in ours.items():
        if theirs[path] != expected or expected.startswith("nothing"):
            here = "" if theirs[path] == expected else f", where the driver has {expected}"
            yield Fault(
                f"has {theirs[path]} at {path}{here}",
                "Put the data at the same place on every node, or on storage that they share.",
            )


def _devices(theirs: Answer, gpus: float) -> Iterator[Fault]:
    if gpus > theirs["cuda"]:
        yield Fault(
            f"has {gpus:g} GPU(s) for Ray, but {theirs['cuda']} for torch"
            + (f": {theirs['cuda_problem']}" if theirs["cuda_problem"] else ""),
            "Install a torch with CUDA and a driver that fits it, start the node with "
            "`--num-gpus 0`, or use `--gpus-per-trial 0 --device cpu`.",
        )


HEADS = ("node", "host", "CPUs", "GPUs", "fade_ray", "torch", "CUDA", "")


def shown(nodes: Sequence[Examined]) -> Group:
    """A table of the nodes, and below it what is wrong with which and what to do."""
    table = text_table(HEADS, map(_row, nodes), left=("node", "host", "fade_ray", "torch", ""))
    return Group(table, *(Text(f"no: {line}") for line in complaints(nodes)))


def _row(node: Examined) -> tuple[str, ...]:
    answer = node.answer
    told = ("-", "-", "-", "-")
    if answer is not None:
        versions = answer["versions"]
        source = source_of(answer) or "none"
        torch = "none" if "torch" in answer["failed"] else str(versions["torch"])
        told = (answer["host"], source, torch, str(answer["cuda"]))
    cpus, gpus = (f"{node.amount(name):g}" for name in ("CPU", "GPU"))
    verdict = "no" if node.faults else "good"
    return (node.name, told[0], cpus, gpus, *told[1:], verdict)


def complaints(nodes: Iterable[Examined]) -> list[str]:
    """What is wrong with nodes and what to do, those with the same fault together."""
    sharing: dict[Fault, list[str]] = {}
    for node in nodes:
        for fault in node.faults:
            sharing.setdefault(fault, []).append(node.name)
    return [
        f"{', '.join(names)}, which {fault.cause}. {fault.remedy}"
        for fault, names in sharing.items()
    ]


def as_text(nodes: Sequence[Examined]) -> str:
    """`shown` as plain text, for an error message."""
    console = Console(width=200, no_color=True, markup=False)
    with console.capture() as captured:
        console.print(shown(nodes), soft_wrap=True)
    return captured.get().rstrip()
