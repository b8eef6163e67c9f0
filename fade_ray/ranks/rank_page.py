"""`report.html` of a rank study: what its sections say."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import rankdata

from fade_ray.analysis.resampling import shown
from fade_ray.compare.comparison_page import whole_of
from fade_ray.ranks import rank_course_figures as course_figures
from fade_ray.ranks import rank_figures as figures
from fade_ray.ranks.rank_correlation import choices_of, final_psis, means_of
from fade_ray.ranks.rank_records import RankHistory, RankRun, by_setting
from fade_ray.ranks.rank_summary import MOST_RESAMPLED, RankFindings
from fade_ray.ranks.rank_verdict import first_in_words
from fade_ray.records.run_files import Run
from fade_ray.report import trials
from fade_ray.report.page import Column, Headline, Numbers, Page, Row, Section, Table, Verdict
from fade_ray.report.words import DASH, Measure, count, duration, interval, number, si
from spaces.candidates import Candidate

StudyRun = Run[Any, RankHistory]
LISTED = 10
"""Architectures of a table that are listed, the best of it."""
FILES = (
    "the files of this directory alone: records.jsonl, ranks.json, config.json and "
    "environment.json. In the table of architectures, the columns of the settings hold predicted "
    "places, 1 being the best"
)


def rank_page(run: StudyRun, findings: RankFindings, verdict: list[str]) -> Page:
    """The report of a rank study, finished or not; `verdict`: its sentences."""
    done = sum(outcome.failure is None for outcome in run.history.outcomes.values())
    share = whole_of(done, len(run.history.proposals), "trial")
    reached = trials.state(run.history, run.folder, "rank-study", share)
    title = "Rank study: FaDE-ranks against training alone"
    return Page(title, run.name, reached, _sections(run, findings, verdict))


def _sections(run: StudyRun, findings: RankFindings, verdict: list[str]) -> Iterator[Section]:
    score, study = trials.measure_of(run.settings), findings.study
    said = Verdict(first_in_words(() if study is None else study.results), verdict)
    yield Section("", [said, trials.warnings(run.history), Headline(headline(run, findings))])
    tables = [result_table(findings, score), difference_table(findings)]
    agreement = figures.agreement(findings, score)
    yield Section("Ranks against training alone", [agreement, *tables])
    marginals = figures.marginals(findings.runs)
    yield Section("What was predicted", [marginals, candidate_table(findings)])
    computation = course_figures.at_equal_computation(findings)
    yield Section("Over the training", [course_figures.over_epochs(findings), computation])
    costs = trials.cost_table("Cost", run.history, "setting", lambda plan: str(plan.setting))
    more = {1: Column("setting", lambda one: one.plan.setting)}
    attempts = trials.trial_table(run.history, score, more, "No trial was proposed yet.")
    trained = [run_table(findings, score), alone_table(findings, score)]
    yield Section("Cost and trials", [costs, *trained, attempts])
    yield Section("How it was made", trials.origin(run, FILES))


TRUTH_FACTS: dict[str, tuple[str, str]] = {
    "test": ("test images", "accuracies of training alone on them; no rank was learned on them"),
    "architecture": (
        "architecture split",
        "the ranks were learned on the same images: correlations and the noise ceiling are biased "
        "upwards",
    ),
    "table": ("table", "its published accuracies"),
}
"""By the keys of TRUTHS: what the ranks are held against, and a remark."""


def headline(run: StudyRun, findings: RankFindings) -> list[Row]:
    """(label, value, remark) of the figures that matter."""
    rows: list[Row] = []
    if findings.study is not None:
        rho = findings.study.results[0].rho
        ends = interval(rho.low, rho.high)
        ends = "interval unknown" if ends == DASH else f"95 % interval {ends}"
        mean = f"{rho.setting}, mean over {count(rho.seeds, 'seed')}, {ends}"
        rows.append(("Spearman's correlation", number(rho.value), mean))
    bound = findings.noise.bound
    if math.isfinite(bound):
        remark = "what a rank without any noise would reach on average"
        rows.append(("noise ceiling", number(bound), remark))
    whole, groups = findings.whole, by_setting(findings.runs)
    trainings = f"{sum(map(len, groups.values()))}"
    settings = f"of the hyper-architecture, in {count(len(groups), 'setting')}"
    rows.append(("trainings", trainings, settings))
    repeats = count(len(whole[0].accuracies) if whole else 0, "time")
    where = f"in {findings.table.name}" if findings.table else "trained alone"
    left = len(findings.alone) - len(whole)
    waiting = f"; {left} more wait for their repeats" if left else ""
    rows.append(("architectures", f"{len(whole):,}", f"{where}, {repeats} each{waiting}"))
    rows.append(("truth", *TRUTH_FACTS[findings.truth]))
    return rows + trials.time_rows(run.history)[:1] * bool(run.history.cost.seconds)


def result_table(findings: RankFindings, score: Measure) -> Table:
    """Per setting, what its trainings come to."""
    study, noise = findings.study, findings.noise
    if study is None:
        return Table("Results per setting", (), ())
    equal = study.equal_computation
    at = {} if equal is None else {one.setting: one.value for one in equal.settings}
    regrets = [
        Numbers(
            f"regret of the best {k}" if k > 1 else "regret of the best",
            lambda one, place=place: number(score.spread(one.regrets[place])),  # type: ignore[misc]
        )
        for place, k in enumerate(study.ks)
    ]
    columns = (
        Column("setting", lambda one: one.rho.setting),
        Numbers("seeds", lambda one: str(one.rho.seeds)),
        Numbers("Spearman", lambda one: number(one.rho.value)),
        Numbers("95 % interval", lambda one: interval(one.rho.low, one.rho.high)),
        Numbers("at equal computation", lambda one: number(at.get(one.rho.setting))),
        Numbers("seeds together", lambda one: number(one.pooled)),
        Numbers("Kendall", lambda one: number(one.kendall)),
        *regrets,
    )
    how = "a bootstrap over architectures and seeds"
    if len(findings.alone) > MOST_RESAMPLED:
        how = "Student's t over the seeds, as the architectures are all there are"
    same = ""
    if equal is not None:
        spent = course_figures.computation(equal)
        same = f"At equal computation: after {spent}, which every run reached. "
        same += f"{course_figures.NOT_TIME} "
    chances = zip(study.ks, study.chance_regrets, strict=True)
    drawn = ", ".join(f"{score.spread(value):.2f} for {k}" for k, value in chances)
    steps = f"percentage {score.steps}" if score.steps else f"differences in {score.name}"
    note = (
        f"After the last epoch of each training, mean over seeds; the interval is {how}. {same}"
        f"Seeds together: of the mean log psi over seeds. Regret: {steps} between the best "
        "architecture of all and the best of those ranked first"
        f"{f'; drawn at random it is {drawn}' if drawn else ''}. "
        f"{course_figures.ceiling_words(noise, shaded=False)} "
        f"{course_figures.truth_words(findings)}"
    )
    title, label = "Results per setting", "results per setting"
    return Table.of(title, columns, study.results, note=note, label=label)


def difference_table(findings: RankFindings) -> Table:
    """Per further setting: its rho minus that of the first, the interval, and what that shows."""
    differences = () if findings.study is None else findings.study.differences
    columns = (
        Column("setting", lambda one: one[0]),
        Numbers("difference in Spearman", lambda one: number(one[1].value, signed=True)),
        Numbers("95 % interval", lambda one: interval(one[1].low, one[1].high, signed=True)),
        Column("verdict", lambda one: shown(one[1].low, one[1].high)),
    )
    how = "On the same resampled architectures and seeds"
    if len(findings.alone) > MOST_RESAMPLED:
        how = "Paired over the seeds that both settings have, Student's t"
    title = f"Settings against {next(iter(by_setting(findings.runs)), '')}"
    note = f"{how}; intervals are not corrected for their number."
    label = "differences between settings"
    return Table.of(title, columns, differences, note=note, label=label)


def run_table(findings: RankFindings, score: Measure) -> Table:
    """Per training of the hyper-architecture, what it took and came to."""
    rhos = {(c.setting, c.seed): c.rho[-1] for group in findings.courses.values() for c in group}
    runs = [run for group in by_setting(findings.runs).values() for run in group]
    columns = (
        Column("setting", lambda run: run.setting),
        Numbers("seed", lambda run: str(run.seed)),
        Numbers("epochs", lambda run: str(run.epochs[-1].epoch)),
        Numbers("multiply-adds", lambda run: si(run.epochs[-1].multiply_adds)),
        Numbers("wall time", lambda run: duration(run.epochs[-1].seconds)),
        Numbers("Spearman at the end", lambda run: number(rhos.get((run.setting, run.seed)))),
        Numbers(f"{score.name} of the best path", lambda run: score.text(run.accuracy, 2)),
    )
    title = f"All {len(runs)} trainings of the hyper-architecture"
    return Table.of(title, columns, runs, folded=True)


def alone_table(findings: RankFindings, score: Measure) -> Table:
    """Per architecture, best first, its predicted places; of a table the best only."""
    alone, groups = findings.whole, by_setting(findings.runs)
    true, hyper = means_of(alone), findings.hyper
    many = len(alone) > MOST_RESAMPLED
    choices = choices_of(alone)
    places = {
        name: rankdata(-final_psis(group, choices).mean(axis=0))
        for name, group in groups.items()
        if alone
    }
    order = np.argsort(-true, kind="stable")[: LISTED if many else None].tolist()
    columns = (
        Column("candidates", lambda i: " / ".join(str(k + 1) for k in alone[i].choice)),
        Numbers(f"mean {score.name}", lambda i: score.text(float(true[i]), 2)),
        Column(
            score.axis("each"),
            lambda i: ", ".join(f"{score.scale * value:.2f}" for value in alone[i].accuracies),
        ),
        *(Numbers(name, lambda i, place=place: f"{place[i]:g}") for name, place in places.items()),  # type: ignore[misc]
        Column("architecture", lambda i: hyper.architecture(alone[i].choice).code()),
    )
    whole = count(len(alone), "architecture")
    title = f"Best {LISTED} of {whole}" if many else f"All {whole} trained alone"
    return Table.of(title, columns, order, folded=True)


def candidate_table(findings: RankFindings) -> Table:
    """Per row and candidate: code, mean and deviation over seeds of its weight per setting."""
    cells = [
        (row, candidate, cell)
        for row, rows in enumerate(findings.hyper.distinct())
        for candidate, cell in enumerate(rows)
    ]
    weights = [
        Numbers(name, partial(_weight, group)) for name, group in by_setting(findings.runs).items()
    ]
    columns = (
        Column("row", lambda one: f"{one[0] + 1}"),
        Numbers("candidate", lambda one: f"{one[1] + 1}"),
        Column("cell", lambda one: one[2].code),
        *weights,
    )
    return Table.of("Candidates and their weights", columns, cells, folded=True)


def _weight(group: list[RankRun], place: tuple[int, int, Candidate]) -> str:
    values = [run.weights[place[0]][place[1]] for run in group]
    deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{deviation}"
