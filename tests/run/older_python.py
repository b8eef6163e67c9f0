"""What exported files must do without."""

import ast


def newer_parts(text: str) -> list[str]:
    """What Python 3.8 cannot evaluate."""
    every = list(ast.walk(ast.parse(text, feature_version=(3, 8))))
    notes = [getattr(node, part, None) for node in every for part in ("annotation", "returns")]
    kept = {part for note in notes if note is not None for part in ast.walk(note)}
    return [
        ast.unparse(node)
        for node in every
        if (isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and node not in kept)
        or (isinstance(node, ast.Call) and "strict" in [word.arg for word in node.keywords])
    ]
