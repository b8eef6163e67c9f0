"""Names of configurations as they stood in the first version, for scripts that were written for it.

`OuterConfig` held the options of all searchers side by side: `Config` takes it apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fade_ray.data.data_config import DataConfig
from fade_ray.records.json_form import from_json
from fade_ray.run.run_config import RunConfig
from fade_ray.search import search_config
from fade_ray.search.search_config import Config, SpaceConfig
from fade_ray.training.config import check_options
from searchers import Searcher

__all__ = ["Config", "DataConfig", "OuterConfig", "RunConfig", "SpaceConfig"]


@dataclass(frozen=True, init=False)
class OuterConfig(search_config.OuterConfig):
    """InvalidInput for an option that no searcher has; those of other searchers say nothing."""

    values: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        check_options(
            values.keys() - {"searcher"}, search_config.OuterConfig, *Searcher.table.values()
        )
        object.__setattr__(self, "values", {"searcher": "anchor"} | values)

    def parts(self) -> dict[str, Any]:
        """`searcher` and `outer` of `Config`."""
        now = search_config.upgrade({"outer": self.values})
        searcher = from_json(Searcher, now["searcher"])
        return {"searcher": searcher, "outer": from_json(search_config.OuterConfig, now["outer"])}
