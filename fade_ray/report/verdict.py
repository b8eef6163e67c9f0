"""What paired tests have shown, in sentences that claim no more than they did."""

import math
from collections.abc import Mapping, Sequence

from fade_ray.analysis.paired_tests import LEVEL, PairedTest, paired_tests
from fade_ray.report.words import Measure, count, listed

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
    return (*sentences(tests, MEASURE_TEXT, score), *rest)


def sentences(
    tests: Sequence[PairedTest], texts: Mapping[str, str], score: Measure, pair: str = "seed"
) -> tuple[str, ...]:
    """One per test, and what could not have been shown; `texts` for the measures, `pair` for what
    the pairs are.
    """
    return (*(_sentence(test, texts, score, pair) for test in tests), *powerless(tests, pair))


def in_one(tests: Sequence[PairedTest], against: str, whole: str = "searchers") -> str:
    """In one sentence: what was shown to differ from a baseline. `whole`: what was tested."""
    if not any(test.seeds for test in tests):
        return f"Nothing can be said yet: no two {whole} have completed the same seed."
    if not any(test.shown for test in tests):
        shown = f"no {whole.removesuffix('s')} was shown to be better or worse than {against}"
        return f"No difference shown: {shown}."
    parts = []
    for word in ("better", "worse"):
        names = dict.fromkeys(test.searcher for test in tests if test.finding == word)
        if names:
            parts.append(f"Shown to be {word} than {against}: {listed(list(names))}.")
    decided = {test.searcher for test in tests if test.shown}
    rest = [name for name in dict.fromkeys(t.searcher for t in tests) if name not in decided]
    return " ".join([*parts, *([f"No difference shown for {listed(rest)}."] if rest else [])])


def conclusion(test: PairedTest) -> str:
    """What a test has shown, or why it could not."""
    if test.shown:
        return test.finding
    if not test.can_show:
        return "too few seeds to show one"
    return f"no difference shown{'' if test.differ_enough else f': {differing(test)}'}"


def _sentence(test: PairedTest, texts: Mapping[str, str], score: Measure, pair: str) -> str:
    pairs = count(len(test.seeds), pair)
    about = f"{test.searcher} against {test.baseline}, {texts[test.measure]}, {pairs}"
    if not test.seeds:
        return f"{about}: no difference shown, as there is no pair of complete traces."
    numbers, x = f"mean difference {score.difference(test.difference)}", score.scale
    if math.isfinite(test.low):
        low, high = sorted((x * test.low, x * test.high))
        numbers += f", 95% interval {low:+.2f} to {high:+.2f}"
    if math.isfinite(test.effect):
        numbers += f", d_z {test.effect:+.2f}"
    numbers += f", better with {test.superiority:.0%} of the {pair}s"
    holm = f"{_p(test.corrected)} after Holm over {count(test.family, 'test')}"
    shown = test.finding
    if test.can_show and not test.differ_enough:
        shown += f", and none could be: {differing(test, pair)}"
    tested = f"two-sided signed-rank p = {_p(test.p)}, {holm}"
    return f"{about}: {shown} ({numbers}; {tested})."


def differing(test: PairedTest, pair: str = "seed") -> str:
    """How few of the pairs of a test differ."""
    verb = "differs" if test.differing < 2 else "differ"
    few = f"only {test.differing}" if test.differing else "none"
    return f"{few} of {count(len(test.seeds), pair)} {verb}"


def foreseen(names: Sequence[str], seeds: Sequence[int], baseline: str) -> tuple[str, ...]:
    """What `powerless` will say of a comparison, before anything is trained."""
    untrained = {name: dict.fromkeys(seeds, 0.0) for name in names}
    return powerless(paired_tests(untrained, (baseline,), "final"), "seed")


def powerless(tests: Sequence[PairedTest], pair: str) -> tuple[str, ...]:
    """Where even agreement of all pairs would not be enough."""
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
        f"With {count(n, pair)} no p can be below {least}, and none below {corrected} after Holm "
        f"over {count(family, 'test')}: whatever is found, no difference can be shown. "
        f"It takes at least {needed} {pair}s.",
    )


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"
