"""Values that are one of several by name: tagged unions of frozen dataclasses that users add to."""

import sys
from pathlib import Path
from typing import Any, ClassVar

from spaces.errors import InvalidInput, require_known


class Choice:
    """Base of tagged unions. A union is a direct subclass, its members are subclasses of it:

        class Optimiser(Choice): ...

        @dataclass(frozen=True)
        class Adam(Optimiser, name="adam"):
            learning_rate: float = 1e-3

    A member is known by its name from then on, in files, on the command line and to every kind of
    run: `Optimiser.table["adam"]`. Its fields are its options, its docstrings their help.
    """

    table: ClassVar[dict[str, type[Any]]]
    """The members of the union by name."""
    name: ClassVar[str]
    defined: ClassVar[tuple[str, str]]
    """A member's own name and file, as they were then: its module may be gone."""

    def __init_subclass__(cls, name: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if Choice in cls.__bases__:
            cls.table = {}
        elif name is not None:
            known, cls.defined = cls.table.get(name), _definition(cls)
            # a file of a user's that is read again defines the same class again
            if known is not None and not _alike(known.defined, cls.defined):
                both = " and ".join(" of ".join(each.defined) for each in (known, cls))
                raise InvalidInput(
                    f"Names must differ, but {both} are both called {name!r}. Rename one."
                )
            cls.name, cls.table[name] = name, cls

    @classmethod
    def member(cls, name: str) -> type[Any]:
        """The member called `name`. Raises InvalidInput with the nearest one."""
        require_known(f"`{cls.__name__}`", name, cls.table)
        return cls.table[name]


def _alike(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether they are one definition: in one file, or in a copy of it."""
    if one == other:
        return True
    files = [Path(file) for _, file in (one, other)]
    copies = all(file.is_file() for file in files) and len({f.read_bytes() for f in files}) == 1
    return one[0] == other[0] and copies


def _definition(cls: type[Any]) -> tuple[str, str]:
    place = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return cls.__qualname__, str(place or cls.__module__)
