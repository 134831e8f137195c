"""What is DBNClassifier's own: classes, pre-training, rows without labels, class weights."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.class_weight import compute_sample_weight

import sk_dbn._samples as samples
from sk_dbn import BernoulliRBMStack, DBNClassifier, WarmStart
from tests import reference
from tests.as_scikit_learn import AS_SCIKIT_LEARN

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size`"),
]


def make(**params):
    """A small classifier without pre-training, trained as scikit-learn's."""
    small = {"hidden_layer_sizes": (8, 6), "activation": "tanh", "max_iter": 6}
    small |= {"pretrainer": None, "random_state": 0, "batch_size": 32}
    return DBNClassifier(**(AS_SCIKIT_LEARN[DBNClassifier] | small | params))


def pretrained(**params):
    """A small classifier that a stack starts, quickly trained."""
    stack = BernoulliRBMStack(max_iter=3, random_state=0)
    return make(**({"activation": "logistic", "pretrainer": stack} | params))


def data(n=90, seed=0):
    """Five features in [0, 1] and three classes."""
    X = np.random.default_rng(seed).uniform(size=(n, 5))
    return X, np.digitize(X[:, 0] + X[:, 1] - X[:, 2], [0.2, 0.8])


def parameters(estimator):
    """All parameters in one vector."""
    return np.concatenate([p.ravel() for p in [*estimator.coefs_, *estimator.intercepts_]])


def assert_refused(estimator, X, y, rule, error=ValueError, method="fit", **kwargs):
    """The error, and an estimator whose attributes are those it had."""
    before = vars(estimator).copy()
    with pytest.raises(error, match=f"(?s){rule}"):
        getattr(estimator, method)(X, y, **kwargs)
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[name] is value for name, value in before.items())


# ---------------------------------------------------------------------------
# Classes and probabilities
# ---------------------------------------------------------------------------

NAMES = {
    "numbers": np.array([-3, 0, 12]),
    "floats": np.array([0.0, 1.0, 7.0]),
    "words": np.array(["ant", "bee", "cat"]),
    "objects": np.array(["ant", "bee", "cat"], dtype=object),
}


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("names", NAMES)
def test_any_labels(names, early_stopping):
    """Labels are names: the network is that of the class numbers 0, 1, 2."""
    X, y = data()
    labels = NAMES[names]
    a = make(early_stopping=early_stopping).fit(X, labels[y])
    b = make(early_stopping=early_stopping).fit(X, y)
    np.testing.assert_array_equal(parameters(a), parameters(b))
    np.testing.assert_array_equal(a.classes_, labels)
    np.testing.assert_array_equal(a.predict(X), labels[b.predict(X)])
    assert a.classes_.dtype == MLPClassifier(max_iter=1).fit(X, labels[y]).classes_.dtype
    if early_stopping:
        assert a.validation_scores_ == b.validation_scores_
        assert all(isinstance(score, float) for score in a.validation_scores_)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities(n_classes):
    """Rows are distributions, the most probable class is predicted, logarithms are logarithms."""
    X, y = data()
    estimator = make().fit(X, np.minimum(y, n_classes - 1))
    p = estimator.predict_proba(X)
    assert p.shape == (90, n_classes) and p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-15, atol=0)
    assert (p >= 0).all()
    np.testing.assert_array_equal(estimator.predict(X), estimator.classes_[p.argmax(axis=1)])
    np.testing.assert_array_equal(estimator.predict_log_proba(X), np.log(p))
    assert estimator.n_outputs_ == (1 if n_classes == 2 else 3)
    assert estimator.out_activation_ == ("logistic" if n_classes == 2 else "softmax")


def test_one_class():
    """There is nothing to learn and nothing to get wrong."""
    X, _ = data()
    estimator = make().fit(X, np.full(90, "only"))
    assert set(estimator.predict(X)) == {"only"}
    np.testing.assert_array_equal(estimator.predict_proba(X), 1)


def labels_matrix():
    """Three labels that rows may have in any combination."""
    X, y = data()
    return X, np.column_stack([y > 0, X[:, 3] > 0.5, X[:, 4] > X[:, 0]]).astype(int)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_labels_in_combination(solver):
    """Each column is a yes-or-no question of its own; more than half is a yes."""
    X, Y = labels_matrix()
    estimator = make(solver=solver, max_iter=200, learning_rate_init=0.05).fit(X, Y)
    p = estimator.predict_proba(X)
    assert p.shape == Y.shape
    np.testing.assert_array_equal(estimator.predict(X), p > 0.5)
    assert estimator.score(X, Y) > 0.9
    assert not np.allclose(p.sum(axis=1), 1)
    make(early_stopping=True).fit(X, Y).predict(X)
    by_parts = make()
    for _ in range(2):
        by_parts.partial_fit(X, Y, classes=[0, 1, 2])
    np.testing.assert_array_equal(by_parts.classes_, [0, 1, 2])


def test_sparse_labels():
    """A sparse indicator matrix is the matrix."""
    import scipy.sparse

    X, Y = labels_matrix()
    sparse = make().fit(X, scipy.sparse.csr_array(Y))
    np.testing.assert_array_equal(parameters(sparse), parameters(make().fit(X, Y)))


def test_transform_is_the_top_hidden_layer():
    """By the layers' formula, under the names of the class."""
    X, y = data()
    estimator = make(dtype="float64").fit(X, y)
    layers = estimator.coefs_[:-1], estimator.intercepts_[:-1], ["tanh", "tanh"]
    _, values = reference.forward(X, *layers)
    np.testing.assert_allclose(estimator.transform(X), values[-1], rtol=1e-10)
    names = estimator.get_feature_names_out()
    assert names.tolist() == [f"dbnclassifier{i}" for i in range(6)]
    fresh = clone(estimator)
    np.testing.assert_array_equal(fresh.fit_transform(X, y), estimator.transform(X))


