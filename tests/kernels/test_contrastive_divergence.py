"""Contrastive divergence: exact where an RBM can be enumerated, else bit by bit.

Where chance remains, keys are fixed, so a test gives one answer for ever; each allows a
family-wise error of `ALPHA` over all that it looks at (Bonferroni).
"""

import math

import numpy as np
import pytest
from scipy.stats import chisquare

from sk_dbn.models.rbm import Stack
from tests import reference_rbm as slow
from tests.kernels.small_rbms import (
    KINDS,
    MIXED,
    SEED,
    WITH_GAUSSIAN,
    are_gaussian,
    gaussian_rbm,
    parameters,
    rule,
    set_variances,
    slow_kind,
    stack_of,
    train,
    values_of,
)


def gradient(stack, X, chains=None, **settings):
    """The gradient of W, b and c over all rows of X, taken as one minibatch."""
    train(stack, X, len(X), rule(**settings), 1.0, chains)
    memory = stack.memories[0]
    return memory.velocity_W, memory.velocity_b, memory.velocity_c


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
def test_persistent_chains_have_the_rbms_distribution(hidden):
    """Chains of an RBM at rest forget where they started; chi-square over hidden states."""
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


def test_persistent_gradient_at_the_rbms_distribution_is_the_likelihoods():
    """Once the chains are mixed, the gradient's expectation is exact, not CD's."""
    stack, n = stack_of("bernoulli", "logistic"), 100_000
    rows = np.repeat(slow.states("binary", 3), np.round(DATA * n).astype(int), axis=0)
    W, b, c = (x.copy() for x in parameters(stack))
    found = gradient(stack, rows, np.ones((n, 2)), persistent=1, n_gibbs_steps=60)
    expected = slow.expected_gradient(DATA, None, "binary", "binary", W, b, c)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=4.5 / math.sqrt(n))


@pytest.mark.parametrize("visible", WITH_GAUSSIAN)
@pytest.mark.parametrize("hidden", ["binary", "bipolar"])
def test_reference_gradient_of_gaussian_units_is_that_of_the_likelihood(hidden, visible):
    """By parts, the moments of data and RBM give d log p(v) / d (W, b, c, log s)."""
    V, gaussian = np.random.RandomState(1).normal(size=(5, 3)), are_gaussian(visible, 3)
    V = np.where(gaussian, V, V > 0)
    _, theta = gaussian_rbm(visible=visible)
    theta[3] = np.log(theta[3])

    def log_likelihood():
        return slow.gaussian_log_likelihood(V, hidden, *theta[:3], np.exp(theta[3]), gaussian)

    gradient = slow.gaussian_gradient(V, hidden, *theta[:3], np.exp(theta[3]), gaussian)
    for x, g in zip(theta, gradient, strict=True):
        for index in np.ndindex(*x.shape):
            if x is theta[3] and not gaussian[index]:
                continue  # a binary unit has no variance
            kept, sides = x[index], []
            for step in (1e-5, -1e-5):
                x[index] = kept + step
                sides.append(log_likelihood())
            x[index] = kept
            assert g[index] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-8)


def repeated(states, p, n):
    """Each state as often as it is to be expected in n."""
    return np.repeat(states, np.round(p * n).astype(int), axis=0)


@pytest.mark.parametrize("visible", WITH_GAUSSIAN)
@pytest.mark.parametrize("offset_rate", [0.0, 0.01])
@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
def test_steps_of_gaussian_units_are_the_likelihoods(hidden, offset_rate, visible):
    """Weights and visible biases step along the gradient times the variance, log s along it.

    The chains have the RBM's distribution before and so after a Gibbs step: what the
    step's noise may add is 4.5 standard errors of each mean. Centering mixes the gradients:
    that of b becomes g_b - g_W lam, that of c becomes g_c - g_W^T mu, with the centered g_W; so
    does it what each chain adds to them. Binary units among the Gaussian ones have no variance.
    """
    n, kind, damping = 100_000, KINDS[hidden], 0.01  # of the step of log s, which is clipped
    stack, (W, b, c, s) = gaussian_rbm(hidden, visible=visible)
    gaussian = are_gaussian(visible, 3)
    p = slow.gaussian_hidden_distribution(kind, W, b, c, s, gaussian)
    chains = repeated(slow.states(kind, 2), p, n)
    X = np.random.RandomState(3).normal(size=(7, 3)) + [0.5, 0.0, -0.5]
    X = np.where(gaussian, X, X > 0)
    settings = rule(persistent=1, variance_rate=damping)
    memory = stack.memories[0]
    memory.mu[:] = 0.3, -0.2, 0.1
    settings = settings._replace(offset_rate=offset_rate)
    mu = memory.mu.copy()
    _, work = train(stack, X, len(X), settings, 1.0, chains)
    g_W, g_b, g_c, g_log_s = slow.gaussian_gradient(X, kind, W, b, c, s, gaussian)
    g_W, g_b = g_W * s[:, None], g_b * s
    phases, rows = work.phases, slice(len(X), len(X) + len(chains))
    v, h = phases.v[rows], phases.h[rows]
    h = -h * len(chains) / len(X)
    terms = [v[:, :, None] * h[:, None], v, h, ((v - b) ** 2 / 2 - v * (h @ W.T)) / s]
    if offset_rate:
        lam = slow.MEANS[kind](X / s @ W + c).mean(axis=0)
        # (v - mu)(h - lam) = v h - mu h - v lam + mu lam
        g_W = g_W - np.outer(mu, g_c) - np.outer(g_b, lam)
        g_b, g_c = g_b - g_W @ lam, g_c - g_W.T @ mu
        terms[0] = (v - mu)[:, :, None] * (h - lam)[:, None]
        terms[1:3] = v - terms[0] @ lam, h - mu @ terms[0]
    found = (memory.velocity_W, memory.velocity_b, memory.velocity_c)
    found = (*found, memory.velocity_variance / damping)
    for x, expected, term in zip(found, (g_W, g_b, g_c, g_log_s), terms, strict=True):
        error = 4.5 * term.std(axis=0) / math.sqrt(len(chains))
        assert (abs(x - expected) < error + 1e-4).all()


