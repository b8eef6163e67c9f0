"""What `describe` tells, for people."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def as_text(told: Mapping[str, Any]) -> str:
    """`told`, of `describe`: the graphs as trees, then the figures, then the outputs of the stages."""
    lines = [f"{told['kind']}{' ' + told['name'] if told.get('name') else ''}"]
    if "genotype" in told:
        lines += [told["genotype"], ""]
    for kind, graph in told.get("graph", {}).items():
        lines += _tree(kind, graph)
    for kinds, space in _alike(told.get("spaces", {})):
        keep = f"keeps {space['keep']} into each node" if space["keep"] else "keeps all"
        lines.append(
            f"{kinds}: {space['edges']} edges, {keep}; {space['size']:,} cells; {', '.join(space['ops'])}"
        )
    rows = (
        [("size of the space", _large(told["size"])), ("logits", f"{told['logits']:,}")]
        if "size" in told
        else []
    )
    if "parameters" in told:
        shape = " x ".join(map(str, told["input_shape"]))
        rows.append(
            (
                "network",
                f"{told['macro']}: {told['cells']} cells, {told['channels']} channels, input {shape}",
            )
        )
        rows.append(("parameters", f"{told['parameters']:,}"))
        if told.get("parameters_with_auxiliary"):
            rows.append(("  with auxiliary head", f"{told['parameters_with_auxiliary']:,}"))
        for name, count in told["multiply_adds"].items():
            rows.append((f"multiply-adds, {name}", f"{count:,} ({count / 1e6:,.2f} M)"))
    if told.get("drawing"):
        rows.append(("drawing", told["drawing"]))
    width = max(len(label) for label, _ in rows)
    lines += ["", *(f"{label:<{width}}  {value}" for label, value in rows)]
    if "stages" in told:
        stages = [
            (stage["stage"], " x ".join(map(str, stage["shape"]))) for stage in told["stages"]
        ]
        width = max(len(stage) for stage, _ in stages)
        lines += [
            "",
            "output of each stage",
            *(f"  {stage:<{width}}  {shape}" for stage, shape in stages),
        ]
    return "\n".join(lines)


def _tree(kind: str, graph: Mapping[str, Any]) -> list[str]:
    """A cell as a tree: each node with its operations and what they read."""
    lines = [kind]
    if "vertices" in graph:
        lines += [
            f"├─ {vertex} <- {', '.join(sources)}" for vertex, sources in graph["vertices"].items()
        ]
        return [*lines, f"└─ OUTPUT <- {', '.join(graph['outputs'])}"]
    inputs = graph["inputs"]

    def name(node: int) -> str:
        return (
            str(node)
            if inputs == 1
            else f"c_{{k-{inputs - node}}}"
            if node < inputs
            else str(node - inputs)
        )

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
    return (
        f"{number:,}"
        if number < 10**30
        else f"{number:.3e}"
        if number < 10**300
        else f"10^{len(str(number)) - 1}"
    )
