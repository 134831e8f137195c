"""Input that contradicts itself is refused before its indices are followed."""

import ast
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.exceptions import NotFittedError

import sk_dbn
from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor
from sk_dbn._input import check_sparse, read_input, read_input_again
from sk_dbn.inspection import ReconstructionDisplay
from sk_dbn.likelihood import log_likelihood, variational_bound

N_ROWS, N_COLUMNS = 12, 4


def valid(format="csr"):
    """A sparse matrix with an entry in every row."""
    X = np.random.RandomState(0).uniform(size=(N_ROWS, N_COLUMNS))
    X[X < 0.4] = 0.0
    X[:, 0] = 0.5
    return scipy.sparse.csr_array(X).asformat(format)


def changed(format, name, place, value):
    """A valid matrix but for one index."""
    A = valid(format)
    getattr(A, name)[place] = value
    return A


def with_arrays(**arrays):
    """A CSR matrix whose arrays are replaced by others."""
    A = valid()
    for name, array in arrays.items():
        setattr(A, name, array)
    return A


def list_of_lists():
    A = valid("lil")
    A.rows[3] = [0, 9]
    A.data[3] = [1.0, 1.0]
    return A


A = valid()
FAULTS = {
    "beyond the width": (changed("csr", "indices", 5, 4), r"indices must lie in \[0, 4\), got 4"),
    "far beyond": (changed("csr", "indices", 5, 2**30), "got 1073741824"),
    "negative": (changed("csr", "indices", 0, -1), r"indices must lie in \[0, 4\), got -1"),
    "not from 0": (changed("csr", "indptr", 0, 1), "indptr must begin with 0, got 1"),
    "unsorted": (changed("csr", "indptr", 3, 0), "indptr must not decrease"),
    "beyond the end": (changed("csr", "indptr", -1, 99), "indptr must end with at most"),
    "short data": (with_arrays(data=A.data[:-3].copy()), "indptr must end with at most"),
    "short indices": (with_arrays(indices=A.indices[:-3].copy()), "indptr must end with at most"),
    "few rows": (with_arrays(indptr=A.indptr[:-1].copy()), r"indptr must have shape \(13,\)"),
    "fractions": (with_arrays(indices=A.indices + 0.5), "must be integers, got int32 and float64"),
    "CSC": (changed("csc", "indices", 5, N_ROWS), r"CSC format: indices must lie in \[0, 12\)"),
    "CSC, pointers": (changed("csc", "indptr", 1, -2), "indptr must not decrease"),
    "BSR": (changed("bsr", "indices", 2, 77), "BSR format: indices must lie in"),
    "COO": (changed("coo", "col", 3, 4), r"col must lie in \[0, 4\), got 4"),
    "COO, row": (changed("coo", "row", 3, -1), r"row must lie in \[0, 12\), got -1"),
    "LIL": (list_of_lists(), r"indices must lie in \[0, 4\), got 9"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault):
    """The error says which array of the matrix breaks which rule, and by which value."""
    A, message = FAULTS[fault]
    with pytest.raises(ValueError, match="X is not a valid sparse matrix.*" + message):
        check_sparse(A, "X")


@pytest.mark.parametrize("format", ["csr", "csc", "bsr", "coo", "lil", "dok", "dia"])
def test_valid_matrices_pass(format):
    """Empty ones, unsorted or repeated indices and room to spare at the end are no fault."""
    A = valid(format)
    np.testing.assert_array_equal(check_sparse(A, "X").toarray(), A.toarray())
    check_sparse(scipy.sparse.csr_array((3, 0)).asformat(format), "X")
    repeated = scipy.sparse.csr_array(([1.0, 2.0, 3.0], [2, 0, 2], [0, 3, 3]), shape=(2, 3))
    assert check_sparse(repeated, "X") is repeated
    roomy = scipy.sparse.csr_array((np.ones(5), [0, 1, -9, -9, -9], [0, 1, 2]), shape=(2, 3))
    assert check_sparse(roomy, "X") is roomy


def test_other_input_passes():
    """What is not sparse is none of this check's business, nor is what scikit-learn refuses."""
    for x in (None, "no_validation", [[1, 2]], np.ones(3), scipy.sparse.coo_array(np.ones(3))):
        assert check_sparse(x, "X") is x


def test_trusted_input_is_not_looked_at():
    """assume_finite is scikit-learn's word for input that is known to be right."""
    A, _ = FAULTS["beyond the width"]
    with config_context(assume_finite=True):
        assert check_sparse(A, "X") is A


@pytest.fixture(scope="module")
def fitted():
    X, y = valid(), np.arange(N_ROWS) % 2
    stack = BernoulliRBMStack((3,), max_iter=1, random_state=0).fit(X)
    classifier = DBNClassifier((3,), pretrainer=stack, max_iter=1, random_state=0)
    regressor = DeepMLPRegressor((3,), max_iter=1, random_state=0)
    return stack, classifier.fit(X, y), regressor.fit(X, y)


def calls(stack, classifier, regressor, y):
    """Every way by which a user's X comes to a kernel."""
    for estimator in (stack, classifier, regressor):
        targets = () if estimator is stack else (y,)
        for method in (estimator.fit, estimator.partial_fit, estimator.score):
            yield lambda X, method=method, targets=targets: method(X, *targets)
    for name in ("transform", "fit_transform", "reconstruct", "gibbs", "complete"):
        yield getattr(stack, name)
    for name in ("free_energy", "score_samples"):
        yield getattr(stack, name)
    for name in ("predict", "predict_proba", "predict_log_proba", "transform"):
        yield getattr(classifier, name)
    yield regressor.predict
    for network in (classifier, regressor):
        yield lambda X, f=network.fit: f(valid(), y, X_val=X, y_val=y)
    yield lambda X: log_likelihood(stack, X)
    yield lambda X: variational_bound(stack, X)
    yield lambda X: ReconstructionDisplay.from_estimator(stack, X)


@pytest.mark.filterwarnings("ignore")
def test_every_way_in_is_checked(fitted):
    """Followed, such an index reads and writes what belongs to others, or ends the process."""
    y = np.arange(N_ROWS) % 2
    for number, call in enumerate(calls(*fitted, y)):
        for fault in ("far beyond", "unsorted", "CSC"):
            with pytest.raises(ValueError, match="not a valid sparse matrix"):
                call(FAULTS[fault][0])
                pytest.fail(f"call {number} took it")


@pytest.mark.filterwarnings("ignore")
def test_sparse_labels_are_checked(fitted):
    """Multi-label targets may be sparse too."""
    y = changed("csr", "indices", 5, 4)
    classifier = DBNClassifier((3,), pretrainer=fitted[0], max_iter=1, unlabeled=-1)
    with pytest.raises(ValueError, match="y is not a valid sparse matrix"):
        classifier.fit(valid(), y)
    classifier.fit(valid(), np.arange(N_ROWS) % 2)
    with pytest.raises(ValueError, match="y is not a valid sparse matrix"):
        classifier.score(valid(), y)


def table(n_words, **columns):
    """A data frame with a column of numbers and some of words."""
    words = {f"w{i}": ["a", "b"] * 6 for i in range(n_words)}
    return pd.DataFrame({"x": np.arange(12.0) / 12, **words, **columns})


@pytest.mark.parametrize("dtype", [object, "string", "category"])
@pytest.mark.parametrize(
    ("n_words", "said"),
    [
        (1, "column 'w0', but"),
        (2, "columns 'w0', 'w1', but"),
        (7, "columns 'w0'.*, 'w4' and 2 more, but"),
    ],
)
def test_words_are_named_by_their_columns(dtype, n_words, said):
    """In every estimator; numbers written as words can be read, missing ones are another matter.

    A stack, and a network that one pre-trains, take the categories of a column for what they are.
    """
    X = table(0, n=[1, None] * 6, s=["1.5"] * 12).assign(
        **table(n_words).drop(columns="x").astype(dtype)
    )
    y = np.arange(12) % 2
    fits = [
        lambda: DeepMLPRegressor((2,)).fit(X, y),
        lambda: DeepMLPRegressor((2,), max_iter=1).partial_fit(X, y),
        lambda: BernoulliRBMStack((2,)).fit(X),
        lambda: DBNClassifier((2,)).fit(X, y),
    ]
    for fit in fits[:2] if dtype == "category" else fits:
        with pytest.raises(ValueError, match=f"X has text in {said} must have numbers: could") as e:
            fit()
        assert "OneHotEncoder" in str(e.value) and "'n'" not in str(e.value)


def test_other_errors_of_a_table_are_scikit_learns():
    """Words in y, in an array, and columns that fit did not see."""
    X, y = table(0), np.arange(12) % 2
    network = DeepMLPRegressor((2,), max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="^could not convert string"):
        network.fit(X, ["a", "b"] * 6)
    with pytest.raises(ValueError, match="^could not convert string"):
        network.fit(table(1).to_numpy(), y)
    with pytest.raises(ValueError, match="^The feature names should match"):
        network.predict(table(1))
    with pytest.raises(ValueError, match="X has text in column 'x'"):
        network.predict(X.assign(x="a"))


def test_there_is_one_way_in():
    """scikit-learn's validation does not look at indices, so nothing calls it but `_input`."""
    package = Path(sk_dbn.__file__).parent
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        names = {getattr(node, "id", None) for node in ast.walk(tree)}
        assert "validate_data" not in names or path.name == "_input.py", path


def filled(value, dtype, shape=(2, N_COLUMNS)):
    return np.full(shape, value, dtype)


GIVEN = {
    "float64": filled(0.5, float),
    "float32, Fortran": np.asfortranarray(filled(0.5, np.float32)),
    "float16": filled(0.5, np.float16),
    "big-endian": filled(0.5, ">f8"),
    "integers": filled(3, np.uint8),
    "bool": filled(True, bool),
    "list": [[0.5] * N_COLUMNS],
    "objects": filled(0.5, object),
    "CSC": valid("csc"),
    "data frame": pd.DataFrame(filled(0.5, float), columns=list("abcd")),
    "a sum beyond the range": filled(1e308, float),
    "a sum beyond float16's range": filled(6e4, np.float16),
    "NaN": filled(np.nan, float),
    "infinities": np.array([[np.inf, -np.inf, 0.0, 0.0]]),
    "complex": filled(1j, complex),
    "words": filled("a", object),
    "dates": filled(0, "datetime64[s]"),
    "no rows": filled(0.5, float, (0, N_COLUMNS)),
    "one row as a vector": filled(0.5, float, (N_COLUMNS,)),
    "three dimensions": filled(0.5, float, (2, N_COLUMNS, 2)),
    "too wide": filled(0.5, float, (2, N_COLUMNS + 1)),
}


def outcome(read, *args, **rules):
    """What is returned, and the dtype; or the error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            X = read(*args, **rules)
            X = X.toarray() if scipy.sparse.issparse(X) else X
            result = X.dtype.str, X.tolist()
        except ValueError as error:
            result = type(error), str(error)
    return result, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("with_names", [False, True], ids=["plain", "names"])
@pytest.mark.parametrize("given", GIVEN)
def test_what_is_read_again_is_read_by_the_same_rules(given, with_names):
    """What passes without being shown to scikit-learn would have passed, and as it is."""
    X = GIVEN[given]
    stack, trained_on = BernoulliRBMStack((2,), batch_size=4, max_iter=1), np.eye(4)
    stack.fit(pd.DataFrame(trained_on, columns=list("abcd")) if with_names else trained_on)
    rules = {"accept_sparse": "csr", "dtype": "numeric", "reset": False}
    assert outcome(read_input_again, stack, X) == outcome(read_input, stack, X, **rules)


def test_who_is_not_fitted_says_so_first():
    """Whatever is wrong with X besides, as in scikit-learn."""
    for X in GIVEN.values():
        with pytest.raises(NotFittedError):
            read_input_again(DBNClassifier(), X)


def test_categories_that_only_a_stack_reads():
    """Who has converted them already is told what reads them."""
    table = pd.DataFrame({"x": [0.0, 1.0] * 4, "colour": pd.Categorical(["red", "blue"] * 4)})
    for network in DBNClassifier((3,), shortcut=True), DBNClassifier((3,), activation="swish"):
        with pytest.raises(ValueError, match=r"stack pre-trains read categories: set pretrainer"):
            network.fit(table, [0, 1] * 4)
