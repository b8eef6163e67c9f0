"""What a searcher would ask for, without any training."""

import math

import numpy as np

from searchers.base import AskTell, Proposal
from searchers.outcome import Outcome


def rehearsed(searcher: AskTell) -> list[Proposal]:
    """All that `searcher` asks for from where it is, one trial at a time: hyper-architectures find
    all candidates alike, scores are drawn, nothing fails. It is done afterwards.
    """
    rng, asked = np.random.default_rng(0), list[Proposal]()
    while (plan := searcher.ask()) is not None:
        asked.append(plan)
        alike = ((-math.log(plan.hyper.width),) * plan.hyper.width,) * plan.hyper.depth
        score = float(rng.random()) if plan.scored else None
        outcome = Outcome(log_weights=alike) if plan.ranks else Outcome(score=score)
        searcher.tell(plan.id, outcome)
    return asked
