"""Both phases of contrastive divergence over the units that were observed in each row.

With reference values r, x_j = c_j + sum over the observed units of (v_i - r_i) W_ij is what a
hidden unit's mean depends on: a missing unit contributes as much as one at its reference, nothing.
Without references (r = 0) that is the RBM of Salakhutdinov, Mnih & Hinton (2007, section 2).
"""

import numpy as np

from sk_dbn.kernels.activations import IDENTITY
from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.conditionals import NOISE_KEY, Draws, finish_hidden
from sk_dbn.kernels.elementary import exp
from sk_dbn.kernels.observed import read_observed, space_of_row
from sk_dbn.kernels.random_bits import bits, derive, normal_at
from sk_dbn.kernels.rows import add_to_rows, dot, sum_columns
from sk_dbn.kernels.units import FIRST_CATEGORY, NEXT_CATEGORY

u32 = np.uint32


@kernel
def add_rows(M, chosen, factors, n, out):
    """out += the sum of n rows of M, each times its factor.

    Parameters
    ----------
    M : array (n_rows, n_columns)
    chosen, factors : arrays, int64 and real, of which the first n count
    n : int
    out : array (n_columns,), updated
    """
    paired = n // 4 * 4
    for k in range(0, paired, 4):
        a, b, c, d = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        A, B, C, D = M[chosen[k]], M[chosen[k + 1]], M[chosen[k + 2]], M[chosen[k + 3]]
        for j in range(out.shape[0]):
            out[j] += (a * A[j] + b * B[j]) + (c * C[j] + d * D[j])
    for k in range(paired, n):
        a, A = factors[k], M[chosen[k]]
        for j in range(out.shape[0]):
            out[j] += a * A[j]


@kernel
def visible_products(W, b, unit, h, v):
    """Products and biases of some visible units, written to v.

    Parameters
    ----------
    W, b : arrays (n_visible, n_hidden) and (n_visible,)
    unit : int64 array (n_slots,)
    h : array (n_hidden,)
    v : array (n_slots,), written
    """
    n, zero = unit.shape[0], v.dtype.type(0.0)
    paired = n // 4 * 4
    for k in range(0, paired, 4):
        A, B, C, D = W[unit[k]], W[unit[k + 1]], W[unit[k + 2]], W[unit[k + 3]]
        p, q, r, s = zero, zero, zero, zero
        for j in range(h.shape[0]):
            p += h[j] * A[j]
            q += h[j] * B[j]
            r += h[j] * C[j]
            s += h[j] * D[j]
        v[k], v[k + 1], v[k + 2], v[k + 3] = p, q, r, s
    for k in range(paired, n):
        v[k] = dot(h, W[unit[k]])
    for k in range(n):
        v[k] += b[unit[k]]


@kernel(fastmath=EXACT)
def uniform(key, row_key, unit, real):
    """A draw from [0, 1), as `units.sample` makes it."""
    return real(np.int32(bits(key, row_key, unit) >> u32(8))) * real(2.0**-24)


@kernel(fastmath=EXACT)
def draw_category(u, v):
    """From products to one category: 1 for it, 0 for the others.

    Parameters
    ----------
    u : real, a draw from [0, 1)
    v : array (n_categories,), updated
    """
    real, most, total = v.dtype.type, v[0], v.dtype.type(0.0)
    for k in range(1, v.shape[0]):
        most = max(most, v[k])
    for k in range(v.shape[0]):
        v[k] = exp(v[k] - most)
        total += v[k]
    chosen, left = v.shape[0] - 1, u * total
    for k in range(v.shape[0] - 1):
        left -= v[k]
        if left < real(0.0):
            chosen = k
            break
    for k in range(v.shape[0]):
        v[k] = real(1.0) if k == chosen else real(0.0)


@kernel(fastmath=EXACT)
def draw_observed(rbm, kinds, is_drawn, key, row, unit, v):
    """From products to means or samples of some visible units of a row.

    Categories and Gaussian units are always sampled: a mean of categories is none, and noise is a
    part of what Gaussian units model.

    Parameters
    ----------
    rbm : RBM
    kinds : int64 array (n_visible,)
    is_drawn : bool, whether Bernoulli units are sampled
    key : uint32
    row : int, number of the row within the minibatch
    unit : int64 array (n_slots,)
    v : array (n_slots,), products and biases; updated
    """
    real, one, n, k = v.dtype.type, v.dtype.type(1.0), unit.shape[0], 0
    row_key = derive(key, row)
    noise_key = derive(key, NOISE_KEY) if rbm.spans.shape[0] > 1 else key
    while k < n:
        i, end = unit[k], k + 1
        if kinds[i] == FIRST_CATEGORY:
            while end < n and kinds[unit[end]] == NEXT_CATEGORY:
                end += 1
            draw_category(uniform(key, row_key, i, real), v[k:end])
        elif kinds[i] == IDENTITY:
            noise = normal_at(noise_key, row, i, kinds.shape[0], v)
            v[k] += np.sqrt(rbm.parameters.variance[i]) * noise
        else:
            v[k] = one / (one + exp(-v[k]))
            if is_drawn:
                v[k] = one if uniform(key, row_key, i, real) < v[k] else real(0.0)
        k = end


