"""Parts of the anchor search: a direction, a step rule, widths of the stencil; and an entrant.

fade-ray search --use walk.py --gradient signs --step-rule short --gamma-rule wide
fade-ray compare --use walk.py --searchers fade-signs random --data digits --out runs/walks
"""

import numpy as np

from fade_ray.search.entrants import ENTRANTS, PAPER, Entrant
from searchers import AnchorWalk
from searchers.stencils import GAMMA_RULES, fixed
from searchers.steps import GRADIENTS, STEP_RULES, difference

GRADIENTS["signs"] = lambda seen: seen.gamma * np.sign(difference(seen))
STEP_RULES["short"] = lambda gradient, step_size, gamma: 0.5 * step_size * gradient
GAMMA_RULES["wide"] = lambda space, anchor, gamma: fixed(space, anchor, min(2 * gamma, 0.5))
ENTRANTS["fade-signs"] = Entrant(AnchorWalk, PAPER | {"gradient": "signs"})
