"""Moments, fingerprints and the health of layers against NumPy."""

import numpy as np
import pytest
import scipy.sparse

from sk_dbn.kernels.activations import ACTIVATIONS, saturation_bounds
from sk_dbn.kernels.statistics import (
    BLOCK,
    layer_health,
    probe_layers,
    sum_column_squares,
)
from sk_dbn.models.data import Data
from sk_dbn.models.network import Network
from sk_dbn.models.threads import run_parallel, run_serial
from tests import reference

SIZES = [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17]


@pytest.mark.parametrize("n_rows", SIZES)
def test_moments_equal_numpy(n_rows):
    """Means and squared deviations of blocks are merged exactly, for any number of blocks."""
    random = np.random.RandomState(n_rows)
    X = random.normal(size=(n_rows + 5, 4)) * [1e-3, 1, 10, 1e4] + [0, 1, -5, 3]
    rows = random.permutation(n_rows + 5)[:n_rows]
    for result, expected in zip(
        Data(X, np.float64).moments(rows), reference.column_moments(X, rows), strict=True
    ):
        np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-14)


def test_variance_survives_a_large_mean():
    """The variance is a sum of squared deviations, so a mean of 10^8 costs it nothing."""
    X = np.random.RandomState(0).normal(size=(2000, 3)) + [1e8, -1e8, 0]
    rows = np.arange(2000)
    mean, variance, low, high = Data(X, np.float32).moments(rows)
    exact = reference.column_moments(X, rows)
    np.testing.assert_allclose(variance, exact[1], rtol=1e-6)
    np.testing.assert_allclose(mean, exact[0], rtol=1e-14, atol=1e-12)
    assert np.array_equal(low, X.min(0)) and np.array_equal(high, X.max(0))


def test_variance_of_a_constant_is_zero():
    """A column that never changes deviates by no more than the rounding of its mean."""
    X = np.tile([0.1, 1e10, -3.0, 0.0], (1000, 1))
    mean, variance, low, high = Data(X, np.float64).moments(np.arange(1000))
    assert np.all(variance <= (1e-14 * X[0]) ** 2)
    np.testing.assert_allclose(mean, X[0], rtol=1e-14)
    assert np.array_equal(low, X[0]) and np.array_equal(high, X[0])


def test_moments_of_any_input():
    """A matrix has the moments it has, dense or sparse, in whatever dtype."""
    random = np.random.RandomState(1)
    X = random.randint(0, 5, size=(600, 6))
    expected = reference.column_moments(X, np.arange(600))
    for laid in (X.astype(np.uint8), np.asfortranarray(X), scipy.sparse.csr_matrix(X * 1.0)):
        for result, right in zip(Data(laid, np.float32).moments(np.arange(600)), expected):
            np.testing.assert_allclose(result, right, rtol=1e-12)


def test_moments_of_standardised_rows():
    """Moments are of the values as a model reads them, standardised and clipped."""
    X = np.random.RandomState(2).normal(size=(500, 3)) * 3 + 1
    shift, scale, limits = X.mean(0), 1 / X.std(0), (-1.0, 1.5)
    data = Data(X, np.float64, shift, scale, limits)
    expected = reference.gathered(X, np.arange(500), shift, scale, limits)
    expected = reference.column_moments(expected, np.arange(500))
    for result, right in zip(data.moments(np.arange(500)), expected, strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-10)


# ---------------------------------------------------------------------------
# Fingerprints
# ---------------------------------------------------------------------------


def integers(n_rows=700, n_columns=9):
    """Small whole numbers, many of them zero: the same in every dtype."""
    X = np.random.RandomState(0).randint(0, 100, size=(n_rows, n_columns))
    return np.where(X > 50, 0, X)


def hashes(X, seed=0, run=run_serial):
    return Data(X, np.float32).fingerprints(run, seed)


@pytest.mark.parametrize("seed", [0, 1, 2**31])
def test_fingerprints_equal_the_reference(seed):
    """The hash is that of the values as float32, by position."""
    X = np.random.RandomState(0).normal(size=(BLOCK + 9, 7))
    assert np.array_equal(hashes(X, seed), reference.row_fingerprints(X, seed))


def test_equal_content_has_equal_fingerprints():
    """What a row is does not depend on its dtype, its layout, or on being sparse."""
    X = integers()
    expected = hashes(X)
    dtypes = (np.uint8, np.int16, np.float16, np.float32, np.float64, ">f8")
    csr = scipy.sparse.csr_matrix(X.astype(float))
    unsorted = csr[:, ::-1].tocsr()
    unsorted.indices = X.shape[1] - 1 - unsorted.indices
    for other in (*map(X.astype, dtypes), np.asfortranarray(X), X[::-1].copy()[::-1], csr):
        assert np.array_equal(hashes(other), expected)
    unsorted.has_sorted_indices = False
    assert np.array_equal(hashes(unsorted), expected)


def test_negative_zero_is_zero():
    """-0 equals 0, so rows that differ in it are the same row; a sparse row has only 0."""
    X = integers().astype(float)
    assert np.array_equal(hashes(np.where(X == 0, -0.0, X)), hashes(X))


