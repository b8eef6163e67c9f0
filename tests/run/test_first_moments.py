"""`fade-ray` ended in its first moments, while it imports what it needs: in words, too."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forked import ROOT, signals_as_usual
from runs import TINY_SEARCH

pytestmark = pytest.mark.ray

HOOK = """
import os, sys

name, number, driver = os.environ.pop("AT", None), int(os.environ.pop("SIGNAL", 0)), os.getpid()

def import_begins(event, details):
    global name
    if event == "import" and details[0] == name and os.getpid() == driver:
        name = None
        os.kill(driver, number)

if name is not None:
    sys.addaudithook(import_begins)
"""
"""A sitecustomize.py: the signal comes when the import of a module begins."""

SEARCH = ("search", *TINY_SEARCH, "--out", "run")
GOES_ON = "fade-ray search --out "


@pytest.mark.parametrize(
    ("number", "module", "command", "told"),
    [
        (signal.SIGINT, "tyro", ("--version",), "stopped"),
        (signal.SIGTERM, "numpy._core._multiarray_umath", ("status", "run"), "stopped"),
        (signal.SIGHUP, "networkx.classes", ("describe", "DARTS_V2"), "stopped"),
        (signal.SIGINT, "torch._C", ("describe", "DARTS_V2"), "stopped"),
        (signal.SIGTERM, "torch.nn.functional", SEARCH, "stopped"),
        pytest.param(
            *(signal.SIGINT, "sympy", (*SEARCH, "--engine", "local"), GOES_ON),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(signal.SIGINT, "ray._raylet", (*SEARCH, "--address", "local"), "stopped"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(signal.SIGINT, "ray.tune", (*SEARCH, "--address", "local"), GOES_ON),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_command_that_still_imports_ends_in_words(
    number: signal.Signals, module: str, command: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    around = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "AT": module,
        "SIGNAL": str(int(number)),
    }
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "fade_ray.cli", *command],
        cwd=tmp_path,
        env=around,
        capture_output=True,
        text=True,
        timeout=180,
        preexec_fn=signals_as_usual,
    )
    assert answer.returncode == 128 + number, answer.stderr
    assert told in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "ignored" not in answer.stderr
