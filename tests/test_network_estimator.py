"""What DBNClassifier and DeepMLPRegressor share, held for both of them.

The networks here are started from `init` (``pretrainer=None``) unless a test says
otherwise: what a stack adds is in test_dbn.py.
"""

import copy
import inspect
import io
import os
import pickle
import re
import signal
import threading
import time
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_dbn._network_estimator as network_estimator
from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor, _convergence
from sk_dbn.models import memory, threads
from sk_dbn.models.lbfgs import is_steep
from tests import reference
from tests.as_scikit_learn import AS_SCIKIT_LEARN

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SKLEARN_WEIGHS_SAMPLES = "sample_weight" in inspect.signature(MLPRegressor.fit).parameters
SOLVERS = ("sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "lbfgs")
INITS = (
    "auto glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform "
    "orthogonal normal standard_normal zeros sklearn"
).split()
ACTIVATIONS = (
    "identity logistic tanh softsign relu leaky_relu elu selu gelu swish softplus"
).split()

both = pytest.mark.parametrize("kind", ["regressor", "classifier"])


def make(kind, **params):
    """A small network of either kind that trains in milliseconds, as scikit-learn's does."""
    small = {"hidden_layer_sizes": (8, 6), "activation": "tanh", "max_iter": 6}
    small |= {"pretrainer": None, "random_state": 0, "batch_size": 32}
    Estimator = DeepMLPRegressor if kind == "regressor" else DBNClassifier
    return Estimator(**(AS_SCIKIT_LEARN[Estimator] | small | params))


def data(kind, n=90, seed=0):
    """Five features; a smooth target, or three classes that depend on them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    z = X[:, 0] - np.tanh(X[:, 1]) + 0.5 * X[:, 2] * X[:, 3]
    return X, z if kind == "regressor" else np.digitize(z, [-0.6, 0.6])


def outputs(estimator, X):
    """What the network says before labels are made of it."""
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def parameters(estimator):
    """All parameters in one vector."""
    return np.concatenate([p.ravel() for p in [*estimator.coefs_, *estimator.intercepts_]])


def assert_same(a, b):
    """Two fitted networks are the same, bit by bit."""
    np.testing.assert_array_equal(parameters(a), parameters(b))
    assert (a.loss_curve_, a.n_iter_, a.t_) == (b.loss_curve_, b.n_iter_, b.t_)


# ---------------------------------------------------------------------------
# Step by step the same as scikit-learn
# ---------------------------------------------------------------------------


def problem(target, n=150):
    """Inputs and targets of each form that scikit-learn's MLPs take."""
    X, y = data("regressor", n)
    other = X[:, 3] + X[:, 4]
    return X, {
        "one output": y,
        "two outputs": np.column_stack([y, other]),
        "two classes": np.where(y > 0, "yes", "no"),
        "three classes": np.digitize(y, [-0.6, 0.6]) * 10,
        "labels": np.column_stack([y > 0, other > 0, y > other]).astype(int),
    }[target]


TARGETS = ("one output", "two outputs", "two classes", "three classes", "labels")
TRAININGS = [
    {"solver": "sgd"},
    {"solver": "sgd", "nesterovs_momentum": False, "activation": "logistic"},
    {"solver": "sgd", "momentum": 0.0, "activation": "identity", "batch_size": 150},
    {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.25, "alpha": 1.0},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.02, "n_iter_no_change": 1},
    {"solver": "adam", "activation": "relu", "alpha": 0.5},
    {"solver": "adam", "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "learning_rate_init": 0.01},
    {"solver": "adam", "tol": 0.01, "n_iter_no_change": 2, "batch_size": 400},
]


def pair(target, **params):
    """scikit-learn's network and ours, with the same parameters."""
    common = {"hidden_layer_sizes": (7, 4), "activation": "tanh", "max_iter": 25}
    common |= {"batch_size": 37, "learning_rate_init": 0.05, "random_state": 5, "shuffle": False}
    common |= params
    if target.endswith("output") or target.endswith("outputs"):
        Theirs, Mine = MLPRegressor, DeepMLPRegressor
    else:
        Theirs, Mine = MLPClassifier, DBNClassifier
    own = AS_SCIKIT_LEARN[Mine] | {"dtype": "float64", "init": "sklearn", "pretrainer": None}
    return Theirs(**common), Mine(**(own | common))


def assert_step_by_step(theirs, mine, X, atol=1e-10):
    """Every fitted attribute that depends on training agrees, and so does the prediction."""
    assert (mine.n_iter_, mine.t_) == (theirs.n_iter_, theirs.t_)
    assert (mine.n_layers_, mine.n_outputs_) == (theirs.n_layers_, theirs.n_outputs_)
    assert mine.out_activation_ == theirs.out_activation_
    for p, q in zip(mine.coefs_ + mine.intercepts_, theirs.coefs_ + theirs.intercepts_):
        np.testing.assert_allclose(p, q, rtol=0, atol=atol)
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=0, atol=atol)
    np.testing.assert_allclose([mine.loss_, mine.best_loss_], [theirs.loss_, theirs.best_loss_])
    np.testing.assert_allclose(outputs(mine, X), outputs(theirs, X), rtol=0, atol=atol)
    if hasattr(mine, "classes_"):
        np.testing.assert_array_equal(mine.predict(X), theirs.predict(X))


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
@pytest.mark.parametrize("params", TRAININGS, ids=str)
@pytest.mark.parametrize("target", TARGETS)
def test_every_step_is_scikit_learns(target, params):
    """The same weights after the same minibatches: the formulas are the same, in float64.

    150 rows in minibatches of 37 end with a short one of 2.
    """
    X, y = problem(target)
    theirs, mine = (estimator.fit(X, y) for estimator in pair(target, **params))
    assert_step_by_step(theirs, mine, X)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("target", TARGETS)
def test_every_step_is_scikit_learns_from_given_weights(target, solver):
    """`init` as arrays is where training starts, with biases of zero."""
    X, y = problem(target)
    theirs, mine = pair(target, solver=solver)
    theirs.set_params(max_iter=1).fit(X, y)
    rng = np.random.default_rng(1)
    arrays = [rng.normal(0, 0.5, W.shape) for W in theirs.coefs_]
    for W, b, given in zip(theirs.coefs_, theirs.intercepts_, arrays):
        W[:], b[:] = given, 0.0
    theirs.t_, theirs.loss_curve_, theirs.best_loss_ = 0, [], np.inf
    theirs.set_params(max_iter=25, warm_start=True).fit(X, y)
    assert_step_by_step(theirs, mine.set_params(init=arrays).fit(X, y), X)


@pytest.mark.parametrize("target", [t for t in TARGETS if t != "two outputs"])
def test_the_first_steps_of_lbfgs_are_scikit_learns(target):
    """The same loss and gradient in the same optimiser; later its line search amplifies rounding.

    For several outputs scikit-learn minimises a mean with the gradient of a sum; this package does
    not.
    """
    X, y = problem(target)
    theirs, mine = pair(target, solver="lbfgs", max_iter=6, alpha=0.1)
    theirs.fit(X, y), mine.fit(X, y)
    assert mine.n_iter_ == theirs.n_iter_ == len(mine.loss_curve_)
    np.testing.assert_allclose(parameters(mine), parameters(theirs), rtol=0, atol=1e-7)
    np.testing.assert_allclose(mine.loss_, theirs.loss_, rtol=1e-9)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("limit", ["max_iter", "max_fun"])
def test_lbfgs_warns_in_scikit_learns_words(limit):
    """Of every end that SciPy calls no success; of max_iter, only where that was the end."""
    X, y = problem("one output")
    texts = []
    for estimator in pair("one output", solver="lbfgs", tol=1e-12, **{limit: 5}):
        with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge") as caught:
            estimator.fit(X, y)
        texts += [str(w.message) for w in caught if w.category is ConvergenceWarning]
    theirs, mine = texts
    assert (f"(max_iter={5})" in mine) is (limit == "max_iter")
    if "iteration(s)" in theirs:  # from scikit-learn 1.7 on
        assert mine == theirs


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_lbfgs_finds_the_minimum(n_outputs):
    """Without hidden layers the loss is that of a ridge regression, whose minimum is known.

    L-BFGS-B stops where a step lowers the loss by less than 2e-9 of it.
    """
    X, y = problem("two outputs")
    y = y[:, :n_outputs]
    ridge = Ridge(alpha=2.0).fit(X, y)
    mine = make("regressor", hidden_layer_sizes=(), solver="lbfgs", alpha=2.0, tol=1e-9)
    mine.set_params(dtype="float64", max_iter=500).fit(X, y.squeeze())

    def objective(W, b):
        return ((X @ W + b - y) ** 2).sum() + 2.0 * (W**2).sum()

    least = objective(ridge.coef_.reshape(n_outputs, 5).T, ridge.intercept_)
    assert objective(mine.coefs_[0], mine.intercepts_[0]) == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize(("shift", "spread"), [(3e5, 1e5), (1e9, 1e9), (-1e12, 1e10)])
def test_lbfgs_finds_the_minimum_of_large_targets(shift, spread):
    """In single precision too: the losses that its line search compares are double's."""
    X, y = problem("one output")
    y = shift + spread * y
    ridge = Ridge(alpha=1.0).fit(X, y)
    mine = make("regressor", hidden_layer_sizes=(), solver="lbfgs", alpha=1.0, max_iter=500)
    assert mine.fit(X, y).score(X, y) == pytest.approx(ridge.score(X, y), abs=1e-4)
    assert mine.coefs_[0].dtype == mine.predict(X).dtype == np.float32


@pytest.mark.parametrize("shift", [0.0, 3e5])
def test_lbfgs_is_as_good_in_both_precisions(shift):
    """Of large targets too: what differs is rounding, at the start and at the end."""
    X, y = problem("one output")
    y = shift * 3 + (shift or 1.0) * y
    scores = [
        make("regressor", solver="lbfgs", activation="relu", dtype=dtype, max_iter=200)
        .fit(X, y)
        .score(X, y)
        for dtype in ("float32", "float64")
    ]
    assert min(scores) > 0.9


@pytest.mark.parametrize("unit", [1.0, 1e9])
def test_lbfgs_on_a_slope_has_not_converged(unit):
    """The gain that the gradient promises is held against the loss, so units do not matter."""

    def parabola(x):
        return unit * (((x - 3.0) ** 2).sum() + 1.0), unit * 2.0 * (x - 3.0)

    def minimise(tol):
        options = {"ftol": tol, "gtol": 0.0}
        start = np.full(3, 1e3)
        return scipy.optimize.minimize(
            parabola, start, jac=True, method="L-BFGS-B", options=options
        )

    slope, minimum = minimise(0.9999999), minimise(1e-9)
    assert slope.success and minimum.success
    assert slope.nit == 1
    assert is_steep(slope, 0.0)
    assert not is_steep(minimum, 0.0)
    assert not is_steep(slope, 1e15)


def test_lbfgs_says_when_it_stopped_on_a_slope(monkeypatch):
    """The stop that L-BFGS-B calls convergence is called by its name."""
    X, y = problem("one output")
    monkeypatch.setattr(_convergence, "is_steep", lambda result, tol: result.success)
    with pytest.warns(ConvergenceWarning, match="the gradient is large: it has not converged"):
        make("regressor", solver="lbfgs", max_iter=5000, tol=1e-2).fit(X, y)


@pytest.mark.skipif(not SKLEARN_WEIGHS_SAMPLES, reason="MLPs take sample_weight since 1.7")
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("target", ["one output", "three classes", "labels"])
def test_weights_that_are_not_counts_are_scikit_learns(target, solver):
    """Such weights multiply the losses and divide the sum, as scikit-learn's do.

    Their mean is 1: the penalty is held against the number of samples, by scikit-learn's
    networks against the sum of the weights.
    """
    X, y = problem(target)
    w = np.random.default_rng(2).uniform(0.1, 3, len(X))
    w /= w.mean()
    steps = 5 if solver == "lbfgs" else 20
    theirs, mine = pair(target, solver=solver, alpha=0.3, max_iter=steps)
    theirs.fit(X, y, sample_weight=w), mine.fit(X, y, sample_weight=w)
    np.testing.assert_allclose(parameters(mine), parameters(theirs), rtol=0, atol=1e-8)


@pytest.mark.skipif(not SKLEARN_WEIGHS_SAMPLES, reason="1.6 splits sparse targets differently")
@pytest.mark.parametrize("target", ["one output", "two classes"])
def test_early_stopping_is_scikit_learns(target):
    """The same seed splits the same rows off, so scores, stop and best weights are the same."""
    X, y = problem(target)
    theirs, mine = pair(target, early_stopping=True, n_iter_no_change=3, max_iter=60)
    theirs.fit(X, y), mine.fit(X, y)
    np.testing.assert_allclose(mine.validation_scores_, theirs.validation_scores_)
    assert mine.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    np.testing.assert_allclose(parameters(mine), parameters(theirs), rtol=0, atol=1e-10)


