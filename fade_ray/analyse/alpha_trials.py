"""The trials of a study of alpha: searches, and trainings of what they found with one operation
swapped (StacNAS, Fig. 5; algorithms C.8).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fade_ray.analyse.alpha_config import AlphaStudy
from fade_ray.cells.cell_job import CellJob, Found, Sort, Stages, grid, staged
from fade_ray.cells.cell_trial import CellSearch
from fade_ray.cells.cells_config import CellPlan
from fade_ray.cells.retrainings import RetrainPlan, trial_of
from fade_ray.data import Splits
from fade_ray.retraining.genotype_trial import GenotypeTrial
from fade_ray.trials.trainee import Ending
from searchers.staged import StagedSearch
from spaces.cell import NONE, Macro
from spaces.genotype import read_cells

LOOKED_UP = ("c10_test_200", "c100_test_200", "in16_test_200")
"""What is taken from a table, in percent: test accuracies after 200 epochs."""
WEIGHTS = "params_c10"


def neighbours(genotype: str, space: Macro, edge: str) -> dict[str, Macro]:
    """What becomes of a genotype of `space`, given in its notation, with each operation that may
    stand on `edge` ("normal:0-2"); {} for an edge that it has not kept.
    """
    kind, name = edge.split(":")
    cells = {
        k: space.cells[k].genotype(cell.genes) for k, cell in read_cells(genotype).cells.items()
    }
    genes, cell = cells[kind].named_genes, space.cells[kind]
    if name not in genes:
        return {}
    allowed = zip(cell.ops, cell.allowed[cell.edge_names.index(name)], strict=True)
    # where edges are dropped, none is no operation of a genotype (algorithms E.6)
    ops = [op for op, here in allowed if here and (op != NONE or cell.keep is None)]
    swapped = {op: {**genes, name: genes[name]._replace(op=op)} for op in ops}
    return {
        op: space.with_cells({**cells, kind: cell.genotype(each.values())})
        for op, each in swapped.items()
    }


def swaps(study: AlphaStudy, outcomes: Found) -> list[RetrainPlan]:
    """The trainings of everything that is swapped, each network once; seeds outermost, then the
    searches. `outcomes`: of the searches.
    """
    wanted: dict[tuple[str, str], tuple[str, str]] = {}  # space, notation -> id, search
    for plan in study.plans():
        found = outcomes[plan.id].found
        if found is None or study.looked_up(plan.space):
            continue
        wanted.setdefault((plan.space, found), (f"{plan.id}-found", plan.id))
        for edge in study.edges(plan.space):
            for op, macro in neighbours(found, study.macro(plan.space), edge).items():
                id = f"{plan.id}-{edge.replace(':', '-')}-{op}"
                wanted.setdefault((plan.space, macro.notation), (id, plan.id))
    return [
        RetrainPlan(f"{id}-{name}-{seed}", of, space, notation, name, seed, setting.epochs)
        for seed in range(study.retraining.retrain_seeds)
        for (space, notation), (id, of) in wanted.items()
        for name, setting in study.settings(space).items()
    ]


class AlphaSearch(CellSearch):
    """A search which, with a table, tells the accuracies of everything that is one operation away
    from what it found.
    """

    config: AlphaStudy

    def ending(self, epochs: Sequence[Mapping[str, Any]]) -> Ending:
        end = super().ending(epochs)
        if self.table is None:
            return end
        known: dict[str, Any] = {}
        for edge in self.config.edges(self.plan.space):
            for macro in neighbours(str(end.outcome.found), self.whole, edge).values():
                record = self.table.lookup(macro).to_dict()
                known[macro.notation] = {name: record[name] for name in (*LOOKED_UP, WEIGHTS)}
        return replace(end, metrics={**end.metrics, "looked_up": known})


def begin_swap(plan: RetrainPlan, splits: Splits, study: AlphaStudy, folder: Path) -> GenotypeTrial:
    """On the images of the searches; the genotype is the plan's own."""
    return trial_of(read_cells(plan.genotype), plan, splits, study)


SORTS: dict[str, Sort] = {
    CellPlan.sort: Sort(CellPlan, AlphaSearch),
    RetrainPlan.sort: Sort(RetrainPlan, begin_swap),
}
STAGES: Stages = (
    lambda study, _: grid(study.plans()),
    lambda study, outcomes: grid(swaps(study, outcomes)),
)


def alpha_search(study: AlphaStudy) -> StagedSearch[Any]:
    return staged(study, STAGES)


def alpha_job(study: AlphaStudy) -> CellJob:
    return CellJob(study, SORTS)
