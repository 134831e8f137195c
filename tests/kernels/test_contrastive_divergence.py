"""Contrastive divergence: exact where a machine can be enumerated, else bit by bit.

Where chance remains, keys are fixed, so a test gives one answer for ever; each allows a
family-wise error of `ALPHA` over all that it looks at (Bonferroni).
"""

import math

import numpy as np
import pytest
from scipy.stats import chisquare, norm

from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.contrastive_divergence import (
    FREE_ENERGY,
    FREE_ENERGY_SQUARE,
    KL,
    MSE,
    Rule,
    momentum_at,
    probe_machine,
    swap_neighbours,
    temper,
    tempered_block,
    train_machine,
)
from sk_dbn.models.data import Data
from sk_dbn.models.rbm import Stack, rectified_log_partition
from sk_dbn.models.rbm_training import RBMBuffers
from tests import reference_rbm as slow

KINDS = {
    "bernoulli": "binary",
    "gaussian": "gaussian",
    "logistic": "binary",
    "tanh": "bipolar",
    "relu": "rectified",
}
# Spans of one and of two units.
MIXED = {n: tuple("gaussian" if j % 3 == 1 else "bernoulli" for j in range(n)) for n in (3, 5, 260)}
SEED = 11
ALPHA = 1e-4


def stack_of(visible, hidden, units=(3, 2), dtype=np.float64, scale=1.0):
    """A stack with random parameters."""
    random = np.random.RandomState(0)
    stack = Stack(units, visible, hidden, [SEED] * (len(units) - 1), dtype)
    stack.theta[:] = scale * random.normal(size=stack.theta.size)
    stack.variance[:] = 1.0
    return stack


def slow_kind(visible):
    """The reference's name of a kind, or its names of several."""
    return KINDS[visible] if isinstance(visible, str) else tuple(KINDS[kind] for kind in visible)


def are_gaussian(visible, n_units):
    """Which of the visible units are Gaussian."""
    return np.broadcast_to(np.equal(visible, "gaussian"), n_units)


def set_variances(stack, visible, values):
    """Give the Gaussian units these variances."""
    gaussian = are_gaussian(visible, stack.units[0])
    if gaussian.any():
        stack.variance[gaussian] = np.array(values)[gaussian]


def values_of(visible, random, n_rows, n_units):
    """Data that such units can have: normal ones, and means in [0, 1]."""
    gaussian, size = are_gaussian(visible, n_units), (n_rows, n_units)
    return np.where(gaussian, random.normal(size=size), random.uniform(size=size))


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
        "most_step": 0.0,
    }
    return Rule(**{**plain, **settings})


def train(
    stack, X, batch, training_rule, rate, chains=None, twin="serial", layer=0, first=0, betas=(1.0,)
):
    """Train one machine through X in the order of storage; return trace norms and buffers."""
    data, norms = Data(X, stack.theta.dtype), np.zeros(3)
    stack.memories[layer].keep_fast(training_rule.fast_rate > 0.0)
    bench = RBMBuffers(stack, layer, chains, batch, betas)
    args = data.source, np.arange(len(X)), batch, stack.layers, stack.machine(layer)
    getattr(train_machine, twin)(*args, training_rule, rate, first, bench.work, norms)
    return norms, bench.work


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


def gaussian_machine(hidden="logistic", scale=1.0, visible="gaussian"):
    """A machine of three units, of which Gaussian ones have different variances; its parameters."""
    stack = stack_of(visible, hidden, scale=scale)
    set_variances(stack, visible, (0.4, 0.7, 1.0))
    return stack, [x.copy() for x in (*parameters(stack), stack.variance)]


WITH_GAUSSIAN = ["gaussian", MIXED[3]]


