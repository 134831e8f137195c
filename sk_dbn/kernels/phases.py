"""The positive and the negative phase of a minibatch, block by block of its rows and chains."""

from sk_dbn.kernels.compile import kernel, routine
from sk_dbn.kernels.conditionals import (
    Draws,
    draw_visible,
    finish_hidden,
    hidden_products,
    sample_means,
)
from sk_dbn.kernels.feed_forward import forward_rows
from sk_dbn.kernels.products import product_nt
from sk_dbn.kernels.random_bits import derive
from sk_dbn.kernels.rows import add_to_rows, scale_rows, sum_columns
from sk_dbn.kernels.tempering import tempered_block

CHAIN_ROWS = 2**24  # added to a persistent chain's number where rows and chains draw alike


@kernel
def positive_phase(team, rbm, rule, key, draws, push, state, v, u, h, sums):
    """The hidden units given some rows of data.

    Parameters
    ----------
    team : int, see `products.product_nn`
    rbm, rule : RBM, Rule
    key : uint32, of this update
    draws : Draws
    push : array (n_hidden,), what the sparsity target adds to h
    state : array (n_rows, n_hidden), written where the rows' chains begin: hidden samples
    v : array (n_rows, n_visible), means or samples; samples on return, but with `mean_field`
    u : array like v or (0, n_visible), overwritten
    h : array (n_rows, n_hidden), written: means of the hidden units
    sums : array (n_hidden,), written: sums of the means, without what is added
    """
    if rule.mean_field == 0:
        # Values between those of the units are read as means; it is samples of them
        # that a chain of samples can be compared with. Binary values stay as they are.
        use = derive(key, 2 * rule.n_gibbs_steps + 1)
        sample_means(rbm, use, draws.first_row, v)
    hidden_products(team, rbm.parameters, v, u, h)
    is_drawn = rule.persistent == 0
    finish_hidden(rbm, rbm.parameters.c, rule, derive(key, 0), draws, is_drawn, h, state)
    sum_columns(h, 0, sums)
    if rule.sparsity_cost > 0.0:
        add_to_rows(h, push)


@kernel
def negative_phase(team, rbm, rule, key, draws, state, v, u, h):
    """Gibbs steps of some chains.

    Both sides are sampled in every step, so the chain is the one whose stationary
    distribution is the RBM's. Only the last hidden step enters the statistics by its
    means: that has the same expectation and less variance.

    Where the data are means themselves (grey levels, the means of the layer below), samples
    would have a variance that the data lack, and learning would shrink the weights to make
    up for it. So with `mean_field` the visible units are reconstructed by their means
    (Hinton, 2012, section 3.2), all but Gaussian ones.

    Parameters
    ----------
    team : int, see `products.product_nn`
    rbm, rule : RBM, Rule
    key : uint32, of this update
    draws : Draws
    state : array (n_chains, n_hidden), hidden samples to begin with; of persistent chains
        replaced by new ones, drawn after the last visible step
    v : array (n_chains, n_visible), written: the last visible samples
    u : array like v or (0, n_visible), overwritten
    h : array (n_chains, n_hidden), written: means of the hidden units given v
    """
    chain = rbm.chain
    for step in range(rule.n_gibbs_steps):
        product_nt(team, state, chain.W, v)
        use = derive(key, 2 * step + 1)
        draw_visible(rbm, chain.b, use, draws.first_row, rule.mean_field == 0, u, v)
        hidden_products(team, chain, v, u, h)
        is_drawn = rule.persistent == 1 or step + 1 < rule.n_gibbs_steps
        finish_hidden(rbm, chain.c, rule, derive(key, 2 * step + 2), draws, is_drawn, h, state)


@kernel
def chain_steps(team, rbm, rule, update, ladder, work, draws, lo, hi, v, u, h):
    """Gibbs steps of some chains, at one temperature or, where there is a ladder, at several.

    Parameters
    ----------
    team : int, see `products.product_nn`
    rbm, rule, update : RBM, Rule, Update
    ladder : LadderBuffers or None, a constant: each has machine code of its own
    work : RBMWorkspace, whose chains are updated
    draws : Draws
    lo, hi : int, which chains
    v, u, h : see `negative_phase`
    """
    if ladder is None:
        state = work.phases.chains[lo:hi]
        negative_phase(team, rbm, rule, update.key, draws, state, v, u, h)
    else:
        tempered_block(team, rbm, rule, update, ladder, work.phases.chains, lo, hi, v, h)


@routine
def phases_block(team, source, rows, layers, rbm, rule, update, work, block):
    """The block-th piece of both phases: rows with their chains, or persistent chains.

    Parameters
    ----------
    team : int, see `products.product_nn`
    source : gather.Source
    rows : int64 array (size,), the minibatch
    layers : feed_forward.Layers, of which the first are below the RBM
    rbm, rule, update : RBM, Rule, Update
    work : RBMWorkspace, overwritten
    block : int
    """
    phases, key, size, n_chains = work.phases, update.key, update.size, update.n_chains
    n_row_blocks, sums = phases.lower.shape[0], phases.h_sums[block]
    sums[:] = 0
    drop_key, drop_row = derive(key, 2 * rule.n_gibbs_steps + 2), CHAIN_ROWS
    if block < n_row_blocks:
        lo, hi = block * size // n_row_blocks, (block + 1) * size // n_row_blocks
        if lo == hi:
            return
        v, h, u = phases.v[lo:hi], phases.h[lo:hi], phases.u[lo : min(hi, phases.u.shape[0])]
        forward_rows(team, source, rows[lo:hi], layers, rbm.layer, phases.lower[block], v)
        state = phases.chains[lo:hi] if rule.persistent == 0 else h
        draws = Draws(lo, drop_key, lo)
        positive_phase(team, rbm, rule, key, draws, work.gradient.push, state, v, u, h, sums[0])
        if rule.persistent == 1:
            return
        drop_row = lo
    else:
        n_blocks, block = phases.h_sums.shape[0] - n_row_blocks, block - n_row_blocks
        lo, hi = block * n_chains // n_blocks, (block + 1) * n_chains // n_blocks
        drop_row += lo
    at, end = size + lo, size + hi
    v, h, u = phases.v[at:end], phases.h[at:end], phases.u[at : min(end, phases.u.shape[0])]
    draws = Draws(lo, drop_key, drop_row)
    chain_steps(team, rbm, rule, update, work.ladder, work, draws, lo, hi, v, u, h)
    sum_columns(h, 0, sums[1])
    # The product is divided by the rows of the minibatch, this phase belongs over n_chains.
    scale_rows(h, h.dtype.type(-size / n_chains), h)
