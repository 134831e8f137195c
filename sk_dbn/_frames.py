"""Data frames some of whose columns have pandas' dtype for categories: codes and labels."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Labels:
    """The categories of a column of a data frame.

    Parameters
    ----------
    column : object
        Its name.
    dtype : pandas.CategoricalDtype
    """

    column: object
    dtype: object

    def __getstate__(self):
        return {
            "column": self.column,
            "categories": self.dtype.categories.to_numpy(),
            "ordered": bool(self.dtype.ordered),
        }

    def __setstate__(self, state):
        from pandas import CategoricalDtype

        self.column = state["column"]
        self.dtype = CategoricalDtype(state["categories"], state["ordered"])

    @property
    def are_numbers(self):
        """Whether the categories are numbers, which then need no codes."""
        return self.dtype.categories.dtype.kind in "iuf"

    @property
    def values(self):
        """The number that stands for each category, float64 (n_categories,)."""
        known = self.dtype.categories
        return np.asarray(known if self.are_numbers else np.arange(len(known)), dtype=np.float64)


def labels_of(X):
    """The categories of the columns of X that have pandas' dtype for them.

    Parameters
    ----------
    X : as the caller gave it

    Returns
    -------
    dict of int to Labels
        By the index of the column. Empty unless X is a data frame that has such columns.
    """
    if not (hasattr(X, "iloc") and hasattr(X, "columns")):
        return {}
    dtypes = zip(X.columns, X.dtypes, strict=True)
    columns = (Labels(name, dtype) for name, dtype in dtypes)
    return {i: each for i, each in enumerate(columns) if hasattr(each.dtype, "categories")}


def coded(X, labels, handle_unknown):
    """A data frame with numbers in the columns that have categories.

    Parameters
    ----------
    X : as the caller gave it
    labels : dict of int to Labels
        Those of the samples that were fitted.
    handle_unknown : {'error', 'ignore'}

    Returns
    -------
    as X
        In these columns the numbers that stand for the categories, NaN where a value is missing. X
        itself if it is no data frame, has other columns, or none of these.

    Raises
    ------
    ValueError
        If a value is no category, and is not to be ignored.
    """
    if not labels or not hasattr(X, "isetitem"):
        return X
    names = dict(enumerate(X.columns))
    if any(names.get(i) != known.column for i, known in labels.items()):
        return X  # of which scikit-learn's check of names complains
    X = X.copy(deep=False)
    for i, known in labels.items():
        name, dtype, column = known.column, known.dtype, X.iloc[:, i]
        codes = dtype.categories.get_indexer(column)
        is_unknown = (codes < 0) & column.notna().to_numpy()
        if is_unknown.any() and handle_unknown == "error":
            raise ValueError(unknown_message(name, column[is_unknown], dtype.categories))
        X.isetitem(i, np.where(codes < 0, np.nan, labels[i].values[codes]))
    return X


def unknown_message(feature, values, known):
    """The message of an error of unknown categories.

    Parameters
    ----------
    feature : int or str
    values, known : iterables
        The unknown values, and the categories.

    Returns
    -------
    str
    """
    return (
        f"Found unknown categories {list(dict.fromkeys(values))[:5]} in feature {feature!r}, whose "
        f"categories are {list(known)}. Set handle_unknown='ignore' to read them as missing, or "
        "fit with all categories: those of a data frame's dtype, or of the parameter categories."
    )


def with_labels(categories, labels):
    """Categories of features, labels in place of codes where there are any.

    Parameters
    ----------
    categories : tuple of ndarrays and None, or None
    labels : dict of int to Labels

    Returns
    -------
    tuple or None
    """
    if categories is None:
        return None
    coded = {i: each for i, each in labels.items() if not each.are_numbers}
    return tuple(
        np.asarray(coded[i].dtype.categories) if i in coded else values
        for i, values in enumerate(categories)
    )


def relabelled(frame, labels):
    """Give columns of a data frame the categories back for which they hold numbers.

    Parameters
    ----------
    frame : object
        Changed if it is pandas' data frame.
    labels : dict of int to Labels

    Returns
    -------
    object
        The argument.
    """
    if hasattr(frame, "isetitem"):
        for i, known in labels.items():
            column = frame.iloc[:, i].astype("category").cat.set_categories(known.values)
            column = column.cat.rename_categories(known.dtype.categories)
            frame.isetitem(i, column.astype(known.dtype))
    return frame
