"""The textbook's diseases are found where they are, their remedies help, and health is left alone.

How often over many networks and data sets is what examples/diagnosis_study.py counts.
"""

import ast
import re
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_digits, make_friedman1
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor, WarmStart
from sk_dbn.inspection import Diagnosis, Finding, diagnose
from sk_dbn.inspection.problems import PROBLEMS
from tests.as_scikit_learn import AS_SCIKIT_LEARN

PLAIN = AS_SCIKIT_LEARN[DBNClassifier]
NAMES = {
    part.__name__: part
    for part in (TransformedTargetRegressor, make_pipeline, MaxAbsScaler, StandardScaler)
}
COMMON = PLAIN | {"pretrainer": None, "batch_size": 32, "max_iter": 30, "random_state": 0}


@pytest.fixture(scope="module")
def parts():
    """Digits to train on and to test on."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, train_size=600, stratify=y, random_state=0)


def classifier(depth, **parameters):
    """A network of so many hidden layers of 30 units."""
    return DBNClassifier((30,) * depth, **(COMMON | parameters))


def weights(depth, layer, change):
    """He's weights for digits, one layer of them changed."""
    random = np.random.default_rng(0)
    units = [64, *[30] * depth, 10]
    W = [random.normal(0, np.sqrt(2 / n), (n, m)) for n, m in pairwise(units)]
    W[layer] = change(W[layer])
    return W


def kinds(diagnosis):
    """What was found."""
    return [finding.kind for finding in diagnosis]


def find(kind, diagnosis):
    """The finding of a kind."""
    assert kind in kinds(diagnosis), diagnosis
    return diagnosis[kinds(diagnosis).index(kind)]


def assert_remedy_helps(network, finding, parts, gain):
    """With the remedy's parameters the finding is gone and the score higher."""
    X_train, X_test, y_train, y_test = parts
    cured = clone(network).set_params(**finding.parameters).fit(X_train, y_train)
    assert finding.kind not in kinds(diagnose(cured)), finding
    before, after = (model.score(X_test, y_test) for model in (network, cured))
    assert after > before + gain, (before, after)


def equal_weights(depth):
    """Constant weights for digits: all units of a layer are the same."""
    return [np.full(shape, 0.1) for shape in pairwise([64, *[30] * depth, 10])]


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
@pytest.mark.parametrize(
    "change",
    [{}, {"solver": "sgd"}, {"solver": "lbfgs"}, {"shortcut": True}, {"dropout": (0.2, 0.0)}],
    ids=str,
)
def test_equal_units(parts, activation, change):
    """Units that begin as one get the same gradient, whatever is made of it, and stay one."""
    network = classifier(2, activation=activation, init=equal_weights(2), **change)
    X_train, _, y_train, _ = parts
    for diagnosis in (
        diagnose(network, X_train, y_train),
        diagnose(network.fit(X_train, y_train)),
    ):
        (finding,) = [finding for finding in diagnosis if finding.kind == "equal units"]
        assert finding.layers == (0, 1) and finding.parameters == {"init": "auto"}
        assert not {"vanishing", "stalled layer"} & set(kinds(diagnosis))
    cured = clone(network).set_params(init="auto").fit(X_train, y_train)
    assert "equal units" not in kinds(diagnose(cured))


def test_equal_units_from_zeros(parts):
    """Units that are not zero where their weights are: these change, and by the same."""
    network = classifier(2, activation="logistic", init="zeros").fit(parts[0], parts[2])
    (finding,) = diagnose(network)
    assert finding.kind == "equal units"
    assert_remedy_helps(network, finding, parts, 0.3)


@pytest.mark.parametrize("algorithm", ["cd", "pcd"])
def test_equal_units_of_a_stack(parts, algorithm):
    """What they see is sampled, but all of them see the same; the chains of 'pcd' differ a bit."""
    stack = BernoulliRBMStack((30, 30), init="zeros", algorithm=algorithm, max_iter=5)
    for diagnosis in diagnose(stack, parts[0]), diagnose(stack.fit(parts[0])):
        finding = find("equal units", diagnosis)
        assert 1 in finding.layers
        cured = clone(stack).set_params(**finding.parameters).fit(parts[0])
        assert "equal units" not in kinds(diagnose(cured))
    network = classifier(2, activation="logistic", pretrainer=WarmStart(stack))
    finding = find("equal units", diagnose(network.fit(parts[0], parts[2])))
    assert finding.parameters["pretrainer"] is None
    assert_remedy_helps(network, finding, parts, 0.1)


