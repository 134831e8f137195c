"""The scales of what a network reads and of what it is to predict.

First weights, learning rates and penalties are made for values of order 1. From which scale on
the held-out score falls was measured; the bounds below lie where it begins to, and
docs/diagnosis.rst tells of it.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse

SCANNED_VALUES = 2**15  # of a matrix that are looked at together

# Root mean square of all features together: where outputs or steps grow with it without a bound,
# in regression and gradient descent, and elsewhere.
LARGE_UNBOUNDED, LARGE_BOUNDED = 5.0, 9.0
FAR = 4.0  # how far from zero values are, over how much they vary
NARROW = 0.02  # standard deviation over that of the median feature
RARE = 10.0  # a range of so many standard deviations: nearly always the same value
SMALL = 0.1  # typical norm of a row
# Standard deviation of a target; where gradients grow with it, gradient descent takes less.
SMALL_TARGET, LARGE_TARGET_UNBOUNDED, LARGE_TARGET = 0.2, 10.0, 100.0
SMALL_MEAN, LARGE_MEAN = 0.1, 10.0  # mean of a target whose logarithm is the output
EXPONENTIAL = ("poisson", "gamma")  # losses of such targets


@dataclass
class Scales:
    """Where the values of each column lie.

    Parameters
    ----------
    mean, std, low, high : float64 ndarrays of shape (n_columns,)
    is_sparse : bool, default=False
        Whether the matrix is, so that zeros should stay zeros.
    """

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_sparse: bool = False

    @classmethod
    def of(cls, X, rows):
        """Those of some rows of a matrix, which is read block by block.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_columns)
        rows : int64 ndarray
            Which rows; one that is listed twice counts once.

        Returns
        -------
        Scales
        """
        counts = np.zeros(X.shape[0], dtype=bool)
        counts[rows] = True
        rows = np.flatnonzero(counts)  # in time that is linear in their number, unlike sorting
        if scipy.sparse.issparse(X):
            return cls(*_sparse_moments(X, rows), is_sparse=True)
        n_columns = X.shape[1]
        mean, squares = np.zeros(n_columns), np.zeros(n_columns)
        low, high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
        step = max(1, SCANNED_VALUES // n_columns)
        for start in range(0, len(rows), step):
            block = X[rows[start : start + step]].astype(np.float64, copy=False)
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
            # Chan, Golub & LeVeque (1979): a large mean does not cancel the variance away.
            gap, share = block.mean(axis=0) - mean, len(block) / (start + len(block))
            squares += len(block) * block.var(axis=0) + gap**2 * start * share
            mean += gap * share
        return cls(mean, np.sqrt(squares / len(rows)), low, high)

    @classmethod
    def seen_by(cls, visible, moments, is_sparse):
        """Those of features as visible units see them.

        Parameters
        ----------
        visible : VisibleUnits
        moments : tuple
            Of the features, as ``Data.moments`` returns them.
        is_sparse : bool

        Returns
        -------
        Scales
        """
        mean, variance, low, high = moments
        origin, unit = visible.origin_and_unit(len(mean))
        mean, low, high = ((x - origin) / unit for x in (mean, low, high))
        return cls(mean, np.sqrt(variance) / unit, low, high, is_sparse)

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
        """How far from zero the columns are that do not reach it, over how much all vary."""
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
        """Columns that hardly vary beside the others, though not because they rarely do."""
        varies = self.high > self.low
        if not varies.any():
            return varies
        is_small = self.std < NARROW * np.median(self.std[varies])
        return varies & is_small & (self.high - self.low < RARE * self.std)

    def off_scale(self, bound):
        """Which columns keep a network from learning, the worst first.

        Parameters
        ----------
        bound : float
            From which size on values are too large.

        Returns
        -------
        columns : list of int
            Empty where the scales are good.
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
            return _largest(-self.std, self._is_narrow), "nearly constant beside the others"
        if self.size * np.sqrt(len(self.rms)) < SMALL:
            return _largest(self.rms, self.rms > 0), "small"
        return [], ""


def largest_size(solver, is_regressor):
    """From which size on features are too large for a network.

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
    """Which targets are of a scale that keeps a network from learning.

    Parameters
    ----------
    scales : Scales
        Of the targets of a regressor.
    solver : str
    loss : str

    Returns
    -------
    list of int
        A target that never varies is not among them.
    """
    varies = scales.high > scales.low
    if loss in EXPONENTIAL:
        is_off = (scales.mean < SMALL_MEAN) | (scales.mean > LARGE_MEAN)
        return np.flatnonzero(is_off & varies).tolist()
    is_off = scales.std < SMALL_TARGET
    if solver != "lbfgs":  # whose line search finds the length of its steps
        is_unbounded = solver == "sgd" and loss == "squared_error"
        is_off |= scales.std > (LARGE_TARGET_UNBOUNDED if is_unbounded else LARGE_TARGET)
        is_off |= np.abs(scales.mean) > FAR * scales.std
    return np.flatnonzero(is_off & varies).tolist()


def _largest(values, among):
    """Where the largest values are, among those that are asked for."""
    columns = np.flatnonzero(among)
    return columns[np.argsort(-values[columns], kind="stable")].tolist()


def _sparse_moments(X, rows):
    """Mean, standard deviation, minimum and maximum of the columns of a CSR matrix.

    The work is that of the values that are stored.
    """
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
