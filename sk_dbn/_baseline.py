"""Comparison of a trained network with a constant prediction."""

from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from sk_dbn.models.forward import inputs
from sk_dbn.models.network_training import rows_in_memory

MAX_COMPARED, MIN_COMPARED = 1000, 64  # training rows


@dataclass
class Baseline:
    """Scores of a network and of the best constant prediction on the same rows.

    Parameters
    ----------
    score, constant_score : float
        On some of the training rows, with the sample weights.
    constant_validation_score : float
        On the validation rows; NaN if there are none.
    constant_loss : float
        Loss of the constant on the training rows, as training reports it; NaN if it has no formula.
    perfect_score : float
        The largest possible score.
    """

    score: float
    constant_score: float
    constant_validation_score: float
    constant_loss: float
    perfect_score: float


def compare(network, run, train, y, validation, incremental):
    """Compare a network after training with a constant prediction.

    Parameters
    ----------
    network : BaseDeepNetwork
    run : callable, from `threads`
    train : TrainingSet
    y : ndarray or None
        Targets of all samples; None: the input.
    validation : Validation or None
    incremental : bool
        Whether this was a call of `partial_fit`, for which fewer rows are compared.

    Returns
    -------
    Baseline or None
        None if there is no trace, without which there is no diagnosis.
    """
    if network.trace is None:
        return None
    n = len(train.order)
    n_compared = min(n, MAX_COMPARED, max(MIN_COMPARED, n // 16) if incremental else n)
    if y is None:
        n_compared = min(n_compared, rows_in_memory(train.data.shape[1]))
    rows = train.order[np.linspace(0, n - 1, n_compared).astype(np.int64)]
    weight = train.sample_weight[rows] if train.sample_weight.size else np.ones(len(rows))
    weight = weight.astype(np.float64)
    outputs = network._trained.outputs(run, train.data, rows=rows)
    targets = inputs(train.data.unfilled, rows) if y is None else train.targets[rows]
    y = targets if y is None else y[rows]
    score = np.nan
    if np.isfinite(outputs).all():
        score = network._score_outputs(outputs, y, weight)
    on_validation = np.nan
    if validation is not None:
        on_validation = network._constant_score(validation.y, None)
    on_training = network._constant_score(y, weight)
    loss = constant_loss(train.loss, targets, weight)
    return Baseline(float(score), on_training, on_validation, loss, network._perfect_score)


def constant_loss(loss, targets, weight):
    """The smallest loss of a constant prediction.

    Parameters
    ----------
    loss : str
    targets : ndarray of shape (n_samples, n_outputs) or (n_samples, 1)
        Targets of the network's loss.
    weight : ndarray of shape (n_samples,)

    Returns
    -------
    float
        Without label smoothing; NaN for regression losses other than the squared error.
    """
    if loss == "log_loss":
        p = np.bincount(targets.ravel().astype(np.int64), weights=weight) / weight.sum()
        return float(entr(p).sum())
    known = np.ma.masked_invalid(targets.astype(np.float64))
    mean = np.ma.average(known, axis=0, weights=weight).filled(0.0)
    if loss == "binary_log_loss":
        return float((entr(mean) + entr(1.0 - mean)).sum())
    if loss in ("squared_error", "logistic_squared_error"):
        return float(0.5 * np.ma.average((known - mean) ** 2, axis=0, weights=weight).mean())
    return np.nan
