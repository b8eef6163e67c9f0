"""The studies under docs/results: small in the repository, whole again when they are looked at.

    python scripts/results.py pack runs/mine --figures anytime effects
    python scripts/results.py unpack docs/results/mine /tmp/mine
    python scripts/results.py remake docs/results/mine /tmp/mine

A study is its configuration and environment, `result.json`, `summary.json` (what the tables say,
without curves), at most two figures, and its records, line by line, in one compressed Parquet file.
`unpack` gives the very bytes of the records back. `remake` lets the product itself (`fade-ray
report`), or the script that a study was made with, draw every figure and table from them again.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tyro

from spaces.errors import InvalidInput, require

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
TABLES = RESULTS / "tables"
"""Published benchmark tables that a report reads; a configuration names the file alone."""
PACKED = "records.parquet"
RECORDS = ("records.jsonl", "replays.jsonl")
KEPT = ("config.json", "environment.json", "budget.json", "result.json", "study.json")
"""Copied as they are."""
SUMMARISED = ("comparison.json", "ranks.json", "cells.json", "summary.json")
"""What a report writes for programs; of these the summary is made."""
EPOCHS = "epochs.parquet"
"""Of a study of cell searches: one row per epoch."""
LONGEST = 64
"""Items of a list in a summary."""
DECIMALS = 2
"""Of an SVG coordinate: a hundredth of a point is nothing that can be seen."""

Summary = dict[str, Any]


@dataclass(frozen=True)
class Pack:
    """Make a study of a run directory: docs/results/<its name>."""

    run: tyro.conf.Positional[Path]
    figures: tuple[str, ...] = ()
    """At most two figures to keep, by name; none: those that the study has already."""
    out: Path | None = None
    """Where, if not there."""


@dataclass(frozen=True)
class Unpack:
    """Copy a study with its records as they were written."""

    study: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]


@dataclass(frozen=True)
class Remake(Unpack):
    """Unpack a study, and make all of its figures, tables and its summary from the records."""


def pack(run: Path, study: Path, figures: tuple[str, ...]) -> None:
    """Write the study of `run`. Raises InvalidInput for a directory without records and for a
    figure that its report does not draw.
    """
    figures = figures or tuple(sorted(path.stem for path in (study / "figures").glob("*.svg")))
    require(len(figures) <= 2, "figures <= 2", "Name them by --figures.", figures=figures)
    table = packed(run)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / run.name
        shutil.copytree(run, made)
        make(made)
        study.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, study / PACKED, compression="zstd", compression_level=22)
        for name in KEPT:
            if (made / name).exists():
                shutil.copyfile(made / name, study / name)
        write_summary(made, study)
        (study / "figures").mkdir(exist_ok=True)
        for name in figures:
            drawn = figure(made, name)
            (study / "figures" / drawn.name).write_text(simplified(drawn.read_text()))


def packed(run: Path) -> pa.Table:
    """Columns `file` and `line`: each line of each record below `run`, in order."""
    paths = sorted(path for name in RECORDS for path in run.glob(name))
    if not paths:
        raise InvalidInput(
            f"`pack` needs the directory of a run, but {run} holds none of {', '.join(RECORDS)}."
        )
    rows = [
        (path.name, line)
        for path in paths
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]
    ]
    return pa.table({"file": [name for name, _ in rows], "line": [line for _, line in rows]})


def unpack(study: Path, out: Path) -> None:
    """Copy the study into the new directory `out`, its records as the lines they were."""
    if out.exists() and any(out.iterdir()):
        raise InvalidInput(f"`unpack` needs a new directory, but {out} holds files.")
    shutil.copytree(study, out, ignore=shutil.ignore_patterns(PACKED), dirs_exist_ok=True)
    lines: dict[str, list[str]] = {}
    rows = pq.read_table(study / PACKED).to_pylist() if (study / PACKED).exists() else []
    for row in rows:
        lines.setdefault(row["file"], []).append(row["line"] + "\n")
    for name, text in lines.items():
        (out / name).write_text("".join(text), encoding="utf-8")


def remake(study: Path, out: Path) -> None:
    """Unpack the study, make it again, and write its summary."""
    unpack(study, out)
    for path in (*out.glob("figures/*.svg"), *out.glob("*.svg"), out / "summary.json"):
        path.unlink(missing_ok=True)
    make(out)
    write_summary(out, out)


def make(folder: Path) -> None:
    """All figures, tables and results of an unpacked study, by what it was made with."""
    script = next((MAKERS[name] for name in MAKERS if (folder / name).exists()), report)
    script(folder)


def report(folder: Path) -> None:
    _run(folder, "-m", "fade_ray.cli", "report", str(folder.resolve()))


def estimators(folder: Path) -> None:
    script = ROOT / "scripts" / "compare_estimators.py"
    _run(folder, str(script), "show", "--out", str(folder.resolve()))


def toys(folder: Path) -> None:
    seed = json.loads((folder / "toys.json").read_text())["settings"]["seed"]
    script = ROOT / "scripts" / "draw_toys.py"
    _run(folder, str(script), "--out", str(folder.resolve()), "--seed", str(seed))


def cells(folder: Path) -> None:
    """The figure and the summary over seeds of a study of cell searches, from its two tables."""
    import study_cells

    from fade_ray.report import style

    searches, epochs = (
        pq.read_table(folder / name).to_pylist() for name in ("searches.parquet", EPOCHS)
    )
    made = study_cells.summarise(searches, None)
    (folder / "summary.json").write_text(json.dumps({"groups": made["groups"]}))
    study = json.loads((folder / "study.json").read_text())
    with style.house_style():
        style.save(study_cells.draw(epochs, tuple(study["panels"]), study["title"]), folder)


MAKERS = {EPOCHS: cells, "toys.json": toys, "study.json": estimators}
"""What makes a study again, by a file that tells it; any other is a run of the product."""


def _run(folder: Path, *arguments: str) -> None:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    answer = subprocess.run(
        [sys.executable, *arguments],
        cwd=TABLES,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        raise InvalidInput(f"{folder} could not be made again: {answer.stderr.strip()}")


def figure(folder: Path, name: str) -> Path:
    for path in (folder / "figures" / f"{name}.svg", folder / f"{name}.svg"):
        if path.exists():
            return path
    drawn = sorted(path.stem for path in (folder / "figures").glob("*.svg"))
    raise InvalidInput(f"`--figures` must be of {', '.join(drawn)}, but got {name!r}.")


def simplified(svg: str) -> str:
    """An SVG of matplotlib with coordinates of two decimals and without its date and maker."""
    plain = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.{DECIMALS}f}", plain)


def write_summary(made: Path, study: Path) -> None:
    text = json.dumps(summary(made), indent=1)
    (study / "summary.json").write_text(text + "\n")


def summary(folder: Path) -> Summary:
    """The results that were written for programs, by file, without curves."""
    return {
        Path(name).stem: trimmed(json.loads((folder / name).read_text()))
        for name in SUMMARISED
        if (folder / name).exists()
    }


def trimmed(value: Any) -> Any:
    """Without curves: of what is told per epoch the last one, of long lists how many they held."""
    if isinstance(value, dict):
        return {key: trimmed(part) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, dict) and "epoch" in item for item in value):
        last = max(item["epoch"] for item in value)
        value = [item for item in value if item["epoch"] == last]
    return [trimmed(item) for item in value] if len(value) <= LONGEST else f"{len(value)} values"


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two summaries differ by more than rounding, as `place: value, value`."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key), other.get(key), f"{place}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, theirs, f"{place}/{i}")
    elif isinstance(one, int | float) and isinstance(other, int | float):
        if not math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{place}: {one}, {other}"
    elif one != other:
        yield f"{place}: {one!r}, {other!r}"


def main(command: Pack | Unpack | Remake) -> None:
    match command:
        case Pack():
            pack(command.run, command.out or RESULTS / command.run.name, command.figures)
        case Remake():
            remake(command.study, command.out)
        case Unpack():
            unpack(command.study, command.out)


if __name__ == "__main__":
    commands = {"pack": Pack, "unpack": Unpack, "remake": Remake}
    try:
        main(tyro.extras.subcommand_cli_from_dict(commands, description=__doc__))
    except InvalidInput as error:
        raise SystemExit(f"results: {error}") from None
