"""Parameters that have no effect because of others: a warning names them, and no others."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor
from sk_dbn._unused import NETWORK, STACK, STOPPING

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).uniform(size=(30, 3))
Y = {DBNClassifier: (X[:, 0] > 0.5).astype(int), DeepMLPRegressor: X[:, 0]}
both = pytest.mark.parametrize("kind", Y)
SOLVERS = ("sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "lbfgs")

# A value of each that is not its default.
OTHER = {
    **{"batch_size": 7, "learning_rate_init": 0.003, "power_t": 0.3, "momentum": 0.4},
    **{"nesterovs_momentum": False, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6},
    **{"n_iter_no_change": 3, "validation_fraction": 0.2, "max_fun": 99, "delta": 2.0},
    **{"tol": 0.03, "n_chains": 7, "n_temperatures": 3, "sparsity_cost": 0.2},
}


def network(kind, **params):
    """A linear network that is trained for an epoch."""
    return kind((), **({"max_iter": 1, "random_state": 0, "pretrainer": None} | params))


def unused(estimator, y):
    """What the warnings of fit say that has no effect."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X, y)
    said = [str(w.message) for w in caught if "no effect" in str(w.message)]
    assert len(said) <= 1, "one warning says it all"
    return said[0] if said else ""


@both
@pytest.mark.parametrize("solver", SOLVERS)
def test_each_parameter_by_solver(kind, solver):
    """What the solver's parameters are in the table, of which the fitted weights tell the truth.

    A parameter that is said to have no effect must leave the weights as they are.
    """
    params = inspect.signature(kind).parameters
    plain = network(kind, solver=solver, max_iter=4).fit(X, Y[kind])
    for name in filter(params.__contains__, OTHER):
        estimator = network(kind, solver=solver, max_iter=4, **{name: OTHER[name]})
        if f"{name}=" in unused(estimator, Y[kind]):
            np.testing.assert_array_equal(estimator.coefs_[0], plain.coefs_[0], err_msg=name)


@both
@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"solver": "lbfgs", "early_stopping": True}, "early_stopping=True needs solver='sgd' or"),
        ({"solver": "lbfgs", "learning_rate": "cosine"}, "learning_rate='cosine' needs solver="),
        ({"solver": "lbfgs", "batch_size": 5}, "batch_size=5 needs .*, not 'lbfgs'"),
        (
            {"learning_rate": "adaptive"},
            r"learning_rate='adaptive' needs solver='sgd', not 'adam' \(the rate is constant\)",
        ),
        ({"learning_rate": "invscaling"}, r"='invscaling' needs solver='sgd'.* rate is constant"),
        ({"tol": 0.01}, "tol=0.01 needs learning_rate='constant' or .*, not 'auto', or early_st"),
        ({"tol": 0.01, "learning_rate": "cosine"}, "tol=0.01 needs .* not 'cosine', or .*='lbfgs'"),
        (
            {"n_iter_no_change": 3},
            "n_iter_no_change=3 needs .*, or early_stopping=True, not 'refit'",
        ),
        ({"n_iter_no_change": 3, "solver": "lbfgs"}, "n_iter_no_change=3 needs .* not 'lbfgs'"),
        ({"momentum": 0.5, "nesterovs_momentum": False}, "momentum=0.5 .*; nesterovs_mom.*=False"),
        ({"solver": "sgd", "beta_1": 0.5}, "beta_1=0.5 needs .*, not 'sgd'"),
        ({"solver": "rmsprop", "beta_2": 0.5}, "beta_2=0.5 needs"),
        ({"solver": "sgd", "power_t": 0.1}, "power_t=0.1 needs learning_rate='invscaling', not"),
        ({"validation_fraction": 0.3}, "validation_fraction=0.3 needs early_stopping=True"),
        ({"max_fun": 3}, "max_fun=3 needs solver='lbfgs'"),
    ],
    ids=str,
)
def test_what_the_warning_says(kind, params, said):
    """Parameter, value, and what it would need."""
    with pytest.warns(UserWarning, match=said):
        network(kind, **params).fit(X, Y[kind])


