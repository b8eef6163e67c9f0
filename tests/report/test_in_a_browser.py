"""All kinds of report pages in headless Chromium, narrow and wide, light and dark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import INSTALL, Found, find_browser, look_at
from parsed_page import read_run
from synthetic_cells import whole
from synthetic_comparison import (
    compared,
    comparison_report,
    ranks_report,
    studied,
    synthetic_alone,
    synthetic_runs,
    synthetic_traces,
)
from synthetic_run import SyntheticRun

from fade_ray.cells.cell_page import cells_page
from fade_ray.cells.cell_trials import CellHistory
from fade_ray.compare.trace import Trace
from fade_ray.report.live_page import live_page
from fade_ray.report.page import write_page
from fade_ray.search.search_history import History
from fade_ray.search.search_page import search_page, search_sections

pytestmark = pytest.mark.slow
FRAMES = [(width, dark) for width in (400, 1400) for dark in (False, True)]


def _search(folder: Path) -> Path:
    SyntheticRun(folder).search(6).end(0.972)
    return write_page(search_page(read_run(folder, History)), folder)


def _cells(folder: Path) -> Path:
    whole(folder)
    return write_page(cells_page(read_run(folder, CellHistory)), folder)


def _compared(folder: Path, traces: list[Trace], ended: bool = True) -> Path:
    compared(folder, traces, ended)
    return comparison_report(folder, traces)


def _comparison(folder: Path) -> Path:
    return _compared(folder, synthetic_traces(partial=[("bayes", 2)]))


def _wide_comparison(folder: Path) -> Path:
    """Many searchers with long names."""
    names = ("random", *(f"fade-with-a-long-name-{number}" for number in range(11)))
    return _compared(folder, synthetic_traces(3, 4, names))


def _ranks(folder: Path) -> Path:
    settings = ("default", "shared", "score-weighted", "straight-through-exact")
    runs, alone = synthetic_runs(settings), synthetic_alone()
    studied(folder, runs, alone)
    return ranks_report(folder, runs, alone)


def _begun(folder: Path) -> Path:
    return _compared(folder, synthetic_traces(1, 2, ("random",), [("random", 0)]), ended=False)


def _watched(folder: Path) -> Path:
    """A search that is half done, as `fade-ray watch` shows it."""
    SyntheticRun(folder).search(6)
    run = read_run(folder, History)

    def settings(plan: Any) -> dict[str, str | float]:
        rows = enumerate(plan.hyper.graphs())
        sizes = {f"vertices of a row {row}": float(cells[0].n) for row, cells in rows}
        return {"walk by name": f"walk {plan.walk}", "iteration": plan.iteration, **sizes}

    page = live_page(run, "search", "iteration 6 of 10", settings, search_sections(run))
    return write_page(page, folder)


PAGES: dict[str, tuple[Callable[[Path], Path], int]] = {
    "search": (_search, 6),
    "cells": (_cells, 10),
    "comparison": (_comparison, 4),
    "wide comparison": (_wide_comparison, 4),
    "rank study": (_ranks, 4),
    "begun": (_begun, 1),
    "watched": (_watched, 6),
}
"""How each kind of page is made, and how many figures it has at least."""


@pytest.fixture(scope="module")
def browser() -> str:
    found = find_browser()
    if found is None:
        pytest.skip(INSTALL)
    return found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: make(tmp_path_factory.mktemp("run") / name) for name, (make, _) in PAGES.items()}


def faults(found: Found) -> list[str]:
    """What is wrong with a page in a frame."""
    wrong = list(found.troubles)
    if found.scroll > found.inner:
        wrong.append(f"{found.scroll} pixels wide in a frame of {found.inner}: {found.outside[:5]}")
    wrong += [f"whole and in parts: {f['name']}" for f in found.figures if f["twice"]]
    for figure in found.figures:
        if figure["width"] < 300 or figure["height"] < 60:
            wrong += (
                []
                if figure["words"] > 30 and figure["width"] == 0
                else [f"no figure to see: {figure}"]
            )
    return wrong


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "dark"), FRAMES)
def test_a_page_is_whole(
    name: str, width: int, dark: bool, browser: str, pages: dict[str, Path], tmp_path: Path
) -> None:
    found = look_at(browser, pages[name], width, dark, tmp_path)
    assert (found.inner, found.dark) == (width, dark)
    assert found.paper == ("rgb(13, 15, 18)" if dark else "rgb(244, 246, 248)")
    assert faults(found) == []
    assert sum(figure["width"] > 0 for figure in found.figures) >= PAGES[name][1]
    assert [
        f"{figure['name']}: {clash}" for figure in found.figures for clash in figure["clashes"]
    ] == []


BROKEN = {
    "a table without its box": (
        "<table><tr>" + "<td>unbreakable</td>" * 60 + "</tr></table>",
        "pixels wide in a frame of 400",
    ),
    "a picture that is not there": ('<img src="missing.png" alt="">', "missing.png"),
    "an empty figure": (
        '<figure id="nothing"><svg width="0" height="0"></svg></figure>',
        "no figure to see",
    ),
    "a script of its own": ("<script>document.title = 'mine'</script>", "refused: inline"),
}
"""What is added to a page, and what is then found."""


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_seen(
    what: str, browser: str, pages: dict[str, Path], tmp_path: Path
) -> None:
    harm, expected = BROKEN[what]
    source, place = pages["comparison"].read_text(), "<h2>Tests</h2>"
    assert place in source
    (tmp_path / "broken").mkdir()
    page = tmp_path / "broken" / "report.html"
    page.write_text(source.replace(place, place + harm))
    assert expected in " ".join(faults(look_at(browser, page, 400, False, tmp_path)))


def test_texts_over_each_other_are_seen(
    browser: str, pages: dict[str, Path], tmp_path: Path
) -> None:
    source = pages["comparison"].read_text()
    (tmp_path / "broken").mkdir()
    page = tmp_path / "broken" / "report.html"
    twice = '<text x="100" y="100">0.25</text><text x="103" y="101">0.50</text>'
    twice += '<text x="715" y="50">beyond</text></svg>'
    page.write_text(source.replace("</svg>", twice, 1))
    found = look_at(browser, page, 1400, False, tmp_path)
    assert {"0.25 / 0.50", "beyond / edge"} <= set(found.figures[0]["clashes"])
