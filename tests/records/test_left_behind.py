"""What a process leaves that is killed while it writes."""

import signal
import subprocess
import sys
from pathlib import Path

from fade_ray.records.remote import remove

DIES = """
import os, signal, sys
from pathlib import Path
from fade_ray.records.atomic import write_atomically
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path(sys.argv[1]), b"whole")
"""


def test_a_file_that_is_removed_takes_what_was_half_written_of_it_along(tmp_path: Path) -> None:
    checkpoint, other = tmp_path / "0[1].pt", tmp_path / ".0[1].pts.7"
    other.write_text("another file's")
    died = subprocess.run([sys.executable, "-c", DIES, str(checkpoint)], timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    remove(checkpoint)
    assert list(tmp_path.iterdir()) == [other]
