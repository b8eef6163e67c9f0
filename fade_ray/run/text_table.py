"""Tables and numbers as a terminal shows them."""

import math
from collections.abc import Collection, Iterable, Sequence

from rich.table import Table


def text_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[str] = ()
) -> Table:
    """Columns stand to the right, but for those named in `left`."""
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def number(value: float | None, digits: int) -> str:
    """A dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"
