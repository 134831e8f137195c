"""Markov chains through a ladder of RBMs, weighted as they go.

Between an RBM without weights (beta = 0), of visible biases `base`, and the RBM
itself (beta = 1) stand those of energy (Salakhutdinov & Murray, 2008, section 3)

    E(v, h) = -((1 - beta) base + beta b) v - beta (c h + v W h)     [+ |v|^2 / 2]

for hidden units of 0 and 1 and visible units of 0 and 1 [or Gaussian ones, or both]. With their
hidden units summed out,

    log p*(v) = ((1 - beta) base + beta b) v + sum_j log(1 + exp(beta x_j)),   x = v W + c.

The chains are cut into pieces of a few, each of which passes many temperatures without waiting
for another one. A piece's products are cut into blocks of units, so that their loops for small
matrices serve: these take few rows as fast as many. Weights are summed up in float64.
"""

import math
from collections import namedtuple

import numpy as np

from sk_dbn.kernels.activations import IDENTITY
from sk_dbn.kernels.blocks import ALONE, in_blocks, twins
from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.elementary import exp
from sk_dbn.kernels.products import product_nt
from sk_dbn.kernels.random_bits import bits, derive, fill_normal

u32, f64 = np.uint32, np.float64

# Units of a block: the products' loops for small matrices still serve thousands of units on
# the other side, and a product of as many ratios between 1/2 and 2 does not overflow.
BLOCK_UNITS = 64

Ladder = namedtuple("Ladder", "W W_transposed b c base spans betas seed")
Ladder.__doc__ = """An RBM and the temperatures that its chains pass.

W, W_transposed : arrays (n_visible, n_hidden) and (n_hidden, n_visible)
b, c : arrays (n_visible,) and (n_hidden,), biases
base : array (n_visible,), the visible biases at beta = 0
spans : int64 array (n_spans, 3), ranges of visible units of one kind: first, end and kind,
    LOGISTIC or IDENTITY (Gaussian)
betas : float64 array (n_betas,)
seed : int, key of the random numbers
"""

Chains = namedtuple("Chains", "v h products terms log_weights")
Chains.__doc__ = """Where the chains are, and buffers.

v, h : arrays (n_chains, n_visible) and (n_chains, n_hidden), of the weights' dtype
products : array (n_pieces, most_rows * BLOCK_UNITS), likewise
terms : float64 array (n_pieces, 2, BLOCK_UNITS)
log_weights : float64 array (n_chains,), updated
"""

Piece = namedtuple("Piece", "number first last")
Piece.__doc__ = """Consecutive chains, which are annealed together.

number : int, of the piece
first, last : int, its chains
"""


@kernel(fastmath=EXACT)
def fold(ratios, parts, n):
    """The log of the product of the first n ratios, plus the sum of the first n parts.

    Halves are folded onto each other, so that the loop is one over independent elements.
    Both are overwritten.
    """
    while n > 1:
        half = n // 2
        for j in range(half):
            ratios[j] *= ratios[n - half + j]
            parts[j] += parts[n - half + j]
        n -= half
    return math.log(ratios[0]) + parts[0]


@kernel(fastmath=EXACT)
def weighted_sum(weights, v):
    """The sum of weights v in float64, in eight parts that vectorise."""
    whole = v.shape[0] - v.shape[0] % 8
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for j in range(0, whole, 8):
        s0 += weights[j] * v[j]
        s1 += weights[j + 1] * v[j + 1]
        s2 += weights[j + 2] * v[j + 2]
        s3 += weights[j + 3] * v[j + 3]
        s4 += weights[j + 4] * v[j + 4]
        s5 += weights[j + 5] * v[j + 5]
        s6 += weights[j + 6] * v[j + 6]
        s7 += weights[j + 7] * v[j + 7]
    for j in range(whole, v.shape[0]):
        s0 += weights[j] * v[j]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@kernel(fastmath=EXACT)
def hidden_row(x, c, before, beta, key, row_key, first_unit, terms, h):
    """Sample hidden units of one chain; the change of log p* from one beta to the next.

    Parameters
    ----------
    x : array (n_units,), v W
    c : array (n_units,)
    before, beta : float
    key, row_key : uint32
    first_unit : int
    terms : float64 array (2, BLOCK_UNITS), overwritten
    h : array (n_units,), written: samples at beta

    Returns
    -------
    float
        sum_j log(1 + exp(beta x_j)) - log(1 + exp(before x_j)), where x includes c.
    """
    zero, one, n = h.dtype.type(0.0), h.dtype.type(1.0), x.shape[0]
    ratios, parts = terms[0], terms[1]
    for j in range(n):
        z = f64(x[j]) + f64(c[j])
        size = -z if z < 0.0 else z
        # log(1 + exp(y)) = max(y, 0) + log(1 + exp(-|y|)), and beta is not negative.
        old, new = exp(-before * size), exp(-beta * size)
        ratios[j] = (1.0 + new) / (1.0 + old)
        parts[j] = (beta - before) * z if z > 0.0 else 0.0
        # u < 1 / (1 + exp(-beta z)), without the division.
        u = f64(np.int32(bits(key, row_key, first_unit + j) >> u32(8))) * 2.0**-24
        h[j] = one if u * (1.0 + new) < (1.0 if z > 0.0 else new) else zero
    return fold(ratios, parts, n)


