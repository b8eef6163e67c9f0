"""A trained architecture as readable PyTorch, its weights, and what is known about it."""

import dataclasses
import json
import keyword
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from fade_ray.export.cells_text import check_genotype, plain_cells
from fade_ray.export.chain_text import check_chain, plain_chain
from fade_ray.export.fold import folded
from fade_ray.export.modules_text import plain_modules
from fade_ray.export.task_words import TASK_WORDS
from fade_ray.export.text import Plain, list_lines, literal, template
from fade_ray.nn import CellNetwork, ChainNetwork, ModuleNetwork, Network, parameters
from fade_ray.nn.costs import CONVENTIONS
from fade_ray.records.atomic import writable, write_atomically
from fade_ray.records.journal import plain as jsonable
from fade_ray.records.release import VERSION
from spaces.errors import InvalidInput, require


@dataclass(frozen=True)
class Exporter:
    """How one class is exported. `check`: InvalidInput where a choice is left. `fold`: a network of
    the same scores with fewer operations; the same one where there is nothing to save.
    """

    check: Callable[[Any], None]
    plain: Callable[[Any], Plain]
    fold: Callable[[Any], Any] = lambda network: network


EXPORTERS: dict[type[Network], Exporter] = {
    ChainNetwork: Exporter(check_chain, plain_chain, folded),
    CellNetwork: Exporter(check_genotype, plain_cells),
    ModuleNetwork: Exporter(check_chain, plain_modules),
}


def exporter(network: Network) -> Exporter:
    """That of a network without choices; InvalidInput where there is none."""
    known, kind = EXPORTERS.get(type(network)), type(network).__name__
    if known is None:
        raise InvalidInput(f"Networks of graphs and of cells are exported, but this is a {kind}.")
    known.check(network)
    return known


def export_module(
    network: Network,
    folder: Path,
    name: str,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    facts: Mapping[str, Any] = {},
    target: str = "class",
) -> Path:
    """Write a network without choices as `<name>.py`, `.safetensors` and `.json` into `folder`.

    The `.py` needs torch alone (and safetensors to load the weights) and gives the main scores of
    `network` in evaluation mode, up to rounding. What no output depends on is left out: the
    auxiliary head, operations of a shared hyper-cell that no edge uses, nodes whose every way on is
    `none`. Convolutions of one value that a graph sums are one (`folded`). `network` stays as it
    is.

    The `.json` holds code, cells (of a chain: code, n, edges; else a file of cells, such as
    `spaces.genotype.load_cells` reads), what was folded (the code that remains, parameters and
    multiply-adds that it saves) where anything was, layout (channels, side in pixels and more of
    each place), network (its config), input_shape [channels, side, side], classes, mean, std,
    parameters (of the `.py`), multiply_adds (per image, convolutions and linear maps) and
    multiply_adds_2bn_relu, and `facts` beside them. The numbers among the facts stand in the
    docstring of the `.py` too.

    `target`: what was asked of each image, by its name in TARGETS. `classes` names the outputs,
    whatever they are; the `.json` says which target it was, unless classes.

    `name`: an identifier, so that `import <name>` works in `folder`. `mean`, `std`: [channels], in
    units of [0, 1], as the training images were normalised. Returns the path of the `.py`, which is
    written last. InvalidInput for a network with a choice left or built for a search, an operation
    without a text, a wrong name, number of classes or channels, mean or std, a fact under a name
    already taken, or a folder that cannot be written.
    """
    known = exporter(network)
    written = known.fold(network)
    plain = known.plain(written)
    images: dict[str, Any] = {"classes": list(classes)}
    images |= {"mean": [*map(float, mean)], "std": [*map(float, std)]}
    if not name.isidentifier() or keyword.iskeyword(name):
        rule = "The name of a module must be a Python identifier"
        raise InvalidInput(f"{rule}, but got {name!r}. Use 'architecture'.")
    check_images(network, **images)
    trained, described = parameters(*plain.live), plain.description
    if written is not network:
        described = _of_folded(network, known.plain(network), written, plain)
    whole = {
        **described,
        "network": dataclasses.asdict(network.config),  # type: ignore[call-overload]
        "input_shape": network.input_shape,
        "multiply_adds": written.multiply_adds(),
        "multiply_adds_2bn_relu": CONVENTIONS["conv+fc+2bn+relu"](written.cost()),
        **images,
        "parameters": trained,
        **({} if target == "class" else {"target": target}),
    }
    if taken := sorted(whole.keys() & facts.keys()):
        rule = "Facts need names that the description does not use"
        raise InvalidInput(f"{rule}, but got {taken}. Rename them.")
    lines = {"Parameters": trained, "Multiply-adds per image": whole["multiply_adds"]}
    lines |= {key: value for key, value in facts.items() if key.isidentifier()}
    channels, side, _ = network.input_shape
    task = TASK_WORDS[target]
    text = template(plain.template).render(
        plain.values,
        name=name,
        version=VERSION,
        facts=dict(numbers_told(lines)),
        shape=f"[batch, {channels}, {side}, {side}]",
        classes=len(classes),
        task=task,
        scores=task.scores.format(n=len(classes), side=side),
        constants=list(_constants(task.constant, **images)),
    )
    named = plain.weights or named_weights(text, plain.live, plain.beside)
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in named.items()}
    weights = save(tensors, {"format": "pt", "code": whole["code"]})
    for file, content in plain.beside.items():
        write_whole(folder / file, content.encode())
    told = json.dumps(jsonable({**whole, **facts}), indent=2) + "\n"
    write_whole(folder / f"{name}.safetensors", weights)
    write_whole(folder / f"{name}.json", told.encode())
    return write_whole(folder / f"{name}.py", text.encode())


