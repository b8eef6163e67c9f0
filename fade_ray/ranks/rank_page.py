"""`report.html` of a rank study: one self-contained page from the files of its directory."""

from pathlib import Path

from markupsafe import Markup

from fade_ray.compare import entered_facts
from fade_ray.compare.comparison_page import drawing, unwritable
from fade_ray.ranks import rank_facts
from fade_ray.ranks.rank_correlation import Ceiling, ceiling
from fade_ray.ranks.rank_course_figures import (
    MOST_RESAMPLED,
    NOT_TIME,
    ceiling_words,
    computation,
    truth_words,
)
from fade_ray.ranks.rank_courses import Course, by_setting, courses
from fade_ray.ranks.rank_facts import RankFiles
from fade_ray.ranks.rank_figures import drawn_from
from fade_ray.report.page import environment
from fade_ray.report.style import dark_colours, house_style, replace_file
from fade_ray.report.words import count
from fade_ray.search import search_facts as facts

MISSING = {
    "agreement": "It takes a trained hyper-architecture and three architectures trained alone to compare them.",
    "marginals": "No hyper-architecture has finished yet.",
    "epochs": "It takes a trained hyper-architecture and three architectures trained alone to correlate them.",
    "computation": "There is no computation yet that all hyper-architectures have reached, or their record does not tell their multiply-adds.",
}
"""What the page says where a figure has nothing to show."""


def write_rank_report(folder: Path) -> Path:
    """Write `figures/*.svg`, `figures/*.png` and `report.html` into the directory of a rank study,
    finished or not; the page's path.

    Raises InvalidInput if the directory holds no readable rank study, or cannot be written.
    """
    folder = Path(folder)
    files = RankFiles.read(folder)
    found = courses(files.runs, files.alone)
    try:
        with house_style():
            shown = drawn_from(files.runs, files.alone, found, files.equal, files.truth)
            drawn = {picture.name: drawing(picture, folder) for picture in shown}
        path = folder / "report.html"
        replace_file(path, _page(files, found, drawn).encode())
    except OSError as error:
        raise unwritable(folder, error) from error
    return path


def _page(files: RankFiles, found: dict[str, list[Course]], drawn: dict[str, Markup]) -> str:
    run, results, settings = files.run, rank_facts.results(files), tuple(by_setting(files.runs))
    noise = ceiling(files.alone) if files.alone else Ceiling(0, *[float("nan")] * 3)
    trials, whole = entered_facts.trial_table(run.history), len(run.history.proposals)
    done = sum(outcome.failure is None for outcome in run.history.outcomes.values())
    word, sentence = run.state(done, whole, "trial")
    ks, chance = rank_facts.regret_sizes(files)
    entries = list(dict.fromkeys(entered.entry for entered in run.history.proposals.values()))
    return (
        environment()
        .get_template("rank.html.j2")
        .render(
            name=run.name,
            state=word,
            sentence=sentence,
            continuation=run.continuation("rank-study"),
            warnings=facts.warnings(run.history),
            first=rank_facts.verdict(results),
            sentences=files.words,
            headline=rank_facts.headline(files, results, noise.bound),
            drawn={name: drawn.get(name, missing) for name, missing in MISSING.items()},
            results=rank_facts.result_table(results, files.equal),
            regrets=tuple(f"regret of the best {k}" if k > 1 else "regret of the best" for k in ks),
            chance=[f"{100 * value:.2f} for {k}" for k, value in zip(ks, chance, strict=True)],
            equal=None if files.equal is None else computation(files.equal.multiply_adds),
            not_time=NOT_TIME,
            truth=truth_words(files.truth) if files.alone else None,
            ceiling=ceiling_words(noise, shaded=False) if files.alone else None,
            differences=rank_facts.difference_table(files),
            settings=settings,
            setting_columns=tuple(range(3, 3 + len(settings))),
            runs=rank_facts.run_table(files.runs, found),
            alone=rank_facts.alone_table(files),
            architectures=count(len(files.alone), "architecture"),
            cut=len(files.alone) > MOST_RESAMPLED,
            candidates=rank_facts.candidate_table(files),
            cost=entered_facts.cost_table(run.history, {entry: [entry] for entry in entries}),
            costs=(entered_facts.COSTS, entered_facts.COST_NUMBERS),
            trials=trials,
            trial_columns=(
                (*entered_facts.TRIALS, "architecture, rows separated by /"),
                entered_facts.TRIAL_NUMBERS,
            ),
            config=facts.config_table(run.config),
            environment=facts.config_table(
                {k: v for k, v in run.environment.items() if k != "command"}
            ),
            command=run.command,
            dark=Markup(dark_colours()),
        )
    )
