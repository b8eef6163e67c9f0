"""The short runs of `check_bits.py`: at least one of every kind.

In a command {images}, {split}, {ranks}, {macro} and {nb201} stand for files: a generated folder of
colour images, one of the same with train/ and val/, a generated file of learned ranks, and the
tables of NAS-Bench-Macro and NAS-Bench-201.

Sizes, shares and rates are no powers of two where they can be helped: with 32 images in a batch,
3 paths or a scale of 0.5 another order of the same products gives the same bits, proving nothing.
"""

from dataclasses import dataclass, replace
from itertools import product


@dataclass(frozen=True)
class Case:
    """A run, or several that follow on each other in one folder.

    `commands` are those of the reference; `now` those of the tree that is compared, where its
    options have other names. Each writes into `--out run`, which is digested.
    `shown`: what the command prints is digested too.
    `changed`: the beginnings of the places ("tables/tests.csv p") whose numbers may differ, with
    the reason.
    """

    commands: tuple[str, ...]
    now: tuple[str, ...] | None = None
    shown: bool = False
    changed: tuple[tuple[str, str], ...] = ()


def _one(command: str, now: str | None = None) -> Case:
    return Case((command,), None if now is None else (now,))


def _search(command: str) -> Case:
    """A search that ends as it did before there was anything to choose."""
    return _one(command, f"{command} --confirmed 0 --retrain-schedule same --baselines off")


ESTIMATORS = (
    "score-function",
    "score-function-split",
    "marginal",
    "permuted",
    "straight-through-exact",
    "straight-through-sampled",
)
DRAWS = ("uniform", "weighted")
SHARP = " --architecture-learning-rate 0.3"
"""Logits' steps of their own size, in which a last bit of the gradient is not lost."""
LOCAL = "--engine local --device cpu"
CHAIN = "--limit 240 --depth 3 --final-channels 8 --batch-size 30"
SEARCH = (
    f"search {LOCAL} {CHAIN} --iterations 2 --walks 1 --rank-epochs 2 --evaluation-epochs 1"
    " --retrain-epochs 1 --finalists 1 --out run"
)
POINTS = f"{SEARCH} --test-evaluations".replace(" --finalists 1", "")  # an option of walks

SEARCHES: dict[str, Case] = {
    **{
        f"search-{name}-{draw}": _search(
            f"{SEARCH} --estimator {name} --draw {draw} --logit-std 0.3{SHARP}"
            # behind the row a norm would cancel the sampled gradient
            + (" --norm none" if name == "straight-through-sampled" else "")
        )
        for name, draw in product(ESTIMATORS, DRAWS)
    },
    "search-penalty": _search(f"{SEARCH} --penalty max-norm --penalty-scale 0.7 --rank-epochs 3"),
    "search-penalty-by-cell": _search(f"{SEARCH} --penalty max-norm-by-cell --rank-epochs 3"),
    "search-penalty-exact": _search(
        f"{SEARCH} --penalty max-norm-by-cell --estimator straight-through-exact"
        " --draw weighted --rank-epochs 3"
    ),
    "search-cold": _search(f"{SEARCH} --no-carry-weights"),
    "search-separate": _search(f"{SEARCH} --no-carry-weights --no-share"),
    "search-separate-exact": _search(
        f"{SEARCH} --no-carry-weights --no-share --estimator straight-through-exact --norm none"
    ),
    "search-norm-operation": _search(f"{SEARCH} --norm operation --activation edge --pool average"),
    "search-norm-none": _search(f"{SEARCH} --norm none --kernel 5 --strides 1 2 2 --clip 0"),
    "search-warm-up": _search(
        f"{SEARCH} --warm-up 1 --weight-paths 4 --schedule cosine --rank-epochs 3"
    ),
    "search-decay": _search(
        f"{SEARCH} --architecture-weight-decay 0.1 --architecture-learning-rate 0.1"
        " --weight-decay 0.01 --beta1 0.7 --seed 3 --split-seed 2"
    ),
    "search-augmented": _search(f"{SEARCH} --crop 1 --flip True --cutout 2 --image-side 12"),
    "search-colour": _search(f"{SEARCH} --data {{images}} --limit 150"),
    "search-walks": _search(
        f"{SEARCH} --walks 3 --iterations 3 --evaluate-every 1 --elites 1 --repeats 3"
        " --evaluations 2 --evolve --mutation 0.3 --rank-epochs 1 --test-evaluations"
    ),
    "search-wide": _search(f"{SEARCH} --walks 3 --wide --iterations 3 --evaluate-every 1"),
    "search-steps": _search(
        f"{SEARCH} --gradient least-squares --gamma-rule distinct --step-rule normalised"
        " --momentum 0.3 --step-size 1.7 --iterations 3"
    ),
    "search-space": _search(
        f"{SEARCH} --features operations edges depth density --bins 4 --min-vertices 2"
        " --max-vertices 4"
    ),
    "search-random": _search(f"{POINTS} --searcher random --evaluations 3"),
    "search-bayes": _search(f"{POINTS} --searcher bayes --evaluations 2 --iterations 4"),
    "search-bayes-joint": _search(
        f"{POINTS} --searcher bayes --joint --evaluations 1 --iterations 4"
    ),
    "search-evolution": _search(
        f"{POINTS} --searcher evolution --population 3 --tournament 2 --iterations 4 --walks 2"
    ),
    "search-paper": _search(
        f"search --recipe paper {LOCAL} --limit 240 --final-channels 8 --batch-size 30 --depth 3"
        " --iterations 4 --rank-epochs 2 --evaluation-epochs 1 --evaluations 2 --retrain-epochs 1"
        " --out run"
    ),
}

