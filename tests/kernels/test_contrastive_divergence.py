"""Contrastive divergence: exact where a machine can be enumerated, else bit by bit."""

import math

import numpy as np
import pytest
from scipy.stats import chisquare

from sk_dbn.kernels.contrastive_divergence import (
    FREE_ENERGY,
    FREE_ENERGY_SQUARE,
    KL,
    MSE,
    Rule,
    momentum_at,
    probe_machine,
    train_machine,
)
from sk_dbn.models.data import Data
from sk_dbn.models.rbm import Stack
from sk_dbn.models.rbm_training import Workbench
from tests import reference_rbm as slow

KINDS = {"bernoulli": "binary", "gaussian": "gaussian", "logistic": "binary", "tanh": "bipolar"}
SEED = 11


def stack_of(visible, hidden, units=(3, 2), dtype=np.float64, scale=1.0):
    """A stack with random parameters."""
    random = np.random.RandomState(0)
    stack = Stack(units, visible, hidden, [SEED] * (len(units) - 1), dtype)
    stack.theta[:] = scale * random.normal(size=stack.theta.size)
    stack.variance[:] = 1.0
    return stack


def rule(**settings):
    """A training rule; plain CD-1 without decay, momentum or centering but for `settings`."""
    plain = {
        "persistent": 0,
        "mean_field": 0,
        "n_gibbs_steps": 1,
        "seed": SEED,
        "momentum": 0.0,
        "l2": 0.0,
        "l1": 0.0,
        "offset_rate": 0.0,
        "fast_rate": 0.0,
        "sparsity_target": 0.0,
        "sparsity_cost": 0.0,
        "dropout": 0.0,
        "max_norm": 0.0,
        "variance_rate": 0.0,
    }
    return Rule(**{**plain, **settings})


def train(stack, X, batch, training_rule, rate, chains=None, twin="serial", layer=0, first=0):
    """Train one machine through X in the order of storage; return its trace norms."""
    data, norms = Data(X, stack.theta.dtype), np.zeros(3)
    bench = Workbench(stack, layer, chains, batch)
    args = data.source, np.arange(len(X)), batch, stack.layers, stack.machine(layer)
    getattr(train_machine, twin)(*args, training_rule, rate, first, bench.work, norms)
    return norms


def gradient(stack, X, chains=None, **settings):
    """The gradient of W, b and c over all rows of X, taken as one minibatch."""
    train(stack, X, len(X), rule(**settings), 1.0, chains)
    memory = stack.memories[0]
    return memory.velocity_W, memory.velocity_b, memory.velocity_c


def parameters(stack):
    return stack.coefs[0].copy(), stack.intercepts_visible[0].copy(), stack.intercepts_hidden[0]


DATA = np.array([0.3, 0.02, 0.1, 0.08, 0.05, 0.25, 0.05, 0.15])  # of the 8 visible states


@pytest.mark.parametrize("hidden", ["binary", "bipolar"])
def test_reference_gradient_is_that_of_the_likelihood(hidden):
    """Positive minus negative phase at the model's distribution is d log P(v) / d theta."""
    random = np.random.RandomState(1)
    theta = [random.normal(size=shape) for shape in [(3, 2), 3, 2]]
    gradient = slow.expected_gradient(DATA, None, "binary", hidden, *theta)
    for x, g in zip(theta, gradient, strict=True):
        for index in np.ndindex(*x.shape):
            kept, sides = x[index], []
            for step in (1e-5, -1e-5):
                x[index] = kept + step
                sides.append(slow.log_likelihood(DATA, "binary", hidden, *theta))
            x[index] = kept
            assert g[index] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_expected_gradient_is_powers_of_the_transition_matrix(hidden, n_steps):
    """CD-k's expectation follows from T^k: visible and hidden units are both sampled.

    Means in a sample's place would shift the expectation, as would hidden units that are not
    drawn anew in every step. The mean of n draws of a quantity within [-1, 1] is within
    4.5 / sqrt(n) of its expectation, but for one time in 150 000.
    """
    n = 100_000
    rows = np.repeat(slow.states("binary", 3), np.round(DATA * n).astype(int), axis=0)
    stack = stack_of("bernoulli", hidden)
    W, b, c = (x.copy() for x in parameters(stack))
    found = gradient(stack, rows, n_gibbs_steps=n_steps)
    expected = slow.expected_gradient(DATA, n_steps, "binary", KINDS[hidden], W, b, c)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=4.5 / math.sqrt(n))


