"""Sums over the states of one side, block by block."""

import numpy as np
import pytest

from sk_dbn.kernels.enumeration import Enumeration, block_log_sums, scores_of_blocks
from tests import reference_rbm as slow


def problem(n_gaussian, scale=1.0, groups=(0, 1, 4)):
    """Two high and two low units beside four of the other side; weights, and as enumerated."""
    random = np.random.RandomState(0)
    a, M, d = (scale * random.normal(size=shape) for shape in [4, (4, 4), 4])
    low = slow.states("binary", 2)[:, ::-1]  # the first unit is the lowest bit
    part = low @ M[:2]
    top = part.max(axis=0)
    is_gaussian = np.arange(4) < n_gaussian
    table = np.ascontiguousarray(np.where(is_gaussian, part, np.exp(part - top)).T)
    cuts = np.maximum(groups, n_gaussian)
    return (a, M, d), Enumeration(n_gaussian, d, a[2:], M[2:], low @ a[:2], table, top, cuts)


def log_terms(n_gaussian, a, M, d):
    """log of the sum over the other side for each of the sixteen states."""
    states = slow.states("binary", 4)[:, ::-1]
    x = d + states @ M
    normal = 0.5 * x**2 + 0.5 * np.log(2 * np.pi)
    logs = np.where(np.arange(4) < n_gaussian, normal, np.logaddexp(0.0, x))
    return states @ a + logs.sum(axis=1)


@pytest.mark.parametrize("n_gaussian", [0, 2, 4])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("groups", [(0, 4), (0, 1, 4), (0, 1, 2, 3, 4)])
def test_scores_equal_their_definition(n_gaussian, scale, groups):
    """A state's score does not depend on how states and units are grouped."""
    parameters, enumeration = problem(n_gaussian, scale, groups)
    out = np.empty((4, 4))
    scores_of_blocks(enumeration, np.arange(4), np.empty(4), np.empty(4), out)
    np.testing.assert_allclose(out.ravel(), log_terms(n_gaussian, *parameters), rtol=1e-12)


@pytest.mark.parametrize("n_gaussian", [0, 2, 4])
@pytest.mark.parametrize("n_pieces", [1, 2, 3])
def test_sums_of_blocks_in_any_pieces(n_gaussian, n_pieces):
    """Each block's sum is that of its own states, whoever works on it, from any first block."""
    parameters, enumeration = problem(n_gaussian)
    terms = log_terms(n_gaussian, *parameters).reshape(4, 4)
    expected = np.log(np.exp(terms).sum(axis=1))
    for twin in (block_log_sums.serial, block_log_sums.parallel):
        out = np.empty(3)
        twin(enumeration, 1, np.empty((n_pieces, 4 + 2 * 4)), out)
        np.testing.assert_allclose(out, expected[1:], rtol=1e-12)
