"""Three searchers under one budget: far too small a one to show anything, but in a minute."""

import json
from pathlib import Path

from fade_ray.cli import main

if __name__ == "__main__":
    searchers = "--searchers fade random evolution --seeds 0 1 --data digits --limit 300"
    lengths = "--rank-epochs 1 --evaluation-epochs 1 --budget 1200 --engine local"
    main(["compare", *searchers.split(), *lengths.split(), "--out", "runs/compare"])
    comparison = json.loads(Path("runs/compare/comparison.json").read_text())
    print("\n".join(comparison["verdict"]))
