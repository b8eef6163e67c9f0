"""Three searchers under one budget: far too small a one to show anything, but in a minute."""

import fade_ray

if __name__ == "__main__":
    config = fade_ray.CompareConfig(
        contest=fade_ray.ContestConfig(("fade", "random", "evolution"), seeds=(0, 1), budget=1200),
        data=fade_ray.DataConfig(data="digits", limit=300),
        outer=fade_ray.OuterConfig(rank_epochs=1, evaluation_epochs=1),
        run=fade_ray.RunConfig(engine="local"),
        out="runs/compare",
    )
    result = fade_ray.compare(config)
    for row in result.table("searchers").to_pylist():
        print(f"{row['searcher']:10} {row['mean']:.3f} +- {row['std']:.3f} ({row['seeds']} seeds)")
    print(*result.run.made.verdict, sep="\n")
