"""How the papers retrain what they found. A new one is a new line; flags override every value."""

from dataclasses import replace

from fade_ray.retraining.retrain_config import NetworkOptions, RetrainConfig, RetrainData
from fade_ray.training.objectives import Classification, LanguageModel
from fade_ray.training.optimisers import SGD, SGDThenASGD
from fade_ray.training.train_config import TrainConfig
from spaces.errors import require_known

# DARTS, CIFAR-10 (algorithms B.4): 20 cells, 36 channels; SGD 0.025, cosine to 0, momentum 0.9,
# weight decay 3e-4, clip 5; cutout 16, drop path to 0.2, auxiliary head at 0.4. Crop 32 after
# padding by 4 and flip are the data set's own augmentation.
_CIFAR = TrainConfig(
    batch_size=96,
    optimiser=SGD(final_learning_rate=0.0),
    objective=Classification(auxiliary_weight=0.4),
    drop_path=0.2,
)
_DARTS_CIFAR10 = RetrainConfig(
    data=RetrainData(data="cifar10", normalisation="cifar10", cutout=16),
    network=NetworkOptions(cells=20, channels=36),
    train=_CIFAR,
    epochs=600,
)
_CIFAR100 = replace(_DARTS_CIFAR10.data, data="cifar100", normalisation="cifar100")

# DARTS, ImageNet mobile (algorithms B.4): 14 cells, 48 channels, 250 epochs, batch 128, SGD 0.1 *
# 0.97^epoch, weight decay 3e-5, label smoothing 0.1, auxiliary head at 0.4 without its second
# BatchNorm, no drop path, colour jitter 0.4/0.4/0.4/0.2.
_DARTS_IMAGENET = RetrainConfig(
    data=RetrainData(
        data="imagenet",
        loader="folder",
        image_side=224,
        normalisation="imagenet",
        jitter=(0.4, 0.4, 0.4, 0.2),
    ),
    network=NetworkOptions(cells=14, channels=48, stem="imagenet", auxiliary_norm=False),
    train=TrainConfig(
        batch_size=128,
        optimiser=SGD(
            learning_rate=0.1, final_learning_rate=0.0, schedule="exponential", weight_decay=3e-5
        ),
        objective=Classification(label_smoothing=0.1, auxiliary_weight=0.4),
    ),
    epochs=250,
)
# P-DARTS and PC-DARTS (algorithms B.4): batch 1024, SGD 0.5, linear to 0 with smaller last steps,
# five epochs of warm-up; the head has its second BatchNorm.
_PDARTS_SGD = replace(
    _DARTS_IMAGENET.train.optimiser,
    learning_rate=0.5,
    schedule="linear-slow-end",
    warm_up_epochs=5,
)
_PDARTS_IMAGENET = replace(
    _DARTS_IMAGENET,
    network=replace(_DARTS_IMAGENET.network, auxiliary_norm=True),
    train=replace(_DARTS_IMAGENET.train, batch_size=1024, optimiser=_PDARTS_SGD),
)

# DARTS, Penn Treebank (algorithms B.5): 850 units, 8000 epochs, batch 64, SGD 20 and then its
# average, weight decay 8e-7, clip 0.25; lengths N(35, 5), one in twenty halved; seed 1267
_DARTS_PTB = RetrainConfig(
    network=NetworkOptions(cells=1, channels=850),
    train=TrainConfig(
        batch_size=64,
        optimiser=SGDThenASGD(weight_decay=8e-7),
        objective=LanguageModel(spread=5.0, word_dropout=0.1),
    ),
    epochs=8000,
    export="best",
    seed=1267,
)
RETRAIN_RECIPES: dict[str, RetrainConfig] = {
    # For small machines, no paper's: minutes on two processors for the digits. Its data are those
    # of the search.
    "quick": RetrainConfig(
        # 6: a depth of DARTS's stack and of NAS-Bench-201's
        network=NetworkOptions(cells=6, channels=16),
        train=TrainConfig(optimiser=SGD(final_learning_rate=0.0)),
        epochs=20,
    ),
    # the same of text: a small network can do with less dropout, and takes shorter steps
    "quick-text": replace(
        _DARTS_PTB,
        network=NetworkOptions(cells=1, channels=64),
        train=replace(
            _DARTS_PTB.train,
            batch_size=32,
            optimiser=SGDThenASGD(learning_rate=5.0, weight_decay=8e-7),
            objective=LanguageModel(
                output_dropout=0.2, hidden_dropout=0.1, input_dropout=0.2, spread=5.0
            ),
        ),
        epochs=20,
        seed=0,
    ),
    "darts-ptb": _DARTS_PTB,
    # DARTS, WikiText-2: 700 units, hidden dropout 0.15, weight decay 5e-7 (algorithms B.5)
    "darts-wikitext2": replace(
        _DARTS_PTB,
        network=NetworkOptions(cells=1, channels=700),
        train=replace(
            _DARTS_PTB.train,
            optimiser=SGDThenASGD(),
            objective=LanguageModel(spread=5.0, word_dropout=0.1, hidden_dropout=0.15),
        ),
    ),
    "darts-cifar10": _DARTS_CIFAR10,
    # DARTS, CIFAR-100: the same with 100 classes (algorithms B.4)
    "darts-cifar100": replace(_DARTS_CIFAR10, data=_CIFAR100),
    # P-DARTS, CIFAR-100: batch 128, drop path 0.3 (algorithms B.4)
    "pdarts-cifar100": replace(
        _DARTS_CIFAR10, data=_CIFAR100, train=replace(_CIFAR, batch_size=128, drop_path=0.3)
    ),
    # StacNAS, CIFAR-10: as DARTS, with a BatchNorm after pools and seed 3 (algorithms C.6)
    "stacnas-cifar10": replace(
        _DARTS_CIFAR10, network=NetworkOptions(cells=20, channels=36, pool_norm=True), seed=3
    ),
    "darts-imagenet": _DARTS_IMAGENET,
    "pdarts-imagenet": _PDARTS_IMAGENET,
    # Single-level DARTS: the recipe of P-DARTS with batch 768, SGD 0.375, linear to 0 (algorithms
    # E.5)
    "single-level-imagenet": replace(
        _PDARTS_IMAGENET,
        train=replace(
            _PDARTS_IMAGENET.train,
            batch_size=768,
            optimiser=replace(_PDARTS_SGD, learning_rate=0.375, schedule="linear"),
        ),
    ),
    # NAS-Bench-201 (Dong & Yang, 2020, section 2.2): 15 cells, 16 channels, 200 epochs, batch 256,
    # SGD 0.1 with Nesterov momentum, cosine to 0, weight decay 5e-4, crop and flip alone
    "nasbench201-cifar10": RetrainConfig(
        data=RetrainData(data="cifar10", normalisation="cifar10"),
        network=NetworkOptions(cells=15, channels=16),
        train=TrainConfig(
            batch_size=256,
            optimiser=SGD(
                learning_rate=0.1,
                final_learning_rate=0.0,
                nesterov=True,
                weight_decay=5e-4,
                clip=0.0,
            ),
        ),
        epochs=200,
    ),
}


QUICK = {"images": "quick", "text": "quick-text"}
"""The recipe where none is named, by the task of a stacking."""


def retrain_recipe(name: str) -> RetrainConfig:
    """The recipe of that name. Raises InvalidInput with the nearest one."""
    require_known("A recipe", name, RETRAIN_RECIPES)
    return replace(RETRAIN_RECIPES[name], recipe=name)