CELLS = f"cells {LOCAL} --limit 240 --channels 4 --epochs 3 --batch-size 30 --out run"
SMALL = f"{CELLS} --cells 3"
PAIRS: dict[str, tuple[str, ...]] = {
    "darts-1st": ("s5", "nasbench201", "darts"),
    "darts-2nd": ("s5", "nasbench201"),
    "single-level": ("s5", "nasbench201"),
    "single-level-softmax": ("s3", "nasbench201"),
    "darts-1st-sigmoid": ("s5", "nasbench201"),
    "amended": ("s5", "nasbench201", "amended-s2"),
    "amended-edges": ("amended-s3", "amended-s2"),
    "amended-fixed": ("nasbench201", "amended-s2-fixed"),
    "gdas": ("s5", "nasbench201", "s1"),
    "pc-darts": ("s5", "nasbench201", "s4"),
}
"""Recipe -> spaces that it is searched on."""

CELL_SEARCHES: dict[str, Case] = {
    **{
        f"cells-{recipe}-{space}": _one(
            f"{SMALL} --recipes {recipe} --spaces {space}"
            # a quarter of the channels, two at least
            + (" --channels 8" if recipe == "pc-darts" else "")
            # as above; on the other spaces the recipe's own
            + (SHARP if space == spaces[0] else "")
        )
        for recipe, spaces in PAIRS.items()
        for space in spaces
    },
    # a run in which nothing is trained has no best search to end with
    "cells-random-s5": _one(f"{SMALL} --recipes random darts-1st --spaces s5 --seeds 0 1"),
    "cells-random-nasbench201": _one(f"{SMALL} --recipes darts-1st random --spaces nasbench201"),
    "cells-forward": _one(
        f"{SMALL} --recipes darts-2nd amended --spaces s5 --difference forward --eta 0.3{SHARP}"
    ),
    "cells-regularised": _one(
        f"{SMALL} --recipes darts-1st pc-darts --spaces s2 --channels 8 --drop-path 0.3"
        " --cutout 3 --label-smoothing 0.1 --ema 0.9 --nesterov"
    ),
    "cells-regularised-joint": _one(
        f"{SMALL} --recipes single-level --spaces amended-s3 --drop-path 0.3 --limit 120"
        " --auxiliary-weight 0.4 --cutout 3 --image-side 32 --no-lower-rate"
    ),
    "cells-eigenvalue": _one(f"{SMALL} --recipes darts-1st --spaces s5 --eigenvalue-every 1"),
    "cells-sgd": _one(
        f"{SMALL} --recipes darts-1st single-level --spaces nasbench201"
        " --architecture-optimizer sgd --architecture-weight-decay 0 --no-lower-rate"
    ),
    "cells-schedule": _one(
        f"{SMALL} --recipes pc-darts darts-1st --spaces s5 --channels 8 --schedule linear"
        " --architecture-warm-up 0.5 --architecture-learning-rate 0.01 --held-out 0.3 --clip 0"
    ),
    "cells-seeds": _one(f"{SMALL} --recipes darts-1st random --spaces nasbench201 --seeds 1 2"),
    "cells-colour": _one(
        f"{SMALL} --recipes darts-1st --spaces s5 --data {{images}} --limit 150 --crop 2"
        " --flip True"
    ),
    "cells-table": _one(
        f"{SMALL} --recipes darts-1st random --spaces nasbench201 --table {{nb201}}"
    ),
    "cells-retrained": Case(
        (
            f"{SMALL} --recipes gdas random --spaces nasbench201",
            "retrain run --trial 000 --device cpu --epochs 1 --channels 4 --cells 3",
            "retrain run --device cpu --epochs 1 --channels 4 --cells 3 --ema 0.6 --trial 001",
            "report run",
        )
    ),
    "cells-unshared-retrained": Case(
        (
            f"{SMALL} --recipes random darts-1st --spaces amended-s2",
            "retrain run --trial 000 --device cpu --epochs 1 --channels 4 --drop-path 0.2",
        )
    ),
}

