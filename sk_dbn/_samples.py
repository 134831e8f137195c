"""The samples of a network's fit: their weights and the validation split."""

import math
from dataclasses import dataclass
from functools import cached_property
from numbers import Number

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_array

from sk_dbn.models.data import Data
from sk_dbn.models.moments import Moments

# Integer weights with a mean up to this are counts of repeated rows; others multiply losses.
MAX_REPEATS = 10


@dataclass
class Samples:
    """The samples of a call of fit, validated and encoded.

    Parameters
    ----------
    data : Data
        X in the precision of the network.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        None: the targets are the input.
    targets : ndarray of shape (n_samples, n_outputs) or (n_samples, 1), or None
        Targets of the network's loss.
    labelled : bool ndarray of shape (n_samples,)
    repeats : int ndarray of shape (n_samples,)
        How often each sample counts.
    weight : ndarray of shape (n_samples,) or (0,)
        Additional factor of each sample's loss; (0,) if all are one.
    order : int64 ndarray
        Indices of the samples that count, each once.
    whole : Moments, default=None
        Those of all samples, if these are a part of them.
    """

    data: Data
    y: np.ndarray | None
    targets: np.ndarray | None
    labelled: np.ndarray
    repeats: np.ndarray
    weight: np.ndarray
    order: np.ndarray
    whole: Moments | None = None

    @property
    def has_missing(self):
        """Whether values are missing in X."""
        return self.data.has_missing

    @property
    def labelled_share(self):
        """Share of the samples that have a label."""
        return float(np.average(self.labelled, weights=self.repeats))

    @property
    def unstored(self):
        """Value of what a sparse matrix does not store."""
        return self.data.unstored

    @cached_property
    def moments(self):
        """Moments of the features, as ``Data.moments`` returns them."""
        if self.whole is not None:
            return self.whole.of_values
        return self.data.moments(self.repeated(self.order))

    def repeated(self, rows):
        """The given rows, each as often as it counts."""
        is_plain = self.repeats.min() == self.repeats.max() == 1
        return rows if is_plain else np.repeat(rows, self.repeats[rows])


