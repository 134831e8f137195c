"""Samples of a stack have the distribution that enumeration says, whatever it is made of.

Frequencies are compared by a chi-square test, means by their standard errors. Every test is of
several seeds or units, and bounds the chance that any of them fails where all is right by ALPHA.
"""

import itertools

import numpy as np
import pytest
from scipy.stats import chi2, kstest, norm

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH
from sk_dbn.models.generation import complete, generate, gibbs
from sk_dbn.models.rbm import Stack
from sk_dbn.models.units import draw, draw_given, rectified_mean
from tests import reference_rbm as slow

KINDS = {"logistic": "binary", "tanh": "bipolar"}
ALPHA = 1e-4
SEEDS = range(3)
N = 20_000


def stack_of(visible="bernoulli", hidden="logistic", units=(3, 2), dtype=np.float64):
    """A stack with random parameters, and input means to start chains from."""
    stack = Stack(units, visible, hidden, range(len(units) - 1), dtype)
    random = np.random.RandomState(0)
    stack.theta[:] = random.normal(size=stack.theta.size)
    stack.variance[:] = 1.0
    for memory in stack.memories:
        memory.mu[:] = random.uniform(size=memory.mu.shape)
    return stack


def rbm_of(stack, layer=0):
    """W, b and c of an RBM."""
    parts = stack.coefs, stack.intercepts_visible, stack.intercepts_hidden
    return [part[layer] for part in parts]


def assert_distributed(samples, states, p):
    """Chi-square over the states, and no sample beside them."""
    counts = np.array([(samples == state).all(axis=1).sum() for state in states])
    expected = p * len(samples)
    assert counts.sum() == len(samples)
    assert expected.min() > 5  # else its distribution is another
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert chi2.sf(statistic, len(states) - 1) > ALPHA / len(SEEDS)


def assert_means(samples, expected, n_tests=1):
    """Means of independent rows within what their standard errors allow."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    most = norm.isf(ALPHA / (2 * n_tests * np.size(expected)))
    assert (np.abs(samples.mean(axis=0) - expected) < most * error).all()


def belief_network(stack, hidden, top):
    """P(v) of a deep belief network whose last RBM's input has the distribution `top`."""
    p = top
    for layer in reversed(range(stack.n_layers - 1)):
        visible = KINDS[hidden] if layer else "binary"
        joint = slow.joint(visible, KINDS[hidden], *rbm_of(stack, layer))
        p = joint / joint.sum(axis=0) @ p
    return p


def start_and_transition(stack, hidden):
    """The last RBM's input: what chains start from, and what a Gibbs step makes of it."""
    visible = KINDS[hidden] if stack.n_layers > 1 else "binary"
    args = rbm_of(stack, stack.n_layers - 1)
    V, mu = slow.states(visible, len(args[1])), stack.memories[-1].mu
    q = mu if visible == "binary" else (1 + mu) / 2
    start = np.where(V > 0, q, 1 - q).prod(axis=1)
    return start, slow.transition_matrix(visible, KINDS[hidden], *args)


# ---------------------------------------------------------------------------
# Units and Gibbs steps
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_have_the_means(dtype):
    """Samples of every kind average to what they were drawn from; the certain are certain."""
    random, n = np.random.default_rng(0), 40_000
    for kind, means in [(LOGISTIC, [0.0, 0.2, 1.0]), (TANH, [-1.0, 0.3, 1.0])]:
        samples = draw(kind, np.tile(np.array(means, dtype), (n, 1)), random)
        assert samples.dtype == dtype
        assert_means(samples[:, [1]], means[1], n_tests=2)
        np.testing.assert_array_equal(samples[:, [0, 2]], np.tile(means, (n, 1))[:, [0, 2]])
    samples = draw(IDENTITY, np.full((n, 1), 3.0, dtype), random)
    assert samples.dtype == dtype
    assert kstest(samples[:, 0], norm(3.0).cdf).pvalue > ALPHA


@pytest.mark.parametrize("n_steps", [1, 2])
@pytest.mark.parametrize("hidden", KINDS)
def test_gibbs_follows_the_transition_matrix(hidden, n_steps):
    """Frequencies after some steps from one state are a row of the matrix's power."""
    stack = stack_of(hidden=hidden)
    V, T = slow.states("binary", 3), start_and_transition(stack, hidden)[1]
    for seed in SEEDS:
        after = gibbs(stack, np.tile(V[5], (N, 1)), n_steps, np.random.default_rng(seed))
        assert_distributed(after, V, np.linalg.matrix_power(T, n_steps)[5])


