"""Activation functions: values, derivatives, ends of their ranges, NaN."""

import numpy as np
import pytest

from sk_dbn.kernels.activations import (
    ACTIVATIONS,
    BY_SLOPES,
    FACTS,
    HIGH,
    LOW,
    NEEDS_SLOPES,
    OUTPUT_ACTIVATIONS,
    activate,
    saturation_bounds,
    times_derivative,
)
from tests import reference

DTYPES = [np.float32, np.float64]
CODES = {**ACTIVATIONS, **OUTPUT_ACTIVATIONS}
SMOOTH = ["identity", "logistic", "tanh", "softsign", "gelu", "swish", "softplus"]
KINKED = ["relu", "leaky_relu", "elu", "selu"]
BOUNDED = {
    "logistic": (0, 1),
    "tanh": (-1, 1),
    "softsign": (-1, 1),
    "elu": (-1, np.inf),
    "selu": (-reference.SELU_SCALE * reference.SELU_ALPHA, np.inf),
}

# For logistic, softplus and the like, beyond this exp leaves the range of the dtype.
WIDE = np.concatenate([np.linspace(-120, 120, 24_001), np.linspace(-3, 3, 6_002)])
EXTREME = np.array([1e3, 1e10, 1e18])


def activated(name, z, dtype, bias=0.0, slopes=False):
    """f(z + bias) of a matrix, and the slopes where they are wanted."""
    z = np.atleast_2d(np.asarray(z, dtype)).copy()
    slope = np.full(z.shape if slopes else (0, 0), np.nan, dtype)
    activate(CODES[name], z, np.full(z.shape[1], bias, dtype), slope)
    return z, slope


def derivative(name, z, dtype):
    """The factor that backpropagation multiplies delta by."""
    a, slopes = activated(name, z, dtype, slopes=NEEDS_SLOPES[CODES[name]])
    delta = np.ones_like(a)
    times_derivative(CODES[name], a, slopes, delta)
    return delta


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in CODES if n != "softmax"])
def test_values_equal_the_reference(name, dtype):
    """Accurate to a few units in the last place of the value or of 1, whichever is larger."""
    z = WIDE.astype(dtype)
    z = np.minimum(z, 80) if name == "exp" else z
    eps = np.finfo(dtype).eps
    a, _ = activated(name, z.reshape(3, -1), dtype)
    expected = reference.ACTIVATIONS[name](z.astype(float))
    np.testing.assert_allclose(a.ravel(), expected, rtol=8 * eps, atol=4 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in CODES if n not in ("softmax", "exp")])
def test_derivatives_equal_the_reference(name, dtype):
    """The derivative, written in terms of the value or kept as a slope, to rounding of 1."""
    if name == "step":
        assert not derivative(name, WIDE, dtype).any()
        return
    z = WIDE.astype(dtype)
    expected = reference.DERIVATIVES[name](z.astype(float))
    eps = np.finfo(dtype).eps
    z_not_zero = z != 0
    result = derivative(name, z, dtype).ravel()
    np.testing.assert_allclose(
        result[z_not_zero], expected[z_not_zero], rtol=16 * eps, atol=8 * eps
    )


@pytest.mark.parametrize("name", SMOOTH + KINKED)
def test_derivatives_equal_central_differences(name):
    """What is multiplied into delta is the derivative of what was computed."""
    # Zero, where some have a kink, lies between points. Values of up to 8 are right to a few
    # 1e-15: over 2h that is a few 1e-10, and the h^2 of the central difference 1e-10.
    z, h = np.linspace(-8, 8, 400), 1e-5
    above, below = (activated(name, z + s * h, np.float64)[0] for s in (1, -1))
    numerical = (above - below) / (2 * h)
    np.testing.assert_allclose(derivative(name, z, np.float64), numerical, rtol=0, atol=1e-9)


def test_derivative_at_the_kink_of_relu():
    """Zero there, the choice of scikit-learn and of torch."""
    assert derivative("relu", [[0.0]], np.float64) == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["gelu", "swish"])
def test_slopes_are_optional(name, dtype):
    """Prediction leaves the slopes out; the values are the same to rounding."""
    without, _ = activated(name, WIDE, dtype)
    with_slopes, slopes = activated(name, WIDE, dtype, slopes=True)
    np.testing.assert_allclose(without, with_slopes, rtol=4 * np.finfo(dtype).eps)
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(CODES))
def test_bias_is_added_to_the_columns(name, dtype):
    """Unit j sees z_j + b_j in every row."""
    random = np.random.RandomState(0)
    z, bias = random.normal(size=(7, 5)).astype(dtype), random.normal(size=5).astype(dtype)
    out = z.copy()
    activate(CODES[name], out, bias, np.empty((0, 0), dtype))
    expected, _ = activated(name, z + bias, dtype)
    np.testing.assert_allclose(out, expected, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*SMOOTH, *KINKED, "step"])
