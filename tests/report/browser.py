"""Pages looked at by a real browser: headless Chromium opens a copy of a page that measures itself
and writes down what it found.
"""

import html
import json
import os
import re
import select
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = (
    "no Chromium to look at pages with: install one (Debian, Ubuntu: apt-get install chromium) "
    "or name its binary in the environment variable CHROMIUM"
)
SECONDS = 120
NONCE = "looked-at"
"""Pages allow no script; the copy allows those with this nonce alone."""

LISTEN = """
window.troubles = [];
const failed = event => troubles.push("error: " + (event.message || event.target.outerHTML));
window.addEventListener("error", failed, true);
const refused = event => troubles.push("refused: " + event.blockedURI);
window.addEventListener("securitypolicyviolation", refused);
for (const level of ["error", "warn"])
  console[level] = (...words) => troubles.push(level + ": " + words.join(" "));
"""

MEASURE = """
for (const details of document.querySelectorAll("details")) details.open = true;
const box = element => element.getBoundingClientRect();
const scrolls = element => element.closest(".scroll, .drawing") !== null;
const crossing = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
const figures = [...document.querySelectorAll("figure")].map(figure => {
  const seen = [...figure.querySelectorAll("svg")].filter(svg => box(svg).width > 0);
  const drawing = seen[0], size = drawing ? box(drawing) : null;
  const width = seen.length ? Math.max(...seen.map(svg => box(svg).right)) -
    Math.min(...seen.map(svg => box(svg).left)) : 0;
  const written = text => text.textContent.trim();
  const texts = drawing ? [...drawing.querySelectorAll("text")].filter(written) : [];
  const boxes = texts.map(box), clashes = [];
  const cut = place => place.left < size.left - 2 || place.right > size.right + 2 ||
    place.top < size.top - 2 || place.bottom > size.bottom + 2;
  texts.forEach((text, i) => { if (cut(boxes[i])) clashes.push(text.textContent + " / edge"); });
  for (let i = 0; i < texts.length; i++)
    for (let j = 0; j < i; j++)
      if (crossing(boxes[i], boxes[j]))
        clashes.push(texts[j].textContent + " / " + texts[i].textContent);
  const parts = seen.filter(svg => svg.classList.contains("part")).length;
  const twice = parts > 0 && parts < seen.length;
  const words = figure.innerText.length;
  const height = size ? size.height : 0;
  return {name: figure.id, width, height, words, clashes, twice};
});
const found = {
  inner: window.innerWidth,
  scroll: document.scrollingElement.scrollWidth,
  dark: window.matchMedia("(prefers-color-scheme: dark)").matches,
  paper: getComputedStyle(document.body).backgroundColor,
  outside: [...document.querySelectorAll("main *")]
    .filter(element => !scrolls(element) && box(element).right > window.innerWidth + 1)
    .map(element => element.tagName + " " + element.className + ": " +
      element.textContent.slice(0, 40)),
  figures, troubles,
};
const words = document.createElement("pre");
words.id = "found-by-the-browser";
words.textContent = JSON.stringify(found);
parent.document.body.append(words);
"""

FRAME = """<!doctype html><meta charset="utf-8"><title>frame</title><body style="margin: 0">
<iframe width="{width}" height="900" style="border: 0" srcdoc="{page}"></iframe></body>"""
"""A window cannot be narrower than 500 pixels, a frame in it can."""


@dataclass(frozen=True)
class Found:
    """What a page is like in a frame. Sizes in CSS pixels.

    `inner`, `scroll`: width of the frame and of what can be scrolled to; `outside`: elements that
    reach beyond the frame, other than those in boxes that scroll; `figures`: name, width, height,
    length of the words, pairs of texts that overlap and texts beyond the edge, whether it is there
    whole and in parts; `troubles`: errors and warnings.
    """

    inner: int
    scroll: int
    dark: bool
    paper: str
    outside: list[str]
    figures: list[dict[str, Any]]
    troubles: list[str]


