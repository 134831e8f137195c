"""exp, log, log1p, sin and tanh against NumPy in higher precision, over their whole range."""

import numpy as np
import pytest

from sk_dbn.kernels import elementary
from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.elementary import exp, log, log1p, sin_turns, tanh

EXP, LOG1P, TANH, LOG, SIN_TURNS = range(5)
DTYPES = [np.float32, np.float64]
WIDER = {np.float32: np.float64, np.float64: np.longdouble}

# The ends of exp's normal results; below the low one it returns 0.
LOW = {np.float32: elementary.EXP_LOW_32, np.float64: elementary.EXP_LOW_64}
HIGH = {np.float32: elementary.EXP_HIGH_32, np.float64: elementary.EXP_HIGH_64}


@kernel
def apply(code, x, out):
    """A loop like those of the activations: contiguous, vectorised, under fast arithmetic."""
    if code == EXP:
        for k in range(x.shape[0]):
            out[k] = exp(x[k])
    elif code == LOG1P:
        for k in range(x.shape[0]):
            out[k] = log1p(x[k])
    elif code == TANH:
        for k in range(x.shape[0]):
            out[k] = tanh(x[k])
    elif code == LOG:
        for k in range(x.shape[0]):
            out[k] = log(x[k])
    else:
        for k in range(x.shape[0]):
            out[k] = sin_turns(x[k])


def applied(code, x):
    out = np.empty_like(x)
    apply(code, x, out)
    return out


def around_zero(dtype, largest, n=20_000):
    """Both signs of every magnitude that a dtype's normal numbers have, up to `largest`."""
    smallest = np.log10(np.finfo(dtype).tiny)
    sizes = np.logspace(smallest, np.log10(largest), n).astype(dtype)
    return np.concatenate([-sizes[::-1], np.zeros(1, dtype), sizes])


