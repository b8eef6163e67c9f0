"""The configuration that a command line asks for, of any kind of run.

Two readings: the first one takes what decides what there is to say (`--recipe`, `--out`, `--use`, a
member of each choice, such as `--searcher evolution`), the second one everything, over the
configuration that those give.
"""

import inspect
import textwrap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from fade_ray.records.additions import joined, load_additions
from fade_ray.run.flags import read_flags
from fade_ray.run.inputs import SPACE, with_value
from fade_ray.run.kind import Asked, RunKind
from spaces.choices import Choice
from spaces.errors import InvalidInput, require_known

ALL = "--help-all"
HELP = {"-h", "--help", ALL}


@dataclass(frozen=True)
class ChoiceField:
    """A field of a configuration that is one of several by name. `path`: the fields to it."""

    path: tuple[str, ...]
    union: type[Choice]

    @property
    def name(self) -> str:
        return self.path[-1]

    def chosen(self, config: Any, name: str | None) -> Any:
        """`config` with the member of that name, as it is where it has it already."""
        if name is None:
            return config
        require_known(f"`--{self.name.replace('_', '-')}`", name, self.union.table)
        member, present = self.union.table[name], _at(config, self.path)
        return config if type(present) is member else with_value(config, self.path, member())


def choice_fields(config: type[Any], path: tuple[str, ...] = ()) -> list[ChoiceField]:
    """All fields of a configuration, of its parts too, whose type is a union of choices."""
    hints, found = get_type_hints(config), list[ChoiceField]()
    for field in fields(config):
        hint, here = hints[field.name], (*path, field.name)
        if isinstance(hint, type) and Choice in hint.__bases__:
            found.append(ChoiceField(here, hint))
        elif is_dataclass(hint) and isinstance(hint, type):
            found += choice_fields(hint, here)
    return found


def parse(kind: RunKind[Any, Any], arguments: Sequence[str]) -> Any:
    """The configuration that `arguments` (behind the command's name) ask for; None where they asked
    for something in place of a run, which is done. Raises InvalidInput, and SystemExit as tyro
    does, with a message for the user.
    """
    source, rest = None, list(arguments)
    if kind.source is not None and rest and not rest[0].startswith("-"):
        source, *rest = rest
    if rest and not rest[0].startswith("-"):
        raise InvalidInput(
            f"`fade-ray {kind.name}` takes flags{f' behind {kind.source}' if kind.source else ''}, "
            f"but got {rest[0]!r}. `fade-ray {kind.name} --help` lists them."
        )
    choices, shared = choice_fields(kind.config), _shared(kind)
    first_reading = make_dataclass(
        "First",
        [
            *shared,
            ("options", kind.options, kind.options()),
            *((name, str | None, None) for name in ("out", *_spaces(kind.config))),
        ],
    )
    first, _ = read_flags(
        Annotated[first_reading, tyro.conf.OmitArgPrefixes],
        args=rest,
        return_unknown_args=True,
        add_help=False,
    )
    use = tuple(str(Path(path).expanduser().resolve()) for path in first.use)
    # the file of a space may hold an objective; one that is not there is told where it is needed
    space = Path(getattr(first, "space", None) or "").expanduser()
    load_additions([*use, *([str(space)] if space.is_file() else [])])
    recipe = getattr(first, "recipe", None)
    asked = Asked(source, recipe, first.out, first.options, rest)
    if HELP & set(rest) and source is None:
        base = kind.default()
    elif kind.instead(asked):
        return None
    else:
        base = kind.base(asked)
    if base is not None:
        use = joined(base.use, use)
        base = replace(base, use=use)
        for choice in choices:
            base = choice.chosen(base, getattr(first, choice.name))
    whole, words = base, ["-h" if word == ALL else word for word in rest]
    if HELP & set(rest) and ALL not in rest and base is not None:
        common = kind.common | {field.name for field in fields(base)}
        chosen = {choice.path for choice in choices if getattr(first, choice.name) is not None}
        base = _brief(base, common, chosen)
    try:
        config = _second_reading(kind, shared, base, words)
    except SystemExit:
        if base is not whole:
            print(_further(kind.name, whole, common))
        raise
    return replace(config, use=joined(config.use, use))


def _spaces(config: type[Any]) -> tuple[str, ...]:
    """The flag of the file of a space, of a kind of run that has one."""
    part, field = SPACE.split(".")
    held = get_type_hints(config).get(part)
    return (field,) if is_dataclass(held) and field in get_type_hints(held) else ()


