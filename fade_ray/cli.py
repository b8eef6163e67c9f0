"""The command `fade-ray` and all that stands behind it. A user's mistake is one message and exit
code 2, without a traceback.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from rich.console import Console

from spaces.errors import InvalidInput

USAGE = """usage: fade-ray COMMAND [options]

commands:
  search   outer search: which graphs form the cells; searches, retrains, tests and reports
  cells    inner searches: which operation stands on which edge of a cell; recipes x spaces x seeds
  compare  searchers x seeds under one budget: curves, tests, a verdict
  rank-study  are FaDE-ranks worth anything: ranks of a hyper-architecture against architectures trained alone
  replay   searchers on a table of known accuracies, without training
  retrain  SOURCE: train a genotype from scratch, from a run of `cells`, a file or a published name
  describe FILE|NAME: draw a genotype or an architecture, count its parameters and multiply-adds
  analyse  gradients: what the architecture gradient of a cell search consists of
  status   DIR: how far a run is
  report   DIR: draw its report (again)
  export   DIR: the found architecture as a PyTorch module, with --onnx as ONNX too

An unfinished run given with --out DIR is continued.

`fade-ray COMMAND --help` lists the options."""


class Terminated(KeyboardInterrupt):
    """SIGTERM."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; `arguments` as in sys.argv[1:]. Leaves by SystemExit on everything but success."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(USAGE)
        raise SystemExit(0 if given else 2)
    if given[0] == "--version":
        from importlib.metadata import version

        print(f"fade-ray {version('fade-ray')}")
        return
    console = Console(stderr=True, highlight=False)
    if given[0] not in COMMANDS:
        _fail(console, f"`fade-ray {given[0]}` is no command. Choose one of {', '.join(COMMANDS)}.")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        COMMANDS[given[0]](given[1:])
    except InvalidInput as error:
        _fail(console, str(error))
    except KeyboardInterrupt as error:
        folder = getattr(error, "folder", None)
        stopped = "stopped"
        if folder is not None:
            command = getattr(error, "command", "search")
            stopped += f"; everything done so far is kept. Continue with\n  fade-ray {command} --out {folder}"
        console.print(stopped, soft_wrap=True)
        cause = error.__cause__ or error
        raise SystemExit(143 if isinstance(cause, Terminated) else 130) from None
    except OSError as error:
        _fail(
            console,
            f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""),
        )


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _fail(console: Console, message: str) -> None:
    console.print(f"fade-ray: {message}", style="red", markup=False, soft_wrap=True)
    raise SystemExit(2)


def _search(arguments: list[str]) -> None:
    from fade_ray.search.search_run import search

    config = parse(arguments)
    result = search(config)
    console = Console(highlight=False)
    summary = result.summary
    trials, cost, share = summary["trials"], summary["cost"], summary["training_share"]
    console.print(f"architecture   {result.architecture.code()}", soft_wrap=True)
    console.print(
        f"valid accuracy {result.valid_accuracy:.4f} (one evaluation, on the architecture part)"
    )
    console.print(
        f"test accuracy  {result.test_accuracy:.4f} (retrained, {summary['test_images']:,} images)"
    )
    console.print(
        f"trials         {trials['done']} done, {trials['failed']} failed, {trials['retried']} retried"
    )
    console.print(
        f"cost           {cost['training_images']:,} training images, {cost['multiply_adds']:.3g} multiply-adds, "
        f"{cost['seconds']:.0f} s training"
    )
    if share is not None:
        console.print(f"training       {share:.0%} of the trials' wall time")
    console.print(f"report         {result.folder / 'report.html'}", soft_wrap=True)


