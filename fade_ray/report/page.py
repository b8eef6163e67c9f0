"""`report.html`: one self-contained page of any kind of run, a list of sections made of blocks.

A kind says what its page holds; this module draws, saves, inlines and writes it.
"""

import html
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

import matplotlib.figure
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fade_ray.records.atomic import writable, write_atomically
from fade_ray.report.style import Picture, as_svg, dark_colours, house_style, inline, save

Row = tuple[str, ...]
T = TypeVar("T")
P = ParamSpec("P")
Parts = tuple[tuple[float, float, float, float], ...]
Drawing = (
    tuple[matplotlib.figure.Figure, str, str] | tuple[matplotlib.figure.Figure, str, str, Parts]
)
"""A figure, its alternative text and its caption; its parts, where it has any."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, and what it says of an item."""

    head: str
    of: Callable[[Any], str]
    number: bool = False


Numbers = partial(Column, number=True)
"""A column whose cells stand to the right."""


@dataclass(frozen=True)
class Table:
    """Rows of text under the heads of `columns`; without rows the page says `missing`, if anything.

    `folded`: behind its title. `note`: below. `label`: its name where it cannot be seen.
    """

    macro: ClassVar[str] = "table"
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""
    missing: str = ""
    label: str = ""
    look: str = ""
    folded: bool = False

    @classmethod
    def of(cls, title: str, columns: Sequence[Column], items: Iterable[T], **more: Any) -> "Table":
        """A row per item."""
        rows = [tuple(column.of(item) for column in columns) for item in items]
        return cls(title, columns, rows, **more)


@dataclass(frozen=True)
class Figure:
    """A picture in its frame, drawn as the page is written, or what is said where there is none."""

    macro: ClassVar[str] = "figure"
    name: str
    title: str
    draw: Callable[[], Picture | None]
    missing: str = ""


def figure(picture: Picture) -> Figure:
    """Of a picture that is drawn already."""
    return Figure(picture.name, picture.title, lambda: picture)


def figured(
    name: str, title: str, missing: str
) -> Callable[[Callable[P, Drawing | None]], Callable[P, Figure]]:
    """Makes a function that draws, or None where there is nothing to show, one that gives a
    `Figure`. `title` may name its arguments: "{score.name} over the search".
    """

    def of(draw: Callable[P, Drawing | None]) -> Callable[P, Figure]:
        def framed(*args: P.args, **kwargs: P.kwargs) -> Figure:
            given = signature(draw).bind(*args, **kwargs)
            given.apply_defaults()
            words = title.format(**given.arguments)

            def picture() -> Picture | None:
                drawing = draw(*args, **kwargs)
                return None if drawing is None else Picture(name, words, *drawing)

            return Figure(name, words, picture, missing)

        return wraps(draw)(framed)

    return of


@dataclass(frozen=True)
class Words:
    """A paragraph, with a piece of `code` at its end."""

    macro: ClassVar[str] = "words"
    text: str
    look: str = "note"
    code: str = ""


@dataclass(frozen=True)
class Warnings:
    """(message, what it is about)."""

    macro: ClassVar[str] = "warnings"
    rows: Sequence[Row]


@dataclass(frozen=True)
class Headline:
    """(label, value, remark) of the figures that matter, the most important first."""

    macro: ClassVar[str] = "headline"
    rows: Sequence[Row]
    missing: str = ""


@dataclass(frozen=True)
class Verdict:
    """What was shown, in one sentence and in several."""

    macro: ClassVar[str] = "verdict"
    first: str
    sentences: Sequence[str] = ()


@dataclass(frozen=True)
class Origin:
    """How a run was made: command, configuration, versions and machine."""

    macro: ClassVar[str] = "origin"
    command: str | None
    configuration: Table
    environment: Table

    @classmethod
    def of(
        cls, command: str | None, config: Mapping[str, Any], environment: Mapping[str, Any]
    ) -> "Origin":
        apart = ("command", "data")
        about = {name: value for name, value in environment.items() if name not in apart}
        parts = (
            ("Configuration", "setting", "configuration", "config", config),
            ("Versions and machine", "what", "versions", "environment", about),
        )
        tables = []
        for title, head, label, file, data in parts:
            columns = (Column(head, lambda leaf: leaf[0]), Column("value", lambda leaf: leaf[1]))
            missing = f"No {file}.json in this directory."
            tables.append(Table.of(title, columns, _leaves(data), label=label, missing=missing))
        return cls(command, *tables)


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The dotted names of the leaves of a nested mapping, and what they hold."""
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item if isinstance(item, str) else json.dumps(item)


Block = Figure | Table | Words | Warnings | Headline | Verdict | Origin


@dataclass(frozen=True)
class Section:
    """Blocks under a title; without one they follow what stands before."""

    title: str
    blocks: Sequence[Block]
    id: str = ""


@dataclass(frozen=True)
class State:
    """How far a run came: a word, a sentence, and the command that goes on with it, if any."""

    word: str
    sentence: str
    continuation: str | None = None


@dataclass(frozen=True)
class Page:
    """What a page says. Its figures are drawn section by section, so that few are held at once."""

    title: str
    name: str
    state: State
    sections: Iterable[Section] = field(repr=False)


def write_page(page: Page, folder: Path) -> Path:
    """Write `figures/*.svg`, `figures/*.png` and `report.html` into `folder`; the page's path.

    Raises InvalidInput if they cannot be written.
    """
    path = folder / "report.html"
    with writable(f"The report in {folder}", " and write the report again."):
        text = page_text(page, partial(save, folder=folder / "figures"))
        return write_atomically(path, text.encode(errors="replace"))


def page_text(page: Page, svg_of: Callable[[Picture], str] = as_svg, live: bool = False) -> str:
    """The page as HTML, each picture as what `svg_of` makes of it; `live`: one that asks the server
    it came from for its next state.
    """
    with house_style():
        sections = [
            (section, [(block, _drawn(block, svg_of)) for block in section.blocks])
            for section in page.sections
        ]
    loader = PackageLoader("fade_ray.report", ".")
    template = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("page.html.j2")
    images = any("data:image" in (drawing or "") for _, part in sections for _, drawing in part)
    about = {"images": images, "dark": Markup(dark_colours()), "live": live}
    return template.render(page=page, sections=sections, **about)


def _drawn(block: Block, svg_of: Callable[[Picture], str]) -> Markup | None:
    """A figure's drawing and caption as they stand on the page; None without."""
    picture = block.draw() if isinstance(block, Figure) else None
    if picture is None:
        return None
    svg = inline(svg_of(picture), picture)
    caption = html.escape(picture.caption)
    return Markup(f'<div class="drawing">{svg}</div><figcaption>{caption}</figcaption>')