def test_units_that_become_different(parts):
    """By dropout, by what lies above or below them, or since there is but one in a layer."""
    X_train, _, y_train, _ = parts
    random = weights(2, 0, lambda W: W)
    inits = [
        [random[0], *equal_weights(2)[1:]],
        [equal_weights(2)[0], *random[1:]],
        [equal_weights(2)[0], random[1], equal_weights(2)[2]],
    ]
    networks = [classifier(2, activation="tanh", init=init) for init in inits[1:]]
    networks.append(classifier(2, activation="tanh", init=equal_weights(2), dropout=0.2))
    networks.append(DBNClassifier((1, 1), init="glorot_normal", **COMMON))
    for network in networks:
        for diagnosis in (
            diagnose(network, X_train, y_train),
            diagnose(network.fit(X_train, y_train)),
        ):
            assert "equal units" not in kinds(diagnosis)
    below = classifier(2, activation="tanh", init=inits[0])
    (finding,) = [f for f in diagnose(below, X_train, y_train) if f.kind == "equal units"]
    assert finding.layers == (1,)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize(
    "sick",
    [
        {"activation": "logistic", "init": "glorot_uniform"},
        {"activation": "tanh", "init": 0.01},
    ],
    ids=["logistic", "small weights"],
)
def test_vanishing(parts, solver, sick):
    """Deep logistic networks and small weights: the first layers, and not the last."""
    rate = 0.001 if solver == "adam" else 0.02
    network = classifier(8, solver=solver, learning_rate_init=rate, **sick)
    X_train, _, y_train, _ = parts
    before = find("vanishing", diagnose(network, X_train, y_train))
    assert not hasattr(network, "coefs_")
    finding = find("vanishing", diagnose(network.fit(X_train, y_train)))
    for each in (before, finding):
        assert each.layers == tuple(range(len(each.layers)))
        assert 4 <= len(each.layers) <= 7
        assert each.where == f"hidden 1-{len(each.layers)}"
    assert finding.epoch == 0 and max(finding.evidence.values()) < 1e-3
    assert_remedy_helps(network, finding, parts, 0.4)


def test_vanishing_chain():
    """Neurons with weights from N(0, 1) pass on less than a quarter, each (Nielsen, 2015)."""
    X = np.linspace(0, 1, 50).reshape(-1, 1)
    y = (X[:, 0] > 0.5).astype(int)
    for seed in range(5):
        chain = DBNClassifier((1,) * 10, init="standard_normal", pretrainer=None, random_state=seed)
        finding = find("vanishing", diagnose(chain, X, y))
        assert 0 in finding.layers and 9 not in finding.layers


def test_exploding_chain():
    """Weights of 100 with biases that hold each neuron at z = 0: a factor of 25 a layer."""
    X, y = np.full((50, 1), 0.5), (np.arange(50) % 3 > 0).astype(int)
    X[0] = 0.0  # so that the feature is not constant
    stack = BernoulliRBMStack((1,) * 7, visible="bernoulli", max_iter=1).fit(X)
    stack.coefs_[0][:], stack.intercepts_hidden_[0][:] = 1.0, -0.5
    for W, c in zip(stack.coefs_[1:], stack.intercepts_hidden_[1:], strict=True):
        W[:], c[:] = 100.0, -50.0
    chain = DBNClassifier((1,) * 7, pretrainer=WarmStart(stack))
    finding = find("exploding", diagnose(chain, X, y))
    assert finding.layers == tuple(range(1, 7))
    assert finding.parameters["pretrainer"] is None


@pytest.mark.parametrize("activation", ["relu", "elu", "tanh"])
def test_exploding(parts, activation):
    """Weights from N(0, 1): what they multiply grows, forward or on the way back."""
    network = classifier(12, activation=activation, init="standard_normal", learning_rate_init=1e-3)
    X_train, _, y_train, _ = parts
    assert "exploding" in kinds(diagnose(network, X_train, y_train))
    finding = find("exploding", diagnose(network.fit(X_train, y_train)))
    assert finding.layers == tuple(range(12))
    assert_remedy_helps(network, finding, parts, 0.3)


def test_exploding_names_the_layer(parts):
    """One layer's weights are a hundred times too large, and that one is named."""
    network = classifier(6, activation="relu", init=weights(6, 3, lambda W: 100 * W))
    finding = find("exploding", diagnose(network.fit(parts[0], parts[2])))
    assert finding.layers == (3,) and finding.where == "hidden 4"
    assert finding.parameters == {"init": "auto"}


