"""What may stand in a row of a hyper-architecture."""

from abc import ABC, abstractmethod
from collections.abc import Mapping


class Candidate(ABC):
    """A cell: hashable, equal where it computes the same by construction, and known by its code.

    Its code is "kind.rest" without "," "/" or "|"; a `Dag`'s kind is its number of vertices.
    """

    @property
    @abstractmethod
    def code(self) -> str:
        """The cell as text; `spaces.hyper.candidate` reads it back."""

    @abstractmethod
    def edits(self) -> Mapping[str, tuple["Candidate", ...]]:
        """The different cells one edit away, by the kind of the edit; none of them is this cell.
        Kinds may be empty.
        """
