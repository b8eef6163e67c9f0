"""A made-up but plausible run directory, written through `Journal` as a search would write it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fade_ray.records.journal import FORMAT, Journal
from searchers.base import Proposal
from searchers.outcome import Outcome
from spaces.feature_space import GraphSpace
from spaces.hyper import HyperArchitecture

FEATURES = ("eccentricity_variance", "degree_variance", "vertices")
COMMAND = "fade-ray search --data digits --seed 3"


class SyntheticRun:
    """A small search with planted behaviour: anchors drift to (0.4, 0.6, 1), accuracy rises with
    the iteration.
    """

    def __init__(self, folder: Path, depth: int = 4, walks: int = 2, seed: int = 3) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.depth, self.walks = folder, depth, walks
        self.rng = np.random.default_rng(seed)
        self.space = GraphSpace.create(features=FEATURES)
        self.journal = Journal(folder / "records.jsonl")
        self.index = 0
        self.best: tuple[float, HyperArchitecture] | None = None
        config = {
            "data": {"name": "digits", "folder": None},
            "space": {"features": list(FEATURES), "min_vertices": 3, "max_vertices": 5},
            "search": {"depth": depth, "walks": walks, "gamma": 0.15, "rate": 1.0, "seed": seed},
        }
        self.write("config.json", config)
        environment = {
            "fade_ray": "0.1.0",
            "python": "3.11.7",
            "torch": "2.5.1",
            "ray": "2.51.0",
            "commit": "0a1b2c3",
        }
        self.write(
            "environment.json",
            {
                **environment,
                "platform": "Linux x86_64",
                "device": "cpu",
                "cpus": 2,
                "command": COMMAND,
            },
        )
        self.journal.append("start", format=FORMAT, resumed=False)

    def write(self, name: str, data: Any) -> None:
        (self.folder / name).write_text(json.dumps(data, indent=2))

    def propose(
        self, kind: Any, iteration: int, hyper: HyperArchitecture, points: Any = (), **fields: Any
    ) -> Proposal:
        attempt = fields.get("attempt", 0)
        index = fields.get("index", self.index)
        self.index = max(self.index, index + 1)
        id = f"{index:05d}" + (f"r{attempt}" if attempt else "")
        values = {
            "attempt": attempt,
            "walk": 0,
            "repeat": 0,
            "seed": 7 * index + attempt,
            "epochs": 5,
            **fields,
        }
        values.pop("index", None)
        proposal = Proposal(
            id=id, index=index, kind=kind, iteration=iteration, points=points, hyper=hyper, **values
        )
        self.journal.append("proposed", proposal=proposal.to_dict())
        return proposal

    def finish(self, proposal: Proposal, outcome: Outcome, **metrics: Any) -> None:
        cost = {
            "images": 1200 * proposal.epochs,
            "multiply_adds": 31_000_000 * proposal.epochs,
            "device": "cpu",
        }
        seconds = float(self.rng.uniform(0.8, 1.2) * proposal.epochs)
        cost |= {"seconds": seconds, "trial_seconds": seconds * 1.2, "peak_memory_mib": 310.5}
        self.journal.append(
            "finished", id=proposal.id, outcome=outcome.to_dict(), metrics={**cost, **metrics}
        )

    def fail(self, proposal: Proposal, reason: str) -> None:
        self.journal.append(
            "finished",
            id=proposal.id,
            outcome=Outcome.failed("diverged", reason).to_dict(),
            metrics={},
        )

    def ranks(self, iteration: int, walk: int, anchors: np.ndarray) -> None:
        """Train one hyper-architecture around the anchors [depth, k]: five epochs whose weights
        sharpen.
        """
        offsets = np.vstack([np.zeros(3), 0.15 * np.eye(3), -0.15 * np.eye(3)])
        points = np.clip(anchors[:, None] + offsets, 0, 1)
        rows = tuple(tuple(self.space.sample(point, self.rng) for point in row) for row in points)
        hyper = HyperArchitecture(rows)
        proposal = self.propose("ranks", iteration, hyper, points.tolist(), walk=walk)
        logits = [
            self.rng.normal(0, 0.25 + 0.25 * row, len(hyper.distinct()[row]))
            for row in range(self.depth)
        ]
        for epoch in range(1, proposal.epochs + 1):
            weights = [np.exp(epoch / 5 * row) / np.exp(epoch / 5 * row).sum() for row in logits]
            entropy = [float(-(row * np.log(row)).sum()) for row in weights]
            metrics = {
                "loss": 2.3 / epoch,
                "accuracy": 1 - 0.8 / epoch,
                "architecture_loss": 2.4 / epoch,
            }
            metrics |= {
                "weights": weights,
                "entropy": entropy,
                "images_per_second": 1100.0,
                "seconds": 1.0,
            }
            self.journal.append(
                "epoch", id=proposal.id, epoch=epoch, metrics=metrics | {"images": 1200}
            )
        logs = tuple(
            tuple(float(np.log(weights[row][k])) for k in places)
            for row, places in enumerate(hyper.places())
        )
        self.finish(proposal, Outcome(log_weights=logs), hyper_accuracy=0.5)

    def evaluate(self, iteration: int, walk: int, anchors: np.ndarray) -> None:
        hyper = HyperArchitecture(tuple((self.space.sample(point, self.rng),) for point in anchors))
        proposal = self.propose("evaluation", iteration, hyper, walk=walk, epochs=8)
        accuracy = float(np.clip(0.86 + 0.006 * iteration + self.rng.normal(0, 0.015), 0, 1))
        if self.best is None or accuracy > self.best[0]:
            self.best = accuracy, hyper
        operations = sum(row[0].operations for row in hyper.rows)
        counts = {"parameters": 9000 * operations, "network_multiply_adds": 400_000 * operations}
        self.finish(proposal, Outcome(score=accuracy), **counts)

    def search(self, iterations: int = 12) -> "SyntheticRun":
        """Iterations without an end: a hyper-architecture per walk, an evaluation per walk in every
        second one.
        """
        target = np.array([0.4, 0.6, 1.0])
        anchors = self.rng.uniform(size=(self.walks, self.depth, 3))
        self.journal.append("iteration", iteration=0, anchors=anchors)
        for iteration in range(1, iterations + 1):
            for walk in range(self.walks):
                self.ranks(iteration, walk, anchors[walk])
            anchors = np.clip(
                anchors + 0.2 * (target - anchors) + self.rng.normal(0, 0.07, anchors.shape), 0, 1
            )
            if iteration % 2 == 0:
                for walk in range(self.walks):
                    self.evaluate(iteration, walk, anchors[walk])
            self.journal.append("iteration", iteration=iteration, anchors=anchors)
        return self

    def end(self, test_accuracy: float = 0.972) -> "SyntheticRun":
        """Retrain the best architecture, write `result.json` and close the record."""
        assert self.best is not None
        accuracy, hyper = self.best
        proposal = self.propose("retraining", 1, hyper, epochs=30)
        self.finish(proposal, Outcome(score=None), test_accuracy=test_accuracy)
        cells = [row[0].code for row in hyper.rows]
        size = {"parameters": 256870, "multiply_adds": 7_431_000}
        result = {
            "architecture": {"code": hyper.code(), "cells": cells, **size},
            "valid_accuracy": accuracy,
            "test_accuracy": test_accuracy,
            "chance": 0.1,
            "test_images": 300,
            "cost": {"training_images": 414000, "multiply_adds": 10**10, "seconds": 300.0},
            "trials": {"done": self.index, "failed": 0, "retried": 0},
            "training_share": 0.87,
            "run": str(self.folder.name),
        }
        self.write("result.json", result)
        self.journal.append("end", training_share=0.87)
        return self
