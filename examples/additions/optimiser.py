"""An optimiser of the weights, and a learning rate over the epochs; their fields become flags.

fade-ray search --use optimiser.py --optimiser radam --schedule halved --out runs/radam
"""

from dataclasses import dataclass

import torch

from fade_ray.training.optimisers import SCHEDULES, Optimiser


@dataclass(frozen=True)
class RAdam(Optimiser, name="radam"):
    """Rectified Adam."""

    def build(self, weights):
        rate, decay = self.learning_rate, self.weight_decay
        return torch.optim.RAdam(weights, lr=rate, weight_decay=decay)


SCHEDULES["halved"] = lambda options, epoch, epochs: options.learning_rate / 2 ** (epoch // 10)
