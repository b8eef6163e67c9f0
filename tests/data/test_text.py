"""Texts: what is read of a folder, and how sequences are cut from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.data.text import END, TextBatches, load_text
from spaces import InvalidInput

TEXTS = {"train": "a b\nc a\n", "valid": "b a\nc\n", "test": "c\nb\n"}


def folder(place: Path, prefix: str = "", **changed: str) -> Path:
    for part, text in (TEXTS | changed).items():
        (place / f"{prefix}{part}.txt").write_text(text)
    return place


@pytest.mark.parametrize("prefix", ["", "ptb."])
def test_words_are_numbered_as_train_uses_them(tmp_path: Path, prefix: str) -> None:
    corpus = load_text(folder(tmp_path, prefix))
    assert corpus.vocabulary == ("a", "b", END, "c")
    assert corpus.train.tolist() == [0, 1, 2, 3, 0, 2]
    assert corpus.valid.tolist() == [1, 0, 2, 3, 2]
    assert corpus.test.tolist() == [3, 2, 1, 2]
    assert corpus.describe() == (
        f"{tmp_path.name}: 6 words to train, 5 words to valid, 4 words to test; a vocabulary of 4"
    )
    assert len(corpus.limited(3, None).train) == 3


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"valid": "a\nd d\ne"}, r"every word of valid is one of train.*unknown=2.*'d', 'e'"),
        ({"train": "a b c"}, r"train.txt has two lines or more.*lines=1"),
        ({"test": ""}, r"test.txt has two lines or more.*lines=0"),
    ],
)
def test_bad_texts_are_refused(tmp_path: Path, changed: dict[str, str], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        load_text(folder(tmp_path, **changed))


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="must be readable"):
        load_text(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match=r"one file train.txt, but .* has none"):
        load_text(tmp_path)
    folder(tmp_path)
    (tmp_path / "test.txt").write_bytes(b"\xff\xfe\xfa\n\n")
    with pytest.raises(InvalidInput, match=r"test.txt must be a readable text"):
        load_text(tmp_path)
    folder(tmp_path, "ptb.")
    with pytest.raises(InvalidInput, match=r"'ptb.train.txt', 'train.txt'"):
        load_text(tmp_path)


def batches(count: int, batch_size: int, bptt: int, spread: float) -> TextBatches:
    options = {"batch_size": batch_size, "bptt": bptt, "spread": spread}
    return TextBatches(np.arange(count), device=torch.device("cpu"), **options)


@given(
    each=st.integers(3, 90),
    rows=st.integers(1, 4),
    bptt=st.integers(2, 20),
    spread=st.sampled_from([0.0, 5.0]),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_sequences_follow_on_and_miss_at_most_one_word(
    each: int, rows: int, bptt: int, spread: float, seed: int
) -> None:
    made = batches(each * rows + rows - 1, rows, bptt, spread)
    whole = torch.arange(each * rows).view(rows, each)
    generator = torch.Generator().manual_seed(seed)
    for cut, left in ((made.epoch(generator), 2), (made.ordered(), 1)):
        words, following = (torch.cat(parts, 1) for parts in zip(*cut, strict=True))
        assert torch.equal(words, whole[:, : words.shape[1]])
        assert torch.equal(following, words + 1)
        assert each - left <= words.shape[1] < each
    generator.manual_seed(seed)
    lengths = [words.shape[1] for words, _ in made.epoch(generator)]
    assert min(lengths[:-1], default=5) >= (5 if spread else 2)
    assert max(lengths) <= bptt + (20 if spread else 0)
    state = generator.get_state()
    generator.manual_seed(seed)
    made.epoch(generator)
    assert torch.equal(generator.get_state(), state), "all is drawn in the call"


def test_one_in_twenty_is_half_as_long() -> None:
    made = batches(200_000, 1, 35, 0.0)
    lengths = [w.shape[1] for w, _ in made.epoch(torch.Generator().manual_seed(0))][:-1]
    assert set(lengths) == {17, 35}
    assert lengths.count(17) / len(lengths) == pytest.approx(0.05, abs=0.01)


def test_a_text_shorter_than_a_batch_is_refused() -> None:
    with pytest.raises(InvalidInput, match="three words or more in each row of a batch"):
        batches(11, 4, 5, 0.0)
