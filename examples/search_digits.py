"""A search from Python, as in a notebook: small numbers, so that it takes half a minute."""

import fade_ray

if __name__ == "__main__":
    config = fade_ray.Config(
        data=fade_ray.DataConfig(data="digits", limit=600),
        searcher=fade_ray.AnchorWalk(iterations=2, walks=1, finalists=1),
        outer=fade_ray.OuterConfig(rank_epochs=2, evaluation_epochs=2, retrain_epochs=4),
        finish=fade_ray.FinishConfig(confirmed=1, baselines=()),
        run=fade_ray.RunConfig(engine="local"),
        out="runs/digits",  # run it again: it continues, or reads what was found
    )
    result = fade_ray.search(config)
    print(result.architecture.code(), f"test accuracy {result.test_accuracy:.3f}")
    print(result.table("trials").num_rows, "trials;", result.figure("accuracy"))
    print(sum(weight.numel() for weight in result.model().parameters()), "weights")
