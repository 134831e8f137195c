"""Activation functions and their derivatives, chosen by a code outside the inner loops.

To add one: a code and a line in ``FACTS``, a branch in `activate`, one in `times_derivative`.
"""

import math
from collections import namedtuple

import numpy as np

from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.elementary import exp, log1p, tanh

IDENTITY, LOGISTIC, TANH, SOFTSIGN, RELU, LEAKY_RELU = range(6)
ELU, SELU, GELU, SWISH, SOFTPLUS, STEP, EXP, SOFTMAX = range(6, 14)

LEAK = 0.01  # slope of leaky_relu below zero (Maas, Hannun & Ng, 2013)
SELU_SCALE = 1.0507009873554805  # Klambauer et al. (2017), equation 14
SELU_ALPHA = 1.6732632423543772

Activation = namedtuple("Activation", "code init low high can_die needs_slopes")
Activation.__doc__ = """What is known of an activation besides `activate` and `times_derivative`.

code : int
init : str, the initialiser that 'auto' stands for
low, high : float, below and above which a unit counts as saturated: within 1 % of a range's end,
    where the logistic function's derivative has fallen to 4 % of its maximum; infinite where there
    is no bound
can_die : bool, whether units may say zero for all samples, and then learn no more
needs_slopes : bool, whether the derivative does not follow from the value
"""

_INF = math.inf
FACTS = {
    "identity": Activation(IDENTITY, "glorot_uniform", -_INF, _INF, False, False),
    "logistic": Activation(LOGISTIC, "glorot_uniform", 0.01, 0.99, False, False),
    "tanh": Activation(TANH, "glorot_uniform", -0.98, 0.98, False, False),
    "softsign": Activation(SOFTSIGN, "glorot_uniform", -0.98, 0.98, False, False),
    "relu": Activation(RELU, "he_normal", -_INF, _INF, True, False),
    "leaky_relu": Activation(LEAKY_RELU, "he_normal", -_INF, _INF, False, False),
    "elu": Activation(ELU, "he_normal", -0.98, _INF, False, False),
    "selu": Activation(SELU, "lecun_normal", -0.98 * SELU_SCALE * SELU_ALPHA, _INF, False, False),
    "gelu": Activation(GELU, "he_normal", -_INF, _INF, False, True),
    "swish": Activation(SWISH, "he_normal", -_INF, _INF, False, True),
    "softplus": Activation(SOFTPLUS, "he_normal", -_INF, _INF, False, False),
    "step": Activation(STEP, "glorot_uniform", -_INF, _INF, False, False),
}
ACTIVATIONS = {name: facts.code for name, facts in FACTS.items()}
_OUTPUT = [Activation(code, "", -_INF, _INF, False, False) for code in (EXP, SOFTMAX)]
_BY_CODE = {facts.code: facts for facts in (*FACTS.values(), *_OUTPUT)}
BY_SLOPES = len(_BY_CODE)  # stands for an activation whose derivative was written, whichever it is
LOW, HIGH, NEEDS_SLOPES = (
    np.array([getattr(_BY_CODE[code], name) for code in range(BY_SLOPES)])  # no code is left out
    for name in ("low", "high", "needs_slopes")
)
OUTPUT_ACTIVATIONS = {
    "identity": IDENTITY,
    "logistic": LOGISTIC,
    "exp": EXP,
    "softmax": SOFTMAX,
}


