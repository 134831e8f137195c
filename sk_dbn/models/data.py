"""Access of kernels to the caller's data: in place, of any dtype, dense or CSR."""

import copy
from functools import cached_property

import joblib
import numpy as np
import scipy.sparse

from sk_dbn.kernels.gather import DTYPES, FLOAT16, Source
from sk_dbn.kernels.observed import observed_moments
from sk_dbn.kernels.statistics import BLOCK, column_moments, fingerprints
from sk_dbn.kernels.tiles import LINE_BYTES
from sk_dbn.models.forward import inputs
from sk_dbn.models.orders import rows_together
from sk_dbn.models.pace import Pace
from sk_dbn.models.threads import run_serial

MANY_VALUES = 2e6  # enough to use a second thread
BLOCK_VALUES = 2**22  # maximum number of values read in one call

_AS_IT_IS = (np.empty(0),) * 4  # shift, scale and limits of values read unchanged
_NO_UNITS = np.empty(0, np.int64), np.empty(0)  # where each column is read by one unit
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


def parameters_for_kernels(theta, dtype=None):
    """A copy of parameters for kernels, which begins where a line of memory does.

    The kernels read a few lines of each row of weights. Where rows begin within a line, each time
    one line more is read: a few samples through large layers take half as long again.

    Parameters
    ----------
    theta : ndarray of shape (n_parameters,)
    dtype : dtype, default=None
        By default that of theta.

    Returns
    -------
    ndarray
    """
    dtype = np.dtype(dtype or theta.dtype).newbyteorder("=")
    memory = np.empty(theta.size * dtype.itemsize + LINE_BYTES, np.uint8)
    first = -memory.ctypes.data % LINE_BYTES
    copy = memory[first : first + theta.size * dtype.itemsize].view(dtype)
    copy[:] = theta
    return copy


def arrays_for_kernels(state):
    """The attributes of an object from a pickle, with `for_kernels` applied to arrays."""
    return {name: for_kernels(x) if isinstance(x, np.ndarray) else x for name, x in state.items()}


