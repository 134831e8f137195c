"""Scales are the moments of the columns, and bad ones are told from good ones."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sk_dbn.models import scales as module
from sk_dbn.models.scales import LARGE_UNBOUNDED, Scales, off_scale_targets


def of(X):
    """Of all rows."""
    return Scales.of(X, np.arange(len(X)))


def what(X, bound=LARGE_UNBOUNDED):
    """What is wrong with X, for a regressor."""
    return of(X).off_scale(bound)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.uint8, bool])
def test_moments(dtype, monkeypatch):
    """Block by block they are NumPy's, dense or sparse, and a row that is repeated counts once."""
    monkeypatch.setattr(module, "SCANNED_VALUES", 50)
    X = (np.random.default_rng(0).integers(0, 3, (101, 7)) * 1.0).astype(dtype)
    X[:, 2] = 1
    rows = np.r_[90:10:-1, 20:30]
    part = X[11:91].astype(float)
    sparse = [] if dtype == np.float16 else [scipy.sparse.csr_array(X)]
    for matrix in (X, np.asfortranarray(X), *sparse):
        scales = Scales.of(matrix, rows)
        np.testing.assert_allclose(scales.mean, part.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(scales.std, part.std(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(scales.low, part.min(axis=0))
        np.testing.assert_array_equal(scales.high, part.max(axis=0))


def test_a_large_mean_does_not_cancel():
    """Deviations are from the mean of a block, and blocks are merged."""
    x = np.random.default_rng(0).normal(size=(1000, 1))
    np.testing.assert_allclose(of(x + 1e9).std, x.std(), rtol=1e-6)


def test_what_networks_learn_from_is_left_alone():
    """Standardised features, those of 0 to 1, dummies, components, words, small pixels."""
    random = np.random.default_rng(0)
    normal, digits = random.normal(size=(300, 10)), load_digits().data
    dummies = np.eye(50)[random.geometric(0.2, 300).clip(max=49)]
    words = random.poisson(0.02, (300, 2000)).astype(float)
    words /= np.linalg.norm(words, axis=1, keepdims=True).clip(min=1e-9)
    for good in (
        normal,
        3 * normal,
        normal + 2,
        MinMaxScaler().fit_transform(normal),
        dummies,
        np.hstack([normal, dummies]),
        np.hstack([normal, np.ones((300, 1))]),
        words,
        digits / 16,
        PCA().fit_transform(digits / 16),
        PCA().fit_transform(StandardScaler().fit_transform(normal)),
        load_iris().data,
    ):
        assert what(good) == ([], "")
    assert what(digits, module.LARGE_BOUNDED) == ([], "")


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda X: 30 * X, "large"),
        (lambda X: X * np.r_[1, 300, np.ones(8)], "large"),
        (lambda X: X + 30, "large"),
        (lambda X: (X + 30) / 30, "far from zero"),
        (lambda X: X * np.r_[1, 0.005, np.ones(8)], "nearly constant compared with the others"),
        (lambda X: 0.001 * X, "small"),
    ],
)
def test_what_they_do_not_learn_from_is_named(change, expected):
    """And the features that it is due to, the worst first."""
    X = np.random.default_rng(0).normal(size=(300, 10))
    columns, why = what(change(X))
    assert why == expected
    bad = np.flatnonzero(change(np.ones((1, 10)))[0] != 1)
    assert set(columns) <= set(bad) and len(columns) > 0
    assert what(StandardScaler().fit_transform(change(X))) == ([], "")


def test_constant_features():
    """Large ones shift every unit; without any that varies there is no scale."""
    X = np.random.default_rng(0).normal(size=(300, 3))
    assert what(np.c_[X, np.full(300, 1000.0)]) == ([3], "large")
    assert of(np.full((5, 2), 7.0)).is_constant and what(np.full((5, 2), 7.0)) == ([], "")


@pytest.mark.parametrize(
    "a, b, solver, loss, is_off",
    [
        (1.0, 0.0, "adam", "squared_error", False),
        (0.3, 0.5, "adam", "squared_error", False),
        (50.0, 0.0, "adam", "squared_error", False),
        (50.0, 0.0, "sgd", "squared_error", True),
        (50.0, 0.0, "sgd", "huber", False),
        (1e4, 0.0, "adam", "squared_error", True),
        (1e4, 0.0, "lbfgs", "squared_error", False),
        (0.01, 0.0, "lbfgs", "squared_error", True),
        (1.0, 10.0, "adam", "absolute_error", True),
        (0.5, 3.0, "adam", "poisson", False),
        (0.5, 1000.0, "lbfgs", "poisson", True),
        (0.0, 7.0, "adam", "squared_error", False),
    ],
)
def test_targets(a, b, solver, loss, is_off):
    """What is off depends on how steps grow with errors, and on what the output is."""
    y = np.random.default_rng(0).normal(size=(500, 1))
    targets = np.hstack([a * y + b, y + 2 if loss == "poisson" else y])
    assert off_scale_targets(of(targets), solver, loss) == ([0] if is_off else [])
