"""What a comparison of searchers, trained or replayed, comes to on a terminal."""

from rich.console import Console

from fade_ray.compare.comparison import Comparison, Summary
from fade_ray.report.words import Measure
from fade_ray.run.text_table import number, text_table


def print_summaries(comparison: Comparison, score: Measure, console: Console) -> None:
    """A line per searcher: means over its complete seeds of evaluations, of what ranks cost, of the
    final report (and its standard deviation) and the area under the curve; mean ranks by both.
    """
    report, area = score.axis("report"), score.axis("area")
    heads = ("searcher", "seeds", "evals", "ranks", report, "std", area, "rank", "area rank")
    rows = [_row(summary, score) for summary in comparison.summaries]
    console.print(text_table(heads, rows, left=("searcher",)))


def _row(summary: Summary, score: Measure) -> tuple[str, ...]:
    return (
        summary.searcher,
        seeds_text(summary),
        number(summary.evaluations, 1),
        number(summary.spent_on_ranks or 0.0, 0),
        *(number(score.scale * x, 3) for x in (summary.mean, summary.std, summary.area)),
        *(number(rank, 2) for rank in (summary.rank, summary.area_rank)),
    )


def seeds_text(summary: Summary) -> str:
    """ "5", "4 (+ 1 partial)"."""
    return f"{summary.seeds}" + (f" (+ {summary.partial} partial)" if summary.partial else "")
