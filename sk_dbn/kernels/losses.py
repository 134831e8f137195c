"""Losses with the canonical output activation, so that the output's delta is a - y.

To add one: a code in ``LOSSES`` and a branch in `output_delta`.
"""

import math

import numpy as np

from sk_dbn.kernels.compile import EXACT, entry, kernel, routine

SQUARED_ERROR, BINARY_LOG_LOSS, LOG_LOSS, POISSON = range(4)

LOSSES = {
    "squared_error": SQUARED_ERROR,  # half squared error, identity output
    "binary_log_loss": BINARY_LOG_LOSS,  # logistic output
    "log_loss": LOG_LOSS,  # softmax output, target is the class's number
    "poisson": POISSON,  # half Poisson deviance, exp output
}


@kernel(forceinline=True)
def _inside(p, tiny):
    """A probability kept away from 0 and 1; NaN stays NaN."""
    p = tiny if p < tiny else p
    return 1.0 - tiny if p > 1.0 - tiny else p


@routine(fastmath=EXACT)
def output_delta(code, a, targets, rows, sample_weight, delta):
    """The derivative of the loss with respect to the output layer's products.

    Parameters
    ----------
    code : int
    a : array (n_rows, n_outputs), output activations
    targets : array (n_samples, n_outputs), or (n_samples, 1) class numbers for log_loss
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
    one = real(1.0)
    loss, weight = 0.0, 0.0
    for i in range(a.shape[0]):
        row = rows[i]
        w = sample_weight[row] if sample_weight.shape[0] > 0 else one
        row_loss = 0.0
        if code == LOG_LOSS:
            label = int(targets[row, 0])
            for j in range(a.shape[1]):
                delta[i, j] = w * a[i, j]
            delta[i, label] = w * (a[i, label] - one)
            row_loss = -math.log(_inside(a[i, label], tiny))
        else:
            for j in range(a.shape[1]):
                y, p = targets[row, j], a[i, j]
                delta[i, j] = w * (p - y)
                if code == SQUARED_ERROR:
                    row_loss += 0.5 * (p - y) * (p - y)
                elif code == POISSON:
                    row_loss += p - y
                    if y > 0.0:
                        row_loss += y * math.log(y / p)
                else:
                    p = _inside(p, tiny)
                    if y > 0.0:
                        row_loss -= y * math.log(p)
                    if y < 1.0:
                        row_loss -= (1.0 - y) * math.log(1.0 - p)
        loss += w * row_loss
        weight += w
    return loss, weight


@entry
def sum_loss(code, a, targets, rows, sample_weight):
    """The weighted loss of given outputs, without a gradient.

    Parameters and results are those of `output_delta`.
    """
    return output_delta(code, a, targets, rows, sample_weight, np.empty_like(a))
