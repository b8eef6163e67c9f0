"""Where the genotype of a retraining comes from: a run of `fade-ray cells`, a file, or a published
name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fade_ray.data.data_config import DataConfig
from fade_ray.records.json_form import from_json
from spaces.cell import Macro
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES, load_cells


@dataclass(frozen=True)
class Origin:
    """A genotype and where it is from. `run`, `trial`: the run directory and the trial that found
    it; `data`: what that searched on.
    """

    macro: Macro
    source: str
    run: Path | None = None
    trial: str | None = None
    data: DataConfig | None = None


def find_genotype(source: str, trial: str | None = None) -> Origin:
    """The genotype that `source` names.

    A run directory of `fade-ray cells`: that of `trial`, else of the finished trial with the best
    proxy accuracy. A file: see `load_cells`. A name in `GENOTYPES`. Raises InvalidInput for a
    search or trial that is not finished, and for what is none of these.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _from_run(path.resolve(), trial)
    if trial is not None:
        raise InvalidInput(
            f"`--trial` chooses one of a run of `fade-ray cells`, but {source!r} is no directory. Leave it out."
        )
    if path.is_file():
        return Origin(load_cells(path), source)
    if source in GENOTYPES:
        return Origin(GENOTYPES[source], source)
    near = get_close_matches(source, GENOTYPES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InvalidInput(
        f"A genotype must be a run directory of `fade-ray cells`, a file, or one of {', '.join(GENOTYPES)}, but got {source!r}.{hint}"
    )


def _from_run(folder: Path, trial: str | None) -> Origin:
    config = _json(folder / "config.json") if (folder / "config.json").exists() else {}
    if config.get("kind") != "cells":
        raise InvalidInput(
            f"A retraining starts from a run directory of `fade-ray cells`, but {folder} is none. Name one, or a genotype file."
        )
    chosen = trial if trial is not None else _best(folder)
    path = folder / "genotypes" / f"{chosen}.json"
    if not path.exists():
        done = sorted(found.stem for found in path.parent.glob("*.json"))
        raise InvalidInput(
            f"Only a finished trial has a genotype, but trial {chosen!r} of {folder} has none. "
            + (f"Finished are {', '.join(done)}. " if done else "No trial is finished yet. ")
            + f"Name one with --trial, or finish the search with `fade-ray cells --out {folder}`."
        )
    return Origin(
        load_cells(path), str(path), folder, chosen, from_json(DataConfig, config["data"])
    )


def _best(folder: Path) -> str:
    """The trial with the best proxy accuracy; the first of equals."""
    path = folder / "cells.json"
    if not path.exists():
        raise InvalidInput(
            f"The best trial is known when the search is finished, and that in {folder} is not. Finish it with `fade-ray cells --out {folder}`, "
            "or choose a finished trial with --trial ID."
        )
    trials = [trial for trial in _json(path)["trials"] if trial.get("proxy_accuracy") is not None]
    if not trials:
        raise InvalidInput(
            f"The best trial is that with the best proxy accuracy, but no trial in {folder} has one. Choose one with --trial ID."
        )
    return str(max(trials, key=lambda trial: float(trial["proxy_accuracy"]))["id"])


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} must be readable JSON, but: {error}. Is this a run directory of fade_ray?"
        ) from error
