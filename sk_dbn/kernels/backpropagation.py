"""Epochs of backpropagation in one compiled call.

A minibatch takes two parallel regions whatever the depth: blocks of rows go forward and
back through all layers, then blocks of weight rows form their gradient with one product
over the whole minibatch and are updated while in cache. The blocks follow from the shape
of the problem, so the number of threads does not change a bit of the result. Few rows are one
block: threads share the products of large layers instead, one region each.

A bound on the norm of the whole gradient, and one on the norm of each unit's weights, are known
only when all blocks are done: either takes one region more.
"""

from collections import namedtuple

import numpy as np

from sk_dbn.kernels.activations import BY_SLOPES, IDENTITY, complete_slopes, times_derivative
from sk_dbn.kernels.blocks import in_blocks, teams, twins
from sk_dbn.kernels.compile import EXACT, STRICT, kernel, routine, view
from sk_dbn.kernels.dropout import drop_units
from sk_dbn.kernels.feed_forward import add_shortcut, forward_layer, has_shortcut, weights
from sk_dbn.kernels.gather import forget_missing, gather
from sk_dbn.kernels.losses import output_delta
from sk_dbn.kernels.memory import in_memory
from sk_dbn.kernels.optimisers import ADAMW, NO_STEP, add_signs, clip, end_step, to_step
from sk_dbn.kernels.parts import matrix, vector
from sk_dbn.kernels.products import product_nt, product_tn
from sk_dbn.kernels.random_bits import derive
from sk_dbn.kernels.statistics import sum_column_squares

Examples = namedtuple("Examples", "targets sample_weight loss option")
Examples.__doc__ = """What the network is to say of each sample, and what counts as wrong.

targets : array (n_samples, n_outputs), or (n_samples, 1) class numbers for log_loss; (0, 0) where
    a sample is to be answered by itself, as in an autoencoder
sample_weight : array (n_samples,), or (0,) for all ones
loss : int, code
option : float, what the loss has to be told, see `losses.output_delta`
"""

NetworkWorkspace = namedtuple(
    "NetworkWorkspace",
    "values_at values deltas slopes gradient row_sums layer_sums column_squares totals",
)
NetworkWorkspace.__doc__ = """Buffers of one training run, allocated once.

values_at : int64 array (n_layers + 1,), where a layer's values begin, per row of the batch
values, deltas : arrays (batch * sum of units,), activations and their derivatives
slopes : array like values, or (0,) when no activation needs it, no unit is dropped and there are
    no shortcuts
gradient : array (n_parameters,)
row_sums : float64 array (n_row_blocks, 2), loss and weight of each block of rows
layer_sums : float64 array (n_weight_blocks, n_layers, 7), see `update_layers`
column_squares : float64 array (n_weight_blocks, sum of units), of each unit's incoming weights,
    or (n_weight_blocks, 0) when their norm has no bound
totals : float64 array (2,), the weight of a minibatch, and what its gradient is multiplied by where
    its norm has a bound
"""

GRADIENT, STEP = range(2)  # the stages of an update, see `update_layers`

WEIGHT, FACTOR = range(2)  # of `NetworkWorkspace.totals`


@view
def layer_values(flat, work, layers, layer, batch, lo, hi):
    """Rows lo..hi of one layer's part of a buffer for `batch` rows, as a view."""
    q = layers.units[layer]
    return matrix(flat, work.values_at[layer] * batch + lo * q, hi - lo, q)


@view
def layer_slopes(work, layers, layer, batch, lo, hi):
    """The same of the slopes, or nothing where there are none."""
    if work.slopes.shape[0] == 0:
        return matrix(work.slopes, 0, 0, 0)
    return layer_values(work.slopes, work, layers, layer, batch, lo, hi)


@routine
def join_shortcut(n_shared, above, slopes, delta):
    """Add what comes down a shortcut to delta, keep the sum, and multiply it by the derivative.

    Parameters
    ----------
    n_shared : int, how many units have the shortcut; 0 for none
    above : array (n_rows, units of the layer above), what was kept there
    slopes : array (n_rows, n_units), derivatives; on return the loss's derivative with respect
        to what the layer passed on, for the layer below
    delta : array (n_rows, n_units), that derivative but for the shortcut's part; on return the
        derivative with respect to the layer's products
    """
    for i in range(delta.shape[0]):
        for j in range(n_shared):
            delta[i, j] += above[i, j]
        for j in range(delta.shape[1]):
            whole = delta[i, j]
            delta[i, j] = whole * slopes[i, j]
            slopes[i, j] = whole


