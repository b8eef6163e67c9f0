"""What paired tests have shown, in sentences that claim no more than they did."""

import math
from collections.abc import Mapping, Sequence

from fade_ray.analysis.paired_tests import LEVEL, PairedTest
from fade_ray.report.words import Measure, count

MEASURE_TEXT = {"final": "the final report", "area": "the area under the curve (secondary)"}


def verdict(
    tests: Sequence[PairedTest],
    partial: Mapping[str, int],
    empty: Mapping[str, int],
    floor: float,
    score: Measure,
) -> tuple[str, ...]:
    """One sentence per test, of all measures; what could not have been shown; by searcher the
    `partial` traces, which were left out, and the `empty` ones, complete without an evaluation,
    which count as `floor`.
    """
    left, guess = "left out of the tests and means", f"{score.scale * floor:.2f}{score.unit}"
    guessed = f"without a single evaluation within the budget, counted as {guess}"
    rest = [f"{name}: {count(n, 'partial trace')} {left}." for name, n in partial.items()]
    rest += [f"{name}: {count(n, 'trace')} {guessed}." for name, n in empty.items()]
    if not tests:
        return ("Nothing was tested: there is no searcher besides the baseline.", *rest)
    return (*(_sentence(test, score) for test in tests), *_powerless(tests), *rest)


def _sentence(test: PairedTest, score: Measure) -> str:
    seeds = count(len(test.seeds), "seed")
    about = f"{test.searcher} against {test.baseline}, {MEASURE_TEXT[test.measure]}, {seeds}"
    if not test.seeds:
        return f"{about}: no difference shown, as there is no pair of complete traces."
    numbers, x = f"mean difference {score.difference(test.difference)}", score.scale
    if math.isfinite(test.low):
        numbers += f", 95% interval {x * test.low:+.2f} to {x * test.high:+.2f}"
    if math.isfinite(test.effect):
        numbers += f", d_z {test.effect:+.2f}"
    numbers += f", better with {test.superiority:.0%} of the seeds"
    holm = f"{_p(test.corrected)} after Holm over {count(test.family, 'test')}"
    shown = test.finding
    if test.can_show and not test.differ_enough:
        shown += f", and none could be: {differing(test)}"
    tested = f"two-sided signed-rank p = {_p(test.p)}, {holm}"
    return f"{about}: {shown} ({numbers}; {tested})."


def differing(test: PairedTest) -> str:
    """How few of the pairs of a test differ."""
    verb = "differs" if test.differing < 2 else "differ"
    few = f"only {test.differing}" if test.differing else "none"
    return f"{few} of {count(len(test.seeds), 'seed')} {verb}"


def _powerless(tests: Sequence[PairedTest]) -> tuple[str, ...]:
    """Where even agreement of all seeds would not have been enough."""
    weak = [test for test in tests if not test.can_show]
    if not weak:
        return ()
    n, family = max(len(test.seeds) for test in weak), max(test.family for test in weak)
    measures = [test.measure for test in weak]
    together = max(measures.count(measure) for measure in measures)
    # Two-sided, n pairs reach 2^(1-n); `together` is what Holm multiplies by once all tests that
    # can show have done so.
    needed = 1 + math.ceil(math.log2(together / LEVEL))
    least = _p(min(test.smallest for test in weak))
    corrected = _p(min(test.smallest_corrected for test in weak))
    return (
        f"With {count(n, 'seed')} no p can be below {least}, and none below {corrected} after Holm "
        f"over {count(family, 'test')}: whatever was found, no difference could have been shown. "
        f"It takes at least {needed} seeds.",
    )


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"
