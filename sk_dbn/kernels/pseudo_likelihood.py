"""The pseudo-likelihood of an RBM: how probable each visible unit is given the others.

log P(v_i | v_-i) compares the free energy of v with that of every other value of unit i, and
only the hidden units' products x = v W + c need to be corrected for it. Everything is
computed in float64 (Besag, 1975; Hyvärinen, 2006).
"""

import math

import numpy as np

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU
from sk_dbn.kernels.blocks import in_blocks, twins
from sk_dbn.kernels.compile import kernel, routine
from sk_dbn.kernels.elementary import exp, log1p, tanh
from sk_dbn.kernels.random_bits import bits, mix
from sk_dbn.kernels.units import (
    FIRST_CATEGORY,
    NEXT_CATEGORY,
    log_partition,
    rectified_log_partition,
    softplus,
)

u32 = np.uint32

# Quadrature over a Gaussian unit. Its density given the others is a mixture of normal ones
# of unit variance, for which the trapezoidal rule errs by 2 exp(-2 pi^2 / STEP^2) < 2e-15.
STEP, TAIL = 0.75, 8.25
MIN_CURVATURE = 1e-3  # of a log-density far out; below it the unit is taken to have none

# Rows far out push a unit of rectified linear hidden ones as far as they are. Where its density
# is somewhere in an interval of more than so many nodes, as many as the least curvature needs,
# only its peak is integrated over. Hidden units of two values have intervals that do not depend
# on the row, and peaks that may be far apart and of one height.
SPAN = TAIL / math.sqrt(MIN_CURVATURE)
MAX_RECTIFIED_NODES = 2.0 * SPAN / STEP
MAX_BINARY_NODES = 64.0 * MAX_RECTIFIED_NODES
HALVINGS = 100  # that find a peak


@kernel
def content_key(v):
    """A hash of a row's values that are not missing, as float32.

    Parameters
    ----------
    v : float64 array (n_visible,)
    """
    key = u32(0)
    for j in range(v.shape[0]):
        if v[j] == v[j]:
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
def rise(kind, x, change):
    """What `log_partition` rises by from x to x + change, but for what is bounded in it.

    Far from zero log_partition is a polynomial: max(x, 0), |x|, or for rectified linear units
    max(x, 0)^2 / 2. Its values at two places near each other would cancel.
    """
    y = x + change
    if kind == RELU:
        if x > 0.0 and y > 0.0:
            return change * (x + 0.5 * change)
        return 0.5 * (max(y, 0.0) ** 2 - max(x, 0.0) ** 2)
    if x > 0.0 and y > 0.0:
        return change
    if kind == LOGISTIC:
        return max(y, 0.0) - max(x, 0.0)
    return -change if x <= 0.0 and y <= 0.0 else abs(y) - abs(x)


@kernel
def remainder(kind, x):
    """What is bounded in `log_partition`: it less the polynomial of `rise`."""
    if kind == LOGISTIC:
        return log1p(exp(-abs(x)))
    if kind == RELU:
        tail = rectified_log_partition(-abs(x))
        return tail if x <= 0.0 else math.pi * math.pi / 6.0 - tail
    return log1p(exp(-2.0 * abs(x)))


@kernel
def energy_rise(kind, x, w, change):
    """Sum over hidden units of log sum_h exp((x + change w) h), up to a constant of x."""
    total = 0.0
    for j in range(x.shape[0]):
        step = change * w[j]
        total += rise(kind, x[j], step) + remainder(kind, x[j] + step)
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
    if curvature < MIN_CURVATURE:
        return math.inf
    return force / curvature + TAIL / math.sqrt(curvature)


@kernel
def slope(hidden, x, w, change, at):
    """The derivative of a Gaussian unit's log-density at a distance from its bias.

    Parameters
    ----------
    hidden, x, w, change : see `hidden_energy`, with the change that takes the unit there
    at : float
    """
    total = -at
    for j in range(w.shape[0]):
        y = x[j] + change * w[j]
        if hidden == RELU:
            total += w[j] * softplus(y)
        elif hidden == LOGISTIC:
            total += w[j] / (1.0 + exp(-y))
        else:
            total += w[j] * tanh(y)
    return total


