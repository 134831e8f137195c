"""Chains at several temperatures: their swaps and their distributions, by enumeration.

Where chance remains, keys are fixed; each test allows a family-wise error of `ALPHA` over all that
it looks at (Bonferroni).
"""

import math

import numpy as np
import pytest
from scipy.stats import chisquare, norm

from sk_dbn.kernels.blocks import ALONE
from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.rbm import Update
from sk_dbn.kernels.tempering import swap_neighbours, temper, tempered_block
from sk_dbn.models.rbm_training import RBMBuffers
from tests import reference_rbm as slow
from tests.kernels.small_rbms import (
    ALPHA,
    KINDS,
    MIXED,
    SEED,
    are_gaussian,
    parameters,
    rule,
    set_variances,
    stack_of,
    train,
)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", MIXED[5]])
def test_one_temperature_is_pcd(visible):
    """That of the RBM: the same draws, the same chains, the same statistics."""
    stack, n = stack_of(visible, "logistic", (5, 4)), 7
    settings, key = rule(persistent=1, n_gibbs_steps=3), np.uint32(slow.derive(SEED, 0))
    chains = np.random.RandomState(7).randint(0, 2, (n, 4)).astype(float)
    two = RBMBuffers(stack, 0, 2 * n, 1, betas=(1.0, 0.5)).work.ladder
    ladder, state = two._replace(betas=two.betas[:1]), chains.copy()
    temper(stack.rbm(0), ladder)
    v, h = np.zeros((n, 5)), np.zeros((n, 4))
    update = Update(key, 0.0, 0.0, 0, 1, n, 1 + n)
    tempered_block(ALONE, stack.rbm(0), settings, update, ladder, state, 0, n, v, h)
    _, work = train(stack, np.zeros((1, 5)), 1, settings, 0.0, chains)
    np.testing.assert_array_equal(state, chains)
    np.testing.assert_array_equal(v, work.phases.v[1 : 1 + n])
    np.testing.assert_allclose(h, -n * work.phases.h[1 : 1 + n], rtol=1e-14)


@kernel
def swap_all(key, betas, parity, n_chains, h_mu, offsets, state, h):
    """Exchange neighbours of every chain."""
    for chain in range(n_chains):
        swap_neighbours(key, betas, parity, chain, n_chains, h_mu, offsets, state, h)


def test_swaps_keep_the_joint_distribution():
    """Detailed balance, for every pair of joint states of two temperatures by enumeration.

    A pair (x, y) becomes (y, x) with the probability min(1, p(y, x) / p(x, y)), p(x, y) being
    the product of the two RBMs' distributions; so whoever is swapped is known from his
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
    """The first is the RBM's, the others' that of beta times the centered interaction.

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

    At the bridge between them the RBM spends less than a thousandth of its time. Plain
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
