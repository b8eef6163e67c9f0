"""Programs in processes that have imported everything already: forked, where one that is started
takes seconds to import it. They share the seed of their hashes, else all is as from a shell.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for package in ("fade_ray", "searchers", "spaces")
    for path in sorted((ROOT / package).rglob("[!_]*.py"))
]
BEHIND = ("ray.tune", "sklearn.datasets", "torch._dynamo")
"""What they import at their first trial."""
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([*MODULES, *BEHIND])


def signals_as_usual() -> None:
    """A job started in the background of a script has Ctrl-C switched off, one under `nohup` the
    hang-up, and would hand that down.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _carry_out(
    words: Sequence[str], log: str, folder: str, around: Mapping[str, str], address: str | None
) -> None:
    signals_as_usual()
    os.environ.clear()
    os.environ.update(around)
    os.chdir(folder)
    written = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.dup2(written, 1), os.dup2(written, 2)
    import fade_ray.cli

    assert Path(fade_ray.cli.__file__).is_relative_to(ROOT)  # this source tree, not another one
    if address is not None:
        from fade_ray.run.find_cluster import imported_ray

        imported_ray(verbose=False).init(address=address, log_to_driver=False)
    sys.argv = list(words)
    if words[0] == "fade-ray":
        fade_ray.cli.main()
    else:
        runpy.run_path(words[0], run_name="__main__")


class Forked:
    """A running `fade-ray ARGUMENTS` or `SCRIPT ARGUMENTS`, with what is used of
    `subprocess.Popen`. What it prints is appended to the file `log`; `address`: of a cluster that
    it is connected to before.
    """

    def __init__(
        self,
        words: Sequence[str],
        log: Path,
        folder: Path | None = None,
        around: Mapping[str, str] = os.environ,
        address: str | None = None,
    ) -> None:
        asked = list(words), str(log), str(folder or Path.cwd()), dict(around), address
        self._process = FORKS.Process(target=_carry_out, args=asked)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, of one that a signal ended the negative number; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        """Raises subprocess.TimeoutExpired."""
        self._process.join(seconds)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("fade-ray", seconds)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
