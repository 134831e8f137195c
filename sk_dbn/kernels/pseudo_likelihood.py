"""The pseudo-likelihood of a machine: how probable each visible unit is given the others.

log P(v_i | v_-i) compares the free energy of v with that of every other value of unit i, and
only the hidden units' products x = v W + c need to be corrected for it. Everything is
computed in float64 (Besag, 1975; Hyvärinen, 2006).
"""

import math

import numpy as np
from numba import prange

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU
from sk_dbn.kernels.compile import kernel, routine, twins
from sk_dbn.kernels.random_bits import bits, mix
from sk_dbn.kernels.units import log_partition, softplus

u32 = np.uint32

# Quadrature over a Gaussian unit. Its density given the others is a mixture of normal ones
# of unit variance, for which the trapezoidal rule errs by 2 exp(-2 pi^2 / STEP^2) < 2e-15.
STEP, TAIL = 0.75, 8.25
LEAST_CURVATURE = 1e-3  # of a log-density far out; below it the unit is taken to have none


@kernel
def content_key(v):
    """A hash of a row's values, as float32.

    Parameters
    ----------
    v : float64 array (n_visible,)
    """
    key = u32(0)
    for j in range(v.shape[0]):
        value = np.float32(v[j]).view(np.uint32)
        value = u32(0) if value == u32(0x80000000) else value  # -0 is 0
        key = u32(key + mix(u32(value ^ mix(u32(j)))))
    return key


@kernel
def hidden_energy(kind, x, w, change):
    """Sum over hidden units of log sum_h exp((x + change w) h)."""
    total = 0.0
    for j in range(x.shape[0]):
        total += log_partition(kind, x[j] + change * w[j])
    return total


@kernel
def reach(hidden, x, w, change, sign):
    """How far from its bias a Gaussian unit's density given the others goes on one side.

    Each hidden unit of two values moves the mean by one of two values. Rectified linear ones
    push the unit outward with the force w softplus(x + w s) <= w (max(x, 0) + log 2 + w s) at a
    distance s, so that the log-density has at least the curvature 1 - |w|^2, over the w that
    push; where that is not positive, there is no density.

    Parameters
    ----------
    hidden : int
    x, w, change : see `hidden_energy`, with the change that takes the unit to its bias
    sign : float, 1 or -1: which side

    Returns
    -------
    float
        Infinite where there is no density.
    """
    force, curvature = 0.0, 1.0
    for j in range(w.shape[0]):
        push = sign * w[j]
        if hidden == RELU and push > 0.0:
            force += push * (max(x[j] + change * w[j], 0.0) + math.log(2.0))
            curvature -= push * push
        elif hidden != RELU:
            # A hidden unit's values are 0 and 1, or -1 and 1.
            force += max(push, 0.0 if hidden == LOGISTIC else -push)
    if curvature < LEAST_CURVATURE:
        return math.inf
    return force / curvature + TAIL / math.sqrt(curvature)


@kernel
def log_conditional(visible, hidden, v, x, W, b, unit):
    """log P(v_i | v_-i) of one visible unit of one row, for a Gaussian one its density.

    Parameters
    ----------
    visible, hidden : int, kinds of units
    v : float64 array (n_visible,)
    x : float64 array (n_hidden,), v W + c
    W : float64 array (n_visible, n_hidden)
    b : float64 array (n_visible,)
    unit : int

    Returns
    -------
    float
        -inf where rectified linear units leave a Gaussian one without a density.
    """
    w, value = W[unit], v[unit]
    here = hidden_energy(hidden, x, w, 0.0)
    if visible != IDENTITY:
        # The two states are taken at v_i = 0 and 1, so that a mean between them is scored
        # by the cross-entropy: v_i log p + (1 - v_i) log(1 - p).
        on = b[unit] + hidden_energy(hidden, x, w, 1.0 - value)
        off = hidden_energy(hidden, x, w, -value)
        return -(value * softplus(off - on) + (1.0 - value) * softplus(on - off))
    low = -reach(hidden, x, w, b[unit] - value, -1.0)
    high = reach(hidden, x, w, b[unit] - value, 1.0)
    if high - low == math.inf:
        return -math.inf
    n_nodes = math.ceil((high - low) / STEP) + 1
    own = -0.5 * (value - b[unit]) ** 2 + here
    total = 0.0  # sum of exp(log density - the highest met so far)
    highest = own
    for node in range(n_nodes):
        t = b[unit] + low + node * STEP
        log_density = -0.5 * (t - b[unit]) ** 2 + hidden_energy(hidden, x, w, t - value)
        if log_density > highest:
            total = total * math.exp(highest - log_density) + 1.0
            highest = log_density
        else:
            total += math.exp(log_density - highest)
    return own - highest - math.log(total * STEP)


@routine
def row_pseudo_likelihood(visible, hidden, v, x, W, b, n_chosen):
    """The pseudo-log-likelihood of one row, from n_chosen of its units.

    The units are one from each of n_chosen strata, chosen by a hash of the row's content
    and standing for the whole of their stratum: no row's result depends on another row.
    """
    n_visible, total = v.shape[0], 0.0
    key = content_key(v) if n_chosen < n_visible else u32(0)
    for s in range(n_chosen):
        lo, hi = s * n_visible // n_chosen, (s + 1) * n_visible // n_chosen
        unit = lo
        if hi - lo > 1:
            unit = lo + np.int64(bits(key, u32(0), s)) * (hi - lo) // 2**32
        total += (hi - lo) * log_conditional(visible[unit], hidden, v, x, W, b, unit)
    return total


@twins
def pseudo_log_likelihood(visible, hidden, v, x, W, b, n_chosen, out):
    """The pseudo-log-likelihood of many rows.

    Parameters
    ----------
    visible : int64 array (n_visible,), kind of each visible unit
    hidden : int, kind of the hidden units
    v : float64 array (n_rows, n_visible)
    x : float64 array (n_rows, n_hidden), v W + c
    W : float64 array (n_visible, n_hidden)
    b : float64 array (n_visible,)
    n_chosen : int, how many visible units are looked at; all of them is exact
    out : float64 array (n_rows,), written
    """
    for i in prange(v.shape[0]):
        out[i] = row_pseudo_likelihood(visible, hidden, v[i], x[i], W, b, n_chosen)