def test_stratified_split():
    """Early stopping holds out each class in its proportion."""
    X, _ = data(40)
    y = np.repeat([0, 1], [30, 10])
    estimator = make(early_stopping=True, validation_fraction=0.4, max_iter=1).fit(X, y)
    # 16 held-out rows are 12 and 4: scores are sixteenths.
    assert (np.array(estimator.validation_scores_) * 16 % 1 == 0).all()


@pytest.mark.parametrize(
    "y",
    [
        np.r_[["common"] * 39, ["rare"]],
        np.r_[["a"] * 20, ["b"] * 18, ["c", "d"]],
        np.repeat(np.arange(20), 2),
        np.arange(40),
    ],
    ids=["a class of one", "several", "more classes than held-out rows", "nothing but"],
)
def test_classes_too_rare_to_hold_out(y, monkeypatch):
    """They are no error, as for MLPClassifier: one of each class at least is trained on."""
    X, _ = data(40)
    seen = []

    def look(rows, *args):
        parts = split(rows, *args)
        seen.append(parts)
        return parts

    split = samples.split
    monkeypatch.setattr(samples, "split", look)
    estimator = make(early_stopping=True, shuffle=False, max_iter=2)
    if len(np.unique(y)) == 40:
        with pytest.raises(ValueError, match="early_stopping=False"):
            estimator.fit(X, y)
        return
    estimator.fit(X, y)
    ((train, held_out),) = seen
    assert sorted([*train, *held_out]) == list(range(40)) and len(held_out) == 4
    assert set(y[train]) == set(y)
    assert len(estimator.validation_scores_) == 2


# ---------------------------------------------------------------------------
# Classes while training goes on
# ---------------------------------------------------------------------------


def test_partial_fit_knows_its_classes():
    """They are told once; a chunk may lack some of them, and none may be new."""
    X, y = data()
    estimator = make()
    assert_refused(estimator, X, y, "classes must be passed on the first", method="partial_fit")
    told = {"classes": ["c", "a", "b", "d"], "method": "partial_fit"}
    assert_refused(estimator, X, np.full(90, "e"), "not in `self.classes_`", **told)
    estimator.partial_fit(X[:3], ["a", "b", "c"], classes=["c", "a", "b", "d"])
    estimator.partial_fit(X[:1], ["d"])
    assert estimator.classes_.tolist() == list("abcd")
    assert estimator.predict_proba(X).shape == (90, 4)
    rule = "not the same as on last call"
    assert_refused(
        estimator, X[:1], ["a"], rule, method="partial_fit", classes=["a", "b", "c", "e"]
    )
    assert_refused(estimator, X[:1], ["e"], "`y` has classes not in", method="partial_fit")


@pytest.mark.parametrize(
    "y",
    [
        np.repeat([0, 1], 45),
        np.repeat([0, 1, 3], 30),
        np.repeat([0, 1, 2, 3], [30, 20, 20, 20]),
        np.repeat(["a", "b", "c"], 30),
    ],
    ids=lambda y: str(np.unique(y)),
)
def test_warm_start_needs_the_same_classes(y):
    """Fewer, other and more classes are refused; the same ones in another mix are not."""
    X, first = data()
    estimator = make(warm_start=True).fit(X, first)
    theirs = MLPClassifier((8,), warm_start=True, max_iter=1, batch_size=32).fit(X, first)
    with pytest.raises(ValueError) as error:
        theirs.fit(X, y)
    assert_refused(estimator, X, y, f"^{re.escape(str(error.value))}$")
    estimator.fit(X, np.repeat([0, 1, 2], [20, 20, 50]))


def test_the_form_of_labels_stays():
    """From labels to indicator matrices, or back, is another problem."""
    X, y = data()
    _, Y = labels_matrix()
    assert_refused(make(warm_start=True).fit(X, y), X, Y, "y must have one label per sample")
    assert_refused(make(warm_start=True).fit(X, Y), X, y, "y must have 3 columns")
    assert_refused(make().fit(X, y), X, Y, "y must have one label per sample", method="partial_fit")


@pytest.mark.parametrize(
    ("y", "rule"),
    [
        (np.linspace(0, 1, 90), "Unknown label type"),
        (np.arange(180).reshape(90, 2), "MultiOutputClassifier|Unknown label type|multioutput"),
        (np.r_[np.nan, np.zeros(89)], "NaN"),
    ],
    ids=["continuous", "several classes a row", "NaN"],
)
def test_what_is_not_a_class(y, rule):
    """Continuous targets and several multi-class outputs are refused."""
    assert_refused(make(), data()[0], y, rule)


# ---------------------------------------------------------------------------
# Class weights
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.5, 1: 0.5}, {0: 1, 1: 2.5, 2: 3}])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_class_weights_are_sample_weights(class_weight, solver):
    """Of a class's rows; a class that a dict does not mention weighs 1."""
    X, y = data()
    weighted = make(class_weight=class_weight, solver=solver).fit(X, y)
    w = compute_sample_weight(class_weight, y)
    by_hand = make(solver=solver).fit(X, y, sample_weight=w)
    np.testing.assert_array_equal(parameters(weighted), parameters(by_hand))


def test_class_weights_and_sample_weights_multiply():
    """The factor of a loss is their product."""
    X, y = data()
    w = np.random.default_rng(0).uniform(0.5, 2, 90)
    both = make(class_weight={0: 3.0}).fit(X, y, sample_weight=w)
    by_hand = make().fit(X, y, sample_weight=np.where(y == 0, 3.0, 1.0) * w)
    np.testing.assert_array_equal(parameters(both), parameters(by_hand))


def test_balanced_counts_repetitions():
    """So whole weights remain the same as listing rows again."""
    X, y = data()
    w = np.random.default_rng(0).integers(0, 4, 90)
    weighted = make(class_weight="balanced").fit(X, y, sample_weight=w)
    repeated = make(class_weight="balanced").fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_array_equal(parameters(weighted), parameters(repeated))


