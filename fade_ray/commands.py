"""What `fade-ray` does. A user's mistake is one message and exit code 2, without a traceback."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.live import Live
from rich.text import Text

from fade_ray.kinds import KINDS, kind_in, kind_of_run
from fade_ray.records.additions import load_additions
from fade_ray.records.atomic import remedy
from fade_ray.records.release import VERSION
from fade_ray.records.remote import directory, named
from fade_ray.records.run_files import legible
from fade_ray.run.command import ALL, HELP, parse
from fade_ray.run.flags import read_flags
from fade_ray.run.kind import RunKind
from spaces.errors import InvalidInput, upheld

LOG = logging.getLogger(__name__)


def carry_out(given: Sequence[str]) -> None:
    """What the words behind `fade-ray` ask for. Raises SystemExit unless all went well, and what a
    signal does.
    """
    said: tuple[Any, Any] = _Named(sys.stdout), _Named(sys.stderr)
    try:
        with redirect_stdout(said[0]), redirect_stderr(said[1]), _Told():
            _answered(given, Console(stderr=True, highlight=False, markup=False))
    except BrokenPipeError:
        # Whoever read this has seen enough, as `head` has; nor is the rest for the exit to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None


def _answered(given: Sequence[str], console: Console) -> None:
    try:
        try:
            _chosen(given)
        finally:
            sys.stdout.flush()
    except InvalidInput as error:
        _fail(console, str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        known = remedy(error, "")
        _fail(console, f"{error.strerror or error}{place}{f'. {known}.' if known else ''}")


class _Told(logging.Handler):
    """Within, what the package has to tell stands on stderr, above the line that is live there."""

    def __enter__(self) -> None:
        log = logging.getLogger("fade_ray")
        self._before = log.level, log.handlers
        log.setLevel(logging.INFO)
        log.handlers = [self]

    def __exit__(self, *left: object) -> None:
        log = logging.getLogger("fade_ray")
        level, log.handlers = self._before
        log.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        console = Console(stderr=True, highlight=False, markup=False)
        console.print(record.getMessage(), soft_wrap=True)


class _Named:
    """A stream, where what is a copy is told by its address, and what it has no characters for is
    replaced.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        written: int = self.stream.write(named(text).encode(encoding, "replace").decode(encoding))
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _fail(console: Console, message: str) -> None:
    with suppress(OSError):  # the code says it where nothing else can
        console.print(f"fade-ray: {message}", style="red", soft_wrap=True)
    raise SystemExit(2)


def usage(beginning: str = "") -> str:
    """The commands by group, those of that beginning."""
    lines = ["usage: fade-ray COMMAND [options]"]
    table = {name: each for name, each in (KINDS | TOOLS).items() if name.startswith(beginning)}
    width = max(map(len, table))
    for group, title in GROUPS.items():
        within = {name: each.summary for name, each in table.items() if each.group == group}
        lines += ["", f"{title}:"] if within else []
        lines += [f"  {name:{width}}  {summary}" for name, summary in within.items()]
    return "\n".join(
        [
            *lines,
            "",
            "`fade-ray COMMAND --help` lists the options, --help-all those of few, too; "
            "`--use FILE.py` loads a file of yours.",
            "An unfinished run given with --out DIR is continued.",
        ]
    )


def _chosen(given: Sequence[str]) -> None:
    """The command that `given` begins with: its first two words or the first one."""
    if given and given[0] == "help":
        given = [*given[1:], "--help"]
    if not given or given[0] in HELP:
        print(usage())
        raise SystemExit(0 if given else 2)
    if given[0] == "--version":
        return print(f"fade-ray {VERSION}")
    with upheld("The working directory must be there", "Change into another one.", OSError):
        os.getcwd()  # libraries end the process where there is none
    for words in (2, 1):
        name, rest = " ".join(given[:words]), given[words:]
        if name in TOOLS:
            return TOOLS[name].run(["--help" if word == ALL else word for word in rest])
        if name in KINDS or name in _added(rest):
            return run_command(kind_of_run(name), rest)
    commands = [*KINDS, *TOOLS]
    within = [name for name in commands if name.startswith(f"{given[0]} ")]
    asked = " ".join(given[: 2 if within else 1])
    if within and (HELP & set(given) or asked == given[0]):
        print(usage(f"{given[0]} "))
        raise SystemExit(0 if HELP & set(given) else 2)
    near = get_close_matches(asked, within or commands, n=1)
    meant = "".join(f" Did you mean `fade-ray {name}`?" for name in near)
    raise InvalidInput(f"`fade-ray {asked}` is no command.{meant} There are {', '.join(commands)}.")


@dataclass(frozen=True)
class Use:
    """What a user's file adds may be a kind of run."""

    use: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


def _added(arguments: Sequence[str]) -> dict[str, RunKind[Any, Any]]:
    """The kinds of run that are known with the files that `arguments` load."""
    asked, _ = read_flags(Use, args=arguments, return_unknown_args=True, add_help=False)
    load_additions(asked.use)
    return RunKind.table


