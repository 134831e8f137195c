"""How a network leaves the features that a stack has learned: slowly, and its output layer first.

A linear model on the features of a stack is scikit-learn's LogisticRegression or Ridge on
``stack.transform(X)``. A network that is trained with a rate of almost zero shows where
fine-tuning starts.
"""

import numpy as np
import pytest
import scipy.sparse
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor, WarmStart
from sk_dbn.models import lbfgs
from tests.as_scikit_learn import AS_SCIKIT_LEARN

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = "sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad"
STILL = 1e-30  # a learning rate
rng = np.random.default_rng(0)
X = rng.uniform(size=(120, 6))
Z = X[:, 0] - X[:, 1] + 0.5 * X[:, 2]
Y = {DeepMLPRegressor: Z, DBNClassifier: np.digitize(Z, [0.0, 0.5])}
both = pytest.mark.parametrize("kind", Y)


@pytest.fixture(scope="module")
def stack():
    """Two layers that have learned something of X, in double precision."""
    given = {"learning_rate": 0.5, "batch_size": 10, "dtype": "float64", "random_state": 0}
    return BernoulliRBMStack((12, 8), max_iter=30, **given).fit(X)


def network(kind, pretrainer, **params):
    """A network of the stack's shape that is trained as scikit-learn's is."""
    common = {"hidden_layer_sizes": (12, 8), "activation": "logistic", "dtype": "float64"}
    common |= {"max_iter": 4, "batch_size": 20, "random_state": 0, "pretrainer": pretrainer}
    return kind(**(AS_SCIKIT_LEARN[kind] | common | params))


def probed(kind, stack, **params):
    """One that trains its output layer first, and then with a rate of almost zero."""
    params = {"learning_rate_init": STILL, "output_layer_first": True, "max_iter": 1} | params
    return network(kind, WarmStart(stack), **params)


def outputs(estimator, X):
    """Probabilities of classes, or predictions of numbers."""
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def are_kept(network, stack):
    """Whether each hidden layer has the stack's parameters, bit for bit."""
    own = zip(network.coefs_[:-1], network.intercepts_[:-1])
    theirs = zip(stack.coefs_, stack.intercepts_hidden_)
    return [all(map(np.array_equal, p, q)) for p, q in zip(own, theirs)]


# ---------------------------------------------------------------------------
# The rate of the pre-trained layers
# ---------------------------------------------------------------------------


@both
@pytest.mark.parametrize("solver", SOLVERS)
def test_layers_with_rate_zero_stay_as_they_are(kind, solver, stack):
    """Bit for bit, one or all, in fit and in partial_fit, whatever shrinks weights."""
    params = {"solver": solver, "alpha": 10.0, "max_norm": 0.1, "learning_rate_init": 0.01}
    for rate, kept in ((0.0, [True, True]), ([0, 0.5], [True, False]), (0.1, [False, False])):
        params["pretrained_learning_rate"] = rate
        estimator = network(kind, WarmStart(stack), **params).fit(X, Y[kind])
        assert are_kept(estimator, stack) == kept
        estimator.partial_fit(X, Y[kind])
        assert are_kept(estimator, stack) == kept
        assert len(set(estimator.loss_curve_)) == 5  # the output layer is trained


@both
@pytest.mark.parametrize("solver", SOLVERS)
def test_rate_zero_trains_the_output_layer_as_frozen_layers_do(kind, solver, stack):
    """The same minibatches and the same rates; only the features are computed again each time."""
    params = {"solver": solver, "learning_rate_init": 0.01, "trace": None}
    slow = network(kind, WarmStart(stack), pretrained_learning_rate=0, **params)
    frozen = network(kind, FrozenEstimator(stack), **params)
    slow.fit(X, Y[kind]), frozen.fit(X, Y[kind])
    np.testing.assert_allclose(slow.coefs_[-1], frozen.coefs_[-1], rtol=1e-8, atol=1e-12)


@both
def test_a_smaller_rate_moves_layers_less(kind, stack):
    """In proportion, with plain gradient descent of one step."""
    plain = {"solver": "sgd", "momentum": 0.0, "batch_size": 120, "max_iter": 1, "alpha": 0.0}
    steps = []
    for rate in (1.0, [0.25, 0.5]):
        estimator = network(kind, WarmStart(stack), pretrained_learning_rate=rate, **plain)
        estimator.fit(X, Y[kind])
        steps.append([W - V for W, V in zip(estimator.coefs_, stack.coefs_)])
    for whole, part, share in zip(*steps, (0.25, 0.5)):
        np.testing.assert_allclose(part, share * whole, rtol=1e-6, atol=1e-14)


