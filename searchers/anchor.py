"""The outer search of FaDE 2.4: one anchor per row walks the feature space along the FaDE-ranks of
its surroundings.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np

from searchers.base import AskTell, Proposal, Told
from searchers.batch import Array, SpaceSearcher
from searchers.options import Searcher, TrialLengths
from searchers.paths import best_paths, paths_within
from searchers.row_weights import among, firsts, merits, pooled
from searchers.stencils import GAMMA_RULES, HalfWidths, stencil
from searchers.steps import GRADIENTS, STEP_RULES, Surroundings, inside
from spaces.errors import at_least, require, require_known
from spaces.feature_space import Space
from spaces.hyper import HyperArchitecture


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

    def build(self, space: Space, depth: int, lengths: TrialLengths, seed: int) -> AskTell:
        return AnchorSearch(self, space, depth, lengths, seed)


@dataclass
class _Group:
    """The walks of one hyper-architecture, and where they are."""

    number: int
    walks: tuple[int, ...]
    parents: list[str | None]  # by repeat: where the next networks start from with `carry_weights`
    iteration: int = 1  # under way or, where `ready`, the next one
    ready: bool = True  # what it asked is in
    over: bool = False
    ranks: tuple[HyperArchitecture, Array] | None = None  # the last ones: log weights [d, w]
    offered: int = 0  # of its architectures of largest psi
    # the anchors each iteration began with: [iteration][walk of the group][d][k]
    trail: list[list[list[list[float]]]] = field(default_factory=list)


class AnchorSearch(SpaceSearcher[AnchorWalk]):
    """The search of `AnchorWalk`.

    Each iteration of a walk asks one hyper-architecture (depth x (2k+1)) generated afresh from the
    stencil of its anchors [d][k], `repeats` times with different seeds, and moves each row's anchor
    by the ranks of that row: the rows are independent, and nothing older than the iteration is
    used. A walk all of whose repeats failed stays where it is. Every `evaluate_every`-th iteration
    and the last one also ask `evaluations` architectures generated from the anchors themselves
    (FaDE 3.2). With `finalists` one more iteration evaluates that many architectures of largest psi
    of the last hyper-architecture; with `elites` the one after each iteration with evaluations does
    so with as many of the latest. A walk goes on when its own trials are in; nothing else waits.

    With `evolve` and at least two walks, when all of them have done such an iteration the one with
    the lowest median score in it restarts at the anchors of the best one, displaced by a normal
    variate of standard deviation `mutation` on each axis. Where it has gone on in the meantime, it
    restarts when what it runs is in, near where the best one is by then.

    Where weights are carried, a hyper-architecture's network starts from those of the same walk's
    previous one (FaDE 2.4, "weight sharing"), of the same repeat or, where that one failed, of any
    that succeeded.

    `wide` puts the stencils of all walks side by side into the rows of one hyper-architecture, walk
    after walk: its weights compare the walks with each other. Each moves by the weights among its
    own candidates, so that `step_size` means the same, and `evolve` goes by the sum over rows of
    the log mean weight of a walk's candidates, without evaluations. All walks go on together; a
    `wide` hyper-architecture and its elites and finalists have walk 0.
    """

    def begin(self) -> None:
        self.space.check_gamma(self.options.gamma)
        walks = range(self.options.walks)
        self._anchors = np.asarray([self.uniform_points() for _ in walks])  # [walk, d, k]
        self.velocities = np.zeros_like(self._anchors)  # the last displacements
        # the walks of each hyper-architecture
        groups = [tuple(walks)] if self.options.wide else [(walk,) for walk in walks]
        heirs = self._heirs([])
        self._groups = [_Group(number, walks, heirs) for number, walks in enumerate(groups)]
        # by iteration: of each group that has done it, merit by walk
        self._merits: dict[int, list[dict[int, float]]] = {}
        self._restarts: dict[int, int] = {}  # walk that will restart -> near which one
        self.ahead()

    @property
    def iteration(self) -> int:
        last = max(group.iteration for group in self._groups)
        return min((group.iteration for group in self._groups if not group.over), default=last)

    @property
    def anchors(self) -> list[list[list[float]]]:
        began = self.iteration - 1
        anchors: list[list[list[float]]] = self._anchors.tolist()
        for group in self._groups if not self.done else ():
            if began < len(group.trail):
                for walk, anchor in zip(group.walks, group.trail[began], strict=True):
                    anchors[walk] = anchor
        return anchors

    def batch_of(self, proposal: Proposal) -> tuple[int, int]:
        return proposal.iteration, self._group_of(proposal.walk).number

    def _group_of(self, walk: int) -> _Group:
        return self._groups[0 if self.options.wide else walk]

    def _half_widths(self, row: int, anchor: Array) -> HalfWidths:
        options = self.options
        return GAMMA_RULES[options.gamma_rule](self.space.at(row), anchor, options.gamma)

    def _stencils(self, walk: int) -> list[Array]:
        """Of each row [2k+1, k]."""
        rows = enumerate(self._anchors[walk])
        return [stencil(anchor, self._half_widths(row, anchor).widths) for row, anchor in rows]

    def _evaluated(self, iteration: int) -> bool:
        return iteration % self.options.evaluate_every == 0 or iteration == self.options.iterations

    def ahead(self) -> None:
        """The next iteration of all walks that are ready: all hyper-architectures, then all
        evaluations of anchors, then all elites or finalists.
        """
        ready = [group for group in self._groups if group.ready]
        walking = [group for group in ready if group.iteration <= self.options.iterations]
        for group in walking:
            self._propose_ranks(group)
        for group in walking:
            for walk in group.walks if self._evaluated(group.iteration) else ():
                for repeat in range(self.options.evaluations):
                    about = {"walk": walk, "repeat": repeat, "iteration": group.iteration}
                    self.propose_at(self._anchors[walk], **about)
        for group in ready:
            group.ready = False
            self._propose_best(group, self._elites(group.iteration - 1))
            if (group.iteration, group.number) not in self._batches:  # no finalists
                group.iteration, group.over = group.iteration - 1, True

    def _propose_ranks(self, group: _Group) -> None:
        group.trail.append(self._anchors[list(group.walks)].tolist())
        stencils = [self._stencils(walk) for walk in group.walks]
        points = np.concatenate(stencils, axis=1)  # [d, walks (2k+1), k]
        hyper = self.generate(points)
        for repeat, parent in enumerate(group.parents):
            self.propose(
                "ranks",
                hyper,
                self.lengths.rank_epochs,
                walk=group.number,
                repeat=repeat,
                iteration=group.iteration,
                points=points,
                parent=parent if self.lengths.carry_weights else None,
            )

    def _elites(self, done: int) -> int:
        """How many architectures of largest psi are evaluated after iteration `done`."""
        if done == self.options.iterations:
            return max(self.options.elites, self.options.finalists)
        return self.options.elites if self._evaluated(done) else 0

    def learn(self, told: Told) -> None:
        group = self._group_of(told[0][0].walk)
        if group.iteration > self.options.iterations:  # the finalists are in
            group.over = True
            return
        ranked = [(proposal, o.log_weights) for proposal, o in told if o.log_weights is not None]
        group.parents = self._heirs([proposal for proposal, _ in ranked])
        group.ranks, group.offered = None, 0
        if ranked:
            hyper = ranked[0][0].hyper
            group.ranks = hyper, pooled([weights for _, weights in ranked], hyper)
            self._move(group.walks, *group.ranks)
        group.iteration, group.ready = group.iteration + 1, True
        if self.options.evolve and group.iteration <= self.options.iterations:
            self._evolve(group, self._wide_merits(group) if self.options.wide else medians(told))

    def _move(self, group: tuple[int, ...], hyper: HyperArchitecture, log_weights: Array) -> None:
        """Each anchor of the `group` of walks by its part of the log weights [d, w]."""
        options, w = self.options, hyper.width // len(group)
        gradient, step_rule = GRADIENTS[options.gradient], STEP_RULES[options.step_rule]
        for i, walk in enumerate(group):
            part = slice(i * w, (i + 1) * w)
            for row, anchor in enumerate(self._anchors[walk].copy()):
                cells = hyper.rows[row][part]
                own = among(cells, log_weights[row, part]) if options.wide else log_weights[row]
                widths = self._half_widths(row, anchor)
                space = self.space.at(row)
                seen = Surroundings(space, cells, own, widths, options.gamma)
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

    def _wide_merits(self, group: _Group) -> dict[int, float]:
        """Of the walks of a wide hyper-architecture, every `evaluate_every`-th iteration."""
        if group.ranks is None or not self._evaluated(group.iteration - 1):
            return {}
        return dict(enumerate(merits(group.ranks[1], self.options.walks).tolist()))

    def _evolve(self, group: _Group, merits: dict[int, float]) -> None:
        """Restart a walk that waits for it, and the worst one of the iteration just done, of which
        these are the merits, when all have done it.
        """
        for walk in self._restarts.keys() & group.walks:
            self._restart(walk, self._restarts.pop(walk))
        by_group = self._merits.setdefault(group.iteration - 1, [])
        by_group.append(merits)
        if len(by_group) == len(self._groups):
            del self._merits[group.iteration - 1]
            by_walk = sorted(pair for each in by_group for pair in each.items())
            self._restart_worst(dict(by_walk))

    def _restart_worst(self, merits: dict[int, float]) -> None:
        """The walk of lowest merit restarts near that of the highest, unless all are equal."""
        if len(set(merits.values())) < 2:
            return
        worst, best = min(merits, key=merits.__getitem__), max(merits, key=merits.__getitem__)
        group = self._group_of(worst)
        if group.ready and group.iteration <= self.options.iterations:
            self._restart(worst, best)
        else:
            self._restarts[worst] = best

    def _restart(self, walk: int, near: int) -> None:
        shape = self._anchors[near].shape
        displaced = self._anchors[near] + self.rng.normal(0.0, self.options.mutation, shape)
        self._anchors[walk] = inside(displaced)
        self.velocities[walk] = 0.0

    def spare(self) -> None:
        """The next architecture by psi of each hyper-architecture of the last ranks."""
        for group in self._groups:
            self._propose_best(group, 1)

    def _propose_best(self, group: _Group, count: int) -> None:
        """The next `count` architectures by psi of the last hyper-architecture with ranks."""
        first, group.offered = group.offered, group.offered + count
        if group.ranks is None:
            return
        hyper, log_weights = group.ranks
        # One weight per distinct candidate: a duplicate would give the same architecture twice.
        rows = zip(log_weights, hyper.rows, strict=True)
        distinct = [row[firsts(cells)].tolist() for row, cells in rows]
        for repeat, choice in enumerate(
            self._choices(hyper, distinct, group.offered)[first:], first
        ):
            about = {"walk": group.number, "repeat": repeat, "iteration": group.iteration}
            self.propose_architecture(hyper.architecture(choice), **about)

    def _choices(
        self, hyper: HyperArchitecture, distinct: list[list[float]], count: int
    ) -> list[tuple[int, ...]]:
        """The `count` choices of largest psi within the limits; fewer where there are no more."""
        limits = self.space.limits
        if not limits:
            return [choice for choice, _ in best_paths(distinct, count)]
        costs = [limits.costs(row, cells) for row, cells in enumerate(hyper.distinct())]
        values = [np.asarray(row) for row in distinct]
        ties = np.random.default_rng(self.seed)  # not what the walk draws from
        return [*islice(paths_within(values, costs, limits.room, ties), count)]


def medians(told: Told) -> dict[int, float]:
    """The median score of the architectures generated from a walk's anchors, where it has one.
    Elites have no points: they tell of the best of a hyper-architecture, not of where it stands.
    """
    scores: dict[int, list[float]] = {}
    for proposal, outcome in told:
        if proposal.scored and proposal.points and outcome.score is not None:
            scores.setdefault(proposal.walk, []).append(outcome.score)
    return {walk: float(np.median(values)) for walk, values in scores.items()}
