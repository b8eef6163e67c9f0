"""What a rank study is made of, and its record: weights over epochs, architectures alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from typing import Any

from fade_ray.analysis.rank_measures import Rows
from fade_ray.ranks.rank_trials import ALONE, RankTrial
from fade_ray.records.history import TrialHistory
from fade_ray.records.measures import ACCURACY, Measure
from spaces import HyperArchitecture
from spaces.nasbench_macro import BLOCKS, MacroTable

TRUTHS: dict[str, str] = {
    "test": "accuracies on the test images, which no rank was learned on",
    "architecture": (
        "accuracies on the architecture split, the images that the ranks were learned on: both "
        "share the luck of these images, so that the correlations and the noise ceiling are biased "
        "upwards"
    ),
    "table": "the accuracies of the table",
}
"""What ranks are held against: the images, or the table, that the accuracies of training alone are
from. Records without test accuracies are older: their graphs go by the architecture split.
"""


@dataclass(frozen=True)
class RankEpoch:
    """A hyper-architecture under training after an epoch."""

    epoch: int
    """From 1; 0 are the initial weights."""
    seconds: float
    """Wall time so far, for display: of trials that share a machine it tells the machine's load."""
    weights: Rows
    """FaDE weights."""
    multiply_adds: int | None = None
    """Of all passes of weight and architecture steps so far; None where no record tells."""


@dataclass(frozen=True)
class RankRun:
    """One training of the hyper-architecture, in one setting, with one seed."""

    setting: str
    """Such as "default" or "shared"."""
    seed: int
    epochs: tuple[RankEpoch, ...]
    accuracy: float | None = None
    """Of the path of largest weights, on the architecture split, with the shared weights."""

    @property
    def weights(self) -> Rows:
        """After the last epoch."""
        return self.epochs[-1].weights


@dataclass(frozen=True)
class Alone:
    """An architecture trained alone, `len(accuracies)` times (or read from a table)."""

    choice: tuple[int, ...]
    """[d]: the distinct candidate of each row."""
    accuracies: tuple[float, ...]
    """[repeats]; of which images, see TRUTHS."""


def by_setting(runs: Iterable[RankRun]) -> dict[str, list[RankRun]]:
    """The runs that have ended an epoch, by setting in the order in which they first appear."""
    groups: dict[str, list[RankRun]] = {}
    for run in runs:
        if run.epochs:
            groups.setdefault(run.setting, []).append(run)
    return groups


class RankHistory(TrialHistory[RankTrial]):
    """What the events of a rank study say together."""

    plan = RankTrial


def rank_runs(
    history: RankHistory, settings: Sequence[str], measure: Measure = ACCURACY
) -> list[RankRun]:
    """The hyper-architecture's trainings that ended well, in the order of `settings` and seeds."""
    runs = []
    for setting in settings:
        seeds = {id: history.proposals[id].study_seed for id in history.of(setting=setting)}
        for id in sorted(seeds, key=seeds.__getitem__):
            if history.outcomes[id].log_weights is not None:
                accuracy = measure.score(history.metrics[id], "hyper")
                epochs = _epochs(history.epochs.get(id, {}))
                runs.append(RankRun(setting, seeds[id], epochs, accuracy))
    return runs


def _epochs(reported: Mapping[int, Mapping[str, Any]]) -> tuple[RankEpoch, ...]:
    """What the epochs of a training reported, in their order, with sums up to each."""
    metrics = [reported[epoch] for epoch in sorted(reported)]
    seconds = accumulate(each["seconds"] for each in metrics)
    counts = (each.get("multiply_adds") for each in metrics)
    # None from the first count on that is not known
    computed = accumulate(counts, lambda sum, n: None if sum is None or n is None else sum + n)
    weights = [tuple(tuple(row) for row in each["weights"]) for each in metrics]
    rows = zip(sorted(reported), seconds, weights, computed, strict=True)
    return tuple(RankEpoch(*row) for row in rows)


def trained_alone(
    history: RankHistory, hyper: HyperArchitecture, measure: Measure = ACCURACY
) -> list[Alone]:
    """The architectures trained alone, in lexicographic order of their choices, each with its
    accuracies in the order of the repeats.

    Of the test part, see `truth_part`: the ranks are learned on the architecture split, so
    accuracies on it share its luck.
    """
    part, accuracies = (
        truth_part(history, measure),
        dict[HyperArchitecture, list[tuple[int, float]]](),
    )
    for id in history.of(setting=ALONE):
        plan, accuracy = history.proposals[id], _accuracies(history, id, measure)[part]
        if accuracy is not None:
            accuracies.setdefault(plan.hyper, []).append((plan.repeat, accuracy))
    distinct, alone = hyper.distinct(), []
    for architecture, values in accuracies.items():
        rows = zip(distinct, architecture.rows, strict=True)
        choice = tuple(row.index(cell) for row, (cell,) in rows)
        alone.append(Alone(choice, tuple(accuracy for _, accuracy in sorted(values))))
    return sorted(alone, key=lambda one: one.choice)


def truth_part(history: RankHistory, measure: Measure = ACCURACY) -> str:
    """What `trained_alone` goes by: "test", or "architecture" in records without all of those."""
    ended = [_accuracies(history, id, measure) for id in history.of(setting=ALONE)]
    scored = [each for each in ended if each["architecture"] is not None]
    return "test" if all(each["test"] is not None for each in scored) else "architecture"


def _accuracies(history: RankHistory, id: str, measure: Measure) -> dict[str, float | None]:
    tested, score = measure.score(history.metrics[id], "test"), history.outcomes[id].score
    return {"test": tested, "architecture": score}


def of_table(table: MacroTable) -> list[Alone]:
    """All architectures of NAS-Bench-Macro with their accuracies, in lexicographic order."""
    trainings = table.accuracies.reshape(-1, table.accuracies.shape[-1])
    choices = product(range(len(BLOCKS)), repeat=table.accuracies.ndim - 1)
    rows = zip(choices, trainings.tolist(), strict=True)
    return [Alone(choice, tuple(accuracies)) for choice, accuracies in rows]
