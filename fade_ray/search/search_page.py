"""`report.html` of a search: one self-contained page from the files of its run directory."""

from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from fade_ray.report.graph_drawing import draw_cells
from fade_ray.report.page import element, environment
from fade_ray.report.style import Picture, dark_colours, house_style, inline, replace_file, save
from fade_ray.search import search_facts as facts
from fade_ray.search.search_facts import Run
from fade_ray.search.search_figures import (
    accuracy_over_iterations,
    anchor_trajectories,
    cumulative_cost,
)
from fade_ray.search.weight_figures import rank_densities, weights_over_epochs
from spaces.errors import InvalidInput

MISSING = {
    "cells": "No architecture was evaluated with success yet, so there is nothing to draw.",
    "accuracy": "No evaluation has finished yet.",
    "anchors": "No anchors were recorded: this searcher has none, or it has not started.",
    "ranks": "No hyper-architecture has finished yet, or this searcher trains none.",
    "weights": "No epoch of a hyper-architecture was recorded, or this searcher trains none.",
    "cost": "No trial has finished yet.",
}
"""What the page says where a figure has nothing to show."""


def write_report(folder: Path) -> Path:
    """Write `figures/*.svg`, `figures/*.png` and `report.html` into a run directory; return the
    page's path.

    Raises:
        InvalidInput: if the directory holds no readable run, or cannot be written.
    """
    folder = Path(folder)
    run = Run.read(folder)
    drawn: dict[str, Markup] = {}
    try:
        with house_style():
            for picture in _pictures(run):
                svg = inline(save(picture, folder / "figures"), picture.name, picture.alt)
                drawn[picture.name] = element(picture, svg)
        path = folder / "report.html"
        replace_file(path, _page(run, drawn).encode())
    except OSError as error:
        raise InvalidInput(
            f"A report is written into its run directory, but {error.filename or folder} could not be written: "
            f"{error.strerror or error}. Free space or set the permissions and write the report again."
        ) from error
    return path


def _pictures(run: Run) -> Iterator[Picture]:
    history = run.history
    found = (
        "cell of the found architecture"
        if run.result
        else "cell of the best architecture evaluated so far"
    )
    if cells := run.cells:
        caption = (
            "Each solid arrow is one operation, a convolution; dashed arrows from INPUT are identities. A vertex adds "
            "up what arrives. Below each cell its size and the code of its graph."
        )
        yield draw_cells(cells, f"One {found} per row", caption)
    candidates = (
        accuracy_over_iterations(history),
        anchor_trajectories(history, run.features),
        rank_densities(history),
        weights_over_epochs(history),
        cumulative_cost(history),
    )
    yield from (picture for picture in candidates if picture is not None)


def _page(run: Run, drawn: dict[str, Markup]) -> str:
    word, sentence = facts.state(run)
    history = run.history
    template = environment().get_template("report.html.j2")
    return template.render(
        name=run.name,
        state=word,
        sentence=sentence,
        continuation=facts.continuation(run),
        warnings=facts.warnings(history),
        headline=facts.headline(run),
        architecture=(run.result.get("architecture") or {}).get("code"),
        drawn={name: drawn.get(name, missing) for name, missing in MISSING.items()},
        failed=facts.failed_table(history),
        retried=history.trials["retried"],
        cost=facts.cost_table(history),
        best=facts.best_table(history),
        trials=facts.trial_table(history),
        trial_columns=(facts.TRIALS, facts.TRIAL_NUMBERS),
        evaluations=len(history.evaluations),
        config=facts.config_table(run.config),
        environment=facts.config_table(
            {name: value for name, value in run.environment.items() if name != "command"}
        ),
        command=run.command,
        dark=Markup(dark_colours()),
    )
