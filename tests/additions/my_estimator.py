"""An architecture gradient of one's own: the score function without a baseline."""

import torch
from torch.nn import functional as F

from fade_ray.nn import architecture_weights, still
from fade_ray.nn.relaxations import draw_path
from fade_ray.training.estimators import ESTIMATORS, Estimate, Estimator, on_the_same_images


def bare(problem, batch):
    weights = architecture_weights(problem.logits, problem.mask)
    paths = [draw_path(weights, problem.generator) for _ in range(problem.config.paths)]
    with still(problem.network), torch.no_grad():
        measured = on_the_same_images(problem, batch, paths)
    drawn = torch.stack([F.one_hot(torch.tensor(path), weights.shape[1]) for path in paths])
    grad = ((drawn - weights) * measured.losses.cpu()[:, None, None]).mean(dim=0)
    grad = grad.masked_fill(~problem.mask, 0.0)
    return Estimate(grad, measured.loss, measured.measures, measured.multiply_adds)


ESTIMATORS["bare-score-function"] = Estimator(bare, passes=lambda config, width: config.paths)
