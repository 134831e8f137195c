"""Checks of labels: the label that means "no label", and missing values."""

import math
import sys
import warnings
from numbers import Real

import numpy as np
import scipy.sparse
from sklearn.utils.multiclass import unique_labels

# Kinds of dtypes, and how error messages describe labels of each kind.
NUMBERS, STRINGS, BOOLEANS = "iuf", "US", "b"
WORDS = {
    **dict.fromkeys("iu", "integers, set unlabeled to one"),
    "f": "numbers, set unlabeled to one",
    **dict.fromkeys(STRINGS, "strings, set unlabeled to one"),
    BOOLEANS: "booleans, so no third label is possible: give y as integers",
}


def check_unlabeled(unlabeled, y):
    """Check that a label in y can equal `unlabeled`; it need not occur.

    Parameters
    ----------
    unlabeled : object
    y : ndarray

    Raises
    ------
    ValueError
        If it has another type than the labels, or is NaN, which equals nothing.
    """
    if _is_nan(unlabeled):
        raise ValueError(
            "unlabeled must be a label, got NaN, which equals nothing, not even itself; replace "
            "missing labels by a label, such as -1, and set unlabeled to it."
        )
    kind, is_bool = y.dtype.kind, isinstance(unlabeled, (bool, np.bool_))
    is_number = isinstance(unlabeled, Real) and not is_bool
    if kind in "iu" and is_number:
        fits = unlabeled == int(unlabeled)
    else:
        of_kind = {**dict.fromkeys(NUMBERS, is_number), **dict.fromkeys(BOOLEANS, is_bool)}
        of_kind |= dict.fromkeys(STRINGS, isinstance(unlabeled, (str, bytes)))
        fits = of_kind.get(kind, True)  # an array of objects can hold any type
    if not fits:
        raise ValueError(
            f"unlabeled must be of the type of the labels, got {unlabeled!r}, of type "
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
        If there is one. It says what to do with samples without a label.
    """
    if y is None or scipy.sparse.issparse(y):  # validate_data has its own errors for these
        return
    values = np.asarray(y, dtype=None if hasattr(y, "dtype") else object)
    if values.dtype.kind == "f":
        is_missing = bool(np.isnan(values).any())
    else:
        is_missing = values.dtype.kind == "O" and any(map(_is_missing, values.ravel()))
    if is_missing:
        raise ValueError(
            "Input y contains NaN or None, which are not labels. If that means 'no label', "
            "replace it by a label that does not occur, such as -1 or 'none', and set unlabeled "
            "to it; otherwise leave these samples out."
        )


def _is_nan(value):
    return isinstance(value, Real) and math.isnan(value)


def _is_missing(value):
    pandas = sys.modules.get("pandas")  # without which there is no pandas.NA
    return value is None or _is_nan(value) or (pandas is not None and value is pandas.NA)


def check_no_minus_one(y, name):
    """Check that a multi-label matrix of zeros and ones does not contain -1.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_labels)
        Without the rows that have no label.
    name : str
        Its name in error messages.

    Raises
    ------
    ValueError
        If it does.
    """
    if y.dtype.kind in NUMBERS and {-1, 0} <= {*np.unique(y).tolist()} <= {-1, 0, 1}:
        raise ValueError(
            f"{name} has -1 in {int((y == -1).any(axis=1).sum())} rows of a multi-label matrix of "
            "zeros and ones. If it means 'no label', set unlabeled=-1, and set all labels of such "
            "a row to -1: a row has all of its labels or none."
        )


def warn_of_classes(classes, unlabeled, n_labelled):
    """Warn if y may have another meaning than `unlabeled` says, or too few labels.

    There is no warning for two classes -1 and 1.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Of the samples that have a label.
    unlabeled : object
    n_labelled : int
        Number of these samples.
    """
    labels = classes.tolist()
    if unlabeled is not None:
        if len(labels) == 1:
            warnings.warn(
                f"without the samples whose label is unlabeled={unlabeled!r}, y has one class "
                f"only, {labels[0]!r}, of {n_labelled} samples, and predict will always return it. "
                "Label samples of other classes too. If there is no other class, score_samples of "
                "a BernoulliRBMStack or DBNAutoencoder finds samples that differ from the others.",
                UserWarning,
            )
        return
    others = [label for label in labels if label != -1]
    are_counted = all(isinstance(label, Real) and label >= 0 for label in others)
    if len(labels) > len(others) > 1 and are_counted:
        warnings.warn(
            "y has the label -1 and labels that are not negative. -1 is taken for a class like "
            "the others. If it means 'no label', set unlabeled=-1.",
            UserWarning,
        )


def classes_without(unlabeled, classes):
    """The classes but for the label that is none.

    Parameters
    ----------
    unlabeled : object
    classes : array-like of shape (n_labels,)

    Returns
    -------
    ndarray of shape (n_classes,)
        Sorted.
    """
    classes = unique_labels(classes)
    return classes if unlabeled is None else classes[classes != unlabeled]
