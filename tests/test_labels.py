"""Labels that mean "no label": which ones can, and which look as if they did."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import DBNClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).uniform(size=(12, 3))


def network(**params):
    """A linear classifier that is trained for an epoch."""
    return DBNClassifier((), max_iter=1, random_state=0, **params)


def cycle(*labels, dtype=None):
    """Twelve labels, these in turn."""
    return np.array(labels * 12, dtype=dtype)[:12]


@pytest.mark.parametrize("labels", [(-1, 0, 1), (-1, 0, 1, 2), (-1.0, 0.0, 1.0), (-1, 1, 2)])
def test_minus_one_beside_counted_classes_is_a_warning(labels):
    """Once in fit, naming the parameter; it is a class all the same."""
    with pytest.warns(UserWarning, match=r"-1 .* taken for a class.*set unlabeled=-1") as caught:
        fitted = network().fit(X, cycle(*labels))
    assert sum("unlabeled" in str(warning.message) for warning in caught) == 1
    assert -1 in fitted.classes_


@pytest.mark.parametrize(
    ("labels", "params"),
    [
        ((-1, 1), {}),
        ((-1, 0), {}),
        ((-2, -1, 0, 1), {}),
        ((0, 1, 2), {}),
        (("-1", "0", "1"), {}),
        ((-1, 0, 1), {"unlabeled": -1}),
        ((-1, 0, 1), {"unlabeled": 7}),
    ],
)
def test_other_labels_are_no_warning(labels, params):
    """Two classes called -1 and 1, other negative ones, words, and where `unlabeled` is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        network(**params).fit(X, cycle(*labels))
        network(**params).partial_fit(X, cycle(*labels), classes=sorted({*labels}))


@pytest.mark.parametrize("labels", [(-1, 5), ("none", "a"), (5,)], ids=str)
def test_one_class_beside_unlabeled_is_a_warning(labels):
    """It says which and of how many; without `unlabeled` one class is none, as in scikit-learn."""
    y, unlabeled = cycle(*labels), -1 if 5 in labels else "none"
    rule = f"{unlabeled!r}, y has one class only, {labels[-1]!r}, of {12 // len(labels)} samples"
    with pytest.warns(UserWarning, match=rule):
        network(unlabeled=unlabeled).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        network().fit(X, np.full(12, labels[-1]))


def test_the_classes_of_partial_fit_may_list_unlabeled():
    """It is no class of theirs, and samples without a label make no other class."""
    y, estimator = cycle(-1, 3), network(unlabeled=-1)
    with warnings.catch_warnings():  # the caller says that there are others
        warnings.simplefilter("error")
        for classes in ([-1, 3, 4], [4, 3], None):
            assert estimator.partial_fit(X, y, classes=classes).classes_.tolist() == [3, 4]
    with pytest.raises(ValueError, match="not the same as on last call"):
        estimator.partial_fit(X, y, classes=[-1, 3])


def test_the_classes_of_a_multilabel_matrix_are_its_columns():
    """Though unlabeled, a value of its cells, may be the number of one, in each call."""
    Y, estimator = np.c_[cycle(0, 1, 1), cycle(1, 1, 0)], network(unlabeled=0)
    for classes in (range(2), [1, 0], None):
        assert estimator.partial_fit(X, Y, classes=classes).classes_.tolist() == [0, 1]
    with pytest.raises(ValueError, match="not the same as on last call"):
        estimator.partial_fit(X, Y, classes=[1])


