"""Genotypes, networks of discrete cells, in the field's notation and in files."""

import ast
import json
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spaces import nasbench201, recurrent
from spaces.cell import CellSpace, Gene, Macro
from spaces.darts import CONV_7X1_1X7, DARTS_OPS, SPACES
from spaces.errors import InvalidInput, require, require_known, upheld
from spaces.notation import FORMS, Form
from spaces.stackings import STACKINGS

DEPTH = 20
"""Cells in which published genotypes are retrained; the notation has no depth."""
MAX_NODES = 64
MAX_BYTES = 16 * 2**20
"""Largest file of cells that is read."""

_CALL = "Genotype("
_LONGEST = 1 << 16  # characters of a call in a log
_STRING = re.compile(r"\|\s*\w+\s*~\s*\d[\w~|+\s]*\|")
"""Of NAS-Bench-201, wherever it stands."""
_EXAMPLE = " or ".join(form.example for form in FORMS)


def read_genotype(text: str, depth: int = DEPTH) -> Macro:
    """The cells of DARTS in the field's notation, convolutional ones stacked `depth` high:
    (operation, source) pairs for each node in turn, two of them, or one in a recurrent cell.

    `Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), reduce=[...],
    reduce_concat=range(2, 6))` or `Genotype(recurrent=[('tanh', 0), ...], concat=range(1, 9))`,
    also positional, and as the one such assignment in a Python source or the one such call in lines
    of a training log. The text is parsed, never run. The cells are over the operations of DARTS
    where these suffice, else over the smallest published set that does, else over those of DARTS
    and the further ones.
    InvalidInput for no genotype, several, a gene that breaks a rule, an unknown operation, and for
    what no search of ours finds in cells that nobody has published: see `_check_usual`.
    """
    form, fields = _fields(_the_call(text))
    genes = {kind: _genes(kind, fields[own], form) for kind, (own, _) in form.fields.items()}
    ops = _operations((gene.op for each in genes.values() for gene in each), form)
    cells = {
        kind: _cell(kind, genes[kind], ops, fields[outputs], form)
        for kind, (_, outputs) in form.fields.items()
    }
    _check_usual(genes, cells)
    return Macro(cells, form.stacking, depth if STACKINGS[form.stacking].shared else 1)


def _check_usual(genes: Mapping[str, Sequence[Gene]], cells: Mapping[str, CellSpace]) -> None:
    """InvalidInput for two operations on one edge, and for an operation of no space, unless the
    cells are those of a published genotype that has them: there they are meant, elsewhere they are
    slips, which would be trained in silence.
    """
    spaces = {op for space in SPACES.values() for op in space.ops}
    broken = [(kind, *each) for kind, held in genes.items() for each in _unusual(held, spaces)]
    if broken and _sorted(cells) not in [_sorted(known.cells) for known in GENOTYPES.values()]:
        kind, rule, values = broken[0]
        remedy = (
            "Published genotypes alone may break this: NASNET_A and AMOEBANET_A are read by these "
            "names, and from a text as they were published. Mend the gene; if it is meant, give "
            "the cells as JSON (`Macro.to_dict`)."
        )
        require(False, rule, remedy, cell=kind, **values)


def _sorted(cells: Mapping[str, CellSpace]) -> dict[str, tuple[list[Gene], tuple[int, ...]]]:
    """Genes and outputs by kind, equal for the same cells over other operations."""
    return {kind: (sorted(cell.genes), cell.outputs) for kind, cell in cells.items()}


