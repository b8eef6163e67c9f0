"""How retrainings are told, by the task of their networks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console

from fade_ray.retraining.retrain_config import RetrainConfig
from fade_ray.retraining.retraining import BEST_NOTE
from fade_ray.run.progress import LiveWatcher
from spaces.errors import InvalidInput

Metrics = Mapping[str, Any]
Parts = Callable[[Metrics], list[str]]


@dataclass(frozen=True)
class Telling:
    """`measured`: part and measure after each epoch. `epoch`: the parts of its line. `result`: what
    a finished one comes to, by label. `ended`: what of the result stands in the last event, by its
    names there and here. `forms`: why it has no further forms.
    """

    measured: tuple[str, str]
    epoch: Parts
    result: Callable[[Metrics, Path], dict[str, str]]
    ended: tuple[str, str]
    no_forms: str = ""

    def end(self, result: Metrics) -> dict[str, Any]:
        """What the last event says."""
        name, source = self.ended
        return {name: result[source]}

    def check_forms(self) -> None:
        """InvalidInput where the export has one form alone."""
        if self.no_forms:
            raise InvalidInput(self.no_forms)


class EpochLines(LiveWatcher):
    """Shows each epoch as a line on stderr."""

    def __init__(self, epochs: int, parts: Parts, console: Console | None = None) -> None:
        super().__init__(console)
        self.epochs, self.parts = epochs, parts

    def epoch(self, proposal: Any, epoch: int, metrics: Mapping[str, Any]) -> None:
        if epoch == 0:
            text = f"one step takes {metrics['step_memory_mib']:,.0f} MiB at its peak"
            self.console.print(text, soft_wrap=True)
            return
        parts = [f"epoch {epoch}/{self.epochs}", *self.parts(metrics)]
        self.console.print(" · ".join(parts), soft_wrap=True)


def _image_epoch(metrics: Metrics) -> list[str]:
    average = metrics.get("average_test_accuracy")
    return [
        f"loss {metrics['loss']:.4f}",
        f"test {metrics['test_accuracy']:.4f}",
        *([] if average is None else [f"average {average:.4f}"]),
        f"{metrics['images_per_second']:,.0f} images/s",
    ]


def _text_epoch(metrics: Metrics) -> list[str]:
    if "back_at_epoch" in metrics:
        return [f"not finite: back to the weights of epoch {metrics['back_at_epoch']}"]
    return [
        f"perplexity {metrics['perplexity']:.2f}",
        f"valid {metrics['valid_perplexity']:.2f}" + " (average)" * metrics["averaged"],
        f"{metrics['images_per_second']:,.0f} words/s",
    ]


def _of_images(result: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """What a finished retraining comes to, by its label."""
    average, cost = result["average_test_accuracy_last"], result["cost"]
    lines = {
        "genotype": result["genotype"],
        "test accuracy": f"{result['test_accuracy_last']:.4f} (last epoch, "
        f"{result['test_images']:,} images)",
        "best epoch": f"{result['test_accuracy_best']:.4f} (epoch {result['best_epoch']}; "
        f"{BEST_NOTE})",
        "average": f"{average or 0:.4f} (moving average of the weights, last epoch)",
        "parameters": f"{result['parameters']:,} (with the auxiliary head "
        f"{result['parameters_with_auxiliary']:,})",
        "multiply-adds": f"{result['multiply_adds']:,} per image (conv+fc), "
        f"{result['multiply_adds_2bn_relu']:,} (conv+fc+2bn+relu)",
        "latency": f"{result.get('latency_ms', 0):.3g} ms for one image on a CPU of this machine, "
        "beside whatever ran there",
        "cells": _places(result.get("places", ())),
        "cost": f"{cost['images']:,} training images, {cost['multiply_adds']:.3g} multiply-adds, "
        f"{cost['seconds']:.0f} s training",
        "exported": str(folder / "architectures" / "architecture.py"),
    }
    unknown = {"average"} if average is None else set()
    if "latency_ms" not in result:  # of an earlier version
        unknown |= {"latency", "cells"}
    return {label: text for label, text in lines.items() if label not in unknown}


def _places(places: Iterable[Mapping[str, Any]]) -> str:
    """ "2 normal of 16 channels at 32x32; 1 reduce of 32 channels at 16x16"."""
    sizes = ((p["kind"], p["channels"], p["side"]) for p in places)
    runs = ((size, len(list(alike))) for size, alike in groupby(sizes))
    return "; ".join(f"{n} {kind} of {c} channels at {side}x{side}" for (kind, c, side), n in runs)


def _of_text(result: Metrics, folder: Path) -> dict[str, str]:
    """The same of a language model."""
    cost, switched, back = result["cost"], result["averaged_from"], result["rolled_back"]
    average = "of the weights as they were" if switched is None else f"averaged from {switched} on"
    return {
        "genotype": result["genotype"],
        "test": f"perplexity {result['test_perplexity']:.2f} ({result['test_words']:,} words, one "
        "text at a time)",
        "valid": f"perplexity {result['valid_perplexity']:.2f} (epoch {result['best_epoch']} of "
        f"{result['epochs']}, the best, {average})",
        **({"rolled back": f"{back} times, where a loss was not finite"} if back else {}),
        "parameters": f"{result['parameters']:,}",
        "multiply-adds": f"{result['multiply_adds']:,} per word",
        "latency": f"{result['latency_ms']:.3g} ms for one word on a CPU of this machine, beside "
        "whatever ran there",
        "cost": f"{cost['images']:,} training words, {cost['multiply_adds']:.3g} multiply-adds, "
        f"{cost['seconds']:.0f} s training",
        "exported": str(folder / "architectures" / "architecture.py"),
    }


TELLINGS: dict[str, Telling] = {
    "images": Telling(
        ("test", "accuracy"), _image_epoch, _of_images, ("test_accuracy", "test_accuracy_last")
    ),
    "text": Telling(
        ("valid", "perplexity"),
        _text_epoch,
        _of_text,
        ("test_perplexity", "test_perplexity"),
        "A language model carries a state from word to word, which ONNX and torch.export would "
        "hide in their signature, so that it is exported as a Python module alone. Leave the "
        "other forms out.",
    ),
}
"""By the task of the objective."""


def telling(config: RetrainConfig) -> Telling:
    """That of the retraining."""
    return TELLINGS[config.train.objective.task]
