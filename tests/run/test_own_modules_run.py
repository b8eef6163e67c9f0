"""A search of modules of one's own from start to export, by every searcher, stopped and resumed."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stopper import Stopper

import fade_ray
from fade_ray.cli import main
from fade_ray.kinds import kind_of_run
from fade_ray.records.journal import read_events
from fade_ray.run.lifecycle import Interrupted
from searchers import AnchorWalk, BayesPoints, Evolution, RandomPoints, Searcher
from spaces.errors import InvalidInput

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "own_modules.py"
NAMES = {"own.ResNet", "own.mbconv-expansion3", "own.ViT"}
SEARCHES: dict[str, Searcher] = {
    "anchor": AnchorWalk(iterations=1, walks=1, finalists=1),
    "random": RandomPoints(iterations=2, evaluations=1),
    "bayes": BayesPoints(iterations=3, evaluations=1, n_initial=1),
    "evolution": Evolution(iterations=3, batch=2, population=2, tournament=2),
}


def config(out: Path, **given: Any) -> fade_ray.Config:
    """A search of seconds."""
    parts: dict[str, Any] = {
        "data": fade_ray.DataConfig(limit=120),
        "space": fade_ray.SpaceConfig(space=str(EXAMPLE)),
        "network": fade_ray.NetworkConfig(final_channels=8),
        "train": fade_ray.TrainConfig(batch_size=40),
        "searcher": SEARCHES["anchor"],
        "outer": fade_ray.OuterConfig(rank_epochs=1, evaluation_epochs=1, retrain_epochs=1),
        "finish": fade_ray.FinishConfig(confirmed=0, baselines=()),
        "run": fade_ray.RunConfig(engine="local"),
        "out": str(out),
    }
    return fade_ray.Config(**parts | given)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> fade_ray.Result:
    """By anchors, beside baselines."""
    out = tmp_path_factory.mktemp("own") / "run"
    finish = fade_ray.FinishConfig(confirmed=1, confirmations=1, retrain_seeds=1)
    return fade_ray.search(config(out, finish=finish), watchers=())


def test_a_search_is_reported_by_the_names_of_its_candidates(found: fade_ray.Result) -> None:
    assert found.finished
    names = [row["cell"] for row in found.summary["architecture"]["rows"]]
    assert set(names) <= NAMES
    assert len(names) == 4
    page = (found.folder / "report.html").read_text()
    assert all(name in page for name in names)
    assert "multiply adds" in page
    assert set(found.table("ranks").column("dag").to_pylist()) <= NAMES
    baselines = {network["name"] for network in found.summary["beside"]["networks"]}
    assert baselines == {"found", "plain-chain", "random", "resnet-18"}
    environment = json.loads((found.folder / "environment.json").read_text())
    assert [*environment["use"]] == [str(EXAMPLE)]


def test_what_is_exported_is_loaded_elsewhere(found: fade_ray.Result, tmp_path: Path) -> None:
    folder, x = found.folder / "architectures", torch.rand(3, 1, 8, 8)
    assert (folder / EXAMPLE.name).read_text() == EXAMPLE.read_text()
    torch.save(x, tmp_path / "x.pt")
    blocked = (
        "import sys, importlib.abc, torch\n"
        "class Blocked(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.partition('.')[0] in ('fade_ray', 'spaces', 'searchers'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "import architecture\n"
        "torch.save(architecture.load()(torch.load('x.pt', weights_only=True)), 'y.pt')\n"
    )
    subprocess.run([sys.executable, "-c", blocked], cwd=tmp_path, check=True, timeout=120)
    scores = found.model()(x)
    assert torch.allclose(torch.load(tmp_path / "y.pt", weights_only=True), scores)
    assert scores.shape == (3, 10)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_is_stopped_goes_on_as_if_it_had_not_been(
    name: str, tmp_path: Path, story: Callable[[Path], dict[str, Any]]
) -> None:
    whole, half = (config(tmp_path / part, searcher=SEARCHES[name]) for part in ("whole", "half"))
    fade_ray.search(whole, watchers=())
    with pytest.raises(Interrupted):
        fade_ray.search(half, watchers=[Stopper(3)])
    fade_ray.search(half, watchers=())
    first, second = (story(tmp_path / part) for part in ("whole", "half"))
    assert first == second
    codes = [plan["hyper"].replace("/", ",").split(",") for plan in first["proposed"].values()]
    assert {code for each in codes for code in each} <= NAMES


def test_another_file_is_refused_by_what_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(EXAMPLE.read_text())
    asked = config(tmp_path / "run", space=fade_ray.SpaceConfig(space=str(file)))
    with pytest.raises(Interrupted):
        fade_ray.search(asked, watchers=[Stopper(1)])
    file.write_text(EXAMPLE.read_text().replace("expansion=3", "expansion=6"))
    with pytest.raises(InvalidInput, match=f"{file} has changed since .*line 42: .*3.* -> .*6"):
        fade_ray.search(asked, watchers=())
    other = replace(asked, space=fade_ray.SpaceConfig(space=str(file.rename(tmp_path / "six.py"))))
    with pytest.raises(InvalidInput, match=r"space.space: .*mine.py' -> .*six.py"):
        fade_ray.search(other, watchers=())
    moved = tmp_path / "moved.py"
    moved.write_text(EXAMPLE.read_text())
    goes_on = replace(asked, space=fade_ray.SpaceConfig(space=str(moved)))
    assert fade_ray.search(goes_on, watchers=()).finished
    moved.unlink()  # the run keeps a copy
    main(["report", str(tmp_path / "run")])
    main(["status", str(tmp_path / "run")])


TINY = ("--space", str(EXAMPLE), "--limit", "120", "--final-channels", "8", "--batch-size", "40")
KINDS = {
    "compare": (
        *("compare", "--searchers", "random", "fade", "--seeds", "0"),
        *("--budget", "600", "--rank-epochs", "1", "--evaluation-epochs", "1"),
    ),
    "rank-study": (
        *("rank-study", "--settings", "default", "exact", "sampled", "--seeds", "0"),
        *("--rank-epochs", "1", "--alone-epochs", "1", "--sample", "3", "--repeats", "1"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_run_take_a_space_too(kind: str, tmp_path: Path) -> None:
    main([*KINDS[kind], *TINY, "--engine", "local", "--out", str(tmp_path / "run")])
    events = list(read_events(tmp_path / "run" / "records.jsonl"))
    ends = [event["outcome"].get("failure") for event in events if event["event"] == "finished"]
    assert set(ends) == {None}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "own.mbconv-expansion3" in page


START = "import fade_ray\nfrom torch import nn\n"
SPACE = "space = fade_ray.choices(rows=[[nn.Conv2d, nn.Identity]])\n"
FILES = {
    "no such file": (None, "must name a Python file"),
    "no space": (START, "there is no `space`"),
    "another thing": ("space = 3\n", "`space` is 3"),
    "a fault in it": (START + "space = fade_ray.choices(rows=3)\n", "TypeError"),
    "a run on its own": (START + SPACE + "fade_ray.search(space=space)\n", "if __name__ =="),
    "modules that do not fit": (START + SPACE, "'Conv2d' of row 1 must map"),
}


@pytest.mark.parametrize("fault", FILES)
def test_a_file_without_a_space_is_one_message(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = FILES[fault]
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit) as left:
        main(["search", "--space", str(file), "--limit", "120", "--out", str(tmp_path / "run")])
    assert left.value.code == 2
    message = " ".join(capsys.readouterr().err.split())
    assert said in message
    assert "Traceback" not in message
    assert not (tmp_path / "run").exists()


def test_a_space_is_searched_that_stands_in_a_file_under_its_name() -> None:
    rows = [[torch.nn.Conv2d, torch.nn.Identity]]
    with pytest.raises(InvalidInput, match="there is no `space`"):
        fade_ray.search(space=fade_ray.choices(rows=rows))
    notebook: dict[str, Any] = {"rows": rows, "fade_ray": fade_ray}
    exec("space = fade_ray.choices(rows=rows)", notebook)
    with pytest.raises(InvalidInput, match="%%writefile"):
        fade_ray.search(space=notebook["space"])


def test_options_of_graphs_are_told_to_be_without_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind = kind_of_run("search")
    kind.prepare(config(tmp_path))
    assert "without effect" not in caplog.text
    network = fade_ray.NetworkConfig(depth=3, kernel=5, final_channels=8)
    kind.prepare(config(tmp_path, network=network))
    assert "--depth, --kernel: of graphs alone, and without effect" in caplog.text
