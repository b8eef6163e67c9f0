"""The page of finished, unfinished, empty and failed runs: what it says, and that it needs nothing
but itself.
"""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from parsed_page import EVIL, Page, read_run
from synthetic_run import COMMAND, SyntheticRun

from fade_ray.records.journal import Journal
from fade_ray.report.page import write_page
from fade_ray.report.trials import warnings
from fade_ray.report.words import ACCURACY
from fade_ray.search.search_history import History
from fade_ray.search.search_page import headline, search_page
from searchers.outcome import Outcome
from spaces.dag import Dag
from spaces.errors import InvalidInput
from spaces.hyper import HyperArchitecture

FIGURES = {"cells", "front", "accuracy", "anchors", "ranks", "weights", "cost"}


def write_report(folder: Path) -> Path:
    return write_page(search_page(read_run(folder, History)), folder)


def report(folder: Path) -> Page:
    path = write_report(folder)
    assert path == folder / "report.html"
    return Page(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    SyntheticRun(folder).search(6).end(292 / 300)
    write_report(folder)
    return folder


def test_a_finished_run(finished: Path) -> None:
    page = Page(finished / "report.html")
    assert {name for name, alt in page.figures().items() if len(alt) > 20} == FIGURES
    assert "97.33 %" in page.text
    assert "chance level 10.0 %" in page.text
    assert "256,870" in page.text
    assert "95 % interval 94.8 to 98.6 %" in page.text
    assert COMMAND in page.text
    assert "outer" not in page.text
    assert "space.features" in page.text
    assert "2.51.0" in page.text
    assert "warning" not in page.text
    assert "unfinished" not in page.text
    best = json.loads((finished / "result.json").read_text())["architecture"]
    assert best["code"] in page.text
    for code in best["cells"]:
        assert code in page.text


def test_every_attempt_at_a_trial_has_a_line(finished: Path) -> None:
    history = History.read(finished / "records.jsonl")
    page = Page(finished / "report.html")
    assert f"All {len(history.proposals)} trials" in page.text
    for id, proposal in history.proposals.items():
        assert id in page.text
        assert proposal.hyper.code() in page.text


def test_figures_are_files_too(finished: Path) -> None:
    for name in FIGURES:
        assert (finished / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        root = ET.parse(finished / "figures" / f"{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list((finished / "figures").iterdir())) == 2 * len(FIGURES)


def test_the_page_needs_nothing_but_itself(finished: Path) -> None:
    page = Page(finished / "report.html")
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert "@import" not in page.source
    names = {tag for tag, _ in page.tags}
    assert not names & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "image",
        "foreignobject",
    }
    for _, attributes in page.tags:
        for key in ("src", "href", "xlink:href"):
            assert (attributes.get(key) or "#").startswith("#")
    assert any(
        "default-src 'none'" in (attributes.get("content") or "") for _, attributes in page.tags
    )


def test_ids_are_unique_and_every_reference_has_its_target(finished: Path) -> None:
    page = Page(finished / "report.html")
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    references = {
        (a.get("href") or a.get("xlink:href") or "")[1:] for tag, a in page.tags if tag == "use"
    }
    clips = {(a.get("clip-path") or "")[5:-1] for _, a in page.tags if a.get("clip-path")}
    assert references
    assert clips
    assert references | clips <= set(ids)


def test_dark_pages_recolour_the_figures(finished: Path) -> None:
    source = (finished / "report.html").read_text()
    drawn = source[source.index("<svg") :]
    assert "var(--f1c2024, #1c2024)" in drawn
    assert "--f1c2024: #e8eaed" in source
    assert "prefers-color-scheme: dark" in source
    assert "var(" not in (finished / "figures" / "accuracy.svg").read_text()


def test_an_unfinished_run_says_so_and_shows_its_warnings_first(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, depth=2).search(3)
    run.propose("ranks", 4, HyperArchitecture(((Dag(3),),) * 2))
    run.journal.append("warning", id=None, message="rows 1 and 2 are still near uniform")
    with (tmp_path / "records.jsonl").open("ab") as file:
        file.write(b'{"event": "epoch", "ti')
    page = report(tmp_path)
    assert "unfinished" in page.text
    assert "1 trial in flight" in page.text
    assert f"fade-ray search --out {tmp_path}" in page.text
    assert "best evaluation so far" in page.text
    assert "retrained once" not in page.text
    assert all(page.figures().values())
    assert "too few for a regression" in page.text, "there are two evaluations"
    assert "1 warning rows 1 and 2 are still near uniform" in page.text
    assert page.source.index("still near uniform") < page.source.index("<svg")


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    SyntheticRun(tmp_path)
    page = report(tmp_path)
    assert set(page.figures()) == FIGURES
    assert not any(page.figures().values())
    assert "There is no result" in page.text
    assert "No evaluation has finished yet" in page.text
    assert "nan" not in page.text.lower().split()


def test_a_record_without_events_and_no_other_file(tmp_path: Path) -> None:
    Journal(tmp_path / "records.jsonl").close()
    page = report(tmp_path)
    assert "Nothing was recorded yet" in page.text
    assert "No config.json" in page.text


def test_a_run_in_which_everything_failed(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    first = run.propose("evaluation", 1, HyperArchitecture(((Dag(3),),)))
    run.fail(first, "the loss is NaN in epoch 2 at learning rate 0.5")
    again = run.propose("evaluation", 1, first.hyper, index=first.index, attempt=1)
    run.fail(again, "the loss is NaN in epoch 1 at learning rate 0.5")
    for id in (first.id, again.id):
        run.journal.append("warning", id=id, message=f"trial {id} failed: out of luck")
    run.journal.append("end", training_share=None)
    page = report(tmp_path)
    assert "1 warning failed: out of luck (2 trials: 00000, 00000r1)" in page.text
    assert "the loss is NaN in epoch 2 at learning rate 0.5 tried again as 00000r1" in page.text
    assert "the loss is NaN in epoch 1 at learning rate 0.5 not tried again" in page.text
    assert "1 trial was a retry" in page.text
    assert "There is no result" in page.text
    assert "ended without a result" in page.text


def test_warnings_that_differ_in_numbers_only_are_told_once() -> None:
    time = "2026-01-01T00:00:00+00:00"
    messages = {
        "00001": "accuracy 0.173 is near chance (0.100)",
        "00002": "accuracy 0.187 is near chance (0.100)",
        "00003": "the weights of row 2 are near uniform",
        "00004": "the weights of row 1, 3, 4 are near uniform",
        "00005": "trial 00005 failed: out of memory",
    }
    events = [
        {"event": "warning", "time": time, "id": id, "message": text}
        for id, text in messages.items()
    ]
    first, second, third = warnings(History(events)).rows
    assert first[0] == messages["00001"]
    assert first[1].startswith("2 trials: 00001, 00002; with other numbers")
    assert second[0] == messages["00003"]
    assert third == ("failed: out of memory", "trial 00005")


def test_everything_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<b>run<b>"
    run = SyntheticRun(folder, depth=1, walks=1).search(1)
    failing = run.propose("evaluation", 9, HyperArchitecture(((Dag(3),),)))
    run.fail(failing, EVIL)
    run.journal.append("warning", id=None, message=EVIL)
    config = {
        "command": EVIL,
        EVIL: {EVIL: [EVIL]},
        "space": {"features": [EVIL, "$x_1$", "vertices"]},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "environment.json").write_text(json.dumps({"platform": EVIL}))
    page = report(folder)
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert page.text.count("alert('1')") >= 7, (
        "command, setting, value, platform, warning, failure and legend"
    )
    assert EVIL in page.figures()["anchors"]
    assert "$x 1$" in page.text, "no mathematics is typeset from names"
    ET.parse(folder / "figures" / "anchors.svg")


def test_two_retrainings_are_not_called_one(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, depth=1, walks=1).search(2).end(0.9)
    assert "spread is unknown" in headline(read_run(tmp_path, History), ACCURACY)[0][2]
    assert run.best is not None
    again = run.propose("retraining", 1, run.best[1])
    run.finish(again, Outcome(), test_accuracy=0.92)
    name, value, remark = headline(read_run(tmp_path, History), ACCURACY)[0]
    assert (name, value) == ("test accuracy", "90.00 %")
    assert "mean 91.00 %, standard deviation 1.41 points over 2 retrainings" in remark


def test_a_directory_that_is_no_run_or_holds_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"records\.jsonl"):
        write_report(tmp_path)
    SyntheticRun(tmp_path)
    for content in ("{", "[1]"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(InvalidInput, match=r"config\.json"):
            write_report(tmp_path)


def test_a_report_that_cannot_be_written_is_said_in_one_message(tmp_path: Path) -> None:
    SyntheticRun(tmp_path, depth=1, walks=1).search(1)
    (tmp_path / "figures").write_text("a file where the folder should be")
    with pytest.raises(InvalidInput, match="must be writable"):
        write_report(tmp_path)


def test_importing_the_report_loads_nothing_heavy() -> None:
    heavy = "{'matplotlib', 'jinja2', 'scipy', 'torch', 'ray'}"
    script = f"import sys, fade_ray.report; print({heavy} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"


def test_pyplot_and_the_users_style_stay_untouched(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
import matplotlib
matplotlib.rcParams["font.size"] = 23
from fade_ray.records.run_files import Run
from fade_ray.report.page import write_page
from fade_ray.search.search_history import History
from fade_ray.search.search_page import search_page
folder = Path(sys.argv[1])
run = Run(folder, History.read(folder / "records.jsonl"), {})
write_page(search_page(run), folder)
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams["font.size"] == 23
"""
    run = SyntheticRun(tmp_path)
    run.finish(run.propose("evaluation", 1, HyperArchitecture(((Dag(3),),))), Outcome(score=0.5))
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
