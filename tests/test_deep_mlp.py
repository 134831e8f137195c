"""What is DeepMLPRegressor's own: targets, losses, and depth that learns."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import GammaRegressor, PoissonRegressor, QuantileRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import RegressorChain
from sklearn.neural_network import MLPRegressor

from sk_dbn import BernoulliRBMStack, DeepMLPRegressor
from tests import reference
from tests.as_scikit_learn import AS_SCIKIT_LEARN

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SKLEARN_HAS_POISSON = "loss" in inspect.signature(MLPRegressor).parameters


def make(**params):
    """A small network, trained as scikit-learn's."""
    small = {"hidden_layer_sizes": (8, 6), "activation": "tanh", "max_iter": 6}
    small |= {"random_state": 0, "batch_size": 32}
    return DeepMLPRegressor(**(AS_SCIKIT_LEARN[DeepMLPRegressor] | small | params))


def data(n=90, seed=0):
    """Five features and counts that depend on them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    return X, rng.poisson(np.exp(0.5 * X[:, 0] - 0.3 * X[:, 1] + 0.5)).astype(float)


def parameters(estimator):
    """All parameters in one vector."""
    return np.concatenate([p.ravel() for p in [*estimator.coefs_, *estimator.intercepts_]])


def assert_refused(estimator, X, y, rule):
    """The error, and an estimator whose attributes are those it had."""
    before = vars(estimator).copy()
    with pytest.raises(ValueError, match=rule):
        estimator.fit(X, y)
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[name] is value for name, value in before.items())


# ---------------------------------------------------------------------------
# Targets
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_shapes_of_targets(n_outputs):
    """As many columns come out as went in; one column is a vector."""
    X, y = data()
    estimator = make().fit(X, np.column_stack([y] * n_outputs).squeeze())
    assert estimator.predict(X).shape == ((90,) if n_outputs == 1 else (90, 3))
    assert estimator.n_outputs_ == n_outputs
    assert estimator.out_activation_ == "identity"


def test_a_column_is_a_vector():
    """With scikit-learn's usual warning."""
    from sklearn.exceptions import DataConversionWarning

    X, y = data()
    with pytest.warns(DataConversionWarning):
        column = make().fit(X, y[:, None])
    np.testing.assert_array_equal(parameters(column), parameters(make().fit(X, y)))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, bool])
def test_targets_of_any_dtype(dtype):
    """They are numbers; the loss reads them in the network's precision."""
    X, y = data()
    y = np.minimum(y, 1)
    a, b = make().fit(X, y.astype(dtype)), make().fit(X, y)
    np.testing.assert_array_equal(parameters(a), parameters(b))


def test_outputs_stay_while_training_goes_on():
    """Two outputs cannot follow one."""
    X, y = data()
    Y = np.column_stack([y, y])
    assert_refused(make(warm_start=True).fit(X, y), X, Y, "y must keep its 1 outputs")
    estimator = make().fit(X, Y)
    with pytest.raises(ValueError, match="y must keep its 2 outputs"):
        estimator.partial_fit(X, y)


def test_targets_beyond_single_precision():
    """1e39 is a number in float64 and infinite in float32."""
    X, y = data()
    assert_refused(make(), X, 1e39 * (1 + y), "too large for dtype='float32'")
    make(dtype="float64").fit(X, y * 1e3)


def test_loss_is_half_the_mean_squared_error():
    """Over rows and outputs, before the epoch's single update, and the penalty besides."""
    X, y = data()
    Y = np.column_stack([y, -y])
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in [(5, 8), (8, 6), (6, 2)]]
    estimator = make(init=arrays, batch_size=90, max_iter=1, dtype="float64", alpha=0.3)
    estimator.fit(X, Y)
    layers = arrays, [np.zeros(8), np.zeros(6), np.zeros(2)], ["tanh", "tanh", "identity"]
    _, values = reference.forward(X, *layers)
    penalty = 0.15 * sum((W**2).sum() for W in arrays) / 90
    assert estimator.loss_ == pytest.approx(0.5 * ((values[-1] - Y) ** 2).mean() + penalty)


