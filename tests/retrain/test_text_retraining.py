"""Genotypes of recurrent cells trained on a text: published settings, the switch to averaged steps,
going back where a loss is not finite, resuming, export, and what is refused.
"""

import ast
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from retrainings import run_retraining
from safetensors.torch import load_file

from fade_ray.cells.cell_job import CellJob
from fade_ray.cells.cells_config import CellsConfig, GridConfig
from fade_ray.data.data_config import DataConfig
from fade_ray.data.text import load_text
from fade_ray.records.journal import read_events
from fade_ray.results import load_module, open_run
from fade_ray.retrain.retrain_run import RETRAIN, check_accuracy
from fade_ray.retraining import Retraining, TextTrial, retrain_recipe
from fade_ray.retraining.retrain_config import RetrainData
from fade_ray.retraining.retraining import examples_of, open_examples, retrain
from fade_ray.run.command import parse
from fade_ray.run.run_config import RunConfig
from fade_ray.training import LanguageModel, TrainingFailed, place
from fade_ray.training.optimisers import ASGD, SGDThenASGD
from fade_ray.trials import trainee
from fade_ray.trials.job import write_output
from spaces import InvalidInput
from spaces.genotype import named_genotype

TIMES = {"seconds", "images_per_second", "peak_memory_mib", "step_memory_mib", "cost"}
Asked = Callable[..., Retraining]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for part in ("train", "valid", "test"):
        lines = [" ".join(f"w{(start * 3 + i) % 9}" for i in range(6)) for start in range(30)]
        (folder / f"toy.{part}.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def asked(texts: Path) -> Asked:
    """A network of 4 units, everything random switched on, with averaged steps from early on."""

    def made(**options: Any) -> Retraining:
        recipe = retrain_recipe("quick-text")
        optimiser = SGDThenASGD(learning_rate=4.0, patience=0)
        objective = LanguageModel(bptt=6, spread=1.0, word_dropout=0.1)
        train = replace(recipe.train, batch_size=5, optimiser=optimiser, objective=objective)
        network = replace(recipe.network, channels=4)
        own = {"data": RetrainData(data=str(texts)), "network": network, "epochs": 6, **options}
        return Retraining.of(
            named_genotype("RNN_DARTS_V2", ""), replace(recipe, train=train, **own)
        )

    return made


def test_the_published_settings() -> None:
    """Algorithms B.5."""
    ptb, wikitext = retrain_recipe("darts-ptb"), retrain_recipe("darts-wikitext2")
    assert (ptb.network.channels, ptb.epochs, ptb.train.batch_size, ptb.seed) == (
        850,
        8000,
        64,
        1267,
    )
    assert ptb.train.optimiser == SGDThenASGD(learning_rate=20.0, weight_decay=8e-7, clip=0.25)
    rates = {"output_dropout": 0.75, "hidden_dropout": 0.25, "input_dropout": 0.75}
    rates |= {"embedding_dropout": 0.2, "word_dropout": 0.1}
    assert ptb.train.objective == LanguageModel(**rates, bptt=35, spread=5.0, slowness=1e-3)  # type: ignore[arg-type]
    assert wikitext.network.channels == 700
    assert wikitext.train.optimiser.weight_decay == 5e-7
    assert wikitext.train.objective == replace(ptb.train.objective, hidden_dropout=0.15)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0]), min_size=1, max_size=12), st.integers(1, 5))
def test_the_switch_comes_when_the_code_of_darts_switches(
    losses: Sequence[float], patience: int
) -> None:
    config, weights = SGDThenASGD(patience=patience), [torch.zeros(2, requires_grad=True)]
    optimizer, before, switched = config.build(weights), list[float](), False
    for epoch, loss in enumerate(losses):
        # its train.py: `val_loss > min(best_val_loss[:-args.nonmono])`, then the loss is appended
        switched |= len(before) > patience and loss > min(before[:-patience])
        before.append(loss)
        after = config.after(optimizer, weights, losses[: epoch + 1])
        assert isinstance(after, torch.optim.ASGD) == switched
        assert after is optimizer or not isinstance(optimizer, torch.optim.ASGD)
        optimizer = after