def error_in_ulps(out, exact):
    """Distance to the exact values in units in the last place of these."""
    spacing = np.spacing(np.abs(exact).astype(out.dtype)).astype(exact.dtype)
    return np.abs(out.astype(exact.dtype) - exact) / spacing


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_is_accurate_wherever_its_result_is_normal(dtype):
    """Range reduction is exact to the working precision and the approximant good to 2 ulp."""
    grid = np.linspace(LOW[dtype], HIGH[dtype], 400_001).astype(dtype)
    x = np.concatenate([grid, around_zero(dtype, 80.0), [LOW[dtype], HIGH[dtype]]]).astype(dtype)
    exact = np.exp(x.astype(WIDER[dtype]))
    assert error_in_ulps(applied(EXP, x), exact).max() < 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_is_accurate_where_its_exponent_changes(dtype):
    """The reduction's k jumps at (k - 1/2) log 2: neither neighbour of a jump loses accuracy."""
    first, last = LOW[dtype] / np.log(2) + 1, HIGH[dtype] / np.log(2) - 1
    x = ((np.arange(int(first), int(last)) - 0.5) * np.log(2)).astype(dtype)
    x = np.concatenate([np.nextafter(x, dtype(-np.inf)), x, np.nextafter(x, dtype(np.inf))])
    exact = np.exp(x.astype(WIDER[dtype]))
    assert error_in_ulps(applied(EXP, x), exact).max() < 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_saturates_at_both_ends(dtype):
    """Results too small to be normal are 0, those too large are infinite, never garbage."""
    far = np.array([1.01, 2, 1e3, 1e10, 1e30, np.inf]).astype(dtype)
    below, above = applied(EXP, far * LOW[dtype]), applied(EXP, far * HIGH[dtype])
    assert np.array_equal(below, np.zeros_like(far))
    assert np.array_equal(above, np.full_like(far, np.inf))
    least = applied(EXP, np.full(9, LOW[dtype]))
    assert np.all(np.finfo(dtype).tiny <= least) and np.all(least < 4 * np.finfo(dtype).tiny)
    most = applied(EXP, np.full(9, HIGH[dtype]))
    assert np.all(np.finfo(dtype).max / 2 < most) and np.all(most < np.inf)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log1p_is_accurate_where_it_is_used(dtype):
    """The series in s = x / (2 + x) has no cancellation, so small x keep their last digits."""
    x = np.concatenate([np.linspace(-0.3, 1, 200_001).astype(dtype), around_zero(dtype, 1.0)])
    x = x[x >= -0.3]
    exact = np.log1p(x.astype(WIDER[dtype]))
    assert error_in_ulps(applied(LOG1P, x), exact).max() < 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_is_accurate_of_all_normal_numbers(dtype):
    """From the smallest to the largest, next to 1 too, where no digit may be lost to k log 2."""
    near = 1 + np.concatenate([np.linspace(-0.6, 1.2, 200_001), around_zero(dtype, 0.1)])
    ends = [np.finfo(dtype).tiny, np.sqrt(0.5), np.sqrt(2), np.finfo(dtype).max]
    ends = [np.nextafter(dtype(x), dtype(y)) for x in ends[1:3] for y in (0, 9)] + ends
    sizes = around_zero(dtype, np.finfo(dtype).max / 2)
    x = np.concatenate([near, sizes[sizes > 0], ends]).astype(dtype)
    exact = np.log(x.astype(WIDER[dtype]))
    assert applied(LOG, np.ones(9, dtype)).any() == 0
    assert error_in_ulps(applied(LOG, x), exact)[x != 1].max() < 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_is_accurate_of_random_bits(dtype):
    """Of (bits + 1/2) 2^-n, which normal draws are made of: 1/2 as 2^-n and all but 1 as well."""
    n = 23 if dtype == np.float32 else 32
    bits = np.concatenate([np.arange(1000), 2**n - 1 - np.arange(1000)])
    u = ((bits + 0.5) * 2.0**-n).astype(dtype)
    assert u.max() < 1
    exact = np.log(u.astype(WIDER[dtype]))
    assert error_in_ulps(applied(LOG, u), exact).max() < 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_sin_turns_is_accurate_over_its_turn_and_a_half(dtype):
    """Relative to the sine itself, also next to its zeros: the way to the nearest is exact."""
    around = [zero + around_zero(dtype, 0.2, 5000) for zero in (-0.5, 0.0, 0.5)]
    t = np.concatenate([np.linspace(-0.75, 0.75, 400_001), *around, [-0.75, 0.75]]).astype(dtype)
    t = t[np.abs(t) <= 0.75]
    half_turns = np.round(2 * t)
    rest = (t - half_turns / 2).astype(WIDER[dtype])
    turn = 2 * (np.longdouble("3.14159265358979323846264338327950288") + 0 * rest)
    exact = (np.where(half_turns % 2 == 0, 1, -1) * np.sin(turn * rest)).astype(WIDER[dtype])
    y, is_zero = applied(SIN_TURNS, t), exact == 0
    assert is_zero.sum() >= 3 and not y[is_zero].any()
    assert error_in_ulps(y[~is_zero], exact[~is_zero]).max() < 4
    assert np.abs(y).max() <= 1 + np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_accurate_everywhere(dtype):
    """Near zero a polynomial keeps relative accuracy, where 1 - exp(-2x) would cancel."""
    grid = np.linspace(-25, 25, 400_001).astype(dtype)
    switch = np.nextafter(dtype(0.625), np.array([0, 1], dtype))
    x = np.concatenate([grid, around_zero(dtype, 1e4), switch, -switch]).astype(dtype)
    exact = np.tanh(x.astype(WIDER[dtype]))
    assert error_in_ulps(applied(TANH, x), exact).max() < 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_odd_bounded_and_exact_at_the_ends(dtype):
    """Both signs take the same arithmetic, and (1 - e) / (1 + e) with e >= 0 is at most 1."""
    x = np.concatenate([around_zero(dtype, 1e4), np.array([1e10, 1e30, np.inf], dtype)])
    y = applied(TANH, x)
    assert np.array_equal(applied(TANH, -x), -y)
    assert np.abs(y).max() <= 1
    assert np.all(y[x >= 20] == 1)


@pytest.mark.parametrize("code", [EXP, LOG1P, TANH, LOG, SIN_TURNS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_are_monotone_to_rounding(dtype, code):
    """No piece of an approximation meets the next with a step down beyond rounding."""
    low, high = {
        EXP: (LOW[dtype], 80),
        LOG1P: (-0.3, 1),
        TANH: (-20, 20),
        LOG: (1e-3, 20),
        SIN_TURNS: (-0.25, 0.25),
    }[code]
    y = applied(code, np.linspace(low, high, 300_001).astype(dtype))
    assert np.all(np.diff(y) >= -2 * np.spacing(np.abs(y[1:])))


@pytest.mark.parametrize("code", [EXP, LOG1P, TANH, LOG, SIN_TURNS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_survives_among_other_values(dtype, code):
    """Divergence must be seen: a NaN gives a NaN in every lane, its neighbours are untouched."""
    for place in range(19):
        x = np.full(19, 0.5, dtype)
        x[place] = np.nan
        y = applied(code, x)
        assert np.isnan(y[place])
        assert np.all(np.isfinite(np.delete(y, place)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_do_not_depend_on_their_place_in_a_row(dtype):
    """Vector lanes and the scalar remainder of a loop round alike, so rows are independent."""
    x = np.linspace(-9, 9, 37).astype(dtype)
    cases = (EXP, x), (LOG1P, np.abs(x) / 9), (TANH, x), (LOG, np.exp(x)), (SIN_TURNS, x / 12)
    for code, values in cases:
        whole = applied(code, values)
        single = np.concatenate([applied(code, values[k : k + 1]) for k in range(37)])
        np.testing.assert_allclose(single, whole, rtol=2 * np.finfo(dtype).eps, atol=0)