@routine(fastmath=EXACT)
def activate(code, z, bias, slopes):
    """Turn products into activations, f(z + bias), in place.

    Parameters
    ----------
    code : int, one of the codes above
    z : array (n_rows, n_units), updated
    bias : array (n_units,)
    slopes : array (n_rows, n_units) or (0, 0); the derivative is written there for those
        activations whose derivative does not follow from their value (gelu, swish)
    """
    real = z.dtype.type
    n, m = z.shape
    zero, half, one = real(0.0), real(0.5), real(1.0)
    if code == IDENTITY:
        for i in range(n):
            for j in range(m):
                z[i, j] += bias[j]
    elif code == LOGISTIC:
        for i in range(n):
            for j in range(m):
                z[i, j] = one / (one + exp(-(z[i, j] + bias[j])))
    elif code == TANH:
        for i in range(n):
            for j in range(m):
                z[i, j] = tanh(z[i, j] + bias[j])
    elif code == SOFTSIGN:
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                z[i, j] = x / (one + abs(x))
    elif code == RELU:
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                z[i, j] = zero if x < zero else x
    elif code == LEAKY_RELU:
        leak = real(LEAK)
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                z[i, j] = leak * x if x < zero else x
    elif code == ELU:
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                z[i, j] = exp(x) - one if x < zero else x
    elif code == SELU:
        scale, alpha = real(SELU_SCALE), real(SELU_ALPHA)
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                z[i, j] = scale * (alpha * (exp(x) - one) if x < zero else x)
    elif code == GELU:
        to_unit, peak = real(math.sqrt(0.5)), real(1.0 / math.sqrt(2.0 * math.pi))
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                p = half * (one + real(math.erf(x * to_unit)))  # P(N(0, 1) < x)
                z[i, j] = x * p
                if slopes.shape[0] > 0:
                    slopes[i, j] = p + x * peak * exp(-half * x * x)
    elif code == SWISH:
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                p = one / (one + exp(-x))
                z[i, j] = x * p
                if slopes.shape[0] > 0:
                    slopes[i, j] = p + x * p * (one - p)
    elif code == SOFTPLUS:
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                z[i, j] = (zero if x < zero else x) + log1p(exp(-abs(x)))
    elif code == STEP:
        for i in range(n):
            for j in range(m):
                x = z[i, j] + bias[j]
                x = one if x >= zero else x  # NaN is neither and stays
                z[i, j] = zero if x < zero else x
    elif code == EXP:
        for i in range(n):
            for j in range(m):
                z[i, j] = exp(z[i, j] + bias[j])
    elif code == SOFTMAX:
        for i in range(n):
            top = z[i, 0] + bias[0]
            for j in range(m):
                z[i, j] += bias[j]
                top = z[i, j] if z[i, j] > top else top
            total = zero
            for j in range(m):
                z[i, j] = exp(z[i, j] - top)
                total += z[i, j]
            for j in range(m):
                z[i, j] /= total


@routine(fastmath=EXACT)
def times_derivative(code, a, slopes, delta):
    """Multiply delta by the activation's derivative, f'(z), written in terms of a = f(z).

    Parameters
    ----------
    code : int
    a : array (n_rows, n_units), activations
    slopes : array (n_rows, n_units) or (0, 0), as `activate` left it
    delta : array (n_rows, n_units), updated
    """
    real = a.dtype.type
    n, m = a.shape
    zero, one = real(0.0), real(1.0)
    if code == BY_SLOPES or NEEDS_SLOPES[code]:
        for i in range(n):
            for j in range(m):
                delta[i, j] *= slopes[i, j]
    elif code == LOGISTIC:
        for i in range(n):
            for j in range(m):
                delta[i, j] *= a[i, j] * (one - a[i, j])
    elif code == TANH:
        for i in range(n):
            for j in range(m):
                delta[i, j] *= one - a[i, j] * a[i, j]
    elif code == SOFTSIGN:
        for i in range(n):
            for j in range(m):
                r = one - abs(a[i, j])
                delta[i, j] *= r * r
    elif code == RELU:
        for i in range(n):
            for j in range(m):
                delta[i, j] = zero if a[i, j] == zero else delta[i, j]
    elif code == LEAKY_RELU:
        leak = real(LEAK)
        for i in range(n):
            for j in range(m):
                delta[i, j] *= leak if a[i, j] < zero else one
    elif code == ELU:
        for i in range(n):
            for j in range(m):
                delta[i, j] *= a[i, j] + one if a[i, j] < zero else one
    elif code == SELU:
        scale, floor = real(SELU_SCALE), real(SELU_SCALE * SELU_ALPHA)
        for i in range(n):
            for j in range(m):
                delta[i, j] *= a[i, j] + floor if a[i, j] < zero else scale
    elif code == SOFTPLUS:
        for i in range(n):
            for j in range(m):
                delta[i, j] *= one - exp(-a[i, j])
    elif code == STEP:
        for i in range(n):
            for j in range(m):
                delta[i, j] = zero


@routine(fastmath=EXACT)
def complete_slopes(code, a, slopes):
    """Write the derivative, f'(z), of those activations for which `activate` has not.

    Parameters
    ----------
    code : int
    a : array (n_rows, n_units), activations
    slopes : array (n_rows, n_units), written where the derivative follows from a
    """
    if not NEEDS_SLOPES[code]:
        slopes[:] = 1
        times_derivative(code, a, slopes, slopes)


@kernel
def saturation_bounds(code):
    """The activations below and above which a unit counts as saturated."""
    return LOW[code], HIGH[code]
