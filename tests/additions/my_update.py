"""An update of the logits of cells of one's own, and a recipe with it: steps of length one."""

import torch

from fade_ray.cells.cell_recipes import RECIPES, Recipe, Stage
from fade_ray.training.edge_architecture import CellArchitectureConfig
from fade_ray.training.updates import UPDATES, Gradients, Update, first_order


def unit(problem, train, held_out, unroll, config):
    made = first_order(problem, train, held_out, unroll, config)
    length = torch.stack([part.norm() for part in made.architecture]).norm()
    return Gradients(tuple(part / length for part in made.architecture), made.weights, made.loss)


UPDATES["unit-first-order"] = Update(unit)
RECIPES["unit-darts"] = Recipe(
    "DARTS, first order, with steps of length one",
    CellArchitectureConfig(update="unit-first-order", optimizer="sgd", weight_decay=0.0),
    (Stage("top-edges"),),
)
