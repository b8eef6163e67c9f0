"""A cell search of which one stage is trained, to be measured."""

from typing import Any

from fade_ray.cells.cell_trial import CellSearch


class StageSearch(CellSearch):
    """A search that ends with the stage of number `last`, whose network it keeps."""

    last = 0

    def _end_stage(self) -> None:
        if self.stage == self.last:
            self.ended = True
        else:
            super()._end_stage()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state | {"ended": False})
        self.ended = state["ended"]
