"""The plain loop: one trial after the other in this process, without Ray."""

from pathlib import Path

from fade_ray.config import Config
from fade_ray.data import Splits
from fade_ray.trial import run_trial
from searchers import Outcome

from .session import Session


def run_local(session: Session, splits: Splits, config: Config, folder: Path) -> None:
    """Carry the session out. The same seed gives the same anchors as Ray Tune, bit for bit on the CPU with equal `cpus_per_trial`."""
    while not session.done:
        proposal = session.ask()
        if proposal is None:
            if session.done:  # what was left had been recorded before
                return
            raise RuntimeError("the searcher waits for a batch of which no trial is running")
        event = {}
        for event in run_trial(proposal, splits, config, folder):
            session.observe(proposal.id, event)
        session.tell(proposal.id, Outcome.from_dict(event["outcome"]))
