"""A kind of run of one's own: how many architectures a space holds."""

from dataclasses import dataclass, field

from fade_ray.nn import NetworkConfig
from fade_ray.records.history import RunHistory
from fade_ray.run.kind import RunKind
from fade_ray.run.run_config import RunOptions
from fade_ray.search.search_config import SpaceConfig


@dataclass(frozen=True)
class CensusConfig(RunOptions):
    space: SpaceConfig = field(default_factory=SpaceConfig)


class Census(RunKind[CensusConfig, RunHistory], name="census"):
    """Count the graphs of a space."""

    example = "fade-ray census --max-vertices 4"
    config, history, folders, reports = CensusConfig, RunHistory, (), False

    def prepare(self, config):
        return config.space.build(NetworkConfig())

    def work(self, prepared, start):
        return {"graphs": len(prepared.cells)}

    def tell(self, run, console):
        console.print(f"{run.result['graphs']} graphs")
