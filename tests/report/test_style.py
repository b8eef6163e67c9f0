"""How figures look and numbers are told."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.report.style import DARK, DEPTH, INK, PAPER, SERIES, spread
from fade_ray.report.words import (
    ACCURACY,
    Measure,
    count,
    duration,
    interval,
    listed,
    number,
    probability,
    short,
    si,
)


@settings(max_examples=200)
@given(st.lists(st.floats(0, 1), max_size=9))
def test_labels_are_spread_in_order_and_within_the_axis(heights: list[float]) -> None:
    gap = 0.1
    placed = spread(heights, gap, 0.0, 1.0)
    ordered = [placed[i] for i in sorted(range(len(heights)), key=lambda i: heights[i])]
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(ordered))
    assert all(-1e-9 <= height <= 1 + 1e-9 for height in placed)
    if all(abs(a - b) >= gap for i, a in enumerate(heights) for b in heights[:i]):
        assert placed == pytest.approx(heights), "labels that have room stay where they are"


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_on_light_and_dark_pages() -> None:
    """WCAG asks for 3 for graphics and 4.5 for text; the lightest row is let off at 1.8 since rows
    carry labels too.
    """
    for colour in SERIES:
        assert contrast(colour, PAPER) >= 3
        assert contrast(DARK[colour], DARK[PAPER]) >= 3
    assert contrast(INK, PAPER) >= 7
    assert contrast(DARK[INK], DARK[PAPER]) >= 7
    for ramp, ground in ((DEPTH, PAPER), ([DARK[colour] for colour in DEPTH], DARK[PAPER])):
        levels = [luminance(colour) for colour in ramp]
        assert levels == sorted(levels, reverse=True), "deeper is darker"
        assert all(contrast(colour, ground) >= 1.8 for colour in ramp)


def test_numbers_in_words() -> None:
    assert [si(n) for n in (0, 7, 999, 1000, 36_000, 999_600, 7_431_000, 2.5e13, None)] == [
        *("0", "7", "999", "1 k", "36 k", "1 M", "7.43 M", "25 T", "unknown"),
    ]
    assert [duration(s) for s in (0.04, 9.94, 9.96, 59.6, 125, 3600, 3661, 90_000)] == [
        *("0.0 s", "9.9 s", "10 s", "1 min", "2 min 5 s", "1 h", "1 h 1 min", "25 h"),
    ]
    assert [probability(p).replace("\u00a0", " ") for p in (1e-9, 0.0341, 0.25)] == [
        "< 0.001",
        "= 0.034",
        "= 0.25",
    ]
    assert [count(1, "vertex", "vertices"), count(1200, "image")] == ["1 vertex", "1,200 images"]
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert [number(x) for x in (0.126, None, float("nan"))] == ["0.13", "–", "–"]
    assert number(0.5, 1, signed=True) == "+0.5"
    assert interval(-0.5, 0.25) == "-0.50 to 0.25"
    assert interval(float("nan"), float("nan")) == "–"
    assert short("a" * 22) == "a" * 22
    assert short("fade-with-a-very-long-name") == "fade-with-a-v…ong-name"


def test_scores_are_told_by_what_they_measure() -> None:
    assert [ACCURACY.text(x, 2) for x in (0.972, None)] == ["97.20 %", "–"]
    assert ACCURACY.axis("reported {}") == "reported accuracy (%)"
    perplexity = Measure("log-likelihood", "nats")
    assert perplexity.text(-4.25, 2) == "-4.25 nats"
    assert perplexity.axis("{} of the best") == "log-likelihood of the best (nats)"
    assert Measure().axis("reported {}") == "reported score"
