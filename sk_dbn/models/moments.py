"""Moments of features, over all samples or merged from those of their parts."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Moments:
    """Number of values, mean, variance, minimum and maximum of each feature.

    Missing values are left out. Where there is no other, mean and variance are 0, and the minimum
    is infinite, the maximum minus infinite.

    Parameters
    ----------
    count, mean, variance, low, high : float64 ndarrays of shape (n_features,)
    """

    count: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, data):
        """The moments of all rows of a `Data`."""
        rows = np.arange(data.shape[0])
        if data.has_missing:
            return cls(*data.observed_moments(rows))
        return cls(np.full(data.shape[1], float(len(rows))), *data.moments(rows))

    @classmethod
    def merged(cls, parts):
        """The moments of all samples, given those of their parts (Chan, Golub & LeVeque, 1979).

        Parameters
        ----------
        parts : sequence of Moments

        Returns
        -------
        Moments
        """
        count, mean, squares = np.zeros((3, len(parts[0].mean)))
        for part in parts:
            total = count + part.count
            gap, share = part.mean - mean, part.count / np.maximum(total, 1.0)
            squares += part.count * part.variance + gap**2 * count * share
            mean += gap * share
            count = total
        low = np.min([part.low for part in parts], axis=0)
        high = np.max([part.high for part in parts], axis=0)
        return cls(count, mean, squares / np.maximum(count, 1.0), low, high)

    @property
    def of_values(self):
        """Mean, variance, minimum and maximum, as ``Data.moments`` returns them."""
        return self.mean, self.variance, self.low, self.high
