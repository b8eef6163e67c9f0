"""What an exported module says of its scores, by what was asked of each image."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskWords:
    """`what`: the network. `scores`: what it gives, of `{n}` outputs and images of `{side}`.
    `constant`: the names of the outputs. `use`: what is made of `scores`, a line of Python.
    """

    what: str
    scores: str
    constant: str
    use: str


TASK_WORDS: dict[str, TaskWords] = {
    "class": TaskWords(
        "An image classifier",
        "Class scores [batch, {n}]",
        "CLASSES",
        "names = [CLASSES[k] for k in scores.argmax(1)]",
    ),
    "labels": TaskWords(
        "A classifier of images by several labels",
        "Label scores [batch, {n}], above 0 for what is said,",
        "LABELS",
        "names = [[LABELS[k] for k in said.nonzero()[:, 0]] for said in scores > 0]",
    ),
    "numbers": TaskWords(
        "A regression on images",
        "Numbers [batch, {n}]",
        "NUMBERS",
        "numbers = dict(zip(NUMBERS, scores.T))",
    ),
    "map": TaskWords(
        "A segmentation of images",
        "Class scores [batch, {n}, {side}, {side}] of each pixel",
        "CLASSES",
        "maps = scores.argmax(1)  # of each pixel the number in CLASSES",
    ),
}
"""By the names of `fade_ray.data.targets.TARGETS`."""
