"""All that is decided of a cell search before its first step: its setting, stages and groups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fade_ray.cells.cell_recipes import EarlyStop, Recipe, Stage, Unchanged, recipe
from fade_ray.cells.cell_settings import (
    OF_TASK,
    PUBLISHED,
    Setting,
    departures,
    laid_under,
    option_names,
)
from fade_ray.cells.discretise import DISCRETISERS, Learned, Whole
from fade_ray.training.edge_architecture import CellArchitectureConfig
from fade_ray.training.train_config import TrainConfig
from spaces.cell import NONE, CellSpace, Macro
from spaces.darts import published
from spaces.errors import InvalidInput, require, require_known
from spaces.groups import Groups, check_groups, representatives

if TYPE_CHECKING:
    from fade_ray.cells.cells_config import CellsConfig, GridConfig
    from fade_ray.data.data_config import DataConfig

HELD_OUT, MEASURED = "held-out", "measured"
PARTS = ("data", "grid", "architecture", "train")
"""The parts of a configuration that a setting has options of."""


@dataclass(frozen=True)
class SizedStage(Stage):
    """A stage whose sizes are known."""

    cells: int = 1
    channels: int = 1
    epochs: int = 1


@dataclass(frozen=True)
class SearchSetup:
    """A recipe on a space as a configuration has it; what flags say stands over the setting.

    `whole`: at the depth of the first stage; `stages`: each with cells, channels and epochs, a
    first one that measures the groups among them where they are not known; `but`: the options in
    which flags left the setting, and what they say.
    """

    recipe: Recipe
    space: str
    data: DataConfig
    grid: GridConfig
    train: TrainConfig
    architecture: CellArchitectureConfig
    whole: Macro
    stages: tuple[SizedStage, ...]
    groups: Groups | None
    but: Setting

    @property
    def epochs(self) -> int:
        """Of one search; one that is run again at a lower rate takes more."""
        return sum(stage.epochs for stage in self.stages) if self.recipe.trains else 0

    @property
    def stops(self) -> tuple[EarlyStop | Unchanged, ...]:
        """What may end a search before its last epoch."""
        still, own = self.grid.unchanged, self.recipe.stops
        return (*([own] if own else []), *([Unchanged(still)] if still else []))

    @property
    def task(self) -> str:
        """What the networks are given: images, or text."""
        return self.whole.stack.task

    @property
    def stem(self) -> str:
        """Entry of the network."""
        return self.grid.stem or self.whole.stack.stems[0]

    @property
    def proxy_images(self) -> str:
        """What the search network is measured on: where nothing is held out, what it trained on."""
        return HELD_OUT if self.grid.held_out else "training"

    @cached_property
    def setting(self) -> str:
        """For people: "published, but epochs 2"."""
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.but.items())
        return self.grid.setting + (f", but {said}" if said else "")

    def wholes(self, at: Macro, groups: Groups | None, seed: int) -> dict[str, Whole]:
        """What the stages of a search draw on, by kind of cell, in a network of the depth of `at`;
        the representatives of `groups` drawn by `seed` where that is asked. None: as long as they
        are not known every operation is its own.
        """
        known = groups or tuple((op,) for op in published(self.space).ops if op != NONE)
        chosen = representatives(known, self.grid.representatives, np.random.default_rng(seed))
        reducing = {place.kind for place in at.layout if place.reduction}
        return {
            kind: Whole(cell, kind in reducing, known, chosen, self.grid.edge_score == "raw")
            for kind, cell in self.whole.at_depth(at.depth).cells.items()
        }

    def start(self, groups: Groups | None, seed: int) -> Macro:
        """What the first stage, or the one behind the measuring of `groups`, searches."""
        if groups is None:
            return self.whole
        wholes = self.wholes(self.whole, groups, seed)
        return self.whole.with_cells({kind: whole.one_each for kind, whole in wholes.items()})

    @cached_property
    def unlearned(self) -> tuple[Macro, ...]:
        """The spaces that stages would search if nothing were learned, and at last a genotype."""
        spaces = [self.start(self.groups, 0)]
        for stage in self.stages:
            searched = spaces[-1].at_depth(stage.cells)
            known = {kind: uniform(cell) for kind, cell in searched.cells.items()}
            wholes = self.wholes(searched, self.groups, 0)
            spaces.append(after(stage, known, searched, wholes))
        return tuple(spaces)


def setup(config: CellsConfig, name: str, space: str) -> SearchSetup:
    """Of the recipe of that name on that space. Raises InvalidInput for unknown names, for a
    setting or groups that the recipe and the space cannot have, and where the stages do not lead to
    a genotype, or one of them leaves out nothing.
    """
    chosen, place = recipe(name), published(space)
    given, usual = _parts(config)
    task = place.macro.stack.task
    setting = {**OF_TASK.get(task, {}), **chosen.setting(config.grid.setting, space)}
    for option in setting:
        known = [known for part in usual.values() for known in option_names(part)]
        require_known(f"An option in a setting of recipe {name!r}", option, known)
    # what is said of all stages stands over what the setting says of each
    said = {f"stage_{n}" for n in STAGED if getattr(given["grid"], n) != getattr(usual["grid"], n)}
    each = {option: value for option, value in setting.items() if option not in said}
    laid = {part: laid_under(given[part], usual[part], each) for part in PARTS}
    but = {k: v for part in PARTS for k, v in departures(given[part], usual[part], setting).items()}
    grid: GridConfig = laid["grid"]
    whole = place.macro if grid.cells is None else place.macro.at_depth(grid.cells)
    stages, groups = _stages(chosen, grid, whole, place.channels), _groups(grid, chosen, space)
    if chosen.grouped and groups is None:
        stages = (replace(stages[0], discretise="representatives", measures=True), *stages)
    whole = whole.at_depth(stages[0].cells)
    architecture = laid["architecture"].apply(chosen.architecture)
    parts = (laid["data"], grid, laid["train"], architecture)
    made = SearchSetup(chosen, space, *parts, whole, stages, groups, but)
    _check(made, name)
    return made


def _parts(config: CellsConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of a configuration as they are, and as they usually are."""
    usual = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(config)
    }
    return {part: getattr(config, part) for part in PARTS}, {part: usual[part] for part in PARTS}


