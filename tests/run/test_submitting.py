"""Runs that are sent to a cluster: as Ray jobs, and by `ray submit` over a real sshd."""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from loopback import RAY, Loopback, free_port
from processes import children_of, commands, end_by_id, wait_for
from scoped_ray import of_cluster, stop

from fade_ray.run.find_cluster import check_keeps, find_cluster
from fade_ray.run.run_config import RayOptions
from spaces.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "scripts/run_fade.py"
TINY = [
    *("--limit", "120", "--iterations", "1", "--rank-epochs", "1", "--retrain-epochs", "1"),
    *("--evaluation-epochs", "1", "--min-vertices", "2", "--depth", "2", "--final-channels", "4"),
    *("--concurrency", "1", "--baselines", "off"),
]
LONG = ["search", "--limit", "1000", "--final-channels", "16", "--retrain-epochs", "300", "--out"]
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.ray]


def epochs(run: Path) -> int:
    """How many a run has on record."""
    record = run / "records.jsonl"
    return record.read_text().count('"epoch"') if record.exists() else 0


def nodes(address: str) -> int:
    """How many a cluster has; 0 where it does not answer yet."""
    try:
        cluster, _ = find_cluster(RayOptions(address=address))
    except InvalidInput:
        return 0
    return len(cluster.nodes) if cluster else 0


