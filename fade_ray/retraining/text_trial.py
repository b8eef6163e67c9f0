"""A language model of a genotype, trained as DARTS does on PTB (algorithms B.5): the epoch of the
lowest loss on valid is tested, with the average of its weights where the optimiser keeps one.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fade_ray.data import AnyBatches
from fade_ray.nn import parameters
from fade_ray.retraining.genotype_trial import GenotypeTrial
from fade_ray.retraining.retrain_texts import Texts
from fade_ray.retraining.retraining import TRIALS, Retraining, weights_path
from fade_ray.training import Placement, TrainingFailed, evaluate
from fade_ray.training.sums import ALONE, Workers
from fade_ray.trials.job import write_output
from fade_ray.trials.trainee import Ending, Metrics, weights_bytes
from searchers import Outcome

STATE = ("losses", "best", "best_epoch", "rolled_back")
"""What a trial is at, beside its training."""


class TextTrial(GenotypeTrial):
    """The training of `job`, measured on valid after each epoch: the average of the weights where
    there is one. One whose loss is not finite goes back to its best epoch, and on with other masks.
    """

    examples: Texts

    def __init__(self, job: Retraining, examples: Texts, placement: Placement) -> None:
        super().__init__(job, examples, placement)
        self.valid: AnyBatches = examples.valid(placement, ALONE, job.config.train.batch_size)
        self.losses: list[float] = []  # on valid, of the epochs that stayed finite
        self.best: dict[str, Any] = {}  # the snapshot of the best of them
        self.best_epoch = self.rolled_back = 0

    def run_epoch(self) -> Metrics:
        """With loss and perplexity on valid; `averaged` where they are those of the average."""
        start, number = time.perf_counter(), self.training.epoch
        try:
            metrics = self.training.run_epoch()
            with self._averaged():
                means = self._measured(self.valid)
        except TrainingFailed:
            if not self.best:
                raise
            problem, seconds = self.training.problem, time.perf_counter() - start
            self.training.go_back(self.best)
            # counted, so that a training that fails again and again has an end
            self.training.epoch, self.rolled_back = number + 1, self.rolled_back + 1
            spent = {"images": problem.images, "multiply_adds": problem.multiply_adds}
            return {**spent, "seconds": seconds, "back_at_epoch": self.best_epoch}
        averaged = self.training.averaged() is not None
        if not self.losses or means["loss"] < min(self.losses):
            self.best, self.best_epoch = self.training.snapshot(), self.training.epoch
        self.losses.append(means["loss"])
        self.training.judged(self.losses)
        valid = {f"valid_{name}": value for name, value in means.items()}
        return {**metrics, **valid, "averaged": averaged}

    def _averaged(self) -> Any:
        """The network with the average of its weights within, where there is one."""
        return self.training.averaged() or nullcontext()

    def _measured(self, batches: AnyBatches) -> dict[str, float]:
        objective = self.job.config.train.objective
        return evaluate(self.network, batches, objective, self.placement)

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """The best epoch, tested once: as of images, with loss and perplexity by their names."""
        self.training.go_back(self.best)
        size = self.job.config.train.batch_size
        with self._averaged():
            means = self._measured(self.examples.test(self.placement, ALONE, size))
            return self._ended(means, epochs)

    def _ended(self, means: Mapping[str, float], epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """By the `means` on test, while the network has the weights that were tested."""
        score = self.job.config.train.objective.score(means)
        told = {f"test_{name}": value for name, value in means.items()} | self._chosen(epochs)
        return Ending(Outcome(measures={"test_accuracy": score}), self._about(score) | told)

    def _chosen(self, epochs: Sequence[Mapping[str, Any]]) -> Metrics:
        """Which epoch was tested, and how it came to it."""
        best, switched = epochs[self.best_epoch - 1], [bool(e.get("averaged")) for e in epochs]
        return {
            **{name: value for name, value in best.items() if name.startswith("valid_")},
            "best_epoch": self.best_epoch,
            "averaged_from": switched.index(True) + 1 if True in switched else None,
            "rolled_back": self.rolled_back,
        }

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {name: getattr(self, name) for name in STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        for name in STATE:
            setattr(self, name, state[name])


class TextRetraining(TextTrial):
    """The same as a run of its own: `folder/weights/best.safetensors` gets what was tested."""

    def __init__(
        self,
        job: Retraining,
        examples: Texts,
        folder: Path,
        placement: Placement,
        workers: Workers,
        wrap: Any,
    ) -> None:
        super().__init__(job, examples, placement)
        self.folder = folder

    def _ended(self, means: Mapping[str, float], epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """What result.json says."""
        about = {"epoch": str(self.best_epoch), "test_perplexity": repr(means["perplexity"])}
        write_output(weights_path(self.folder, "best"), weights_bytes(self.network, about))
        config, examples = self.job.config, self.examples
        spent = {
            name: sum(m[name] for m in epochs) for name in ("images", "multiply_adds", "seconds")
        }
        result = {
            "genotype": self.job.macro.notation,
            "recipe": config.recipe,
            "epochs": len(epochs),
            **{f"test_{name}": value for name, value in means.items()},
            **self._chosen(epochs),
            "test_words": examples.counts[1],
            "exported": "best",
            "parameters": parameters(self.network),
            "multiply_adds": self.network.multiply_adds(),
            "shape": {"words": len(examples.vocabulary), "units": config.network.channels},
            "data": examples.description,
            "seed": config.seed,
            "cost": spent,
        }
        return Ending(Outcome(), result)


TRIALS["text"] = TextRetraining
