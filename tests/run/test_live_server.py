"""`fade-ray watch`: the page of a run over HTTP, for this machine alone, as the run is written."""

import json
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from test_standing import TOY, begun

from fade_ray.cells.cells_config import CellPlan
from fade_ray.cli import main
from fade_ray.kinds import kind_of_run
from fade_ray.records.journal import Journal
from fade_ray.run.live_server import live_server
from spaces.errors import InvalidInput

__all__ = ["begun"]
Ask = Callable[..., HTTPResponse]


@pytest.fixture
def ask(begun: Path) -> Iterator[Ask]:
    """`ask(path, method="GET", **headers)` of a server of the run in `begun`."""
    with live_server(TOY, begun, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()

        def answered(path: str, method: str = "GET", **headers: str) -> HTTPResponse:
            connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            answer.text = answer.read().decode()  # type: ignore[attr-defined]
            return answer

        yield answered
        server.shutdown()
        thread.join(10)


def text(answer: Any) -> str:
    return str(answer.text)


def test_the_page_tells_what_the_record_says_by_now(ask: Ask, begun: Path) -> None:
    first = ask("/")
    assert first.status == 200
    assert "2 of 3 epochs" in text(first)
    assert "unfinished" in text(first)
    tag = first.headers["ETag"]
    assert ask("/", **{"If-None-Match": tag}).status == 304
    record = begun / "records.jsonl"
    with Journal(record) as journal:
        journal.append("epoch", id="00001", epoch=3, metrics={"loss": 0.1})
    with record.open("a") as file:
        file.write('{"event": "epo')  # a line that is being written
    while "3 of 3 epochs" not in text(later := ask("/", **{"If-None-Match": tag})):
        assert later.status == 304  # not drawn again yet: it rests
    assert later.headers["ETag"] != tag


def test_a_run_that_cannot_be_read_is_told_on_the_page(ask: Ask, begun: Path) -> None:
    (begun / "records.jsonl").write_text("no JSON\n")
    answer = ask("/")
    assert answer.status == 200
    assert "not readable" in text(answer)
    assert "Every line of a record is a JSON object" in text(answer)
    assert ask("/status.json").status == 503


def test_programs_may_ask_too(ask: Ask) -> None:
    told = json.loads(text(ask("/status.json")))
    assert [trial["state"] for trial in told["trials"]] == ["done", "running", "waiting"]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.0.2.1", "[", ""],
)
def test_who_calls_this_machine_by_another_name_gets_nothing(host: str, ask: Ask) -> None:
    """A page elsewhere whose name was pointed at 127.0.0.1 (DNS rebinding)."""
    for path in ("/", "/status.json", "/live.js"):
        answer = ask(path, Host=host)
        assert answer.status == 403
        assert "trial" not in text(answer)


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:8275"])
def test_a_tunnel_may_have_another_port(host: str, ask: Ask) -> None:
    assert ask("/status.json", Host=host).status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/config.json", "/records.jsonl", "/../config.json", "/..%2f..%2fetc%2fpasswd"),
        *("//etc/passwd", "/./config.json", "/live.js/../config.json", "/report.html"),
    ],
)
def test_no_file_is_served_by_its_name(path: str, ask: Ask) -> None:
    answer = ask(path)
    assert answer.status == 404
    assert "kind" not in text(answer)


def test_nothing_can_be_changed(ask: Ask) -> None:
    assert {ask("/", method).status for method in ("POST", "PUT", "DELETE", "OPTIONS")} == {501}
    assert text(ask("/", "HEAD")) == ""


def test_pages_run_no_script_but_ours_and_stand_in_no_frame(ask: Ask) -> None:
    page = ask("/")
    assert "script-src 'self'; connect-src 'self'" in text(page)
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert "Access-Control-Allow-Origin" not in page.headers
    assert "fetch(" in text(ask("/live.js"))


def test_nothing_is_written_into_the_run(ask: Ask, begun: Path) -> None:
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    ask("/")
    assert {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()} == before


def test_it_listens_on_loopback_alone_and_says_which_port_is_taken(begun: Path) -> None:
    with live_server(TOY, begun, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        with pytest.raises(InvalidInput, match=r"--port"):
            live_server(TOY, begun, server.server_port)
    with pytest.raises(InvalidInput, match="port < 65536"):
        live_server(TOY, begun, 65536)


def test_where_there_is_no_run_nothing_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["watch", str(tmp_path / "nothing")])
    assert "The directory of a run is needed" in capsys.readouterr().err


def test_a_trial_tries_what_its_plan_says_but_which_one_it_is() -> None:
    plan = CellPlan("003", 3, 0, "gdas", "s5", seed=1, epochs=50, cells=8)
    tried = {"recipe": "gdas", "space": "s5", "cells": 8}
    assert kind_of_run("cells").settings(None, plan) == tried
