"""A stack of RBMs unrolled into the encoder and the decoder of an autoencoder.

Source: Hinton & Salakhutdinov (2006), Reducing the dimensionality of data with neural networks.
"""

import numpy as np

from sk_dbn.kernels.activations import IDENTITY
from sk_dbn.models.network import Network
from sk_dbn.models.units import FORMULAS, means


def unroll(stack, network, v):
    """Set the parameters of an autoencoder to those of a stack.

    The encoder computes the features of the layers upward. The decoder computes the means downward,
    except that rectified linear units have no noise. If the code is
    linear and the stack's top units are not, each code unit becomes the linear function of the
    layer below that is closest to the top unit's mean, by least squares. Linear outputs for
    Bernoulli units are found in the same way.

    Parameters
    ----------
    stack : Stack
    network : Network
        Of an encoder with the stack's layers and a decoder with the same ones in reverse order.
    v : ndarray of shape (n_rows, n_features)
        Some samples as the visible units read them.
    """
    n = stack.n_layers
    layers = zip(stack.coefs, stack.intercepts_hidden, stack.intercepts_visible, strict=True)
    for layer, (W, c, b) in enumerate(layers):
        network.coefs[layer][:], network.intercepts[layer][:] = W, c
        network.coefs[2 * n - 1 - layer][:] = W.T
        network.intercepts[2 * n - 1 - layer][:] = b
    if len(stack.variance) > 0:
        network.coefs[0][:] /= stack.variance[:, None]
    h = v
    for layer in range(n):
        x = h @ network.coefs[layer] + network.intercepts[layer]
        h = FORMULAS[stack.kinds[layer + 1]].feature(x)
    if network.codes[n - 1] == IDENTITY != stack.kinds[n]:
        _make_linear(network, n - 1, x, h)
    for layer in reversed(range(1, n)):
        h = FORMULAS[stack.kinds[layer]].feature(
            h @ stack.coefs[layer].T + stack.intercepts_visible[layer]
        )
    if network.codes[-1] == IDENTITY and np.any(stack.kinds[0] != IDENTITY):
        x = h @ stack.coefs[0].T + stack.intercepts_visible[0]
        _make_linear(network, 2 * n - 1, x, means(stack.kinds[0], x))


def _make_linear(network, layer, x, h):
    """Replace the units of a layer by linear ones, fitted to means h of products x."""
    x, h = x.astype(np.float64), h.astype(np.float64)
    x_mean, h_mean = x.mean(axis=0), h.mean(axis=0)
    variance = ((x - x_mean) ** 2).sum(axis=0)
    covariance = ((x - x_mean) * (h - h_mean)).sum(axis=0)
    slope = np.divide(covariance, variance, out=np.zeros_like(variance), where=variance > 0)
    network.coefs[layer][:] *= slope
    b = network.intercepts[layer]
    b[:] = slope * (b - x_mean) + h_mean


def decoder_of(network):
    """The decoder of an autoencoder: the network above the code.

    Parameters
    ----------
    network : Network
        With an even number of layers.

    Returns
    -------
    Network
        A view of its parameters, or a copy if there are shortcuts.
    """
    n = network.n_layers // 2
    if not network.shortcut:
        return network.layers_above(n)
    # The lowest layer of a network has no shortcut, so the code passes an identity before.
    units = network.units[n:]
    names = network.activations
    decoder = Network(
        [units[0], *units], ["identity", *names[n:-1]], names[-1], network.theta.dtype, True
    )
    decoder.branch = network.branch
    decoder.coefs[0][:] = np.eye(units[0])
    for mine, given in zip(
        decoder.coefs[1:] + decoder.intercepts[1:],
        network.coefs[n:] + network.intercepts[n:],
        strict=True,
    ):
        mine[:] = given
    return decoder
