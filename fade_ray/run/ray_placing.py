"""Where Tune places trials: on the nodes that answered well."""

from typing import Any

import ray
from ray import tune
from ray.util.placement_group import placement_group

from fade_ray.run.doctor import node_name
from fade_ray.run.ray_nodes import avoiding


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
