"""Which networks a stack can start: each misfit has its own error, which says what to do."""

import warnings

import numpy as np
import pytest
from numba import config, get_num_threads
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import BernoulliRBM

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor, WarmStart
from sk_dbn._pretraining import STACK_ACTIVATIONS, WRAPPERS, check_pretrainable, unwrapped_stack
from sk_dbn.models.stack_training import StackTraining
from sk_dbn.models.threads import run_serial

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
        ([4, 3], ["tanh", "logistic"], r"the same activation in all .* got \['tanh', 'logistic'\]"),
    ],
)
def test_other_networks_cannot(hidden, activations, rule):
    """No layer, another activation, two activations: the remedy is to train without a stack."""
    with pytest.raises(ValueError, match=rule):
        check_pretrainable(hidden, activations)


@pytest.mark.parametrize(
    ("pretrainer", "given"),
    [
        (BernoulliRBMStack, "the class BernoulliRBMStack"),
        ("rbm", "'rbm'"),
        (True, "True"),
        (False, "False"),
        (BernoulliRBM(), r"BernoulliRBM\(\)"),
        ([BernoulliRBMStack()], r"\[BernoulliRBMStack\(\)\]"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", [DBNClassifier, DeepMLPRegressor])
def test_what_is_no_pretrainer(kind, pretrainer, given):
    """The error shows what was given, names what may be, in public names, and says what to do."""
    network, y = kind((4, 3), pretrainer=pretrainer, max_iter=1), np.arange(20) % 2
    for fit in network.fit, network.partial_fit:
        with pytest.raises(TypeError, match=f"pretrainer must be .* got {given}. For ") as error:
            fit(X, y)
        assert isinstance(error.value, ValueError) and "._" not in str(error.value)
        assert "pretrainer=BernoulliRBMStack()" in str(error.value)
    if not hasattr(pretrainer, "get_params") or isinstance(pretrainer, type):
        with pytest.raises(ValueError, match=r"set pretrainer=BernoulliRBMStack\(\) first"):
            network.set_params(pretrainer__max_iter=2)


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
        (
            {"hidden_layer_sizes": [5, 3]},
            {},
            r"=\(5, 3\) of the pretrainer .* network's .*=\(4, 3\) is used\. Set",
        ),
        ({"activation": "tanh"}, {}, "activation='tanh' of .* network's activation='logistic'"),
        ({"dtype": np.float64}, {}, "dtype='float64' of .* network's dtype='float32'"),
        ({"init": 0.1}, {"init": "orthogonal"}, "init=0.1 of .* network's init='orthogonal'"),
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


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_stack_that_fits_is_used_itself(wrapper):
    """Neither copied nor trained."""
    stack = fitted()
    assert unwrapped_stack(wrapper(stack), [4, 3], "logistic", 5) is stack


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
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_fitted_stack_must_fit(wrapper, make, error, rule):
    """Sizes, activation, features, being fitted, being a stack."""
    with pytest.raises(error, match=rule):
        unwrapped_stack(wrapper(make()), [4, 3], "logistic", 5)


# ---------------------------------------------------------------------------
# Frozen layers
# ---------------------------------------------------------------------------

ignore_convergence = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
Y = {DBNClassifier: (X[:, 0] > 0.5).astype(int), DeepMLPRegressor: X[:, 0] - X[:, 1]}
both = pytest.mark.parametrize("kind", Y)


def frozen(kind, stack, **params):
    """A network over frozen layers."""
    own = {"activation": "logistic", "max_iter": 3, "batch_size": 6, "random_state": 0}
    return kind((4, 3), pretrainer=FrozenEstimator(stack), **(own | params))


def assert_frozen(network, stack):
    """Every hidden layer has the stack's parameters, bit for bit, and the output has its own."""
    for layer in range(2):
        np.testing.assert_array_equal(network.coefs_[layer], stack.coefs_[layer])
        np.testing.assert_array_equal(network.intercepts_[layer], stack.intercepts_hidden_[layer])


@ignore_convergence
@both
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "lbfgs", "tol": 1e-10},
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"alpha": 10.0, "max_norm": 0.1, "clip_norm": 0.1},
        {"dropout": 0.5, "trace": "batch"},
        {"dtype": "float64", "trace": None},
    ],
    ids=str,
)
def test_frozen_layers_stay_bit_for_bit(kind, params):
    """Whatever is done to the weights that are trained: in fit, partial_fit and a warm start."""
    stack = fitted(dtype=params.get("dtype", "float32"))
    network = frozen(kind, stack, **params).fit(X, Y[kind])
    assert_frozen(network, stack)
    network.set_params(warm_start=True).fit(X, Y[kind])
    assert_frozen(network, stack)
    assert len(set(network.loss_curve_)) > 1  # the output layer was trained
    if network.solver != "lbfgs":
        network.set_params(early_stopping=False).partial_fit(X, Y[kind])
        assert_frozen(network, stack)
    np.testing.assert_allclose(_features(network, X), stack.transform(X), rtol=1e-6)


