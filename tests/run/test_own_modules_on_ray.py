"""The file of a space travels: to a worker on another node, and to a run that goes on alone."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from loopback import Loopback
from processes import wait_for

from fade_ray.records.journal import read_events

ROOT = Path(__file__).parent.parent.parent
HERE = {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
SEARCH = (
    *("--limit", "120", "--final-channels", "8", "--batch-size", "40", "--iterations", "1"),
    *("--walks", "1", "--rank-epochs", "4", "--evaluation-epochs", "1", "--retrain-epochs", "2"),
    *("--finalists", "1", "--confirmed", "0", "--baselines", "off", "--lockstep"),
)

pytestmark = pytest.mark.ray


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="every node has a loopback address of its own")
def test_the_file_of_a_space_travels_with_the_run(story: Callable[[Path], dict[str, Any]]) -> None:
    """It is gone when the first trial has begun, the driver is killed, and its record goes on."""
    call = [sys.executable, "-m", "fade_ray.cli", "search"]
    with TemporaryDirectory(prefix="fm", dir="/tmp") as place:
        base = Path(place)
        file, run, log = base / "mine.py", base / "run", base / "log"
        file.write_text((ROOT / "examples" / "own_modules.py").read_text())
        around: Any = {"cwd": base, "env": os.environ | HERE}
        asked = [*SEARCH, "--space", "mine.py"]
        plain = [*call, *asked, "--engine", "local", "--out", "plain"]
        subprocess.run(plain, **around, check=True, capture_output=True, timeout=300)

        def recorded(word: str, times: int) -> Callable[[], bool]:
            path = run / "records.jsonl"
            return lambda: path.exists() and path.read_text().count(f'"{word}"') >= times

        with Loopback(base, cpus=0) as cluster, log.open("wb") as to:
            cluster.add(environment=HERE)
            cluster.wait()
            around |= {"stdout": to, "stderr": subprocess.STDOUT}
            command = [*call, *asked, "--address", cluster.address, "--out", "run"]
            driver = subprocess.Popen(command, **around)
            try:
                wait_for(recorded("proposed", 1), 300, driver)
                file.unlink()
                wait_for(recorded("epoch", 2), 300, driver)
            finally:
                driver.kill()
                driver.wait(30)
                print(log.read_text())
            again = subprocess.run([*call, "--out", "run"], **around, timeout=400)
            assert again.returncode == 0, log.read_text()[-3000:]
        assert story(run) == story(base / "plain")
        nodes = [e["metrics"]["node"] for e in read_events(run / "records.jsonl") if "epoch" in e]
        assert {node.partition(" ")[0] for node in nodes} == {"127.0.0.3"}
        assert (run / "architectures" / "mine.py").exists()
