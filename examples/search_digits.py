"""A search from Python, as in a notebook: small numbers, so that it takes half a minute."""

import fade_ray
from fade_ray.data.data_config import DataConfig
from fade_ray.run.run_config import RunConfig
from fade_ray.search.search_config import OuterConfig
from searchers import AnchorWalk

if __name__ == "__main__":
    config = fade_ray.Config(
        data=DataConfig(data="digits", limit=600),
        searcher=AnchorWalk(iterations=2, walks=1, finalists=1),
        outer=OuterConfig(rank_epochs=2, evaluation_epochs=2, retrain_epochs=4),
        run=RunConfig(engine="local"),
        out="runs/digits",  # run it again: it continues, or reads what was found
    )
    result = fade_ray.search(config)
    print(result.architecture.code(), f"test accuracy {result.test_accuracy:.3f}")
    print(result.folder / "report.html")
