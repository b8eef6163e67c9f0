"""The outer search of FaDE 2.4: one anchor per row walks the feature space along the FaDE-ranks of
its surroundings.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from searchers.base import AskTell, Proposal, Told
from searchers.batch import Array, SpaceSearcher
from searchers.options import Searcher, TrialLengths
from searchers.paths import best_paths
from searchers.row_weights import among, firsts, merits, pooled
from searchers.stencils import GAMMA_RULES, HalfWidths, stencil
from searchers.steps import GRADIENTS, STEP_RULES, Surroundings, inside
from spaces.errors import at_least, require, require_known
from spaces.feature_space import FeatureSpace
from spaces.hyper import HyperArchitecture

# of each number of a hyper-architecture: log weights [d, w]
Ranks = dict[int, tuple[HyperArchitecture, Array]]


@dataclass(frozen=True)
class AnchorWalk(Searcher, name="anchor"):
    """Pseudo-gradient ascent on FaDE-ranks (FaDE 2.4, eq. 5) by one walk, or by an evolving
    population of walks.

    `gamma`, `step_size` (lambda) and `mutation` are in units of the box [0, 1]; the paper gives
    none of them. Not in the paper, and off by default: another `gradient`, `gamma_rule` and
    `step_rule` than the first of their tables, `momentum` and `wide`. InvalidInput for a count of
    zero, a gamma that lets both sides of the stencil share a box, and the like.
    """

    walks: int = 2
    """Anchor walks at once."""
    repeats: int = 1
    """Trainings of one hyper-architecture, their log ranks averaged."""
    gamma: float = 0.17
    """Half width of the stencil, in units of the scaled features; at least half a box."""
    gamma_rule: str = "fixed"
    """distinct: widen gamma, by row and axis, until both sides draw different graphs."""
    step_size: float = 1.0
    """lambda of eq. 5."""
    step_rule: str = "plain"
    """plain: eq. 5; normalised: every step is step_size * gamma long."""
    gradient: str = "difference"
    """difference: eq. 5; least-squares: slope over the features of the graphs drawn."""
    direction: Literal[1, -1] = 1
    """1 ascends the ranks; -1 is the printed sign of eq. 5."""
    momentum: float = 0.0
    """Share of an anchor's last step that is added to its next one (heavy ball)."""
    wide: bool = False
    """All walks in one wide hyper-architecture, so that their ranks are comparable and the worst
    anchors are replaced by ranks alone.
    """
    evaluate_every: int = 2
    """Iterations between evaluations of the anchors; the last one has some too."""
    evaluations: int = 1
    """Architectures that are generated from a walk's anchors and trained then."""
    elites: int = 0
    """Architectures of largest psi of each walk's hyper-architecture that are evaluated after each
    evaluation of the anchors.
    """
    finalists: int = 2
    """As `elites`, of each walk's last hyper-architecture, evaluated at the end."""
    evolve: bool = True
    """The walk evaluated worst restarts near the best one."""
    mutation: float = 0.1
    """Standard deviation of that restart, in units of the scaled features."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, walks=self.walks, repeats=self.repeats, evaluate_every=self.evaluate_every)
        at_least(0, evaluations=self.evaluations, elites=self.elites, finalists=self.finalists)
        for name, value in {"step_size": self.step_size, "mutation": self.mutation}.items():
            holds = math.isfinite(value) and value >= 0
            remedy = "Give a finite number of 0 or more."
            require(holds, f"0 <= {name} < inf", remedy, **{name: value})
        remedy = "Give the part of the last displacement to go on with."
        require(0 <= self.momentum < 1, "0 <= momentum < 1", remedy, momentum=self.momentum)
        remedy = "Use +1 to ascend the ranks, -1 for the printed sign of eq. 5."
        holds = self.direction in (1, -1)
        require(holds, "direction is +1 or -1", remedy, direction=self.direction)
        tables: dict[str, Collection[str]] = {
            "gamma_rule": GAMMA_RULES,
            "gradient": GRADIENTS,
            "step_rule": STEP_RULES,
        }
        for name, table in tables.items():
            require_known(f"`{name}`", getattr(self, name), table)
        stencil(np.zeros(1), self.gamma)

    def build(self, space: FeatureSpace, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        return AnchorSearch(self, space, depth, lengths, seed)


class AnchorSearch(SpaceSearcher[AnchorWalk]):
    """The search of `AnchorWalk`.

    Each iteration asks, for each walk, one hyper-architecture (depth x (2k+1)) generated afresh
    from the stencil of the walk's anchors [d][k], `repeats` times with different seeds, and moves
    each row's anchor by the ranks of that row: the rows are independent, and nothing older than the
    batch is used. A walk all of whose repeats failed stays where it is. Every `evaluate_every`-th
    iteration and the last one also ask `evaluations` architectures per walk generated from the
    anchors themselves (FaDE 3.2). With `evolve` and at least two walks, after such an iteration the
    walk with the lowest median score restarts at the anchors of the best one, displaced by a normal
    variate of standard deviation `mutation` on each axis. With `finalists` one more batch
    evaluates, per walk, that many architectures of largest psi of its last hyper-architecture; with
    `elites` the batch after each iteration with evaluations does so with as many of the latest.

    Where weights are carried, a hyper-architecture's network starts from those of the same walk's
    previous one (FaDE 2.4, "weight sharing"), of the same repeat or, where that one failed, of any
    that succeeded.

    `wide` puts the stencils of all walks side by side into the rows of one hyper-architecture, walk
    after walk: its weights compare the walks with each other. Each moves by the weights among its
    own candidates, so that `step_size` means the same, and `evolve` goes by the sum over rows of
    the log mean weight of a walk's candidates, without evaluations. A `wide` hyper-architecture and
    its elites and finalists have walk 0.
    """

    def begin(self) -> None:
        self.space.check_gamma(self.options.gamma)
        walks = range(self.options.walks)
        self._anchors = np.asarray([self.uniform_points() for _ in walks])  # [walk, d, k]
        self.velocities = np.zeros_like(self._anchors)  # the last displacements
        self._ranks: Ranks = {}  # of the last batch that had any
        self._offered = 0  # of their architectures of largest psi, for each hyper-architecture
        # the walks of each hyper-architecture
        self._groups = [tuple(walks)] if self.options.wide else [(walk,) for walk in walks]
        self._propose_iteration([self._heirs([])] * len(self._groups))

    @property
    def anchors(self) -> list[list[list[float]]]:
        anchors: list[list[list[float]]] = self._anchors.tolist()
        return anchors

    def _half_widths(self, anchor: Array) -> HalfWidths:
        return GAMMA_RULES[self.options.gamma_rule](self.space, anchor, self.options.gamma)

    def _stencil(self, anchor: Array) -> Array:
        return stencil(anchor, self._half_widths(anchor).widths)

    def _evaluated(self, iteration: int) -> bool:
        return iteration % self.options.evaluate_every == 0 or iteration == self.options.iterations

    def _propose_iteration(self, parents: list[list[str | None]]) -> None:
        """Iteration t = completed batches + 1: all hyper-architectures, then all evaluations of
        anchors.

        parents [hyper-architecture][repeat]: where their networks start from with `carry`.
        """
        for number, group in enumerate(self._groups):
            stencils = [[self._stencil(anchor) for anchor in self._anchors[w]] for w in group]
            points = np.concatenate(stencils, axis=1)  # [d, walks (2k+1), k]
            hyper = self.generate(points)
            for repeat, parent in enumerate(parents[number]):
                self.propose(
                    "ranks",
                    hyper,
                    self.lengths.rank_epochs,
                    walk=number,
                    repeat=repeat,
                    points=points,
                    parent=parent if self.lengths.carry_weights else None,
                )
        if self._evaluated(self.completed + 1):
            for walk, anchors in enumerate(self._anchors):
                for repeat in range(self.options.evaluations):
                    self.propose_at(anchors, walk=walk, repeat=repeat)

    def learn(self, told: Told) -> None:
        if self.completed > self.options.iterations:
            return  # the finalists are in: done
        ranks: Ranks = {}  # of each hyper-architecture with a successful repeat
        parents = []
        for number in range(len(self._groups)):
            trials = [(p, o) for p, o in told if p.ranks and p.walk == number]
            if trials:
                hyper = trials[0][0].hyper
                ranks[number] = hyper, pooled([o.log_weights or () for _, o in trials], hyper)
            parents.append(self._heirs([p for p, _ in trials]))
        for number, (hyper, log_weights) in ranks.items():
            self._move(self._groups[number], hyper, log_weights)
        if self.completed < self.options.iterations:
            if self.options.evolve:
                self._restart_worst(self._merits(ranks) if self.options.wide else medians(told))
            self._propose_iteration(parents)
            self._offer(ranks, self.options.elites if self._evaluated(self.completed) else 0)
        else:
            self._offer(ranks, max(self.options.elites, self.options.finalists))

    def _move(self, group: tuple[int, ...], hyper: HyperArchitecture, log_weights: Array) -> None:
        """Each anchor of the `group` of walks by its part of the log weights [d, w]."""
        options, w = self.options, hyper.width // len(group)
        gradient, step_rule = GRADIENTS[options.gradient], STEP_RULES[options.step_rule]
        for i, walk in enumerate(group):
            part = slice(i * w, (i + 1) * w)
            for row, anchor in enumerate(self._anchors[walk].copy()):
                cells = hyper.rows[row][part]
                own = among(cells, log_weights[row, part]) if options.wide else log_weights[row]
                widths = self._half_widths(anchor)
                seen = Surroundings(self.space, cells, own, widths, options.gamma)
                move = step_rule(gradient(seen), options.step_size, options.gamma)
                carried = options.momentum * self.velocities[walk, row]
                self._anchors[walk, row] = inside(anchor + carried + options.direction * move)
                # What was cut off at the border is no velocity: it would hold the anchor there.
                self.velocities[walk, row] = self._anchors[walk, row] - anchor

    def _heirs(self, trials: list[Proposal]) -> list[str | None]:
        """By repeat of the next iteration: the trial whose network weights it may start from."""
        succeeded = {trial.repeat: trial.id for trial in trials}
        spare = next(iter(succeeded.values()), None)
        return [succeeded.get(repeat, spare) for repeat in range(self.options.repeats)]

    def _merits(self, ranks: Ranks) -> dict[int, float]:
        """Of the walks of a wide hyper-architecture, every `evaluate_every`-th iteration."""
        if not ranks or not self._evaluated(self.completed):
            return {}
        (_, log_weights) = ranks[0]
        return dict(enumerate(merits(log_weights, self.options.walks).tolist()))

    def _restart_worst(self, merits: dict[int, float]) -> None:
        """The walk of lowest merit restarts near that of the highest, unless all are equal."""
        if len(set(merits.values())) < 2:
            return
        worst, best = min(merits, key=merits.__getitem__), max(merits, key=merits.__getitem__)
        shape = self._anchors[best].shape
        displaced = self._anchors[best] + self.rng.normal(0.0, self.options.mutation, shape)
        self._anchors[worst] = inside(displaced)
        self.velocities[worst] = 0.0

    def _offer(self, ranks: Ranks, count: int) -> None:
        """Propose the `count` architectures of largest psi by new ranks."""
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
            rows = zip(log_weights, hyper.rows, strict=True)
            distinct = [row[firsts(cells)].tolist() for row, cells in rows]
            paths = best_paths(distinct, self._offered)[first:]
            for repeat, (choice, _) in enumerate(paths, start=first):
                self.propose_architecture(hyper.architecture(choice), walk=number, repeat=repeat)


def medians(told: Told) -> dict[int, float]:
    """The median score of the architectures generated from a walk's anchors, where it has one.
    Elites have no points: they tell of the best of a hyper-architecture, not of where it stands.
    """
    scores: dict[int, list[float]] = {}
    for proposal, outcome in told:
        if proposal.scored and proposal.points and outcome.score is not None:
            scores.setdefault(proposal.walk, []).append(outcome.score)
    return {walk: float(np.median(values)) for walk, values in scores.items()}
