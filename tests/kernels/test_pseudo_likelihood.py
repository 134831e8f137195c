"""Pseudo-likelihood against enumeration and numerical integration."""

import numpy as np
import pytest
from scipy.integrate import quad

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH
from sk_dbn.kernels.pseudo_likelihood import pseudo_log_likelihood
from sk_dbn.models.rbm import rectified_log_partition
from tests import reference_rbm as slow

KINDS = {LOGISTIC: "binary", TANH: "bipolar"}


def machine(n_visible=3, n_hidden=2, scale=1.0):
    random = np.random.RandomState(0)
    shapes = (n_visible, n_hidden), n_visible, n_hidden
    return [scale * random.normal(size=shape) for shape in shapes]


def scores(visible, hidden, V, W, b, c, n_chosen=None, twin="serial"):
    out = np.empty(len(V))
    n_chosen = V.shape[1] if n_chosen is None else n_chosen
    kernel, visible = getattr(pseudo_log_likelihood, twin), np.full(V.shape[1], visible)
    kernel(visible, hidden, V, V @ W + c, W, b, n_chosen, out)
    return out


@pytest.mark.parametrize("hidden", [LOGISTIC, TANH])
def test_equals_enumeration(hidden):
    """The sum of log P(v_i | v_-i) over units, each from the table of all states."""
    W, b, c = machine()
    V = slow.states("binary", 3)
    expected = [slow.log_conditionals(v, "binary", KINDS[hidden], W, b, c).sum() for v in V]
    np.testing.assert_allclose(scores(LOGISTIC, hidden, V, W, b, c), expected, rtol=1e-12)


def log_sum(hidden, x):
    """log sum_h exp(x h) of each hidden unit."""
    return np.logaddexp(0, x) if hidden == LOGISTIC else np.logaddexp(x, -x)


@pytest.mark.parametrize("hidden", [LOGISTIC, TANH])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_gaussian_densities_integrate_to_one(hidden, scale):
    """The trapezoidal rule's normalising integral is that of adaptive quadrature.

    At the largest scale the density has separate peaks, far from the unit's own bias.
    """
    W, b, c = machine(scale=scale)
    v = np.random.RandomState(1).normal(size=3)
    expected = 0.0
    for i in range(3):

        def density(t, i=i, v=v):
            moved = np.r_[v[:i], t, v[i + 1 :]]
            return -0.5 * (t - b[i]) ** 2 + log_sum(hidden, moved @ W + c).sum()

        top = max(density(t) for t in np.linspace(-40, 40, 801))
        integral = quad(
            lambda t, top=top: np.exp(density(t) - top), -60, 60, points=[-20, 0, 20], limit=500,
            epsabs=1e-13, epsrel=1e-12,
        )[0]  # fmt: skip
        expected += density(v[i]) - top - np.log(integral)
    found = scores(IDENTITY, hidden, v[None], W, b, c)
    np.testing.assert_allclose(found, [expected], rtol=1e-9)


@pytest.mark.parametrize("length", [0.2, 0.6, 0.95])
def test_rectified_units_widen_gaussian_densities(length):
    """They push a unit outward in proportion to where it is, so no fixed tail is enough.

    At the largest length of its weights the log-density has a curvature of 0.1 far out.
    """
    W, b, c = machine()
    W *= length / np.linalg.norm(W, axis=1, keepdims=True)
    v, expected = 2.0 * np.random.RandomState(1).normal(size=3), []
    for i in range(3):
        moved = np.tile(v, (80_001, 1))
        moved[:, i] = np.linspace(-400, 400, 80_001)
        x = rectified_log_partition(moved @ W + c).sum(axis=1)
        log_density = x - 0.5 * (moved[:, i] - b[i]) ** 2
        here = rectified_log_partition(v @ W + c).sum() - 0.5 * (v[i] - b[i]) ** 2
        top = log_density.max()
        integral = np.exp(log_density - top).sum() * 0.01
        expected.append(here - top - np.log(integral))
        assert max(log_density[0], log_density[-1]) < top - 40
    found = scores(IDENTITY, RELU, v[None], W, b, c)
    np.testing.assert_allclose(found, [sum(expected)], rtol=1e-8)


def test_units_without_a_density():
    """Pushed by more than they are held, Gaussian units have none: its log is -inf, and soon so."""
    W, b, c = machine(scale=3.0)
    assert scores(IDENTITY, RELU, np.zeros((1, 3)), W, b, c)[0] == -np.inf
    on_one_side = np.array([[0.8, -0.8]])  # |w|^2 is more than 1, but on either side it is less
    assert np.isfinite(scores(IDENTITY, RELU, np.zeros((1, 1)), on_one_side, b[:1], c))
    assert scores(IDENTITY, RELU, np.zeros((1, 1)), abs(on_one_side), b[:1], c) == -np.inf


@pytest.mark.parametrize("visible", [LOGISTIC, IDENTITY])
def test_large_products_do_not_overflow(visible):
    """The sums are taken relative to their largest term."""
    W, b, c = machine(scale=100.0)
    assert np.isfinite(scores(visible, LOGISTIC, slow.states("binary", 3), W, b, c)).all()


def test_sampled_units_estimate_the_sum():
    """One unit from each stratum, weighted by its size, has the whole sum as expectation."""
    W, b, c = machine(40, 5)
    V = np.random.RandomState(2).randint(0, 2, (4000, 40)).astype(float)
    exact, sampled = (scores(LOGISTIC, LOGISTIC, V, W, b, c, n) for n in (40, 7))
    error = sampled - exact
    assert abs(error.mean()) < 4.5 * error.std() / np.sqrt(len(V))
    assert error.std() > 0


def test_the_choice_of_units_depends_on_the_row_alone():
    """The same row gets the same score anywhere; another row looks at other units."""
    W, b, c = machine(40, 5)
    V = np.random.RandomState(3).randint(0, 2, (50, 40)).astype(float)
    together = scores(LOGISTIC, LOGISTIC, V, W, b, c, 7)
    np.testing.assert_allclose(
        scores(LOGISTIC, LOGISTIC, V[::-1], W, b, c, 7, "parallel")[::-1], together, rtol=1e-12
    )
    alone = [scores(LOGISTIC, LOGISTIC, v[None], W, b, c, 7)[0] for v in V]
    np.testing.assert_allclose(alone, together, rtol=1e-12)
    zeros = np.zeros((1, 40))
    same = scores(LOGISTIC, LOGISTIC, -zeros, W, b, c, 7)
    np.testing.assert_array_equal(scores(LOGISTIC, LOGISTIC, zeros, W, b, c, 7), same)
