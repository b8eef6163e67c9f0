"""A task of one's own: disks and squares are told apart pixel by pixel, by an own loss."""

from dataclasses import dataclass

import numpy as np

import fade_ray
from fade_ray.training import Segmentation


@dataclass(frozen=True)
class Overlap(Segmentation, name="overlap"):
    """Cross-entropy, and how little of each class overlaps; measured as mean IoU, as is usual."""

    weight: float = 1.0

    def loss(self, scores, batch, *, training):
        said = scores.main.softmax(dim=1)
        given = batch[1].unsqueeze(1) == said.new_tensor(range(said.shape[1])).view(1, -1, 1, 1)
        both, either = (said * given).sum((0, 2, 3)), (said + given).sum((0, 2, 3))
        overlap = (2 * both / either.clamp(min=1)).mean()
        return super().loss(scores, batch, training=training) + self.weight * (1 - overlap)


def shapes(count, side=16):
    """Noise with a disk or a square in it, and of each pixel: 0 nothing, 1 square, 2 disk."""
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 90, (count, side, side), dtype=np.uint8)
    maps = np.zeros((count, side, side), np.uint8)
    rows, columns = np.mgrid[:side, :side]
    for image, classes in zip(images, maps, strict=True):
        row, column = drawn.integers(4, side - 4, 2)
        kind, size = drawn.integers(1, 3), drawn.integers(2, 5)
        far = abs(rows - row), abs(columns - column)
        inside = (np.maximum(*far) if kind == 1 else np.hypot(*far)) <= size
        image[inside], classes[inside] = drawn.integers(150, 255), kind
    return images, maps


if __name__ == "__main__":
    config = fade_ray.Config(
        network=fade_ray.NetworkConfig(depth=3, final_channels=16, strides=(1, 2, 1)),
        searcher=fade_ray.AnchorWalk(iterations=1, walks=1, finalists=1),
        outer=fade_ray.OuterConfig(rank_epochs=2, evaluation_epochs=2, retrain_epochs=8),
        finish=fade_ray.FinishConfig(confirmed=0, baselines=()),
        out="runs/shapes",
    )
    result = fade_ray.search(config, data=shapes(300), objective=Overlap(weight=0.5))
    print(result.architecture.code(), f"mean IoU {result.summary['test_mean_iou']:.3f}")
    print(f"the same answer for all images: {result.summary['chance']:.3f}")