@routine
def rows_block(team, source, examples, rows, layers, dropout, step, work, batch, block):
    """Forward and back through all layers for the block-th piece of a minibatch.

    A team is given to the only piece there is, see `products.product_nn`.

    Where units are dropped or shortcuts added, the derivative no longer follows from what a layer
    passes on: it is kept. Units that were dropped have none.
    """
    n_blocks, n_layers = work.row_sums.shape[0], layers.units.shape[0] - 1
    lo, hi = block * rows.shape[0] // n_blocks, (block + 1) * rows.shape[0] // n_blocks
    work.row_sums[block, :] = 0.0
    if lo == hi:
        return
    drops, key = dropout.rates.shape[0] > 0, derive(dropout.seed, step)
    a = layer_values(work.values, work, layers, 0, batch, lo, hi)
    gather(source, rows[lo:hi], a)
    if drops:
        slopes = layer_slopes(work, layers, 0, batch, lo, hi)
        drop_units(IDENTITY, dropout.rates[0], derive(key, 0), lo, a, slopes)
    for layer in range(n_layers):
        out = layer_values(work.values, work, layers, layer + 1, batch, lo, hi)
        slopes = layer_slopes(work, layers, layer + 1, batch, lo, hi)
        forward_layer(team, layers, layer, a, slopes, out)
        if (drops or layers.branch > 0.0) and layer + 1 < n_layers:
            code, above = layers.activations[layer], layer + 1
            complete_slopes(code, out, slopes)
            if drops:
                drop_units(code, dropout.rates[above], derive(key, above), lo, out, slopes)
            if has_shortcut(layers, layer):
                add_shortcut(layers.branch, a, out, slopes)
        a = out
    delta = layer_values(work.deltas, work, layers, n_layers, batch, lo, hi)
    if examples.targets.shape[0] == 0:
        gather(source, rows[lo:hi], delta)
        forget_missing(source, rows[lo:hi], delta)
    sums = output_delta(
        examples.loss,
        examples.option,
        a,
        examples.targets,
        rows[lo:hi],
        examples.sample_weight,
        delta,
    )
    work.row_sums[block, 0] = sums[0]
    work.row_sums[block, 1] = sums[1]
    for layer in range(n_layers - 1, 0, -1):
        below = layer_values(work.deltas, work, layers, layer, batch, lo, hi)
        product_nt(team, delta, weights(layers, layer), below)
        a = layer_values(work.values, work, layers, layer, batch, lo, hi)
        slopes = layer_slopes(work, layers, layer, batch, lo, hi)
        if layers.branch > 0.0:
            n_shared = min(below.shape[1], delta.shape[1]) if has_shortcut(layers, layer) else 0
            above = layer_slopes(work, layers, layer + 1, batch, lo, hi)
            join_shortcut(n_shared, above, slopes, below)
        else:
            code = BY_SLOPES if drops else layers.activations[layer - 1]
            times_derivative(code, a, slopes, below)
        delta = below


@kernel
def stretches(layers, layer, block, n_blocks):
    """Where the block-th part of a layer's parameters lies in the flat vector.

    Returns
    -------
    w_lo, w_hi, b_lo, b_hi : int, of the weights, in whole rows, and of the biases
    """
    p, q = layers.units[layer], layers.units[layer + 1]
    at, lo, hi = layers.weights_at[layer], block * p // n_blocks, (block + 1) * p // n_blocks
    w_lo, w_hi = at + lo * q, at + hi * q
    at, lo, hi = layers.biases_at[layer], block * q // n_blocks, (block + 1) * q // n_blocks
    return w_lo, w_hi, at + lo, at + hi