class Data:
    """Rows of a matrix for kernels, described by a `Source`. Keeps the matrix alive.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Read in place, never written. NaN is a missing value.
    dtype : dtype
        Precision of the model that will read it.
    shift, scale : ndarray of shape (n_units,), default=None
        A value is read as (value - shift) * scale.
    limits : tuple of two floats or ndarrays of shape (n_units,), default=(-inf, inf)
        Values are clipped to these if there is a shift.
    unstored : float, default=0.0
        Value of what a sparse matrix does not store; NaN: it is missing.
    units : tuple of two ndarrays of shape (n_features + 1,) and (n_units,), default=None
        `first_unit` and `category`, see `Source`. By default each feature is read by one unit.
    fill : ndarray of shape (n_units,), default=None
        What units read where a value is missing. By default NaN.
    """

    def __init__(
        self,
        X,
        dtype,
        shift=None,
        scale=None,
        limits=(-np.inf, np.inf),
        *,
        unstored=0.0,
        units=None,
        fill=None,
    ):
        is_sparse = scipy.sparse.issparse(X)
        if is_sparse and np.isnan(unstored) and not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()  # which also sorts the entries of a row
        self.X = X if is_sparse else _readable(np.asarray(X))
        self.dtype = np.dtype(dtype)
        self.shape = self.X.shape
        self.unstored = float(unstored)
        self._units = _NO_UNITS if units is None else units
        self._fill = np.empty(0) if fill is None else np.array(fill, dtype=np.float64)
        self._reading = _AS_IT_IS
        if shift is None and is_sparse and np.isnan(unstored):
            shift, scale = np.zeros(X.shape[1]), 1.0
        if shift is not None:
            lines = np.empty((4, len(shift)))  # copies, because kernels want writable arrays
            for line, x in zip(lines, (shift, scale, *limits), strict=True):
                line[:] = x
            self._reading = tuple(lines)
        self.source = self._describe_csr() if is_sparse else self._describe_dense()

    @property
    def is_listed(self):
        """Whether rows list what was observed, all else being missing."""
        return scipy.sparse.issparse(self.X) and bool(np.isnan(self.unstored))

    @property
    def unfilled(self):
        """The same data, read as NaN where a value is missing."""
        twin = copy.copy(self)
        twin.source = self.source._replace(fill=np.empty(0))
        return twin

    @property
    def n_units(self):
        """Number of units that read the columns."""
        return len(self._units[1]) or self.shape[1]

    @property
    def widest(self):
        """Maximum number of units that read one column."""
        return int(np.diff(self._units[0]).max()) if len(self._units[0]) else 1

    @cached_property
    def has_missing(self):
        """Whether values are missing."""
        if self.is_listed:
            return True
        values = self.X.data if scipy.sparse.issparse(self.X) else self.X
        return values.dtype.kind == "f" and values.size > 0 and bool(np.isnan(np.min(values)))

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
        return Source(*where, m, 0, *self._reading, 0.0, *self._units, self._fill)

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
        reading = *self._reading, self.unstored, *self._units, self._fill
        return Source(*where, *indices, wide, X.shape[1], 1, *reading)

    def moments(self, rows):
        """Mean, variance, minimum and maximum of each unit over some rows.

        Missing values are left out. Where there is no other, mean and variance are 0, and the
        minimum is infinite, the maximum minus infinite.

        Parameters
        ----------
        rows : int64 ndarray of shape (n_rows,)

        Returns
        -------
        mean, variance, low, high : float64 ndarrays of shape (n_units,)
        """
        if self.has_missing:
            return self.observed_moments(rows)[1:]
        n_columns = self.n_units
        mean, squares = np.zeros(n_columns), np.zeros(n_columns)
        low, high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
        block = min(BLOCK, max(1, BLOCK_VALUES // max(n_columns, 1)))
        for first, end in Pace().calls(-(-len(rows) // block)):
            piece = rows[first * block : end * block]
            column_moments(self.source, piece, block, first * block, mean, squares, low, high)
        return mean, squares / len(rows), low, high

    def observed_moments(self, rows):
        """The number of values that are not missing, and their `moments`.

        Parameters
        ----------
        rows : int64 ndarray of shape (n_rows,)

        Returns
        -------
        count, mean, variance, low, high : float64 ndarrays of shape (n_units,)
        """
        n, read = self.n_units, self
        if len(self.source.shift) == 0:  # which that kernel needs
            read = Data(self.X, self.dtype, np.zeros(n), 1.0)
        count, mean, squares = np.zeros((3, n))
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        for first, end in Pace().calls(-(-len(rows) // BLOCK)):
            piece = rows[first * BLOCK : end * BLOCK]
            observed_moments(read.source, piece, count, mean, squares, low, high)
        return count, mean, squares / np.maximum(count, 1.0), low, high

    def observed(self, rows):
        """What was observed in some rows, as the units read it.

        Parameters
        ----------
        rows : int64 ndarray of shape (n_rows,)

        Returns
        -------
        row, unit : int64 ndarrays of shape (n_observed,)
            Position in `rows`, and unit, in ascending order.
        v : ndarray of shape (n_observed,)
        """
        if self.is_listed:
            return self._observed_entries(self.X[rows])
        x = inputs(self.unfilled, rows)
        row, unit = np.nonzero(~np.isnan(x))
        return row, unit, x[row, unit]

    def _observed_entries(self, X):
        """`observed` of the entries of a CSR matrix."""
        is_known = ~np.isnan(X.data)
        column, x = X.indices[is_known], X.data[is_known].astype(np.float64)
        row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))[is_known]
        first = self.source.first_unit if len(self.source.first_unit) else np.arange(X.shape[1] + 1)
        counts = first[column + 1] - first[column]
        starts = np.cumsum(counts) - counts
        unit = np.arange(counts.sum()) + np.repeat(first[column] - starts, counts)
        x, row = np.repeat(x, counts), np.repeat(row, counts)
        shift, scale, low, high = (line[unit] for line in self._reading)
        v = np.clip((x - shift) * scale, low, high)
        if len(self.source.category):
            category = self.source.category[unit]
            v = np.where(np.isnan(category), v, x == category)
        return row, unit, v.astype(self.dtype)

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
        if self.is_listed:
            parts.append("what is not stored is missing")
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
