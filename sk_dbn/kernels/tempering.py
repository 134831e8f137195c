"""Chains at several temperatures, whose neighbours exchange states (parallel tempering)."""

import math

import numpy as np

from sk_dbn.kernels.compile import kernel, routine
from sk_dbn.kernels.conditionals import draw_visible, hidden_products
from sk_dbn.kernels.products import product_nt
from sk_dbn.kernels.random_bits import bits, derive
from sk_dbn.kernels.rows import copy_rows, dot, scale_rows
from sk_dbn.kernels.units import sample, to_means


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


@kernel
def n_temperatures(ladder):
    """Number of temperatures of a ladder, which is None for a single one."""
    return 1 if ladder is None else ladder.betas.shape[0]


@kernel
def temper(rbm, ladder):
    """The biases that an RBM has at each temperature; see `_temper`."""
    if ladder is not None:
        _temper(rbm, ladder)


@routine
def _temper(rbm, ladder):
    """The biases that an RBM has at each temperature.

    At an inverse temperature beta the interaction of the centered units is beta (v - mu) W
    (h - lam), lam being the running means of the hidden units: so at beta = 0 all units are
    independent and have the means of the data. Were the interaction of 0 and 1 alone taken
    away, biases that had made up for it would leave most units off, whatever the data are, and
    the hottest chains would not come by all states.

    Parameters
    ----------
    rbm : RBM
    ladder : LadderBuffers, of which b, c and h_mu are written
    """
    theta, betas, h_mu = rbm.parameters, ladder.betas, ladder.h_mu
    one = h_mu.dtype.type(1.0)
    h_mu[:] = 0
    for i in range(theta.W.shape[0]):
        W, mu = theta.W[i], rbm.means.mu[i]
        if theta.variance.shape[0] > 0:
            mu /= theta.variance[i]
        v_lam = dot(W, rbm.means.activity)
        for j in range(W.shape[0]):
            h_mu[j] += mu * W[j]
        for t in range(betas.shape[0]):
            ladder.b[t, i] = theta.b[i] + (one - betas[t]) * v_lam
    for t in range(betas.shape[0]):
        for j in range(h_mu.shape[0]):
            ladder.c[t, j] = theta.c[j] + (one - betas[t]) * h_mu[j]


@routine
def tempered_block(team, rbm, rule, update, ladder, chains, lo, hi, v, h):
    """Gibbs steps of some chains at every temperature, with exchanges between neighbours.

    Parameters
    ----------
    team : int, see `products.product_nn`
    rbm, rule, update : RBM, Rule, Update
    ladder : LadderBuffers, as `temper` left it; updated
    chains : see `PhaseBuffers`, updated
    lo, hi : int, which chains
    v : array (hi - lo, n_visible), written: visible samples at the first temperature
    h : array (hi - lo, n_hidden), written: means of the hidden units given v
    """
    theta, key = rbm.parameters, update.key
    parity = np.int64(key & 1)
    for step in range(rule.n_gibbs_steps):
        v_key, h_key = derive(key, 2 * step + 1), derive(key, 2 * step + 2)
        for t in range(ladder.betas.shape[0]):
            first, end = t * update.n_chains + lo, t * update.n_chains + hi
            beta, state = ladder.betas[t], chains[first:end]
            v_t, h_t = ladder.v[first:end], ladder.h[first:end]
            scale_rows(state, beta, h_t)
            product_nt(team, h_t, theta.W, v_t)
            u_t = ladder.u[first:end] if theta.variance.shape[0] > 0 else v_t
            draw_visible(rbm, ladder.b[t], v_key, first, True, u_t, v_t)
            hidden_products(team, theta, v_t, u_t, h_t)
            if t == 0 and step + 1 == rule.n_gibbs_steps:
                copy_rows(v_t, v)
                copy_rows(h_t, h)
                to_means(rbm.hidden, h, theta.c, 0, h.shape[1])
            scale_rows(h_t, beta, state)
            to_means(rbm.hidden, state, ladder.c[t], 0, h.shape[1])
            sample(rbm.hidden, h_key, first, state, 0, h.shape[1])
        swap_key = derive(key, 2 * rule.n_gibbs_steps + 3 + step)
        for chain in range(lo, hi):
            swap_neighbours(
                swap_key,
                ladder.betas,
                (parity + step) % 2,
                chain,
                update.n_chains,
                ladder.h_mu,
                rbm.means.activity,
                chains,
                ladder.h,
            )
