"""Where Tune places trials: on the nodes that answered well."""

import time
from typing import Any

import ray
from ray import tune
from ray.util.placement_group import placement_group

from fade_ray.run.doctor import node_name
from fade_ray.run.ray_nodes import Survey, avoiding

LOOK = 5.0
"""Seconds between looks for nodes that have joined."""


def this_node() -> str:
    """The name of the node that this process runs on, as the records call it."""
    return node_name(ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id())


class OnGoodNodes(tune.PlacementGroupFactory):  # type: ignore[misc]
    """What a trial asks of Ray; when it asks, it is kept off all nodes that have not answered well.

    Two are equal where they ask for the same, so that an actor is used again whatever joined
    meanwhile.
    """

    def to_placement_group(self) -> Any:
        labels = [avoiding(ray)] * len(self.bundles)
        return placement_group(self.bundles, self.strategy, bundle_label_selector=labels)


class AskNewcomers(tune.Callback):  # type: ignore[misc]
    """Asks nodes that join while trials run."""

    def __init__(self, survey: Survey) -> None:
        self._survey, self._next = survey, 0.0

    def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
        if time.monotonic() >= self._next:
            self._survey.look()
            self._next = time.monotonic() + LOOK
        self._survey.hear(0)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it into its folder, from where nothing is read
