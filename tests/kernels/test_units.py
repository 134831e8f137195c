"""Kinds of units: their samples, and what they add to energies and divergences."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, TANH
from sk_dbn.kernels.units import divergence, log_partition, sample, softplus, to_means
from tests import reference

DTYPES = [np.float32, np.float64]
KEYS = [np.uint32(reference.derive(seed, 7)[0]) for seed in (0, 1, 2, 12345, 2**31, 2**32 - 1)]
ALPHA = 1e-4  # family-wise error of the test of probabilities, whose keys are fixed


def sampled(kind, mean, key, first_row=0):
    out = mean.copy()
    sample(kind, np.uint32(key), first_row, out)
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
    to_means(kind, x, bias)
    np.testing.assert_allclose(x, expected, 16 * np.finfo(dtype).eps, np.finfo(dtype).tiny)


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
        np.testing.assert_allclose(divergence(LOGISTIC, seen, odds), nats[k], rtol, atol)
        np.testing.assert_allclose(divergence(TANH, 2 * seen - 1, odds / 2), nats[k], rtol, atol)
        gaussian = 0.5 * (v[k] - x[k]) ** 2
        np.testing.assert_allclose(divergence(IDENTITY, seen, odds), gaussian, rtol, atol)
    total = sum(divergence(LOGISTIC, v[k : k + 1], x[k : k + 1]) for k in range(len(v)))
    np.testing.assert_allclose(divergence(LOGISTIC, v, x), total, 1e-12)