def mention(folder: Path) -> list[str]:
    """The command lines of processes that speak of a folder."""
    return [command for command in commands().values() if str(folder) in command]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, of which no process is left at the end."""
    before = set(Path("/tmp").glob("ray_ssh_*/*"))  # where Ray has its SSH connections wait
    with TemporaryDirectory(prefix="fs", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)
        wait_for(lambda: not mention(Path(name)), 120)
    for connections in set(Path("/tmp").glob("ray_ssh_*/*")) - before:
        shutil.rmtree(connections)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    """What a cluster and those who may use it know."""
    token = secrets.token_hex(32)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    return token


def source(folder: Path) -> Path:
    """A copy of what is sent, and nothing else: no metadata of an installed package."""
    for name in ("fade_ray", "searchers", "spaces", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    return folder / "source"


@pytest.mark.skipif(
    importlib.util.find_spec("aiohttp_cors") is None,
    reason='jobs need Ray\'s dashboard: pip install "ray[default]"',
)
def test_jobs_of_several_kinds_end_with_the_code_of_their_run(folder: Path, token: str) -> None:
    port, tree = free_port(), source(folder)
    flags = ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={port}"]
    flags.append(f"--dashboard-agent-listen-port={free_port()}")
    address = ["--address", f"http://127.0.0.1:{port}"]

    def job(*arguments: str, wait: bool = True) -> subprocess.CompletedProcess[str]:
        sent = ["submit", *address, "--working-dir", str(tree), "--submission-id", arguments[-1]]
        waits = [] if wait else ["--no-wait"]
        call = [*RAY, "job", *sent, *waits, "--", sys.executable, SCRIPT, *arguments[:-1]]
        tries: list[subprocess.CompletedProcess[str]] = []

        def taken() -> bool:
            tries.append(subprocess.run(call, capture_output=True, text=True, timeout=240))
            return "No available agent" not in tries[-1].stderr  # its node is not ready yet

        wait_for(taken)
        return tries[-1]

    passed = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "HOME": str(folder)}
    with Loopback(folder, cpus=2, environment=passed, flags=flags) as cluster:
        wait_for(lambda: nodes(cluster.address) == 1)
        with pytest.MonkeyPatch.context() as shell:
            shell.delenv("RAY_AUTH_MODE")
            wait_for(lambda: nodes(cluster.address) == 1)  # one that runs here: meant for our token
        runs = folder / "runs"
        older = "import ray; ray.__version__ = '2.1.0'; from fade_ray.cli import main; main()"
        call = [sys.executable, "-c", older, "search", "--out", str(runs / "older")]
        refused = subprocess.run(
            [*call, "--address", cluster.address], capture_output=True, text=True, timeout=240
        )
        assert refused.returncode == 2, refused.stderr
        assert "Ray and Python must be those of the cluster" in refused.stderr
        assert "2.1.0" in refused.stderr
        named = ["--name", "two words", "--out", str(runs / "search")]
        search = job("search", *TINY, *named, "search")
        assert search.returncode == 0, search.stdout + search.stderr
        assert f"Ray: the cluster at {cluster.address}" in search.stdout
        assert json.loads((runs / "search" / "config.json").read_text())["name"] == "two words"
        assert (runs / "search" / "result.json").exists()
        cells = "cells --recipes darts-1st random --seeds 0 --cells 3 --channels 4 --epochs 1"
        ended = job(*cells.split(), "--limit", "120", "--out", str(runs / "cells"), "cells")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert (runs / "cells" / "result.json").exists()
        lost = job("search", *TINY, "lost")
        assert lost.returncode != 0
        assert "without --out it has one in the copy that a Ray job works in" in lost.stdout
        assert job(*LONG, str(runs / "long"), "long", wait=False).returncode == 0
        wait_for(lambda: epochs(runs / "long") >= 2, 300)
        subprocess.run([*RAY, "job", "stop", *address, "long"], check=True, timeout=240)
        logs = subprocess.run(
            [*RAY, "job", "logs", *address, "long"], capture_output=True, text=True, timeout=240
        )
        assert f"fade-ray search --out {runs / 'long'}" in logs.stdout
        assert not (runs / "long" / "result.json").exists()


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


STAND_INS = {
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"',
    "scontrol": "echo here",
    "hostname": "echo 127.0.0.2",
    "ray": f'exec {sys.executable} -c "{RAY[-1]}" "$@"',
    "fade-ray": f'exec {sys.executable} -m fade_ray.cli "$@"',
}
"""What the script for Slurm calls: all machines are this one."""


def test_the_script_for_slurm_runs_on_its_nodes_and_stops_as_slurm_says(
    folder: Path, token: str
) -> None:
    for name, text in STAND_INS.items():
        write(folder / "bin" / name, f"#!/bin/sh\n{text}\n", 0o755)
    write(folder / ".ray" / "auth_token", token, 0o600)
    number, run = os.getpid(), folder / "long"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        **{"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder)},
        **{"PYTHONPATH": str(ROOT), "OBJECT_STORE": "100000000", "SLURM_JOB_ID": str(number)},
        **{"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "1"},
    }
    script = [str(ROOT / "examples" / "clusters" / "slurm.sh"), *LONG, str(run)]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(script, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(lambda: epochs(run) >= 2 or process.poll() is not None, 400)
        address = f"127.0.0.2:{20000 + number % 10000}"
        assert process.poll() is None, (folder / "log").read_text()
        wait_for(lambda: nodes(address) == 2)
        with pytest.raises(InvalidInput, match="has one in one of the 2 nodes"):
            check_keeps(RayOptions(address=address))
        drivers = [
            pid for pid, words in children_of(process.pid).items() if "fade_ray.cli" in words
        ]
        for pid in drivers:
            os.kill(pid, signal.SIGTERM)
        assert process.wait(300) == 128 + signal.SIGTERM
        assert f"fade-ray search --out {run}" in (folder / "log").read_text()
    finally:
        end_by_id([process.pid])
        process.wait()
        stop(f"/tmp/ray-{number}")
        log.close()
        shutil.rmtree(f"/tmp/ray-{number}", ignore_errors=True)


SSHD_CONFIG = """
Port {port}
ListenAddress 127.0.0.2
ListenAddress 127.0.0.3
HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/id.pub
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PrintMotd no
SetEnv HOME={folder}/home PATH={path}
"""
SSH_CONFIG = """
Host 127.0.0.*
Port {port}
IdentityFile {folder}/id
LogLevel ERROR
"""
BASHRC = """
export PATH={folder}/remote:{folder}/bin:{python}:$PATH HOME={folder}/home PYTHONPATH={root}
export RAY_USAGE_STATS_ENABLED=0 RAY_TMPDIR={folder}
"""


def prepare(folder: Path, token: str) -> dict[str, str]:
    """What sshd, ssh and the home of every machine need; the environment of who calls."""
    places: dict[str, Any] = {"port": free_port(), "folder": folder, "root": ROOT}
    places |= {"python": Path(sys.executable).parent, "path": os.environ["PATH"]}
    for key in ("hostkey", "id"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(make, check=True, timeout=30)
    write(folder / "sshd_config", SSHD_CONFIG.format(**places))
    write(folder / "ssh_config", SSH_CONFIG.format(**places))
    # Ray's ssh and rsync take `ssh` from the PATH and know of no port
    ssh = f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n'
    write(folder / "bin" / "ssh", ssh, 0o755)
    scoped = f"{sys.executable} {Path(__file__).with_name('scoped_ray.py')} {folder}/ray"
    write(folder / "remote" / "ray", f'#!/bin/sh\nexec {scoped} "$@"\n', 0o755)
    write(folder / "remote" / "sudo", "#!/bin/sh\nexit 1\n", 0o755)
    write(folder / "home" / ".bashrc", BASHRC.format(**places))
    write(folder / "home" / ".bash_profile", ". ~/.bashrc\n")
    write(folder / "home" / ".ray" / "auth_token", token, 0o600)
    (folder / "launcher").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {
        **kept,
        "PATH": f"{folder}/bin:{kept['PATH']}",
        "HOME": str(folder / "home"),
        "TERM": "dumb",
        "TMPDIR": str(folder / "launcher"),
        "RAY_TMPDIR": str(folder / "launcher"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def described(folder: Path, address: str) -> Path:
    """The guide's description of machines of one's own, for two addresses of this one."""
    text = (ROOT / "examples" / "clusters" / "local.yaml").read_text()
    ours = f"--temp-dir={folder}/ray --node-ip-address"
    text = text.replace("10.0.0.2", "127.0.0.2").replace("6379", address.rpartition(":")[2])
    description = yaml.safe_load(text)
    description |= {"cluster_name": folder.name, "min_workers": 1, "max_workers": 1}
    description["provider"]["worker_ips"] = ["127.0.0.3"]
    description["auth"] = {"ssh_user": "root", "ssh_private_key": f"{folder}/id"}
    description |= {"setup_commands": [], "file_mounts": {}}  # it is installed here
    host = {"head": "127.0.0.2", "worker": "127.0.0.3"}
    for role, cpus in (("head", 0), ("worker", 1)):
        key = f"{role}_start_ray_commands"
        *_, start = description[key]
        start = start.replace(" --node-ip-address=127.0.0.2", "")
        limits = f"--num-cpus={cpus} --object-store-memory=100000000"
        start = start.partition(" --object-store-memory")[0]
        description[key] = [f"{start} {ours}={host[role]} {limits} --disable-usage-stats"]
    write(folder / "cluster.yaml", yaml.safe_dump(description))
    return folder / "cluster.yaml"


@pytest.mark.skipif(os.geteuid() != 0, reason="an sshd for everybody's keys is root's")
@pytest.mark.skipif(
    SSHD is None or shutil.which("rsync") is None,
    reason="needs sshd and rsync: apt-get install openssh-server rsync",
)
def test_a_cluster_goes_up_takes_runs_and_goes_down_by_ssh(folder: Path, token: str) -> None:
    environment = prepare(folder, token)
    address = f"127.0.0.2:{free_port()}"
    cluster = str(described(folder, address))

    def ray(command: str, *arguments: str, flags: str = "--no-config-cache") -> list[str]:
        return [*RAY, command, *flags.split(), cluster, *arguments]

    def call(words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )

    privileges = Path("/run/sshd")  # which sshd wants, empty
    ours = not privileges.exists()
    privileges.mkdir(exist_ok=True)
    log = (folder / "sshd.log").open("wb")
    sshd = subprocess.Popen([str(SSHD), "-D", "-e", "-f", f"{folder}/sshd_config"], stderr=log)
    try:
        login = [f"{folder}/bin/ssh", "-o", "StrictHostKeyChecking=no", "-o"]
        login += ["UserKnownHostsFile=/dev/null", "root@127.0.0.2", "bash -lic 'which ray'"]
        wait_for(lambda: call(login).returncode == 0, 120)
        assert f"{folder}/remote/ray" in call(login).stdout  # else `ray down` would end others'
        up = call(ray("up", flags="--yes --no-config-cache"))
        assert up.returncode == 0, up.stdout
        wait_for(lambda: nodes(address) == 2, 300)
        run = folder / "runs" / "search"
        flags = [*TINY, "--name", "'two words'", "--out", str(run)]
        whole = call(ray("submit", str(ROOT / SCRIPT), "--", " ".join(["search", *flags])))
        assert whole.returncode == 0, whole.stdout
        assert f"Ray: the cluster at {address} (noted in" in whole.stdout
        assert "2 node(s), 1 CPUs" in whole.stdout
        assert json.loads((run / "config.json").read_text())["name"] == "two words"
        torn = call(ray("submit", str(ROOT / SCRIPT), "--", "search", "--name", "two words"))
        assert torn.returncode != 0
        assert "tears arguments with spaces apart" in torn.stdout
        lost = call(ray("submit", str(ROOT / SCRIPT), "--", "search"))
        assert lost.returncode != 0
        assert "without --out it has one in the home of a cluster's head" in lost.stdout
        long = [*LONG, str(folder / "runs" / "long")]
        dropped = subprocess.Popen(
            ray("submit", str(ROOT / SCRIPT), "--", *long),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(lambda: epochs(folder / "runs" / "long") >= 2, 300)
        connections = [
            pid
            for pid, words in commands().items()
            if words.startswith("/usr/bin/ssh") and f"-F {folder}/" in words
        ]
        end_by_id(connections)
        assert dropped.wait(240) != 0
        wait_for(lambda: not any("runs/long" in words for words in mention(folder)), 240)
        assert not (folder / "runs" / "long" / "result.json").exists()
        down = call(ray("down", flags="--yes"))
        assert down.returncode == 0, down.stdout
        assert of_cluster(f"{folder}/ray") == []
    finally:
        stop(f"{folder}/ray")
        sshd.terminate()
        sshd.wait(20)
        log.close()
        if ours:
            privileges.rmdir()
