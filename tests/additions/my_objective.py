"""An objective of one's own: the Brier score, the squared error of the class probabilities."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn import functional as F

from fade_ray.training import Objective


@dataclass(frozen=True)
class Brier(Objective, name="brier"):
    """Squared error of the probabilities; the score is how far below that of a guess it is."""

    higher_is_better: ClassVar = {"accuracy": True, "error": False}

    def errors(self, scores, batch):
        wanted = F.one_hot(batch[1], scores.main.shape[1])
        return (scores.main.softmax(dim=1) - wanted).square().sum(dim=1)

    def loss(self, scores, batch, *, training):
        return self.errors(scores, batch).mean()

    def measured(self, scores, batch):
        right = scores.main.argmax(dim=1) == batch[1]
        return {"accuracy": right.sum(), "error": self.errors(scores, batch).detach().sum()}

    def score(self, means):
        return -means["error"]
