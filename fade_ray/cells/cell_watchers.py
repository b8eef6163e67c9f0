"""What a person sees while cells are searched: lines on stderr, and TensorBoard."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fade_ray.cells.cell_trials import proxy_name
from fade_ray.report.words import ACCURACY, Measure, si
from fade_ray.run.grid_progress import GridProgress
from fade_ray.run.tensorboard import Board, Tags, scalars
from searchers import Outcome
from spaces.darts import SPACES


class CellProgress(GridProgress):
    """Of trials of all sorts: with the memory of a step, and of searches the skip-connects."""

    def course(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> str:
        memory, skips = metrics.get("step_memory_mib"), metrics.get("skip_share")
        name = f"{proposal.id} {proposal.kind}"
        if epoch == 0 and memory is not None:
            self.tell(f"{name}: a step takes {memory:,.0f} MiB at its peak")
        told = "" if skips is None else f" skip {skips:.0%}"
        return f"{name} {epoch}/{proposal.epochs}{told}"


def ended(
    plan: Any, outcome: Outcome, metrics: Mapping[str, Any], score: Measure = ACCURACY
) -> str:
    """What is told of a trial that has ended well; warnings tell of the others."""
    if outcome.failure is not None:
        return ""
    return f"{plan.id} {plan.kind}: {TOLD[plan.sort](metrics, score)}"


def _searched(metrics: Mapping[str, Any], score: Measure) -> str:
    proxy = metrics["proxy_accuracy"]
    told = "" if proxy is None else f", {proxy_name(metrics, score)} {score.plain(proxy):.3f}"
    return f"{metrics['parameter_free_share']:.0%} free of parameters{told}"


TOLD: dict[str, Callable[[Mapping[str, Any], Measure], str]] = {
    "confusion": lambda metrics, _: f"confusion {si(metrics['confusion'])} per million parameters",
    "search": _searched,
    "retraining": lambda metrics, score: (
        f"test {score.name} {score.plain(metrics['test_accuracy']):.4f}"
    ),
}
"""By the sort of a plan."""


def edge_tags(plan: Any, metrics: Mapping[str, Any]) -> Tags:
    """What TensorBoard shows of an epoch, the architecture weights of every edge among it."""
    tags = scalars(plan, metrics) | {"architecture/entropy": metrics.get("entropy")}
    for kind, rows in metrics.get("weights", {}).items():
        for edge, weights in enumerate(rows):
            for op, weight in zip(_ops(plan, kind, rows), weights, strict=True):
                tags[f"weights_{kind}/edge{edge:02d}_{op}"] = weight
    return tags


def _ops(plan: Any, kind: str, rows: Sequence[Sequence[float]]) -> Sequence[str]:
    """The operations that weights are of, by name where they are those of the whole space."""
    cell = SPACES[plan.space].macro.cells.get(kind) if plan.space in SPACES else None
    if cell is not None and cell.mask.shape == (len(rows), len(rows[0])):
        return cell.ops
    return [f"op{number}" for number in range(len(rows[0]))]


def end_tags(outcome: Outcome, metrics: Mapping[str, Any]) -> Tags:
    """Accuracies of the mixture, of the genotype with its weights, and trained from scratch."""
    names = ("proxy", "discrete", "test")
    return {f"accuracy/{name}": metrics.get(f"{name}_accuracy") for name in names}


EDGES = Board(edge_tags, end_tags)