def check_sample_weight(sample_weight, n_samples):
    """Check sample weights as scikit-learn does.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or number
    n_samples : int

    Returns
    -------
    float64 ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If there is not one for each sample, or one is negative or not finite.
    """
    if isinstance(sample_weight, Number):
        sample_weight = np.full(n_samples, sample_weight)
    checks = {"dtype": np.float64, "order": "C", "input_name": "sample_weight"}
    w = check_array(sample_weight, ensure_2d=False, **checks)
    if w.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {w.ndim}D array. Expected either a "
            f"scalar value or a 1D array of length {n_samples}."
        )
    if len(w) != n_samples:
        raise ValueError(f"sample_weight.shape == {w.shape}, expected {(n_samples,)}!")
    if (w < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`.")
    return w


def are_counts(weight):
    """Whether weights are numbers of samples: whole, and not too large on average.

    Parameters
    ----------
    weight : float64 ndarray of shape (n_samples,)

    Returns
    -------
    bool
    """
    return bool(np.all(weight == np.floor(weight)) and weight.sum() <= MAX_REPEATS * len(weight))


def weigh(network, X, y, labelled, sample_weight):
    """Split sample weights into counts, if they are whole numbers, and factors.

    So a weight of 2 is exactly the same as listing the sample twice.

    Parameters
    ----------
    network : BaseDeepNetwork
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    labelled : bool ndarray of shape (n_samples,)
    sample_weight : array-like of shape (n_samples,) or None

    Returns
    -------
    repeats : int ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,), or (0,) if all are one
    """
    n_samples = X.shape[0]
    repeats, factors = np.ones(n_samples, dtype=np.int64), None
    if sample_weight is not None:
        w = check_sample_weight(sample_weight, n_samples)
        if not w[labelled].any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        if are_counts(w):
            repeats = w.astype(np.int64)
        else:
            repeats, factors = (w > 0).astype(np.int64), w
    class_factors = network._class_weights(y, labelled, repeats)
    if class_factors is not None:
        factors = class_factors if factors is None else product(factors, class_factors)
    weight = np.empty(0)
    if factors is not None:
        weight = of_mean_one(factors, np.where(labelled, repeats, 0))
    return repeats, weight.astype(network._training_dtype)


def product(*factors):
    """The elementwise product of weights, each divided by its maximum to avoid overflow."""
    return np.prod([w / (w.max() or 1.0) for w in factors], axis=0)


def of_mean_one(weight, repeats):
    """Divide weights by their mean over the samples that count.

    Parameters
    ----------
    weight : float64 ndarray of shape (n_samples,)
    repeats : int ndarray of shape (n_samples,)
        How often each sample counts.

    Returns
    -------
    float64 ndarray of shape (n_samples,)
        Zero for samples that do not count; all zero if none does.
    """
    weight = np.where(repeats > 0, weight, 0.0)
    weight = weight / (weight.max() or 1.0)  # so that the sum is finite
    counted = np.repeat(weight, repeats)
    # fsum is exact, so it does not depend on the order of the samples.
    mean = math.fsum(counted) / max(np.count_nonzero(counted), 1)
    return weight / (mean or 1.0)


def number_held_out(fraction, n_samples, at_least=1):
    """The number of samples to hold out.

    Parameters
    ----------
    fraction : float
        `validation_fraction`.
    n_samples : int
    at_least : int, default=1

    Returns
    -------
    int
        The share of the samples, rounded up.

    Raises
    ------
    ValueError
        If it is too small, or leaves no sample to train on.
    """
    n_held_out = math.ceil(fraction * n_samples)
    if n_held_out < at_least:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    if n_held_out >= n_samples:
        raise ValueError(
            f"validation_fraction={fraction} of {n_samples} samples leaves none to train on. Use "
            "more samples, a smaller validation_fraction or early_stopping=False."
        )
    return n_held_out


def hold_out(network, rows, samples):
    """Hold out a `validation_fraction` of the rows.

    Parameters
    ----------
    network : BaseDeepNetwork
    rows : int64 ndarray
    samples : Samples

    Returns
    -------
    rows, held_out : int64 ndarrays

    Raises
    ------
    ValueError
        If either has too few rows.
    """
    fraction, n = network.validation_fraction, len(rows)
    n_held_out = number_held_out(fraction, n, at_least=2)
    labels = None
    if is_classifier(network) and samples.targets.shape[1] == 1:  # not multi-label
        labels = samples.targets[rows, 0]
    rows, held_out = split(rows, labels, fraction, n_held_out, network._random_state)
    if len(held_out) < 2:
        raise ValueError(
            f"early_stopping=True cannot hold out enough samples: most of the "
            f"{len(np.unique(labels))} classes in y have only one of the {n} labelled samples, "
            "which is needed for training. Use more samples, give X_val and y_val, or set "
            "early_stopping=False."
        )
    return rows, held_out


def split(rows, labels, fraction, n_held_out, random):
    """Split rows into rows to train on and rows to hold out, stratified by class if possible.

    If a class is too rare, rows are drawn at random, but one of each class is not held out.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,)
    labels : ndarray of shape (n_rows,), or None to split at random
    fraction : float
        Share of the rows to hold out.
    n_held_out : int
        Their number.
    random : RandomState

    Returns
    -------
    rows, held_out : ndarrays
    """
    if labels is not None:
        classes, counts = np.unique(labels, return_counts=True)
        if counts.min() < 2 or len(classes) > min(n_held_out, len(rows) - n_held_out):
            order = random.permutation(len(rows))
            first = np.zeros(len(rows), dtype=bool)
            first[order[np.unique(labels[order], return_index=True)[1]]] = True
            held_out = order[~first[order]][:n_held_out]
            return np.delete(rows, held_out), rows[held_out]
    return train_test_split(rows, random_state=random, test_size=fraction, stratify=labels)