def test_score_is_r2():
    """As for every regressor, in validation too."""
    X, y = data()
    estimator = make().fit(X, y, X_val=X[:30], y_val=y[:30])
    expected = r2_score(y[:30], estimator.predict(X[:30]))
    assert estimator.score(X[:30], y[:30]) == expected
    assert estimator.validation_scores_[-1] == pytest.approx(expected, abs=1e-6)


# ---------------------------------------------------------------------------
# Poisson loss
# ---------------------------------------------------------------------------


def test_poisson_needs_counts():
    """Negative targets have no Poisson deviance; the estimator stays as it was."""
    X, y = data()
    rule = "y must be non-negative for loss='poisson', got -1.0"
    assert_refused(make(loss="poisson"), X, y - y.min() - 1, rule)
    fitted = make(loss="poisson").fit(X, y)
    assert_refused(fitted, X, y - y.min() - 1, rule)
    assert (fitted.predict(X) > 0).all()
    assert fitted.out_activation_ == "exp"


def test_unknown_loss():
    """Its name and the ones there are."""
    X, y = data()
    assert_refused(make(loss="hinge"), X, y, "'loss' .* 'hinge'")


@pytest.mark.parametrize("loss", ["poisson", "absolute_error"])
def test_loss_stays_while_training_goes_on(loss):
    """The output layer, and the best loss so far, are those of one."""
    X, y = data()
    fitted = make(warm_start=True).fit(X, y)
    assert_refused(fitted.set_params(loss=loss), X, y, "loss must stay 'squared_error'")


def test_a_quantile_of_another_loss_is_refused():
    """Who names a quantile and gets the mean would not notice."""
    assert_refused(make(quantile=0.9), *data(), "quantile must be None for loss='squared_error'")


