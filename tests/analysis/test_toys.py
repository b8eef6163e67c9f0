"""The toy of Amended-DARTS by the updates that train networks, against its closed forms; the
counterexample to its A.3.
"""

import numpy as np
import pytest
from _toys import (
    CLOSED_FORMS,
    Estimate,
    alignment,
    closed_form,
    estimated,
    random_alignments,
    run,
    true_gradient,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fade_ray.training.updates import UPDATES

TABLE = [  # architecture gradient at w = w*(a) = a, in units of a
    (Estimate("first-order"), -2.0),
    (Estimate("joint"), 0.0),
    (Estimate("second-order", xi=0.1), -1.2),
    (Estimate("second-order", xi=0.25), 0.0),
    (Estimate("second-order", xi=0.5), 2.0),
    (Estimate("amended", eta=0.1), -0.4),
    (Estimate("amended", eta=0.125), 0.0),
    (Estimate("amended", eta=0.25), 2.0),
]
# Rounded: the square of a number below 1e-154 is 0, and so is the norm that a difference is divided
# by.
reals = st.floats(-10, 10).map(lambda x: round(x, 9))
coefficients = st.floats(0, 1)


@pytest.mark.parametrize(("estimate", "factor"), TABLE)
@pytest.mark.parametrize("a", [1.0, -3.0, 0.01])
def test_table_at_the_optimum_of_the_weights(estimate: Estimate, factor: float, a: float) -> None:
    assert closed_form(estimate, a, a) == pytest.approx(factor * a, abs=1e-12)
    assert estimated(estimate, a, a) == pytest.approx(factor * a, abs=1e-9)


def test_true_gradient_is_the_sum_of_both_terms() -> None:
    assert true_gradient(3.0) == 6.0 == closed_form(Estimate("amended", eta=0.25), 3.0, 3.0)


def test_every_update_has_a_closed_form() -> None:
    assert set(CLOSED_FORMS) == set(UPDATES)


@pytest.mark.parametrize("update", UPDATES)
@settings(max_examples=25, deadline=None)
@given(w=reals, a=reals, eta=coefficients, xi=coefficients)
def test_closed_forms_away_from_the_optimum(
    update: str, w: float, a: float, eta: float, xi: float
) -> None:
    estimate = Estimate(update, eta, xi)
    assert estimated(estimate, w, a) == pytest.approx(
        closed_form(estimate, w, a), rel=1e-9, abs=1e-9
    )


def test_the_sign_of_the_gradient_decides_where_a_run_goes() -> None:
    for estimate, factor in TABLE:
        found = run(estimate, 120)
        if factor > 0:
            assert found.valid_loss[-1] < 1e-3
        elif factor < 0:
            assert found.valid_loss[-1] > 10
            assert abs(found.logit[-1]) > abs(found.logit[90]) > abs(found.logit[50])
    still = run(Estimate("amended", eta=0.125), 120)
    assert np.ptp(still.logit) < 1e-9
    assert still.valid_loss[-1] == pytest.approx(1.0)


def test_joint_stops_where_the_train_loss_is_zero() -> None:
    found = run(Estimate("joint"), 100)
    assert found.weight[-1] == pytest.approx(found.logit[-1])
    assert found.valid_loss[-1] == pytest.approx(found.logit[-1] ** 2)
    assert found.valid_loss[-1] > 0.1


def test_first_order_falls_at_first_and_then_runs_wild() -> None:
    # as the paper's Fig. 4(a)
    losses = run(Estimate("first-order"), 100).valid_loss
    lowest = int(np.argmin(losses))
    assert 0 < lowest < 50
    assert all(np.diff(losses[lowest + 5 :]) > 0)


def test_a_run_records_before_the_first_step_and_after_each() -> None:
    found = run(Estimate("first-order"), 2, weight=0.0, logit=1.0, weight_rate=0.5, logit_rate=0.1)
    # a -= 0.1 * -2 (2 w - a), then w -= 0.5 * 2 (w - a)
    assert found.logit == pytest.approx([1.0, 0.8, 0.96])
    assert found.weight == pytest.approx([0.0, 0.8, 0.96])
    assert found.valid_loss == pytest.approx([1.0, 0.64, 0.96**2])


def test_counterexample_to_the_claimed_angle() -> None:
    hessian, mixed, v = np.diag([1.0, 10.0]), np.array([[1.0, -1.0]]), np.array([1.0, 0.5])
    assert (mixed @ np.linalg.solve(hessian, v)).item() == pytest.approx(0.95)
    assert (mixed @ hessian @ v).item() == pytest.approx(-4)
    assert alignment(hessian, mixed, v) == pytest.approx(-1)


@given(scale=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_the_claim_holds_for_a_hessian_that_is_a_multiple_of_the_identity(
    scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    assert alignment(
        scale * np.eye(4), rng.normal(size=(2, 4)), rng.normal(size=4)
    ) == pytest.approx(1)


def test_about_half_of_random_draws_are_negative() -> None:
    cosines = random_alignments(2000, np.random.default_rng(0))
    assert cosines.shape == (2000,)
    # four standard errors of a fair coin
    assert abs((cosines < 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(2000)
    near = random_alignments(200, np.random.default_rng(0), decades=0.5)
    assert (near < 0).mean() < 0.1  # spectra that hardly spread are near the identity's case
