"""What may stand in a row of a hyper-architecture."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from spaces.errors import InvalidInput


class Candidate(ABC):
    """A cell: hashable, equal where it computes the same by construction, and known by its code.

    Its code is "kind.rest" without "," "/" or "|". A kind registers itself by its class:
    `class Block(Candidate, kind="block")`. The kind "" is that of graphs, whose codes begin with
    their number of vertices.
    """

    kinds: ClassVar[dict[str, type["Candidate"]]] = {}
    size_name: ClassVar[str]
    """What `size` is: ends the sentence "architectures ordered by ..."."""

    def __init_subclass__(cls, kind: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if kind is not None:
            Candidate.kinds[kind] = cls

    @property
    @abstractmethod
    def code(self) -> str:
        """The cell as text."""

    @classmethod
    def from_code(cls, code: str) -> "Candidate":
        """The cell with this `code`, of whatever kind. InvalidInput for a malformed one."""
        return cls.kinds.get(code.partition(".")[0], cls.kinds[""]).from_code(code)

    @abstractmethod
    def edits(self) -> Mapping[str, tuple["Candidate", ...]]:
        """The other cells one edit away, by the kind of the edit; kinds may be empty."""

    @property
    def size(self) -> float:
        """How large the cell is, untrained; of architectures the rows are added up. InvalidInput
        for a kind of cell without a size.
        """
        raise InvalidInput(
            f"Cells must have a size to be put into order, but {type(self).__name__} has none. "
            "Give it a `size` and a `size_name`, or choose another searcher."
        )
