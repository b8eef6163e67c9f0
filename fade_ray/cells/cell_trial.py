"""One cell search from start to genotype: the plain function behind every trial of `fade-ray
cells`, with or without Ray.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fade_ray.cells.cell_recipes import recipe
from fade_ray.cells.cells_config import CellPlan, CellsConfig
from fade_ray.cells.watch import indicators, learned, misgivings, narrowed, share
from fade_ray.data import Augment, Batches, LabelledImages, Splits
from fade_ray.data.splits import apportion
from fade_ray.nn.cell_network import CellNetwork, CellNetworkConfig
from fade_ray.nn.draw import Draw, EdgeWeights
from fade_ray.training import Placement, Training, evaluate, place
from fade_ray.training.edge_architecture import EdgeArchitecture
from fade_ray.training.hessian import dominant_eigenvalue
from fade_ray.training.states import state_bytes
from fade_ray.training.step_memory import step_memory
from fade_ray.trials.job import Event, checkpoint_path, write_output
from searchers import Outcome
from spaces.cell import Macro

# what the learning rate is divided by (algorithms E.4: the paper's own grid is .025, .005, .001)
LOWER = 5
SEARCHES = 3
PRODUCTS = 20  # Hessian-vector products of one estimate of the eigenvalue


@dataclass(frozen=True)
class CellJob:
    """The trials of one `fade-ray cells`."""

    config: CellsConfig

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        """See `fade_ray.trials.job.Job`. Event 0 is the state before the first step."""
        torch.set_num_threads(self.config.run.cpus_per_trial)
        search = CellSearch(CellPlan.from_dict(plan), data, self.config)
        checkpoint = checkpoint_path(folder, search.plan.id)
        if checkpoint.exists():
            search.load_state_dict(torch.load(checkpoint, weights_only=True, map_location="cpu"))
            yield from search.told
        else:
            yield search.first_event()
        while not search.finished:
            event = search.run_epoch()
            write_output(checkpoint, state_bytes(search.state_dict()))
            yield event
        last = search.outcome()
        found = {name: getattr(search.plan, name) for name in ("id", "recipe", "space", "seed")}
        text = json.dumps(search.macro.to_dict() | {"found": found}, indent=1) + "\n"
        write_output(folder / "genotypes" / f"{search.plan.id}.json", text.encode())
        checkpoint.unlink(missing_ok=True)
        yield last


class CellSearch:
    """A search in progress: its stages, each a training of a search network of its own, whose end
    narrows the space.

    The seed gives the same images, starts and noise to every recipe: their results can be compared
    in pairs.
    """

    def __init__(self, plan: CellPlan, splits: Splits, config: CellsConfig) -> None:
        self.plan, self.splits, self.config = plan, splits, config
        self.recipe = recipe(plan.recipe)
        self.placement = place(config.run.device, config.train.precision)
        self.train_images, self.valid_images = halves(splits, config.grid.held_out)
        self.table = config.table(plan.space)
        self.searches = self.stage = (
            0  # searches finished before this one (at higher learning rates); stage of this one
        )
        self.macro = config.macro(plan.space)  # what is left of the space
        self.totals = {"images": 0, "multiply_adds": 0, "seconds": 0.0, "peak_memory_mib": 0.0}
        self.told: list[Event] = []
        self.proxy: tuple[float, float] | None = (
            None  # accuracy of the mixture, and of the genotype with the same weights
        )
        self.finished = not self.recipe.trains
        self.training = self._begin()

    def _begin(self) -> Training:
        """The training of the current stage, at epoch 0."""
        config, entropy = self.config, [self.plan.seed, self.searches, self.stage]
        seeds = [int(s) for s in np.random.SeedSequence(entropy).generate_state(3) >> 1]
        self.network = search_network(
            self.macro,
            self.splits,
            config,
            self.plan.space,
            self.recipe.partial,
            torch.Generator().manual_seed(seeds[0]),
        )
        options = replace(
            config.architecture.apply(self.recipe.architecture),
            edges=self.recipe.stages[self.stage].edges,
        )
        valid = self.batches(self.valid_images, augmented=True) if options.held_out else None
        generator = torch.Generator().manual_seed(seeds[1])
        architecture = EdgeArchitecture(
            self.macro, options, generator, self.placement.device, valid
        )
        optimiser, rate = config.train.optimiser, LOWER**self.searches
        lowered = replace(
            optimiser,
            learning_rate=optimiser.learning_rate / rate,
            final_learning_rate=optimiser.final_learning_rate / rate,
        )
        train = replace(config.train, optimiser=lowered)
        ours = self.batches(self.train_images, augmented=True)
        # three streams, three seeds
        seed = 3 * seeds[2]
        return Training(
            self.network, ours, train, config.grid.epochs, self.placement, seed, architecture
        )

    def batches(self, part: LabelledImages, *, augmented: bool = False) -> Batches:
        """Images of this search, with the data set's augmentation and what the configuration
        overrides, or plain.
        """
        config = self.config
        given: dict[str, Any] = {
            "crop": config.data.crop,
            "flip": config.data.flip,
            "cutout": config.data.cutout,
        }
        chosen = replace(
            self.splits.augment,
            **{name: value for name, value in given.items() if value is not None},
        )
        return Batches(
            part,
            batch_size=config.train.batch_size,
            device=self.placement.device,
            mean=self.splits.mean,
            std=self.splits.std,
            augment=chosen if augmented else Augment(),
            channels_last=self.placement.channels_last,
        )

    @property
    def architecture(self) -> EdgeArchitecture:
        assert isinstance(self.training.architecture, EdgeArchitecture)
        return self.training.architecture

    def first_event(self) -> Event:
        """The state before the first step, and the memory that one step takes. Raises InvalidInput
        when it does not fit.
        """
        costs = dict.fromkeys(("images", "multiply_adds", "seconds"), 0)
        memory = step_memory(self.training) if self.recipe.trains else None
        event = {"epoch": 0, "metrics": {**costs, "step_memory_mib": memory, **self._state()}}
        self.told.append(event)
        return event

    def run_epoch(self) -> Event:
        """One epoch, with the end of a stage where it is one."""
        metrics = self.training.run_epoch()
        for key in ("images", "multiply_adds", "seconds"):
            self.totals[key] += metrics[key]
        self.totals["peak_memory_mib"] = max(
            self.totals["peak_memory_mib"], metrics["peak_memory_mib"]
        )
        event = {"epoch": len(self.told), "metrics": metrics | self._state()}
        self.told.append(event)
        if self.training.finished:
            self._end_stage()
        return event

    def _state(self) -> dict[str, Any]:
        stages = self.recipe.stages[self.stage :]
        found = learned(self.architecture)
        state = {
            "stage": self.stage,
            "search": self.searches,
            **indicators(self.macro, found, stages),
        }
        state["eigenvalue"] = self._eigenvalue()
        if self.table is not None:
            now = narrowed(self.macro, found, stages)
            state["true_accuracy"] = self.table.accuracy(now.cells["cell"], "c10_test_200")
        return state

    def _eigenvalue(self) -> float | None:
        every = self.config.grid.eigenvalue_every
        if not every or self.training.epoch % every or not self.recipe.trains:
            return None
        batch = next(self.batches(self.valid_images).ordered())
        generator = torch.Generator().manual_seed(self.plan.seed)
        return dominant_eigenvalue(self.training.problem, batch, PRODUCTS, generator).value

    def _end_stage(self) -> None:
        """Narrow the space; begin the next stage, or the whole search again at a lower rate, or
        end.
        """
        found = learned(self.architecture)
        smaller = narrowed(self.macro, found, self.recipe.stages[self.stage : self.stage + 1])
        if self.stage + 1 == len(self.recipe.stages):
            self.proxy = self._proxy(smaller)
        self.macro = smaller
        if self.stage + 1 < len(self.recipe.stages):
            self.stage += 1
        elif self._again():
            self.searches, self.stage = self.searches + 1, 0
            self.macro = self.config.macro(self.plan.space)
        else:
            self.finished = True
            return
        self.training = self._begin()

    def _again(self) -> bool:
        limit = self.recipe.lower_rate_above if self.config.grid.lower_rate else None
        return limit is not None and share(self.macro) > limit and self.searches + 1 < SEARCHES

    def _proxy(self, genotype: Macro) -> tuple[float, float]:
        """Accuracy on the held-out images, not augmented: of the mixture, and of the genotype alone
        with the same network weights.
        """
        held_out, objective = self.batches(self.valid_images), self.config.train.objective
        mixture, alone = (
            evaluate(self.network, held_out, objective, self.placement, Draw(edges=weights))
            for weights in (self.architecture.expected(), self._alone(genotype))
        )
        return objective.score(mixture), objective.score(alone)

    def _alone(self, genotype: Macro) -> dict[str, EdgeWeights]:
        """The weights that leave only the operations of `genotype`, each with weight 1."""
        found = {}
        for kind, cell in genotype.cells.items():
            mask = torch.from_numpy(cell.mask)
            used = tuple(tuple(row.nonzero().flatten().tolist()) for row in mask)
            weights = mask.to(self.placement.device, torch.float32)
            edges = (
                None if self.recipe.partial == 1 else weights.amax(dim=1)
            )  # a dropped edge lets nothing past its operations either
            found[kind] = EdgeWeights(weights, edges, used)
        return found

    def outcome(self) -> Event:
        """The last event: the genotype and what is known of it."""
        if not self.recipe.trains:  # the start decides
            self.macro = narrowed(self.macro, learned(self.architecture), self.recipe.stages)
        metrics: dict[str, Any] = {
            **self.totals,
            "genotype": self.macro.notation,
            "skip_share": share(self.macro, skip=True),
            "parameter_free_share": share(self.macro),
            "proxy_accuracy": None if self.proxy is None else self.proxy[0],
            "discrete_accuracy": None if self.proxy is None else self.proxy[1],
            "searches": self.searches + 1,
            "true": None if self.table is None else self.table.lookup(self.macro).to_dict(),
            "device": _device(self.placement),
        }
        outcome = Outcome(score=metrics["proxy_accuracy"])
        warnings = misgivings(self.macro) if self.recipe.trains else []
        return {"outcome": outcome.to_dict(), "metrics": metrics, "warnings": warnings}

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on; loads with `weights_only=True`."""
        names = ("searches", "stage", "finished", "totals", "told", "proxy")
        held = {name: getattr(self, name) for name in names}
        return held | {
            "macro": json.dumps(self.macro.to_dict()),
            "training": self.training.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in ("searches", "stage", "finished", "totals", "told", "proxy"):
            setattr(self, name, state[name])
        self.macro = Macro.from_dict(json.loads(state["macro"]))
        if not self.finished:
            self.training = self._begin()
            self.training.load_state_dict(state["training"])


def search_network(
    macro: Macro,
    splits: Splits,
    config: CellsConfig,
    space: str,
    partial: int,
    generator: torch.Generator,
) -> CellNetwork:
    """The search network of a space: batch statistics, no scale and shift (algorithms B.1)."""
    network = CellNetworkConfig(
        channels=config.channels(space),
        stem=config.stem(space),
        auxiliary=config.train.auxiliary,
        partial=partial,
    ).for_search(macro.stack)
    return CellNetwork(
        macro,
        network,
        side=splits.side,
        channels=splits.channels,
        classes=splits.num_classes,
        generator=generator,
    )


def halves(splits: Splits, held_out: float) -> tuple[LabelledImages, LabelledImages]:
    """The training images in two disjoint parts, stratified: for the weights, and (a share
    `held_out`) for the logits.

    DARTS halves the training set of CIFAR-10 (algorithms B.2). The parts of the outer search, 4 :
    1, are put together and split anew.
    """
    parts = (splits.weights, splits.architecture)
    images, labels = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("images", "labels")
    )
    groups = [np.flatnonzero(labels == c) for c in range(splits.num_classes)]
    sizes = apportion([len(group) for group in groups], round(held_out * 1000), 1000)
    theirs = np.sort(
        np.concatenate(
            [group[len(group) - size :] for group, size in zip(groups, sizes, strict=True)]
        )
    )
    ours = np.setdiff1d(np.arange(len(labels)), theirs)
    return LabelledImages(images[ours], labels[ours]), LabelledImages(
        images[theirs], labels[theirs]
    )


def _device(placement: Placement) -> str:
    if placement.device.type == "cuda":
        return torch.cuda.get_device_name(placement.device)
    return placement.device.type