OWN_DEFAULTS = {
    "activation": "logistic",
    "learning_rate": "auto",
    "learning_rate_init": "auto",
    "early_stopping": "refit",
}


@pytest.mark.parametrize(
    ("Theirs", "Mine", "sizes"),
    [
        (MLPRegressor, DeepMLPRegressor, (100, 100, 100)),
        (MLPClassifier, DBNClassifier, (256, 128)),
    ],
)
def test_defaults_are_scikit_learns(Theirs, Mine, sizes):
    """A parameter that scikit-learn has means the same: name and default, but for those that win.

    These are what the docstring says; ``batch_size="auto"`` is only spelt the same.
    """
    theirs, mine = Theirs().get_params(), Mine().get_params()
    assert set(theirs) <= set(mine)
    own = {name: mine[name] for name in theirs if theirs[name] != mine[name]}
    assert own == {"hidden_layer_sizes": sizes} | OWN_DEFAULTS
    for name, value in own.items():
        documented = re.search(rf"(?s)\n {{4}}{name} : .*?\bdefault=(.+?)\n", Mine.__doc__)
        assert documented[1] == repr(value)


# ---------------------------------------------------------------------------
# Parameters: sizes, activations, first weights, solvers
# ---------------------------------------------------------------------------


@both
@pytest.mark.parametrize("sizes", [5, (5,), [5], np.array([5]), (np.int64(5),)], ids=repr)
def test_sizes_have_many_spellings(kind, sizes):
    """An int is one layer; a tuple, a list and an array are the same."""
    X, y = data(kind)
    a, b = make(kind, hidden_layer_sizes=sizes).fit(X, y), make(kind, hidden_layer_sizes=5)
    assert_same(a, b.fit(X, y))


@both
def test_no_hidden_layer_is_a_linear_model(kind):
    """Without hidden layers one matrix maps input to output."""
    X, y = data(kind)
    estimator = make(kind, hidden_layer_sizes=()).fit(X, y)
    assert [W.shape for W in estimator.coefs_] == [(5, 1 if kind == "regressor" else 3)]
    assert estimator.n_layers_ == 2


@both
def test_many_layers_and_wide_ones(kind):
    """Depth and width are limited by memory only."""
    X, y = data(kind)
    estimator = make(kind, hidden_layer_sizes=(3,) * 60, max_iter=2).fit(X, y)
    assert estimator.gradient_trace_.weight_grad_norm.shape == (3, 61)
    wide = make(kind, hidden_layer_sizes=(2000, 3), max_iter=2).fit(X, y)
    assert np.isfinite(outputs(wide, X)).all()


@both
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_are_those_of_the_definition(kind, activation):
    """Whatever the activation, the prediction is the layers' formula with `coefs_` in it."""
    X, y = data(kind)
    estimator = make(kind, activation=activation, dtype="float64").fit(X, y)
    names = [activation] * 2 + [estimator.out_activation_]
    _, values = reference.forward(X, estimator.coefs_, estimator.intercepts_, names)
    np.testing.assert_allclose(outputs(estimator, X), values[-1].squeeze(), rtol=1e-9, atol=1e-9)


@both
def test_every_layer_may_have_its_own_activation(kind):
    """A list of names applies layer by layer."""
    X, y = data(kind)
    names = ["relu", "tanh"]
    estimator = make(kind, activation=names, dtype="float64").fit(X, y)
    layers = estimator.coefs_, estimator.intercepts_, [*names, estimator.out_activation_]
    _, values = reference.forward(X, *layers)
    np.testing.assert_allclose(outputs(estimator, X), values[-1].squeeze(), rtol=1e-9, atol=1e-9)
    same = make(kind, activation=["tanh", "tanh"]).fit(X, y)
    assert_same(same, make(kind, activation="tanh").fit(X, y))


@both
@pytest.mark.parametrize("init", [*INITS, 0.3, 0.0])
def test_every_init_trains(kind, init):
    """Each starts a finite network that an epoch changes; zeros still move the output's bias."""
    X, y = data(kind)
    estimator = make(kind, init=init).fit(X, y)
    assert np.isfinite(parameters(estimator)).all()
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]


@both
def test_init_arrays_are_taken_as_they_are(kind):
    """A learning rate that rounds to nothing leaves them; biases start at zero."""
    X, y = data(kind)
    rng = np.random.default_rng(0)
    shapes = [(5, 8), (8, 6), (6, 1 if kind == "regressor" else 3)]
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    before = [W.copy() for W in arrays]
    estimator = make(kind, init=arrays, learning_rate_init=1e-30, max_iter=1).fit(X, y)
    for W, b, given in zip(estimator.coefs_, estimator.intercepts_, arrays):
        np.testing.assert_array_equal(W, given)
        assert not np.shares_memory(W, given)
        np.testing.assert_allclose(b, 0, atol=1e-29)
    make(kind, init=arrays).fit(X, y)
    for W, given in zip(before, arrays):
        np.testing.assert_array_equal(W, given)


@both
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_lowers_the_loss(kind, solver):
    """With a small step the first epochs of each solver go downhill."""
    X, y = data(kind)
    estimator = make(kind, solver=solver, learning_rate_init=0.003).fit(X, y)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    assert len(estimator.loss_curve_) == estimator.n_iter_ == 6


@both
def test_alpha_shrinks_the_weights(kind):
    """The penalised minimum has a smaller norm: so for any convex penalty and any loss."""
    X, y = data(kind)
    params = {"solver": "lbfgs", "max_iter": 300, "hidden_layer_sizes": ()}
    weak, strong = (make(kind, alpha=a, **params).fit(X, y) for a in (0.1, 10.0))
    norm = [np.linalg.norm(e.coefs_[0]) for e in (weak, strong)]
    assert norm[1] < norm[0]


# ---------------------------------------------------------------------------
# Shortcuts
# ---------------------------------------------------------------------------


def network_outputs(estimator, X, shortcut=True):
    """What the reference makes of the estimator's coefs_, layer by layer."""
    names = [*["tanh"] * (len(estimator.coefs_) - 1), estimator.out_activation_]
    layers = estimator.coefs_, estimator.intercepts_, names
    return reference.forward(X, *layers, shortcut=shortcut)[1]


@both
@pytest.mark.parametrize(
    "sizes", [(8, 8, 8), (8, 5, 9), (4,) * 30, (8, 6)], ids=lambda s: str(s[:3])
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_shortcuts_are_those_of_the_definition(kind, sizes, solver):
    """Predictions, validation and the trace agree with the formula; coefs_ are shaped as ever."""
    X, y = data(kind)
    params = {"hidden_layer_sizes": sizes, "shortcut": True, "dtype": "float64", "solver": solver}
    estimator = make(kind, **params).fit(X, y, X_val=X, y_val=y)
    values = network_outputs(estimator, X)
    np.testing.assert_allclose(outputs(estimator, X), values[-1].squeeze(), rtol=1e-9, atol=1e-12)
    loss = "squared_error" if kind == "regressor" else "log_loss"
    expected = reference.row_losses(loss, values[-1], y.reshape(-1, 1)).mean()
    assert estimator.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)
    assert [W.shape[1] for W in estimator.coefs_[:-1]] == list(sizes)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    if kind == "classifier":
        np.testing.assert_allclose(estimator.transform(X), values[-2], rtol=1e-9)
    assert not np.allclose(network_outputs(estimator, X, shortcut=False)[-1], values[-1])


@both
@pytest.mark.parametrize("sizes", [(), (8,)], ids=str)
def test_one_hidden_layer_has_no_shortcut(kind, sizes):
    """Nor has none: there must be two to go from one to the other."""
    X, y = data(kind)
    a, b = (make(kind, hidden_layer_sizes=sizes, shortcut=s).fit(X, y) for s in (True, False))
    assert_same(a, b)


@both
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_shortcuts_are_everywhere(kind, dropout):
    """For any number of threads, in partial_fit as in fit, and of a copy."""
    X, y = big_problem(kind)
    params = {"hidden_layer_sizes": (130, 90, 90), "batch_size": 200, "max_iter": 3}
    params |= {"shortcut": True, "dropout": dropout}
    one, two = (make(kind, n_jobs=n_jobs, **params).fit(X, y) for n_jobs in (1, 2))
    assert_same(one, two)
    np.testing.assert_array_equal(outputs(one, X), outputs(two, X))
    partly, classes = make(kind, **params), {} if kind == "regressor" else {"classes": np.unique(y)}
    for _ in range(3):
        partly = pickled(partly.partial_fit(X, y, **classes))
    np.testing.assert_array_equal(parameters(partly), parameters(one))
    np.testing.assert_array_equal(outputs(partly, X), outputs(one, X))


@both
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "selu"])
def test_a_hundred_layers_start_like_one(kind, activation):
    """Gradients at the start are of one size from the second layer to the hundredth, and train.

    Without shortcuts those of logistic units vanish where the weights are Glorot's: each layer
    divides them by four at least. With weights of their own they arrive.
    """
    X, y = data(kind)
    params = {"hidden_layer_sizes": (20,) * 100, "activation": activation, "max_iter": 10}
    estimator = make(kind, shortcut=True, **params).fit(X, y)
    norms = estimator.gradient_trace_.weight_grad_norm[0, 1:-1]
    assert norms.max() < 5 * norms.min()
    assert estimator.loss_curve_[-1] < 0.9 * estimator.loss_curve_[0]
    if activation == "logistic":
        first = {
            init: make(kind, init=init, **params).fit(X, y).gradient_trace_.weight_grad_norm[0]
            for init in ("glorot_uniform", "auto")
        }
        assert first["glorot_uniform"][1] < 1e-20
        assert first["auto"][1] > 1e-3 * first["auto"][-2]


@both
def test_a_stack_starts_no_network_with_shortcuts(kind):
    """An error that names both parameters; 'auto' leaves the stack out."""
    X, y = data(kind)
    estimator = make(kind, shortcut=True, pretrainer="auto")
    assert estimator.fit(X, y).pretrainer_ is None
    estimator = make(kind, shortcut=True, pretrainer=BernoulliRBMStack(max_iter=1))
    assert_refused(estimator, X, y, "pretrainer must be None or 'auto' with shortcut=True, .* got ")
    fitted = BernoulliRBMStack((8, 6), activation="tanh", max_iter=1).fit(X)
    frozen = FrozenEstimator(fitted)
    assert_refused(estimator.set_params(pretrainer=frozen), X, y, "'auto' with shortcut=True")


# ---------------------------------------------------------------------------
# What holds gradients and weights back
# ---------------------------------------------------------------------------

BOUNDS = {"l1_ratio": 0.5, "max_norm": 0.9, "clip_norm": 0.1, "clip_value": 0.01}


@both
def test_the_first_loss_has_both_penalties(kind):
    """alpha (l1_ratio |W|_1 + (1 - l1_ratio) / 2 |W|^2) over the rows, of weights alone."""
    X, y = data(kind)
    rng = np.random.default_rng(3)
    shapes = [(5, 8), (8, 6), (6, 1 if kind == "regressor" else 3)]
    arrays = [rng.normal(size=shape) for shape in shapes]
    params = {"init": arrays, "dtype": "float64", "batch_size": 90, "max_iter": 1}
    without, with_both = (
        make(kind, alpha=alpha, l1_ratio=0.3, **params).fit(X, y).loss_ for alpha in (0.0, 2.0)
    )
    penalty = sum(0.6 * np.abs(W).sum() + 0.7 * (W**2).sum() for W in arrays) / 90
    assert with_both - without == pytest.approx(penalty, rel=1e-9)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
def test_a_linear_model_with_both_penalties_is_an_elastic_net(l1_ratio):
    """The same minimum; weights that are zero there come as close as the last steps are long.

    Which is at most the rate times twice the penalty's slope, 0.003 * 2 * 20 / 300.
    """
    X, y = data("regressor", 300)
    X = np.hstack([X[:, :1], np.random.default_rng(7).normal(size=(300, 20))])
    theirs = ElasticNet(alpha=20 / 300, l1_ratio=l1_ratio, tol=1e-10).fit(X, y)
    params = {"hidden_layer_sizes": (), "alpha": 20.0, "solver": "sgd", "momentum": 0.0, "tol": 0}
    params |= {"learning_rate_init": 0.003, "batch_size": 300, "max_iter": 5000, "trace": None}
    params["n_iter_no_change"] = np.inf
    mine = make("regressor", l1_ratio=l1_ratio, **params).fit(X, y)
    np.testing.assert_allclose(mine.coefs_[0][:, 0], theirs.coef_, atol=1e-3)
    assert (l1_ratio > 0) == (theirs.coef_ == 0).any()