def find_browser() -> str | None:
    """The binary named by CHROMIUM, or the first known one on the path; None without any."""
    named = os.environ.get("CHROMIUM")
    return (
        shutil.which(named)
        if named
        else next((path for path in map(shutil.which, NAMES) if path), None)
    )


class Tab:
    """A page in headless Chromium that is asked as it lives, over the pipe that Chromium offers to
    debuggers: descriptors 3 and 4, a JSON message up to each NUL.
    """

    def __init__(self, browser: str, address: str, scratch: Path) -> None:
        take, self._send = os.pipe()
        self._take, give = os.pipe()
        shell = f'"$@" 3<&{take} 4>&{give}'
        options = ["--headless=new", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        call = ["bash", "-c", f"exec {shell}", "bash", browser, *options]
        self._process = subprocess.Popen(
            [*call, f"--user-data-dir={scratch / 'tab'}"],
            pass_fds=(take, give),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(take)
        os.close(give)
        self._number, self._rest = 0, b""
        target = self._ask("Target.createTarget", url=address)["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)

    def run(self, script: str) -> Any:
        """What a script makes of the page, whatever the page's own policy forbids."""
        how = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self._ask("Runtime.evaluate", self._session["sessionId"], **how)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Until the script is true of the page."""
        until = time.monotonic() + SECONDS
        while not self.run(script):
            assert time.monotonic() < until, f"{script} never held"
            time.sleep(0.05)

    def close(self) -> None:
        self._ask("Browser.close")
        self._process.wait(30)
        os.close(self._send)
        os.close(self._take)

    def _ask(self, method: str, session: str = "", **parameters: Any) -> Any:
        self._number += 1
        about = {"sessionId": session} if session else {}
        message = {"id": self._number, "method": method, "params": parameters, **about}
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                ready, _, _ = select.select([self._take], [], [], SECONDS)
                assert ready, f"the browser does not answer {method}"
                self._rest += os.read(self._take, 1 << 20)
            line, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]


def copy_that_measures(source: str) -> str:
    """The page with two scripts that its policy lets run: one that listens before anything else,
    one that measures at the end.
    """
    policy = re.search(r"default-src 'none'", source)
    assert policy is not None, "a page forbids everything that it does not need"
    source = source.replace(
        "default-src 'none'", f"default-src 'none'; script-src 'nonce-{NONCE}'", 1
    )
    head, rest = source.split("</title>", 1)
    body, end = rest.rsplit("</body>", 1)
    script = f'<script nonce="{NONCE}">%s</script>'
    return f"{head}</title>{script % LISTEN}{body}{script % MEASURE}</body>{end}"


def look_at(browser: str, page: Path, width: int, dark: bool, scratch: Path) -> Found:
    """Open a copy of `page`, kept in `scratch`, in a frame of `width` pixels."""
    copy = scratch / f"{page.parent.name}-{width}-{'dark' if dark else 'light'}.html"
    measuring = copy_that_measures(page.read_text(encoding="utf-8"))
    copy.write_text(FRAME.format(width=width, page=html.escape(measuring)), encoding="utf-8")
    command = [
        *(
            browser,
            "--headless=new",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--enable-logging=stderr",
        ),
        *(
            f"--user-data-dir={scratch / 'profile'}",
            f"--window-size={max(width, 500)},900",
            "--dump-dom",
        ),
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium refuses to run as root with it
        copy.resolve().as_uri(),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    told = re.search(r'<pre id="found-by-the-browser">(.*?)</pre>', answer.stdout, re.DOTALL)
    assert told is not None, f"the browser measured nothing: {answer.stderr[-2000:]}"
    console = [line for line in answer.stderr.splitlines() if ":CONSOLE" in line]
    found = json.loads(html.unescape(told[1]))
    return Found(**{**found, "troubles": [*found["troubles"], *console]})
