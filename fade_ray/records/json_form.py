"""Frozen dataclasses as JSON and back, and where two of them differ."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from spaces.errors import InvalidInput


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Where two `Config.to_dict()` describe another search: "part.name: theirs -> ours", the parts
    that may change left out.
    """
    found = []
    for part in sorted((set(ours) | set(theirs)) - {"run", "out", "name"}):
        a, b = ours.get(part), theirs.get(part)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            keys = sorted(k for k in set(a) | set(b) if a.get(k) != b.get(k))
            found += [f"{part}.{key}: {b.get(key)!r} -> {a.get(key)!r}" for key in keys]
        elif a != b:
            found.append(f"{part}: {b!r} -> {a!r}")
    return found


def plain(value: Any) -> Any:
    """`value` with lists for tuples, as JSON has them."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def build(cls: Any, values: Mapping[str, Any], where: str) -> Any:
    """The dataclass `cls` from the `values` of its `dataclasses.asdict`. Raises InvalidInput for
    names that it does not have.
    """
    known = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InvalidInput(
            f"The configuration knows no `{where}{unknown[0]}`. It knows {', '.join(sorted(known))}."
        )
    built = {
        key: build(known[key], value, f"{key}.")
        if dataclasses.is_dataclass(known[key])
        else tuple(value)
        if isinstance(value, list)
        else value
        for key, value in values.items()
    }
    return cls(**built)
