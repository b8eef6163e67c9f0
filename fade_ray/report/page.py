"""`report.html`: one self-contained page from the files of a run directory."""

import html

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fade_ray.report.style import Picture


def element(picture: Picture, svg: str) -> Markup:
    """A picture and its caption as they stand on a page."""
    caption = html.escape(f"{picture.caption}")
    return Markup(f'<div class="drawing">{svg}</div><figcaption>{caption}</figcaption>')


def environment() -> Environment:
    """Of the templates of this package, which escape what they show."""
    loader = PackageLoader("fade_ray.report", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