STAGED = ("cells", "channels", "epochs")
"""Options that may be said stage by stage, as `stage_cells` and so on."""


def _stages(
    chosen: Recipe, grid: GridConfig, whole: Macro, channels: int
) -> tuple[SizedStage, ...]:
    """Every stage with its cells, channels and epochs."""
    first, said = chosen.stages[0].cells, {name: getattr(grid, f"stage_{name}") for name in STAGED}
    sized = []
    for number, stage in enumerate(chosen.stages):
        usual = {
            "cells": _depth(stage.cells, first, grid.cells, whole),
            "channels": stage.channels or grid.channels or channels,
            "epochs": stage.epochs or grid.epochs,
        }
        own = {k: each[number] for k, each in said.items() if len(each) == len(chosen.stages)}
        sized.append(SizedStage(**vars(stage) | usual | own))
    return tuple(sized)


def _depth(own: int | None, first: int | None, given: int | None, whole: Macro) -> int:
    """Cells of a stage that the recipe gives `own`, and its first stage `first`: the next number
    that the stacking can have.
    """
    if own is None:
        return whole.depth
    wanted = own if given is None or first is None else round(given * own / first)
    for depth in (wanted, wanted + 1):
        with suppress(InvalidInput):
            return whole.at_depth(depth).depth
    return whole.at_depth(wanted + 2).depth


def _groups(grid: GridConfig, chosen: Recipe, space: str) -> Groups | None:
    """Those that are asked for; None where there are none, or where they are to be measured."""
    place = published(space)
    if not chosen.grouped or grid.groups == MEASURED:
        return None
    if grid.groups in (None, PUBLISHED):
        remedy = "Use --groups measured, or a file."
        rule = "the space has published groups with --groups published"
        require(place.groups is not None or grid.groups is None, rule, remedy, space=space)
        return place.groups
    try:
        groups = tuple(map(tuple, json.loads(str(grid.groups))))
    except (ValueError, TypeError) as error:
        remedy = 'Name a file, or write [["sep_conv_3x3", "sep_conv_5x5"], ["skip_connect"]].'
        raise InvalidInput(f"--groups must be lists of names, but: {error}. {remedy}") from error
    check_groups(groups, place.ops)
    return groups


def _check(made: SearchSetup, name: str) -> None:
    """Whether a recipe makes sense on a space: see `setup`."""
    partial, said = made.recipe.partial, f"Recipe {name!r} makes no sense on space {made.space!r}: "
    for stage in made.stages:
        require(
            stage.channels % partial == 0,
            f"channels is a multiple of {partial}",
            f"`{name}` mixes 1/{partial} of the channels.",
            channels=stage.channels,
        )
    require(
        made.grid.held_out > 0 or not made.architecture.held_out,
        f"held_out > 0 with recipe {name!r}",
        "Its logits learn from images of their own: use --held-out 0.5.",
        held_out=made.grid.held_out,
    )
    still, remedy = made.grid.unchanged, "Leave --unchanged out."
    require(len(made.stages) == 1 or not still, "one stage with unchanged", remedy, unchanged=still)
    spaces = made.unlearned
    for stage, before, narrower in zip(made.stages, spaces, spaces[1:], strict=False):
        same = narrower == before.at_depth(narrower.depth)
        if same and not narrower.is_discrete and not stage.measures:
            raise InvalidInput(
                f"{said}{stage.discretise} would leave out nothing there. On fixed edges use "
                "`amended-fixed`; on few operations a recipe of fewer stages."
            )
    for kind, cell in spaces[-1].cells.items():
        filled = cell.keep is not None or all(any(row) for row in cell.allowed)
        if not cell.is_discrete or not filled:
            raise InvalidInput(
                f"{said}its stages ({', '.join(s.discretise for s in made.stages)}) do not lead to "
                f"a genotype of the {kind} cell, which needs an operation on "
                f"{'every edge' if cell.keep is None else f'{cell.keep} edges into each node'}. "
                "Use `darts-1st` or another recipe."
            )


def uniform(cell: CellSpace) -> Learned:
    """What nothing has been learned from yet."""
    return Learned(cell.mask.astype(float), None, np.zeros(len(cell.edges) ** 2))


def after(
    stage: Stage, known: Mapping[str, Learned], searched: Macro, wholes: Mapping[str, Whole]
) -> Macro:
    """What a stage that searched `searched` hands on."""
    discretise = DISCRETISERS[stage.discretise]
    return searched.with_cells(
        {kind: discretise(known[kind], cell, wholes[kind]) for kind, cell in searched.cells.items()}
    )
