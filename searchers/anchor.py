"""The outer search of FaDE 2.4: one anchor per row walks the feature space along the FaDE-ranks of
its surroundings.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from searchers.base import Proposal, State, Told, at_least
from searchers.batch import BatchSearcher, as_points, generate
from searchers.paths import best_paths
from searchers.row_weights import among, firsts, merits, pooled
from searchers.stencils import GAMMA_RULES, HalfWidths, stencil
from searchers.steps import GRADIENTS, STEP_RULES, Surroundings, inside
from spaces.errors import require
from spaces.feature_space import FeatureSpace
from spaces.hyper import HyperArchitecture

Array = NDArray[np.float64]
# of each number of a hyper-architecture: log weights [d, w]
Ranks = dict[int, tuple[HyperArchitecture, Array]]


@dataclass(eq=False)
class AnchorSearch(BatchSearcher):
    """Pseudo-gradient ascent on FaDE-ranks (FaDE 2.4, eq. 5) by one walk, or by an evolving
    population of walks.

    Each iteration asks, for each of `walks`, one hyper-architecture (depth x (2k+1)) generated
    afresh from the stencil of the walk's anchors [d][k], `repeats` times with different seeds, and
    moves each row's anchor by the ranks of that row: the rows are independent, and nothing older
    than the batch is used. A walk all of whose repeats failed stays where it is. Every
    `evaluate_every`-th iteration and the last one also ask `evaluations` architectures per walk
    generated from the anchors themselves (FaDE 3.2). With `evolve` and at least two walks, after
    such an iteration the walk with the lowest median accuracy restarts at the anchors of the best
    one, displaced by a normal variate of standard deviation `mutation` on each axis. With
    `finalists` > 0 one more batch evaluates, per walk, that many architectures of largest psi of
    its last hyper-architecture; with `elites` > 0 the batch after each iteration with evaluations
    does so with as many of the walk's latest.

    `gamma` and `step_size` (lambda) are in units of the box [0, 1]; the paper gives neither.
    `rank_epochs` and `evaluation_epochs`: training epochs per trial, the defaults from FaDE 3.2.
    `carry`: a hyper-architecture's network starts from the weights of the same walk's previous one
    (FaDE 2.4, "weight sharing"), of the same repeat or, where that one failed, of any that
    succeeded.

    Not in the paper, and off by default: another `gradient`, `gamma_rule` and `step_rule` than the
    first of their tables; `momentum` (heavy ball), the part of an anchor's last displacement that
    is added to its next; `wide`, which puts the stencils of all walks side by side into the rows of
    one hyper-architecture, walk after walk: its weights compare the walks with each other. Each
    moves by the weights among its own candidates, so that `step_size` means the same, and `evolve`
    goes by the sum over rows of the log mean weight of a walk's candidates, without evaluations. A
    `wide` hyper-architecture and its elites and finalists have walk 0.

    InvalidInput for a depth, window, or count of zero, a gamma that lets both sides of the stencil
    share a box, and the like.
    """

    space: FeatureSpace = field(repr=False)
    depth: int
    iterations: int
    walks: int = 1
    repeats: int = 1
    gamma: float = 0.17
    gamma_rule: str = "fixed"
    gradient: str = "difference"
    step_size: float = 1.0
    step_rule: str = "plain"
    direction: int = 1
    momentum: float = 0.0
    wide: bool = False
    evaluate_every: int = 5
    evaluations: int = 1
    elites: int = 0
    finalists: int = 0
    evolve: bool = True
    mutation: float = 0.1
    rank_epochs: int = 5
    evaluation_epochs: int = 30
    carry: bool = False
    seed: int = 0
    max_retries: int = 2

    def __post_init__(self) -> None:
        self._check()
        self._setup()
        starts = [
            [self.space.uniform_point(self._rng) for _ in range(self.depth)]
            for _ in range(self.walks)
        ]
        self._anchors: Array = np.asarray(starts, dtype=np.float64)  # [walk, d, k]
        self._velocities = np.zeros_like(self._anchors)  # the last displacements
        self._ranks: Ranks = {}  # of the last batch that had any
        self._offered = 0  # of their architectures of largest psi, for each hyper-architecture
        walks = tuple(range(self.walks))
        # the walks of each hyper-architecture
        self._groups = [walks] if self.wide else [(walk,) for walk in walks]
        self._propose_iteration([self._heirs([])] * len(self._groups))

    def _check(self) -> None:
        at_least(
            1, depth=self.depth, iterations=self.iterations, walks=self.walks, repeats=self.repeats
        )
        at_least(1, evaluate_every=self.evaluate_every)
        at_least(1, rank_epochs=self.rank_epochs, evaluation_epochs=self.evaluation_epochs)
        at_least(0, evaluations=self.evaluations, elites=self.elites, finalists=self.finalists)
        for name, value in {"step_size": self.step_size, "mutation": self.mutation}.items():
            holds = math.isfinite(value) and value >= 0
            require(
                holds, f"0 <= {name} < inf", "Give a finite number of 0 or more.", **{name: value}
            )
        remedy = "Give the part of the last displacement to go on with."
        require(0 <= self.momentum < 1, "0 <= momentum < 1", remedy, momentum=self.momentum)
        remedy = "Use +1 to ascend the ranks, -1 for the printed sign of eq. 5."
        require(
            self.direction in (1, -1), "direction is +1 or -1", remedy, direction=self.direction
        )
        tables: dict[str, Collection[str]] = {
            "gamma_rule": GAMMA_RULES,
            "gradient": GRADIENTS,
            "step_rule": STEP_RULES,
        }
        for name, table in tables.items():
            value = getattr(self, name)
            require(
                value in table,
                f"{name} is one of {list(table)}",
                "Choose one of them.",
                **{name: value},
            )
        stencil(np.zeros(1), self.gamma)
        self.space.check_gamma(self.gamma)

    @property
    def anchors(self) -> list[list[list[float]]]:
        return [[[float(x) for x in point] for point in rows] for rows in self._anchors]

    def _half_widths(self, anchor: Array) -> HalfWidths:
        return GAMMA_RULES[self.gamma_rule](self.space, anchor, self.gamma)

    def _evaluated(self, iteration: int) -> bool:
        return iteration % self.evaluate_every == 0 or iteration == self.iterations

    def _propose_iteration(self, parents: list[list[str | None]]) -> None:
        """Iteration t = completed batches + 1: all hyper-architectures, then all evaluations of
        anchors.

        parents [hyper-architecture][repeat]: where their networks start from with `carry`.
        """
        for number, group in enumerate(self._groups):
            walks = [
                np.asarray(
                    [
                        stencil(anchor, self._half_widths(anchor).widths)
                        for anchor in self._anchors[walk]
                    ]
                )
                for walk in group
            ]
            points = np.concatenate(walks, axis=1)  # [d, walks (2k+1), k]
            hyper = generate(self.space, points, self._rng)
            for repeat, parent in enumerate(parents[number]):
                source = parent if self.carry else None
                self._propose(
                    "ranks", hyper, self.rank_epochs, number, repeat, as_points(points), source
                )
        if self._evaluated(self._completed + 1):
            for walk, anchors in enumerate(self._anchors):
                points = anchors[:, None, :]  # [d, 1, k]
                for repeat in range(self.evaluations):
                    hyper = generate(self.space, points, self._rng)
                    self._propose(
                        "evaluation", hyper, self.evaluation_epochs, walk, repeat, as_points(points)
                    )

    def _update(self, told: Told) -> None:
        if self._completed > self.iterations:
            return  # the finalists are in: done
        ranks: Ranks = {}  # of each hyper-architecture with a successful repeat
        parents = []
        for number in range(len(self._groups)):
            trials = [
                (p, o.log_weights)
                for p, o in told
                if p.kind == "ranks" and p.walk == number and o.log_weights
            ]
            if trials:
                hyper = trials[0][0].hyper
                ranks[number] = hyper, pooled([log_weights for _, log_weights in trials], hyper)
            parents.append(self._heirs([p for p, _ in trials]))
        for number, (hyper, log_weights) in ranks.items():
            self._move(self._groups[number], hyper, log_weights)
        if self._completed < self.iterations:
            if self.evolve:
                self._restart_worst(self._merits(ranks) if self.wide else medians(told))
            self._propose_iteration(parents)
            self._offer(ranks, self.elites if self._evaluated(self._completed) else 0)
        else:
            self._offer(ranks, max(self.elites, self.finalists))

    def _move(self, group: tuple[int, ...], hyper: HyperArchitecture, log_weights: Array) -> None:
        """Each anchor of the walks of a hyper-architecture by its part of the log weights [d, w]."""
        w = hyper.width // len(group)
        for i, walk in enumerate(group):
            part = slice(i * w, (i + 1) * w)
            for row, anchor in enumerate(self._anchors[walk].copy()):
                cells = hyper.rows[row][part]
                own = among(cells, log_weights[row, part]) if self.wide else log_weights[row]
                seen = Surroundings(self.space, cells, own, self._half_widths(anchor), self.gamma)
                move = STEP_RULES[self.step_rule](
                    GRADIENTS[self.gradient](seen), self.step_size, self.gamma
                )
                carried = self.momentum * self._velocities[walk, row]
                self._anchors[walk, row] = inside(anchor + carried + self.direction * move)
                # What was cut off at the border is no velocity: it would hold the anchor there.
                self._velocities[walk, row] = self._anchors[walk, row] - anchor

    def _heirs(self, trials: list[Proposal]) -> list[str | None]:
        """For each repeat of the next iteration the id of the trial whose network weights it may
        start from.
        """
        succeeded = {trial.repeat: trial.id for trial in trials}
        spare = next(iter(succeeded.values()), None)
        return [succeeded.get(repeat, spare) for repeat in range(self.repeats)]

    def _merits(self, ranks: Ranks) -> dict[int, float]:
        """Of the walks of a wide hyper-architecture by its ranks, every `evaluate_every`-th
        iteration.
        """
        if not ranks or not self._evaluated(self._completed):
            return {}
        (_, log_weights) = ranks[0]
        return dict(enumerate(merits(log_weights, self.walks).tolist()))

    def _restart_worst(self, merits: dict[int, float]) -> None:
        """The walk of lowest merit restarts near that of the highest, unless all are equal."""
        if len(set(merits.values())) < 2:
            return
        worst, best = min(merits, key=merits.__getitem__), max(merits, key=merits.__getitem__)
        displaced = self._anchors[best] + self._rng.normal(
            0.0, self.mutation, self._anchors[best].shape
        )
        self._anchors[worst] = inside(displaced)
        self._velocities[worst] = 0.0

    def _offer(self, ranks: Ranks, count: int) -> None:
        """Propose the `count` architectures of largest psi of each hyper-architecture of new ranks."""
        self._ranks, self._offered = ranks, 0
        self._propose_best(count)

    def spare(self) -> None:
        """The next architecture by psi of each hyper-architecture of the last ranks."""
        self._propose_best(1)

    def _propose_best(self, count: int) -> None:
        """The next `count` architectures by psi of each hyper-architecture that has ranks."""
        first, self._offered = self._offered, self._offered + count
        for number, (hyper, log_weights) in self._ranks.items():
            # One weight per distinct candidate: a duplicate would give the same architecture twice.
            rows = [
                row[firsts(cells)].tolist()
                for row, cells in zip(log_weights, hyper.rows, strict=True)
            ]
            for repeat, (choice, _) in enumerate(
                best_paths(rows, self._offered)[first:], start=first
            ):
                self._propose(
                    "evaluation", hyper.architecture(choice), self.evaluation_epochs, number, repeat
                )

    def _own_state(self) -> State:
        ranks = [
            [number, hyper.code(), weights.tolist()]
            for number, (hyper, weights) in self._ranks.items()
        ]
        return {
            "anchors": self.anchors,
            "velocities": self._velocities.tolist(),
            "ranks": ranks,
            "offered": self._offered,
        }

    def _load_own_state(self, state: State) -> None:
        self._anchors = np.asarray(state["anchors"], dtype=np.float64)
        self._velocities = np.asarray(state["velocities"], dtype=np.float64)
        self._ranks = {
            number: (HyperArchitecture.from_code(code), np.asarray(weights, dtype=np.float64))
            for number, code, weights in state["ranks"]
        }
        self._offered = state["offered"]


def medians(told: Told) -> dict[int, float]:
    """The median accuracy of the architectures generated from a walk's anchors, of the walks that
    have one.

    Elites have no points: they tell of the best of a hyper-architecture, not of where the walk
    stands.
    """
    accuracies: dict[int, list[float]] = {}
    for proposal, outcome in told:
        if proposal.kind == "evaluation" and proposal.points and outcome.score is not None:
            accuracies.setdefault(proposal.walk, []).append(outcome.score)
    return {walk: float(np.median(values)) for walk, values in accuracies.items()}