def test_after_the_switch_steps_and_average_are_those_of_asgd() -> None:
    def stepped(optimizer: torch.optim.Optimizer, weight: torch.Tensor, steps: int) -> None:
        for _ in range(steps):
            weight.grad = weight.detach() ** 2
            optimizer.step()

    ours, theirs = (torch.linspace(-1, 1, 5).requires_grad_() for _ in range(2))
    config = SGDThenASGD(learning_rate=0.1, weight_decay=0.0, patience=0)
    first = config.build([ours])
    stepped(first, ours, 2)
    assert config.averages(first, [ours]) == []
    second = config.after(first, [ours], [1.0, 2.0])
    stepped(second, ours, 2)
    second = config.restored([ours], second.state_dict())  # stopped and restored
    stepped(second, ours, 2)
    stepped(torch.optim.SGD([theirs], 0.1), theirs, 2)
    plain = ASGD(learning_rate=0.1, weight_decay=0.0)
    alone = plain.build([theirs])
    stepped(alone, theirs, 4)
    assert torch.equal(ours, theirs)
    assert torch.equal(config.averages(second, [ours])[0], plain.averages(alone, [theirs])[0])


def untimed(events: Sequence[Any]) -> str:
    kept = [{k: v for k, v in event["metrics"].items() if k not in TIMES} for event in events]
    return json.dumps(kept)


@pytest.fixture(scope="module")
def whole(asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path]:
    """The events of one that ran through, and its folder."""
    folder, job = tmp_path_factory.mktemp("whole"), asked()
    events = list(retrain(job, open_examples(job.config), folder, place("cpu")))
    assert 1 < events[-1]["metrics"]["averaged_from"] <= 5
    return events, folder


def same_in(folder: Path, job: Retraining, whole: tuple[list[Any], Path]) -> bool:
    """Whether what is left of `job` ends as the whole one did."""
    events, other = whole
    again = list(retrain(job, open_examples(job.config), folder, place("cpu")))
    ours, theirs = (load_file(f / "weights" / "best.safetensors") for f in (folder, other))
    equal = all(torch.equal(ours[name], theirs[name]) for name in theirs)
    return untimed(again) == untimed(events) and equal


@pytest.mark.parametrize("stopped", [1, 5])
def test_stopped_after_an_epoch_it_goes_on_with_the_same_bits(
    asked: Asked, tmp_path: Path, whole: tuple[list[Any], Path], stopped: int
) -> None:
    job = asked()
    events = retrain(job, open_examples(job.config), tmp_path, place("cpu"))
    list(islice(events, 1 + stopped))
    assert same_in(tmp_path, job, whole)


class Killed(BaseException):
    """As abrupt as an exception can be."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`killed(n)`: from now on the process dies behind its n-th checkpoint."""

    def armed(number: int) -> None:
        left = [number]

        def written(path: Path, content: bytes, before: Path | None = None) -> Path:
            done = write_output(path, content, before)
            left[0] -= 1
            if not left[0]:
                monkeypatch.setattr(trainee, "write_output", write_output)
                raise Killed
            return done

        monkeypatch.setattr(trainee, "write_output", written)

    return armed


@pytest.mark.parametrize("checkpoints", [1, 9])
def test_stopped_within_an_epoch_it_goes_on_with_the_same_bits(
    asked: Asked,
    tmp_path: Path,
    whole: tuple[list[Any], Path],
    killed: Callable[[int], None],
    checkpoints: int,
) -> None:
    job = asked()
    examples = open_examples(job.config)
    often = replace(job.config, workers=replace(job.config.workers, checkpoint_steps=2))
    job = replace(job, config=often)
    killed(checkpoints)
    with pytest.raises(Killed):
        list(retrain(job, examples, tmp_path, place("cpu")))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["state"]
    assert saved["left"]["steps"] % 2 == 0
    assert same_in(tmp_path, job, whole)


@pytest.mark.parametrize("recipe", ["amended", pytest.param("darts-2nd", marks=pytest.mark.slow)])
def test_a_search_stopped_within_an_epoch_goes_on_with_the_same_bits(
    texts: Path, tmp_path: Path, killed: Callable[[int], None], recipe: str
) -> None:
    grid = GridConfig((recipe,), ("recurrent",), epochs=2, channels=4)
    data = DataConfig(data=str(texts))
    config = CellsConfig(data=data, grid=grid, run=RunConfig(device="cpu", checkpoint_steps=1))
    config = replace(
        config, train=replace(config.train, batch_size=5, objective=LanguageModel(bptt=9))
    )
    (plan,), corpus = config.plans(), load_text(texts)
    seldom = replace(config, run=RunConfig(device="cpu"))
    whole = list(CellJob(seldom).run(plan.to_dict(), corpus, tmp_path / "whole"))
    killed(2)
    with pytest.raises(Killed):
        list(CellJob(config).run(plan.to_dict(), corpus, tmp_path / "stopped"))
    again = list(CellJob(config).run(plan.to_dict(), corpus, tmp_path / "stopped"))
    assert untimed(again) == untimed(whole)


