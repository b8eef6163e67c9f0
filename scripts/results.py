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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
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
REPORTED = ("comparison.json", "ranks.json", "cells.json", "methods.json")
"""What a report writes for programs; of these the summary is made."""
COLUMNS = pa.schema(
    [("file", pa.string()), ("line", pa.string()), ("points", pa.list_(pa.string()))]
)
EXACT = ("weights",)
"""Kept to the bit: replays are made with the ranks that were learned."""
NUMBERS, ROWS = 40, 200
"""The longest lists of a summary: of numbers, and of anything else."""
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
        make(run.name, made)
        study.mkdir(parents=True, exist_ok=True)
        write_packed(table, study / PACKED)
        for name in KEPT:
            if (made / name).exists():
                shutil.copyfile(made / name, study / name)
        write_summary(made, study)
        (study / "figures").mkdir(exist_ok=True)
        for name in figures:
            drawn = figure(made, name)
            (study / "figures" / drawn.name).write_text(simplified(drawn.read_text()))


def packed(run: Path) -> pa.Table:
    """Columns `file`, `line` and `points`: each line of each record in `run`, in order."""
    paths = [run / name for name in RECORDS if (run / name).exists()]
    if not paths:
        raise InvalidInput(
            f"`pack` needs the directory of a run, but {run} holds none of {', '.join(RECORDS)}."
        )
    rows = [
        {"file": path.name, **without_points(line)}
        for path in paths
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]
    ]
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def write_packed(table: pa.Table, path: Path) -> None:
    whole = 1 << 28  # bytes: one page, so that repetitions are seen wherever they stand
    limits = {"data_page_size": whole, "dictionary_pagesize_limit": whole}
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=22,
        use_dictionary=["points.list.element"],
        **limits,
    )


def without_points(line: str) -> dict[str, Any]:
    """A line as it is; that of a replayed search without its evaluations, which stand apart, each
    as the text `score report`: a table's pairs come again and again and so cost little.
    """
    event = json.loads(line)
    trace = event.get("trace")
    if not trace:
        return {"line": line, "points": None}
    pairs = zip(trace["scores"], trace["reports"], strict=True)
    points = [f"{score!r} {report!r}" for score, report in pairs]
    trace |= {"scores": None, "reports": None}
    row = {"line": json.dumps(event), "points": points}
    require(with_points(row) == line, "a packed line is the line", "Mend `pack`.", line=line[:80])
    return row


def with_points(row: dict[str, Any]) -> str:
    """The line that `without_points` was given."""
    if row.get("points") is None:
        return str(row["line"])
    event = json.loads(row["line"])
    numbers = [[float(part) for part in point.split()] for point in row["points"]]
    event["trace"] |= {"scores": [n[0] for n in numbers], "reports": [n[1] for n in numbers]}
    return json.dumps(event)


def unpack(study: Path, out: Path) -> None:
    """Copy the study into the new directory `out`, its records as the lines they were."""
    if out.exists() and any(out.iterdir()):
        raise InvalidInput(f"`unpack` needs a new directory, but {out} holds files.")
    shutil.copytree(study, out, ignore=shutil.ignore_patterns(PACKED), dirs_exist_ok=True)
    lines: dict[str, list[str]] = {}
    rows = pq.read_table(study / PACKED).to_pylist() if (study / PACKED).exists() else []
    for row in rows:
        lines.setdefault(row["file"], []).append(with_points(row) + "\n")
    for name, text in lines.items():
        (out / name).write_text("".join(text), encoding="utf-8")


def remake(study: Path, out: Path) -> None:
    """Unpack the study, make it again, and write its summary."""
    unpack(study, out)
    for path in (*out.glob("figures/*.svg"), *out.glob("*.svg"), out / "summary.json"):
        path.unlink(missing_ok=True)
    make(study.resolve().name, out)
    write_summary(out, out)


def make(name: str, folder: Path) -> None:
    """All figures, tables and results of the unpacked study `name`, by what it was made with."""
    MAKERS.get(name, report)(folder)


def report(folder: Path) -> None:
    """A run of the product."""
    _run(folder, "-m", "fade_ray.cli", "report", str(folder.resolve()))


