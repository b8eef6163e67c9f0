"""Every n-th write, flush and rename goes wrong: nothing is lost, counted twice or other than
without. `scripts/inject_faults.py` does it at all calls of several runs.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from failing_disk import FAULTS, Died, FailingDisk
from faulty_runs import RUNS, carried_out, damages, judged, judged_damage, left_behind, story

from fade_ray.records.lasting import flush_folder, made


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("plain")
    with FailingDisk(place):
        carried_out("tiny", place)
    return story(place / "run")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("first", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_goes_on_behind_every_fault(
    first: int, fault: str, tmp_path: Path, plain: dict[str, Any]
) -> None:
    every, at = (17, first + FAULTS.index(fault)) if first == 1 else (5, first)
    while True:
        place = tmp_path / str(at)
        place.mkdir()
        found = judged("tiny", place, fault, at, plain)
        if found is None:
            break
        assert found.fine, (at, found)
        at += every
    assert at > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(RUNS) - {"tiny"}))
def test_commands_go_on_behind_a_fault(name: str, tmp_path: Path) -> None:
    with FailingDisk(tmp_path) as disk:
        carried_out(name, tmp_path)
    undisturbed, last = story(tmp_path / "run"), len(disk.calls)
    for number, fault in enumerate(("fails", "killed", "reordered"), start=1):
        place = tmp_path / fault
        place.mkdir()
        found = judged(name, place, fault, number * last // 4, undisturbed)
        assert found is not None
        assert found.fine, found


def after(fault: str, at: int, place: Path, work: Callable[[], None]) -> dict[str, bytes | None]:
    disk = FailingDisk(place, fault, at)
    with disk, pytest.raises(Died):
        work()
    assert disk.left is not None
    return disk.left


def test_the_disk_itself(tmp_path: Path) -> None:
    """What is lost in a power cut is what POSIX does not promise."""

    def work() -> None:
        folder = made(tmp_path / "a")
        with (folder / "named").open("wb") as file:
            file.write(b"1")
        flush_folder(folder)
        (folder / "late").write_bytes(b"2")

    assert after("dropped", 4, tmp_path, work) == {"a": None, "a/named": b""}
    assert (tmp_path / "a" / "named").read_bytes() == b"1"


def test_damage_in_any_file_of_a_run_is_named_or_without_effect(
    tmp_path: Path, plain: dict[str, Any]
) -> None:
    tree = left_behind("tiny", tmp_path, 70)
    assert {Path(name).suffix for name in tree} >= {".json", ".jsonl", ".pt", ".safetensors"}
    said = Counter[str]()
    for damage in damages(tree, 2):
        found = judged_damage("tiny", tmp_path, tree, damage, plain)
        assert found.fine, found
        said[found.said] += 1
    assert min(said["in words"], said["ended"]) > 5, said
