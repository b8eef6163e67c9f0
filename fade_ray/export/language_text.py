"""A recurrent network as plain PyTorch: a module that continues a text, and its weights."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save

from fade_ray.export.export_module import numbers_told, write_whole
from fade_ray.export.operation_text import ACTIVATION_TEXTS, check_texts
from fade_ray.export.text import INDENT, LINE, template, wrapped
from fade_ray.nn import parameters
from fade_ray.nn.language_network import LanguageNetwork
from fade_ray.records.journal import plain as jsonable
from fade_ray.records.release import VERSION
from spaces.cell import NONE, CellSpace
from spaces.errors import require


def export_language(
    network: LanguageNetwork,
    folder: Path,
    name: str,
    *,
    vocabulary: Sequence[str],
    facts: Mapping[str, Any] = {},
) -> Path:
    """Write the network of a genotype as `<name>.py`, `.safetensors` and `.json` into `folder`.

    The `.py` needs torch alone (and safetensors to load the weights, which hold the `vocabulary`)
    and gives the scores and states of `network` in evaluation mode, up to rounding. The `.json`
    holds code, cells, words, units, parameters, multiply_adds (per word), and `facts`. Returns the
    path of the `.py`. Raises InvalidInput for a network with a choice left or built for a search,
    an operation without a text, another number of words, or a folder that cannot be written.
    """
    macro, cell = network.macro, network.cell
    remedy = "Only networks of genotypes are exported: discretise the cells, train their network."
    require(macro.is_discrete, "one operation per edge", remedy, choices=macro.size)
    require(cell.norm is None, "no norm", "Export a network built for retraining.", norm=cell.norm)
    words, rule = len(network.vectors), "len(vocabulary) is the network's number of words"
    require(len(vocabulary) == words, rule, "Name each once.", vocabulary=len(vocabulary))
    check_texts(macro)
    whole = {
        "code": macro.notation,
        "cells": macro.to_dict(),
        "words": words,
        "units": network.units,
        "parameters": parameters(network),
        "multiply_adds": network.multiply_adds(),
        **facts,
    }
    names = ("parameters", "multiply_adds", *(key for key in facts if key.isidentifier()))
    text = template("language.py.j2").render(
        name=name,
        version=VERSION,
        notation=wrapped(macro.notation, 0),
        facts=dict(numbers_told({key: whole[key] for key in names})),
        words=words,
        units=network.units,
        nodes=cell.space.nodes - 1,
        lines=list(_lines(cell.space)),
    )
    weights = {
        key.removeprefix("cell."): tensor.detach().cpu().contiguous()
        for key, tensor in network.state_dict().items()
    }
    told = {"format": "pt", "code": macro.notation, "vocabulary": json.dumps(list(vocabulary))}
    write_whole(folder / f"{name}.safetensors", save(weights, told))
    write_whole(folder / f"{name}.json", (json.dumps(jsonable(whole), indent=2) + "\n").encode())
    return write_whole(folder / f"{name}.py", text.encode())


def _lines(cell: CellSpace) -> Iterator[str]:
    """What the cell computes behind node 0, see `RecurrentCell`."""
    for node in range(1, cell.nodes):
        terms = []
        for gene in (gene for gene in cell.genes if gene.target == node and gene.op != NONE):
            source, value = f"s{gene.source}", ACTIVATION_TEXTS[gene.op].format("u")
            yield f"c, u = ({source} @ self.nodes[{node - 1}]).chunk(2, 1)"
            term = f"{source} + torch.sigmoid(c) * ({value} - {source})"
            terms.append(term)
            yield f"s{node} = {term}" if len(terms) == 1 else f"s{node} = s{node} + {term}"
        if not terms:
            yield f"s{node} = torch.zeros_like(s0)"
    total = " + ".join(f"s{node}" for node in cell.outputs)
    line = f"return ({total}) / {len(cell.outputs)}"
    yield (
        line
        if len(line) + INDENT <= LINE
        else f"return sum([{total.replace(' + ', ', ')}]) / {len(cell.outputs)}"
    )
