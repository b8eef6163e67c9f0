"""Draws docs/dataflow.svg: the main job as data flow."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

BOXES = {  # name: (x, y, text, colour)
    "images": (0, 2.4, "images\n1 test : 1 architecture\n: 4 weights", "#e8eef7"),
    "space": (0, 0.0, "graph space\nfeatures, boxes", "#e5f3ea"),
    "hyper": (1, 1.2, "hyper-architecture\nd rows of candidates", "#e5f3ea"),
    "train": (2, 2.4, "bilevel training of\nweights and logits\n(trials on Ray)", "#fdeede"),
    "evaluate": (2, 0.0, "evaluation of single\narchitectures\n(trials on Ray)", "#fdeede"),
    "searcher": (3, 1.2, "anchor search\nwalks along the ranks", "#f3e8f5"),
    "records": (4, 1.2, "records.jsonl\nappend-only", "#eeeeee"),
    "result": (5, 1.2, "retraining, test,\nexport, report", "#e8eef7"),
}
ARROWS = [  # from, to, text, where the text stands (offset from the middle)
    ("images", "train", "", (0, 0)),
    ("space", "hyper", "generator", (-0.65, 0.2)),
    ("hyper", "train", "", (0, 0)),
    ("hyper", "evaluate", "width one", (-0.75, -0.2)),
    ("train", "searcher", "tell: FaDE-ranks", (0.95, 0.2)),
    ("evaluate", "searcher", "tell: accuracy", (0.9, -0.2)),
    ("searcher", "hyper", "ask: M, M ± γ eₖ", (0, 0.2)),
    ("searcher", "records", "", (0, 0)),
    ("records", "result", "", (0, 0)),
]
WIDTH, HEIGHT, DX, DY = 2.15, 0.95, 2.9, 1.15


def centre(name: str) -> tuple[float, float]:
    x, y, *_ = BOXES[name]
    return x * DX, y * DY


def draw(path: Path) -> None:
    figure = Figure(figsize=(13, 3.4))
    axis = figure.add_axes((0, 0, 1, 1))
    patches = {}
    for name, (_, _, text, colour) in BOXES.items():
        x, y = centre(name)
        box = FancyBboxPatch(
            (x - WIDTH / 2, y - HEIGHT / 2),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0.02,rounding_size=0.1",
            fc=colour,
            ec="#444",
        )
        patches[name] = axis.add_patch(box)
        axis.text(x, y, text, ha="center", va="center", fontsize=10.5, color="#111")
    for start, end, text, (dx, dy) in ARROWS:
        a, b = centre(start), centre(end)
        ends = {"patchA": patches[start], "patchB": patches[end], "shrinkA": 2, "shrinkB": 2}
        axis.add_patch(
            FancyArrowPatch(a, b, arrowstyle="-|>", mutation_scale=14, color="#444", **ends)
        )
        axis.text(
            (a[0] + b[0]) / 2 + dx,
            (a[1] + b[1]) / 2 + dy,
            text,
            ha="center",
            va="center",
            fontsize=11,
            color="#333",
        )
    axis.set(xlim=(-1.2, 5 * DX + 1.2), ylim=(-0.6, 3.35), aspect="equal")
    axis.axis("off")
    figure.set_facecolor("white")
    figure.savefig(path)


if __name__ == "__main__":
    draw(Path(__file__).resolve().parent.parent / "docs" / "dataflow.svg")
