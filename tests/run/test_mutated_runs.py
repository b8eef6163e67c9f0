"""Run directories and configurations that are nearly right: an error in words or a result, never a
traceback, nor something that does not end. FADE_RAY_MUTATIONS=1000 tries so many of each kind.
"""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from failing_disk import FailingDisk, Tree, placed, replaced
from faulty_runs import RUNS, carried_out, left_behind
from hypothesis import given
from hypothesis import strategies as st
from mutations import bounded, mutated_json, mutated_tree, mutations, resealed
from stopper import Stopper

from fade_ray.cli import main
from fade_ray.kinds import kind_in, kind_of_run
from fade_ray.records.seal import KEY
from fade_ray.run import lease
from fade_ray.run.command import _option_names, parse
from fade_ray.run.lifecycle import Interrupted
from fade_ray.run.lifecycle import run as carry_out
from fade_ray.run.live_server import Watched
from spaces.errors import InvalidInput

HALF = {"tiny": 70, "search": 120, "compare": 120, "cells": 60, "retrain": 40, "replay": 20}
HALF |= {"rank-study": 60, "gradients": 60, "alpha": 60}
"""Calls after which a run was killed."""


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], tuple[Path, Tree]]:
    """Where a run lay, finished or not, and what was there."""
    made: dict[tuple[str, bool], tuple[Path, Tree]] = {}

    def tree(name: str, finished: bool) -> tuple[Path, Tree]:
        if (name, finished) not in made:
            place = tmp_path_factory.mktemp(name)
            content = left_behind(name, place, HALF[name])
            if finished:
                placed(place, content)
                with FailingDisk(place) as disk:
                    carried_out(name, place)
                    told(lambda: main(["report", str(place / "run")]))
                    content = disk._as_it_is()
            made[name, finished] = place, content
        return made[name, finished]

    return tree


def told(call: Callable[[], Any]) -> str:
    """What a command said that ended as it may."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            call()
        except (InvalidInput, OSError) as error:  # both of which the command line tells
            print(error)
        except SystemExit as end:
            if end.code not in (0, 2):
                raise
        except Interrupted:
            print("stopped")
    return said.getvalue()


def status(run: Path) -> None:
    main(["status", str(run)])
    main(["status", "--json", str(run)])


def watch(run: Path) -> None:
    watched = Watched(kind_in(run), run)
    watched.page()
    watched.status()


def export(run: Path) -> None:
    main(["export", str(run), "--onnx"])


def resume(run: Path) -> None:
    kind = kind_in(run)
    with replaced(lease, EXPIRES=0.0, LOOK=0.0, SETTLED=0.0):
        carry_out(kind, parse(kind, ["--out", str(run)]), watchers=[Stopper(3)])


def retrain(run: Path) -> None:
    kind = kind_of_run("retrain")
    kind.prepare(parse(kind, [str(run), "--out", str(run.parent / "other"), "--limit", "96"]))


COMMANDS = {
    "status": status,
    "watch": watch,
    "report": lambda run: main(["report", str(run)]),
    "export": export,
    "resume": resume,
    "retrain": retrain,
}


def commands_of(name: str) -> list[str]:
    """Those that make sense for this kind of run."""
    studies = ("compare", "cells", "replay", "rank-study", "gradients", "alpha")
    others = {"report": ("tiny", "retrain"), "export": ("tiny", *studies)}
    others["retrain"] = tuple(kind for kind in RUNS if kind != "cells")
    return [command for command in COMMANDS if name not in others.get(command, ())]


@mutations
@given(data=st.data())
@pytest.mark.parametrize("names", [("tiny",), pytest.param(tuple(RUNS), marks=pytest.mark.slow)])
def test_run_directories(data: st.DataObject, trees: Any, names: tuple[str, ...]) -> None:
    name, finished = data.draw(st.sampled_from(names)), data.draw(st.booleans())
    place, tree = trees(name, finished)
    free = {path: content for path, content in tree.items() if ".lock" not in path}
    *_, now = data.draw(mutated_tree(free))
    command = data.draw(st.sampled_from(commands_of(name)))
    placed(place, now)
    with FailingDisk(place), bounded():
        said = told(lambda: COMMANDS[command](place / "run"))
    assert "Traceback" not in said


WRONG = {
    "whole record": ("records.jsonl", lambda text: text[20:]),
    "time": ("records.jsonl", lambda text: text.replace(b'"time": "20', b'"time": "x')),
    "trial": ("records.jsonl", lambda text: text.replace(b'"id": "00001", "e', b'"id": "9", "e')),
    "share": ("result.json", lambda text: text.replace(b'"score"', b'"chance": [], "score"')),
    "files": ("config.json", lambda text: text.replace(b'"use": []', b'"use": 0')),
    "half a trial": ("config.json", lambda text: text.replace(b'trials": 3', b'trials": 0.5')),
    "nothing": ("config.json", lambda text: b""),
    "depth": ("config.json", lambda text: b"[" * 99_999),
    "list": ("environment.json", lambda text: b"[]"),
    "inputs": ("environment.json", lambda text: text.replace(b'"inputs": {}', b'"inputs": []')),
}
"""File of a finished run, and what becomes of its text."""


@pytest.mark.parametrize("case", WRONG)
def test_the_file_is_named(case: str, trees: Any) -> None:
    name, change = WRONG[case]
    place, tree = trees("tiny", True)
    whole = tree[f"run/{name}"]
    changed = resealed(name, change(whole))
    assert changed != whole
    placed(place, {**tree, f"run/{name}": changed})
    said = told(lambda: main(["status", str(place / "run")]))
    assert said.startswith("fade-ray: ")
    assert name in said
    assert "estore " in said or "Use the version" in said


def ready(kind: Any, arguments: list[str]) -> None:
    """All that is done before work starts."""
    config = parse(kind, arguments)
    kind.prepare(config)


GIVEN = ("-1", "0", "3", "0.5", "1e999", "nan", "1" + "0" * 30, "x", "", "[]", "{}", "True", "~")
"""To flags."""


@mutations
@given(data=st.data())
def test_configurations(data: st.DataObject, tmp_path: Path) -> None:
    name = data.draw(st.sampled_from(tuple(RUNS)))
    kind, config = RUNS[name][0], RUNS[name][1](tmp_path / "run")
    (tmp_path / "run").mkdir(exist_ok=True)
    content = {**kind.to_json(config), KEY: "00000000"}
    mutate = data.draw(st.booleans())
    made = data.draw(mutated_json(content)) if mutate else content
    (tmp_path / "run" / "config.json").write_bytes(
        resealed("config.json", json.dumps(made).encode())
    )
    flags = sorted({f"--{name.replace('_', '-')}" for name in _option_names(config)} - {"--out"})
    one = st.tuples(st.sampled_from(flags), st.sampled_from(GIVEN))
    given_flags = [] if mutate else data.draw(one)
    with bounded():
        told(lambda: ready(kind, ["--out", str(tmp_path / "run"), *given_flags]))
