"""Epochs of contrastive divergence, plain, persistent, fast or tempered, in one compiled call.

A minibatch takes two parallel stages: blocks of rows and of chains go through both phases, then
blocks of visible units form their gradient with one product over both phases and are updated
while in cache. Where the length of steps or of weights is limited, that takes one more stage
each. The blocks follow from the shape of the problem, so the number of threads does not change
a bit of the result.

The energy of a machine is E(v, h) = -b v - c h - v W h for visible units of any kind but
Gaussian ones, of which unit i has the variance s_i: sum_i (v_i - b_i)^2 / (2 s_i) - c h -
sum_i v_i / s_i (W h)_i (Cho, Ilin & Raiko, 2011, equation 2). Where visible units of both kinds
stand side by side, each adds the terms of its kind (Welling, Rosen-Zvi & Hinton, 2005).
"""

import math
from collections import namedtuple

import numpy as np

from sk_dbn.kernels.activations import IDENTITY, RELU, TANH
from sk_dbn.kernels.blocks import in_blocks, twins
from sk_dbn.kernels.compile import EXACT, entry, kernel, routine
from sk_dbn.kernels.elementary import exp
from sk_dbn.kernels.feed_forward import forward_rows, widest_layer
from sk_dbn.kernels.memory import in_memory
from sk_dbn.kernels.products import product_nn, product_nt, product_tn
from sk_dbn.kernels.random_bits import bits, derive, fill_normal
from sk_dbn.kernels.statistics import layer_health, sum_column_squares
from sk_dbn.kernels.units import (
    add_noise,
    divergence,
    drop,
    sample,
    sample_rectified,
    sum_log_partitions,
    to_means,
)

Machine = namedtuple(
    "Machine",
    "W b c variance velocity_W velocity_b velocity_c velocity_variance mu lam activity "
    "chain_W chain_b chain_c fast_W fast_b fast_c spans hidden layer",
)
Machine.__doc__ = """One restricted Boltzmann machine and what its training remembers.

W : array (n_visible, n_hidden)
b, c : arrays (n_visible,) and (n_hidden,), biases
variance : array (n_visible,), of Gaussian visible units, 1 for others beside them; (0,) where
    no unit is Gaussian
velocity_W, velocity_b, velocity_c, velocity_variance : arrays like W, b, c and variance
mu, lam : arrays (n_visible,) and (n_hidden,), offsets of the centered gradient
activity : array (n_hidden,), running mean of the hidden units' means
chain_W, chain_b, chain_c : what the negative phase runs on: W, b, c themselves, or with the
    fast weights added
fast_W, fast_b, fast_c : arrays like W, b, c, or (0, 0), (0,) and (0,) without fast weights
spans : int64 array (n_spans, 3), ranges of visible units of one kind: first, end and kind
hidden : int, kind of the hidden units
    Kinds are LOGISTIC (0 and 1), TANH (-1 and 1), IDENTITY (Gaussian) and RELU.
layer : int, how many layers lie below
"""

Rule = namedtuple(
    "Rule",
    "persistent mean_field n_gibbs_steps seed momentum l2 l1 offset_rate fast_rate "
    "sparsity_target sparsity_cost dropout max_norm variance_rate most_step",
)
Rule.__doc__ = """How a machine is trained.

persistent : int, 1 when the chains go on from one update to the next
mean_field : int, 1 when the visible units are reconstructed by means instead of samples
n_gibbs_steps : int
seed : int, key of the machine's random numbers
momentum : float, the most it rises to
l2, l1 : float, decay of the weights
offset_rate : float, share of a minibatch in the new offsets; 0 for no centering
fast_rate : float, learning rate of the fast weights; 0 for none
sparsity_target : float, what the hidden units' mean activity is drawn to
sparsity_cost : float, how strongly; 0 for not at all
dropout : float, share of the hidden units dropped for each row; the others count for more
max_norm : float, the most a hidden unit's weights may have as norm; 0 for any
variance_rate : float, learning rate of the variances' logarithms over that of the weights
most_step : float, the most that a minibatch may change the weights by, as a share of their
    norm; 0 for any
"""

Update = namedtuple("Update", "key rate momentum step size n_chains n_rows")
Update.__doc__ = """One update of a machine.

key : uint32, of its random numbers
rate, momentum : float
step : int, updates made before
size, n_chains : int, rows of the positive and of the negative phase
n_rows : int, rows that the gradient is a product of, those of the centering included
"""