@both
def test_partial_fit_listens_to_a_new_rate(kind, stack):
    """So layers can be left as they are at first, and trained later, one after the other."""
    estimator = network(kind, WarmStart(stack), pretrained_learning_rate=0.0).fit(X, Y[kind])
    for rate, kept in (([0, 1], [True, False]), (1, [False, False])):
        assert are_kept(estimator, stack) != kept
        estimator.set_params(pretrained_learning_rate=rate).partial_fit(X, Y[kind])
        assert are_kept(estimator, stack) == kept


@both
@pytest.mark.parametrize("rate", [1, [1.0, 1.0], np.ones(2)], ids=repr)
def test_a_rate_of_one_is_the_default(kind, rate, stack):
    """Bit for bit, in each spelling, and no warning where it has no effect."""
    default = network(kind, WarmStart(stack)).fit(X, Y[kind])
    estimator = network(kind, WarmStart(stack), pretrained_learning_rate=rate).fit(X, Y[kind])
    np.testing.assert_array_equal(estimator.coefs_[0], default.coefs_[0])


@both
@pytest.mark.parametrize(
    ("rate", "rule"),
    [
        (-0.1, "pretrained_learning_rate' parameter .* must be a float in the range"),
        (np.inf, "pretrained_learning_rate' parameter .* must be a float in the range"),
        ("slow", "pretrained_learning_rate' parameter .* Got 'slow'"),
        ([0.1], r"must have shape \(n_hidden,\) = \(2,\), got \(1,\)"),
        ([0.1, -0.1], r"must be at least 0, got \[0.1, -0.1\]"),
        ([0.1, np.nan], "must be finite"),
        (["a", "b"], "must be an array of real numbers"),
    ],
    ids=str,
)
def test_what_is_no_rate(kind, rate, rule, stack):
    """A number from 0 on, or one for each hidden layer."""
    with pytest.raises(ValueError, match=rule):
        network(kind, WarmStart(stack), pretrained_learning_rate=rate).fit(X, Y[kind])


@both
@pytest.mark.parametrize("rate", [0.5, [0.5, 1.0]], ids=str)
def test_lbfgs_has_no_rate_for_layers(kind, rate, stack):
    """It has no learning rate at all; 1.0 is what does nothing."""
    estimator = network(kind, WarmStart(stack), solver="lbfgs", pretrained_learning_rate=rate)
    with pytest.raises(ValueError, match="pretrained_learning_rate must be 1.0 for solver='lbfgs'"):
        estimator.fit(X, Y[kind])
    estimator.set_params(pretrained_learning_rate=[1.0, 1.0]).fit(X, Y[kind])


@both
@pytest.mark.parametrize(
    "params", [{"pretrained_learning_rate": 0.5}, {"output_layer_first": True}], ids=str
)
def test_what_has_no_effect_without_fine_tuning(kind, params, stack):
    """Without pre-training, and over frozen layers: there is a warning, and the same network."""
    for pretrainer in (None, FrozenEstimator(stack)):
        with pytest.warns(UserWarning, match=f"no effect: {next(iter(params))}="):
            idle = network(kind, pretrainer, **params).fit(X, Y[kind])
        plain = network(kind, pretrainer).fit(X, Y[kind])
        np.testing.assert_array_equal(idle.coefs_[-1], plain.coefs_[-1])


# ---------------------------------------------------------------------------
# The output layer first
# ---------------------------------------------------------------------------

