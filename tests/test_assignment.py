"""Parameters that are assigned are those that the estimators go on with, or an error says why not.

scikit-learn's networks predict with whatever `coefs_` are; federated averaging and transfer of
weights rest on that.
"""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).uniform(size=(60, 5))
Y = {"classifier": np.digitize(X[:, 0], [0.3, 0.6]), "regressor": X[:, 0] - X[:, 1]}
COMMON = {"hidden_layer_sizes": (6, 4), "max_iter": 3, "random_state": 0}
NETWORKS = {
    "classifier": lambda **p: DBNClassifier(pretrainer=None, **(COMMON | p)),
    "regressor": lambda **p: DeepMLPRegressor(**(COMMON | p)),
}
MLPS = {"classifier": MLPClassifier, "regressor": MLPRegressor}
networks = pytest.mark.parametrize("kind", NETWORKS)
ALL = {
    **NETWORKS,
    "pretrained": lambda **p: DBNClassifier(pretrainer=BernoulliRBMStack(max_iter=1), **COMMON | p),
    "stack": lambda **p: BernoulliRBMStack(**(COMMON | p)),
    "gaussian": lambda **p: BernoulliRBMStack(visible="gaussian", **(COMMON | p)),
}
estimators = pytest.mark.parametrize("kind", ALL)
METHODS = ("predict", "predict_proba", "transform", "reconstruct", "free_energy", "score_samples")


def fitted(kind, rows=slice(None), **params):
    """An estimator of this kind, trained on some rows."""
    return ALL[kind](**params).fit(X[rows], Y.get(kind, Y["classifier"])[rows])


def names(estimator):
    """The attributes that hold the parameters of each layer."""
    return [name for name in ("coefs_", "intercepts_", *HIDDEN) if hasattr(estimator, name)]


HIDDEN = ("intercepts_hidden_", "intercepts_visible_")


def results(estimator):
    """What every method makes of X, and of training further."""
    out = {name: getattr(estimator, name)(X) for name in METHODS if hasattr(estimator, name)}
    if hasattr(estimator, "feature_importances_"):
        out["feature_importances_"] = estimator.feature_importances_
    return out


def assert_same_results(a, b):
    """Bit for bit: the parameters are equal, and so is everything that follows from them."""
    mine, others = results(a), results(b)
    assert mine.keys() == others.keys() and mine
    for name in mine:
        np.testing.assert_array_equal(mine[name], others[name], err_msg=name)


@estimators
def test_all_parameters_of_another_estimator(kind):
    """With them, every method gives what it gives there; training further and copies as well."""
    other, estimator = fitted(kind), fitted(kind, slice(40), random_state=1)
    before = results(estimator)
    results(estimator)  # what is remembered between calls must not outlive the parameters
    for name in names(other):
        setattr(estimator, name, getattr(other, name))
    if kind in ("pretrained", "gaussian"):  # whose input has a scale of its own
        estimator._visible = other._visible
    if kind in ("stack", "gaussian"):
        estimator._background, estimator._means = other._background, other._means
        estimator._stack.variance[:] = other._stack.variance
    assert_same_results(estimator, other)
    assert any((before[name] != value).any() for name, value in results(other).items())
    for twin in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
        assert_same_results(twin, other)
    assert not hasattr(clone(estimator), "coefs_")


@estimators
@pytest.mark.parametrize("go_on", ["partial_fit", "fit"])
def test_training_goes_on_from_what_was_assigned(kind, go_on):
    """At a learning rate of next to nothing it stays what it is."""
    still = {"learning_rate_init": 1e-30, "alpha": 0.0}
    if kind in ("stack", "gaussian"):
        still = {"learning_rate": 1e-30, "alpha": 0.0}
    estimator = fitted(kind, warm_start=True, **still)
    given = [np.full(W.shape, 0.125 * (i + 1)) for i, W in enumerate(estimator.coefs_)]
    estimator.coefs_ = given
    getattr(estimator, go_on)(X, Y.get(kind, Y["classifier"]))
    for W, expected in zip(estimator.coefs_, given, strict=True):
        np.testing.assert_array_equal(W, expected)


