"""The rounds of faults: how they are drawn and judged, and one of each kind, played."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kill_rounds import DRAWN, FAULTS, TEN, compared, drawn, got_on, recorded, table

pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[2]


def test_a_round_is_its_seed_and_every_kind_has_its_turn() -> None:
    rounds = [drawn(seed, DRAWN, 30) for seed in range(100)]
    assert rounds == [drawn(seed, DRAWN, 30) for seed in range(100)]
    firsts = [{kind for _, kind in faults} for faults in rounds[: len(DRAWN)]]
    assert set().union(*firsts) == set(DRAWN)
    assert all(faults == sorted(faults) and 1 <= len(faults) <= 2 for faults in rounds)
    assert len({moment for faults in rounds for moment, _ in faults}) > 20
    ten = [{kind for _, kind in drawn(seed, DRAWN, 30)} for seed in range(100, 110)]
    assert ten == [set(kinds) for kinds in TEN]
    assert set().union(*ten) == set(FAULTS)


def epoch(id: str, number: int, second: int, loss: float) -> dict[str, Any]:
    metrics = {"loss": loss, "seconds": second, "node": str(second)}
    time = f"2030-01-01T00:00:{second:02d}.000+00:00"
    return {"event": "epoch", "time": time, "id": id, "epoch": number, "metrics": metrics}


def proposed(id: str) -> dict[str, Any]:
    at = "2030-01-01T00:00:00.000+00:00"
    return {"event": "proposed", "time": at, "proposal": {"id": id, "seed": 1}}


def finished(id: str, second: int, score: float) -> dict[str, Any]:
    outcome, time = {"score": score}, f"2030-01-01T00:00:{second:02d}.000+00:00"
    return {"event": "finished", "time": time, "id": id, "outcome": outcome, "metrics": {}}


PLAIN = [proposed("a"), proposed("b"), epoch("a", 1, 1, 0.5), finished("a", 2, 0.9)]
PLAIN += [epoch("b", 1, 3, 0.4), finished("b", 4, 0.8)]


@pytest.mark.parametrize(
    ("other", "lost", "twice", "differing"),
    [
        ([*PLAIN[:2], epoch("a", 1, 7, 0.5), *PLAIN[3:]], 0, 0, 0),  # elsewhere, at another time
        (PLAIN[:-1], 1, 0, 0),
        ([*PLAIN, finished("b", 5, 0.8)], 0, 1, 0),
        ([*PLAIN[:-1], finished("b", 4, 0.7)], 0, 0, 1),
        ([*PLAIN[:2], epoch("a", 1, 1, 0.6), *PLAIN[3:]], 0, 0, 1),
        ([*PLAIN[:2], *PLAIN[3:]], 0, 0, 1),
        ([*PLAIN, proposed("c")], 0, 0, 1),
    ],
)
def test_a_record_is_compared_with_an_undisturbed_one(
    other: list[Mapping[str, Any]], lost: int, twice: int, differing: int
) -> None:
    told = compared(recorded(PLAIN), recorded(other))
    assert told == {"lost": lost, "twice": twice, "differing": differing}


def test_a_run_has_got_on_when_all_that_was_open_has() -> None:
    noon = 1893456000.0  # seconds of 2030-01-01
    assert got_on(PLAIN, noon + 0.5) == 2.5  # b's epoch
    assert got_on(PLAIN, noon + 3.5) == 0.5
    assert got_on(PLAIN, noon + 5) is None


def test_the_table_counts_by_kind() -> None:
    faults = [{"kind": "node lost", "seconds": 3.0}, {"kind": "driver killed", "seconds": None}]
    counts = {"lost": 0, "twice": 0, "differing": 1, "repeated": 2}
    rows = list(table([{"round": 0, "faults": faults, **counts}, {"round": 1, "faults": []}]))
    assert rows[0] == ["node lost", "1", "1", "0", "0", "1", "2", "3", "3"]
    assert rows[1][-2:] == ["-", "-"]
    assert rows[-1][:7] == ["together", "2", "2", "0", "0", "1", "2"]


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Those in which each kind has its turn, played once."""
    out = tmp_path_factory.mktemp("kills") / "kills.jsonl"
    call = [sys.executable, str(ROOT / "scripts" / "kill_rounds.py"), "--out", str(out)]
    said = subprocess.run(
        [*call, "--rounds", "100", "110"], capture_output=True, text=True, timeout=1500
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return [json.loads(line) for line in out.read_text().splitlines()]


def of_kind(rounds: list[dict[str, Any]], kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fault, and the round it was in."""
    return next((fault, row) for row in rounds for fault in row["faults"] if fault["kind"] == kind)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_fault_leaves_the_record_of_an_undisturbed_run(rounds: list[dict[str, Any]]) -> None:
    assert {fault["kind"] for row in rounds for fault in row["faults"]} == set(FAULTS)
    for row in rounds:
        assert (row["lost"], row["twice"], row["differing"]) == (0, 0, 0), row
        assert row["repeated"] <= 2 * len(row["faults"]), row  # as many trials as run at once
        assert row["checkpoints"] == 0, row


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_kind_of_fault_is_met_as_it_should_be(rounds: list[dict[str, Any]]) -> None:
    killed, _ = of_kind(rounds, "head killed")
    assert (killed["code"], killed["words"]) == (2, True)  # it says how to go on
    assert of_kind(rounds, "node joins")[0]["used"]
    frozen, row = of_kind(rounds, "node frozen until it is given up")
    assert frozen["given_up"]
    assert row["restarts"]["node lost"] >= 1
    for kind in ("replaced by one without the package", "replaced by one with other source"):
        assert of_kind(rounds, kind)[0]["asked"]
    for kind in ("worker told to leave", "node told to leave"):  # which is no crash
        assert "worker lost" not in of_kind(rounds, kind)[1]["restarts"]
