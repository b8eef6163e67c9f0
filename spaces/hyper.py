"""Hyper-architectures: a chain of rows, each with several candidate cells (FaDE 2.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from spaces.candidates import Candidate
from spaces.dag import Dag
from spaces.errors import InvalidInput


@dataclass(frozen=True)
class HyperArchitecture:
    """A d x w matrix of cells: one candidate per row makes one of the w^d architectures it holds
    (FaDE 2.2).

    A candidate may stand in several places of its row: it is built once (`distinct`) and its weight
    is credited to each of its `places`. InvalidInput for a depth or window of zero, rows of
    different length, an entry that is no `Candidate`.
    """

    rows: tuple[tuple[Candidate, ...], ...]
    """Shape [d][w]."""

    def __post_init__(self) -> None:
        rows = tuple(tuple(row) for row in self.rows)
        widths = [len(row) for row in rows]
        if not rows or 0 in widths:
            rule = "A hyper-architecture needs a depth and a window of at least 1"
            got = f"depth {len(rows)} and windows {widths}"
            raise InvalidInput(f"{rule}, but got {got}. Give every row at least one candidate.")
        if len(set(widths)) > 1:
            rule = "All rows must hold equally many candidates"
            raise InvalidInput(f"{rule}, but got windows {widths}. Fill the shorter rows up.")
        if strangers := [cell for row in rows for cell in row if not isinstance(cell, Candidate)]:
            rule = "Every candidate must be a cell such as a Dag"
            raise InvalidInput(f"{rule}, but got {strangers[0]!r}. Build it by `Dag.from_code`.")
        object.__setattr__(self, "rows", rows)

    @property
    def depth(self) -> int:
        """Number of rows d."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Window w, the number of candidates per row, duplicates counted."""
        return len(self.rows[0])

    @property
    def size(self) -> int:
        """Number of architectures w^d, duplicates counted."""
        return int(self.width**self.depth)

    @property
    def is_architecture(self) -> bool:
        """Whether the window is 1, so that nothing is left to choose."""
        return self.width == 1

    def distinct(self) -> tuple[tuple[Candidate, ...], ...]:
        """Per row its different candidates, in order of appearance; rows may differ in length."""
        return tuple(tuple(dict.fromkeys(row)) for row in self.rows)

    def graphs(self) -> tuple[tuple[Dag, ...], ...]:
        """The rows of `distinct()`, where all cells are graphs; InvalidInput where one is not."""
        rows = self.distinct()
        graphs = tuple(tuple(cell for cell in row if isinstance(cell, Dag)) for row in rows)
        if graphs != rows:
            rule = "The cells of a chain of graphs must be Dags"
            raise InvalidInput(f"{rule}, but got {self.code()!r}.")
        return graphs

    def places(self) -> tuple[tuple[int, ...], ...]:
        """Shape [d][w]: the index of each place's candidate in its row of `distinct()`."""
        return tuple(
            tuple(candidates.index(cell) for cell in row)
            for row, candidates in zip(self.rows, self.distinct(), strict=True)
        )

    def architecture(self, choice: Sequence[int]) -> "HyperArchitecture":
        """That of one candidate per row: `choice` [d] are indices into the rows of `distinct()`.
        InvalidInput for another length, or an index outside of its row.
        """
        rows = self.distinct()
        counts = [len(row) for row in rows]
        within = all(0 <= k < n for k, n in zip(choice, counts, strict=False))
        if len(choice) != self.depth or not within:
            raise InvalidInput(
                f"A choice takes one index per row, below {counts}, but got {list(choice)}. "
                "Count the row's distinct candidates from 0."
            )
        return HyperArchitecture(tuple((row[k],) for row, k in zip(rows, choice, strict=True)))

    def code(self) -> str:
        """As text: codes of the cells, candidates separated by ",", rows by "/"."""
        return "/".join(",".join(cell.code for cell in row) for row in self.rows)

    @classmethod
    def from_code(cls, code: str) -> "HyperArchitecture":
        """The inverse of `code`. InvalidInput for a malformed code, or rows of different length."""
        rows = [row.split(",") for row in code.split("/")]
        return cls(tuple(tuple(map(Candidate.from_code, row)) for row in rows))