@both
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_no_unit_is_longer_than_max_norm(kind, solver):
    """In hidden layers and in the output, though some first weights are."""
    X, y = data(kind)
    params = {"solver": solver, "learning_rate_init": 0.1}
    norms = [
        np.concatenate([np.linalg.norm(W, axis=0) for W in estimator.coefs_])
        for estimator in (make(kind, max_norm=m, **params).fit(X, y) for m in (None, 0.8))
    ]
    assert norms[0].max() > 0.9
    assert norms[1].max() < 0.8 + 1e-6


@both
def test_clipping_shortens_steps_and_not_the_trace(kind):
    """Of plain descent the step's norm is the rate times clip_norm; the trace is of before."""
    X, y = data(kind)
    params = {"solver": "sgd", "momentum": 0.0, "alpha": 0.0, "batch_size": 90, "max_iter": 1}
    params |= {"learning_rate_init": 1.0, "dtype": "float64"}
    start = make(kind, **{**params, "learning_rate_init": 1e-30}).fit(X, y)
    plain, clipped = (make(kind, clip_norm=m, **params).fit(X, y) for m in (None, 0.01))
    step = parameters(clipped) - parameters(start)
    assert np.linalg.norm(step) == pytest.approx(0.01)
    full = parameters(plain) - parameters(start)
    np.testing.assert_allclose(step, 0.01 * full / np.linalg.norm(full), atol=1e-12)
    a, b = plain.gradient_trace_, clipped.gradient_trace_
    np.testing.assert_allclose(a.weight_grad_norm, b.weight_grad_norm, rtol=1e-12)
    cut = make(kind, clip_value=0.001, **params).fit(X, y)
    step = parameters(cut) - parameters(start)
    np.testing.assert_allclose(step, np.clip(full, -0.001, 0.001), atol=1e-12)


def test_clipping_saves_a_network_that_would_diverge():
    """Steps of bounded length do not grow without bound."""
    X, y = data("regressor")
    params = {"solver": "sgd", "activation": "identity", "learning_rate_init": 1.0, "max_iter": 50}
    with pytest.warns(ConvergenceWarning, match="diverged"):
        make("regressor", **params).fit(X, y)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*diverged")
        make("regressor", clip_norm=0.1, **params).fit(X, y)


@both
@pytest.mark.parametrize("bounds", [*({name: BOUNDS[name]} for name in BOUNDS), BOUNDS], ids=str)
def test_bounds_are_bounds_everywhere(kind, bounds):
    """For any number of threads, in partial_fit as in fit, and of a copy."""
    X, y = big_problem(kind)
    params = {"hidden_layer_sizes": (130, 90), "batch_size": 200, "max_iter": 3, **bounds}
    one, two = (make(kind, n_jobs=n_jobs, **params).fit(X, y) for n_jobs in (1, 2))
    assert_same(one, two)
    partly, classes = make(kind, **params), {} if kind == "regressor" else {"classes": np.unique(y)}
    for _ in range(3):
        partly = pickled(partly.partial_fit(X, y, **classes))
    np.testing.assert_array_equal(parameters(partly), parameters(one))
    plain = make(kind, **{**params, **dict.fromkeys(bounds, None), "l1_ratio": 0.0}).fit(X, y)
    assert not np.array_equal(parameters(plain), parameters(one))


@both
def test_partial_fit_listens_to_new_bounds(kind):
    """They may be changed between calls, as alpha may."""
    X, y = data(kind)
    estimator = make(kind, learning_rate_init=0.1).fit(X, y)
    assert max(np.linalg.norm(W, axis=0).max() for W in estimator.coefs_) > 0.6
    estimator.set_params(max_norm=0.5).partial_fit(X, y)
    assert max(np.linalg.norm(W, axis=0).max() for W in estimator.coefs_) < 0.5 + 1e-6


@both
@pytest.mark.parametrize("name", BOUNDS)
def test_lbfgs_has_no_bounds(kind, name):
    """An option that could not act is an error that names it, its value and the remedy."""
    X, y = data(kind)
    rule = rf"{name} must be .* for solver='lbfgs', .* got {BOUNDS[name]}; use .* 'adam'"
    assert_refused(make(kind, solver="lbfgs", **{name: BOUNDS[name]}), X, y, rule)


# ---------------------------------------------------------------------------
# Learning rates
# ---------------------------------------------------------------------------

PLANNED = [
    {"learning_rate": "cosine"},
    {"learning_rate": "one_cycle"},
    {"learning_rate": "cosine", "warmup_epochs": 1.5},
    {"warmup_epochs": 2},
]
planned = pytest.mark.parametrize("schedule", PLANNED, ids=str)


def torch_epochs(coefs, intercepts, X, y, make_scheduler):
    """Six epochs of minibatches of 32 rows by plain descent, with a scheduler of torch's."""
    import torch

    parts = [torch.tensor(p, requires_grad=True) for p in (*coefs, *intercepts)]
    optimiser = torch.optim.SGD(parts, lr=0.1)
    scheduler = make_scheduler(torch.optim.lr_scheduler, optimiser)
    for _ in range(6):
        for lo in range(0, len(X), 32):
            a = torch.tensor(X[lo : lo + 32])
            for layer in range(3):
                a = a @ parts[layer] + parts[layer + 3]
                a = torch.tanh(a) if layer < 2 else a
            optimiser.zero_grad()
            (0.5 * (a[:, 0] - torch.tensor(y[lo : lo + 32])) ** 2).mean().backward()
            optimiser.step()
            if scheduler.last_epoch < 17:  # one_cycle has no step after the last update
                scheduler.step()
    return np.concatenate([p.detach().numpy().ravel() for p in parts])


@pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")
@pytest.mark.parametrize("name", ["cosine", "one_cycle", "warmup"])
def test_weights_after_a_planned_schedule_are_torchs(name):
    """Every update has the rate that torch's scheduler says: 90 rows by 32 are 3 an epoch."""
    pytest.importorskip("torch")
    X, y = data("regressor")
    rng = np.random.default_rng(0)
    coefs = [rng.normal(size=shape) / 2 for shape in [(5, 8), (8, 6), (6, 1)]]
    make_scheduler = {
        "cosine": lambda s, optimiser: s.CosineAnnealingLR(optimiser, 18),
        "one_cycle": lambda s, optimiser: s.OneCycleLR(optimiser, 0.1, 18, cycle_momentum=False),
        "warmup": lambda s, optimiser: s.LinearLR(optimiser, 1 / 9, total_iters=8),
    }[name]
    intercepts = [np.zeros(W.shape[1]) for W in coefs]
    theirs = torch_epochs(coefs, intercepts, X, y, make_scheduler)
    params = {"warmup_epochs": 3} if name == "warmup" else {"learning_rate": name}
    params |= {"init": coefs, "solver": "sgd", "momentum": 0.0, "alpha": 0.0, "shuffle": False}
    mine = make("regressor", learning_rate_init=0.1, dtype="float64", **params).fit(X, y)
    np.testing.assert_allclose(parameters(mine), theirs, rtol=0, atol=1e-12)


@both
@planned
@pytest.mark.parametrize("solver", [s for s in SOLVERS if s != "lbfgs"])
def test_planned_rates_are_for_every_solver(kind, solver, schedule):
    """And partial_fit goes through the schedule as fit does, epoch by epoch."""
    X, y = data(kind)
    params = {"solver": solver, "tol": 0, "n_iter_no_change": np.inf}
    fitted, partly = (make(kind, **params, **schedule) for _ in range(2))
    fitted.fit(X, y)
    classes = {"classes": [0, 1, 2]} if kind == "classifier" else {}
    for _ in range(6):
        partly = pickled(partly.partial_fit(X, y, **classes))
    np.testing.assert_array_equal(parameters(partly), parameters(fitted))
    assert not np.array_equal(parameters(fitted), parameters(make(kind, **params).fit(X, y)))


@both
def test_scikit_learns_schedules_are_for_sgd(kind):
    """As there: adam's rate does not depend on them."""
    X, y = data(kind)
    for name in ("invscaling", "adaptive"):
        assert_same(make(kind, learning_rate=name).fit(X, y), make(kind).fit(X, y))


