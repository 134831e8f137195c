"""Epochs of contrastive divergence over the units that were observed in each row.

As `contrastive_divergence`, but for sums over the rows in which a unit was observed in place of
products of matrices: the time follows from the number of observed values. The gradient is divided
by the rows of the minibatch, as in the paper (Salakhutdinov, Mnih & Hinton, 2007, equation 6, an
average over users), not by those in which a unit was observed: of these there may be one, whose
noise then would move the unit's weights as far as a whole minibatch does. Units that no row of a
minibatch has stay as they are: no decay, no momentum.
"""

from collections import namedtuple

import numpy as np

from sk_dbn.kernels.activations import IDENTITY
from sk_dbn.kernels.blocks import in_blocks, twins
from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.memory import in_memory
from sk_dbn.kernels.observed_phases import add_rows, observed_block, place_rows
from sk_dbn.kernels.random_bits import derive
from sk_dbn.kernels.rbm import Update
from sk_dbn.kernels.rows import dot
from sk_dbn.kernels.statistics import sum_column_squares
from sk_dbn.kernels.updates import (
    finish_update,
    momentum_at,
    share_of_step,
    shrink_block,
    step_variance,
    step_weights,
    sum_hidden,
    sum_step_squares,
)

ObservedPhases = namedtuple("ObservedPhases", "h state h_sums")
ObservedPhases.__doc__ = """Buffers of the hidden units.

h : array (2 * batch, n_hidden), means of the positive phase, and then those of the negative one
state : array (batch, n_hidden), samples
h_sums : array (n_row_blocks, 2, n_hidden), sums of either phase's means
"""

ObservedWorkspace = namedtuple("ObservedWorkspace", "phases slots gradient update")
ObservedWorkspace.__doc__ = """Buffers of one training run, allocated once.

phases : ObservedPhases
slots : observed.Slots
gradient : rbm.GradientBuffers
update : rbm.UpdateBuffers
"""


@kernel
def _list_by_unit(slots, size):
    """Order the slots by unit, and cut the units into blocks of as many slots."""
    starts, n_units = slots.unit_starts, slots.unit_starts.shape[0] - 1
    starts[:] = 0
    for r in range(size):
        for k in range(slots.starts[r], slots.ends[r]):
            starts[slots.unit[k] + 1] += 1
    for i in range(n_units):
        starts[i + 1] += starts[i]
    n_slots, n_blocks, block = starts[n_units], slots.cuts.shape[0] - 1, 1
    slots.cuts[:] = n_units
    slots.cuts[0] = 0
    for i in range(n_units):
        while block < n_blocks and starts[i] >= (block * n_slots + n_blocks - 1) // n_blocks:
            slots.cuts[block] = i
            block += 1
    for r in range(size):
        for k in range(slots.starts[r], slots.ends[r]):
            i = slots.unit[k]
            slots.by_unit[starts[i]] = k
            starts[i] += 1
    for i in range(n_units, 0, -1):
        starts[i] = starts[i - 1]
    starts[0] = 0


@routine
def begin_observed(rbm, rule, update, work):
    """What the gradient takes from the hidden units, and the slots ordered by unit."""
    sum_hidden(rbm, rule, update, work)
    _list_by_unit(work.slots, update.size)


