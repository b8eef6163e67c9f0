"""The cluster of a run is found by its address or its note, within seconds, or told apart."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ToyConfig, ToyHistory, ToyRun
from loopback import own_ray
from run_fade import words

from fade_ray.kinds import KINDS
from fade_ray.run.find_cluster import check_keeps, find_cluster, noted_cluster
from fade_ray.run.kind import Start
from fade_ray.run.lifecycle import run
from fade_ray.run.run_config import RayOptions, RunConfig
from spaces.errors import InvalidInput

pytestmark = pytest.mark.ray


@pytest.fixture
def dead() -> Iterator[str]:
    """An address that is taken, and where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where connections are taken, and no word is said: as of a frozen head."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `ray start` leaves its note."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    return tmp_path / "ray" / "ray_current_cluster"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://10.0.0.1:10001", "`ray job submit`"),
        ("http://10.0.0.1:8265", "`ray job submit --address http://10.0.0.1:8265"),
        ("https://ray.example.org", "HOST:6379"),
        ("10.0.0.1", "HOST:PORT"),
        ("10.0.0.1:", "HOST:PORT"),
    ],
)
@pytest.mark.parametrize("source", ["--address", "RAY_ADDRESS"])
def test_an_address_that_is_no_heads_is_refused_in_a_sentence(
    address: str, words: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InvalidInput, match=f"^{source} must be") as refused:
        find_cluster(RayOptions(address=address if source == "--address" else None))
    assert words in str(refused.value)
    assert repr(address)[1:-1] in str(refused.value)


def test_a_named_address_where_nobody_answers_is_named_with_who_named_it(
    dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", dead)
    with pytest.raises(InvalidInput, match=f"answers at {dead}, named by RAY_ADDRESS"):
        find_cluster(RayOptions())
    with pytest.raises(InvalidInput, match=f"answers at {dead}, named by --address"):
        find_cluster(RayOptions(address=dead))
    assert find_cluster(RayOptions(address="local")) == (None, "--address asks for it")


def test_the_note_of_a_dead_cluster_is_passed_over_and_told(note: Path, dead: str) -> None:
    assert noted_cluster([], anywhere=False) == (None, f"no {note}")
    note.write_text(f"{dead}\n")
    assert noted_cluster([], anywhere=False) == (None, f"{note} names {dead}, where none answers")
    with pytest.raises(InvalidInput, match=f"names {dead}, where none answers"):
        noted_cluster([], anywhere=True)


def test_a_cluster_with_another_temp_dir_is_not_overlooked(
    note: Path, silent: str, tmp_path: Path
) -> None:
    (tmp_path / note.name).write_text(silent)
    with pytest.raises(InvalidInput, match=f"at {silent} .noted in {tmp_path / note.name}"):
        noted_cluster([tmp_path, note.parent], anywhere=False)


@pytest.mark.slow
def test_a_head_that_is_frozen_is_no_answer(note: Path, silent: str) -> None:
    note.write_text(silent)
    assert noted_cluster([], anywhere=False) == (None, f"{note} names {silent}, where none answers")


def test_without_a_directory_nothing_runs_where_it_would_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    check_keeps(None)
    check_keeps(RayOptions(address="local"))
    (tmp_path / "ray_bootstrap_config.yaml").touch()
    with pytest.raises(InvalidInput, match="without --out it has one in the home of a cluster's"):
        check_keeps(None)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(InvalidInput, match="without --out it has one in the copy that a Ray job"):
        check_keeps(None)


def test_a_run_without_a_directory_joins_what_it_was_told_of_before(
    dead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asking(ToyRun):
        """Asks for its cluster, like one on Ray, when the answer would be another one."""

        def work(self, prepared: Any, start: Start[ToyConfig, ToyHistory]) -> dict[str, Any]:
            monkeypatch.setenv("RAY_ADDRESS", dead)
            return {"reason": find_cluster(start.config.run)[1]}

        def deliver(self, prepared: Any, run: Any) -> dict[str, Any]:
            return run.result  # type: ignore[no-any-return]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    config = ToyConfig(run=RunConfig(engine="ray"))
    assert run(Asking(), config, watchers=()).result["reason"] == "RAY_ADDRESS asks for it"
    monkeypatch.setenv("RAY_ADDRESS", dead)  # what a run sets is taken back
    with pytest.raises(InvalidInput, match=f"answers at {dead}"):
        find_cluster(config.run)


@pytest.mark.slow
def test_a_connection_that_is_there_is_not_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with own_ray(num_cpus=1):
        monkeypatch.setenv("RAY_ADDRESS", "ray://nowhere:10001")
        check_keeps(RayOptions())


@pytest.mark.parametrize("command", [*KINDS, "status runs/a", "--help", "-h", "--version"])
def test_every_command_is_sent_as_it_is(command: str) -> None:
    given = [*command.split(), "--name", "two words"]
    assert words(given) == given
    assert words([f"{command} --name 'two words'"]) == given


def test_a_search_is_sent_where_no_command_is_named() -> None:
    assert words(["--data", "digits"]) == ["search", "--data", "digits"]
    assert words([]) == ["search"]
