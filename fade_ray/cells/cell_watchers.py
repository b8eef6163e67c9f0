"""What a person sees while cells are searched: lines on stderr, and TensorBoard."""

from collections.abc import Mapping
from typing import Any

from fade_ray.cells.cells_config import CellPlan
from fade_ray.run.grid_progress import GridProgress
from fade_ray.run.tensorboard import Board, Tags, scalars
from searchers import Outcome


class CellProgress(GridProgress):
    """With the memory of a step, and the share of skip-connects."""

    def course(self, proposal: CellPlan, epoch: int, metrics: Mapping[str, Any]) -> str:
        memory, skips = metrics.get("step_memory_mib"), metrics.get("skip_share")
        if epoch == 0 and memory is not None:
            name = f"{proposal.id} {proposal.kind}"
            self.tell(f"{name}: a step takes {memory:,.0f} MiB at its peak")
        told = "" if skips is None else f" skip {skips:.0%}"
        return f"{proposal.kind} {epoch}/{proposal.epochs}{told}"


def ended(plan: CellPlan, outcome: Outcome, metrics: Mapping[str, Any]) -> str:
    """What is told of a search that has ended well; warnings tell of the others."""
    if outcome.failure is not None:
        return ""
    accuracy = "" if outcome.score is None else f", proxy accuracy {outcome.score:.3f}"
    free = metrics["parameter_free_share"]
    return f"{plan.id} {plan.kind}: {free:.0%} free of parameters{accuracy}"


def edge_tags(metrics: Mapping[str, Any]) -> Tags:
    """What TensorBoard shows of an epoch, the architecture weights of every edge among it."""
    tags = scalars(metrics) | {"architecture/entropy": metrics.get("entropy")}
    for kind, rows in metrics.get("weights", {}).items():
        for edge, weights in enumerate(rows):
            for op, weight in enumerate(weights):
                tags[f"weights_{kind}/edge{edge:02d}_op{op}"] = weight
    return tags


def end_tags(outcome: Outcome, metrics: Mapping[str, Any]) -> Tags:
    """Accuracies of the mixture and of the genotype with its weights."""
    names = ("proxy", "discrete")
    return {f"accuracy/{name}": metrics.get(f"{name}_accuracy") for name in names}


EDGES = Board(edge_tags, end_tags)
