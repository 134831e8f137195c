"""What labels can mean "no label", and which of them look as if they did."""

import math
import sys
import warnings
from numbers import Real

import numpy as np
import scipy.sparse

# Kinds of an array's dtype, and which type a label in it has.
NUMBERS, STRINGS, BOOLEANS = "iuf", "US", "b"
WORDS = {
    **dict.fromkeys("iu", "integers, set unlabeled to one"),
    "f": "numbers, set unlabeled to one",
    **dict.fromkeys(STRINGS, "strings, set unlabeled to one"),
    BOOLEANS: "booleans, so no third label is possible: give y as integers",
}


def check_unlabeled(unlabeled, y):
    """Check that labels could equal the one that means "no label".

    It need not occur.

    Parameters
    ----------
    unlabeled : object
    y : ndarray

    Raises
    ------
    ValueError
        If it is of a type that no label can have, or NaN, which equals nothing.
    """
    if _is_nan(unlabeled):
        raise ValueError(
            "unlabeled must be a label, got NaN, which equals nothing, itself included; replace "
            "missing labels by a label, such as -1, and set unlabeled to that."
        )
    kind, is_bool = y.dtype.kind, isinstance(unlabeled, (bool, np.bool_))
    is_number = isinstance(unlabeled, Real) and not is_bool
    if kind in "iu" and is_number:
        fits = unlabeled == int(unlabeled)
    else:
        of_kind = {**dict.fromkeys(NUMBERS, is_number), **dict.fromkeys(BOOLEANS, is_bool)}
        of_kind |= dict.fromkeys(STRINGS, isinstance(unlabeled, (str, bytes)))
        fits = of_kind.get(kind, True)  # an array of objects holds anything
    if not fits:
        raise ValueError(
            f"unlabeled must be of the type that labels have, got {unlabeled!r}, of type "
            f"{type(unlabeled).__name__}, which no label can equal. y has {WORDS[kind]}."
        )


def check_not_missing(y):
    """Check that no label is None or NaN.

    Parameters
    ----------
    y : array-like or sparse matrix

    Raises
    ------
    ValueError
        If there is one; it says what to do with rows without a label.
    """
    if y is None or scipy.sparse.issparse(y):  # what validate_data has its own words for
        return
    values = np.asarray(y, dtype=None if hasattr(y, "dtype") else object)
    if values.dtype.kind == "f":
        is_missing = bool(np.isnan(values).any())
    else:
        is_missing = values.dtype.kind == "O" and any(map(_is_missing, values.ravel()))
    if is_missing:
        raise ValueError(
            "Input y contains NaN or None, which are no labels. Where that means 'no label', "
            "replace it by a label that does not occur, such as -1 or 'none', and set unlabeled "
            "to that; otherwise leave these rows out."
        )


def _is_nan(value):
    return isinstance(value, Real) and math.isnan(value)


def _is_missing(value):
    pandas = sys.modules.get("pandas")  # without which there is no pandas.NA
    return value is None or _is_nan(value) or (pandas is not None and value is pandas.NA)


def check_no_minus_one(y, name):
    """Check that no label of a multi-label matrix is -1 among zeros and ones.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_labels)
        Without the rows that have no label.
    name : str
        What it is called in the error.

    Raises
    ------
    ValueError
        If one is.
    """
    if y.dtype.kind in NUMBERS and {-1, 0} <= {*np.unique(y).tolist()} <= {-1, 0, 1}:
        raise ValueError(
            f"{name} has -1 in {int((y == -1).any(axis=1).sum())} rows of a multi-label matrix of "
            "zeros and ones. If it means 'no label', set unlabeled=-1, and all labels of such a "
            "row to -1: a row has all of its labels or none."
        )


def warn_of_minus_one(classes):
    """Warn of classes among which -1 looks like "no label".

    Two classes that are called -1 and 1 are usual.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    """
    others = [label for label in classes.tolist() if label != -1]
    are_counted = all(isinstance(label, Real) and label >= 0 for label in others)
    if len(classes) > len(others) > 1 and are_counted:
        warnings.warn(
            "y has the label -1 beside labels that are not negative, and it is taken for a class "
            "like them. If it means 'no label', set unlabeled=-1.",
            UserWarning,
        )