def _features(network, X):
    hidden = [*zip(network.coefs_, network.intercepts_)][:-1]
    for W, b in hidden:
        X = 1.0 / (1.0 + np.exp(-(X @ W + b)))
    return X


@ignore_convergence
@both
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_the_output_layer_is_that_of_a_linear_network_on_the_features(kind, solver):
    """Losses, validation scores and weights: what is trained is no more than the output layer."""
    stack = fitted(dtype="float64")
    features = stack.transform(X)
    settings = {"dtype": "float64", "solver": solver, "shuffle": False, "init": "zeros"}
    settings |= {"max_iter": 5, "batch_size": 6, "alpha": 0.01}
    given = {"X_val": X, "y_val": Y[kind]}
    network = frozen(kind, stack, **settings).fit(X, Y[kind], **given)
    linear = kind((), pretrainer=None, **settings)
    linear.fit(features, Y[kind], **(given | {"X_val": features}))
    np.testing.assert_allclose(network.coefs_[-1], linear.coefs_[0], rtol=1e-10)
    np.testing.assert_allclose(network.loss_curve_, linear.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(network.validation_scores_, linear.validation_scores_, rtol=1e-10)
    np.testing.assert_allclose(network.predict(X), linear.predict(features), rtol=1e-10)


@ignore_convergence
def test_rows_without_a_label_do_not_count_for_a_frozen_network():
    """Only rows that are trained on pass the frozen layers, in whichever order they lie."""
    y = np.where(np.arange(20) % 3 == 0, Y[DBNClassifier], -1)
    some = frozen(DBNClassifier, fitted(), unlabeled=-1).fit(X, y)
    few = frozen(DBNClassifier, some.pretrainer_).fit(X[y >= 0], y[y >= 0])
    np.testing.assert_array_equal(some.coefs_[-1], few.coefs_[-1])


@ignore_convergence
@both
def test_the_trace_of_frozen_layers(kind):
    """Of each layer weights and activations; of the frozen ones no gradients and no steps."""
    trace = frozen(kind, fitted()).fit(X, Y[kind]).gradient_trace_
    for values in (trace.weight_grad_norm, trace.bias_grad_norm, trace.update_ratio):
        assert values.shape == (4, 3)
        assert np.isnan(values[:, :2]).all() and np.isfinite(values[:, 2]).all()
    whole = kind((4, 3), activation="logistic", pretrainer=WarmStart(fitted()), random_state=0)
    start = whole.set_params(max_iter=1).fit(X, Y[kind]).gradient_trace_
    for name in ("weight_norm", "activation_mean", "activation_std", "saturated_fraction"):
        values = getattr(trace, name)
        np.testing.assert_allclose(values[:, :2], np.tile(getattr(start, name)[0, :2], (4, 1)))


@ignore_convergence
@both
def test_frozen_layers_can_be_trained_later(kind):
    """First the output layer, then all: by a warm start or further calls of partial_fit."""
    stack = fitted()
    network = frozen(kind, stack, warm_start=True).fit(X, Y[kind])
    assert_frozen(network, stack)
    network.set_params(pretrainer=WarmStart(stack), learning_rate_init=0.1).fit(X, Y[kind])
    thawed = network.coefs_[0].copy()
    assert (thawed != stack.coefs_[0]).any()
    trace = network.gradient_trace_.weight_grad_norm
    assert np.isnan(trace[3, 0]) and np.isfinite(trace[4, 0])
    network.set_params(pretrainer=FrozenEstimator(stack)).partial_fit(X, Y[kind])
    np.testing.assert_array_equal(network.coefs_[0], thawed)
    network.set_params(pretrainer=FrozenEstimator(fitted()))
    with pytest.raises(ValueError, match="pretrainer must hold the stack that the network started"):
        network.partial_fit(X, Y[kind])


@pytest.mark.skipif(config.NUMBA_NUM_THREADS < 2, reason="this process may use one thread only")
@pytest.mark.parametrize("of_stack, of_network, expected", [(1, 2, 1), (2, 1, 2), (None, 2, 2)])
def test_a_pretrainer_trains_on_threads_of_its_own(monkeypatch, of_stack, of_network, expected):
    """Its n_jobs is obeyed; None is that of the network."""
    used, train = [], StackTraining.train

    def listen(training, *args):
        used.append(1 if training.run is run_serial else get_num_threads())
        train(training, *args)

    monkeypatch.setattr(StackTraining, "train", listen)
    stack = BernoulliRBMStack(max_iter=1, n_jobs=of_stack, batch_size=5)
    network = DBNClassifier((5,), pretrainer=stack, max_iter=1, n_jobs=of_network)
    network.fit(X, np.arange(20) % 2)
    assert used == [expected]