@pytest.mark.parametrize(
    ("y", "unlabeled", "rule"),
    [
        (cycle(0, 1), "-1", "got '-1', of type str, .* y has integers, set unlabeled to one"),
        (cycle(0, 1), True, "got True, of type bool, .* y has integers"),
        (cycle(0, 1), np.True_, "of type bool"),
        (cycle(0, 1), -0.5, "got -0.5, of type float, .* y has integers"),
        (cycle(0.0, 1.0), False, "got False, of type bool, .* y has numbers"),
        (cycle("a", "b", "-1"), -1, "got -1, of type int, .* y has strings"),
        (cycle(False, True), 1, "got 1, of type int, .* y has booleans, .* give y as integers"),
        (cycle(0, 1), [-1], r"got \[-1\], of type list, .* y has integers"),
        (cycle(0, 1), float("nan"), "got NaN, which equals nothing"),
        (cycle(0.0, 1.0), np.float32("nan"), "got NaN, which equals nothing"),
    ],
    ids=repr,
)
def test_what_no_label_can_equal(y, unlabeled, rule):
    """The error names both types: no row would have been left out, or a class that was meant."""
    with pytest.raises(ValueError, match="unlabeled must be .*" + rule):
        network(unlabeled=unlabeled).fit(X, y)
    with pytest.raises(ValueError, match="unlabeled must be "):
        network().fit(X, y).set_params(unlabeled=unlabeled).score(X, y)


@pytest.mark.parametrize(
    ("y", "unlabeled"),
    [
        (cycle(0, 1), -1),
        (cycle(0, 1), -1.0),
        (cycle(0, 1), np.int8(-1)),
        (cycle(0.0, 1.0, -1.0), -1),
        (cycle("a", "b"), "none"),
        (cycle("a", "b", -1, dtype=object), -1),
        (cycle(False, True), False),
        (cycle("a", "b", dtype=object), np.str_("none")),
    ],
    ids=repr,
)
def test_labels_that_do_not_occur_are_fine(y, unlabeled):
    """And those of another precision, and of arrays that hold anything."""
    fitted = network(unlabeled=unlabeled).fit(X, y)
    assert unlabeled not in fitted.classes_.tolist()


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize("labels", [(0, 1), (0.0, 1.0), ("a", "b")], ids=repr)
@pytest.mark.parametrize("container", [list, np.array, "Series"])
@pytest.mark.parametrize("unlabeled", [None, -1])
def test_missing_labels_say_what_to_do(missing, labels, container, unlabeled):
    """In lists, arrays and series of numbers, words and objects, of training and validation."""
    y = [*labels * 5, missing, missing]
    if container == "Series":
        container = pytest.importorskip("pandas").Series
    elif container is np.array and isinstance(labels[0], str):
        y = np.array(y, dtype=object)
    rule = "y contains NaN or None, .*such as -1 or 'none', and set unlabeled"
    with pytest.raises(ValueError, match=rule):
        network(unlabeled=unlabeled).fit(X, container(y))
    good = cycle(*labels)
    with pytest.raises(ValueError, match="NaN or None"):
        network().fit(X, good, X_val=X, y_val=container(y))


def test_nullable_labels_of_pandas():
    """pd.NA is missing too."""
    pd = pytest.importorskip("pandas")
    for dtype in ("Int64", "string"):
        y = pd.Series(["0", "1", None] * 4).astype(dtype)
        with pytest.raises(ValueError, match="NaN or None"):
            network().fit(X, y)


@pytest.mark.parametrize("dtype", [int, float])
@pytest.mark.parametrize("unlabeled", [None, -1])
def test_minus_one_among_many_labels(dtype, unlabeled):
    """A row has all of its labels or none, in y and in y_val; two classes may be -1 and 1."""
    Y = np.c_[cycle(0, 1, 0), cycle(0, 1)].astype(dtype)
    partly, without = Y.copy(), Y.copy()
    partly[2, 0] = partly[5, 1] = without[3] = -1
    rule = "has -1 in {} rows .* set unlabeled=-1, and set all labels of such a row to -1"
    with pytest.raises(ValueError, match="^y " + rule.format(2)):
        network(unlabeled=unlabeled).fit(X, partly)
    with pytest.raises(ValueError, match="^y_val " + rule.format(2)):
        network(unlabeled=unlabeled).fit(X, Y, X_val=X, y_val=partly)
    with pytest.raises(ValueError, match="^y " + rule.format(2)):
        network(unlabeled=unlabeled).partial_fit(X, Y, classes=[0, 1]).partial_fit(X, partly)
    if unlabeled is None:
        with pytest.raises(ValueError, match="^y " + rule.format(1)):
            network().fit(X, without)
    else:
        network(unlabeled=-1).fit(X, without, X_val=X, y_val=without)