@pytest.mark.parametrize("hidden", KINDS)
def test_gibbs_of_gaussian_units(hidden):
    """One step from v: E[v'] = b + W E[h | v], and the variance of what is left is one."""
    stack = stack_of("gaussian", hidden)
    (W, b, c), v = rbm_of(stack), np.array([0.5, -1.0, 2.0])
    H = slow.states(KINDS[hidden], 2)
    p = np.exp(H @ (c + v @ W))
    p /= p.sum()
    mean = b + p @ H @ W.T
    variance = 1.0 + p @ (H @ W.T + b - mean) ** 2
    after = gibbs(stack, np.tile(v, (N, 1)), 1, np.random.default_rng(0))
    assert_means(after, mean, n_tests=2)
    assert_means((after - mean) ** 2, variance, n_tests=2)


BOTH = ("bernoulli", "gaussian", "bernoulli")


@pytest.mark.parametrize("hidden", KINDS)
@pytest.mark.parametrize("missing", [(), (0,), (1,), (1, 2), (0, 1, 2)], ids=str)
def test_units_of_both_kinds(hidden, missing):
    """Means and second moments of what is drawn, from the distribution of four hidden states.

    With nothing observed or missing they are the RBM's, by `generate`; where some units
    are missing those of the conditional, by `complete`, which leaves what was observed.
    """
    gaussian, kind, v = np.equal(BOTH, "gaussian"), KINDS[hidden], np.array([1.0, -0.6, 0.0])
    stack = stack_of(BOTH, hidden)
    stack.coefs[0] *= 0.5
    stack.variance[1] = 0.6
    (W, b, c), s, H = rbm_of(stack), stack.variance, slow.states(kind, 2)
    free, held = list(missing), np.setdiff1d(range(3), missing)
    if not missing:
        free, held = [0, 1, 2], []
    c = c + (v / s)[held] @ W[held]  # what is observed adds to the hidden units' biases
    p = slow.gaussian_hidden_distribution(kind, W[free], b[free], c, s[free], gaussian[free])
    x = (b + H @ W.T)[:, free]
    m = np.where(gaussian[free], x, 1 / (1 + np.exp(-x)))
    # of units that are independent given h
    products = np.einsum("si,sj->sij", m, m)
    for k, i in enumerate(free):
        products[:, k, k] = s[i] + m[:, k] ** 2 if gaussian[i] else m[:, k]
    if missing:
        mask = np.isin(range(3), missing)
        args = np.tile(np.where(mask, np.nan, v), (N, 1)), 1, 40, np.random.default_rng(0)
        found = complete(stack, *args, sample_posterior=True)
        np.testing.assert_array_equal(found[:, held], v[None, held].repeat(N, axis=0))
        found = found[:, free]
    else:
        found = generate(stack, N, 60, np.random.default_rng(0))
    assert np.isin(found[:, ~gaussian[free]], (0, 1)).all()
    assert_means(found, p @ m, n_tests=2)
    squares = np.einsum("ni,nj->nij", found, found)
    assert_means(squares, np.einsum("s,sij->ij", p, products), n_tests=2)


