"""What a genotype, an architecture or a space of cells is: its graph, its size, what it costs. The
command `fade-ray describe`.
"""

import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
import tyro

from fade_ray.describe.describe_chain import Chain, describe_chain
from fade_ray.describe.describe_text import as_text
from fade_ray.export.export_module import write_whole
from fade_ray.nn import CellNetwork, CellNetworkConfig
from fade_ray.nn.costs import CONVENTIONS
from spaces import HyperArchitecture, nasbench201
from spaces.cell import CellSpace, Macro
from spaces.darts import SPACES, published
from spaces.errors import InvalidInput, require
from spaces.genotype import GENOTYPES, load_cells, read_genotype
from spaces.stackings import RESIDUAL


@dataclass(frozen=True)
class Setting:
    """Images, and the size of the networks that are retrained on them (algorithms B.4)."""

    side: int
    classes: int
    cells: int
    channels: int
    stem: str = "cifar"
    auxiliary_norm: bool = True


MACROS: dict[str, Setting] = {
    "cifar10": Setting(32, 10, 20, 36),
    "cifar100": Setting(32, 100, 20, 36),
    # the head of DARTS: algorithms F.1
    "imagenet": Setting(224, 1000, 14, 48, "imagenet", auxiliary_norm=False),
}
"""What `--macro` names."""
DEFAULT = "cifar10"


@dataclass(frozen=True)
class Options:
    """The options of `fade-ray describe`."""

    what: tyro.conf.Positional[str | None] = None
    """A file of cells, an exported architecture (.json), the name of a published genotype, a
    genotype or a code.
    """
    macro: str | None = None
    """cifar10 (the default), cifar100 or imagenet: images, stem, and the usual size of the network.
    """
    cells: int | None = None
    """Cells in the network; by default 20, on imagenet 14, in NAS-Bench-201 15, in a search network
    as published.
    """
    channels: int | None = None
    """Initial channels; by default 36, on imagenet 48, in NAS-Bench-201 16, in a search network as
    published.
    """
    space: str | None = None
    """A published space instead of a genotype."""
    search: bool = False
    """The search network of the space (or of a file with choices left)."""
    json: bool = False
    """The same as JSON."""
    draw: str | None = None
    """Draw the cells to this file, .svg or .png."""


def describe_command(arguments: list[str]) -> None:
    """`fade-ray describe` with `arguments` as in sys.argv[2:]; prints. Raises InvalidInput."""
    about = "Describe a genotype, the architecture of a search, or with --space a space of cells: graph, parameters, multiply-adds, shapes."
    options = tyro.cli(Options, args=arguments, prog="fade-ray describe", description=about)
    subject = find(options)
    told = describe(subject, options)
    if options.draw is not None:
        draw(subject, Path(options.draw))
        told["drawing"] = options.draw
    print(json.dumps(told, indent=2) if options.json else as_text(told))


Subject = Macro | Chain


def find(options: Options) -> Subject:
    """What is to be described. Raises InvalidInput where there is no such thing, with the nearest
    names.
    """
    if (options.what is None) == (options.space is None):
        raise InvalidInput(
            "`fade-ray describe` takes either FILE or NAME, or `--space NAME`, but got "
            + ("neither." if options.what is None else "both.")
            + f" Genotypes by name: {', '.join(GENOTYPES)}; spaces: {', '.join(SPACES)}."
        )
    if options.space is not None:
        return published(options.space).macro
    what = str(options.what)
    if what in GENOTYPES:
        return GENOTYPES[what]
    for beginning, parse in FORMS.items():
        if what.startswith(beginning):
            return parse(what)
    if os.path.isfile(
        path := os.path.expanduser(what)
    ):  # False, where Path.is_file raises: for names that are too long
        return _read(Path(path))
    try:
        return Chain(HyperArchitecture.from_code(what))
    except InvalidInput as error:
        named = {name.lower(): name for name in GENOTYPES}
        near = get_close_matches(what.lower(), named, n=1)
        hint = f" Did you mean {named[near[0]]!r}?" if near else ""
        raise InvalidInput(
            f"FILE or NAME must be a file, one of the genotypes {', '.join(GENOTYPES)}, a genotype or the code of an architecture, but got "
            f"{what[:200]!r}: there is no such file.{hint}"
        ) from error


FORMS: dict[str, Callable[[str], Subject]] = {
    "Genotype(": read_genotype,
    "|": lambda text: nasbench201.macro(cell=nasbench201.decode(text)),
}
"""How a genotype begins that is given in full."""


