"""Other tasks on images: their measures by hand, and what is refused before a run starts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from fade_ray.data import LabelledImages, Splits
from fade_ray.data.targets import IGNORED
from fade_ray.nn import Scores
from fade_ray.records.measures import Measure
from fade_ray.training.failures import TrainingFailed
from fade_ray.training.image_objectives import MultiLabel, Regression, Segmentation
from fade_ray.training.loop import scored
from fade_ray.training.objective_check import check_objective, guess
from fade_ray.training.objectives import Objective
from fade_ray.training.sums import Sums
from spaces.errors import InvalidInput


def told(objective: Objective, *batches: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Of (scores, targets): what an evaluation tells."""
    sums = Sums(objective.higher_is_better, torch.device("cpu"))
    for scores, targets in batches:
        batch = (torch.zeros(0), targets)
        loss = objective.loss(Scores(scores), batch, training=False)
        sums.add(loss, objective.measured(Scores(scores), batch), objective.count(batch))
    return objective.told(sums.read())


def test_the_root_of_the_mean_squared_error_of_all_images() -> None:
    first = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [0.0, 3.0]])
    second = torch.tensor([[5.0, 5.0]]), torch.tensor([[5.0, 5.0]])
    means = told(Regression(), first, second)
    assert means["rmse"] == pytest.approx(math.sqrt((1 + 9) / 6))
    assert Regression().score(means) == -means["rmse"]


def test_f1_counts_labels_over_all_images() -> None:
    said = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
    given = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    means = told(MultiLabel(), (said[:1], given[:1]), (said[1:], given[1:]))
    assert means["f1"] == pytest.approx(2 * 2 / (3 + 3))  # two found, three said, three given
    assert means["label_accuracy"] == pytest.approx(4 / 6)
    assert told(MultiLabel(), (-torch.ones(1, 2), torch.zeros(1, 2)))["f1"] == 0.0


def test_intersections_and_unions_are_those_of_all_images() -> None:
    """Class 2 is nowhere and does not count; nor does the pixel that is ignored."""
    maps = torch.tensor([[[0, 0], [1, IGNORED]], [[1, 1], [1, 1]]], dtype=torch.uint8)
    said = torch.tensor([[[0, 1], [1, 1]], [[1, 1], [0, 1]]])
    scores = torch.nn.functional.one_hot(said, 3).permute(0, 3, 1, 2).float()
    means = told(Segmentation(), (scores[:1], maps[:1]), (scores[1:], maps[1:]))
    assert means["mean_iou"] == pytest.approx((1 / 3 + 4 / 6) / 2)
    assert means["pixel_accuracy"] == pytest.approx(5 / 7)
    nothing = torch.full_like(maps, IGNORED)
    assert told(Segmentation(), (scores, nothing))["loss"] == 0.0


def splits(target: str, labels: np.ndarray, outputs: int) -> Splits:
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 1, 8, 8), np.uint8)
    part = LabelledImages(images, labels, target)
    names = tuple(map(str, range(outputs)))
    return Splits("toy", names, part, part, part, (0.5,), (0.5,))


VALUES = np.array([[0.0], [1.0], [2.0], [5.0]], np.float32)
OF_NUMBERS = splits("numbers", VALUES, 1)
MAPS = np.zeros((2, 8, 8), np.uint8)
MAPS[:, 0] = 2
HOT = np.array([[1, 0], [1, 1], [1, 0]], np.float32)


def test_the_best_answer_without_looking() -> None:
    assert guess(Regression(), OF_NUMBERS) == pytest.approx(-float(VALUES.std()))
    # all are of class 0: 7/8 of its union, nothing of class 2
    assert guess(Segmentation(), splits("map", MAPS, 3)) == pytest.approx(7 / 8 / 2)
    assert guess(MultiLabel(), splits("labels", HOT, 2)) == pytest.approx(2 * 3 / 7)


@pytest.mark.parametrize(
    ("objective", "data"),
    [
        (Regression(), OF_NUMBERS),
        (Segmentation(), splits("map", MAPS, 3)),
        (MultiLabel(), splits("labels", HOT, 2)),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_shipped_objectives_fit_their_targets(objective: Objective, data: Splits) -> None:
    check_objective(objective, data)


@dataclass(frozen=True)
class Absolute(Regression, name="absolute-error"):
    """As a user writes one: a loss, a measure."""

    higher_is_better: ClassVar[Mapping[str, bool]] = {"absolute_error": False}

    def loss(self, scores: Scores, batch: Any, *, training: bool) -> Tensor:
        return (scores.main - batch[1]).abs().mean()

    def measured(self, scores: Scores, batch: Any) -> dict[str, Tensor]:
        return {"absolute_error": (scores.main.detach() - batch[1]).abs().mean(dim=1).sum()}

    def told(self, means: Mapping[str, Any]) -> dict[str, float]:
        return dict(means)


def test_the_first_measure_is_the_score_and_is_told_by_its_name() -> None:
    check_objective(Absolute(), OF_NUMBERS)
    assert Absolute().score({"absolute_error": 0.5}) == -0.5
    assert Absolute().measure == Measure("absolute error", scale=-1.0)

    @dataclass(frozen=True)
    class Softer(Regression, name="softer"):
        """The measure stays."""

        def loss(self, scores: Scores, batch: Any, *, training: bool) -> Tensor:
            return torch.nn.functional.huber_loss(scores.main, batch[1])

    assert Softer().measure == Regression().measure == Measure("RMSE", scale=-1.0, high=0.0)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no measure": ({"higher_is_better": {}}, "an objective has a measure"),
    "another measure": ({"higher_is_better": {"error": False}}, r"KeyError: 'error'|'error'"),
    "NaN": ({"score": lambda self, means: math.nan}, "its score is nan"),
    "shapes": ({"loss": lambda self, scores, batch, training: scores.main @ batch[1]}, r"\[4, 1\]"),
    "no scalar": ({"loss": lambda self, scores, batch, training: scores.main}, "scalar"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_objective_that_says_nothing_is_refused(fault: str) -> None:
    changes, message = FAULTS[fault]
    made = type("Faulty", (Absolute,), changes)()
    with pytest.raises(InvalidInput, match=message):
        check_objective(made, OF_NUMBERS)


def test_a_score_that_is_no_number_ends_the_trial_in_words() -> None:
    assert scored(Regression(), {"rmse": 2.0}) == -2.0
    with pytest.raises(TrainingFailed, match=r"became -?nan, of loss 1, rmse nan"):
        scored(Regression(), {"loss": 1.0, "rmse": math.nan})


def test_scores_and_what_is_told_go_into_one_another() -> None:
    measure = replace(Regression().measure)
    assert measure.plain(measure.plain(-2.5)) == -2.5
    assert measure.score({"test_rmse": 2.5}, "test") == -2.5
    assert measure.score({}, "test") is None
    assert measure.text(-2.5, 2) == "2.50"
