"""Whether a step fits into memory, before any time is spent."""

import torch

from fade_ray.data import AnyBatches
from fade_ray.training.failures import out_of_memory
from fade_ray.training.loop import Training
from fade_ray.training.objectives import Batch
from spaces.errors import InvalidInput


def step_memory(training: Training) -> float:
    """Run one step of `training` without taking it; returns the peak of memory in MiB (see
    `Placement.peak_memory`).

    Weights, logits and generators are as before afterwards. Raises InvalidInput, naming the largest
    half, quarter, ... of the batch that fits, where the whole one does not.
    """
    size = training.batches.batch_size
    if _fits(training, size):
        return training.placement.peak_memory()
    fitting = size // 2
    while fitting and not _fits(training, fitting):
        fitting //= 2
    remedy = (
        f"{fitting} fit: use --batch-size {fitting}"
        if fitting
        else "not even one fits: use fewer channels or cells"
    )
    raise InvalidInput(
        f"A step must fit into memory, but one of batch_size={size} does not; {remedy}."
    )


def _fits(training: Training, size: int) -> bool:
    generators = [*training.problem.generators]
    states = [generator.get_state() for generator in generators]
    training.network.train()
    try:
        _step(training, size)
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not out_of_memory(error):
            raise
        return False
    finally:
        for weight in training.problem.weights:
            weight.grad = None
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        if training.placement.device.type == "cuda":
            torch.cuda.empty_cache()
    return True


def _step(training: Training, size: int) -> None:
    def first(batches: AnyBatches) -> Batch:
        return next(batches.ordered(size))

    problem, architecture, train = training.problem, training.architecture, first(training.batches)
    if architecture is not None:
        held_out = None if architecture.batches is None else first(architecture.batches)
        if architecture.estimate(problem, train, held_out, training.unroll).weights is not None:
            return
    training.weight_gradients(train)
