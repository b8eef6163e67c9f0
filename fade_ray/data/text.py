"""Texts as words in order: a folder of three files, and batches of sequences that follow on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fade_ray.data.batches import AnyBatches, Batch
from fade_ray.data.images import IntArray
from spaces.errors import InvalidInput, at_least, require, upheld

END = "<eos>"
"""The word at the end of every line."""
PARTS = ("train", "valid", "test")
HALVED, SHORTEST, LONGER = 0.05, 5, 20
"""Share of the sequences that are drawn around half the length; the bounds of lengths that vary:
words, and words above the usual length (algorithms B.5).
"""


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text in three parts, as numbers of words in `vocabulary`."""

    name: str
    vocabulary: tuple[str, ...]
    train: IntArray
    valid: IntArray
    test: IntArray

    def describe(self) -> str:
        """In words."""
        parts = ", ".join(f"{len(getattr(self, part)):,} words to {part}" for part in PARTS)
        return f"{self.name}: {parts}; a vocabulary of {len(self.vocabulary):,}"

    def limited(self, words: int | None, test_words: int | None) -> Corpus:
        """The first `words` of each of train and valid, `test_words` of test; None for all."""
        at_least(2, limit=words, test_limit=test_words)
        train, valid, test = self.train[:words], self.valid[:words], self.test[:test_words]
        return replace(self, train=train, valid=valid, test=test)


def text_files(folder: Path) -> dict[str, Path]:
    """By part: train.txt, valid.txt and test.txt, or with one prefix as in ptb.train.txt. Raises
    InvalidInput where one is missing or there are several.
    """
    remedy = "Name a folder with train.txt, valid.txt and test.txt (or ptb.train.txt and so on)"
    with upheld(f"A folder of texts must be readable, as {folder} is to be", remedy, OSError):
        names = sorted(path.name for path in folder.iterdir())
    files = {}
    for part in PARTS:
        own = [n for n in names if n == f"{part}.txt" or n.endswith(f".{part}.txt")]
        if len(own) != 1:
            rule = f"A folder of texts must hold one file {part}.txt"
            raise InvalidInput(f"{rule}, but {folder} has {own or 'none'}. {remedy}.")
        files[part] = folder / own[0]
    return files


def load_text(folder: str | Path) -> Corpus:
    """The texts in a folder, a word being what blanks divide, and END at the end of every line; the
    vocabulary in the order of its first use in train. Raises InvalidInput for a file of fewer than
    two lines, and for words of valid and test that train has not.
    """
    place = Path(folder).expanduser()
    words = {part: _words(path) for part, path in text_files(place).items()}
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words["train"]))}
    for part in PARTS[1:]:
        unknown = [word for word in dict.fromkeys(words[part]) if word not in numbers]
        rule = f"every word of {part} is one of train"
        remedy = "Write <unk> for them, as Penn Treebank does."
        require(not unknown, rule, remedy, unknown=len(unknown), such_as=unknown[:5])
    parts = {
        part: np.fromiter((numbers[word] for word in each), np.int64, len(each))
        for part, each in words.items()
    }
    return Corpus(place.resolve().name, tuple(numbers), **parts)


def _words(path: Path) -> list[str]:
    remedy = "Give a text in UTF-8, one sentence a line"
    with upheld(f"{path} must be a readable text", remedy, OSError, UnicodeDecodeError):
        lines = path.read_text(encoding="utf-8").splitlines()
    rule = f"{path} has two lines or more"
    require(len(lines) >= 2, rule, f"{remedy}.", lines=len(lines))
    return [word for line in lines for word in (*line.split(), END)]


class TextBatches(AnyBatches):
    """`words` [N] as `batch_size` texts side by side, from which sequences are cut one behind the
    other: words [batch, time] and those that follow them, int64 on `device`.

    In training one in twenty is about half of `bptt` long, the others about `bptt`, to `spread`
    (standard deviation, in words); one word alone at the end is left out. Raises InvalidInput for
    too few words.
    """

    def __init__(
        self, words: IntArray, *, batch_size: int, bptt: int, spread: float, device: torch.device
    ) -> None:
        at_least(1, batch_size=batch_size)
        self.batch_size, self.bptt, self.spread, self.device = batch_size, bptt, spread, device
        self.words = torch.from_numpy(words).to(device)
        self._columns(batch_size)

    def _columns(self, batch_size: int) -> Tensor:
        """[batch, time]: a word of each text, and what is left over of all dropped."""
        each, rule = len(self.words) // batch_size, "three words or more in each row of a batch"
        remedy = "Use a longer text, or a smaller --batch-size."
        require(each >= 3, rule, remedy, words=len(self.words), batch_size=batch_size)
        return self.words[: each * batch_size].view(batch_size, each)

    def __len__(self) -> int:
        return max(1, (self._columns(self.batch_size).shape[1] - 1) // self.bptt)

    def epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """See `AnyBatches`."""
        columns, cuts = self._columns(self.batch_size), [0]
        while cuts[-1] < columns.shape[1] - 2:
            cuts.append(cuts[-1] + self._length(generator))
        return _between(columns, cuts)

    def _length(self, generator: torch.Generator) -> int:
        halved = float(torch.rand((), generator=generator)) < HALVED
        usual = self.bptt / 2 if halved else float(self.bptt)
        if not self.spread:
            return max(2, int(usual))
        drawn = int(usual + self.spread * float(torch.randn((), generator=generator)))
        return min(max(SHORTEST, drawn), self.bptt + LONGER)

    def ordered(self, batch_size: int | None = None) -> Iterator[Batch]:
        """See `AnyBatches`; all sequences `bptt` long."""
        columns = self._columns(self.batch_size if batch_size is None else batch_size)
        return _between(columns, range(0, columns.shape[1] - 1 + self.bptt, self.bptt))


def _between(columns: Tensor, cuts: list[int] | range) -> Iterator[Batch]:
    """The words from each cut to the next one, and those that follow."""
    last = columns.shape[1] - 1
    for start, end in zip(cuts, (min(cut, last) for cut in cuts[1:]), strict=False):
        yield columns[:, start:end], columns[:, start + 1 : end + 1]