@both
@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_planned_end_is_no_lack_of_convergence(kind, name):
    """After max_iter epochs the rate is as good as zero: that is how it was meant."""
    X, y = data(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        estimator = make(kind, learning_rate=name, trace="batch").fit(X, y)
    ratios = estimator.gradient_trace_.update_ratio[1:]
    assert (ratios[-1] < 0.1 * ratios.max(axis=0)).all()


@both
@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_partial_fit_beyond_the_end_of_a_schedule(kind, name):
    """It warns that the rate is at its last, and goes on where max_iter puts the end off."""
    X, y = data(kind)
    estimator = make(kind, learning_rate=name, max_iter=4).fit(X, y)
    with pytest.warns(ConvergenceWarning, match=f"learning_rate='{name}' ended after max_"):
        estimator.partial_fit(X, y)
    before = parameters(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        estimator.set_params(max_iter=20).partial_fit(X, y)
    assert np.abs(parameters(estimator) - before).max() > 1e-4


@both
@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_plan_is_carried_out(kind, name):
    """A loss that stalls while the rate is high says little; a loss of tol always does."""
    X, y = data(kind)
    settings = {"tol": 10.0, "n_iter_no_change": 2, "max_iter": 12}
    assert make(kind, learning_rate=name, **settings).fit(X, y).n_iter_ == 12
    assert make(kind, warmup_epochs=8, **settings).fit(X, y).n_iter_ == 8
    assert make(kind, **settings).fit(X, y).n_iter_ < 8
    too_long = make(kind, learning_rate=name, warmup_epochs=12, **settings)
    with pytest.raises(ValueError, match="warmup_epochs must be less than max_iter=12"):
        too_long.fit(X, y)


def test_the_trace_sees_gradients_whose_squares_vanish():
    """Forty layers of logistic units: single precision holds them, but not their squares."""
    X, y = data("regressor")
    settings = {"hidden_layer_sizes": (3,) * 40, "activation": "logistic", "max_iter": 1}
    settings["init"] = "glorot_uniform"
    norms = [
        make("regressor", dtype=dtype, **settings).fit(X, y).gradient_trace_.weight_grad_norm[0]
        for dtype in ("float32", "float64")
    ]
    assert norms[1].min() < 1e-23
    np.testing.assert_allclose(*norms, rtol=1e-3)


@both
@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_warm_start_begins_a_new_schedule(kind, name):
    """The steps of a second fit rise and fall as those of the first did."""
    X, y = data(kind)
    params = {"learning_rate": name, "warm_start": True, "trace": "batch", "max_iter": 10}
    estimator = make(kind, solver="sgd", momentum=0.0, **params).fit(X, y).fit(X, y)
    trace = estimator.gradient_trace_
    rates = trace.update_ratio * trace.weight_norm / trace.weight_grad_norm  # about, per update
    np.testing.assert_allclose(rates[1:31], rates[31:61], rtol=0.05)


@both
def test_an_interrupted_epoch_is_not_counted(kind, monkeypatch):
    """The schedule is taken back with the weights."""
    X, y = data(kind)
    calm, hasty = (make(kind, learning_rate="cosine", max_iter=9) for _ in range(2))
    for estimator in (calm, hasty):
        estimator.set_params(max_iter=3).fit(X, y).set_params(max_iter=9)
    Interrupt(monkeypatch, after=0)
    with pytest.raises(KeyboardInterrupt):
        hasty.partial_fit(X, y)
    for _ in range(2):
        calm.partial_fit(X, y), hasty.partial_fit(X, y)
    np.testing.assert_array_equal(parameters(calm), parameters(hasty))


@both
def test_lbfgs_has_no_warmup(kind):
    """It has no learning rate at all."""
    X, y = data(kind)
    rule = "warmup_epochs must be 0 for solver='lbfgs', which has no learning rate, got 1"
    assert_refused(make(kind, solver="lbfgs", warmup_epochs=1), X, y, rule)


# ---------------------------------------------------------------------------
# Dropout
# ---------------------------------------------------------------------------


@both
@pytest.mark.parametrize("activation", ["tanh", "selu"])
def test_dropout_is_for_updates_only(kind, activation):
    """Predictions, validation and the trace's activations have every unit."""
    X, y = data(kind)
    params = {"dropout": (0.2, 0.5), "activation": activation, "dtype": "float64"}
    estimator = make(kind, **params).fit(X, y, X_val=X, y_val=y)
    names = [activation, activation, estimator.out_activation_]
    _, values = reference.forward(X, estimator.coefs_, estimator.intercepts_, names)
    np.testing.assert_allclose(outputs(estimator, X), values[-1].squeeze(), rtol=1e-9)
    loss = "squared_error" if kind == "regressor" else "log_loss"
    expected = reference.row_losses(loss, values[-1], y.reshape(-1, 1)).mean()
    assert estimator.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)
    assert not np.isclose(estimator.loss_, expected, rtol=1e-3)
    plain = make(kind, **{**params, "dropout": 0.0}).fit(X, y)
    a, b = estimator.gradient_trace_, plain.gradient_trace_
    for name in ("weight_grad_norm", "bias_grad_norm", "activation_mean", "activation_std"):
        np.testing.assert_array_equal(getattr(a, name)[0], getattr(b, name)[0])
        assert not np.array_equal(getattr(a, name)[-1], getattr(b, name)[-1])


@both
def test_dropout_has_several_spellings(kind):
    """A number is for the hidden layers; zeros are none at all."""
    X, y = data(kind)
    none, zeros, hidden, pair, whole = (
        make(kind, dropout=dropout).fit(X, y)
        for dropout in (0, (0.0, 0.0), 0.3, [0, 0.3], (0.1, 0.3))
    )
    assert_same(none, zeros)
    assert_same(none, make(kind).fit(X, y))
    assert_same(hidden, pair)
    assert len({tuple(parameters(e)) for e in (none, hidden, whole)}) == 3


@both
@pytest.mark.parametrize("shuffle", [True, False])
def test_dropout_drops_the_same_units_again(kind, shuffle):
    """For any number of threads, in partial_fit as in fit, of a copy, and for the same seed."""
    X, y = big_problem(kind)
    params = {"hidden_layer_sizes": (130, 90), "batch_size": 200, "max_iter": 3, "dropout": 0.3}
    params |= {"shuffle": shuffle}
    one, two = (make(kind, n_jobs=n_jobs, **params).fit(X, y) for n_jobs in (1, 2))
    assert_same(one, two)
    partly, classes = make(kind, **params), {} if kind == "regressor" else {"classes": np.unique(y)}
    for _ in range(3):
        partly = pickled(partly.partial_fit(X, y, **classes))
    np.testing.assert_array_equal(parameters(partly), parameters(one))
    other = make(kind, random_state=1, init=one.coefs_, **params).fit(X, y)
    again = make(kind, random_state=2, init=one.coefs_, **params).fit(X, y)
    assert not np.array_equal(parameters(other), parameters(again))


@both
def test_dropout_may_begin_and_end_between_calls(kind):
    """It is a parameter of the update, as alpha is; without it training is what it was."""
    X, y = data(kind)
    plain, thin = make(kind).fit(X, y), make(kind).fit(X, y)
    thin.set_params(dropout=0.5).partial_fit(X, y)
    plain.partial_fit(X, y)
    assert not np.array_equal(parameters(plain), parameters(thin))
    thin.set_params(dropout=0.0).partial_fit(X, y)
    copied = pickled(thin).partial_fit(X, y)
    np.testing.assert_array_equal(parameters(copied), parameters(thin.partial_fit(X, y)))


def test_dropout_keeps_a_network_from_learning_noise_by_heart():
    """Targets without a rule: what is left of a thinned network cannot be fitted to them."""
    X, y = np.random.default_rng(0).normal(size=(2, 60, 30))
    params = {"hidden_layer_sizes": (60, 60), "max_iter": 200, "learning_rate_init": 0.003}
    scores = [make("regressor", dropout=p, **params).fit(X, y[:, 0]) for p in (0.0, 0.5)]
    by_heart, thin = (e.score(X, y[:, 0]) for e in scores)
    assert by_heart > 0.99 and thin < by_heart - 0.01


@both
@pytest.mark.parametrize("dropout", [0.1, (0.1, 0.0), (0.0, 0.1)], ids=str)
def test_lbfgs_has_no_dropout(kind, dropout):
    """Its loss would be another one at each look."""
    X, y = data(kind)
    rule = "dropout must be 0.0 for solver='lbfgs', .* got .*0.1.*; use"
    assert_refused(make(kind, solver="lbfgs", dropout=dropout), X, y, rule)
    make(kind, solver="lbfgs", dropout=(0, 0)).fit(X, y)


# ---------------------------------------------------------------------------
# Stopping
# ---------------------------------------------------------------------------


@both
@pytest.mark.parametrize("n_iter_no_change", [1, 3])
def test_stops_when_the_loss_stalls(kind, n_iter_no_change):
    """With a tolerance that nothing reaches only the first epoch, compared with infinity, improves.

    Then come ``n_iter_no_change`` epochs that are put up with and the one too many.
    """
    X, y = data(kind)
    estimator = make(kind, tol=1e9, n_iter_no_change=n_iter_no_change, max_iter=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        estimator.fit(X, y)
    assert estimator.n_iter_ == n_iter_no_change + 2
    assert estimator.best_loss_ == min(estimator.loss_curve_)


@both
def test_never_stops_where_patience_is_infinite(kind):
    """``n_iter_no_change=np.inf`` trains for max_iter epochs and says that it had to stop."""
    X, y = data(kind)
    estimator = make(kind, tol=1e9, n_iter_no_change=np.inf, max_iter=30)
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(30\)"):
        estimator.fit(X, y)
    assert estimator.n_iter_ == 30


@both
def test_adaptive_rate_falls_by_fives_until_it_is_tiny(kind):
    """Each stall divides the rate by 5; 0.001 / 5^5 is below 1e-6 and ends training.

    The first stall comes after 3 epochs, the others need 2 each, and so does the last look.
    """
    X, y = data(kind)
    estimator = make(kind, solver="sgd", learning_rate="adaptive", tol=1e9, n_iter_no_change=1)
    estimator.set_params(max_iter=100).fit(X, y)
    assert estimator.n_iter_ == 3 + 5 * 2


@both
def test_batch_size_beyond_the_data_is_clipped(kind):
    """One minibatch of all rows, and a warning that names both numbers."""
    X, y = data(kind)
    with pytest.warns(UserWarning, match="Got `batch_size` larger than sample size: 91 > 90"):
        clipped = make(kind, batch_size=91).fit(X, y)
    assert_same(clipped, make(kind, batch_size=90).fit(X, y))


ENORMOUS = [10**9, 2**62, 2**63, 10**30]


@both
@pytest.mark.parametrize("pretrainer", [None, BernoulliRBMStack()])
@pytest.mark.parametrize("size", ENORMOUS)
def test_layers_that_no_memory_holds(kind, pretrainer, size):
    """The error names the parameter and the memory, before any is asked for."""
    X, y = data(kind)
    estimator = make(kind, activation="logistic", pretrainer=pretrainer)
    for sizes in (size, (size,), (3, size), (size, size)):
        with pytest.raises(ValueError, match=r"hidden_layer_sizes must fit .* [0-9.,e+]+ .iB or"):
            estimator.set_params(hidden_layer_sizes=sizes).fit(X, y)
    assert not hasattr(estimator, "coefs_")


@both
def test_a_batch_that_no_memory_holds(kind, monkeypatch):
    """Of as many rows as there are: batch_size is what can be made smaller."""
    X, y = data(kind)
    monkeypatch.setattr(memory, "of_this_computer", lambda: 10_000)
    with pytest.raises(ValueError, match="batch_size must fit into this computer's 9.77 KiB"):
        make(kind, batch_size=90).fit(X, y)
    make(kind, batch_size=10).fit(X, y)


@both
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_verbose_tells_every_epoch(kind, solver, capsys):
    """One line an epoch with its loss; nothing without verbose."""
    X, y = data(kind)
    estimator = make(kind, solver=solver, max_iter=3).fit(X, y)
    assert capsys.readouterr().out == ""
    estimator.set_params(verbose=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    name, unit = type(estimator).__name__, "Iteration" if solver == "lbfgs" else "Epoch"
    number = r"\d+\.\d"
    for i, (line, loss) in enumerate(zip(lines, estimator.loss_curve_, strict=False), start=1):
        start = re.escape(f"[{name}] {unit} {i} of 3, loss = {loss:.6g}, ")
        assert re.fullmatch(f"{start}time = {number}s, left = {number}s", line), line
    assert len(lines) >= len(estimator.loss_curve_) == estimator.n_iter_


@both
def test_verbose_tells_of_pre_training(kind, capsys):
    """Of a stack that is silent by itself, before the network's own epochs."""
    X, y = data(kind)
    stack = BernoulliRBMStack(max_iter=2, random_state=0)
    make(kind, pretrainer=stack, max_iter=2, verbose=1).fit(X, y)
    told = [line.split(",")[:2] for line in capsys.readouterr().out.splitlines()]
    layers = [f"[BernoulliRBMStack] Layer {layer} of 2" for layer in (1, 1, 2, 2)]
    assert [x[0] for x in told[:4]] == layers
    assert [x[1] for x in told[:4]] == [" epoch 1 of 2", " epoch 2 of 2"] * 2
    assert [x[0].split("] ")[1] for x in told[4:6]] == ["Epoch 1 of 2", "Epoch 2 of 2"]
    make(kind, pretrainer=stack, max_iter=2).fit(X, y)
    assert capsys.readouterr().out == "" and stack.verbose == 0


@both
def test_verbose_counts_on_in_partial_fit(kind, capsys):
    """Nobody knows how many calls there will be, so nothing is said of that and of time left."""
    X, y = data(kind)
    classes = {"classes": [0, 1, 2]} if kind == "classifier" else {}
    estimator = make(kind, verbose=1).partial_fit(X, y, **classes).partial_fit(X, y)
    told = capsys.readouterr().out.splitlines()
    assert [line.split("] ")[1].split(",")[0] for line in told] == ["Epoch 1", "Epoch 2"]
    assert not any("left" in line for line in told)
    assert len(estimator.loss_curve_) == 2


@both
def test_verbose_tells_scores_and_why_it_stopped(kind, capsys):
    """Early stopping prints the score of every epoch and the reason of the end."""
    X, y = data(kind)
    make(kind, early_stopping=True, tol=1e9, verbose=True, n_iter_no_change=2).fit(X, y)
    out = capsys.readouterr().out
    assert out.count("validation score = ") == 4
    assert "did not improve more than tol" in out and "Stopping." in out


@both
def test_early_stopping_returns_the_best_weights(kind):
    """The weights at the end score on the validation rows what the best epoch scored."""
    X, y = data(kind, 200)
    X_val, y_val = data(kind, 80, seed=1)
    estimator = make(kind, early_stopping=True, learning_rate_init=0.05, max_iter=80)
    estimator.fit(X, y, X_val=X_val, y_val=y_val)
    scores = estimator.validation_scores_
    assert estimator.best_loss_ is None
    assert estimator.best_validation_score_ == max(scores)
    assert estimator.score(X_val, y_val) == pytest.approx(max(scores), abs=1e-6)
    assert len(scores) == len(estimator.validation_loss_curve_) == estimator.n_iter_


@both
def test_a_warm_start_that_finds_nothing_better_keeps_the_best(kind):
    """Early stopping compares with the best of all calls, so their weights must survive."""
    X, y = data(kind, 200)
    X_val, y_val = data(kind, 80, seed=1)
    params = {"early_stopping": True, "warm_start": True, "learning_rate_init": 0.05}
    estimator = make(kind, max_iter=40, **params).fit(X, y, X_val=X_val, y_val=y_val)
    best = estimator.score(X_val, y_val)
    n_before = len(estimator.validation_scores_)
    estimator.set_params(max_iter=3, learning_rate_init=5.0).fit(X, y, X_val=X_val, y_val=y_val)
    assert estimator.score(X_val, y_val) >= best - 1e-6
    assert len(estimator.validation_scores_) == n_before + estimator.n_iter_


@both
def test_validation_rows_alone_only_watch(kind):
    """Without early_stopping X_val changes no weight; its scores are recorded."""
    X, y = data(kind)
    X_val, y_val = data(kind, 40, seed=1)
    watched = make(kind).fit(X, y, X_val=X_val, y_val=y_val)
    assert_same(watched, make(kind).fit(X, y))
    assert watched.validation_scores_[-1] == pytest.approx(watched.score(X_val, y_val), abs=1e-6)
    assert len(watched.validation_loss_curve_) == 6
    unwatched = make(kind).fit(X, y)
    assert unwatched.validation_scores_ is None and unwatched.best_validation_score_ is None
    assert unwatched.validation_loss_curve_ is None


@both
def test_validation_loss_is_the_loss_without_penalty(kind):
    """Of the validation rows, after the epoch's updates."""
    X, y = data(kind)
    estimator = make(kind, dtype="float64", alpha=3.0).fit(X, y, X_val=X, y_val=y)
    out = outputs(estimator, X).reshape(len(X), -1)
    loss = "squared_error" if kind == "regressor" else "log_loss"
    expected = reference.row_losses(loss, out, y.reshape(-1, 1)).mean()
    assert estimator.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)


@both
def test_lbfgs_holds_no_rows_out(kind):
    """early_stopping is not for it, as in scikit-learn: all rows count."""
    X, y = data(kind)
    a = make(kind, solver="lbfgs", early_stopping=True).fit(X, y)
    b = make(kind, solver="lbfgs").fit(X, y)
    np.testing.assert_array_equal(parameters(a), parameters(b))


@both
def test_too_few_rows_to_validate(kind):
    """A validation set of one row is refused."""
    X, y = data(kind, 4)
    y = np.arange(4) % 1 if kind == "classifier" else y
    with pytest.raises(ValueError, match="The validation set is too small"):
        make(kind, early_stopping=True, batch_size=1).fit(X, y)


@pytest.mark.parametrize(
    ("fraction", "rule"),
    [(0.0, "validation_fraction"), (0.01, "validation_fraction"), (0.995, "validation_fraction=0")],
)
@both
def test_a_fraction_that_leaves_nothing(kind, fraction, rule):
    """On either side of the split: the error names the parameter."""
    X, y = data(kind)
    with pytest.raises(ValueError, match=rule):
        make(kind, early_stopping=True, validation_fraction=fraction).fit(X, y)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize("n_val", [1, 30])
def test_equal_validation_targets_are_judged_by_the_loss(loss, n_val):
    """There is no variance to explain: R^2 is 0 in every epoch, or nothing at all."""
    X, y = data("regressor", 200)
    y = np.abs(y)
    X_val, y_val = data("regressor", n_val, seed=1)[0], np.full(n_val, y.mean())
    estimator = make("regressor", early_stopping=True, loss=loss, learning_rate_init=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.set_params(max_iter=60).fit(X, y, X_val=X_val, y_val=y_val)
    losses = estimator.validation_loss_curve_
    error = estimator.predict(X_val) - y_val
    size = np.mean(error**2) / 2 if loss == "squared_error" else np.mean(np.abs(error))
    assert np.argmin(losses) > 0
    assert size == pytest.approx(min(losses), rel=1e-4)


def test_a_warm_start_may_be_judged_by_something_else():
    """A loss is not compared with an R^2 of the call before."""
    X, y = data("regressor", 200)
    given = {"X_val": X[:20], "y_val": y[:20]}
    estimator = make("regressor", early_stopping=True, warm_start=True).fit(X, y, **given)
    assert np.isfinite(estimator.best_validation_score_)
    before = parameters(estimator)
    estimator.fit(X, y, X_val=X[:20], y_val=np.zeros(20))
    assert np.isfinite(estimator.best_validation_score_)
    assert (parameters(estimator) != before).any()


@both
def test_feature_names_survive_early_stopping(kind):
    """Scoring held-out rows inside fit must not complain that they have no names."""
    pd = pytest.importorskip("pandas")
    X, y = data(kind)
    frame = pd.DataFrame(X, columns=list("abcde"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = make(kind, early_stopping=True).fit(frame, y)
    assert estimator.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[list("edcba")])


# ---------------------------------------------------------------------------
# Divergence and Ctrl-C
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("rate", [10.0, 1e6, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_is_a_warning(rate, dtype, early_stopping):
    """An identity network with a rate beyond 2 / curvature grows without bound.

    Training stops, the weights stay finite, and what they predict is finite.
    """
    X, y = data("regressor")
    estimator = make("regressor", solver="sgd", activation="identity", dtype=dtype)
    estimator.set_params(learning_rate_init=rate, max_iter=500, early_stopping=early_stopping)
    with pytest.warns(ConvergenceWarning, match="Training diverged in epoch") as record:
        estimator.set_params(n_iter_no_change=np.inf).fit(X, y)
    assert len(record) == 1
    kept = "of the last good epoch were kept" if estimator.n_iter_ else "before training"
    assert kept in str(record[0].message)
    assert estimator.n_iter_ < 500
    assert np.isfinite(parameters(estimator)).all()
    assert np.isfinite(estimator.predict(X.astype(dtype))).all()
    estimator.gradient_trace_.to_frame()


@pytest.mark.parametrize(
    ("params", "rate", "max_iter"),
    [
        ({"hidden_layer_sizes": (10,), "activation": "relu"}, 10.0, 20),
        ({"hidden_layer_sizes": (), "loss": "poisson"}, 50.0, 1),
        ({"hidden_layer_sizes": (), "loss": "poisson"}, 5.0, 2),
        ({"hidden_layer_sizes": (), "loss": "gamma"}, 50.0, 1),
        ({"hidden_layer_sizes": (), "loss": "absolute_error"}, 1e6, 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_finite_divergence_is_a_warning(params, rate, max_iter, dtype, early_stopping):
    """Losses of 1e54 and predictions of infinity are finite losses of epochs, and no result.

    What the network ends with is no worse than what it began with.
    """
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300] + 0.1
    estimator = make("regressor", solver="sgd", dtype=dtype, batch_size="auto", **params)
    estimator.set_params(learning_rate_init=rate, max_iter=max_iter)
    with pytest.warns(ConvergenceWarning, match="Training diverged in epoch"):
        estimator.set_params(early_stopping=early_stopping).fit(X, y)
    predictions = estimator.predict(X)
    assert np.isfinite(predictions).all()
    begun = make("regressor", solver="sgd", dtype=dtype, **params).set_params(
        learning_rate_init=1e-20, max_iter=1
    )
    began = np.abs(begun.fit(X, y).predict(X) - y).mean()
    assert np.abs(predictions - y).mean() <= 10 * max(began, y.mean())
    estimator.set_params(learning_rate_init=1e-9, early_stopping=False)
    estimator.partial_fit(X, y)  # without the momentum that led astray
    assert np.isfinite(estimator.predict(X)).all()


def test_divergence_over_many_calls_of_partial_fit():
    """Each makes it worse by a factor that one training run may; together they may not."""
    X, y = load_digits(return_X_y=True)
    estimator = make("regressor", hidden_layer_sizes=(10,), activation="relu", solver="sgd")
    estimator.set_params(learning_rate_init=1.0)
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        for start in range(0, 1000, 50):
            estimator.partial_fit(X[start : start + 50], y[start : start + 50])
    assert np.isfinite(estimator.predict(X)).all()
    assert np.isfinite(parameters(estimator)).all()


@pytest.mark.parametrize(
    ("params", "scale"),
    [
        ({"learning_rate_init": 0.1, "hidden_layer_sizes": (20,) * 8}, (1.0, 1.0)),
        ({"learning_rate_init": 1.0, "learning_rate": "one_cycle"}, (1.0, 1.0)),
        ({"learning_rate_init": 0.1, "warmup_epochs": 5}, (1.0, 1.0)),
        ({}, (1.0, 1e7)),
        ({"learning_rate_init": 0.1}, (1e5, 1.0)),
    ],
    ids=["deep", "one_cycle", "warm-up", "large targets", "large inputs"],
)
def test_a_spike_that_recovers_is_no_divergence(params, scale):
    """Losses may be thousands of times what they were, on the way."""
    X, y = load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    common = {"hidden_layer_sizes": (30,) * 3, "activation": "relu", "max_iter": 40}
    estimator = make("regressor", **(common | params), n_iter_no_change=np.inf)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*diverged")
        estimator.fit(X * scale[0], y * scale[1])
    assert estimator.n_iter_ == 40


@pytest.mark.parametrize("solver", [s for s in SOLVERS if s != "lbfgs"])
def test_input_beyond_the_range_of_numbers(solver):
    """Finite in float64, infinite in float32: nothing is learnt, and that is said."""
    X, y = data("regressor")
    estimator = make("regressor", solver=solver)
    with pytest.warns(ConvergenceWarning, match="weights before training .* or scale X and y"):
        estimator.fit(X * 1e300, y)
    assert np.isfinite(parameters(estimator)).all()
    assert np.isfinite(estimator.predict(X)).all()


def test_lbfgs_reads_input_in_double_precision():
    """So what no float32 holds is input like any other, to it and to predictions from float64."""
    X, y = data("regressor")
    estimator = make("regressor", solver="lbfgs").fit(X * 1e300, y)
    assert np.isfinite(parameters(estimator)).all() and estimator.n_iter_ > 0
    assert np.isfinite(estimator.predict(X * 1e300)).all()


def test_training_can_go_on_after_divergence():
    """The optimiser's memory is taken back with the weights, so no infinity is left in it."""
    X, y = data("regressor")
    good = make("regressor").partial_fit(X, y)
    other = copy.deepcopy(good)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        good.partial_fit(X * 1e300, y)
    np.testing.assert_array_equal(parameters(good), parameters(other))
    good.partial_fit(X, y), other.partial_fit(X, y)
    np.testing.assert_array_equal(parameters(good), parameters(other))


class Interrupt:
    """Replaces Training.epoch: presses Ctrl-C at the end of an epoch, before it is complete."""

    def __init__(self, monkeypatch, after):
        self.left, self.epoch = after, network_estimator.Training.epoch
        monkeypatch.setattr(network_estimator.Training, "epoch", lambda *args: self(*args))

    def __call__(self, *args):
        loss = self.epoch(*args)
        rates = args[3]
        self.left -= np.max(rates) > 0  # the trace's first row is measured with steps of zero
        if self.left < 0:
            self.left = np.inf
            raise KeyboardInterrupt
        return loss


@both
@pytest.mark.parametrize("trace", ["epoch", "batch", None])
def test_interrupted_is_as_after_the_last_complete_epoch(kind, trace, monkeypatch):
    """Weights, curves, trace, optimiser and random numbers: training goes on as if nothing was."""
    X, y = data(kind)
    calm = make(kind, max_iter=3, trace=trace).fit(X, y)
    Interrupt(monkeypatch, after=3)
    interrupted = make(kind, max_iter=50, trace=trace)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(X, y)
    for _ in range(2):
        assert_same(interrupted, calm)
        assert (trace is None) == (calm.gradient_trace_ is None)
        if trace is not None:
            a, b = interrupted.gradient_trace_, calm.gradient_trace_
            np.testing.assert_array_equal(a.epoch, b.epoch)
            np.testing.assert_array_equal(a.update_ratio, b.update_ratio)
        calm.partial_fit(X, y), interrupted.partial_fit(X, y)


@both
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_interrupted_in_its_first_epoch_is_as_before(kind, method, monkeypatch):
    """Unfitted remains unfitted; what was fitted still predicts what it predicted."""
    X, y = data(kind)
    classes = {"classes": [0, 1, 2]} if (kind, method) == ("classifier", "partial_fit") else {}
    fitted = make(kind).fit(X, y)
    unfitted = make(kind)
    expected, attributes = outputs(fitted, X), vars(fitted).copy()
    for estimator in (unfitted, fitted):
        Interrupt(monkeypatch, after=0)
        with pytest.raises(KeyboardInterrupt):
            getattr(estimator, method)(X, y, **classes)
    assert not hasattr(unfitted, "coefs_") and not hasattr(unfitted, "n_features_in_")
    assert vars(fitted) == attributes
    np.testing.assert_array_equal(outputs(fitted, X), expected)


def test_interrupted_lbfgs_keeps_its_last_iteration(monkeypatch):
    """Not the point that a line search was looking at when Ctrl-C came."""
    X, y = data("regressor")
    calm = make("regressor", solver="lbfgs", max_iter=3).fit(X, y)
    evaluate = network_estimator.LbfgsObjective.__call__

    def interrupt(self, theta):
        result = evaluate(self, theta)
        if len(estimator.loss_curve_) == 3:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(network_estimator.LbfgsObjective, "__call__", interrupt)
    estimator = make("regressor", solver="lbfgs", max_iter=50)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y)
    assert estimator.n_iter_ == 3
    np.testing.assert_array_equal(parameters(estimator), parameters(calm))


@pytest.mark.skipif(os.name == "nt", reason="a signal cannot be sent to oneself there")
def test_ctrl_c_is_heard_at_once():
    """Compiled calls last about 0.1 s at most, so a signal is answered soon after.

    The best of a few tries counts: another process may hold the core.
    """
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20000, 50)).astype(np.float32), rng.normal(size=20000)
    estimator = make("regressor", hidden_layer_sizes=(200, 200), max_iter=10**6, batch_size=200)
    estimator.set_params(n_iter_no_change=np.inf, n_jobs=1)
    delays = []
    while len(delays) < 4 and min(delays, default=1) > 0.25:
        sent = []

        def press(sent=sent):
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Timer(1.0, press).start()
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(X, y)
        delays.append(time.perf_counter() - sent[0])
    assert min(delays) < 0.25
    if hasattr(estimator, "coefs_"):
        assert np.isfinite(estimator.predict(X[:5])).all()


# ---------------------------------------------------------------------------
# Going on: partial_fit, warm_start
# ---------------------------------------------------------------------------


@both
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("solver", [s for s in SOLVERS if s != "lbfgs"])
def test_partial_fit_is_an_epoch_of_fit(kind, solver, shuffle):
    """As many calls as epochs end in the same bits: memory, rate and random numbers go on."""
    X, y = data(kind)
    params = {"solver": solver, "shuffle": shuffle, "learning_rate": "invscaling", "tol": 0}
    fitted, partly = make(kind, **params).fit(X, y), make(kind, **params)
    classes = {"classes": [0, 1, 2]} if kind == "classifier" else {}
    for _ in range(fitted.n_iter_):
        partly.partial_fit(X, y, **classes)
    np.testing.assert_array_equal(parameters(partly), parameters(fitted))
    assert partly.loss_curve_ == fitted.loss_curve_
    assert partly.n_iter_ == 1 and partly.t_ == fitted.t_
    a, b = partly.gradient_trace_, fitted.gradient_trace_
    np.testing.assert_array_equal(a.weight_grad_norm, b.weight_grad_norm)
    np.testing.assert_array_equal(a.epoch, b.epoch)


@both
def test_partial_fit_goes_on_after_fit(kind):
    """It moves the same weights on, one epoch longer."""
    X, y = data(kind)
    estimator = make(kind).fit(X, y)
    longer = make(kind, max_iter=7).fit(X, y)
    np.testing.assert_array_equal(parameters(estimator.partial_fit(X, y)), parameters(longer))


@both
def test_partial_fit_learns_from_chunks_of_any_size(kind):
    """Each call is an epoch over its own rows."""
    X, y = data(kind)
    estimator = make(kind, batch_size="auto")
    classes = {"classes": [0, 1, 2]} if kind == "classifier" else {}
    for n in (1, 40, 7):
        estimator.partial_fit(X[:n], y[:n], **classes)
    assert estimator.t_ == 48


@both
def test_partial_fit_learns_from_a_generator(kind):
    """No chunk is kept: through as many of them, as many samples are seen as by fit."""
    X, y = data(kind, 600)
    held_out = slice(500, 600)

    def chunks():
        for start in range(0, 500, 90):
            yield X[start : min(start + 90, 500)], y[start : min(start + 90, 500)]

    settings = {"hidden_layer_sizes": (20,), "solver": "adam", "max_iter": 40}
    whole = make(kind, **settings).fit(X[:500], y[:500])
    pieces, classes = make(kind, **settings), {"classes": [0, 1, 2]} if kind == "classifier" else {}
    for _ in range(40):
        for X_chunk, y_chunk in chunks():
            pieces.partial_fit(X_chunk, y_chunk, **classes)
    assert pieces.t_ == whole.t_ == 40 * 500
    scores = [estimator.score(X[held_out], y[held_out]) for estimator in (pieces, whole)]
    assert scores[0] > scores[1] - 0.1 and scores[0] > 0.6


@both
def test_partial_fit_is_for_minibatch_solvers(kind):
    """lbfgs has none, and early stopping has no rows to hold out."""
    X, y = data(kind)
    assert not hasattr(make(kind, solver="lbfgs"), "partial_fit")
    assert hasattr(make(kind), "partial_fit")
    stopped = make(kind, early_stopping=True).fit(X, y)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        stopped.partial_fit(X, y)


@both
def test_partial_fit_listens_to_a_new_alpha(kind):
    """As in scikit-learn a parameter of the loss may be changed between calls."""
    X, y = data(kind)
    weak, strong = (make(kind, solver="sgd").fit(X, y) for _ in range(2))
    weak.partial_fit(X, y), strong.set_params(alpha=50.0).partial_fit(X, y)
    assert np.linalg.norm(parameters(strong)) < np.linalg.norm(parameters(weak))


@both
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_warm_start_trains_for_all_its_epochs(kind, solver):
    """A second fit goes on from the weights and makes max_iter epochs of its own."""
    X, y = data(kind)
    params = {"solver": solver, "warm_start": True, "n_iter_no_change": np.inf, "tol": 0}
    estimator = make(kind, max_iter=3, **params).fit(X, y)
    first = list(estimator.loss_curve_)
    estimator.set_params(max_iter=5).fit(X, y)
    assert estimator.n_iter_ == 5
    assert estimator.loss_curve_[:3] == first
    assert len(estimator.loss_curve_) == 8
    assert estimator.loss_curve_[3] < first[0]
    assert len(estimator.gradient_trace_.epoch) == 9


@both
def test_warm_start_without_momentum_is_one_long_fit(kind):
    """Plain gradient descent has no memory, so 3 and 3 epochs are 6."""
    X, y = data(kind)
    params = {"solver": "sgd", "momentum": 0.0, "shuffle": False}
    twice = make(kind, warm_start=True, max_iter=3, **params).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(
        parameters(twice), parameters(make(kind, max_iter=6, **params).fit(X, y))
    )


@both
def test_a_cold_fit_forgets(kind):
    """Without warm_start a second fit equals the first, bit by bit."""
    X, y = data(kind)
    estimator = make(kind).fit(X, y)
    assert_same(estimator.fit(X, y), make(kind).fit(X, y))


@both
@pytest.mark.parametrize(
    ("params", "rule"),
    [
        ({"hidden_layer_sizes": (8, 7)}, r"hidden_layer_sizes must stay \(8, 6\)"),
        ({"dtype": "float64"}, "dtype must stay 'float32'"),
        ({"activation": "relu"}, "activation of each layer must stay .*'relu'"),
        ({"shortcut": True}, "shortcut must stay False when training continues, got True"),
    ],
    ids=["sizes", "dtype", "activation", "shortcut"],
)
def test_warm_start_needs_the_same_network(kind, params, rule):
    """Another architecture is another network: an error that says what must stay."""
    X, y = data(kind)
    estimator = make(kind, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=rule):
        estimator.set_params(**params).fit(X, y)
    estimator.set_params(warm_start=False).fit(X, y)


@both
def test_early_stopping_and_warm_start(kind):
    """Scores of all calls are listed, and turning early_stopping on or off is allowed."""
    X, y = data(kind)
    estimator = make(kind, early_stopping=True, warm_start=True).fit(X, y)
    n = len(estimator.validation_scores_)
    estimator.fit(X, y)
    assert len(estimator.validation_scores_) > n
    estimator.set_params(early_stopping=False).fit(X, y)
    assert np.isfinite(estimator.best_loss_)
    estimator.set_params(early_stopping=True).fit(X, y)
    assert estimator.best_loss_ is None


# ---------------------------------------------------------------------------
# Sample weights
# ---------------------------------------------------------------------------


@both
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_whole_weights_are_repetitions(kind, solver):
    """A weight of 3 is three copies and 0 is none: the same bits, wherever the copies stand."""
    X, y = data(kind)
    w = np.random.default_rng(1).integers(0, 4, len(X))
    weighted = make(kind, solver=solver).fit(X, y, sample_weight=w)
    copies = np.random.default_rng(2).permutation(np.repeat(np.arange(len(X)), w))
    assert_same(weighted, make(kind, solver=solver).fit(X[copies], y[copies]))


@both
def test_zero_weights_are_absent_rows(kind):
    """Also where the others are fractions."""
    X, y = data(kind)
    w = np.random.default_rng(1).uniform(0.5, 2, len(X))
    w[::3] = 0
    weighted = make(kind).fit(X, y, sample_weight=w)
    present = w > 0
    assert_same(weighted, make(kind).fit(X[present], y[present], sample_weight=w[present]))


SCALES = [1e-300, np.exp(-200.0), 1e-3, 7.3, np.exp(87.0), 1e300]


@both
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("scale", SCALES)
def test_the_scale_of_weights_is_nothing(kind, solver, scale):
    """Only proportions count, whatever the penalty: also where no float32 holds the weights."""
    X, y = data(kind)
    w = np.random.default_rng(1).uniform(0.5, 2, len(X))
    w[::7] = 0.0
    params = {"alpha": 0.5, "dtype": "float64", "solver": solver}
    a = make(kind, **params).fit(X, y, sample_weight=w)
    b = make(kind, **params).fit(X, y, sample_weight=scale * w)
    np.testing.assert_allclose(parameters(a), parameters(b), rtol=1e-9, atol=1e-12)
    single = make(kind, solver=solver).fit(X, y, sample_weight=scale * w)
    np.testing.assert_allclose(
        parameters(single), parameters(make(kind, solver=solver).fit(X, y, sample_weight=w)),
        rtol=1e-3, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("scale", SCALES)
def test_the_scale_of_class_weights_is_nothing(scale):
    """Neither of theirs by themselves, nor of their product with those of samples."""
    X, y = data("classifier")
    weight = {0: 1.0, 1: 2.5, 2: 0.7}
    scaled = {label: scale * w for label, w in weight.items()}
    w = np.random.default_rng(1).uniform(0.5, 2, len(X))
    for given, others in ((None, None), (w, scale * w)):
        a, b = make("classifier", dtype="float64"), make("classifier", dtype="float64")
        a.set_params(class_weight=weight).fit(X, y, sample_weight=given)
        b.set_params(class_weight=scaled).fit(X, y, sample_weight=others)
        np.testing.assert_allclose(parameters(a), parameters(b), rtol=1e-9, atol=1e-12)


def test_repetitions_and_class_weights_are_the_same_bits():
    """The mean that weights are divided by is an exact sum: it knows no order of the samples."""
    X, y = data("classifier")
    w = np.random.default_rng(1).integers(0, 4, len(X))
    params = {"class_weight": {0: 1.0, 1: 2.5, 2: 0.7}}
    weighted = make("classifier", **params).fit(X, y, sample_weight=w)
    copies = np.random.default_rng(2).permutation(np.repeat(np.arange(len(X)), w))
    assert_same(weighted, make("classifier", **params).fit(X[copies], y[copies]))


@both
def test_the_first_loss_is_the_weighted_mean(kind):
    """One minibatch of all rows: the epoch's loss is that of the first weights."""
    X, y = data(kind)
    w = np.random.default_rng(1).uniform(0.5, 2, len(X))
    rng = np.random.default_rng(3)
    shapes = [(5, 8), (8, 6), (6, 1 if kind == "regressor" else 3)]
    arrays = [rng.normal(size=shape) for shape in shapes]
    estimator = make(kind, init=arrays, dtype="float64", batch_size=90, alpha=0.7, max_iter=1)
    estimator.fit(X, y, sample_weight=w)
    loss = "squared_error" if kind == "regressor" else "log_loss"
    layers = arrays, [np.zeros(s[1]) for s in shapes]
    names = ["tanh", "tanh", reference.OUTPUT_ACTIVATIONS[loss]]
    _, values = reference.forward(X, *layers, names)
    penalty = 0.35 * sum((W**2).sum() for W in arrays) / len(X)
    expected = reference.mean_loss(loss, values[-1], y.reshape(-1, 1), w) + penalty
    assert estimator.loss_ == pytest.approx(expected, rel=1e-12)


@both
@pytest.mark.parametrize(
    ("weight", "rule"),
    [
        (np.r_[-1.0, np.ones(89)], "[Nn]egative"),
        (np.r_[np.nan, np.ones(89)], "NaN"),
        (np.zeros(90), "at least one non-zero|all zero"),
        (np.ones(89), "sample_weight.shape"),
        (np.ones((90, 1)), "must be 1D array or scalar"),
        (np.nan, "NaN"),
    ],
    ids=["negative", "NaN", "zeros", "shape", "column", "number"],
)
def test_bad_weights(kind, weight, rule):
    """Weights are finite, non-negative, one a row, and not all zero."""
    X, y = data(kind)
    with pytest.raises(ValueError, match=rule):
        make(kind).fit(X, y, sample_weight=weight)


# ---------------------------------------------------------------------------
# Input as it is
# ---------------------------------------------------------------------------

SPARSE = [
    scipy.sparse.csr_array,
    scipy.sparse.csr_matrix,
    scipy.sparse.csc_array,
    scipy.sparse.coo_array,
]


@both
@pytest.mark.parametrize("container", SPARSE, ids=lambda c: c.__name__)
def test_sparse_is_dense(kind, container):
    """The same numbers in another container make the same network."""
    X, y = data(kind)
    X = X * (X > 0.3)
    dense, sparse = make(kind).fit(X, y), make(kind).fit(container(X), y)
    assert_same(dense, sparse)
    np.testing.assert_array_equal(outputs(dense, X), outputs(sparse, container(X)))


LAYOUTS = {
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "integers": lambda X: X.astype(np.int8),
    "column-major": np.asfortranarray,
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X: X[::-1].copy()[::-1],
    "big-endian": lambda X: X.astype(">f8"),
    "lists": lambda X: X.tolist(),
}


@both
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_the_same_data(kind, layout):
    """Small whole numbers are exact in every dtype, so the networks are equal."""
    X, y = data(kind)
    X = np.round(3 * X)
    assert_same(make(kind).fit(X, y), make(kind).fit(LAYOUTS[layout](X), y))


@both
def test_read_only_and_memory_mapped(kind, tmp_path):
    """X is read where it lies and never written."""
    X, y = data(kind)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_same(make(kind).fit(mapped, y), make(kind).fit(X, y))


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_that_of_parameters_and_predictions(kind, dtype):
    """Whatever the dtype of X."""
    X, y = data(kind)
    estimator = make(kind, dtype=dtype).fit(X, y)
    assert {p.dtype.name for p in estimator.coefs_ + estimator.intercepts_} == {dtype}
    if kind == "regressor":
        assert estimator.predict(X).dtype == dtype
    else:
        assert estimator.transform(X).dtype == dtype
        assert estimator.predict_proba(X).dtype == np.float64


@both
@pytest.mark.parametrize("pretrainer", [None, BernoulliRBMStack(max_iter=1)], ids=str)
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_dtype_has_many_spellings(kind, name, pretrainer):
    """A name, a type and a dtype are the same network; the parameter stays what was given."""
    X, y = data(kind)
    expected = make(kind, dtype=name, pretrainer=pretrainer).fit(X, y)
    other = "float64" if name == "float32" else "float32"
    for dtype in (np.dtype(name).type, np.dtype(name)):
        estimator = make(kind, dtype=dtype, pretrainer=pretrainer, warm_start=True)
        assert clone(estimator).get_params()["dtype"] == dtype
        assert_same(estimator.fit(X, y), expected)
        assert estimator.dtype is dtype
        estimator.set_params(dtype=name).partial_fit(X, y)
        rule = f"dtype must stay '{name}' .* got '{other}'"
        assert_refused(estimator.set_params(dtype=np.dtype(other)), X, y, rule)


@both
def test_the_order_of_rows_does_not_matter_where_they_are_shuffled(kind):
    """The model is a function of the set of samples and the seed."""
    X, y = data(kind)
    rows = np.random.default_rng(0).permutation(len(X))
    assert_same(make(kind).fit(X, y), make(kind).fit(X[rows], y[rows]))


@both
def test_shuffle_shuffles(kind):
    """It changes the minibatches and so the weights; without it the order of rows does."""
    X, y = data(kind)
    shuffled, plain = make(kind).fit(X, y), make(kind, shuffle=False).fit(X, y)
    assert not np.array_equal(parameters(shuffled), parameters(plain))
    backwards = make(kind, shuffle=False).fit(X[::-1], y[::-1])
    assert not np.array_equal(parameters(backwards), parameters(plain))


@both
def test_a_row_alone_agrees_with_its_batch(kind):
    """Only rounding may depend on the rows beside it."""
    X, y = data(kind, 400)
    estimator = make(kind, hidden_layer_sizes=(64, 32)).fit(X, y)
    together = outputs(estimator, X)
    alone = np.concatenate([outputs(estimator, X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(alone, together, rtol=1e-6, atol=1e-6)


# ---------------------------------------------------------------------------
# The same bits
# ---------------------------------------------------------------------------


def big_problem(kind):
    """Shapes whose work is shared between threads."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 70))
    return X, X[:, 0] if kind == "regressor" else (X[:, 0] > 0) + (X[:, 1] > 1)


@both
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_threads_do_not_change_a_bit(kind, solver, weighted, monkeypatch):
    """Work is cut by its shape, not by the number of threads; and threads were really used."""
    X, y = big_problem(kind)
    w = np.random.default_rng(1).uniform(0.5, 2, len(X)) if weighted else None
    params = {"hidden_layer_sizes": (130, 90), "batch_size": 200, "solver": solver}
    one = make(kind, n_jobs=1, max_iter=4, **params).fit(X, y, sample_weight=w)
    called, run = [], threads.run_parallel

    def spy(kernel, *args):
        called.append(kernel)
        run(kernel, *args)

    monkeypatch.setattr(threads, "run_parallel", spy)
    two = make(kind, n_jobs=2, max_iter=4, **params).fit(X, y, sample_weight=w)
    if threads.effective_n_threads(2) > 1:
        assert len(called) >= 4
    assert_same(one, two)
    np.testing.assert_array_equal(outputs(one, X), outputs(two, X))


@both
def test_the_same_seed_is_the_same_model(kind):
    """And another seed another one."""
    X, y = data(kind)
    a, b, c = (make(kind, random_state=seed).fit(X, y) for seed in (3, 3, 4))
    assert_same(a, b)
    assert not np.array_equal(parameters(a), parameters(c))
    d, e = (make(kind, random_state=np.random.RandomState(3)).fit(X, y) for _ in range(2))
    assert_same(d, e)


@both
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_every_joblib_backend_finds_the_same(kind, backend):
    """A grid over depth and initialisation, on two workers, equals the same fits one by one."""
    import joblib

    X, y = big_problem(kind)
    grid = {"hidden_layer_sizes": [(40,), (40, 40)], "init": ["glorot_normal", "he_uniform"]}
    search = GridSearchCV(make(kind, max_iter=2, batch_size=200), grid, cv=2, n_jobs=2)
    with joblib.parallel_backend(backend, n_jobs=2):
        search.fit(X, y)
    alone = GridSearchCV(make(kind, max_iter=2, batch_size=200), grid, cv=2).fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    assert_same(search.best_estimator_, alone.best_estimator_)


def pickled(estimator):
    return pickle.loads(pickle.dumps(estimator))


def dumped(estimator):
    import joblib

    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


@both
@pytest.mark.parametrize("copied", [pickled, dumped, copy.deepcopy], ids=lambda f: f.__name__)
def test_a_copy_goes_on_alone(kind, copied):
    """It predicts the same, trains on the same, and its coefs_ follow its own training."""
    X, y = data(kind)
    estimator = make(kind, dtype="float64").fit(X, y)
    twin = copied(estimator)
    before = parameters(estimator)
    np.testing.assert_array_equal(outputs(twin, X), outputs(estimator, X))
    twin.partial_fit(X, y)
    np.testing.assert_array_equal(parameters(estimator), before)
    layers = twin.coefs_, twin.intercepts_, ["tanh", "tanh", twin.out_activation_]
    _, values = reference.forward(X, *layers)
    np.testing.assert_allclose(outputs(twin, X), values[-1].squeeze(), rtol=1e-9)
    np.testing.assert_array_equal(parameters(estimator.partial_fit(X, y)), parameters(twin))
    unfitted = copied(make(kind))
    assert not hasattr(unfitted, "coefs_")


@both
def test_clone_is_unfitted(kind):
    """It has the parameters and nothing else."""
    X, y = data(kind)
    estimator = make(kind).fit(X, y)
    assert vars(clone(estimator)).keys() == vars(make(kind)).keys()


# ---------------------------------------------------------------------------
# The gradient trace
# ---------------------------------------------------------------------------


@both
def test_trace_has_a_row_an_epoch(kind):
    """Row 0 is before the first update, one row an epoch follows; a column each layer."""
    X, y = data(kind)
    trace = make(kind).fit(X, y).gradient_trace_
    np.testing.assert_array_equal(trace.epoch, np.arange(7))
    names = "weight_grad_norm bias_grad_norm update_ratio weight_norm activation_mean".split()
    for name in [*names, "activation_std", "saturated_fraction", "dead_fraction"]:
        assert getattr(trace, name).shape == (7, 3)
        assert np.isfinite(getattr(trace, name)).all()
    assert trace.reconstruction_kl is None
    assert (trace.update_ratio[0] == 0).all() and (trace.update_ratio[1:] > 0).all()


@both
def test_trace_has_a_row_a_minibatch_if_asked(kind):
    """90 rows by 32 are 3 minibatches an epoch; their mean is the epoch's row."""
    X, y = data(kind)
    by_batch = make(kind, trace="batch").fit(X, y).gradient_trace_
    by_epoch = make(kind).fit(X, y).gradient_trace_
    np.testing.assert_allclose(by_batch.epoch, np.arange(19) / 3)
    means = by_batch.weight_grad_norm[1:].reshape(6, 3, 3).mean(axis=1)
    np.testing.assert_allclose(means, by_epoch.weight_grad_norm[1:], rtol=1e-5)
    np.testing.assert_array_equal(by_batch.weight_norm[3::3], by_epoch.weight_norm[1:])


@both
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_trace_can_be_turned_off_and_changes_nothing(kind, solver):
    """Measuring is only looking: the same bits with every kind of trace and with none."""
    X, y = data(kind)
    plain, epoch, batch = (
        make(kind, trace=trace, solver=solver).fit(X, y) for trace in (None, "epoch", "batch")
    )
    assert plain.gradient_trace_ is None
    assert_same(plain, epoch)
    assert_same(plain, batch)


@both
def test_trace_is_what_numpy_says(kind):
    """Norms of gradients, steps and weights of each minibatch, from the formulas in NumPy.

    With one minibatch an epoch the weights of every row can be had by stopping there.
    """
    X, y = data(kind, 30)
    params = {"batch_size": 30, "dtype": "float64", "solver": "sgd", "shuffle": False}
    trace = make(kind, **params).fit(X, y).gradient_trace_
    states = [make(kind, max_iter=k, **params).fit(X, y) for k in range(1, 7)]
    loss = "squared_error" if kind == "regressor" else "log_loss"
    for row in range(1, 6):
        before, after = states[row - 1], states[row]
        layers = before.coefs_, before.intercepts_, ["tanh", "tanh"]
        gradients = reference.backward(X, y.reshape(-1, 1), np.ones(30), *layers, loss)
        weights, biases = ([np.linalg.norm(g) for g in part] for part in gradients)
        np.testing.assert_allclose(trace.weight_grad_norm[row + 1], weights, rtol=1e-9)
        np.testing.assert_allclose(trace.bias_grad_norm[row + 1], biases, rtol=1e-9)
        pairs = list(zip(before.coefs_, after.coefs_))
        ratios = [np.linalg.norm(V - W) / np.linalg.norm(W) for W, V in pairs]
        np.testing.assert_allclose(trace.update_ratio[row + 1], ratios, rtol=1e-9)
        norms = [np.linalg.norm(V) for _, V in pairs]
        np.testing.assert_allclose(trace.weight_norm[row + 1], norms, rtol=1e-9)


@both
def test_row_0_is_the_state_before_the_first_update(kind):
    """Of given first weights: gradient, norm and activations on the same 32 rows."""
    X, y = data(kind, 32)
    rng = np.random.default_rng(3)
    shapes = [(5, 8), (8, 6), (6, 1 if kind == "regressor" else 3)]
    arrays = [rng.normal(size=shape) for shape in shapes]
    trace = make(kind, init=arrays, dtype="float64").fit(X, y).gradient_trace_
    loss = "squared_error" if kind == "regressor" else "log_loss"
    layers = arrays, [np.zeros(s[1]) for s in shapes]
    gradients = reference.backward(
        X, y.reshape(-1, 1), np.ones(32), *layers, ["tanh", "tanh"], loss
    )
    weights, biases = ([np.linalg.norm(g) for g in part] for part in gradients)
    np.testing.assert_allclose(trace.weight_grad_norm[0], weights, rtol=1e-9)
    np.testing.assert_allclose(trace.bias_grad_norm[0], biases, rtol=1e-9)
    np.testing.assert_allclose(trace.weight_norm[0], [np.linalg.norm(W) for W in arrays])
    names = ["tanh", "tanh", reference.OUTPUT_ACTIVATIONS[loss]]
    for layer, a in enumerate(reference.forward(X, *layers, names)[1][1:3]):
        health = reference.layer_health(a, -0.98, 0.98)
        mine = trace.activation_mean, trace.activation_std, trace.dead_fraction
        np.testing.assert_allclose([m[0, layer] for m in mine], health[[0, 1, 3]], atol=1e-12)


@both
def test_trace_sees_dead_and_saturated_units(kind):
    """Weights of zero say the same of every row; enormous ones drive tanh to its ends."""
    X, y = data(kind)
    n_out = 1 if kind == "regressor" else 3
    arrays = [np.zeros((5, 8)), np.ones((8, 6)), np.ones((6, n_out))]
    dead = make(kind, init=arrays).fit(X, y).gradient_trace_
    np.testing.assert_array_equal(dead.dead_fraction[0], 1.0)
    saturated = make(kind, init=[1e6 * np.ones((5, 8)), *arrays[1:]]).fit(X, y).gradient_trace_
    np.testing.assert_array_equal(saturated.saturated_fraction[0, :2], 1.0)


@both
def test_trace_becomes_a_table(kind):
    """One line for each row and layer."""
    pd = pytest.importorskip("pandas")
    X, y = data(kind)
    trace = make(kind).fit(X, y).gradient_trace_
    frame = trace.to_frame()
    assert isinstance(frame, pd.DataFrame) and len(frame) == 21
    assert frame.columns[:2].tolist() == ["epoch", "layer"]
    line = frame[(frame.epoch == 2) & (frame.layer == 2)].iloc[0]
    assert line.weight_grad_norm == trace.weight_grad_norm[2, 2]


# ---------------------------------------------------------------------------
# All or nothing
# ---------------------------------------------------------------------------


def with_value(value):
    """Put a value in the middle of X, or of y."""

    def spoil(A):
        A = np.array(A, dtype=float)
        A[3] = value
        return A

    return spoil


BAD_DATA = {
    "NaN in X": (with_value(np.nan), None, "Input X contains NaN"),
    "infinity in X": (with_value(np.inf), None, "Input X contains infinity"),
    "NaN in y": (None, with_value(np.nan), "Input y contains NaN"),
    "infinity in y": (None, with_value(np.inf), "Input y contains infinity"),
    "too few y": (None, lambda y: y[:-1], "inconsistent numbers of samples"),
    "one-dimensional X": (lambda X: X[:, 0], None, "Expected 2D array, got 1D array"),
    "three-dimensional X": (lambda X: X[None], None, "(?i)found array with dim 3"),
    "no rows": (lambda X: X[:0], lambda y: y[:0], "0 sample"),
    "no columns": (lambda X: X[:, :0], None, "0 feature"),
    "complex X": (lambda X: X * 1j, None, "Complex data not supported"),
    "words in X": (lambda X: np.full(X.shape, "a", object), None, "could not convert string"),
    "three-dimensional y": (None, lambda y: np.zeros((len(y), 2, 2)), "dim 3|3d|inconsistent"),
    "no y": (None, lambda y: None, "requires y to be passed|y cannot be None"),
}

POSITIVE_INTEGERS = "hidden_layer_sizes must be positive integers, .* got "

BAD_PARAMETERS = {
    "sizes of zero": ({"hidden_layer_sizes": (8, 0)}, POSITIVE_INTEGERS + r"\(8, 0\)"),
    "a truth for sizes": ({"hidden_layer_sizes": True}, POSITIVE_INTEGERS + "True"),
    "unknown activation": ({"activation": "sigmoid"}, "'activation' .* 'sigmoid'"),
    "unknown among them": ({"activation": ["tanh", "sigmoid"]}, "activation .* 'sigmoid'"),
    "a list in the list": ({"activation": ["tanh", ["tanh"]]}, "activation must be one of"),
    "too many activations": ({"activation": ["tanh"] * 3}, "each of the 2 hidden layers, got 3"),
    "step": ({"activation": "step"}, "'step' cannot be trained, because"),
    "step among them": ({"activation": ["tanh", "step"]}, "'step' cannot be trained, because"),
    "unknown init": ({"init": "xavier"}, "'init' .* 'xavier'"),
    "negative init": ({"init": -0.1}, "'init' .* -0.1"),
    "init of infinity": ({"init": np.inf}, "'init' .* inf"),
    "too few arrays": ({"init": [np.ones((5, 8))]}, "init must have .* 3 layers.* got 1"),
    "array of wrong shape": (
        {"init": [np.ones((5, 8)), np.ones((6, 8)), np.ones((6, 1))]},
        r"init\[1\] must have shape .* \(8, 6\), got \(6, 8\)",
    ),
    "array with NaN": ({"init": [np.full((5, 8), np.nan)] * 3}, r"init\[0\] must be finite"),
    "array of words": ({"init": [np.full((5, 8), "a")] * 3}, r"init\[0\] .* real numbers"),
    "unknown solver": ({"solver": "newton"}, "'solver' .* 'newton'"),
    "unknown schedule": ({"learning_rate": "optimal"}, "'learning_rate' .* 'optimal'"),
    "rate of zero": ({"learning_rate_init": 0}, "'learning_rate_init' .* 0"),
    "negative alpha": ({"alpha": -1}, "'alpha' .* -1"),
    "a warmup back in time": ({"warmup_epochs": -1}, "'warmup_epochs' .* -1"),
    "a share of 2": ({"l1_ratio": 2}, "'l1_ratio' .* 2"),
    "every unit dropped": ({"dropout": 1.0}, "'dropout' .* 1.0"),
    "three rates": (
        {"dropout": (0.1, 0.2, 0.3)},
        r"dropout must be a float in \[0, 1\), or a pair",
    ),
    "a rate of 1": ({"dropout": (0.1, 1.0)}, r"dropout must be a float .* got \(0.1, 1.0\)"),
    "a rate in words": ({"dropout": ["none", 0.5]}, "dropout must be a float .* got .'none'"),
    "a shortcut in words": ({"shortcut": "yes"}, "'shortcut' .* 'yes'"),
    "no norm": ({"max_norm": 0.0}, "'max_norm' .* 0.0"),
    "a gradient of zero": ({"clip_norm": 0}, "'clip_norm' .* 0"),
    "negative components": ({"clip_value": -1.0}, "'clip_value' .* -1.0"),
    "momentum of 2": ({"momentum": 2}, "'momentum' .* 2"),
    "batches of zero": ({"batch_size": 0}, "'batch_size' .* 0"),
    "no epochs": ({"max_iter": 0}, "'max_iter' .* 0"),
    "beta of 1": ({"beta_1": 1.0}, "'beta_1' .* 1.0"),
    "epsilon of zero": ({"epsilon": 0.0}, "'epsilon' .* 0.0"),
    "fraction of 1": ({"validation_fraction": 1.0}, "'validation_fraction' .* 1.0"),
    "negative tol": ({"tol": -1.0}, "'tol' .* -1.0"),
    "unknown trace": ({"trace": "step"}, "'trace' .* 'step'"),
    "half precision": ({"dtype": "float16"}, "'dtype' .* 'float16'"),
    "half precision's type": ({"dtype": np.float16}, "'dtype' .* Got .*float16"),
    "a type": ({"dtype": int}, "'dtype' .* Got .*int"),
    "other byte order": ({"dtype": np.dtype("float32").newbyteorder()}, "'dtype' .* Got .*[<>]f4"),
    "no threads": ({"n_jobs": 0}, "n_jobs must not be 0"),
    "half a thread": ({"n_jobs": 1.5}, "'n_jobs' .* 1.5"),
    "unknown pretrainer": ({"pretrainer": "rbm"}, "pretrainer must be .* 'rbm'"),
    "other pretrainer": ({"pretrainer": StandardScaler()}, "pretrainer must be .* StandardScaler"),
    "activation of no stack": (
        {"pretrainer": BernoulliRBMStack(), "activation": "selu"},
        "pre-training needs .* 'selu'.*pretrainer=None",
    ),
    "activations of no stack": (
        {"pretrainer": BernoulliRBMStack(), "activation": ["tanh", "logistic"]},
        "the same activation in all hidden layers",
    ),
    "nothing to pre-train": (
        {"pretrainer": BernoulliRBMStack(), "hidden_layer_sizes": ()},
        "hidden_layer_sizes must be positive integers, .* got none.*pretrainer=None or 'auto'",
    ),
}


def assert_refused(estimator, X, y, rule, **kwargs):
    """fit raises the error, and the estimator's attributes are those it had."""
    before = vars(estimator).copy()
    with pytest.raises((ValueError, TypeError), match=rule):
        estimator.fit(X, y, **kwargs)
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[name] is value for name, value in before.items())


@both
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_changes_nothing(kind, case, warm_start):
    """Its own error; unfitted stays unfitted, and what was fitted predicts as before."""
    X, y = data(kind)
    spoil_X, spoil_y, rule = BAD_DATA[case]
    bad_X, bad_y = spoil_X(X) if spoil_X else X, spoil_y(y) if spoil_y else y
    assert_refused(make(kind), bad_X, bad_y, rule)
    fitted = make(kind, warm_start=warm_start).fit(X, y)
    expected = outputs(fitted, X)
    if not (warm_start and case == "no columns"):
        assert_refused(fitted, bad_X, bad_y, rule)
    np.testing.assert_array_equal(outputs(fitted, X), expected)


@both
@pytest.mark.parametrize("case", BAD_PARAMETERS)
def test_bad_parameters_change_nothing(kind, case):
    """An error that names the parameter, its rule and the value; else as for bad data."""
    X, y = data(kind)
    params, rule = BAD_PARAMETERS[case]
    rule = f"(?s){rule}"
    assert_refused(make(kind, **params), X, y, rule)
    fitted = make(kind).fit(X, y)
    expected = outputs(fitted, X)
    assert_refused(fitted.set_params(**params), X, y, rule)
    fitted.set_params(**{name: make(kind).get_params()[name] for name in params})
    np.testing.assert_array_equal(outputs(fitted, X), expected)
    fitted.fit(X, y)


@both
@pytest.mark.parametrize(
    ("X_val", "rule"),
    [
        (np.zeros((5, 4)), "^X_val has 4 features, but .* is expecting 5"),
        (np.full((5, 5), np.nan), "^Input X_val contains NaN"),
        (np.zeros((4, 5)), "inconsistent numbers of samples"),
    ],
    ids=["features", "NaN", "length"],
)
def test_bad_validation_rows_change_nothing(kind, X_val, rule):
    """They are checked as X and y are."""
    X, y = data(kind)
    for estimator in (make(kind), make(kind).fit(X, y)):
        assert_refused(estimator, X, y, rule, X_val=X_val, y_val=y[:5])


@both
def test_validation_rows_need_their_targets(kind):
    """X_val without y_val, and y_val without X_val, are refused."""
    X, y = data(kind)
    assert_refused(make(kind), X, y, "y_val must be given together with X_val", X_val=X)
    assert_refused(make(kind), X, y, "X_val must be given together with y_val", y_val=y)


@both
def test_other_features_are_refused(kind):
    """predict, partial_fit and a warm start want as many features as fit had."""
    X, y = data(kind)
    estimator = make(kind, warm_start=True).fit(X, y)
    for method in (estimator.fit, estimator.partial_fit, lambda X, y: estimator.predict(X)):
        with pytest.raises(ValueError, match="X has 4 features, but .* is expecting 5"):
            method(X[:, :4], y)


@both
@pytest.mark.parametrize(
    "params", [{"batch_size": 0}, {"alpha": -1}, {"trace": "step"}, {"shuffle": "no"}], ids=str
)
def test_partial_fit_checks_parameters_each_time(kind, params):
    """scikit-learn's decorator does so in the first call; they may be set to anything later."""
    X, y = data(kind)
    for estimator in (make(kind), make(kind).fit(X, y)):
        estimator.set_params(**params)
        told = {} if kind == "regressor" else {"classes": [0, 1, 2]}
        with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
            estimator.partial_fit(X, y, **told)


@both
def test_a_failing_partial_fit_changes_nothing(kind):
    """Training goes on afterwards as if it had not been tried."""
    X, y = data(kind)
    a, b = make(kind).fit(X, y), make(kind).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        a.partial_fit(with_value(np.nan)(X), y)
    assert_same(a.partial_fit(X, y), b.partial_fit(X, y))


# ---------------------------------------------------------------------------
# In scikit-learn's company
# ---------------------------------------------------------------------------


@both
def test_in_a_pipeline(kind):
    """Parameters are reached by name through the steps."""
    X, y = data(kind)
    pipe = make_pipeline(StandardScaler(), make(kind))
    name = pipe.steps[-1][0]
    pipe.set_params(**{f"{name}__hidden_layer_sizes": (3, 2)}).fit(X, y)
    assert pipe[-1].coefs_[1].shape == (3, 2)
    assert pipe.predict(X).shape == (90,)


@both
def test_sample_weights_are_routed(kind):
    """Through a pipeline and through a search, by scikit-learn's metadata routing."""
    X, y = data(kind)
    w = np.arange(90) % 3
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = make(kind).set_fit_request(sample_weight=True)
        estimator.set_score_request(sample_weight=True)
        scaler = StandardScaler(with_mean=False, with_std=False)
        scaler.set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, estimator).fit(X, y, sample_weight=w)
        search = GridSearchCV(estimator, {"alpha": [0.1]}, cv=2).fit(X, y, sample_weight=w)
    assert_same(pipe[-1], make(kind).fit(X, y, sample_weight=w))
    assert_same(search.best_estimator_, make(kind, alpha=0.1).fit(X, y, sample_weight=w))


@both
def test_frozen_networks_are_used_as_they_are(kind):
    """A FrozenEstimator does not train again."""
    X, y = data(kind)
    estimator = make(kind).fit(X, y)
    frozen = FrozenEstimator(estimator).fit(X[:10], y[:10])
    np.testing.assert_array_equal(frozen.predict(X), estimator.predict(X))
