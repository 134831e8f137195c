"""The order in which an epoch visits the samples."""

import mmap

import numpy as np
import scipy.sparse

from sk_dbn.models import memory

LARGE_FILE = 0.5  # share of the computer's memory; larger files are read block by block
BLOCK_BYTES = 2**20  # of rows beside each other, which are read together
BLOCKS_MIXED = 64  # blocks whose rows are visited in turns


def rows_together(X):
    """How many rows beside each other are to be read together.

    A memory-mapped file stays on the disk as far as it does not fit into memory. Visited at random,
    each row would be read from there by itself, a whole page for it and the pages around.

    Parameters
    ----------
    X : ndarray or CSR matrix

    Returns
    -------
    int
        0: the rows may be visited in any order. Otherwise X is memory-mapped and larger than half
        of the memory that there is.
    """
    arrays = (X.data, X.indices) if scipy.sparse.issparse(X) else (X,)
    n_bytes = sum(array.nbytes for array in arrays if _is_mapped(array))
    if n_bytes == 0 or n_bytes <= LARGE_FILE * memory.of_this_computer():
        return 0
    return max(1, BLOCK_BYTES * X.shape[0] // n_bytes)


def _is_mapped(x):
    """Whether an array is a view of a file."""
    while isinstance(x, np.ndarray):
        x = x.base
    return isinstance(x, mmap.mmap)


class Orders:
    """The samples of a training set in one order after another.

    Parameters
    ----------
    random : RandomState
    rows : int64 ndarray
        The samples, ascending where rows are read together.
    shuffle : bool
        Whether each epoch has a new order.
    together : int
        See `rows_together`.
    """

    def __init__(self, random, rows, shuffle, together):
        self.random, self.rows = random, rows
        self.shuffle, self.together = shuffle, together

    def next(self):
        """That of the next epoch, an int64 ndarray."""
        return shuffled(self.random, self.rows, self.together) if self.shuffle else self.rows


def shuffled(random, order, together=0):
    """The samples in another order, for one epoch.

    Where rows are read together, whole blocks of them are shuffled, and then the rows of some
    blocks at a time, which memory can hold meanwhile: one pass through the file in large pieces.

    Parameters
    ----------
    random : RandomState
    order : int64 ndarray of shape (n_rows,)
        Ascending where rows are read together.
    together : int, default=0
        See `rows_together`.

    Returns
    -------
    int64 ndarray of shape (n_rows,)
    """
    if together == 0:
        return random.permutation(order)
    blocks = random.permutation(-(-len(order) // together))
    visits = []
    for first in range(0, len(blocks), BLOCKS_MIXED):
        starts = together * blocks[first : first + BLOCKS_MIXED]
        mixed = np.concatenate([order[start : start + together] for start in starts])
        visits.append(random.permutation(mixed))
    return np.concatenate(visits)