@pytest.mark.filterwarnings("ignore:X is not scaled")
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(
    "change",
    [
        lambda X: 255 * X,
        lambda X: X + 30,
        lambda X: 0.001 * X,
        lambda X: np.c_[3000 * X[:, 20], np.delete(X, 20, axis=1)],
        lambda X: 0 * X + 3,
    ],
    ids=["pixels of 0 to 255", "far from zero", "small", "one feature", "constant"],
)
def test_scale_of_X(parts, activation, change):
    """It is found before training and after, and nothing else, since that may follow from it."""
    X_train, _, y_train, _ = parts
    network = classifier(3, activation=activation, max_iter=3)
    for diagnosis in (
        diagnose(network, change(X_train), y_train),
        diagnose(network.fit(change(X_train), y_train)),
    ):
        assert kinds(diagnosis) == ["scale of X"]
        assert diagnosis[0].parameters == {} and diagnosis[0].layers == ()
        assert diagnosis[0].where.startswith(("features", "feature 0 (", "all features"))
        is_curable = "StandardScaler(), DBNClassifier(...)" in diagnosis[0].remedy
        assert is_curable or diagnosis[0].where == "all features"
        assert any("scale, fit again" in note for note in diagnosis.notes)
        assert "epoch" not in repr(diagnosis)


@pytest.mark.filterwarnings("ignore:X is not scaled", "ignore:y is not scaled")
@pytest.mark.parametrize("sparse", [False, True])
def test_both_scales_have_one_remedy(sparse):
    """What is printed can be run as it is, with both scalers in it."""
    random = np.random.default_rng(0)
    X = 1e4 * random.normal(size=(150, 5)) * (random.random((150, 5)) < 0.5)
    y = 1e6 * (np.tanh(X[:, 0] / 1e4) + np.sin(X[:, 1] / 1e4))
    X = scipy.sparse.csr_array(X) if sparse else X
    network = DeepMLPRegressor((20,), max_iter=60, random_state=0)
    for diagnosis in diagnose(network, X, y), diagnose(clone(network).fit(X, y)):
        assert kinds(diagnosis) == ["scale of X", "scale of y"]
        (remedy,) = {finding.remedy for finding in diagnosis}
        model = eval(
            remedy.replace("DeepMLPRegressor(...)", "network"), NAMES | {"network": network}
        )
        assert model.fit(X, y).score(X, y) > 0.7


@pytest.mark.filterwarnings("ignore:y is not scaled")
@pytest.mark.parametrize("a, b", [(1e7, 0.0), (1e-3, 0.0), (1.0, 30.0)])
def test_scale_of_y(a, b):
    """Of one target and of the one among several that it is."""
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 5))
    y = X[:, 0] + np.sin(X[:, 1])
    network = DeepMLPRegressor((20,), max_iter=30, learning_rate_init=0.01, random_state=0)
    remedy = "TransformedTargetRegressor(DeepMLPRegressor(...), transformer=StandardScaler())"
    for targets, where in ((a * y + b, "y ("), (np.c_[y, a * y + b], "outputs of y 1 (")):
        for diagnosis in (diagnose(network, X, targets), diagnose(network.fit(X, targets))):
            assert kinds(diagnosis) == ["scale of y"]
            assert diagnosis[0].where.startswith(where) and diagnosis[0].remedy == remedy
    assert not diagnose(network.fit(X, y)), diagnose(network)


@pytest.mark.parametrize(
    "kind, sick, remedy, words",
    [
        ("too strong a penalty", {"alpha": 1e4}, {"alpha": 0.0001}, "alpha=0.0001; or alpha=100"),
        (
            *("too strong a penalty", {"alpha": 50.0, "solver": "sgd"}),
            *({"alpha": 0.0001}, "alpha=0.0001; or alpha=0.5"),
        ),
        (
            *("too much dropout", {"dropout": 0.99}, {"dropout": 0.0}),
            "dropout=0.0; or a smaller dropout; or fewer hidden_layer_sizes",
        ),
    ],
)
def test_too_much_regularisation(parts, kind, sick, remedy, words):
    """What keeps a network close to the most frequent class is named."""
    network = classifier(2, activation="relu", **sick).fit(parts[0], parts[2])
    (finding,) = diagnose(network)
    assert finding.kind == kind and finding.parameters == remedy
    assert finding.remedy == words
    assert_remedy_helps(network, finding, parts, 0.3)


