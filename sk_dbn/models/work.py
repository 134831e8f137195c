"""How work is cut: into blocks that threads share, and into compiled calls that are short."""

import math
import time

SMALL_WORK = 2e6  # floating-point operations not worth waking another thread for
LONGEST_CALL = 0.1  # seconds in compiled code, so that Ctrl-C is heard
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


class Pace:
    """Learns how many minibatches, or other units of work, a compiled call can take.

    Parameters
    ----------
    first : int, default=1
        Units of the first call, which is not to be long either, whatever their size.
    """

    def __init__(self, first=1):
        self._per_call = max(1, first)

    def calls(self, n_batches, each=False):
        """Cut some minibatches into calls; the time between two of them is measured.

        Parameters
        ----------
        n_batches : int
        each : bool, default=False
            Whether every minibatch is to be a call of its own.

        Yields
        ------
        first, end : int
            The minibatches of one call.
        """
        first = 0
        while first < n_batches:
            end = min(first + (1 if each else self._per_call), n_batches)
            start = time.perf_counter()
            yield first, end
            elapsed = time.perf_counter() - start
            first = end
            if elapsed < LONGEST_CALL / 2:
                self._per_call *= 2 if elapsed > LONGEST_CALL / 16 else 8
            elif elapsed > LONGEST_CALL:
                self._per_call = max(1, self._per_call // 2)