@kernel
def highest_of_segments(hidden, x, w, change, low, high):
    """Where a Gaussian unit's log-density would be highest if hidden units had no noise.

    It then consists of parabolas, which meet where a hidden unit switches on or off. Each of
    these meeting points has one on its right, whose vertex is looked at; so has `low`.

    Parameters
    ----------
    hidden, x, w, change : see `hidden_energy`, with the change that takes the unit to its bias
    low, high : float, what the place lies between

    Returns
    -------
    float
        A distance from the bias.
    """
    best, place = -math.inf, 0.0
    for j in range(-1, w.shape[0]):
        start = low if j < 0 else -(x[j] + change * w[j]) / w[j] if w[j] != 0.0 else math.nan
        push, curvature = 0.0, 1.0
        for k in range(w.shape[0]):
            y = x[k] + change * w[k]
            on = w[k] > 0.0 if k == j else y + start * w[k] > 0.0
            if hidden == RELU and on:
                push += w[k] * y
                curvature -= w[k] * w[k]
            elif hidden != RELU:
                push += w[k] if on else (0.0 if hidden == LOGISTIC else -w[k])
        if curvature >= MIN_CURVATURE:
            at = min(max(push / curvature, low), high)
            height = -0.5 * at * at
            for k in range(w.shape[0]):
                height += rise(hidden, x[k] + change * w[k], at * w[k])
            if height > best:
                best, place = height, at
    return place


@kernel
def around_peak(hidden, x, w, change, low, high):
    """The part of a long interval where the density of a Gaussian unit is.

    Where the log-density is concave it has one peak, between the ends of the interval. Where
    it is not, the highest peak is looked for.

    Parameters
    ----------
    hidden, x, w, change, low, high : see `highest_of_segments`

    Returns
    -------
    low, high : float
        Distances from the bias.
    """
    curvature = 1.0
    for j in range(w.shape[0]):
        curvature -= w[j] * w[j] * (0.25 if hidden == LOGISTIC else 1.0)
    if curvature < MIN_CURVATURE:
        place = highest_of_segments(hidden, x, w, change, low, high)
        return max(low, place - SPAN), min(high, place + SPAN)
    a, b = low, high
    for _ in range(HALVINGS):
        middle = a + 0.5 * (b - a)
        if slope(hidden, x, w, change + middle, middle) > 0.0:
            a = middle
        else:
            b = middle
    width = TAIL / math.sqrt(curvature)
    return max(low, a - width), min(high, a + width)


@kernel
def log_density(hidden, value, b, x, w):
    """The log-density of a Gaussian unit given the others, by the trapezoidal rule.

    Parameters
    ----------
    hidden : int
    value, b : float, the unit's value and bias
    x, w : arrays (n_hidden,), products at that value, and the unit's weights

    Returns
    -------
    float
        -inf where there is no density, and where it is beyond the range of numbers.
    """
    home = b - value  # the change that takes the unit to its bias
    low, high = -reach(hidden, x, w, home, -1.0), reach(hidden, x, w, home, 1.0)
    if not high - low < math.inf:
        return -math.inf
    most = MAX_RECTIFIED_NODES if hidden == RELU else MAX_BINARY_NODES
    if (high - low) / STEP > most:
        low, high = around_peak(hidden, x, w, home, low, high)
    n_nodes = math.ceil((high - low) / STEP) + 1
    here = energy_rise(hidden, x, w, 0.0)
    total, highest = 0.0, -math.inf  # sum of exp(density's log - the highest met so far)
    for node in range(n_nodes):
        at = low + node * STEP
        change = home + at
        # -(t - b)^2 / 2 + (v - b)^2 / 2, where t = b + at
        height = -0.5 * change * (at - home) + energy_rise(hidden, x, w, change) - here
        if height > highest:
            total = total * math.exp(highest - height) + 1.0
            highest = height
        else:
            total += math.exp(height - highest)
    result = -highest - math.log(total * STEP)
    return result if result < math.inf else -math.inf  # NaN included


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
    if visible == IDENTITY:
        return log_density(hidden, value, b[unit], x, w)
    # The two states are taken at v_i = 0 and 1, so that a mean between them is scored
    # by the cross-entropy: v_i log p + (1 - v_i) log(1 - p).
    on = b[unit] + hidden_energy(hidden, x, w, 1.0 - value)
    off = hidden_energy(hidden, x, w, -value)
    return -(value * softplus(off - on) + (1.0 - value) * softplus(on - off))


