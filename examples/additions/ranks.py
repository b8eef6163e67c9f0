"""How a hyper-architecture is trained: draws of the weight step, a penalty; and for rank studies a
setting and what is ranked.

    fade-ray search --use ranks.py --draw tempered --penalty entropy --data digits --out runs/drawn
    fade-ray rank-study --use ranks.py --settings default tempered --cells small --out runs/both
"""

from fade_ray.nn import architecture_weights
from fade_ray.ranks.candidates import CELLS, Cells
from fade_ray.ranks.rank_config import SETTINGS, Setting
from fade_ray.training.estimators import DRAWS
from fade_ray.training.penalties import PENALTIES
from spaces import enumerate_dags


def tempered(logits, mask):
    """The architecture weights [d, w], halfway to uniform in the logits."""
    return architecture_weights(logits / 2, mask)


def entropy(weights, t):
    """Minus the entropy of all rows: rows are held together, at first more than at last."""
    return (1 - t) * (weights * weights.clamp_min(1e-30).log()).sum()


DRAWS["tempered"] = tempered
PENALTIES["entropy"] = entropy
SETTINGS["tempered"] = Setting({}, {"draw": "tempered"})
CELLS["small"] = Cells(lambda count, operations: tuple(enumerate_dags(4))[:count])
