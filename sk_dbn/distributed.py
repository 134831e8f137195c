"""Training and prediction on several machines with Dask.

The functions take Dask arrays and data frames. Each partition, a chunk of rows of an array or a
partition of a data frame, is read by one worker; no process reads all of them. They run on the
cluster of the present ``dask.distributed.Client``, or without one in the threads of this process.

A fitted estimator is the same as after its own `fit`: it can be pickled, and needs Dask no more.
"""

import copy
import warnings
from contextlib import contextmanager
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from sk_dbn import _shards as shards
from sk_dbn._progress import Progress

try:
    import dask
    import dask.array as da
except ImportError as error:
    raise ImportError(
        "sk_dbn.distributed needs Dask. Install it with the extra 'distributed': "
        "pip install 'sk-dbn[distributed]'."
    ) from error

__all__ = ["fit", "partial_fit", "predict", "predict_proba", "transform"]


def fit(estimator, X, y=None, *, n_rounds=None):
    """Fit an estimator to all partitions at once, by averaging parameters.

    In each round every partition trains a copy of the model for one epoch, by the estimator's own
    `partial_fit`. The average of the copies, weighted by their numbers of samples, is where the
    next round starts: local SGD [1]_, federated averaging [2]_. Partitions are trained in
    parallel. The result does not depend on the number of workers, but it does on the partitions:
    with fewer and larger ones a round does more.

    X is computed again in every round. Call ``X = X.persist()`` before if the workers have memory
    for it.

    Parameters
    ----------
    estimator : BernoulliRBMStack, DBNClassifier, DeepMLPRegressor or DBNAutoencoder
        It is fitted in place, and training begins anew. The schedule of `learning_rate`, and the
        `annealing` of a stack, extend over all rounds. As in `partial_fit` there is no
        `early_stopping`, and `tol` is not used. All layers of a stack are trained in each round.
        If a network has a stack as `pretrainer`, that is trained first, for as many rounds as its
        `max_iter` says.
    X : dask Array or DataFrame of shape (n_samples, n_features)
        Training data. An array may have chunks of scipy's CSR matrices.
    y : dask Array, Series or DataFrame with as many partitions as X, or array-like, default=None
        Targets.
    n_rounds : int, default=None
        Number of rounds; by default the estimator's `max_iter`.

    Returns
    -------
    estimator
        The fitted estimator. `loss_curve_` has the mean loss of each round; `gradient_trace_` is
        that of the first partition.

    Raises
    ------
    TypeError
        If X is no Dask collection, or the estimator is not one of these.
    ValueError
        If X, y or a parameter is invalid. The message of an error in a worker names the partition;
        the estimator stays as it was.

    Warns
    -----
    ConvergenceWarning
        If training diverged. The model is that of the last good round.

    See Also
    --------
    partial_fit : Trains one model on one partition after the other.

    References
    ----------
    .. [1] Stich, S. U. (2019). Local SGD converges fast and communicates little. ICLR.
       Algorithm 1.

    .. [2] McMahan, B., Moore, E., Ramage, D., Hampson, S. & Agüera y Arcas, B. (2017).
       Communication-efficient learning of deep networks from decentralized data. AISTATS.
       Algorithm 1.

    .. [3] Zinkevich, M., Weimer, M., Smola, A. & Li, L. (2010). Parallelized stochastic gradient
       descent. NeurIPS. Algorithm 3, which averages once, at the end.

    .. [4] Yu, H., Jin, R. & Yang, S. (2019). On the linear speedup analysis of communication
       efficient momentum SGD for distributed non-convex optimization. ICML. Algorithm 1, which
       averages velocities too.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import DBNClassifier, distributed
    >>> X, y = load_digits(return_X_y=True)
    >>> X, y = (da.from_array(values, chunks=600).persist() for values in (X / 16, y))
    >>> dbn = distributed.fit(DBNClassifier(random_state=0), X, y, n_rounds=20)
    >>> float((distributed.predict(dbn, X) == y).mean()) > 0.9
    True
    """
    shards.check_trainable(estimator)
    if n_rounds is not None and (not isinstance(n_rounds, Integral) or n_rounds < 1):
        raise ValueError(f"n_rounds must be a positive integer or None, got {n_rounds!r}.")
    model, summary = _fit(estimator, _partitions(X, y), n_rounds)
    return shards.adopt(estimator, model, summary)


