"""How work is cut: into blocks that threads share, and into pieces that NumPy is not long about."""

import math

SMALL_WORK = 2e6  # floating-point operations not worth waking another thread for
PIECE_WORK = 1e9  # floating-point operations that NumPy does in a small part of that time
TRANSCENDENTAL_WORK = 500.0  # operations in whose time NumPy takes one logarithm
MOST_BLOCKS = 16


def row_blocks(n_rows):
    """In how many blocks some rows go through the layers."""
    return min(MOST_BLOCKS, max(min(n_rows // 16, 2), n_rows // 64, 1))


def weight_blocks(fan_in):
    """In how many blocks the rows of a weight matrix are updated."""
    return min(MOST_BLOCKS, max(min(fan_in // 32, 2), fan_in // 128, 1))


def product_work(n_weights, n_units):
    """What a row's products and its units' means cost NumPy, in floating-point operations."""
    return 2.0 * n_weights + TRANSCENDENTAL_WORK * n_units


def row_pieces(n_rows, work, most=math.inf):
    """Cut rows into pieces that one call of NumPy is not long about.

    Parameters
    ----------
    n_rows : int
    work : float
        Floating-point operations of a row.
    most : int, default=inf
        Rows of a piece, at most.

    Yields
    ------
    slice
    """
    size = max(1, int(min(PIECE_WORK / work, most)))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