def test_dropout_of_many_layers(parts):
    """Ten layers learn little with a dropout that does one layer good: its share is not the reason.

    What is left between samples is more than dropout's noise, but separates few classes.
    """
    X_train, _, y_train, _ = parts
    plain = {"pretrainer": None, "dropout": 0.2, "random_state": 0}
    network = DBNClassifier((30,) * 10, **plain).fit(X_train, y_train)
    (finding,) = diagnose(network)
    assert finding.kind == "too much dropout" and finding.parameters == {"dropout": 0.0}
    assert finding.remedy.startswith("dropout=0.0; or a smaller dropout")
    score = finding.evidence["score of training samples"]
    assert finding.evidence["of a constant"] < score < 0.5
    assert finding.evidence["of a linear model of the first hidden layer"] > score + 0.3
    assert_remedy_helps(network, finding, parts, 0.3)


@pytest.mark.parametrize(
    "activation, mark",
    [("relu", "share of the outputs' variance not from dropout"), ("selu", "with dropout")],
)
def test_dropout_of_a_regressor(activation, mark):
    """Its noise covers what samples have of their own, or units have other means without it."""
    X, y = make_friedman1(400, noise=0.5, random_state=0)
    y = (y - y.mean()) / y.std()
    common = {"random_state": 0, "max_iter": 60, "batch_size": 32, "early_stopping": False}
    depth = 5 if activation == "relu" else 2
    network = DeepMLPRegressor((30,) * depth, activation=activation, dropout=0.5, **common)
    (finding,) = diagnose(network.fit(2 * X - 1, y))
    assert finding.kind == "too much dropout" and mark in finding.evidence
    cured = clone(network).set_params(**finding.parameters).fit(2 * X - 1, y)
    assert not diagnose(cured) and cured.score(2 * X - 1, y) > network.score(2 * X - 1, y) + 0.3


@pytest.mark.parametrize("activation, share", [("relu", 0.5), ("tanh", 0.5), ("logistic", 0.2)])
def test_dropout_that_does_no_harm(parts, activation, share):
    """It is not named in networks that learn, nor in one that has had no time to."""
    X_train, _, y_train, _ = parts
    network = classifier(2, activation=activation, dropout=share, learning_rate_init=0.003)
    assert not diagnose(network.fit(X_train, y_train)), diagnose(network)
    network.set_params(max_iter=1, learning_rate_init=1e-4).fit(X_train, y_train)
    assert "too much dropout" not in kinds(diagnose(network))


def test_dropout_is_not_why_units_are_dead_from_the_start(parts):
    """Nor why nothing is learned from weights of zero: networks without it are no better."""
    init = weights(4, 1, lambda W: -abs(W))
    network = classifier(4, activation="relu", dropout=0.1, init=init).fit(parts[0], parts[2])
    assert kinds(diagnose(network)) == ["dead units"]
    network.set_params(init="zeros").fit(parts[0], parts[2])
    assert "too much dropout" not in kinds(diagnose(network))


@pytest.mark.parametrize("held", [{"max_norm": 0.2}, {"alpha": 30.0, "solver": "adamw"}], ids=str)
def test_dropout_is_not_why_weights_are_small(parts, held):
    """Networks that a bound or a decay of their weights keeps from learning do not without it."""
    network = classifier(8, activation="tanh", dropout=0.1, **held).fit(parts[0], parts[2])
    assert np.isfinite(network._baseline.signal) and network._baseline.gain() < 0.1
    assert "too much dropout" not in kinds(diagnose(network))
    network.set_params(dropout=0.0).fit(parts[0], parts[2])
    assert network._baseline.gain() < 0.1


def test_nothing_to_learn(parts):
    """A constant y, a wrong one, and a class so rare that it is never predicted are all told of.

    None has a remedy in the parameters.
    """
    X_train, X_test, y_train, y_test = parts
    network = DeepMLPRegressor((20,), max_iter=20, random_state=0)
    finding = find("no better than a constant", diagnose(network.fit(X_train, 0 * y_train + 3.0)))
    assert "one value" in finding.remedy and finding.parameters == {}
    random = np.random.default_rng(0)
    y, y_val = random.normal(size=len(X_train)), random.normal(size=len(X_test))
    network.fit(X_train, y, X_val=X_test, y_val=y_val)
    assert diagnose(network)
    rare = (y_train == 3) & (np.arange(len(y_train)) < 60)
    labels = classifier(1, activation="relu", max_iter=20, learning_rate_init=1e-4)
    finding = find("no better than a constant", diagnose(labels.fit(X_train, rare)))
    assert finding.evidence["of a constant"] > 0.95


