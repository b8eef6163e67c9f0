"""`fade-ray describe`: what cells, an architecture or a space are, and what they cost."""

import io
import json
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fade_ray.describe.describe_text import as_text
from fade_ray.describe.subjects import Cells, Chain, Options, SearchNetwork, Space, Subject
from fade_ray.export.export_module import write_whole
from fade_ray.nn.own_cells import named_space
from fade_ray.run.flags import read_flags
from spaces import HyperArchitecture
from spaces.cell import Macro
from spaces.darts import SPACES, published
from spaces.errors import InvalidInput, require
from spaces.genotype import GENOTYPES, genotype_of


def describe_command(arguments: list[str]) -> None:
    """`fade-ray describe` with `arguments` as in sys.argv[2:]; prints. Raises InvalidInput."""
    subjects = "a genotype, the architecture of a search, or with --space a space of cells"
    example = "fade-ray describe DARTS_V2 --macro cifar10"
    about = f"{example}\n\nDescribe {subjects}: graph, parameters, multiply-adds, shapes."
    options = read_flags(Options, args=arguments, prog="fade-ray describe", description=about)
    subject = find(options)
    description = describe(subject, options)
    if options.draw is not None:
        description["drawing"] = os.path.expanduser(options.draw)
        draw(subject, Path(description["drawing"]))
    print(json.dumps(description, indent=2) if options.json else as_text(description))


def find(options: Options) -> Subject:
    """What is to be described. InvalidInput with the nearest names where there is none."""
    if (options.what is None) == (options.space is None):
        got = "neither" if options.what is None else "both"
        rule = f"`fade-ray describe` takes either FILE or NAME, or `--space NAME`, but got {got}"
        names = f"Genotypes by name: {', '.join(GENOTYPES)}; spaces: {', '.join(SPACES)}"
        raise InvalidInput(f"{rule}. {names}.")
    if options.space is not None:
        space = published(named_space(options.space))
        return (SearchNetwork if options.search else Space)(space.macro, space.channels)
    cells = _named(str(options.what))
    if isinstance(cells, Chain):
        return cells
    return SearchNetwork(cells) if options.search else Cells(cells)


def _named(what: str) -> Macro | Chain:
    found = _exported_chain(os.path.expanduser(what)) or genotype_of(what)
    if found is not None:
        return found
    try:
        return Chain(HyperArchitecture.from_code(what))
    except InvalidInput as error:
        named = {name.lower(): name for name in GENOTYPES}
        near = get_close_matches(what.lower(), named, n=1)
        hint = f" Did you mean {named[near[0]]!r}?" if near else ""
        raise InvalidInput(
            f"FILE or NAME must be a file, one of the genotypes {', '.join(GENOTYPES)}, a genotype "
            f"or the code of an architecture, but got {what[:200]!r}: there is no such file.{hint}"
        ) from error


def _exported_chain(path: str) -> Chain | None:
    """That in the `.json` of an exported architecture; None for anything else."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    exported = isinstance(data, dict) and "code" in data
    return Chain.exported(data) if exported and not isinstance(data.get("cells"), dict) else None


def describe(subject: Subject, options: Options) -> dict[str, Any]:
    """JSON-able: all that is known of `subject` in the network that `options` ask for."""
    name = options.space or options.what
    return {**subject.facts(), "name": name, **subject.counts(options)}


def draw(subject: Subject, path: Path) -> Path:
    """Draw the cells as SVG or PNG. InvalidInput for another suffix or a choice left."""
    from fade_ray.report.style import house_style  # matplotlib takes a second to import

    suffix, rule = path.suffix.lower(), "--draw names an .svg or .png file"
    require(suffix in (".svg", ".png"), rule, "Use cells.svg.", draw=str(path))
    buffer = io.BytesIO()
    with house_style():
        subject.picture().figure.savefig(buffer, format=suffix[1:], dpi=150)
    return write_whole(path, buffer.getvalue())