def _of_folded(network: Network, found: Plain, written: Network, plain: Plain) -> dict[str, Any]:
    """The description of what was found, which is written with fewer operations."""
    saved = {
        "code": plain.description["code"],
        "parameters_saved": parameters(*found.live) - parameters(*plain.live),
        "multiply_adds_saved": network.multiply_adds() - written.multiply_adds(),
    }
    return {**found.description, "folded": saved}


def folded_text(described: Mapping[str, Any]) -> str:
    """What an export has saved, by its `.json`; "" where there was nothing to save."""
    saved = described.get("folded")
    if saved is None:
        return ""
    numbers = f"{saved['parameters_saved']:,} parameters", f"{saved['multiply_adds_saved']:,}"
    return (
        f"convolutions of one value are one in the files: {numbers[0]} and {numbers[1]} "
        "multiply-adds fewer"
    )


def named_weights(
    text: str, live: Sequence[nn.Module], beside: Mapping[str, str]
) -> dict[str, Tensor]:
    """The tensors of the modules `live` under their names in the module written in
    `text`, which reads the files `beside`: the same tensors in the same order. InvalidInput where
    they are not.
    """
    with TemporaryDirectory() as place:
        for file, content in beside.items():
            Path(place, file).write_text(content, encoding="utf-8")
        module: dict[str, Any] = {"__name__": "exported", "__file__": f"{place}/exported.py"}
        exec(compile(text, "exported.py", "exec"), module)
    with torch.device("meta"):  # no memory, no random numbers
        theirs = module["Network"]().state_dict()
    ours = [tensor for part in live for tensor in part.state_dict().values()]
    if [t.shape for t in ours] != [t.shape for t in theirs.values()]:
        raise InvalidInput(
            "An operation and its `OperationText` must have the same tensors in the same order, "
            f"but the text makes {len(theirs)} tensors for {len(ours)}, or others. Mend the text."
        )
    return dict(zip(theirs, ours, strict=True))


def check_images(
    network: Network, classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> None:
    """InvalidInput unless what an export says of the images fits the network."""
    rule = "len(classes) == network.classes"
    require(len(classes) == network.classes, rule, "Name each once.", classes=len(classes))
    channels, finite = network.input_shape[0], all(map(math.isfinite, [*mean, *std]))
    fits = len(mean) == len(std) == channels and finite and min(std) > 0
    rule = "mean and std are finite, std > 0, one of each per channel"
    remedy = "Give those that the training images were normalised with."
    require(fits, rule, remedy, mean=mean, std=std, channels=channels)


def _constants(
    names: str, classes: list[str], mean: list[float], std: list[float]
) -> Iterator[str]:
    """The lines of CLASSES, MEAN and STD."""
    yield from list_lines(names, [literal(text) for text in classes])
    yield from list_lines("MEAN", [repr(value) for value in mean])
    yield from list_lines("STD", [repr(value) for value in std])


def numbers_told(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The numbers among the facts, written for people."""
    for key, value in facts.items():
        if type(value) in (int, float):
            yield key, f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def write_whole(path: Path, content: bytes) -> Path:
    """Put `content` at `path` in one step; the directory is made where it is missing. InvalidInput
    for a place that cannot be written (read-only, full disk); what was at `path` stays.
    """
    with writable(f"An export to {path}", ", or choose another folder."):
        return write_atomically(path, content)
