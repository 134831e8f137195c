"""What is measured of an RBM on a few rows, by enumeration or by its definition."""

import numpy as np
import pytest

from sk_dbn.kernels.probe import FREE_ENERGY, FREE_ENERGY_SQUARE, KL, MSE, probe_rbm
from sk_dbn.models.data import Data
from sk_dbn.models.units import rectified_log_partition
from tests import reference_rbm as slow
from tests.kernels.small_rbms import (
    KINDS,
    WITH_GAUSSIAN,
    are_gaussian,
    gaussian_rbm,
    parameters,
    stack_of,
)


@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
def test_probe_measures_what_it_says(hidden):
    """Free energy by enumeration; divergence and squared error of the mean-field pass."""
    stack = stack_of("bernoulli", hidden)
    W, b, c = parameters(stack)
    V, kind = slow.states("binary", 3), KINDS[hidden]
    out, rows = np.zeros(8), np.arange(len(V))
    probe_rbm(Data(V, np.float64).source, rows, stack.layers, stack.rbm(0), out)
    free_energies = slow.free_energies("binary", kind, W, b, c)
    assert out[FREE_ENERGY] == pytest.approx(free_energies.mean())
    assert out[FREE_ENERGY_SQUARE] == pytest.approx((free_energies**2).mean())
    p = slow.MEANS["binary"](slow.MEANS[kind](V @ W + c) @ W.T + b)
    cross_entropy = -(V * np.log(p) + (1 - V) * np.log(1 - p))
    assert out[KL] == pytest.approx(cross_entropy.sum(axis=1).mean())
    assert out[MSE] == pytest.approx(((V - p) ** 2).mean())


@pytest.mark.parametrize("visible", WITH_GAUSSIAN)
@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
def test_probe_of_gaussian_units(hidden, visible):
    """Their free energy is a density's and their squared error counts over its variance.

    Binary units beside them have the divergence of binary units.
    """
    stack, (W, b, c, s) = gaussian_rbm(hidden, visible=visible)
    V, gaussian = np.random.RandomState(9).normal(size=(6, 3)), are_gaussian(visible, 3)
    V, kind, out = np.where(gaussian, V, V > 0), KINDS[hidden], np.zeros(8)
    args = Data(V, np.float64).source, np.arange(6), stack.layers, stack.rbm(0)
    probe_rbm(*args, out)
    free_energies = slow.gaussian_free_energies(V, kind, W, b, c, s, gaussian)
    assert out[FREE_ENERGY] == pytest.approx(free_energies.mean())
    assert out[FREE_ENERGY_SQUARE] == pytest.approx((free_energies**2).mean())
    x = slow.MEANS[kind](V / s @ W + c) @ W.T + b
    squares = (V - np.where(gaussian, x, slow.MEANS["binary"](x))) ** 2
    cross_entropy = np.log1p(np.exp(x)) - V * x
    nats = np.where(gaussian, squares / (2 * s) + np.log(s) / 2, cross_entropy)
    assert out[KL] == pytest.approx(nats.sum(axis=1).mean())
    assert out[MSE] == pytest.approx(squares.mean())


def test_probe_of_rectified_units():
    """On both sides: half the squared error of means down, and the integral of softplus."""
    stack = stack_of("relu", "relu")
    W, b, c = parameters(stack)
    V, out = np.random.RandomState(9).uniform(size=(6, 3)), np.zeros(8)
    args = Data(V, np.float64).source, np.arange(6), stack.layers, stack.rbm(0)
    probe_rbm(*args, out)
    x = V @ W + c
    expected = -V @ b - rectified_log_partition(x).sum(axis=1)
    assert out[FREE_ENERGY] == pytest.approx(expected.mean())
    mean = slow.rectified_mean(slow.rectified_mean(x) @ W.T + b)
    assert out[KL] == pytest.approx(((V - mean) ** 2 / 2).sum(axis=1).mean(), rel=1e-5)