def parse(arguments: list[str]) -> Any:
    """The configuration of an outer search: a recipe, or the stored one of a run in `--out DIR`,
    and flags over it.
    """
    from fade_ray.run.folder import SEARCH
    from fade_ray.search.search_config import RECIPES, Config
    from searchers import Searcher

    rest, recipe = take_flag(arguments, "--recipe")
    if recipe is not None and recipe not in RECIPES:
        raise InvalidInput(f"`--recipe` must be one of {', '.join(RECIPES)}, but got {recipe!r}.")
    described = (
        "Search, retrain, test and report. `--recipe NAME` starts from a named setting "
        f"({', '.join(RECIPES)}), `--searcher NAME` takes another searcher, with its options "
        f"({', '.join(Searcher.table)}); `--out DIR` continues the unfinished run in DIR, with its flags."
    )
    given = RECIPES[recipe] if recipe is not None else None
    rest, searcher = take_flag(rest, "--searcher")
    return _parsed(
        rest,
        Config,
        SEARCH,
        given or RECIPES["default"],
        described,
        stored=given is None,
        searcher=searcher,
    )


def _parsed(
    arguments: list[str],
    config: Any,
    kind: Any,
    default: Any,
    described: str,
    *,
    stored: bool = True,
    searcher: str | None = None,
) -> Any:
    """`arguments` over `default` (None: over the fields' own), or over the configuration of the run
    that `--out` names; with the options of another `searcher` where one is named.
    """
    from dataclasses import replace

    import tyro

    from fade_ray.run.folder import stored as stored_in
    from searchers import Searcher

    out = take_flag(arguments, "--out")[1]
    before = stored_in(Path(out).expanduser(), kind) if out and stored else None
    start = before or default
    if searcher is not None and searcher != start.searcher.name:
        start = replace(start, searcher=Searcher.member(searcher)())
    return tyro.cli(
        Annotated[config, tyro.conf.OmitArgPrefixes],
        args=arguments,
        prog=f"fade-ray {kind.command}",
        description=described,
        **({} if start is None else {"default": start}),
    )


def take_flag(arguments: list[str], flag: str) -> tuple[list[str], str | None]:
    """`arguments` without `flag VALUE` or `flag=VALUE`, and the value."""
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{flag}="):
            return arguments[:index] + arguments[index + 1 :], argument.partition("=")[2]
        if argument == flag:
            if index + 1 == len(arguments):
                raise InvalidInput(f"`{flag}` needs a value, but got none.")
            return arguments[:index] + arguments[index + 2 :], arguments[index + 1]
    return arguments, None


def _folder(arguments: list[str], command: str) -> Path:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        if arguments in (["-h"], ["--help"]):
            print(f"usage: fade-ray {command} DIR")
            raise SystemExit(0)
        raise InvalidInput(f"`fade-ray {command}` needs one run directory, but got {arguments}.")
    folder = Path(arguments[0])
    if not any(
        (folder / name).exists() for name in ("records.jsonl", "replays.jsonl", "traces.parquet")
    ):
        raise InvalidInput(
            f"`fade-ray {command}` needs the directory of a run, but {folder} holds none."
        )
    return folder


def _status(arguments: list[str]) -> None:
    from fade_ray.run.status import status

    print(status(_folder(arguments, "status")))


def _report(arguments: list[str]) -> None:
    from fade_ray.cells.cells_run import finish_cells
    from fade_ray.compare.compare_run import finish_compare
    from fade_ray.ranks.rank_run import finish_rank_study
    from fade_ray.replay.replay_run import report_replay
    from fade_ray.run.folder import stored_kind
    from fade_ray.search.search_run import finish

    folder = _folder(arguments, "report")
    draw: dict[str, Callable[[Path], object]] = {
        "search": finish,
        "cells": finish_cells,
        "compare": finish_compare,
        "rank-study": finish_rank_study,
        "replay": report_replay,
    }
    kind = stored_kind(folder) or "search"
    if kind not in draw:
        raise InvalidInput(
            f"Runs of {', '.join(draw)} have a report, but {folder} holds one of `fade-ray {kind}`."
        )
    draw[kind](folder)
    print(folder / "report.html")


def _cells(arguments: list[str]) -> None:
    from fade_ray.cells.cell_history import CELLS
    from fade_ray.cells.cells_config import CellsConfig
    from fade_ray.cells.cells_run import best_row, cell_rows, print_rows, run_cells

    described = (
        "Search cells: every recipe on every space with every seed, each a trial of its own. `--out DIR` continues the unfinished run in DIR, "
        "with its flags."
    )
    folder = run_cells(_parsed(arguments, CellsConfig, CELLS, CellsConfig(), described))
    console = Console(highlight=False)
    print_rows(cell_rows(folder), console)
    console.print(f"report         {folder / 'report.html'}", soft_wrap=True)
    console.print(
        f"train the best fade-ray retrain {folder} --trial {best_row(folder)['id']}", soft_wrap=True
    )