def run_command(kind: RunKind[Any, Any], arguments: Sequence[str]) -> None:
    """A run as the command line asks for it, and what is told at its end."""
    from fade_ray.run.lifecycle import run

    config = parse(kind, arguments)
    if config is None:
        return
    ended, console = run(kind, config), Console(highlight=False, markup=False)
    kind.tell(ended, console)
    if (ended.folder / "report.html").exists():
        console.print(f"report         {ended.folder / 'report.html'}", soft_wrap=True)


@dataclass(frozen=True)
class OfRun:
    """A run."""

    at: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Its directory, or the address of one (s3://...)."""

    @cached_property
    def folder(self) -> Path:
        return directory(self.at)


@dataclass(frozen=True)
class Status(OfRun):
    """A run, finished or not."""

    follow: bool = False
    """Tell it again whenever something has happened, until the run has ended."""
    json: bool = False
    """As a JSON object in one line, every trial in it."""


@dataclass(frozen=True)
class Watch(OfRun):
    """A run, finished or not."""

    port: int = 8275
    """Where the page is served, on this machine alone; 0: any free port."""


@dataclass(frozen=True)
class Export(OfRun):
    """A finished run."""

    onnx: bool = False
    """As an ONNX file, too."""
    pt2: bool = False
    """As a program of torch.export, too."""

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(form for form in ("onnx", "pt2") if getattr(self, form))


def _asked(options: type[Any], command: str, arguments: list[str]) -> Any:
    _, text = TOOLS[command].summary.split(": ", 1)
    about = f"{TOOLS[command].example}\n\n{text[0].upper()}{text[1:]}."
    return read_flags(options, args=arguments, prog=f"fade-ray {command}", description=about)


def _status(arguments: list[str]) -> None:
    from fade_ray.run.standing import following, status, status_object

    asked = _asked(Status, "status", arguments)
    kind, tell = kind_in(asked.folder), status_object if asked.json else status
    if not asked.follow:
        print(tell(kind, asked.folder))
    elif asked.json or not sys.stdout.isatty():
        for text in following(kind, asked.folder, tell):
            print(text, flush=True)
    else:
        with Live(auto_refresh=False, vertical_overflow="visible") as live:
            for text in following(kind, asked.folder, tell, ages=True):
                live.update(Text(text), refresh=True)


def _watch(arguments: list[str]) -> None:
    from fade_ray.run.live_server import live_server

    asked = _asked(Watch, "watch", arguments)
    with live_server(kind_in(asked.folder), asked.folder, asked.port) as server:
        print(f"http://127.0.0.1:{server.server_port}/ shows the run; Ctrl-C ends this", flush=True)
        server.serve_forever()


def _report(arguments: list[str]) -> None:
    from fade_ray.run.lifecycle import told

    folder = _asked(OfRun, "report", arguments).folder
    kind = kind_in(folder)
    if not kind.reports:
        raise InvalidInput(
            f"{folder} holds a run of `fade-ray {kind.name}`, which has no report. "
            "`fade-ray status` says what there is."
        )
    config = told(kind, folder).config
    for change in kind.inputs_of(config, folder).changes:
        LOG.warning("The report is of the run as it was, but %s.", change)
    print(folder / "report.html")


def _export(arguments: list[str]) -> None:
    asked = _asked(Export, "export", arguments)
    kind = kind_in(asked.folder)
    with legible(asked.folder):
        for path in kind.export(kind.read(asked.folder), asked.forms):
            print(path)


def _describe(arguments: list[str]) -> None:
    from fade_ray.describe.describe_command import describe_command

    describe_command(arguments)


def _doctor(arguments: list[str]) -> None:
    from fade_ray.run.doctor_command import DoctorOptions, doctor

    if not doctor(
        _asked(DoctorOptions, "doctor", arguments), Console(highlight=False, markup=False)
    ):
        raise SystemExit(1)


@dataclass(frozen=True)
class Tool:
    """A command that is no run."""

    group: str
    summary: str
    """What it takes, ": ", what it does."""
    example: str
    """One command line that makes sense."""
    run: Callable[[list[str]], None]


GROUPS = {
    "search": "search and train",
    "study": "study the search itself",
    "look": "look at runs and networks",
}
TOOLS: dict[str, Tool] = {
    "describe": Tool(
        "look",
        "FILE|NAME: draw a genotype or an architecture, count its parameters",
        "fade-ray describe DARTS_V2 --macro cifar10",
        _describe,
    ),
    "doctor": Tool(
        "look",
        "[--address HOST:PORT]: whether every node of a cluster can run trials, and what to do",
        "fade-ray doctor --out runs/mine",
        _doctor,
    ),
    "status": Tool(
        "look",
        "DIR: how far a run and each of its trials are, once or --follow, for programs --json",
        "fade-ray status runs/mine --follow",
        _status,
    ),
    "watch": Tool(
        "look",
        "DIR: a page of a run in your browser, kept up to date while it goes on",
        "fade-ray watch runs/mine",
        _watch,
    ),
    "report": Tool("look", "DIR: draw its report again", "fade-ray report runs/mine", _report),
    "export": Tool(
        "look",
        "DIR: the found architecture as a PyTorch module, --onnx or --pt2 for other programs",
        "fade-ray export runs/mine --onnx",
        _export,
    ),
}
