"""exp, log, log1p, sin and tanh as polynomials in plain arithmetic, so that loops vectorise.

numba's wheels have no vector mathematics library, and calls into libm stay scalar. The
coefficients are those of Cephes (S. L. Moshier, *Methods and Programs for Mathematical
Functions*, 1989), accurate to about two units in the last place.
"""

import numpy as np
from numba import types
from numba.extending import overload

from sk_dbn.kernels.compile import EXACT, kernel

f32, f64 = np.float32, np.float64

EXP_LOW_32, EXP_HIGH_32 = f32(-86.5), f32(88.72283)
EXP_LOW_64, EXP_HIGH_64 = f64(-707.5), f64(709.782712893384)


@kernel(fastmath=EXACT, forceinline=True)
def _exp_32(x):
    """exp(x) by Cody-Waite reduction and a polynomial of degree 5; 0 below -86.5."""
    t = EXP_LOW_32 if x < EXP_LOW_32 else x
    t = EXP_HIGH_32 if t > EXP_HIGH_32 else t
    k = np.floor(t * f32(1.44269504) + f32(0.5))
    r = t - k * f32(0.693359375)
    r = r - k * f32(-2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * r * r + r + f32(1.0)
    # 2^k in two factors: 2^128 is not a float32, though exp(88.7) is.
    bits = np.int32((np.int32(k) + np.int32(126)) << np.int32(23))
    p = p * bits.view(np.float32) * f32(2.0)
    p = f32(np.inf) if x > EXP_HIGH_32 else p
    return f32(0.0) if x < EXP_LOW_32 else p


@kernel(fastmath=EXACT, forceinline=True)
def _exp_64(x):
    """exp(x) by Cody-Waite reduction and a Padé approximant; 0 below -707.5."""
    t = EXP_LOW_64 if x < EXP_LOW_64 else x
    t = EXP_HIGH_64 if t > EXP_HIGH_64 else t
    k = np.floor(t * f64(1.4426950408889634) + f64(0.5))
    r = t - k * f64(6.93145751953125e-1)
    r = r - k * f64(1.42860682030941723212e-6)
    rr = r * r
    p = f64(1.26177193074810590878e-4)
    p = p * rr + f64(3.02994407707441961300e-2)
    p = (p * rr + f64(9.99999999999999999910e-1)) * r
    q = f64(3.00198505138664455042e-6)
    q = q * rr + f64(2.52448340349684104192e-3)
    q = q * rr + f64(2.27265548208155028766e-1)
    q = q * rr + f64(2.0)
    p = f64(1.0) + f64(2.0) * p / (q - p)
    bits = np.int64((np.int64(k) + np.int64(1022)) << np.int64(52))
    p = p * bits.view(np.float64) * f64(2.0)
    p = f64(np.inf) if x > EXP_HIGH_64 else p
    return f64(0.0) if x < EXP_LOW_64 else p


@kernel(fastmath=EXACT, forceinline=True)
def _log1p_32(x):
    """log(1 + x) = 2 atanh(s), s = x / (2 + x), for x in [-0.3, 1]."""
    s = x / (f32(2.0) + x)
    t = s * s
    p = f32(1 / 15)
    p = p * t + f32(1 / 13)
    p = p * t + f32(1 / 11)
    p = p * t + f32(1 / 9)
    p = p * t + f32(1 / 7)
    p = p * t + f32(1 / 5)
    p = p * t + f32(1 / 3)
    return f32(2.0) * (s + s * t * p)


@kernel(fastmath=EXACT, forceinline=True)
def _log1p_64(x):
    """log(1 + x) = 2 atanh(s), s = x / (2 + x), for x in [-0.3, 1]."""
    s = x / (f64(2.0) + x)
    t = s * s
    p = f64(1 / 35)
    p = p * t + f64(1 / 33)
    p = p * t + f64(1 / 31)
    p = p * t + f64(1 / 29)
    p = p * t + f64(1 / 27)
    p = p * t + f64(1 / 25)
    p = p * t + f64(1 / 23)
    p = p * t + f64(1 / 21)
    p = p * t + f64(1 / 19)
    p = p * t + f64(1 / 17)
    p = p * t + f64(1 / 15)
    p = p * t + f64(1 / 13)
    p = p * t + f64(1 / 11)
    p = p * t + f64(1 / 9)
    p = p * t + f64(1 / 7)
    p = p * t + f64(1 / 5)
    p = p * t + f64(1 / 3)
    return f64(2.0) * (s + s * t * p)


@kernel(fastmath=EXACT, forceinline=True)
def _tanh_32(x):
    """tanh(x): a polynomial near zero, (1 - e) / (1 + e) with e = exp(-2|x|) beyond."""
    size = -x if x < f32(0.0) else x
    e = _exp_32(f32(-2.0) * size)
    far = (f32(1.0) - e) / (f32(1.0) + e)
    far = -far if x < f32(0.0) else far
    z = x * x
    p = f32(-5.70498872745e-3)
    p = p * z + f32(2.06390887954e-2)
    p = p * z - f32(5.37397155531e-2)
    p = p * z + f32(1.33314422036e-1)
    p = p * z - f32(3.33332819422e-1)
    return p * z * x + x if size < f32(0.625) else far


@kernel(fastmath=EXACT, forceinline=True)
def _tanh_64(x):
    """tanh(x): a Padé approximant near zero, (1 - e) / (1 + e), e = exp(-2|x|), beyond."""
    size = -x if x < f64(0.0) else x
    e = _exp_64(f64(-2.0) * size)
    far = (f64(1.0) - e) / (f64(1.0) + e)
    far = -far if x < f64(0.0) else far
    z = x * x
    p = f64(-9.64399179425052238628e-1)
    p = p * z - f64(9.92877231001918586564e1)
    p = p * z - f64(1.61468768441708447952e3)
    q = z + f64(1.12811678491632931402e2)
    q = q * z + f64(2.23548839060100448583e3)
    q = q * z + f64(4.84406305325125486048e3)
    return x + x * z * p / q if size < f64(0.625) else far


@kernel(fastmath=EXACT, forceinline=True)
def _sin_turns_32(t):
    """sin(2 pi t) for t in [-3/4, 3/4]: Taylor's polynomial on a quarter turn either way."""
    t = t - f32(1.0) if t > f32(0.5) else (t + f32(1.0) if t < f32(-0.5) else t)
    t = f32(0.5) - t if t > f32(0.25) else (f32(-0.5) - t if t < f32(-0.25) else t)
    z = t * t
    p = f32(-0.7181223017785001)
    p = p * z + f32(3.8199525848482803)
    p = p * z + f32(-15.094642576822984)
    p = p * z + f32(42.058693944897634)
    p = p * z + f32(-76.70585975306136)
    p = p * z + f32(81.60524927607504)
    p = p * z + f32(-41.341702240399755)
    p = p * z + f32(6.283185307179586)
    return p * t


@kernel(fastmath=EXACT, forceinline=True)
def _sin_turns_64(t):
    """sin(2 pi t) for t in [-3/4, 3/4]: Taylor's polynomial on a quarter turn either way."""
    t = t - f64(1.0) if t > f64(0.5) else (t + f64(1.0) if t < f64(-0.5) else t)
    t = f64(0.5) - t if t > f64(0.25) else (f64(-0.5) - t if t < f64(-0.25) else t)
    z = t * t
    p = f64(-8.823533599242996e-05)
    p = p * z + f64(0.0011309237482517954)
    p = p * z + f64(-0.012031585942120619)
    p = p * z + f64(0.10422916220813978)
    p = p * z + f64(-0.7181223017785001)
    p = p * z + f64(3.8199525848482803)
    p = p * z + f64(-15.094642576822984)
    p = p * z + f64(42.058693944897634)
    p = p * z + f64(-76.70585975306136)
    p = p * z + f64(81.60524927607504)
    p = p * z + f64(-41.341702240399755)
    p = p * z + f64(6.283185307179586)
    return p * t


@kernel(fastmath=EXACT, forceinline=True)
def _log_32(x):
    """log(x) of a positive normal number: k log 2 + log(m) with m between sqrt(1/2) and sqrt(2)."""
    bits = f32(x).view(np.int32)
    m = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
    k = f32((bits >> np.int32(23)) - np.int32(127))
    is_large = m > f32(1.4142135)
    m = f32(0.5) * m if is_large else m
    k = k + f32(1.0) if is_large else k
    y = k * f32(0.6931471805599453) + _log1p_32(m - f32(1.0))
    return y if x == x else x  # a NaN has bits like a number's


@kernel(fastmath=EXACT, forceinline=True)
def _log_64(x):
    """log(x) of a positive normal number: k log 2 + log(m) with m between sqrt(1/2) and sqrt(2)."""
    bits = f64(x).view(np.int64)
    m = np.int64((bits & np.int64(2**52 - 1)) | np.int64(1023 << 52)).view(np.float64)
    k = f64((bits >> np.int64(52)) - np.int64(1023))
    is_large = m > f64(1.4142135623730951)
    m = f64(0.5) * m if is_large else m
    k = k + f64(1.0) if is_large else k
    y = k * f64(0.6931471805599453) + _log1p_64(m - f64(1.0))
    return y if x == x else x  # a NaN has bits like a number's


def exp(x):
    """exp(x) of a float32 or float64 scalar."""
    return _exp_32(x) if isinstance(x, np.float32) else _exp_64(x)


def log1p(x):
    """log(1 + x) of a float32 or float64 scalar in [-0.3, 1]."""
    return _log1p_32(x) if isinstance(x, np.float32) else _log1p_64(x)


def tanh(x):
    """tanh(x) of a float32 or float64 scalar."""
    return _tanh_32(x) if isinstance(x, np.float32) else _tanh_64(x)


def sin_turns(t):
    """sin(2 pi t) of a float32 or float64 scalar in [-3/4, 3/4]."""
    return _sin_turns_32(t) if isinstance(t, np.float32) else _sin_turns_64(t)


def log(x):
    """log(x) of a positive normal float32 or float64 scalar."""
    return _log_32(x) if isinstance(x, np.float32) else _log_64(x)


@overload(exp, inline="always")
def _exp(x):
    if x == types.float32:
        return lambda x: _exp_32(x)
    return lambda x: _exp_64(x)


@overload(log1p, inline="always")
def _log1p(x):
    if x == types.float32:
        return lambda x: _log1p_32(x)
    return lambda x: _log1p_64(x)


@overload(tanh, inline="always")
def _tanh(x):
    if x == types.float32:
        return lambda x: _tanh_32(x)
    return lambda x: _tanh_64(x)


@overload(sin_turns, inline="always")
def _sin_turns(t):
    if t == types.float32:
        return lambda t: _sin_turns_32(t)
    return lambda t: _sin_turns_64(t)


@overload(log, inline="always")
def _log(x):
    if x == types.float32:
        return lambda x: _log_32(x)
    return lambda x: _log_64(x)
