"""The harness that holds two trees' bits against each other: what counts as the same."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from _bits_digest import Digest, digest
from check_bits import verdict
from safetensors.torch import save_file

EPOCH = {"event": "epoch", "loss": 0.125, "images": 4000, "weights": [[0.3, 0.7]], "seconds": 1.5}
WEIGHT = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def _digest(folder: Path, event: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Digest:
    run = folder / "run"
    (run / "weights").mkdir(parents=True)
    (run / "records.jsonl").write_text(json.dumps(event) + "\n")
    (run / "summary.csv").write_text(f"mean,peak_memory_mib\n{event['images'] / 3},812.5\n")
    save_file(dict(tensors), run / "weights" / "000.safetensors")
    return digest(run)


def test_times_and_memory_make_no_difference(tmp_path: Path) -> None:
    before = _digest(tmp_path / "a", EPOCH, {"w": WEIGHT})
    now = _digest(tmp_path / "b", {**EPOCH, "seconds": 2.5, "time": "later"}, {"w": WEIGHT})
    assert verdict(before, now).word == "identical"
    assert set(before.numbers) == {"0.125", "4000", "0.3", "0.7", repr(4000 / 3)}


def test_other_names_for_the_same_numbers(tmp_path: Path) -> None:
    before = _digest(tmp_path / "a", EPOCH, {"w": WEIGHT})
    renamed = {"event": "passed", "score": EPOCH["loss"], **EPOCH}
    now = _digest(tmp_path / "b", renamed, {"head.weight": WEIGHT})
    told = verdict(before, now)
    assert told.word == "same numbers"
    assert told.holds


def test_the_last_bit_of_a_number(tmp_path: Path) -> None:
    before = _digest(tmp_path / "a", EPOCH, {"w": WEIGHT})
    now = _digest(tmp_path / "b", {**EPOCH, "weights": [[0.30000000000000004, 0.7]]}, {"w": WEIGHT})
    told = verdict(before, now)
    assert not told.holds
    assert told.missing == {"0.3": "records.jsonl epoch.weights"}
    assert told.new == {"0.30000000000000004": "records.jsonl epoch.weights"}


def test_the_last_bit_of_a_tensor(tmp_path: Path) -> None:
    before = _digest(tmp_path / "a", EPOCH, {"w": WEIGHT})
    other = WEIGHT.clone()
    other[1, 1] = torch.nextafter(other[1, 1], torch.tensor(5.0))
    told = verdict(before, _digest(tmp_path / "b", EPOCH, {"w": other}))
    assert list(told.missing.values()) == ["weights/000.safetensors w torch.float32 (2, 2)"]


def test_numbers_that_may_differ_are_named_with_their_reason(tmp_path: Path) -> None:
    before = _digest(tmp_path / "a", EPOCH, {"w": WEIGHT})
    now = _digest(tmp_path / "b", {**EPOCH, "loss": 0.25}, {"w": WEIGHT})
    told = verdict(before, now, (("records.jsonl epoch.loss", "another unit"),))
    assert (told.word, told.reasons) == ("allowed", ("another unit",))
    assert not verdict(before, now, (("summary.csv", "two-sided now"),)).holds
