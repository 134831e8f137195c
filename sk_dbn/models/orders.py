"""The order in which an epoch visits the samples."""

import mmap
from functools import cached_property

import numpy as np
import scipy.sparse

from sk_dbn.models import memory

LARGE_FILE = 0.5  # share of the computer's memory; larger files are read block by block
BLOCK_BYTES = 2**20  # of a block of consecutive rows
SORTED_TOGETHER = 2**20  # maximum number of hashes sorted in one call
MIN_LISTED = 2**14  # rows that list a few samples in proportion to their weights
BLOCKS_MIXED = 64  # number of blocks whose rows are shuffled together


def rows_together(X):
    """The number of consecutive rows to read together.

    A memory-mapped file that does not fit into memory is read from disk. In random order, each row
    would cause a separate read of at least one page.

    Parameters
    ----------
    X : ndarray or CSR matrix

    Returns
    -------
    int
        0: rows can be visited in any order. It is larger only if X is memory-mapped and exceeds
        half of the computer's memory.
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
    """The order of the training samples in each epoch.

    Parameters
    ----------
    random : RandomState
    rows : int64 ndarray
        The samples, in ascending order if rows are read together.
    shuffle : bool
        Whether each epoch has a new order.
    together : int
        See `rows_together`.
    weight : float64 ndarray like rows, default=None
        In each epoch a row is visited as often as its weight says on average, see `drawn`. None:
        once.
    """

    def __init__(self, random, rows, shuffle, together, weight=None):
        self.random, self.rows = random, rows
        self.shuffle, self.together, self.weight = shuffle, together, weight

    @cached_property
    def listed(self):
        """The rows in proportion to their weights, light ones perhaps not at all: for measures."""
        if self.weight is None:
            return self.rows
        return drawn(self.rows, self.weight, max(len(self.rows), MIN_LISTED), 0.5)

    def next(self):
        """The order of the next epoch, an int64 ndarray."""
        rows = self.rows
        if self.weight is not None:
            rows = drawn(rows, self.weight, len(rows), self.random.uniform())
        return shuffled(self.random, rows, self.together) if self.shuffle else rows


def drawn(rows, weight, n_drawn, start):
    """Draw rows by systematic sampling: each n_drawn w / sum(w) times, rounded up or down.

    With a uniform start this number is the mean. The variance is smaller than with independent
    draws (Madow & Madow, 1944).

    Parameters
    ----------
    rows : ndarray of shape (n_rows,)
    weight : float64 ndarray of shape (n_rows,)
    n_drawn : int
    start : float
        In [0, 1).

    Returns
    -------
    ndarray of shape (n_drawn,)
        In the order of the rows.
    """
    ends = np.cumsum(weight / weight.max())  # which is finite
    ends = np.floor(n_drawn * (ends / ends[-1]) + start)
    return np.repeat(rows, np.diff(ends, prepend=0.0).astype(np.int64))


def shuffled(random, order, together=0):
    """Shuffle the samples for one epoch.

    If rows are read together, blocks of rows are shuffled, and then the rows of a few blocks at a
    time, which fit into memory. So an epoch reads each block of the file once.

    Parameters
    ----------
    random : RandomState
    order : int64 ndarray of shape (n_rows,)
        In ascending order if rows are read together.
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


def canonical_order(run, *matrices):
    """An order of the samples that depends only on their contents.

    So the model does not depend on how samples are stored: shuffling them, or listing a sample
    twice instead of giving it a weight of 2, changes nothing.

    Parameters
    ----------
    run : callable, from `threads`
    *matrices : Data
        Inputs, and targets if there are any, with one row per sample.

    Returns
    -------
    int64 ndarray of shape (n_samples,)
    """
    with np.errstate(over="ignore"):
        hashes = sum(m.fingerprints(run, seed) for seed, m in enumerate(matrices))
    return _sorted_order(hashes)


def _sorted_order(hashes):
    """The stable order that sorts 64-bit hashes, found in short calls."""
    n_bits = max(0, int(np.ceil(np.log2(max(len(hashes), 1) / SORTED_TOGETHER))))
    if n_bits == 0:
        return np.argsort(hashes, kind="stable")
    order, heads = [], (hashes >> np.uint64(64 - n_bits)).astype(np.uint16)  # few bytes to compare
    for head in range(2**n_bits):
        places = np.flatnonzero(heads == head)
        order.append(places[np.argsort(hashes[places], kind="stable")])
    return np.concatenate(order)