def test_class_weight_of_zero_is_absence():
    """Minibatches of such rows alone would have no weight to divide by."""
    X, y = data()
    weighted = make(class_weight={0: 0, 1: 1.5, 2: 1.5}, batch_size=1).fit(X, y)
    assert np.isfinite(parameters(weighted)).all()
    present = y > 0
    w = np.full(present.sum(), 1.5)
    binary = make(batch_size=1).partial_fit(X[present], y[present], w, classes=[0, 1, 2])
    for _ in range(5):
        binary.partial_fit(X[present], y[present], w)
    np.testing.assert_array_equal(parameters(weighted), parameters(binary))


def test_class_weights_of_labels():
    """A list of dicts, one a column: a row's factors multiply."""
    X, Y = labels_matrix()
    class_weight = [{0: 1, 1: 2.5}, {0: 0.5, 1: 1}, {0: 1, 1: 1}]
    weighted = make(class_weight=class_weight).fit(X, Y)
    w = np.where(Y[:, 0] == 1, 2.5, 1) * np.where(Y[:, 1] == 0, 0.5, 1)
    by_hand = make().fit(X, Y, sample_weight=w)
    np.testing.assert_array_equal(parameters(weighted), parameters(by_hand))
    make(class_weight="balanced").fit(X, Y)


def test_class_weights_of_a_chunk():
    """A dict weighs the classes that are there, whichever they are; 'balanced' needs all rows."""
    X, y = data()
    a, b = make(class_weight={0: 2.5, 1: 0.5}), make()
    for rows in (y != 1, y != 0, y == 2):
        w = np.array([2.5, 0.5, 1.0])[y[rows]]
        a.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        b.partial_fit(X[rows], y[rows], w, classes=[0, 1, 2])
    np.testing.assert_allclose(parameters(a), parameters(b), rtol=1e-5, atol=1e-6)
    rule = "class_weight='balanced' is not supported by partial_fit"
    balanced = make(class_weight="balanced")
    assert_refused(balanced, X, y, rule, method="partial_fit", classes=[0, 1, 2])


@pytest.mark.parametrize(
    ("class_weight", "rule"),
    [
        ("heavy", "'class_weight' .* 'heavy'"),
        ({"a": 1}, "not in class_weight"),
        ({0: -1}, "class_weight must be finite and at least 0"),
        ({0: np.inf}, "class_weight must be finite"),
        ({0: 0, 1: 0, 2: 0}, "leave no sample with a label"),
        ([{0: 1}], "class_weight"),
    ],
    ids=str,
)
def test_bad_class_weights(class_weight, rule):
    """Unknown names and classes, negative numbers, and weights that leave nothing."""
    X, y = data()
    assert_refused(make(class_weight=class_weight), X, y, rule)


# ---------------------------------------------------------------------------
# Label smoothing
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["two classes", "three classes", "labels"])
def test_smoothed_labels_are_what_is_learnt(target):
    """Rows of a kind are predicted as the smoothed target, where the loss has its minimum.

    Of k classes the true one has 1 - s + s / k; of a label that is set 1 - s / 2.
    """
    X = np.repeat(np.eye(3), 5, axis=0)
    y = {
        "two classes": X[:, 0].astype(int),
        "three classes": X.argmax(axis=1),
        "labels": X.astype(int),
    }[target]
    net = make(label_smoothing=0.3, hidden_layer_sizes=(), solver="lbfgs", alpha=0.0)
    net.set_params(max_iter=1000, tol=1e-9, dtype="float64").fit(X, y)
    k = 3 if target == "three classes" else 2
    truth = np.column_stack([1 - y, y]) if target == "two classes" else X
    expected = 0.7 * truth + 0.3 / k
    np.testing.assert_allclose(net.predict_proba(X), expected, atol=1e-3)
    np.testing.assert_array_equal(net.predict(X), y)


@pytest.mark.parametrize("target", ["two classes", "three classes", "labels"])
def test_reported_losses_are_those_of_smoothed_labels(target):
    """Of training and validation rows: what is minimised is what is shown."""
    X, y = data()
    y = {"two classes": y > 0, "three classes": y, "labels": np.eye(3, dtype=int)[y]}[target]
    net = make(label_smoothing=0.2, dtype="float64", alpha=0.0, max_iter=1, batch_size=90)
    net.fit(X, y, X_val=X, y_val=y)
    loss = "log_loss" if target == "three classes" else "binary_log_loss"
    p, truth = net.predict_proba(X), y.reshape(len(y), -1)
    p = p[:, 1:] if target == "two classes" else p
    expected = reference.row_losses(loss, p, truth, 0.2).mean()
    assert net.validation_loss_curve_ == [pytest.approx(expected)]
    net.set_params(warm_start=True, learning_rate_init=1e-30).fit(X, y)
    assert net.loss_ == pytest.approx(expected)


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0, None])
def test_smoothing_is_a_share(label_smoothing):
    """With 1 nothing would be left of the labels."""
    X, y = data()
    rule = f"'label_smoothing' parameter .* Got {label_smoothing}"
    assert_refused(make(label_smoothing=label_smoothing), X, y, rule)


# ---------------------------------------------------------------------------
# Validation rows and rows without labels
# ---------------------------------------------------------------------------


def test_validation_labels_must_be_known():
    """A class that training does not have cannot be scored."""
    X, y = data()
    assert_refused(make(), X, y, "`y_val` has classes not in", X_val=X[:3], y_val=[0, 1, 7])


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("labels", [np.array([0, 1, 2, -1]), np.array(["a", "b", "c", "?"])])
def test_rows_without_labels_are_left_out(labels, shuffle):
    """Without a stack the network is that of the other rows."""
    X, y = data()
    missing = np.random.default_rng(0).uniform(size=90) < 0.5
    partly = make(unlabeled=labels[-1], shuffle=shuffle)
    partly.fit(X, np.where(missing, labels[-1], labels[y]))
    rest = make(shuffle=shuffle).fit(X[~missing], labels[y[~missing]])
    np.testing.assert_array_equal(partly.classes_, labels[:3])
    np.testing.assert_array_equal(parameters(partly), parameters(rest))
    assert partly.t_ == 6 * (~missing).sum()


