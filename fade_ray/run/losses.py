"""What became of a worker that Ray lost: told apart by kind, in words for the record."""

import re

from searchers.outcome import Failure, FailureKind

# Ray keeps why an actor died in the words of the error alone. A test kills workers and nodes: a
# release that words it otherwise is noticed there.
SIGNS: tuple[tuple[str, FailureKind, str], ...] = (
    ("NODE_OUT_OF_MEMORY", "out of memory", "Ray ended it, as its node ran out of memory"),
    ("low on memory", "out of memory", "Ray ended it, as its node ran out of memory"),
    ("receives a SIGTERM", "node lost", "it was told to leave (SIGTERM)"),
    ("node has died", "node lost", "its node died"),
    ("node was terminated", "node lost", "its node was taken away"),
    ("End of file", "worker lost", "its process was killed or crashed"),
)
"""Part of Ray's words, the kind of loss, our words for it."""


class Leaving(RuntimeError):
    """A trial's process was told to leave, and does so between two epochs."""


class OtherSource(RuntimeError):
    """A node that joined while a trial waited for one has other source, and was not asked yet; or
    that of the driver was changed under its run.
    """


def loss(error: Exception | None) -> Failure:
    """Why a trial's worker is gone, from what Ray raised for it."""
    from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

    if isinstance(error, ActorUnavailableError):
        return Failure("node lost", "its node cannot be reached")
    if isinstance(error, RayTaskError):
        if isinstance(error.cause, Leaving):
            return Failure("node lost", str(error.cause))
        return Failure("crashed", _last_line(str(error)))
    if isinstance(error, RayActorError) and error.actor_init_failed:
        kind: FailureKind = "node lost" if OtherSource.__name__ in str(error) else "worker lost"
        return Failure(kind, f"its worker did not start: {_last_line(str(error))}")
    text = str(error)
    where = re.search(r"\n\tip: (\S+)", text)
    for sign, kind, words in SIGNS:
        if sign in text or (kind == "node lost" and getattr(error, "preempted", False)):
            return Failure(kind, words + (f" (on {where[1]})" if where else ""))
    return Failure("worker lost", f"its worker is gone: {_last_line(text)}")


def _last_line(text: str) -> str:
    """Where Ray's account of an exception has the exception itself."""
    return text.strip().splitlines()[-1].strip() if text.strip() else "-"
