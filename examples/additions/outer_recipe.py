"""A named setting of the outer search.

fade-ray search --use outer_recipe.py --recipe side-by-side --data digits --out runs/wide
"""

from dataclasses import replace

from fade_ray.search.search_config import RECIPES
from searchers import AnchorWalk

RECIPES["side-by-side"] = replace(RECIPES["default"], searcher=AnchorWalk(walks=3, wide=True))
