"""The split is exact, disjoint, exhaustive, stratified and a function of labels and seed alone."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fade_ray.data.splits import Parts, apportion, stratified_limit, stratified_parts
from spaces.errors import InvalidInput

CLASSES = tuple("abcdefgh")
counts_of_classes = st.lists(st.integers(6, 60), min_size=2, max_size=8)
seeds = st.integers(0, 2**32)


def shuffled_labels(counts: list[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def split(
    labels: np.ndarray, seed: int, *, with_test: bool = True, limit: int | None = None
) -> Parts:
    names = CLASSES[: labels.max() + 1]
    return stratified_parts(
        labels, names, with_test=with_test, limit=limit, rng=np.random.default_rng(seed)
    )


def per_class(labels: np.ndarray, chosen: np.ndarray) -> list[int]:
    return np.bincount(labels[chosen], minlength=labels.max() + 1).tolist()


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.integers(0, 50), st.integers(1, 50)
)
def test_a_share_is_rounded_per_entry_and_exact_in_total(
    counts: list[int], numerator: int, denominator: int
) -> None:
    numerator = min(numerator, denominator)
    shares = apportion(counts, numerator, denominator)
    exact = [Fraction(count * numerator, denominator) for count in counts]
    assert all(abs(share - e) < 1 for share, e in zip(shares, exact, strict=True))
    assert all(0 <= share <= count for share, count in zip(shares, counts, strict=True))
    assert -Fraction(1, 2) < sum(shares) - sum(exact) <= Fraction(1, 2)


def test_ties_go_to_the_lower_class() -> None:
    assert apportion([3, 3, 3, 3], 1, 6) == [1, 1, 0, 0]


@given(counts_of_classes, seeds, st.booleans())
def test_parts_are_disjoint_exhaustive_and_stratified(
    counts: list[int], seed: int, with_test: bool
) -> None:
    labels = shuffled_labels(counts)
    parts = split(labels, seed, with_test=with_test)
    everything = np.concatenate([parts.weights, parts.architecture, parts.test])
    assert sorted(everything) == list(range(len(labels)))
    shares = 6 if with_test else 5
    assert len(parts.test) == (len(parts.architecture) if with_test else 0)
    assert per_class(labels, parts.architecture) == apportion(counts, 1, shares)
    assert min(per_class(labels, parts.weights)) > 0
    assert all(
        abs(n - Fraction(c, shares)) < 1
        for n, c in zip(per_class(labels, parts.architecture), counts, strict=True)
    )


def test_the_split_of_a_balanced_set_is_exactly_one_to_one_to_four() -> None:
    labels = shuffled_labels([60] * 8)
    parts = split(labels, 0)
    assert per_class(labels, parts.test) == per_class(labels, parts.architecture) == [10] * 8
    assert per_class(labels, parts.weights) == [40] * 8


@given(counts_of_classes, seeds, st.data())
def test_a_limit_keeps_that_many_in_proportion(
    counts: list[int], seed: int, data: st.DataObject
) -> None:
    labels = shuffled_labels(counts)
    limit = data.draw(st.integers(1, len(labels) + 5))
    kept = stratified_limit(labels, len(counts), limit, np.random.default_rng(seed))
    assert len(set(kept.tolist())) == len(kept) == min(limit, len(labels))
    assert (np.diff(kept) > 0).all()
    assert per_class(labels, kept) == (apportion(counts, min(limit, len(labels)), len(labels)))


def test_a_limit_below_the_total_is_split_in_the_same_proportions() -> None:
    labels = shuffled_labels([120] * 4)
    parts = split(labels, 3, limit=240)
    assert per_class(labels, parts.test) == per_class(labels, parts.architecture) == [10] * 4
    assert per_class(labels, parts.weights) == [40] * 4


def test_a_seed_repeats_its_split_and_another_gives_another() -> None:
    labels = shuffled_labels([60] * 4)
    first, again, other = split(labels, 1), split(labels, 1), split(labels, 2)
    for part in ("weights", "architecture", "test"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
        assert not np.array_equal(getattr(first, part), getattr(other, part))


def test_every_image_is_equally_likely_to_be_tested() -> None:
    labels = shuffled_labels([6, 12])
    hits = np.zeros(18)
    for seed in range(1800):
        hits[split(labels, seed).test] += 1
    # each is Binomial(1800, 1/6): mean 300, deviation 15.8; 5 deviations: alpha below 18 * 6e-7
    assert (abs(hits - 300) < 80).all()


@pytest.mark.parametrize(("with_test", "count", "least"), [(True, 5, 6), (False, 4, 5)])
def test_a_class_too_small_for_the_split_is_named(with_test: bool, count: int, least: int) -> None:
    with pytest.raises(
        InvalidInput, match=f"at least {least} images.*class 'b' has {count}. Add images"
    ):
        split(shuffled_labels([20, count]), 0, with_test=with_test)


def test_a_limit_too_small_for_the_split_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"after limit=10 of 60 images. Raise the limit"):
        split(shuffled_labels([20, 20, 20]), 0, limit=10)
