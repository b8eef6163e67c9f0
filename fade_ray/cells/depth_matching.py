"""The depth of a first stage, found by gradient confusion: `fade-ray cells --match-depth` (StacNAS
3.4.2, which tries some by hand).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from fade_ray.cells.cell_recipes import recipe
from fade_ray.cells.cells_config import CellPlan, CellsConfig
from fade_ray.cells.confusion_plan import ConfusionPlan, possible_depths
from fade_ray.cells.confusion_trial import MEASURE, ConfusionJob, check_networks
from fade_ray.data import Splits
from fade_ray.records.history import TrialHistory
from fade_ray.records.standings import Cost
from fade_ray.report.words import count, duration, si
from searchers.depth_match import DepthMatch, Match
from searchers.outcome import Outcome
from spaces.errors import InvalidInput, require

Found = Mapping[str, Outcome]


def matched(config: CellsConfig) -> list[tuple[str, str]]:
    """(recipe, space) of every search whose first stage gets a depth: of recipes with several."""
    if not config.matching.match_depth:
        return []
    grid = config.grid
    return [
        (name, space)
        for space, name in product(grid.spaces, grid.recipes)
        if len(recipe(name).stages) > 1
    ]


def depth_search(config: CellsConfig, name: str, space: str) -> DepthMatch[ConfusionPlan]:
    """That for the first stage of a recipe on a space, at the width that it has."""
    matching, final = config.matching, config.matching.final
    setup = config.setup(name, space)
    before = len(setup.stages) - len(setup.recipe.stages)  # groups may be measured first

    width = setup.stages[before].channels

    def plans(depth: int | None) -> list[ConfusionPlan]:
        size = (final.cells, final.channels) if depth is None else (depth, width)
        return [
            ConfusionPlan(
                f"match-{name}-{space}-{'final' if depth is None else depth}-{seed}",
                0,
                space,
                name,
                1,
                *size,
                seed,
                1 if depth is None else before + 1,
                matching.match_epochs,
                matching.protocol.iterations,
                depth is None,
            )
            for seed in range(matching.match_seeds)
        ]

    depths = possible_depths(setup.whole, matching.match_deepest or final.cells)
    return DepthMatch(depths, plans, MEASURE, at_once=AT_ONCE)


AT_ONCE = 2
"""Depths that are tried at the same time."""


def check_matching(config: CellsConfig, splits: Splits) -> None:
    """Raises InvalidInput for recipes without a depth to be found, a depth that is given, and
    networks that cannot be trained or measured.
    """
    if not config.matching.match_depth:
        return
    grid, pairs = config.grid, matched(config)
    rule = "a recipe has several stages with --match-depth"
    require(bool(pairs), rule, "Use stacnas, or leave it out.", recipes=grid.recipes)
    given = {name: getattr(grid, name) for name in ("cells", "stage_cells")}
    rule, remedy = "no cells are given with --match-depth", "It finds them: leave one of them out."
    require(not any(given.values()), rule, remedy, **given)
    job = ConfusionJob(config, config.matching.final, config.matching.protocol)
    for name, space in pairs:
        search = depth_search(config, name, space)
        plans = [plan for depth in (None, search.depths[-1]) for plan in search.plans(depth)]
        check_networks(plans, splits, job)


def replayed(config: CellsConfig, name: str, space: str, outcomes: Found) -> DepthMatch[Any]:
    """The search of that depth, as far as it went by `outcomes`."""
    search = depth_search(config, name, space)
    while (plan := search.ask()) is not None and plan.id in outcomes:
        search.tell(plan.id, outcomes[plan.id])
    return search


def at_matched_depths(config: CellsConfig, outcomes: Found) -> list[CellPlan]:
    """The searches, with the depth that was found for their first stage. Raises InvalidInput where
    none was.
    """
    depths = {}
    for name, space in matched(config):
        match = replayed(config, name, space, outcomes).match
        if match is None:
            raise InvalidInput(
                f"The depth of {name} on {space} is that whose confusion is nearest to the final "
                "network's, but no training of the one or the other ended well (see records.jsonl)."
                " Lower --learning-rate, or leave --match-depth out."
            )
        depths[name, space] = match.depth
    return [replace(p, cells=depths.get((p.recipe, p.space))) for p in config.plans()]


@dataclass(frozen=True)
class Matching:
    """What became of a search for a depth, and its cost; `match` None: nothing yet."""

    recipe: str
    space: str
    channels: int
    depths: Sequence[int]
    match: Match | None
    done: bool
    trainings: int
    cost: Cost

    @property
    def text(self) -> str:
        """In words."""
        where = f"First stage of {self.recipe} on {self.space}, {count(self.channels, 'channel')}"
        spent = (
            f"This took {count(self.trainings, 'training')}, {duration(self.cost.seconds)} of "
            f"device time and {si(self.cost.images)} images."
        )
        if self.match is None or not self.done:
            return f"{where}: its depth is being matched. {spent}"
        known, depth = self.match.values, self.match.depth
        others = ", ".join(f"{cells}: {si(value)}" for cells, value in known.items())
        notes = [f" {text}" for text, holds in _doubts(self.match, self.depths) if holds]
        return (
            f"{where}: {count(depth, 'cell')}, of confusion {si(known[depth])} per million "
            f"parameters beside {si(self.match.target)} of the final network. Measured "
            f"({others}).{''.join(notes)} {spent}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        match = self.match
        return {
            **{name: getattr(self, name) for name in ("recipe", "space", "channels", "trainings")},
            "cells": None if match is None or not self.done else match.depth,
            "final": None if match is None else match.target,
            "confusion": {} if match is None else dict(match.values),
            "monotone": None if match is None else match.monotone,
            **vars(self.cost),
        }


def _doubts(match: Match, depths: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """What may be wrong with a match, and whether it is."""
    yield (
        (
            "The measured values do not grow with the depth, so that another may be as near: the "
            "nearest of those measured is taken."
        ),
        not match.monotone,
    )
    beyond = (depths[-1], True), (depths[0], False)
    short = match.values[match.depth] - match.target
    yield "No depth beyond it was allowed.", short != 0 and (match.depth, short < 0) in beyond
    yield (
        (
            "In the final network no gradients of two batches opposed each other: no depth can be "
            "matched to a confusion of 0. Use more --match-epochs."
        ),
        match.target == 0,
    )


def matchings(config: CellsConfig, history: TrialHistory[Any]) -> list[Matching]:
    """Of all recipes and spaces whose depth is matched, as far as they are."""
    made = []
    for name, space in matched(config):
        search, cost = replayed(config, name, space, history.outcomes), Cost()
        for id in search.outcomes:
            cost = cost.plus(history.metrics[id])
        channels, trainings = search.plans(search.depths[0])[0].channels, len(search.outcomes)
        found = (search.match, search.done, trainings, cost)
        made.append(Matching(name, space, channels, search.depths, *found))
    return made


def most_trainings(config: CellsConfig) -> int:
    """That matching may take."""
    searches = [depth_search(config, *pair) for pair in matched(config)]
    return config.matching.match_seeds * sum(search.most_probes + 1 for search in searches)
