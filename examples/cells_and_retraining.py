"""A cell search, and its best genotype trained from scratch: small numbers, two minutes."""

from dataclasses import replace

import fade_ray
from spaces import write_genotype

if __name__ == "__main__":
    config = fade_ray.CellsConfig(
        data=fade_ray.DataConfig(data="digits", limit=300),
        grid=fade_ray.GridConfig(
            recipes=("darts-1st", "random"), spaces=("s5",), cells=3, channels=4, epochs=2
        ),
        run=fade_ray.RunConfig(engine="local"),
        out="runs/cells",
    )
    found = fade_ray.cells(config)
    print(write_genotype(found.architecture))  # the best on held-out images

    quick = fade_ray.RetrainConfig(genotype=found.architecture, epochs=2, out="runs/retrained")
    quick = replace(
        quick,
        data=replace(quick.data, data="digits", limit=300),
        network=replace(quick.network, cells=3, channels=4),
    )
    trained = fade_ray.retrain(quick)
    print(f"test accuracy {trained.test_accuracy:.3f}")
