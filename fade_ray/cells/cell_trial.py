"""One cell search from start to genotype: what is behind every search of `fade-ray cells`."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from fade_ray.cells.cell_recipes import Record
from fade_ray.cells.cells_config import CellPlan, CellsConfig
from fade_ray.cells.discretise import Whole
from fade_ray.cells.search_data import SEARCH_DATA
from fade_ray.cells.search_setup import after
from fade_ray.cells.watch import genotype_now, indicators, learned, misgivings, share
from fade_ray.nn import CellNetwork, Draw, EdgeWeights
from fade_ray.training import Training, evaluate, place
from fade_ray.training.edge_architecture import EdgeArchitecture
from fade_ray.training.hessian import dominant_eigenvalue
from fade_ray.training.operator_correlation import groups_of, operator_correlation
from fade_ray.training.step_memory import step_memory
from fade_ray.trials.job import write_output
from fade_ray.trials.trainee import Ending, Metrics, Trainee
from searchers import Outcome
from spaces.cell import Macro
from spaces.groups import Groups

LOWER = 5
"""What the learning rate is divided by (algorithms E.4: the paper has .025, .005, .001)."""
SEARCHES = 3
STATE = {"searches", "stage", "ended", "proxy", "groups", "records", "early"}
"""What a search is at, beside its training and its space."""
CORRELATED = 10_000
"""Images on which operations are correlated (algorithms C.2)."""
PRODUCTS = 20
"""Hessian-vector products of one estimate of the eigenvalue."""


class CellSearch(Trainee):
    """A search in progress: its stages, each a training of a search network of its own, whose end
    hands on another space.

    The seed gives the same images, starts and noise to every recipe: their results can be compared
    in pairs. `folder` gets the genotype; None: it is written nowhere.
    """

    def __init__(
        self, plan: CellPlan, splits: Any, config: CellsConfig, folder: Path | None = None
    ) -> None:
        self.plan, self.splits, self.config, self.folder = plan, splits, config, folder
        self.setup = config.setup(plan.recipe, plan.space)
        self.recipe, self.stages = self.setup.recipe, self.setup.stages
        train = self.setup.train
        self.placement = place(config.run.device, train.precision)
        self.data = SEARCH_DATA[self.setup.task](self.setup, splits, self.placement)
        self.table = config.table(plan.space)
        self.searches = 0  # that ended before this one, at higher learning rates
        self.stage = 0
        self.groups = self.setup.groups
        self.searched = self.setup.start(self.groups, plan.seed)
        self.proxy: tuple[float, float] | None = None
        self.records: list[Record] = []
        self.ended, self.early = not self.recipe.trains, False
        self.training = begin_stage(self)

    @property
    def finished(self) -> bool:
        return self.ended

    @property
    def network(self) -> CellNetwork:
        """Of the present stage."""
        return cast(CellNetwork, self.training.network)

    @property
    def architecture(self) -> EdgeArchitecture:
        """Of the present stage."""
        return cast(EdgeArchitecture, self.training.architecture)

    def first_metrics(self) -> Metrics:
        """The start, and what memory a step takes. Raises InvalidInput when it does not fit."""
        memory = step_memory(self.training) if self.recipe.trains else None
        nothing = dict.fromkeys(("images", "multiply_adds", "seconds"), 0)
        return {**nothing, "step_memory_mib": memory, **self._set_up(), **self._state()}

    def run_epoch(self) -> Metrics:
        """One epoch, with the end of a stage where it is one."""
        metrics = self.training.run_epoch() | self._state()
        if self.setup.stops:
            genotype = json.dumps(self.genotype_now().to_dict())
            self.records.append((metrics["eigenvalue"], genotype))
        if self.training.finished or self._earlier() is not None:
            self._end_stage()
        return metrics

    def _earlier(self) -> Macro | None:
        """The genotype that the search ends with before its last epoch; None where it goes on."""
        chosen = (stop.chosen(self.records) for stop in self.setup.stops)
        genotype = next(filter(None, chosen), None)
        return None if genotype is None else Macro.from_dict(json.loads(genotype))

    def genotype_now(self) -> Macro:
        """What the rest of the recipe would make of the weights as they are."""
        known = learned(self.architecture)
        return genotype_now(self.stages[self.stage :], known, self.searched, self.wholes)

    @property
    def whole(self) -> Macro:
        """The whole space, at the depth of the present stage."""
        return self.setup.whole.at_depth(self.searched.depth)

    @property
    def wholes(self) -> dict[str, Whole]:
        """What the end of the present stage draws on."""
        return self.setup.wholes(self.searched, self.groups, self.plan.seed)

    def _set_up(self) -> Metrics:
        """What the figures of this search are to be read with."""
        return {
            "setting": self.setup.setting,
            "proxy_images": self.setup.proxy_images,
            "stages": len(self.stages),
        }

    def _state(self) -> Metrics:
        now = self.genotype_now()
        state = {
            "stage": self.stage,
            "search": self.searches,
            **indicators(self.searched, learned(self.architecture), now),
            "eigenvalue": eigenvalue(self),
        }
        if self.table is not None:
            state["true_accuracy"] = self.table.lookup(now).to_dict().get("c10_test_200")
        return state

    def _end_stage(self) -> None:
        """Begin the next stage, or the whole search again at a lower rate, or end."""
        if self.stages[self.stage].measures:
            self.groups = measured_groups(self)
        known, last = learned(self.architecture), self.stage + 1 == len(self.stages)
        handed_on = self._earlier() or after(
            self.stages[self.stage], known, self.searched, self.wholes
        )
        if last:
            self.proxy = proxy(self, handed_on)
        self.searched, self.stage = handed_on, self.stage + 1
        if last and self._again():
            start = self.setup.start(self.setup.groups, self.plan.seed)
            self.searched, self.stage, self.searches = start, 0, self.searches + 1
        elif last:
            self.ended, self.early = True, not self.training.finished
            return
        self.training = begin_stage(self)

    def _again(self) -> bool:
        limit = self.recipe.lower_rate_above if self.setup.grid.lower_rate else None
        return limit is not None and share(self.searched) > limit and self.searches + 1 < SEARCHES

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """The genotype and what is known of it."""
        genotype = self.searched if self.recipe.trains else self.genotype_now()
        if self.folder is not None:
            write_genotype(self.plan, genotype, self.folder)
        mixture, alone = self.proxy or (None, None)
        metrics = {
            "genotype": genotype.notation,
            "skip_share": share(genotype, skip=True),
            "parameter_free_share": share(genotype),
            "proxy_accuracy": mixture,
            "discrete_accuracy": alone,
            **({} if mixture is None or alone is None else self._named(mixture, alone)),
            "searches": self.searches + 1,
            "groups": self.groups,
            "ended_early": self.early,
            **self._set_up(),
            "true": None if self.table is None else self.table.lookup(genotype).to_dict(),
        }
        warnings = misgivings(genotype, self.whole) if self.recipe.trains else []
        return Ending(Outcome(score=mixture, found=genotype.notation), metrics, warnings)

    def _named(self, mixture: float, alone: float) -> Metrics:
        """Both scores as what they measure, by its name."""
        measure = self.setup.train.objective.measure
        named = {"proxy": mixture, "discrete": alone}
        return {f"{part}_{measure.key}": measure.plain(score) for part, score in named.items()}

    def state_dict(self) -> dict[str, Any]:
        place = {name: getattr(self, name) for name in STATE}
        searched = json.dumps(self.searched.to_dict())
        return place | {"searched": searched, "training": self.training.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in STATE & state.keys():
            setattr(self, name, state[name])
        self.searched = Macro.from_dict(json.loads(state["searched"]))
        if not self.ended:
            self.training = begin_stage(self)
            self.training.load_state_dict(state["training"])


def begin_stage(search: CellSearch) -> Training:
    """The training of the present stage, at epoch 0: fresh weights and logits, the images, the
    learning rate lower with every search before.
    """
    setup, stage = search.setup, search.stages[search.stage]
    entropy = [search.plan.seed, search.searches, search.stage]
    seeds = [int(s) for s in np.random.SeedSequence(entropy).generate_state(3) >> 1]
    generator, drawn = (torch.Generator().manual_seed(seed) for seed in seeds[:2])
    search.searched = macro = search.searched.at_depth(stage.cells)
    network = search.data.network(macro, search.splits, setup, stage, generator)
    options = replace(setup.architecture, edges=stage.edges, skip_dropout=stage.skip_dropout)
    other = options.other_batches
    batches = search.data.batches(held_out=not options.same_images) if other else None
    architecture = EdgeArchitecture(macro, options, drawn, search.placement.device, batches)
    optimiser = setup.train.optimiser.slower(LOWER**search.searches)
    return Training(
        network,
        search.data.batches(held_out=False),
        replace(setup.train, optimiser=optimiser),
        stage.epochs,
        search.placement,
        3 * seeds[2],
        architecture,
    )


def eigenvalue(search: CellSearch) -> float | None:
    """Dominant, of the validation loss's Hessian in the logits, in the epochs that ask for it."""
    every = search.setup.grid.eigenvalue_every
    if not every or search.training.epoch % every or not search.recipe.trains:
        return None
    batch = next(search.data.plain(held_out=True).ordered())
    generator = torch.Generator().manual_seed(search.plan.seed)
    with search.training.problem.exact():
        return dominant_eigenvalue(search.training.problem, batch, PRODUCTS, generator).value


