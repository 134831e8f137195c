"""From both phases of an RBM to its gradient and its next parameters.

Visible units are cut into blocks, each of which forms its gradient and is updated while in
cache. Where the length of steps or of weights is limited, that takes one more stage each.
"""

import math

import numpy as np

from sk_dbn.kernels.activations import IDENTITY, TANH
from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.elementary import exp
from sk_dbn.kernels.products import product_tn
from sk_dbn.kernels.rows import dot, squared_norm, sum_columns
from sk_dbn.kernels.statistics import sum_column_squares

CENTERING_ROWS = 2  # of the product that the gradient is, see `gradient_block`
MOMENTUM_PERIOD = 250  # updates, see `momentum_at`
ACTIVITY_DECAY = 0.95  # of the running mean of activities (Hinton, 2012, section 11)
FAST_DECAY = 0.95  # of the fast weights (Tieleman & Hinton, 2009, section 3)
MIN_VARIANCE = 1e-2  # of a standardised feature, given the hidden units; 1 is the most


@kernel
def momentum_at(step, most):
    """The momentum of an update (Sutskever, Martens, Dahl & Hinton, 2013, equation 5)."""
    # 1 - 2^(-1 - log2(floor(t / 250) + 1)): 0.5 for the first 250 updates, then rising.
    return min(most, 1.0 - 0.5 / (step // MOMENTUM_PERIOD + 1))


@kernel
def push_to_target(rbm, rule, push):
    """What the next positive phase is changed by: the gradient of the activity's cross-entropy.

    That is target - activity, for each unit and each row (Hinton, 2012, section 11). Units of
    -1 and 1 have the activity (1 + mean) / 2.
    """
    real = push.dtype.type
    cost, target = real(rule.sparsity_cost), real(rule.sparsity_target)
    slope, shift = real(1.0), real(0.0)
    if rbm.hidden == TANH:
        slope, shift = real(0.5), real(0.5)
    for j in range(push.shape[0]):
        push[j] = cost * (target - (shift + slope * rbm.means.activity[j]))


@kernel
def sum_hidden(rbm, rule, update, work):
    """<h>_data and <h>_data - <h>_model from the sums of the blocks, offsets and activity.

    The activity is that of units that were not dropped.
    """
    gradient, h_sums = work.gradient, work.phases.h_sums
    n_hidden, real = gradient.h_pos.shape[0], gradient.h_pos.dtype.type
    keep = real(0.0) if update.step == 0 else real(ACTIVITY_DECAY)
    take = real(1.0 - keep)
    for j in range(n_hidden):
        pos, neg = real(0.0), real(0.0)
        for block in range(h_sums.shape[0]):
            pos += h_sums[block, 0, j]
            neg += h_sums[block, 1, j]
        h_pos = pos / real(update.size)
        gradient.h_pos[j] = h_pos
        gradient.h_gap[j] = h_pos + gradient.push[j] - neg / real(update.n_chains)
        gradient.lam[j] = h_pos if update.step == 0 else rbm.means.lam[j]
        if rule.steps == 1:
            rbm.means.activity[j] = keep * rbm.means.activity[j] + take * h_pos
    if rule.sparsity_cost > 0.0 and rule.steps == 1:
        push_to_target(rbm, rule, gradient.push)


@routine
def begin_update(rbm, rule, update, work):
    """What the gradient takes from the hidden units: their means, and h's rows of the centering."""
    sum_hidden(rbm, rule, update, work)
    if rule.offset_rate == 0.0:
        return
    gradient, h, at = work.gradient, work.phases.h, update.size + update.n_chains
    real = h.dtype.type
    for j in range(h.shape[1]):
        h[at, j] = gradient.h_gap[j]
        h[at + 1, j] = gradient.lam[j]
    scale = real(1.0 / update.size)
    for i in range(update.n_rows):
        gradient.h_lam[i] = scale * dot(h[i], gradient.lam)


@kernel
def bounds_of_block(rbm, work, block):
    """The visible units lo to hi of the block-th part."""
    n_blocks, n_visible = work.update.sums.shape[0], rbm.parameters.W.shape[0]
    return block * n_visible // n_blocks, (block + 1) * n_visible // n_blocks


@kernel
def center_block(rbm, update, work, scale, lo, hi, v_mu):
    """v's rows of the centering, and the products with mu, for some visible units."""
    v, mu, at = work.phases.v, rbm.means.mu, update.size + update.n_chains
    for i in range(lo, hi):
        v[at, i] = -mu[i] / scale
        v[at + 1, i] = -work.gradient.v_gap[i] / scale
    for i in range(update.n_rows):
        v_mu[i] = scale * dot(v[i, lo:hi], mu[lo:hi])


@kernel
def sum_step_squares(velocity, g, rate, momentum):
    """The sum of squares of the step that momentum and gradient make, without the penalty."""
    squares = 0.0
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            step = np.float64(momentum * velocity[i, j] + rate * g[i, j])
            squares += step * step
    return squares


@routine
def gradient_block(rbm, rule, update, work, block):
    """Gradient of the block-th part of the visible units.

    The centered gradient (Montavon & Müller, 2012; Melchior, Fischer & Wiskott, 2016) is

        gradient W = <(v - mu) (h - lam)>_data - <(v - mu) (h - lam)>_model
        gradient b = <v>_data - <v>_model - gradient W lam
        gradient c = <h>_data - <h>_model - gradient W^T mu

    of which the first is the usual one less mu h_gap^T and v_gap lam^T: two rows more of the
    product v^T h. The products with lam and mu are those of v and h, which have fewer rows.

    Of the biases' gradient it leaves the gaps; `step_visible` and `end_update` do the rest. Where
    steps are limited, the first two of the block's sums are the sums of squares of the weights'
    step and of the weights.
    """
    v, h, gradient, W = work.phases.v, work.phases.h, work.gradient, rbm.parameters.W
    real, size, n_rows = W.dtype.type, update.size, update.n_rows
    lo, hi = bounds_of_block(rbm, work, block)
    scale = real(1.0 / size)
    v_gap, v_pos = gradient.v_gap[lo:hi], gradient.v_pos[lo:hi]
    sum_columns(v[:size], lo, v_pos)
    sum_columns(v[size : size + update.n_chains], lo, v_gap)
    for i in range(hi - lo):
        v_pos[i] *= scale
        v_gap[i] = v_pos[i] - v_gap[i] / real(update.n_chains)
    if rule.offset_rate > 0.0:
        center_block(rbm, update, work, scale, lo, hi, gradient.v_mu[block])
    g = gradient.W[lo:hi]
    product_tn(scale, v[:n_rows, lo:hi], h[:n_rows], real(0.0), g)
    if rule.max_step > 0.0:
        velocity, sums = rbm.velocity.W[lo:hi], work.update.sums[block]
        sums[0] = sum_step_squares(velocity, g, real(update.rate), real(update.momentum))
        sums[1] = sum_step_squares(W[lo:hi], g, real(0.0), real(1.0))


@routine(fastmath=EXACT)
def share_of_step(rule, sums):
    """What a step is multiplied by where it would be too long (Pascanu et al., 2013, section 3.2).

    That holds for the momentum as well as for the gradient, or else many steps of the same
    length would add up. Weights of a norm below one may still change as if it were one: they
    may start from zero. A step that is not finite stays as it is, to be seen.

    Parameters
    ----------
    rule : Rule
    sums : float64 array (n_unit_blocks, 4), see `gradient_block`

    Returns
    -------
    float, at most 1
    """
    step_squares, w_squares = 0.0, 0.0
    for block in range(sums.shape[0]):
        step_squares += sums[block, 0]
        w_squares += sums[block, 1]
    most, step = rule.max_step * math.sqrt(max(w_squares, 1.0)), math.sqrt(step_squares)
    return most / step if most < step < math.inf else 1.0


@kernel
def step_visible(rbm, rule, update, rate, momentum, work, lo, hi):
    """Update of the biases and offsets of some visible units.

    Returns
    -------
    squares : the sum of squares of the biases' gradient
    """
    b, velocity, mu, gradient = rbm.parameters.b, rbm.velocity.b, rbm.means.mu, work.gradient
    real = b.dtype.type
    x, squares = gradient.v_gap[lo:hi], real(0.0)
    if rule.offset_rate > 0.0:
        for i in range(update.n_rows):
            share, row = gradient.h_lam[i], work.phases.v[i, lo:hi]
            for j in range(hi - lo):
                x[j] -= share * row[j]
    if rule.steps == 0:
        return squared_norm(x)
    for j in range(hi - lo):
        squares += x[j] * x[j]
        step = momentum * velocity[lo + j] + rate * x[j]
        velocity[lo + j] = step
        b[lo + j] += step
        mu[lo + j] += real(rule.offset_rate) * (gradient.v_pos[lo + j] - mu[lo + j])
    return squares


@kernel
def sum_gap_squares(update, work, b, lo, hi):
    """<(v - b)^2>_data - <(v - b)^2>_model of some visible units."""
    v_squares = work.gradient.v_squares
    real = v_squares.dtype.type
    v_squares[lo:hi] = 0
    for k in range(update.size + update.n_chains):
        share = real(1.0 / update.size if k < update.size else -1.0 / update.n_chains)
        for i in range(lo, hi):
            gap = work.phases.v[k, i] - b[i]
            v_squares[i] += share * gap * gap


@kernel
def step_variance(rbm, rule, gradient, g, rate, momentum, i):
    """Update of the variance of a Gaussian unit, before that of its weights, whose gradient is g.

    The gradient with respect to log s_i (Cho, Ilin & Raiko, 2011, section 3.2) is

        <(v_i - b_i)^2>_data / (2 s_i) - <v_i (W h)_i>_data / s_i, less the same of the model,

    whose second part is that of the weights, times the weights. A step is at most a tenth.
    """
    theta, velocity = rbm.parameters, rbm.velocity.variance
    W, real = theta.W[i], theta.W.dtype.type
    half, most, least = real(0.5), real(0.1), real(MIN_VARIANCE)
    mu, gap, products = real(0.0), real(0.0), real(0.0)
    if rule.offset_rate > 0.0:
        mu, gap = rbm.means.mu[i], gradient.v_gap[i]
    for j in range(W.shape[0]):
        products += W[j] * (g[j] + mu * gradient.h_gap[j] + gap * gradient.lam[j])
    g_log = (half * gradient.v_squares[i] - products) / theta.variance[i]
    step = momentum * velocity[i] + real(rule.variance_rate) * rate * g_log
    step = min(max(step, -most), most)
    velocity[i] = step
    theta.variance[i] = min(max(theta.variance[i] * exp(step), least), real(1.0))


@kernel
def step_weights(rule, rate, momentum, W, velocity, g):
    """velocity = momentum velocity + rate (gradient - penalty's), W += velocity.

    Returns
    -------
    gradients, weights, steps : the sums of squares of the gradient, of the weights before the
        step and of the step
    """
    real = W.dtype.type
    zero, one, l2, l1 = real(0.0), real(1.0), real(rule.l2), real(rule.l1)
    g_squares, w_squares, step_squares = zero, zero, zero
    for k in range(W.shape[0]):
        w = W[k]
        sign = one if w > zero else (-one if w < zero else zero)
        step = momentum * velocity[k] + rate * (g[k] - l2 * w - l1 * sign)
        if rule.steps == 1:
            velocity[k] = step
            W[k] = w + step
        g_squares += g[k] * g[k]
        w_squares += w * w
        step_squares += step * step
    return g_squares, w_squares, step_squares


@kernel
def step_fast(rbm, rate, work, lo, hi):
    """Update of some rows of the fast weights, and of what the chains run on."""
    theta, fast, chain, gradient = rbm.parameters, rbm.fast, rbm.chain, work.gradient
    real = theta.W.dtype.type
    decay, rate = real(FAST_DECAY), real(rate)
    for i in range(lo, hi):
        g, W, fast_W, chain_W = gradient.W[i], theta.W[i], fast.W[i], chain.W[i]
        for j in range(W.shape[0]):
            fast_W[j] = decay * fast_W[j] + rate * g[j]
            chain_W[j] = W[j] + fast_W[j]
        fast.b[i] = decay * fast.b[i] + rate * gradient.v_gap[i]
        chain.b[i] = theta.b[i] + fast.b[i]


@routine
def step_block(rbm, rule, update, work, block):
    """Update of the block-th part of the visible units, from their gradient.

    The block's sums are then the sums of squares of the weights' gradient (without penalty),
    weights, weights' step and visible biases' gradient.
    """
    theta, share = rbm.parameters, work.update.share[0]
    real = theta.W.dtype.type
    lo, hi = bounds_of_block(rbm, work, block)
    rate, momentum = real(update.rate * share), real(update.momentum * share)
    if theta.variance.shape[0] > 0 and rule.variance_rate > 0.0 and rule.steps == 1:
        for s in range(rbm.spans.shape[0]):
            first, end = max(lo, rbm.spans[s, 0]), min(hi, rbm.spans[s, 1])
            if rbm.spans[s, 2] == IDENTITY and first < end:
                sum_gap_squares(update, work, theta.b, first, end)
                for i in range(first, end):
                    g = work.gradient.W[i]
                    step_variance(rbm, rule, work.gradient, g, rate, momentum, i)
    sums, n = work.update.sums[block], (hi - lo) * theta.W.shape[1]
    W, velocity = theta.W[lo:hi].reshape(n), rbm.velocity.W[lo:hi].reshape(n)
    g = work.gradient.W[lo:hi].reshape(n)
    sums[0], sums[1], sums[2] = step_weights(rule, rate, momentum, W, velocity, g)
    sums[3] = step_visible(rbm, rule, update, rate, momentum, work, lo, hi)
    if rule.max_norm > 0.0:
        sum_column_squares(theta.W[lo:hi], work.update.column_squares[block])
    if rule.fast_rate > 0.0 and rule.steps == 1:
        step_fast(rbm, rule.fast_rate * share, work, lo, hi)


@routine
def update_block(rbm, rule, update, work, block):
    """Gradient and, where the length of steps has no limit, update of some visible units."""
    gradient_block(rbm, rule, update, work, block)
    if rule.max_step == 0.0:
        step_block(rbm, rule, update, work, block)


@kernel(fastmath=EXACT)
def step_hidden(rbm, rule, update, work):
    """Update of the biases and offsets of the hidden units, after that of the visible ones."""
    theta, velocity, means, gradient = rbm.parameters, rbm.velocity, rbm.means, work.gradient
    real, share = theta.W.dtype.type, work.update.share[0]
    rate, momentum = real(update.rate * share), real(update.momentum * share)
    for j in range(theta.c.shape[0]):
        x = gradient.h_gap[j]
        velocity.c[j] = momentum * velocity.c[j] + rate * x
        theta.c[j] += velocity.c[j]
        if rule.offset_rate > 0.0:
            lam = gradient.lam[j]
            means.lam[j] = lam + real(rule.offset_rate) * (gradient.h_pos[j] - lam)
        if rule.fast_rate > 0.0:
            step = real(rule.fast_rate * share) * x
            rbm.fast.c[j] = real(FAST_DECAY) * rbm.fast.c[j] + step
            rbm.chain.c[j] = theta.c[j] + rbm.fast.c[j]


@kernel(fastmath=EXACT)
def finish_update(rbm, rule, update, work, norms):
    """The minibatch's part of the trace, then the update of the hidden units."""
    g_squares, w_squares, step_squares, b_squares, c_squares = 0.0, 0.0, 0.0, 0.0, 0.0
    gradient, sums = work.gradient, work.update.sums
    for j in range(gradient.h_gap.shape[0]):
        x = gradient.h_gap[j]
        c_squares += x * x
    for block in range(sums.shape[0]):
        g_squares += sums[block, 0]
        w_squares += sums[block, 1]
        step_squares += sums[block, 2]
        b_squares += sums[block, 3]
    norms[0] += math.sqrt(g_squares)
    norms[1] += math.sqrt(b_squares + c_squares)
    if rule.steps == 1:
        step_hidden(rbm, rule, update, work)
        norms[2] += math.sqrt(step_squares / w_squares) if w_squares > 0.0 else 0.0


@routine(fastmath=EXACT)
def end_update(rbm, rule, update, work, norms):
    """Update of the hidden units; the minibatch's part of the trace.

    Parameters
    ----------
    rbm : RBM, updated
    rule : Rule
    update : Update
    work : RBMWorkspace
    norms : float64 array (3,), updated: norms of the weights' and biases' gradient, norm of
        the weights' step over that of the weights
    """
    gradient, h = work.gradient, work.phases.h
    if rule.offset_rate > 0.0:
        for i in range(update.n_rows):
            v_mu = h.dtype.type(0.0)
            for block in range(gradient.v_mu.shape[0]):
                v_mu += gradient.v_mu[block, i]
            for j in range(h.shape[1]):
                gradient.h_gap[j] -= v_mu * h[i, j]
    finish_update(rbm, rule, update, work, norms)


@routine
def shrink_block(rbm, rule, work, block):
    """Scale the weights of hidden units whose norm is too large, in a part of the rows."""
    W, squares_of_blocks = rbm.parameters.W, work.update.column_squares
    lo, hi = bounds_of_block(rbm, work, block)
    for j in range(W.shape[1]):
        squares = 0.0
        for k in range(squares_of_blocks.shape[0]):
            squares += squares_of_blocks[k, j]
        norm = math.sqrt(squares)
        if norm > rule.max_norm:
            for i in range(lo, hi):
                W[i, j] *= W.dtype.type(rule.max_norm / norm)
                if rule.fast_rate > 0.0:
                    rbm.chain.W[i, j] = W[i, j] + rbm.fast.W[i, j]
