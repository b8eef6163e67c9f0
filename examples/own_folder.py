"""A search on a folder with one folder of images per class."""

from pathlib import Path

import fade_ray


def make_photos(folder: Path) -> None:
    """Stand-ins for photographs: 40 zeros and 40 ones in color, of several sizes."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits(n_class=2)
    for name, label in (("zero", 0), ("one", 1)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, picture in enumerate(digits.images[digits.target == label][:40]):
            image = Image.fromarray((picture * 15.9).astype(np.uint8)).convert("RGB")
            image.resize((20 + i % 3, 24)).save(folder / name / f"{i:03}.png")


if __name__ == "__main__":
    make_photos(Path("photos"))
    config = fade_ray.Config(
        data=fade_ray.DataConfig(data="photos", image_side=16),
        searcher=fade_ray.AnchorWalk(iterations=1, walks=1, finalists=1),
        outer=fade_ray.OuterConfig(rank_epochs=1, evaluation_epochs=1, retrain_epochs=3),
        finish=fade_ray.FinishConfig(confirmed=1, baselines=()),
        run=fade_ray.RunConfig(engine="local"),
        out="runs/photos",
    )
    result = fade_ray.search(config)
    print(result.summary["data"])
    print(f"test accuracy {result.test_accuracy:.3f}, chance {result.summary['chance']:.3f}")
