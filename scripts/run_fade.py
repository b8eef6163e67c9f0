"""What `ray submit` and `ray job submit` carry out on a cluster: every command of `fade-ray`, with
the same arguments, a search where none is named.

    ray submit cluster.yaml scripts/run_fade.py -- search --out /shared/runs/mine

`ray submit` joins its arguments without quotes. In one string they arrive as they are:

    ray submit cluster.yaml scripts/run_fade.py -- "search --name 'two words' --out /shared/runs/b"
"""

import os
import shlex
import sys
from collections.abc import Sequence

from fade_ray.cli import main

TORN = (
    "`ray submit` tears arguments with spaces apart. If one of yours has some, give all of them as "
    "one string, with quotes inside: -- \"search --name 'two words'\""
)


def words(arguments: Sequence[str]) -> list[str]:
    """Those of a command line, from what the script was given."""
    apart = shlex.split(arguments[0]) if len(arguments) == 1 else list(arguments)
    named = apart and (not apart[0].startswith("-") or apart[0] in ("-h", "--help", "--version"))
    return apart if named else ["search", *apart]


if __name__ == "__main__":
    try:
        main(words(sys.argv[1:]))
    except SystemExit as left:
        if left.code == 2 and os.environ.get("PYTHONWARNINGS") == "ignore":  # under `ray submit`
            print(TORN, file=sys.stderr)
        raise