@kernel
def log_category(visible, hidden, v, x, W, b, unit):
    """log P of the category that a row has, given the other features.

    Parameters
    ----------
    visible : int64 array (n_visible,), kinds of units
    hidden, v, x, W, b : see `log_conditional`
    unit : int, the first one of its categories
    """
    end = unit + 1
    while end < v.shape[0] and visible[end] == NEXT_CATEGORY:
        end += 1
    present = unit
    for k in range(unit, end):
        present = k if v[k] == 1.0 else present
    most, total, own = -math.inf, 0.0, 0.0
    for k in range(unit, end):
        score = b[k]
        for j in range(x.shape[0]):
            score += log_partition(hidden, x[j] - W[present, j] + W[k, j])
        if score > most:
            total, most = total * math.exp(most - score), score
        total += math.exp(score - most)
        own = score if k == present else own
    return own - most - math.log(total)


@kernel
def _list_features(visible, v, features):
    """The first unit of each feature that is not missing; returns their number."""
    n = 0
    for i in range(v.shape[0]):
        if v[i] == v[i] and visible[i] != NEXT_CATEGORY:
            features[n] = i
            n += 1
    return n


@routine(allocates=True)
def row_pseudo_likelihood(visible, hidden, v, x, W, b, n_chosen, first, end, out, i):
    """Go on with the pseudo-log-likelihood of the i-th row, by some of n_chosen of its features.

    The features are one from each of n_chosen strata, chosen by a hash of the row's content
    and standing for the whole of their stratum: no row's result depends on another row.
    """
    v, x, total, features = v[i], x[i], out[i], np.empty(v.shape[1], np.int64)
    n = _list_features(visible, v, features)
    n_chosen = min(n_chosen, n)
    key = content_key(v) if n_chosen < n else u32(0)
    for s in range(first, min(end, n_chosen)):
        lo, hi = s * n // n_chosen, (s + 1) * n // n_chosen
        unit = features[lo]
        if hi - lo > 1:
            unit = features[lo + np.int64(bits(key, u32(0), s)) * (hi - lo) // 2**32]
        if visible[unit] == FIRST_CATEGORY:
            score = log_category(visible, hidden, v, x, W, b, unit)
        else:
            score = log_conditional(visible[unit], hidden, v, x, W, b, unit)
        total += (hi - lo) * score
    out[i] = total


@twins
def pseudo_log_likelihood(team, visible, hidden, v, x, W, b, n_chosen, first, end, out):
    """Go on with the pseudo-log-likelihood of many rows.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
    visible : int64 array (n_visible,), kind of each visible unit
    hidden : int, kind of the hidden units
    v : float64 array (n_rows, n_visible), NaN where a value is missing
    x : float64 array (n_rows, n_hidden), v W + c, where v is at its reference if it is missing
    W : float64 array (n_visible, n_hidden)
    b : float64 array (n_visible,)
    n_chosen : int, how many features are looked at; all of them is exact
    first, end : int, those of them that are looked at in this call
    out : float64 array (n_rows,), updated: what these features add to it
    """
    arguments = visible, hidden, v, x, W, b, n_chosen, first, end, out
    in_blocks(team, v.shape[0], row_pseudo_likelihood, arguments)
