"""Searches on NAS-Bench-201 that are measured along the way: what single-level DARTS says about
bilevel search, seen on small networks.

A search here is that of `fade-ray cells` in the analysis setting of the paper's section 4.1
(algorithms E.2): SGD for weights and logits with the same learning rate and cosine schedule, for
the logits without momentum and weight decay.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fade_ray.analyse.gradient_config import SPACE, GradientStudy, Setting
from fade_ray.analyse.gradients import (
    Correlation,
    Node,
    OperationGradients,
    correlation,
    first_middle_last,
    node_gradients,
)
from fade_ray.cells.cell_trial import CellSearch, halves
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.watch import indicators, learned
from fade_ray.data import LabelledImages, Splits
from fade_ray.records.atomic import write_atomically
from fade_ray.records.journal import Journal, read_events
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.states import state_bytes
from spaces.errors import require
from spaces.nasbench201 import KIND

SITUATIONS = ("held-out", "other", "same")
"""The second batch of a gradient correlation: of the images that bilevel trains the logits on;
another one of the same images; the first one itself. They are the three rows of the paper's Table
1.
"""


def check_images(study: GradientStudy, splits: Splits) -> None:
    """Raises InvalidInput where the weights would learn from less than two batches, which could not
    be compared.
    """
    ours, theirs = halves(splits, study.search_config(study.settings[0]).grid.held_out)
    images = min(len(ours), len(theirs))
    require(
        images >= 2 * study.batch_size,
        "half of the training images fill 2 batches or more",
        "Lower --batch-size, or use more images.",
        images=images,
        batch_size=study.batch_size,
    )


def run_study(
    study: GradientStudy,
    splits: Splits,
    folder: Path,
    tell: Callable[[str], None] = lambda text: None,
) -> None:
    """Every search that `folder`/records.jsonl does not hold whole yet; an interrupted one goes on
    after its last epoch, with the same bits on the CPU. `tell` is given a line for each that ends.

    A record has one line per epoch of each search, 0 being the state before the first step; its
    fields are those of `measurement`. Raises InvalidInput for too few images. A search whose loss
    is no longer finite is recorded as "failed", and the study goes on.
    """
    check_images(study, splits)
    before = torch.get_num_threads()
    torch.set_num_threads(study.threads)
    try:
        with Journal(folder / "records.jsonl") as journal:
            known = _known(folder)
            plans = [(seed, setting) for seed in study.seeds for setting in study.settings]
            for number, (seed, setting) in enumerate(plans, start=1):
                end = _search(study, setting, seed, splits, folder, journal, known)
                tell(f"{number} of {len(plans)}: {setting.text}, seed {seed}: {end}")
    finally:
        torch.set_num_threads(before)


def _known(folder: Path) -> set[tuple[str, int]]:
    """(search, epoch) of what is on record; a search that failed has epoch -1."""
    events = read_events(folder / "records.jsonl")
    return {(event["search"], event.get("epoch", -1)) for event in events if "search" in event}


def _search(
    study: GradientStudy,
    setting: Setting,
    seed: int,
    splits: Splits,
    folder: Path,
    journal: Journal,
    known: set[tuple[str, int]],
) -> str:
    """One search from its checkpoint, or from the start, to its end; the end in words."""
    id = f"{setting.name}-seed{seed}"
    if (id, -1) in known:
        return "had failed"
    if {(id, epoch) for epoch in range(study.epochs + 1)} <= known:
        return "was there"
    about = {
        "search": id,
        "update": setting.update,
        "relaxation": setting.relaxation,
        "learning_rate": setting.learning_rate,
        "seed": seed,
    }
    checkpoint = folder / "checkpoints" / f"{id}.pt"
    try:
        for epoch, fields in measured_search(study, setting, seed, splits, checkpoint):
            # else the process died before the checkpoint of that epoch
            if (id, epoch) not in known:
                journal.append("epoch", **about, epoch=epoch, **fields)
    except TrainingFailed as error:
        journal.append("failed", **about, reason=str(error))
        checkpoint.unlink(missing_ok=True)
        return f"failed: {error}"
    return f"training accuracy {fields['accuracy']:.3f}, {fields['parameter_free_share']:.0%} free of parameters"


def measured_search(
    study: GradientStudy, setting: Setting, seed: int, splits: Splits, checkpoint: Path
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(epoch, its `measurement`) of a search, from 0 or after the epoch of `checkpoint`, which is
    written when the next epoch is asked for and removed at the end. Raises TrainingFailed when the
    loss is not finite.
    """
    config = study.search_config(setting)
    plan = CellPlan("0", 0, 0, setting.recipe, SPACE, seed, study.epochs)
    search = CellSearch(plan, splits, config)
    if checkpoint.exists():
        search.load_state_dict(torch.load(checkpoint, weights_only=True, map_location="cpu"))
    else:
        yield 0, measurement(search, None, study.pairs)
        write_atomically(checkpoint, state_bytes(search.state_dict()))
    places = first_middle_last(search.network.macro)
    while not search.finished:
        with OperationGradients(search.network, places) as measured:
            metrics = search.run_epoch()["metrics"]
        kept = {key: metrics[key] for key in ("loss", "accuracy", "architecture_loss", "seconds")}
        gradients = {str(place): slope.tolist() for place, slope in measured.mean().items()}
        yield search.training.epoch, kept | measurement(search, gradients, study.pairs)
        write_atomically(checkpoint, state_bytes(search.state_dict()))
    checkpoint.unlink(missing_ok=True)


