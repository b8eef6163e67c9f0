"""`fade-ray retrain`: where the genotype comes from, what is asked for, what is wrong."""

import importlib.util
import json
import resource
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from retrainings import parse_retraining, run_retraining

from fade_ray.cli import main
from fade_ray.data.data_config import DataConfig
from fade_ray.kinds import kind_of_run
from fade_ray.records.fingerprint import contents
from fade_ray.records.run_files import read_object
from fade_ray.retrain import find_genotype
from fade_ray.retraining import Retraining
from fade_ray.run.kind import Asked
from fade_ray.training import Classification
from spaces import nasbench201
from spaces.cell import Macro
from spaces.darts import published
from spaces.errors import InvalidInput
from spaces.genotype import GENOTYPES
from spaces.notation import write_genotype

Tiny = Callable[..., Retraining]


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """What `fade-ray cells` leaves behind: four trials, the last without a genotype."""
    folder = tmp_path / "searched"
    (folder / "genotypes").mkdir(parents=True)
    names = {"000": "all-skip", "001": "DARTS_V2", "002": "DARTS_V1"}
    for trial, name in names.items():
        text = json.dumps(
            GENOTYPES[name].to_dict() | {"found": {"id": trial, "recipe": "darts-1st"}}
        )
        (folder / "genotypes" / f"{trial}.json").write_text(text)
    data = asdict(DataConfig(data="digits", limit=99, split_seed=5))
    (folder / "config.json").write_text(json.dumps({"kind": "cells", "data": data}))
    accuracies = {"000": 0.3, "001": 0.9, "002": 0.9, "003": None}
    trials = [{"id": trial, "proxy_accuracy": value} for trial, value in accuracies.items()]
    (folder / "cells.json").write_text(json.dumps({"trials": trials}))
    return folder


def test_a_run_gives_its_best_trial_or_the_one_asked_for(searched: Path) -> None:
    best = find_genotype(str(searched))
    assert (best.trial, best.macro) == ("001", GENOTYPES["DARTS_V2"])
    assert best.data == DataConfig(data="digits", limit=99, split_seed=5)
    assert find_genotype(str(searched), "000").macro == GENOTYPES["all-skip"]


