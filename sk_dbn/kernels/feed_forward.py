"""Rows through layers: the forward pass shared by networks, stacks and prediction."""

from collections import namedtuple

import numpy as np

from sk_dbn.kernels.activations import activate
from sk_dbn.kernels.blocks import in_blocks, teams, twins
from sk_dbn.kernels.compile import kernel, routine, view
from sk_dbn.kernels.gather import gather
from sk_dbn.kernels.memory import in_memory
from sk_dbn.kernels.parts import matrix, vector
from sk_dbn.kernels.products import product_nn

Layers = namedtuple(
    "Layers", "theta units weights_at biases_at activations branch", defaults=(0.0,)
)
Layers.__doc__ = """Layers whose parameters lie in one flat vector.

theta : array (n_parameters,)
units : int64 array (n_layers + 1,), the units of the input and of each layer
weights_at, biases_at : int64 arrays (n_layers,), where a layer's parameters begin
activations : int64 array (n_layers,), codes
branch : float, what a hidden layer's own activations are multiplied by where they are added to
    those of the hidden layer below, see `add_shortcut`; 0 where there are no shortcuts
"""


@view
def weights(layers, layer):
    """The weights of one layer, (fan_in, fan_out), as a view."""
    p, q = layers.units[layer], layers.units[layer + 1]
    at = layers.weights_at[layer]
    return matrix(layers.theta, at, p, q)


@view
def biases(layers, layer):
    """The biases of one layer, (fan_out,), as a view."""
    return vector(layers.theta, layers.biases_at[layer], layers.units[layer + 1])


@kernel
def widest_layer(layers, n_layers):
    """The most units of the input and the first n_layers."""
    widest = layers.units[0]
    for layer in range(1, n_layers + 1):
        widest = layers.units[layer] if layers.units[layer] > widest else widest
    return widest


@kernel(forceinline=True)
def has_shortcut(layers, layer):
    """Whether a layer's input is added to its output: both then are hidden layers."""
    return layers.branch > 0.0 and 0 < layer < layers.units.shape[0] - 2


@routine
def add_shortcut(branch, inputs, out, slopes):
    """out = inputs + branch out, for as many units as both layers have.

    The others, of a layer that is wider than the one below, stay as they are.

    Parameters
    ----------
    branch : float
    inputs : array (n_rows, fan_in), what the layer below passed on
    out : array (n_rows, fan_out), the layer's own activations; updated
    slopes : array (n_rows, fan_out) or (0, 0), derivatives of out, updated
    """
    branch = out.dtype.type(branch)
    for i in range(out.shape[0]):
        for j in range(min(inputs.shape[1], out.shape[1])):
            out[i, j] = inputs[i, j] + branch * out[i, j]
    for i in range(slopes.shape[0]):
        for j in range(min(inputs.shape[1], out.shape[1])):
            slopes[i, j] *= branch


@kernel
def forward_layer(team, layers, layer, inputs, slopes, out):
    """One layer by itself: out = f(inputs W + b).

    Parameters
    ----------
    team : int, see `products.product_nn`
    layers : Layers
    layer : int
    inputs : array (n_rows, fan_in)
    slopes : array (n_rows, fan_out) or (0, 0), see `activations.activate`
    out : array (n_rows, fan_out), written
    """
    product_nn(team, inputs, weights(layers, layer), out)
    activate(layers.activations[layer], out, biases(layers, layer), slopes)


@kernel
def forward_rows(team, source, rows, layers, n_layers, work, out):
    """Gather a few rows and take them through the first layers.

    Parameters
    ----------
    team : int, see `products.product_nn`
    source : Source
    rows : int64 array (n_rows,)
    layers : Layers
    n_layers : int, how many layers to pass; with 0 the rows are only gathered
    work : array (2, n_rows * the widest layer), overwritten
    out : array (n_rows, units[n_layers]), written
    """
    n, p = rows.shape[0], layers.units[0]
    row, no_slopes = work.shape[1], matrix(work, 0, 0, 0)
    # One place for each call: every further one would be compiled again.
    a = out if n_layers == 0 else matrix(work, 0, n, p)
    gather(source, rows, a)
    for layer in range(n_layers):
        q = layers.units[layer + 1]
        z = out if layer + 1 == n_layers else matrix(work, (layer + 1) % 2 * row, n, q)
        forward_layer(team, layers, layer, a, no_slopes, z)
        if has_shortcut(layers, layer):
            add_shortcut(layers.branch, a, z, no_slopes)
        a = z


@routine(allocates=True)
def _forward_block(team, source, rows, layers, n_layers, block_rows, out, block):
    """The block-th piece of `predict_rows`, with a workspace of its own."""
    lo = block * block_rows
    hi = min(lo + block_rows, rows.shape[0])
    work = np.empty((2, (hi - lo) * widest_layer(layers, n_layers)), layers.theta.dtype)
    forward_rows(team, source, rows[lo:hi], layers, n_layers, work, out[lo:hi])


@twins
def predict_rows(team, source, rows, layers, n_layers, block_rows, out):
    """The activations of layer n_layers for many rows.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
    source : Source
    rows : int64 array (n_rows,)
    layers : Layers
    n_layers : int
    block_rows : int, rows that go through the layers together
    out : array (n_rows, units[n_layers]), written
    """
    n_blocks = (rows.shape[0] + block_rows - 1) // block_rows
    source, layers = in_memory(source), in_memory(layers)
    rows_team, inner_team = teams(team, n_blocks)
    arguments = inner_team, source, rows, layers, n_layers, block_rows, out
    in_blocks(rows_team, n_blocks, _forward_block, arguments)
