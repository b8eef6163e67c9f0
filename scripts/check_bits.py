"""Does a restructured tree compute the same bits as the one it came from?

    python scripts/check_bits.py --list
    python scripts/check_bits.py record TREE --out reference.json
    python scripts/check_bits.py compare reference.json TREE

`record` makes a short run of every kind with the code in TREE and keeps what each computed;
`compare` makes the same runs with another tree and says for each:

    identical      every line of records, tables and results, and every tensor by its name
    same numbers   keys, files, parameters or layouts differ; every number and tensor is there
    allowed        as before, but for numbers that the case says may differ, with the reason
    DIFFERS        numbers or tensors are missing; the first ten are shown, and new ones beside them

and ends with exit code 1 where a case differs or fails. What counts is said in `_bits_digest.py`;
the runs are in the table CASES of `_bits_cases.py`. Bits depend on the machine and on torch, so
that a reference is worth something where it was recorded, and is not kept in the repository.

Every command runs in a process of its own, forked from this one, which has imported the libraries
but none of the trees. One thread each. `record` and `compare` hash strings differently, so that an
order taken from a set shows. Cases whose tables are not given (--macro-table, --nasbench201-table)
are left out, and said so. `record --only` replaces these cases in a reference and keeps the others.
"""

import argparse
import contextlib
import fnmatch
import importlib
import json
import multiprocessing
import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from _bits_cases import CASES, Case
from _bits_digest import Digest, digest

SETTLED = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "COLUMNS": "200",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}
"""The environment of all runs."""
LIBRARIES = (
    "torch",
    "torch._dynamo",
    "torchvision",
    "safetensors.torch",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.datasets",
    "networkx",
    "matplotlib.pyplot",
    "tensorboardX",
    "jinja2",
    "rich.console",
    "rich.table",
    "tyro",
)
"""Imported once, before any tree: most of the time of a short run. Missing ones are left out."""
TIMEOUT = 300.0
"""Seconds that a command may take."""
SHOWN = 10
"""Missing and new numbers that are shown of a case."""
Chosen = Mapping[str, tuple[str, ...]]
"""Name of a case -> its commands."""


class Failed(Exception):
    """A command of a case did not end well."""


@dataclass(frozen=True)
class Tree:
    """The code that is run, and the files that stand for {images} and the like in its commands."""

    path: Path
    files: Mapping[str, str]

    def run(self, commands: Sequence[str], shown: bool) -> Digest:
        """Carry the commands out, one after the other, in a fresh folder. Raises Failed."""
        with tempfile.TemporaryDirectory(prefix="bits-") as place:
            folder = Path(place).resolve()
            (folder / "run").mkdir()
            for index, command in enumerate(commands):
                arguments = shlex.split(command.format_map(self.files))
                log = folder / f"{index}.log"
                code = _in_a_process(_command, self.path, arguments, folder, log)
                if code != 0:
                    raise Failed(f"`fade-ray {command}` ended with {code}:\n{_end(log)}")
                if shown:
                    (folder / "run" / f"{index}.txt").write_text(log.read_text())
            log = folder / "digest.log"
            if _in_a_process(_digest, folder / "run", folder / "digest.json", log) != 0:
                raise Failed(f"The files of `fade-ray {commands[0]}` cannot be read:\n{_end(log)}")
            return Digest.from_dict(json.loads((folder / "digest.json").read_text()))