@kernel
def _unit_gradient(rbm, rule, update, work, block, i, g):
    """Gradient of the weights of a unit, written to g, and its means.

    In the RBM of a row, with references r and offsets lam of the hidden units, it is

        gradient W_i = <(v_i - r_i) (h - lam)>_data - <(v_i - r_i) (h - lam)>_model
        gradient b_i = <v_i>_data - <v_i>_model - gradient W_i lam

    where the rows that do not have unit i contribute nothing.
    """
    slots, gradient, n = work.slots, work.gradient, 0
    h, r, b = work.phases.h, rbm.means.mu[i], rbm.parameters.b[i]
    real, zero = g.dtype.type, g.dtype.type(0.0)
    scale, total, gap, squares = real(1.0 / update.size), zero, zero, zero
    chosen, factors = slots.chosen[block], slots.factors[block]
    for s in range(slots.unit_starts[i], slots.unit_starts[i + 1]):
        k = slots.by_unit[s]
        v_pos, v_neg, row = slots.v_pos[k], slots.v_neg[k], slots.row[k]
        gap += v_pos - v_neg
        squares += (v_pos - b) * (v_pos - b) - (v_neg - b) * (v_neg - b)
        if v_pos != r:
            chosen[n], factors[n] = row, scale * (v_pos - r)
            n += 1
        if v_neg != r:
            chosen[n], factors[n] = update.size + row, -scale * (v_neg - r)
            n += 1
    for k in range(n):
        total += factors[k]
    for j in range(g.shape[0]):
        g[j] = -total * gradient.lam[j] if rule.offset_rate > 0.0 else zero
    add_rows(h, chosen, factors, n, g)
    gradient.v_gap[i] = scale * gap
    if gradient.v_squares.shape[0] > 0:
        gradient.v_squares[i] = scale * squares


@kernel
def _step_bias(rbm, rule, gradient, g, rate, momentum, i):
    """Update of the bias of a visible unit, before that of its weights, whose gradient is g.

    The penalty of the weights leaves b + W lam as it is, what the unit is told by hidden units at
    their offsets. Otherwise it would pull b away without end where a unit is seldom observed: only
    rows that have the unit pull back, and nothing does where categories share a term of b.

    Returns
    -------
    real, the square of the gradient without penalty
    """
    x, pull, b, velocity = gradient.v_gap[i], rate * 0, rbm.parameters.b, rbm.velocity.b
    if rule.offset_rate > 0.0:
        W, lam = rbm.parameters.W[i], gradient.lam
        x -= dot(g, lam)
        l2, l1 = lam.dtype.type(rule.l2), lam.dtype.type(rule.l1)
        for j in range(W.shape[0]):
            pull += (l2 * W[j] + l1 * np.sign(W[j])) * lam[j]
    if rule.steps == 1:
        velocity[i] = momentum * velocity[i] + rate * (x + pull)
        b[i] += velocity[i]
    return x * x


@kernel
def _step_unit(rbm, kinds, rule, gradient, g, rate, momentum, sums, i):
    """Update of a visible unit whose weights have the gradient g, see `updates.step_block`."""
    theta = rbm.parameters
    learns_variance = theta.variance.shape[0] > 0 and rule.variance_rate > 0.0 and rule.steps == 1
    if learns_variance and kinds[i] == IDENTITY:
        step_variance(rbm, rule, gradient, g, rate, momentum, i)
    sums[3] += _step_bias(rbm, rule, gradient, g, rate, momentum, i)
    W, velocity = theta.W[i], rbm.velocity.W[i]
    g_squares, w_squares, step_squares = step_weights(rule, rate, momentum, W, velocity, g)
    sums[0] += g_squares
    sums[1] += w_squares
    sums[2] += step_squares


@routine
def observed_update_block(rbm, kinds, rule, update, work, block):
    """Gradient and, where the length of steps has no limit, update of some visible units.

    Then one row of the gradient's buffer is enough for a block, since a unit is updated while its
    gradient is in cache. Otherwise the first two of the block's sums are those of
    `updates.gradient_block`.
    """
    slots, gradient, sums = work.slots, work.gradient, work.update.sums[block]
    W, velocity, real = rbm.parameters.W, rbm.velocity.W, rbm.parameters.W.dtype.type
    rate, momentum, lo = real(update.rate), real(update.momentum), slots.cuts[block]
    sums[:] = 0.0
    for i in range(lo, slots.cuts[block + 1]):
        if slots.unit_starts[i] == slots.unit_starts[i + 1]:
            continue
        at = i if rule.max_step > 0.0 else lo
        _unit_gradient(rbm, rule, update, work, block, i, gradient.W[at])
        if rule.max_step > 0.0:
            g = gradient.W[i : i + 1]
            sums[0] += sum_step_squares(velocity[i : i + 1], g, rate, momentum)
            sums[1] += sum_step_squares(W[i : i + 1], g, real(0.0), real(1.0))
        else:
            _step_unit(rbm, kinds, rule, gradient, gradient.W[at], rate, momentum, sums, i)
    if rule.max_norm > 0.0 and rule.max_step == 0.0:
        _sum_columns(rbm, work, block)


