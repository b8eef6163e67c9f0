"""An operation of one's own, and a space of cells that holds it.

fade-ray cells --use operation.py --spaces gated --data digits --out runs/gated
"""

from fade_ray.nn.costs import Cost
from fade_ray.nn.operations import OPERATIONS, Operation
from spaces import SPACES, Macro, PublishedSpace, cells_of


class Gate(Operation):
    """Each channel [side, side] times a number in [0, 1] that is told by the means of all."""

    def __init__(self, build):
        super().__init__()
        self.stride, self.channels = build.stride, build.channels
        self.gates = build.linear(build.channels, build.channels)
        self.norm = build.norm(build.channels)

    def forward(self, source, term):
        x = source.value[..., :: self.stride, :: self.stride]
        gates = self.gates(x.mean((2, 3))).sigmoid()
        term.add(self.norm(x * gates[..., None, None]))

    def cost(self, side):
        return Cost(self.gates.weight.numel(), norms=self.channels * -((-side // self.stride) ** 2))


OPERATIONS["gate"] = Gate
cells = cells_of(("none", "skip_connect", "sep_conv_3x3", "gate"))
SPACES["gated"] = PublishedSpace(Macro(cells, "darts", 8), 16, "with gates", "this file")
