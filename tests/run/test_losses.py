"""What Ray raises, by the kind of loss; what it really raises is seen in test_faults.py."""

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError

from fade_ray.run.losses import Leaving, loss
from fade_ray.run.ray_trial import FadeTrial, OtherSource

DIED = "The actor died unexpectedly before finishing this task.\n\tip: 10.0.0.3\n"
EXIT = DIED + "Its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ActorUnavailableError("Socket closed", None), "node lost", "cannot be reached"),
        (RayActorError(error_msg=DIED + "its node has died."), "node lost", "10.0.0.3"),
        (RayActorError(error_msg=DIED, preempted=True), "node lost", "10.0.0.3"),
        (RayActorError(error_msg=EXIT + "receives a SIGTERM."), "node lost", "SIGTERM"),
        (RayActorError(error_msg=EXIT + "End of file."), "worker lost", "crashed (on 10.0.0.3)"),
        (RayActorError(error_msg=EXIT + "NODE_OUT_OF_MEMORY"), "out of memory", "memory"),
        (
            ActorDiedError(RayTaskError("setup", "traceback\nValueError: mine", ValueError())),
            "worker lost",
            "ValueError: mine",
        ),
        (
            ActorDiedError(RayTaskError("setup", "a\nOtherSource: b has c", ValueError())),
            "node lost",
            "OtherSource",
        ),
        (RayTaskError("step", "traceback\nKeyError: 'x'", KeyError()), "crashed", "KeyError: 'x'"),
        (RayTaskError("step", "traceback", Leaving("told to leave")), "node lost", "told to leave"),
        (None, "worker lost", "gone"),
    ],
)
def test_a_loss_has_its_kind_and_its_reason(
    error: Exception | None, kind: str, reason: str
) -> None:
    told = loss(error)
    assert told.kind == kind
    assert reason in told.reason


def test_a_worker_whose_start_fails_has_its_name_and_so_its_own_reason() -> None:
    """Ray asks for the name when it passes the error on, and hides the error behind another."""
    trial = FadeTrial.__new__(FadeTrial)
    trial._logdir = "/nowhere"
    with pytest.raises(OtherSource):
        trial.setup({"proposal": {"id": "00003"}}, (), b"", None, "/runs/mine", "other source")
    assert repr(trial) == "mine trial 00003"
