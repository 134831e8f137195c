"""Division of work: blocks for threads, and pieces that are short calls of NumPy."""

import math

SMALL_WORK = 2e6  # floating-point operations; too few to use a second thread
PIECE_WORK = 1e9  # floating-point operations of a short call of NumPy
TRANSCENDENTAL_WORK = 500.0  # operations that take as long as one logarithm in NumPy
MAX_BLOCKS = 16


def row_blocks(n_rows):
    """Number of blocks of rows of a minibatch."""
    return min(MAX_BLOCKS, max(min(n_rows // 16, 2), n_rows // 64, 1))


def weight_blocks(fan_in):
    """Number of blocks of rows of a weight matrix."""
    return min(MAX_BLOCKS, max(min(fan_in // 32, 2), fan_in // 128, 1))


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