def measured_groups(search: CellSearch) -> Groups:
    """Of the operations, by how their outputs correlate on the first edge of the first cell of the
    trained mixture (algorithms C.2, C.3).
    """
    batches = search.data.plain(held_out=False).ordered()
    count = -(-CORRELATED // search.setup.train.batch_size)
    weights = search.architecture.expected()
    matrices = operator_correlation(
        search.network, weights, itertools.islice(batches, count), search.placement
    )
    return groups_of(matrices, next(iter(search.searched.cells.values())).ops)


def proxy(search: CellSearch, genotype: Macro) -> tuple[float, float]:
    """Score on the held-out images, not augmented: of the mixture, and of the genotype alone with
    the same network weights.
    """
    objective, held_out = search.setup.train.objective, search.data.plain(held_out=True)
    weights = search.architecture.expected(), alone(search, genotype)
    mixture, single = (
        evaluate(search.network, held_out, objective, search.placement, Draw(edges=edges))
        for edges in weights
    )
    return objective.score(mixture), objective.score(single)


def alone(search: CellSearch, genotype: Macro) -> dict[str, EdgeWeights]:
    """The weights that leave only the operations of `genotype`, each with weight 1."""
    edge_weights = {}
    for kind, cell in genotype.cells.items():
        mask = torch.from_numpy(cell.mask)
        used = tuple(tuple(row.nonzero().flatten().tolist()) for row in mask)
        weights = mask.to(search.placement.device, torch.float32)
        # a dropped edge lets nothing past its operations either
        edges = None if search.recipe.partial == 1 else weights.amax(dim=1)
        edge_weights[kind] = EdgeWeights(weights, edges, used)
    return edge_weights


def write_genotype(plan: CellPlan, genotype: Macro, folder: Path) -> None:
    """To the genotypes of the run in `folder`, with where it was found."""
    origin = {name: getattr(plan, name) for name in ("id", "recipe", "space", "seed")}
    text = json.dumps(genotype.to_dict() | {"found": origin}, indent=1) + "\n"
    write_output(folder / "genotypes" / f"{plan.id}.json", text.encode())
