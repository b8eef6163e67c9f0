"""What TensorBoard reads of a run: the records that tensorboardX writes, with nothing kept open."""

import os
import struct
import threading
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from fade_ray.records.history import TrialHistory
from fade_ray.run.tensorboard import PLAIN, ROWS, EpochBoard, RunBoard, TensorBoard
from searchers import Outcome, Proposal
from spaces.dag import Dag
from spaces.hyper import HyperArchitecture

CELL = HyperArchitecture(((Dag(3, ((0, 1), (1, 2))),),))


def trial(number: int) -> Proposal:
    return Proposal(f"{number:05d}", "evaluation", CELL, number, epochs=3)


def records(folder: Path) -> list[Any]:
    """(file version, step, {tag: value}) of each record of the one file in `folder`, checked."""
    (path,) = folder.iterdir()
    assert path.name.startswith("events.out.tfevents.")
    data, events = path.read_bytes(), []
    while data:
        (length,), (check,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        body, (end,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        assert (check, end) == (masked_crc32c(data[:8]), masked_crc32c(body))
        event, data = Event.FromString(body), data[16 + length :]
        assert event.wall_time > 1e9
        shown = {value.tag: value.simple_value for value in event.summary.value}
        events.append((event.file_version, event.step, shown))
    return events


def test_scalars_of_each_trial_are_in_a_folder_of_its_own(tmp_path: Path) -> None:
    board, one, other = TensorBoard(tmp_path / "ours", PLAIN), trial(0), trial(1)
    board.proposed(one)
    board.proposed(other)
    board.epoch(other, 1, {"loss": 4.0})
    for epoch in (1, 2):
        board.epoch(one, epoch, {"loss": 1 / epoch, "accuracy": float("nan"), "other": 3})
    board.epoch(one, 3, {"accuracy": None})
    board.finished(one, Outcome(score=0.75), {})
    writer = SummaryWriter(str(tmp_path / "theirs"))
    for tag, value, epoch in (
        ("loss/weights", 1.0, 1),
        ("loss/weights", 0.5, 2),
        ("accuracy/valid", 0.75, 3),
    ):
        writer.add_scalar(tag, value, epoch)
    writer.close()
    ours = records(tmp_path / "ours" / "00000-evaluation")
    assert ours == records(tmp_path / "theirs")
    assert ours[0] == ("brain.Event:2", 0, {})
    assert records(tmp_path / "ours" / "00001-evaluation")[1:] == [("", 1, {"loss/weights": 4.0})]


def test_a_thousand_running_trials_hold_no_file_and_no_thread(tmp_path: Path) -> None:
    def held() -> tuple[int, int]:
        return len(os.listdir("/dev/fd")), threading.active_count()

    board = TensorBoard(tmp_path, PLAIN)
    board.proposed(trial(0))
    before = held()
    for number in range(1, 1000):
        board.proposed(trial(number))
    assert all(now <= then for now, then in zip(held(), before, strict=True))


def test_candidates_are_named_by_their_graphs(tmp_path: Path) -> None:
    chain, single = Dag(2, ((0, 1),)), Dag(1, ())
    hyper = HyperArchitecture(((chain, single, chain),))
    board, plan = TensorBoard(tmp_path, ROWS), Proposal("1", "ranks", hyper, 0, epochs=1)
    board.proposed(plan)
    board.epoch(plan, 1, {"weights": [[0.25, 0.75]], "entropy": [0.5]})
    ((_, _, shown),) = records(tmp_path / "1-ranks")[1:]
    weights = {f"weights_row_1/{chain.code}": 0.25, f"weights_row_1/{single.code}": 0.75}
    assert shown == weights | {"entropy/row_1": 0.5}


def test_what_was_tried_stands_beside_what_it_came_to(tmp_path: Path) -> None:
    """As tensorboardX itself writes it."""
    tried = {"vertices 1": 3, "kind": "evaluation"}
    board = TensorBoard(tmp_path / "ours", PLAIN, lambda plan: tried)
    board.proposed(trial(0))
    board.finished(trial(0), Outcome(score=0.75), {})
    with SummaryWriter(str(tmp_path / "theirs")) as writer:
        writer.add_hparams(tried, {"accuracy/valid": 0.75}, name="one")

    def plugins(folder: Path) -> list[bytes]:
        (path,) = folder.iterdir()
        data, found = path.read_bytes(), []
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event, data = Event.FromString(data[12 : 12 + length]), data[16 + length :]
            found += [
                v.metadata.plugin_data.content
                for v in event.summary.value
                if v.metadata.plugin_data.content
            ]
        return found

    ours = plugins(tmp_path / "ours" / "00000-evaluation")
    assert len(ours) == 3
    assert ours == plugins(tmp_path / "theirs" / "one")


def test_the_run_as_a_whole_goes_on_where_the_record_ends(tmp_path: Path) -> None:
    history = TrialHistory[Any]()
    history.outcomes = {"00000": Outcome(score=0.5), "00001": Outcome.failed("crashed", "no")}
    board = RunBoard(tmp_path, history, ("size",))
    board.iteration(1, [[[0.25], [0.5]]])
    board.finished(trial(2), Outcome(score=0.25), {})
    board.finished(trial(3), Outcome(score=0.75), {})
    told = {"trials/done": 2.0, "trials/failed": 1.0}
    assert records(tmp_path / "run")[1:] == [
        ("", 1, {"anchors_size/walk_1_row_1": 0.25, "anchors_size/walk_1_row_2": 0.5}),
        ("", 3, {"best/score": 0.5, **told}),
        ("", 4, {"best/score": 0.75, **told, "trials/done": 3.0}),
    ]


def test_a_run_of_one_training_has_its_epochs(tmp_path: Path) -> None:
    EpochBoard(tmp_path).epoch(None, 2, {"loss": 0.5, "test_accuracy": 0.25, "images": 9})
    assert records(tmp_path / "run")[1:] == [("", 2, {"loss/weights": 0.5, "accuracy/test": 0.25})]