@networks
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_federated_averaging(kind, dtype):
    """Two clients' mean network predicts what scikit-learn's does with the same parameters."""
    clients = [
        MLPS[kind](**COMMON).fit(X[rows], Y[kind][rows]) for rows in (slice(30), slice(30, 60))
    ]
    theirs = clone(clients[0]).fit(X, Y[kind])
    ours = NETWORKS[kind](activation="relu", dtype=dtype).fit(X, Y[kind])
    for server in (theirs, ours):
        server.coefs_ = [np.mean(pair, axis=0) for pair in zip(*(c.coefs_ for c in clients))]
        biases = zip(*(client.intercepts_ for client in clients))
        for layer, pair in enumerate(biases):
            server.intercepts_[layer] = np.mean(pair, axis=0)
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    if kind == "regressor":
        np.testing.assert_allclose(
            ours.predict(X), theirs.predict(X), rtol=tolerance, atol=tolerance
        )
    else:
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=tolerance)


@estimators
def test_items_lists_and_edits_in_place(kind):
    """Every way to write to the parameters counts, and none undoes another."""
    estimator = fitted(kind)
    W0, W1 = (np.full(W.shape, value) for W, value in zip(estimator.coefs_, (0.25, 0.5)))
    coefs = estimator.coefs_
    coefs[0] = W0
    estimator.coefs_[1] = W1
    coefs[0] += 1.0
    estimator.coefs_[0][0] = 3.0
    expected = W0 + 1.0
    expected[0] = 3.0
    np.testing.assert_array_equal(estimator.coefs_[0], expected)
    np.testing.assert_array_equal(estimator.coefs_[1], W1)
    estimator.coefs_[:2] = [W0, W1]
    np.testing.assert_array_equal(coefs[0], expected)  # an array that was handed out stays
    np.testing.assert_array_equal(estimator.coefs_[0], W0)
    with_lists = copy.deepcopy(estimator)
    with_lists.coefs_ = [W.tolist() for W in estimator.coefs_]
    assert_same_results(with_lists, estimator)


@estimators
def test_what_was_there_can_be_put_back(kind):
    """To take a layer out and put it back is how one sees what it does."""
    estimator = fitted(kind)
    before, saved, layer = results(estimator), estimator.coefs_, estimator.coefs_[0]
    estimator.coefs_[0] = np.zeros_like(layer)
    assert any((before[name] != value).any() for name, value in results(estimator).items())
    estimator.coefs_[0] = layer
    assert (results(estimator)[next(iter(before))] == before[next(iter(before))]).all()
    estimator.coefs_ = [np.zeros_like(W) for W in saved]
    estimator.coefs_ = saved
    for name, value in results(estimator).items():
        np.testing.assert_array_equal(value, before[name])


def test_components_are_the_first_weights():
    """Assigned, edited, and after coefs_ were."""
    stack = fitted("stack")
    C = np.full((6, 5), 0.5)
    stack.components_ = C
    np.testing.assert_array_equal(stack.coefs_[0], C.T)
    stack.components_[0] = 2.0
    assert (stack.coefs_[0][:, 0] == 2.0).all()
    stack.coefs_[0] = C.T
    np.testing.assert_array_equal(stack.components_, C)
    with pytest.raises(ValueError, match=r"components_ must have shape \(6, 5\), got \(5, 6\)"):
        stack.components_ = C.T