def _compare(arguments: list[str]) -> None:
    from fade_ray.compare.compare_config import CompareConfig
    from fade_ray.compare.compare_run import COMPARE, compare, print_comparison

    described = (
        "Compare searchers: each with every seed, all under one budget, FaDE paying for its hyper-architectures from it. Architectures are selected "
        "on the architecture split; accuracy on the test part is in the report alone. The budget alone ends a search, and --searchers says which: "
        "--searcher, --iterations, --finalists and --retrain-epochs say nothing here. `--out DIR` continues the unfinished run in DIR."
    )
    folder = compare(_parsed(arguments, CompareConfig, COMPARE, CompareConfig(), described))
    console = Console(highlight=False)
    print_comparison(folder, console)
    console.print(f"report         {folder / 'report.html'}", soft_wrap=True)


def _rank_study(arguments: list[str]) -> None:
    from fade_ray.ranks.rank_config import RankStudyConfig
    from fade_ray.ranks.rank_run import RANK_STUDY, print_ranks, rank_study

    described = (
        "Train a hyper-architecture in each setting with each seed, then a sample of its architectures alone, stratified over the predicted rank, "
        "and tell how well the ranks predict their accuracies. `--out DIR` continues the unfinished study in DIR, with its flags."
    )
    folder = rank_study(
        _parsed(arguments, RankStudyConfig, RANK_STUDY, RankStudyConfig(), described)
    )
    console = Console(highlight=False)
    print_ranks(folder, console)
    console.print(f"report         {folder / 'report.html'}", soft_wrap=True)


def _replay(arguments: list[str]) -> None:
    from fade_ray.replay.replay_config import ReplayConfig
    from fade_ray.replay.replay_run import REPLAY, replay_run

    described = (
        "Replay searchers against the table of a benchmark, without training: each proposal is answered from the table, each search has the same "
        "budget. Writes traces, tables, figures and the comparison with its tests into --out. Bayesian search takes a minute per seed "
        "(--bayes-seeds, --workers). `--out DIR` continues the unfinished replay in DIR, also with more --searchers or --seeds."
    )
    folder = replay_run(
        _parsed(arguments, ReplayConfig, REPLAY, None, described),
        Console(highlight=False, markup=False),
    )
    print(f"\nreport {folder / 'report.html'}")


def _retrain(arguments: list[str]) -> None:
    from fade_ray.retrain.retrain_run import retrain_command

    retrain_command(arguments)


def _describe(arguments: list[str]) -> None:
    from fade_ray.describe.describe_command import describe_command

    describe_command(arguments)


def _analyse(arguments: list[str]) -> None:
    from fade_ray.analyse.analyse_run import analyse_command

    analyse_command(arguments)


def _export(arguments: list[str]) -> None:
    from fade_ray.retrain.retrain_run import export_retraining
    from fade_ray.run.folder import stored_kind
    from fade_ray.search.search_result import export_run

    rest = [argument for argument in arguments if argument != "--onnx"]
    folder = _folder(rest, "export")
    export = {"search": export_run, "retrain": export_retraining}
    kind = stored_kind(folder) or "search"
    if kind not in export:
        remedy = (
            f" Train one of its genotypes with `fade-ray retrain {folder}`, which exports it."
            if kind == "cells"
            else ""
        )
        raise InvalidInput(
            f"Trained networks are exported, of {' and '.join(export)}, but {folder} holds a run of `fade-ray {kind}`.{remedy}"
        )
    for path in export[kind](folder, onnx=len(rest) < len(arguments)):
        print(path)


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "search": _search,
    "cells": _cells,
    "compare": _compare,
    "rank-study": _rank_study,
    "replay": _replay,
    "retrain": _retrain,
    "describe": _describe,
    "analyse": _analyse,
    "status": _status,
    "report": _report,
    "export": _export,
}


if __name__ == "__main__":
    main()