def _unusual(genes: Sequence[Gene], spaces: Container[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(rule, the values that break it) of a cell."""
    joined = Counter((gene.source, gene.target) for gene in genes)
    for gene in genes:
        if joined[gene[:2]] > 1:
            both = [other.op for other in genes if other[:2] == gene[:2]]
            yield "one operation per edge", {"edge": gene[:2], "operations": both}
        if gene.op not in spaces:
            yield "an operation of a space that is searched", {"operation": gene.op}


def read_cells(text: str) -> Macro:
    """The genotype in a text, in the field's notation: that of `read_genotype`, or a string of
    NAS-Bench-201 (15 cells), also with blanks, in quotes, in a line of a log. InvalidInput for what
    is neither.
    """
    string = None if _CALL in text else _STRING.search(text)
    if string or text.startswith("|"):
        return nasbench201.macro(cell=nasbench201.decode(string[0] if string else text))
    return read_genotype(text)


def load_cells(path: str | Path) -> Macro:
    """The cells in a file: JSON of `Macro.to_dict`, alone or in that of an exported architecture,
    or what `read_cells` reads. InvalidInput, with the path, for a file that is neither.
    """
    text = _text(Path(path).expanduser()).lstrip("\ufeff").strip()
    try:
        return _from_json(json.loads(text)) if text.startswith("{") else read_cells(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInput(f"{path}: not JSON of cells ({error}). {_FORMS}") from error
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def _from_json(data: dict[str, Any]) -> Macro:
    if "code" not in data:
        return Macro.from_dict(data)
    remedy = "This is a chain of graphs, which has none: its own `fade-ray search` retrains it."
    cells = data.get("cells")
    require(isinstance(cells, dict), "an architecture of cells", remedy, code=data["code"])
    return Macro.from_dict(data["cells"])


_JSON = "the JSON that a search writes"
_FORMS = f"A file of cells holds {_JSON}, {_EXAMPLE}, or a string of NAS-Bench-201."


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        rule = f"a file of cells has {MAX_BYTES} bytes at most"
        require(size <= MAX_BYTES, rule, _FORMS, path=str(path), bytes=size)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: not text. {_FORMS}") from error
    except OSError as error:
        rule = f"{path}: cannot be read ({error.strerror or error})"
        raise InvalidInput(f"{rule}. Give the path of a file of cells.") from error


def _the_call(text: str) -> ast.Call:
    """The one call of `Genotype` in the text, by itself, assigned, or in lines of a log."""
    wrong = f"A genotype must be written as {_EXAMPLE}, but got {_shown(text)}"
    with upheld(wrong, _FORMS, SyntaxError, ValueError, RecursionError, MemoryError):
        body = _statements(text.strip())
    calls: list[tuple[str, ast.Call]] = []
    for statement in body:
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Call) and _called(value) == "Genotype":
            targets = getattr(statement, "targets", [getattr(statement, "target", value)])
            calls.append((ast.unparse(targets[0])[:40], value))
    if not calls:
        raise InvalidInput(f"{wrong}. {_FORMS}")
    names, remedy = [name for name, _ in calls], "Copy the one you mean into a file of its own."
    rule = "one genotype in the text"
    require(len(calls) == 1, rule, remedy, genotypes=len(names), found=names[:10])
    return calls[0][1]


def _statements(text: str) -> list[ast.stmt]:
    """Of a Python source; of a text that is none, the different calls in it."""
    try:
        return ast.parse(text).body
    except SyntaxError:
        calls = dict.fromkeys(_calls(text))
        if not calls:
            raise
        return ast.parse("\n".join(calls)).body


def _calls(text: str) -> Iterator[str]:
    """What stands from each `Genotype(` to where its bracket closes."""
    for found in re.finditer(re.escape(_CALL), text):
        depth, part = 0, text[found.start() : found.start() + _LONGEST]
        for end, character in enumerate(part, 1):
            depth += (character == "(") - (character == ")")
            if depth == 0 and character == ")":
                yield part[:end]
                break


def _called(call: ast.Call) -> str:
    """The last part of the name that is called."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _fields(call: ast.Call) -> tuple[Form, dict[str, Any]]:
    """The form of the notation, and the values of its fields."""
    named = [(keyword.arg or "**", keyword.value) for keyword in call.keywords]
    for form in FORMS:
        given = [*zip(form.names, call.args, strict=False), *named]
        fits = sorted(name for name, _ in given) == sorted(form.names)
        if fits and len(call.args) <= len(form.names):
            return form, {name: _value(name, node) for name, node in given}
    fields = " or ".join(", ".join(form.names) for form in FORMS)
    names = [name for name, _ in named]
    raise InvalidInput(
        f"A genotype has the fields {fields}, each once, but got {len(call.args)} without a name "
        f"and {names}. Write {_EXAMPLE}."
    )


def _value(name: str, node: ast.expr) -> Any:
    """A literal, or a range of literals."""
    try:
        if isinstance(node, ast.Call) and _called(node) == "range" and not node.keywords:
            ends = [ast.literal_eval(argument) for argument in node.args]
            return list(range(*ends)[: 2 * MAX_NODES])
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        rule, got = f"The field {name!r} must be a list or a range of literals", ast.unparse(node)
        raise InvalidInput(f"{rule}, but got {_shown(got)}. Write {_EXAMPLE}.") from error


def _genes(kind: str, pairs: Any, form: Form = FORMS[0]) -> list[Gene]:
    """The genes of a cell: pairs 2j and 2j + 1 end at node 2 + j; in a recurrent one j at 1 + j."""
    held, each = list(pairs) if isinstance(pairs, list | tuple) else [], form.inputs
    number = {1: "one (operation, source) pair", 2: "two (operation, source) pairs"}[each]
    rule = f"{number} for each of 1 to {MAX_NODES} nodes"
    fits = len(held) in range(each, each * MAX_NODES + 1, each)
    require(fits, rule, f"Write {_EXAMPLE}.", **{kind: _shown(repr(pairs))})
    genes: list[Gene] = []
    for place, pair in enumerate(held):
        target = each + place // each
        typed = isinstance(pair, list | tuple) and [type(part) for part in pair] == [str, int]
        rule = f"a gene is (operation, source), sources of node {target} being 0 to {target - 1}"
        holds = typed and 0 <= pair[1] < target
        require(holds, rule, f"Write {_EXAMPLE}.", cell=kind, gene=pair)
        genes.append(Gene(pair[1], target, pair[0]))
    return genes


def _operations(used: Iterable[str], form: Form = FORMS[0]) -> tuple[str, ...]:
    """The operations that the cells are over."""
    needed, (usual, further) = set(used), _OPERATIONS[form.stacking]
    stack = STACKINGS[form.stacking]
    alike = (s for s in SPACES.values() if s.macro.stack.task == stack.task)
    spaces = [space.ops for space in alike if space.macro.stack.inputs == stack.inputs]
    published = [usual, *sorted(spaces, key=len)]
    for ops in published:
        if needed <= set(ops):
            return ops
    known = dict.fromkeys([*(op for ops in published for op in ops), *further])
    for op in sorted(needed):
        require_known("An operation", op, known)
    return tuple(op for op in known if op in needed or op in usual)


_OPERATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "darts": (DARTS_OPS, (CONV_7X1_1X7,)),
    "recurrent": (recurrent.OPS, ()),
}
"""By stacking: the operations of its usual space, and those of no space."""


def _cell(
    kind: str, genes: Sequence[Gene], ops: Sequence[str], concat: Any, form: Form = FORMS[0]
) -> CellSpace:
    """The genotype of those genes in the full space of its size; where two of them join the same
    nodes there is an edge for each.
    """
    inputs, field = form.inputs, form.fields[kind][1]
    nodes = inputs + len(genes) // inputs
    outputs = tuple(concat) if isinstance(concat, list | tuple) and len(concat) <= nodes else ()
    known = all(type(node) is int and 0 <= node < nodes for node in outputs)
    once = len(set(outputs)) == len(outputs) > 0
    rule = f"the output joins some of the nodes 0 to {nodes - 1}, each once"
    remedy = f"Write {field}=range({inputs}, {nodes})."
    require(known and once, rule, remedy, **{field: _shown(repr(concat))})
    used = Counter((gene.source, gene.target) for gene in genes)
    every = Counter((u, v) for v in range(inputs, nodes) for u in range(v)) | used
    space = CellSpace.create(
        inputs, nodes, ops, edges=every.elements(), outputs=outputs, keep=inputs
    )
    return space.genotype(genes)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "...")


