"""What `describe` says, for people."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def as_text(description: Mapping[str, Any]) -> str:
    """The graphs as trees, then the figures, then the stages."""
    name = description.get("name")
    lines = [description["kind"] + (f" {name}" if name else "")]
    if "genotype" in description:
        lines += [description["genotype"], ""]
    for kind, graph in description.get("graph", {}).items():
        lines += _tree(kind, graph)
    for kinds, space in _alike(description.get("spaces", {})):
        keep = f"keeps {space['keep']} into each node" if space["keep"] else "keeps all"
        size, ops = f"{space['size']:,} cells", ", ".join(space["ops"])
        lines.append(f"{kinds}: {space['edges']} edges, {keep}; {size}; {ops}")
    lines += ["", *_table(list(_figures(description)))]
    if "stages" in description:
        rows: list[tuple[str, ...]] = [("output of each stage", "", "parameters", "multiply-adds")]
        rows += [_stage(stage) for stage in description["stages"]]
        lines += ["", *_table(rows)]
    return "\n".join(lines)


def _figures(description: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "size" in description:
        yield "size of the space", _large(description["size"])
        yield "logits", f"{description['logits']:,}"
    if "parameters" in description:
        yield "network", f"{description['macro']}: {_sizes(description)}"
        yield "parameters", f"{description['parameters']:,}"
        if description.get("parameters_with_auxiliary"):
            yield "  with auxiliary head", f"{description['parameters_with_auxiliary']:,}"
        for name, count in description["multiply_adds"].items():
            yield f"multiply-adds, {name}", f"{count:,} ({count / 1e6:,.2f} M)"
    if description.get("drawing"):
        yield "drawing", description["drawing"]


def _sizes(description: Mapping[str, Any]) -> str:
    if "vocabulary" in description:
        return f"{description['units']} units, {description['vocabulary']:,} words"
    shape = " x ".join(map(str, description["input_shape"]))
    return f"{description['cells']} cells, {description['channels']} channels, input {shape}"


def _stage(stage: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (stage.get("parameters"), stage.get("multiply_adds"))
    shape = " x ".join(map(str, stage["shape"]))
    return (f"  {stage['stage']}", shape, *("" if n is None else f"{n:,}" for n in counts))


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns side by side; those of counts, from the third on, end together."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<" if number < 2 else ">" for number in range(len(widths))]
    return [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _tree(kind: str, graph: Mapping[str, Any]) -> list[str]:
    """A cell as a tree: each node with its operations and what they read."""
    lines = [kind]
    if "vertices" in graph:
        vertices = graph["vertices"].items()
        lines += [f"├─ {vertex} <- {', '.join(sources)}" for vertex, sources in vertices]
        return [*lines, f"└─ OUTPUT <- {', '.join(graph['outputs'])}"]
    inputs = graph["inputs"]

    def name(node: int) -> str:
        if inputs == 1:
            return str(node)
        return f"c_{{k-{inputs - node}}}" if node < inputs else str(node - inputs)

    for node, terms in graph["nodes"].items():
        lines.append(f"├─ {name(int(node))}")
        for place, term in enumerate(terms, start=1):
            corner = "└─" if place == len(terms) else "├─"
            lines.append(f"│  {corner} {term['op']:<13} {name(term['source'])}")
    return [*lines, f"└─ output: {', '.join(name(node) for node in graph['outputs'])}"]


def _alike(spaces: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Kinds of cell with the same space, together."""
    groups: dict[str, list[str]] = {}
    for kind, space in spaces.items():
        groups.setdefault(json.dumps(space), []).append(kind)
    for text, kinds in groups.items():
        named = ", ".join(kinds) if len(kinds) <= 3 else f"{kinds[0]} to {kinds[-1]}"
        yield named, json.loads(text)


def _large(number: int) -> str:
    if number < 10**30:
        return f"{number:,}"
    return f"{number:.3e}" if number < 10**300 else f"10^{len(str(number)) - 1}"
