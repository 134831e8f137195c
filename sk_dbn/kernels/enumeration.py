"""Sums over all states of one side of an RBM, in float64.

Given a state s of the enumerated side, of 0s and 1s, the units of the other side are
independent, so that the sum over their values is a product:

    sum_t exp(a s + d t + s M t) = exp(a s) prod_j (1 + exp(x_j)),   x = d + s M

for units of 0 and 1; for Gaussian ones, exp(-t_j^2 / 2) being their measure, the j-th factor
is sqrt(2 pi) exp(x_j^2 / 2). The states are taken in blocks that agree in all but the first
few, the low units. Their part of x is tabulated once for all blocks, as powers of e: then a
state costs each unit of the other side one multiplication of sums, and no exponential.
"""

import math
from collections import namedtuple

from sk_dbn.kernels.blocks import in_blocks, twins
from sk_dbn.kernels.compile import EXACT, entry, kernel, routine
from sk_dbn.kernels.elementary import exp

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)

Enumeration = namedtuple("Enumeration", "n_gaussian d high_a high_M low_scores table top groups")
Enumeration.__doc__ = """An RBM as its states are enumerated; all arrays are float64.

n_gaussian : int, how many of the other side's units, the first ones, are Gaussian
d : array (n_other,), biases of the other side
high_a, high_M : arrays (n_high,) and (n_high, n_other), biases and weights of the high units
low_scores : array (n_low_states,), a s of the low units
table : array (n_other, n_low_states), s M of the low units; exp(s M - top) for units of 0
    and 1, so that it is at most 1
top : array (n_other,), the largest s M of the low units
groups : int64 array (n_groups + 1,), where its units of 0 and 1 are cut so that the product over a
    group neither overflows nor vanishes
"""


@kernel(fastmath=EXACT)
def multiply(low, high, row, product):
    """product *= low + high row."""
    for s in range(product.shape[0]):
        product[s] *= low + high * row[s]


@kernel(fastmath=EXACT)
def add_squares(x, row, out):
    """out += log of the integral of exp(-t^2 / 2 + (x + row) t)."""
    for s in range(out.shape[0]):
        z = x + row[s]
        out[s] += 0.5 * z * z + HALF_LOG_2PI


@routine(fastmath=EXACT)
def block_scores(problem, block, x, product, out):
    """log of the sum over the other side, of each state of a block.

    Parameters
    ----------
    problem : Enumeration
    block : int, whose bits are the states of the high units
    x : array (n_other,), overwritten
    product : array (n_low_states,), overwritten
    out : array (n_low_states,), written
    """
    shift = 0.0
    for j in range(x.shape[0]):
        x[j] = problem.d[j]
    for i in range(problem.high_a.shape[0]):
        if (block >> i) & 1:
            shift += problem.high_a[i]
            row = problem.high_M[i]
            for j in range(x.shape[0]):
                x[j] += row[j]
    for s in range(out.shape[0]):
        out[s] = problem.low_scores[s] + shift
    for j in range(problem.n_gaussian):
        add_squares(x[j], problem.table[j], out)
    for group in range(problem.groups.shape[0] - 1):
        product[:] = 1.0
        shift = 0.0
        for j in range(problem.groups[group], problem.groups[group + 1]):
            # 1 + exp(x_j + s M_j) = exp(most) (exp(-most) + exp(x_j + top_j - most) table_js)
            largest = x[j] + problem.top[j]
            most = max(largest, 0.0)
            shift += most
            multiply(exp(-most), exp(largest - most), problem.table[j], product)
        for s in range(out.shape[0]):
            out[s] += shift + math.log(product[s])


@kernel(fastmath=EXACT)
def log_sum(scores):
    """log of the sum of exp(scores)."""
    highest, total = scores[0], 0.0
    for s in range(scores.shape[0]):
        highest = max(highest, scores[s])
    for s in range(scores.shape[0]):
        total += math.exp(scores[s] - highest)
    return highest + math.log(total)


@routine
def _piece_log_sums(problem, first, work, out, piece):
    """The piece-th part of `block_log_sums`."""
    n_other, n_low = problem.table.shape
    n_pieces, n_blocks = work.shape[0], out.shape[0]
    x, product = work[piece, :n_other], work[piece, n_other : n_other + n_low]
    scores = work[piece, n_other + n_low :]
    for i in range(piece * n_blocks // n_pieces, (piece + 1) * n_blocks // n_pieces):
        block_scores(problem, first + i, x, product, scores)
        out[i] = log_sum(scores)


@twins
def block_log_sums(team, problem, first, work, out):
    """log of the sum over the states of consecutive blocks and over the other side.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
    problem : Enumeration
    first : int, number of the first block
    work : array (n_pieces, n_other + 2 n_low_states), overwritten; a piece of the blocks each
    out : array (n_blocks,), written
    """
    in_blocks(team, work.shape[0], _piece_log_sums, (problem, first, work, out))


@entry
def scores_of_blocks(problem, blocks, x, product, out):
    """`block_scores` of some blocks.

    Parameters
    ----------
    problem : Enumeration
    blocks : int64 array (n_blocks,)
    x : array (n_other,), overwritten
    product : array (n_low_states,), overwritten
    out : array (n_blocks, n_low_states), written
    """
    for i in range(blocks.shape[0]):
        block_scores(problem, blocks[i], x, product, out[i])
