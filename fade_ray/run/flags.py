"""How flags are read: by tyro, in the words of this command line.

A flag that may be left out is shown as what it takes (`--limit INT`; "None" is still understood),
and a configuration that breaks a rule says so in its own words.
"""

from collections.abc import Callable
from dataclasses import replace
from types import NoneType
from typing import Any, get_args

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructTypeInfo,
)

from spaces.errors import LARGEST, InvalidInput, countable, require

_registry = ConstructorRegistry()
_cli: Any = tyro.cli  # of classes that are made on the way too, which have no static type


class _BrokenRule(Exception):
    """An InvalidInput, which tyro would put into words of its own as it does with ValueErrors."""


def read_flags(options: Any, **how: Any) -> Any:
    """`tyro.cli(options, **how)`. Raises InvalidInput for a rule that is broken, SystemExit with a
    message for flags that are none.
    """
    try:
        return _cli(options, registry=_registry, **how)
    except _BrokenRule as error:
        raise InvalidInput(str(error)) from error


@_registry.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """`T | None` as T, with "None" beside it."""
    kinds = set(get_args(info.type)) - {NoneType}
    if len(kinds) != 1 or NoneType not in get_args(info.type):
        return None
    inner: Any = ConstructorRegistry.get_primitive_spec(
        PrimitiveTypeInfo.make(kinds.pop(), info.markers)
    )
    if not isinstance(inner, PrimitiveConstructorSpec) or inner.nargs != 1:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=inner.metavar,
        instance_from_str=lambda words: (
            None if words == ["None"] else inner.instance_from_str(words)
        ),
        is_instance=lambda value: value is None or inner.is_instance(value),
        str_from_instance=lambda value: (
            ["None"] if value is None else inner.str_from_instance(value)
        ),
    )


_nested: list[type] = []  # the classes whose own rule is being looked up


@_registry.struct_rule
def _in_its_own_words(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The usual rule, whose InvalidInput leaves tyro as it is."""
    if info.type in _nested:
        return None
    _nested.append(info.type)
    try:
        usual: Any = ConstructorRegistry.get_struct_spec(info)
    finally:
        _nested.pop()
    spec: StructConstructorSpec | None = usual  # or, for tyro to tell, what is wrong
    if isinstance(spec, StructConstructorSpec):
        return replace(spec, instantiate=_unworded(spec.instantiate))
    return spec


def _unworded(make: Callable[..., Any]) -> Callable[..., Any]:
    def made(*values: Any, **named: Any) -> Any:
        try:
            for name, value in named.items():
                parts = value if isinstance(value, tuple) else (value,)
                numbers = [part for part in parts if isinstance(part, int | float)]
                rule = f"numbers are finite, whole ones below {LARGEST}"
                require(all(map(countable, numbers)), rule, "Use a smaller one.", **{name: value})
            return make(*values, **named)
        except InvalidInput as error:
            raise _BrokenRule(str(error)) from error

    return made
