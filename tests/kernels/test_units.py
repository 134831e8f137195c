"""Kinds of units: their samples, and what they add to energies and divergences."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH
from sk_dbn.kernels.random_bits import fill_normal
from sk_dbn.kernels.units import (
    add_noise,
    divergence,
    drop,
    log_partition,
    rectified_log_partition,
    sample,
    sample_rectified,
    softplus,
    to_means,
)
from sk_dbn.models import units
from tests import reference

DTYPES = [np.float32, np.float64]
KEYS = [np.uint32(reference.derive(seed, 7)[0]) for seed in (0, 1, 2, 12345, 2**31, 2**32 - 1)]
ALPHA = 1e-4  # family-wise error of the test of probabilities, whose keys are fixed


# Products plus biases of rectified linear units, the far ones as well.
FIELDS = np.r_[np.linspace(-12, 12, 481), -750.0, -90.0, -30.0, 30.0, 90.0, 1e4]


def standard_errors(z, expected, square):
    """How far the mean of n draws is from its expectation, of which the square's is known."""
    return (z.mean(axis=0) - expected) / np.sqrt((square - expected**2) / len(z))


def assert_standard_normal(scores):
    """No score is further out than the family's error allows."""
    assert np.abs(scores).max() < scipy.stats.norm.isf(ALPHA / 2 / np.size(scores))


def rectified_moments(x):
    """Mean and mean square of max(0, x + e) for normal e of the variance logistic(x)."""
    s = np.sqrt(scipy.special.expit(x))
    P, p = scipy.stats.norm.cdf(x / s), scipy.stats.norm.pdf(x / s)
    return x * P + s * p, (x**2 + s**2) * P + x * s * p


