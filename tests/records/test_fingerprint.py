"""Data are told apart by what is in them, wherever they lie."""

import os
import shutil
from pathlib import Path

import pytest

from fade_ray.records.fingerprint import BLOCK, QUICK, THOROUGH, contents

SMALL = THOROUGH._replace(files=8, sample=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures in each of four class folders."""
    for name in "abcd":
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "data" / name / f"{number}.png").write_bytes(f"{name}{number}".encode())
    return tmp_path / "data"


def test_a_copy_is_the_same_wherever_and_whenever(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    os.utime(tmp_path / "elsewhere" / "a" / "0.png", (1, 1))
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    told = {contents(path) for path in (folder, tmp_path / "elsewhere", tmp_path / "link")}
    assert len(told) == 1
    assert told.pop().startswith("a folder of 12 files (fingerprint ")


def test_every_change_is_seen(folder: Path) -> None:
    seen = [contents(folder)]

    def changed() -> bool:
        seen.append(contents(folder))
        return len(set(seen)) == len(seen)

    first, second = folder / "a" / "0.png", folder / "b" / "0.png"
    first.write_bytes(b"A0")  # of the same size
    assert changed()
    first.rename(folder / "a" / "other.png")
    assert changed()
    shutil.move(folder / "a" / "other.png", folder / "c" / "other.png")  # another class
    assert changed()
    second.unlink()
    assert changed()
    second.symlink_to("/nowhere")
    assert changed()
    (folder / "train.parquet").write_bytes(b"")
    assert changed()


def test_what_no_reader_reads_does_not_count(folder: Path) -> None:
    before = contents(folder)
    (folder / "README.md").write_text("Pictures.")
    (folder / "a" / ".hidden").write_text("no picture")
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "objects" / "0").write_bytes(b"0")
    assert contents(folder) == before


def test_of_many_files_all_names_and_some_contents_count(folder: Path) -> None:
    before = contents(folder, SMALL)
    assert "of 12 files (fingerprint of all names and 4 contents " in before
    # files 0, 4, 8 and so on are read
    (folder / "a" / "0.png").write_bytes(b"A0")
    assert contents(folder, SMALL) != before
    (folder / "a" / "0.png").write_bytes(b"a0")
    (folder / "a" / "1.png").write_bytes(b"longer")
    assert contents(folder, SMALL) == before
    (folder / "a" / "1.png").rename(folder / "a" / "9.png")
    assert contents(folder, SMALL) != before


def test_of_a_large_file_nodes_read_blocks_and_the_driver_all(tmp_path: Path) -> None:
    path, effort = tmp_path / "large", QUICK._replace(blocks=3)
    path.write_bytes(bytes(10 * BLOCK))
    quick, thorough = contents(path, effort), contents(path)
    assert "(fingerprint of 3 MiB " in quick
    for place, seen in ((0, True), (2 * BLOCK, False), (5 * BLOCK, True), (10 * BLOCK - 1, True)):
        path.write_bytes(bytes(place) + b"1" + bytes(10 * BLOCK - place - 1))
        assert (contents(path, effort) != quick) is seen
        assert contents(path) != thorough
    path.write_bytes(bytes(BLOCK) + b"1")  # no more than its blocks: in full
    assert contents(path, effort) == contents(path)


def test_nothing_is_called_so(tmp_path: Path) -> None:
    assert contents(tmp_path / "no") == "nothing"
    (tmp_path / "file").touch()
    assert contents(tmp_path / "file" / "no").startswith("nothing that can be read (")


def test_names_that_are_no_text_have_a_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/d\xe4ta.png")).write_bytes(b"1")
    assert contents(tmp_path).startswith("a folder of 1 files")


def test_texts_count_beside_no_folders(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text("a b\nc\n")
    (tmp_path / "readme.txt").write_text("about it")
    before = contents(tmp_path)
    assert before.startswith("a folder of 3 files")
    (tmp_path / "ptb.valid.txt").write_text("a b\nd\n")
    assert contents(tmp_path) != before
