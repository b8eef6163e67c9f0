"""A figure of a page: named once, drawn when the page is written, or what stands in its place."""

import pytest

from fade_ray.report.page import Drawing, figured
from fade_ray.report.style import Picture, new_figure
from fade_ray.report.words import ACCURACY, Measure

DRAWN: list[str] = []


@figured("scores", "Best {score.name} so far", "Nothing has ended yet.")
def scores(ended: int, score: Measure = ACCURACY) -> Drawing | None:
    """Of those that ended."""
    DRAWN.append(score.name)
    return (new_figure(1.0), f"{ended} ended.", "A caption.") if ended else None


@pytest.mark.parametrize("score", [ACCURACY, Measure("fit")])
def test_a_figure_has_its_title_before_it_is_drawn(score: Measure) -> None:
    DRAWN.clear()
    block = scores(2, score)
    assert (block.name, block.title) == ("scores", f"Best {score.name} so far")
    assert DRAWN == []
    picture = block.draw()
    assert isinstance(picture, Picture)
    assert (picture.name, picture.title) == (block.name, block.title)
    assert (picture.alt, picture.caption) == ("2 ended.", "A caption.")
    assert [score.name] == DRAWN


def test_defaults_count_for_the_title_and_nothing_to_draw_is_said() -> None:
    block = scores(0)
    assert block.title == "Best accuracy so far"
    assert block.draw() is None
    assert block.missing == "Nothing has ended yet."
