"""What a comparison of searchers, trained or replayed, leaves: its files, and what is printed."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from rich.console import Console

from fade_ray.compare.comparison import Comparison, Summary
from fade_ray.compare.comparison_page import Compared, comparison_page, seeds_text
from fade_ray.compare.trace import Trace
from fade_ray.records.journal import plain
from fade_ray.records.json_form import as_json
from fade_ray.report.page import write_page
from fade_ray.report.tables import REAL, TEXT, WHOLE, YES, columns, write_tables
from fade_ray.report.words import Measure
from fade_ray.run.folder import write_json
from fade_ray.run.text_table import number, text_table

COLUMNS = {
    "evaluations": columns((TEXT, "searcher"), (WHOLE, "seed number"), (REAL, "cost score report")),
    "seeds": columns(
        *((TEXT, "searcher"), (WHOLE, "seed"), (YES, "complete"), (WHOLE, "evaluations")),
        (REAL, "spent spent_on_ranks score final area"),
    ),
    "searchers": columns(
        *((TEXT, "searcher"), (WHOLE, "seeds partial"), (REAL, "mean std low high area area_std")),
        (REAL, "rank area_rank evaluations spent spent_on_ranks top_mean"),
    ),
    "curves": columns((TEXT, "searcher"), (WHOLE, "seeds"), (REAL, "budget mean low high score")),
    "tests": columns(
        *((TEXT, "searcher baseline measure"), (WHOLE, "seeds zeros family")),
        (REAL, "difference low high effect superiority p corrected smallest smallest_corrected"),
    ),
    "top": columns((TEXT, "searcher"), (WHOLE, "place"), (REAL, "report")),
}
"""By table. Scores, differences and areas are those of the traces, accuracies shares of 1; `cost`,
`spent` and `budget` in the traces' unit; `number` and `place` count from 1; what is undefined is
null.
"""


def comparison_tables(made: Comparison, traces: Sequence[Trace]) -> dict[str, pa.Table]:
    """All of `COLUMNS`."""
    evaluations = [(t.searcher, t.seed, n, *each) for t in traces for n, each in t.numbered()]
    points = [
        (band.searcher, band.seeds, *point)
        for band in made.bands
        for point in zip(band.grid, band.mean, band.low, band.high, band.score, strict=True)
    ]
    top = [(s.searcher, n, report) for s in made.summaries for n, report in enumerate(s.top, 1)]
    rows: dict[str, list[dict[str, Any]]] = {
        "seeds": [vars(result) for result in made.results],
        "searchers": [vars(summary) for summary in made.summaries],
        "tests": [vars(test) | {"seeds": len(test.seeds)} for test in made.tests],
    }
    listed: dict[str, list[Any]] = {"evaluations": evaluations, "curves": points, "top": top}
    for name, lines in listed.items():
        rows[name] = [dict(zip(COLUMNS[name].names, line, strict=True)) for line in lines]
    return {
        name: pa.Table.from_pylist([plain(row) for row in rows[name]], schema=schema)
        for name, schema in COLUMNS.items()
    }


def write_comparison(
    run: Compared, traces: Sequence[Trace], made: Comparison, *formats: str, replayed: bool = False
) -> None:
    """comparison.json, its tables in these `formats`, figures and page."""
    write_json(run.folder / "comparison.json", plain(as_json(made)))
    write_tables(comparison_tables(made, traces), run.folder / "tables", *formats)
    write_page(comparison_page(run, traces, made, replayed), run.folder)


def print_summaries(comparison: Comparison, score: Measure, console: Console) -> None:
    """A line per searcher: means over its complete seeds of evaluations, of what ranks cost, of the
    final report (and its standard deviation) and the area under the curve; mean ranks by both.
    """
    report, area = score.axis("report"), score.axis("area")
    heads = ("searcher", "seeds", "evals", "ranks", report, "std", area, "rank", "area rank")
    rows = [_row(summary, score) for summary in comparison.summaries]
    console.print(text_table(heads, rows, left=("searcher",)))


def print_verdict(comparison: Comparison, console: Console) -> None:
    for sentence in comparison.verdict:
        console.print(sentence, soft_wrap=True)


def _row(summary: Summary, score: Measure) -> tuple[str, ...]:
    return (
        summary.searcher,
        seeds_text(summary),
        number(summary.evaluations, 1),
        number(summary.spent_on_ranks or 0.0, 0),
        number(score.scale * summary.mean, 3),
        number(score.spread(summary.std), 3),
        number(score.scale * summary.area, 3),
        *(number(rank, 2) for rank in (summary.rank, summary.area_rank)),
    )