CASES = {
    "plain": {},
    "CD-3": {"n_gibbs_steps": 3},
    "centered": {"centered": True},
    "decay and momentum": {"l2": 0.1, "l1": 0.05, "momentum": 0.9, "centered": True},
    "persistent": {"n_chains": 7, "n_gibbs_steps": 2, "centered": True, "momentum": 0.5},
    "mean field": {"mean_field": True, "centered": True},
    "mean field of chains": {"mean_field": True, "n_chains": 7},
    "fast weights": {"n_chains": 7, "fast_rate": 0.2},
    "tempered": {"n_chains": 7, "betas": [1.0, 0.6, 0.3, 0.0], "n_gibbs_steps": 2},
    "sparse": {"sparsity_target": 0.2, "sparsity_cost": 0.7},
    "dropout": {"dropout": 0.4, "n_gibbs_steps": 2},
    "persistent dropout": {"dropout": 0.4, "n_chains": 7, "n_gibbs_steps": 2},
    "max norm": {"max_norm": 0.5},
    "all with fast weights": {
        "n_chains": 7, "fast_rate": 0.1, "n_gibbs_steps": 2, "centered": True, "momentum": 0.9,
        "l2": 0.1, "sparsity_target": 0.3, "sparsity_cost": 0.5, "dropout": 0.3, "max_norm": 0.5,
    },
    "all with temperatures": {
        "n_chains": 7, "betas": [1.0, 0.5, 0.0], "centered": True, "momentum": 0.9, "l2": 0.1,
        "sparsity_target": 0.3, "sparsity_cost": 0.5, "max_norm": 0.5,
    },
}  # fmt: skip
COMBINATIONS = [
    (visible, hidden, case)
    for visible in ("bernoulli", "gaussian", "gaussian of learned variance", "both")
    for hidden in ("logistic", "tanh", "relu")
    for case, settings in CASES.items()
    if not (hidden == "relu" and "betas" in settings)
] + [("relu", "relu", "mean field"), ("relu", "relu", "mean field of chains")]


@pytest.mark.parametrize("visible, hidden, case", COMBINATIONS)
def test_steps_equal_the_slow_ones(visible, hidden, case):
    """Every update is the one that the equations give with the same random bits.

    The last minibatch is short and the chains are neither as many as its rows nor as those of
    the others, so a phase divided by a wrong number shows; so do decayed biases, a learning
    rate that enters twice, chains that are not drawn anew after the visible units, a row whose
    chain drops other units, a target of activity that moves the biases alone, and fast weights
    among the weights. The means of rectified linear units are approximated to 1e-7.
    """
    settings = {"centered": False, "momentum": 0.0, **CASES[case]}
    if visible in ("gaussian of learned variance", "both"):
        settings["variance_rate"] = 0.5
        visible = MIXED[5] if visible == "both" else "gaussian"
    n_chains, betas = settings.pop("n_chains", None), settings.get("betas", [1.0])
    random = np.random.RandomState(2)
    X = values_of(visible, random, 33, 5)
    # Without a bound on either side, large steps run away.
    scale, rate = (0.5, 0.1) if visible == "bernoulli" or hidden != "relu" else (0.2, 0.02)
    stack = stack_of(visible, hidden, (5, 4), scale=scale)
    set_variances(stack, visible, np.linspace(0.4, 0.9, 5))
    memory, kinds = stack.memories[0], (slow_kind(visible), KINDS[hidden])
    memory.mu[:] = X.mean(axis=0)
    variance = stack.variance if len(stack.variance) else 1.0
    rbm = slow.SlowRBM(*kinds, *parameters(stack), X.mean(axis=0), variance)
    chains = None
    if n_chains:
        chains = random.randint(0, 2, (n_chains * len(betas), 4)).astype(float)
        rbm.chains = chains.copy()
    for start in range(0, 33, 10):
        rbm.step(X[start : start + 10], seed=SEED, rate=rate, **settings)
    centered = settings.pop("centered")
    settings["mean_field"] = int(settings.pop("mean_field", False))
    settings.pop("betas", None)
    compiled = rule(persistent=int(n_chains is not None), offset_rate=0.01 * centered, **settings)
    train(stack, X, 10, compiled, rate, chains, betas=betas)
    atol = 1e-6 if hidden == "relu" else 1e-11
    pairs = list(zip(parameters(stack), rbm.parameters, strict=True))
    if len(stack.variance):
        pairs.append((stack.variance, rbm.variance))
    if centered:
        pairs += [(memory.mu, rbm.mu), (memory.lam, rbm.lam)]
    if n_chains:
        pairs.append((chains, rbm.chains))
    if "fast_rate" in settings:
        pairs += zip((memory.fast_W, memory.fast_b, memory.fast_c), rbm.fast, strict=True)
    pairs.append((memory.activity, rbm.activity))
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=atol)


