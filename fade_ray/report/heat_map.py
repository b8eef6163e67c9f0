"""Heat maps: signed numbers as opacities of two colours, on any paper."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from fade_ray.report.style import INK, SERIES

POSITIVE, NEGATIVE = SERIES[0], SERIES[1]
LIGHT = 0.7
"""The largest opacity: numbers stand out from it."""


def heat_map(
    axis: Axes,
    values: npt.NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    high: float = 1.0,
    digits: int | None = None,
) -> None:
    """`values` [R, C] from -high to high, the first row above; NaN stays empty. `digits`: of the
    number in each field, None for none.
    """
    colours = np.zeros((*values.shape, 4))
    known = np.nan_to_num(values)
    colours[..., :3] = np.where(known[..., None] < 0, to_rgb(NEGATIVE), to_rgb(POSITIVE))
    colours[..., 3] = LIGHT * np.clip(np.abs(known) / high, 0, 1)
    mesh = axis.pcolormesh(np.ones(values.shape), edgecolors="none")
    mesh.set_array(None)
    mesh.set_facecolor(colours.reshape(-1, 4))  # type: ignore[arg-type]
    axis.set(xticks=np.arange(len(columns)) + 0.5, xticklabels=columns)
    axis.set(yticks=np.arange(len(rows)) + 0.5, yticklabels=rows)
    axis.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axis.grid(visible=False)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    if digits is not None:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                look: Any = {"ha": "center", "va": "center", "fontsize": 9, "color": INK}
                axis.text(
                    column + 0.5, row + 0.5, f"{round(value, digits) + 0.0:.{digits}f}", **look
                )
