"""The scales of inputs and targets, and whether they are bad for learning.

First weights, learning rates and penalties are made for values of order 1. The bounds below are the
scales at which held-out scores begin to fall, see docs/diagnosis_study.rst.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse

SCANNED_VALUES = 2**15  # values of a matrix that are read together

# Maximum root mean square of all features: in regression and gradient descent, where outputs or
# steps grow with it without bound, and otherwise.
LARGE_UNBOUNDED, LARGE_BOUNDED = 5.0, 9.0
FAR = 4.0  # maximum distance from zero, divided by the standard deviation
NARROW = 0.02  # minimum standard deviation, divided by that of the median feature
RARE = 10.0  # range / standard deviation; if larger, nearly all values are the same
SMALL = 0.1  # minimum of a row's typical norm
# Bounds of a target's standard deviation; smaller if gradients grow with it in gradient descent.
SMALL_TARGET, LARGE_TARGET_UNBOUNDED, LARGE_TARGET = 0.2, 10.0, 100.0
SMALL_MEAN, LARGE_MEAN = 0.1, 10.0  # bounds of a target's mean with an exponential output
EXPONENTIAL = ("poisson", "gamma")  # losses with an exponential output


@dataclass
class Scales:
    """Mean, standard deviation and range of each column.

    Parameters
    ----------
    mean, std, low, high : float64 ndarrays of shape (n_columns,)
    is_sparse : bool, default=False
        Whether the matrix is sparse, so that zeros should stay zeros.
    """

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_sparse: bool = False

    @classmethod
    def of(cls, X, rows):
        """Compute the scales of some rows of a matrix, block by block.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_columns)
        rows : int64 ndarray
            Which rows; a row that is listed twice counts once.

        Returns
        -------
        Scales
        """
        counts = np.zeros(X.shape[0], dtype=bool)
        counts[rows] = True
        rows = np.flatnonzero(counts)  # linear time, unlike sorting
        if scipy.sparse.issparse(X):
            return cls(*_sparse_moments(X, rows), is_sparse=True)
        n_columns = X.shape[1]
        mean, squares = np.zeros(n_columns), np.zeros(n_columns)
        low, high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
        step = max(1, SCANNED_VALUES // n_columns)
        for start in range(0, len(rows), step):
            block = X[rows[start : start + step]].astype(np.float64, copy=False)
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
            # Chan, Golub & LeVeque (1979): no cancellation if the mean is large.
            gap, share = block.mean(axis=0) - mean, len(block) / (start + len(block))
            squares += len(block) * block.var(axis=0) + gap**2 * start * share
            mean += gap * share
        return cls(mean, np.sqrt(squares / len(rows)), low, high)

    @classmethod
    def seen_by(cls, visible, moments, is_sparse):
        """The scales of features as visible units read them.

        Parameters
        ----------
        visible : VisibleUnits
        moments : tuple
            Moments of the features, as ``Data.moments`` returns them.
        is_sparse : bool

        Returns
        -------
        Scales
        """
        mean, variance, low, high = moments
        first = visible.first_unit[:-1]
        origin, unit = (x[first] for x in visible.origin_and_unit())
        mean, low, high = ((x - origin) / unit for x in (mean, low, high))
        std = np.sqrt(variance) / unit
        for x, of_category in zip((mean, std, low, high), (0.5, 0.5, 0.0, 1.0), strict=True):
            x[visible.is_category] = of_category
        return cls(mean, std, low, high, is_sparse)

    @property
    def rms(self):
        """Root mean square of each column."""
        return np.hypot(self.mean, self.std)

    @property
    def size(self):
        """Root mean square of all values."""
        return float(np.linalg.norm(self.rms) / np.sqrt(len(self.rms)))

    @property
    def distance(self):
        """Distance from zero of the columns that exclude it, over the spread of all columns."""
        center, spread = np.linalg.norm(self.mean[self._is_off_zero]), np.linalg.norm(self.std)
        return float(center / spread) if spread > 0 else 0.0

    @property
    def is_constant(self):
        """Whether no column varies."""
        return not (self.high > self.low).any()

    @property
    def _is_off_zero(self):
        return (self.low > 0) | (self.high < 0)

    @property
    def _is_narrow(self):
        """Columns that vary much less than the others, unless nearly all their values are equal."""
        varies = self.high > self.low
        if not varies.any():
            return varies
        is_small = self.std < NARROW * np.median(self.std[varies])
        return varies & is_small & (self.high - self.low < RARE * self.std)

    def off_scale(self, bound):
        """The columns that keep a network from learning, the worst first.

        Parameters
        ----------
        bound : float
            Maximum size of the values.

        Returns
        -------
        columns : list of int
            Empty if the scales are good.
        what : str
            What is wrong with them.
        """
        if self.is_constant:
            return [], ""
        if self.size > bound:
            return _largest(self.rms, self.rms > bound), "large"
        if self.distance > FAR:
            return _largest(np.abs(self.mean), self._is_off_zero), "far from zero"
        if self._is_narrow.any():
            return _largest(-self.std, self._is_narrow), "nearly constant compared with the others"
        if self.size * np.sqrt(len(self.rms)) < SMALL:
            return _largest(self.rms, self.rms > 0), "small"
        return [], ""


def largest_size(solver, is_regressor):
    """The maximum root mean square of the features of a network.

    Parameters
    ----------
    solver : str
    is_regressor : bool

    Returns
    -------
    float
    """
    return LARGE_UNBOUNDED if is_regressor or solver == "sgd" else LARGE_BOUNDED


def off_scale_targets(scales, solver, loss):
    """The targets whose scale keeps a network from learning.

    Parameters
    ----------
    scales : Scales
        Scales of the targets of a regressor.
    solver : str
    loss : str

    Returns
    -------
    list of int
        Constant targets are not among them.
    """
    varies = scales.high > scales.low
    if loss in EXPONENTIAL:
        is_off = (scales.mean < SMALL_MEAN) | (scales.mean > LARGE_MEAN)
        return np.flatnonzero(is_off & varies).tolist()
    is_off = scales.std < SMALL_TARGET
    if solver != "lbfgs":  # its line search adapts the steps to the scale
        is_unbounded = solver == "sgd" and loss == "squared_error"
        is_off |= scales.std > (LARGE_TARGET_UNBOUNDED if is_unbounded else LARGE_TARGET)
        is_off |= np.abs(scales.mean) > FAR * scales.std
    return np.flatnonzero(is_off & varies).tolist()


def _largest(values, among):
    """The indices of the values among those chosen, the largest first."""
    columns = np.flatnonzero(among)
    return columns[np.argsort(-values[columns], kind="stable")].tolist()


def _sparse_moments(X, rows):
    """Mean, standard deviation, minimum and maximum of the columns of a CSR matrix."""
    n_columns = X.shape[1]
    count, total, squares = (np.zeros(n_columns) for _ in range(3))
    low, high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
    step = max(1, SCANNED_VALUES * len(rows) // max(X.nnz, 1))
    for start in range(0, len(rows), step):
        block = X[rows[start : start + step]]
        columns, values = block.indices, block.data.astype(np.float64)
        count += np.bincount(columns, minlength=n_columns)
        total += np.bincount(columns, values, n_columns)
        squares += np.bincount(columns, values**2, n_columns)
        np.minimum.at(low, columns, values)
        np.maximum.at(high, columns, values)
    has_zeros = count < len(rows)
    low = np.where(has_zeros, np.minimum(low, 0.0), low)
    high = np.where(has_zeros, np.maximum(high, 0.0), high)
    mean = total / len(rows)
    return mean, np.sqrt(np.maximum(squares / len(rows) - mean**2, 0.0)), low, high