@pytest.mark.parametrize("visible", WITH_GAUSSIAN)
@pytest.mark.parametrize("hidden", ["binary", "bipolar"])
def test_reference_gradient_of_gaussian_units_is_that_of_the_likelihood(hidden, visible):
    """By parts, the moments of data and machine give d log p(v) / d (W, b, c, log s)."""
    V, gaussian = np.random.RandomState(1).normal(size=(5, 3)), are_gaussian(visible, 3)
    V = np.where(gaussian, V, V > 0)
    _, theta = gaussian_machine(visible=visible)
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

    The chains have the machine's distribution before and so after a Gibbs step: what the
    step's noise may add is 4.5 standard errors of each mean. Centering mixes the gradients:
    that of b becomes g_b - g_W lam, that of c becomes g_c - g_W^T mu, with the centered g_W; so
    does it what each chain adds to them. Binary units among the Gaussian ones have no variance.
    """
    n, kind, damping = 100_000, KINDS[hidden], 0.01  # of the step of log s, which is clipped
    stack, (W, b, c, s) = gaussian_machine(hidden, visible=visible)
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
    v, h = work.v[len(X) : len(X) + len(chains)], work.h[len(X) : len(X) + len(chains)]
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


def test_variances_stay_between_their_bounds():
    """However far off the data are: a step of at most a tenth, from 0.01 to the feature's 1."""
    for X, bound in ((np.zeros((20, 3)), 0.01), (np.full((20, 3), 30.0), 1.0)):
        stack, _ = gaussian_machine()
        before = stack.variance.copy()
        train(stack, X, 20, rule(variance_rate=10.0), 0.5)
        ratio = np.log(stack.variance / before)
        assert (abs(ratio) < 0.1 + 1e-12).all()
        for k in range(60):
            stack.theta[:-3] = 0.0
            train(stack, X, 20, rule(variance_rate=10.0), 0.5, first=k)
        np.testing.assert_allclose(stack.variance, bound)


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
    machine = slow.SlowMachine(*kinds, *parameters(stack), X.mean(axis=0), variance)
    chains = None
    if n_chains:
        chains = random.randint(0, 2, (n_chains * len(betas), 4)).astype(float)
        machine.chains = chains.copy()
    for start in range(0, 33, 10):
        machine.step(X[start : start + 10], seed=SEED, rate=rate, **settings)
    centered = settings.pop("centered")
    settings["mean_field"] = int(settings.pop("mean_field", False))
    settings.pop("betas", None)
    compiled = rule(persistent=int(n_chains is not None), offset_rate=0.01 * centered, **settings)
    train(stack, X, 10, compiled, rate, chains, betas=betas)
    atol = 1e-6 if hidden == "relu" else 1e-11
    pairs = list(zip(parameters(stack), machine.parameters, strict=True))
    if len(stack.variance):
        pairs.append((stack.variance, machine.variance))
    if centered:
        pairs += [(memory.mu, machine.mu), (memory.lam, machine.lam)]
    if n_chains:
        pairs.append((chains, machine.chains))
    if "fast_rate" in settings:
        pairs += zip((memory.fast_W, memory.fast_b, memory.fast_c), machine.fast, strict=True)
    pairs.append((memory.activity, machine.activity))
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=atol)


# ---------------------------------------------------------------------------
# Fast weights and temperatures
# ---------------------------------------------------------------------------


def trained_twice(settings, other, **kwargs):
    """What the same training makes of the same machine by two rules."""
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
    machine = stack.machine(0)
    np.testing.assert_array_equal(machine.chain_W, stack.coefs[0] + memory.fast_W)
    assert machine.W is stack.coefs[0]


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", MIXED[5]])
def test_one_temperature_is_pcd(visible):
    """That of the machine: the same draws, the same chains, the same statistics."""
    stack, n = stack_of(visible, "logistic", (5, 4)), 7
    settings, key = rule(persistent=1, n_gibbs_steps=3), np.uint32(slow.derive(SEED, 0))
    chains = np.random.RandomState(7).randint(0, 2, (n, 4)).astype(float)
    tempered = RBMBuffers(stack, 0, chains.copy(), 1).work
    tempered = tempered._replace(
        ladder_v=np.zeros((n, 5)), ladder_u=np.zeros((n, 5)), ladder_h=np.zeros((n, 4))
    )
    temper(stack.machine(0), tempered)
    v, h = np.zeros((n, 5)), np.zeros((n, 4))
    tempered_block(stack.machine(0), settings, key, tempered, n, 0, n, v, h)
    _, work = train(stack, np.zeros((1, 5)), 1, settings, 0.0, chains)
    np.testing.assert_array_equal(tempered.chains, chains)
    np.testing.assert_array_equal(v, work.v[1 : 1 + n])
    np.testing.assert_allclose(h, -n * work.h[1 : 1 + n], rtol=1e-14)