def trial(job: Retraining) -> TextTrial:
    corpus = load_text(job.config.data.data)
    return TextTrial(job, examples_of(corpus, job.config), place("cpu"))


def test_a_loss_that_is_not_finite_takes_it_back_to_the_best_epoch(asked: Asked) -> None:
    broken = trial(asked())
    epochs = [broken.run_epoch()]
    best = {name: tensor.clone() for name, tensor in broken.network.state_dict().items()}
    with torch.no_grad():
        broken.network.vectors.fill_(torch.nan)  # type: ignore[union-attr]
    epochs.append(broken.run_epoch())
    assert epochs[1]["back_at_epoch"] == 1
    assert epochs[1]["images"] > 0
    assert all(torch.equal(best[name], t) for name, t in broken.network.state_dict().items())
    while not broken.finished:
        epochs.append(broken.run_epoch())
    assert len(epochs) == 6
    told = broken.ending(epochs).metrics
    assert told["rolled_back"] == 1
    assert told["test_perplexity"] == -told["test_accuracy"] > 1
    assert told["valid_loss"] == min(e["valid_loss"] for e in epochs if "valid_loss" in e)


def test_one_that_was_never_finite_fails(asked: Asked) -> None:
    broken = trial(asked())
    with torch.no_grad():
        broken.network.vectors.fill_(torch.nan)  # type: ignore[union-attr]
    with pytest.raises(TrainingFailed):
        broken.run_epoch()


def test_a_run_exports_what_it_tested(asked: Asked, texts: Path, tmp_path: Path) -> None:
    result = run_retraining(asked(), tmp_path)
    assert result["averaged_from"] is not None
    ((recorded, measured),) = check_accuracy(tmp_path, device="cpu").values()
    assert recorded == measured == result["test_perplexity"]
    (ended,) = [e for e in read_events(tmp_path / "records.jsonl") if e["event"] == "end"]
    assert ended["test_perplexity"] == recorded
    assert open_run(tmp_path).test_perplexity == recorded
    path = tmp_path / "architectures" / "architecture.py"
    text = path.read_text()
    ast.parse(text, feature_version=(3, 8))
    assert "import fade_ray" not in text
    model: Any = load_module(path)
    words = load_text(texts).test[:40]
    assert [model.vocabulary[k] for k in words[:3]] == ["w0", "w1", "w2"]
    scores, _ = model(torch.from_numpy(words)[None])
    start, state = model(torch.from_numpy(words)[None, :7])
    rest, _ = model(torch.from_numpy(words)[None, 7:], state)
    assert torch.allclose(torch.cat([start, rest], 1), scores, atol=1e-6)
    with pytest.raises(InvalidInput, match="exported as a Python module alone"):
        RETRAIN.export(RETRAIN.read(tmp_path), ["onnx"])


def test_what_is_refused(asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"a recipe for text.*quick-text, darts-ptb"):
        RETRAIN.prepare(parse(RETRAIN, ["RNN_DARTS_V2", "--recipe", "darts-cifar10"]))
    with pytest.raises(InvalidInput, match=r"a recipe for images.*darts-cifar10"):
        RETRAIN.prepare(parse(RETRAIN, ["DARTS_V2", "--recipe", "darts-ptb"]))
    assert parse(RETRAIN, ["RNN_DARTS_V2"]).recipe == "quick-text"
    job = asked()
    with pytest.raises(InvalidInput, match="workers == 1 on text"):
        open_examples(replace(job.config, workers=replace(job.config.workers, workers=5)))
    with pytest.raises(InvalidInput, match="export best on text"):
        open_examples(replace(job.config, export="last"))
    (tmp_path / "train.txt").write_text("one line alone\n")
    (tmp_path / "valid.txt").write_text("one\nline\n")
    (tmp_path / "test.txt").write_text("one\nline\n")
    elsewhere = replace(job.config, data=RetrainData(data=str(tmp_path)))
    with pytest.raises(InvalidInput, match=r"train\.txt has two lines or more"):
        open_examples(elsewhere)
    with pytest.raises(InvalidInput, match="patience >= 0"):
        SGDThenASGD(patience=-1)