def test_training_that_stops_without_a_gradient_says_so(parts):
    """Where it stops since the loss no longer falls, and no gradient reaches the first layers."""
    network = classifier(8, activation="logistic", init="glorot_uniform", max_iter=100)
    diagnosis = diagnose(network.fit(parts[0], parts[2]))
    assert network.n_iter_ < 100
    assert any("almost no gradient reaches hidden 1-" in note for note in diagnosis.notes)
    network = classifier(1, activation="relu", max_iter=5).fit(parts[0], parts[2])
    assert not any("gradient" in note for note in diagnose(network).notes)


@pytest.mark.filterwarnings("ignore:Training diverged", "ignore:. is not scaled")
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_training_that_diverges_did_not_stop_for_want_of_a_gradient(scale):
    """Nor did one that was interrupted, or that goes on by calls of partial_fit."""
    random = np.random.default_rng(0)
    X, y = random.normal(size=(200, 5)), scale * random.normal(size=200)
    common = {"activation": "relu", "solver": "sgd", "learning_rate": "constant"}
    network = DeepMLPRegressor((50, 50), **common, early_stopping=False, random_state=0)
    network.set_params(learning_rate_init=1e5)
    diagnosis = diagnose(network.fit(scale * X, y))
    assert network.n_iter_ == 0 and not any("stopped" in note for note in diagnosis.notes)
    if scale == 1.0:
        assert find("diverged", diagnosis).epoch == 1
    network.set_params(learning_rate_init=1e-9, n_iter_no_change=1)
    for _ in range(5):
        network.partial_fit(X, 0 * y + 1)
    assert not any("stopped" in note for note in diagnose(network).notes)


def test_what_was_not_looked_for(parts):
    """Overfitting needs validation rows; early stopping has its own."""
    X_train, X_test, y_train, y_test = parts
    network = classifier(1, activation="relu", max_iter=3)
    (note,) = diagnose(network.fit(X_train, y_train)).notes
    assert "overfitting was not checked" in note and "X_val" in note
    assert not diagnose(network.fit(X_train, y_train, X_val=X_test, y_val=y_test)).notes
    assert not diagnose(network.set_params(early_stopping=True).fit(X_train, y_train)).notes
    assert not diagnose(network, X_train, y_train).notes


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_unstable_at_the_height_of_a_cycle(parts, activation):
    """one_cycle begins with a 25th of its rate; what is too large comes later, and is found."""
    network = classifier(3, activation=activation, learning_rate="one_cycle")
    network.set_params(learning_rate_init=1.0).fit(parts[0], parts[2])
    finding = find("unstable step size", diagnose(network))
    assert_remedy_helps(network, finding, parts, 0.1)
    healthy = clone(network).set_params(learning_rate_init=0.01).fit(parts[0], parts[2])
    assert not diagnose(healthy), diagnose(healthy)


def test_saturated_by_large_weights(parts):
    """The finding blames the weights, and the usual ones cure."""
    network = classifier(3, activation="tanh", init=5.0, learning_rate_init=0.001)
    finding = find("saturated units", diagnose(network.fit(parts[0], parts[2])))
    assert {1, 2} <= set(finding.layers)
    assert_remedy_helps(network, finding, parts, 0.3)


@pytest.mark.parametrize("layer", [1, 2])
def test_dead_from_the_start(parts, layer):
    """Units with negative weights on what is never negative: that layer, and not the one below."""
    network = classifier(4, activation="relu", init=weights(4, layer, lambda W: -abs(W)))
    finding = find("dead units", diagnose(network.fit(parts[0], parts[2])))
    assert layer in finding.layers and layer - 1 not in finding.layers
    assert finding.epoch == 0
    assert_remedy_helps(network, finding, parts, 0.3)


def test_dying(parts):
    """Adam's steps of 0.1 kill rectified units within an epoch; shorter ones do not."""
    network = classifier(3, activation="relu", learning_rate_init=0.3)
    diagnosis = diagnose(network.fit(parts[0], parts[2]))
    finding = find("dead units", diagnosis)
    assert finding.epoch == 1 and finding.evidence["dead fraction"] > 0.65
    assert find("unstable step size", diagnosis).parameters == finding.parameters
    assert_remedy_helps(network, finding, parts, 0.3)