@kernel
def swap_all(key, betas, parity, n_chains, h_mu, offsets, state, h):
    """Exchange neighbours of every chain."""
    for chain in range(n_chains):
        swap_neighbours(key, betas, parity, chain, n_chains, h_mu, offsets, state, h)


def test_swaps_keep_the_joint_distribution():
    """Detailed balance, for every pair of joint states of two temperatures by enumeration.

    A pair (x, y) becomes (y, x) with the probability min(1, p(y, x) / p(x, y)), p(x, y) being
    the product of the two machines' distributions; so whoever is swapped is known from his
    random number. The products follow their states, or the next pair would be compared with
    another chain's.
    """
    random = np.random.RandomState(8)
    W, b, c, mu, lam = (random.normal(size=shape) for shape in ((2, 2), 2, 2, 2, 2))
    betas, n, key = np.array([0.9, 0.4]), 200, np.uint32(5)
    V = H = slow.states("binary", 2)
    pairs = [(v, h) for v in V for h in H]
    p = [
        np.array([math.exp(-slow.energy(v, h, *theta)) for v, h in pairs])
        for theta in (slow.tempered(beta, W, b, c, 1.0, mu, lam) for beta in betas)
    ]
    u = np.array([(slow.random_word(int(key), chain, 0) + 0.5) / 2**32 for chain in range(n)])
    n_swapped = 0
    for i, j in np.ndindex(len(pairs), len(pairs)):
        accepted = u < min(1.0, p[0][j] * p[1][i] / (p[0][i] * p[1][j]))
        state = np.repeat([pairs[i][1], pairs[j][1]], n, axis=0)
        h = np.repeat([pairs[i][0] @ W, pairs[j][0] @ W], n, axis=0)
        own = state.copy(), h.copy()
        swap_all(key, betas, 0, n, mu @ W, lam, state, h)
        for x, before in zip((state, h), own, strict=True):
            expected = np.where(accepted[:, None], before[n:], before[:n])
            np.testing.assert_array_equal(x[:n], expected)
            expected = np.where(accepted[:, None], before[:n], before[n:])
            np.testing.assert_array_equal(x[n:], expected)
        n_swapped += accepted.sum()
    assert 0 < n_swapped < n * len(pairs) ** 2


def test_swaps_look_at_every_second_pair():
    """Of five temperatures at which all swaps are certain, pairs from the parity on."""
    key, betas = np.uint32(5), np.linspace(1.0, 0.0, 5)
    for parity, expected in ((0, [1, 0, 3, 2, 4]), (1, [0, 2, 1, 4, 3])):
        state = np.ones((5, 1))
        h = np.arange(5.0)[:, None] * 100  # the hotter, the more: cold ones want it
        swap_all(key, betas, parity, 1, np.zeros(1), np.zeros(1), state, h)
        np.testing.assert_array_equal(h[:, 0], 100.0 * np.array(expected))


def hidden_counts(chains, kind):
    """How many chains are in each state."""
    return [(chains == state).all(axis=1).sum() for state in slow.states(kind, chains.shape[1])]


