"""Visible units that are categories: softmax within each feature's units."""

import numpy as np
import pytest
from scipy.special import softmax

from sk_dbn.models.units import draw_categories, softmax_of_groups

STARTS = np.array([0, 3, 4])  # groups of 3, 1 and 2 units


def test_each_group_is_a_softmax_of_its_own():
    """Means are those of scipy's softmax, group by group, for any leading shape and size of x."""
    for x in (np.random.RandomState(0).normal(0, 50, (2, 5, 6)), np.full(6, 1e4)):
        expected = [softmax(part, axis=-1) for part in np.split(x, STARTS[1:], axis=-1)]
        np.testing.assert_allclose(
            softmax_of_groups(x, STARTS), np.concatenate(expected, axis=-1), rtol=1e-12
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_drawn_categories_have_their_probabilities(dtype):
    """One unit of each group is 1, and as often as its mean says, within five standard errors."""
    n = 20000
    p = np.array([0.2, 0.0, 0.8, 1.0, 0.999, 0.001], dtype)
    state = draw_categories(np.tile(p, (n, 1)), STARTS, np.random.default_rng(0))
    assert state.dtype == dtype
    np.testing.assert_array_equal(np.add.reduceat(state, STARTS, axis=1), 1)
    assert (abs(state.mean(axis=0) - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-12).all()
