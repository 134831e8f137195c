"""Visible units: which kind suits the data, how they see it, and how it is given back."""

import numpy as np
import pytest
import scipy.sparse

from sk_dbn.kernels.gather import gather
from sk_dbn.models.data import Data
from sk_dbn.models.visible import VisibleUnits, check_range

# One kind, or one for each of three features.
KINDS = ("bernoulli", "gaussian", ("gaussian", "bernoulli", "bernoulli"))
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
    gather(units.data(Data(X, np.float64), clip).source, np.arange(X.shape[0]), out)
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


def auto(columns):
    """What 'auto' makes of some columns, a letter for each."""
    units = VisibleUnits.suited_to("auto", moments_of(np.array(columns, float).T))
    return "".join("bg"[int(gaussian)] for gaussian in units.gaussian)


def test_auto_gives_dummies_their_own_units():
    """0 and 1 beside numbers are Bernoulli; numbers that lie in [0, 1] there are not.

    Neither a column that says nothing, nor one that is almost always 0, nor a few tiny values
    count as dummies by themselves.
    """
    dummy, number = [0, 1, 1, 0], [-1.3, 0.1, 0.2, 1.0]
    share, constant, tiny = [0.0, 0.2, 0.9, 1.0], [0.3] * 4, [0.0, 1e-12, 0.0, 0.0]
    zeros, ones = [0] * 4, [1] * 4
    assert auto([dummy, number]) == "bg"
    assert auto([dummy, number, share, constant, tiny]) == "bgggg"
    assert auto([zeros, number, ones]) == "ggg"
    assert auto([zeros, number, ones, dummy]) == "bgbb"
    assert auto([dummy, share, constant, zeros]) == "bbbb"


def test_kind_is_a_name_or_names():
    """One name where all units agree, whoever said so."""
    moments = moments_of(SAMPLES["in range"])
    assert VisibleUnits.suited_to(["gaussian"] * 3, moments).kind == "gaussian"
    units = VisibleUnits.suited_to(KINDS[2], moments)
    np.testing.assert_array_equal(units.kind, KINDS[2])
    assert units.are(KINDS[2]) and units.are("auto")
    assert not units.are("gaussian") and not units.are(("bernoulli",) * 3)


def test_units_of_both_kinds_are_scaled_by_kind():
    """Gaussian ones standardised; Bernoulli ones share the range of their own features."""
    X = np.array([[100.0, -3.0, 0.0], [300.0, 1.0, 5.0]])
    units = VisibleUnits.suited_to(KINDS[2], moments_of(X))
    np.testing.assert_allclose(seen(units, X), [[-1, 0, 0.375], [1, 0.5, 1]])
    assert units.is_rescaled and units.seen == (-3.0, 5.0)
    np.testing.assert_allclose(
        seen(units, np.array([[900.0, -9.0, 9.0]])),
        [[7, 0, 1]],
        err_msg="Bernoulli ones are clipped",
    )
    wide = moments_of(np.array([[9e9, 0.0, 1.0], [-9e9, 0.0, 0.0]]))
    as_it_is = VisibleUnits.suited_to(KINDS[2], wide)
    assert not as_it_is.is_rescaled and as_it_is.can_take(wide)
    np.testing.assert_array_equal(as_it_is.outside(moments_of(X)), [False, True, True])


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
    origin, unit = units.origin_and_unit()
    for rows in (X, 3 * X - 2):
        v = (rows - origin) / unit
        expected = np.where(np.equal(kind, "bernoulli"), np.clip(v, 0, 1), v)
        np.testing.assert_allclose(seen(units, storage(rows)), expected, rtol=1e-12, atol=1e-12)
    origin[:], unit[:] = 9, 9  # the caller's own
    assert not np.any(units.origin_and_unit()[1] == 9)


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
    """Those that they were made from, not twice as wide a range; only Gaussian units take all."""
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


@pytest.mark.parametrize(
    ("dtype", "fits", "too_large"), [(np.float32, 1e32, 1e33), (np.float64, 1e150, 1e160)]
)
def test_values_have_a_range(dtype, fits, too_large):
    """Reconstructions lie beyond the data and have to be finite, and so have variances."""
    ends = np.array([[0.0], [1.0]])
    check_range(moments_of(fits * ends), dtype)
    words = f"^X must have a range .* in dtype='{dtype.__name__}', got values from"
    for sign in (1.0, -1.0):
        with pytest.raises(ValueError, match=words):
            check_range(moments_of(sign * too_large * ends), dtype)
    with pytest.raises(ValueError, match="all are missing"):
        check_range(moments_of(np.full((2, 2), np.nan)), dtype)
