"""What paired tests have shown, in sentences that claim no more than they did."""

import math
from collections.abc import Mapping, Sequence

from fade_ray.analysis.paired_tests import LEVEL, PairedTest

MEASURE_TEXT = {"final": "the final report", "area": "the area under the curve (secondary)"}


def verdict(
    tests: Sequence[PairedTest],
    partial: Mapping[str, int],
    empty: Mapping[str, int] | None = None,
    floor: float = 0.0,
) -> tuple[str, ...]:
    """One sentence per test, what could not have been shown, what was left out, and what was
    counted without having been found.

    Args:
        tests: of all measures.
        partial: by searcher, the traces that were left out as they are not complete.
        empty: by searcher, the complete traces without an evaluation, which count as `floor`.
    """
    rest = (*_left_out(partial), *_without_evaluation(empty or {}, floor))
    if not tests:
        return ("Nothing was tested: there is no searcher besides the baseline.", *rest)
    return (*(_sentence(test) for test in tests), *_powerless(tests), *rest)


def _sentence(test: PairedTest) -> str:
    about = f"{test.searcher} against {test.baseline}, {MEASURE_TEXT[test.measure]}, {_seeds(len(test.seeds))}"
    if not test.seeds:
        return f"{about}: no difference shown, as there is no pair of complete traces."
    numbers = f"mean difference {100 * test.difference:+.2f} points"
    if math.isfinite(test.low):
        numbers += f", 95% interval {100 * test.low:+.2f} to {100 * test.high:+.2f}"
    if math.isfinite(test.effect):
        numbers += f", d_z {test.effect:+.2f}"
    numbers += f", better with {test.superiority:.0%} of the seeds"
    tested = f"two-sided signed-rank p = {_p(test.p)}, {_p(test.corrected)} after Holm over {_tests(test.family)}"
    found = test.finding
    if test.can_show and not test.differ_enough:
        found += f", and none could be: {differing(test)}"
    return f"{about}: {found} ({numbers}; {tested})."


def differing(test: PairedTest) -> str:
    """How few of the pairs of a test differ."""
    verb = "differs" if test.differing < 2 else "differ"
    return f"{f'only {test.differing}' if test.differing else 'none'} of {_seeds(len(test.seeds))} {verb}"


def _powerless(tests: Sequence[PairedTest]) -> tuple[str, ...]:
    """Where even agreement of all seeds would not have been enough."""
    weak = [test for test in tests if not test.can_show]
    if not weak:
        return ()
    n = max(len(test.seeds) for test in weak)
    family = max(test.family for test in weak)
    together = max(
        sum(test.measure == measure for test in weak) for measure in {test.measure for test in weak}
    )
    # Two-sided, n pairs reach 2^(1-n); `together` is what Holm multiplies by once all tests that
    # can show have done so.
    needed = 1 + math.ceil(math.log2(together / LEVEL))
    return (
        f"With {_seeds(n)} no p can be below {_p(min(test.smallest for test in weak))}, and none below "
        f"{_p(min(test.smallest_corrected for test in weak))} after Holm over {_tests(family)}: whatever was found, no difference could have been "
        f"shown. It takes at least {needed} seeds.",
    )


def _left_out(partial: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(
        f"{name}: {count} partial {'trace' if count == 1 else 'traces'} left out of the tests and means."
        for name, count in partial.items()
        if count
    )


def _without_evaluation(empty: Mapping[str, int], floor: float) -> tuple[str, ...]:
    return tuple(
        f"{name}: {count} {'trace' if count == 1 else 'traces'} without a single evaluation within the budget, counted as {100 * floor:.2f}%."
        for name, count in empty.items()
        if count
    )


def _seeds(n: int) -> str:
    return f"{n} seed" if n == 1 else f"{n} seeds"


def _tests(n: int) -> str:
    return f"{n} test" if n == 1 else f"{n} tests"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"