COMPARE = (
    f"compare {LOCAL} {CHAIN} --depth 2 --rank-epochs 1 --evaluation-epochs 1 --seeds 0 1"
    " --budget 1200 --out run --searchers random"
)
COMPARISONS: dict[str, Case] = {
    "compare-searchers": _one(f"{COMPARE},fade,bayes,evolution"),
    "compare-points": _one(f"{COMPARE},random-median,bayes-median,bayes-joint --budget 2000"),
    "compare-walks": _one(
        f"{COMPARE},fade-paper,fade-elites,fade-repeats,fade-least-squares,fade-distinct,fade-normalised,fade-momentum"
    ),
    "compare-populations": _one(f"{COMPARE},fade-population,fade-wide --budget 3000"),
    "compare-trainings": _one(
        f"{COMPARE},fade-cold,fade-weight-paths,fade-exact,fade-split,fade-marginal,fade-blind"
    ),
    "compare-sampled": _one(f"{COMPARE},fade-sampled --norm none"),
}

RANKS = (
    f"rank-study {LOCAL} {CHAIN} --rank-epochs 2 --sample 3 --repeats 2 --alone-epochs 1"
    " --graphs 3 --out run"
)
RANK_STUDIES: dict[str, Case] = {
    "ranks-seeds": _one(f"{RANKS} --settings default marginal-late --seeds 0 1"),
    "ranks-operations": _one(f"{RANKS} --settings shared separate --seeds 0 --operations 5 6 7"),
    "ranks-settings": _one(
        f"{RANKS} --repeats 1 --seeds 0 --settings default score-weighted score-split marginal"
        " late blind weight-paths exact exact-uniform penalty penalty-by-cell paper"
    ),
    "ranks-sampled": _one(f"{RANKS} --repeats 1 --seeds 0 --settings sampled --norm none"),
    "ranks-macro": _one(
        f"rank-study {LOCAL} --limit 240 --batch-size 30 --cells nasbench-macro --table {{macro}}"
        " --settings default marginal-late blind exact --seeds 0 1 --rank-epochs 2"
        " --base-channels 4 --image-side 16 --depth 8 --out run"
    ),
}

