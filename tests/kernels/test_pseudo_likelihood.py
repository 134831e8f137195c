"""Pseudo-likelihood against enumeration and numerical integration."""

import time

import numpy as np
import pytest
from scipy.integrate import quad

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH
from sk_dbn.kernels.pseudo_likelihood import pseudo_log_likelihood
from sk_dbn.models.units import rectified_log_partition
from tests import reference_rbm as slow

KINDS = {LOGISTIC: "binary", TANH: "bipolar"}


def rbm(n_visible=3, n_hidden=2, scale=1.0):
    random = np.random.RandomState(0)
    shapes = (n_visible, n_hidden), n_visible, n_hidden
    return [scale * random.normal(size=shape) for shape in shapes]


def scores(visible, hidden, V, W, b, c, n_chosen=None, twin="serial"):
    out = np.zeros(len(V))
    n_chosen = V.shape[1] if n_chosen is None else n_chosen
    kernel, visible = getattr(pseudo_log_likelihood, twin), np.full(V.shape[1], visible)
    kernel(visible, hidden, V, V @ W + c, W, b, n_chosen, 0, n_chosen, out)
    return out


@pytest.mark.parametrize("hidden", [LOGISTIC, TANH])
def test_equals_enumeration(hidden):
    """The sum of log P(v_i | v_-i) over units, each from the table of all states."""
    W, b, c = rbm()
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
    W, b, c = rbm(scale=scale)
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
    W, b, c = rbm()
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
    W, b, c = rbm(scale=3.0)
    assert scores(IDENTITY, RELU, np.zeros((1, 3)), W, b, c)[0] == -np.inf
    on_one_side = np.array([[0.8, -0.8]])  # |w|^2 is more than 1, but on either side it is less
    assert np.isfinite(scores(IDENTITY, RELU, np.zeros((1, 1)), on_one_side, b[:1], c))
    assert scores(IDENTITY, RELU, np.zeros((1, 1)), abs(on_one_side), b[:1], c) == -np.inf


def normal_scores(V, W, b, c, on):
    """The sum of log-densities where all hidden units are on, or all off: each is a normal one.

    Rectified linear units that are on add (x^2 + pi^2 / 3) / 2 to the log-density, so that a
    unit's precision given the others is 1 - |w|^2; those that are off add nothing.
    """
    total = np.zeros(len(V))
    for i, w in enumerate(W):
        precision = 1.0 - on * (w @ w)
        mean = (b[i] + on * ((V @ W + c - np.outer(V[:, i], w)) @ w)) / precision
        total += 0.5 * np.log(precision / (2 * np.pi)) - 0.5 * precision * (V[:, i] - mean) ** 2
    return total


@pytest.mark.parametrize("on", [1.0, -1.0])
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e9, 1e12])
def test_rows_far_out(scale, on):
    """However far a row lies from all others, its densities have as many digits as in the middle.

    Where all hidden units are on, or off, they are known in closed form.
    """
    W, b, _ = rbm(3, 8)
    W = 0.15 * np.abs(W)
    c, V = np.full(8, on * scale), on * scale * np.random.RandomState(1).uniform(1, 2, (5, 3))
    found = scores(IDENTITY, RELU, V, W, b, c)
    np.testing.assert_allclose(found, normal_scores(V, W, b, c, max(on, 0.0)), rtol=1e-13)


@pytest.mark.parametrize("distance", [1e2, 1e4, 1e6])
def test_peaks_far_out(distance):
    """Near its peak, a density far out is the normal one of the middle, up to rounding."""
    W = np.abs(rbm(1, 8)[0])
    W *= 0.6 / np.linalg.norm(W)
    c, precision = np.full(8, distance), 1 - 0.6**2
    gaps = np.array([-3.0, -1.0, 0.0, 2.0])
    V = (W @ c)[0] / precision + gaps[:, None]
    expected = 0.5 * np.log(precision / (2 * np.pi)) - 0.5 * precision * gaps**2
    found = scores(IDENTITY, RELU, V, W, np.zeros(1), c)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15 * distance**2 / 10 + 1e-12)


