"""Pictures of a report for the guide, taken by headless Chromium.

    python scripts/results.py remake docs/results/digits-default /tmp/digits
    python scripts/screenshots.py /tmp/digits

Writes docs/images/report-top.png and report-figures.png.
"""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
WIDTH = 1240
"""CSS pixels of the window."""
COLOURS = 128
"""Of a picture: pages have few."""


@dataclass(frozen=True)
class Take:
    """Command line."""

    run: tyro.conf.Positional[Path]
    top: tuple[int, int] = (0, 990)
    """First and last row of the picture of the top, in CSS pixels."""
    figures: tuple[int, int] = (1045, 2545)
    """The same of the picture of figures."""
    browser: str = "chromium"


def main(take: Take) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "page.png"
        subprocess.run(
            [
                take.browser,
                *("--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                f"--user-data-dir={scratch}/profile",
                f"--window-size={WIDTH},{take.figures[1]}",
                f"--screenshot={path}",
                (take.run / "report.html").resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
        )
        page = Image.open(path).convert("RGB")
    IMAGES.mkdir(exist_ok=True)
    for name, (first, last) in {"report-top": take.top, "report-figures": take.figures}.items():
        part = page.crop((0, first, WIDTH, min(last, page.height))).quantize(COLOURS)
        part.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(tyro.cli(Take, description=__doc__))