def _in_a_process(work: Callable[..., None], *arguments: Any) -> int | None:
    """The exit code of `work`, None after TIMEOUT."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    process.join(TIMEOUT)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def _command(tree: Path, arguments: list[str], folder: Path, log: Path) -> None:
    """`fade-ray ARGUMENTS` by the code in `tree`, in `folder`."""
    _speak_into(log)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(tree)  # for processes that it starts
    sys.path[:] = [str(tree), *(p for p in sys.path[1:] if not (Path(p) / "fade_ray").is_dir())]
    sys.argv = ["fade-ray", *arguments]
    cli = importlib.import_module("fade_ray.cli")
    if not Path(str(cli.__file__)).resolve().is_relative_to(tree):
        raise SystemExit(f"The code must come from {tree}, but {cli.__file__} was imported.")
    cli.main()


def _digest(folder: Path, path: Path, log: Path) -> None:
    _speak_into(log)
    path.write_text(json.dumps(digest(folder).to_dict()))


def _speak_into(log: Path) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(target, 1)
    os.dup2(target, 2)


def _end(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text().splitlines()[-lines:])


@dataclass(frozen=True)
class Answer:
    """What became of a case: its digest, or why there is none."""

    name: str
    digest: Digest | None
    reason: str
    seconds: float


def answers(tree: Tree, chosen: Chosen, jobs: int) -> Iterator[Answer]:
    """Every case run, in order."""

    def answer(name: str) -> Answer:
        start = time.perf_counter()
        try:
            computed, reason = tree.run(chosen[name], CASES[name].shown), ""
        except Failed as error:
            computed, reason = None, str(error)
        return Answer(name, computed, reason, time.perf_counter() - start)

    with ThreadPool(jobs) as threads:
        yield from threads.imap(answer, chosen)


@dataclass(frozen=True)
class Verdict:
    """One case of two trees held against each other."""

    word: str
    missing: Mapping[str, str]
    new: Mapping[str, str]
    reasons: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.missing


def verdict(before: Digest, now: Digest, changed: Sequence[tuple[str, str]] = ()) -> Verdict:
    """`changed`: beginnings of places whose numbers may be missing, with the reason."""
    missing = _without(before.numbers, now.numbers) | _without(before.tensors, now.tensors)
    new = _without(now.numbers, before.numbers) | _without(now.tensors, before.tensors)
    if before.exact == now.exact:
        return Verdict("identical", missing, new)
    expected = {key: place for key, place in missing.items() if _reason(place, changed)}
    reasons = tuple(sorted({_reason(place, changed) for place in expected.values()}))
    missing = _without(missing, expected)
    word = "DIFFERS" if missing else "allowed" if expected else "same numbers"
    return Verdict(word, missing, new, reasons)


def _without(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    return {key: place for key, place in one.items() if key not in other}


def _reason(place: str, changed: Sequence[tuple[str, str]]) -> str:
    return next((reason for start, reason in changed if place.startswith(start)), "")


def record(tree: Tree, chosen: Chosen, out: Path, jobs: int, cases: dict[str, Any]) -> bool:
    """Write the digests of all cases to `out`, beside those in `cases`; whether all ended well."""
    well = True
    for answer in answers(tree, chosen, jobs):
        line = answer.reason or f"{_size(answer.digest)}"
        print(f"{answer.name:38} {answer.seconds:5.1f} s  {line}", flush=True)
        well &= answer.digest is not None
        if answer.digest is not None:
            cases[answer.name] = answer.digest.to_dict()
    out.write_text(json.dumps({"environment": environment(), "cases": cases}) + "\n")
    return well


def _size(computed: Digest | None) -> str:
    if computed is None:
        return ""
    return f"{len(computed.numbers)} numbers, {len(computed.tensors)} tensors"


def compare(tree: Tree, chosen: Chosen, reference: Mapping[str, Any], jobs: int) -> bool:
    """Print a verdict for each case; whether all hold."""
    well = True
    for answer in answers(tree, chosen, jobs):
        if answer.digest is None:
            print(f"{answer.name:38} FAILED  {answer.reason}", flush=True)
            well = False
            continue
        before = Digest.from_dict(reference["cases"][answer.name])
        told = verdict(before, answer.digest, CASES[answer.name].changed)
        print(f"{answer.name:38} {told.word}{_counts(told, before)}", flush=True)
        for line in _lines(told):
            print(line, flush=True)
        well &= told.holds
    return well


def _counts(told: Verdict, before: Digest) -> str:
    if told.word == "identical":
        return ""
    of = len(before.numbers) + len(before.tensors)
    reasons = f" ({'; '.join(told.reasons)})" if told.reasons else ""
    return f"{reasons}: {len(told.missing)} of {of} missing, {len(told.new)} new"


def _lines(told: Verdict) -> Iterator[str]:
    if told.holds:
        return
    for word, values in (("missing", told.missing), ("new", told.new)):
        for key, place in list(values.items())[:SHOWN]:
            yield f"    {word:8} {key:26} {place}"


def environment() -> dict[str, str]:
    """What bits depend on beside the code."""
    import numpy
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "machine": platform.machine(),
        "processor": torch.backends.cpu.get_cpu_capability(),
    }


def recorded(path: Path) -> dict[str, Any]:
    """The cases in a reference, {} without one. SystemExit for one of other libraries."""
    if not path.exists():
        return {}
    reference = json.loads(path.read_text())
    if reference["environment"] != environment():
        raise SystemExit(f"{path} was recorded with {reference['environment']}. Record all cases.")
    return dict(reference["cases"])


def commands_of(case: Case, now: bool) -> tuple[str, ...]:
    """Of the reference, or of the tree that is held against it."""
    return case.now if now and case.now is not None else case.commands


def select(names: Iterable[str], only: Sequence[str] | None) -> list[str]:
    """Those that match one of the patterns `only`. Raises SystemExit for one that matches none."""
    known = list(names)
    for pattern in only or ():
        if not fnmatch.filter(known, pattern):
            raise SystemExit(f"No case is called {pattern!r}. `--list` shows them.")
    return [n for n in known if only is None or any(fnmatch.fnmatch(n, p) for p in only)]


def runnable(names: Iterable[str], now: bool, files: Mapping[str, str]) -> Chosen:
    """name -> commands, those left out, and said so, that need a table which is not given."""
    chosen = {}
    for name in names:
        commands = commands_of(CASES[name], now)
        try:
            " ".join(commands).format_map(files)
        except KeyError as error:
            print(f"{name:38} left out: it needs a table, {error}", flush=True)
            continue
        chosen[name] = commands
    return chosen


def make_files(folder: Path) -> dict[str, str]:
    """Generated input: folders of colour images and a file of learned ranks."""
    import numpy
    from PIL import Image

    random = numpy.random.RandomState(0)
    for label in ("blue", "green", "red"):
        base = random.randint(0, 200, size=3)
        for index in range(60):
            pixels = base + random.randint(0, 56, size=(16, 16, 3))
            image = Image.fromarray(pixels.astype("uint8"))
            for part in ("images", "split/val" if index % 5 == 0 else "split/train"):
                path = folder / part / label / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
    weights = random.dirichlet((2.0, 2.0, 2.0), size=8)  # NAS-Bench-Macro: 8 rows of 3 blocks
    (folder / "ranks.json").write_text(json.dumps({"weights": weights.tolist()}))
    names = {"images": "images", "split": "split", "ranks": "ranks.json"}
    return {name: str(folder / file) for name, file in names.items()}


def settle(hashes: str) -> None:
    """Start this process again where its environment is not that of all runs."""
    wanted = {**SETTLED, "PYTHONHASHSEED": hashes}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--list", action="store_true", help="show the cases")
    commands = parser.add_subparsers(dest="command")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--only", nargs="+", metavar="NAME", help="cases, or patterns of them")
    shared.add_argument("--jobs", type=int, default=1, help="cases at once (1)")
    shared.add_argument("--macro-table", help="Parquet file of NAS-Bench-Macro")
    shared.add_argument("--nasbench201-table", help="Parquet file of NAS-Bench-201")
    first = commands.add_parser("record", parents=[shared], help="run every case, keep digests")
    first.add_argument("tree", type=Path)
    first.add_argument("--out", type=Path, required=True)
    second = commands.add_parser("compare", parents=[shared], help="run again, hold against them")
    second.add_argument("reference", type=Path)
    second.add_argument("tree", type=Path)
    given = parser.parse_args(arguments)
    if given.command is None and not given.list:
        parser.error("say `record`, `compare` or --list")
    return given


def given_files(given: argparse.Namespace) -> dict[str, str]:
    """Tables of the command line by their names in the cases."""
    tables = {"macro": given.macro_table, "nb201": given.nasbench201_table}
    return {name: str(Path(path).resolve()) for name, path in tables.items() if path is not None}


def main() -> None:
    given = parse()
    if given.list:
        for name, case in CASES.items():
            print(f"{name:38} {commands_of(case, now=True)[0]}")
        return
    now = given.command == "compare"
    settle(hashes="1" if now else "0")
    tree = given.tree.resolve()
    if not (tree / "fade_ray").is_dir():
        raise SystemExit(f"A tree holds the package fade_ray, but {tree} does not.")
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bits-files-") as folder:
        files = make_files(Path(folder)) | given_files(given)
        names = select(CASES, given.only)
        if now:
            reference = json.loads(given.reference.read_text())
            if reference["environment"] != environment():
                print(f"recorded with {reference['environment']}, but this is {environment()}")
            absent = [name for name in names if name not in reference["cases"]]
            names = [name for name in names if name in reference["cases"]]
            well = compare(Tree(tree, files), runnable(names, now, files), reference, given.jobs)
            for name in absent:
                print(f"{name:38} left out: not in the reference")
        else:
            kept = recorded(given.out) if given.only else {}
            chosen = runnable(names, now, files)
            well = record(Tree(tree, files), chosen, given.out, given.jobs, kept)
    print(f"{time.perf_counter() - start:.0f} s")
    raise SystemExit(not well)


if __name__ == "__main__":
    main()