@routine
def observed_step_block(rbm, kinds, rule, update, work, block):
    """Update of the block-th part of the visible units, where the length of steps has a limit."""
    slots, gradient, sums = work.slots, work.gradient, work.update.sums[block]
    real, share = gradient.W.dtype.type, work.update.share[0]
    rate, momentum = real(update.rate * share), real(update.momentum * share)
    sums[:] = 0.0
    for i in range(slots.cuts[block], slots.cuts[block + 1]):
        if slots.unit_starts[i] < slots.unit_starts[i + 1]:
            _step_unit(rbm, kinds, rule, gradient, gradient.W[i], rate, momentum, sums, i)
    if rule.max_norm > 0.0:
        _sum_columns(rbm, work, block)


@kernel
def _sum_columns(rbm, work, block):
    """The block's part of the squares of each hidden unit's weights."""
    cuts, squares = work.slots.cuts, work.update.column_squares[block]
    sum_column_squares(rbm.parameters.W[cuts[block] : cuts[block + 1]], squares)


@routine(fastmath=EXACT)
def end_observed(rbm, rule, update, work, norms):
    """Update of the hidden units; the minibatch's part of the trace."""
    finish_update(rbm, rule, update, work, norms)


@twins
def train_observed(
    team, source, order, batch, rbm, kinds, widest, rule, rate, first_step, work, norms
):
    """Minibatch after minibatch: read, both phases, update, measure.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
    source : gather.Source, with a scale for each unit
    order : int64 array, the samples in the order they are to be visited
    batch : int, rows of a minibatch; the last one may be short
    rbm : RBM, updated where the rule has steps; its hidden biases and `means.mu` belong to the
        references
    kinds : int64 array (n_visible,)
    widest : int, maximum number of units that read one column
    rule : Rule, of contrastive divergence
    rate : float, learning rate
    first_step : int, updates made before this call
    work : ObservedWorkspace, overwritten
    norms : float64 array (3,), see `updates.end_update`
    """
    source, rbm = in_memory(source), in_memory(rbm)
    rule, work = in_memory(rule), in_memory(work)
    n_row_blocks, n_unit_blocks = work.phases.h_sums.shape[0], work.update.sums.shape[0]
    for k in range((order.shape[0] + batch - 1) // batch):
        rows, step = order[k * batch : min((k + 1) * batch, order.shape[0])], first_step + k
        size, key, momentum = (
            rows.shape[0],
            derive(rule.seed, step),
            momentum_at(step, rule.momentum),
        )
        update = Update(key, rate, momentum, step, size, size, 2 * size)
        work.update.share[0] = 1.0
        place_rows(source, rows, kinds.shape[0], widest, work.slots)
        arguments = source, rows, rbm, kinds, rule, update, work
        in_blocks(team, n_row_blocks, observed_block, arguments)
        begin_observed(rbm, rule, update, work)
        in_blocks(team, n_unit_blocks, observed_update_block, (rbm, kinds, rule, update, work))
        if rule.max_step > 0.0:
            work.update.share[0] = share_of_step(rule, work.update.sums)
            in_blocks(team, n_unit_blocks, observed_step_block, (rbm, kinds, rule, update, work))
        end_observed(rbm, rule, update, work, norms)
        if rule.max_norm > 0.0 and rule.steps == 1:
            in_blocks(team, n_unit_blocks, shrink_block, (rbm, rule, work))