def test_early_stopping_keeps_the_weights_of_the_quantile():
    """R^2 is greatest at the mean, far from the 0.9 quantile of a skewed target."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = X[:, 0] + rng.exponential(2.0, size=600)
    model = make(loss="quantile", quantile=0.9, hidden_layer_sizes=(), early_stopping=True)
    model.set_params(learning_rate_init=0.05, max_iter=100, n_iter_no_change=100)
    model.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    assert abs(np.mean(y[400:] <= model.predict(X[400:])) - 0.9) < 0.05
    best = np.argmin(model.validation_loss_curve_)
    assert np.argmax(model.validation_scores_) == best


def test_poisson_without_hidden_layers_is_a_generalised_linear_model():
    """Both minimise half the mean deviance with a logarithmic link."""
    X, y = data(300)
    glm = PoissonRegressor(alpha=0, tol=1e-10).fit(X, y)
    mine = make(loss="poisson", hidden_layer_sizes=(), solver="lbfgs", alpha=0, tol=1e-8)
    mine.set_params(max_iter=1000, dtype="float64").fit(X, y)
    np.testing.assert_allclose(mine.predict(X), glm.predict(X), rtol=1e-3)


@pytest.mark.skipif(not SKLEARN_HAS_POISSON, reason="MLPRegressor has `loss` since 1.7")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_every_poisson_step_is_scikit_learns(solver):
    """The same gradient, in float64; its loss leaves out what does not depend on the network."""
    X, y = data()
    params = {"loss": "poisson", "solver": solver, "shuffle": False, "batch_size": 37}
    params |= {"hidden_layer_sizes": (7, 4), "activation": "tanh", "max_iter": 20, "tol": 0}
    params |= {"random_state": 3, "learning_rate_init": 0.01}
    theirs = MLPRegressor(**params).fit(X, y)
    own = AS_SCIKIT_LEARN[DeepMLPRegressor] | {"init": "sklearn", "dtype": "float64"}
    mine = DeepMLPRegressor(**(own | params)).fit(X, y)
    for p, q in zip(mine.coefs_ + mine.intercepts_, theirs.coefs_ + theirs.intercepts_):
        np.testing.assert_allclose(p, q, rtol=0, atol=1e-10)
    np.testing.assert_allclose(mine.predict(X), theirs.predict(X), rtol=1e-10)
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-9)


# ---------------------------------------------------------------------------
# Other losses
# ---------------------------------------------------------------------------

LOSSES = {
    "squared_error": {},
    "absolute_error": {},
    "huber": {"delta": 0.5},
    "quantile": {"quantile": 0.8},
    "poisson": {},
    "gamma": {},
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_reported_losses(loss, n_outputs):
    """Means over samples; over outputs too, but for those that scikit-learn sums.

    Before the only update of a single minibatch, with the penalty; of validation rows without.
    """
    X, y = data()
    Y = np.column_stack([y + 1, 2 * y + 0.5])[:, :n_outputs]
    rng = np.random.default_rng(0)
    arrays = [0.3 * rng.normal(size=s) for s in [(5, 8), (8, 6), (6, n_outputs)]]
    params = {"loss": loss, "init": arrays, "batch_size": 90, "dtype": "float64", **LOSSES[loss]}
    estimator = make(max_iter=1, alpha=0.3, **params).fit(
        X, Y.squeeze(), X_val=X, y_val=Y.squeeze()
    )
    option = next(iter(LOSSES[loss].values()), 0.0)
    factor = 1 if loss in ("poisson", "gamma") else 1 / n_outputs

    def mean_loss(coefs, intercepts):
        names = ["tanh", "tanh", reference.OUTPUT_ACTIVATIONS[loss]]
        values = reference.forward(X, coefs, intercepts, names)[1]
        return factor * reference.row_losses(loss, values[-1], Y, option).mean()

    penalty = 0.15 * sum((W**2).sum() for W in arrays) / 90
    zeros = [np.zeros(W.shape[1]) for W in arrays]
    assert estimator.loss_ == pytest.approx(mean_loss(arrays, zeros) + penalty)
    after = mean_loss(estimator.coefs_, estimator.intercepts_)
    assert estimator.validation_loss_curve_ == [pytest.approx(after)]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_lowered(loss, solver):
    """By minibatches and by all rows at once."""
    X, y = data()
    estimator = make(loss=loss, solver=solver, learning_rate_init=0.003, **LOSSES[loss])
    estimator.fit(X, y + 1)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    assert estimator.out_activation_ == reference.OUTPUT_ACTIVATIONS[loss]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"loss": "squared_error", "solver": "lbfgs"}, np.mean),
        ({"loss": "poisson", "solver": "lbfgs"}, np.mean),
        ({"loss": "gamma", "solver": "lbfgs"}, np.mean),
        ({"loss": "huber", "delta": 0.001, "solver": "lbfgs"}, np.median),
        ({"loss": "huber", "delta": 1000.0, "solver": "lbfgs"}, np.mean),
        ({"loss": "absolute_error", "solver": "sgd"}, np.median),
        ({"loss": "quantile", "quantile": 0.9, "solver": "sgd"}, lambda y: np.quantile(y, 0.9)),
    ],
    ids=str,
)
def test_what_is_predicted_without_features(params, expected):
    """The number that minimises the mean loss, which is known for each.

    Of 101 values the median and the quantile of 0.9 are values, and so the only minima.
    """
    y = np.random.default_rng(0).exponential(size=101) + 0.1
    net = make(hidden_layer_sizes=(), batch_size=101, dtype="float64", **params)
    net.set_params(momentum=0.0, learning_rate="invscaling", learning_rate_init=5.0, trace=None)
    net.set_params(max_iter=3000, n_iter_no_change=np.inf, tol=1e-12)
    assert net.fit(np.zeros((101, 1)), y).predict([[0.0]]) == pytest.approx(expected(y), abs=0.01)


def test_gamma_without_hidden_layers_is_a_generalised_linear_model():
    """Both minimise half the mean deviance with a logarithmic link."""
    X, y = data(300)
    y = y + 0.5
    glm = GammaRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(X, y)
    mine = make(loss="gamma", hidden_layer_sizes=(), solver="lbfgs", alpha=0, tol=1e-8)
    mine.set_params(max_iter=1000, dtype="float64").fit(X, y)
    np.testing.assert_allclose(mine.predict(X), glm.predict(X), rtol=1e-3)


def test_quantiles_without_hidden_layers_are_those_of_a_linear_program():
    """The loss of the same linear model, whose minimum is known, to a few hundredths."""
    X, y = data(300)
    program = QuantileRegressor(quantile=0.8, alpha=0.0).fit(X, y)
    mine = make(loss="quantile", quantile=0.8, hidden_layer_sizes=(), alpha=0, dtype="float64")
    mine.set_params(max_iter=2000, learning_rate_init=0.003, n_iter_no_change=np.inf).fit(X, y)

    def loss(estimator):
        predicted = estimator.predict(X)[:, None]
        return reference.row_losses("quantile", predicted, y[:, None], 0.8).mean()

    assert loss(mine) == pytest.approx(loss(program), rel=0.02)


def test_gamma_needs_positive_targets():
    """Zero has no gamma deviance, nor has what single precision rounds to zero."""
    X, y = data()
    rule = "^y must be positive for loss='gamma', got 0.0 as float32"
    assert_refused(make(loss="gamma"), X, y - y.min(), rule)
    assert_refused(make(loss="gamma"), X, (y + 1) * 1e-60, rule)
    fitted = make(loss="gamma").fit(X, y + 1)
    with pytest.raises(ValueError, match="y_val must be positive"):
        fitted.fit(X, y + 1, X_val=X, y_val=-y - 1)
    assert (fitted.predict(X) > 0).all()


def test_targets_that_must_be_positive_are_a_tag():
    """As in scikit-learn's generalised linear models, whose checks then give such targets."""
    from sklearn.utils import get_tags

    for loss, params in LOSSES.items():
        tags = get_tags(make(loss=loss, **params))
        assert tags.target_tags.positive_only == (loss in ("poisson", "gamma"))


