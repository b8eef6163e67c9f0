"""The studies under docs/results: small, whole when unpacked, and the same when made again."""

import json
import re
from pathlib import Path

import pytest
import results

from fade_ray.run.folder import environment
from spaces.errors import InvalidInput

MOST = 5_500_000
"""Bytes of all studies together."""
FOLDERS = sorted(path for path in results.RESULTS.iterdir() if path.is_dir())
STUDIES = [path for path in FOLDERS if path.name not in ("bench", "tables")]
RECORDED = [path for path in STUDIES if (path / results.PACKED).exists()]
PAGES = sorted(results.RESULTS.glob("*.md"))
ABOUT = environment("").keys()
"""What a file says of the run that made it."""
NUMBERS = ("summary.json", "result.json", "toys.json")


def named(path: Path) -> str:
    return path.name


def test_all_studies_together_are_small() -> None:
    files = [path for path in results.RESULTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST
    largest = max(path.stat().st_size for path in files if path.suffix == ".svg")
    assert largest <= 300_000


@pytest.mark.parametrize("study", STUDIES, ids=named)
def test_a_study_has_at_most_two_figures_each_shown_or_named_on_a_page(study: Path) -> None:
    pages = "".join(page.read_text() for page in PAGES)
    figures = sorted(study.rglob("*.svg"))
    assert len(figures) <= 2
    for path in figures:
        assert str(path.relative_to(results.RESULTS)) in pages


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_named_by_a_page_exist(page: Path) -> None:
    text = page.read_text()
    linked = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text)
    for name in linked:
        assert (page.parent / name).exists(), name


@pytest.mark.parametrize("study", RECORDED, ids=named)
def test_records_come_back_as_lines_of_json(study: Path, tmp_path: Path) -> None:
    out = tmp_path / study.name
    results.unpack(study, out)
    records = [out / name for name in results.RECORDS if (out / name).exists()]
    assert records
    for path in records:
        text = path.read_text()
        assert text.endswith("\n")
        assert all(isinstance(json.loads(line), dict) for line in text.splitlines())


def test_a_packed_record_is_the_record_to_the_byte(tmp_path: Path) -> None:
    search = {
        "event": "replayed",
        "trace": {"seed": 0, "costs": [1.0, 2.0], "scores": [0.1, 1e-9], "reports": [0.3, 2 / 3]},
        "failure": None,
    }
    lines = '{"event": "start", "word": "Größe"}\n' + json.dumps(search) + "\n"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "replays.jsonl").write_text(lines, encoding="utf-8")
    table = results.packed(tmp_path / "run")
    (tmp_path / "study").mkdir()
    results.write_packed(table, tmp_path / "study" / results.PACKED)
    results.unpack(tmp_path / "study", tmp_path / "again")
    assert (tmp_path / "again" / "replays.jsonl").read_text(encoding="utf-8") == lines


def test_a_directory_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds none of"):
        results.packed(tmp_path)


def test_a_summary_keeps_no_curves() -> None:
    curve = {"mean": [0.5] * 101, "epochs": [{"epoch": 1, "v": 2.0}, {"epoch": 2, "v": 3.0}]}
    assert results.trimmed(curve) == {"mean": "101 values", "epochs": [{"epoch": 2, "v": 3.0}]}


def test_differing_summaries_differ() -> None:
    one = {"tests": [{"p": 0.5, "seeds": [1, 2]}], "verdict": ["a"]}
    other = {"tests": [{"p": 0.5 + 1e-6, "seeds": [1]}], "verdict": ["b"]}
    assert list(results.differences(one, one)) == []
    assert len(list(results.differences(one, other))) == 3


def test_a_simplified_figure_keeps_its_words_and_colours() -> None:
    svg = (
        '<svg><metadata>today</metadata><path d="M 1.23456 2 \nL 3.98765 4 \nz\n" '
        'style="fill-opacity: 0.125"/><text x="1.25678">0.123456 points</text></svg>'
    )
    simple = results.simplified(svg)
    assert 'd="M1.2 2L4 4z"' in simple
    assert "fill-opacity: 0.125" in simple
    assert "0.123456 points" in simple
    assert "today" not in simple


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES, ids=named)
def test_a_study_made_again_says_the_same(study: Path, tmp_path: Path) -> None:
    out = tmp_path / study.name
    results.remake(study, out)
    kept = [name for name in NUMBERS if (study / name).exists()]
    for name in kept:
        told, again = (json.loads((folder / name).read_text()) for folder in (study, out))
        for key in {"environment", *ABOUT}:
            told.pop(key, None), again.pop(key, None)
        assert list(results.differences(told, again)) == []
    for figure in study.rglob("*.svg"):
        assert results.simplified(results.figure(out, figure.stem).read_text())
