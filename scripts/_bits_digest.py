"""What a run computed, taken from the files that it wrote: the digest of `check_bits.py`.

Two levels. `exact`: every line of every record, table and result, without what differs from run to
run (times, memory, paths, versions). `numbers` and `tensors`: which numbers and which tensors stand
anywhere in these files, whatever they are called there; this level outlives renamed keys,
parameters and files.
"""

import csv
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

VOLATILE = re.compile(
    r"time|times|started|last|(.*_)?seconds?|.*per_second|.*memory.*|.*_mib|training_share|"
    r"share_of_wall|host(name)?|node|pid|path|folder|out|run|source|version|format|commit|"
    r"command|environment|device|crc32|start_number|latency_ms"
)
"""Keys and columns, whole, whose values differ from run to run or from place to place."""
CONFIGURATIONS = ("config.json", "environment.json", "study.json")
"""Said before anything was computed; laid out anew whenever options are."""
PICTURES = ("figures", "tensorboard", "checkpoints", "tune", "errors")
"""Folders of what is drawn or kept for a restart."""
SMALL = 1000
"""Whole numbers below this stand everywhere and prove nothing; from here on they count."""
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass
class Digest:
    """`exact`: file -> lines. `numbers`, `tensors`: number or hash -> where it stands first."""

    exact: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"exact": self.exact, "numbers": self.numbers, "tensors": self.tensors}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Digest":
        """The inverse of `to_dict`."""
        return cls(values["exact"], values["numbers"], values["tensors"])


def digest(folder: Path) -> Digest:
    """The digest of all files in `folder`."""
    whole = Digest()
    for path in sorted(folder.rglob("*"), key=_records_first):
        name = path.relative_to(folder).as_posix()
        skipped = path.name in CONFIGURATIONS or any(part in PICTURES for part in path.parts)
        if path.is_file() and not skipped and path.suffix in READERS:
            _enter(whole, name, READERS[path.suffix](path), str(folder.resolve().parent))
        elif path.suffix == ".safetensors":
            _enter_tensors(whole, name, path)
    return whole


def _records_first(path: Path) -> tuple[bool, str]:
    """A number's place is that where it was measured, not a table that repeats it."""
    return path.suffix not in (".jsonl", ".safetensors"), path.as_posix()


def _enter(whole: Digest, name: str, values: Iterable[Any], place: str) -> None:
    """`values` of the file `name`, one a line; `place` is the folder that paths begin with."""
    lines = []
    for value in values:
        kept = settled(value)
        lines.append(json.dumps(kept, sort_keys=True).replace(place, ""))
        for key, number in _numbers(kept, ""):
            whole.numbers.setdefault(number, f"{name} {key}")
    whole.exact[name] = lines


def settled(value: Any) -> Any:
    """`value` without what is volatile, floats as Python's, those that are not finite as text."""
    if isinstance(value, Mapping):
        return {key: settled(item) for key, item in value.items() if not VOLATILE.fullmatch(key)}
    if isinstance(value, list | tuple):
        return [settled(item) for item in value]
    if isinstance(value, datetime):
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(value)
    return value


def _numbers(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """(key, number) of every number in `value` that says something."""
    if isinstance(value, Mapping):
        event = f"{value['event']}." if "event" in value else ""
        for name, item in value.items():
            yield from _numbers(item, f"{key}.{name}" if key else f"{event}{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, key)
    elif isinstance(value, float) and value != int(value):
        yield key, repr(value)
    elif isinstance(value, int | float) and abs(value) >= SMALL:
        yield key, repr(int(value))


def _enter_tensors(whole: Digest, name: str, path: Path) -> None:
    from safetensors.torch import load_file

    lines = []
    for key, tensor in load_file(path).items():
        content = tensor.contiguous().numpy().tobytes()
        about = f"{tensor.dtype} {tuple(tensor.shape)} "
        hashed = hashlib.sha256(about.encode() + content).hexdigest()[:24]
        lines.append(f"{key} {hashed}")
        whole.tensors.setdefault(hashed, f"{name} {key} {about.strip()}")
    whole.exact[name] = sorted(lines)


def _json(path: Path) -> Iterator[Any]:
    yield json.loads(path.read_text())


def _json_lines(path: Path) -> Iterator[Any]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def _csv(path: Path) -> Iterator[Any]:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield {key: _parsed(text) for key, text in row.items()}


def _parquet(path: Path) -> Iterator[Any]:
    from pyarrow import parquet

    yield from parquet.read_table(path, use_threads=False).to_pylist()


def _text(path: Path) -> Iterator[Any]:
    for line in path.read_text().splitlines():
        numbers = [_parsed(number.replace(",", "")) for number in _NUMBER.findall(line)]
        yield {"line": line, "numbers": numbers}


def _parsed(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


READERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _text,
}
"""Suffix -> the values in a file, one a line of the digest."""