@pytest.mark.parametrize("quantile", [0, 1, -0.5, "half"])
def test_quantiles_lie_between_0_and_1(quantile):
    """The parameter's name and value."""
    X, y = data()
    net = make(loss="quantile", quantile=quantile)
    assert_refused(net, X, y, f"'quantile' parameter .* Got {quantile!r}")


def test_the_quantile_has_to_be_said():
    """There is no default that is better than another."""
    X, y = data()
    assert_refused(make(loss="quantile"), X, y, "quantile must be a number .* got None; 0.5 is")
    make(quantile=None).fit(X, y)


def test_huber_turns_somewhere():
    """delta is a distance, so it is positive."""
    X, y = data()
    assert_refused(make(loss="huber", delta=0.0), X, y, "'delta' parameter .* Got 0.0")


# ---------------------------------------------------------------------------
# Depth
# ---------------------------------------------------------------------------


def test_depth_is_a_matter_of_initialisation():
    """Thirty layers of relu: He's variance carries the gradient down, Hinton's 0.01 kills it.

    By He et al. (2015), equation 10, a variance of 2 / fan_in keeps the scale of what passes a
    layer; a standard deviation of 0.01 with 20 units divides it by about 30, thirty times over.
    """
    X, y = data(200)
    depth = {"hidden_layer_sizes": (20,) * 30, "activation": "relu", "max_iter": 1}
    he, small = (
        make(init=init, **depth).fit(X, y).gradient_trace_ for init in ("he_normal", "normal")
    )
    assert 1e-3 < he.weight_grad_norm[0, 0] / he.weight_grad_norm[0, -1] < 1e3
    assert small.weight_grad_norm[0, 0] < 1e-12
    assert (he.update_ratio[1] > 0).all()


def test_orthogonal_linear_networks_keep_the_norm():
    """Square orthogonal matrices: the gradient at every layer has the same delta and input norm."""
    X, y = data(32)
    net = make(init="orthogonal", hidden_layer_sizes=(5,) * 20, activation="identity", max_iter=1)
    trace = net.set_params(dtype="float64").fit(X, y).gradient_trace_
    # Biases' gradients are sums of deltas, which each layer only turns.
    np.testing.assert_allclose(trace.bias_grad_norm[0, :-1], trace.bias_grad_norm[0, 0])


