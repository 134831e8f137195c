"""Dropout: units that take no part in a step, chosen by random bits of their own.

The bits depend on the step, the layer, the row's position in the minibatch and the unit, so
they are the same whoever draws them.
"""

import math
from collections import namedtuple

import numpy as np

from sk_dbn.kernels.activations import SELU, SELU_ALPHA, SELU_SCALE
from sk_dbn.kernels.compile import EXACT, routine
from sk_dbn.kernels.random_bits import bits, derive

u32 = np.uint32

Dropout = namedtuple("Dropout", "rates seed")
Dropout.__doc__ = """Which share of the units is dropped.

rates : float64 array (n_layers,), of the input and of each hidden layer; (0,) for no dropout
seed : int, key of the random bits
"""


@routine(fastmath=EXACT)
def drop_units(code, rate, key, first_row, a, slopes):
    """Drop a share of a layer's units, others in each row, and make up for it.

    What is left is divided by its share, so that on average nothing changes. Units of selu that
    are dropped take the value that selu has far below zero; then all are scaled and shifted so
    that mean 0 and variance 1 stay what they are (Klambauer et al., 2017, "alpha dropout").

    Parameters
    ----------
    code : int, the layer's activation
    rate : float, probability of a unit to be dropped
    key : uint32, of this step and layer
    first_row : int, position of a's first row in the minibatch
    a : array (n_rows, n_units), updated
    slopes : array like a, derivatives of a, updated
    """
    real = a.dtype.type
    keep, low = 1.0 - rate, 0.0
    more = 1.0 / keep
    if code == SELU:
        low = -SELU_SCALE * SELU_ALPHA
        more = 1.0 / math.sqrt(keep * (1.0 + rate * low * low))
    fill, shift = real(more * keep * low), real(-more * rate * low)  # low is scaled and shifted too
    more, zero = real(more), real(0.0)
    threshold = u32(min(math.ceil(rate * 2.0**32), 2.0**32 - 1.0))
    for i in range(a.shape[0]):
        row_key = derive(key, i + first_row)
        for j in range(a.shape[1]):
            is_dropped = bits(key, row_key, j) < threshold
            a[i, j] = fill if is_dropped else more * a[i, j] + shift
            slopes[i, j] = zero if is_dropped else more * slopes[i, j]
