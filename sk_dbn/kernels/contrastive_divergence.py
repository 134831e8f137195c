"""Epochs of (persistent) contrastive divergence in one compiled call.

A minibatch takes two parallel regions: blocks of rows and of chains go through both
phases, then blocks of visible units form their gradient with one product over both phases
and are updated while in cache. The blocks follow from the shape of the problem, so the
number of threads does not change a bit of the result.

The energy of a machine is E(v, h) = -b v - c h - v W h for binary visible units and
E(v, h) = |v - b|^2 / 2 - c h - v W h for Gaussian ones. Given the other side, the mean of a
unit is logistic(x) when it takes the values 0 and 1, tanh(x) when it takes -1 and 1, and x
when it is Gaussian: so a kind of unit is named by the code of its activation.
"""

import math
from collections import namedtuple

import numpy as np
from numba import prange

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, TANH
from sk_dbn.kernels.compile import EXACT, entry, kernel, twins
from sk_dbn.kernels.elementary import exp, log1p, tanh
from sk_dbn.kernels.feed_forward import forward_rows
from sk_dbn.kernels.products import product_nn, product_nt, product_tn
from sk_dbn.kernels.random_bits import add_standard_normal, bits, derive
from sk_dbn.kernels.statistics import layer_health

u32 = np.uint32

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
    "Workspace", "v h chains lower gradient h_sums h_pos h_gap v_pos v_gap lam c_sums sums"
)
Workspace.__doc__ = """Buffers of one training run, allocated once.

v, h : arrays (batch + n_chains, n_visible) and (batch + n_chains, n_hidden), first the
    positive phase, then the negative one
chains : array (n_chains, n_hidden), the hidden samples that the chains have come to
lower : array (n_row_blocks, 2, block_rows * widest layer below)
gradient : array (n_visible, n_hidden)
h_sums : array (n_row_blocks + n_chain_blocks, 2, n_hidden), sums of either phase's h
h_pos, v_pos : arrays (n_hidden,) and (n_visible,), means of the positive phase
h_gap, v_gap : arrays (n_hidden,) and (n_visible,), <h>_data - <h>_model, likewise v
lam : array (n_hidden,), the machine's lam, or zeros without centering
c_sums : array (n_unit_blocks, n_hidden), gradient^T mu of each block
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


@kernel(fastmath=EXACT)
def to_means(kind, z, bias):
    """Turn products into means of units of a kind, in place.

    The three kinds of `activations.activate` that units have; that function's other ones
    would be compiled into every place where it is called.

    Parameters
    ----------
    kind : int
    z : array (n_rows, n_units), updated
    bias : array (n_units,)
    """
    one = z.dtype.type(1.0)
    for i in range(z.shape[0]):
        if kind == LOGISTIC:
            for j in range(z.shape[1]):
                z[i, j] = one / (one + exp(-(z[i, j] + bias[j])))
        elif kind == TANH:
            for j in range(z.shape[1]):
                z[i, j] = tanh(z[i, j] + bias[j])
        else:
            for j in range(z.shape[1]):
                z[i, j] += bias[j]


@kernel(fastmath=EXACT)
def sample(kind, key, first_row, state):
    """Replace means of units by draws.

    Parameters
    ----------
    kind : int, kind of the units
    key : uint32
    first_row : int, number of the first row within the minibatch or among the chains
    state : array (n_rows, n_units), updated
    """
    if kind == IDENTITY:
        add_standard_normal(key, first_row, state)
        return
    real = state.dtype.type
    # A unit of -1 and 1 with mean m is 1 with probability (1 + m) / 2.
    is_logistic = kind == LOGISTIC
    low, base, slope = (0.0, 0.0, 1.0) if is_logistic else (-1.0, 0.5, 0.5)
    low, base, slope, one, scale = real(low), real(base), real(slope), real(1.0), real(2.0**-24)
    for i in range(state.shape[0]):
        row_key = derive(key, i + first_row)
        for j in range(state.shape[1]):
            u = real(np.int32(bits(key, row_key, j) >> u32(8))) * scale
            state[i, j] = one if u < base + slope * state[i, j] else low


@kernel
def mean_hidden(machine, v, out):
    """Means of the hidden units given the visible ones, written to out."""
    real = out.dtype.type
    product_nn(real(1.0), v, machine.W, real(0.0), out)
    to_means(machine.hidden, out, machine.c)


@kernel
def mean_visible(machine, h, out):
    """Means of the visible units given the hidden ones, written to out."""
    real = out.dtype.type
    product_nt(real(1.0), h, machine.W, real(0.0), out)
    to_means(machine.visible, out, machine.b)


@kernel(fastmath=EXACT)
def add_up(h, sums):
    """Sums over the rows of h, written to sums."""
    sums[:] = 0
    for i in range(h.shape[0]):
        for j in range(h.shape[1]):
            sums[j] += h[i, j]


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
            state[:] = h
            sample(machine.hidden, derive(key, 2 * step + 2), first_row, state)


@kernel
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
        add_up(h, sums[0])
        if rule.persistent == 1:
            return
        work.chains[lo:hi] = h
        sample(machine.hidden, derive(key, 0), lo, work.chains[lo:hi])
    else:
        n_blocks, block = work.h_sums.shape[0] - n_row_blocks, block - n_row_blocks
        lo, hi = block * n_chains // n_blocks, (block + 1) * n_chains // n_blocks
    v, h = work.v[size + lo : size + hi], work.h[size + lo : size + hi]
    negative_phase(machine, rule, key, lo, work.chains[lo:hi], v, h)
    add_up(h, sums[1])
    # The product is divided by the rows of the minibatch, this phase belongs over n_chains.
    scale = h.dtype.type(-size / n_chains)
    for i in range(h.shape[0]):
        for j in range(h.shape[1]):
            h[i, j] *= scale


@kernel(fastmath=EXACT)
def begin_update(machine, rule, step, work, size, n_chains):
    """<h>_data and <h>_data - <h>_model from the sums of the blocks."""
    n_blocks, n_hidden = work.h_sums.shape[0], work.h_pos.shape[0]
    real = work.h_pos.dtype.type
    for j in range(n_hidden):
        pos, neg = real(0.0), real(0.0)
        for block in range(n_blocks):
            pos += work.h_sums[block, 0, j]
            neg += work.h_sums[block, 1, j]
        work.h_pos[j] = pos / real(size)
        work.h_gap[j] = work.h_pos[j] - neg / real(n_chains)
    work.lam[:] = 0
    if rule.offset_rate > 0.0:
        if step == 0:
            machine.lam[:] = work.h_pos
        work.lam[:] = machine.lam


@kernel
def dot(x, y):
    """The sum of the products of two rows."""
    total = x.dtype.type(0.0)
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@kernel(fastmath=EXACT)
def center_row(row, mu, h_gap, gap, lam, part):
    """row -= mu h_gap + gap lam, and its part of gradient^T mu."""
    for j in range(row.shape[0]):
        row[j] = row[j] - mu * h_gap[j] - gap * lam[j]
    for j in range(row.shape[0]):
        part[j] += mu * row[j]


@kernel(fastmath=EXACT)
def step_row(W, velocity, row, rate, momentum, l2, l1):
    """velocity = momentum velocity + rate (gradient - penalty's), W += velocity."""
    zero, one = W.dtype.type(0.0), W.dtype.type(1.0)
    for j in range(W.shape[0]):
        sign = one if W[j] > zero else (-one if W[j] < zero else zero)
        velocity[j] = momentum * velocity[j] + rate * (row[j] - l2 * W[j] - l1 * sign)
        W[j] += velocity[j]


@kernel
def update_block(machine, rule, rate, momentum, work, size, n_chains, block):
    """Gradient and update of the block-th part of the visible units.

    The centered gradient (Montavon & Müller, 2012; Melchior, Fischer & Wiskott, 2016) is

        gradient W = <(v - mu) (h - lam)>_data - <(v - mu) (h - lam)>_model
        gradient b = <v>_data - <v>_model - gradient W lam
        gradient c = <h>_data - <h>_model - gradient W^T mu

    of which the first is the usual one less mu h_gap^T and v_gap lam^T.

    Leaves in ``work.sums[block]`` the sums of squares of the weights' gradient (without
    penalty), weights, weights' step and visible biases' gradient.
    """
    real = machine.W.dtype.type
    n_blocks, n_visible, n = work.sums.shape[0], machine.W.shape[0], size + n_chains
    lo, hi = block * n_visible // n_blocks, (block + 1) * n_visible // n_blocks
    g, v_gap, part = work.gradient[lo:hi], work.v_gap[lo:hi], work.c_sums[block]
    product_tn(real(1.0 / size), work.v[:n, lo:hi], work.h[:n], real(0.0), g)
    v_pos, is_centered = work.v_pos[lo:hi], rule.offset_rate > 0.0
    h_gap, lam = work.h_gap, work.lam
    v_pos[:] = 0
    v_gap[:] = 0
    for i in range(size):
        for j in range(hi - lo):
            v_pos[j] += work.v[i, lo + j]
    for i in range(size, n):
        for j in range(hi - lo):
            v_gap[j] += work.v[i, lo + j]
    part[:] = 0
    rate, momentum = real(rate), real(momentum)
    l2, l1, zero = real(rule.l2), real(rule.l1), real(0.0)
    g_squares, w_squares, step_squares, b_squares = zero, zero, zero, zero
    for i in range(hi - lo):
        v_pos[i] /= real(size)
        v_gap[i] = v_pos[i] - v_gap[i] / real(n_chains)
        mu, gap = machine.mu[lo + i] if is_centered else zero, v_gap[i]
        row, W, velocity = g[i], machine.W[lo + i], machine.velocity_W[lo + i]
        center_row(row, mu, h_gap, gap, lam, part)
        g_squares += dot(row, row)
        w_squares += dot(W, W)
        g_lam = dot(row, lam)
        step_row(W, velocity, row, rate, momentum, l2, l1)
        step_squares += dot(velocity, velocity)
        x = gap - g_lam
        b_squares += x * x
        machine.velocity_b[lo + i] = momentum * machine.velocity_b[lo + i] + rate * x
        machine.b[lo + i] += machine.velocity_b[lo + i]
        machine.mu[lo + i] += real(rule.offset_rate) * (v_pos[i] - mu)
    sums = work.sums[block]
    sums[0], sums[1], sums[2], sums[3] = g_squares, w_squares, step_squares, b_squares


@kernel(fastmath=EXACT)
def end_update(machine, rule, rate, momentum, work, norms):
    """Update of the hidden biases and offsets; the minibatch's part of the trace.

    Parameters
    ----------
    machine : Machine, updated
    rule : Rule
    rate, momentum : float
    work : Workspace
    norms : float64 array (3,), updated: norms of the weights' and biases' gradient, norm of
        the weights' step over that of the weights
    """
    real = machine.W.dtype.type
    c_squares = 0.0
    for j in range(machine.c.shape[0]):
        x = work.h_gap[j]
        for block in range(work.c_sums.shape[0]):
            x -= work.c_sums[block, j]
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
        begin_update(machine, rule, step, work, size, n_chains)
        for block in prange(work.sums.shape[0]):
            update_block(machine, rule, rate, momentum, work, size, n_chains, block)
        end_update(machine, rule, rate, momentum, work, norms)


@kernel
def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return (x if x > 0 else x - x) + log1p(exp(-abs(x)))


@kernel
def log_partition(kind, x):
    """log of the sum of exp(x h) over the values h of a hidden unit."""
    if kind == LOGISTIC:
        return softplus(x)
    return abs(x) + log1p(exp(-abs(x) - abs(x)))  # log(2 cosh x)


@kernel
def divergence(kind, v, p):
    """Kullback-Leibler divergence of a mean p from an observed mean v, in nats."""
    if kind == IDENTITY:
        return 0.5 * (v - p) * (v - p)
    tiny = 2.0**-24
    if kind != LOGISTIC:
        v, p = 0.5 + 0.5 * v, 0.5 + 0.5 * p
    p = tiny if p < tiny else p
    p = 1.0 - tiny if p > 1.0 - tiny else p
    nats = 0.0
    if v > 0.0:
        nats += v * math.log(v / p)
    if v < 1.0:
        nats += (1.0 - v) * math.log((1.0 - v) / (1.0 - p))
    return nats


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
    v_mean = np.empty((n, n_visible), layers.theta.dtype)
    h = np.empty((n, n_hidden), layers.theta.dtype)
    real = layers.theta.dtype.type
    forward_rows(source, rows, layers, machine.layer, work, v)
    product_nn(real(1.0), v, machine.W, real(0.0), h)
    to_means(IDENTITY, h, machine.c)
    energy = 0.0
    for i in range(n):
        energy += free_energy(machine, v[i], h[i])
    out[FREE_ENERGY] = energy / n
    to_means(machine.hidden, h, np.zeros_like(machine.c))
    layer_health(machine.hidden, h, out[:4])
    mean_visible(machine, h, v_mean)
    nats, squares = 0.0, 0.0
    for i in range(n):
        for j in range(n_visible):
            x, p = np.float64(v[i, j]), np.float64(v_mean[i, j])
            nats += divergence(machine.visible, x, p)
            squares += (x - p) * (x - p)
    out[KL] = nats / n
    out[MSE] = squares / (n * n_visible)
