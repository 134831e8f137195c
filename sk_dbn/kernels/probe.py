"""What an RBM makes of a few rows: health of its hidden units, reconstruction, free energy."""

import numpy as np

from sk_dbn.kernels.activations import IDENTITY, RELU
from sk_dbn.kernels.blocks import ALONE
from sk_dbn.kernels.compile import entry, kernel
from sk_dbn.kernels.conditionals import hidden_products
from sk_dbn.kernels.feed_forward import forward_rows, widest_layer
from sk_dbn.kernels.memory import in_memory
from sk_dbn.kernels.products import product_nt
from sk_dbn.kernels.statistics import layer_health
from sk_dbn.kernels.units import divergence, sum_log_partitions, to_means

# What `probe_rbm` writes, in this order.
MEAN, STD, SATURATED, DEAD, KL, MSE, FREE_ENERGY, FREE_ENERGY_SQUARE = range(8)


@kernel
def free_energy(rbm, v, x):
    """-log sum_h exp(-E(v, h)) of one row.

    Parameters
    ----------
    rbm : RBM
    v : array (n_visible,)
    x : array (n_hidden,), the hidden units' products and biases
    """
    energy, b = 0.0, rbm.parameters.b
    for s in range(rbm.spans.shape[0]):
        lo, hi, kind = rbm.spans[s, 0], rbm.spans[s, 1], rbm.spans[s, 2]
        for i in range(lo, hi):
            if kind == IDENTITY:
                gap = np.float64(v[i]) - np.float64(b[i])
                energy += 0.5 * gap * gap / np.float64(rbm.parameters.variance[i])
            else:
                energy -= np.float64(v[i]) * np.float64(b[i])
    return energy - sum_log_partitions(rbm.hidden, x)


@entry
def probe_rbm(source, rows, layers, rbm, out):
    """What an RBM makes of a few rows.

    Parameters
    ----------
    source : gather.Source
    rows : int64 array (n_rows,)
    layers : feed_forward.Layers, of which the first are below the RBM
    rbm : RBM
    out : float64 array (8,), written: mean, standard deviation, saturated and dead fraction
        of the hidden means; divergence of the mean-field reconstruction from the input, in
        nats a row, its mean squared error a unit; means of the free energy and its square
    """
    source, layers, rbm = in_memory(source), in_memory(layers), in_memory(rbm)
    theta, n, dtype = rbm.parameters, rows.shape[0], layers.theta.dtype
    n_visible, n_hidden = theta.W.shape
    work = np.empty((2, n * widest_layer(layers, rbm.layer)), dtype)
    v, u, x = (
        np.empty((n, n_visible), dtype),
        np.empty((n, n_visible), dtype),
        np.empty((n, n_visible), dtype),
    )
    h, nothing = np.empty((n, n_hidden), dtype), np.zeros(max(n_visible, n_hidden), dtype)
    forward_rows(ALONE, source, rows, layers, rbm.layer, work, v)
    hidden_products(ALONE, theta, v, u, h)
    to_means(IDENTITY, h, theta.c, 0, n_hidden)
    out[FREE_ENERGY] = out[FREE_ENERGY_SQUARE] = 0.0
    for i in range(n):
        energy = free_energy(rbm, v[i], h[i])
        out[FREE_ENERGY] += energy / n
        out[FREE_ENERGY_SQUARE] += energy * energy / n
    to_means(rbm.hidden, h, nothing, 0, n_hidden)
    layer_health(rbm.hidden, h, out[:4])
    product_nt(ALONE, h, theta.W, x)
    nats, squares = 0.0, 0.0
    for s in range(rbm.spans.shape[0]):
        lo, hi, kind = rbm.spans[s, 0], rbm.spans[s, 1], rbm.spans[s, 2]
        to_means(kind if kind == RELU else IDENTITY, x, theta.b, lo, hi)
        for i in range(n):
            nats += divergence(kind, theta.variance[lo:hi], v[i, lo:hi], x[i, lo:hi])
        if kind != RELU:
            to_means(kind, x, nothing, lo, hi)
    for i in range(n):
        for j in range(n_visible):
            squares += np.float64(v[i, j] - x[i, j]) ** 2
    out[KL] = nats / n
    out[MSE] = squares / (n * n_visible)
