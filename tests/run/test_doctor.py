"""What a node answers, and what is made of its answer."""

import copy
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from loopback import Loopback
from processes import wait_for

from fade_ray.records.journal import read_events
from fade_ray.run import node_answer
from fade_ray.run.doctor import Examined, as_text, complaints, faults
from fade_ray.run.doctor_command import READ, DoctorOptions
from fade_ray.run.inputs import input_paths, placed
from fade_ray.run.node_answer import answer, digest, source
from fade_ray.run.ray_nodes import coming
from fade_ray.run.run_config import RunConfig
from spaces.errors import InvalidInput

pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[2]
MARK = "a mark"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with a mark, and beside it a file of data."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "run").mkdir()
    (folder / "run" / ".probe").write_text(MARK)
    (folder / "data.parquet").write_bytes(b"x" * 1234)
    return folder


@pytest.fixture(scope="module")
def ours(shared: Path) -> dict[str, Any]:
    return answer(str(shared / "run"), MARK, (str(shared / "data.parquet"),))


def test_a_process_that_is_well_finds_nothing_wrong(shared: Path, ours: dict[str, Any]) -> None:
    assert faults(ours, ours) == ()
    assert (ours["folder"], ours["failed"]) == (None, {})
    assert ours["data"][str(shared / "data.parquet")].startswith("a file of 1,234 bytes (")
    assert {name.split("/")[0] for name in ours["source"]} == set(node_answer.PACKAGES)
    assert sorted(path.name for path in (shared / "run").iterdir()) == [".probe"]  # tidied up


def with_source(answer: dict[str, Any]) -> None:
    answer["source"]["fade_ray/cli.py"] = "0" * 16


def without_a_file(answer: dict[str, Any]) -> None:
    del answer["source"]["spaces/dag.py"]


def without_package(answer: dict[str, Any]) -> None:
    answer["failed"] = {"fade_ray": "ModuleNotFoundError: No module named 'fade_ray'"}
    answer["source"] = {}


def with_broken_torch(answer: dict[str, Any]) -> None:
    answer["failed"] = {"torch": "OSError: libcudart.so.13: cannot open shared object file"}


def with_older_torch(answer: dict[str, Any]) -> None:
    answer["versions"]["torch"] = "2.9.0"


def with_torch_for_other_devices(answer: dict[str, Any]) -> None:
    answer["versions"]["torch"] += "+cu999"


def read_only(answer: dict[str, Any]) -> None:
    answer["folder"] = "Read-only file system"


def without_data(answer: dict[str, Any]) -> None:
    answer["data"] = dict.fromkeys(answer["data"], "nothing")


BROKEN: list[tuple[Callable[[dict[str, Any]], None], str, str]] = [
    (with_source, "other source of fade_ray", "same commit"),
    (without_a_file, "spaces/dag.py", "same commit"),
    (without_package, "cannot import fade_ray", "Install the driver's fade_ray"),
    (with_broken_torch, "libcudart.so.13", "Install torch=="),
    (with_older_torch, "has torch 2.9.0 in place of", "Install torch=="),
    (read_only, "Read-only file system", "--out"),
    (without_data, "where the driver has a file of 1,234 bytes", "same place"),
]


@pytest.mark.parametrize(
    ("spoil", "cause", "remedy"), BROKEN, ids=lambda x: getattr(x, "__name__", "")
)
def test_what_is_wrong_is_named_with_its_remedy(
    spoil: Callable[[dict[str, Any]], None], cause: str, remedy: str, ours: dict[str, Any]
) -> None:
    theirs = copy.deepcopy(ours)
    spoil(theirs)
    found = faults(theirs, ours)
    assert len(found) == 1
    assert cause in found[0].cause
    assert remedy in found[0].remedy


def test_a_node_may_have_torch_for_other_devices(ours: dict[str, Any]) -> None:
    theirs = copy.deepcopy(ours)
    with_torch_for_other_devices(theirs)
    assert faults(theirs, ours) == ()


