"""One side of an RBM given the other: products, means and samples of some rows."""

from collections import namedtuple

from sk_dbn.kernels.activations import IDENTITY, RELU
from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.products import product_nn
from sk_dbn.kernels.random_bits import derive, fill_normal
from sk_dbn.kernels.rows import copy_rows
from sk_dbn.kernels.units import add_noise, drop, sample, sample_rectified, to_means

NOISE_KEY = 1  # of Gaussian units, where units beside them take the bits of the other key

Draws = namedtuple("Draws", "first_row drop_key drop_row")
Draws.__doc__ = """What tells the random numbers of some rows from those of others.

first_row : int, number of the first row
drop_key : uint32, of the dropout
drop_row : int, number of the first row in it
"""


@kernel
def hidden_products(team, parameters, v, u, out):
    """The hidden units' products given the visible ones, without biases, written to out.

    Parameters
    ----------
    team : int, see `products.product_nn`
    parameters : Parameters, the RBM's or those of the negative phase
    v : array (n_rows, n_visible)
    u : array like v, overwritten when the units are Gaussian
    out : array (n_rows, n_hidden), written
    """
    variance = parameters.variance
    if variance.shape[0] == 0:
        product_nn(team, v, parameters.W, out)
        return
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            u[i, j] = v[i, j] / variance[j]
    product_nn(team, u, parameters.W, out)


@kernel
def finish_hidden(rbm, c, rule, key, draws, is_drawn, h, state):
    """From products to means of the hidden units, and to samples of them where asked for.

    Parameters
    ----------
    rbm, rule : RBM, Rule
    c : array (n_hidden,), the hidden units' biases
    key : uint32, of the samples
    draws : Draws
    is_drawn : bool
    h : array (n_rows, n_hidden), products; means on return
    state : array like h, written when `is_drawn`
    """
    if is_drawn and rbm.hidden == RELU:
        sample_rectified(key, draws.first_row, c, h, state)
    to_means(rbm.hidden, h, c, 0, h.shape[1])
    if is_drawn and rbm.hidden != RELU:
        copy_rows(h, state)
        sample(rbm.hidden, key, draws.first_row, state, 0, h.shape[1])
    if rule.dropout > 0.0:
        drop(draws.drop_key, draws.drop_row, rule.dropout, h)
        if is_drawn:
            drop(draws.drop_key, draws.drop_row, rule.dropout, state)


@kernel
def sample_means(rbm, key, first_row, v):
    """Replace means by samples where visible units are not Gaussian.

    Parameters
    ----------
    rbm : RBM
    key : uint32
    first_row : int, number of the first row
    v : array (n_rows, n_visible), updated
    """
    for s in range(rbm.spans.shape[0]):
        lo, hi, kind = rbm.spans[s, 0], rbm.spans[s, 1], rbm.spans[s, 2]
        if kind != IDENTITY:
            sample(kind, key, first_row, v, lo, hi)


@kernel
def draw_visible(rbm, b, key, first_row, is_drawn, u, v):
    """From products to means of the visible units, or to samples of them.

    Gaussian units are always sampled, since the noise is a part of what they model.

    Parameters
    ----------
    rbm : RBM
    b : array (n_visible,), the visible units' biases
    key : uint32
    first_row : int, number of the first row
    is_drawn : bool
    u : array like v, overwritten where there are Gaussian units
    v : array (n_rows, n_visible), products; means or samples on return
    """
    variance = rbm.parameters.variance
    if variance.shape[0] > 0:
        is_mixed = rbm.spans.shape[0] > 1
        fill_normal(derive(key, NOISE_KEY) if is_mixed else key, first_row, u)
    for s in range(rbm.spans.shape[0]):
        lo, hi, kind = rbm.spans[s, 0], rbm.spans[s, 1], rbm.spans[s, 2]
        to_means(kind, v, b, lo, hi)
        if kind == IDENTITY:
            add_noise(variance, u, v, lo, hi)
        elif is_drawn:
            sample(kind, key, first_row, v, lo, hi)
