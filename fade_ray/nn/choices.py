"""A space of a user's own: rows of modules to choose from."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from torch import nn

from fade_ray.nn.chain import NetworkConfig
from fade_ray.nn.costs import Map
from fade_ray.nn.layout import RowLayout, chain_layout
from fade_ray.nn.measured import Asked, Factory, Measured, fitting, measured
from spaces.errors import InvalidInput, require
from spaces.feature_space import RowSpaces
from spaces.module_cell import ModuleCell, row_space

Row = Mapping[str, Factory]
T = TypeVar("T")
AXES = ("parameters", "multiply_adds", "depth")
"""Features of a candidate at its place: see `Measured`."""


@dataclass(frozen=True, eq=False)
class Choices:
    """Rows of modules to choose from; made by `choices`."""

    rows: tuple[Row, ...]
    """[row]: name -> factory."""
    stem: Factory | None
    head: Factory | None
    features: Mapping[str, Mapping[str, float]]
    """Axis -> name -> number; none: those of AXES."""
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    file: str | None
    """Where it was made; None where there is no file, as in a notebook."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(self.features) or AXES

    def layouts(self, config: NetworkConfig, image: Map) -> tuple[RowLayout, ...]:
        """Of the rows, behind the stem. InvalidInput as `chain_layout`."""
        rows = self._layouts(config, image)
        if self.stem is None:
            return rows
        side = self.measured_stem(image, rows[0].channels).shape[-1]
        rows = self._layouts(config, Map(image.channels, side))
        return (replace(rows[0], channels_in=rows[0].channels), *rows[1:])

    def _layouts(self, config: NetworkConfig, before: Map) -> tuple[RowLayout, ...]:
        asked = len(self.rows), before.channels, config.final_channels
        return chain_layout(before.side, *asked, self.strides or config.strides, self.channels)

    def asked(self, row: int, name: str, place: RowLayout) -> Asked:
        """A candidate of a row, from 0, at its place. InvalidInput where the row holds no such."""
        what, known = f"Candidate {name!r} of row {row + 1}", self.rows[row]
        if name not in known:
            raise InvalidInput(f"{what} must be one of {', '.join(known)}: it is of another space.")
        return Asked(what, known[name], (place.channels_in, place.channels, place.stride))

    def measured(self, row: int, name: str, place: RowLayout) -> Measured:
        """The same, run once. InvalidInput where it does not fit its place."""
        before, out = Map(place.channels_in, place.side), place.out
        return fitting(self.asked(row, name, place), before, (out.channels, out.side, out.side))

    def asked_stem(self, image: Map, channels: int) -> Asked:
        """Only of a space that has one."""
        assert self.stem is not None
        return Asked("The stem", self.stem, (image.channels, channels))

    def measured_stem(self, image: Map, channels: int) -> Measured:
        """InvalidInput unless it gives square maps of so many channels."""
        asked = self.asked_stem(image, channels)
        side = measured(asked, image).shape[-1]
        return fitting(asked, image, (channels, side, side))

    def asked_head(self, before: Map, classes: int) -> Asked:
        """Only of a space that has one."""
        assert self.head is not None
        return Asked("The head", self.head, (before.channels, classes))

    def space(self, config: NetworkConfig, images: Map | None, bins: int) -> RowSpaces:
        """For searchers; without the size of the images, which measuring takes, the candidates
        stand in the order in which they are listed. InvalidInput for modules that do not fit, and
        where no feature tells any of a row apart.
        """
        if images is None:
            places = [{name: float(i) for i, name in enumerate(row)} for row in self.rows]
            spaces = (row_space([*row], dict.fromkeys(self.axes, row), {}, bins) for row in places)
            return RowSpaces(tuple(spaces))
        rows = []
        for number, place in enumerate(self.layouts(config, images)):
            sizes = {name: self.measured(number, name, place) for name in self.rows[number]}
            values = {axis: self._values(axis, sizes) for axis in self.axes}
            weights = {name: float(size.parameters) for name, size in sizes.items()}
            rows.append(row_space(tuple(sizes), values, weights, bins))
        apart = any(len(row.boxes) > 1 for row in rows)
        rule, remedy = "a feature tells candidates of a row apart", "Give `features` of your own."
        require(apart, rule, remedy, features=self.axes)
        return RowSpaces(tuple(rows))

    def _values(self, axis: str, sizes: Mapping[str, Measured]) -> dict[str, float]:
        if self.features:
            return {name: self.features[axis][name] for name in sizes}
        return {name: float(getattr(size, axis)) for name, size in sizes.items()}

    def check(self, config: NetworkConfig, image: Map, classes: int, dense: bool = False) -> None:
        """InvalidInput, naming row and candidate, for what one pass through each module finds."""
        places = self.layouts(config, image)
        sizes = [
            self.measured(number, name, place)
            for number, place in enumerate(places)
            for name in self.rows[number]
        ]
        weights, remedy = sum(size.parameters for size in sizes), "There is nothing to train."
        require(weights > 0, "a candidate has a parameter", remedy, parameters=weights)
        if self.head is not None:
            last = places[-1].out
            asked = self.asked_head(last, classes)
            sides = (measured(asked, last).shape[-1],) * 2 if dense else ()
            fitting(asked, last, (classes, *sides))