@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
def test_persistent_chains_have_the_machines_distribution(hidden):
    """Chains of a machine at rest forget where they started; chi-square over hidden states."""
    stack, n_chains = stack_of("bernoulli", hidden), 20_000
    chains = np.ones((n_chains, 2))
    X = np.zeros((200, 3))
    train(stack, X, 1, rule(persistent=1), 0.0, chains)
    kind = KINDS[hidden]
    W, b, c = parameters(stack)
    expected = slow.joint("binary", kind, W, b, c).sum(axis=0)
    states = slow.states(kind, 2)
    counts = [(chains == state).all(axis=1).sum() for state in states]
    assert sum(counts) == n_chains
    assert chisquare(counts, expected * n_chains).pvalue > 1e-4


def test_persistent_gradient_at_the_machines_distribution_is_the_likelihoods():
    """Once the chains are mixed, the gradient's expectation is exact, not CD's."""
    stack, n = stack_of("bernoulli", "logistic"), 100_000
    rows = np.repeat(slow.states("binary", 3), np.round(DATA * n).astype(int), axis=0)
    W, b, c = (x.copy() for x in parameters(stack))
    found = gradient(stack, rows, np.ones((n, 2)), persistent=1, n_gibbs_steps=60)
    expected = slow.expected_gradient(DATA, None, "binary", "binary", W, b, c)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=4.5 / math.sqrt(n))


CASES = {
    "plain": {},
    "CD-3": {"n_gibbs_steps": 3},
    "centered": {"centered": True},
    "decay and momentum": {"l2": 0.1, "l1": 0.05, "momentum": 0.9, "centered": True},
    "persistent": {"n_chains": 7, "n_gibbs_steps": 2, "centered": True, "momentum": 0.5},
    "mean field": {"mean_field": True, "centered": True},
}


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
@pytest.mark.parametrize("case", CASES)
def test_steps_equal_the_slow_ones(visible, hidden, case):
    """Every update is the one that the equations give with the same random bits.

    The last minibatch is short and the chains are neither as many as its rows nor as those of
    the others, so a phase divided by a wrong number shows; so do decayed biases, a learning
    rate that enters twice, and chains that are not drawn anew after the visible units.
    """
    settings = {"centered": False, **CASES[case]}
    n_chains = settings.pop("n_chains", None)
    random = np.random.RandomState(2)
    X = random.uniform(size=(23, 5)) if visible == "bernoulli" else random.normal(size=(23, 5))
    stack = stack_of(visible, hidden, (5, 4), scale=0.5)
    stack.memories[0].mu[:] = X.mean(axis=0)
    machine = slow.SlowMachine(KINDS[visible], KINDS[hidden], *parameters(stack), X.mean(axis=0))
    chains = None
    if n_chains:
        chains = random.randint(0, 2, (n_chains, 4)).astype(float)
        machine.chains = chains.copy()
    for start in range(0, 23, 10):
        machine.step(X[start : start + 10], seed=SEED, rate=0.1,
                     **{"momentum": 0.0, **settings})  # fmt: skip
    centered = settings.pop("centered")
    settings["mean_field"] = int(settings.pop("mean_field", False))
    compiled = rule(persistent=int(n_chains is not None), offset_rate=0.01 * centered, **settings)
    train(stack, X, 10, compiled, 0.1, chains)
    memory = stack.memories[0]
    for mine, theirs in zip(parameters(stack), (machine.W, machine.b, machine.c), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12)
    if centered:
        np.testing.assert_allclose(memory.mu, machine.mu, atol=1e-12)
        np.testing.assert_allclose(memory.lam, machine.lam, atol=1e-12)
    if n_chains:
        np.testing.assert_array_equal(chains, machine.chains)