# ---------------------------------------------------------------------------
# The stack as a deep belief network
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("units", [(3, 2), (3, 2, 2), (3, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("hidden", KINDS)
def test_samples_have_the_networks_distribution(hidden, units):
    """The last RBM's own, and a layer after the other drawn given the one above."""
    stack = stack_of(hidden=hidden, units=units)
    start, T = start_and_transition(stack, hidden)
    visible = KINDS[hidden] if len(units) > 2 else "binary"
    stationary = slow.joint(visible, KINDS[hidden], *rbm_of(stack, len(units) - 2)).sum(axis=1)
    # The chains are as long as it takes.
    np.testing.assert_allclose(start @ np.linalg.matrix_power(T, 150), stationary, atol=1e-5)
    p = belief_network(stack, hidden, stationary)
    for seed in SEEDS:
        samples = generate(stack, N, 150, np.random.default_rng(seed))
        assert_distributed(samples, slow.states("binary", 3), p)


@pytest.mark.parametrize("n_steps", [0, 1])
@pytest.mark.parametrize("hidden", KINDS)
@pytest.mark.parametrize("units", [(3, 2), (3, 2, 2)], ids=str)
def test_chains_start_from_the_inputs_means(units, hidden, n_steps):
    """Independent units of these means; the hidden ones given them; then each step's two."""
    stack = stack_of(hidden=hidden, units=units)
    start, T = start_and_transition(stack, hidden)
    p = belief_network(stack, hidden, start @ np.linalg.matrix_power(T, n_steps + 1))
    for seed in SEEDS:
        samples = generate(stack, N, n_steps, np.random.default_rng(seed))
        assert_distributed(samples, slow.states("binary", 3), p)


@pytest.mark.parametrize("n_steps", [0, 2])
def test_persistent_chains_go_on(n_steps):
    """Where there are some, they are the start, each as often as the next."""
    stack = stack_of(units=(3, 2, 2))
    memory = stack.memories[-1]  # the last chain is of another temperature
    memory.chains, memory.n_chains = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]), 2
    H, (W, b, c) = slow.states("binary", 2), rbm_of(stack, 1)
    joint = slow.joint("binary", "binary", W, b, c)
    start = (joint / joint.sum(axis=0))[
        :, [(H == h).all(axis=1).argmax() for h in ([0, 1], [1, 1])]
    ]
    T = start_and_transition(stack, "logistic")[1]
    top = start.mean(axis=1) @ np.linalg.matrix_power(T, n_steps)
    before = stack.memories[-1].chains.copy()
    for seed in SEEDS:
        samples = generate(stack, N, n_steps, np.random.default_rng(seed))
        assert_distributed(
            samples, slow.states("binary", 3), belief_network(stack, "logistic", top)
        )
    np.testing.assert_array_equal(stack.memories[-1].chains, before)


def test_means_have_the_samples_expectation():
    """Of binary units under the enumerated network; and they are no samples."""
    stack = stack_of(units=(3, 2, 2))
    top = slow.joint("binary", "binary", *rbm_of(stack, 1)).sum(axis=1)
    p = belief_network(stack, "logistic", top)
    means = generate(stack, N, 40, np.random.default_rng(0), return_means=True)
    assert_means(means, p @ slow.states("binary", 3))
    assert ((means > 0) & (means < 1)).all()


@pytest.mark.parametrize("units", [(3, 2), (3, 2, 2)], ids=str)
def test_moments_of_gaussian_units(units):
    """Mean and covariance of a mixture of unit normals, one for each state of the layer above."""
    stack = stack_of("gaussian", units=units)
    stack.coefs[0] *= 0.5  # chains between far modes would need many steps
    (W, b, c), H = rbm_of(stack), slow.states("binary", 2)
    if len(units) > 2:
        p = slow.joint("binary", "binary", *rbm_of(stack, 1)).sum(axis=1)
    else:  # the integral over v of exp(-|v - b|^2 / 2 + c h + v W h)
        p = np.exp(H @ c + H @ W.T @ b + 0.5 * ((H @ W.T) ** 2).sum(axis=1))
        p /= p.sum()
    centres = b + H @ W.T
    mean = p @ centres
    covariance = np.eye(3) + (centres - mean).T @ (p[:, None] * (centres - mean))
    samples = generate(stack, N, 60, np.random.default_rng(0))
    assert_means(samples, mean, n_tests=3)
    products = [(samples[:, i] - mean[i]) * (samples[:, j] - mean[j]) for i, j in PAIRS]
    assert_means(np.array(products).T, [covariance[pair] for pair in PAIRS], n_tests=3)
    means = generate(stack, N, 60, np.random.default_rng(1), return_means=True)
    assert_means(means, mean, n_tests=3)


PAIRS = list(itertools.combinations_with_replacement(range(3), 2))


# ---------------------------------------------------------------------------
# Completion
# ---------------------------------------------------------------------------

MASKS = [(True, False, False), (True, False, True), (True, True, True)]


def conditional(p, V, v, missing):
    """The states that agree with v where it was observed, and their probabilities."""
    agree = (V == v)[:, ~missing].all(axis=1)
    return V[agree], p[agree] / p[agree].sum()


@pytest.mark.parametrize("missing", MASKS, ids=str)
@pytest.mark.parametrize("hidden", KINDS)
def test_completion_samples_the_conditional(hidden, missing):
    """P(missing | observed) of the enumerated RBM; observed values do not move."""
    stack, missing = stack_of(hidden=hidden, units=(3, 2, 2)), np.array(missing)
    V = slow.states("binary", 3)
    p = slow.joint("binary", KINDS[hidden], *rbm_of(stack)).sum(axis=1)
    states, q = conditional(p, V, V[6], missing)
    v = np.tile(np.where(missing, np.nan, V[6]), (N, 1))
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        samples = complete(stack, v, 30, 0, random, sample_posterior=True)
        assert_distributed(samples, states, q)


@pytest.mark.parametrize("hidden", KINDS)
def test_completed_means_are_conditional_expectations(hidden):
    """Rows with different gaps side by side, each with its own expectation."""
    stack, V = stack_of(hidden=hidden), slow.states("binary", 3)
    p = slow.joint("binary", KINDS[hidden], *rbm_of(stack)).sum(axis=1)
    pairs = list(itertools.product(V[[1, 6]], map(np.array, MASKS)))
    v, missing = (np.repeat(np.array(x), 500, axis=0) for x in zip(*pairs, strict=True))
    means = complete(stack, np.where(missing, np.nan, v), 30, 30, np.random.default_rng(0))
    np.testing.assert_array_equal(means[~missing], v[~missing])
    for i, (state, mask) in enumerate(pairs):
        states, q = conditional(p, V, state, mask)
        found = means[500 * i : 500 * (i + 1), mask]
        assert_means(found, (q @ states)[mask], n_tests=len(pairs))
        assert found.std(axis=0).max() < 0.5 / np.sqrt(5)  # a mean over steps, not a sample


@pytest.mark.parametrize("missing", MASKS, ids=str)
def test_completion_of_gaussian_units(missing):
    """Given h the missing units are normal around b + W h; h is weighed by what was observed."""
    stack, missing, v = stack_of("gaussian"), np.array(missing), np.array([0.3, -0.7, 0.5])
    stack.coefs[0] *= 0.5
    (W, b, c), H = rbm_of(stack), slow.states("binary", 2)
    shift = H @ W[missing].T
    x = H @ c + H @ W[~missing].T @ v[~missing] + shift @ b[missing]
    p = np.exp(x + 0.5 * (shift**2).sum(axis=1))
    p /= p.sum()
    centres = b[missing] + shift
    mean, square = p @ centres, p @ (1 + centres**2)
    rows = np.tile(np.where(missing, np.nan, v), (N, 1))
    random = np.random.default_rng(0)
    samples = complete(stack, rows, 1, 40, random, sample_posterior=True)[:, missing]
    assert_means(samples, mean, n_tests=3)
    assert_means(samples**2, square, n_tests=3)
    means = complete(stack, rows[:1000], 20, 40, random)[:, missing]
    assert_means(means, mean, n_tests=3)


def test_precision_is_the_stacks():
    """Everything that is drawn stays in float32, where memory and time are half as much."""
    stack = stack_of(units=(3, 2, 2), dtype=np.float32)
    random, v = np.random.default_rng(0), np.zeros((4, 3), np.float32)
    assert generate(stack, 4, 2, random).dtype == np.float32
    assert gibbs(stack, v, 2, random).dtype == np.float32
    assert complete(stack, np.full_like(v, np.nan), 2, 2, random).dtype == np.float32


@pytest.mark.parametrize("hidden", ["logistic", "tanh", "relu"])
def test_a_units_variance_is_its_unit_of_length(hidden):
    """With its variance s, an RBM draws sqrt(s) times what one of variance 1 draws.

    That one has the weights and biases over sqrt(s); the random numbers are the same.
    """
    plain, scaled = (stack_of("gaussian", hidden, (3, 2, 2)) for _ in range(2))
    deviation = np.array([0.5, 1.0, 0.8])
    scaled.variance[:] = deviation**2
    scaled.coefs[0][:] *= deviation[:, None]
    scaled.intercepts_visible[0][:] *= deviation
    missing = np.array([[True, False, False], [True, True, True], [False, False, True]])
    v = np.random.RandomState(1).normal(size=(3, 3))
    for draws in (
        lambda stack, v: gibbs(stack, v, 3, np.random.default_rng(0)),
        lambda stack, v: generate(stack, 3, 5, np.random.default_rng(0)),
    ):
        np.testing.assert_allclose(draws(scaled, v * deviation), draws(plain, v) * deviation)
    scaled.memories[0].mu *= deviation
    v = np.where(missing, np.nan, v)
    expected = complete(plain, v, 20, 5, np.random.default_rng(0)) * deviation
    found = complete(scaled, v * deviation, 20, 5, np.random.default_rng(0))
    np.testing.assert_allclose(found, expected)


def test_rectified_units_are_drawn_with_their_noise():
    """max(0, x + e), e normal with the variance logistic(x): its mean is known."""
    for x in (-0.5, 0.0, 3.0):
        samples = draw_given(RELU, np.full((N, 1), x), np.random.default_rng(0))
        assert samples.min() >= 0
        assert_means(samples, [float(rectified_mean(np.array(x)))])
