"""A cell search, and its best genotype trained from scratch: small numbers, two minutes."""

from fade_ray.cli import main

SMALL = ["--data", "digits", "--limit", "300", "--cells", "3", "--channels", "4"]

if __name__ == "__main__":
    search = "--recipes darts-1st random --spaces s5 --seeds 0 --epochs 2 --batch-size 32"
    main(["cells", *search.split(), *SMALL, "--engine", "local", "--out", "runs/cells"])
    training = "--recipe quick --epochs 2 --cells 3 --channels 4 --out runs/cells/again"
    main(["retrain", "runs/cells", *training.split()])