@pytest.mark.parametrize(
    ("lent", "seen", "good"),
    [(0, 0, True), (1, 0, False), (2, 2, True), (0, 2, True), (4, 2, False)],
)
def test_ray_lends_no_gpu_that_torch_does_not_see(
    lent: float, seen: int, good: bool, ours: dict[str, Any]
) -> None:
    theirs = ours | {"cuda": seen, "cuda_problem": None if seen else "no driver"}
    found = faults(theirs, ours, lent)
    assert not found if good else f"{lent} GPU(s) for Ray, but {seen} for torch" in found[0].cause


def test_another_directory_of_the_same_name_is_not_the_same(shared: Path, tmp_path: Path) -> None:
    assert answer(str(shared / "run"), "another mark")["folder"] == "another directory lies there"
    assert "no such directory" in answer(str(tmp_path), MARK)["folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_cannot_be_written(shared: Path) -> None:
    folder = shared / "run"
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert answer(str(folder), MARK)["folder"] == "Permission denied"
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_source_is_its_files(tmp_path: Path) -> None:
    mine = source()
    assert digest(mine) == digest(dict(reversed(mine.items())))
    assert digest(mine) != digest(mine | {"fade_ray/cli.py": "0" * 16})


def node(id: str, answer: Mapping[str, Any], ours: Mapping[str, Any], cpus: float = 2) -> Examined:
    return Examined(id * 56, "10.0.0.1", {"CPU": cpus}, answer, faults(answer, ours))


def test_the_table_names_each_node_and_shares_what_is_the_same(ours: dict[str, Any]) -> None:
    bad = ours | {"folder": "Permission denied"}
    nodes = [node("a", ours, ours), node("b", bad, ours), node("c", bad, ours)]
    table = as_text(nodes).splitlines()
    assert [line.split()[-1] for line in table[1:4]] == ["good", "no", "no"]
    (complaint,) = complaints(nodes)
    assert complaint.startswith("10.0.0.1 (bbbbbb), 10.0.0.1 (cccccc), which cannot write")


def test_data_are_named_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert input_paths(placed(DoctorOptions(), READ), READ) == {}
    asked = placed(DoctorOptions(data="./photos", test_data="t.parquet"), READ)
    paths = input_paths(asked, READ)
    assert paths == {"data": str(tmp_path / "photos"), "test_data": "t.parquet"}, "none is there"


def test_a_trial_on_cuda_needs_a_gpu() -> None:
    with pytest.raises(InvalidInput, match="gpus_per_trial > 0 with device cuda"):
        RunConfig(device="cuda", gpus_per_trial=0)
    assert RunConfig(device="cuda").may_use_gpus
    assert not RunConfig(gpus_per_trial=0).may_use_gpus


def test_what_the_autoscaler_is_about_is_said_in_words() -> None:
    from ray.autoscaler.v2.schema import ClusterStatus, LaunchRequest, NodeInfo

    pending = NodeInfo("g5.xlarge", "gpu", "i-1", "10.0.0.9")
    state = LaunchRequest.Status
    launches = [LaunchRequest("g5.xlarge", "gpu", 2, state.PENDING, 0)]
    failed = [LaunchRequest("p5", "big", 1, state.FAILED, 0)]
    gone = NodeInfo("g5.xlarge", "gpu", "i-0", "10.0.0.8")
    status = ClusterStatus(
        pending_nodes=[pending],
        pending_launches=launches,
        failed_launches=failed,
        failed_nodes=[gone],
    )
    said = ["waiting for 3 node(s) of type gpu", "1 node(s) of type big could not be started"]
    assert coming(status) == said
    assert coming(ClusterStatus()) == []


HIDDEN = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fade_ray", "searchers", "spaces"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Hidden())
"""
IN_A_PLACE_OF_ITS_OWN = ["unshare", "--mount", "sh", "-c"]
FADE_RAY = [sys.executable, "-m", "fade_ray.cli"]
HERE = {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}


@pytest.fixture
def base() -> Iterator[Path]:
    """A place with a short name, and in it what makes a node of another environment: `hiding` hides
    the package, `other` is another commit.
    """
    with TemporaryDirectory(prefix="fd", dir="/tmp") as place:
        folder = Path(place)
        (folder / "hiding").mkdir()
        (folder / "hiding" / "sitecustomize.py").write_text(HIDDEN)
        for package in node_answer.PACKAGES:
            shutil.copytree(ROOT / package, folder / "other" / package)
        with (folder / "other" / "spaces" / "dag.py").open("a") as file:
            file.write("\n# another commit\n")
        yield folder


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a directory read-only for one node")
def test_a_cluster_of_broken_nodes(base: Path) -> None:
    """One without the package, one with other source, one that promises a GPU and cannot write, one
    without the data: each is named with its causes, and none of the others.
    """
    for name in ("run", "data"):
        (base / name).mkdir()
    (base / "data" / "train.parquet").write_bytes(b"x" * 10)
    read_only = f'mount --bind -o ro {base / "run"} {base / "run"} && exec "$@"'
    elsewhere = f'mount -t tmpfs none {base / "data"} && exec "$@"'
    with Loopback(base, again=2) as cluster:
        cluster.add(environment={"PYTHONPATH": str(base / "hiding")})
        cluster.add(environment={"PYTHONPATH": str(base / "other")})
        cluster.add(within=[*IN_A_PLACE_OF_ITS_OWN, read_only, "sh"], flags=["--num-gpus=1"])
        cluster.add(within=[*IN_A_PLACE_OF_ITS_OWN, elsewhere, "sh"])
        cluster.wait()
        flags = ["--out", str(base / "run" / "new"), "--data", "data/train.parquet"]
        said = subprocess.run(
            [*FADE_RAY, "doctor", "--address", cluster.address, *flags],
            cwd=base,
            env=os.environ | HERE,
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert said.returncode == 1, said.stderr
    causes = [
        ("3", "cannot import fade_ray: ModuleNotFoundError"),
        ("4", "has other source of fade_ray"),
        ("5", "cannot write in the run directory: Read-only file system"),
        ("5", "has 1 GPU(s) for Ray, but 0 for torch"),
        ("6", "has nothing at"),
    ]
    complaints = [line for line in said.stdout.splitlines() if line.startswith("no: ")]
    assert len(complaints) == len(causes), said.stdout
    for host, cause in causes:
        assert [line for line in complaints if f"no: 127.0.0.{host} (" in line and cause in line]
    assert [path.name for path in (base / "run").iterdir()] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="every node has a loopback address of its own")
def test_bad_nodes_change_nothing(base: Path, story: Callable[[Path], dict[str, Any]]) -> None:
    """A cluster has a node with other source; its good one is lost, and replaced first by one
    without the package, then by a good one: the record is that of the plain loop.
    """
    search = [*FADE_RAY, "search", "--limit", "240", "--final-channels", "8", "--kernel", "3"]
    search += ["--rank-epochs", "6", "--evaluation-epochs", "1", "--retrain-epochs", "2"]
    search += ["--baselines", "off"]
    around = {"cwd": base, "env": os.environ | HERE, "stderr": subprocess.STDOUT}
    log, run = base / "log", base / "run" / "records.jsonl"
    with log.open("wb") as to:
        plain = [*search, "--engine", "local", "--out", str(base / "plain")]
        subprocess.run(plain, **around, stdout=to, check=True, timeout=400)  # type: ignore[call-overload]

    def recorded(words: str, times: int = 1) -> Callable[[], bool]:
        return lambda: run.exists() and run.read_text().count(words) >= times

    with Loopback(base, cpus=0) as cluster, log.open("wb") as to:
        good = cluster.add()
        cluster.add(environment={"PYTHONPATH": str(base / "other")})
        cluster.wait()
        call = [*search, "--address", cluster.address, "--out", str(base / "run")]
        driver = subprocess.Popen(call, **around, stdout=to)  # type: ignore[call-overload]
        try:
            wait_for(recorded('"epoch"', 3), 400, driver)
            cluster.lose(good)
            cluster.add(environment={"PYTHONPATH": str(base / "hiding")})
            wait_for(recorded("cannot import fade_ray"), 300, driver)
            cluster.add()
            assert driver.wait(400) == 0, log.read_text()[-3000:]
        finally:
            driver.kill()
    assert story(base / "run") == story(base / "plain")
    assert recorded("has other source")()
    used = {e["metrics"]["node"] for e in read_events(run) if e["event"] == "epoch"}
    assert {node.partition(" ")[0] for node in used} == {"127.0.0.3", "127.0.0.6"}