def _read(path: Path) -> Subject:
    """A file of cells, or the `.json` of an exported architecture."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # the notation, or something that `load_cells` says is none
        return load_cells(path)
    if isinstance(data, dict) and isinstance(data.get("cells"), dict) and "code" in data:
        return Macro.from_dict(data["cells"])
    if isinstance(data, dict) and "code" in data:
        return Chain.exported(data)
    return load_cells(path)


def describe(subject: Subject, options: Options) -> dict[str, Any]:
    """JSON-able: all that is known of `subject` in the network that `options` ask for. Raises
    InvalidInput.
    """
    if options.macro not in (None, *MACROS):
        near = get_close_matches(str(options.macro).lower(), MACROS, n=1, cutoff=0.0)
        raise InvalidInput(
            f"`--macro` must be one of {', '.join(MACROS)}, but got {options.macro!r}. Did you mean {near[0]!r}?"
        )
    if isinstance(subject, Chain):
        images = MACROS[options.macro or DEFAULT]
        return describe_chain(
            subject,
            options.what,
            options.macro,
            (images.side, images.classes),
            options.cells,
            options.channels,
        )
    options = replace(options, macro=options.macro or DEFAULT)
    setting = MACROS[str(options.macro)]
    if options.space is not None and not options.search:
        return _describe_space(subject) | {"name": options.space}
    require(
        options.search or subject.is_discrete,
        "one operation per edge, or --search",
        "Add `--search` for the search network of these cells.",
        choices=subject.size,
    )
    return (_describe_search if options.search else _describe_genotype)(subject, setting, options)


def _describe_genotype(macro: Macro, setting: Setting, options: Options) -> dict[str, Any]:
    usual = (setting.cells if macro.stack.shared else macro.depth, setting.channels)
    cells, channels = macro.stack.retrained or usual
    macro = macro.at_depth(cells if options.cells is None else options.cells)
    head = macro.stack.auxiliary
    config = CellNetworkConfig(auxiliary=head, auxiliary_norm=setting.auxiliary_norm)
    network = _network(
        macro,
        replace(config, channels=channels if options.channels is None else options.channels),
        setting,
    )
    auxiliary = 0 if network.auxiliary is None else _count(network.auxiliary)
    total = _count(network)
    return {
        "kind": "genotype",
        "name": options.what,
        "genotype": macro.notation,
        "graph": {kind: _graph(cell) for kind, cell in macro.cells.items()},
        **_size(network, str(options.macro)),
        "parameters": total - auxiliary,
        "parameters_with_auxiliary": total if head else None,
        **_costs(network),
    }


def _describe_search(macro: Macro, setting: Setting, options: Options) -> dict[str, Any]:
    space = published(options.space) if options.space is not None else None
    channels = 16 if space is None else space.channels
    macro = macro.at_depth(macro.depth if options.cells is None else options.cells)
    stem = replace(setting, stem="imagenet-search" if setting.stem == "imagenet" else setting.stem)
    config = CellNetworkConfig(channels=channels if options.channels is None else options.channels)
    network = _network(macro, config, stem, search=True)
    return {
        **_describe_space(macro),
        "kind": "search network",
        "name": options.space or options.what,
        **_size(network, str(options.macro)),
        "parameters": _count(network),
        **_costs(network),
    }


def _describe_space(macro: Macro) -> dict[str, Any]:
    kinds = {place.kind for place in macro.layout} - {RESIDUAL}
    cells = {kind: cell for kind, cell in macro.cells.items() if kind in kinds}
    return {
        "kind": "space",
        "name": None,
        "size": macro.with_cells(cells).size,
        "logits": sum(int(cell.mask.sum()) for cell in cells.values()),
        "spaces": {
            kind: {
                "edges": len(cell.edges),
                "keep": cell.keep,
                "ops": list(cell.ops),
                "size": cell.size,
            }
            for kind, cell in cells.items()
        },
    }


def _network(
    macro: Macro, config: CellNetworkConfig, setting: Setting, search: bool = False
) -> CellNetwork:
    stems = macro.stack.stems
    stem = setting.stem if setting.stem in stems else stems[0]
    config = replace(config, stem=stem)
    return CellNetwork(
        macro,
        config.for_search(macro.stack) if search else config,
        side=setting.side,
        classes=setting.classes,
        generator=torch.Generator().manual_seed(0),
    )


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _size(network: CellNetwork, macro: str) -> dict[str, Any]:
    return {
        "macro": macro,
        "cells": network.macro.depth,
        "channels": network.config.channels,
        "classes": network.classes,
        "input_shape": list(network.input_shape),
    }


def _costs(network: CellNetwork) -> dict[str, Any]:
    return {
        "multiply_adds": {name: network.multiply_adds((), name) for name in CONVENTIONS},
        "stages": list(_stages(network)),
    }


def _stages(network: CellNetwork) -> Iterator[dict[str, Any]]:
    """The output of every part, [channels, side, side]."""
    before, last = network.stem.maps
    outs = [place.out for place in network.places]
    for number, out in enumerate(dict.fromkeys((before, last))):
        yield {"stage": "stem" if before == last else f"stem {number}", "shape": [*out, out.side]}
    for index, (place, out) in enumerate(zip(network.macro.layout, outs, strict=True)):
        reduces = " (reduction)" if place.reduction else ""
        yield {
            "stage": f"{index} {place.kind}{reduces}",
            "shape": [out.channels, out.side, out.side],
        }
    yield {"stage": "classifier", "shape": [network.classes]}


def _graph(cell: CellSpace) -> dict[str, Any]:
    nodes = {
        str(node): [
            {"op": gene.op, "source": gene.source} for gene in cell.genes if gene.target == node
        ]
        for node in range(cell.inputs, cell.nodes)
    }
    return {"inputs": cell.inputs, "nodes": nodes, "outputs": list(cell.outputs)}


def draw(subject: Subject, path: Path) -> Path:
    """Draw the cells as SVG or PNG. Raises InvalidInput for another suffix, a choice left, or a
    place that cannot be written.
    """
    from fade_ray.report.genotype_drawing import draw_genotype
    from fade_ray.report.graph_drawing import draw_cells  # matplotlib takes a second to import
    from fade_ray.report.style import house_style

    suffix = path.suffix.lower()
    require(
        suffix in (".svg", ".png"),
        "--draw names an .svg or .png file",
        "Use cells.svg.",
        draw=str(path),
    )
    buffer = io.BytesIO()
    with house_style():
        if isinstance(subject, Chain):
            picture = draw_cells([dag for (dag,) in subject.hyper.graphs()], "Cells")
        else:
            picture = draw_genotype(subject, "Cells")
        picture.figure.savefig(buffer, format=suffix[1:], dpi=150)
    return write_whole(path, buffer.getvalue())
