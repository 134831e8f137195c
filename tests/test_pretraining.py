"""Which networks a stack can start: each misfit has its own error, which says what to do."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sk_dbn import BernoulliRBMStack, DBNClassifier
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
        (
            [],
            [],
            "hidden_layer_sizes must be positive integers, .* got none.*pretrainer=None or 'auto'",
        ),
        (
            [4],
            ["selu"],
            r"one of \['logistic', 'tanh', 'relu'\], got \['selu'\]; set pretrainer=None",
        ),
        ([4, 3], ["tanh", "logistic"], r"one activation in all .* got \['tanh', 'logistic'\]"),
    ],
)
def test_other_networks_cannot(hidden, activations, rule):
    """No layer, another activation, two activations: the remedy is to train without a stack."""
    with pytest.raises(ValueError, match=rule):
        check_pretrainable(hidden, activations)


def pretrained(network=None, **params):
    """A network that starts from a stack with these parameters."""
    stack = BernoulliRBMStack(max_iter=1, **params)
    settings = {"hidden_layer_sizes": (4, 3), "max_iter": 1, "random_state": 0, **(network or {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return DBNClassifier(pretrainer=stack, **settings).fit(X, X[:, 0] > 0.5)


@pytest.mark.parametrize(
    ("params", "network", "said"),
    [
        ({"hidden_layer_sizes": [5, 3]}, {}, r"=\(5, 3\) of the pretrainer .* is: \(4, 3\)\. Set"),
        ({"activation": "tanh"}, {}, "activation='tanh' of .* network is: 'logistic'"),
        ({"dtype": np.float64}, {}, "dtype='float64' of .* network is: 'float32'"),
        ({"init": 0.1}, {"init": "orthogonal"}, "init=0.1 of .* network is: 'orthogonal'"),
        ({"init": [np.ones((5, 4)), np.ones((4, 3))]}, {"init": "zeros"}, "init='arrays' of"),
    ],
)
def test_what_the_network_overrules_is_said(params, network, said):
    """Parameter, both values and the remedy, once each."""
    with pytest.warns(UserWarning, match=said) as caught:
        stack = pretrained(network, **params).pretrainer_
    assert len(caught) == 1
    assert [W.shape for W in stack.coefs_] == [(5, 4), (4, 3)]


@pytest.mark.parametrize(
    ("params", "network"),
    [
        ({}, {"activation": "tanh", "dtype": "float64", "init": "orthogonal"}),
        ({"hidden_layer_sizes": np.array([4, 3]), "dtype": "float64"}, {"dtype": np.float64}),
        ({"hidden_layer_sizes": 4}, {"hidden_layer_sizes": (4,)}),
        ({"init": "orthogonal"}, {}),
    ],
)
def test_nothing_is_said_of_what_agrees(params, network):
    """Defaults were not set, other spellings are the same, and an `init` by itself is used."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pretrained(network, **params)


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
