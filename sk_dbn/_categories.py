"""Which features of X have categories, and which these are."""

import numpy as np
import scipy.sparse

from sk_dbn._frames import unknown_message
from sk_dbn._input import summed
from sk_dbn.models.units import VISIBLE_KINDS

KINDS = (*VISIBLE_KINDS, "categorical")
MAX_CATEGORIES = 255  # of a feature whose categories are taken from X, as in scikit-learn's trees


def asked_kinds(visible, n_features, names=None, labels=()):
    """The kinds of visible units by the parameter `visible`, checked.

    Parameters
    ----------
    visible : str, array-like of str, or dict
    n_features : int
    names : ndarray of str of shape (n_features,), default=None
        Names of the features, if they have any.
    labels : iterable of int, default=()
        Columns of a data frame that have pandas' dtype for categories.

    Returns
    -------
    str, or ndarray of str of shape (n_features,)

    Raises
    ------
    ValueError
        If the number of kinds is wrong, one is unknown, or so is a feature.
    """
    labels = list(labels)
    if isinstance(visible, str) and not labels:
        return visible
    rule = (
        "visible must be 'auto', 'bernoulli', 'gaussian' or 'categorical', a dict of some features "
        f"and their kinds, or a sequence with one kind for each of the {n_features} features"
    )
    if isinstance(visible, dict):
        kinds, given = ["auto"] * n_features, set()
        for feature, kind in visible.items():
            i = feature_index(feature, n_features, names, rule)
            if i in given:
                raise ValueError(f"{rule}, got feature {i} twice.")
            kinds[i] = kind
            given.add(i)
    else:
        kinds = [visible] * n_features if isinstance(visible, str) else list(visible)
    if len(kinds) != n_features:
        raise ValueError(f"{rule}, got a sequence of {len(kinds)}.")
    for i, kind in enumerate(kinds):
        if not isinstance(kind, str) or kind not in ("auto", *KINDS):
            raise ValueError(f"{rule}, got {kind!r} in it.")
        if i in labels and kind not in ("auto", "categorical"):
            raise ValueError(
                "visible must be 'auto' or 'categorical' for columns that have pandas' dtype for "
                f"categories, got {kind!r} for column {i}; convert it to numbers by astype(float)."
            )
    kinds = np.array(kinds, dtype="U11")
    kinds[labels] = "categorical"
    return kinds


def feature_index(feature, n_features, names, rule):
    """The index of a feature that is given by its name or its index.

    Parameters
    ----------
    feature : str or int
    n_features : int
    names : ndarray of str of shape (n_features,) or None
    rule : str
        Beginning of the message of an error.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no such feature.
    """
    if isinstance(feature, str):
        found = [] if names is None else np.flatnonzero(names == feature).tolist()
        if not found:
            seen = "X has no feature names" if names is None else "no feature of X has that name"
            raise ValueError(f"{rule}, got {feature!r}: {seen}.")
        return found[0]
    is_index = isinstance(feature, int | np.integer) and not isinstance(feature, bool)
    if not is_index or not -n_features <= feature < n_features:
        raise ValueError(f"{rule}, got the feature {feature!r}.")
    return int(feature) % n_features


def find_categories(kinds, X, unstored, categories, labels):
    """The categories of each feature.

    Parameters
    ----------
    kinds : str, or ndarray of str of shape (n_features,)
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    unstored : float
        Value of what a sparse matrix does not store, NaN if that is missing.
    categories : 'auto', array-like of numbers, or list of one for each categorical feature
        The parameter of that name.
    labels : dict of int to Labels
        Of columns of a data frame; `categories` is about the others.

    Returns
    -------
    tuple of a float64 ndarray for each feature, None for one without categories; or None
        Sorted. None if no feature is categorical.

    Raises
    ------
    ValueError
        If the categories cannot be those of the features.
    """
    is_category = np.array(np.broadcast_to(np.equal(kinds, "categorical"), X.shape[1]))
    if not is_category.any():
        return None
    found = [None] * X.shape[1]
    for i, known in labels.items():
        found[i], is_category[i] = np.sort(known.values), False
    chosen = np.flatnonzero(is_category)
    if not isinstance(categories, str):
        categories = list(categories)
    if isinstance(categories, str):
        values = [_seen(x, i) for i, x in zip(chosen, _columns(X, chosen, unstored), strict=True)]
    elif len(categories) > 0 and np.ndim(categories[0]) == 0:
        values = [_checked(categories, "categories")] * len(chosen)
    elif len(categories) == len(chosen):
        names = (f"categories of feature {i}" for i in chosen)
        values = [_checked(x, name) for x, name in zip(categories, names, strict=True)]
    else:
        raise ValueError(
            "categories must be 'auto', an array of the categories of every categorical feature, "
            f"or a list with one array for each of these: {len(chosen)}, got {len(categories)}."
        )
    for i, x in zip(chosen, values, strict=True):
        found[i] = x
    return tuple(found)


