"""The kinds of units: their means, their samples, and what they add to energies.

Given the other side, the mean of a unit is logistic(x) when it takes the values 0 and 1,
tanh(x) when it takes -1 and 1, and x when it is Gaussian: so a kind of unit is named by the
code of its activation. A noisy rectified linear unit (RELU) is max(0, x + e), where e is normal
with the variance logistic(x): nearly the sum of very many units of 0 and 1 whose biases fall in
steps of one (Nair & Hinton, 2010, section 2).
"""

import math

import numpy as np

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH
from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.elementary import exp, log1p, tanh
from sk_dbn.kernels.random_bits import bits, derive, fill_normal

u32 = np.uint32

# Kinds of the units of a category, one for each of its values: the first one, and the others.
FIRST_CATEGORY, NEXT_CATEGORY = 100, 101


@kernel(fastmath=EXACT)
def rectified_means(z, bias, lo, hi):
    """Means of max(0, x + e), for normal e of the variance logistic(x), in place of products.

    With s^2 = logistic(x), that is x P(e > -x) + s p(x / s), p and P the standard normal density
    and distribution function, the latter by Abramowitz & Stegun's 7.1.26, to 1e-7.

    Parameters
    ----------
    z : array (n_rows, n_units), updated
    bias : array (n_units,)
    lo, hi : int, which units
    """
    real = z.dtype.type
    zero, one, half, peak = real(0.0), real(1.0), real(0.5), real(1.0 / math.sqrt(2.0 * math.pi))
    p1, a1, a2 = real(0.3275911 * math.sqrt(0.5)), real(0.254829592), real(-0.284496736)
    a3, a4, a5 = real(1.421413741), real(-1.453152027), real(1.061405429)
    bias = bias[lo:hi]
    for i in range(z.shape[0]):
        row = z[i, lo:hi]
        for j in range(hi - lo):
            x = row[j] + bias[j]
            s = np.sqrt(one / (one + exp(-x)))
            y = (-x if x < zero else x) / s
            t = one / (one + p1 * y)
            density = exp(-half * y * y)
            tail = half * t * (a1 + t * (a2 + t * (a3 + t * (a4 + t * a5)))) * density
            row[j] = x * (tail if x < zero else one - tail) + s * peak * density


@routine(fastmath=EXACT)
def to_means(kind, z, bias, lo, hi):
    """Turn products into means of units of a kind, in place.

    Parameters
    ----------
    kind : int
    z : array (n_rows, n_units), updated
    bias : array (n_units,)
    lo, hi : int, which units are of the kind
    """
    one = z.dtype.type(1.0)
    if kind == RELU:
        rectified_means(z, bias, lo, hi)
        return
    bias = bias[lo:hi]  # counted from 0: what may be counted from the end is not vectorised
    if kind == LOGISTIC:
        for i in range(z.shape[0]):
            row = z[i, lo:hi]
            for j in range(hi - lo):
                row[j] = one / (one + exp(-(row[j] + bias[j])))
    elif kind == TANH:
        for i in range(z.shape[0]):
            row = z[i, lo:hi]
            for j in range(hi - lo):
                row[j] = tanh(row[j] + bias[j])
    else:
        for i in range(z.shape[0]):
            row = z[i, lo:hi]
            for j in range(hi - lo):
                row[j] += bias[j]


@routine(fastmath=EXACT)
def sample(kind, key, first_row, state, lo, hi):
    """Replace means of binary units by draws.

    Parameters
    ----------
    kind : int, LOGISTIC or TANH
    key : uint32
    first_row : int, number of the first row within the minibatch or among the chains
    state : array (n_rows, n_units), updated
    lo, hi : int, which units are of the kind
    """
    real = state.dtype.type
    # A unit of -1 and 1 with mean m is 1 with probability (1 + m) / 2.
    is_logistic = kind == LOGISTIC
    low, base, slope = (0.0, 0.0, 1.0) if is_logistic else (-1.0, 0.5, 0.5)
    low, base, slope, one, scale = real(low), real(base), real(slope), real(1.0), real(2.0**-24)
    for i in range(state.shape[0]):
        row_key, row = derive(key, i + first_row), state[i, lo:hi]
        for j in range(hi - lo):
            u = real(np.int32(bits(key, row_key, lo + j) >> u32(8))) * scale
            row[j] = one if u < base + slope * row[j] else low


@routine(fastmath=EXACT)
def add_noise(variance, noise, state, lo, hi):
    """Replace means of Gaussian units by draws.

    Parameters
    ----------
    variance : array (n_units,)
    noise : array like state, standard normal draws
    state : array (n_rows, n_units), updated
    lo, hi : int, which units are Gaussian
    """
    variance = variance[lo:hi]
    for i in range(state.shape[0]):
        row, noise_row = state[i, lo:hi], noise[i, lo:hi]
        for j in range(hi - lo):
            row[j] += np.sqrt(variance[j]) * noise_row[j]


