"""A run whose directory is in S3, here that of moto, a server on this machine."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import wait_for
from runs import TINY_SEARCH

from fade_ray.records.remote import directory, refreshed
from fade_ray.results import open_run

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "fade_ray.cli"]
SMALL = (*TINY_SEARCH, "--lockstep")


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """That of a run directory in a bucket."""
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    about = {"AWS_ACCESS_KEY_ID": "-", "AWS_SECRET_ACCESS_KEY": "-", "AWS_REGION": "us-east-1"}
    for name, value in about.items():
        monkeypatch.setenv(name, value)
    store = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    try:
        host, port = store.get_host_and_port()
        client = boto3.client("s3", "us-east-1", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="runs")
        yield f"s3://runs/mine?endpoint_override={host}:{port}&scheme=http"
    finally:
        store.stop()
        for copy in Path(tempfile.gettempdir()).glob("fade-ray-*/mine"):  # of who was killed
            shutil.rmtree(copy.parent, ignore_errors=True)


def test_a_search_whose_machine_is_lost_goes_on_from_the_bucket(
    address: str, tmp_path: Path, story: Callable[[Path], dict[str, Any]]
) -> None:
    search = [*COMMAND, "search", *SMALL, "--engine", "local", "--out"]
    plain = tmp_path / "plain"
    subprocess.run([*search, str(plain)], check=True)
    again = [*search, address]
    run = directory(address)
    process = subprocess.Popen(again)
    try:
        record = run / "records.jsonl"
        wait_for(
            lambda: refreshed(run) and record.exists() and '"finished"' in record.read_text(),
            240,
            process,
        )
    finally:
        process.kill()
        process.wait(60)
    assert not (refreshed(run) / "result.json").exists()
    subprocess.run(again, check=True)
    assert story(refreshed(run)) == story(plain)
    for tool in ("report", "export"):
        said = subprocess.run([*COMMAND, tool, address], check=True, capture_output=True, text=True)
        assert said.stdout.startswith("s3://runs/mine/")
    assert open_run(address).model() is not None
    assert os.listdir(run / "figures")
