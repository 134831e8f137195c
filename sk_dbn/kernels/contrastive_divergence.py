"""Epochs of (persistent) contrastive divergence in one compiled call.

A minibatch takes two parallel regions: blocks of rows and of chains go through both
phases, then blocks of visible units form their gradient with one product over both phases
and are updated while in cache. The blocks follow from the shape of the problem, so the
number of threads does not change a bit of the result.

The energy of a machine is E(v, h) = -b v - c h - v W h for binary visible units and
E(v, h) = |v - b|^2 / 2 - c h - v W h for Gaussian ones.
"""

import math
from collections import namedtuple

import numpy as np
from numba import prange

from sk_dbn.kernels.activations import IDENTITY
from sk_dbn.kernels.compile import EXACT, entry, kernel, routine, twins
from sk_dbn.kernels.feed_forward import forward_rows
from sk_dbn.kernels.products import product_nn, product_nt, product_tn
from sk_dbn.kernels.random_bits import derive
from sk_dbn.kernels.statistics import layer_health
from sk_dbn.kernels.units import divergence, log_partition, sample, to_means

Machine = namedtuple(
    "Machine", "W b c velocity_W velocity_b velocity_c mu lam visible hidden layer"
)
Machine.__doc__ = """One restricted Boltzmann machine and what its training remembers.

W : array (n_visible, n_hidden)
b, c : arrays (n_visible,) and (n_hidden,), biases
velocity_W, velocity_b, velocity_c : arrays like W, b and c
mu, lam : arrays (n_visible,) and (n_hidden,), offsets of the centered gradient
visible, hidden : int, kinds of units: LOGISTIC (0 and 1), TANH (-1 and 1), IDENTITY
layer : int, how many layers lie below
"""

Rule = namedtuple("Rule", "persistent mean_field n_gibbs_steps seed momentum l2 l1 offset_rate")
Rule.__doc__ = """How a machine is trained.

persistent : int, 1 when the chains go on from one update to the next
mean_field : int, 1 when the visible units are reconstructed by means instead of samples
n_gibbs_steps : int
seed : int, key of the machine's random numbers
momentum : float, the most it rises to
l2, l1 : float, decay of the weights
offset_rate : float, share of a minibatch in the new offsets; 0 for no centering
"""

Workspace = namedtuple(
    "Workspace", "v h chains lower gradient h_sums h_pos h_gap h_lam v_mu v_pos v_gap sums"
)
Workspace.__doc__ = """Buffers of one training run, allocated once.

v, h : arrays (n_rows, n_visible) and (n_rows, n_hidden), first the positive phase, then the
    negative one, then two rows of the centering, see `centered_rows`
chains : array (n_chains, n_hidden), the hidden samples that the chains have come to
lower : array (n_row_blocks, 2, block_rows * widest layer below)
gradient : array (n_visible, n_hidden)
h_sums : array (n_row_blocks + n_chain_blocks, 2, n_hidden), sums of either phase's h
h_pos, v_pos : arrays (n_hidden,) and (n_visible,), means of the positive phase
h_gap, v_gap : arrays (n_hidden,) and (n_visible,), <h>_data - <h>_model, likewise v
h_lam : array (n_rows,), products of the rows of h with lam
v_mu : array (n_unit_blocks, n_rows), of v with mu, by block
sums : float64 array (n_unit_blocks, 4), see `update_block`
"""

# What `probe_machine` writes, in this order.
MEAN, STD, SATURATED, DEAD, KL, MSE, FREE_ENERGY = range(7)

MOMENTUM_PERIOD = 250  # updates, see `momentum_at`


