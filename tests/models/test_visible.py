"""Visible units: which kind suits the data, how they see it, and how it is given back."""

import numpy as np
import pytest
import scipy.sparse

from sk_dbn.kernels.gather import gather
from sk_dbn.models.data import Data
from sk_dbn.models.visible import VisibleUnits

KINDS = ("bernoulli", "gaussian")
# Values in [0, 1], values beyond, and columns that are constant.
SAMPLES = {
    "in range": np.array([[0.25, 0.5, 0.0], [0.75, 0.5, 1.0]]),
    "beyond": np.array([[-3.0, 5.0, 0.0], [4.0, 5.0, 1.0]]),
    "constant": np.full((2, 3), 7.0),
}


def moments_of(X):
    return Data(np.asarray(X), np.float64).moments(np.arange(len(X)))


def seen(units, X, clip=True):
    """What the units see of X, by the kernel that reads it."""
    out = np.empty(X.shape)
    gather(units.data(X, np.float64, clip).source, np.arange(X.shape[0]), out)
    return out


def test_auto_is_bernoulli_where_values_are_probabilities():
    """[0, 1] with its ends is; a hair beyond is not."""
    for X, kind in [
        ([[0.0], [1.0]], "bernoulli"),
        ([[0.3], [0.3]], "bernoulli"),
        ([[0.0], [1.0 + 1e-12]], "gaussian"),
        ([[-1e-12], [1.0]], "gaussian"),
    ]:
        assert VisibleUnits.suited_to("auto", moments_of(X)).kind == kind


def test_gaussian_units_are_standardised():
    """Mean 0 and variance 1 over the data they were made from; constant columns become 0."""
    X = np.random.RandomState(0).normal(3, 5, size=(50, 4))
    X[:, 2] = 1e9
    v = seen(VisibleUnits.suited_to("gaussian", moments_of(X)), X)
    np.testing.assert_allclose(v.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(v.std(axis=0), [1, 1, 0, 1], atol=1e-12)


def test_bernoulli_units_share_a_range():
    """One range for all columns, so that what was larger stays larger; within [0, 1] none."""
    X = SAMPLES["beyond"]
    squeezed = VisibleUnits.suited_to("bernoulli", moments_of(X))
    np.testing.assert_allclose(seen(squeezed, X), (X + 3) / 8)
    assert squeezed.is_rescaled and squeezed.seen == (-3.0, 5.0)
    as_it_is = VisibleUnits.suited_to("bernoulli", moments_of(SAMPLES["in range"]))
    assert not as_it_is.is_rescaled
    np.testing.assert_array_equal(seen(as_it_is, SAMPLES["in range"]), SAMPLES["in range"])


@pytest.mark.parametrize("storage", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("case", SAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_origin_and_unit_are_how_units_see(kind, case, storage):
    """(x - origin) / unit, clipped by Bernoulli units: the kernel reads the same, of any data."""
    X = SAMPLES[case]
    units = VisibleUnits.suited_to(kind, moments_of(X))
    origin, unit = units.origin_and_unit(3)
    for rows in (X, 3 * X - 2):
        v = (rows - origin) / unit
        expected = np.clip(v, 0, 1) if kind == "bernoulli" else v
        np.testing.assert_allclose(seen(units, storage(rows)), expected, rtol=1e-12, atol=1e-12)
    origin[:], unit[:] = 9, 9  # the caller's own
    assert not np.any(units.origin_and_unit(3)[1] == 9)


@pytest.mark.parametrize("case", SAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_values_come_back_in_the_callers_units(kind, case):
    """What was not clipped is what it was, written over the argument."""
    X = SAMPLES[case]
    units = VisibleUnits.suited_to(kind, moments_of(X))
    v = seen(units, X)
    assert units.to_data(v) is v
    np.testing.assert_allclose(v, X, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", SAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_means_are_those_of_what_is_seen(kind, case):
    """Scaling is affine, so it commutes with the mean where nothing is clipped."""
    X = SAMPLES[case]
    units = VisibleUnits.suited_to(kind, moments_of(X))
    np.testing.assert_allclose(units.means(moments_of(X)), seen(units, X).mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("case", SAMPLES)
def test_units_can_take_what_they_need_not_clip(case):
    """Those that they were made from, not twice as wide a range; Gaussian units take all."""
    X = SAMPLES[case]
    wide = moments_of(np.r_[X - 1, X + 1])
    for kind in KINDS:
        units = VisibleUnits.suited_to(kind, moments_of(X))
        assert units.can_take(moments_of(X))
        assert units.can_take(wide) is (kind == "gaussian")


def test_clipping_is_left_out_only_where_nothing_scales():
    """`clip=False` is a promise about values in [0, 1]; a range that is mapped is mapped still."""
    X = SAMPLES["in range"]
    as_it_is = VisibleUnits.suited_to("bernoulli", moments_of(X))
    np.testing.assert_array_equal(seen(as_it_is, X, clip=False), seen(as_it_is, X))
    squeezed = VisibleUnits.suited_to("bernoulli", moments_of(SAMPLES["beyond"]))
    np.testing.assert_array_equal(seen(squeezed, X, clip=False), seen(squeezed, X))


def test_means_are_told_from_samples():
    """Of 0 and 1 the variance is p (1 - p); of anything between it is less."""
    random = np.random.RandomState(0)
    for X, expected in [
        (random.randint(0, 2, (50, 3)), False),
        (random.uniform(size=(50, 3)), True),
        (np.ones((5, 3)), False),
        (np.full((5, 3), 0.5), True),
    ]:
        moments = moments_of(X)
        assert VisibleUnits.suited_to("auto", moments).are_means(moments) is expected
