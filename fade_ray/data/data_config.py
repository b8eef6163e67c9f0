"""What a run says about its images."""

from dataclasses import dataclass, replace

from fade_ray.data import Augment, Splits, load


@dataclass(frozen=True)
class DataConfig:
    """The images of a run."""

    data: str = "digits"
    """digits, cifar10, cifar100, a folder of class folders, or Parquet with `img` and `label` (for
    other objectives than classification `target`): a file, or a folder of files as hubs keep them;
    for spaces of text a folder with train.txt, valid.txt and test.txt.
    """
    test_data: str | None = None
    """Parquet file or folder of the test images; without one, a sixth of the data is the test part.
    """
    data_root: str = "~/.cache/fade_ray"
    """Where cifar10 and cifar100 are kept or downloaded to."""
    image_side: int | None = None
    """Resize images to this side, in pixels (shorter side, then centre crop)."""
    limit: int | None = None
    """Use this many images (test images of a test set of its own not counted), drawn stratified; of
    a text the first words of train and of valid.
    """
    test_limit: int | None = None
    """Use this many images, or words, of the test set."""
    split_seed: int = 0
    """Seed of the stratified split 1:1:4 (test : architecture : weights)."""
    crop: int | None = None
    """Augmentation: random crop after padding by this many pixels; by default the usual."""
    flip: bool | None = None
    """Augmentation: random horizontal flip; by default the usual."""
    cutout: int | None = None
    """Augmentation: a square of this side, in pixels, is blanked."""

    def augmentation(self, usual: Augment) -> Augment:
        """That of the data set, with what is given here."""
        given = {name: getattr(self, name) for name in ("crop", "flip", "cutout")}
        return replace(usual, **{name: v for name, v in given.items() if v is not None})


def load_images(data: DataConfig, target: str = "class") -> Splits:
    """`load` with the values of `data`, and the augmentation that these ask for. Raises
    InvalidInput for everything a user can mend.
    """
    splits = load(
        data.data,
        test_data=data.test_data,
        root=data.data_root,
        image_side=data.image_side,
        limit=data.limit,
        test_limit=data.test_limit,
        split_seed=data.split_seed,
        target=target,
    )
    return replace(splits, augment=data.augmentation(splits.augment))