def sampled(kind, mean, key, first_row=0):
    out = mean.copy()
    sample(kind, np.uint32(key), first_row, out, 0, out.shape[1])
    return out


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_samples_equal_the_reference(dtype):
    """24 bits are a fraction that both precisions hold exactly, so both draw the same."""
    p = np.random.RandomState(0).uniform(size=(31, 17)).astype(np.float32).astype(dtype)
    expected = reference.binary_sample(p, KEYS[0], 4, 0.0)
    assert np.array_equal(sampled(LOGISTIC, p, KEYS[0], 4), expected)
    expected = reference.binary_sample(0.5 + 0.5 * p, KEYS[0], 4, -1.0)
    assert np.array_equal(sampled(TANH, p, KEYS[0], 4), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_certain_events_are_certain(dtype):
    """u lies in [0, 1), so u < 0 never holds and u < 1 always does."""
    for key in KEYS:
        assert not sampled(LOGISTIC, np.zeros((256, 256), dtype), key).any()
        assert sampled(TANH, np.ones((256, 256), dtype), key).min() == 1


def test_binary_samples_have_the_probabilities_asked_for():
    """The share of ones is p, but for binomial noise, also for p close to 0 and to 1."""
    scores, n = [], 512
    for key in KEYS:
        for p in (1e-3, 0.1, 0.5, 0.9, 0.999):
            n_ones = sampled(LOGISTIC, np.full((n, n), p), key).sum()
            scores.append((n_ones - n * n * p) / np.sqrt(n * n * p * (1 - p)))
    assert np.abs(scores).max() < scipy.stats.norm.isf(ALPHA / 2 / len(scores))


def test_nan_probability_draws_no_one():
    """A comparison with NaN is false; a NaN of the parameters shows in the means."""
    assert not sampled(LOGISTIC, np.full((3, 5), np.nan), KEYS[0]).any()


X = np.array([[-700.0, -20.0, -1.5, -1e-9, 0.0, 0.3, 2.0, 20.0, 700.0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [LOGISTIC, TANH, IDENTITY])
def test_means(kind, dtype):
    """Logistic for 0 and 1, tanh for -1 and 1, the argument itself for Gaussian units."""
    x, bias = X.astype(dtype), np.full(X.shape[1], 0.25, dtype)
    expected = {LOGISTIC: scipy.special.expit, TANH: np.tanh, IDENTITY: lambda x: x}[kind](x + bias)
    to_means(kind, x, bias, 0, x.shape[1])
    np.testing.assert_allclose(x, expected, 16 * np.finfo(dtype).eps, np.finfo(dtype).tiny)


@pytest.mark.parametrize("kind", [LOGISTIC, TANH, IDENTITY, RELU])
def test_units_of_another_kind_are_left_alone(kind):
    """Means, draws and noise of a range of units are those of the whole row; the others stay."""
    x, noise = np.random.RandomState(0).uniform(size=(2, 4, 9))
    bias, variance = np.linspace(-1, 1, 9), np.linspace(0.1, 1, 9)
    steps = {
        "means": lambda state, lo, hi: to_means(kind, state, bias, lo, hi),
        "noise": lambda state, lo, hi: add_noise(variance, noise, state, lo, hi),
        "draws": lambda state, lo, hi: sample(kind, KEYS[0], 2, state, lo, hi),
    }
    if kind not in (LOGISTIC, TANH):
        del steps["draws"]
    for step in steps.values():
        whole, part = x.copy(), x.copy()
        step(whole, 0, 9)
        step(part, 3, 7)
        np.testing.assert_array_equal(part[:, 3:7], whole[:, 3:7])
        np.testing.assert_array_equal(part[:, [0, 1, 2, 7, 8]], x[:, [0, 1, 2, 7, 8]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rectified_means(dtype):
    """x P(e > -x) + s p(x / s): SciPy's distribution function, to the 1e-7 of the formula.

    Relative where the mean is large, which in single precision costs its last digits.
    """
    bias = np.linspace(-0.5, 0.5, 7).astype(dtype)
    x = FIELDS[:, None] - bias
    z = x.astype(dtype)
    total = z.astype(float) + bias.astype(float)
    to_means(RELU, z, bias, 0, z.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = rectified_moments(total)[0]
    expected[total < -700] = 0.0  # where s is 0 as well
    tolerance = 1e-7 + 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(z, expected, tolerance, tolerance)


def test_rectified_means_are_integrals():
    """Of max(0, x + s e) over the normal density of e, by quadrature; and the model's own."""
    for x in (-6.0, -1.0, 0.0, 0.3, 2.0, 8.0):
        s = np.sqrt(scipy.special.expit(x))
        tail = scipy.integrate.quad(
            lambda e, x=x, s=s: (x + s * e) * scipy.stats.norm.pdf(e), -x / s, 40 + abs(x / s)
        )[0]
        z = np.array([[x]])
        to_means(RELU, z, np.zeros(1), 0, 1)
        assert z[0, 0] == pytest.approx(tail, rel=1e-7, abs=1e-7)
        assert units.rectified_mean(np.array(x)) == pytest.approx(tail, abs=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rectified_means_keep_nan(dtype):
    """Divergence must be seen."""
    z = np.array([[1.0, np.nan, -3.0]], dtype)
    to_means(RELU, z, np.zeros(3, dtype), 0, 3)
    np.testing.assert_array_equal(np.isnan(z), [[False, True, False]])


def test_rectified_log_partition_is_the_integral_of_softplus():
    """Its derivative is softplus, it is 0 far below; and the model has the same function."""
    x, step = np.linspace(-20, 20, 401), 1e-4
    found = np.array([rectified_log_partition(y) for y in x])
    slopes = [
        (rectified_log_partition(y + step) - rectified_log_partition(y - step)) / (2 * step)
        for y in x
    ]
    np.testing.assert_allclose(slopes, np.logaddexp(0, x), rtol=2e-7)
    np.testing.assert_allclose(found, units.rectified_log_partition(x), rtol=1e-13, atol=1e-15)
    assert rectified_log_partition(-800.0) == 0.0
    for low in (-1.0, 0.0, 2.5):
        integral = scipy.integrate.quad(lambda t: np.logaddexp(0, t), -60, low, epsabs=1e-13)[0]
        assert rectified_log_partition(low) == pytest.approx(integral, rel=1e-11)


def test_rectified_log_partition_is_that_of_many_binary_units():
    """The midpoint rule errs by h^2 / 24 times the difference of the integrand's end slopes.

    So with biases that fall in steps of h the sum, times h, lacks h^2 / 24 logistic(x); for the
    steps of 1 of rectified linear units that is at most 1 / 24, which the next term, of the
    order of h^4, does not change by a fifth.
    """
    for h in (1.0, 0.5, 0.1):
        k = np.arange(1, int(70 / h))
        for x in np.linspace(-8, 8, 33):
            total = h * np.logaddexp(0, x - h * k + h / 2).sum()
            gap = rectified_log_partition(x) - total
            assert gap == pytest.approx(
                h**2 / 24 * scipy.special.expit(x), abs=h**4 / 24 / 5 + 1e-12
            )


def test_log_partition_knows_rectified_units():
    """By their code."""
    for x in (-3.0, 0.0, 4.0):
        assert log_partition(RELU, x) == rectified_log_partition(x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_samples(dtype):
    """Mean plus the root of the unit's own variance times the reference's normal draw."""
    mean = np.random.RandomState(0).normal(size=(9, 7)).astype(dtype)
    variance, state = np.linspace(0.01, 1, 7).astype(dtype), mean.copy()
    drawn = np.empty_like(mean)
    fill_normal(KEYS[1], 3, drawn)
    add_noise(variance, drawn, state, 0, 7)
    n_bits = 23 if dtype == np.float32 else 32
    noise = reference.normal_sample(KEYS[1], 3, mean.shape, n_bits)
    np.testing.assert_allclose(
        state, mean + np.sqrt(variance) * noise, rtol=1e-6, atol=8 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_rectified_samples_equal_the_reference(dtype):
    """max(0, x + e) with e of the variance logistic(x), drawn at the row's and unit's address."""
    bias, z = np.linspace(-2, 2, 8).astype(dtype), np.zeros((9, 8), dtype)
    z[:] = np.random.RandomState(0).normal(size=(9, 8))
    before, state = z.copy(), np.full_like(z, np.nan)
    sample_rectified(KEYS[1], 3, bias, z, state)
    n_bits = 23 if dtype == np.float32 else 32
    noise, x = reference.normal_sample(KEYS[1], 3, z.shape, n_bits), z + bias
    expected = np.maximum(0, x + np.sqrt(scipy.special.expit(x)) * noise)
    np.testing.assert_allclose(state, expected, rtol=2e-6, atol=16 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(z, before)
    assert (state == 0).any() and (state > 0).any()


def test_moments_of_rectified_samples():
    """Mean and mean square over 2^16 rows, of every field and key, within their errors."""
    x, scores = np.array([-1.0, -0.4, 0.0, 0.5, 3.0, 20.0]), []
    mean, square = rectified_moments(x)
    s = np.sqrt(scipy.special.expit(x))
    fourth = [
        scipy.integrate.quad(
            lambda e, k=k: max(0.0, x[k] + s[k] * e) ** 4 * scipy.stats.norm.pdf(e),
            max(-x[k] / s[k], -12), 12,
        )[0]
        for k in range(len(x))
    ]  # fmt: skip
    for key in KEYS:
        state = np.empty((2**16, len(x)))
        sample_rectified(key, 0, x, np.zeros_like(state), state)
        scores.append(standard_errors(state, mean, square))
        scores.append(standard_errors(state**2, square, np.array(fourth)))
    assert_standard_normal(np.array(scores))


@pytest.mark.parametrize("dtype", DTYPES)
def test_drop_zeroes_what_the_key_says(dtype):
    """By the row's number: the same rows of another array lose the same units.

    What is left is divided by its share.
    """
    rate, state = 0.3, np.random.RandomState(0).uniform(1, 2, size=(31, 17)).astype(dtype)
    words = reference.random_bits(int(KEYS[2]), np.arange(31) + 5, 17)
    expected = np.where(words * 2.0**-32 < rate, 0, state * dtype(1 / (1 - rate)))
    whole, part = state.copy(), state[10:].copy()
    drop(KEYS[2], 5, rate, whole)
    drop(KEYS[2], 15, rate, part)
    np.testing.assert_allclose(whole, expected, rtol=2 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(part, whole[10:])


def test_uniform_shares_are_dropped():
    """As many as the rate says, of every unit, within binomial noise."""
    scores = []
    for key in KEYS:
        for rate in (0.1, 0.5, 0.9):
            state = np.ones((4096, 32))
            drop(key, 0, rate, state)
            scores.append(standard_errors(state == 0, rate, rate))
    assert_standard_normal(np.array(scores))


def test_log_partitions_are_sums_over_the_units_values():
    """log sum_h exp(x h), also where exp(x) overflows."""
    for x in X[0]:
        np.testing.assert_allclose(softplus(x), np.logaddexp(0, x), 1e-15, 1e-300)
        np.testing.assert_allclose(log_partition(LOGISTIC, x), np.logaddexp(0, x), 1e-15, 1e-300)
        np.testing.assert_allclose(log_partition(TANH, x), np.logaddexp(-x, x), 1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_divergence_is_that_of_the_distributions(dtype):
    """v log(v / q) + (1 - v) log((1 - v) / (1 - q)), exact also where q rounds to 0 or 1."""
    v, x = (a.ravel() for a in np.meshgrid([0.0, 0.2, 0.5, 1.0], X))
    negative_entropy = -scipy.special.entr(v) - scipy.special.entr(1 - v)
    nats = negative_entropy + v * np.logaddexp(0, -x) + (1 - v) * np.logaddexp(0, x)
    rtol, atol = 64 * np.finfo(dtype).eps, 8 * np.finfo(dtype).eps
    for k in range(len(v)):
        one = slice(k, k + 1)
        seen, odds = v[one].astype(dtype), x[one].astype(dtype)
        np.testing.assert_allclose(divergence(LOGISTIC, seen[:0], seen, odds), nats[k], rtol, atol)
        np.testing.assert_allclose(
            divergence(TANH, seen[:0], 2 * seen - 1, odds / 2), nats[k], rtol, atol
        )
        gaussian = 0.5 * (v[k] - x[k]) ** 2
        np.testing.assert_allclose(divergence(IDENTITY, seen[:0], seen, odds), gaussian, rtol, atol)
        np.testing.assert_allclose(divergence(RELU, seen[:0], seen, odds), gaussian, rtol, atol)
        variance = np.full(1, 0.25, dtype)
        expected = 4 * gaussian + 0.5 * np.log(0.25)
        found = divergence(IDENTITY, variance, seen, odds)
        np.testing.assert_allclose(found, expected, rtol, atol)
    total = sum(divergence(LOGISTIC, v[:0], v[k : k + 1], x[k : k + 1]) for k in range(len(v)))
    np.testing.assert_allclose(divergence(LOGISTIC, v[:0], v, x), total, 1e-12)