def test_pre_training_a_regressor():
    """A stack may start it, where its activation is one that a stack has."""
    X, y = data()
    stack = BernoulliRBMStack(max_iter=2, random_state=0)
    tiny = {"learning_rate_init": 1e-30, "max_iter": 1}
    net = make(pretrainer=stack, activation="tanh", **tiny).fit(X, y)
    np.testing.assert_array_equal(net.coefs_[0], net.pretrainer_.coefs_[0])
    assert net.pretrainer_.visible_ == "gaussian"
    table = np.c_[X, X[:, :2] > 0]
    net = make(pretrainer=stack, activation="tanh", **tiny).fit(table, y)
    kinds = ["gaussian"] * X.shape[1] + ["bernoulli"] * 2
    np.testing.assert_array_equal(net.pretrainer_.visible_, kinds)
    beyond = np.c_[X, 2 * table[:, -2:] + 1]
    clipped = np.c_[X, np.ones((len(X), 2))]
    np.testing.assert_array_equal(net.predict(beyond), net.predict(clipped))
    assert make().fit(X, y).pretrainer_ is None


# ---------------------------------------------------------------------------
# In scikit-learn's company
# ---------------------------------------------------------------------------


def test_searched_over_depth_and_initialisation():
    """Sizes, initialisations and lists of activations are hyperparameters like others."""
    X, y = data()
    grid = {"hidden_layer_sizes": [(4,), (4, 4)], "init": ["he_normal", 0.1]}
    search = GridSearchCV(make(), [grid, {"activation": [["relu", "tanh"]]}], cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 5


def test_in_ensembles():
    """Bagged, with random features and sample weights, and chained."""
    X, y = data()
    bag = BaggingRegressor(make(), n_estimators=2, max_features=0.6, random_state=0)
    assert bag.fit(X, y, sample_weight=np.ones(90)).predict(X).shape == (90,)
    chain = RegressorChain(make()).fit(X, np.column_stack([y, -y]))
    assert chain.predict(X).shape == (90, 2)


def test_pandas():
    """Frames and series go in; the names are remembered."""
    pd = pytest.importorskip("pandas")
    X, y = data()
    frame = pd.DataFrame(X, columns=list("abcde"))
    a = make().fit(frame, pd.Series(y))
    np.testing.assert_array_equal(parameters(a), parameters(make().fit(X, y)))
    assert a.feature_names_in_.tolist() == list("abcde")
    mixed = frame.assign(e=(frame.e > 0).astype("int8"))
    assert make().fit(mixed, y).predict(mixed).shape == (90,)


def test_validation_targets_have_the_outputs_of_y():
    """A wrong number of columns is an error before training, not after an epoch."""
    random = np.random.RandomState(0)
    X, Y = random.normal(size=(20, 3)), random.normal(size=(20, 2))
    net = DeepMLPRegressor((3,), max_iter=1)
    with pytest.raises(ValueError, match="2 outputs of y"):
        net.fit(X, Y, X_val=X, y_val=Y[:, 0])
    with pytest.raises(ValueError, match="1 outputs of y"):
        net.fit(X, Y[:, 0], X_val=X, y_val=Y)


def test_a_score_that_is_not_a_number_counts_as_no_improvement():
    """NaN compares as false with everything: it must neither reset the count nor be the best."""
    random = np.random.RandomState(0)
    X, y = random.normal(size=(30, 3)), random.normal(size=30)
    net = make(max_iter=50, early_stopping=True, n_iter_no_change=2)
    net._score_outputs = lambda outputs, y, sample_weight: np.nan
    net.fit(X, y, X_val=X[:5], y_val=y[:5])
    assert net.n_iter_ == 3
    assert not np.isnan(net.best_validation_score_)


def test_adamw_reports_what_it_minimises():
    """Its decay is not a penalty of the loss: with zero rate the loss does not know alpha."""
    random = np.random.RandomState(0)
    X, y = random.normal(size=(30, 3)), random.normal(size=30)
    settings = {"solver": "adamw", "learning_rate_init": 1e-30, "max_iter": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        losses = [make(alpha=a, **settings).fit(X, y).loss_ for a in (0, 10)]
    assert losses[0] == losses[1]
