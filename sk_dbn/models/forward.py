"""Many rows through layers: prediction, and what upper layers are shown."""

import numpy as np

from sk_dbn.kernels.feed_forward import Layers, predict_rows
from sk_dbn.kernels.products import FAR_BYTES
from sk_dbn.models.pace import Pace
from sk_dbn.models.threads import run_serial
from sk_dbn.models.work import are_few

MIN_ROWS, MAX_ROWS = 32, 192  # rows that go through the layers together
N_BLOCKS = 8  # into which rows are divided if the blocks are not too small or too large
# Threads take a tenth of a millisecond to wake: floating-point operations that are worth it, and
# bytes of weights that have to be read for a few rows.
LARGE_WORK, MIN_SHARED_BYTES = 2e7, 2**22
FIRST_CALL = 2e9  # floating-point operations of the first call, on any processor
LARGEST_BLOCK = 4e9  # floating-point operations of rows that go through the layers together


def are_sizes(units):
    """Whether an array has the numbers of units of at least two layers.

    Parameters
    ----------
    units : ndarray

    Returns
    -------
    bool
    """
    return units.dtype == np.int64 and units.ndim == 1 and len(units) > 1 and units.min() > 0


def shared_work(layers, n_rows):
    """Floating-point operations of some rows that threads can share: none if they are few."""
    work = _work(layers)
    if _are_few(layers, n_rows):
        is_shared = layers.theta.nbytes > MIN_SHARED_BYTES
    else:
        is_shared = n_rows > _block(work, n_rows) and n_rows * work > LARGE_WORK
    return work * n_rows if is_shared else 0.0


def _work(layers):
    """Floating-point operations of a row, at least one."""
    return max(2.0 * layers.theta.size, 1.0)


def _are_few(layers, n_rows):
    """Whether threads share the layers' products, and not the rows."""
    is_large = layers.theta.nbytes > FAR_BYTES  # which takes no time to find out
    return is_large and are_few(n_rows, layers.units, layers.theta.dtype)


def _block(work, n_rows):
    """How many of the rows, each of so much work, go through the layers together."""
    even = (n_rows // N_BLOCKS + 15) // 16 * 16
    return min(max(MIN_ROWS, even), MAX_ROWS, _largest_block(work))


def _largest_block(work):
    """Maximum number of rows of a block, so that its call is short."""
    return max(16, int(LARGEST_BLOCK / work) // 16 * 16)


def forward(run, data, layers, n_layers, rows=None):
    """The activations of a layer for every row.

    Parameters
    ----------
    run : callable, from `threads`
    data : Data
        In the precision of the layers.
    layers : feed_forward.Layers
    n_layers : int
        How many layers the rows pass; 0 gives the input as the first layer reads it.
    rows : int64 ndarray of shape (n_rows,), default=None
        Which rows; all by default.

    Returns
    -------
    ndarray of shape (n_rows, units[n_layers])
    """
    rows = np.arange(data.shape[0]) if rows is None else rows
    out = np.empty((len(rows), layers.units[n_layers]), layers.theta.dtype)
    work = _work(layers)
    call = run if shared_work(layers, len(rows)) else run_serial
    # Calls end where blocks do, which all calls cut alike: their number changes no bit.
    if _are_few(layers, len(rows)):
        block = min(len(rows), _largest_block(work))
        calls = ((k, k + 1) for k in range(-(-len(rows) // block)))
    else:
        block = _block(work, len(rows))
        calls = Pace(int(FIRST_CALL / (work * block))).calls(-(-len(rows) // block))
    for first, end in calls:
        part = slice(first * block, end * block)
        call(predict_rows, data.source, rows[part], layers, n_layers, block, out[part])
    return out


def inputs(data, rows):
    """Some rows of the data as a model reads them, dense.

    Parameters
    ----------
    data : Data
    rows : int64 ndarray of shape (n_rows,)

    Returns
    -------
    ndarray of shape (n_rows, n_units)
    """
    nothing, units = np.empty(0, np.int64), np.array([data.n_units])
    layers = Layers(np.empty(0, data.dtype), units, nothing, nothing, nothing)
    return forward(run_serial, data, layers, 0, rows)
