"""The lower bound of the log-likelihood of a deep belief network.

Its top two layers are an RBM, and below it each layer generates the one beneath:

    p(v, h_1, ..., h_L-1) = p(v | h_1) ... p(h_L-2 | h_L-1) p(h_L-1),

p(h_L-1) being the marginal of the last RBM. With the posterior of each RBM by itself,
Q = Q(h_1 | v) Q(h_2 | h_1) ..., in the place of the posterior (Salakhutdinov & Murray, 2008,
section 4; Hinton, Osindero & Teh, 2006),

    log p(v) >= E_Q[log p(v | h_1) + ... + log p(h_L-1)] + H(Q).

All layers are taken as units of 0 and 1, but for Gaussian visible ones.
"""

import itertools

import numpy as np
from scipy.special import entr, expit

from sk_dbn.models.work import product_work, row_pieces

MAX_LISTED = 12  # units of an inner layer whose states are all looked at


def sampled_bound(rbms, log_partition, v, n_samples, random):
    """Unbiased estimates of the bound, from samples of the posterior Q.

    Parameters
    ----------
    rbms : list of BinaryRBM
        From the first layer up.
    log_partition : float
        Of the last RBM.
    v : float64 ndarray of shape (n_rows, n_visible)
    n_samples : int
    random : numpy.random.RandomState

    Returns
    -------
    ndarray of shape (n_rows,)
        In nats.
    """
    total = np.zeros(len(v))
    x = v @ rbms[0].W + rbms[0].c
    for _ in range(n_samples):
        below, field = v, x
        for rbm, above in itertools.pairwise(rbms):
            q = expit(field)
            h = (random.uniform(size=q.shape) < q).astype(np.float64)
            total += _entropy(q) + _log_conditional(rbm, below, h)
            below, field = h, h @ above.W + above.c
        total += _log_marginal(rbms[-1], log_partition, below)
    return total / n_samples


def exact_bound(rbms, log_partition, v):
    """The bound itself, summed over all states of the inner layers.

    Parameters
    ----------
    rbms, log_partition, v : see `sampled_bound`
        With at most `MAX_LISTED` units in each hidden layer but the last.

    Returns
    -------
    ndarray of shape (n_rows,)
        In nats.
    """
    layers = [v] + [_all_states(len(rbm.c)) for rbm in rbms[:-1]]
    # What a state of a layer has to expect from the layers above it.
    expected = _log_marginal(rbms[-1], log_partition, layers[-1])
    for rbm, below, h in reversed(list(zip(rbms[:-1], layers[:-1], layers[1:], strict=True))):
        parts = row_pieces(len(below), product_work(len(h) * len(rbm.b), len(h)))
        expected = np.concatenate([_expected(rbm, below[part], h, expected) for part in parts])
    return expected


def _expected(rbm, below, h, expected):
    """What states of a layer have to expect, given what those of the layer above have."""
    x = below @ rbm.W + rbm.c
    Q = np.exp(x @ h.T - np.logaddexp(0.0, x).sum(axis=1)[:, None])
    gains = _log_conditional(rbm, below[:, None], h[None]) + expected
    return (Q * gains).sum(axis=1) + _entropy(expit(x))


def _log_marginal(rbm, log_partition, v):
    """log p(v) of an RBM by itself, one number a row."""
    return rbm.score(v) - (log_partition - rbm.offset)


def _log_conditional(rbm, v, h):
    """log P(v | h) of an RBM, one number for each pair of rows that broadcast."""
    z = h @ rbm.W.T + rbm.b
    vz = np.einsum("...i,...i->...", v, z)
    return vz + rbm.own_score(v) - rbm.visible_log_sums(z)


def _entropy(q):
    """Entropy of units of 0 and 1 that are 1 with probability q, one number a row."""
    return (entr(q) + entr(1.0 - q)).sum(axis=-1)


def _all_states(n_units):
    """All states of some units of 0 and 1, one a row."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n_units)))