def test_far_ends_are_their_limits(name, dtype):
    """Far out every function is its limit or its asymptote, never NaN, nor is its slope."""
    z = np.concatenate([-EXTREME, EXTREME]).astype(dtype)
    a, slope = activated(name, z, dtype)[0].ravel(), derivative(name, z, dtype).ravel()
    expected = reference.ACTIVATIONS[name](z.astype(float))
    limit = reference.DERIVATIVES[name](z.astype(float))
    np.testing.assert_allclose(a, expected, rtol=4 * np.finfo(dtype).eps, atol=1e-30)
    np.testing.assert_allclose(slope, limit, atol=4e-6)  # softsign's slope at 1000 is 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "step"])
def test_infinities_are_the_limits(name, dtype):
    """An overflown product saturates its unit; it does not turn it into NaN."""
    z = np.tile(np.array([-np.inf, np.inf]), 9)
    a, _ = activated(name, z, dtype)
    with np.errstate(invalid="ignore"):
        expected = reference.ACTIVATIONS[name](z)
    np.testing.assert_allclose(a.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(CODES))
def test_nan_survives(name, dtype):
    """Divergence must be seen at the output: no activation swallows a NaN, in any lane."""
    for place in range(17):
        z = np.full((2, 17), 0.25)
        z[0, place] = np.nan
        a, _ = activated(name, z, dtype)
        assert np.isnan(a[0, place])
        assert np.isfinite(a[1]).all()
        if name == "softmax":
            assert np.isnan(a[0]).all()  # a distribution is known whole or not at all
        else:
            assert np.isfinite(np.delete(a[0], place)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_nan_in_delta_survives(name, dtype):
    """Only where the derivative is exactly zero may a gradient that is not a number end."""
    a, slopes = activated(name, np.full((1, 9), 0.25), dtype, slopes=True)
    delta = np.full_like(a, np.nan)
    times_derivative(CODES[name], a, slopes, delta)
    assert name == "step" or np.isnan(delta).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax(dtype):
    """Sums to one, ignores a shift of its row, equals the reference, does not overflow."""
    random = np.random.RandomState(0)
    eps = np.finfo(dtype).eps
    for size in (1.0, 30.0, 1e4):
        for n_units in (1, 2, 10, 33):
            z = (size * random.normal(size=(50, n_units))).astype(dtype)
            a, _ = activated("softmax", z, dtype)
            expected = reference.softmax(z.astype(float))
            np.testing.assert_allclose(a, expected, rtol=size * 20 * eps, atol=4 * eps)
            np.testing.assert_allclose(a.sum(axis=1), 1, rtol=n_units * eps)
            assert np.array_equal(np.argmax(a, axis=1), np.argmax(z, axis=1))
    a, _ = activated("softmax", [[-np.inf, 0.0, 0.0]], dtype)
    assert np.array_equal(a, [[0, 0.5, 0.5]])


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_saturation_bounds(name):
    """A side with a limit counts as saturated within 1 % of the range, one without never."""
    low, high = saturation_bounds(CODES[name])
    least, most = BOUNDED.get(name, (-np.inf, np.inf))
    if np.isfinite(most):
        assert least < low < high < most
        np.testing.assert_allclose([low - least, most - high], 0.01 * (most - least))
    elif np.isfinite(least):
        np.testing.assert_allclose(low, 0.98 * least)
        assert high == np.inf
    else:
        assert (low, high) == (-np.inf, np.inf)


def test_every_name_is_tested():
    """A new activation needs a reference, a derivative and a place in these tests."""
    assert set(ACTIVATIONS) == {*SMOOTH, *KINKED, "step"}
    assert set(CODES) == set(reference.ACTIVATIONS)
    assert set(ACTIVATIONS) == set(reference.DERIVATIVES)
    assert len(set(CODES.values())) == len(CODES)


def test_codes_are_places_in_the_tables():
    """What is looked up by code is that of the activation, in whatever order they are listed."""
    codes = {*ACTIVATIONS.values(), *OUTPUT_ACTIVATIONS.values()}
    assert sorted(codes) == list(range(BY_SLOPES))
    assert len(LOW) == len(HIGH) == len(NEEDS_SLOPES) == BY_SLOPES
    for facts in FACTS.values():
        assert (LOW[facts.code], HIGH[facts.code]) == (facts.low, facts.high)
        assert NEEDS_SLOPES[facts.code] == facts.needs_slopes
