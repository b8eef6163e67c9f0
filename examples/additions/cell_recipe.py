"""A cell search: a relaxation of the logits, a rule that makes a genotype, and a recipe of both.

fade-ray cells --use cell_recipe.py --recipes squared --spaces s5 --out runs/squared
"""

from dataclasses import replace

from fade_ray.cells.cell_recipes import RECIPES, Recipe, Stage
from fade_ray.cells.discretise import DISCRETISERS, top_edges
from fade_ray.nn.relaxations import RELAXATIONS


def squared(logits, mask):
    """Weights [E, O] that grow with the square of 1 + logit."""
    values = (1 + logits) ** 2 * mask
    return values / values.sum(dim=1, keepdim=True)


def one_each(learned, searched, whole):
    """As DARTS does, but each node keeps one edge; `whole` is the space before it was narrowed."""
    return top_edges(learned, replace(searched, keep=1), whole)


RELAXATIONS["squared"] = replace(RELAXATIONS["softmax"], expected=squared)
DISCRETISERS["one-each"] = one_each
darts = RECIPES["darts-1st"].architecture
RECIPES["squared"] = Recipe("squares", replace(darts, relaxation="squared"), (Stage("one-each"),))
