"""A space and a stacking from a file of one's own."""

import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fade_ray.cells.cells_config import CellsConfig, GridConfig
from spaces import SPACES, STACKINGS, InvalidInput, Macro, Position, published

FILE = Path(__file__).parents[1] / "additions" / "my_space.py"


@pytest.fixture(autouse=True)
def added() -> Iterator[None]:
    before = dict(SPACES), dict(STACKINGS)
    runpy.run_path(str(FILE))
    yield
    for table, content in zip((SPACES, STACKINGS), before, strict=True):
        table.clear()
        table.update(content)  # type: ignore[arg-type]


def test_the_file_is_short() -> None:
    assert len(FILE.read_text().splitlines()) <= 30


def test_it_is_searched_by_its_name() -> None:
    config = CellsConfig(grid=GridConfig(spaces=("small",), recipes=("darts-1st",)))
    assert [plan.space for plan in config.plans()] == ["small"]
    setup = config.setup("darts-1st", "small")
    assert (setup.stages[0].channels, setup.stem) == (4, "cifar")


def test_its_genotypes_are_written_as_it_says_and_survive_json() -> None:
    whole = published("small").macro
    genes = [(s, t, "skip_connect") for t in (2, 3, 4) for s in (0, 1)]
    macro = whole.with_cells({k: cell.genotype(genes) for k, cell in whole.cells.items()})
    assert macro.notation.startswith("0-skip_connect-2 1-skip_connect-2")
    assert Macro.from_dict(macro.to_dict()) == macro <= whole


def test_a_kind_that_reduces_here_and_there_is_refused() -> None:
    places = (Position("cell", False), Position("cell", True))
    STACKINGS["mixed"] = replace(STACKINGS["flat"], layout=lambda depth: places)
    with pytest.raises(InvalidInput, match=r"in all of its places or in none.*kinds=\['cell'\]"):
        Macro(dict(published("small").macro.cells), "mixed", 3)


def test_an_unknown_stacking_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'flat'"):
        Macro(dict(published("small").macro.cells), "flaat", 3)