@routine
def hidden_block(ladder, step, chains, piece, lo):
    """Sample a block of hidden units of some chains, and add its part to their weights.

    Parameters
    ----------
    ladder : Ladder
    step : int, number of the temperature
    chains : Chains, updated
    piece : Piece
    lo : int, first unit of the block
    """
    first, last = piece.first, piece.last
    n_chains, hi = last - first, min(lo + BLOCK_UNITS, chains.h.shape[1])
    x = chains.products[piece.number, : n_chains * (hi - lo)].reshape(n_chains, hi - lo)
    product_nt(ALONE, chains.v[first:last], ladder.W_transposed[lo:hi], x)
    before, beta = ladder.betas[max(step - 1, 0)], ladder.betas[step]
    key, c = derive(derive(ladder.seed, step), 0), ladder.c[lo:hi]
    terms = chains.terms[piece.number]
    for i in range(first, last):
        h = chains.h[i, lo:hi]
        change = hidden_row(x[i - first], c, before, beta, key, derive(key, i), lo, terms, h)
        chains.log_weights[i] += change


@kernel(fastmath=EXACT)
def sample_visible(gaussian, beta, bias, key, first_chain, first_unit, z, v):
    """Samples of visible units.

    Parameters
    ----------
    gaussian : bool
    beta : scalar of z's dtype
    bias : float64 array (n_units,)
    key : uint32
    first_chain, first_unit : int
    z : array (n_chains, n_units), h W^T; overwritten
    v : array (n_chains, n_visible), the same chains, whose units from first_unit on are written
    """
    real, n = z.dtype.type, z.shape[1]
    zero, one, scale = real(0.0), real(1.0), real(2.0**-24)
    for i in range(z.shape[0]):
        row = z[i]
        for j in range(n):
            row[j] = beta * row[j] + real(bias[j])
    if gaussian:
        drawn = v[:, first_unit : first_unit + n]
        fill_normal(derive(key, first_unit), first_chain, drawn)
        for i in range(z.shape[0]):
            for j in range(n):
                drawn[i, j] += z[i, j]
        return
    for i in range(z.shape[0]):
        row, out = z[i], v[i, first_unit : first_unit + n]
        row_key = derive(key, first_chain + i)
        for j in range(n):
            u = real(np.int32(bits(key, row_key, first_unit + j) >> u32(8))) * scale
            out[j] = one if u < one / (one + exp(-row[j])) else zero


@routine
def visible_block(ladder, step, chains, piece, span, lo):
    """Sample a block of visible units of some chains, and add its part to their weights.

    Parameters
    ----------
    ladder, step, chains, piece, lo : see `hidden_block`
    span : int, number of the range that the block's units are from
    """
    first, last = piece.first, piece.last
    n_chains, hi = last - first, min(lo + BLOCK_UNITS, ladder.spans[span, 1])
    z = chains.products[piece.number, : n_chains * (hi - lo)].reshape(n_chains, hi - lo)
    product_nt(ALONE, chains.h[first:last], ladder.W[lo:hi], z)
    beta, after = ladder.betas[step], ladder.betas[min(step + 1, ladder.betas.shape[0] - 1)]
    bias, changes = chains.terms[piece.number, 0], chains.terms[piece.number, 1]
    for j in range(hi - lo):
        own, base = f64(ladder.b[lo + j]), f64(ladder.base[lo + j])
        bias[j] = (1.0 - beta) * base + beta * own
        # The sample is weighted where the ladder goes on, from beta to the next one.
        changes[j] = (after - beta) * (own - base)
    key, v = derive(derive(ladder.seed, step), 1), chains.v[first:last]
    gaussian = ladder.spans[span, 2] == IDENTITY
    sample_visible(gaussian, z.dtype.type(beta), bias, key, first, lo, z, v)
    for i in range(first, last):
        chains.log_weights[i] += weighted_sum(changes, chains.v[i, lo:hi])


@routine
def _anneal_piece(ladder, begin, end, chains, number):
    """The number-th piece of the chains, see `anneal`."""
    n_chains, n_pieces = chains.v.shape[0], chains.products.shape[0]
    piece = Piece(number, number * n_chains // n_pieces, (number + 1) * n_chains // n_pieces)
    for step in range(begin, end):
        for lo in range(0, chains.h.shape[1], BLOCK_UNITS):
            hidden_block(ladder, step, chains, piece, lo)
        for span in range(ladder.spans.shape[0]):
            for lo in range(ladder.spans[span, 0], ladder.spans[span, 1], BLOCK_UNITS):
                visible_block(ladder, step, chains, piece, span, lo)


@twins
def anneal(team, ladder, begin, end, chains):
    """Gibbs steps at consecutive temperatures of the ladder.

    At step k the chains' samples v_k, drawn at the temperature before, are weighted by
    p*_k(v_k) / p*_(k-1)(v_k); then follow samples of both sides at the k-th temperature. The
    first step only samples: where betas[0] = 0, exactly from the base RBM.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
    ladder : Ladder
    begin, end : int, temperatures to begin with and to end before
    chains : Chains, updated
    """
    in_blocks(team, chains.products.shape[0], _anneal_piece, (ladder, begin, end, chains))