@both
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "lbfgs", "max_fun": 100, "tol": 1e-3},
        {"solver": "sgd", "momentum": 0.5, "learning_rate": "invscaling", "power_t": 0.4},
        {"solver": "rmsprop", "beta_1": 0.8, "epsilon": 1e-5, "learning_rate": "cosine"},
        {"early_stopping": True, "validation_fraction": 0.2, "batch_size": 5},
        {"solver": "lbfgs", "momentum": 0.9, "beta_1": 0.9},
        {"tol": 0.01, "n_iter_no_change": 3, "learning_rate": "constant"},
        {"tol": 0.01, "n_iter_no_change": 3, "early_stopping": True},
        {"tol": 0.01, "n_iter_no_change": 3, "solver": "sgd", "learning_rate": "adaptive"},
    ],
    ids=str,
)
def test_nothing_is_said_of_what_is_used(kind, params):
    """Nor of values that are the defaults, given or not."""
    assert unused(network(kind, **params), Y[kind]) == ""


def test_delta_is_hubers():
    """The other losses have no such bend."""
    said = unused(network(DeepMLPRegressor, delta=2.0), X[:, 0])
    assert "delta=2.0 needs loss='huber', not 'squared_error'" in said
    assert unused(network(DeepMLPRegressor, delta=2.0, loss="huber"), X[:, 0]) == ""


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"n_chains": 7}, "n_chains=7 needs algorithm='pcd' or 'fpcd' or 'pt', not 'cd'"),
        ({"n_temperatures": 3, "algorithm": "pcd"}, "n_temperatures=3 needs algorithm='pt', not"),
        ({"sparsity_cost": 0.3}, "sparsity_cost=0.3 needs sparsity_target=a value, not None"),
        ({"validation_fraction": 0.3}, "validation_fraction=0.3 needs early_stopping=True or"),
        ({"n_chains": 7, "algorithm": "pt", "n_temperatures": 3}, ""),
        ({"sparsity_cost": 0.3, "sparsity_target": 0.1}, ""),
        ({"early_stopping": "free_energy", "validation_fraction": 0.3}, ""),
    ],
    ids=str,
)
def test_of_a_stack(params, said):
    """By itself, and where it pre-trains a network."""
    stack = BernoulliRBMStack((2,), max_iter=1, random_state=0, **params)
    assert said in unused(stack, None)
    dbn = DBNClassifier((2,), pretrainer=BernoulliRBMStack(max_iter=1, **params), max_iter=1)
    assert said in unused(dbn, Y[DBNClassifier])


def test_the_tables_know_their_parameters():
    """Every name is a parameter, so that a renamed one is not forgotten here."""
    of_networks = {*inspect.signature(DBNClassifier).parameters}
    of_networks |= {*inspect.signature(DeepMLPRegressor).parameters}
    of_stack = {*inspect.signature(BernoulliRBMStack).parameters}
    for table, known in ((NETWORK | STOPPING, of_networks), (STACK, of_stack)):
        names = {key if isinstance(key, str) else key[0] for key in table}
        needs = [each for x in table.values() for each in (x if isinstance(x, tuple) else (x,))]
        assert names | {other for each in needs for other in each} <= known


@both
def test_what_ends_training_is_not_for_partial_fit(kind):
    """Nothing is said of it there: the caller ends the training, whatever the schedule."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator = network(kind, tol=0.01, n_iter_no_change=3)
        classes = {"classes": [0, 1]} if kind is DBNClassifier else {}
        estimator.partial_fit(X, Y[kind], **classes)


@both
@pytest.mark.parametrize(
    "change",
    [{"solver": "sgd"}, {"learning_rate_init": 0.5}, {"learning_rate": "cosine"}, {"beta_1": 0.5}],
    ids=str,
)
def test_what_partial_fit_goes_on_with(kind, change):
    """A warning names what it keeps and what was set in vain; fit begins anew, without one."""
    y = Y[kind]
    estimator = network(kind).fit(X, y).partial_fit(X, y)
    (name, value), plain = next(iter(change.items())), network(kind).fit(X, y).partial_fit(X, y)
    estimator.set_params(**change)
    with pytest.warns(UserWarning, match=f"continues with {name}=.*{name}={value!r} has no effect"):
        estimator.partial_fit(X, y)
    np.testing.assert_array_equal(estimator.coefs_[0], plain.partial_fit(X, y).coefs_[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.set_params(warm_start=True).fit(X, y).partial_fit(X, y)


def test_frozen_layers_have_no_dropout_of_the_input():
    """Which is said; that of the hidden units concerns the output layer."""
    stack = BernoulliRBMStack((2,), max_iter=1, random_state=0).fit(X)
    dbn = DBNClassifier((2,), pretrainer=FrozenEstimator(stack), max_iter=1)
    assert "dropout of the input has no effect" in unused(
        dbn.set_params(dropout=(0.2, 0.5)), Y[DBNClassifier]
    )
    assert unused(dbn.set_params(dropout=0.5), Y[DBNClassifier]) == ""