def partial_fit(estimator, X, y=None, *, classes=None):
    """Train an estimator for one epoch, on one partition after the other.

    It is a loop over the partitions that calls the estimator's own `partial_fit`, but each
    partition stays where it is, and the model goes from worker to worker. So one worker is busy at
    a time, and each partition counts as an epoch for schedules and curves.

    A first call looks at all partitions before: at the classes in y, and at the moments that scale
    the visible units of a stack. If a network has a stack as `pretrainer`, the first call trains
    the stack as `fit` does.

    Parameters
    ----------
    estimator : BernoulliRBMStack, DBNClassifier, DeepMLPRegressor or DBNAutoencoder
        It is trained in place.
    X : dask Array or DataFrame of shape (n_samples, n_features)
        Training data.
    y : dask Array, Series or DataFrame with as many partitions as X, or array-like, default=None
        Targets.
    classes : array-like of shape (n_classes,), default=None
        All classes, if y of a first call does not have them all.

    Returns
    -------
    estimator
        The estimator.

    Raises
    ------
    TypeError, ValueError
        As `fit`.

    See Also
    --------
    fit : Trains on all partitions at once.
    """
    shards.check_trainable(estimator)
    parts, model, summary = _partitions(X, y), estimator, None
    if not hasattr(estimator, "coefs_"):
        summary = _summarise(estimator, parts, classes)
        model = clone(estimator)
        _pretrain(model, parts, summary)
    known, model = dask.delayed(summary), dask.delayed(model)
    for number, (X_part, y_part) in enumerate(parts):
        model = dask.delayed(_train_next)(number, model, X_part, y_part, known)
    (model,) = _computed([model])
    return shards.adopt(estimator, model, summary)


def predict(estimator, X):
    """Predict labels or target values, lazily.

    Parameters
    ----------
    estimator : fitted estimator with `predict`
        Of this package or another one, also a pipeline.
    X : dask Array or DataFrame of shape (n_samples, n_features)
        The input.

    Returns
    -------
    y : dask Array, Series or DataFrame
        What the estimator's own `predict` returns, partition by partition.
    """
    return _lazy(estimator, "predict", X)


def predict_proba(estimator, X):
    """Predict the probabilities of the classes, lazily.

    Parameters
    ----------
    estimator : fitted classifier
        Of this package or another one, also a pipeline.
    X : dask Array or DataFrame of shape (n_samples, n_features)
        The input.

    Returns
    -------
    p : dask Array or DataFrame of shape (n_samples, n_classes)
        Columns of a data frame have the names of the classes.
    """
    return _lazy(estimator, "predict_proba", X)


def transform(estimator, X):
    """Transform samples, lazily.

    Parameters
    ----------
    estimator : fitted transformer
        Of this package or another one, also a pipeline.
    X : dask Array or DataFrame of shape (n_samples, n_features)
        The input.

    Returns
    -------
    H : dask Array or DataFrame of shape (n_samples, n_features_out)
        Columns of a data frame have the names that `get_feature_names_out` returns.
    """
    return _lazy(estimator, "transform", X)


# ---------------------------------------------------------------------------
# Partitions
# ---------------------------------------------------------------------------


def _is_frame(X):
    """Whether X is a Dask data frame."""
    return dask.is_dask_collection(X) and hasattr(X, "columns")


def _check_collection(X):
    if not (isinstance(X, da.Array) or _is_frame(X)):
        raise TypeError(
            f"X must be a Dask array or data frame, got {type(X).__name__}. For other data use the "
            "estimator's own methods, or dask.array.from_array(X, chunks=(n_rows, -1))."
        )