def test_rows_without_labels_pre_train():
    """The stack is that of all rows, and the network goes on from it with the labelled ones."""
    X, y = data()
    y = np.where(np.arange(90) % 3 == 0, y, -1)
    estimator = pretrained(unlabeled=-1).fit(X, y)
    few = pretrained().fit(X[y >= 0], y[y >= 0])
    assert not np.array_equal(estimator.pretrainer_.coefs_[0], few.pretrainer_.coefs_[0])
    labelled = y >= 0
    started = make(pretrainer=WarmStart(estimator.pretrainer_), activation="logistic")
    started.fit(X[labelled], y[labelled])
    np.testing.assert_array_equal(parameters(started), parameters(estimator))


def test_rows_of_several_labels_may_have_none():
    """A row of an indicator matrix lacks labels where all of them say so."""
    X, Y = labels_matrix()
    Y[::2] = -1
    partly = make(unlabeled=-1).fit(X, Y)
    np.testing.assert_array_equal(parameters(partly), parameters(make().fit(X[1::2], Y[1::2])))


def test_no_label_at_all():
    """That is for a stack."""
    X, _ = data()
    rule = "every label in y equals unlabeled=-1.*BernoulliRBMStack"
    assert_refused(make(unlabeled=-1), X, np.full(90, -1), rule)


def test_validation_rows_without_a_label_are_left_out():
    """As they are of the score; where no row has one, that is an error of y_val."""
    X, y = data()
    y_few = np.where(np.arange(90) % 3 == 0, y, -1)
    labelled = y_few != -1
    all_rows = make(unlabeled=-1).fit(X, y, X_val=X, y_val=y_few)
    some = make(unlabeled=-1).fit(X, y, X_val=X[labelled], y_val=y[labelled])
    assert all_rows.validation_scores_ == some.validation_scores_
    assert all_rows.validation_loss_curve_ == some.validation_loss_curve_
    rule = "every label in y_val equals unlabeled=-1; give labels"
    assert_refused(make(unlabeled=-1), X, y, rule, X_val=X, y_val=np.full(90, -1))


def few_labels(name=-1):
    """Every third row has a label, which is a string where that of the others is."""
    X, y = data()
    labels = np.array(["a", "b", "c"])[y] if isinstance(name, str) else y
    return X, labels, np.where(np.arange(90) % 3 == 0, labels, name)


@pytest.mark.parametrize("name", [-1, "?"])
def test_score_looks_at_labelled_rows_only(name):
    """A row without a label is neither right nor wrong: the score is that of the others."""
    X, y, y_few = few_labels(name)
    estimator, w = make(unlabeled=name).fit(X, y_few), np.arange(90.0)
    rows = y_few != name
    expected = make().fit(X[rows], y[rows])
    for scored in (y_few, list(y_few), y_few.reshape(-1, 1)):
        assert estimator.score(X, scored) == expected.score(X[rows], y[rows])
    assert estimator.score(X, y_few, w) == expected.score(X[rows], y[rows], w[rows])
    assert estimator.score(X, y) == expected.score(X, y)
    with pytest.raises(ValueError, match=f"every label in y equals unlabeled={name!r}"):
        estimator.score(X[~rows], y_few[~rows])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.score(X[1:], y_few)


def test_score_of_rows_with_several_labels():
    """As in training, a row of an indicator matrix lacks labels where all of them say so."""
    X, Y = labels_matrix()
    Y_few = Y.copy()
    Y_few[::2] = -1
    estimator = make(unlabeled=-1).fit(X, Y_few)
    assert estimator.score(X, Y_few) == make().fit(X[1::2], Y[1::2]).score(X[1::2], Y[1::2])
    assert estimator.score(X, Y_few) > 0


def test_default_scoring_of_cross_validation_looks_at_labelled_rows():
    """It calls `score`, so candidates are compared by what is known."""
    X, _, y = few_labels()
    estimator, cv = make(unlabeled=-1), KFold(3)
    expected = []
    for train, test in cv.split(X):
        test = test[y[test] >= 0]
        expected.append(clone(estimator).fit(X[train], y[train]).score(X[test], y[test]))
    np.testing.assert_array_equal(cross_val_score(estimator, X, y, cv=cv), expected)
    search = GridSearchCV(estimator, {"alpha": [0.0001]}, cv=cv).fit(X, y)
    assert search.best_score_ == pytest.approx(np.mean(expected))
    by_labelled = search.score(X[y >= 0], y[y >= 0])
    assert search.score(X, y) == by_labelled


def test_splits_of_the_labelled_rows_serve_any_scorer():
    """The guide's recipe: every unlabelled row trains in each split and none is tested."""
    X, _, y = few_labels()
    labelled, rest = np.flatnonzero(y >= 0), np.flatnonzero(y < 0)
    splits = [
        (np.r_[labelled[train], rest], labelled[test])
        for train, test in StratifiedKFold(2).split(X[labelled], y[labelled])
    ]
    for scoring in ("accuracy", "neg_log_loss", "roc_auc_ovr"):
        scores = cross_val_score(make(unlabeled=-1), X, y, cv=splits, scoring=scoring)
        assert np.isfinite(scores).all()
    default = cross_val_score(make(unlabeled=-1), X, y, cv=splits)
    accuracy = cross_val_score(make(unlabeled=-1), X, y, cv=splits, scoring="accuracy")
    np.testing.assert_array_equal(default, accuracy)


