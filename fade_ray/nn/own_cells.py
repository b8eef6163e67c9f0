"""A space of cells of a user's own: operations by name on the edges of a cell."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fade_ray.nn.choices import by_name, check_factory, name_of
from fade_ray.nn.costs import Cost, Map, halved
from fade_ray.nn.layers import Build
from fade_ray.nn.measured import Asked, Factory, fitting
from fade_ray.nn.noise import seeded
from fade_ray.nn.operations import OPERATIONS, Operation
from fade_ray.nn.sums import Source, Term
from fade_ray.records.additions import LOADING, module_at
from spaces.cell import NONE, CellSpace, Macro
from spaces.darts import SPACES, PublishedSpace, cells_of
from spaces.errors import InvalidInput, require, require_known
from spaces.module_cell import ModuleCell
from spaces.notation import genes_by_kind
from spaces.stackings import STACKINGS

STAGES = "stages"
"""The stacking of cells with one input: that of NAS-Bench-201, whatever the cell."""
STACKINGS[STAGES] = replace(
    STACKINGS["nasbench201"], notation=genes_by_kind, retrained=None, table=None
)


@dataclass(frozen=True)
class OwnOperation:
    """How an operation of a user's own is built; `place`: where it stands in its space's list."""

    name: str
    factory: Factory
    space: str
    place: int
    file: str

    def __call__(self, build: Build) -> Operation:
        return Own(self, build)

    def asked(self, channels: int, stride: int) -> Asked:
        what = f"Operation {self.name!r} of the space {self.space}"
        return Asked(what, self.factory, (channels, stride))


class Own(Operation):
    """A module of the user's own on an edge, its weights drawn from a seed that `build` draws. Its
    BatchNorms are as all of the cell: in searches without weights and statistics of their own.
    """

    def __init__(self, operation: OwnOperation, build: Build) -> None:
        super().__init__()
        self.operation, self.channels, self.stride = operation, build.channels, build.stride
        seed = torch.randint(2**62, (), generator=build.generator, device="cpu")
        with seeded(int(seed)):
            self.module = operation.asked(build.channels, build.stride).make()
        for norm in (each for each in self.module.modules() if isinstance(each, _BatchNorm)):
            if not build.affine:
                norm.affine = False
                norm.register_parameter("weight", None)
                norm.register_parameter("bias", None)
            if not build.running_statistics:
                norm.track_running_stats = False
                norm.running_mean = norm.running_var = norm.num_batches_tracked = None

    def forward(self, source: Source, term: Term) -> None:
        term.add(self.module(source.value))

    def cost(self, side: int) -> Cost:
        """InvalidInput where it does not fit its place, which one pass tells."""
        asked, before = self.operation.asked(self.channels, self.stride), Map(self.channels, side)
        out = halved(side, self.stride)
        with torch.device("cpu"):  # also where a network is built for its shapes alone
            return fitting(asked, before, (self.channels, out, out)).cost


@dataclass(frozen=True, eq=False)
class CellChoices:
    """A space of cells; made by `cell_space`. `name`: in `SPACES`, that of its file."""

    name: str
    file: str
    operations: Mapping[str, Factory | str]
    space: PublishedSpace

    def enter(self) -> None:
        """Make it and its operations known by their names, in place of those of another file.
        InvalidInput for a name that the house has.
        """
        free, remedy = self.name in _OWN or self.name not in SPACES, "Rename its file."
        require(free, "a space of one's own has a name of its own", remedy, space=self.name)
        house = [
            NONE,
            *(op for op, made in OPERATIONS.items() if not isinstance(made, OwnOperation)),
        ]
        rule = "an operation of one's own has a name of its own"
        remedy = "Name it otherwise, in a dictionary; one of the house is given as text."
        for place, (name, factory) in enumerate(self.operations.items()):
            if isinstance(factory, str):
                require_known("An operation that is given as text", factory, house)
                require(name == factory, "it goes by its name", remedy, name=name, given=factory)
                continue
            free = name not in house and not hasattr(nn.ModuleDict, name)
            require(free, rule, remedy, operation=name)
            OPERATIONS[name] = OwnOperation(name, factory, self.name, place, self.file)
        SPACES[self.name], _OWN[self.name] = self.space, self


def cell_space(
    *,
    operations: Sequence[Factory | str] | Mapping[str, Factory | str],
    nodes: int = 4,
    inputs: int = 2,
    edges: Sequence[tuple[int, int]] | None = None,
    keep: int | None = 2,
    cells: int | None = None,
    channels: int = 16,
) -> CellChoices:
    """A space of cells over operations of your own, for `fade-ray cells --spaces FILE.py`. The file
    must call it `space`; it goes by the name of the file.

    An operation is called as `operation(channels, stride)` and gives a module from maps [batch,
    channels, side, side] to [batch, channels, ceil(side / stride), ...]; it goes by its name (of a
    `partial` with the arguments behind it), or by the key where they are a dictionary. A text is
    one of the house, such as "none", "skip_connect" or "sep_conv_3x3".

    nodes : behind the inputs. inputs : 2, the cells before (DARTS: normal and reduction cells, the
        nodes joined), or 1 (NAS-Bench-201: one cell in three stages, the last node the output).
    edges : (source, target), inputs first; by default each node is joined to all before it.
    keep : edges into a node that a genotype keeps; None: all, "none" being a choice like others.
    cells, channels : of the search network, by default 8, or 15 with one input, and 16.

    Raises InvalidInput for what is wrong with them; whether shapes meet is told before a run
    starts.
    """
    file = sys._getframe(1).f_globals.get("__file__")
    if file is None:
        raise InvalidInput(
            "A space must stand in a file, which every process of a run reads. Write it to a file "
            "(`%%writefile my_cells.py`) and name that: --spaces my_cells.py."
        )
    named = operations if isinstance(operations, Mapping) else _named(operations)
    for name, factory in named.items():
        ModuleCell(name)
        if not isinstance(factory, str):
            check_factory(f"Operation {name!r}", factory)
    rule, remedy = "inputs is 1 or 2", "Read the one cell before, or the two."
    require(inputs in STACKS, rule, remedy, inputs=inputs)
    stacking, kinds, depth = STACKS[inputs]
    last = {1: (inputs + nodes - 1,)}.get(inputs)
    cell = CellSpace.create(inputs, inputs + nodes, [*named], edges=edges, outputs=last, keep=keep)
    macro = Macro(dict.fromkeys(kinds, cell), stacking, cells or depth)
    words = f"{len(named)} operations on {len(cell.edges)} edges"
    space = PublishedSpace(macro, channels, words, file)
    made = CellChoices(Path(file).stem, file, dict(named), space)
    if file in LOADING:  # by a run; elsewhere, as in an export of it, it is a value and no more
        made.enter()
    return made


STACKS: dict[int, tuple[str, tuple[str, ...], int]] = {
    1: (STAGES, ("cell",), 15),
    2: ("darts", tuple(cells_of((NONE,))), 8),
}
"""By inputs: stacking, kinds of cells, usual depth."""


def _named(operations: Sequence[Factory | str]) -> dict[str, Factory | str]:
    pairs = [(each if isinstance(each, str) else name_of(each), each) for each in operations]
    return by_name(pairs, "names of operations differ", "Give a dictionary.")


_OWN: dict[str, CellChoices] = {}
"""Those of this process, by their names."""


def check_apart(spaces: Sequence[str]) -> None:
    """InvalidInput where two spaces of one's own hold operations of one name."""
    for space in spaces:
        for op in _OWN[space].space.ops if space in _OWN else ():
            made = OPERATIONS.get(op)
            holds = not isinstance(made, OwnOperation) or made.space == space
            rule = "spaces of one run call different operations differently"
            require(holds, rule, "Rename one, or run them apart.", operation=op, spaces=spaces)


def named_space(space: str) -> str:
    """The name of a space, which may be the file of a user's own. InvalidInput where that holds
    none.
    """
    if not space.endswith(".py"):
        return space
    held = getattr(module_at(space), "space", None)
    if not isinstance(held, CellChoices) or SPACES.get(held.name) is not held.space:
        raise InvalidInput(
            "The file of a space of cells must hold `space = fade_ray.cell_space(...)` and no "
            f"other, but {space} does not."
        )
    return held.name
