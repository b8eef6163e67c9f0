"""Run directories in stores: here folders of this machine behind an address, which every copy
reaches as it would reach a bucket.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fade_ray.records import remote
from fade_ray.records.atomic import write_atomically
from fade_ray.records.journal import Journal, read_events
from fade_ray.records.remote import Store, directory, fetched, named, refreshed, remove
from spaces.errors import InvalidInput

Copies = Callable[[], Path]


@pytest.fixture(params=["file", "memory"])
def copies(request: pytest.FixtureRequest, tmp_path: Path) -> Copies:
    """`copies()`: one more copy of one run directory, as another process would have it. One store
    is pyarrow's, one fsspec's.
    """

    def copy() -> Path:
        return Store(f"{request.param}://{tmp_path}/runs/mine", tmp_path).folder

    return copy


def written(folder: Path) -> list[str]:
    events = read_events(refreshed(folder) / "records.jsonl")
    return [event.get("message") or event["event"] for event in events]


def test_what_one_writes_another_reads(copies: Copies) -> None:
    here, there = copies(), copies()
    write_atomically(here / "config.json", b"{}")
    write_atomically(here / "checkpoints" / "a.pt", b"first")
    assert (refreshed(there) / "config.json").read_bytes() == b"{}"
    assert not (there / "checkpoints").exists()
    assert fetched(there / "checkpoints" / "a.pt").read_bytes() == b"first"
    write_atomically(here / "checkpoints" / "a.pt", b"second")
    assert fetched(there / "checkpoints" / "a.pt").read_bytes() == b"second"
    remove(there / "checkpoints" / "a.pt")
    assert not fetched(here / "checkpoints" / "a.pt").exists()


def test_a_record_is_in_the_store_before_it_is_acknowledged(copies: Copies) -> None:
    here, there = copies(), copies()
    with Journal(here / "records.jsonl") as journal:
        for number in range(3):
            journal.append("epoch", epoch=number)
            journal.append("warning", message=str(number))
            assert written(there) == ["epoch", "0", "epoch", "1", "epoch", "2"][: 2 * number + 2]
        journal.append("epoch", epoch=3)
    assert written(there)[-1] == "epoch"
    assert (here / "records.jsonl").read_bytes() == (there / "records.jsonl").read_bytes()


def test_a_driver_that_was_followed_unawares_writes_where_nobody_reads(copies: Copies) -> None:
    first, second, reader = copies(), copies(), copies()
    with Journal(first / "records.jsonl") as frozen:
        frozen.append("warning", message="first")
        assert written(reader) == ["first"]
        with Journal(refreshed(second) / "records.jsonl") as journal:
            frozen.append("warning", message="too late")
            journal.append("warning", message="second")
            frozen.append("warning", message="too late")
            assert written(reader) == ["first", "second"]
    assert written(copies()) == ["first", "second"]
    with Journal(refreshed(first) / "records.jsonl") as third:
        third.append("warning", message="third")
    assert written(reader) == written(copies()) == ["first", "second", "third"]


def test_what_could_not_be_put_is_no_record(
    copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = copies(), copies()

    def refuse(store: Store, name: str, content: bytes) -> None:
        raise OSError("no route to the store")

    with Journal(here / "records.jsonl") as journal:
        journal.append("warning", message="first")
        with monkeypatch.context() as patch:
            patch.setattr(Store, "put", refuse)
            with pytest.raises(InvalidInput, match="no route to the store"):
                journal.append("warning", message="lost")
        journal.append("warning", message="second")
    assert written(there) == ["first", "second"]


def test_a_copy_is_told_by_its_address(tmp_path: Path) -> None:
    at = f"file://{tmp_path}/mine"
    folder = directory(at)
    assert directory(at) == folder
    assert named(f"see {folder / 'report.html'} of {folder}") == f"see {at}/report.html of {at}"
    assert directory(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nosuch://bucket/run", "nosuch"),
        ("adl://bucket/run", "adlfs"),
        ("s3://key:secret@bucket/run", "holds a password"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        remote.file_system(address)


def test_without_fsspec_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InvalidInput, match="fsspec"):
        remote.file_system("webdav://bucket/run")