def _in_rows(X):
    """An array in chunks that have all columns."""
    return X.rechunk({1: -1}) if X.ndim == 2 and X.numblocks[1] > 1 else X


def _partitions(X, y):
    """The partitions of X and y as pairs of delayed objects; those of y are None without y."""
    _check_collection(X)
    is_known = isinstance(X, da.Array) and not np.isnan(sum(X.chunks[0]))
    if y is not None and not dask.is_dask_collection(y):
        if not is_known:
            raise TypeError(
                "y must be a Dask collection with the partitions of X if their sizes are not "
                f"known, got {type(y).__name__}."
            )
        y = np.asarray(y)
        y = da.from_array(y, chunks=y.shape)
    if is_known and isinstance(y, da.Array) and y.chunks[0] != X.chunks[0]:
        if y.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} samples, but y has {y.shape[0]}.")
        y = y.rechunk({0: X.chunks[0]})
    X_parts = _delayed(X)
    y_parts = [None] * len(X_parts) if y is None else _delayed(y)
    if len(y_parts) != len(X_parts):
        raise ValueError(f"X has {len(X_parts)} partitions, but y has {len(y_parts)}.")
    return list(zip(X_parts, y_parts, strict=True))


def _delayed(X):
    X = _in_rows(X) if isinstance(X, da.Array) else X
    return np.ravel(X.to_delayed()).tolist()