def trained_twice(settings, other, **kwargs):
    """What the same training makes of the same RBM by two rules."""
    X, results = np.random.RandomState(6).uniform(size=(33, 5)), []
    for training_rule in (settings, other):
        stack, chains = stack_of("bernoulli", "logistic", (5, 4)), np.zeros((7, 4))
        train(stack, X, 10, training_rule, 0.1, chains, **kwargs)
        results.append((stack, chains))
    return results


def test_fast_weights_without_a_rate_are_pcd():
    """At a rate that is lost in the weights' last bits, the chains run on the weights."""
    pcd = rule(persistent=1, offset_rate=0.01, momentum=0.9, l2=0.1, max_norm=1.0)
    (one, chains), (other, fast_chains) = trained_twice(pcd, pcd._replace(fast_rate=1e-300))
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(chains, fast_chains)


def test_fast_weights_are_not_the_weights():
    """Where the weights do not learn, fast ones drive the chains and are nowhere else."""
    stack, chains = stack_of("bernoulli", "logistic", (5, 4)), np.zeros((7, 4))
    before, memory = stack.theta.copy(), stack.memories[0]
    X = np.random.RandomState(6).uniform(size=(33, 5))
    train(stack, X, 10, rule(persistent=1, fast_rate=0.1), 0.0, chains)
    np.testing.assert_array_equal(stack.theta, before)
    assert all(abs(x).max() > 0.01 for x in (memory.fast_W, memory.fast_b, memory.fast_c))
    rbm = stack.rbm(0)
    np.testing.assert_array_equal(rbm.chain.W, stack.coefs[0] + memory.fast_W)
    assert rbm.parameters.W is stack.coefs[0]


LARGE = {
    "cd": {"offset_rate": 0.01, "momentum": 0.9},
    "pcd": {"persistent": 1, "offset_rate": 0.01, "momentum": 0.9},
    "fpcd": {"persistent": 1, "fast_rate": 0.1, "max_norm": 0.8, "dropout": 0.3},
    "pt": {"persistent": 1, "sparsity_target": 0.1, "sparsity_cost": 0.1, "max_norm": 0.8},
    "limited": {"offset_rate": 0.01, "momentum": 0.9, "max_step": 1e-3},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", LARGE)
@pytest.mark.parametrize("visible, layer", [("gaussian", 0), (MIXED[260], 0), ("gaussian", 1)])
def test_serial_and_parallel_twins_agree_to_the_bit(dtype, algorithm, visible, layer):
    """The work is cut by its shape: large enough here for several blocks of every sort."""
    X = np.random.RandomState(4).uniform(size=(150, 260)).astype(np.float32)
    betas = np.linspace(1.0, 0.0, 3) if algorithm == "pt" else np.ones(1)
    results = []
    for twin in ("serial", "parallel"):
        stack = stack_of(visible, "logistic", (260, 130, 120), dtype, scale=0.1)
        memory, settings = stack.memories[layer], rule(**LARGE[algorithm], variance_rate=0.1)
        chains = None
        if settings.persistent:
            chains = np.zeros((70 * len(betas), stack.units[layer + 1]), dtype)
        norms, work = train(stack, X, 64, settings, 0.1, chains, twin, layer, betas=betas)
        assert min(work.phases.lower.shape[0], work.update.sums.shape[0]) > 1
        fast = memory.fast_W, memory.fast_b, memory.fast_c
        results.append([stack.theta, norms, memory.mu, memory.activity, *fast, work.phases.chains])
    for serial, parallel in zip(*results, strict=True):
        np.testing.assert_array_equal(serial, parallel)
        assert np.isfinite(serial).all()


def test_upper_rbms_see_means():
    """An RBM's input are the means below: the features passed upward are not samples."""
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
