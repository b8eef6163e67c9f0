"""A genotype as one trial of many: trained from scratch, tested once at its end, nothing kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from fade_ray.nn.network import lasting
from fade_ray.retraining.retrain_examples import Examples
from fade_ray.retraining.retraining import Retraining, begun, build_network
from fade_ray.training import Placement, evaluate
from fade_ray.training.latency import latency
from fade_ray.training.step_memory import step_memory
from fade_ray.training.sums import ALONE
from fade_ray.trials.trainee import Ending, Metrics, Trainee
from searchers import Outcome


class GenotypeTrial(Trainee):
    """The training of `job`. No epoch is chosen, since the test part is looked at but once; so the
    accuracy is that of the last epoch.
    """

    def __init__(self, job: Retraining, examples: Examples, placement: Placement) -> None:
        self.job, self.examples, self.placement = job, examples, placement
        self.network = build_network(job, examples)
        self.training = begun(self.network, job, examples, placement)

    def first_metrics(self) -> Metrics:
        """What memory a step takes. Raises InvalidInput when it does not fit."""
        apart = build_network(self.job, self.examples)  # no statistics of the real one move
        alone = begun(apart, self.job, self.examples, self.placement)
        return {"step_memory_mib": step_memory(alone)}

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        """test_accuracy; parameters (without the auxiliary head), network_multiply_adds per image
        (conv+fc), latency_ms of one image.
        """
        config = self.job.config
        objective, size = config.train.objective, config.train.batch_size
        test = self.examples.test(self.placement, ALONE, size)
        score = objective.score(evaluate(self.network, test, objective, self.placement))
        return Ending(Outcome(measures={"test_accuracy": score}), self._about(score))

    def _about(self, score: float) -> Metrics:
        """What is told of the network and its test score."""
        return {
            "test_accuracy": score,
            "parameters": lasting(self.network),
            "network_multiply_adds": self.network.multiply_adds(),
            "latency_ms": latency(self.network, self.placement.device),
        }