SEEDS = [1, 2, 3]


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", MIXED[3]])
@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
def test_chains_of_every_temperature_have_its_distribution(visible, hidden):
    """The first is the machine's, the others' that of beta times the centered interaction.

    A wrong swap moves weight between them; chi-square over hidden states.
    """
    n, kind, betas, p_values = 4000, KINDS[hidden], np.array([1.0, 0.5, 0.0]), []
    for seed in SEEDS:
        stack = stack_of(visible, hidden, scale=0.5)  # without modes that are hard to leave
        mu = stack.memories[0].mu
        mu[:] = 0.3, 0.9, -0.2
        set_variances(stack, visible, (0.4, 0.7, 1.0))
        gaussian = are_gaussian(visible, 3)
        s = stack.variance.copy() if gaussian.any() else np.ones(3)
        W, b, c = parameters(stack)
        chains = np.ones((n * len(betas), 2))
        settings = rule(persistent=1, seed=seed)
        train(stack, np.zeros((60, 3)), 1, settings, 0.0, chains, betas=betas)
        lam = slow.MEANS[kind](c)  # of the data, which are zeros
        for t, beta in enumerate(betas):
            theta = slow.tempered(beta, W, b, c, s, mu, lam)
            expected = slow.gaussian_hidden_distribution(kind, *theta, s, gaussian)
            if visible == "bernoulli":
                alone = slow.joint("binary", kind, *theta).sum(axis=0)
                np.testing.assert_allclose(expected, alone)
            counts = hidden_counts(chains[t * n : (t + 1) * n], kind)
            assert sum(counts) == n
            p_values.append(chisquare(counts, expected * n).pvalue)
    assert min(p_values) > ALPHA / len(p_values)


def test_temperatures_mix_what_plain_chains_do_not():
    """Two modes, of none and of all units: 300 steps do not lead from one to the other.

    At the bridge between them the machine spends less than a thousandth of its time. Plain
    chains that start in one mode stay there; of tempered ones as many end in each, because the
    units of the hottest are independent and on as often as in the data, whatever their biases.
    """
    n, a, p_values = 1000, 8.0, []
    W = np.full((3, 2), a)
    b, c = np.full(3, -a), np.full(2, -1.5 * a)
    expected = slow.joint("binary", "binary", W, b, c).sum(axis=0)
    assert expected[[0, 3]].min() > 0.499
    X = np.tile([[0.0] * 3, [1.0] * 3], (300, 1))
    for seed in SEEDS:
        counts = {}
        for name, betas in (("pcd", np.ones(1)), ("pt", np.linspace(1.0, 0.0, 10))):
            stack = stack_of("bernoulli", "logistic")
            stack.coefs[0][:], stack.intercepts_visible[0][:] = W, b
            stack.intercepts_hidden[0][:], stack.memories[0].mu[:] = c, 0.5
            chains = np.ones((n * len(betas), 2))
            settings = rule(persistent=1, seed=seed)
            train(stack, X, 2, settings, 0.0, chains, betas=betas)
            counts[name] = hidden_counts(chains[:n], "binary")
        assert counts["pcd"][3] > 0.95 * n
        # Half of them in either mode, but for binomial noise.
        deviation = (counts["pt"][3] - expected[3] * n) / math.sqrt(n / 4)
        p_values.append(2 * norm.sf(abs(deviation)))
    assert min(p_values) > ALPHA / len(p_values)


def test_trace_norms_are_those_of_the_gradient():
    """What the kernel adds up per minibatch are Euclidean norms, before decay and momentum."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    stack = stack_of("bernoulli", "logistic", (5, 4))
    machine = slow.SlowMachine("binary", "binary", *parameters(stack), X.mean(axis=0))
    norms, _ = train(stack, X, 10, rule(l2=0.3), 0.1)
    W = machine.W.copy()
    machine.step(X, seed=SEED, rate=0.1, momentum=0.0, l2=0.3, centered=False)
    g_W, g_b, g_c = machine.gradient[:3]
    assert norms[0] == pytest.approx(np.linalg.norm(g_W))
    assert norms[1] == pytest.approx(np.linalg.norm(np.r_[g_b, g_c]))
    assert norms[2] == pytest.approx(np.linalg.norm(machine.W - W) / np.linalg.norm(W))


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("hidden", ["logistic", "relu"])
def test_long_steps_are_shortened(visible, hidden):
    """All parameters then take the same share of their step, and the weights' has its limit."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    steps = []
    for settings in ({}, {"most_step": 1e-3}, {"most_step": 1e3}):
        stack = stack_of(visible, hidden, (5, 4))
        before = stack.theta.copy()
        norms, _ = train(stack, X, 10, rule(offset_rate=0.01, **settings), 0.1)
        steps.append(stack.theta - before)
    free, limited, unlimited = steps
    most = 1e-3 * max(1.0, np.linalg.norm(before[:20]))
    assert np.linalg.norm(free[:20]) > most
    assert np.linalg.norm(limited[:20]) == pytest.approx(most)
    np.testing.assert_allclose(limited, free * (most / np.linalg.norm(free[:20])), atol=1e-12)
    np.testing.assert_array_equal(unlimited, free)
    assert norms[0] == pytest.approx(np.linalg.norm(free[:20]) / 0.1)  # before the limit


