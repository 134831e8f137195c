"""Annealing against a slow version with the same random bits, and against what weights mean."""

import itertools

import numpy as np
import pytest

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC
from sk_dbn.kernels.annealing import BLOCK_UNITS, Chains, Ladder, anneal, fold
from sk_dbn.models.units import spans_of
from tests import reference_annealing as slow

KINDS = ("binary", "gaussian", "both")


def kinds_of(visible, n_units):
    """The reference's names of the units; of both kinds Gaussian ones between binary ones."""
    if visible != "both":
        return visible
    inner = range(1, max(2, n_units - 2))
    return tuple("gaussian" if j in inner else "binary" for j in range(n_units))


def rbm(n_visible, n_hidden, scale=1.0):
    """Weights, biases and base biases."""
    random = np.random.RandomState(0)
    shapes = (n_visible, n_hidden), n_visible, n_hidden, n_visible
    return [scale * random.normal(size=shape) for shape in shapes]


def ladder_of(W, b, c, base, betas, visible="binary", dtype=np.float64):
    W, b, c, base = (x.astype(dtype) for x in (W, b, c, base))
    gaussian = np.equal(kinds_of(visible, len(b)), "gaussian")
    spans = spans_of(np.where(gaussian, IDENTITY, LOGISTIC), len(b))
    return Ladder(W, np.ascontiguousarray(W.T), b, c, base, spans, np.array(betas), 2**32 - 5)


def chains_of(ladder, n_chains, V=None, n_pieces=1):
    (n_visible, n_hidden), dtype = ladder.W.shape, ladder.W.dtype
    return Chains(
        np.zeros((n_chains, n_visible), dtype) if V is None else V.astype(dtype),
        np.zeros((n_chains, n_hidden), dtype),
        np.empty((n_pieces, n_chains * BLOCK_UNITS), dtype),
        np.empty((n_pieces, 2, BLOCK_UNITS)),
        np.zeros(n_chains),
    )


@pytest.mark.parametrize("visible", KINDS)
@pytest.mark.parametrize("shape", [(3, 2), (1, 1), (70, 66), (2, 65)])
@pytest.mark.parametrize("betas", [[0.0, 0.3, 0.3, 1.0], [1.0, 0.4, 0.0], [1.0]])
def test_equals_the_reference(visible, shape, betas):
    """The same random bits make the same samples and weights, up, down and in place."""
    W, b, c, base = rbm(*shape, scale=0.5)
    V = np.random.RandomState(1).randint(0, 2, (6, shape[0])).astype(float)
    ladder = ladder_of(W, b, c, base, betas, visible)
    chains = chains_of(ladder, 6, V, n_pieces=3)
    anneal.serial(ladder, 0, len(betas), chains)
    log_weights, v, h = slow.anneal(
        kinds_of(visible, shape[0]), W, b, c, base, betas, ladder.seed, V
    )
    np.testing.assert_allclose(chains.v, v, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(chains.h, h)
    np.testing.assert_allclose(chains.log_weights, log_weights, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("visible", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_in_both_twins_and_in_pieces(visible, dtype):
    """Neither threads nor calls that stop on the way change a bit."""
    args = *rbm(130, 70, scale=0.2), np.linspace(0, 1, 9), visible, dtype
    results = []
    for twin, stops in [("serial", [0, 9]), ("parallel", [0, 9]), ("serial", [0, 1, 5, 9])]:
        ladder = ladder_of(*args)
        chains = chains_of(ladder, 21, n_pieces=4)
        for first, last in itertools.pairwise(stops):
            getattr(anneal, twin)(ladder, first, last, chains)
        results.append([chains.v, chains.h, chains.log_weights])
    for other in results[1:]:
        for x, y in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("visible", KINDS)
def test_weights_are_fair_estimates(visible):
    """E[w] = Z / Z_base exactly, however coarse the ladder (Neal, 2001); 4.5 deviations."""
    W, b, c, base = rbm(2, 3, scale=0.7)
    ladder = ladder_of(W, b, c, base, [0.0, 0.5, 1.0], visible)
    chains, kinds = chains_of(ladder, 100_000), kinds_of(visible, 2)
    anneal.serial(ladder, 0, 3, chains)
    log_z = [
        slow.log_sum(log_measure + np.array([
            slow.log_unnormalised(kinds, beta, v, W, b, c, base) for v in V
        ]))
        for V, log_measure in [slow.visible_states(kinds, 2)]
        for beta in (0.0, 1.0)
    ]  # fmt: skip
    ratios = np.exp(chains.log_weights - (log_z[1] - log_z[0]))
    assert abs(ratios.mean() - 1.0) < 4.5 * ratios.std() / np.sqrt(len(ratios))


def test_float32_chains_have_accurate_weights():
    """Weights are float64 sums: from the same states float32 costs what it costs in x = v W."""
    W, b, c, base = rbm(70, 66, scale=0.1)
    V = np.random.RandomState(1).randint(0, 2, (5, 70)).astype(float)
    # A step so small that both precisions almost surely draw the same samples.
    changes = []
    for dtype in (np.float32, np.float64):
        ladder = ladder_of(W, b, c, base, [0.5, 0.5, 0.5 + 1e-6], dtype=dtype)
        chains = chains_of(ladder, 5, V)
        anneal.serial(ladder, 0, 3, chains)
        changes.append(chains.log_weights)
    np.testing.assert_allclose(changes[0], changes[1], rtol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
def test_fold(n):
    """The log of a product, plus a sum."""
    random = np.random.RandomState(0)
    ratios, parts = random.uniform(0.5, 2.0, BLOCK_UNITS), random.normal(size=BLOCK_UNITS)
    expected = np.log(ratios[:n]).sum() + parts[:n].sum()
    assert fold(ratios, parts, n) == pytest.approx(expected, rel=1e-12)