Workspace = namedtuple(
    "Workspace",
    "v h u chains betas ladder_v ladder_u ladder_h ladder_b ladder_c h_mu lower gradient h_sums "
    "h_pos h_gap h_lam v_mu v_pos v_gap v_squares push column_squares sums share",
)
Workspace.__doc__ = """Buffers of one training run, allocated once.

v, h : arrays (n_rows, n_visible) and (n_rows, n_hidden), first the positive phase, then the
    negative one, then those of the centering, see `center_block`
u : array like v, values over their variances; (0, n_visible) where no unit is Gaussian
chains : array (n_chains * n_temperatures, n_hidden), the hidden samples that the chains have
    come to, those of the first temperature first
betas : array (n_temperatures,), inverse temperatures, from 1 down
ladder_v, ladder_u, ladder_h : arrays (n_chains * n_temperatures, n_visible), likewise, and
    (..., n_hidden); without rows where they are not needed
ladder_b, ladder_c : arrays (n_temperatures, n_visible) and (n_temperatures, n_hidden), biases
    of each temperature
h_mu : array (n_hidden,), the hidden units' products given the visible ones' offsets
lower : array (n_row_blocks, 2, block_rows * widest layer below)
gradient : array (n_visible, n_hidden)
h_sums : array (n_row_blocks + n_chain_blocks, 2, n_hidden), sums of either phase's h
h_pos, v_pos : arrays (n_hidden,) and (n_visible,), means of the positive phase
h_gap, v_gap : arrays (n_hidden,) and (n_visible,), <h>_data - <h>_model, likewise v
h_lam : array (n_rows,), products of the rows of h with lam
v_mu : array (n_unit_blocks, n_rows), of v with mu, by block
v_squares : array like machine.variance, <(v - b)^2>_data - <(v - b)^2>_model
push : array (n_hidden,), what the sparsity target adds to the positive phase's h
column_squares : float64 array (n_unit_blocks, n_hidden), sums of squares of each unit's weights,
    of which single precision cannot hold those of large weights
sums : float64 array (n_unit_blocks, 4), see `gradient_block` and `step_block`
share : float64 array (1,), what is left of a step that would be too long
"""

# What `probe_machine` writes, in this order.
MEAN, STD, SATURATED, DEAD, KL, MSE, FREE_ENERGY, FREE_ENERGY_SQUARE = range(8)

CENTERING_ROWS = 2  # of the product that the gradient is, see `gradient_block`
MOMENTUM_PERIOD = 250  # updates, see `momentum_at`
ACTIVITY_DECAY = 0.95  # of the running mean of activities (Hinton, 2012, section 11)
FAST_DECAY = 0.95  # of the fast weights (Tieleman & Hinton, 2009, section 3)
NOISE_KEY = 1  # of Gaussian units, where units beside them take the bits of the other key
CHAIN_ROWS = 2**24  # added to a persistent chain's number where rows and chains draw alike
LEAST_VARIANCE = 1e-2  # of a standardised feature, given the hidden units; 1 is the most


