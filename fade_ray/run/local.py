"""The plain loop: one trial after the other in this process, without Ray."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from fade_ray.records.additions import Addition
from fade_ray.run.run_config import RunConfig
from fade_ray.run.session import Session
from fade_ray.training import place
from fade_ray.trials.job import Job, events
from searchers import Outcome

LOG = logging.getLogger(__name__)
D = TypeVar("D")


def run_local(
    session: Session[Any],
    job: Job[D],
    data: D,
    run: RunConfig,
    folder: Path,
    additions: Sequence[Addition] = (),
) -> None:
    """The same seed gives the same record as Ray Tune: the same bits on CPUs as many. `additions`
    are loaded here already.
    """
    LOG.info("In this process, on %s: one trial at a time.", place(run.device).device)
    while not session.done:
        plan = session.ask()
        if plan is None:
            if session.done:  # what was left had been recorded before
                return
            raise RuntimeError("the searcher waits for a batch of which no trial is running")
        event = {}
        session.observe(plan.id, {"begun": None})
        for event in events(job, plan.to_dict(), data, folder):
            session.observe(plan.id, event)
        session.tell(plan.id, Outcome.from_dict(event["outcome"]))