def choices(
    *,
    rows: Sequence[Sequence[Factory] | Row],
    stem: Factory | None = None,
    head: Factory | None = None,
    features: Mapping[str, Mapping[str, float]] | None = None,
    channels: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Choices:
    """A space of modules of your own: a chain of `rows`, in each of which one candidate is chosen.

    A candidate is called as `candidate(channels_in, channels_out, stride)` and gives a module from
    maps [batch, channels_in, side, side] to [batch, channels_out, ceil(side / stride), ...]: a
    class, a function, or a `functools.partial` of one with its own keyword arguments. It goes by
    its name (of a `partial` with the arguments behind it), or by the key where a row is a
    dictionary.

    stem : called as `stem(channels_in, channels_out)`, from the images to square maps; without one
        the first row reads the images.
    head : called as `head(channels_in, classes)`, from the last maps to scores [batch, classes];
        without one their mean and a linear map. Where each pixel has its scores, to square maps
        [batch, classes, ...], which are scaled up to the images; without one a 1x1 convolution.
    features : what a search walks along, as feature -> name -> number; by default the parameters,
        multiply-adds and depth of each candidate at its place. Their order in a row counts, not
        their scale.
    channels, strides : of each row; by default those of the network's configuration
        (`--final-channels`, `--strides`), as for chains of graphs.

    Raises InvalidInput for what is wrong with them; whether shapes meet is told before a run
    starts.
    """
    named = tuple(_named(number, row) for number, row in enumerate(rows, start=1))
    widest = max(map(len, named), default=0)
    remedy = "Give a row two candidates or more."
    require(widest > 1, "there is something to choose", remedy, candidates=[*map(len, named)])
    for name, given in (("channels", channels), ("strides", strides)):
        fits = len(given) in (0, len(named)) and min(given, default=1) >= 1
        remedy = f"There are {len(named)} rows."
        require(fits, f"{name} are one number >= 1 for each row", remedy, **{name: given})
    for what, factory in (("The stem", stem), ("The head", head)):
        if factory is not None:
            check_factory(what, factory)
    known = {name for row in named for name in row}
    for axis, values in (features or {}).items():
        odd = sorted(known - {n for n, value in values.items() if math.isfinite(value)})
        remedy = "Give it a number for each candidate."
        require(not odd, "features are numbers by name", remedy, feature=axis, without=odd)
    made_in = sys._getframe(1).f_globals.get("__file__")
    return Choices(named, stem, head, features or {}, tuple(channels), tuple(strides), made_in)


def _named(number: int, row: Sequence[Factory] | Row) -> Row:
    """The candidates of a row, from 1, by name. InvalidInput."""
    pairs = [*row.items()] if isinstance(row, Mapping) else [(name_of(each), each) for each in row]
    require(len(pairs) > 0, "a row has candidates", "Leave it out.", row=number)
    for name, factory in pairs:
        ModuleCell(name)
        check_factory(f"Candidate {name!r} of row {number}", factory)
    remedy = "Give the row as a dictionary of names to modules."
    return by_name(pairs, f"names in row {number} differ", remedy)


def by_name(pairs: Sequence[tuple[str, T]], rule: str, remedy: str) -> dict[str, T]:
    """InvalidInput where a name stands twice."""
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, rule, remedy, repeated=twice)
    return dict(pairs)


def check_factory(what: str, factory: object) -> None:
    if not callable(factory) or isinstance(factory, nn.Module):
        raise InvalidInput(
            f"{what} must be called to make a module, but is {factory!r}. Give its class, or a "
            "function that makes it."
        )


def name_of(factory: Factory) -> str:
    """ "MBConv-expansion6" of `partial(MBConv, expansion=6)`."""
    given = ""
    while isinstance(factory, partial):
        named = [f"{name}{value}" for name, value in factory.keywords.items()]
        given = "".join(f"-{each}" for each in [*factory.args, *named]) + given
        factory = factory.func
    name = getattr(factory, "__name__", type(factory).__name__)
    return re.sub(r"[^A-Za-z0-9_+=-]+", "_", name + given)