def test_a_bound_holds_weights_of_any_size():
    """The squares of these are beyond single precision; weights must not become zero for that."""
    stack = stack_of("bernoulli", "logistic", (5, 4), np.float32, scale=1e25)
    train(stack, np.zeros((10, 5)), 10, rule(max_norm=0.5), 0.0)
    np.testing.assert_allclose(np.linalg.norm(stack.coefs[0], axis=0), 0.5, rtol=1e-6)


def test_momentum_cannot_add_up_to_long_steps():
    """The limit is that of what the weights change by, update after update."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    stack = stack_of("gaussian", "relu", (5, 4))
    for step in range(20):
        before = stack.coefs[0].copy()
        settings = rule(momentum=0.9, most_step=1e-2)
        train(stack, X, 10, settings, 1.0, first=10_000 + step)
        most = 1e-2 * max(1.0, np.linalg.norm(before))
        assert np.linalg.norm(stack.coefs[0] - before) <= most * (1 + 1e-9)


def test_steps_of_weights_that_are_zero_are_limited():
    """Weights may start from zero: what limits the first step is then not their norm."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    stack = stack_of("gaussian", "logistic", (5, 4), scale=0.0)
    stack.intercepts_hidden[0][:] = [-1.0, 0.0, 1.0, 2.0]
    train(stack, X, 10, rule(most_step=1e-3), 0.1)
    assert np.linalg.norm(stack.coefs[0]) == pytest.approx(1e-3)


LARGE = {
    "cd": {"offset_rate": 0.01, "momentum": 0.9},
    "pcd": {"persistent": 1, "offset_rate": 0.01, "momentum": 0.9},
    "fpcd": {"persistent": 1, "fast_rate": 0.1, "max_norm": 0.8, "dropout": 0.3},
    "pt": {"persistent": 1, "sparsity_target": 0.1, "sparsity_cost": 0.1, "max_norm": 0.8},
    "limited": {"offset_rate": 0.01, "momentum": 0.9, "most_step": 1e-3},
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
        assert min(work.lower.shape[0], work.sums.shape[0]) > 1
        fast = memory.fast_W, memory.fast_b, memory.fast_c
        results.append([stack.theta, norms, memory.mu, memory.activity, *fast, work.chains])
    for serial, parallel in zip(*results, strict=True):
        np.testing.assert_array_equal(serial, parallel)
        assert np.isfinite(serial).all()


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


@pytest.mark.parametrize("visible", WITH_GAUSSIAN)
@pytest.mark.parametrize("hidden", ["logistic", "tanh"])
def test_probe_of_gaussian_units(hidden, visible):
    """Their free energy is a density's and their squared error counts over its variance.

    Binary units beside them have the divergence of binary units.
    """
    stack, (W, b, c, s) = gaussian_machine(hidden, visible=visible)
    V, gaussian = np.random.RandomState(9).normal(size=(6, 3)), are_gaussian(visible, 3)
    V, kind, out = np.where(gaussian, V, V > 0), KINDS[hidden], np.zeros(8)
    args = Data(V, np.float64).source, np.arange(6), stack.layers, stack.machine(0)
    probe_machine(*args, out)
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
    args = Data(V, np.float64).source, np.arange(6), stack.layers, stack.machine(0)
    probe_machine(*args, out)
    x = V @ W + c
    expected = -V @ b - rectified_log_partition(x).sum(axis=1)
    assert out[FREE_ENERGY] == pytest.approx(expected.mean())
    mean = slow.rectified_mean(slow.rectified_mean(x) @ W.T + b)
    assert out[KL] == pytest.approx(((V - mean) ** 2 / 2).sum(axis=1).mean(), rel=1e-5)
