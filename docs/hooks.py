"""Pages of the site that are made from the code: the reference, from the exported names."""

import importlib
from typing import Any

PACKAGES = ("fade_ray", "spaces", "searchers")
PLACE = "<!-- {}: every exported name -->"


def on_page_markdown(markdown: str, **context: Any) -> str:
    """mkdocs's event: put an entry for each exported name where a page asks for them."""
    for package in PACKAGES:
        place = PLACE.format(package)
        if place in markdown:
            markdown = markdown.replace(place, entries(package))
    return markdown


def entries(package: str) -> str:
    """One entry of mkdocstrings per name in `__all__`."""
    names = importlib.import_module(package).__all__
    return "\n\n".join(f"::: {package}.{name}" for name in names)