@pytest.mark.parametrize("solver, rate", [("adam", 1e-7), ("sgd", 1e-6), ("adagrad", 1e-6)])
def test_stalled(parts, solver, rate):
    """A learning rate with which nothing moves, in any layer; before training it is foretold."""
    network = classifier(3, activation="relu", solver=solver, learning_rate_init=rate)
    assert kinds(diagnose(network, parts[0], parts[2])) == ["stalled layer"]
    finding = find("stalled layer", diagnose(network.fit(parts[0], parts[2])))
    assert finding.layers == (0, 1, 2, 3)
    assert_remedy_helps(network, finding, parts, 0.3)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_stalled_by_zeros(parts, activation):
    """Units that are zero pass no gradient on, in either direction."""
    network = classifier(3, activation=activation, init="zeros")
    assert kinds(diagnose(network, parts[0], parts[2])) == ["stalled layer"]
    diagnosis = diagnose(network.fit(parts[0], parts[2]))
    assert kinds(diagnosis) == ["stalled layer"]
    assert {0, 1, 2} <= set(diagnosis[0].layers)
    assert_remedy_helps(network, diagnosis[0], parts, 0.3)


@pytest.mark.filterwarnings("ignore:Training diverged")
@pytest.mark.parametrize("activation", ["relu", "elu", "identity"])
def test_diverged(parts, activation):
    """Numbers left their range, by steps that are too large: both are said, with one remedy."""
    network = classifier(3, activation=activation, solver="sgd", learning_rate_init=30.0)
    diagnosis = diagnose(network.fit(parts[0], parts[2]))
    assert kinds(diagnosis) == ["unstable step size", "diverged"]
    assert diagnosis[0].parameters == diagnosis[1].parameters
    assert_remedy_helps(network, diagnosis[1], parts, 0.3)


@pytest.mark.parametrize("solver, rate", [("adam", 0.5), ("rmsprop", 0.5), ("sgd", 3.0)])
def test_unstable(parts, solver, rate):
    """Steps as large as the weights; before training they are foretold."""
    network = classifier(3, activation="tanh", solver=solver, learning_rate_init=rate)
    assert kinds(diagnose(network, parts[0], parts[2])) == ["unstable step size"]
    finding = find("unstable step size", diagnose(network.fit(parts[0], parts[2])))
    assert_remedy_helps(network, finding, parts, 0.1)


def test_overfitting(parts):
    """Half of the targets are wrong, and validation rows tell what comes of learning them."""
    X_train, X_test, y_train, y_test = parts
    y_wrong = np.where(np.arange(len(y_train)) % 2, np.roll(y_train, 1), y_train)
    network = classifier(2, activation="relu", alpha=0.0, max_iter=150, n_iter_no_change=150)
    network.fit(X_train, y_wrong, X_val=X_test, y_val=y_test)
    (finding,) = diagnose(network)
    assert finding.kind == "overfitting"
    assert finding.epoch == 1 + int(np.argmin(network.validation_loss_curve_))
    cured = clone(network).set_params(**finding.parameters)
    cured.fit(X_train, y_wrong, X_val=X_test, y_val=y_test)
    assert len(diagnose(cured)) == 0
    assert cured.score(X_test, y_test) > network.score(X_test, y_test) + 0.05


@pytest.mark.parametrize("activation", ["relu", "tanh", "selu", "elu"])
@pytest.mark.parametrize("depth", [1, 3, 8])
def test_nothing_is_found_in_healthy_networks(parts, activation, depth):
    """Nor before their training, nor with another trace, nor by L-BFGS."""
    X_train, X_test, y_train, y_test = parts
    healthy = classifier(depth, activation=activation)
    assert not diagnose(healthy, X_train, y_train)
    for changes in ({}, {"trace": "batch"}, {"solver": "lbfgs", "alpha": 1.0}):
        network = clone(healthy).set_params(**changes)
        network.fit(X_train, y_train, X_val=X_test, y_val=y_test)
        assert not diagnose(network), diagnose(network)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
