"""A made-up directory of cell searches, written as the command writes it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from parsed_page import EVIL

from fade_ray.cells.cells_config import CellPlan
from fade_ray.records.journal import FORMAT, Journal
from searchers import Outcome
from spaces.cell import Macro
from spaces.darts import published
from spaces.genotype import GENOTYPES


class SyntheticCells:
    """A made-up run directory, written through `Journal` as a run of cell searches writes it;
    skip-connects win with time.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.journal = Journal(folder / "records.jsonl")
        self.plans: list[CellPlan] = []
        config = {
            "kind": "cells",
            "grid": {"recipes": ["darts-1st"], "seeds": [0, 1]},
            "name": EVIL,
        }
        (folder / "config.json").write_text(json.dumps(config))
        environment = {
            "fade_ray": "0.1.0",
            "torch": "2.5.1",
            "device": "cpu",
            "command": f"fade-ray cells {EVIL}",
        }
        (folder / "environment.json").write_text(json.dumps(environment))
        self.journal.append("start", format=FORMAT, resumed=False)

    def propose(self, recipe: str, space: str, seed: int, epochs: int = 6) -> CellPlan:
        plan = CellPlan(f"{len(self.plans):03d}", len(self.plans), 0, recipe, space, seed, epochs)
        self.plans.append(plan)
        self.journal.append("proposed", proposal=plan.to_dict())
        return plan

    def train(self, plan: CellPlan, upto: int, stages: int = 1) -> None:
        macro = published(plan.space).macro
        starts = {
            kind: self.rng.normal(0, 1, cell.mask.shape) for kind, cell in macro.cells.items()
        }
        for epoch in range(upto + 1):
            weights = {}
            for kind, cell in macro.cells.items():
                logits = starts[kind] * epoch / 4 + 0.25 * epoch * (
                    np.array(cell.ops) == "skip_connect"
                )
                weights[kind] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            metrics: dict[str, Any] = {
                "weights": weights,
                "factors": {},
                "stage": stages * epoch // (upto + 1),
                "search": 0,
            }
            metrics |= {
                "skip_share": epoch / upto * 0.6 if upto else 0.0,
                "parameter_free_share": 0.2 + 0.1 * plan.seed,
            }
            metrics |= {
                "none_weight": 1 / (epoch + 2),
                "entropy": 1 / (epoch + 1),
                "eigenvalue": None,
            }
            if epoch:
                metrics |= {
                    "loss": 2.3 / epoch,
                    "accuracy": 1 - 0.8 / epoch,
                    "architecture_loss": 2.4 / epoch,
                }
                metrics |= {
                    "images": 100,
                    "multiply_adds": 10**6,
                    "seconds": 1.5,
                    "peak_memory_mib": 200.0,
                }
                metrics["eigenvalue"] = 0.1 * epoch if epoch % 2 == 0 else None
            self.journal.append("epoch", id=plan.id, epoch=epoch, metrics=metrics)

    def finish(self, plan: CellPlan, macro: Macro, **metrics: Any) -> None:
        found = {
            "genotype": macro.notation,
            "skip_share": 0.5,
            "parameter_free_share": 0.625,
            "proxy_accuracy": 0.71,
        }
        found |= {
            "discrete_accuracy": 0.41,
            "seconds": 75.0,
            "peak_memory_mib": 321.4,
            "true": None,
            "images": 600,
        }
        (self.folder / "genotypes").mkdir(exist_ok=True)
        text = json.dumps(macro.to_dict() | {"found": {"id": plan.id}})
        (self.folder / "genotypes" / f"{plan.id}.json").write_text(text)
        outcome = Outcome(score=0.71).to_dict()
        self.journal.append("finished", id=plan.id, outcome=outcome, metrics={**found, **metrics})


def whole(folder: Path) -> SyntheticCells:
    """Two methods with two seeds on S3, of which the last one failed, and one search on
    NAS-Bench-201 under way.
    """
    run = SyntheticCells(folder)
    for seed in (0, 1):
        for recipe in ("darts-1st", "amended-edges"):
            plan = run.propose(recipe, "amended-s3", seed)
            run.train(plan, 6, stages=2 if recipe == "amended-edges" else 1)
            if (recipe, seed) == ("amended-edges", 1):
                reason = f"the loss became not finite {EVIL}"
                run.journal.append(
                    "finished",
                    id=plan.id,
                    outcome=Outcome.failed("diverged", reason).to_dict(),
                    metrics={},
                )
            else:
                run.finish(plan, GENOTYPES["all-skip"])
    run.train(run.propose("gdas", "nasbench201", 0, epochs=50), 3)
    run.journal.append(
        "warning", id="000", message="the result may have collapsed: 100% of its operations"
    )
    return run
