"""Data of an objective, and whether it can be trained on them, before any work starts."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fade_ray.data import Splits
from fade_ray.data.data_config import DataConfig, load_images
from fade_ray.data.targets import TARGETS
from fade_ray.nn import Scores
from fade_ray.training.objectives import Objective
from fade_ray.training.sums import Sums
from spaces.errors import InvalidInput, require, require_known, upheld

FEW = 4
"""Images that an objective is tried on."""


def images_for(objective: Objective, data: DataConfig) -> Splits:
    """Images with the targets that it asks for. InvalidInput for data and objectives that do not
    go together, and for an objective that says nothing.
    """
    require_known("The `target` of an objective", objective.target, TARGETS)
    splits = load_images(data, objective.target)
    check_objective(objective, splits)
    return splits


def check_objective(objective: Objective, splits: Splits) -> None:
    """It judges random scores of a few images once. InvalidInput unless loss, measures and score
    come of it, all finite.
    """
    name = getattr(objective, "name", type(objective).__name__)
    remedy = "Say in `higher_is_better` what `measured` measures, the score first."
    require(bool(objective.higher_is_better), "an objective has a measure", remedy, objective=name)
    few = splits.weights.take(range(min(FEW, len(splits.weights))))
    sides = (splits.side, splits.side)
    shape = (len(few), splits.num_classes, *(sides if splits.dense else ()))
    scores = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    targets = torch.from_numpy(few.labels.copy())
    batch = torch.zeros(len(few), splits.channels, *sides), targets
    rule = (
        f"The objective {name!r} must judge scores {[*shape]} of {len(few)} images by targets "
        f"{[*targets.shape]}, {splits.target.asked}"
    )
    with upheld(rule, "Mend it, or choose another --objective.", Exception):
        loss = objective.loss(Scores(scores), batch, training=True)
        loss.backward()  # type: ignore[no-untyped-call]
        sums = Sums(objective.higher_is_better, torch.device("cpu"))
        sums.add(loss, objective.measured(Scores(scores), batch), objective.count(batch))
        means = objective.told(sums.read())
        values = {name: float(value) for name, value in means.items()}
        values["score"] = float(objective.score(means))
    for part, value in values.items():
        if not math.isfinite(value):
            raise InvalidInput(f"{rule}, but its {part} is {value}. Mend it.")


def guess(objective: Objective, splits: Splits) -> float:
    """The score on the test part of the same answer for all images, the best by the targets of all
    others; of classes that of a draw among them.
    """
    if splits.target.stratified:
        return 1 / splits.num_classes
    known, tested = (torch.from_numpy(part.labels.copy()) for part in (splits.weights, splits.test))
    answer = CONSTANT[splits.weights.target](known, splits.num_classes)
    shape = (len(tested), *answer.shape, *tested.shape[1:][: 2 * splits.dense])
    scores = Scores(answer.view(1, -1, *(1,) * (2 * splits.dense)).expand(shape))
    batch = torch.zeros(0), tested
    sums = Sums(objective.higher_is_better, torch.device("cpu"))
    sums.add(torch.zeros(()), objective.measured(scores, batch), objective.count(batch))
    return objective.score(objective.told(sums.read()))


CONSTANT: dict[str, Callable[[Tensor, int], Tensor]] = {
    "numbers": lambda targets, outputs: targets.mean(0),
    "labels": lambda targets, outputs: targets.mean(0) - 0.5,
    "map": lambda targets, outputs: torch.bincount(
        targets[targets < outputs].long(), minlength=outputs
    ).float(),
}
"""The scores [outputs] that are the best answer without looking, by target."""