@contextmanager
def _named(number):
    """Errors say in which partition they occurred."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This happened in partition {number}, counted from 0.")
        raise


def _computed(delayed):
    """What delayed objects compute."""
    try:
        return dask.compute(*delayed)
    except Exception as error:
        if type(error).__name__ == "KilledWorker":
            error.add_note(
                "Workers died while they trained, most likely for want of memory. A worker needs "
                "memory for its partition, the model and its copy: use smaller partitions, or "
                "fewer threads for each worker."
            )
        raise


# ---------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------


class _Trained(NamedTuple):
    """What a partition made of a model."""

    model: object
    n_samples: int
    has_diverged: bool


class _Round(NamedTuple):
    """How a round ended."""

    loss: float  # mean of all partitions, NaN for stacks
    diverged: list  # partitions


def _summarise(estimator, parts, classes=None):
    """What is known of the samples of all partitions."""
    estimator = dask.delayed(estimator)
    summaries = [
        dask.delayed(_summarise_partition)(number, estimator, *part)
        for number, part in enumerate(parts)
    ]
    return shards.merge(_computed(summaries), classes)


def _summarise_partition(number, estimator, X, y):
    with _named(number):
        return shards.summarise(estimator, X, y)


def _pretrain(model, parts, summary):
    """Train the stack of a network, if it has one."""
    if hasattr(model, "pretrainer"):
        stack = shards.pretraining_stack(model, summary)
        if stack is not None:
            stack, _ = _fit(stack, [(X_part, None) for X_part, _ in parts], None)
        shards.set_pretrained(model, stack)


def _fit(estimator, parts, n_rounds):
    """A fitted copy of the estimator, and the summary of all partitions."""
    summary = _summarise(estimator, parts)
    model, n_rounds = shards.beginner(estimator, n_rounds)
    _pretrain(model, parts, summary)
    progress, seed = Progress(estimator.verbose, estimator), model.random_state
    known, model = dask.persist(dask.delayed((summary, estimator)), dask.delayed(model))
    for i in range(n_rounds):
        trained = [
            dask.delayed(_train)(number, model, *part, known, i, n_rounds, seed)
            for number, part in enumerate(parts)
        ]
        # The average stays on a worker.
        model, end = dask.persist(*dask.delayed(_average, nout=2)(model, trained))
        (end,) = _computed([end])
        loss = "" if np.isnan(end.loss) else f", loss = {end.loss:.6g}"
        progress.say(f"round {i + 1} of {n_rounds}{loss}")
        if end.diverged:
            warnings.warn(
                f"Training diverged in round {i + 1} in the partitions {end.diverged}. The model "
                "is that of the round before. Use a lower learning rate, or scale the data.",
                ConvergenceWarning,
            )
            break
    (model,) = _computed([model])
    shards.end_rounds(model, estimator)
    return model, summary


def _train(number, model, X, y, known, i, n_rounds, seed):
    """Train a copy of the model on a partition for one epoch."""
    summary, estimator = known
    before, model = shards.n_epochs(model), copy.deepcopy(model)
    # Random numbers follow from the partition and the round, not from who computes it when.
    own = np.random.SeedSequence(seed, spawn_key=(i, number)).generate_state(1)[0]
    with _named(number):
        shards.prepare_round(model, estimator, i, n_rounds, own)
        n_samples = shards.train(model, X, y, summary if i == 0 else None)
    has_diverged = n_samples > 0 and shards.n_epochs(model) == before
    return _Trained(model, n_samples, has_diverged)


def _train_next(number, model, X, y, summary):
    """Train a copy of the model on the next partition."""
    model = copy.deepcopy(model)
    with _named(number):
        shards.train(model, X, y, None if hasattr(model, "coefs_") else summary)
    return model


def _average(before, trained):
    """The average of what all partitions trained, and how the round ended."""
    diverged = [number for number, part in enumerate(trained) if part.has_diverged]
    trained = [part for part in trained if part.n_samples > 0]
    if diverged:
        is_first = shards.n_epochs(before) == 0
        model = trained[0].model if is_first else before
        return model, _Round(np.nan, diverged)
    models, weights = zip(*((part.model, part.n_samples) for part in trained), strict=True)
    model = shards.average(list(models), list(weights))
    return model, _Round(getattr(model, "loss_", np.nan), [])


# ---------------------------------------------------------------------------
# Prediction
# ---------------------------------------------------------------------------


def _lazy(estimator, method, X):
    """Apply a method of a fitted estimator to each partition, when it is computed."""
    check_is_fitted(estimator)
    _check_collection(X)
    if _is_frame(X):
        return X.map_partitions(_of_frame, estimator, method)
    X = _in_rows(X)
    of_one_row = _of_one_row(X, estimator, method)
    shape = {"drop_axis": 1}
    if of_one_row.ndim == 2:
        shape = {"chunks": (X.chunks[0], (of_one_row.shape[1],))}
    meta = np.empty((0,) * of_one_row.ndim, of_one_row.dtype)
    return X.map_blocks(_of_array, estimator=estimator, method=method, meta=meta, **shape)


def _of_array(X, estimator, method):
    """What a method makes of an array of any number of rows."""
    if X.shape[0] == 0:
        return _of_one_row(X, estimator, method)[:0]
    return np.asarray(getattr(estimator, method)(X))


def _of_one_row(X, estimator, method):
    """What a method makes of one row with the columns of X, to know dtype and shape."""
    row = np.zeros((1, X.shape[1]), X.dtype)
    try:
        return _of_array(row, estimator, method)
    except ValueError:  # zero may be none of the categories of a feature
        return _of_array(np.full(row.shape, np.nan), estimator, method)


def _of_frame(X, estimator, method):
    """What a method makes of a data frame of any number of rows, as a data frame or series."""
    import pandas as pd

    if len(X) == 0:
        from dask.dataframe.utils import meta_nonempty

        return _of_frame(meta_nonempty(X), estimator, method)[:0]
    result = getattr(estimator, method)(X)
    if isinstance(result, pd.DataFrame | pd.Series):
        return result
    result = np.asarray(result)
    if result.ndim == 1:
        return pd.Series(result, index=X.index)
    names = {"transform": "get_feature_names_out", "predict_proba": "classes_"}.get(method)
    names = getattr(estimator, names) if names else range(result.shape[1])
    return pd.DataFrame(result, X.index, names() if callable(names) else names)
