"""A fitted stack reads samples in pieces, and each in the same way as all at once."""

import numpy as np
import pytest

from sk_dbn import BernoulliRBMStack
from sk_dbn.models.fitted_stack import CHUNK_ROWS


@pytest.mark.filterwarnings("ignore:X has values in")
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_pieces_are_the_visible_units(visible):
    """In the precision that was asked for, in order, and no more than CHUNK_ROWS samples each."""
    X = np.random.RandomState(0).uniform(0, 3, (CHUNK_ROWS + 100, 4))
    stack = BernoulliRBMStack((3, 2), visible=visible, max_iter=1, random_state=0)
    model = stack.fit(X).model_.astype(np.float64)
    pieces = list(model.visible_values(X))
    assert max(map(len, pieces)) <= CHUNK_ROWS and pieces[0].dtype == np.float64
    np.testing.assert_array_equal(np.concatenate(pieces), model.means_up(X, 0))
    if visible == "gaussian":
        expected = (X - X.mean(axis=0)) / X.std(axis=0)
        np.testing.assert_allclose(np.concatenate(pieces), expected)


def test_means_up_are_those_of_transform():
    """Of all layers by default, and of the first ones where asked for."""
    X = np.random.RandomState(0).uniform(size=(50, 4))
    stack = BernoulliRBMStack((3, 2), dtype="float64", max_iter=1, random_state=0).fit(X)
    np.testing.assert_array_equal(stack.model_.means_up(X), stack.transform(X))
    H = 1 / (1 + np.exp(-X @ stack.coefs_[0] - stack.intercepts_hidden_[0]))
    np.testing.assert_allclose(stack.model_.means_up(X, 1), H)
