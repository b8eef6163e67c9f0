"""The generator of hyper-architectures (FaDE 2.4): cells around points, within the limits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spaces.candidates import Candidate
from spaces.feature_space import RowSpaces, Space
from spaces.hyper import HyperArchitecture
from spaces.limits import Limits, Whole, front, undominated

Array = npt.NDArray[np.float64]
DRAWS = 16
"""That may break a limit, before what is drawn from is changed."""


def limited(space: Space, depth: int, limits: Limits) -> Space:
    """`space` with the cells alone that an architecture of `depth` rows within `limits` can hold;
    points and boxes are the same. InvalidInput where they leave nothing to choose.
    """
    if not limits:
        return space
    rows = [space.at(row) for row in range(depth)]
    left = limits.check([row.cells for row in rows])
    pairs = zip(rows, left, strict=True)
    # most boxes may be empty now
    few = (replace(row, cells=tuple(cells), sparse=True) for row, cells in pairs)
    return RowSpaces(tuple(few), limits)


def uniform_points(space: Space, depth: int, rng: np.random.Generator) -> Array:
    """A point per row, drawn uniformly from the feature space, [d, k]: from where their boxes hold
    an architecture within the limits, if that is not too rare.
    """
    rows = [space.at(row) for row in range(depth)]
    for _ in range(DRAWS):
        points = np.asarray([row.uniform_point(rng) for row in rows])
        limits = space.limits
        held = (row.members(point) for row, point in zip(rows, points, strict=True))
        if not limits or all(limits.leave([*held])):
            break
    return points


def generate(space: Space, points: Array, rng: np.random.Generator) -> HyperArchitecture:
    """One cell drawn per point [d, w, k] (FaDE 2.4), such that `Limits.allow` holds.

    What breaks a limit is drawn again; where that does not help, with points that are moved towards
    the cheapest architecture, by no more than it takes.
    """

    def draw(around: Array) -> HyperArchitecture:
        rows = ((space.at(row), each) for row, each in enumerate(around))
        return HyperArchitecture(
            tuple(tuple(of.sample(point, rng) for point in each) for of, each in rows)
        )

    if not space.limits:
        return draw(points)
    cells = cheapest(space, len(points))
    home = np.stack([space.at(row).embed(cell) for row, cell in enumerate(cells)])[:, None]
    shares = iter([*[0.0] * DRAWS, *np.linspace(0, 1, DRAWS)])
    return within(space, lambda: draw(points + next(shares) * (home - points)), rng, 2 * DRAWS)


def within(
    space: Space,
    draw: Callable[[], HyperArchitecture],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> HyperArchitecture:
    """The first of some that the limits allow, or what is near the last of them."""
    for _ in range(draws):
        hyper = draw()
        if space.limits.allow(hyper):
            return hyper
    return nearest(space, hyper, rng)


def nearest(space: Space, hyper: HyperArchitecture, rng: np.random.Generator) -> HyperArchitecture:
    """`hyper` with the cells that break a limit exchanged for the nearest ones that do not, row
    after row in an order that is drawn: the first places make an architecture that keeps to the
    limits, of which each other one is part.
    """
    limits, order = space.limits, rng.permutation(hyper.depth).tolist()
    fronts = [undominated(limits.costs(r, space.at(r).cells)) for r in range(hyper.depth)]
    first: dict[int, Candidate] = {}
    for number, row in enumerate(order):
        spent = [limits.costs(r, [cell])[:1] for r, cell in first.items()]
        rest = front([*spent, *(fronts[r] for r in order[number + 1 :])], len(limits.room))
        first[row] = _exchanged(space, row, hyper.rows[row][0], rest)
    spent = [limits.costs(row, [first[row]]) for row in range(hyper.depth)]
    others = [front([*spent[:r], *spent[r + 1 :]], len(limits.room)) for r in range(hyper.depth)]
    return HyperArchitecture(
        tuple(
            (first[r], *(_exchanged(space, r, cell, others[r]) for cell in cells[1:]))
            for r, cells in enumerate(hyper.rows)
        )
    )


def _exchanged(space: Space, row: int, cell: Candidate, others: Whole) -> Candidate:
    """The nearest of a row to `cell` that keeps to the limits beside `others` [m, c]."""
    of = space.at(row)
    fits = space.limits.fit(space.limits.costs(row, of.cells), others)
    distances = np.sum((of.points - of.embed(cell)) ** 2, axis=1).round(9)
    if cell in of.cells:
        distances[of.cells.index(cell)] = -1.0
    return of.cells[int(np.argmin(np.where(fits, distances, np.inf)))]


def cheapest(space: Space, depth: int) -> list[Candidate]:
    """An architecture of the cells that take the least of the room of all limits together."""
    limits, chosen = space.limits, list[Candidate]()
    for row in range(depth):
        cells = space.at(row).cells
        shares = limits.costs(row, cells) / np.maximum(limits.room, 1)
        chosen.append(cells[int(np.argmin(shares.sum(axis=1)))])
    return chosen
