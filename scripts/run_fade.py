"""What `ray submit cluster.yaml scripts/run_fade.py` sends: `fade-ray search` with the same
arguments.
"""

import sys

from fade_ray.cli import main

if __name__ == "__main__":
    main(["search", *sys.argv[1:]])
