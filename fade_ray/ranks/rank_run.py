"""A rank study from configuration to report: `rank_study(config) -> folder`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.compare.entry_job import EntryJob
from fade_ray.data import Splits
from fade_ray.data.data_config import load_images
from fade_ray.nn import chain_layout
from fade_ray.ranks.rank_config import RankStudyConfig, StudyConfig
from fade_ray.ranks.rank_results import of_table, rank_runs, trained_alone, truth_part
from fade_ray.ranks.rank_summary import RankFindings
from fade_ray.ranks.rank_trials import ALONE, check_sample, hyper_architecture, search
from fade_ray.ranks.rank_verdict import in_words
from fade_ray.records.json_form import build
from fade_ray.records.run_files import Run
from fade_ray.run.engines import carry_out, interruptible, recording
from fade_ray.run.folder import (
    RunKind,
    check_kind,
    check_same_run,
    command_line,
    read_json,
    run_folder,
    write_json,
)
from fade_ray.run.grid_progress import GridProgress
from fade_ray.run.session import Session, Watcher
from fade_ray.run.tensorboard import TensorBoard
from fade_ray.search.search_config import Config
from fade_ray.training import place
from searchers import Outcome
from searchers.contest import Entered
from spaces.nasbench_macro import MacroTable


def _more_settings(before: RankStudyConfig, now: RankStudyConfig) -> bool:
    """Whether only settings were added, behind those there were: what was trained and sampled stays
    as it is.
    """
    known = before.study.settings
    same = replace(
        now,
        study=replace(now.study, settings=known),
        run=before.run,
        out=before.out,
        name=before.name,
    )
    return now.study.settings[: len(known)] == known and same == before


RANK_STUDY: RunKind[RankStudyConfig] = RunKind(
    "rank-study", RankStudyConfig.from_dict, _more_settings
)


def rank_study(
    config: RankStudyConfig,
    *,
    watchers: Sequence[Watcher] | None = None,
    command: str | None = None,
) -> Path:
    """Train everything of a study, or what is left of it in `config.out`; returns the run
    directory.

    `watchers` replaces the progress display (use () for silence). Raises InvalidInput for
    everything a user can mend, before any work where that is possible; Interrupted on Ctrl-C, with
    everything done so far on disk. A study may be continued with further settings, judged by the
    architectures that it has trained alone already.
    """
    folder = run_folder(config)
    if check_same_run(folder, config, RANK_STUDY) and (folder / "result.json").exists():
        finish_rank_study(folder)
        return folder
    with interruptible(folder, RANK_STUDY):
        splits = prepare_rank_study(config)
        with recording(folder, config, RANK_STUDY, EnteredHistory, command or command_line()) as (
            journal,
            history,
        ):
            study = config.study
            trials = len(study.settings) * len(study.seeds) + (
                0 if study.table else study.sample * study.repeats
            )
            shown = [GridProgress(trials, _line)] if watchers is None else list(watchers)
            everyone = [*shown, TensorBoard(folder / "tensorboard")]
            session: Session[Entered] = Session(
                search(study, config.network.depth), journal, history, everyone
            )
            share = carry_out(session, EntryJob(configs(config)), splits, config.run, folder)
            write_json(folder / "result.json", {"kind": "rank-study", "training_share": share})
        finish_rank_study(folder)
    return folder


def _line(entered: Entered, outcome: Outcome, metrics: Mapping[str, Any]) -> str:
    accuracy = outcome.score if outcome.log_weights is None else metrics.get("hyper_accuracy")
    told = "failed" if accuracy is None else f"accuracy {accuracy:.3f}"
    return f"{entered.id}: {told}, {metrics.get('seconds', 0):.0f} s"


def configs(config: RankStudyConfig) -> dict[str, Config]:
    """The configuration of each entry: the settings', and the first one's for the architectures
    alone.
    """
    found = {name: config.config(name) for name in config.study.settings}
    return found | {ALONE: config.config(config.study.settings[0])}


def prepare_rank_study(config: RankStudyConfig) -> Splits:
    """The data; every rule that can be checked before work starts is checked here."""
    if config.run.engine == "local" or config.run.device not in ("auto", "cuda"):
        place(config.run.device, config.train.precision)
    config.check_ranks()
    study, network = config.study, config.network
    hyper = hyper_architecture(study, network.depth)
    if study.table is None:
        check_sample(hyper.size, study.sample)
    else:
        MacroTable.read(Path(study.table).expanduser())
    splits = load_images(config.data)
    if study.table is None:
        chain_layout(
            splits.side, network.depth, splits.channels, network.final_channels, network.strides
        )
    config.data.augmentation(splits.augment)
    return splits


def finish_rank_study(folder: Path) -> None:
    """Everything that is made from the records alone: ranks.json and the report."""
    from fade_ray.ranks.rank_page import rank_page
    from fade_ray.report.page import write_page

    study, depth = asked(folder)
    run = Run.read(folder, EnteredHistory)
    hyper = hyper_architecture(study, depth)
    table = None if study.table is None else MacroTable.read(Path(study.table).expanduser())
    alone = trained_alone(run.history, hyper) if table is None else of_table(table)
    truth = truth_part(run.history) if table is None else "table"
    runs = rank_runs(run.history, study.settings)
    findings = RankFindings.of(hyper, runs, alone, truth, table)
    verdict = in_words(findings)
    write_json(folder / "ranks.json", findings.as_json() | {"verdict": verdict})
    write_page(rank_page(run, findings, verdict), folder)


def asked(folder: Path) -> tuple[StudyConfig, int]:
    """What the study in `folder` asked for, and its depth.

    Not its whole configuration: studies of before a rule about trainings (as that against
    an estimator `of_scale` with BatchNorm) still have results to show. Raises InvalidInput for a
    directory of something else.
    """
    check_kind(folder, RANK_STUDY)
    values = read_json(folder / "config.json")
    study: StudyConfig = build(StudyConfig, values["study"], "study.")
    return study, int(values["network"]["depth"])


def print_ranks(folder: Path, console: Console) -> None:
    """The verdict at the end of a study."""
    for sentence in json.loads((folder / "ranks.json").read_text())["verdict"]:
        console.print(sentence, soft_wrap=True)
