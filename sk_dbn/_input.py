"""Checks of X and y, including the indices of sparse matrices."""

import re
from contextlib import contextmanager

import numpy as np
import scipy.sparse
from sklearn import get_config
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from sk_dbn.models import memory

FLOATS = np.float64, np.float32, np.float16
COMPRESSED = ("csr", "csc", "bsr")
MAX_NAMED = 5  # columns
TEXT_ERROR = "could not convert string"  # in the errors of NumPy and pandas
NAN_ERROR = "Input contains NaN"  # what older scikit-learn checks before it reads text
NAN_IN_X = "Input X contains NaN"


def read_input(estimator, X, y="no_validation", **rules):
    """Check X and y by scikit-learn's rules, and the indices of sparse matrices.

    Parameters
    ----------
    estimator : estimator
        Its feature names and number of features are set or compared.
    X, y : as the caller gave them
    **rules
        Arguments of ``sklearn.utils.validation.validate_data``.

    Returns
    -------
    X, or a tuple of X and y

    Raises
    ------
    ValueError
        If scikit-learn or `check_sparse` rejects them. If a data frame contains text, the error
        names its columns.
    """
    try:
        return validate_data(estimator, check_sparse(X, "X"), check_sparse(y, "y"), **rules)
    except ValueError as error:
        text = _text_columns(X) if TEXT_ERROR in str(error) or str(error) == NAN_ERROR else {}
        remedy = getattr(estimator, "_nan_remedy", None)
        if remedy and not text and str(error).startswith(NAN_IN_X):
            raise ValueError(f"{NAN_IN_X}. {remedy}") from error
        if not text:
            raise
        names = list(text)
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        raise ValueError(
            f"X has text in {'column' if len(names) == 1 else 'columns'} "
            f"{', '.join(map(repr, names[:MAX_NAMED]))}{more}, but must have numbers: "
            f"{text[names[0]]}. {_category_remedy(X, names)} "
            "Otherwise encode them in a pipeline, with make_column_transformer(("
            "OneHotEncoder(handle_unknown='ignore'), columns), remainder=StandardScaler()), from "
            "sklearn.compose and sklearn.preprocessing."
        ) from error