@pytest.mark.parametrize("solver, rate", [("adam", 0.002), ("sgd", 0.02)])
def test_nothing_is_found_in_deep_networks_with_shortcuts(parts, activation, solver, rate):
    """What passes a layer by does not vanish, explode or stall, though its own part is small."""
    X_train, X_test, y_train, y_test = parts
    network = classifier(60, activation=activation, shortcut=True, solver=solver)
    network.set_params(learning_rate_init=rate)
    assert not diagnose(network, X_train, y_train)
    network.fit(X_train, y_train)
    assert network.score(X_test, y_test) > 0.8
    assert not diagnose(network), diagnose(network)


def test_clipping_holds_what_explodes(parts):
    """Gradients that grow back over sixty layers are no disease of a network that bounds them.

    Without the bound the same rate is too large, and that is found.
    """
    X_train, X_test, y_train, y_test = parts
    network = classifier(60, activation="selu", solver="sgd", learning_rate_init=0.2)
    network.set_params(clip_norm=0.1, max_iter=100, learning_rate="one_cycle")
    assert "unstable step size" not in kinds(diagnose(network, X_train, y_train))
    network.fit(X_train, y_train)
    assert network.score(X_test, y_test) > 0.85
    assert not diagnose(network), diagnose(network)
    network.set_params(clip_norm=None)
    assert "diverged" in kinds(diagnose(network.fit(X_train, y_train)))


def test_pretrained_network(parts):
    """It is sound after training; before, it is the stack that is looked at."""
    X_train, _, y_train, _ = parts
    start = BernoulliRBMStack()
    network = DBNClassifier((30,) * 4, pretrainer=start, max_iter=20, random_state=0, **PLAIN)
    assert repr(diagnose(network, X_train, y_train)) == (
        "BernoulliRBMStack before training: nothing found"
    )
    network.set_params(pretrainer=BernoulliRBMStack(max_iter=10))
    assert not diagnose(network.fit(X_train, y_train))
    assert not diagnose(network.pretrainer_)
    assert not diagnose(FrozenEstimator(network.pretrainer_))
    frozen = DBNClassifier((30,) * 4, pretrainer=FrozenEstimator(network.pretrainer_), **PLAIN)
    assert repr(diagnose(frozen, X_train, y_train)) == (
        "DBNClassifier before training: nothing found"
    )
    frozen.set_params(max_iter=20, random_state=0, learning_rate_init=0.01, batch_size=32)
    assert not diagnose(frozen.fit(X_train, y_train))  # layers that do not learn are not sick


def test_frozen_layers_are_not_the_networks(parts):
    """Dead or saturated units of a stack are found in it; in the network nothing could be done."""
    X_train, _, y_train, _ = parts
    stack = BernoulliRBMStack((30,), max_iter=1, random_state=0).fit(X_train)
    stack.coefs_[0][:], stack.intercepts_hidden_[0][:] = 0.0, 50.0
    frozen = DBNClassifier((30,), pretrainer=FrozenEstimator(stack), **PLAIN)
    frozen.set_params(max_iter=5, random_state=0)
    trace = frozen.fit(X_train, y_train).gradient_trace_
    assert (trace.saturated_fraction[:, 0] == 1).all()
    not_its_own = {"saturated units", "dead units", "vanishing", "stalled layer"}
    assert not_its_own.isdisjoint(kinds(diagnose(frozen)))


def test_before_training_auto_is_what_it_will_be(parts):
    """The network where that is to be trained from `init`, the stack where one will start it."""
    from sk_dbn.inspection.diagnosis import _before

    X, _, y, _ = parts
    network = DBNClassifier((30,) * 4, unlabeled=-1, random_state=0)
    for labels, subject in ((y, "DBNClassifier"), (np.where(y < 3, y, -1), "BernoulliRBMStack")):
        assert repr(diagnose(network, X, labels)) == f"{subject} before training: nothing found"
    before = _before(network, X, y).parameters
    after = clone(network).set_params(max_iter=1).fit(X, y)
    for name in ("batch_size", "learning_rate", "learning_rate_init", "dropout"):
        assert before[name] == getattr(after, f"{name}_") != network.get_params()[name]


@pytest.mark.filterwarnings("ignore:Training of layer")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "sick, kind",
    [
        ({"learning_rate": 1e-7}, "stalled layer"),
        ({"learning_rate": 30.0}, "unstable step size"),
        ({"learning_rate": [30.0, 10.0]}, "unstable step size"),
        ({"init": 20.0}, "saturated units"),
    ],
)
def test_stack(parts, sick, kind):
    """Machines that learn nothing, unlearn what they had, or are sure from the start."""
    X_train, X_test, _, _ = parts
    stack = BernoulliRBMStack((40, 20), max_iter=15, random_state=0)

    def left(fitted):
        return ((X_test - fitted.reconstruct(X_test)) ** 2).sum()

    healthy = clone(stack).fit(X_train)
    assert not diagnose(healthy) and not diagnose(stack, X_train)
    ill = clone(stack).set_params(**sick).fit(X_train)
    finding = find(kind, diagnose(ill))
    cured = clone(ill).set_params(**finding.parameters).fit(X_train)
    assert kind not in kinds(diagnose(cured))
    assert left(cured) < 0.6 * left(ill)


