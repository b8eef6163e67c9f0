"""The append-only record: what survives a kill, what is read back, what a history makes of it."""

import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import SyntheticRun

from fade_ray.records.journal import FORMAT, Journal, plain, read_events
from fade_ray.records.standings import Cost
from fade_ray.search.search_history import History
from searchers.outcome import Outcome
from spaces.dag import Dag
from spaces.errors import InvalidInput
from spaces.hyper import HyperArchitecture


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def architecture(depth: int = 2) -> HyperArchitecture:
    return HyperArchitecture(((Dag(3, ((0, 1), (1, 2))),),) * depth)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def test_events_come_back_in_order_with_the_time(path: Path) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    with Journal(path) as journal:
        journal.append("start", format=FORMAT, resumed=False)
        journal.append("warning", id=None, message="rows are near uniform: α = 0.2\nsecond line")
    first, second = read_events(path)
    assert first["event"] == "start"
    assert second["message"] == "rows are near uniform: α = 0.2\nsecond line"
    times = [datetime.fromisoformat(event["time"]) for event in (first, second)]
    assert before <= times[0] <= times[1] <= datetime.now(UTC)


def test_reopening_appends(path: Path) -> None:
    for resumed in (False, True):
        with Journal(path) as journal:
            journal.append("start", format=FORMAT, resumed=resumed)
    assert [event["resumed"] for event in read_events(path)] == [False, True]


def test_numbers_that_json_does_not_know_become_null(path: Path) -> None:
    metrics = {
        "loss": math.nan,
        "weights": np.array([[0.5, np.inf]]),
        "epoch": np.int64(3),
        "flag": np.bool_(True),
    }
    with Journal(path) as journal:
        journal.append("epoch", id="00000", epoch=1, metrics=metrics)
    (line,) = lines(path)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    event = json.loads(line, parse_constant=refuse)
    assert event["metrics"] == {"loss": None, "weights": [[0.5, None]], "epoch": 3, "flag": True}


def test_a_value_without_a_json_form_is_refused_before_anything_is_written(path: Path) -> None:
    with Journal(path) as journal, pytest.raises(TypeError, match="object"):
        journal.append("epoch", id="00000", epoch=1, metrics={"model": object()})
    assert path.read_bytes() == b""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_plain_data_is_json_and_stays_what_it_is(value: object) -> None:
    once = plain(value)
    assert json.loads(json.dumps(once, allow_nan=False)) == once
    assert plain(once) == once