def estimators(folder: Path) -> None:
    _script(folder, "compare_estimators.py", "show")


def toys(folder: Path) -> None:
    seed = json.loads((folder / "toys.json").read_text())["settings"]["seed"]
    _script(folder, "draw_toys.py", "--seed", str(seed))


def cells(folder: Path) -> None:
    """The figure and the summary over seeds of a study of cell searches, from its two tables."""
    import study_cells

    from fade_ray.report import style

    searches, epochs = (
        pq.read_table(folder / name).to_pylist() for name in ("searches.parquet", "epochs.parquet")
    )
    made = study_cells.summarise(searches, None)
    (folder / "summary.json").write_text(json.dumps({"groups": made["groups"]}))
    study = json.loads((folder / "study.json").read_text())
    with style.house_style():
        style.save(study_cells.draw(epochs, tuple(study["panels"]), study["title"]), folder)


def over_trainings(folder: Path, script: str) -> None:
    """A script over the rank studies of NAS-Bench-Macro, which reads what they learned."""
    studies = [str(RESULTS / name) for name in ("nasbench-macro", "nasbench-macro-again")]
    _script(folder, script, "--table", "nasbench_macro.parquet", "--studies", *studies)


MAKERS: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys(("cells-digits", "collapse", "nasbench201"), cells),
    **dict.fromkeys(("estimators-cifar10", "estimators-digits"), estimators),
    "ranks-against-size": partial(over_trainings, script="ranks_against_size.py"),
    "replay-learned": partial(over_trainings, script="replay_learned_ranks.py"),
    "toys": toys,
}
"""What makes a study again, where that is not `fade-ray report`."""


def _script(folder: Path, name: str, *arguments: str) -> None:
    _run(folder, str(ROOT / "scripts" / name), *arguments, "--out", str(folder.resolve()))


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
    """An SVG of matplotlib without its date and maker, places to a tenth of a point, one line per
    path, no more spaces in it than it takes.
    """
    plain = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r'(?<= )(?:d|x|y|transform|points)="[^"]*"', _rounded, plain)


def _rounded(attribute: re.Match[str]) -> str:
    shorter = re.sub(
        r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), attribute[0]
    )
    flat = re.sub(r"\s*\n", " ", shorter).replace(' "', '"')
    return re.sub(r" ?\b([A-Z]|z) ?", r"\1", flat) if flat.startswith("d=") else flat


def write_summary(made: Path, study: Path) -> None:
    """Numbers to ten digits; a line for what holds no further lists."""
    if told := summary(made):
        text = json.dumps(told, indent=1)
        lines = re.sub(r"[{\[][^{}\[\]]*[}\]]", lambda part: " ".join(part[0].split()), text)
        (study / "summary.json").write_text(lines + "\n")


def summary(folder: Path) -> Summary:
    """What a report has written for programs, by file, or what a script has; without curves."""
    told = {Path(name).stem: folder / name for name in REPORTED if (folder / name).exists()}
    if told:
        return {name: trimmed(json.loads(path.read_text())) for name, path in told.items()}
    path = folder / "summary.json"
    return trimmed(json.loads(path.read_text())) if path.exists() else {}


def trimmed(value: Any) -> Any:
    """Without curves: of what is told per epoch the last one, of long lists how many they held."""
    if isinstance(value, dict):
        return {key: part if key in EXACT else trimmed(part) for key, part in value.items()}
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, dict) and "epoch" in item for item in value):
        last = max(item["epoch"] for item in value)
        value = [item for item in value if item["epoch"] == last]
    curve = all(item is None or isinstance(item, int | float) for item in value)
    if len(value) > (NUMBERS if curve else ROWS):
        return f"{len(value)} values"
    return [trimmed(item) for item in value]


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two summaries differ by more than rounding, as `place: value, value`."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key), other.get(key), f"{place}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, theirs, f"{place}/{i}")
    elif isinstance(one, int | float) and isinstance(other, int | float):
        if not math.isclose(one, other, rel_tol=1e-8, abs_tol=1e-12):
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
