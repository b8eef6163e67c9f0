"""From the record of a rank study to the ranks over the epochs and the architectures trained alone."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, product

from fade_ray.compare.entered_history import EnteredHistory
from fade_ray.ranks.rank_records import Alone, RankEpoch, RankRun
from fade_ray.ranks.rank_trials import ALONE
from spaces import HyperArchitecture
from spaces.nasbench_macro import BLOCKS, MacroTable


def rank_runs(history: EnteredHistory, settings: Sequence[str]) -> list[RankRun]:
    """The trainings of the hyper-architecture that ended well, in the order of `settings` and
    seeds.
    """
    found = []
    for setting in settings:
        for id in sorted(history.of(setting), key=lambda id: history.proposals[id].proposal.repeat):
            if history.outcomes[id].log_weights is None:
                continue
            told = sorted(history.epochs.get(id, {}).items())
            seconds = accumulate(metrics["seconds"] for _, metrics in told)
            computed = _so_far(metrics.get("multiply_adds") for _, metrics in told)
            epochs = tuple(
                RankEpoch(
                    epoch, spent, tuple(tuple(row) for row in metrics["weights"]), multiply_adds
                )
                for (epoch, metrics), spent, multiply_adds in zip(
                    told, seconds, computed, strict=True
                )
            )
            accuracy = history.metrics[id].get("hyper_accuracy")
            found.append(RankRun(setting, history.proposals[id].proposal.repeat, epochs, accuracy))
    return found


def _so_far(counts: Iterable[int | None]) -> Iterator[int | None]:
    """Running sums; None from the first count on that is not known."""
    return accumulate(counts, lambda sum, one: None if sum is None or one is None else sum + one)


def trained_alone(history: EnteredHistory, hyper: HyperArchitecture) -> list[Alone]:
    """The architectures trained alone, in lexicographic order of their choices, each with its
    accuracies in the order of the repeats.

    Of the test part, see `truth_part`: the ranks are learned on the architecture split, so
    accuracies on it share its luck.
    """
    part, accuracies = truth_part(history), dict[str, list[tuple[int, float]]]()
    for id in history.of(ALONE):
        proposal = history.proposals[id].proposal
        accuracy = _accuracies(history, id)[part]
        if accuracy is not None:
            accuracies.setdefault(proposal.hyper.code(), []).append((proposal.repeat, accuracy))
    distinct = hyper.distinct()
    found = []
    for code, values in accuracies.items():
        cells = [row[0] for row in HyperArchitecture.from_code(code).rows]
        choice = tuple(row.index(cell) for row, cell in zip(distinct, cells, strict=True))
        found.append(Alone(choice, tuple(accuracy for _, accuracy in sorted(values))))
    return sorted(found, key=lambda alone: alone.choice)


def truth_part(history: EnteredHistory) -> str:
    """The part of the images that `trained_alone` goes by: "test", or "architecture" in records
    that do not have all test accuracies.
    """
    ended = [_accuracies(history, id) for id in history.of(ALONE)]
    return (
        "test"
        if all(one["test"] is not None for one in ended if one["architecture"] is not None)
        else "architecture"
    )


def _accuracies(history: EnteredHistory, id: str) -> dict[str, float | None]:
    return {
        "test": history.metrics[id].get("test_accuracy"),
        "architecture": history.outcomes[id].score,
    }


def of_table(table: MacroTable) -> list[Alone]:
    """All architectures of NAS-Bench-Macro with the accuracies of their trainings, in lexicographic
    order.
    """
    trainings = table.accuracies.reshape(-1, table.accuracies.shape[-1])
    choices = product(range(len(BLOCKS)), repeat=table.accuracies.ndim - 1)
    return [
        Alone(choice, tuple(row)) for choice, row in zip(choices, trainings.tolist(), strict=True)
    ]
