"""What the record of a run of cell searches says."""

from fade_ray.cells.cells_config import CellPlan
from fade_ray.records.history import TrialHistory


class CellHistory(TrialHistory[CellPlan]):
    """What the events of a run of cell searches say together."""

    parse = CellPlan.from_dict