@kernel
def layer_gradient(layers, work, batch, size, layer, scale, beta, block, n_blocks):
    """gradient = scale a^T delta + beta gradient, for a part of one layer's parameters.

    Parameters
    ----------
    layers, work : Layers, NetworkWorkspace; the gradient is written
    batch, size : int, rows there is room for, rows there are
    layer : int
    scale, beta : scalars of the parameters' dtype; beta is 0 or 1
    block, n_blocks : int, which part: of the weights' rows and of the biases
    """
    q = layers.units[layer + 1]
    w_lo, w_hi, b_lo, b_hi = stretches(layers, layer, block, n_blocks)
    a = layer_values(work.values, work, layers, layer, batch, 0, size)
    delta = layer_values(work.deltas, work, layers, layer + 1, batch, 0, size)
    if w_hi > w_lo:
        lo, hi = (w_lo - layers.weights_at[layer]) // q, (w_hi - layers.weights_at[layer]) // q
        product_tn(scale, a[:, lo:hi], delta, beta, matrix(work.gradient, w_lo, hi - lo, q))
    lo, g_bias = b_lo - layers.biases_at[layer], vector(work.gradient, b_lo, b_hi - b_lo)
    if beta == 0:
        g_bias[:] = 0
    for i in range(size):
        for j in range(b_hi - b_lo):
            g_bias[j] += scale * delta[i, lo + j]


@kernel
def sum_squares(x):
    """The sum of squares of x, in double precision: a gradient may vanish or explode."""
    squares = 0.0
    for k in range(x.shape[0]):
        squares += np.float64(x[k]) * np.float64(x[k])
    return squares


@kernel
def add_decay(factor, theta, g):
    """g += factor theta; the sums of squares of g before and of theta, as `sum_squares`."""
    g_squares, w_squares = 0.0, 0.0
    for k in range(g.shape[0]):
        g_squares += np.float64(g[k]) * np.float64(g[k])
        w_squares += np.float64(theta[k]) * np.float64(theta[k])
        g[k] += factor * theta[k]
    return g_squares, w_squares


@kernel
def take_step(step, theta):
    """theta += step; the sum of squares of the step, as `sum_squares`."""
    squares = 0.0
    for k in range(step.shape[0]):
        squares += np.float64(step[k]) * np.float64(step[k])
        theta[k] += step[k]
    return squares


@kernel(forceinline=True)
def inverse(total_weight):
    """1 / total_weight, or 0 for a minibatch in which no sample counts."""
    return 0.0 if total_weight == 0.0 else 1.0 / total_weight


@kernel(fastmath=STRICT)
def scale_all(factor, x):
    """x *= factor."""
    for k in range(x.shape[0]):
        x[k] *= factor


@routine
def restrain(optimiser, sign_decay, theta, g, g_bias, sums):
    """What is rarely asked for of a gradient: the L1 penalty, and bounds.

    Parameters
    ----------
    optimiser : Optimiser
    sign_decay : float, factor of the weights' signs
    theta, g : arrays (n_weights,), weights and their gradient, updated
    g_bias : array (n_biases,), updated
    sums : float64 array (7,), of which the last two are written, see `update_layers`
    """
    sums[5] = add_signs(sign_decay, theta, g) if optimiser.l1 > 0.0 else 0.0
    if optimiser.clip_value > 0.0:
        clip(optimiser.clip_value, g)
        clip(optimiser.clip_value, g_bias)
    sums[6] = sum_squares(g) + sum_squares(g_bias)