def test_regressor():
    """Amounts are no different: deep logistic units vanish, rectified ones learn."""
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 8))
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
    params = AS_SCIKIT_LEARN[DeepMLPRegressor] | {"batch_size": 200, "init": "glorot_uniform"}
    network = DeepMLPRegressor((20,) * 8, activation="logistic", **params)
    network.set_params(max_iter=40, random_state=0)
    assert kinds(diagnose(network, X, y)) == ["vanishing"]
    finding = find("vanishing", diagnose(network.fit(X, y)))
    cured = clone(network).set_params(**finding.parameters).fit(X, y)
    assert cured.score(X, y) > network.score(X, y) + 0.3
    assert not diagnose(cured)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_linear_model_has_no_layers_to_look_at(parts, solver):
    """Nothing is found in one that learns; steps that are too small are found in any."""
    network = DBNClassifier((), solver=solver, **COMMON).fit(parts[0], parts[2])
    assert not diagnose(network)
    slow = DBNClassifier((), **(COMMON | {"learning_rate_init": 1e-8})).fit(parts[0], parts[2])
    assert kinds(diagnose(slow)) == ["stalled layer"] and diagnose(slow)[0].where == "output"


def test_the_estimator_is_left_as_it_is(parts):
    """Neither its parameters nor its weights change, fitted or not."""
    X_train, _, y_train, _ = parts
    network = classifier(2, max_iter=2)
    parameters = network.get_params()
    diagnose(network, X_train, y_train)
    assert network.get_params() == parameters and not hasattr(network, "coefs_")
    network.fit(X_train, y_train)
    W = [w.copy() for w in network.coefs_]
    diagnose(network)
    diagnose(network, X_train, y_train)
    for now, then in zip(network.coefs_, W, strict=True):
        np.testing.assert_array_equal(now, then)


def test_before_training_nothing_is_learned(parts):
    """The gradients are those of the first weights: the same as in row 0 of a real fit.

    In double precision, as 'lbfgs' works in it whatever `dtype` is.
    """
    from sk_dbn.inspection.diagnosis import _before

    X_train, _, y_train, _ = parts
    params = {"solver": "lbfgs", "early_stopping": True, "dtype": "float64"}
    network = classifier(3, activation="tanh", **params)
    history = _before(network, X_train, y_train)
    network.fit(X_train, y_train)
    for name in ("weight_norm", "weight_grad_norm", "activation_std"):
        seen, real = (getattr(t, name) for t in (history.trace, network.gradient_trace_))
        np.testing.assert_array_equal(seen[0], real[0])
    np.testing.assert_array_equal(history.trace.weight_norm[0], history.trace.weight_norm[1])


def test_kinds():
    """The problems that are looked for are the kinds that Finding documents."""
    documented = re.search(r"kind : (\{.*?\})", Finding.__doc__, re.DOTALL)[1]
    assert ast.literal_eval(documented) == {*PROBLEMS}


def test_what_cannot_be_diagnosed(parts):
    """The error says what to do."""
    X_train, _, y_train, _ = parts
    with pytest.raises(NotFittedError, match="Call 'fit', or pass X and y"):
        diagnose(DBNClassifier())
    with pytest.raises(ValueError, match="diagnose needs gradient_trace_.*trace=None"):
        diagnose(classifier(1, max_iter=1, trace=None).fit(X_train, y_train))
    with pytest.raises(TypeError, match="gradient_trace_, which PCA does not have"):
        diagnose(PCA(2).fit(X_train))
    with pytest.raises(TypeError, match=r"got PCA\.$"):
        diagnose(PCA(2), X_train, y_train)
    with pytest.raises(
        TypeError, match=r"got Pipeline; pass its last step.*, and X as that estimator"
    ):
        diagnose(make_pipeline(PCA(2), classifier(1)), X_train, y_train)
    assert isinstance(diagnose(classifier(1, trace=None), X_train, y_train), Diagnosis)
