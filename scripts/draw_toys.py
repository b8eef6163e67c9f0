"""The toy of Amended-DARTS and the counterexample to its A.3 as a figure, with the records behind
it.

    python scripts/draw_toys.py [--out docs/results/toys] [--seed 0]

Writes toys.svg, toys.png and toys.json. All architecture gradients come from the updates that train
networks.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import _toys as toys
import numpy as np
import tyro
from _toys import Estimate
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fade_ray.report import style
from fade_ray.run.folder import command_line, environment, write_json

WEIGHT_RATE, LOGIT_RATE = 0.1, 0.05
"""Learning rates of w and a; the second order's xi is that of w, as in DARTS."""
ESTIMATES = {
    "first order": Estimate("first-order"),
    "second order, ξ = 0.1": Estimate("second-order", xi=WEIGHT_RATE),
    "amended, η = 0.1": Estimate("amended", eta=0.1),
    "amended, η = 0.125": Estimate("amended", eta=0.125),
    "amended, η = 0.25": Estimate("amended", eta=0.25),
    "joint": Estimate("joint"),
}
BINS = 40
COEFFICIENTS = [i / 40 for i in range(25)]


@dataclass(frozen=True)
class Draw:
    """Command line."""

    out: Path = Path("docs/results/toys")
    steps: int = 100
    """Of the runs, from w = -1 and a = 1."""
    draws: int = 2000
    """Random problems for the angle between amended and exact term."""
    seed: int = 0


def compute(draw: Draw) -> dict[str, Any]:
    """All numbers of the figure."""
    rates = {"weight_rate": WEIGHT_RATE, "logit_rate": LOGIT_RATE}
    cosines = toys.random_alignments(draw.draws, np.random.default_rng(draw.seed))
    return {
        "rates": rates,
        "runs": {name: toys.run(e, draw.steps, **rates)._asdict() for name, e in ESTIMATES.items()},
        "gradient_at_a=1": {
            "true": toys.true_gradient(1.0),
            **{name: toys.estimated(e, 1.0, 1.0) for name, e in ESTIMATES.items()},
        },
        "gradient_by_coefficient": {
            "coefficient": COEFFICIENTS,
            "amended": [toys.estimated(Estimate("amended", eta=c), 1.0, 1.0) for c in COEFFICIENTS],
            "second-order": [
                toys.estimated(Estimate("second-order", xi=c), 1.0, 1.0) for c in COEFFICIENTS
            ],
        },
        "counterexample_cosine": toys.alignment(
            np.diag([1.0, 10.0]), np.array([[1.0, -1.0]]), np.array([1.0, 0.5])
        ),
        "negative_share": float((cosines < 0).mean()),
        "cosine_histogram": np.histogram(cosines, bins=BINS, range=(-1, 1))[0].tolist(),
    }


def figure(records: dict[str, Any]) -> Figure:
    """Above: the runs; below: the gradient at the optimum by coefficient, and the angles."""
    drawn = style.new_figure(6.6)
    above, below = drawn.subfigures(2, 1, height_ratios=(1.15, 1))
    panels = list(above.subplots(1, 3))
    runs(panels, records)
    above.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    left, right = below.subplots(1, 2)
    coefficients(left, records["gradient_by_coefficient"])
    angles(right, records)
    return drawn


def runs(panels: list[Axes], records: dict[str, Any]) -> None:
    titles = {"logit": "Logit α", "weight": "Weight ω", "valid_loss": "Validation loss"}
    for axis, (key, title) in zip(panels, titles.items(), strict=True):
        for i, (name, values) in enumerate(records["runs"].items()):
            axis.plot(values[key], color=style.series(i), linestyle=style.LINES[i], label=name)
        axis.set(title=title)
        style.count_axis(axis, "step")
    for axis in panels[:2]:
        axis.set_ylim(-1.2, 6)
        axis.axhline(0, color=style.MUTED, linewidth=0.8)
    panels[2].set(yscale="log", ylim=(1e-4, 1e4))
    panels[2].yaxis.set_major_formatter("{x:g}")


def coefficients(axis: Axes, records: dict[str, list[float]]) -> None:
    names = {"amended": "amended, by η", "second-order": "second order, by ξ"}
    for i, (key, name) in zip((4, 1), names.items(), strict=True):
        axis.plot(
            records["coefficient"],
            records[key],
            color=style.series(i),
            linestyle=style.LINES[i],
            label=name,
        )
    axis.axhline(2, color=style.INK, linewidth=1, label="true gradient 2α")
    axis.axhline(0, color=style.MUTED, linewidth=0.8)
    axis.plot(
        [0.1],
        [-0.4],
        marker="o",
        color=style.series(2),
        linestyle="none",
        label="the paper's η = 0.1",
    )
    axis.set(
        title="Gradient at ω = ω*(α), in units of α",
        xlabel="coefficient η or ξ",
        ylim=(-4.6, 4.4),
        xlim=(0, 0.6),
    )
    axis.legend(loc="lower right")


def angles(axis: Axes, records: dict[str, Any]) -> None:
    axis.stairs(
        records["cosine_histogram"], np.linspace(-1, 1, BINS + 1), fill=True, color=style.series(5)
    )
    axis.axvline(0, color=style.INK, linewidth=1)
    axis.set(
        title="Amended against exact term, random problems",
        xlabel="cosine",
        ylabel="problems",
        xlim=(-1, 1),
    )
    axis.text(
        0.03, 0.95, f"{records['negative_share']:.1%} negative", transform=axis.transAxes, va="top"
    )


def rounded(value: Any) -> Any:
    """Floats to six digits."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def main(draw: Draw) -> None:
    records = compute(draw)
    settings = {key: value for key, value in asdict(draw).items() if key != "out"}
    draw.out.mkdir(parents=True, exist_ok=True)
    write_json(
        draw.out / "toys.json",
        {**environment(command_line()), "settings": settings, **rounded(records)},
    )
    alt = "Toy of Amended-DARTS: logit, weight and validation loss over steps; gradients; angles."
    with style.house_style():
        style.save(
            style.Picture("toys", "The toy of Amended-DARTS", figure(records), alt, ""), draw.out
        )
    for name, value in records["gradient_at_a=1"].items():
        print(f"{name:24} {value:+.2f}")
    print(f"negative cosines: {records['negative_share']:.1%} of {draw.draws}")


if __name__ == "__main__":
    main(tyro.cli(Draw, description=__doc__))