def _second_reading(
    kind: RunKind[Any, Any], shared: list[Any], base: Any, arguments: Sequence[str]
) -> Any:
    """The configuration by all flags over `base`."""
    whole = make_dataclass(
        "Whole",
        [
            ("config", Annotated[kind.config, tyro.conf.arg(name="")]),
            ("options", Annotated[kind.options, tyro.conf.arg(name="")], kind.options()),
            *shared,
        ],
    )
    before = "" if kind.source is None else f" {kind.source}"
    choices = choice_fields(kind.config)
    read = read_flags(
        Annotated[whole, tyro.conf.OmitArgPrefixes],
        args=arguments,
        **({} if base is None else {"default": whole(_flags_apart(base, choices))}),
        prog=f"fade-ray {kind.name}{before}",
        description=f"{kind.example}\n\n{inspect.getdoc(kind)}",
    ).config
    for choice in choices:
        made = _at(read, choice.path)
        if isinstance(made, _Apart):
            read = with_value(read, choice.path, type(made).__mro__[2](**vars(made)))
    return read


class _Apart:
    """Marks a member of a choice whose flags were told apart."""


def _flags_apart(config: Any, choices: Sequence[ChoiceField]) -> Any:
    """`config`, in which options of a choice deep inside that are called as another option are
    flags with the choice's name before theirs: `--optimiser-momentum` beside a walk's `--momentum`.
    """
    for choice in sorted(choices, key=lambda c: -len(c.path)):
        value, names = _at(config, choice.path), Counter(_option_names(config))
        twice = [field.name for field in fields(value) if names[field.name] > 1]
        if twice:
            flags = {n: tyro.conf.arg(name=f"{choice.name}-{n.replace('_', '-')}") for n in twice}
            config = with_value(config, choice.path, _marked(value, flags, _Apart))
    return config


def _brief(config: Any, common: frozenset[str], chosen: Collection[tuple[str, ...]]) -> Any:
    """`config`, whose options that are not `common` are not listed, but for those of members that
    were `chosen` by their paths.
    """
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    parts = {name: value for name, value in values.items() if is_dataclass(value)}
    hidden = dict.fromkeys(values.keys() - parts.keys() - common, tyro.conf.Suppress)
    brief = _marked(config, hidden)
    for name, value in parts.items():
        if (name,) not in chosen:
            within = [path[1:] for path in chosen if path[0] == name]
            brief = with_value(brief, (name,), _brief(value, common, within))
    return brief


def _further(kind: str, config: Any, common: frozenset[str]) -> str:
    """The flags that are left out of the help, by name."""
    names = dict.fromkeys(name for name in _option_names(config) if name not in common)
    flags = " ".join(f"--{name.replace('_', '-')}" for name in names)
    text = f"Further options, of which `fade-ray {kind} {ALL}` tells: {flags}"
    return textwrap.fill(text, 80, break_on_hyphens=False) if names else ""


def _marked(value: Any, marks: Mapping[str, Any], *mixins: type[Any]) -> Any:
    """`value` as one of a class of its own, whose fields bear these `marks` for tyro."""
    given, hints = type(value), get_type_hints(type(value))
    annotations = {name: Annotated[hints[name], mark] for name, mark in marks.items()}
    body = {"__annotations__": annotations, "__doc__": given.__doc__}
    made: Any = dataclass(frozen=True)(type(given.__name__, (*mixins, given), body))
    return made(**vars(value))


def _option_names(config: Any) -> Iterator[str]:
    """The names of all options of a configuration and its parts that are flags as they are."""
    apart = vars(type(config))["__annotations__"] if isinstance(config, _Apart) else {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from _option_names(value)
        elif field.name not in apart:
            yield field.name


def _at(config: Any, path: Sequence[str]) -> Any:
    return reduce(getattr, path, config)


def _shared(kind: RunKind[Any, Any]) -> list[Any]:
    """The options that decide what the others are, as fields of a dataclass."""
    told = tyro.conf.arg
    names = ", ".join(kind.recipes)
    recipe = Annotated[
        str | None, told(help=f"Start from a named setting: {names}.", metavar="NAME")
    ]
    files = tyro.conf.UseAppendAction[tuple[str, ...]]
    text = "A Python file of your own, loaded first: what it adds is known by name."
    return [
        *([("recipe", recipe, None)] if kind.recipes else []),
        ("use", Annotated[files, told(help=text, metavar="FILE")], ()),
        *((choice.name, _choice_argument(choice), None) for choice in choice_fields(kind.config)),
    ]


def _choice_argument(choice: ChoiceField) -> Any:
    text = f"One of {', '.join(choice.union.table)}; its own options are listed below."
    return Annotated[str | None, tyro.conf.arg(help=text, metavar="NAME")]
