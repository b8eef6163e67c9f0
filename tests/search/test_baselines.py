"""What a found architecture is held against: its size, its trainings, and what is said of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_run import SyntheticRun

from fade_ray.nn import Network, NetworkConfig, parameters
from fade_ray.nn.resnet import resnet18
from fade_ray.report.words import ACCURACY
from fade_ray.search.baselines import BASELINES, chain_of
from fade_ray.search.beside import UNTRAINED, Beside, median_latency
from fade_ray.search.search_config import FORMERLY, Config, FinishConfig, upgrade
from fade_ray.search.search_history import History
from fade_ray.training import Adam, TrainConfig
from fade_ray.training.optimisers import PEAK, SCHEDULES
from searchers import Outcome
from spaces import Dag, GraphSpace, HyperArchitecture
from spaces.errors import InvalidInput

FOUND = HyperArchitecture(tuple((dag,) for dag in (Dag(3, ((0, 2), (1, 2))), Dag(4, ((0, 1),)))))
CONFIG = NetworkConfig(depth=2, final_channels=24, kernel=3)
SIZES = {"side": 12, "channels": 3, "classes": 7}


def alone(hyper: HyperArchitecture, **sizes: Any) -> Network:
    return chain_of(hyper, CONFIG, **sizes)


def built(name: str, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return BASELINES[name].build(alone, FOUND, CONFIG, generator=generator, **SIZES)


@pytest.mark.parametrize(
    ("name", "size", "wider"),
    [("plain-chain", parameters, 3), ("resnet-18", Network.multiply_adds, 1)],
)
def test_a_baseline_is_of_the_size_of_what_was_found(name: str, size: object, wider: int) -> None:
    """Half a step of its width from it at most, and built again the same."""
    network, target = built(name), chain_of(FOUND, CONFIG, generator=torch.Generator(), **SIZES)
    assert abs(size(network) / size(target) - 1) < 0.2  # type: ignore[operator]
    again = built(name)
    for ours, theirs in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert network(torch.zeros(2, 3, 12, 12)).main.shape == (2, 7)


def test_the_width_is_the_nearest_one() -> None:
    target = chain_of(FOUND, CONFIG, generator=torch.Generator(), **SIZES).multiply_adds()
    width = built("resnet-18").places[0].out.channels
    beside = [
        resnet18(each, generator=torch.Generator(), **SIZES).multiply_adds() - target
        for each in (width - 1, width, width + 1)
    ]
    assert abs(beside[1]) == min(map(abs, beside))


def test_resnet_18_is_the_one_of_the_literature() -> None:
    """11,173,962 weights for CIFAR-10; its multiply-adds are those of all layers one by one."""
    network = resnet18(64, side=32, channels=3, classes=10, generator=torch.Generator())
    assert parameters(network) == 11_173_962
    counted: list[int] = []

    def count(layer: torch.nn.Conv2d, given: object, out: torch.Tensor) -> None:
        counted.append(layer.weight.numel() * out[0, 0].numel())

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 3, 32, 32))
    assert len(counted) == 20
    assert network.multiply_adds() == sum(counted) + 512 * 10


def test_random_architectures_are_of_the_space_and_differ() -> None:
    space, rng = GraphSpace.create(), np.random.default_rng(3)
    drawn = [BASELINES["random"].cells(space, FOUND, rng) for _ in range(5)]
    assert len({each.code() for each in drawn}) > 2
    for each in drawn:
        assert (each.depth, each.width) == (2, 1)
        assert all(3 <= row[0].n <= 5 for row in each.graphs())


def test_one_word_turns_the_baselines_off() -> None:
    off = FinishConfig(baselines=("off",))
    assert (off.baselines, off.seeds) == ((), 1)
    assert FinishConfig().seeds == 7
    assert FinishConfig(retrain_seeds=2).seeds == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"baselines": ("resnet-81",)}, "Did you mean 'resnet-18'"),
        ({"baselines": ("random", "random")}, "baselines differ"),
        ({"retrain_seeds": 0}, "retrain_seeds >= 1"),
        ({"retrain_schedule": "one-cicle"}, "Did you mean 'one-cycle'"),
    ],
)
def test_what_cannot_be_trained_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        FinishConfig(**options)  # type: ignore[arg-type]


def test_searches_of_earlier_versions_end_as_they_would_have() -> None:
    finish = FinishConfig(**FORMERLY)
    assert upgrade({"outer": {}})["finish"] == FORMERLY
    assert (finish.seeds, finish.baselines) == (1, ())
    train = TrainConfig(optimiser=Adam(schedule="linear"))
    assert finish.training(train) is train
    assert FinishConfig(retrain_schedule="cosine").training(train).optimiser.schedule == "cosine"
    assert Config().finish.training(train).optimiser.schedule == "one-cycle"


@settings(max_examples=50)
@given(st.integers(1, 200), st.floats(1e-5, 1.0))
def test_one_cycle_rises_once_and_falls_once(epochs: int, rate: float) -> None:
    optimiser = Adam(learning_rate=rate, schedule="one-cycle")
    rates = [optimiser.rate(epoch, epochs) for epoch in range(epochs)]
    assert all(0 < each <= PEAK * rate * (1 + 1e-9) for each in rates)
    turns = np.flatnonzero(np.diff(np.sign(np.diff(rates))))
    assert len(turns) <= 1
    if epochs >= 20:
        assert max(rates) > 0.98 * PEAK * rate
        assert rates[-1] < 0.05 * max(rates)
        assert 0.2 < np.argmax(rates) / epochs < 0.4
    assert "one-cycle" in SCHEDULES


def beside(folder: Path, scores: dict[str, list[float]]) -> Beside:
    run = SyntheticRun(folder)
    for name, told in scores.items():
        for repeat, score in enumerate(told):
            kind, network = ("baseline", name) if name in BASELINES else ("retraining", "")
            plan = run.propose(kind, 7, FOUND, repeat=repeat, network=network)
            sizes = {"parameters": 1000, "network_multiply_adds": 2000}
            sizes |= {"latency_ms": [3.0, 1.0, 9.0][repeat]} if repeat < 3 else {}
            run.finish(plan, Outcome(), test_accuracy=score, **sizes)
    return Beside.of(History.read(folder / "records.jsonl"), ACCURACY)


SEEDS = [0.80, 0.81, 0.79, 0.82, 0.80, 0.81, 0.83]


@pytest.mark.parametrize(
    ("chain", "resnet", "said"),
    [
        (-0.05, -0.04, "Shown to be worse than the found architecture: plain-chain and resnet-18."),
        (0.03, -0.04, "Shown to be better than the found architecture: plain-chain. Shown to be"),
        (0.0, 0.0, "No difference shown: no baseline was shown to be better or worse"),
    ],
)
def test_one_sentence_says_what_is_shown(
    tmp_path: Path, chain: float, resnet: float, said: str
) -> None:
    gains = {"found": 0.0, "plain-chain": chain, "random": 0.0, "resnet-18": resnet}
    noise = [0.001 * i * (-1) ** i for i in range(7)]
    noisy = [score + each for score, each in zip(SEEDS, noise, strict=True)]
    scores = {name: [score + gain for score in noisy] for name, gain in gains.items()}
    made = beside(tmp_path, scores | {"found": SEEDS})
    assert made.sentence.startswith(said)
    assert [network.name for network in made.networks] == list(gains)
    assert made.networks[0].mean == pytest.approx(np.mean(SEEDS))
    assert {test.family for test in made.tests} == {3}


def test_latency_is_the_median_of_what_was_measured(tmp_path: Path) -> None:
    (found, chain) = beside(tmp_path, {"found": SEEDS, "plain-chain": SEEDS[:2]}).networks
    assert (found.latency_ms, chain.latency_ms) == (3.0, 2.0)
    assert median_latency([{"latency_ms": None}, {}]) is None


def test_too_few_seeds_say_how_many_it_takes(tmp_path: Path) -> None:
    made = beside(tmp_path, {"found": SEEDS[:3], "resnet-18": [0.1, 0.2, 0.1]})
    assert "no difference can be shown. It takes at least 6 seeds." in made.sentence


def test_without_baselines_nothing_is_claimed(tmp_path: Path) -> None:
    made = beside(tmp_path, {"found": SEEDS})
    assert made.sentence == UNTRAINED
    assert made.section(ACCURACY).blocks
