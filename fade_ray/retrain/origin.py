"""Where the genotype of a retraining comes from: a run of cell searches, a file, or a name."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from fade_ray.cells.cell_trials import best_row
from fade_ray.cells.cells_run import CELLS
from fade_ray.data.data_config import DataConfig
from fade_ray.records.remote import directory
from fade_ray.records.run_files import read_object
from spaces.cell import Macro
from spaces.errors import InvalidInput
from spaces.genotype import load_cells, named_genotype

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """A genotype and where it is from. `run`, `trial`: the run directory and the trial that found
    it; `data`: what that searched on; `use`: the files of a user's that it was with.
    """

    macro: Macro
    source: str
    run: Path | None = None
    trial: str | None = None
    data: DataConfig | None = None
    use: tuple[str, ...] = ()


class Row(TypedDict, total=False):
    """A line of cells.json, as far as it is read again."""

    id: str
    state: str
    proxy_accuracy: float | None
    proxy_images: str | None


class Rows(TypedDict, total=False):
    """cells.json, likewise."""

    trials: list[Row]


def find_genotype(source: str, trial: str | None = None) -> Origin:
    """The genotype that `source` names.

    A run directory of `fade-ray cells`: that of `trial`, else of the finished trial with the best
    proxy accuracy, with a warning where its data have changed since. Else as `genotype_of`. Raises
    InvalidInput for a search or trial that is not finished, and for what is none of these.
    """
    path = directory(source)
    if os.path.isdir(path):  # False, where Path.is_dir raises: for names that are too long
        return _from_run(path.resolve(), trial)
    if trial is not None:
        raise InvalidInput(
            f"`--trial` chooses one of a run of `fade-ray cells`, but {source!r} is no directory. "
            "Name that of the run, or leave --trial out."
        )
    what = "A genotype (a run directory of `fade-ray cells`, a file, a name or its text)"
    return Origin(named_genotype(source, what), source)


def _from_run(folder: Path, trial: str | None) -> Origin:
    config = CELLS.stored(folder)
    if config is None:
        raise InvalidInput(
            f"A retraining starts from a run directory of `fade-ray cells`, but {folder} is none. "
            "Name one, or a genotype file."
        )
    chosen = trial if trial is not None else _best(folder)
    path = folder / "genotypes" / f"{chosen}.json"
    if not path.exists():
        done = ", ".join(sorted(found.stem for found in path.parent.glob("*.json")))
        raise InvalidInput(
            f"Only a finished trial has a genotype, but trial {chosen!r} of {folder} has none. "
            f"Finished: {done or 'no trial yet'}. Name one with --trial, or finish the search with "
            f"`fade-ray cells --out {folder}`."
        )
    for change in CELLS.inputs_of(config, folder).changes:
        LOG.warning("The search in %s was on other data: %s.", folder, change)
    return Origin(load_cells(path), str(path), folder, chosen, config.data, config.use)


def _best(folder: Path) -> str:
    """The trial with the best proxy accuracy, see `best_row`."""
    rows = read_object(folder / "cells.json", Rows).get("trials", [])
    best = best_row(rows)
    if best is None:
        done = ", ".join(row["id"] for row in rows if row.get("state") == "done")
        why = "its genotypes were drawn, not trained" if done else "it tells of none yet"
        choose = "Choose" if done else f"Finish it with `fade-ray cells --out {folder}`, or choose"
        raise InvalidInput(
            f"The best trial of {folder} is that with the best proxy accuracy, but {why}. "
            f"{choose} a finished trial with --trial{f': {done}' if done else ''}."
        )
    return str(best["id"])
