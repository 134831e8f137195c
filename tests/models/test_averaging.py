"""The average of models that were trained apart."""

import numpy as np
import pytest

from sk_dbn.models.averaging import average_networks, average_stacks, mean_of
from sk_dbn.models.data import Data
from sk_dbn.models.moments import Moments
from sk_dbn.models.network import Network
from sk_dbn.models.network_training import OptimiserState
from sk_dbn.models.rbm import Stack

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_mean_is_that_of_numpy(dtype):
    """It is computed in double precision, so only the last rounding differs."""
    arrays = [RANDOM.normal(size=(3, 4)).astype(dtype) for _ in range(5)]
    weights = [3, 1, 4, 1, 5]
    mean = mean_of(arrays, weights)
    assert mean.dtype == dtype
    expected = np.average(np.array(arrays, dtype=np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(mean, expected, rtol=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_equal_keeps_its_bits(dtype):
    """Layers that are not trained must not change, nor what one partition alone has trained."""
    x = RANDOM.normal(size=100).astype(dtype)
    np.testing.assert_array_equal(mean_of([x, x, x], [0.1, 0.2, 0.3]), x)
    np.testing.assert_array_equal(mean_of([x], [7]), x)


def test_networks_and_optimisers():
    """Parameters, running means of gradients and numbers of updates."""
    networks = [Network([3, 2, 1], ["tanh"], "identity", np.float32) for _ in range(2)]
    optimisers = [OptimiserState("adam", network) for network in networks]
    for i, (network, optimiser) in enumerate(zip(networks, optimisers, strict=True)):
        network.theta[:] = i
        optimiser.kernel_state.first[:], optimiser.kernel_state.second[:] = 2 * i, 4 * i
        optimiser.n_steps = 8 * i
    average_networks(networks, optimisers, [1, 3])
    state = optimisers[0].kernel_state
    assert {*networks[0].theta} == {0.75} and {*networks[0].coefs[0].ravel()} == {0.75}
    assert ({*state.first}, {*state.second}, optimisers[0].n_steps) == ({1.5}, {3.0}, 6)


def test_stacks():
    """Parameters, velocities and offsets are averaged; of chains, stacks give one in turns."""
    stacks = [Stack([3, 4, 2], "gaussian", "logistic", [0, 1], np.float32) for _ in range(2)]
    for i, stack in enumerate(stacks):
        stack.theta[:], stack.reference[:] = 1 + i, i
        for memory in stack.memories:
            memory.velocity_W[:], memory.mu[:], memory.n_steps = i, i, 4 * i
            memory.chains = np.full((5, len(memory.lam)), i, np.float32)
    average_stacks(stacks, [1, 1])
    first = stacks[0]
    assert {*first.theta} == {*first.variance} == {1.5} and {*first.reference} == {0.5}
    for memory in first.memories:
        assert {*memory.velocity_W.ravel()} == {*memory.mu} == {0.5} and memory.n_steps == 2
        np.testing.assert_array_equal(memory.chains[:, 0], [0, 1, 0, 1, 0])


@pytest.mark.parametrize("share_missing", [0.0, 0.3])
def test_merged_moments(share_missing):
    """Of any parts, they are those of all samples: also of a part with missing values only."""
    X = 5 + RANDOM.normal(size=(50, 4))
    X[RANDOM.uniform(size=X.shape) < share_missing] = np.nan
    if share_missing:
        X[10:20, 2] = np.nan
    parts = [Moments.of(Data(part, np.float32)) for part in np.split(X, [10, 20, 21])]
    merged, whole = Moments.merged(parts), Moments.of(Data(X, np.float32))
    for name in ("count", "mean", "variance", "low", "high"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-12)
    np.testing.assert_allclose(whole.mean, np.nanmean(X, axis=0), rtol=1e-12)
    np.testing.assert_allclose(whole.variance, np.nanvar(X, axis=0), rtol=1e-10)
