"""`fade-ray watch`: the page of a run as it is now, served to this machine alone.

Nothing of the run directory is served by its name: what can be asked for stands in `ANSWERS`. A
page elsewhere may point a name of its own at 127.0.0.1 (DNS rebinding) and ask in the user's
browser; only requests that name this machine itself are answered.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from fade_ray.records.remote import refreshed
from fade_ray.records.run_files import legible, mark
from fade_ray.report.live_page import live_page
from fade_ray.report.page import Page, State, page_text
from fade_ray.run.kind import RunKind
from fade_ray.run.standing import LATEST, status_object
from spaces.errors import InvalidInput, require

HOSTS = {"127.0.0.1", "localhost"}
REST = 4
"""Times what drawing took, until it is done again: it takes a fifth of a processor at most."""


class Answer(NamedTuple):
    """What a browser gets."""

    kind: str
    body: bytes

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:20]}"'


class Watched:
    """A run that is being written, as one page; drawn again when its record has grown, by one
    thread at a time.
    """

    def __init__(self, kind: RunKind[Any, Any], folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self._lock, self._page, self._due = threading.Lock(), b"", 0.0
        self._seen: Any = None  # the mark of the record that the page shows

    def page(self) -> Answer:
        with self._lock:
            now = mark(refreshed(self.folder, LATEST), self.kind.record, "result.json")
            if now != self._seen and time.monotonic() >= self._due:
                began = time.monotonic()
                self._page, self._seen = self._drawn().encode(), now
                self._due = time.monotonic() + REST * (time.monotonic() - began)
            return Answer("text/html; charset=utf-8", self._page)

    def _drawn(self) -> str:
        kind, title = self.kind, f"fade-ray {self.kind.name}"
        try:
            with legible(self.folder):
                run = kind.read(self.folder)
                settings, reached = partial(kind.settings, run.config), kind.standing(run).reached
                page = live_page(run, kind.name, reached, settings, kind.watched(run))
                return page_text(page, live=True)
        except InvalidInput as error:
            page = Page(title, self.folder.name, State("not readable", str(error)), ())
            return page_text(page, live=True)

    def status(self) -> Answer:
        told = status_object(self.kind, refreshed(self.folder, LATEST))
        return Answer("application/json", f"{told}\n".encode())

    def script(self) -> Answer:
        text = files("fade_ray.report").joinpath("live.js").read_bytes()
        return Answer("text/javascript; charset=utf-8", text)


ANSWERS: dict[str, Callable[[Watched], Answer]] = {
    "/": Watched.page,
    "/status.json": Watched.status,
    "/live.js": Watched.script,
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of `ANSWERS`, from this machine by its own name."""

    server_version, sys_version = "fade-ray", ""
    timeout = 30  # seconds for a request to arrive
    watched: ClassVar[Watched]

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):  # a browser that leaves in the middle
            super().handle_one_request()

    def do_GET(self) -> None:
        if not _ours(self.headers.get_all("Host")):
            self._refuse(HTTPStatus.FORBIDDEN, "Name this machine: http://127.0.0.1 or localhost.")
            return
        answer_of = ANSWERS.get(urlsplit(self.path).path)
        if answer_of is None:
            self._refuse(HTTPStatus.NOT_FOUND, f"There are {', '.join(ANSWERS)}.")
            return
        try:
            answer = answer_of(self.watched)
        except InvalidInput as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
            return
        if self.headers.get("If-None-Match") == answer.tag:
            self._send(HTTPStatus.NOT_MODIFIED, answer._replace(body=b""), answer.tag)
        else:
            self._send(HTTPStatus.OK, answer, answer.tag)

    do_HEAD = do_GET  # noqa: N815

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        self._send(status, Answer("text/plain; charset=utf-8", f"{words}\n".encode()))

    def _send(self, status: HTTPStatus, answer: Answer, tag: str = "") -> None:
        self.send_response(status)
        more = {"Content-Type": answer.kind, "Content-Length": str(len(answer.body))}
        for name, value in {**HEADERS, **more, **({"ETag": tag} if tag else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *values: Any) -> None:
        """Nothing: a page that asks every two seconds is no news."""


def _ours(hosts: list[str] | None) -> bool:
    """Whether a request names this machine, once."""
    try:
        return len(hosts or ()) == 1 and urlsplit(f"//{(hosts or [''])[0]}").hostname in HOSTS
    except ValueError:
        return False


def live_server(kind: RunKind[Any, Any], folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of the run in `folder` on 127.0.0.1, to be run with `serve_forever`; port 0: a free
    one. Raises InvalidInput for a port that cannot be had, and where there is no run.
    """
    require(0 <= port < 65536, "0 <= port < 65536", "Use 0 for any free one.", port=port)
    kind.read(folder)
    handler = type("RunHandler", (Handler,), {"watched": Watched(kind, folder)})
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise InvalidInput(
            f"The port must be free, but 127.0.0.1:{port} is not: {error.strerror}. "
            "Choose another with --port; 0 takes any free one."
        ) from error
    server.daemon_threads = True
    return server
