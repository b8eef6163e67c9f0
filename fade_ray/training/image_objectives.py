"""Other tasks on images than their class."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fade_ray.data.targets import IGNORED
from fade_ray.nn import Scores
from fade_ray.training.objectives import Batch, Objective


@dataclass(frozen=True)
class Regression(Objective, name="regression"):
    """Squared error of one number or several of each image; the score is minus its root (RMSE)."""

    target: ClassVar[str] = "numbers"
    higher_is_better: ClassVar[Mapping[str, bool]] = {"rmse": False}

    def loss(self, scores: Scores, batch: Batch, *, training: bool) -> Tensor:
        return F.mse_loss(scores.main.float(), batch[1])

    def measured(self, scores: Scores, batch: Batch) -> dict[str, Tensor]:
        """The squared error, a mean over the numbers; `told` takes the root of its mean."""
        errors = (scores.main.detach().float() - batch[1]).square()
        return {"rmse": errors.mean(dim=1).sum()}

    def told(self, means: Mapping[str, Any]) -> dict[str, float]:
        return {**means, "rmse": math.sqrt(means["rmse"])}


@dataclass(frozen=True)
class MultiLabel(Objective, name="multi-label"):
    """Binary cross-entropy of each label; the score is the F1 of all labels of all images, which
    are taken as given where their score is above 0.
    """

    target: ClassVar[str] = "labels"
    higher_is_better: ClassVar[Mapping[str, bool]] = {"f1": True, "label_accuracy": True}

    def loss(self, scores: Scores, batch: Batch, *, training: bool) -> Tensor:
        return F.binary_cross_entropy_with_logits(scores.main.float(), batch[1])

    def measured(self, scores: Scores, batch: Batch) -> dict[str, Tensor]:
        """Labels found, and labels given or said; the share of labels that are right."""
        said, given = scores.main.detach() > 0, batch[1] > 0
        both = torch.stack([(said & given).sum(), said.sum() + given.sum()])
        return {"f1": both, "label_accuracy": (said == given).float().mean(dim=1).sum()}

    def told(self, means: Mapping[str, Any]) -> dict[str, float]:
        """F1 = 2 found / (given + said); 0 where no label was either."""
        both, either = means["f1"]
        return {**means, "f1": _share(2 * both, either)}


@dataclass(frozen=True)
class Segmentation(Objective, name="segmentation"):
    """Cross-entropy of the class of each pixel; the score is the mean over the classes of their
    intersection over union, on all held-out images together.
    """

    target: ClassVar[str] = "map"
    higher_is_better: ClassVar[Mapping[str, bool]] = {"mean_iou": True, "pixel_accuracy": True}

    def loss(self, scores: Scores, batch: Batch, *, training: bool) -> Tensor:
        """Over the pixels that count; 0 where none does."""
        each = F.cross_entropy(
            scores.main.float(), batch[1].long(), ignore_index=IGNORED, reduction="sum"
        )
        return each / (batch[1] != IGNORED).sum().clamp(min=1)

    def measured(self, scores: Scores, batch: Batch) -> dict[str, Tensor]:
        """Of each class the pixels in both and in either; of all pixels those right and those that
        count.
        """
        classes, counts = scores.main.shape[1], batch[1] != IGNORED
        given, said = batch[1][counts].long(), scores.main.detach().argmax(dim=1)[counts]
        pairs = torch.bincount(given * classes + said, minlength=classes**2)
        confusion = pairs.view(classes, classes)
        both = confusion.diagonal()
        either = confusion.sum(0) + confusion.sum(1) - both
        right = torch.stack([both.sum(), counts.sum()])
        return {"mean_iou": torch.cat([both, either]), "pixel_accuracy": right}

    def told(self, means: Mapping[str, Any]) -> dict[str, float]:
        """Classes that are neither given nor said anywhere do not count."""
        numbers, (right, counted) = means["mean_iou"], means["pixel_accuracy"]
        pairs = zip(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :], strict=True)
        known = [both / either for both, either in pairs if either != 0]
        iou = math.fsum(known) / max(1, len(known))
        return {**means, "mean_iou": iou, "pixel_accuracy": _share(right, counted)}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
