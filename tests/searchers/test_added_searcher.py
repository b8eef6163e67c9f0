"""A searcher from a file of one's own takes part in everything that searches, by its name."""

import runpy
from pathlib import Path

import pytest

from fade_ray.compare.compare_config import CompareConfig, ContestConfig
from fade_ray.kinds import kind_of_run
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.run.command import parse
from searchers import Outcome, Searcher, TrialLengths
from spaces import GraphSpace

FILE = Path(__file__).parents[1] / "additions" / "my_searcher.py"


@pytest.fixture(autouse=True)
def added() -> None:
    runpy.run_path(str(FILE))


def test_the_file_is_short() -> None:
    assert len(FILE.read_text().splitlines()) <= 30


def test_it_is_known_to_search_compare_and_replay() -> None:
    given = ["--searcher", "climbing", "--tries", "3", "--iterations", "4"]
    config = parse(kind_of_run("search"), given)
    assert (config.searcher.name, config.searcher.tries, config.searcher.iterations) == (
        "climbing",
        3,
        4,
    )
    compared = CompareConfig(ContestConfig(("climbing", "random")))
    assert dict(compared.configs())["climbing-0"].searcher.name == "climbing"
    replay = ReplayConfig("table.parquet", searchers=("climbing", "random"))
    assert ("climbing", 0) in replay.jobs()


def test_it_climbs() -> None:
    space, options = GraphSpace.create(max_vertices=4), Searcher.member("climbing")(iterations=30)
    search = options.build(space, 2, TrialLengths(), 0)
    scores = []
    while (proposal := search.ask()) is not None:
        scores.append(float(sum(row[0].size for row in proposal.hyper.rows)))
        search.tell(proposal.id, Outcome(score=scores[-1]))
    assert len(scores) == 1 + 29 * 2
    assert search.best is not None
    assert search.best[1] == max(scores) > scores[0]