def test_a_line_torn_at_any_byte_is_left_out_and_then_cut_off(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("start", format=FORMAT, resumed=False)
        journal.append("epoch", id="00000", epoch=1, metrics={"loss": 0.25})
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        path.with_name(".records.jsonl.kept").write_text(str(first))
        assert [event["event"] for event in read_events(path)] == ["start"]
        with Journal(path) as journal:
            journal.append("warning", id=None, message="continued")
        assert [event["event"] for event in read_events(path)] == ["start", "warning"]


def test_a_torn_line_longer_than_a_block_is_cut_off(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("start", format=FORMAT, resumed=False)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "epoch", "metrics": "' + b"x" * 200_000)
    Journal(path).close()
    assert path.read_bytes() == whole


WRITER = """
import sys
from fade_ray.records.journal import Journal
journal = Journal(sys.argv[1])
number = int(sys.argv[2])
while True:
    event = "epoch" if number % 3 else "warning"
    journal.append(event, number=number, padding="x" * (number % 7 * 3000))
    print(number, flush=True)
    number += 1
"""


def test_every_line_acknowledged_before_a_kill_survives(path: Path) -> None:
    start = 0
    for stop in (5, 40, 41):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(start)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = -1
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged >= start + stop:
                break
        writer.kill()
        rest = writer.communicate()[0].split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        numbers = [event["number"] for event in read_events(path)]
        assert numbers == list(range(len(numbers))), (
            "no line lost, none twice, none torn in the middle"
        )
        assert len(numbers) > acknowledged
        start = len(numbers)


def test_corruption_before_the_end_names_file_and_line(path: Path) -> None:
    with Journal(path) as journal:
        for iteration in range(3):
            journal.append("iteration", iteration=iteration, anchors=[])
    good = lines(path)
    for bad in (b"not json", b"[1, 2]", b'{"event": "start"}', b"\x00\x00", b""):
        path.write_bytes(b"\n".join([good[0], bad, good[2], b""]))
        with pytest.raises(InvalidInput, match=r"line 2 of .*records\.jsonl"):
            read_events(path)


def test_another_format_is_refused(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("start", format=FORMAT + 1, resumed=False)
    with pytest.raises(InvalidInput, match=f"format {FORMAT + 1}"):
        read_events(path)


def test_missing_file_and_unwritable_directory_are_said_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can be read, but"):
        read_events(tmp_path / "records.jsonl")
    with pytest.raises(InvalidInput, match="must be writable"):
        Journal(tmp_path / "missing" / "records.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_said_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").symlink_to("/dev/full")
    journal = Journal(tmp_path / "records.jsonl")
    with pytest.raises(InvalidInput, match="Free space"):
        journal.append("warning", id=None, message="lost")


def test_a_line_half_written_when_the_disk_filled_up_is_taken_back(path: Path) -> None:
    """A file size limit stands for the full disk: the first bytes of a long line still fit."""
    script = """
import resource, signal, sys
from fade_ray.records.journal import Journal
from spaces.errors import InvalidInput
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(sys.argv[1])
journal.append("warning", id=None, message="fits")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    journal.append("warning", id=None, message="x" * 10_000)
except InvalidInput:
    journal.append("warning", id=None, message="fits again")
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert [event["message"] for event in read_events(path)] == ["fits", "fits again"]


def test_history_of_a_whole_search(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, depth=3, walks=2).search(4).end(0.9)
    history = History.read(tmp_path / "records.jsonl")
    assert list(history.proposals) == sorted(history.proposals)
    assert len(history.proposals) == run.index == 4 * 2 + 2 * 2 + 1
    assert history.trials == {"done": 13, "failed": 0, "retried": 0}
    assert history.in_flight == ()
    assert sorted(history.anchors) == [0, 1, 2, 3, 4]
    assert np.shape(history.anchors[4]) == (2, 3, 3)
    assert (history.ended, history.resumed, history.training_share) == (True, 0, 0.87)
    assert [e.iteration for e in history.evaluations] == [2, 2, 4, 4]
    assert run.best is not None
    assert history.best is not None
    assert history.best.score == run.best[0]
    assert set(history.epochs["00000"]) == {1, 2, 3, 4, 5}
    told = history.outcomes["00000"].log_weights
    assert told is not None
    assert [len(row) for row in told] == [7, 7, 7]
    expected = Cost(
        images=sum(m["images"] for m in history.metrics.values()),
        multiply_adds=sum(m["multiply_adds"] for m in history.metrics.values()),
        seconds=pytest.approx(sum(m["seconds"] for m in history.metrics.values())),
        trial_seconds=pytest.approx(sum(m["trial_seconds"] for m in history.metrics.values())),
    )
    assert history.cost == expected


def test_failed_retried_and_open_trials(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    first = run.propose("evaluation", 1, architecture())
    run.fail(first, "NaN loss in epoch 2 at learning rate 0.001")
    again = run.propose("evaluation", 1, architecture(), index=first.index, attempt=1)
    run.finish(again, Outcome(score=0.5))
    waiting = run.propose("ranks", 1, architecture())
    history = History.read(tmp_path / "records.jsonl")
    assert history.trials == {"done": 1, "failed": 1, "retried": 1}
    assert history.in_flight == (waiting.id,)
    assert [e.id for e in history.evaluations] == [again.id]
    assert again.id == first.id + "r1"


def test_after_a_resume_the_last_report_of_an_epoch_counts_and_the_first_outcome_of_a_trial(
    tmp_path: Path,
) -> None:
    run = SyntheticRun(tmp_path)
    proposal = run.propose("evaluation", 1, architecture())
    for loss in (3.0, 2.0):
        run.journal.append("epoch", id=proposal.id, epoch=1, metrics={"loss": loss})
        run.journal.append("warning", id=proposal.id, message="near chance")
    run.journal.append("start", format=FORMAT, resumed=True)
    run.finish(proposal, Outcome(score=0.5), images=100, seconds=1.0)
    run.finish(proposal, Outcome(score=0.9), images=100, seconds=1.0)
    history = History.read(tmp_path / "records.jsonl")
    assert history.epochs[proposal.id] == {1: {"loss": 2.0}}
    assert history.outcomes[proposal.id].score == 0.5
    assert history.cost.images == 100
    assert history.warnings == [(proposal.id, "near chance")]
    assert history.resumed == 1


def test_best_takes_the_lower_id_among_equals(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    proposals = [run.propose("evaluation", 1, architecture()) for _ in range(3)]
    for proposal, accuracy in reversed(list(zip(proposals, (0.4, 0.7, 0.7), strict=True))):
        run.finish(proposal, Outcome(score=accuracy))
    best = History.read(tmp_path / "records.jsonl").best
    assert best is not None
    assert best.id == proposals[1].id


def test_a_weight_of_zero_survives_the_record(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    proposal = run.propose("ranks", 1, HyperArchitecture(((Dag(3), Dag(2)),)))
    run.finish(proposal, Outcome(log_weights=((0.0, -math.inf),)))
    assert History.read(tmp_path / "records.jsonl").outcomes[proposal.id].log_weights == (
        (0.0, -math.inf),
    )


def test_events_that_do_not_follow_are_refused(path: Path) -> None:
    outcome = Outcome(score=0.5).to_dict()
    for event in (
        {"event": "finished", "id": "00007", "outcome": outcome},
        {"event": "proposed"},
        {"event": "epoch"},
    ):
        with pytest.raises(InvalidInput, match="event 1"):
            History([{**event, "time": "2026-01-01T00:00:00+00:00"}])


def test_a_record_without_events_is_an_empty_history(path: Path) -> None:
    Journal(path).close()
    assert os.path.getsize(path) == 0
    history = History.read(path)
    assert (history.evaluations, history.best, history.in_flight, history.cost) == (
        [],
        None,
        (),
        Cost(),
    )
    assert history.trials == {"done": 0, "failed": 0, "retried": 0}


def test_what_was_acknowledged_is_whole_or_named(path: Path) -> None:
    """Cut anywhere, or with any byte another one: an error, or the very events."""
    with Journal(path) as journal:
        journal.append("start", format=FORMAT, resumed=False)
        journal.append("warning", id="00000", message="said")
    whole, events = path.read_bytes(), read_events(path)
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [
        whole[:at] + bytes([byte ^ 1 << at % 8]) + whole[at + 1 :] for at, byte in enumerate(whole)
    ]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=r"records\.jsonl"):
            read_events(path)
    path.write_bytes(whole)
    assert read_events(path) == events


def test_what_the_disk_made_of_lines_that_were_not_acknowledged_is_left_out(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("start", format=FORMAT, resumed=False)
        kept = path.read_bytes()
        for epoch in (1, 2):
            journal.append("epoch", id="00000", epoch=epoch, metrics={})
    lines = path.read_bytes()[len(kept) :]
    path.write_bytes(kept + bytes(20) + lines[20:])
    assert [event["event"] for event in read_events(path)] == ["start"]
    with Journal(path) as journal:
        journal.append("warning", message="continued")
    assert path.read_bytes().startswith(kept + b'{"event": "warning"')


def test_lines_of_a_driver_that_was_followed_unawares_are_left_out(path: Path) -> None:
    with Journal(path) as frozen:
        frozen.append("start", format=FORMAT, resumed=False)
        with Journal(path) as slow, Journal(path) as journal:
            journal.append("start", format=FORMAT, resumed=True)
            frozen.append("warning", message="too late")
            slow.append("start", format=FORMAT, resumed=True, of="slow")
            slow.append("warning", message="too late")
            journal.append("warning", message="second")
    assert [event.get("message") for event in read_events(path)] == [None, None, "second"]