def test_a_search_on_data_that_have_changed_since_is_told_of(
    searched: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data.parquet"
    data.write_bytes(b"as it was")
    config = read_object(searched / "config.json")
    config["data"]["data"] = str(data)
    (searched / "config.json").write_text(json.dumps(config))
    inputs = {"data.data": {"path": str(data), "contents": contents(data)}}
    (searched / "environment.json").write_text(json.dumps({"inputs": inputs}))
    find_genotype(str(searched))
    assert not caplog.messages
    data.write_bytes(b"otherwise")
    find_genotype(str(searched))
    (told,) = caplog.messages
    assert f"The search in {searched} was on other data: {data} was a file of 9 bytes" in told


def test_an_unfinished_search_or_trial_is_said_to_be_one(searched: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"Only a finished trial has a genotype, but trial '003'.*000, 001, 002"
    ):
        find_genotype(str(searched), "003")
    (searched / "cells.json").unlink()
    with pytest.raises(InvalidInput, match="fade-ray cells --out"):
        find_genotype(str(searched))
    # a finished trial of an unfinished search
    assert find_genotype(str(searched), "002").trial == "002"


def test_genotypes_that_were_only_drawn_have_no_best_one(searched: Path) -> None:
    trials = [{"id": trial, "state": "done", "proxy_accuracy": None} for trial in ("000", "001")]
    (searched / "cells.json").write_text(json.dumps({"trials": trials}))
    with pytest.raises(InvalidInput, match=r"were drawn.* Choose .*--trial: 000, 001") as refused:
        find_genotype(str(searched))
    assert "Finish" not in str(refused.value)
    assert find_genotype(str(searched), "001").macro == GENOTYPES["DARTS_V2"]


def test_a_retraining_is_continued_without_its_source(
    genotype: Macro, tiny: Tiny, tmp_path: Path
) -> None:
    kind, out = kind_of_run("retrain"), tmp_path / "out"
    config = replace(tiny().config, genotype=genotype)
    out.mkdir()
    (out / "config.json").write_text(json.dumps(kind.to_json(config)))
    gone = Asked(str(tmp_path / "gone"), None, str(out), kind.options())
    with pytest.raises(InvalidInput, match=f"`fade-ray retrain --out {out}` goes on without it"):
        kind.base(gone)
    assert kind.base(gone._replace(source=None)).genotype.cells == genotype.cells


def test_files_and_names(tmp_path: Path) -> None:
    path = tmp_path / "genotype.txt"
    path.write_text(write_genotype(GENOTYPES["DARTS_V1"]))
    assert find_genotype(str(path)).macro.cells == GENOTYPES["DARTS_V1"].cells
    assert find_genotype("PC_DARTS_cifar").macro == GENOTYPES["PC_DARTS_cifar"]


@pytest.mark.parametrize(
    ("source", "trial", "said"),
    [
        ("DARTS_V3", None, "Did you mean 'DARTS_V"),
        ("DARTS_V2", "000", "--trial"),
        (".", None, "run directory of `fade-ray cells`"),
    ],
)
def test_no_genotype(
    source: str, trial: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=said):
        find_genotype(source, trial)


def test_a_search_space_is_no_genotype(tiny: Tiny) -> None:
    with pytest.raises(InvalidInput, match="This is a search space"):
        tiny(macro=published("s3").macro)


def test_flags_are_over_a_recipe_and_the_data_of_the_search(searched: Path) -> None:
    job, folder = parse_retraining(["--epochs", "7", "--cutout", "2"], str(searched))
    assert folder == searched / "retrain" / "001"
    assert (job.config.epochs, job.config.data.cutout, job.macro.depth) == (7, 2, 6)
    assert (job.config.data.data, job.config.data.limit, job.config.data.split_seed) == (
        "digits",
        99,
        5,
    )
    job, _ = parse_retraining(["--recipe", "darts-cifar10", "--batch-size", "48"], str(searched))
    assert (job.config.data.data, job.config.train.batch_size, job.config.recipe) == (
        "cifar10",
        48,
        "darts-cifar10",
    )


def test_unshared_cells_keep_their_depth(tmp_path: Path) -> None:
    space = published("amended-s2-fixed").macro
    cells = {
        kind: cell.genotype(
            (u, v, "skip_connect")
            for (u, v), row in zip(cell.edges, cell.allowed, strict=True)
            if any(row)
        )
        for kind, cell in space.cells.items()
    }
    path = tmp_path / "cells.json"
    path.write_text(json.dumps(space.with_cells(cells).to_dict()))
    job, _ = parse_retraining(["--out", str(tmp_path / "run")], str(path))
    assert job.macro.depth == 20
    with pytest.raises(InvalidInput, match="--cells 20"):
        parse_retraining(["--out", str(tmp_path / "run"), "--cells", "8"], str(path))


def test_nasbench201_has_three_stages(tiny: Tiny) -> None:
    cell = nasbench201.decode(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
    )
    assert tiny(macro=nasbench201.macro(cell=cell)).macro.depth == 3
    from fade_ray.retraining import retrain_recipe

    with pytest.raises(InvalidInput, match="multiple of 3"):
        Retraining.of(nasbench201.macro(cell=cell), retrain_recipe("darts-cifar10"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--epochs", "0"], "epochs >= 1"),
        (["--export", "average"], "--ema"),
        (["--workers", "3"], "batch_size is a multiple of workers"),
        (["--jitter", ".4", ".4", ".4", ".2"], "Only the folder loader"),
        (["--loader", "folder", "--cutout", "4"], "cutout == 0"),
        (["--recipe", "drts-cifar10"], "Did you mean 'darts-cifar10'"),
    ],
)
def test_flags_that_make_no_sense(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # tyro answers itself where a part cannot be built
    with pytest.raises((InvalidInput, SystemExit)) as caught:
        parse_retraining(flags, "DARTS_V2")
    assert said in str(caught.value) + capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {"data": "nowhere"}}, "no file or folder of that name"),
        ({"data": {"normalisation": "imagenet", "data": "digits"}}, "--normalisation own"),
        ({"objective": Classification(auxiliary_weight=0.4)}, "no auxiliary head"),
        ({"data": {"loader": "folder", "cutout": 0}}, "crop with loader memory"),
    ],
)
def test_what_cannot_work_leaves_no_directory(
    change: dict[str, Any], said: str, tmp_path: Path, tiny: Tiny
) -> None:
    with pytest.raises(InvalidInput, match=said):
        run_retraining(tiny(**change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_explodes_is_one_clear_message(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(InvalidInput, match=r"must stay finite.*lower"):
        run_retraining(tiny(sgd={"learning_rate": 1e30, "clip": 0.0}), tmp_path)
    # nothing was trained yet, so that the remedy works in the same directory
    run_retraining(tiny(epochs=1), tmp_path)


def test_the_command_trains_continues_and_checks(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str], genotype: Macro
) -> None:
    path, out = tmp_path / "cells.json", tmp_path / "run"
    path.write_text(json.dumps(genotype.to_dict()))
    flags = [
        "--out",
        str(out),
        "--data",
        str(pictures),
        "--epochs",
        "2",
        "--cells",
        "3",
        "--channels",
        "4",
    ]
    main(["retrain", str(path), *flags])
    printed = capsys.readouterr()
    assert "epoch 2/2" in printed.err
    assert "test accuracy" in printed.out
    assert "optimistic" in printed.out
    before = (out / "records.jsonl").read_bytes()
    # finished: told again, with the flags it was started with
    main(["retrain", str(path), "--out", str(out)])
    main(["retrain", "--out", str(out)])
    assert capsys.readouterr().out.count("test accuracy") == 2
    assert (out / "records.jsonl").read_bytes() == before
    main(["retrain", "--check", str(out)])
    assert "last" in capsys.readouterr().out
    refused = {
        "epochs: 2 -> 3": [str(path), "--out", str(out), "--epochs", "3"],
        "needs a genotype": ["--epochs", "3"],
    }
    for said, arguments in refused.items():
        with pytest.raises(SystemExit) as left:
            main(["retrain", *arguments])
        assert left.value.code == 2
        assert said in capsys.readouterr().err


def test_help_names_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["retrain", "--help"])
    assert left.value.code == 0
    assert "pdarts-imagenet" in capsys.readouterr().out


def test_a_batch_that_does_not_fit_is_answered_with_one_that_does(
    tmp_path: Path, tiny: Tiny
) -> None:
    # wide enough that a step of the whole batch takes GiBs; the address space allows a few hundred
    # MiB more than now
    job = tiny(batch_size=50, data={"image_side": 96}, drop_path=0.0, ema=0.0)
    job = Retraining(
        job.macro, replace(job.config, network=replace(job.config.network, channels=48))
    )
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (600 << 20), hard))
    try:
        with pytest.raises(
            InvalidInput, match=r"batch_size=50 does not; \d+ fit: use --batch-size"
        ):
            run_retraining(job, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Killed(BaseException):
    """As abrupt as an exception can be."""


def kill(event: dict[str, Any]) -> None:
    raise Killed


def test_a_finished_retraining_is_exported_again_also_as_onnx(tiny: Tiny, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = tmp_path / "run"
    kind = kind_of_run("retrain")
    with pytest.raises(Killed):
        run_retraining(tiny(epochs=1), folder, tell=kill)
    with pytest.raises(InvalidInput, match="not finished"):
        kind.export(kind.read(folder), forms=["onnx"])
    run_retraining(tiny(epochs=1), folder)
    *_, told, onnx = kind.export(kind.read(folder), forms=["onnx"])
    images = torch.randn(2, *json.loads(told.read_text())["input_shape"])
    (scores,) = onnxruntime.InferenceSession(str(onnx)).run(None, {"images": images.numpy()})
    spec = importlib.util.spec_from_file_location(
        "exported", folder / "architectures" / "architecture.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.testing.assert_close(
        torch.from_numpy(scores), module.load().eval()(images).detach(), rtol=1e-4, atol=1e-5
    )
    assert run_retraining(tiny(epochs=1), folder)["epochs"] == 1  # not run again