_SHORT = {"max": "max_pool_3x3", "avg": "avg_pool_3x3", "skip": "skip_connect"}
_SHORT |= {f"sep{kernel}": f"sep_conv_{kernel}x{kernel}" for kernel in (3, 5, 7)}
_SHORT |= {f"dil{kernel}": f"dil_conv_{kernel}x{kernel}" for kernel in (3, 5)}
_SHORT |= {"conv7": CONV_7X1_1X7}


def _from_short(
    normal: str,
    reduce: str,
    normal_concat: Sequence[int] = (2, 3, 4, 5),
    reduce_concat: Sequence[int] = (2, 3, 4, 5),
) -> Macro:
    """From `op source, op source, ...` for each kind, with short names."""
    pairs = {}
    for kind, genes in (("normal", normal), ("reduce", reduce)):
        split = (gene.split() for gene in genes.split(","))
        pairs[kind] = _genes(kind, [(_SHORT[op], int(source)) for op, source in split])
    ops = _operations(gene.op for genes in pairs.values() for gene in genes)
    outputs = {"normal": normal_concat, "reduce": reduce_concat}
    cells = {kind: _cell(kind, genes, ops, outputs[kind]) for kind, genes in pairs.items()}
    return Macro(cells, "darts", DEPTH)


_ALL_SKIP = ", ".join(["skip 0, skip 1"] * 4)
GENOTYPES: dict[str, Macro] = {
    "DARTS_V1": _from_short(
        "sep3 1, sep3 0, skip 0, sep3 1, skip 0, sep3 1, sep3 0, skip 2",
        "max 0, max 1, skip 2, max 0, max 0, skip 2, skip 2, avg 0",
    ),
    "DARTS_V2": _from_short(
        "sep3 0, sep3 1, sep3 0, sep3 1, sep3 1, skip 0, skip 0, dil3 2",
        "max 0, max 1, skip 2, max 1, max 0, skip 2, skip 2, max 1",
    ),
    "PC_DARTS_cifar": _from_short(
        "sep3 1, skip 0, sep3 0, dil3 1, sep5 0, sep3 1, avg 0, dil3 1",
        "sep5 1, max 0, sep5 1, sep5 2, sep3 0, sep3 3, sep3 1, sep3 2",
    ),
    "PC_DARTS_image": _from_short(
        "skip 1, sep3 0, sep3 0, skip 1, sep3 1, sep3 3, sep3 1, dil5 4",
        "sep3 0, skip 1, dil5 2, max 1, sep3 2, sep3 1, sep5 0, sep3 3",
    ),
    "PDARTS": _from_short(
        "skip 0, dil3 1, skip 0, sep3 1, sep3 1, sep3 3, sep3 0, dil5 4",
        "avg 0, sep5 1, sep3 0, dil5 2, max 0, dil3 1, dil3 1, dil5 3",
    ),
    # the one searched together with its reduction cell, not GDAS (FRC)
    "GDAS_V1": _from_short(
        "skip 0, skip 1, skip 0, sep5 2, sep3 3, skip 0, sep5 4, sep3 3",
        "sep5 0, sep3 1, sep5 2, sep5 1, dil5 2, sep3 1, sep5 0, sep5 1",
    ),
    "SNAS": _from_short(
        "sep3 0, sep3 1, skip 0, dil3 1, skip 1, skip 0, skip 0, sep3 1",
        "max 0, max 1, max 1, skip 2, skip 2, max 1, max 0, dil5 2",
    ),
    # these two as in the repository of DARTS; NASNet-A's node 5 adds the same average twice
    "NASNET_A": _from_short(
        "sep5 1, sep3 0, sep5 0, sep3 0, avg 1, skip 0, avg 0, avg 0, sep3 1, skip 1",
        "sep5 1, sep7 0, max 1, sep7 0, avg 1, sep5 0, skip 3, avg 2, sep3 2, max 1",
        (2, 3, 4, 5, 6),
        (4, 5, 6),
    ),
    "AMOEBANET_A": _from_short(
        "avg 0, max 1, sep3 0, sep5 2, sep3 0, avg 3, sep3 1, skip 1, skip 0, avg 1",
        "avg 0, sep3 1, max 0, sep7 2, sep7 0, avg 1, max 0, max 1, conv7 0, sep3 5",
        (4, 5, 6),
        (3, 4, 6),
    ),
    "all-skip": _from_short(_ALL_SKIP, _ALL_SKIP),
    # recurrent ones: those of the repository of DARTS, where they have no prefix
    **{
        name: read_genotype(f"Genotype(recurrent=[{genes}], concat={outputs})")
        for name, genes, outputs in (
            (
                "RNN_DARTS_V1",
                "('relu', 0), ('relu', 1), ('tanh', 2), ('relu', 3), ('relu', 4), "
                "('identity', 1), ('relu', 5), ('relu', 1)",
                "range(1, 9)",
            ),
            (
                "RNN_DARTS_V2",
                "('sigmoid', 0), ('relu', 1), ('relu', 1), ('identity', 1), ('tanh', 2), "
                "('sigmoid', 5), ('tanh', 3), ('relu', 5)",
                "range(1, 9)",
            ),
            (
                "RNN_ENAS",
                "('tanh', 0), ('tanh', 1), ('relu', 1), ('tanh', 3), ('tanh', 3), ('relu', 3), "
                "('relu', 4), ('relu', 7), ('relu', 8), ('relu', 8), ('relu', 8)",
                "[2, 5, 6, 9, 10, 11]",
            ),
        )
    },
}
"""Of 20 cells, or recurrent: those of the repositories of DARTS and its followers (algorithms F.1),
and the collapsed one.
"""


def genotype_of(source: str) -> Macro | None:
    """A published one by its name, the one in a file, see `load_cells`, or given in full, see
    `read_cells`; None for what is none of these. Raises InvalidInput for one that breaks a rule.
    """
    if source in GENOTYPES:
        return GENOTYPES[source]
    # False, where Path.is_file raises: for names that are too long
    if os.path.isfile(os.path.expanduser(source)):
        return load_cells(source)
    return read_cells(source) if _CALL in source or "|" in source else None


def named_genotype(source: str, what: str = "A genotype (a file, a name or its text)") -> Macro:
    """As `genotype_of`. Raises InvalidInput for `what` is none."""
    found = genotype_of(source)
    if found is not None:
        return found
    require_known(what, source, GENOTYPES)
    return GENOTYPES[source]
