"""A network as Python text, written as `ruff format` would."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch import Tensor, nn

LINE = 100  # characters; longer statements are broken where `ruff format` breaks them
INDENT = 8  # of the statements in a method


@dataclass(frozen=True)
class Plain:
    """A network without choices as plain PyTorch.

    `values`: what `template` asks for beyond what every module tells. `live`: the modules that its
    output depends on, in the order in which the text makes theirs; the tensors of both are the same
    in number, order and shape. `description`: JSON-able, with "code". `weights`: the tensors by
    their names in the text, where these are known. `beside`: files that it reads, by name.
    """

    template: str
    values: Mapping[str, Any]
    live: Sequence[nn.Module]
    description: Mapping[str, Any]
    weights: Mapping[str, Tensor] | None = None
    beside: Mapping[str, str] = field(default_factory=dict)


def statement(target: str, terms: Sequence[str], relu: bool = False) -> list[str]:
    """`target = the sum of terms`, or its ReLU, as it stands in a method."""
    total = " + ".join(terms)
    begin, end = (f"{target} = F.relu(", ")") if relu else (f"{target} = ", "")
    if INDENT + len(begin + total + end) <= LINE:
        return [begin + total + end]
    fits = INDENT + 4 + len(total) <= LINE
    inner = [total] if fits else [terms[0], *(f"+ {term}" for term in terms[1:])]
    return [begin if relu else f"{begin}(", *(f"    {part}" for part in inner), ")"]


def list_lines(name: str, items: Sequence[str], indent: int = 0) -> list[str]:
    """`name = [items]`, to stand `indent` characters in, on one line where it fits."""
    line = f"{name} = [{', '.join(items)}]"
    if indent + len(line) <= LINE:
        return [line]
    return [f"{name} = [", *(f"    {item}," for item in items), "]"]


def wrapped(text: str, indent: int) -> list[str]:
    """Lines of `text`, to stand `indent` characters in; no word is broken."""
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, LINE - indent, **options)  # type: ignore[arg-type]


def literal(text: str) -> str:
    """`text` as a string literal, escaped and in quotes as `ruff format` has them."""
    escaped = repr(text + "\"'")[1:-4]  # both quotes in it: repr escapes the single ones
    escaped = "\\\\".join(part.replace("\\'", "'") for part in escaped.split("\\\\"))
    quote = '"' if escaped.count('"') <= escaped.count("'") else "'"
    return quote + escaped.replace(quote, "\\" + quote) + quote


@cache
def template(name: str) -> Any:
    """A template of this folder, for Python text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # Python, not HTML
    )
    return environment.get_template(name)