def measurement(search: CellSearch, gradients: dict[str, Any] | None, pairs: int) -> dict[str, Any]:
    """What is known at the end of an epoch, JSON-able.

    weights [E][O]: architecture weights; skip_share, parameter_free_share: of the genotype they now
    give; correlation: {situation: {place: {node: {"value", "cosine"}}}}, means over `pairs` pairs
    of batches at the weights as they are; gradients: {place: dL/dp [E][O]}, the mean over the
    epoch's steps, None before the first.
    """
    macro = search.network.macro
    state = indicators(macro, learned(search.architecture), search.recipe.stages)
    found = {
        "weights": state["weights"][KIND],
        "skip_share": state["skip_share"],
        "parameter_free_share": state["parameter_free_share"],
    }
    return found | {"correlation": correlations(search, pairs), "gradients": gradients}


def correlations(search: CellSearch, pairs: int) -> dict[str, Any]:
    """{situation: {place: {node: {"value", "cosine"}}}}, means over `pairs` pairs of batches, at
    least 2, or as many as there are.

    The batches are augmented as in training, and drawn by generators of their own: measuring does
    not change the search. Raises TrainingFailed when a gradient is not finite.
    """
    ours, theirs = (
        _gradients(search, part, pairs) for part in (search.train_images, search.valid_images)
    )
    partners = {"held-out": theirs, "other": ours[1:] + ours[:1], "same": ours}
    found: dict[str, Any] = {}
    for situation in SITUATIONS:
        both = list(zip(ours, partners[situation], strict=False))
        for place, node in ours[0]:
            several = [correlation(mine[place, node], their[place, node]) for mine, their in both]
            if not all(math.isfinite(one.value) for one in several):
                raise TrainingFailed(
                    f"the gradients became infinite after epoch {search.training.epoch}; lower the rate"
                )
            found.setdefault(situation, {}).setdefault(str(place), {})[str(node)] = _mean(several)
    return found


def _gradients(search: CellSearch, part: LabelledImages, pairs: int) -> list[dict[Node, Tensor]]:
    """The `node_gradients` of some batches of `part`, which depend on seed and epoch alone."""
    seed = np.random.SeedSequence([search.plan.seed, search.training.epoch]).generate_state(1)[0]
    batches = search.batches(part, augmented=True).epoch(torch.Generator().manual_seed(int(seed)))
    problem, network, weights = (
        search.training.problem,
        search.network,
        search.architecture.expected(),
    )
    places = first_middle_last(network.macro)
    return [
        node_gradients(problem, network, weights, batch, places)
        for batch in itertools.islice(batches, max(2, pairs))
    ]


def _mean(several: Sequence[Correlation]) -> dict[str, float]:
    return {
        name: float(np.mean([getattr(one, name) for one in several]))
        for name in ("value", "cosine")
    }