@kernel
def sample_observed(kinds, key, row, unit, v):
    """Replace means of Bernoulli units by samples."""
    real, row_key = v.dtype.type, derive(key, row)
    for k in range(unit.shape[0]):
        if real(0.0) < v[k] < real(1.0) and kinds[unit[k]] != IDENTITY:
            is_one = uniform(key, row_key, unit[k], real) < v[k]
            v[k] = real(1.0) if is_one else real(0.0)


@kernel
def hidden_sums(rbm, unit, v, chosen, factors, out):
    """Products of a row's hidden units given its observed ones, without biases, written to out.

    Parameters
    ----------
    rbm : RBM, of which `means.mu` are the references
    unit : int64 array (n_slots,)
    v : array (n_slots,)
    chosen, factors : arrays, int64 and real, overwritten
    out : array (n_hidden,), written
    """
    theta, mu, n = rbm.parameters, rbm.means.mu, 0
    zero = out.dtype.type(0.0)
    has_variance = theta.variance.shape[0] > 0
    for k in range(unit.shape[0]):
        x = v[k] - mu[unit[k]]
        if has_variance:
            x /= theta.variance[unit[k]]
        if x != zero:
            chosen[n] = unit[k]
            factors[n] = x
            n += 1
    out[:] = zero
    add_rows(theta.W, chosen, factors, n, out)


@kernel
def place_rows(source, rows, n_units, widest, slots):
    """Divide the slots among the rows of a minibatch."""
    at = 0
    for r in range(rows.shape[0]):
        slots.starts[r] = at
        at += space_of_row(source, rows[r], n_units, widest)


@kernel
def _read_rows(source, rows, kinds, rule, key, slots, lo, hi, columns):
    """Read the rows lo to hi of a minibatch, as means or as samples of them."""
    for r in range(lo, hi):
        at = slots.starts[r]
        n = read_observed(source, rows[r], columns, slots.unit[at:], slots.v_pos[at:])
        slots.ends[r] = at + n
        slots.row[at : at + n] = r
        if rule.mean_field == 0:
            use = derive(key, 2 * rule.n_gibbs_steps + 1)
            sample_observed(kinds, use, r, slots.unit[at : at + n], slots.v_pos[at : at + n])


@kernel
def _draw_rows(rbm, kinds, rule, key, slots, lo, hi, state):
    """The visible units of the rows lo to hi, given hidden samples."""
    for r in range(lo, hi):
        at, end = slots.starts[r], slots.ends[r]
        unit, v = slots.unit[at:end], slots.v_neg[at:end]
        visible_products(rbm.parameters.W, rbm.parameters.b, unit, state[r - lo], v)
        draw_observed(rbm, kinds, rule.mean_field == 0, key, r, unit, v)


@kernel
def _sum_rows(rbm, slots, v, lo, hi, block, out):
    """`hidden_sums` of the rows lo to hi."""
    for r in range(lo, hi):
        at, end = slots.starts[r], slots.ends[r]
        chosen, factors = slots.chosen[block], slots.factors[block]
        hidden_sums(rbm, slots.unit[at:end], v[at:end], chosen, factors, out[r - lo])


@routine
def observed_block(source, rows, rbm, kinds, rule, update, work, block):
    """Both phases of the block-th part of a minibatch.

    Parameters
    ----------
    source : gather.Source
    rows : int64 array (size,), the minibatch
    rbm : RBM, whose hidden biases and `means.mu` belong to the references
    kinds : int64 array (n_visible,)
    rule, update : Rule, Update
    work : ObservedWorkspace, overwritten
    block : int
    """
    phases, slots, key = work.phases, work.slots, update.key
    n_blocks, sums = phases.h_sums.shape[0], phases.h_sums[block]
    sums[:] = 0
    lo, hi = block * update.size // n_blocks, (block + 1) * update.size // n_blocks
    if lo == hi:
        return
    draws = Draws(lo, derive(key, 2 * rule.n_gibbs_steps + 2), lo)
    state, c = phases.state[lo:hi], rbm.parameters.c
    _read_rows(source, rows, kinds, rule, key, slots, lo, hi, slots.columns[block])
    for step in range(rule.n_gibbs_steps + 1):
        v, first = (slots.v_pos, 0) if step == 0 else (slots.v_neg, update.size)
        if step > 0:
            _draw_rows(rbm, kinds, rule, derive(key, 2 * step - 1), slots, lo, hi, state)
        h = phases.h[first + lo : first + hi]
        _sum_rows(rbm, slots, v, lo, hi, block, h)
        is_drawn = step < rule.n_gibbs_steps
        finish_hidden(rbm, c, rule, derive(key, 2 * step), draws, is_drawn, h, state)
        sum_columns(h, 0, sums[min(step, 1)])
        if step == 0 and rule.sparsity_cost > 0.0:
            add_to_rows(h, work.gradient.push)
