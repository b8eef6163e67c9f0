"""What the record of a run of cell searches says."""

from collections.abc import Mapping
from typing import Any

from fade_ray.cells.cells_config import CellPlan, CellsConfig
from fade_ray.records.history import TrialHistory
from fade_ray.run.folder import RunKind

CELLS: RunKind[CellsConfig] = RunKind("cells", CellsConfig.from_dict)


class CellHistory(TrialHistory[CellPlan]):
    """What the events of a run of cell searches say together."""

    @classmethod
    def parse(cls, plan: Mapping[str, Any]) -> CellPlan:
        return CellPlan.from_dict(plan)