WEIGHT = rng.uniform(size=120)
PROBLEMS = {
    "numbers": (DeepMLPRegressor, Z, {}),
    "two classes": (DBNClassifier, Z > 0, {}),
    "three classes": (DBNClassifier, Y[DBNClassifier], {}),
    "balanced": (DBNClassifier, Y[DBNClassifier], {"class_weight": "balanced"}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [None, WEIGHT / WEIGHT.mean()], ids=["equal", "weighted"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_fine_tuning_starts_as_a_linear_model_on_the_features(problem, weight, dtype, stack):
    """That of scikit-learn: ``Ridge(alpha)`` or C = 1 / alpha, by default with its defaults."""
    kind, y, params = PROBLEMS[problem]
    if params and weight is not None:
        pytest.skip("products of weights are divided by their mean")
    features = stack.transform(X)
    is_linear = kind is DeepMLPRegressor
    for alpha, given in ((0.1, 0.1), (1.0, True)):
        linear = LogisticRegression(C=1 / alpha, tol=1e-8, **params)
        linear = (Ridge(alpha) if is_linear else linear).fit(features, y, sample_weight=weight)
        estimator = probed(kind, stack, output_layer_first=given, dtype=dtype, **params)
        estimator.fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(outputs(estimator, X), outputs(linear, features), atol=5e-3)


def test_each_label_has_a_linear_model(stack):
    """Of several labels each is a logistic regression by itself."""
    y = np.column_stack([Z > 0, X[:, 3] > 0.5]).astype(int)
    estimator = probed(DBNClassifier, stack).fit(X, y)
    for label in range(2):
        linear = LogisticRegression(tol=1e-8).fit(stack.transform(X), y[:, label])
        expected = linear.predict_proba(stack.transform(X))[:, 1]
        np.testing.assert_allclose(estimator.predict_proba(X)[:, label], expected, atol=5e-3)


def test_the_first_epoch_has_the_loss_of_the_linear_model(stack):
    """And the penalty of all weights, those of the hidden layers too."""
    y = Y[DBNClassifier]
    estimator = probed(DBNClassifier, stack, alpha=1.0, batch_size=120).fit(X, y)
    linear = LogisticRegression(tol=1e-8).fit(stack.transform(X), y)
    data_loss = log_loss(y, linear.predict_proba(stack.transform(X)))
    penalty = 0.5 * sum((W**2).sum() for W in estimator.coefs_) / 120
    assert estimator.loss_curve_[0] == pytest.approx(data_loss + penalty, rel=1e-4)
    assert are_kept(estimator, stack) == [True, True]


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", "poisson", "gamma"])
def test_every_loss_has_its_linear_model(loss, stack):
    """None is better for the same features, those of a network that was trained for long among
    them; where the loss has corners, almost none."""
    y = Z + 2.0
    params = {"loss": loss, "alpha": 1e-3} | ({"quantile": 0.7} if loss == "quantile" else {})
    estimator = probed(DeepMLPRegressor, stack, output_layer_first=1e-3, **params).fit(X, y)
    longer = {"learning_rate_init": 0.02, "max_iter": 300, "learning_rate": "cosine"}
    frozen = network(DeepMLPRegressor, FrozenEstimator(stack), **(params | longer)).fit(X, y)
    ours, theirs = (e.score(X, y) for e in (estimator, frozen))
    assert ours > theirs - 0.05


def test_then_all_layers_are_trained(stack):
    """With a new optimiser: what follows is fine-tuning from weights that were set like this."""
    kind, y = DBNClassifier, Y[DBNClassifier]
    start = probed(kind, stack, shuffle=False).fit(X, y)
    whole = probed(kind, stack, learning_rate_init=0.01, max_iter=3, shuffle=False).fit(X, y)
    by_hand = network(kind, WarmStart(stack), learning_rate_init=STILL, max_iter=1)
    by_hand.set_params(warm_start=True, shuffle=False).fit(X, y)
    by_hand.coefs_ = start.coefs_
    by_hand.intercepts_ = start.intercepts_
    by_hand.set_params(learning_rate_init=0.01, max_iter=3).fit(X, y)
    np.testing.assert_array_equal(whole.coefs_[0], by_hand.coefs_[0])
    assert whole.loss_curve_ == by_hand.loss_curve_[-3:]
    assert are_kept(whole, stack) == [False, False]


@both
def test_lbfgs_can_follow(kind, stack):
    """It goes on from the linear model, whose loss it lowers."""
    short = {"solver": "lbfgs", "max_iter": 1}
    first = network(kind, WarmStart(stack), output_layer_first=True, **short).fit(X, Y[kind])
    plain = network(kind, WarmStart(stack), **short).fit(X, Y[kind])
    assert first.loss_ < plain.loss_


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, np.asfortranarray], ids=["CSR", "F"])
def test_any_form_of_input_is_the_same(make, stack):
    """Features are computed of rows that are read as in training."""
    y = np.where(np.arange(120) % 3 == 0, Y[DBNClassifier], -1)
    dense, other = (
        probed(DBNClassifier, stack, unlabeled=-1, learning_rate_init=0.01).fit(given, y)
        for given in (X, make(X))
    )
    np.testing.assert_allclose(dense.coefs_[-1], other.coefs_[-1], rtol=1e-9, atol=1e-12)


def test_rows_without_a_label_do_not_count(stack):
    """The linear model is that of the labelled rows, in whichever order they lie."""
    y = np.where(np.arange(120) % 3 == 0, Y[DBNClassifier], -1)
    some = probed(DBNClassifier, stack, unlabeled=-1).fit(X, y)
    few = probed(DBNClassifier, stack).fit(X[y >= 0], y[y >= 0])
    np.testing.assert_array_equal(some.coefs_[-1], few.coefs_[-1])


@pytest.mark.parametrize("early_stopping", ["refit", True])
def test_held_out_rows_are_unknown_to_the_output_layer(early_stopping, stack):
    """Of labels drawn at random it learns some of those that it sees, and none of the others.

    With 'refit', the copy has an output layer of its own, trained on its part of the rows; the
    network itself is trained on all of them.
    """
    y = np.random.default_rng(1).integers(5, size=120)
    params = {"early_stopping": early_stopping, "output_layer_first": 1e-4}
    params["validation_fraction"] = 0.3 if early_stopping is True else 0.1
    estimator = probed(DBNClassifier, stack, **params).fit(X, y)
    refit = early_stopping == "refit"
    curve = estimator.held_out_loss_curve_ if refit else estimator.validation_loss_curve_
    assert curve[0] > estimator.loss_curve_[0] + 0.05
    if refit:
        whole = probed(DBNClassifier, stack, output_layer_first=1e-4).fit(X, y)
        np.testing.assert_array_equal(estimator.coefs_[-1], whole.coefs_[-1])


@both
def test_it_is_trained_first_once(kind, stack):
    """When fit starts a network; not when training continues, nor in partial_fit."""
    estimator = probed(kind, stack, warm_start=True).fit(X, Y[kind])
    assert np.abs(estimator.coefs_[-1]).max() > 0.01
    estimator.coefs_ = [*estimator.coefs_[:-1], np.zeros_like(estimator.coefs_[-1])]
    assert np.abs(estimator.fit(X, Y[kind]).coefs_[-1]).max() < 1e-20
    classes = {} if kind is DeepMLPRegressor else {"classes": range(3)}
    chunks, plain = probed(kind, stack), probed(kind, stack).set_params(output_layer_first=False)
    chunks.partial_fit(X, Y[kind], **classes), plain.partial_fit(X, Y[kind], **classes)
    np.testing.assert_array_equal(chunks.coefs_[-1], plain.coefs_[-1])


@both
def test_verbose_tells_of_it(kind, stack, capsys):
    """Each iteration, before the first epoch."""
    probed(kind, stack, verbose=True).fit(X, Y[kind])
    told = [line for line in capsys.readouterr().out.splitlines() if "of" in line]
    of_layer = ["utput layer, iteration" in line for line in told]
    assert of_layer == sorted(of_layer, reverse=True) and 0 < sum(of_layer) == len(told) - 1


@both
def test_interrupted_in_it_is_as_before(kind, stack, monkeypatch):
    """As in pre-training: no epoch is complete. The next fit is as if nothing had been."""
    fresh, fitted = probed(kind, stack), probed(kind, stack).fit(X, Y[kind])
    before = fitted.coefs_[-1].copy()

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(lbfgs.LbfgsObjective, "end_iteration", interrupt)
        for estimator in fresh, fitted:
            with pytest.raises(KeyboardInterrupt):
                estimator.fit(-X + 1, Y[kind])
    assert not hasattr(fresh, "coefs_")
    np.testing.assert_array_equal(fitted.coefs_[-1], before)
    np.testing.assert_array_equal(fresh.fit(X, Y[kind]).coefs_[-1], before)


def test_where_it_diverges_the_weights_stay_as_they_were(stack, monkeypatch):
    """Then fine-tuning starts as without it."""
    y, call = Y[DBNClassifier], lbfgs.LbfgsObjective.__call__

    def explode(objective, theta):
        loss, gradient = call(objective, theta)
        objective.loss = np.nan
        return loss, gradient

    monkeypatch.setattr(lbfgs.LbfgsObjective, "__call__", explode)
    lost = probed(DBNClassifier, stack).fit(X, y)
    plain = probed(DBNClassifier, stack).set_params(output_layer_first=False).fit(X, y)
    np.testing.assert_array_equal(lost.coefs_[-1], plain.coefs_[-1])
