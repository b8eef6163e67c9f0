"""Heat maps of a study of operators: the matrices it sums up by, and every edge."""

from collections.abc import Iterator

import numpy as np

from fade_ray.analyse.operator_summary import KINDS, Measured, as_words, short
from fade_ray.report import style
from fade_ray.report.heat_map import heat_map
from fade_ray.report.style import Picture
from fade_ray.report.words import count, listed
from fade_ray.training.operator_correlation import mean_matrix

CELLS_IN_A_ROW = 4


def pictures(study: Measured | None) -> Iterator[Picture]:
    """Both figures; nothing where no network has been measured."""
    if study is not None:
        yield matrices(study)
        yield every_edge(study)


def matrices(study: Measured) -> Picture:
    """Mean over the seeds of the first edge and of all, after and before the training."""
    measured = sorted({number for pair in study.pairs for number in pair})
    names = [short(study.ops[number]) for number in measured]
    times = {"": study} | ({"before the first step": study.before} if study.before else {})
    figure = style.new_figure(4.2 * len(times))
    axes = iter(style.grid_axes(figure, len(KINDS) * len(times), len(KINDS)))
    for time, then in times.items():
        for matrix, words in KINDS.items():
            axis, mean = next(axes), mean_matrix(then.by_seed(matrix))[np.ix_(measured, measured)]
            heat_map(axis, mean, names, names, digits=2)
            axis.set_title(f"{words.capitalize()}{', ' * bool(time)}{time}")
            axis.tick_params("x", rotation=45)
    groups = {words: as_words(study.groups(matrix)) for matrix, words in KINDS.items()}
    alt = "; ".join(f"{words}: {said}" for words, said in groups.items())
    caption = (
        f"Correlation of the outputs of two operations, mean over "
        f"{count(len(study.seeds), 'network')}, {study.images:,} images each. Blue: together, "
        f"orange: against each other. Groups at a cut of {study.config.cut:g}: {alt}."
    )
    return Picture("correlations", "Correlation of operations", figure, f"Groups: {alt}.", caption)


def every_edge(study: Measured) -> Picture:
    """A panel per cell, a row per edge, a column per pair of operations."""
    places = sorted({place for place, _ in study.matrices})
    names = [f"{short(study.ops[i])}, {short(study.ops[j])}" for i, j in study.pairs]
    one, other = (list(numbers) for numbers in zip(*study.pairs, strict=True))
    rows = max(len(study.cell(place)[1].edges) for place in places)
    lines = -(-len(places) // CELLS_IN_A_ROW)
    figure = style.new_figure(1.4 + lines * (0.4 + 0.13 * rows))
    axes = style.grid_axes(figure, len(places), CELLS_IN_A_ROW)
    strongest = []
    for number, (axis, place) in enumerate(zip(axes, places, strict=True)):
        kind, cell = study.cell(place)
        edges = [edge for at, edge in study.matrices if at == place]
        values = np.stack([mean_matrix(study.matrices[place, e])[one, other] for e in edges])
        shown = names if number + CELLS_IN_A_ROW >= len(places) else [""] * len(names)
        heat_map(axis, values, [cell.edge_names[edge] for edge in edges], shown)
        axis.tick_params("x", rotation=90, labelsize=6.5)
        axis.tick_params("y", labelsize=6.5)
        axis.set_title(f"cell {place} ({kind})")
        row, column = np.unravel_index(np.nanargmax(values), values.shape)
        edge = cell.edge_names[edges[int(row)]]
        strongest.append(f"cell {place} {names[int(column)]} on edge {edge}")
    caption = (
        "Every edge of every cell (rows, by the numbers of its nodes) and every pair of operations "
        f"(columns), mean over {count(len(study.seeds), 'network')}. Colours as above; all cells "
        "have the same columns."
    )
    alt = f"The most alike: {listed(strongest)}."
    return Picture("edges", "Correlations on every edge", figure, alt, caption)