@pytest.mark.parametrize("distance", [1e2, 3e2, 3e4])
@pytest.mark.parametrize("side", [-1, 1])
def test_the_highest_of_several_peaks_counts(distance, side):
    """Weights that push to either side make two peaks, of which one is higher by far.

    The nearer ones are both in the interval that is integrated over, the farther ones are not.
    """
    W = np.array([[0.8, -0.8]])  # of a precision of 1 - 0.64 far out on either side
    c = np.array([1.0, 0.8])[::side] * distance
    high, low = (0.8 * x * (1 / 0.36) * sign for x, sign in zip(np.sort(c)[::-1], (side, -side)))
    found = scores(IDENTITY, RELU, np.array([[high], [low]]), W, np.zeros(1), c)
    gap = 0.5 / 0.36 * (c.max() ** 2 - c.min() ** 2)  # of their heights
    expected = 0.5 * np.log(0.36 / (2 * np.pi)) - np.array([0.0, gap])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("hidden", [LOGISTIC, TANH, RELU])
@pytest.mark.parametrize("length", [0.7, 1.2])
@pytest.mark.parametrize("outlier", [1e9, 1e12, 1e100, 1e300])
def test_work_does_not_depend_on_the_values(hidden, length, outlier):
    """A value far out takes about as long as any: seconds would be a loop as long as it is far.

    Beyond the range of numbers a density is 0, its log -inf and not NaN.
    """
    W, b, c = rbm(20, 30)
    W *= length / np.linalg.norm(W, axis=1, keepdims=True)
    V = np.random.RandomState(1).normal(size=(3, 20))
    middle = scores(IDENTITY, hidden, V, W, b, c)
    V[1, 4] = outlier
    begin = time.perf_counter()
    found = scores(IDENTITY, hidden, V, W, b, c)
    assert time.perf_counter() - begin < 2.0
    np.testing.assert_array_equal(found[[0, 2]], middle[[0, 2]])
    assert found[1] < -0.1 * min(outlier, 1e150) ** 2


def test_exploded_weights_take_no_longer():
    """Peaks of binary hidden units are as far apart as the weights are large."""
    W, b, c = rbm(scale=1e9)
    begin = time.perf_counter()
    for hidden in (LOGISTIC, TANH):
        assert np.isfinite(scores(IDENTITY, hidden, np.zeros((1, 3)), W, b, c)).all()
    assert time.perf_counter() - begin < 2.0


def test_pieces_add_up_to_the_same_bits():
    """Units in several calls, one after another: how work is cut is no matter of the result."""
    W, b, c = rbm(40, 5)
    V, out = np.random.RandomState(3).normal(size=(20, 40)), np.zeros(20)
    visible = np.full(40, IDENTITY)
    for first, end in ((0, 1), (1, 4), (4, 7)):
        kernel = pseudo_log_likelihood.serial
        kernel(visible, LOGISTIC, V, V @ W + c, W, b, 7, first, end, out)
    np.testing.assert_array_equal(out, scores(IDENTITY, LOGISTIC, V, W, b, c, 7))


@pytest.mark.parametrize("visible", [LOGISTIC, IDENTITY])
def test_large_products_do_not_overflow(visible):
    """The sums are taken relative to their largest term."""
    W, b, c = rbm(scale=100.0)
    assert np.isfinite(scores(visible, LOGISTIC, slow.states("binary", 3), W, b, c)).all()


def test_sampled_units_estimate_the_sum():
    """One unit from each stratum, weighted by its size, has the whole sum as expectation."""
    W, b, c = rbm(40, 5)
    V = np.random.RandomState(2).randint(0, 2, (4000, 40)).astype(float)
    exact, sampled = (scores(LOGISTIC, LOGISTIC, V, W, b, c, n) for n in (40, 7))
    error = sampled - exact
    assert abs(error.mean()) < 4.5 * error.std() / np.sqrt(len(V))
    assert error.std() > 0


def test_the_choice_of_units_depends_on_the_row_alone():
    """The same row gets the same score anywhere; another row looks at other units."""
    W, b, c = rbm(40, 5)
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
