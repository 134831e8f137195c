"""Division of work: blocks for threads, and pieces that are short calls of NumPy."""

import math

import numpy as np

from sk_dbn.kernels.products import FAR_BYTES

SMALL_WORK = 2e6  # floating-point operations; too few to use a second thread
PIECE_WORK = 1e9  # floating-point operations of a short call of NumPy
TRANSCENDENTAL_WORK = 500.0  # operations that take as long as one logarithm in NumPy
MAX_BLOCKS = 16

MAX_FEW_ROWS, MIN_FEW_UNITS = 256, 512  # with fewer units, what is not a product takes too long
BYTES_PER_ROW = 2**15  # of weights, for which one row more does not repay reading them twice


def row_blocks(n_rows):
    """Number of blocks of rows of a minibatch."""
    return min(MAX_BLOCKS, max(min(n_rows // 16, 2), n_rows // 64, 1))


def weight_blocks(fan_in):
    """Number of blocks of rows of a weight matrix."""
    return min(MAX_BLOCKS, max(min(fan_in // 32, 2), fan_in // 128, 1))


def are_few(n_rows, units, dtype):
    """Whether threads should share the products of layers, and not the rows.

    A thread that takes some of the rows reads all weights for them. Weights that do not fit its
    cache have to serve for enough rows, or reading takes longer than multiplying. Most weights have
    to be in layers whose products `kernels.products` can share.

    Parameters
    ----------
    n_rows : int
    units : ndarray of int
        Numbers of units of the input and of each layer.
    dtype : dtype of the weights

    Returns
    -------
    bool
    """
    if not 0 < n_rows <= MAX_FEW_ROWS:
        return False
    n_bytes = units[:-1].astype(float) * units[1:] * np.dtype(dtype).itemsize
    is_large = n_bytes > max(n_rows * BYTES_PER_ROW, FAR_BYTES)
    is_large &= np.minimum(units[:-1], units[1:]) >= MIN_FEW_UNITS
    return bool(n_bytes[is_large].sum() > 0.75 * n_bytes.sum())


def product_work(n_weights, n_units):
    """Cost in NumPy of a row's products and its units' means, in floating-point operations."""
    return 2.0 * n_weights + TRANSCENDENTAL_WORK * n_units


def row_pieces(n_rows, work, max_rows=math.inf):
    """Divide rows into pieces for short calls of NumPy.

    Parameters
    ----------
    n_rows : int
    work : float
        Floating-point operations of a row.
    max_rows : int, default=inf
        Maximum number of rows of a piece.

    Yields
    ------
    slice
    """
    size = max(1, int(min(PIECE_WORK / work, max_rows)))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
