"""The part of Tune that is not public and that `Scheduler` counts on: a release of Ray that renames
it is noticed here, where otherwise actors would be started again without a word.
"""

from typing import Any

import pytest
from ray.tune.execution.tune_controller import TuneController
from ray.tune.utils.object_cache import _ObjectCache

from fade_ray.run.ray_trial import Scheduler


class Trial:
    placement_group_factory = "what a trial asks of Ray"


class Controller:
    def __init__(self) -> None:
        self._actor_cache = _ObjectCache(may_keep_one=True)


@pytest.mark.parametrize(("room", "kept"), [(0, 1), (1, 1), (3, 3)])
def test_as_many_idle_actors_are_kept_as_there_is_room_for(room: int, kept: int) -> None:
    """Three trials end a batch together: by itself Tune keeps the actor of one."""
    controller: Any = Controller()
    scheduler = Scheduler(lambda: room, lambda id, failure: None)
    trials: list[Any] = [Trial() for _ in range(3)]
    for trial in trials:
        scheduler.on_trial_add(controller, trial)
    cache = controller._actor_cache
    held = [cache.cache_object(trial.placement_group_factory, object()) for trial in trials]
    assert sum(held) == kept


def test_a_controller_has_the_cache() -> None:
    assert "_actor_cache" in TuneController.__init__.__code__.co_names
