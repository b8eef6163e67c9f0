"""What a rank study trains: the hyper-architecture, then a stratified sample of it, alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from fade_ray.compare.entry_job import priced, training_images
from fade_ray.data import Splits
from fade_ray.ranks.rank_config import RankStudyConfig, StudyConfig
from fade_ray.trials.job import Event
from searchers import Outcome, Trial
from searchers.grid import GridSearch
from searchers.staged import StagedSearch
from spaces import HyperArchitecture
from spaces.errors import require

ALONE = "alone"
"""In place of a setting: the architectures trained alone."""
RETRIES = 1


@dataclass(frozen=True)
class RankTrial(Trial):
    """One training of a study: of its hyper-architecture in a `setting`, or of an architecture of
    it alone. `study_seed` is the seed of the study that a setting was trained with, `repeat` the
    number of the training among those of one architecture.
    """

    setting: str = ALONE
    study_seed: int = 0
    repeat: int = 0


@dataclass(frozen=True)
class RankJob:
    """The `Job` of a rank study; architectures alone are trained as in the first setting."""

    config: RankStudyConfig

    def run(self, plan: Mapping[str, Any], data: Splits, folder: Path) -> Iterator[Event]:
        """Events of `run_trial`, the last one's outcome with its cost in training images."""
        trial, settings = RankTrial.from_dict(plan), self.config.study.settings
        config = self.config.config(settings[0] if trial.setting == ALONE else trial.setting)
        return priced(trial, data, config, folder, training_images)


def search(study: StudyConfig, hyper: HyperArchitecture) -> StagedSearch[RankTrial]:
    """Every setting with every seed, then the sample, each architecture `repeats` times."""
    epochs = study.rank_epochs

    def training(setting: str, seed: int) -> RankTrial:
        id, own = f"{setting}-{seed}", seed_of(seed, 1)
        return RankTrial(id, "ranks", hyper, own, epochs, setting=setting, study_seed=seed)

    first = [training(setting, seed) for seed in study.seeds for setting in study.settings]

    def alone(outcomes: Mapping[str, Outcome]) -> GridSearch[RankTrial] | None:
        leading = [outcomes[f"{study.settings[0]}-{seed}"].log_weights for seed in study.seeds]
        ranks = [log_weights for log_weights in leading if log_weights is not None]
        if study.table is not None or not ranks:
            return None
        sample = _alone(study, hyper, stratified(ranks, study.sample))
        return GridSearch(sample, _again, RETRIES)

    return StagedSearch([lambda _: GridSearch(first, _again, RETRIES), alone])


def stratified(ranks: Sequence[Sequence[Sequence[float]]], count: int) -> list[tuple[int, ...]]:
    """`count` choices [d] of candidates, one from each of as many equal strata of the predicted
    rank, worst first.

    ranks: log weights [repeats][d][w]; the predicted rank is that of the mean over the repeats of
    log psi, the sum of the log weights. Of a stratum its middle is taken, so that nothing is drawn.
    InvalidInput for more choices than there are.
    """
    mean = np.mean([[list(row) for row in log_weights] for log_weights in ranks], axis=0)  # [d, w]
    depth, width = mean.shape
    check_sample(width**depth, count)
    choices = list(product(range(width), repeat=depth))
    log_psi = mean[np.arange(depth), np.asarray(choices)].sum(axis=1)
    order = np.argsort(log_psi, kind="stable")
    return [choices[int(order[int((i + 0.5) * len(choices) / count)])] for i in range(count)]


def check_sample(architectures: int, count: int) -> None:
    """InvalidInput for a sample of more architectures than a hyper-architecture holds."""
    remedy = "Those are the architectures there are: lower --sample, or raise --graphs or --depth."
    require(count <= architectures, f"sample <= {architectures}", remedy, sample=count)


def _alone(
    study: StudyConfig, hyper: HyperArchitecture, choices: Sequence[tuple[int, ...]]
) -> list[RankTrial]:
    def training(repeat: int, number: int) -> RankTrial:
        id, seed = f"{ALONE}-{number:03d}-{repeat}", seed_of(number, repeat, 2)
        architecture = hyper.architecture(choices[number])
        return RankTrial(id, "evaluation", architecture, seed, study.alone_epochs, repeat=repeat)

    return [training(r, number) for r in range(study.repeats) for number in range(len(choices))]


def seed_of(*entropy: int) -> int:
    """A seed in [0, 2**31) made of those numbers."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)


def _again(before: RankTrial) -> RankTrial:
    """The same trial under another id and seed."""
    attempt = before.attempt + 1
    id = before.id.removesuffix(f"r{before.attempt}") + f"r{attempt}"
    return replace(before, id=id, seed=seed_of(before.seed, attempt), attempt=attempt)
