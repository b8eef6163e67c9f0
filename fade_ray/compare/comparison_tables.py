"""A comparison as tables: evaluations, seeds, searchers, curves, tests, top."""

from collections.abc import Sequence

import pyarrow as pa

from fade_ray.compare.comparison import Comparison
from fade_ray.compare.trace import Trace
from fade_ray.records.journal import plain

COLUMNS = {
    "evaluations": "searcher seed number cost score report",
    "seeds": "searcher seed complete evaluations spent spent_on_ranks score final area",
    "searchers": (
        "searcher seeds partial mean std low high area area_std rank area_rank "
        "evaluations spent spent_on_ranks top_mean"
    ),
    "curves": "searcher seeds budget mean low high score",
    "tests": (
        "searcher baseline measure seeds zeros family difference low high effect superiority "
        "p corrected smallest smallest_corrected"
    ),
    "top": "searcher place report",
}
"""Columns by table. Scores, differences and areas are those of the traces, accuracies shares of 1;
`cost`, `spent` and `budget` in the traces' unit; `number` and `place` count from 1; what is
undefined is null.
"""

TYPES = {
    **dict.fromkeys(("searcher", "baseline", "measure"), pa.string()),
    **dict.fromkeys(("seed", "seeds", "number", "partial", "zeros", "family"), pa.int64()),
    "place": pa.int64(),
    "complete": pa.bool_(),
}
"""By column; others hold numbers. Evaluations are counted for a seed, a mean for a searcher."""


def schema(name: str) -> pa.Schema:
    types = TYPES | ({"evaluations": pa.int64()} if name == "seeds" else {})
    return pa.schema([(key, types.get(key, pa.float64())) for key in COLUMNS[name].split()])


def comparison_tables(comparison: Comparison, traces: Sequence[Trace]) -> dict[str, pa.Table]:
    """All of `COLUMNS`."""
    evaluations = [
        {"searcher": t.searcher, "seed": t.seed, "number": number}
        | {"cost": cost, "score": score, "report": report}
        for t in traces
        for number, (cost, score, report) in t.numbered()
    ]
    names = ("budget", "mean", "low", "high", "score")
    curves = [
        {"searcher": band.searcher, "seeds": band.seeds} | dict(zip(names, point, strict=True))
        for band in comparison.bands
        for point in zip(band.grid, band.mean, band.low, band.high, band.score, strict=True)
    ]
    top = [
        {"searcher": summary.searcher, "place": place, "report": report}
        for summary in comparison.summaries
        for place, report in enumerate(summary.top, start=1)
    ]
    rows = {
        "evaluations": evaluations,
        "seeds": [vars(result) for result in comparison.results],
        "searchers": [vars(summary) for summary in comparison.summaries],
        "curves": curves,
        "tests": [vars(test) | {"seeds": len(test.seeds)} for test in comparison.tests],
        "top": top,
    }
    return {
        name: pa.Table.from_pylist([plain(row) for row in rows[name]], schema=schema(name))
        for name in COLUMNS
    }
