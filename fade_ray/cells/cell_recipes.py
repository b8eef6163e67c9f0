"""The cell searches as compositions of parts. A new one is a new line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fade_ray.cells import cell_settings
from fade_ray.cells.cell_settings import PUBLISHED, SMALL, Setting
from fade_ray.training.edge_architecture import CellArchitectureConfig
from spaces.errors import require, require_known


@dataclass(frozen=True)
class Stage:
    """One training of a search network, from fresh weights and logits, and what makes the next
    space of its own.

    `edges`: weights of the edges. `cells`, `channels`, `epochs`: None for those of the run; where
    the run says a number of cells too, later stages keep their proportion to the first.
    `skip_dropout`: of skip-connects, at its start (P-DARTS). `measures`: at its end the groups of
    operations are measured.
    """

    discretise: str
    edges: str = "none"
    cells: int | None = None
    channels: int | None = None
    epochs: int | None = None
    skip_dropout: float = 0.0
    measures: bool = False


Record = tuple[float | None, str]
"""After an epoch of a search: the eigenvalue, where it was estimated, and the genotype as text."""


@dataclass(frozen=True)
class EarlyStop:
    """Ends a search when the dominant eigenvalue of the Hessian grows too fast, and takes the
    genotype of before (DARTS-ES: Zela et al. 2020, section 4.2; its values).
    """

    window: int = 5
    """Records that are averaged, and that lie between the two averages."""
    ratio: float = 0.75
    """Of the earlier average to the present one; below, the search ends."""

    def due(self, eigenvalues: Sequence[float]) -> bool:
        """Whether the search ends, with the genotype of `window` records ago."""
        k = self.window
        now, before = sum(eigenvalues[-k:]), sum(eigenvalues[-2 * k : -k])
        return len(eigenvalues) >= 2 * k and before < self.ratio * now

    def chosen(self, records: Sequence[Record]) -> str | None:
        """The genotype that a search with these `records` ends with; None where it goes on."""
        known = [(value, genotype) for value, genotype in records if value is not None]
        return known[-1 - self.window][1] if self.due([value for value, _ in known]) else None


@dataclass(frozen=True)
class Unchanged:
    """Ends a search whose genotype is the same after so many epochs in a row (Amended-DARTS on PTB:
    "does not change for sufficiently long"; algorithms D.6).
    """

    epochs: int

    def chosen(self, records: Sequence[Record]) -> str | None:
        """See `EarlyStop`."""
        last = [genotype for _, genotype in records[-self.epochs :]]
        return last[-1] if len(last) == self.epochs and len(set(last)) == 1 else None


@dataclass(frozen=True)
class Recipe:
    """A cell search: how the logits are trained, in which stages, on which share of the channels.

    `lower_rate_above`: when more than this share of the result is free of parameters, the search is
    run again with the weight learning rate divided by five, twice at most (single-level; algorithms
    E.4). `trains` False: the start decides (random search). `grouped`: it begins with one operation
    of each group. `settings`: "published", and others that stand in its place on the space of their
    name, or are asked for by it; `always`: options that belong to the method in any setting.
    `stops`: when it ends before its last epoch.
    """

    summary: str
    architecture: CellArchitectureConfig
    stages: tuple[Stage, ...]
    partial: int = 1
    lower_rate_above: float | None = None
    trains: bool = True
    grouped: bool = False
    settings: Mapping[str, Setting] = field(default_factory=dict)
    always: Setting = field(default_factory=dict)
    stops: EarlyStop | None = None

    def __post_init__(self) -> None:
        rule, remedy = "one stage where it may end early", "Leave `stops` out."
        early = self.stops is not None
        require(not early or len(self.stages) == 1, rule, remedy, stages=len(self.stages))

    def setting(self, name: str, space: str) -> Setting:
        """The options of a setting on a space. InvalidInput for one that the recipe has not."""
        if name == SMALL:
            return self.always
        require_known(f"A setting of {self.summary!r}", name, (SMALL, *self.settings))
        own = name == PUBLISHED and space in self.settings
        return {**self.always, **self.settings[space if own else name]}


_DARTS = CellArchitectureConfig(relaxation="softmax", update="first-order")
_SIGMOID = CellArchitectureConfig(relaxation="sigmoid", update="joint", weight_decay=0.0)
_AMENDED = CellArchitectureConfig(relaxation="softmax", update="amended", eta=0.1)
_SECOND_ORDER = replace(_DARTS, update="second-order")
_PRUNE = (Stage("top-edges"),)
_GROUPS = Stage("activate-groups", cells=14)

RECIPES: dict[str, Recipe] = {
    "darts-1st": Recipe("DARTS, first order", _DARTS, _PRUNE, settings=cell_settings.DARTS),
    "darts-2nd": Recipe("DARTS, second order", _SECOND_ORDER, _PRUNE, settings=cell_settings.DARTS),
    "single-level": Recipe(
        "single-level DARTS: joint, sigmoid",
        _SIGMOID,
        _PRUNE,
        lower_rate_above=0.3,
        settings=cell_settings.SINGLE_LEVEL,
    ),
    "single-level-softmax": Recipe(
        "joint, softmax",
        replace(_DARTS, update="joint"),
        _PRUNE,
        settings=cell_settings.SINGLE_LEVEL,
    ),
    # the control of its Table 1, row 2: the logits learn from the images of the weights, but from
    # another batch of them
    "single-level-other-batch": Recipe(
        "bilevel, softmax, same images, another batch",
        replace(_DARTS, same_images=True),
        _PRUNE,
        settings=cell_settings.OTHER_BATCH,
    ),
    "darts-1st-sigmoid": Recipe(
        "bilevel, sigmoid",
        replace(_SIGMOID, update="first-order"),
        _PRUNE,
        settings=cell_settings.SINGLE_LEVEL,
    ),
    "amended": Recipe(
        "Amended-DARTS, edges pruned", _AMENDED, _PRUNE, settings=cell_settings.AMENDED
    ),
    "amended-edges": Recipe(
        "Amended-DARTS, edges searched in pairs, then operations",
        _AMENDED,
        (Stage("best-edge-pairs", edges="pairs"), Stage("best-op")),
        settings=cell_settings.AMENDED,
    ),
    "amended-fixed": Recipe(
        "Amended-DARTS on fixed edges",
        _AMENDED,
        (Stage("best-op"),),
        settings=cell_settings.AMENDED,
    ),
    # GDAS: tau from 10 to 0.1, linearly
    "gdas": Recipe(
        "GDAS: first order, one sampled operation per edge",
        replace(
            _DARTS, relaxation="gumbel-softmax-sampled", temperature=10.0, final_temperature=0.1
        ),
        _PRUNE,
        settings=cell_settings.GDAS,
    ),
    # PC-DARTS: a quarter of the channels, softmax over the edges of a node, logits still for 15 of
    # 50 epochs, alpha learning rate 6e-4
    "pc-darts": Recipe(
        "PC-DARTS: first order on a quarter of the channels, with edge normalisation",
        replace(_DARTS, learning_rate=6e-4, warm_up=0.3),
        (Stage("top-edges", edges="softmax"),),
        partial=4,
        settings=cell_settings.PC_DARTS,
    ),
    # P-DARTS (Chen et al. 2019; its paper and code, from memory): deeper and with fewer operations
    # in each of three stages, logits still for 10 of 25 epochs, dropout behind skip-connects, at
    # most two of them in the normal cell
    "p-darts": Recipe(
        "P-DARTS: first order, deeper networks of fewer operations",
        replace(_DARTS, learning_rate=6e-4, warm_up=0.4),
        (
            Stage("best-5-ops", cells=5),
            Stage("best-3-ops", cells=11, skip_dropout=0.4),
            Stage("top-edges-two-skips", cells=17, skip_dropout=0.7),
        ),
        settings=cell_settings.P_DARTS,
    ),
    # RobustDARTS (Zela et al. 2020, from memory): early stop alone; and stronger regularisation of
    # the weights, of which the paper tries four values each and takes the best after retraining
    "darts-es": Recipe(
        "DARTS, second order, stopped by the eigenvalue",
        _SECOND_ORDER,
        _PRUNE,
        settings=cell_settings.DARTS,
        always={"eigenvalue_every": 1},
        stops=EarlyStop(),
    ),
    "r-darts-l2": Recipe(
        "R-DARTS: second order, weight decay 27e-4",
        _SECOND_ORDER,
        _PRUNE,
        settings=cell_settings.DARTS,
        always={"weight_decay": 27e-4},
    ),
    "r-darts-dp": Recipe(
        "R-DARTS: second order, drop path to 0.6, cutout 16",
        _SECOND_ORDER,
        _PRUNE,
        settings=cell_settings.DARTS,
        always={"drop_path": 0.6, "cutout": 16},
    ),
    # StacNAS (2020): which group, then which of its members, each in a network whose depth makes it
    # as hard to train as the final one (algorithms C.4)
    "stacnas": Recipe(
        "StacNAS: joint, groups of operations, then their members",
        replace(_DARTS, update="joint"),
        (_GROUPS, Stage("top-edges", cells=20)),
        grouped=True,
        settings=cell_settings.STACNAS,
    ),
    # its first version: then the scale of each operation against none, in the final network
    "stacnas-2019": Recipe(
        "StacNAS of 2019: the same, then the scale of every operation",
        replace(_DARTS, update="joint"),
        (_GROUPS, Stage("top-edges-or-none", cells=20), Stage("drop-edges", cells=20)),
        grouped=True,
        settings=cell_settings.STACNAS_2019,
    ),
    # independent logits: every pair of edges and every operation is equally likely
    "random": Recipe(
        "a genotype drawn uniformly",
        replace(_DARTS, logit_std=1.0),
        _PRUNE,
        trains=False,
        settings={PUBLISHED: {}, "imagenet": {}},
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises InvalidInput with the nearest one."""
    require_known("A recipe", name, RECIPES)
    return RECIPES[name]
