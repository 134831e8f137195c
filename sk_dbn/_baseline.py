"""Comparison of a trained network with a constant prediction."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import entr

from sk_dbn.models.forward import inputs
from sk_dbn.models.network_training import outputs_with_dropout, rows_in_memory

MAX_COMPARED, MIN_COMPARED = 1000, 64  # training rows
HIGH_GAIN = 0.75  # share of the possible gain over a constant, above which dropout does no harm
RIDGE = 1e-4  # penalty of the linear model, as a share of the sum of variances


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
    signal : float, default=nan
        Share of the outputs' variance under dropout that is between samples; the rest is between
        draws of dropout. NaN if it was not measured: without dropout, after `partial_fit`, for
        fewer than `MIN_COMPARED` rows, and if the network has learned.
    score_with_dropout : float, default=nan
        As `score`, with units dropped.
    first_layer_score : float, default=nan
        Score of a linear model of the first hidden layer, on training rows that it was not fitted
        to; for networks with several hidden layers. NaN if that overflows.
    """

    score: float
    constant_score: float
    constant_validation_score: float
    constant_loss: float
    perfect_score: float
    signal: float = np.nan
    score_with_dropout: float = np.nan
    first_layer_score: float = np.nan

    def gain(self, score=None, constant=None):
        """A score as a share of the possible gain over a constant.

        Parameters
        ----------
        score : float, default=None
            None: `score` of the network.
        constant : float, default=None
            Score of the constant; None: `constant_score`.

        Returns
        -------
        float
            1 for a perfect prediction; NaN if none can be better than the constant.
        """
        score = self.score if score is None else score
        constant = self.constant_score if constant is None else constant
        possible = self.perfect_score - constant
        return (score - constant) / possible if possible else np.nan


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
        None if there is no trace, without which there is no diagnosis, or if no row counts.
    """
    rows = None if network.trace is None else compared_rows(train, y is None, incremental)
    if rows is None or len(rows) == 0:
        return None
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
    baseline = Baseline(float(score), on_training, on_validation, loss, network._perfect_score)
    may_do_harm = any(network._trained_dropout) and baseline.gain() < HIGH_GAIN
    if may_do_harm and not incremental and len(rows) >= MIN_COMPARED:
        return replace(baseline, **_under_dropout(network, run, train, rows, y, weight))
    return baseline


def compared_rows(train, is_of_input, incremental):
    """Some of the training rows whose weight is positive, at equal distances."""
    order, weight = train.order, train.sample_weight
    order = order[weight[order] > 0] if weight.size else order
    n = len(order)
    n_compared = min(n, MAX_COMPARED, max(MIN_COMPARED, n // 16) if incremental else n)
    if is_of_input:
        n_compared = min(n_compared, rows_in_memory(train.data.shape[1]))
    return order[np.linspace(0, n - 1, n_compared).astype(np.int64)]


def _under_dropout(network, run, train, rows, y, weight):
    """What dropout does to the outputs; nothing if they overflow."""
    trained, batch = network._trained.astype(train.data.dtype), network.batch_size_
    draws = [
        outputs_with_dropout(run, trained, train, rows, batch, network._trained_dropout, seed)
        for seed in range(2)
    ]
    if not np.isfinite(draws).all():
        return {}
    score = np.mean([network._score_outputs(outputs, y, weight) for outputs in draws])
    found = {"signal": signal_share(*draws), "score_with_dropout": float(score)}
    if train.targets is not None and trained.n_layers > 2:
        features = trained.outputs(run, train.data, 1, rows)
        linear = predict_linearly(features, _as_outputs(train, rows, trained.units[-1]))
        linear = linear.astype(features.dtype)
        if np.isfinite(linear).all():
            score = network._score_outputs(linear, y[1::2], weight[1::2])
            found["first_layer_score"] = float(score)
    return found


def _as_outputs(train, rows, n_outputs):
    """The targets of some rows as the outputs of a perfect network."""
    targets = train.targets[rows]
    if train.loss == "log_loss":
        return np.eye(n_outputs)[targets[:, 0].astype(np.int64)]
    return targets.astype(np.float64)


def signal_share(first, second):
    """Share of the outputs' variance that is between samples, not between draws of dropout.

    Two draws have the variance between samples in common, so it is their covariance.

    Parameters
    ----------
    first, second : ndarray of shape (n_samples, n_outputs)
        Outputs for the same samples, with different units dropped.

    Returns
    -------
    float
        At most 1; NaN if no output varies.
    """
    a, b = (x - x.mean(axis=0, dtype=float) for x in (first, second))
    total = (a * a).sum() + (b * b).sum()
    return float(2.0 * (a * b).sum() / total) if total else np.nan


def predict_linearly(X, Y):
    """Predict every other sample by ridge regression on those between.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    Y : ndarray of shape (n_samples, n_outputs)

    Returns
    -------
    ndarray of shape (n_samples // 2, n_outputs)
        Predictions for samples 1, 3, and so on.
    """
    X, mean = X - X[::2].mean(axis=0, dtype=float), Y[::2].mean(axis=0)
    X /= abs(X).max() or 1.0  # no squares that overflow or are zero
    K = X[::2] @ X[::2].T
    K.flat[:: len(K) + 1] += RIDGE * (np.trace(K) or 1.0)
    return X[1::2] @ X[::2].T @ np.linalg.solve(K, Y[::2] - mean) + mean


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