def test_trace_norms_are_those_of_the_gradient():
    """What the kernel adds up per minibatch are Euclidean norms, before decay and momentum."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    stack = stack_of("bernoulli", "logistic", (5, 4))
    machine = slow.SlowMachine("binary", "binary", *parameters(stack), X.mean(axis=0))
    norms = train(stack, X, 10, rule(l2=0.3), 0.1)
    W = machine.W.copy()
    machine.step(X, seed=SEED, rate=0.1, momentum=0.0, l2=0.3, centered=False)
    g_W, g_b, g_c = machine.gradient
    assert norms[0] == pytest.approx(np.linalg.norm(g_W))
    assert norms[1] == pytest.approx(np.linalg.norm(np.r_[g_b, g_c]))
    assert norms[2] == pytest.approx(np.linalg.norm(machine.W - W) / np.linalg.norm(W))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("persistent", [0, 1])
def test_serial_and_parallel_twins_agree_to_the_bit(dtype, persistent):
    """The work is cut by its shape: large enough here for several blocks of every sort."""
    X = np.random.RandomState(4).uniform(size=(150, 260)).astype(np.float32)
    results = []
    for twin in ("serial", "parallel"):
        stack = stack_of("bernoulli", "logistic", (260, 130, 120), dtype, scale=0.1)
        chains = np.zeros((70, 120), dtype) if persistent else None
        settings = rule(persistent=persistent, offset_rate=0.01, momentum=0.9)
        norms = train(stack, X, 64, settings, 0.1, chains, twin, layer=1)
        results.append([stack.theta, norms, stack.memories[1].mu])
    for serial, parallel in zip(*results, strict=True):
        np.testing.assert_array_equal(serial, parallel)


def test_upper_machines_see_means():
    """A machine's input are the means below: the features passed upward are not samples."""
    X = np.random.RandomState(5).uniform(size=(12, 6))
    stack = stack_of("bernoulli", "logistic", (6, 5, 4))
    below = 1 / (1 + np.exp(-(X @ stack.coefs[0] + stack.intercepts_hidden[0])))
    alone = Stack((5, 4), "bernoulli", "logistic", [SEED], np.float64)
    alone.coefs[0][:] = stack.coefs[1]
    alone.intercepts_hidden[0][:] = stack.intercepts_hidden[1]
    alone.intercepts_visible[0][:] = stack.intercepts_visible[1]
    before = stack.coefs[0].copy()
    train(stack, X, 5, rule(mean_field=1), 0.1, layer=1)
    train(alone, below, 5, rule(mean_field=1), 0.1)
    np.testing.assert_allclose(stack.coefs[1], alone.coefs[0], atol=1e-12)
    np.testing.assert_array_equal(stack.coefs[0], before)


def test_momentum_rises_as_published():
    """min(most, 1 - 2^(-1 - log2(floor(t / 250) + 1))), Sutskever et al. (2013), equation 5."""
    for t in (0, 249, 250, 499, 500, 1000, 10_000):
        expected = 1 - 2 ** (-1 - math.log2(t // 250 + 1))
        assert momentum_at(t, 0.99) == pytest.approx(min(0.99, expected))
    assert momentum_at(10_000, 0.3) == 0.3


@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
def test_probe_measures_what_it_says(hidden):
    """Free energy by enumeration; divergence and squared error of the mean-field pass."""
    stack = stack_of("bernoulli", hidden)
    W, b, c = parameters(stack)
    V, kind = slow.states("binary", 3), KINDS[hidden]
    out, rows = np.zeros(8), np.arange(len(V))
    probe_machine(Data(V, np.float64).source, rows, stack.layers, stack.machine(0), out)
    free_energies = slow.free_energies("binary", kind, W, b, c)
    assert out[FREE_ENERGY] == pytest.approx(free_energies.mean())
    assert out[FREE_ENERGY_SQUARE] == pytest.approx((free_energies**2).mean())
    p = slow.MEANS["binary"](slow.MEANS[kind](V @ W + c) @ W.T + b)
    cross_entropy = -(V * np.log(p) + (1 - V) * np.log(1 - p))
    assert out[KL] == pytest.approx(cross_entropy.sum(axis=1).mean())
    assert out[MSE] == pytest.approx(((V - p) ** 2).mean())
