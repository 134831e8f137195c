"""The forward pass against the reference, for any shape and depth."""

import numpy as np
import pytest

from sk_dbn.kernels.activations import ACTIVATIONS
from sk_dbn.kernels.feed_forward import predict_rows
from sk_dbn.models.data import Data
from sk_dbn.models.network import Network
from tests import reference

DTYPES = [np.float32, np.float64]
SHAPES = [[1, 1], [4, 1], [3, 7, 2], [6, 1, 5, 4], [17, 40, 3, 33, 8, 2]]
OUT = ["identity", "logistic", "softmax", "exp"]


def network(units, out, dtype, random, shortcut=False):
    """A network with every activation in turn and weights that keep values moderate."""
    names = [n for n in ACTIVATIONS if n != "step"]  # a jump has no accuracy to compare
    names = [names[k] for k in random.randint(len(names), size=len(units) - 2)]
    net = Network(units, names, out, dtype, shortcut)
    for W, b in zip(net.coefs, net.intercepts, strict=True):
        W[:] = random.normal(size=W.shape) / np.sqrt(len(W))
        b[:] = random.normal(size=b.shape)
    return net, [*names, out]


def predicted(net, X, rows, n_layers, block_rows, twin="serial"):
    out = np.full((len(rows), net.units[n_layers]), np.nan, net.theta.dtype)
    source = Data(X, net.theta.dtype).source
    getattr(predict_rows, twin)(source, rows, net.layers, n_layers, block_rows, out)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_layers_equal_the_reference(seed, shortcut, dtype):
    """Any depth may be asked for, from the input itself (0) to the output."""
    random = np.random.RandomState(seed)
    for units in SHAPES:
        net, names = network(units, OUT[random.randint(4)], dtype, random, shortcut)
        X, rows = random.normal(size=(23, units[0])), random.randint(23, size=31)
        _, values = reference.forward(X, net.coefs, net.intercepts, names, shortcut=shortcut)
        for n_layers in range(len(units)):
            out = predicted(net, X, rows, n_layers, 8)
            tolerance = 200 * np.finfo(dtype).eps
            np.testing.assert_allclose(out, values[n_layers][rows], tolerance, tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_and_threads_change_nothing_but_rounding(dtype):
    """Blocks are cut by shape, so both twins agree bit for bit; other cuts agree to rounding."""
    random = np.random.RandomState(5)
    net, _ = network([5, 9, 9, 2], "softmax", dtype, random)
    X, rows = random.normal(size=(40, 5)), random.permutation(40)
    whole = predicted(net, X, rows, 3, 64)
    for block_rows in (1, 7, 40):
        serial = predicted(net, X, rows, 3, block_rows)
        assert np.array_equal(serial, predicted(net, X, rows, 3, block_rows, "parallel"))
        np.testing.assert_allclose(serial, whole, 20 * np.finfo(dtype).eps)


def test_no_rows():
    """Nothing in, nothing out."""
    net, _ = network([5, 3, 2], "identity", np.float32, np.random.RandomState(0))
    assert predicted(net, np.zeros((4, 5)), np.empty(0, np.int64), 2, 8).shape == (0, 2)


def test_parameters_are_read_where_the_vector_has_them():
    """Weights of a layer, then its biases, then the next layer: the views agree with kernels."""
    net = Network([2, 3, 1], ["identity"], "identity", np.float64)
    net.theta[:] = np.arange(net.theta.size)
    assert np.array_equal(net.coefs[0], [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(net.intercepts[0], [6, 7, 8])
    X = np.array([[1.0, 10.0]])
    hidden = X @ net.coefs[0] + net.intercepts[0]
    expected = hidden @ net.coefs[1] + net.intercepts[1]
    assert np.array_equal(predicted(net, X, np.zeros(1, np.int64), 2, 8), expected)
