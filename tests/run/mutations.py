"""Files that are nearly right, as disks, editors and other programs leave them.

FADE_RAY_MUTATIONS=1000 tries so many of each kind.
"""

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from failing_disk import Tree
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fade_ray.records.seal import KEY, OPEN, seal, sealed

EXAMPLES = int(os.environ.get("FADE_RAY_MUTATIONS", "15"))
mutations = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
PATIENCE = 60  # seconds
ROOM = 6 << 30  # bytes beyond what the process has


class Hung(BaseException):
    """It would not have ended."""


@contextmanager
def bounded() -> Iterator[None]:
    """In here nothing takes forever, or all memory."""

    def ring(*_: Any) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, ring)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, limits[1]))
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """A few bytes other, gone, repeated or new; or the tail gone."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        part = draw(st.sampled_from(["other", "gone", "twice", "new", "cut", "number"]))
        if part == "other" and start < end:
            data[start] ^= draw(st.integers(1, 255))
        elif part == "gone":
            del data[start:end]
        elif part == "twice":
            data[start:start] = data[start:end] * draw(st.integers(1, 3))
        elif part == "new":
            data[start:start] = draw(st.binary(max_size=8))
        elif part == "cut":
            del data[start:]
        elif part == "number":
            data[start:end] = draw(st.sampled_from([b"-1", b"0", b"1e999", b"null", b"[]", b"{}"]))
    return bytes(data)


VALUES = (None, True, -1, 0, 3, 10**30, 0.5, float("nan"), float("inf"), "", "x", [], {}, [[]])
GONE = object()


def mutated_json(value: Any) -> st.SearchStrategy[Any]:
    """What is JSON still: one of its values another one, or gone."""

    def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else ()
        inner = enumerate(value) if isinstance(value, list) else inner
        return [path, *(place for key, part in inner for place in places(part, (*path, key)))]

    def changed(place: tuple[Any, ...], new: Any) -> Any:
        if not place:
            return None if new is GONE else new
        made = json.loads(json.dumps(value))
        holder = made
        for key in place[:-1]:
            holder = holder[key]
        if new is GONE:
            del holder[place[-1]]
        else:
            holder[place[-1]] = new
        return made

    found = [place for place in places(value) if place != (KEY,)]
    return st.builds(changed, st.sampled_from(found), st.sampled_from((*VALUES, GONE)))


def resealed(name: str, content: bytes) -> bytes:
    """With the checksums that it would have, had it been written so."""
    if not name.endswith(".jsonl"):
        return _sealed(content)
    lines, of = list[bytes](), 0
    for line in content.split(b"\n"):
        start = b'"event": "start"' in line
        lines.append(_sealed(line, 0 if start else of))
        of = seal(lines[-1]) or of if start else of
    return b"\n".join(lines)


def _sealed(content: bytes, of: int = 0) -> bytes:
    held = seal(content)
    if held is None:
        return content
    head, _, tail = content.rpartition(b"%08x" % held)
    return sealed(head + OPEN.encode() + tail, of)


TOLD = (".json", ".jsonl")
READ = (*TOLD, ".pt", ".earlier", ".safetensors", ".kept", ".parquet")


@st.composite
def mutated_tree(draw: st.DrawFn, tree: Tree) -> tuple[str, str, Tree]:
    """(file, what was done to it, what is there now) of a run directory one of whose files is
    nearly right.
    """
    files = {name: content for name, content in sorted(tree.items()) if content is not None}
    told, read = ([name for name in files if name.endswith(ends)] for ends in (TOLD, READ))
    name = draw(st.sampled_from(told) | st.sampled_from(read) | st.sampled_from(list(files)))
    content = files[name]
    ways = ["bytes", "resealed bytes", "cut", "empty", "gone", "folder", "other"]
    if name.endswith(TOLD):
        ways += ["value"] * 16
    way = draw(st.sampled_from(ways))
    new: bytes | None = b""
    if way == "bytes":
        new = draw(mutated(content))
    elif way == "resealed bytes":
        new = resealed(name, draw(mutated(content)))
    elif way == "cut":
        new = content[: draw(st.integers(0, len(content)))]
    elif way == "folder":
        new = None
    elif way == "other":
        new = draw(st.sampled_from([b"null", b"[]", b'"x"', b"3", b"{}", b"NaN", b"[" * 99_999]))
    elif way == "value":
        new = draw(_other_value(name, content))
    now = {**tree, name: new}
    if way == "gone":
        del now[name]
    kept = f".{Path(name).name}.kept"
    if way in ("value", "resealed bytes") and name.endswith(".jsonl"):
        now = {n: c for n, c in now.items() if not n.endswith(kept)}
    return name, way, now


def _other_value(name: str, content: bytes) -> st.SearchStrategy[bytes]:
    if not name.endswith(".jsonl"):
        return mutated_json(json.loads(content)).map(
            lambda made: resealed(name, json.dumps(made).encode())
        )
    lines = content.split(b"\n")  # the last one is empty, or torn

    def other(at: int) -> st.SearchStrategy[bytes]:
        return mutated_json(json.loads(lines[at])).map(
            lambda made: resealed(
                name, b"\n".join([*lines[:at], json.dumps(made).encode(), *lines[at + 1 :]])
            )
        )

    return st.integers(0, len(lines) - 2).flatmap(other)
