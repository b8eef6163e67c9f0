"""The page of `fade-ray watch` in headless Chromium: it keeps itself up to date."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import INSTALL, Tab, find_browser
from test_standing import TOY, begun

from fade_ray.records.journal import Journal
from fade_ray.run.live_server import live_server

__all__ = ["begun"]
pytestmark = pytest.mark.slow


@pytest.fixture
def tab(begun: Path, tmp_path: Path) -> Iterator[tuple[Tab, threading.Event]]:
    """The page of the run in `begun`, and what ends its server once it is set."""
    browser = find_browser()
    if browser is None:
        pytest.skip(INSTALL)
    over = threading.Event()
    with live_server(TOY, begun, 0) as server:
        serve = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        serve.start()

        def end() -> None:
            over.wait()
            server.shutdown()
            server.server_close()

        ending = threading.Thread(target=end, daemon=True)
        ending.start()
        page = Tab(browser, f"http://127.0.0.1:{server.server_port}/", tmp_path)
        yield page, over
        page.close()
        over.set()
        ending.join(10)


def test_a_page_follows_the_record_and_says_when_nobody_answers(
    begun: Path, tab: tuple[Tab, threading.Event]
) -> None:
    page, over = tab
    page.wait("document.querySelector('main')?.innerText.includes('2 of 3 epochs')")
    page.wait("document.querySelectorAll('figure svg').length === 2")
    page.run("document.querySelector('details').open = true")
    with Journal(begun / "records.jsonl") as journal:
        journal.append("epoch", id="00001", epoch=3, metrics={"loss": 0.1})
    page.wait("document.querySelector('main').innerText.includes('3 of 3 epochs')")
    assert page.run("document.querySelector('details').open"), "what was unfolded stays so"
    assert page.run("document.getElementById('silence').hidden")
    over.set()
    page.wait("!document.getElementById('silence').hidden")
    assert "3 of 3 epochs" in page.run("document.querySelector('main').innerText")
