"""What Ray raises, by the kind of loss; what it really raises is seen in test_faults.py."""

from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError

from fade_ray.run.losses import Leaving, OtherSource, loss
from fade_ray.run.node_answer import digest, source
from fade_ray.run.ray_engine import while_unchanged
from fade_ray.run.ray_trial import FadeTrial

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


@pytest.mark.parametrize(
    ("reason", "changed", "ends"),
    [
        ("OtherSource: b has c", True, True),
        ("OtherSource: b has c", False, False),
        ("-", True, False),
    ],
)
def test_a_run_ends_where_its_source_was_changed_and_new_workers_refuse_it(
    reason: str, changed: bool, ends: bool
) -> None:
    event, told = {"restarted": {"kind": "node lost", "reason": reason}}, list[Any]()
    observe = while_unchanged(
        lambda *event: told.append(event), "before" if changed else digest(source())
    )
    observe("00003", event)
    ((id, passed),) = told
    assert id == "00003"
    assert ("changed here since the run began" in passed["abort"]) if ends else passed == event
