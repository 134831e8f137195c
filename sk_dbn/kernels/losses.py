"""Losses, each with the output activation that belongs to it, and what they send back.

To add one: a code in ``LOSSES`` and a branch in `_of_output`.
"""

import math

import numpy as np

from sk_dbn.kernels.compile import EXACT, entry, kernel, routine

SQUARED_ERROR, BINARY_LOG_LOSS, LOG_LOSS, POISSON = range(4)
ABSOLUTE_ERROR, HUBER, QUANTILE, GAMMA, LOGISTIC_SQUARED_ERROR = range(4, 9)

LOSSES = {
    "squared_error": SQUARED_ERROR,  # half squared error, identity output
    "binary_log_loss": BINARY_LOG_LOSS,  # logistic output; option: label smoothing
    "log_loss": LOG_LOSS,  # softmax output, target is the class's number; likewise
    "poisson": POISSON,  # half Poisson deviance, exp output
    "absolute_error": ABSOLUTE_ERROR,  # identity output
    "huber": HUBER,  # identity output; option: where it turns linear
    "quantile": QUANTILE,  # pinball loss, identity output; option: the quantile
    "gamma": GAMMA,  # half gamma deviance, exp output
    "logistic_squared_error": LOGISTIC_SQUARED_ERROR,  # half squared error, logistic output
}


@kernel(forceinline=True)
def _inside(p, tiny):
    """A probability kept away from 0 and 1; NaN stays NaN."""
    p = tiny if p < tiny else p
    return 1.0 - tiny if p > 1.0 - tiny else p


@kernel(fastmath=EXACT)
def _of_output(code, option, tiny, y, p):
    """The loss of one output, and its derivative with respect to the output's product.

    Where the loss has a corner, the derivative is 0. NaN stays NaN.

    Parameters
    ----------
    code : int
    option : float, see `output_delta`
    tiny : float, the least probability
    y, p : floats, target and output
    """
    gap = p - y
    if code == SQUARED_ERROR:
        return 0.5 * gap * gap, gap
    if code == LOGISTIC_SQUARED_ERROR:
        return 0.5 * gap * gap, gap * p * (1.0 - p)
    if code == POISSON:
        return gap + (y * math.log(y / p) if y > 0.0 else 0.0), gap
    if code == GAMMA:
        return y / p - 1.0 - math.log(y / p), 1.0 - y / p
    if code == BINARY_LOG_LOSS:
        p = _inside(p, tiny)
        loss = -y * math.log(p) if y > 0.0 else 0.0
        return loss - ((1.0 - y) * math.log(1.0 - p) if y < 1.0 else 0.0), gap
    if code == HUBER:
        slope = option if gap > option else (-option if gap < -option else gap)
        return slope * (gap - 0.5 * slope), slope
    above, below = 1.0, -1.0
    if code == QUANTILE:
        above, below = 1.0 - option, -option
    slope = above if gap > 0.0 else (below if gap < 0.0 else gap)
    return slope * gap, slope


@routine(fastmath=EXACT)
def output_delta(code, option, a, targets, rows, sample_weight, delta):
    """The derivative of the loss with respect to the output layer's products.

    Parameters
    ----------
    code : int
    option : float, what the loss has to be told: of huber, the distance from which on it is
        linear; of quantile, the quantile; of the log losses, the share of each label that is
        spread evenly over the classes
    a : array (n_rows, n_outputs), output activations
    targets : array (n_samples, n_outputs), or (n_samples, 1) class numbers for log_loss; (0, 0)
        where delta holds those of the rows. NaN is a missing value, which counts for nothing
    rows : int64 array (n_rows,), which samples these are
    sample_weight : array (n_samples,), or (0,) for all ones
    delta : array (n_rows, n_outputs), written

    Returns
    -------
    loss : float, weighted sum over rows and outputs
    weight : float, sum of the weights
    """
    real = a.dtype.type
    tiny = 2.0**-52 if a.itemsize == 8 else 2.0**-23
    one, smoothing = real(1.0), real(option if code == BINARY_LOG_LOSS else 0.0)
    even = real(option / a.shape[1] if code == LOG_LOSS else 0.0)
    loss, weight = 0.0, 0.0
    for i in range(a.shape[0]):
        row = rows[i]
        w = sample_weight[row] if sample_weight.shape[0] > 0 else one
        row_loss = 0.0
        if code == LOG_LOSS:
            label, hit = int(targets[row, 0]), one - real(option)
            for j in range(a.shape[1]):
                delta[i, j] = w * (a[i, j] - even)
                if even > 0.0:
                    row_loss -= even * math.log(_inside(a[i, j], tiny))
            delta[i, label] = w * (a[i, label] - (hit + even))
            row_loss -= hit * math.log(_inside(a[i, label], tiny))
        else:
            for j in range(a.shape[1]):
                y = targets[row, j] if targets.shape[0] > 0 else delta[i, j]
                if y != y:  # missing, hence nothing to be wrong about
                    delta[i, j] = real(0.0)
                    continue
                y += smoothing * (real(0.5) - y)
                of_output, slope = _of_output(code, option, tiny, y, a[i, j])
                delta[i, j] = w * slope
                row_loss += of_output
        loss += w * row_loss
        weight += w
    return loss, weight


@entry
def sum_loss(code, option, a, targets, rows, sample_weight):
    """The weighted loss of given outputs, without a gradient.

    Parameters and results are those of `output_delta`.
    """
    return output_delta(code, option, a, targets, rows, sample_weight, np.empty_like(a))