@kernel
def momentum_at(step, most):
    """The momentum of an update (Sutskever, Martens, Dahl & Hinton, 2013, equation 5)."""
    # 1 - 2^(-1 - log2(floor(t / 250) + 1)): 0.5 for the first 250 updates, then rising.
    return min(most, 1.0 - 0.5 / (step // MOMENTUM_PERIOD + 1))


@kernel
def mean_hidden(machine, v, out):
    """Means of the hidden units given the visible ones, written to out."""
    product_nn(v, machine.W, out)
    to_means(machine.hidden, out, machine.c)


@kernel
def mean_visible(machine, h, out):
    """Means of the visible units given the hidden ones, written to out."""
    product_nt(h, machine.W, out)
    to_means(machine.visible, out, machine.b)


@kernel
def sum_columns(x, first, last, lo, out):
    """Sums over the rows first to last of some columns of x, from lo on, written to out."""
    n = out.shape[0]
    out[:] = 0
    for i in range(first, last):
        row = x[i, lo : lo + n]
        for j in range(n):
            out[j] += row[j]


@kernel
def copy_rows(x, out):
    """out = x; an assignment of slices would compile a broadcast as well."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j]


@kernel
def negative_phase(machine, rule, key, first_row, state, v, h):
    """Gibbs steps of some chains.

    Both sides are sampled in every step, so the chain is the one whose stationary
    distribution is the machine's. Only the last hidden step enters the statistics by its
    means: that has the same expectation and less variance.

    Where the data are means themselves (grey levels, the means of the layer below), samples
    would have a variance that the data lack, and learning would shrink the weights to make
    up for it. So with `mean_field` the visible units are reconstructed by their means
    (Hinton, 2012, section 3.2).

    Parameters
    ----------
    machine, rule : Machine, Rule
    key : uint32, of this update
    first_row : int, number of the first chain
    state : array (n_chains, n_hidden), hidden samples to begin with; of persistent chains
        replaced by new ones, drawn after the last visible step
    v : array (n_chains, n_visible), written: the last visible samples
    h : array (n_chains, n_hidden), written: means of the hidden units given v
    """
    for step in range(rule.n_gibbs_steps):
        mean_visible(machine, state, v)
        if rule.mean_field == 0:
            sample(machine.visible, derive(key, 2 * step + 1), first_row, v)
        mean_hidden(machine, v, h)
        if rule.persistent == 1 or step + 1 < rule.n_gibbs_steps:
            copy_rows(h, state)
            sample(machine.hidden, derive(key, 2 * step + 2), first_row, state)


@routine
def phases_block(source, rows, layers, machine, rule, key, work, n_chains, block):
    """The block-th piece of both phases: rows with their chains, or persistent chains.

    Parameters
    ----------
    source : gather.Source
    rows : int64 array (size,), the minibatch
    layers : feed_forward.Layers, of which the first are below the machine
    machine, rule : Machine, Rule
    key : uint32, of this update
    work : Workspace, overwritten
    n_chains : int
    block : int
    """
    size, n_row_blocks, sums = rows.shape[0], work.lower.shape[0], work.h_sums[block]
    sums[:] = 0
    if block < n_row_blocks:
        lo, hi = block * size // n_row_blocks, (block + 1) * size // n_row_blocks
        if lo == hi:
            return
        h = work.h[lo:hi]
        forward_rows(source, rows[lo:hi], layers, machine.layer, work.lower[block], work.v[lo:hi])
        if rule.mean_field == 0 and machine.visible != IDENTITY:
            # Values between those of the units are read as means; it is samples of them
            # that a chain of samples can be compared with. Binary values stay as they are.
            sample(machine.visible, derive(key, 2 * rule.n_gibbs_steps + 1), lo, work.v[lo:hi])
        mean_hidden(machine, work.v[lo:hi], h)
        sum_columns(work.h, lo, hi, 0, sums[0])
        if rule.persistent == 1:
            return
        copy_rows(h, work.chains[lo:hi])
        sample(machine.hidden, derive(key, 0), lo, work.chains[lo:hi])
    else:
        n_blocks, block = work.h_sums.shape[0] - n_row_blocks, block - n_row_blocks
        lo, hi = block * n_chains // n_blocks, (block + 1) * n_chains // n_blocks
    v, h = work.v[size + lo : size + hi], work.h[size + lo : size + hi]
    negative_phase(machine, rule, key, lo, work.chains[lo:hi], v, h)
    sum_columns(work.h, size + lo, size + hi, 0, sums[1])
    # The product is divided by the rows of the minibatch, this phase belongs over n_chains.
    scale = h.dtype.type(-size / n_chains)
    for i in range(h.shape[0]):
        for j in range(h.shape[1]):
            h[i, j] *= scale


@kernel
def dot(x, y):
    """The sum of the products of two rows."""
    total = x.dtype.type(0.0)
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@kernel
def centered_rows(n_rows):
    """Rows with the two of the centering, and with zeros up to a multiple of four.

    Small products take four terms at a time.
    """
    return (n_rows + 5) // 4 * 4


@routine
def begin_update(machine, rule, step, work, size, n_chains):
    """<h>_data and <h>_data - <h>_model from the sums of the blocks; h's rows of the centering.

    Returns
    -------
    n_rows : int, how many rows of v and h the gradient is a product of
    """
    n_blocks, n_hidden, n_rows = work.h_sums.shape[0], work.h_pos.shape[0], size + n_chains
    real = work.h_pos.dtype.type
    for j in range(n_hidden):
        pos, neg = real(0.0), real(0.0)
        for block in range(n_blocks):
            pos += work.h_sums[block, 0, j]
            neg += work.h_sums[block, 1, j]
        work.h_pos[j] = pos / real(size)
        work.h_gap[j] = work.h_pos[j] - neg / real(n_chains)
    if rule.offset_rate == 0.0:
        return n_rows
    if step == 0:
        for j in range(n_hidden):
            machine.lam[j] = work.h_pos[j]
    for j in range(n_hidden):
        work.h[n_rows, j] = work.h_gap[j]
        work.h[n_rows + 1, j] = machine.lam[j]
    end = centered_rows(n_rows)
    work.h[n_rows + 2 : end] = 0
    for i in range(end):
        work.h_lam[i] = dot(work.h[i], machine.lam)
    return end


@kernel
def center_block(machine, work, scale, at, n_rows, lo, hi, v_mu):
    """v's rows of the centering, and the products with mu, for some visible units."""
    for i in range(lo, hi):
        work.v[at, i] = -machine.mu[i] / scale
        work.v[at + 1, i] = -work.v_gap[i] / scale
    for i in range(n_rows):
        v_mu[i] = scale * dot(work.v[i, lo:hi], machine.mu[lo:hi])


@kernel
def step_visible(machine, rule, rate, momentum, work, scale, n_rows, lo, hi):
    """Update of the biases and offsets of some visible units.

    Returns
    -------
    squares : the sum of squares of the biases' gradient
    """
    real = machine.W.dtype.type
    x, squares = work.v_gap[lo:hi], real(0.0)
    if rule.offset_rate > 0.0:
        for i in range(n_rows):
            share, row = scale * work.h_lam[i], work.v[i, lo:hi]
            for j in range(hi - lo):
                x[j] -= share * row[j]
    for j in range(hi - lo):
        squares += x[j] * x[j]
        velocity = momentum * machine.velocity_b[lo + j] + rate * x[j]
        machine.velocity_b[lo + j] = velocity
        machine.b[lo + j] += velocity
        machine.mu[lo + j] += real(rule.offset_rate) * (work.v_pos[lo + j] - machine.mu[lo + j])
    return squares


@kernel
def step_weights(W, velocity, g, rate, momentum, l2, l1):
    """velocity = momentum velocity + rate (gradient - penalty's), W += velocity.

    Returns
    -------
    gradients, weights, steps : the sums of squares of the gradient, of the weights before the
        step and of the step
    """
    zero, one = W.dtype.type(0.0), W.dtype.type(1.0)
    g_squares, w_squares, step_squares = zero, zero, zero
    for k in range(W.shape[0]):
        w = W[k]
        sign = one if w > zero else (-one if w < zero else zero)
        step = momentum * velocity[k] + rate * (g[k] - l2 * w - l1 * sign)
        velocity[k] = step
        W[k] = w + step
        g_squares += g[k] * g[k]
        w_squares += w * w
        step_squares += step * step
    return g_squares, w_squares, step_squares


@routine
def update_block(machine, rule, rate, momentum, work, size, n_chains, n_rows, block):
    """Gradient and update of the block-th part of the visible units.

    The centered gradient (Montavon & Müller, 2012; Melchior, Fischer & Wiskott, 2016) is

        gradient W = <(v - mu) (h - lam)>_data - <(v - mu) (h - lam)>_model
        gradient b = <v>_data - <v>_model - gradient W lam
        gradient c = <h>_data - <h>_model - gradient W^T mu

    of which the first is the usual one less mu h_gap^T and v_gap lam^T: two rows more of the
    product v^T h. The products with lam and mu are those of v and h, which have fewer rows.

    Leaves in ``work.sums[block]`` the sums of squares of the weights' gradient (without
    penalty), weights, weights' step and visible biases' gradient.
    """
    real = machine.W.dtype.type
    n_blocks, n_visible = work.sums.shape[0], machine.W.shape[0]
    lo, hi = block * n_visible // n_blocks, (block + 1) * n_visible // n_blocks
    scale, rate, momentum = real(1.0 / size), real(rate), real(momentum)
    v_gap, v_pos = work.v_gap[lo:hi], work.v_pos[lo:hi]
    sum_columns(work.v, 0, size, lo, v_pos)
    sum_columns(work.v, size, size + n_chains, lo, v_gap)
    for i in range(hi - lo):
        v_pos[i] *= scale
        v_gap[i] = v_pos[i] - v_gap[i] / real(n_chains)
    if rule.offset_rate > 0.0:
        center_block(machine, work, scale, size + n_chains, n_rows, lo, hi, work.v_mu[block])
    g = work.gradient[lo:hi]
    product_tn(scale, work.v[:n_rows, lo:hi], work.h[:n_rows], real(0.0), g)
    sums, n = work.sums[block], (hi - lo) * machine.W.shape[1]
    W, velocity = machine.W[lo:hi].reshape(n), machine.velocity_W[lo:hi].reshape(n)
    sums[0], sums[1], sums[2] = step_weights(
        W, velocity, g.reshape(n), rate, momentum, real(rule.l2), real(rule.l1)
    )
    sums[3] = step_visible(machine, rule, rate, momentum, work, scale, n_rows, lo, hi)


@routine(fastmath=EXACT)
def end_update(machine, rule, rate, momentum, work, n_rows, norms):
    """Update of the hidden biases and offsets; the minibatch's part of the trace.

    Parameters
    ----------
    machine : Machine, updated
    rule : Rule
    rate, momentum : float
    work : Workspace
    n_rows : int, see `begin_update`
    norms : float64 array (3,), updated: norms of the weights' and biases' gradient, norm of
        the weights' step over that of the weights
    """
    real = machine.W.dtype.type
    if rule.offset_rate > 0.0:
        for i in range(n_rows):
            v_mu = real(0.0)
            for block in range(work.v_mu.shape[0]):
                v_mu += work.v_mu[block, i]
            for j in range(machine.c.shape[0]):
                work.h_gap[j] -= v_mu * work.h[i, j]
    c_squares = 0.0
    for j in range(machine.c.shape[0]):
        x = work.h_gap[j]
        c_squares += x * x
        machine.velocity_c[j] = real(momentum) * machine.velocity_c[j] + real(rate) * x
        machine.c[j] += machine.velocity_c[j]
        machine.lam[j] += real(rule.offset_rate) * (work.h_pos[j] - machine.lam[j])
    g_squares, w_squares, step_squares, b_squares = 0.0, 0.0, 0.0, 0.0
    for block in range(work.sums.shape[0]):
        g_squares += work.sums[block, 0]
        w_squares += work.sums[block, 1]
        step_squares += work.sums[block, 2]
        b_squares += work.sums[block, 3]
    norms[0] += math.sqrt(g_squares)
    norms[1] += math.sqrt(b_squares + c_squares)
    norms[2] += math.sqrt(step_squares / w_squares) if w_squares > 0.0 else 0.0


@twins
def train_machine(source, order, batch, layers, machine, rule, rate, first_step, work, norms):
    """Minibatch after minibatch: gather, both phases, update, measure.

    Parameters
    ----------
    source : gather.Source
    order : int64 array, the samples in the order they are to be visited
    batch : int, rows of a minibatch; the last one may be short
    layers : feed_forward.Layers, of which the first are below the machine
    machine : Machine, updated
    rule : Rule
    rate : float, learning rate
    first_step : int, updates made before this call
    work : Workspace, overwritten but for persistent chains, which go on
    norms : see `end_update`
    """
    n_batches = (order.shape[0] + batch - 1) // batch
    for k in range(n_batches):
        rows = order[k * batch : min((k + 1) * batch, order.shape[0])]
        size, step = rows.shape[0], first_step + k
        n_chains = work.chains.shape[0] if rule.persistent == 1 else size
        key = derive(rule.seed, step)
        momentum = momentum_at(step, rule.momentum)
        for block in prange(work.h_sums.shape[0]):
            phases_block(source, rows, layers, machine, rule, key, work, n_chains, block)
        n_rows = begin_update(machine, rule, step, work, size, n_chains)
        for block in prange(work.sums.shape[0]):
            update_block(machine, rule, rate, momentum, work, size, n_chains, n_rows, block)
        end_update(machine, rule, rate, momentum, work, n_rows, norms)


@kernel
def free_energy(machine, v, x):
    """-log sum_h exp(-E(v, h)) of one row.

    Parameters
    ----------
    machine : Machine
    v : array (n_visible,)
    x : array (n_hidden,), v W + c
    """
    energy = 0.0
    for i in range(v.shape[0]):
        if machine.visible == IDENTITY:
            gap = np.float64(v[i]) - np.float64(machine.b[i])
            energy += 0.5 * gap * gap
        else:
            energy -= np.float64(v[i]) * np.float64(machine.b[i])
    for j in range(x.shape[0]):
        energy -= np.float64(log_partition(machine.hidden, x[j]))
    return energy


@entry
def probe_machine(source, rows, layers, machine, out):
    """What a machine makes of a few rows.

    Parameters
    ----------
    source : gather.Source
    rows : int64 array (n_rows,)
    layers : feed_forward.Layers, of which the first are below the machine
    machine : Machine
    out : float64 array (7,), written: mean, standard deviation, saturated and dead fraction
        of the hidden means; divergence of the mean-field reconstruction from the input, in
        nats a row, its mean squared error a unit; mean free energy
    """
    n, n_visible, n_hidden = rows.shape[0], machine.W.shape[0], machine.W.shape[1]
    widest = layers.units[: machine.layer + 1].max()
    work = np.empty((2, n * widest), layers.theta.dtype)
    v = np.empty((n, n_visible), layers.theta.dtype)
    x = np.empty((n, n_visible), layers.theta.dtype)
    h = np.empty((n, n_hidden), layers.theta.dtype)
    forward_rows(source, rows, layers, machine.layer, work, v)
    product_nn(v, machine.W, h)
    to_means(IDENTITY, h, machine.c)
    energy = 0.0
    for i in range(n):
        energy += free_energy(machine, v[i], h[i])
    out[FREE_ENERGY] = energy / n
    nothing = np.zeros(max(n_visible, n_hidden), layers.theta.dtype)
    to_means(machine.hidden, h, nothing)
    layer_health(machine.hidden, h, out[:4])
    product_nt(h, machine.W, x)
    to_means(IDENTITY, x, machine.b)
    nats, squares = 0.0, 0.0
    for i in range(n):
        nats += divergence(machine.visible, v[i], x[i])
    to_means(machine.visible, x, nothing)
    for i in range(n):
        for j in range(n_visible):
            squares += np.float64(v[i, j] - x[i, j]) ** 2
    out[KL] = nats / n
    out[MSE] = squares / (n * n_visible)