def count_units(categories, n_features):
    """The number of visible units for features that have these categories.

    Parameters
    ----------
    categories : tuple or None, as `find_categories` returns it
    n_features : int

    Returns
    -------
    int
    """
    return sum(1 if each is None else len(each) for each in categories or [None] * n_features)


def _checked(values, name):
    """Given categories as a sorted array of numbers."""
    values = np.asarray(values)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be an array of numbers, got {values!r}.")
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or len(np.unique(values)) < len(values):
        raise ValueError(f"{name} must be finite numbers, each once, got {values.tolist()}.")
    return np.sort(values)


def _seen(values, feature):
    """The categories of a feature that occur among its values."""
    found = np.unique(values[~np.isnan(values)])
    if len(found) == 0:
        raise ValueError(
            f"feature {feature} is categorical, but all its values are missing; give its "
            "categories by the parameter categories, or leave it out."
        )
    if len(found) > MAX_CATEGORIES:
        raise ValueError(
            f"feature {feature} is categorical, but has {len(found)} different values, more than "
            f"{MAX_CATEGORIES}. Set its kind to 'gaussian', join its rare values, or give its "
            "categories by the parameter categories."
        )
    return found


def _columns(X, chosen, unstored):
    """The values of some columns of X, as float64; those of a sparse matrix once for each entry."""
    if not scipy.sparse.issparse(X):
        yield from (X[:, i].astype(np.float64) for i in chosen)
        return
    X = summed(X).tocsc()
    for i in chosen:
        values = X.data[X.indptr[i] : X.indptr[i + 1]].astype(np.float64)
        is_whole = len(values) == X.shape[0] or np.isnan(unstored)
        yield values if is_whole else np.append(values, unstored)


def known_categories(X, categories, unstored, handle_unknown):
    """X, in which each value of a categorical feature is one of its categories or missing.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    categories : tuple, as `find_categories` returns it
    unstored : float
    handle_unknown : {'error', 'ignore'}
        'ignore': a value that is no category is missing.

    Returns
    -------
    ndarray or CSR matrix
        X itself, if there is no such value.

    Raises
    ------
    ValueError
        If there is such a value, and it is not to be ignored.
    """
    if categories is None:
        return X
    chosen = [i for i, values in enumerate(categories) if values is not None]
    unknown = {}
    for i, x in zip(chosen, _columns(X, chosen, unstored), strict=True):
        is_unknown = ~(np.isnan(x) | np.isin(x, categories[i]))
        if is_unknown.any():
            unknown[i] = x[is_unknown]
    if not unknown:
        return X
    if handle_unknown == "error":
        i = next(iter(unknown))
        raise ValueError(unknown_message(int(i), unknown[i].tolist(), categories[i].tolist()))
    return _without(X, unknown)


def _without(X, unknown):
    """A copy of X in which some values of some columns are missing."""
    if scipy.sparse.issparse(X):
        X = summed(X).tocsc(copy=True)
        if X.dtype.kind != "f":
            X = X.astype(np.float64)
        for i, values in unknown.items():
            column = X.data[X.indptr[i] : X.indptr[i + 1]]
            column[np.isin(column, values)] = np.nan
        return X.tocsr()
    X = np.array(X, dtype=X.dtype if X.dtype.kind == "f" else np.float64)
    for i, values in unknown.items():
        X[np.isin(X[:, i], values), i] = np.nan
    return X