@routine
def update_layers(stage, layers, optimiser, rate, step, work, batch, size, block):
    """In every layer, the block-th part of the parameters: gradient, then update.

    Leaves in ``work.layer_sums[block, layer]`` the sums of squares of the weights'
    gradient (without penalty), weights, weights' step, biases' gradient, biases' step; where
    there is an L1 penalty or a bound, the sum of the weights' sizes, and that of squares of
    the whole gradient as it enters the solver.

    Parameters
    ----------
    stage : int, GRADIENT or STEP; both in one where the gradient's norm has no bound
    layers, optimiser : Layers, Optimiser, updated
    rate : float, learning rate
    step : int, counted from 1
    work : NetworkWorkspace, updated
    batch, size : int, rows there is room for, rows there are
    block : int
    """
    real = layers.theta.dtype.type
    n_blocks, clips = work.layer_sums.shape[0], optimiser.clip_norm > 0.0
    share = inverse(work.totals[WEIGHT])
    scale = real(share if share > 0.0 else 1.0)  # where nothing counts, the deltas are zero
    coupled = 0.0 if optimiser.code == ADAMW else share
    restrained = optimiser.l1 > 0.0 or optimiser.clip_value > 0.0 or clips
    for layer in range(layers.units.shape[0] - 1):
        w_lo, w_hi, b_lo, b_hi = stretches(layers, layer, block, n_blocks)
        sums = work.layer_sums[block, layer]
        n, m = w_hi - w_lo, b_hi - b_lo
        theta, g = vector(layers.theta, w_lo, n), vector(work.gradient, w_lo, n)
        bias, g_bias = vector(layers.theta, b_lo, m), vector(work.gradient, b_lo, m)
        if stage == GRADIENT:
            layer_gradient(layers, work, batch, size, layer, scale, real(0.0), block, n_blocks)
            sums[3] = sum_squares(g_bias)
            sums[0], sums[1] = add_decay(real(optimiser.alpha * coupled), theta, g)
            if restrained:
                restrain(optimiser, optimiser.l1 * coupled, theta, g, g_bias, sums)
        else:
            scale_all(real(work.totals[FACTOR]), g)
            scale_all(real(work.totals[FACTOR]), g_bias)
        if optimiser.code == NO_STEP:
            sums[2], sums[4] = 0.0, 0.0
        elif stage == STEP or not clips:
            layer_rate = rate * optimiser.factors[layer]
            to_step(optimiser, layer_rate, step, True, w_lo, theta, g)
            if optimiser.l1 > 0.0 and optimiser.code == ADAMW:
                add_signs(-layer_rate * optimiser.l1, theta, g)
            sums[2] = take_step(g, theta)
            to_step(optimiser, layer_rate, step, False, b_lo, bias, g_bias)
            sums[4] = take_step(g_bias, bias)
            if optimiser.max_norm > 0.0:
                q, at = layers.units[layer + 1], work.values_at[layer + 1]
                rows = matrix(theta, 0, n // q, q)
                squares = work.column_squares[block, at : at + q]
                sum_column_squares(rows, squares)
                if optimiser.factors[layer] == 0.0:
                    squares[:] = 0.0  # so that nothing is scaled down


@routine(fastmath=EXACT)
def norm_factor(most, work):
    """What the gradient is to be multiplied by to have a norm of no more than `most`."""
    squares = 0.0
    for block in range(work.layer_sums.shape[0]):
        for layer in range(work.layer_sums.shape[1]):
            squares += work.layer_sums[block, layer, 6]
    norm = np.sqrt(squares)
    return most / norm if norm > most else 1.0


@routine(fastmath=EXACT)
def column_factors(most, work):
    """What each unit's weights are to be multiplied by to have a norm of no more than `most`.

    The factors take the place of the first block's sums of squares.
    """
    for j in range(work.column_squares.shape[1]):
        squares = 0.0
        for block in range(work.column_squares.shape[0]):
            squares += work.column_squares[block, j]
        work.column_squares[0, j] = most / np.sqrt(squares) if squares > most * most else 1.0


@routine
def shrink_layers(layers, work, block):
    """Multiply a part of the rows of each layer's weights by their columns' factors."""
    for layer in range(layers.units.shape[0] - 1):
        w_lo, w_hi, _, _ = stretches(layers, layer, block, work.layer_sums.shape[0])
        q, at = layers.units[layer + 1], work.values_at[layer + 1]
        factors = work.column_squares[0, at : at + q]
        for k in range(w_lo, w_hi, q):
            for j in range(q):
                layers.theta[k + j] *= factors[j]


@routine(fastmath=EXACT)
def sum_rows(work):
    """Loss and weight of a minibatch, summed over its blocks in their order.

    A ``sum`` written in a twin would be shared among threads, and its order with it.
    """
    loss, weight = 0.0, 0.0
    for block in range(work.row_sums.shape[0]):
        loss += work.row_sums[block, 0]
        weight += work.row_sums[block, 1]
    return loss, weight


@routine
def end_minibatch(optimiser, work, size, loss, norms):
    """Add one minibatch to the running sums of the loss and of the trace.

    Parameters
    ----------
    optimiser : Optimiser
    work : NetworkWorkspace
    size : int, rows of the minibatch
    loss : float64 array (3,), updated: data loss and penalty (means over the minibatch
        times its rows) and rows
    norms : float64 array (n_layers, 3), updated: norms of the weights' and biases'
        gradient, norm of the weights' step over that of the weights
    """
    data_loss, weight = sum_rows(work)
    share = inverse(weight)
    loss[0] += data_loss * share * size
    loss[2] += size
    # The decay of adamw is not a part of what it minimises.
    penalty = 0.0 if optimiser.code == ADAMW else share * size
    for layer in range(norms.shape[0]):
        g_squares, w_squares, step_squares, b_squares = 0.0, 0.0, 0.0, 0.0
        for block in range(work.layer_sums.shape[0]):
            sums = work.layer_sums[block, layer]
            g_squares += sums[0]
            w_squares += sums[1]
            step_squares += sums[2]
            b_squares += sums[3]
            if optimiser.l1 > 0.0:
                loss[1] += optimiser.l1 * sums[5] * penalty
        loss[1] += 0.5 * optimiser.alpha * w_squares * penalty
        norms[layer, 0] += np.sqrt(g_squares)
        norms[layer, 1] += np.sqrt(b_squares)
        norms[layer, 2] += np.sqrt(step_squares / w_squares) if w_squares > 0.0 else 0.0


@twins
def train_minibatches(
    team,
    source,
    examples,
    order,
    batch,
    layers,
    dropout,
    optimiser,
    rates,
    first_step,
    work,
    loss,
    norms,
):
    """Minibatch after minibatch: gather, forward, back, update, measure.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
    source : gather.Source
    examples : Examples
    order : int64 array, the samples in the order they are to be visited
    batch : int, rows of a minibatch; the last one may be short
    layers : Layers, updated
    dropout : Dropout
    optimiser : Optimiser, updated
    rates : float64 array (n_minibatches,), the learning rate of each
    first_step : int, updates made before this call
    work : NetworkWorkspace, overwritten
    loss, norms : see `end_minibatch`
    """
    source, examples, layers = in_memory(source), in_memory(examples), in_memory(layers)
    dropout, optimiser, work = in_memory(dropout), in_memory(optimiser), in_memory(work)
    n_row_blocks, n_weight_blocks = work.row_sums.shape[0], work.layer_sums.shape[0]
    rows_team, inner_team = teams(team, n_row_blocks)
    n_stages = 2 if optimiser.clip_norm > 0.0 else 1
    for k in range(rates.shape[0]):
        rows = order[k * batch : min((k + 1) * batch, order.shape[0])]
        rate, step, size = rates[k], first_step + k, rows.shape[0]
        arguments = inner_team, source, examples, rows, layers, dropout, step, work, batch
        in_blocks(rows_team, n_row_blocks, rows_block, arguments)
        work.totals[WEIGHT] = sum_rows(work)[1]
        for stage in range(n_stages):
            arguments = stage, layers, optimiser, rate, step + 1, work, batch, size
            in_blocks(team, n_weight_blocks, update_layers, arguments)
            if stage == GRADIENT and optimiser.clip_norm > 0.0:
                work.totals[FACTOR] = norm_factor(optimiser.clip_norm, work)
        if optimiser.max_norm > 0.0:
            column_factors(optimiser.max_norm, work)
            in_blocks(team, n_weight_blocks, shrink_layers, (layers, work))
        end_step(optimiser, step + 1)
        end_minibatch(optimiser, work, size, loss, norms)


@routine
def accumulate_block(layers, work, batch, size, scale, block):
    """In every layer, add a batch's part of the gradient to the block-th part of it."""
    real = layers.theta.dtype.type
    for layer in range(layers.units.shape[0] - 1):
        layer_gradient(
            layers,
            work,
            batch,
            size,
            layer,
            real(scale),
            real(1.0),
            block,
            work.layer_sums.shape[0],
        )


@twins
def accumulate_gradient(team, source, examples, order, batch, layers, dropout, scale, work, loss):
    """The gradient of the data's loss over many rows, without an update.

    Parameters
    ----------
    team, source, examples, order, batch, layers, dropout : as in `train_minibatches`
    scale : float, factor of the gradient, one over the sum of the weights
    work : NetworkWorkspace, ``work.gradient`` is added to
    loss : float64 array (2,), weighted loss and weight are added
    """
    source, examples, layers = in_memory(source), in_memory(examples), in_memory(layers)
    dropout, work = in_memory(dropout), in_memory(work)
    rows_team, inner_team = teams(team, work.row_sums.shape[0])
    n_batches = (order.shape[0] + batch - 1) // batch
    for k in range(n_batches):
        rows = order[k * batch : min((k + 1) * batch, order.shape[0])]
        arguments = inner_team, source, examples, rows, layers, dropout, k, work, batch
        in_blocks(rows_team, work.row_sums.shape[0], rows_block, arguments)
        arguments = layers, work, batch, rows.shape[0], scale
        in_blocks(team, work.layer_sums.shape[0], accumulate_block, arguments)
        data_loss, weight = sum_rows(work)
        loss[0] += data_loss
        loss[1] += weight
