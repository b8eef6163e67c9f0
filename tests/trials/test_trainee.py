"""The lifecycle of what is trained: told once and again, checkpointed, gone on with, ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from fade_ray.training import place
from fade_ray.trials.job import Event, events
from fade_ray.trials.trainee import FORMAT, Ending, Trainee, earlier, lifecycle, state_bytes
from searchers import Outcome


class Counter(Trainee):
    """Counts `epochs`; a number drawn in each shows whether the generator goes on."""

    def __init__(self, epochs: int = 3, first: bool = False) -> None:
        self.epochs, self.first, self.done = epochs, first, 0
        self.placement, self.generator = place("cpu"), torch.Generator().manual_seed(4)

    @property
    def finished(self) -> bool:
        return self.done == self.epochs

    def first_metrics(self) -> dict[str, Any] | None:
        return {"images": 0} if self.first else None

    def run_epoch(self) -> dict[str, Any]:
        self.done += 1
        drawn = int(torch.randint(1000, (), generator=self.generator))
        costs = {"images": 10, "multiply_adds": 100, "seconds": 0.5}
        return {"drawn": drawn, "peak_memory_mib": 7.0 - self.done, **costs}

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        assert len(epochs) == self.epochs
        return Ending(Outcome(score=0.5), {"found": self.done}, ["look here"])

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.done, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.done = state["done"]
        self.generator.set_state(state["generator"])


class Other(Counter):
    """Another trainee with the same state, which draws other numbers."""

    def run_epoch(self) -> dict[str, Any]:
        return super().run_epoch() | {"drawn": -self.done}


def whole(tmp_path: Path, **options: Any) -> list[Event]:
    return list(lifecycle(Counter, tmp_path / "whole.pt", **options))


def test_epochs_are_told_and_their_costs_added_up(tmp_path: Path) -> None:
    *epochs, last = whole(tmp_path)
    assert [event["epoch"] for event in epochs] == [1, 2, 3]
    assert last["outcome"] == {"score": 0.5}
    assert last["warnings"] == ["look here"]
    sums = {"images": 30, "multiply_adds": 300, "seconds": 1.5, "peak_memory_mib": 6.0}
    assert last["metrics"] == sums | {"found": 3, "device": "cpu"}


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_one_that_stopped_tells_again_and_goes_on(tmp_path: Path, stop: int) -> None:
    def build() -> Counter:
        return Counter(first=True)

    path = tmp_path / "stopped.pt"
    expected = list(lifecycle(build, tmp_path / "whole.pt"))
    begun = lifecycle(build, path)
    assert [next(begun) for _ in range(stop)] == expected[:stop]
    begun.close()  # type: ignore[attr-defined]
    assert list(lifecycle(build, path)) == expected


def test_one_whose_end_was_not_recorded_trains_nothing_again(tmp_path: Path) -> None:
    class Idle(Counter):
        def run_epoch(self) -> dict[str, Any]:
            raise AssertionError("trained again")

    Idle.__qualname__ = Counter.__qualname__  # by which checkpoints are known
    expected = whole(tmp_path)
    assert list(lifecycle(Idle, tmp_path / "whole.pt")) == expected


def checkpoint(tmp_path: Path) -> Path:
    """Of one that stopped after two epochs."""
    path = tmp_path / "stopped.pt"
    begun = lifecycle(Counter, path)
    next(begun), next(begun)
    begun.close()  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize(
    ("content", "warned"),
    [
        (b"", True),
        (b"no checkpoint", True),
        (state_bytes({"training": {}, "told": []}), False),
        (state_bytes({"format": FORMAT - 1, "of": "Counter", "told": [], "state": {}}), False),
        (state_bytes([1, 2]), False),
    ],
)
def test_a_checkpoint_that_is_none_of_ours_is_left_alone(
    tmp_path: Path, content: bytes, warned: bool
) -> None:
    path = checkpoint(tmp_path)
    path.write_bytes(content)
    assert unwarned(list(lifecycle(Counter, path)), path if warned else None) == whole(tmp_path)


def unwarned(events: list[Event], damaged: Path | None) -> list[Event]:
    """`events` without the warning of what is `damaged`, which they must hold."""
    *warned, last = events[-1]["warnings"]
    assert [str(damaged) in message for message in warned] == [True] * (damaged is not None)
    return [*events[:-1], {**events[-1], "warnings": [last]}]


def test_where_the_newest_checkpoint_is_lost_or_damaged_the_one_before_it_is_taken(
    tmp_path: Path,
) -> None:
    path = checkpoint(tmp_path)
    for content in (None, path.read_bytes()[:-1]):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        begun = lifecycle(Counter, path)
        first, second = next(begun), next(begun)  # of two epochs one is told from the checkpoint
        begun.close()  # type: ignore[attr-defined]
        assert [first, second] == whole(tmp_path)[:2]
    assert unwarned(list(lifecycle(Counter, path)), None) == whole(tmp_path)
    names = {"stopped.pt", ".stopped.pt.earlier", "whole.pt", ".whole.pt.earlier"}
    assert {file.name for file in tmp_path.iterdir()} == names


def test_a_bit_that_flips_in_a_checkpoint_is_seen_or_without_effect(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    kept, expected = path.read_bytes(), whole(tmp_path)
    before = earlier(path).read_bytes()
    for at in range(0, len(kept), 37):
        path.write_bytes(kept[:at] + bytes([kept[at] ^ 1 << at % 8]) + kept[at + 1 :])
        earlier(path).write_bytes(before)
        events = list(lifecycle(Counter, path))
        assert events[:-1] == expected[:-1]
        assert events[-1]["outcome"] == expected[-1]["outcome"]


def test_a_torn_checkpoint_and_that_of_another_trainee_are_left_alone(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    kept = path.read_bytes()
    *epochs, _ = lifecycle(Other, path)
    assert [event["metrics"]["drawn"] for event in epochs] == [-1, -2, -3]
    path.write_bytes(kept[: len(kept) // 2])
    assert unwarned(list(lifecycle(Counter, path)), path) == whole(tmp_path)


def test_the_checkpoint_is_there_before_its_epoch_is_told(tmp_path: Path) -> None:
    path = tmp_path / "kept.pt"
    seen = []
    for event in lifecycle(Counter, path):
        seen.append(torch.load(path, weights_only=True)["told"])
        if "epoch" in event:
            assert seen[-1][-1] == event
    assert len(seen[-1]) == 3


def test_a_worker_that_does_not_lead_writes_nothing(tmp_path: Path) -> None:
    list(lifecycle(Counter, tmp_path / "none.pt", leads=False))
    assert list(tmp_path.iterdir()) == []


def test_threads_are_those_that_were_asked_for_and_given_back(tmp_path: Path) -> None:
    before, used = torch.get_num_threads(), []

    def build() -> Counter:
        used.append(torch.get_num_threads())
        return Counter()

    list(lifecycle(build, tmp_path / "two.pt", threads=before + 1))
    assert used == [before + 1]
    assert torch.get_num_threads() == before


@dataclass(frozen=True)
class Unwilling:
    """A job whose trial cannot be built."""

    def run(self, plan: Mapping[str, Any], data: None, folder: Path) -> Iterator[Event]:
        def build() -> Counter:
            raise MemoryError("no room")

        return lifecycle(build, folder / "x.pt")


def test_what_goes_wrong_has_a_kind(tmp_path: Path) -> None:
    (last,) = events(Unwilling(), {"id": "000"}, None, tmp_path)
    assert last["outcome"]["failure"]["kind"] == "out of memory"
    assert "no room" in (tmp_path / "errors" / "000.txt").read_text()
