"""The partition function of an RBM: by enumeration, or by annealed importance sampling."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, TANH
from sk_dbn.kernels.annealing import BLOCK_UNITS, Chains, Ladder, anneal
from sk_dbn.kernels.enumeration import (
    HALF_LOG_2PI,
    Enumeration,
    block_log_sums,
    scores_of_blocks,
)
from sk_dbn.kernels.units import FIRST_CATEGORY
from sk_dbn.models.generation import generator
from sk_dbn.models.pace import Pace
from sk_dbn.models.threads import run_serial
from sk_dbn.models.units import draw, means, natural_bias, spans_of
from sk_dbn.models.work import SMALL_WORK

MAX_ENUMERATED = 25  # units of the smaller side
MAX_LOW = 8  # units whose states are tabulated together
LARGEST_EXPONENT = 300.0  # of numbers multiplied in pairs: exp(2 * 300) is finite

FIRST_CALL = 1e8  # operations of the first call
PIECES = 64  # of one call's blocks of states
PIECE_ROWS = 16  # most chains that pass the temperatures together
BURN_IN = 1000  # Gibbs steps of chains that could not start from exact samples
ASSUMED_SAMPLES = 1000  # behind base rates of unknown origin


@dataclass(frozen=True)
class BinaryRBM:
    """An RBM in terms of hidden units of 0 and 1, in float64.

    Its energy is E(v, h) = -b v - c h - v W h for visible units of 0 and 1, and larger by
    v_i^2 / 2 for each Gaussian one. Units of -1 and 1 are 2 h - 1 in terms of these.

    Parameters
    ----------
    W : ndarray of shape (n_visible, n_hidden)
    b, c : ndarrays of shape (n_visible,) and (n_hidden,)
    gaussian : boolean ndarray of shape (n_visible,)
        Which visible units are Gaussian.
    offset : float
        What the log partition function of the RBM that it stands for has more.
    """

    W: np.ndarray
    b: np.ndarray
    c: np.ndarray
    gaussian: np.ndarray
    offset: float

    @classmethod
    def of(cls, stack, layer):
        """What stands for an RBM of a stack.

        Parameters
        ----------
        stack : Stack
        layer : int

        Returns
        -------
        BinaryRBM
        """
        visible, hidden = stack.kinds[layer : layer + 2]
        if hidden not in (LOGISTIC, TANH):
            raise ValueError(
                "likelihoods need hidden units of two values, activation='logistic' or 'tanh': "
                "the noise of rectified linear units (activation='relu') belongs to no energy."
            )
        if np.any(np.greater_equal(visible, FIRST_CATEGORY)):
            raise ValueError(
                "likelihoods are not available for visible='categorical': of the units of a "
                "feature's categories one is 1, which sums over binary units leave out."
            )
        parts = (stack.coefs, stack.intercepts_visible, stack.intercepts_hidden)
        W, b, c = (np.array(part[layer], np.float64) for part in parts)
        offset, gaussian = 0.0, np.broadcast_to(np.equal(visible, IDENTITY), len(b))
        if gaussian.any():
            deviation = np.sqrt(stack.variance.astype(np.float64))
            W, b, offset = W / deviation[:, None], b / deviation, stack.log_volume
            own = np.where(gaussian, b, 0.0)
            offset -= 0.5 * own @ own  # |v - b|^2 = |v|^2 - 2 b v + |b|^2
        if hidden == TANH:
            offset -= c.sum()
            W, b, c = 2.0 * W, b - W.sum(axis=1), 2.0 * c
        if np.all(np.equal(visible, TANH)):
            offset -= b.sum()
            W, b, c = 2.0 * W, 2.0 * b, c - W.sum(axis=0)
        return cls(W, b, c, gaussian, float(offset))

    @property
    def visible_kind(self):
        """The codes of the visible units, (n_visible,)."""
        return np.where(self.gaussian, IDENTITY, LOGISTIC)

    @property
    def enumerates_hidden(self):
        """Whether the smaller side that can be enumerated is the hidden one."""
        return bool(self.gaussian.any()) or self.W.shape[1] <= self.W.shape[0]

    @property
    def n_enumerated(self):
        """Units of the smaller side that can be enumerated."""
        return self.W.shape[1] if self.enumerates_hidden else self.W.shape[0]

    def visible_log_sums(self, z):
        """log of the sum over v of exp(z v), with the Gaussian units' exp(-|v|^2 / 2).

        Parameters
        ----------
        z : ndarray of shape (..., n_visible)

        Returns
        -------
        ndarray of shape (...)
        """
        own = np.where(self.gaussian, 0.5 * z * z + HALF_LOG_2PI, np.logaddexp(0.0, z))
        return own.sum(axis=-1)

    def own_score(self, v):
        """The log of what is said of v before any bias or weight, one number a row."""
        return -0.5 * np.where(self.gaussian, v * v, 0.0).sum(axis=-1)

    def score(self, v):
        """log of the sum over h of exp(-E(v, h)), one number a row."""
        x = v @ self.W + self.c
        return v @ self.b + self.own_score(v) + np.logaddexp(0.0, x).sum(axis=-1)


def exact_log_partition(run, rbm):
    """The log of the sum of exp(-E(v, h)) over all states.

    Parameters
    ----------
    run : callable, from `threads`
    rbm : BinaryRBM
        With at most `MAX_ENUMERATED` units on the enumerated side.

    Returns
    -------
    float
        In nats, of the RBM that this one stands for.
    """
    return float(logsumexp(_log_sums(run, _enumeration(rbm)))) + rbm.offset


def exact_samples(run, rbm, n_samples, random):
    """Independent samples of the visible units, from their distribution.

    Parameters
    ----------
    run : callable, from `threads`
    rbm : BinaryRBM
        With at most `MAX_ENUMERATED` units on the enumerated side.
    n_samples : int
    random : numpy.random.RandomState

    Returns
    -------
    ndarray of shape (n_samples, n_visible)
    """
    problem = _enumeration(rbm)
    log_sums = _log_sums(run, problem)
    p = np.exp(log_sums - logsumexp(log_sums))
    blocks = random.choice(len(p), n_samples, p=p / p.sum())
    n_other, n_low = problem.table.shape
    scores = np.empty((n_samples, n_low))
    work = np.empty(n_other), np.empty(n_low)
    for first, end in Pace().calls(n_samples):
        scores_of_blocks(problem, blocks[first:end], *work, scores[first:end])
    cumulative = np.cumsum(np.exp(scores - logsumexp(scores, axis=1, keepdims=True)), axis=1)
    u = random.uniform(size=n_samples) * cumulative[:, -1]
    low = np.minimum((u[:, None] >= cumulative).sum(axis=1), n_low - 1)
    states = _states(blocks * n_low + low, rbm.n_enumerated)
    if not rbm.enumerates_hidden:
        return states
    kind = rbm.visible_kind
    return draw(kind, means(kind, states @ rbm.W.T + rbm.b), generator(random))


def base_biases(kind, averages, n_samples=ASSUMED_SAMPLES):
    """Visible biases of an RBM without weights that has the data's means.

    Parameters
    ----------
    kind : int, or int64 ndarray of shape (n_visible,)
        Of the visible units as the stack has them.
    averages : ndarray of shape (n_visible,)
        Means of these units.
    n_samples : int
        How many samples these come from: no rate is nearer to 0 or 1 than one in so many.

    Returns
    -------
    ndarray of shape (n_visible,)
        In terms of units of 0 and 1, or Gaussian ones.
    """
    averages = np.asarray(averages, np.float64)
    if np.ndim(kind) == 0 and kind == TANH:
        return natural_bias(LOGISTIC, 0.5 + 0.5 * averages, n_samples)
    return natural_bias(kind, averages, n_samples)


def annealed_log_weights(run, rbm, base, betas, n_chains, dtype, random):
    """Annealed importance sampling from the base RBM to this one.

    Parameters
    ----------
    run : callable, from `threads`
    rbm : BinaryRBM
    base : ndarray of shape (n_visible,)
        Visible biases of the RBM without weights.
    betas : ndarray of shape (n_betas,)
        From 0 to 1.
    n_chains : int
    dtype : dtype
        Precision of the chains; weights always are float64.
    random : numpy.random.RandomState

    Returns
    -------
    ndarray of shape (n_chains,)
        The base's log partition function plus each chain's log importance weight.
    """
    start = np.zeros((n_chains, len(base)))
    log_weights, _ = _run_chains(run, rbm, base, betas, start, dtype, random)
    return _log_base_partition(rbm, base) + log_weights + rbm.offset


def reversed_log_weights(run, rbm, base, betas, n_chains, dtype, random):
    """Annealed importance sampling from this RBM down to the base RBM.

    The chains start from exact samples where a side can be enumerated. Elsewhere they start
    from where annealing up the same ladder and `BURN_IN` Gibbs steps have led them.

    Parameters
    ----------
    run, rbm, base, betas, n_chains, dtype, random : see `annealed_log_weights`

    Returns
    -------
    ndarray of shape (n_chains,)
        The base's log partition function less each chain's log importance weight.
    """
    if rbm.n_enumerated <= MAX_ENUMERATED:
        v = exact_samples(run, rbm, n_chains, random)
    else:
        up, start = np.r_[betas, np.ones(BURN_IN)], np.zeros((n_chains, len(base)))
        _, v = _run_chains(run, rbm, base, up, start, dtype, random)
    down = np.ascontiguousarray(betas[::-1])
    log_weights, _ = _run_chains(run, rbm, base, down, v, dtype, random)
    return _log_base_partition(rbm, base) - log_weights + rbm.offset


def _enumeration(rbm):
    """The RBM as the kernels enumerate its smaller side."""
    a, M, d = rbm.c, rbm.W.T, rbm.b
    if not rbm.enumerates_hidden:
        a, M, d = rbm.b, rbm.W, rbm.c
    # The Gaussian units of the other side come first.
    n_gaussian = int(rbm.gaussian.sum())
    if 0 < n_gaussian < len(d):
        order = np.argsort(~rbm.gaussian, kind="stable")
        M, d = M[:, order], d[order]
    # As many low units as leave the range of exp(s M) within that of numbers.
    spans = np.abs(M[:MAX_LOW]).cumsum(axis=0)
    n_low = int((spans.max(axis=1) <= LARGEST_EXPONENT).sum())
    low = _states(np.arange(2**n_low), n_low)
    part = low @ M[:n_low]
    top = part.max(axis=0)
    part[:, n_gaussian:] = np.exp(part[:, n_gaussian:] - top[n_gaussian:])
    table = np.ascontiguousarray(part.T)
    # A factor is at most 2 and at least exp(-span): as many as stay between exp(-600) and
    # exp(600) are multiplied.
    costs = (spans[n_low - 1] if n_low else 0.0 * d) + math.log(2.0)
    bins = np.floor(np.cumsum(costs[n_gaussian:]) / LARGEST_EXPONENT)
    cuts = np.r_[0, np.flatnonzero(np.diff(bins)) + 1, len(bins)]
    groups = (n_gaussian + cuts).astype(np.int64)
    high = np.ascontiguousarray(a[n_low:]), np.ascontiguousarray(M[n_low:])
    return Enumeration(n_gaussian, d, *high, low @ a[:n_low], table, top, groups)


def _states(numbers, n_units):
    """The bits of some numbers as states of units, the lowest first."""
    return ((numbers[:, None] >> np.arange(n_units)) & 1).astype(np.float64)


def _log_sums(run, problem):
    """log of the sum over the states of each block, (2^n_high_units,)."""
    out = np.empty(2 ** len(problem.high_a))
    n_other, n_low = problem.table.shape
    work = np.empty((min(PIECES, len(out)), n_other + 2 * n_low))
    call = run if len(out) * problem.table.size > SMALL_WORK else run_serial
    for first, end in Pace(int(FIRST_CALL / problem.table.size)).calls(len(out)):
        call(block_log_sums, problem, first, work, out[first:end])
    return out


def _log_base_partition(rbm, base):
    """log Z of the RBM without weights: 2^n_hidden times that of its visible units."""
    return rbm.visible_log_sums(base) + len(rbm.c) * math.log(2.0)


def _run_chains(run, rbm, base, betas, v, dtype, random):
    """Log weights and last samples of chains that start at v and pass the ladder."""
    n_chains, (n_visible, n_hidden) = len(v), rbm.W.shape
    W, b, c = (x.astype(dtype) for x in (rbm.W, rbm.b, rbm.c))
    seed = int(random.randint(0, 2**32, dtype=np.uint32))
    base, spans = np.asarray(base, dtype), spans_of(rbm.visible_kind, n_visible)
    ladder = Ladder(W, np.ascontiguousarray(W.T), b, c, base, spans, betas, seed)
    n_pieces = 4 * -(-n_chains // (4 * PIECE_ROWS))
    chains = Chains(
        np.array(v, dtype, order="C"),
        np.zeros((n_chains, n_hidden), dtype),
        np.empty((n_pieces, PIECE_ROWS * BLOCK_UNITS), dtype),
        np.empty((n_pieces, 2, BLOCK_UNITS)),
        np.zeros(n_chains),
    )
    work = n_chains * (2.0 * n_visible * n_hidden + 50.0 * (n_visible + n_hidden))
    call = run if len(betas) * work > SMALL_WORK else run_serial
    for first, end in Pace(int(FIRST_CALL / work)).calls(len(betas)):
        call(anneal, ladder, first, end, chains)
    return chains.log_weights, chains.v.astype(np.float64)