REPLAY = "replay --out run --table {macro} --seeds 4 --bayes-seeds 1 --budget 24 --searchers random"
WALKS = (
    ",fade,evolution,random-median,fade-paper,fade-elites,fade-repeats,fade-least-squares"
    ",fade-distinct,fade-normalised,fade-momentum,fade-population,fade-wide,fade-blind"
)
REPLAYS: dict[str, Case] = {
    "replay-macro": _one(REPLAY + WALKS),
    "replay-macro-bayes": _one(REPLAY + ",bayes,bayes-median,bayes-joint"),
    "replay-macro-signal": _one(
        REPLAY + ",fade --rank-noise 0.2 --rank-signal 0.7 --temperature 1.3 --rank-cost 0.6"
    ),
    "replay-macro-ranks": _one(REPLAY + ",fade,fade-blind,fade-wide --ranks {ranks}"),
    "replay-nb201": _one(REPLAY.replace("{macro}", "{nb201}") + WALKS),
    "replay-nb201-trained": _one(
        REPLAY.replace("{macro}", "{nb201}") + ",fade,bayes --valid c10_valid_200"
    ),
}

RETRAIN = "--device cpu --limit 240 --channels 4 --cells 6 --batch-size 30 --out run"
RETRAININGS: dict[str, Case] = {
    "retrain-quick": _one(f"retrain DARTS_V2 {RETRAIN} --epochs 3"),
    "retrain-regularised": _one(
        f"retrain PC_DARTS_cifar {RETRAIN} --epochs 3 --drop-path 0.3 --auxiliary-weight 0.4"
        " --image-side 32 --limit 120 --cells 3"
        " --cutout 3 --ema 0.9 --label-smoothing 0.1 --nesterov --export average --pool-norm"
    ),
    "retrain-schedule": _one(
        f"retrain DARTS_V1 {RETRAIN} --epochs 7 --schedule linear-slow-end --warm-up-epochs 1"
        " --export best --cells 3"
    ),
    "retrain-exponential": _one(
        f"retrain all-skip {RETRAIN} --epochs 2 --schedule exponential --cells 3 --seed 5"
    ),
    "retrain-darts": _one(
        f"retrain DARTS_V2 --recipe darts-cifar10 {RETRAIN} --data {{images}} --limit 150"
        " --epochs 2 --drop-path 0.2 --crop 2 --flip True --image-side 32 --cells 3"
    ),
    "retrain-imagenet": _one(
        f"retrain DARTS_V2 {RETRAIN} --data {{images}} --limit 24 --epochs 1 --stem imagenet"
        " --image-side 224 --auxiliary-weight 0.4 --no-auxiliary-norm --cells 3 --channels 16"
        " --batch-size 7"
    ),
    "retrain-folder": _one(
        "retrain DARTS_V1 --device cpu --channels 4 --cells 3 --batch-size 15 --epochs 2 --out run"
        " --data {split} --loader folder --image-side 32 --jitter 0.4 0.4 0.4 0.2"
        " --loader-workers 0"
    ),
}

GRADIENTS = "analyse gradients --device cpu --limit 240 --seeds 0 --channels 4 --batch-size 15"
STUDIES: dict[str, Case] = {
    "gradients": _one(f"{GRADIENTS} --epochs 2 --pairs 2 --relaxation softmax sigmoid --out run"),
    "describe": Case(
        tuple(
            f"describe '{name}'"
            for name in (
                "DARTS_V2",
                "3.6/4.3f/5.0",
                "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|",
            )
        ),
        shown=True,
    ),
}

# On Ray, one trial at a time, and two workers that share every batch
RAY: dict[str, Case] = {
    "ray-search": _search(
        SEARCH.replace("--engine local", "--engine ray --address local --concurrency 1")
    ),
    "ray-retrain": _one(f"retrain DARTS_V2 {RETRAIN} --epochs 2 --workers 2 --address local"),
}

TWO_SIDED = tuple(
    (f"{table}tests", "paired tests are two-sided since")
    for table in ("comparison.json ", "tables/")
)


def _two_sided(cases: dict[str, Case]) -> dict[str, Case]:
    return {name: replace(case, changed=TWO_SIDED) for name, case in cases.items()}


CASES: dict[str, Case] = (
    SEARCHES
    | CELL_SEARCHES
    | _two_sided(COMPARISONS)
    | RANK_STUDIES
    | _two_sided(REPLAYS)
    | RETRAININGS
    | STUDIES
    | RAY
)
