"""Access of kernels to the caller's data: in place, of any dtype, dense or CSR."""

from functools import cached_property

import joblib
import numpy as np
import scipy.sparse

from sk_dbn.kernels.gather import DTYPES, FLOAT16, Source
from sk_dbn.kernels.statistics import BLOCK, column_moments, fingerprints
from sk_dbn.models.orders import rows_together
from sk_dbn.models.pace import Pace
from sk_dbn.models.threads import run_serial

MANY_VALUES = 2e6  # enough to use a second thread
BLOCK_VALUES = 2**22  # maximum number of values read in one call

_AS_IT_IS = (np.empty(0),) * 4  # shift, scale and limits of values read unchanged
_CODES = {np.dtype(dtype): code for code, dtype in enumerate(DTYPES)}
_CODES[np.dtype(bool)] = _CODES[np.dtype(np.uint8)]
_CODES[np.dtype(np.float16)] = FLOAT16


def _readable(X):
    """X if kernels can read it in place, else a copy that they can read."""
    aligned = all(s >= 0 and s % X.itemsize == 0 for s in X.strides)
    known = X.dtype in _CODES and X.dtype.isnative and X.flags.aligned
    if aligned and known:
        return X
    dtype = X.dtype.newbyteorder("=") if X.dtype.newbyteorder("=") in _CODES else np.float64
    return np.ascontiguousarray(X, dtype=dtype)


def for_kernels(x):
    """Make an array contiguous, aligned, writable and of native byte order, as kernels need it.

    An array from a pickle may be a read-only memory map or have another byte order.

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    ndarray
        The argument, or a copy if needed.
    """
    return np.require(x, x.dtype.newbyteorder("="), ["C", "A", "W", "E"])


def arrays_for_kernels(state):
    """The attributes of an object from a pickle, with `for_kernels` applied to arrays."""
    return {name: for_kernels(x) if isinstance(x, np.ndarray) else x for name, x in state.items()}


class Data:
    """Rows of a matrix for kernels, described by a `Source`. Keeps the matrix alive.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Read in place, never written.
    dtype : dtype
        Precision of the model that will read it.
    shift, scale : ndarray of shape (n_features,), default=None
        A value is read as (value - shift) * scale.
    limits : tuple of two floats or ndarrays of shape (n_features,), default=(-inf, inf)
        Values are clipped to these if there is a shift.
    """

    def __init__(self, X, dtype, shift=None, scale=None, limits=(-np.inf, np.inf)):
        is_sparse = scipy.sparse.issparse(X)
        self.X = X if is_sparse else _readable(np.asarray(X))
        self.dtype = np.dtype(dtype)
        self.shape = self.X.shape
        self._reading = _AS_IT_IS
        if shift is not None:
            lines = np.empty((4, len(shift)))  # copies, because kernels want writable arrays
            for line, x in zip(lines, (shift, scale, *limits), strict=True):
                line[:] = x
            self._reading = tuple(lines)
        self.source = self._describe_csr() if is_sparse else self._describe_dense()

    @cached_property
    def together(self):
        """Number of rows to read together, see `rows_together`."""
        return rows_together(self.X)

    def _describe_dense(self):
        X = self.X
        rows, columns = (stride // X.itemsize for stride in X.strides)
        n, m = X.shape
        size = (n - 1) * rows + (m - 1) * columns + 1 if X.size else 0
        where = (_CODES[X.dtype], X.ctypes.data, size, rows, columns, 0, 0, 0)
        return Source(*where, m, 0, *self._reading)

    def _describe_csr(self):
        X = self.X
        narrow = X.indices.dtype == X.indptr.dtype == np.int32
        index = np.int32 if narrow else np.int64
        # Kept on self: the addresses below must stay valid.
        self._indices = np.ascontiguousarray(X.indices, dtype=index)
        self._indptr = np.ascontiguousarray(X.indptr, dtype=index)
        self._values = np.ascontiguousarray(_readable(X.data))
        where = (_CODES[self._values.dtype], self._values.ctypes.data, X.data.size, 0, 0)
        indices = (self._indices.ctypes.data, self._indptr.ctypes.data)
        wide = int(index == np.int64)
        return Source(*where, *indices, wide, X.shape[1], 1, *self._reading)

    def moments(self, rows):
        """Mean, variance, minimum and maximum of each column over some rows.

        Parameters
        ----------
        rows : int64 ndarray of shape (n_rows,)

        Returns
        -------
        mean, variance, low, high : float64 ndarrays of shape (n_features,)
        """
        n_columns = self.shape[1]
        mean, squares = np.zeros(n_columns), np.zeros(n_columns)
        low, high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
        block = min(BLOCK, max(1, BLOCK_VALUES // max(n_columns, 1)))
        for first, end in Pace().calls(-(-len(rows) // block)):
            piece = rows[first * block : end * block]
            column_moments(self.source, piece, block, first * block, mean, squares, low, high)
        return mean, squares / len(rows), low, high

    def digest(self, rows):
        """A hash of the content of some rows, in their order, and of its dtype.

        It does not depend on the strides of X, the type of a sparse matrix's indices, or other
        rows. Some rows are read at a time, so a memory-mapped file is not loaded as a whole.

        Parameters
        ----------
        rows : int64 ndarray of shape (n_rows,)

        Returns
        -------
        str
        """
        step, parts = max(1, BLOCK_VALUES // max(self.shape[1], 1)), []
        for first in range(0, len(rows), step):
            piece = self.X[rows[first : first + step]]
            if scipy.sparse.issparse(piece):
                places = (x.astype(np.int64) for x in (piece.indptr, piece.indices))
                piece = piece.shape, *places, piece.data
            else:
                piece = np.ascontiguousarray(piece)
            parts.append(joblib.hash(piece, "sha1"))  # faster than md5
        return joblib.hash(parts)

    def fingerprints(self, run, seed=0):
        """A 64-bit hash of each row's content.

        Parameters
        ----------
        run : callable, from `threads`
        seed : int

        Returns
        -------
        uint64 ndarray of shape (n_samples,)
        """
        out = np.empty(self.shape[0], np.uint64)
        call = run if self.shape[0] * self.shape[1] > MANY_VALUES else run_serial
        for first, end in Pace().calls(-(-len(out) // BLOCK)):
            first *= BLOCK
            call(fingerprints, self.source, first, np.uint32(seed), out[first : end * BLOCK])
        return out