@kernel
def momentum_at(step, most):
    """The momentum of an update (Sutskever, Martens, Dahl & Hinton, 2013, equation 5)."""
    # 1 - 2^(-1 - log2(floor(t / 250) + 1)): 0.5 for the first 250 updates, then rising.
    return min(most, 1.0 - 0.5 / (step // MOMENTUM_PERIOD + 1))


@kernel
def divide_columns(v, variance, out):
    """out = v / variance."""
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            out[i, j] = v[i, j] / variance[j]


@kernel
def hidden_products(machine, W, v, u, out):
    """The hidden units' products given the visible ones, without biases, written to out.

    Parameters
    ----------
    machine : Machine
    W : array (n_visible, n_hidden), its weights or those of the negative phase
    v : array (n_rows, n_visible)
    u : array like v, overwritten when the units are Gaussian
    out : array (n_rows, n_hidden), written
    """
    if machine.variance.shape[0] > 0:
        divide_columns(v, machine.variance, u)
        product_nn(u, W, out)
    else:
        product_nn(v, W, out)


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
def finish_hidden(machine, c, rule, key, drop_key, first_row, drop_row, is_drawn, h, state):
    """From products to means of the hidden units, and to draws of them where asked for.

    Parameters
    ----------
    machine, rule : Machine, Rule
    c : array (n_hidden,), the hidden units' biases
    key, drop_key : uint32, of the draws and of the dropout
    first_row, drop_row : int, number of the first row in either
    is_drawn : bool
    h : array (n_rows, n_hidden), products; means on return
    state : array like h, written when `is_drawn`
    """
    if is_drawn and machine.hidden == RELU:
        sample_rectified(key, first_row, c, h, state)
    to_means(machine.hidden, h, c, 0, h.shape[1])
    if is_drawn and machine.hidden != RELU:
        copy_rows(h, state)
        sample(machine.hidden, key, first_row, state, 0, h.shape[1])
    if rule.dropout > 0.0:
        drop(drop_key, drop_row, rule.dropout, h)
        if is_drawn:
            drop(drop_key, drop_row, rule.dropout, state)


@kernel
def sample_means(machine, key, first_row, v):
    """Replace means by draws where visible units are not Gaussian.

    Parameters
    ----------
    machine : Machine
    key : uint32
    first_row : int, number of the first row
    v : array (n_rows, n_visible), updated
    """
    for s in range(machine.spans.shape[0]):
        lo, hi, kind = machine.spans[s, 0], machine.spans[s, 1], machine.spans[s, 2]
        if kind != IDENTITY:
            sample(kind, key, first_row, v, lo, hi)


@kernel
def draw_visible(machine, b, key, first_row, is_drawn, u, v):
    """From products to means of the visible units, or to draws of them.

    Gaussian units are always drawn, since the noise is a part of what they model.

    Parameters
    ----------
    machine : Machine
    b : array (n_visible,), the visible units' biases
    key : uint32
    first_row : int, number of the first row
    is_drawn : bool
    u : array like v, overwritten where there are Gaussian units
    v : array (n_rows, n_visible), products; means or draws on return
    """
    if machine.variance.shape[0] > 0:
        is_mixed = machine.spans.shape[0] > 1
        fill_normal(derive(key, NOISE_KEY) if is_mixed else key, first_row, u)
    for s in range(machine.spans.shape[0]):
        lo, hi, kind = machine.spans[s, 0], machine.spans[s, 1], machine.spans[s, 2]
        to_means(kind, v, b, lo, hi)
        if kind == IDENTITY:
            add_noise(machine.variance, u, v, lo, hi)
        elif is_drawn:
            sample(kind, key, first_row, v, lo, hi)


@kernel
def negative_phase(machine, rule, key, first_row, drop_row, state, v, u, h):
    """Gibbs steps of some chains.

    Both sides are sampled in every step, so the chain is the one whose stationary
    distribution is the machine's. Only the last hidden step enters the statistics by its
    means: that has the same expectation and less variance.

    Where the data are means themselves (grey levels, the means of the layer below), samples
    would have a variance that the data lack, and learning would shrink the weights to make
    up for it. So with `mean_field` the visible units are reconstructed by their means
    (Hinton, 2012, section 3.2), all but Gaussian ones.

    Parameters
    ----------
    machine, rule : Machine, Rule
    key : uint32, of this update
    first_row : int, number of the first chain
    drop_row : int, its number for the dropout
    state : array (n_chains, n_hidden), hidden samples to begin with; of persistent chains
        replaced by new ones, drawn after the last visible step
    v : array (n_chains, n_visible), written: the last visible samples
    u : array like v or (0, n_visible), overwritten
    h : array (n_chains, n_hidden), written: means of the hidden units given v
    """
    drop_key = derive(key, 2 * rule.n_gibbs_steps + 2)
    for step in range(rule.n_gibbs_steps):
        product_nt(state, machine.chain_W, v)
        use = derive(key, 2 * step + 1)
        draw_visible(machine, machine.chain_b, use, first_row, rule.mean_field == 0, u, v)
        hidden_products(machine, machine.chain_W, v, u, h)
        is_drawn = rule.persistent == 1 or step + 1 < rule.n_gibbs_steps
        use = derive(key, 2 * step + 2)
        finish_hidden(
            machine, machine.chain_c, rule, use, drop_key, first_row, drop_row, is_drawn, h, state
        )


@kernel
def scale_rows(x, factor, out):
    """out = factor x."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = factor * x[i, j]


@kernel
def add_row(row, x):
    """x += row, for each row of x."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] += row[j]


@kernel
def dot(x, y):
    """The sum of the products of two rows."""
    total = x.dtype.type(0.0)
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@kernel
def interaction(h, h_mu, state, offsets):
    """(v - mu) W (h - lam) of one chain, see `temper`."""
    total = 0.0
    for j in range(state.shape[0]):
        total += np.float64(h[j] - h_mu[j]) * np.float64(state[j] - offsets[j])
    return total


@kernel
def swap_neighbours(key, betas, parity, chain, n_chains, h_mu, offsets, state, h):
    """Exchange the states of one chain's neighbouring temperatures (Desjardins et al., 2010).

    Where the energies differ by (beta_b - beta_a) I, neighbours a and b change places with the
    probability min(1, exp((beta_a - beta_b) (I_b - I_a))), I being the interaction.

    Parameters
    ----------
    key : uint32
    betas : array (n_temperatures,)
    parity : int, 0 or 1: which pairs are looked at
    chain : int
    n_chains : int
    h_mu, offsets : arrays (n_hidden,), see `interaction`
    state : array (n_temperatures * n_chains, n_hidden), hidden samples, updated
    h : array like state, products v W, updated
    """
    row_key = derive(key, chain)
    for t in range(parity, betas.shape[0] - 1, 2):
        a, b = t * n_chains + chain, (t + 1) * n_chains + chain
        gap = interaction(h[b], h_mu, state[b], offsets)
        gap -= interaction(h[a], h_mu, state[a], offsets)
        u = (np.float64(bits(key, row_key, t)) + 0.5) * 2.0**-32
        if math.log(u) < (np.float64(betas[t]) - np.float64(betas[t + 1])) * gap:
            for j in range(state.shape[1]):
                state[a, j], state[b, j] = state[b, j], state[a, j]
                h[a, j], h[b, j] = h[b, j], h[a, j]


@routine
def temper(machine, work):
    """The biases that a machine has at each temperature.

    At an inverse temperature beta the interaction of the centered units is beta (v - mu) W
    (h - lam), lam being the running means of the hidden units: so at beta = 0 all units are
    independent and have the means of the data. Were the interaction of 0 and 1 alone taken
    away, biases that had made up for it would leave most units off, whatever the data are, and
    the hottest chains would not come by all states.

    Parameters
    ----------
    machine : Machine
    work : Workspace, of which ladder_b, ladder_c and h_mu are written
    """
    real, h_mu = machine.W.dtype.type, work.h_mu
    h_mu[:] = 0
    for i in range(machine.W.shape[0]):
        W, mu = machine.W[i], machine.mu[i]
        if machine.variance.shape[0] > 0:
            mu /= machine.variance[i]
        v_lam = dot(W, machine.activity)
        for j in range(W.shape[0]):
            h_mu[j] += mu * W[j]
        for t in range(work.betas.shape[0]):
            work.ladder_b[t, i] = machine.b[i] + (real(1.0) - work.betas[t]) * v_lam
    for t in range(work.betas.shape[0]):
        for j in range(h_mu.shape[0]):
            work.ladder_c[t, j] = machine.c[j] + (real(1.0) - work.betas[t]) * h_mu[j]


@routine
def tempered_block(machine, rule, key, work, n_chains, lo, hi, v, h):
    """Gibbs steps of some chains at every temperature, with exchanges between neighbours.

    Parameters
    ----------
    machine, rule : Machine, Rule
    key : uint32, of this update
    work : Workspace, as `temper` left it; chains, ladder_v and ladder_h are updated
    n_chains : int
    lo, hi : int, which chains
    v : array (hi - lo, n_visible), written: visible samples at the first temperature
    h : array (hi - lo, n_hidden), written: means of the hidden units given v
    """
    parity = np.int64(key & 1)
    for step in range(rule.n_gibbs_steps):
        v_key, h_key = derive(key, 2 * step + 1), derive(key, 2 * step + 2)
        for t in range(work.betas.shape[0]):
            first, end, beta = t * n_chains + lo, t * n_chains + hi, work.betas[t]
            state, v_t, h_t = (
                work.chains[first:end],
                work.ladder_v[first:end],
                work.ladder_h[first:end],
            )
            scale_rows(state, beta, h_t)
            product_nt(h_t, machine.W, v_t)
            u_t = work.ladder_u[first:end] if machine.variance.shape[0] > 0 else v_t
            draw_visible(machine, work.ladder_b[t], v_key, first, True, u_t, v_t)
            hidden_products(machine, machine.W, v_t, u_t, h_t)
            if t == 0 and step + 1 == rule.n_gibbs_steps:
                copy_rows(v_t, v)
                copy_rows(h_t, h)
                to_means(machine.hidden, h, machine.c, 0, h.shape[1])
            scale_rows(h_t, beta, state)
            to_means(machine.hidden, state, work.ladder_c[t], 0, h.shape[1])
            sample(machine.hidden, h_key, first, state, 0, h.shape[1])
        swap_key = derive(key, 2 * rule.n_gibbs_steps + 3 + step)
        for chain in range(lo, hi):
            swap_neighbours(
                swap_key,
                work.betas,
                (parity + step) % 2,
                chain,
                n_chains,
                work.h_mu,
                machine.activity,
                work.chains,
                work.ladder_h,
            )


@routine
def phases_block(source, rows, layers, machine, rule, update, work, block):
    """The block-th piece of both phases: rows with their chains, or persistent chains.

    Parameters
    ----------
    source : gather.Source
    rows : int64 array (size,), the minibatch
    layers : feed_forward.Layers, of which the first are below the machine
    machine, rule, update : Machine, Rule, Update
    work : Workspace, overwritten
    block : int
    """
    key, size, n_chains = update.key, update.size, update.n_chains
    n_row_blocks, sums = work.lower.shape[0], work.h_sums[block]
    sums[:] = 0
    drop_key, drop_row = derive(key, 2 * rule.n_gibbs_steps + 2), CHAIN_ROWS
    if block < n_row_blocks:
        lo, hi = block * size // n_row_blocks, (block + 1) * size // n_row_blocks
        if lo == hi:
            return
        v, h, u = work.v[lo:hi], work.h[lo:hi], work.u[lo : min(hi, work.u.shape[0])]
        forward_rows(source, rows[lo:hi], layers, machine.layer, work.lower[block], v)
        if rule.mean_field == 0:
            # Values between those of the units are read as means; it is samples of them
            # that a chain of samples can be compared with. Binary values stay as they are.
            sample_means(machine, derive(key, 2 * rule.n_gibbs_steps + 1), lo, v)
        hidden_products(machine, machine.W, v, u, h)
        state = work.chains[lo:hi] if rule.persistent == 0 else h
        use, is_drawn = derive(key, 0), rule.persistent == 0
        finish_hidden(machine, machine.c, rule, use, drop_key, lo, lo, is_drawn, h, state)
        sum_columns(work.h, lo, hi, 0, sums[0])
        if rule.sparsity_cost > 0.0:
            add_row(work.push, h)
        if rule.persistent == 1:
            return
        drop_row = lo
    else:
        n_blocks, block = work.h_sums.shape[0] - n_row_blocks, block - n_row_blocks
        lo, hi = block * n_chains // n_blocks, (block + 1) * n_chains // n_blocks
        drop_row += lo
    first, end = size + lo, size + hi
    v, h, u = work.v[first:end], work.h[first:end], work.u[first : min(end, work.u.shape[0])]
    if work.betas.shape[0] > 1:
        tempered_block(machine, rule, key, work, n_chains, lo, hi, v, h)
    else:
        negative_phase(machine, rule, key, lo, drop_row, work.chains[lo:hi], v, u, h)
    sum_columns(work.h, first, end, 0, sums[1])
    # The product is divided by the rows of the minibatch, this phase belongs over n_chains.
    scale_rows(h, h.dtype.type(-size / n_chains), h)


@kernel
def push_to_target(machine, rule, push):
    """What the next positive phase is changed by: the gradient of the activity's cross-entropy.

    That is target - activity, for each unit and each row (Hinton, 2012, section 11). Units of
    -1 and 1 have the activity (1 + mean) / 2.
    """
    real = push.dtype.type
    cost, target = real(rule.sparsity_cost), real(rule.sparsity_target)
    slope, shift = real(1.0), real(0.0)
    if machine.hidden == TANH:
        slope, shift = real(0.5), real(0.5)
    for j in range(push.shape[0]):
        push[j] = cost * (target - (shift + slope * machine.activity[j]))


@kernel
def begin_minibatch(machine, rule, step, size, work):
    """The key, the momentum, the chains and the rows of an update, see `Update`."""
    n_chains = work.chains.shape[0] // work.betas.shape[0] if rule.persistent == 1 else size
    n_rows = size + n_chains
    if rule.offset_rate > 0.0:
        n_rows += CENTERING_ROWS
    if work.betas.shape[0] > 1:
        temper(machine, work)
    work.share[0] = 1.0
    return derive(rule.seed, step), momentum_at(step, rule.momentum), n_chains, n_rows


@routine
def begin_update(machine, rule, update, work):
    """<h>_data and <h>_data - <h>_model from the sums of the blocks; h's rows of the centering.

    The activity is that of units that were not dropped.
    """
    n_blocks, n_hidden = work.h_sums.shape[0], work.h_pos.shape[0]
    real = work.h_pos.dtype.type
    keep = real(0.0) if update.step == 0 else real(ACTIVITY_DECAY)
    take = real(1.0 - keep)
    for j in range(n_hidden):
        pos, neg = real(0.0), real(0.0)
        for block in range(n_blocks):
            pos += work.h_sums[block, 0, j]
            neg += work.h_sums[block, 1, j]
        work.h_pos[j] = pos / real(update.size)
        work.h_gap[j] = work.h_pos[j] + work.push[j] - neg / real(update.n_chains)
        machine.activity[j] = keep * machine.activity[j] + take * work.h_pos[j]
    if rule.sparsity_cost > 0.0:
        push_to_target(machine, rule, work.push)
    if rule.offset_rate == 0.0:
        return
    if update.step == 0:
        for j in range(n_hidden):
            machine.lam[j] = work.h_pos[j]
    at = update.size + update.n_chains
    for j in range(n_hidden):
        work.h[at, j] = work.h_gap[j]
        work.h[at + 1, j] = machine.lam[j]
    work.h[at + 2 : update.n_rows] = 0
    for i in range(update.n_rows):
        work.h_lam[i] = dot(work.h[i], machine.lam)


@kernel
def center_block(machine, work, scale, at, n_rows, lo, hi, v_mu):
    """v's rows of the centering, and the products with mu, for some visible units."""
    for i in range(lo, hi):
        work.v[at, i] = -machine.mu[i] / scale
        work.v[at + 1, i] = -work.v_gap[i] / scale
    for i in range(n_rows):
        v_mu[i] = scale * dot(work.v[i, lo:hi], machine.mu[lo:hi])


@kernel
def step_visible(machine, rule, update, rate, momentum, work, lo, hi):
    """Update of the biases and offsets of some visible units.

    Returns
    -------
    squares : the sum of squares of the biases' gradient
    """
    real = machine.W.dtype.type
    x, squares, scale = work.v_gap[lo:hi], real(0.0), real(1.0 / update.size)
    if rule.offset_rate > 0.0:
        for i in range(update.n_rows):
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
def step_variances(machine, rule, update, rate, momentum, work, lo, hi):
    """Update of the variances of some Gaussian units, before that of their weights.

    The gradient with respect to log s_i (Cho, Ilin & Raiko, 2011, section 3.2) is

        <(v_i - b_i)^2>_data / (2 s_i) - <v_i (W h)_i>_data / s_i, less the same of the model,

    whose second part is that of the weights, times the weights. A step is at most a tenth.
    """
    real = machine.W.dtype.type
    half, most, least = real(0.5), real(0.1), real(LEAST_VARIANCE)
    work.v_squares[lo:hi] = 0
    for k in range(update.size + update.n_chains):
        share = real(1.0 / update.size if k < update.size else -1.0 / update.n_chains)
        for i in range(lo, hi):
            gap = work.v[k, i] - machine.b[i]
            work.v_squares[i] += share * gap * gap
    for i in range(lo, hi):
        W, g, products = machine.W[i], work.gradient[i], real(0.0)
        mu, gap = real(0.0), real(0.0)
        if rule.offset_rate > 0.0:
            mu, gap = machine.mu[i], work.v_gap[i]
        for j in range(W.shape[0]):
            products += W[j] * (g[j] + mu * work.h_gap[j] + gap * machine.lam[j])
        g_log = (half * work.v_squares[i] - products) / machine.variance[i]
        step = momentum * machine.velocity_variance[i] + real(rule.variance_rate) * rate * g_log
        step = min(max(step, -most), most)
        machine.velocity_variance[i] = step
        machine.variance[i] = min(max(machine.variance[i] * exp(step), least), real(1.0))


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


@kernel
def step_fast(machine, rate, work, lo, hi):
    """Update of some rows of the fast weights, and of what the chains run on."""
    real = machine.W.dtype.type
    decay, rate = real(FAST_DECAY), real(rate)
    for i in range(lo, hi):
        g, W, fast, chain = work.gradient[i], machine.W[i], machine.fast_W[i], machine.chain_W[i]
        for j in range(W.shape[0]):
            fast[j] = decay * fast[j] + rate * g[j]
            chain[j] = W[j] + fast[j]
        machine.fast_b[i] = decay * machine.fast_b[i] + rate * work.v_gap[i]
        machine.chain_b[i] = machine.b[i] + machine.fast_b[i]


@kernel
def bounds_of_block(machine, work, block):
    """The visible units lo to hi of the block-th part."""
    n_blocks, n_visible = work.sums.shape[0], machine.W.shape[0]
    return block * n_visible // n_blocks, (block + 1) * n_visible // n_blocks


@routine
def shrink_block(machine, rule, work, block):
    """Scale the weights of hidden units whose norm is too large, in a part of the rows."""
    real = machine.W.dtype.type
    lo, hi = bounds_of_block(machine, work, block)
    for j in range(machine.W.shape[1]):
        squares = 0.0
        for k in range(work.sums.shape[0]):
            squares += work.column_squares[k, j]
        norm = math.sqrt(squares)
        if norm > rule.max_norm:
            for i in range(lo, hi):
                machine.W[i, j] *= real(rule.max_norm / norm)
                if rule.fast_rate > 0.0:
                    machine.chain_W[i, j] = machine.W[i, j] + machine.fast_W[i, j]


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
def gradient_block(machine, rule, update, work, block):
    """Gradient of the block-th part of the visible units.

    The centered gradient (Montavon & Müller, 2012; Melchior, Fischer & Wiskott, 2016) is

        gradient W = <(v - mu) (h - lam)>_data - <(v - mu) (h - lam)>_model
        gradient b = <v>_data - <v>_model - gradient W lam
        gradient c = <h>_data - <h>_model - gradient W^T mu

    of which the first is the usual one less mu h_gap^T and v_gap lam^T: two rows more of the
    product v^T h. The products with lam and mu are those of v and h, which have fewer rows.

    Of the biases' gradient it leaves the gaps; `step_visible` and `end_update` do the rest. Where
    steps are limited, ``work.sums[block, :2]`` are the sums of squares of the weights' step and
    of the weights.
    """
    real, size, at = machine.W.dtype.type, update.size, update.size + update.n_chains
    lo, hi = bounds_of_block(machine, work, block)
    scale = real(1.0 / size)
    v_gap, v_pos = work.v_gap[lo:hi], work.v_pos[lo:hi]
    sum_columns(work.v, 0, size, lo, v_pos)
    sum_columns(work.v, size, at, lo, v_gap)
    for i in range(hi - lo):
        v_pos[i] *= scale
        v_gap[i] = v_pos[i] - v_gap[i] / real(update.n_chains)
    if rule.offset_rate > 0.0:
        center_block(machine, work, scale, at, update.n_rows, lo, hi, work.v_mu[block])
    g, n_rows = work.gradient[lo:hi], update.n_rows
    product_tn(scale, work.v[:n_rows, lo:hi], work.h[:n_rows], real(0.0), g)
    if rule.most_step > 0.0:
        W, velocity, sums = machine.W[lo:hi], machine.velocity_W[lo:hi], work.sums[block]
        sums[0] = sum_step_squares(velocity, g, real(update.rate), real(update.momentum))
        sums[1] = sum_step_squares(W, g, real(0.0), real(1.0))


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
    most, step = rule.most_step * math.sqrt(max(w_squares, 1.0)), math.sqrt(step_squares)
    return most / step if most < step < math.inf else 1.0


@routine
def step_block(machine, rule, update, work, block):
    """Update of the block-th part of the visible units, from their gradient.

    Leaves in ``work.sums[block]`` the sums of squares of the weights' gradient (without
    penalty), weights, weights' step and visible biases' gradient.
    """
    real, share = machine.W.dtype.type, work.share[0]
    lo, hi = bounds_of_block(machine, work, block)
    rate, momentum = real(update.rate * share), real(update.momentum * share)
    if machine.variance.shape[0] > 0 and rule.variance_rate > 0.0:
        for s in range(machine.spans.shape[0]):
            first, end = max(lo, machine.spans[s, 0]), min(hi, machine.spans[s, 1])
            if machine.spans[s, 2] == IDENTITY and first < end:
                step_variances(machine, rule, update, rate, momentum, work, first, end)
    sums, n = work.sums[block], (hi - lo) * machine.W.shape[1]
    W, velocity = machine.W[lo:hi].reshape(n), machine.velocity_W[lo:hi].reshape(n)
    g = work.gradient[lo:hi].reshape(n)
    sums[0], sums[1], sums[2] = step_weights(
        W, velocity, g, rate, momentum, real(rule.l2), real(rule.l1)
    )
    sums[3] = step_visible(machine, rule, update, rate, momentum, work, lo, hi)
    if rule.max_norm > 0.0:
        sum_column_squares(machine.W[lo:hi], work.column_squares[block])
    if rule.fast_rate > 0.0:
        step_fast(machine, rule.fast_rate * share, work, lo, hi)


@routine(fastmath=EXACT)
def end_update(machine, rule, update, work, norms):
    """Update of the hidden biases and offsets; the minibatch's part of the trace.

    Parameters
    ----------
    machine : Machine, updated
    rule : Rule
    update : Update
    work : Workspace
    norms : float64 array (3,), updated: norms of the weights' and biases' gradient, norm of
        the weights' step over that of the weights
    """
    real, share = machine.W.dtype.type, work.share[0]
    rate, momentum = real(update.rate * share), real(update.momentum * share)
    if rule.offset_rate > 0.0:
        for i in range(update.n_rows):
            v_mu = real(0.0)
            for block in range(work.v_mu.shape[0]):
                v_mu += work.v_mu[block, i]
            for j in range(machine.c.shape[0]):
                work.h_gap[j] -= v_mu * work.h[i, j]
    c_squares = 0.0
    for j in range(machine.c.shape[0]):
        x = work.h_gap[j]
        c_squares += x * x
        machine.velocity_c[j] = momentum * machine.velocity_c[j] + rate * x
        machine.c[j] += machine.velocity_c[j]
        machine.lam[j] += real(rule.offset_rate) * (work.h_pos[j] - machine.lam[j])
        if rule.fast_rate > 0.0:
            step = real(rule.fast_rate * share) * x
            machine.fast_c[j] = real(FAST_DECAY) * machine.fast_c[j] + step
            machine.chain_c[j] = machine.c[j] + machine.fast_c[j]
    g_squares, w_squares, step_squares, b_squares = 0.0, 0.0, 0.0, 0.0
    for block in range(work.sums.shape[0]):
        g_squares += work.sums[block, 0]
        w_squares += work.sums[block, 1]
        step_squares += work.sums[block, 2]
        b_squares += work.sums[block, 3]
    norms[0] += math.sqrt(g_squares)
    norms[1] += math.sqrt(b_squares + c_squares)
    norms[2] += math.sqrt(step_squares / w_squares) if w_squares > 0.0 else 0.0


@routine
def update_block(machine, rule, update, work, block):
    """Gradient and, where the length of steps has no limit, update of some visible units."""
    gradient_block(machine, rule, update, work, block)
    if rule.most_step == 0.0:
        step_block(machine, rule, update, work, block)


@twins
def train_machine(team, source, order, batch, layers, machine, rule, rate, first_step, work, norms):
    """Minibatch after minibatch: gather, both phases, update, measure.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
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
    source, layers, machine = in_memory(source), in_memory(layers), in_memory(machine)
    rule, work = in_memory(rule), in_memory(work)
    n_phases, n_unit_blocks = work.h_sums.shape[0], work.sums.shape[0]
    for k in range((order.shape[0] + batch - 1) // batch):
        rows = order[k * batch : min((k + 1) * batch, order.shape[0])]
        step, size = first_step + k, rows.shape[0]
        key, momentum, n_chains, n_rows = begin_minibatch(machine, rule, step, size, work)
        update = Update(key, rate, momentum, step, size, n_chains, n_rows)
        arguments = source, rows, layers, machine, rule, update, work
        in_blocks(team, n_phases, phases_block, arguments)
        begin_update(machine, rule, update, work)
        in_blocks(team, n_unit_blocks, update_block, (machine, rule, update, work))
        if rule.most_step > 0.0:
            work.share[0] = share_of_step(rule, work.sums)
            in_blocks(team, n_unit_blocks, step_block, (machine, rule, update, work))
        end_update(machine, rule, update, work, norms)
        if rule.max_norm > 0.0:
            in_blocks(team, n_unit_blocks, shrink_block, (machine, rule, work))


@kernel
def free_energy(machine, v, x):
    """-log sum_h exp(-E(v, h)) of one row.

    Parameters
    ----------
    machine : Machine
    v : array (n_visible,)
    x : array (n_hidden,), the hidden units' products and biases
    """
    energy = 0.0
    for s in range(machine.spans.shape[0]):
        lo, hi, kind = machine.spans[s, 0], machine.spans[s, 1], machine.spans[s, 2]
        for i in range(lo, hi):
            if kind == IDENTITY:
                gap = np.float64(v[i]) - np.float64(machine.b[i])
                energy += 0.5 * gap * gap / np.float64(machine.variance[i])
            else:
                energy -= np.float64(v[i]) * np.float64(machine.b[i])
    return energy - sum_log_partitions(machine.hidden, x)


@entry
def probe_machine(source, rows, layers, machine, out):
    """What a machine makes of a few rows.

    Parameters
    ----------
    source : gather.Source
    rows : int64 array (n_rows,)
    layers : feed_forward.Layers, of which the first are below the machine
    machine : Machine
    out : float64 array (8,), written: mean, standard deviation, saturated and dead fraction
        of the hidden means; divergence of the mean-field reconstruction from the input, in
        nats a row, its mean squared error a unit; means of the free energy and its square
    """
    source, layers, machine = in_memory(source), in_memory(layers), in_memory(machine)
    n, n_visible, n_hidden = rows.shape[0], machine.W.shape[0], machine.W.shape[1]
    dtype = layers.theta.dtype
    work = np.empty((2, n * widest_layer(layers, machine.layer)), dtype)
    v, u, x = (
        np.empty((n, n_visible), dtype),
        np.empty((n, n_visible), dtype),
        np.empty((n, n_visible), dtype),
    )
    h, nothing = np.empty((n, n_hidden), dtype), np.zeros(max(n_visible, n_hidden), dtype)
    forward_rows(source, rows, layers, machine.layer, work, v)
    hidden_products(machine, machine.W, v, u, h)
    to_means(IDENTITY, h, machine.c, 0, n_hidden)
    out[FREE_ENERGY] = out[FREE_ENERGY_SQUARE] = 0.0
    for i in range(n):
        energy = free_energy(machine, v[i], h[i])
        out[FREE_ENERGY] += energy / n
        out[FREE_ENERGY_SQUARE] += energy * energy / n
    to_means(machine.hidden, h, nothing, 0, n_hidden)
    layer_health(machine.hidden, h, out[:4])
    product_nt(h, machine.W, x)
    nats, squares = 0.0, 0.0
    for s in range(machine.spans.shape[0]):
        lo, hi, kind = machine.spans[s, 0], machine.spans[s, 1], machine.spans[s, 2]
        to_means(kind if kind == RELU else IDENTITY, x, machine.b, lo, hi)
        for i in range(n):
            nats += divergence(kind, machine.variance[lo:hi], v[i, lo:hi], x[i, lo:hi])
        if kind != RELU:
            to_means(kind, x, nothing, lo, hi)
    for i in range(n):
        for j in range(n_visible):
            squares += np.float64(v[i, j] - x[i, j]) ** 2
    out[KL] = nats / n
    out[MSE] = squares / (n * n_visible)
