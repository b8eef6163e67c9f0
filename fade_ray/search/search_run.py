"""The main job from configuration to report: `search(config) -> Result`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fade_ray.data import Splits
from fade_ray.data.data_config import load_images
from fade_ray.nn import chain_layout
from fade_ray.records.run_files import Run
from fade_ray.run.engines import Interrupted, carry_out, interruptible, recording
from fade_ray.run.folder import (
    SEARCH,
    check_kind,
    check_same_run,
    command_line,
    read_json,
    run_folder,
)
from fade_ray.run.session import Watcher
from fade_ray.run.tensorboard import TensorBoard
from fade_ray.search.chain_trial import SearchJob
from fade_ray.search.search_config import Config
from fade_ray.search.search_history import History
from fade_ray.search.search_progress import Progress
from fade_ray.search.search_result import write_result
from fade_ray.search.search_session import SearchSession
from fade_ray.training import place
from searchers import AskTell, WithRetraining
from spaces import GraphSpace, HyperArchitecture

__all__ = ["Interrupted", "Result", "finish", "load_result", "prepare", "search"]


@dataclass(frozen=True)
class Result:
    """What a finished run found; `folder` holds everything else."""

    architecture: HyperArchitecture
    """The best architecture by evaluation on the architecture split, width one."""
    valid_accuracy: float
    """Its accuracy there, as evaluated in the search."""
    test_accuracy: float
    """Of the architecture retrained from scratch on weights and architecture parts, measured once
    on the test part.
    """
    summary: dict[str, Any]
    """result.json."""
    folder: Path


def search(
    config: Config, *, watchers: Sequence[Watcher] | None = None, command: str | None = None
) -> Result:
    """Run a search to its end, or continue the one in `config.out`.

    `watchers` replaces the progress display (use () for silence). Raises InvalidInput for
    everything a user can mend, before any work where that is possible; Interrupted on Ctrl-C, with
    everything done so far on disk.
    """
    folder = run_folder(config)
    if check_same_run(folder, config, SEARCH) and (folder / "result.json").exists():
        if not (folder / "report.html").exists():
            finish(folder)
        return load_result(folder)
    with interruptible(folder, SEARCH):
        _carry_out(config, folder, watchers, command or command_line())
        finish(folder)
    return load_result(folder)


def _carry_out(
    config: Config, folder: Path, watchers: Sequence[Watcher] | None, command: str
) -> None:
    """Search, retrain, export, up to result.json."""
    splits, searcher = prepare(config)
    with recording(folder, config, SEARCH, History, command) as (journal, history):
        shown = (
            [Progress(config.searcher.iterations, history.best)]
            if watchers is None
            else list(watchers)
        )
        everyone = [*shown, TensorBoard(folder / "tensorboard")]
        session = SearchSession(
            searcher, journal, history, everyone, iterations=config.searcher.iterations
        )
        share = carry_out(session, SearchJob(config), splits, config.run, folder)
        write_result(folder, splits, config, searcher, share)


def prepare(config: Config) -> tuple[Splits, AskTell]:
    """The data and the searcher of a run; every rule that can be checked before work starts is
    checked here.
    """
    if config.run.engine == "local" or config.run.device not in ("auto", "cuda"):
        # on a cluster the driver need not have the trials' GPU
        place(config.run.device, config.train.precision)
    space = GraphSpace.create(**vars(config.space))
    config.check_ranks()
    inner = config.search(space)
    searcher = WithRetraining(
        inner, config.outer.retrain_epochs, seed=config.seed, max_retries=config.outer.max_retries
    )
    splits = load_images(config.data)
    config.data.augmentation(splits.augment)
    network = config.network
    chain_layout(
        splits.side, network.depth, splits.channels, network.final_channels, network.strides
    )
    return splits, searcher


def finish(folder: Path) -> None:
    """Everything that is made from the records alone: tables, figures, report."""
    from fade_ray.report.page import write_page
    from fade_ray.report.tables import write_tables
    from fade_ray.search.search_page import search_page
    from fade_ray.search.search_tables import search_tables

    check_kind(folder, SEARCH)
    run = Run.read(folder, History)
    features = run.config["space"]["features"]
    write_tables(search_tables(run.history, features), folder / "tables")
    write_page(search_page(run), folder)


def load_result(folder: Path) -> Result:
    """The result of a finished run. Raises InvalidInput if `folder` holds none."""
    folder = Path(folder)
    summary = read_json(folder / "result.json")
    return Result(
        HyperArchitecture.from_code(summary["architecture"]["code"]),
        summary["valid_accuracy"],
        summary["test_accuracy"],
        summary,
        folder,
    )