@estimators
def test_what_does_not_fit_is_refused(kind):
    """The error names attribute, layer and shapes, and nothing changes."""
    estimator = fitted(kind)
    before = results(estimator)
    coefs, bias = estimator.coefs_, names(estimator)[1]

    def assign(layer, value, name="coefs_"):
        getattr(estimator, name)[layer] = value

    for do, rule in (
        (lambda: assign(1, np.ones((4, 6))), r"coefs_\[1\] must have shape \(6, 4\), got \(4, 6\)"),
        (lambda: assign(0, np.ones((5, 1))), r"coefs_\[0\] must have shape \(5, 6\), got \(5, 1\)"),
        (lambda: assign(0, 1.0), r"coefs_\[0\] must have shape \(5, 6\), got \(\)"),
        (lambda: assign(0, np.ones(7), bias), bias + r"\[0\] must have shape \(.\,\), got \(7,\)"),
        (lambda: assign(0, coefs[0] * 1j), r"coefs_\[0\] must be an array of real numbers"),
        (lambda: assign(0, coefs[0] * np.nan), r"coefs_\[0\] must be finite as float32"),
        (lambda: assign(0, np.full((5, 6), 1e39)), r"coefs_\[0\] must be finite as float32"),
        (lambda: setattr(estimator, "coefs_", coefs[:-1]), "coefs_ must have one array for each"),
        (lambda: setattr(estimator, "coefs_", 3), "coefs_ must have one array for each"),
        (lambda: assign(slice(1), [coefs[0]] * 2), "coefs_ must have one array for each"),
    ):
        with pytest.raises(ValueError, match=rule):
            do()
    with pytest.raises(TypeError, match="no more and no fewer"):
        estimator.coefs_.append(coefs[0])
    with pytest.raises(TypeError, match="no more and no fewer"):
        del estimator.coefs_[0]
    for name, value in results(estimator).items():
        np.testing.assert_array_equal(value, before[name])


@estimators
def test_before_fit_there_is_nothing_to_assign_to(kind):
    """First weights are given by `init`, as the error says."""
    estimator = ALL[kind]()
    assert not hasattr(estimator, "coefs_")
    with pytest.raises(NotFittedError, match="coefs_ .* give first weights by init"):
        estimator.coefs_ = [np.ones((5, 6)), np.ones((6, 4))]


@estimators
def test_copies_of_the_list_are_lists(kind):
    """They know of no estimator: pickles are small, and edits of copies change nothing."""
    estimator = fitted(kind)
    for twin in (copy.deepcopy(estimator.coefs_), pickle.loads(pickle.dumps(estimator.coefs_))):
        assert type(twin) is list
        twin[0] += 1.0
        assert (twin[0] != estimator.coefs_[0]).all()
    assert isinstance(estimator.coefs_, list)


def test_a_stack_keeps_its_weights_when_its_network_gets_others():
    """A network owns what it predicts with; the stack that started it is another estimator."""
    network = fitted("pretrained")
    before = network.pretrainer_.transform(X)
    network.coefs_ = [np.zeros_like(W) for W in network.coefs_]
    np.testing.assert_array_equal(network.pretrainer_.transform(X), before)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", ["gaussian"] * 2 + ["bernoulli"] * 3])
def test_how_features_are_seen_follows_from_fit(visible):
    """It cannot be assigned, in whole or in part; it is there after fit and in copies."""
    stack = BernoulliRBMStack(**COMMON, visible=visible)
    names = ("visible_mean_", "visible_scale_", "visible_variance_")
    for name in names:
        assert not hasattr(stack, name)
    stack.fit(X)
    before = stack.transform(X)
    for name in names:
        value = getattr(stack, name)
        with pytest.raises(AttributeError, match=f"{name} cannot be assigned .* scale X before"):
            setattr(stack, name, np.ones(5))
        if visible == "bernoulli" and name == "visible_variance_":
            assert value is None
            continue
        with pytest.raises(ValueError, match="read-only"):
            value[0] = 7.0
        np.testing.assert_array_equal(getattr(pickle.loads(pickle.dumps(stack)), name), value)
    np.testing.assert_array_equal(stack.transform(X), before)
