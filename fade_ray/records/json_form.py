"""Configurations as JSON and back, and where two of them differ.

Frozen dataclasses become objects by their fields, members of a `Choice` objects with their "name".
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from spaces.cell import Macro
from spaces.choices import Choice
from spaces.errors import InvalidInput
from spaces.hyper import HyperArchitecture

T = TypeVar("T")


def as_json(value: Any) -> Any:
    """`value`, made of dataclasses, choices, numbers and text, as JSON has it: lists for tuples."""
    return _CONVERTER.unstructure(value)


def from_json(cls: type[T], values: Any) -> T:
    """The inverse of `as_json`. Raises InvalidInput for names that `cls` does not have and for
    values of another type; what the dataclass itself checks is raised as it is.
    """
    return _structured(_CONVERTER, cls, values)


def check_form(form: type[Any], values: Any) -> None:
    """InvalidInput where `values` are not of this form, such as a TypedDict: what it does not name
    may be there, too, and be anything.
    """
    _structured(_LENIENT, form, values)


def _structured(converter: cattrs.Converter, cls: type[T], values: Any) -> T:
    try:
        return converter.structure(values, cls)
    except cattrs.BaseValidationError as error:
        for inner in _leaves(error):
            if isinstance(inner, InvalidInput):
                raise inner from error
        reasons = "; ".join(cattrs.transform_error(error, path=cls.__name__))
        raise InvalidInput(f"What is stored must fit this version, but {reasons}.") from error
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # cattrs' own
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"What is stored must fit this version, but {error!r}.") from error


MAY_CHANGE = ("run", "workers", "out", "name")
"""The parts of a configuration that say how a run is carried out, not what it finds."""


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Where two configurations in their JSON form describe another run: "part.name: theirs ->
    ours", the parts that may change left out.
    """
    parts = sorted({*ours, *theirs} - {*MAY_CHANGE})
    return [line for part in parts for line in _differences(part, ours.get(part), theirs.get(part))]


def _differences(name: str, ours: Any, theirs: Any) -> list[str]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        keys = sorted(set(ours) | set(theirs))
        pairs = ((f"{name}.{key}", ours.get(key), theirs.get(key)) for key in keys)
        return [line for pair in pairs for line in _differences(*pair)]
    return [] if ours == theirs else [f"{name}: {theirs!r} -> {ours!r}"]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _is_choice(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Choice)


def _structured_choice(cls: type[Any]) -> Callable[[Any, Any], Any]:
    def structured(values: Any, _: Any) -> Any:
        member = cls.member(values["name"])
        rest = {key: value for key, value in values.items() if key != "name"}
        return make_dict_structure_fn(member, _CONVERTER)(rest, member)

    return structured


def _unstructured_choice(cls: type[Any]) -> Callable[[Any], Any]:
    def unstructured(value: Any) -> Any:
        fields = make_dict_unstructure_fn(type(value), _CONVERTER)(value)
        return {"name": value.name, **fields}

    return unstructured


MOST = 2**63
"""Of whole numbers in records, which count multiply-adds, too."""


def _strict(what: str, fits: Callable[[Any], bool], cls: type[Any]) -> Callable[[Any, Any], Any]:
    """Instead of what cattrs does: it takes 0.5 for 0, and everything for text."""

    def structured(value: Any, _: Any) -> Any:
        if not fits(value):
            raise ValueError(f"{value!r} is no {what}")
        return cls(value)

    return structured


def _number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) < math.inf


def _whole(value: Any) -> bool:
    return _number(value) and value == int(value) and abs(value) < MOST


_CONVERTER = cattrs.Converter(
    forbid_extra_keys=True,
    unstruct_collection_overrides={tuple: list},
    prefer_attrib_converters=True,
)
_CONVERTER.register_unstructure_hook_factory(_is_choice, _unstructured_choice)
_CONVERTER.register_structure_hook_factory(_is_choice, _structured_choice)
_CONVERTER.register_unstructure_hook(Path, str)
for _what, _fits, _cls in (
    ("whole number", _whole, int),
    ("number", _number, float),
    ("yes or no", lambda value: isinstance(value, bool), bool),
    ("text", lambda value: isinstance(value, str), str),
):
    _CONVERTER.register_structure_hook(_cls, _strict(_what, _fits, _cls))
_CONVERTER.register_unstructure_hook(Macro, Macro.to_dict)
_CONVERTER.register_structure_hook(Macro, lambda values, _: Macro.from_dict(values))
_CONVERTER.register_unstructure_hook(HyperArchitecture, HyperArchitecture.code)
_CONVERTER.register_structure_hook(
    HyperArchitecture, lambda code, _: HyperArchitecture.from_code(code)
)
_LENIENT = _CONVERTER.copy(forbid_extra_keys=False)
