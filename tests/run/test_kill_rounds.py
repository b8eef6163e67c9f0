"""The rounds of faults: how they are drawn and judged."""

from collections.abc import Mapping
from typing import Any

import pytest
from kill_rounds import FAULTS, compared, drawn, got_on, recorded, table

KINDS = tuple(FAULTS)


def test_a_round_is_its_seed_and_every_kind_has_its_turn() -> None:
    rounds = [drawn(seed, KINDS, 30) for seed in range(100)]
    assert rounds == [drawn(seed, KINDS, 30) for seed in range(100)]
    firsts = [{kind for _, kind in faults} for faults in rounds[: len(KINDS)]]
    assert set().union(*firsts) == set(KINDS)
    assert all(faults == sorted(faults) and 1 <= len(faults) <= 2 for faults in rounds)
    assert len({moment for faults in rounds for moment, _ in faults}) > 20


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