@contextmanager
def of_validation():
    """Checks of X and y whose errors speak of X_val and y_val.

    Raises
    ------
    ValueError
        With these names at the beginning of its message.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(re.sub(r"^(Input )?([Xy])\b", r"\1\2_val", str(error))) from error


def read_input_again(estimator, X, **rules):
    """Check X after `fit`, by the same rules.

    scikit-learn's checks take longer than the prediction of one sample. They are skipped if X is
    sure to pass: a two-dimensional ndarray of finite numbers with the right number of features,
    if `fit` saw no feature names.

    Parameters
    ----------
    estimator : estimator
    X : as the caller gave it
    **rules
        As for `read_input`, with the defaults of the estimators.

    Returns
    -------
    ndarray or CSR matrix

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        As `read_input`.
    """
    known = vars(estimator)
    n_features = known.get("n_features_in_")
    if (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.shape[0] > 0
        and X.shape[1] == n_features
        and "feature_names_in_" not in known
        and _is_finite(X)
    ):
        return X
    check_is_fitted(estimator)
    rules = {"accept_sparse": "csr", "dtype": "numeric"} | rules
    return read_input(estimator, X, reset=False, **rules)


def read_codes(estimator, X, units):
    """Check the argument of `inverse_transform`.

    Parameters
    ----------
    estimator : transformer
    X : as the caller gave it
    units : str
        What has one unit for each column, for the message.

    Returns
    -------
    float32 or float64 ndarray of shape (n_samples, n_features_out)

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If scikit-learn rejects X, or it has another number of columns.
    """
    check_is_fitted(estimator)
    H = check_array(X, dtype=[np.float64, np.float32], input_name="X")
    if H.shape[1] != estimator._n_features_out:
        raise ValueError(
            f"X has {H.shape[1]} features, but inverse_transform expects "
            f"{estimator._n_features_out}: one for each unit of the {units}."
        )
    return H


def numeric_dtype(X):
    """What `dtype` of scikit-learn's checks keeps numbers as they are, and reads missing values.

    Parameters
    ----------
    X : as the caller gave it

    Returns
    -------
    str or tuple
        'numeric' for arrays and data frames of NumPy's dtypes, else floating-point dtypes: lists
        may hold None, and other data frames values of their own that mean missing.
    """
    if scipy.sparse.issparse(X) or isinstance(X, np.ndarray):
        return "numeric"
    dtypes = list(X.dtypes) if hasattr(X, "columns") else [None]
    return "numeric" if all(isinstance(dtype, np.dtype) for dtype in dtypes) else FLOATS


def summed(X):
    """A sparse matrix in which each entry is listed once.

    Parameters
    ----------
    X : CSR matrix

    Returns
    -------
    CSR matrix
        X itself, or a copy if entries that are listed twice have to be added.
    """
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def to_dense(X, unstored):
    """A sparse matrix as an array.

    Parameters
    ----------
    X : sparse matrix
    unstored : float
        Value of what it does not store; NaN: that is missing.

    Returns
    -------
    float64 ndarray
    """
    dense = memory.empty(X.shape, np.float64)
    dense[:] = unstored
    X = summed(X.tocsr()).tocoo()
    dense[X.row, X.col] = X.data
    return dense


def check_real(X):
    """Check that X holds real numbers: no complex numbers, no dates.

    Parameters
    ----------
    X : ndarray or sparse matrix

    Returns
    -------
    ndarray or sparse matrix
        X.

    Raises
    ------
    ValueError
        If it holds other values.
    """
    if X.dtype.kind not in "biuf":
        raise ValueError(f"X must hold real numbers, got dtype {X.dtype}.")
    return X


def _is_finite(X):
    """Whether an ndarray has real numbers with a finite sum; then all are finite."""
    if X.dtype.kind in "biu":
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        return X.dtype.kind == "f" and bool(np.isfinite(X.sum()))


def _text_columns(X):
    """The columns of a data frame that cannot be converted to numbers: name and error."""
    text = {}
    for name in getattr(X, "columns", ()):
        try:
            np.asarray(X[name], dtype=np.float64)
        except (TypeError, ValueError) as error:
            if TEXT_ERROR in str(error):
                text[name] = error
    return text


def _category_remedy(X, names):
    """How columns of text can be read as categories."""
    if all(hasattr(X[name].dtype, "categories") for name in names):
        return (
            "Of networks, only those that a stack pre-trains read categories: set "
            "pretrainer=BernoulliRBMStack(), with one of its activations (logistic, tanh, relu) "
            "and shortcut=False."
        )
    return "Convert categories by astype('category') for a stack, or a network that one pre-trains."


def check_sparse(A, name):
    """Check that the indices of a sparse matrix lie within its shape.

    SciPy does not check them, and wrong ones would read and write outside the arrays. The check is
    skipped in scikit-learn's ``config_context(assume_finite=True)``.

    Parameters
    ----------
    A : object
    name : str
        Its name in error messages.

    Returns
    -------
    object
        A, converted to CSR if its format has no arrays of indices.

    Raises
    ------
    ValueError
        If A is a sparse matrix whose indices are invalid.
    """
    if not scipy.sparse.issparse(A) or A.ndim != 2 or get_config()["assume_finite"]:
        return A
    if A.format not in (*COMPRESSED, "coo"):
        A = A.tocsr()
    fault = _fault_of_coordinates(A) if A.format == "coo" else _fault_of_pointers(A)
    if fault:
        raise ValueError(
            f"{name} is not a valid sparse matrix of shape {A.shape} in {A.format.upper()} "
            f"format: {fault}. Build it from the rows, columns and values of its entries with "
            "scipy.sparse.coo_array."
        )
    return A


def _fault_of_coordinates(A):
    """What is wrong with a COO matrix, or None."""
    if not len(A.row) == len(A.col) == len(A.data):
        sizes = len(A.row), len(A.col), len(A.data)
        return f"row, col and data must have the same length, got {sizes}"
    return _fault_of_range("row", A.row, A.shape[0]) or _fault_of_range("col", A.col, A.shape[1])


def _fault_of_pointers(A):
    """What is wrong with a CSR, CSC or BSR matrix, or None."""
    block = getattr(A, "blocksize", (1, 1))
    n_lines, n_places = (size // step for size, step in zip(A.shape, block, strict=True))
    if A.format == "csc":
        n_lines, n_places = n_places, n_lines
    indptr, indices = A.indptr, A.indices
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        return f"indptr and indices must be integers, got {indptr.dtype} and {indices.dtype}"
    if indptr.shape != (n_lines + 1,):
        return f"indptr must have shape ({n_lines + 1},), got {indptr.shape}"
    if indptr[0] != 0:
        return f"indptr must begin with 0, got {indptr[0]}"
    if (indptr[1:] < indptr[:-1]).any():
        place = int((indptr[1:] < indptr[:-1]).argmax())
        return f"indptr must not decrease, got {indptr[place]} before {indptr[place + 1]}"
    n_entries = min(len(indices), len(A.data))
    if indptr[-1] > n_entries:
        return f"indptr must end with at most {n_entries}, the number of entries, got {indptr[-1]}"
    return _fault_of_range("indices", indices[: indptr[-1]], n_places)


def _fault_of_range(name, indices, size):
    """What is wrong with indices that must lie in [0, size), or None."""
    for extreme in (indices.min(), indices.max()) if len(indices) else ():
        if not 0 <= extreme < size:
            return f"{name} must lie in [0, {size}), got {extreme}"
    return None
