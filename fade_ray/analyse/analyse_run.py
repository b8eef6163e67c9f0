"""`fade-ray analyse NAME`: measurements of a search, each with its records, figures and a summary."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from spaces.errors import InvalidInput

USAGE = """usage: fade-ray analyse NAME [options]

analyses:
  gradients   gradient correlation and dL/dp in bilevel and single-level searches on NAS-Bench-201

`fade-ray analyse NAME --help` lists the options."""

DESCRIPTION = (
    "Search on NAS-Bench-201 with a network of your size, bilevel and single-level, and measure on the way what single-level DARTS explains the "
    "skip-connect collapse with: the architecture weights (its Fig. 1), the gradient correlation of eq. 13 (Fig. 2) and dL/dp of every "
    "operation (Figs. 3 to 9). Writes records.jsonl, figures and summary.json into --out; an interrupted study continues there."
)

MAY_CHANGE = ("update", "relaxation", "learning_rate", "seeds", "out", "device", "threads")
"""Options that a study may be continued with another value of: each search has its own records."""


def analyse_command(arguments: list[str]) -> None:
    """Run the analysis that the first argument names. Raises InvalidInput for an unknown one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        raise SystemExit(0 if arguments else 2)
    name, *rest = arguments
    if name not in ANALYSES:
        near = difflib.get_close_matches(name, ANALYSES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidInput(
            f"`fade-ray analyse` knows {', '.join(ANALYSES)}, but got {name!r}.{hint}"
        )
    ANALYSES[name](rest)


def _gradients(arguments: list[str]) -> None:
    import tyro

    from fade_ray.analyse.gradient_config import GradientStudy
    from fade_ray.analyse.gradient_figures import pictures
    from fade_ray.analyse.gradient_study import check_images, run_study
    from fade_ray.analyse.gradient_summary import in_words, read_study, summary
    from fade_ray.data.data_config import load_images
    from fade_ray.report.style import house_style, save
    from fade_ray.run.folder import write_json
    from fade_ray.training import place

    study: GradientStudy = tyro.cli(
        Annotated[GradientStudy, tyro.conf.OmitArgPrefixes],
        args=arguments,
        prog="fade-ray analyse gradients",
        description=DESCRIPTION,
    )
    place(study.device)
    splits = load_images(study.data)
    folder = Path(study.out).expanduser().resolve()
    check_images(study, splits)
    _begin(folder, study)
    run_study(study, splits, folder, tell=lambda text: print(text, flush=True))
    found = read_study(folder, study.epochs)
    if not found:
        raise InvalidInput(
            f"A study needs a search that ends, but none did (see {folder / 'records.jsonl'}). Lower --learning-rate."
        )
    write_json(folder / "summary.json", summary(found))
    with house_style():
        captions = {}
        for picture in pictures(found):
            save(picture, folder / "figures")
            captions[picture.name] = {
                name: getattr(picture, name) for name in ("title", "caption", "alt")
            }
    write_json(folder / "figures" / "captions.json", captions)
    Console(highlight=False, markup=False).print(
        f"\n{in_words(found)}\n\nrecords, figures and summary: {folder}", soft_wrap=True
    )


def _begin(folder: Path, study: Any) -> None:
    """Make the folder, or check that it holds this study. Raises InvalidInput naming the
    differences if it holds another one.
    """
    from fade_ray.records.json_form import as_json, differences
    from fade_ray.run.folder import command_line, environment, read_json, write_json

    path = folder / "study.json"
    ours = {"kind": "gradients", **as_json(study)}
    if path.exists():
        kept = [
            {k: v for k, v in one.items() if k not in MAY_CHANGE}
            for one in (ours, read_json(path)["study"])
        ]
        changed = differences(*kept)
        if changed:
            raise InvalidInput(
                f"{folder} holds a study of something else ({'; '.join(changed)}). Continue it with the options it was started with, or choose "
                "another --out."
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise InvalidInput(
            f"{folder} holds files of something else. Choose another directory with --out."
        )
    try:
        write_json(path, {**environment(command_line()), "study": ours})
    except OSError as error:
        raise InvalidInput(
            f"{folder} must be writable, but: {error.strerror}. Choose another with --out."
        ) from error


ANALYSES: dict[str, Callable[[list[str]], None]] = {"gradients": _gradients}
