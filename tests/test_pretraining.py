"""Which networks a stack can start: each misfit has its own error, which says what to do."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sk_dbn import BernoulliRBMStack
from sk_dbn._pretraining import STACK_ACTIVATIONS, check_pretrainable, frozen_stack

X = np.random.default_rng(0).uniform(size=(20, 5))


def fitted(sizes=(4, 3), **params):
    """A stack on five features, trained for an epoch."""
    return BernoulliRBMStack(sizes, max_iter=1, random_state=0, **params).fit(X)


@pytest.mark.parametrize("activation", STACK_ACTIVATIONS)
def test_what_a_stack_has_can_be_pre_trained(activation):
    """The activations on the list are those that BernoulliRBMStack takes, and no others are."""
    check_pretrainable([4, 3], [activation] * 2)
    fitted(activation=activation)
    with pytest.raises(ValueError, match="activation"):
        fitted(activation="selu")


@pytest.mark.parametrize(
    ("hidden", "activations", "rule"),
    [
        ([], [], "hidden_layer_sizes must be positive integers, .* got none.*'passthrough'"),
        ([4], ["selu"], r"one of \['logistic', 'tanh', 'relu'\], got \['selu'\]; .*'pass"),
        ([4, 3], ["tanh", "logistic"], r"one activation in all .* got \['tanh', 'logistic'\]"),
    ],
)
def test_other_networks_cannot(hidden, activations, rule):
    """No layer, another activation, two activations: the remedy is to train without a stack."""
    with pytest.raises(ValueError, match=rule):
        check_pretrainable(hidden, activations)


def test_a_stack_that_fits_is_used_itself():
    """It is frozen: neither copied nor trained."""
    stack = fitted()
    assert frozen_stack(FrozenEstimator(stack), [4, 3], "logistic", 5) is stack


@pytest.mark.parametrize(
    ("make", "error", "rule"),
    [
        (lambda: fitted((4,)), ValueError, r"hidden_layer_sizes .* \(4,\), got \(4, 3\)"),
        (lambda: fitted(activation="tanh"), ValueError, "activation .* 'tanh', got 'logistic'"),
        (lambda: fitted().fit(X[:, :4]), ValueError, "X has 5 features, but .* fitted on 4"),
        (lambda: BernoulliRBMStack((4, 3)), NotFittedError, "not fitted yet"),
        (lambda: LogisticRegression().fit(X, X[:, 0] > 0.5), TypeError, "one of LogisticRegress"),
    ],
    ids=["sizes", "activation", "features", "unfitted", "no stack"],
)
def test_a_frozen_stack_must_fit(make, error, rule):
    """Sizes, activation, features, being fitted, being a stack."""
    with pytest.raises(error, match=rule):
        frozen_stack(FrozenEstimator(make()), [4, 3], "logistic", 5)
