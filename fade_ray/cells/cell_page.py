"""`report.html` of a run of cell searches: one self-contained page from the files of its directory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fade_ray.cells import cell_facts
from fade_ray.cells.cell_facts import CellRun, Trial
from fade_ray.cells.cell_figures import indicators_over_epochs, methods_over_seeds, weight_maps
from fade_ray.report.genotype_drawing import draw_genotype
from fade_ray.report.page import element, environment
from fade_ray.report.style import Picture, dark_colours, house_style, inline, replace_file, save
from fade_ray.search import search_facts as facts
from spaces.errors import InvalidInput


def write_cell_report(folder: Path) -> Path:
    """Write `figures/*.svg`, `figures/*.png` and `report.html` into the directory of a `fade-ray
    cells` run, finished or not.

    Returns the page's path. Raises InvalidInput if the directory holds no readable run, or cannot
    be written.
    """
    folder = Path(folder)
    run = CellRun.read(folder)
    try:
        with house_style():
            methods = methods_over_seeds(run.trials)
            drawn = {
                trial.plan.id: [_drawn(p, folder) for p in _pictures(trial)] for trial in run.trials
            }
            page = _page(run, None if methods is None else _drawn(methods, folder), drawn)
        path = folder / "report.html"
        replace_file(path, page.encode())
    except OSError as error:
        raise InvalidInput(
            f"A report is written into its run directory, but {error.filename or folder} could not be written: "
            f"{error.strerror or error}. Free space or set the permissions and write the report again."
        ) from error
    return path


def _pictures(trial: Trial) -> Iterator[Picture]:
    """What there is to see of one search."""
    if trial.macro is not None:
        caption = f"What {trial.name} found. Each box is an operation; a node adds up what reaches it, and the output joins the nodes."
        yield draw_genotype(trial.macro, "Genotype", caption, f"cells-{trial.plan.id}")
    indicators = indicators_over_epochs(trial)
    if indicators is not None:
        yield indicators
    yield from weight_maps(trial)


def _drawn(picture: Picture, folder: Path) -> dict[str, Any]:
    """A picture as the template shows it."""
    svg = inline(save(picture, folder / "figures"), picture.name, picture.alt)
    return {"name": picture.name, "title": picture.title, "content": element(picture, svg)}


def _page(
    run: CellRun, methods: dict[str, Any] | None, drawn: dict[str, list[dict[str, Any]]]
) -> str:
    word, sentence = cell_facts.state(run)
    history = run.history
    template = environment().get_template("cells.html.j2")
    return template.render(
        name=run.folder.resolve().name,
        state=word,
        sentence=f"{sentence} {cell_facts.grid_text(run.trials)}",
        continuation=cell_facts.continuation(run),
        warnings=facts.warnings(history),
        head=cell_facts.HEAD,
        numbers=cell_facts.NUMBERS,
        table_rows=cell_facts.trial_table(run.trials),
        genotypes=cell_facts.genotype_table(run.trials),
        methods=methods,
        trials=[
            {"id": t.plan.id, "name": t.name, "state": t.state, "pictures": drawn[t.plan.id]}
            for t in run.trials
        ],
        config=facts.config_table(run.config),
        environment=facts.config_table(
            {name: v for name, v in run.environment.items() if name != "command"}
        ),
        command=run.environment.get("command"),
        dark=Markup(dark_colours()),
    )
