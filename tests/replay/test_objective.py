"""Tables in place of training: marginals by brute force, ranks with and without noise, views that
keep reports apart.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fade_ray.replay.benchmarks import (
    Benchmark,
    accel_benchmark,
    macro_benchmark,
    marginals,
    read_benchmark,
    repeat_noise,
    row_costs,
    sizes,
)
from fade_ray.replay.replay_config import ReplayConfig
from fade_ray.replay.replay_study import Study, agreement, within_limits
from fade_ray.replay.table_objective import Array, RankModel, TableObjective
from fade_ray.search.limit_config import LimitConfig
from searchers import Proposal
from spaces import HyperArchitecture
from spaces.accel_nasbench import BLOCKS as ACCEL_BLOCKS
from spaces.accel_nasbench import DEVICES, AccelTable
from spaces.errors import InvalidInput
from spaces.nasbench_macro import BLOCKS, MacroTable, codes

ROWS = st.lists(
    st.permutations(range(3)).flatmap(
        lambda order: st.sampled_from([order[:n] for n in (1, 2, 3)])
    ),
    min_size=4,
    max_size=4,
)


def hyper(rows: list[list[int]]) -> HyperArchitecture:
    return HyperArchitecture(tuple(tuple(BLOCKS[i] for i in row) for row in rows))


def proposal(kind: str, architecture: HyperArchitecture, seed: int = 0) -> Proposal:
    return Proposal("0", kind, architecture, seed, 1)  # type: ignore[arg-type]


@settings(deadline=None)
@given(ROWS, st.integers(0, 99))
def test_marginals_are_means_over_all_architectures(rows: list[list[int]], seed: int) -> None:
    accuracies = np.random.default_rng(seed).random((3,) * 4)
    found = marginals(accuracies, rows)
    for row, means in enumerate(found):
        for place, candidate in enumerate(rows[row]):
            brute = [accuracies[choice] for choice in product(*rows) if choice[row] == candidate]
            assert means[place] == pytest.approx(np.mean(brute), abs=1e-12)


def test_weights_are_the_softmax_of_marginals_and_duplicates_have_all_of_theirs(
    toy: Benchmark,
) -> None:
    benchmark = toy
    objective = TableObjective(benchmark, 0, RankModel(noise=0.0, temperature=0.5))
    rows = [[2, 0, 2], [1, 1, 1], [0, 1, 2], [1, 0, 1]]
    scores = objective.view.scores
    logs = objective.log_weights(hyper(rows), 0)
    distinct = [[2, 0], [1], [0, 1, 2], [1, 0]]
    for row, known, means, log in zip(
        rows, distinct, marginals(scores, distinct), logs, strict=True
    ):
        expected = np.exp(means / (0.5 * scores.std()))
        found = dict(zip(row, np.exp(log), strict=True))
        np.testing.assert_allclose([found[c] for c in known], expected / expected.sum(), rtol=1e-9)
    assert logs[0][0] == logs[0][2]
    assert logs[1] == (0.0, 0.0, 0.0)


def test_noise_has_the_stated_size_and_is_that_of_the_proposal(toy: Benchmark) -> None:
    benchmark = toy
    everything = hyper([[0, 1, 2]] * 4)
    noisy = TableObjective(benchmark, 0, RankModel(noise=2.0))
    exact = TableObjective(benchmark, 0, RankModel(noise=0.0)).log_weights(everything, 0)
    draws = np.array(
        [np.array(noisy.log_weights(everything, seed)) - np.array(exact) for seed in range(800)]
    )
    contrasts = (
        draws[:, :, 0] - draws[:, :, 1]
    )  # of the softmax, the normalisation drops out: 2 * sqrt(2) standard deviations
    # 3,200 values: 5 standard errors
    assert contrasts.std() == pytest.approx(2 * np.sqrt(2), rel=0.06)
    assert abs(contrasts.mean()) < 0.2
    assert (
        noisy.log_weights(everything, 5)
        == noisy.log_weights(everything, 5)
        != noisy.log_weights(everything, 6)
    )
    assert TableObjective(benchmark, 3, RankModel(noise=2.0)).log_weights(
        everything, 5
    ) != noisy.log_weights(everything, 5)


def test_without_signal_the_noise_alone_is_left_at_the_same_scale(toy: Benchmark) -> None:
    everything = hyper([[0, 1, 2]] * 4)

    def contrasts(seed: int, model: RankModel) -> Array:
        logs = np.array(TableObjective(toy, 0, model).log_weights(everything, seed))
        return np.diff(logs, axis=1)  # of log weights: what normalises them drops out

    for seed in range(3):
        exact, noisy, blind = (
            contrasts(seed, RankModel(noise, temperature=0.5, signal=signal))
            for noise, signal in [(0.0, 1.0), (2.0, 1.0), (2.0, 0.0)]
        )
        np.testing.assert_allclose(noisy - exact, blind, rtol=1e-9)
        np.testing.assert_allclose(
            contrasts(seed, RankModel(0.0, 0.5, signal=3.0)), 3 * exact, rtol=1e-9
        )
    assert np.abs(blind).min() > 0


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ROWS,
    st.integers(0, 99),
    st.sampled_from([RankModel(), RankModel(0.0), RankModel(weights=((0.5, 0.3, 0.2),) * 4)]),
)
def test_permuted_weights_are_those_of_the_ranks_elsewhere_in_their_row(
    toy: Benchmark, rows: list[list[int]], seed: int, model: RankModel
) -> None:
    # with duplicates, which keep the weight of their like
    full = [[*row, *[row[0]] * (4 - len(row))] for row in rows]
    plain, permuted = (
        np.array(TableObjective(toy, 5, m).log_weights(hyper(full), seed))
        for m in (model, replace(model, permuted=True))
    )
    for row, before, after in zip(rows, plain, permuted, strict=True):
        known = len(row)
        np.testing.assert_allclose(sorted(after[:known]), sorted(before[:known]), rtol=1e-12)
        assert set(after[known:]) == {after[0]}
    again = TableObjective(toy, 5, replace(model, permuted=True)).log_weights(hyper(full), seed)
    np.testing.assert_array_equal(again, permuted)


def test_permuted_weights_know_nothing(toy: Benchmark) -> None:
    """Over 600 seeds every candidate of every row has the largest weight a third of the time,
    within 5 standard errors.
    """
    objective = TableObjective(toy, 0, RankModel(noise=0.0, permuted=True))
    logs = np.array([objective.log_weights(hyper([[0, 1, 2]] * 4), seed) for seed in range(600)])
    shares = np.array([(logs.argmax(-1) == candidate).mean(0) for candidate in range(3)])
    np.testing.assert_allclose(shares, 1 / 3, atol=5 * np.sqrt(2 / 9 / 600))


def test_learned_weights_are_restricted_and_normalised(toy: Benchmark) -> None:
    weights = ((0.5, 0.3, 0.2), (0.1, 0.2, 0.7), (1.0, 0.0, 0.0), (0.2, 0.2, 0.6))
    objective = TableObjective(toy, 0, RankModel(weights=weights))
    found = np.exp(objective.log_weights(hyper([[1, 2], [2, 2], [0, 1], [0, 1]]), 0))
    np.testing.assert_allclose(found, [[0.6, 0.4], [1, 1], [1, 0], [0.5, 0.5]], atol=1e-9)


def test_learned_weights_of_another_shape_are_refused(toy: Benchmark) -> None:
    with pytest.raises(InvalidInput, match=r"4 rows of \[3, 3, 3, 3\]"):
        TableObjective(toy, 0, RankModel(weights=((0.5, 0.5),) * 4))


def test_an_evaluation_sees_the_score_and_not_the_report(toy: Benchmark) -> None:
    benchmark = toy
    objective = TableObjective(benchmark, 0, RankModel())
    for choice in [(0, 0, 0, 0), (2, 1, 0, 2)]:
        architecture = hyper([[i] for i in choice])
        assert objective(proposal("evaluation", architecture)).score == benchmark.view(0).score(
            choice
        )
        assert (
            objective.report(architecture)
            == benchmark.view(0).report(choice)
            != benchmark.view(0).score(choice)
        )


def test_a_macro_replay_sees_one_training_and_reports_the_others() -> None:
    accuracies = np.random.default_rng(0).random((*(3,) * 8, 3))
    benchmark = macro_benchmark(MacroTable(accuracies))
    for seed in (0, 1, 2, 7):
        view = benchmark.view(seed)
        np.testing.assert_array_equal(view.scores, accuracies[..., seed % 3])
        np.testing.assert_allclose(view.reports, (accuracies.sum(-1) - view.scores) / 2)


def test_the_real_tables_are_known_by_their_columns(real_data: Path) -> None:
    macro = read_benchmark(real_data / "nasbench_macro.parquet")
    assert (macro.name, macro.depth, len(macro.candidates)) == ("NAS-Bench-Macro", 8, 3)
    cells = read_benchmark(real_data / "nasbench201.parquet", "c10_valid_200")
    table = pq.read_table(real_data / "nasbench201.parquet").to_pylist()
    for line in (table[0], table[777], table[-1]):
        numbers = tuple(line[f"op_e{edge}"] for edge in ("01", "02", "12", "03", "13", "23"))
        [cell] = [cell for cell in cells.candidates if cell.numbers == numbers]  # type: ignore[attr-defined]
        choice = cells.choice(HyperArchitecture(((cell,),)))
        assert cells.view(0).score(choice) == pytest.approx(line["c10_valid_200"] / 100)
        assert cells.view(5).report(choice) == pytest.approx(line["c10_test_200"] / 100)


def macro_columns() -> dict[str, list[object]]:
    return {"arch": list(codes()), **{f"test_acc_{i}": [50.0 + i] * 3**8 for i in range(3)}}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda columns: columns.pop("test_acc_1"), "lacks test_acc_1"),
        (lambda columns: columns.pop("arch"), "NAS-Bench-Macro .column arch., NAS-Bench-201"),
        (lambda columns: columns["arch"].__setitem__(0, columns["arch"][1]), "more than once"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path: Path, change: object, text: str) -> None:
    columns = macro_columns()
    change(columns)  # type: ignore[operator]
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    with pytest.raises(InvalidInput, match=text):
        read_benchmark(tmp_path / "table.parquet")


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("arch")
    for path in (tmp_path / "text.parquet", tmp_path / "none.parquet"):
        with pytest.raises(InvalidInput, match="readable Parquet"):
            read_benchmark(path)


def test_a_table_of_some_architectures_answers_for_all(real_data: Path) -> None:
    benchmark = read_benchmark(real_data / "accel_nasbench.parquet")
    facts = benchmark.facts
    assert facts["trained_architectures"] == 5138
    assert facts["r2_of_left_out"] > 0.96  # what boosted trees reach by cross-validation
    assert facts["noise_points"] == pytest.approx(0.2697, abs=1e-3)
    assert [len(row) for row in benchmark.rows] == [36] * 5 + [48, 36]
    assert 0.95 < agreement(benchmark, RankModel(noise=0.0)) < 1
    views = [benchmark.view(seed) for seed in (0, 0, 1)]
    rng = np.random.default_rng(0)
    choices = [tuple(int(rng.integers(len(row))) for row in benchmark.rows) for _ in range(300)]
    seen = np.array([[view.score(choice) for choice in choices] for view in views])
    reports = np.array([views[2].report(choice) for choice in choices])
    assert (seen[0] == seen[1]).all()
    assert (seen[0] != seen[2]).all()
    noise = 100 * (seen[[0, 2]] - reports).std()
    assert noise == pytest.approx(facts["noise_points"], rel=5 / np.sqrt(2 * 600))


def test_parameters_are_sums_over_the_rows(real_data: Path) -> None:
    table = AccelTable.read(real_data / "accel_nasbench.parquet")
    each = sizes(table.choices, table.parameters, len(ACCEL_BLOCKS))
    summed = each[range(7), table.choices].sum(axis=1)
    np.testing.assert_allclose(summed, table.parameters, atol=1e-6)


def test_costs_of_accel_nasbench_are_those_of_the_table(real_data: Path) -> None:
    """Parameters and multiply-adds of every architecture to the last one, and latencies nearly."""
    table = AccelTable.read(real_data / "accel_nasbench.parquet")
    assert set(table.costs) == {"parameters", "multiply-adds", *DEVICES}
    choices = table.choices[::4]
    for name, values in ((name, values[::4]) for name, values in table.costs.items()):
        cost = row_costs(name, choices, values, ACCEL_BLOCKS)
        rows = [np.array([*row.values()]) for row in cost.rows]
        told = sum(row[places] for row, places in zip(rows, choices.T, strict=True))
        known, given = np.isfinite(values), (cost.fixed + told) / cost.unit
        if name in ("parameters", "multiply-adds"):
            assert (given == np.rint(values)).all()
        else:
            assert 1 - np.var((given - values)[known]) / np.var(values[known]) > 0.97, name
            assert cost.least > 0


def test_a_limited_replay_never_sees_what_breaks_the_limit(real_data: Path) -> None:
    config = ReplayConfig(
        str(real_data / "accel_nasbench.parquet"),
        ("fade", "random", "evolution", "by-size"),
        seeds=1,
        budget=12,
        limits=LimitConfig(max_latency_ms=3.0, max_params=3_000_000),
        latency_device="vck190",
    )
    table = AccelTable.read(config.table)
    few = {name: values[::12] for name, values in table.costs.items()}
    accuracies, parameters = table.accuracies[::12], table.parameters[::12]
    benchmark = accel_benchmark(AccelTable(table.choices[::12], accuracies, parameters, few))
    study = Study(config, benchmark, config.model(None), within_limits(benchmark, config))
    for job in config.jobs():
        codes = study.run(job).trace.architectures
        assert len(codes) > 3
        for hyper in map(HyperArchitecture.from_code, codes):
            assert study.benchmark.costs["vck190"].of(hyper) <= 3_000_000
            assert study.benchmark.costs["parameters"].of(hyper) <= 3_000_000
    assert study.within.name.endswith("parameters <= 3000000, ms on vck190 <= 3")
    with pytest.raises(InvalidInput, match="cost that is known here"):
        config.limits.over({})


def test_noise_is_that_of_repeats() -> None:
    choices = np.array([[0, 1], [0, 1], [2, 2], [1, 1], [1, 1], [1, 1]])
    values = np.array([1.0, 3.0, 9.0, 0.0, 0.0, 3.0])
    assert repeat_noise(choices, values) == pytest.approx(np.sqrt((2 + 6) / 3))
    assert repeat_noise(choices[2:3], values[2:3]) == 0