@routine(fastmath=EXACT)
def sample_rectified(key, first_row, bias, z, state):
    """Draws of noisy rectified linear units, from their products.

    Parameters
    ----------
    key, first_row : see `sample`
    bias : array (n_units,)
    z : array (n_rows, n_units), products
    state : array (n_rows, n_units), written
    """
    real = state.dtype.type
    zero, one = real(0.0), real(1.0)
    fill_normal(key, first_row, state)
    for i in range(state.shape[0]):
        for j in range(state.shape[1]):
            x = z[i, j] + bias[j]
            y = x + state[i, j] * np.sqrt(one / (one + exp(-x)))
            state[i, j] = zero if y < zero else y


@routine(fastmath=EXACT)
def drop(key, first_row, rate, state):
    """Zeros in place of a share of the units, chosen anew for each row.

    What is left is divided by its share, so that on average nothing changes.

    Parameters
    ----------
    key : uint32
    first_row : int, see `sample`
    rate : float, probability of a unit to be dropped
    state : array (n_rows, n_units), updated
    """
    real = state.dtype.type
    more = real(1.0 / (1.0 - rate))
    for i in range(state.shape[0]):
        row_key = derive(key, i + first_row)
        for j in range(state.shape[1]):
            u = np.float64(bits(key, row_key, j)) * 2.0**-32
            state[i, j] = real(0.0) if u < rate else more * state[i, j]


@kernel
def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return (x if x > 0 else x - x) + log1p(exp(-abs(x)))


@kernel(fastmath=EXACT)
def rectified_log_partition(x):
    """The integral of log(1 + exp(t)) over t up to x: minus the dilogarithm of -exp(x).

    So many units of 0 and 1 in place of one rectified linear unit contribute the sum of
    log(1 + exp(x - k + 1/2)) over k = 1, 2, ..., of which this is the midpoint rule's limit.
    """
    x = np.float64(x)
    y = math.exp(-abs(x))
    # Li2(-y) = -Li2(z) - log(1 + y)^2 / 2 with z = y / (1 + y) <= 1/2 (Landen)
    z, power, total = y / (1.0 + y), 1.0, 0.0
    for k in range(1, 50):
        power *= z
        total += power / (k * k)
    log_y = math.log1p(y)
    half = total + 0.5 * log_y * log_y
    if x <= 0.0:
        return half
    return 0.5 * x * x + math.pi * math.pi / 6.0 - half


@kernel(fastmath=EXACT)
def log_partition(kind, x):
    """log of the sum of exp(x h) over the values h of a hidden unit."""
    if kind == LOGISTIC:
        return softplus(x)
    if kind == RELU:
        return rectified_log_partition(x)
    return abs(x) + log1p(exp(-abs(x) - abs(x)))  # log(2 cosh x)


@kernel
def sum_log_partitions(kind, x):
    """The sum of `log_partition` over the units of a row."""
    if kind == RELU:
        total = 0.0
        for j in range(x.shape[0]):
            total += rectified_log_partition(x[j])
        return total
    # log(2 cosh x) = log(1 + exp(2 x)) - x
    real = x.dtype.type
    slope, shift = (real(1.0), real(0.0)) if kind == LOGISTIC else (real(2.0), real(1.0))
    total = real(0.0)
    for j in range(x.shape[0]):
        total += softplus(slope * x[j]) - shift * x[j]
    return np.float64(total)


@kernel
def divergence(kind, variance, v, x):
    """Kullback-Leibler divergence of a reconstruction from a row of observed means, in nats.

    Of Gaussian units, whose observed values have no entropy of their own, minus their log
    density, plus the most that one of variance 1 can have: (v - x)^2 / (2 s) + log(s) / 2. A
    unit that learns its variance s lowers that as it explains more. Of rectified linear units,
    half the squared error, as of Gaussian units of variance 1.

    Parameters
    ----------
    kind : int
    variance : array (n_units,), of Gaussian units; (0,) for ones
    v : array (n_units,), observed means
    x : array (n_units,), products plus biases, of which the units' means are functions; of
        rectified linear units the means
    """
    zero, one, half = x.dtype.type(0.0), x.dtype.type(1.0), x.dtype.type(0.5)
    nats = zero
    if kind == IDENTITY or kind == RELU:
        for j in range(x.shape[0]):
            squares = half * (v[j] - x[j]) * (v[j] - x[j])
            nats += squares / variance[j] if variance.shape[0] > 0 else squares
        log_volume = 0.0
        for j in range(variance.shape[0]):
            log_volume += 0.5 * math.log(np.float64(variance[j]))
        return np.float64(nats) + log_volume
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
