"""The script for a GPU, on the CPU: what it says of broken parts, and that it always says all."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import _gpu_sections
import pytest
import torch
from _gpu_agreement import FAMILIES, Case
from _gpu_runs import window
from _gpu_sections import FAILED, FIGURE, NOT_RUN, OK, Check, Machine, judged, kernels
from check_gpu import CUT, ENDED, RAISED, SECTIONS, SKIPPED, Section, carry_out, main, parse

from fade_ray.nn import OPERATIONS
from fade_ray.nn.operations import Identity
from fade_ray.nn.sums import Source, Term


class Broken(Identity):
    """Off by a thousandth in float32, as a kernel of a device might be."""

    def forward(self, source: Source, term: Term) -> None:
        y = source.value
        term.add(y * 1.001 if y.dtype == torch.float32 else y)


def _only(monkeypatch: pytest.MonkeyPatch, family: str, *names: str) -> None:
    """Compare these cases alone."""
    cases = {name: FAMILIES[family](Machine("cpu", Path()).size)[name] for name in names}
    monkeypatch.setattr(_gpu_sections, "FAMILIES", {family: lambda size: cases})


def test_a_broken_operation_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "skip_connect", lambda build: Broken())
    _only(monkeypatch, "operations", "skip_connect, stride 1", "max_pool_3x3, stride 2")
    verdicts = {check.what: check.verdict for check in kernels(Machine("cpu", tmp_path))}
    assert verdicts["operations: skip_connect, stride 1, float64"] == OK
    assert verdicts["operations: skip_connect, stride 1, float32"] == FAILED
    assert verdicts["operations: max_pool_3x3, stride 2, float32"] == OK
    assert (verdicts["operations, float32"], verdicts["operations, float64"]) == (FAILED, OK)


def test_a_kernel_that_raises_is_reported_and_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(place, dtype):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with")

    (adam,) = (case for name, case in FAMILIES["optimisers"](None).items() if name == "Adam")
    cases = {"lost": Case(lost, 1), "adam": adam}
    monkeypatch.setattr(_gpu_sections, "FAMILIES", {"some": lambda size: cases})
    first, *rest = kernels(Machine("cpu", tmp_path))
    assert (first.what, first.verdict) == ("some: lost", FAILED)
    assert first.note == "RuntimeError: CUDA error: an illegal memory access was encountered"
    assert [check.verdict for check in rest] == [OK] * 4


def test_a_value_that_is_no_number_fails() -> None:
    assert judged("loss", float("nan"), 1.0).verdict == FAILED


def _fine(machine: Machine) -> Iterator[Check]:
    yield Check("size", machine.size.batch)
    yield judged("gap", 1e-9, 1e-7)


def _raises(machine: Machine) -> Iterator[Check]:
    yield Check("before", 1)
    raise ValueError("the reason\nand more")


def _endless(machine: Machine) -> Iterator[Check]:
    yield Check("before", float("inf"))
    threading.Event().wait()


def _dies(machine: Machine) -> Iterator[Check]:
    yield Check("before", 1)
    os._exit(7)


ALL = {
    "raises": Section(_raises, 30),
    "endless": Section(_endless, 1),
    "dies": Section(_dies, 30),
    "fine": Section(_fine, 30),
}


def test_a_section_that_does_not_end_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    out, seen = tmp_path / "gpu.json", []

    def show(name, told) -> None:
        assert list(json.loads(out.read_text())["sections"])[-1] == name  # written after each
        seen.append(name)

    results = carry_out(ALL, "cpu", 100, out, show)
    assert seen == list(ALL)
    assert [told.ending for told in results.values()] == [RAISED, CUT, RAISED, ENDED]
    assert [told.holds for told in results.values()] == [False, False, False, True]
    assert results["raises"].note == "ValueError: the reason"
    assert results["dies"].note == "the process ended with 7"
    assert all(told.checks for told in results.values())
    record = json.loads(out.read_text())
    assert not record["holds"]
    assert record["sections"]["endless"]["checks"][0]["value"] == "inf"
    assert record["sections"]["fine"]["checks"][1]["verdict"] == OK


def test_what_the_budget_does_not_reach_is_said(tmp_path: Path) -> None:
    results = carry_out({"fine": ALL["fine"]}, "cpu", 2, tmp_path / "gpu.json")
    assert (results["fine"].ending, results["fine"].holds) == (SKIPPED, False)
    assert "budget of 2 s" in results["fine"].note


def test_the_limits_and_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    given = parse(["--out", "x.json"])
    assert (given.device, given.budget, given.sections) == ("cuda", 360, list(SECTIONS))
    with pytest.raises(SystemExit):
        parse(["--out", "x.json", "--sections", "kernel"])
    assert "kernels" in capsys.readouterr().err


def test_the_window_of_a_record_is_that_of_its_evaluations() -> None:
    def at(second: int, event: str, id: str, **fields) -> dict:
        time = f"2026-01-01T00:00:{second:02}.000+00:00"
        return {"event": event, "time": time, "id": id, **fields}

    ids = [f"{i}" for i in range(4)]
    record = [at(0, "proposed", "", proposal={"id": i, "kind": "evaluation"}) for i in ids]
    record += [at(0, "proposed", "", proposal={"id": "9", "kind": "retraining"})]
    record += [at(12 + int(i), "epoch", i, metrics={"seconds": 2.0}) for i in ids]
    record += [at(20 + int(i), "finished", i, outcome={"score": 0.5}) for i in ids]
    record += [at(59, "finished", "9", outcome={})]
    assert window(record) == 13  # from 10 to 23
    with pytest.raises(ValueError, match="Four evaluations"):
        window(record[:-2])


def test_a_short_run_prints_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECTIONS, "kernels", replace(SECTIONS["kernels"], checks=_fine))
    out = tmp_path / "gpu.json"
    asked = ["--device", "cpu", "--sections", "kernels", "environment", "--out", str(out)]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert printed.index("environment") < printed.index("kernels")  # in the order of the table
    assert "1e-09" in printed
    assert NOT_RUN in printed
    assert json.loads(out.read_text())["sections"]["environment"]["ending"] == ENDED


@pytest.mark.slow
def test_the_sections_on_the_cpu(tmp_path: Path) -> None:
    """But for synchronisations, which `training/test_crossings.py` looks at one by one."""
    out, names = tmp_path / "gpu.json", [name for name in SECTIONS if name != "synchronisations"]
    asked = ["--device", "cpu", "--budget", "900", "--patience", "5", "--out", str(out)]
    assert main([*asked, "--sections", *names]) == 0
    record = json.loads(out.read_text())["sections"]
    assert {name: told["note"] for name, told in record.items() if told["ending"] != ENDED} == {}
    checks = [check for told in record.values() for check in told["checks"]]
    assert [check for check in checks if check["verdict"] == FAILED] == []
    assert {check["verdict"] for check in checks} == {OK, FIGURE, NOT_RUN}