def test_minus_one_is_a_class_by_default():
    """Nothing is special unless `unlabeled` says so."""
    X, y = data()
    assert make().fit(X, y - 1).classes_.tolist() == [-1, 0, 1]


# ---------------------------------------------------------------------------
# Pre-training
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_layers_start_as_the_stacks(activation):
    """An update too small to change a float leaves the hidden layers as the stack had them."""
    X, y = data()
    estimator = pretrained(activation=activation, learning_rate_init=1e-30, max_iter=1).fit(X, y)
    stack = estimator.pretrainer_
    assert stack.get_params()["activation"] == activation
    for W, b, V, c in zip(
        estimator.coefs_, estimator.intercepts_, stack.coefs_, stack.intercepts_hidden_
    ):
        np.testing.assert_array_equal(W, V)
        np.testing.assert_array_equal(b, c)
        assert not np.shares_memory(W, V)
    np.testing.assert_allclose(estimator.transform(X), stack.transform(X), atol=1e-6)


def test_the_default_is_a_stack_with_its_defaults():
    """'auto' stands for BernoulliRBMStack(); sizes, activation and dtype are the network's."""
    X, _, y = few_labels()
    params = {"unlabeled": -1, "activation": "logistic", "dtype": "float64"}
    estimator = make(pretrainer="auto", **params).fit(X, y)
    own = {"hidden_layer_sizes": (8, 6), "dtype": "float64"}
    expected = BernoulliRBMStack(**own).get_params()
    mine = estimator.pretrainer_.get_params()
    assert {k for k in expected if mine[k] != expected[k]} == {"random_state"}
    seed = mine["random_state"]
    same = make(pretrainer=BernoulliRBMStack(random_state=seed), **params)
    same.set_params(random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(
        same.fit(X, y).pretrainer_.coefs_[0], estimator.pretrainer_.coefs_[0]
    )


def test_the_given_stack_is_cloned():
    """It stays unfitted, with the parameters that it had."""
    X, y = data()
    stack = BernoulliRBMStack((3,), max_iter=2)
    before = vars(stack).copy()
    estimator = pretrained(pretrainer=stack).fit(X, y)
    assert vars(stack) == before
    assert estimator.pretrainer_ is not stack
    assert make().fit(X, y).pretrainer_ is None


def test_none_is_no_pre_training():
    """The layers start from `init`, and the stack's activations are no limit."""
    X, y = data()
    make(activation="relu").fit(X, y)
    assert make().fit(X, y).pretrainer_ is None


def test_init_starts_the_machines_and_the_output_layer():
    """Machines of zeros and an update of nothing leave zeros; the last array is the output's."""
    X, y = data()
    stack = BernoulliRBMStack(max_iter=1, learning_rate=1e-30, random_state=0)
    arrays = [np.full((5, 8), 0.25), np.full((8, 6), -0.5), np.full((6, 3), 0.125)]
    estimator = pretrained(pretrainer=stack, init=arrays, learning_rate_init=1e-30, max_iter=1)
    for W, given in zip(estimator.fit(X, y).coefs_, arrays):
        np.testing.assert_allclose(W, given, rtol=1e-6)


def test_parameters_of_the_stack_are_searchable():
    """By their names behind ``pretrainer__``, and they arrive."""
    X, y = data()
    grid = {"pretrainer__learning_rate": [0.01, 0.2], "pretrainer__n_gibbs_steps": [2]}
    search = GridSearchCV(pretrained(max_iter=2), grid, cv=2).fit(X, y)
    best = search.best_params_["pretrainer__learning_rate"]
    assert search.best_estimator_.pretrainer_.learning_rate == best
    assert search.best_estimator_.pretrainer_.n_gibbs_steps == 2
    estimator = pretrained().set_params(pretrainer__max_iter=1).fit(X, y)
    assert list(estimator.pretrainer_.n_iter_) == [1, 1]
    over_forms = {"pretrainer": ["auto", None, BernoulliRBMStack(max_iter=1)]}
    GridSearchCV(pretrained(max_iter=2), over_forms, cv=2).fit(X, y)


@pytest.mark.parametrize("visible", ["auto", "gaussian"])
def test_standardised_input_is_standardised_in_prediction(visible):
    """What a stack of Gaussian units does to X in training is done to every X after it.

    So the units in which X is given do not matter, where powers of two rescale it exactly.
    """
    X, y = data()
    X = 10 * X - 3
    stack = BernoulliRBMStack(visible=visible, max_iter=3, random_state=0)
    a = pretrained(pretrainer=stack, dtype="float64").fit(X, y)
    assert a.pretrainer_.visible_ == "gaussian"
    np.testing.assert_allclose(a.pretrainer_.visible_mean_, X.mean(axis=0))
    Z = (X - a.pretrainer_.visible_mean_) / a.pretrainer_.visible_scale_
    layers = a.coefs_, a.intercepts_, ["logistic", "logistic", "softmax"]
    _, values = reference.forward(Z, *layers)
    np.testing.assert_allclose(a.predict_proba(X), values[-1], rtol=1e-8)
    np.testing.assert_allclose(a.transform(X), values[-2], rtol=1e-8)
    b = pretrained(pretrainer=stack, dtype="float64").fit(X, y, X_val=X, y_val=y)
    assert b.validation_scores_[-1] == b.score(X, y)


def mixed_data():
    """Three classes by two numbers and three dummies; and data beyond any of them."""
    X, y = data()
    X = np.c_[10 * X[:, :2] - 3, X[:, 2:5] > np.median(X[:, 2:5], axis=0)]
    return X, y, np.r_[3 * X, -X]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_dummies_beside_numbers_are_read_in_prediction_as_in_training(solver):
    """Numbers standardised, dummies as they are, and only these clipped to [0, 1]."""
    X, y, others = mixed_data()
    stack = BernoulliRBMStack(max_iter=3, random_state=0)
    a = pretrained(pretrainer=stack, dtype="float64", solver=solver).fit(X, y)
    kinds = ["gaussian"] * 2 + ["bernoulli"] * 3
    np.testing.assert_array_equal(a.pretrainer_.visible_, kinds)
    v = (others - a.pretrainer_.visible_mean_) / a.pretrainer_.visible_scale_
    v[:, 2:] = np.clip(v[:, 2:], 0, 1)
    layers = a.coefs_, a.intercepts_, ["logistic", "logistic", "softmax"]
    _, values = reference.forward(v, *layers)
    np.testing.assert_allclose(a.predict_proba(others), values[-1], rtol=1e-8)
    given = BernoulliRBMStack(max_iter=3, random_state=0, visible=kinds)
    b = clone(a).set_params(pretrainer=given).fit(X, y)
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    a.partial_fit(X, y) if solver == "adam" else a.fit(X, y)


def test_pre_training_warns_of_features_by_their_names():
    """The stack inside a network knows what the network's features are called."""
    X, y, _ = mixed_data()
    frame = pd.DataFrame(X, columns=["age", "pay", "red", "green", "blue"])
    stack = BernoulliRBMStack(visible=["bernoulli"] * 5, max_iter=1)
    with pytest.warns(UserWarning, match="in features 'age', 'pay', but"):
        fitted = pretrained(pretrainer=stack).fit(frame, y)
    assert fitted.pretrainer_.feature_names_in_.tolist() == frame.columns.tolist()


def test_a_fitted_stack_is_a_start_that_stays_as_it_is():
    """Its layers start the network, it is not trained again, and it serves many networks."""
    X, y = data()
    stack = BernoulliRBMStack((8, 6), max_iter=3, random_state=0).fit(X)
    before = [W.copy() for W in stack.coefs_]
    tiny = {"learning_rate_init": 1e-30, "max_iter": 1, "activation": "logistic"}
    estimator = make(pretrainer=WarmStart(stack), **tiny).fit(X[:40], y[:40])
    for W, V in zip(estimator.coefs_, before):
        np.testing.assert_array_equal(W, V)
    assert estimator.pretrainer_ is stack
    trained = make(pretrainer=WarmStart(stack), activation="logistic", max_iter=20)
    trained.fit(X, y)
    assert not np.array_equal(trained.coefs_[0], before[0])
    for W, V in zip(stack.coefs_, before):
        np.testing.assert_array_equal(W, V)


def test_a_frozen_stack_must_fit():
    """What is wrong with it is said before anything is changed; each error in test_pretraining."""
    X, y = data()
    frozen = FrozenEstimator(BernoulliRBMStack((8,), max_iter=1, random_state=0).fit(X))
    rule = r"hidden_layer_sizes must be those .* \(8,\), got \(8, 6\)"
    assert_refused(make(activation="logistic", pretrainer=frozen), X, y, rule)


@pytest.mark.parametrize("wrapper", [None, WarmStart, FrozenEstimator])
def test_relu_is_pre_trained(wrapper):
    """From the stack's layers, of standardised features over their variances.

    Until fine-tuning moves them, the hidden layers are the stack's own features; afterwards the
    first layer acts on (X - visible_mean_) / visible_scale_ as it did.
    """
    X, y = data()
    X = 20 * X - 7
    stack = BernoulliRBMStack((8, 6), activation="relu", max_iter=5, random_state=0)
    pretrainer = wrapper(stack.fit(X)) if wrapper else stack
    settings = {"activation": "relu", "pretrainer": pretrainer, "dtype": "float64"}
    if wrapper:
        stack.set_params(dtype="float64").fit(X)
    still = make(**settings, max_iter=1, solver="sgd", learning_rate_init=1e-12).fit(X, y)
    assert still.pretrainer_.visible_ == "gaussian"
    assert (still.pretrainer_.visible_variance_ < 1).any()
    np.testing.assert_allclose(still.transform(X), still.pretrainer_.transform(X), atol=1e-9)
    assert still.transform(X).max() > 0
    a = make(**settings, max_iter=30).fit(X, y)
    h = (X - a.pretrainer_.visible_mean_) / a.pretrainer_.visible_scale_
    for W, b in zip(a.coefs_[:-1], a.intercepts_[:-1], strict=True):
        h = np.maximum(h @ W + b, 0)
    np.testing.assert_allclose(a.transform(X), h, rtol=1e-9, atol=1e-9)
    p = np.exp(h @ a.coefs_[-1] + a.intercepts_[-1])
    np.testing.assert_allclose(a.predict_proba(X), p / p.sum(axis=1, keepdims=True), rtol=1e-9)
    assert (a.coefs_[0] != still.coefs_[0]).any() == (wrapper is not FrozenEstimator)


@pytest.mark.parametrize(
    ("params", "is_pretrained"),
    [
        ({}, True),
        ({"activation": "relu"}, True),
        ({"activation": ["tanh", "tanh"]}, True),
        ({"activation": "selu"}, False),
        ({"activation": ["tanh", "logistic"]}, False),
        ({"shortcut": True}, False),
        ({"hidden_layer_sizes": ()}, False),
    ],
)
def test_auto_pre_trains_where_a_stack_is_possible(params, is_pretrained):
    """And is no error elsewhere, where to ask for a stack is one: it is the default of searches."""
    X, _, y = few_labels()
    settings = {"hidden_layer_sizes": (8, 6), "max_iter": 2, "random_state": 0, **params}
    settings["unlabeled"] = -1
    estimator = DBNClassifier(**settings).fit(X, y)
    assert (estimator.pretrainer_ is not None) == is_pretrained
    explicit = DBNClassifier(**settings, pretrainer=BernoulliRBMStack())
    if is_pretrained:
        np.testing.assert_array_equal(parameters(explicit.fit(X, y)), parameters(estimator))
    else:
        assert_refused(explicit, X, y, "set pretrainer=None|pretrainer must be None")


@pytest.mark.parametrize(("n_labelled", "is_pretrained"), [(90, False), (45, False), (44, True)])
def test_auto_pre_trains_where_most_samples_have_no_label(n_labelled, is_pretrained):
    """More than half; in other cases the network is, bit by bit, that without a stack."""
    X, y = data()
    y = np.where(np.arange(90) < n_labelled, y, -1)
    settings = {"hidden_layer_sizes": (8, 6), "max_iter": 2, "random_state": 0, "unlabeled": -1}
    estimator = DBNClassifier(**settings).fit(X, y)
    assert (estimator.pretrainer_ is not None) == is_pretrained
    without = DBNClassifier(**settings, pretrainer=None).fit(X, y)
    assert np.array_equal(parameters(without), parameters(estimator)) != is_pretrained


def test_auto_counts_samples_as_often_as_they_weigh():
    """A weight of two is the same as listing a sample twice, and one of zero as leaving it out."""
    X, y = data()
    settings = {"hidden_layer_sizes": (8, 6), "max_iter": 2, "random_state": 0, "unlabeled": -1}
    y = np.where(np.arange(90) < 50, y, -1)
    for w in (np.where(y == -1, 2, 1), np.where(np.arange(90) < 20, 0, 1)):
        weighted = DBNClassifier(**settings).fit(X, y, sample_weight=w)
        listed = DBNClassifier(**settings).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
        assert weighted.pretrainer_ is not None
        np.testing.assert_array_equal(parameters(weighted), parameters(listed))


def test_a_search_over_activations_never_fails():
    """With the default pretrainer, over what a stack has and what it has not."""
    X, y = data()
    grid = {
        "activation": ["logistic", "selu", ["tanh", "relu"]],
        "shortcut": [False, True],
        "pretrainer": ["auto", None],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(DBNClassifier((4, 4), max_iter=1), grid, cv=2, error_score="raise")
        assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("pretrainer", ["auto", None])
def test_parameters_of_a_stack_need_a_stack(pretrainer):
    """The error says what to set, nothing changes, and with a stack in the same call it works."""
    estimator = DBNClassifier(pretrainer=pretrainer)
    before = estimator.get_params()
    with pytest.raises(ValueError, match=r"pretrainer__max_iter .*set pretrainer=BernoulliRBMSta"):
        estimator.set_params(pretrainer__max_iter=3, alpha=1.0)
    assert estimator.get_params() == before
    estimator.set_params(pretrainer__max_iter=3, pretrainer=BernoulliRBMStack())
    assert clone(estimator).pretrainer.max_iter == 3


def test_a_fitted_stack_that_is_trained_again_is_a_warning():
    """It names what would keep what the stack has learned; a clone is no misunderstanding."""
    X, y = data()
    stack = BernoulliRBMStack((8, 6), max_iter=1).fit(X)
    with pytest.warns(UserWarning, match=r"FrozenEstimator\(stack\).*WarmStart\(stack\)"):
        pretrained(pretrainer=stack).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        pretrained(pretrainer=clone(stack)).fit(X, y).fit(X, y)


def test_an_error_of_the_stack_changes_nothing():
    """Its parameters are checked when it is about to be trained."""
    X, y = data()
    for estimator in (pretrained(), pretrained().fit(X, y)):
        estimator.set_params(pretrainer__batch_size=0)
        assert_refused(estimator, X, y, "'batch_size'")


def test_partial_fit_pre_trains_once():
    """On the rows of the first call; later calls fine-tune."""
    X, y = data()
    estimator = pretrained().partial_fit(X, y, classes=[0, 1, 2])
    stack = estimator.pretrainer_
    estimator.partial_fit(X, y)
    assert estimator.pretrainer_ is stack
    fitted = pretrained(max_iter=2, tol=0).fit(X, y)
    np.testing.assert_array_equal(parameters(estimator), parameters(fitted))


def test_threads_do_not_change_a_pretrained_network():
    """Pre-training and fine-tuning give the same bits for every n_jobs."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(500, 90))
    y = X[:, 0] > X[:, 1]
    one, two = (
        pretrained(hidden_layer_sizes=(120, 80), batch_size=200, n_jobs=n, max_iter=3).fit(X, y)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(parameters(one), parameters(two))


# ---------------------------------------------------------------------------
# What it is for
# ---------------------------------------------------------------------------


SEEDS = (42, 0, 1, 2, 3, 4)


def scores_on_the_parabola(Estimator, seeds, **params):
    """Training accuracies on the data of scikit-learn's issue 31235, one for each random_state.

    500 points of the unit square, above or below a parabola, and hidden layers of 20 and 20
    logistic units. The issue's data come from seed 1, its network from seed 42.
    """
    X = np.random.RandomState(1).random_sample((500, 2))
    y = (X[:, 0] + (2 * (X[:, 1] - 0.5)) ** 2 >= 0.75).astype(int)
    params |= {"hidden_layer_sizes": (20, 20), "activation": "logistic"}
    fitted = [Estimator(random_state=seed, **params).fit(X, y) for seed in seeds]
    return np.array([len(set(e.predict(X))) for e in fitted]), np.array(
        [e.score(X, y) for e in fitted]
    )


def test_learns_where_the_same_network_predicts_a_constant():
    """Logistic units in [0, 1] add a large constant to the layer above, and training stalls.

    With everything left as it is, MLPClassifier answers with the larger class for the first
    seed and most others. Layers that start as Boltzmann machines do better with most.
    """
    n_theirs, theirs = scores_on_the_parabola(MLPClassifier, SEEDS)
    n_mine, mine = scores_on_the_parabola(DBNClassifier, SEEDS)
    assert n_theirs[0] == 1 and n_mine[0] == 2
    assert np.median(mine) > np.median(theirs) + 0.1


def test_learns_a_curve_where_the_same_network_finds_a_line():
    """With a larger rate both move; only curves get beyond 0.76, which is the best line's share."""
    _, theirs = scores_on_the_parabola(MLPClassifier, SEEDS, learning_rate_init=0.01)
    _, mine = scores_on_the_parabola(DBNClassifier, SEEDS, learning_rate_init=0.01)
    assert mine.mean() > theirs.mean() + 0.05
    assert mine.max() > 0.9 > theirs.max()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("is_default", [False, True])
def test_pre_training_is_a_head_start(is_default, seed):
    """On digits of which 100 have labels: after as many epochs the pre-trained network is ahead.

    By 0.03 where both are trained slowly, from Glorot's weights; and still by something where both
    are trained as well as the defaults know, with two layers and the guide's settings for features.
    With one layer and a default stack, there is no difference but chance.
    """
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=seed)
    y_train = np.where(np.arange(len(y_train)) < 100, y_train, -1)
    params = {"unlabeled": -1, "max_iter": 100, "random_state": seed}
    sizes, stack = (100,), BernoulliRBMStack(random_state=seed)
    if is_default:
        sizes, stack = (100, 50), stack.set_params(annealing=0.5, sparsity_target=0.1)
    else:
        params |= AS_SCIKIT_LEARN[DBNClassifier] | {"batch_size": 100}
    scores = [
        DBNClassifier(sizes, pretrainer=start, init=init, **params)
        .fit(X_train, y_train)
        .score(X_test, y_test)
        for start, init in ((stack, "auto"), (None, "auto" if is_default else "glorot_uniform"))
    ]
    assert scores[0] > scores[1] + (0.0 if is_default else 0.03)


# ---------------------------------------------------------------------------
# In scikit-learn's company
# ---------------------------------------------------------------------------


def test_pandas_in_pandas_out():
    """Features have names on both sides."""
    pd = pytest.importorskip("pandas")
    X, y = data()
    frame = pd.DataFrame(X, columns=list("abcde"))
    estimator = pretrained().set_output(transform="pandas").fit(frame, pd.Series(y))
    out = estimator.transform(frame)
    assert out.columns.tolist() == [f"dbnclassifier{i}" for i in range(6)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        estimator.predict(frame)
        estimator.score(frame, y)


def test_as_a_step_of_a_pipeline():
    """Scaled before, and its top layer classified after, with sample weights by routing."""
    X, y = data()
    pipe = make_pipeline(MinMaxScaler(), pretrained(), LogisticRegression())
    assert pipe.fit(X * 9, y).predict_proba(X * 9).shape == (90, 3)
    with sklearn.config_context(enable_metadata_routing=True):
        dbn = pretrained().set_fit_request(sample_weight=True)
        pipe = make_pipeline(MinMaxScaler(), dbn).fit(X, y, sample_weight=np.ones(90))
    assert pipe.score(X, y) >= 0


def test_calibrated():
    """Cross-validated calibration, and calibration of a frozen classifier."""
    X, y = data()
    estimator = make().fit(X, y)
    for base, cv in ((make(), 2), (FrozenEstimator(estimator), None)):
        p = CalibratedClassifierCV(base, cv=cv).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(p.sum(axis=1), 1)


def test_features_are_selected_by_a_stack():
    """SelectFromModel reads the importances of the stack that pre-trained the network."""
    from sklearn.feature_selection import SelectFromModel

    X, y = data()
    stack = pretrained().fit(X, y).pretrainer_
    selector = SelectFromModel(stack, prefit=True, max_features=2, threshold=-np.inf)
    assert selector.transform(X).shape == (90, 2)


def test_a_pretrained_network_survives_pickling():
    """With its stack, whose standardisation prediction needs."""
    import pickle

    X, y = data()
    estimator = pretrained().fit(10 * X, y)
    twin = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(twin.predict_proba(10 * X), estimator.predict_proba(10 * X))
    np.testing.assert_array_equal(
        parameters(twin.partial_fit(10 * X, y)), parameters(estimator.partial_fit(10 * X, y))
    )


def test_warns_once_that_it_has_not_converged():
    """The warning speaks of fine-tuning; pre-training has a fixed number of epochs."""
    X, y = data()
    with pytest.warns(ConvergenceWarning) as record:
        pretrained().fit(X, y)
    assert [w.category for w in record] == [ConvergenceWarning]


def test_multilabel_targets_are_zeros_and_ones():
    """The binary log loss means probabilities of 0 and 1; other codes would train nonsense."""
    X = np.random.RandomState(0).uniform(size=(12, 3))
    Y = np.tile([[0, 1], [1, 0], [1, 1]], (4, 1))
    net = DBNClassifier((3,), pretrainer=None, max_iter=1)
    with pytest.raises(ValueError, match="only zeros and ones"):
        net.fit(X, 2 * Y)
    net.partial_fit(X, Y, classes=[0, 1])
    before = net.predict_proba(X)
    with pytest.raises(ValueError, match="only zeros and ones"):
        net.partial_fit(X, 2 * Y)
    assert np.array_equal(net.predict_proba(X), before)


@pytest.mark.parametrize("wrapper", [WarmStart, FrozenEstimator])
def test_refitting_a_fitted_stack_leaves_its_classifiers_alone(wrapper):
    """A fitted classifier owns what it predicts with, its input's scale included."""
    random = np.random.RandomState(0)
    X, y = random.normal(size=(40, 3)), random.randint(2, size=40)
    stack = BernoulliRBMStack((4,), max_iter=1, random_state=0).fit(X)
    net = DBNClassifier((4,), pretrainer=wrapper(stack), max_iter=2).fit(X, y)
    before = net.predict_proba(X)
    stack.fit(5 * X + 3)
    assert np.array_equal(net.predict_proba(X), before)
