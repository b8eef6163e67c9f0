"""What the record of a run of cell searches says."""

from collections.abc import Mapping
from typing import Any

from fade_ray.cell_search.config import CellPlan, CellsConfig
from fade_ray.records import TrialHistory

from .folder import RunKind

CELLS: RunKind[CellsConfig] = RunKind("cells", CellsConfig.from_dict)


class CellHistory(TrialHistory[CellPlan]):
    """What the events of a run of cell searches say together."""

    @classmethod
    def parse(cls, plan: Mapping[str, Any]) -> CellPlan:
        return CellPlan.from_dict(plan)
