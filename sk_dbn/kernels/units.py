"""The kinds of units: their means, their samples, and what they add to energies.

Given the other side, the mean of a unit is logistic(x) when it takes the values 0 and 1,
tanh(x) when it takes -1 and 1, and x when it is Gaussian: so a kind of unit is named by the
code of its activation.
"""

import math

import numpy as np

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, TANH
from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.elementary import exp, log1p, tanh
from sk_dbn.kernels.random_bits import add_standard_normal, bits, derive

u32 = np.uint32


@routine(fastmath=EXACT)
def to_means(kind, z, bias):
    """Turn products into means of units of a kind, in place.

    Parameters
    ----------
    kind : int
    z : array (n_rows, n_units), updated
    bias : array (n_units,)
    """
    one = z.dtype.type(1.0)
    for i in range(z.shape[0]):
        if kind == LOGISTIC:
            for j in range(z.shape[1]):
                z[i, j] = one / (one + exp(-(z[i, j] + bias[j])))
        elif kind == TANH:
            for j in range(z.shape[1]):
                z[i, j] = tanh(z[i, j] + bias[j])
        else:
            for j in range(z.shape[1]):
                z[i, j] += bias[j]


@routine(fastmath=EXACT)
def sample(kind, key, first_row, state):
    """Replace means of units by draws.

    Parameters
    ----------
    kind : int, kind of the units
    key : uint32
    first_row : int, number of the first row within the minibatch or among the chains
    state : array (n_rows, n_units), updated
    """
    if kind == IDENTITY:
        add_standard_normal(key, first_row, state)
        return
    real = state.dtype.type
    # A unit of -1 and 1 with mean m is 1 with probability (1 + m) / 2.
    is_logistic = kind == LOGISTIC
    low, base, slope = (0.0, 0.0, 1.0) if is_logistic else (-1.0, 0.5, 0.5)
    low, base, slope, one, scale = real(low), real(base), real(slope), real(1.0), real(2.0**-24)
    for i in range(state.shape[0]):
        row_key = derive(key, i + first_row)
        for j in range(state.shape[1]):
            u = real(np.int32(bits(key, row_key, j) >> u32(8))) * scale
            state[i, j] = one if u < base + slope * state[i, j] else low


@kernel
def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return (x if x > 0 else x - x) + log1p(exp(-abs(x)))


@kernel
def log_partition(kind, x):
    """log of the sum of exp(x h) over the values h of a hidden unit."""
    if kind == LOGISTIC:
        return softplus(x)
    return abs(x) + log1p(exp(-abs(x) - abs(x)))  # log(2 cosh x)


@kernel
def divergence(kind, v, x):
    """Kullback-Leibler divergence of a reconstruction from a row of observed means, in nats.

    Parameters
    ----------
    kind : int
    v : array (n_units,), observed means
    x : array (n_units,), products plus biases, of which the units' means are functions
    """
    zero, one, half = x.dtype.type(0.0), x.dtype.type(1.0), x.dtype.type(0.5)
    nats = zero
    if kind == IDENTITY:
        for j in range(x.shape[0]):
            nats += half * (v[j] - x[j]) * (v[j] - x[j])
        return np.float64(nats)
    # The log-odds of a unit of -1 and 1 are 2 x.
    slope, shift, scale = (one, zero, one) if kind == LOGISTIC else (half, half, one + one)
    for j in range(x.shape[0]):
        p, odds = shift + slope * v[j], scale * x[j]
        # -p log q - (1 - p) log(1 - q), for q = logistic(odds)
        nats += log1p(exp(-abs(odds))) + ((one - p) * odds if odds > zero else -p * odds)
    entropy = 0.0
    for j in range(x.shape[0]):
        p = np.float64(shift + slope * v[j])
        if 0.0 < p < 1.0:
            entropy -= p * math.log(p) + (1.0 - p) * math.log(1.0 - p)
    return np.float64(nats) - entropy
