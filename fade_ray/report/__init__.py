"""The report of a run: figures and one self-contained page, built from the run directory's files alone."""

from pathlib import Path


def write_report(run_dir: Path) -> Path:
    """Write `figures/` and `report.html` into the run directory, finished or not, and return the page's path.

    Raises:
        InvalidInput: if the directory holds no readable run.
    """
    # matplotlib, scipy and jinja2 take seconds to import: only a report pays for them
    from fade_ray.report.page import write_report as write

    return write(run_dir)
