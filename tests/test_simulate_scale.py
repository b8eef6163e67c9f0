"""The simulation of many GPUs, small."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulate_scale import POPULATIONS, Simulation, durations, main, simulate

SMALL = Simulation(rounds=4, walk_iterations=3, epochs=1)


@pytest.mark.parametrize("name", ["random", "evolution", "walks"])
def test_without_barriers_gpus_are_busier(name: str) -> None:
    shares = []
    for lockstep in (True, False):
        options = POPULATIONS[name](10, SMALL, lockstep)
        found = simulate(options, 10, lockstep, SMALL)
        again = simulate(options, 10, lockstep, SMALL)
        assert found["utilisation"] == again["utilisation"]
        shares.append(found["utilisation"])
    assert shares[0] < shares[1] <= 1


def test_one_gpu_is_always_busy_and_dying_trials_are_tried_again() -> None:
    for failing, trials in ((0.0, 10), (0.4, 12)):
        sim = Simulation(rounds=10, epochs=1, failing=failing)
        found = simulate(POPULATIONS["random"](1, sim, False), 1, False, sim)
        assert found["utilisation"] == 1
        assert trials <= found["trials"] <= (30 if failing else 10)


def test_figure_and_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sim = replace(SMALL, out=tmp_path, walk_iterations=2)
    main(replace(sim, only=("walks/4", "two walks/2")))
    record = json.loads((tmp_path / "scale.json").read_text())
    assert list(record["cases"]) == ["walks/4", "two walks/2"]
    assert record["settings"]["seed"] == 0
    assert record["command"]
    assert (tmp_path / "scale.svg").stat().st_size > 1000
    assert "walks/4" in capsys.readouterr().out
    record["cases"]["walks/4"]["lockstep"]["trials"] = -1
    (tmp_path / "scale.json").write_text(json.dumps(record))
    for failing in (0.0, 0.5):  # what was asked for before is on record
        main(replace(sim, only=("walks/4",), failing=failing))
        cases = json.loads((tmp_path / "scale.json").read_text())["cases"]
        assert (cases["walks/4"]["lockstep"]["trials"] == -1) == (failing == 0)


def test_times_are_those_of_the_trials_of_a_study() -> None:
    lasts, rng = durations(Simulation(study="digits-default")), np.random.default_rng(0)
    drawn = {round(lasts(rng), 6) for _ in range(2000)}
    assert len(drawn) == 23  # its trials
    assert sum(drawn) / 23 == pytest.approx(1)
