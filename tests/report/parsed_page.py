"""A run that a page is made of, and a page, as a test reads them."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fade_ray.records.run_files import Run, read_object

EVIL = "</pre><script>alert('1')</script>\"&"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """A parsed page: every tag must be closed by its own end tag."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def figures(self) -> dict[str, str]:
        """Name of each figure -> the alternative text of its drawing, "" where there is none."""
        found, name = {}, ""
        for tag, attributes in self.tags:
            if tag == "figure":
                name = attributes["id"] or ""
                found[name] = ""
            if tag == "svg" and "aria-hidden" not in attributes:
                assert attributes["role"] == "img"
                found[name] = attributes["aria-label"] or ""
        return found


def read_run(folder: Path, history: Any) -> Run[Any, Any]:
    """A run whose configuration is what its file says, whatever that is."""
    names = ("config.json", "environment.json", "result.json")
    files = (read_object(folder / name) for name in names)
    return Run(folder, history.read(folder / "records.jsonl"), *files)
