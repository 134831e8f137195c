"""Slow, obvious partition functions, annealing and bounds: oracles of the fast ones' tests.

Kinds of units are named as in `reference_rbm`. Sums over Gaussian units are integrals on a
grid: the trapezoidal rule is exact to rounding for densities as smooth as these.
"""

import itertools
import math

import numpy as np

from tests import reference_rbm as slow

WIDTH = 64  # units of a block, which Gaussian draws are numbered within

GRID = np.arange(-14.0, 14.0, 0.5)


def each(visible, n_units):
    """The kind of each unit, as a list."""
    return [visible] * n_units if isinstance(visible, str) else list(visible)


def are_gaussian(visible, n_units):
    """Which units are Gaussian."""
    return np.array(each(visible, n_units)) == "gaussian"


def visible_states(visible, n_units):
    """States of the visible units, one a row, and the log of the measure of each."""
    values = [GRID if kind == "gaussian" else slow.VALUES[kind] for kind in each(visible, n_units)]
    V = np.array(list(itertools.product(*values)))
    return V, np.full(len(V), are_gaussian(visible, n_units).sum() * math.log(0.5))


def energies(visible, V, H, W, b, c, s=1.0):
    """E(v, h) of every pair of rows, (n_v, n_h); s are the variances of Gaussian units."""
    gaussian = are_gaussian(visible, len(b))
    own = np.where(gaussian, (V - b) ** 2 / (2 * s), -V * b).sum(axis=1)
    return own[:, None] - H @ c - (V / s) @ W @ H.T


def log_sum(x):
    """log of the sum of exp(x)."""
    return x.max() + math.log(np.exp(x - x.max()).sum())


def log_partition(visible, hidden, W, b, c, s=1.0):
    """log Z, summed over all pairs of states."""
    V, log_measure = visible_states(visible, len(b))
    H = slow.states(hidden, len(c))
    return log_sum(log_measure[:, None] - energies(visible, V, H, W, b, c, s))


def log_unnormalised(visible, beta, v, W, b, c, base):
    """log p*(v) of an RBM of binary hidden units at an inverse temperature."""
    own = -0.5 * (v[are_gaussian(visible, len(b))] ** 2).sum()
    x = beta * (v @ W + c)
    return own + ((1 - beta) * base + beta * b) @ v + np.logaddexp(0.0, x).sum()


def anneal(visible, W, b, c, base, betas, seed, V):
    """Chains that start at the rows of V: their log weights, last samples v and h."""
    V, log_weights, H = V.copy(), np.zeros(len(V)), np.empty((len(V), len(c)))
    for k, beta in enumerate(betas):
        key = slow.derive(seed, k)
        for i, v in enumerate(V):
            if k:
                log_weights[i] += log_unnormalised(visible, beta, v, W, b, c, base)
                log_weights[i] -= log_unnormalised(visible, betas[k - 1], v, W, b, c, base)
            H[i] = draw_binary(slow.derive(key, 0), i, beta * (v @ W + c))
            z = beta * (W @ H[i]) + (1 - beta) * base + beta * b
            key_v, gaussian = slow.derive(key, 1), are_gaussian(visible, len(b))
            noise = [normal(key_v, i, j, *neighbours(gaussian, j)) for j in range(len(b))]
            V[i] = np.where(gaussian, z + noise, draw_binary(key_v, i, z))
    return log_weights, V, H


def draw_binary(key, row, x):
    """Samples of units of 0 and 1 with these log-odds."""
    u = np.array([(slow.random_word(key, row, j) >> 8) / 2**24 for j in range(len(x))])
    return (u < 1 / (1 + np.exp(-x))).astype(float)


def neighbours(gaussian, unit):
    """First unit and end of the range of units of the same kind that a unit is in."""
    first, end = unit, unit + 1
    while first > 0 and gaussian[first - 1] == gaussian[unit]:
        first -= 1
    while end < len(gaussian) and gaussian[end] == gaussian[unit]:
        end += 1
    return first, end


def normal(key, row, unit, start, end):
    """A standard normal draw, numbered within its block of units."""
    first = start + (unit - start) // WIDTH * WIDTH
    width = min(WIDTH, end - first)
    return slow.normal(slow.derive(key, first), row, unit - first, width)


def network_log_likelihood(v, kinds, rbms):
    """log p(v) of a deep belief network by the sum over all states of its inner layers.

    Parameters
    ----------
    v : array (n_visible,)
    kinds : list of str, of the layers
    rbms : list of (W, b, c, s)
    """
    inner = [slow.states(kind, len(c)) for kind, (_, _, c, _) in zip(kinds[1:-1], rbms[:-1])]
    terms = [log_joint(path, kinds, rbms) for path in itertools.product([np.asarray(v)], *inner)]
    return log_sum(np.array(terms))


def log_joint(path, kinds, rbms):
    """log p(v, h_1, ..., h_L-1) of one state of each layer but the last."""
    below = sum(
        log_conditional(kinds[i], path[i], path[i + 1], rbms[i]) for i in range(len(path) - 1)
    )
    H = slow.states(kinds[-1], len(rbms[-1][2]))
    top = log_sum(-energies(kinds[-2], path[-1][None], H, *rbms[-1]))
    return below + top - log_partition(kinds[-2], kinds[-1], *rbms[-1])


def log_conditional(visible, v, h, rbm):
    """log P(v | h)."""
    W, b, _, s = rbm
    z = W @ h + b
    if isinstance(visible, tuple):
        s = np.broadcast_to(s, v.shape)
        parts = zip(visible, v, z, s, strict=True)
        return sum(log_probability(kind, *unit) for kind, *unit in parts)
    return log_probability(visible, v, z, s).sum()


def log_probability(kind, v, z, s):
    """log P of units' values, given their products and biases."""
    if kind == "gaussian":
        return -((v - z) ** 2 / (2 * s) + np.log(2 * math.pi * s) / 2)
    low, high = slow.VALUES[kind]
    return v * z - np.log(np.exp(low * z) + np.exp(high * z))


def log_posterior(hidden, h, v, rbm):
    """log P(h | v)."""
    W, _, c, s = rbm
    return log_conditional(hidden, h, v / s, (W.T, c, None, None))


def bound(v, kinds, rbms):
    """The variational bound of one sample: E_Q[log p(v, h) - log Q(h | v)]."""
    inner = [slow.states(kind, len(c)) for kind, (_, _, c, _) in zip(kinds[1:-1], rbms[:-1])]
    total = 0.0
    for path in itertools.product([np.asarray(v)], *inner):
        log_q = sum(
            log_posterior(kinds[i + 1], path[i + 1], path[i], rbms[i]) for i in range(len(path) - 1)
        )
        total += math.exp(log_q) * (log_joint(path, kinds, rbms) - log_q)
    return total
