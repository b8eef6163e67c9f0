"""What the hyper-architecture of a rank study is made of: the same candidates in every row."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spaces import Candidate, Dag, enumerate_dags
from spaces.errors import InvalidInput
from spaces.nasbench_macro import BLOCKS, DEPTH

VERTICES = 5


@dataclass(frozen=True)
class Cells:
    """One kind of candidates. Add your own to `CELLS`."""

    row: Callable[[int, Sequence[int]], tuple[Candidate, ...]]
    """By the number of candidates and of their operations that are asked for."""
    depth: int | None = None
    """Rows; None: as the network has them."""
    in_table: bool = False
    """Whether a table holds the truth, so that nothing is trained alone."""
    blocks: bool = False
    """Whether they have BatchNorms of their own, and no operations to share."""


def graphs(count: int, operations: Sequence[int]) -> tuple[Dag, ...]:
    """`count` graphs on five vertices, shared out among the numbers of operations; of one number
    equally spaced in canonical order (86 have seven). InvalidInput where there are fewer.
    """
    wanted = Counter(operations[i * len(operations) // count] for i in range(count))
    chosen: list[Dag] = []
    for number, share in wanted.items():
        known = [dag for dag in enumerate_dags(VERTICES) if dag.operations == number]
        if len(known) < share:
            raise InvalidInput(
                f"{share} graphs on {VERTICES} vertices with {number} operations are asked for, "
                f"but there are {len(known)}. Lower --graphs or choose --operations from 5 to 10."
            )
        # the middles of equal parts
        chosen += [known[int((i + 0.5) * len(known) / share)] for i in range(share)]
    return tuple(chosen)


CELLS: dict[str, Cells] = {
    "graphs": Cells(graphs),
    "nasbench-macro": Cells(
        lambda count, operations: BLOCKS, depth=DEPTH, in_table=True, blocks=True
    ),
}
"""By `--cells`."""