def test_permuted_rows_have_permuted_fingerprints():
    """A hash knows nothing of where its row lies."""
    X = integers()
    order = np.random.RandomState(1).permutation(len(X))
    assert np.array_equal(hashes(X[order]), hashes(X)[order])


def test_different_rows_have_different_fingerprints():
    """Rows that differ in one value, or in the order of their values, are told apart."""
    row = np.arange(1.0, 9.0)
    rows = [row, row[::-1], np.roll(row, 1), 0 * row, -row]
    for column in range(8):
        for value in (0.0, 1.5, row[column] + 1e-6 * row[column]):
            rows.append(np.where(np.arange(8) == column, value, row))
    rows = np.unique(np.array(rows), axis=0)
    assert len(np.unique(hashes(rows))) == len(rows)
    many = np.random.RandomState(2).randint(2, size=(20_000, 24))
    assert len(np.unique(hashes(many))) == len(np.unique(many, axis=0))


def test_seeds_give_unrelated_fingerprints():
    """Inputs and targets hash under different seeds, so equal columns do not cancel."""
    X = integers()
    assert not np.isin(hashes(X, 0), hashes(X, 1)).any()


def test_fingerprint_twins_agree():
    """Rows are hashed one by one, by whichever thread."""
    X = integers()
    assert np.array_equal(hashes(X), hashes(X, run=run_parallel))


# ---------------------------------------------------------------------------
# Health of layers
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relu", "logistic", "tanh", "selu"])
def test_layer_health_equals_numpy(name):
    """Mean, deviation and the two fractions, with units that are dead and units that saturate."""
    random = np.random.RandomState(0)
    a = reference.ACTIVATIONS[name](6 * random.normal(size=(40, 7)))
    a[:, 2] = 0.25
    a[:, 5] = a[0, 5] + 1e-9 * random.normal(size=40)
    health = np.empty(4)
    layer_health(ACTIVATIONS[name], a, health)
    low, high = saturation_bounds(ACTIVATIONS[name])
    np.testing.assert_allclose(health, reference.layer_health(a, low, high), rtol=1e-12)
    assert health[3] == 2 / 7
    assert (health[2] > 0) == (name != "relu")


def test_deviation_is_never_the_root_of_a_negative_number():
    """Rounding may leave mean squares below the squared mean; the deviation is then 0."""
    health = np.empty(4)
    for value in np.random.RandomState(0).uniform(size=50):
        layer_health(ACTIVATIONS["relu"], np.full((7, 3), value), health)
        assert health[1] < 1e-7 and health[3] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probe_measures_every_layer(dtype):
    """Row by row the health of the activations that the reference computes for these rows."""
    random = np.random.RandomState(3)
    names = ["tanh", "relu", "elu", "logistic"]
    network = Network([6, 9, 12, 3, 5, 2], names, "identity", dtype)
    network.theta[:] = random.normal(size=network.theta.size)
    X, rows = random.normal(size=(50, 6)), random.permutation(50)[:33]
    health = np.empty((5, 4))
    probe_layers(Data(X, dtype).source, rows, network.layers, health)
    parts = [[p.astype(float) for p in kind] for kind in (network.coefs, network.intercepts)]
    _, values = reference.forward(X[rows], *parts, [*names, "identity"])
    for layer, code in enumerate(network.codes):
        low, high = saturation_bounds(code)
        expected = reference.layer_health(values[layer + 1], low, high)
        np.testing.assert_allclose(health[layer], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_with_shortcuts_are_seen_from_both_sides(dtype):
    """Mean and deviation of what a layer passes on; saturated and dead units by themselves.

    A unit that is always zero is dead, though the shortcut past it is not.
    """
    names = ["tanh", "relu", "logistic"]
    network, random = (
        Network([6, 5, 7, 4, 2], names, "identity", dtype, True),
        np.random.RandomState(0),
    )
    network.theta[:] = random.normal(size=network.theta.size)
    network.intercepts[1][:3] = -100
    X = random.normal(size=(50, 6))
    health = np.empty((4, 4))
    probe_layers(Data(X, dtype).source, np.arange(50), network.layers, health)
    layers = [[p.astype(float) for p in kind] for kind in (network.coefs, network.intercepts)]
    products, values = reference.forward(X, *layers, [*names, "identity"], shortcut=True)
    for layer, name in enumerate([*names, "identity"]):
        own = reference.ACTIVATIONS[name](products[layer])
        alone = reference.layer_health(own, *saturation_bounds(network.codes[layer]))
        passed_on = reference.layer_health(values[layer + 1], -np.inf, np.inf)
        expected = [*passed_on[:2], *alone[2:]]
        np.testing.assert_allclose(health[layer], expected, rtol=1e-4, atol=1e-6)
    assert health[1, 3] >= 3 / 7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_column_squares_are_summed_in_double_precision(dtype):
    """Even where the square of a weight is beyond single precision; old content is forgotten."""
    x = np.array([[1.0, -2.0, 1e25], [3.0, 0.0, 1e25]], dtype)
    out = np.full(3, np.nan)
    sum_column_squares(x, out)
    np.testing.assert_allclose(out, [10.0, 4.0, 2e50], 1e-6)
