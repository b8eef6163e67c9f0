"""What a run of cell searches has found, trained from scratch: which trials, and each of them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from fade_ray.cells.cells_config import CellsConfig
from fade_ray.records.remote import fetched
from fade_ray.retraining import Retraining
from fade_ray.retraining.genotype_trial import GenotypeTrial
from fade_ray.retraining.retraining import build_network, examples_of
from fade_ray.retraining.text_trial import TextTrial
from fade_ray.run.run_of_trials import check_run
from fade_ray.training import place
from searchers.outcome import Outcome
from spaces.cell import Macro
from spaces.errors import require
from spaces.genotype import load_cells


@dataclass(frozen=True)
class RetrainPlan:
    """One training of the genotype that the search `of` has found, in a `setting` with a seed."""

    sort: ClassVar[str] = "retraining"
    kind: ClassVar[str] = "retraining"
    id: str
    of: str
    space: str
    genotype: str
    setting: str
    seed: int
    epochs: int
    attempt: int = 0

    @property
    def alike(self) -> str:
        """Trainings in one setting take equally long."""
        return trained_in(self.setting)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"sort": self.sort, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RetrainPlan":
        return cls(**{name: value for name, value in data.items() if name != "sort"})


def trained_in(setting: str) -> str:
    """What trainings in a setting are called where times are foreseen."""
    return f"retraining {setting}"


def first_to_find(config: CellsConfig, outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """The id of each search with a genotype -> that of the first with the same one on its space:
    equal genotypes are trained but once.
    """
    first: dict[tuple[str, str], str] = {}
    found = {plan.id: (plan.space, outcomes[plan.id].found) for plan in config.plans()}
    return {
        id: first.setdefault((space, genotype), id)
        for id, (space, genotype) in found.items()
        if genotype is not None
    }


def retrainings(config: CellsConfig, outcomes: Mapping[str, Outcome]) -> list[RetrainPlan]:
    """Of everything that the searches found, by their `outcomes`; seeds outermost."""
    searches = {plan.id: plan for plan in config.plans()}
    trained = dict.fromkeys(first_to_find(config, outcomes).values())
    return [
        RetrainPlan(
            f"{id}-{name}-{seed}",
            id,
            searches[id].space,
            str(outcomes[id].found),
            name,
            seed,
            setting.epochs,
        )
        for seed in range(config.retraining.retrain_seeds)
        for id in trained
        for name, setting in config.settings(searches[id].space).items()
    ]


def check_settings(config: CellsConfig, space: str, splits: Any) -> None:
    """Build what a genotype of that space would be trained as, in every setting. Raises
    InvalidInput for what cannot be.
    """
    genotype = config.setup(config.grid.recipes[0], space).unlearned[-1]
    for setting in config.settings(space).values():
        check_run(config.run, setting.train.precision)
        job = Retraining.of(genotype, setting.of_cells(genotype))
        build_network(job, examples_of(splits, setting))


def begin_retraining(
    plan: RetrainPlan, splits: Any, config: CellsConfig, folder: Path
) -> GenotypeTrial:
    """On the data of the searches; the test part is looked at for the first time."""
    path = folder / "genotypes" / f"{plan.of}.json"
    macro = load_cells(fetched(path))
    require(
        macro.notation == plan.genotype,
        "a genotype stays as it was found",
        f"Restore {path}: it is {macro.notation} now.",
        found=plan.genotype,
    )
    return trial_of(macro, plan, splits, config)


TRIALS: dict[str, Callable[..., GenotypeTrial]] = {"images": GenotypeTrial, "text": TextTrial}
"""By the task of the objective."""


def trial_of(macro: Macro, plan: RetrainPlan, splits: Any, config: CellsConfig) -> GenotypeTrial:
    """A training of `macro` with setting and seed of `plan`."""
    setting = replace(config.settings(plan.space)[plan.setting], seed=plan.seed).of_cells(macro)
    placement = place(config.run.device, setting.train.precision)
    trial = TRIALS[setting.train.objective.task]
    return trial(Retraining.of(macro, setting), examples_of(splits, setting), placement)
