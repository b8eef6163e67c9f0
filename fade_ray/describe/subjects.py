"""What can be described: cells and spaces of cells, and chains of graphs, each as a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import tyro

from fade_ray.describe.counts import counts, language_counts
from fade_ray.nn import CellNetwork, CellNetworkConfig, ChainNetwork, NetworkConfig
from fade_ray.nn.language_network import LanguageNetwork
from spaces import Dag, HyperArchitecture
from spaces.cell import CellSpace, Macro
from spaces.errors import require, require_known, upheld
from spaces.stackings import RESIDUAL


@dataclass(frozen=True)
class Setting:
    """Data, and the size of the networks that are retrained on them (algorithms B.4, B.5).
    `classes` of images, or words of a vocabulary.
    """

    name: str
    side: int
    classes: int
    cells: int
    channels: int
    stem: str = "cifar"
    auxiliary_norm: bool = True
    task: str = "images"


MACROS: dict[str, Setting] = {
    "cifar10": Setting("cifar10", 32, 10, 20, 36),
    "cifar100": Setting("cifar100", 32, 100, 20, 36),
    # the head of DARTS: algorithms F.1
    "imagenet": Setting("imagenet", 224, 1000, 14, 48, "imagenet", auxiliary_norm=False),
    "ptb": Setting("ptb", 1, 10_000, 1, 850, task="text"),
}
"""What `--macro` names; the first of a task is its default."""


@dataclass(frozen=True)
class Options:
    """The options of `fade-ray describe`."""

    what: tyro.conf.Positional[str | None] = None
    """File of cells, exported architecture (.json), published name, genotype, or code."""
    macro: str | None = None
    """cifar10 (the default), cifar100 or imagenet: images, stem, usual size of the network; of
    recurrent cells ptb: 10,000 words.
    """
    cells: int | None = None
    """Cells; by default 20, imagenet 14, NAS-Bench-201 15, in searches as published."""
    channels: int | None = None
    """Initial channels; by default 36, imagenet 48, NAS-Bench-201 16, or as published."""
    space: str | None = None
    """A published space instead of a genotype."""
    search: bool = False
    """The search network of the space (or of a file with choices left)."""
    json: bool = False
    """The same as JSON."""
    draw: str | None = None
    """Draw the cells to this file, .svg or .png."""

    def setting(self, task: str = "images") -> Setting:
        """Data and usual options. Raises InvalidInput for an unknown `macro`."""
        of_task = [name for name, setting in MACROS.items() if setting.task == task]
        require_known(
            f"`--macro`, where the cells are for {task},", self.macro or of_task[0], of_task
        )
        return MACROS[self.macro or of_task[0]]


@dataclass(frozen=True)
class Cells:
    """Cells: a genotype."""

    macro: Macro

    def facts(self) -> dict[str, Any]:
        macro = self.macro
        rule, remedy = "one operation per edge, or --search", "Add `--search` for their network."
        require(macro.is_discrete, rule, remedy, choices=macro.size)
        graph = {kind: _graph(cell) for kind, cell in macro.cells.items()}
        return {"kind": "genotype", "genotype": macro.notation, "graph": graph}

    def counts(self, options: Options) -> dict[str, Any]:
        stack, setting = self.macro.stack, options.setting(self.macro.stack.task)
        usual = (setting.cells if stack.shared else self.macro.depth, setting.channels)
        return self._counts(options, *(stack.retrained or usual))

    def _counts(
        self, options: Options, cells: int, channels: int, search: bool = False
    ) -> dict[str, Any]:
        """With `cells` and `channels` where `options` name none."""
        task = self.macro.stack.task
        macro = self.macro.at_depth(cells if options.cells is None else options.cells)
        channels = channels if options.channels is None else options.channels
        return NETWORKS[task](macro, options.setting(task), channels, search)

    def picture(self) -> Any:
        from fade_ray.report.genotype_drawing import draw_genotype  # matplotlib takes a second

        return draw_genotype(self.macro, "Cells")


@dataclass(frozen=True)
class Space(Cells):
    """Cells with choices left. `channels`: those of their search network."""

    channels: int = 16

    def facts(self) -> dict[str, Any]:
        macro = self.macro
        kinds = {place.kind for place in macro.layout} - {RESIDUAL}
        cells = {kind: cell for kind, cell in macro.cells.items() if kind in kinds}
        logits = sum(int(cell.mask.sum()) for cell in cells.values())
        spaces = {kind: _space(cell) for kind, cell in cells.items()}
        size = macro.with_cells(cells).size
        return {"kind": "space", "size": size, "logits": logits, "spaces": spaces}

    def counts(self, options: Options) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class SearchNetwork(Space):
    """The search network of cells."""

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"kind": "search network"}

    def counts(self, options: Options) -> dict[str, Any]:
        return self._counts(options, self.macro.depth, self.channels, search=True)


def _of_images(macro: Macro, setting: Setting, channels: int, search: bool) -> dict[str, Any]:
    stack = macro.stack
    stem = setting.stem + "-search" * (search and setting.stem == "imagenet")
    config = CellNetworkConfig(channels, stem=stem if stem in stack.stems else stack.stems[0])
    auxiliary, norm = stack.auxiliary, setting.auxiliary_norm
    retrained = replace(config, auxiliary=auxiliary, auxiliary_norm=norm)
    config = config.for_search(stack) if search else retrained
    images = {"side": setting.side, "classes": setting.classes}
    network = CellNetwork(macro, config, **images, generator=torch.Generator().manual_seed(0))
    return counts(network, macro=setting.name, cells=macro.depth, channels=channels)


def _of_text(macro: Macro, setting: Setting, channels: int, search: bool) -> dict[str, Any]:
    sizes = {"vocabulary": setting.classes, "units": channels}
    generator = torch.Generator().manual_seed(0)
    network = LanguageNetwork(macro, **sizes, search=search, generator=generator)
    return language_counts(network, macro=setting.name, **sizes)


NETWORKS = {"images": _of_images, "text": _of_text}
"""What is counted, by the task of the stacking: (cells, setting, channels, search) -> figures."""


def _space(cell: CellSpace) -> dict[str, Any]:
    edges, ops = len(cell.edges), list(cell.ops)
    return {"edges": edges, "keep": cell.keep, "ops": ops, "size": cell.size}


def _graph(cell: CellSpace) -> dict[str, Any]:
    nodes: dict[str, Any] = {str(node): [] for node in range(cell.inputs, cell.nodes)}
    for source, target, op in cell.genes:
        nodes[str(target)].append({"op": op, "source": source})
    return {"inputs": cell.inputs, "nodes": nodes, "outputs": list(cell.outputs)}


@dataclass(frozen=True)
class Chain:
    """The architecture of an outer search; where an export told, its network and images too."""

    hyper: HyperArchitecture
    config: NetworkConfig | None = None
    shape: tuple[int, int, int] | None = None
    """Channels and side of the images, classes."""

    @classmethod
    def exported(cls, data: Mapping[str, Any]) -> Chain:
        """From the `.json` of `export_module`. Raises InvalidInput where it is none."""
        needed = "An exported architecture needs code, network, input_shape and classes"
        with upheld(needed, "Is it one?", KeyError, TypeError, ValueError):
            hyper = HyperArchitecture.from_code(str(data["code"]))
            values = {**data["network"], "strides": tuple(data["network"]["strides"])}
            channels, side, _ = map(int, data["input_shape"])
            return cls(hyper, NetworkConfig(**values), (channels, side, len(data["classes"])))

    def facts(self) -> dict[str, Any]:
        rule, remedy = "width == 1", "Describe one architecture: one graph per row."
        require(self.hyper.is_architecture, rule, remedy, width=self.hyper.width)
        graphs = enumerate(self.hyper.graphs(), start=1)
        graph = {f"row {number}": _dag_graph(dag) for number, (dag,) in graphs}
        return {"kind": "chain", "genotype": self.hyper.code(), "graph": graph}

    def counts(self, options: Options) -> dict[str, Any]:
        hyper, setting = self.hyper, options.setting()
        rule, remedy = "--cells is the number of rows of the code", "Leave it out."
        fits = options.cells in (None, hyper.depth)
        require(fits, rule, remedy, cells=options.cells, rows=hyper.depth)
        config = replace(self.config or NetworkConfig(depth=hyper.depth), share=False)
        if options.channels is not None:
            config = replace(config, final_channels=options.channels)
        channels, side, classes = self.shape or (3, setting.side, setting.classes)
        as_exported = options.macro is None and self.shape is not None
        if not as_exported:
            side, classes, config = setting.side, setting.classes, replace(config, strides=())
        generator = torch.Generator().manual_seed(0)
        network = ChainNetwork(
            hyper, config, side=side, channels=channels, classes=classes, generator=generator
        )
        macro = "as exported" if as_exported else setting.name
        return counts(network, macro=macro, cells=hyper.depth, channels=config.final_channels)

    def picture(self) -> Any:
        from fade_ray.report.graph_drawing import draw_cells  # matplotlib takes a second

        return draw_cells([dag for (dag,) in self.hyper.graphs()], "Cells")


def _dag_graph(dag: Dag) -> dict[str, Any]:
    into = {str(v): [str(u) for u, w in dag.edges if w == v] or ["INPUT"] for v in range(dag.n)}
    return {"vertices": into, "outputs": [str(v) for v in dag.sinks]}


Subject = Cells | Chain
