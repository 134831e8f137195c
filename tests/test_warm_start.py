"""A fitted stack as a start: its clones keep it, and nothing but the network's copy is trained."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sk_dbn import BernoulliRBMStack, DBNClassifier, WarmStart

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).uniform(size=(40, 5))
y = (X[:, 0] > 0.5).astype(int)


@pytest.fixture
def stack():
    """A stack on five features, trained for an epoch."""
    return BernoulliRBMStack((4, 3), max_iter=1, random_state=0).fit(X)


def network(pretrainer, **params):
    """A small classifier of the stack's shape."""
    return DBNClassifier((4, 3), pretrainer=pretrainer, max_iter=3, random_state=0, **params)


def test_clones_hold_the_same_stack(stack):
    """Alone and inside a network: clone would leave nothing of what the stack has learned."""
    start = WarmStart(stack)
    assert clone(start).estimator is stack and clone(start) is not start
    assert clone(network(start)).pretrainer.estimator is stack
    for twin in (copy.deepcopy(start), pickle.loads(pickle.dumps(start))):
        np.testing.assert_array_equal(twin.estimator.coefs_[0], stack.coefs_[0])


def test_its_one_parameter(stack):
    """The stack can be set and searched; what it was trained with has no effect any more."""
    other = BernoulliRBMStack((4, 3), max_iter=2, random_state=1).fit(X)
    start = WarmStart(stack)
    assert start.get_params() == {"estimator": stack}
    assert start.set_params(estimator=other).estimator is other
    with pytest.raises(ValueError, match=r"estimator only, got \['estimator__learning_rate'\]"):
        start.set_params(estimator__learning_rate=0.5)
    grid = {"pretrainer": [WarmStart(stack), WarmStart(other)]}
    search = GridSearchCV(network(start), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_estimator_.pretrainer_ in (stack, other)


def test_its_layers_are_trained_further(stack):
    """From where they were, all of them; the stack itself stays what it is."""
    before = [W.copy() for W in stack.coefs_]
    still = network(WarmStart(stack), learning_rate_init=1e-30).fit(X, y)
    trained = network(WarmStart(stack), learning_rate_init=0.1).fit(X, y)
    assert trained.pretrainer_ is stack
    for W, fitted, moved, start in zip(before, stack.coefs_, trained.coefs_, still.coefs_):
        np.testing.assert_array_equal(fitted, W)
        np.testing.assert_array_equal(start, W)
        assert (moved != W).any()
