"""Visible units: how the caller's values are read, and how the units' are given back."""

from dataclasses import dataclass, replace

import numpy as np

from sk_dbn.models.data import Data


@dataclass
class VisibleUnits:
    """The kind of a stack's visible units and the scale on which they see the data.

    Parameters
    ----------
    kind : {'bernoulli', 'gaussian'}
    shift, scale : float64 ndarrays of shape (n_features,) or None
        A unit takes the value (x - shift) * scale; None: x itself. Bernoulli units clip it
        to [0, 1].
    seen : tuple of two floats
        Smallest and largest value that the scale was made from.
    """

    kind: str
    shift: np.ndarray | None
    scale: np.ndarray | None
    seen: tuple

    @classmethod
    def suited_to(cls, kind, moments):
        """The units for data with these moments.

        Parameters
        ----------
        kind : {'auto', 'bernoulli', 'gaussian'}
            'auto': Bernoulli when all values lie in [0, 1], else Gaussian.
        moments : tuple
            As ``Data.moments`` returns them.

        Returns
        -------
        VisibleUnits

        Raises
        ------
        ValueError
            If the largest value less the smallest is infinite.
        """
        mean, variance, low, high = moments
        seen = float(low.min()), float(high.max())
        if not np.isfinite(seen[1] - seen[0]):
            raise ValueError(
                f"X must have a range that double precision holds, got values from {seen[0]:.4g} "
                f"to {seen[1]:.4g}; divide them by {seen[1]:.1g}."
            )
        fits = 0.0 <= seen[0] and seen[1] <= 1.0
        if kind == "auto":
            kind = "bernoulli" if fits else "gaussian"
        if kind == "gaussian":
            # A constant column has no scale of its own; it becomes zero.
            constant = high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))
            std = np.where(constant, 1.0, np.sqrt(variance))
            return cls(kind, mean, 1.0 / np.where(std > 0.0, std, 1.0), seen)
        if fits:
            return cls(kind, None, None, seen)
        # A range too narrow to be divided by is as good as none.
        width = seen[1] - seen[0]
        scale = 1.0 / width if width >= np.finfo(float).tiny else 1.0
        full = np.full_like(mean, seen[0]), np.full_like(mean, scale)
        return cls(kind, *full, seen)

    @property
    def is_rescaled(self):
        """Whether values outside [0, 1] were squeezed into it."""
        return self.kind == "bernoulli" and self.shift is not None

    def can_take(self, moments):
        """Whether data with these moments need no clipping."""
        if self.kind == "gaussian":
            return True
        low, high = (self.means((x,)) for x in moments[2:])
        return bool(0.0 <= low.min() and high.max() <= 1.0)

    def data(self, X, dtype, clip=True):
        """X as these units read it, for a model of the given precision.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        dtype : dtype
        clip : bool, default=True
            False saves the work where all values are known to be those of the units.

        Returns
        -------
        Data
        """
        limits = (0.0, 1.0) if self.kind == "bernoulli" else (-np.inf, np.inf)
        if self.shift is not None:
            # Copies, because kernels are compiled for writable arrays.
            return Data(X, dtype, np.array(self.shift), np.array(self.scale), limits)
        if not clip:
            return Data(X, dtype)
        return Data(X, dtype, np.zeros(X.shape[1]), np.ones(X.shape[1]), limits)

    def over(self, variance):
        """The units' values divided by their variance: what the first layer's weights act on.

        Parameters
        ----------
        variance : ndarray of shape (n_features,), or (0,) for units that have none

        Returns
        -------
        VisibleUnits
        """
        if len(variance) == 0:
            return self
        return replace(self, scale=self.scale / variance.astype(np.float64))

    def are_means(self, moments):
        """Whether Bernoulli units get values between 0 and 1: means, not samples."""
        if self.kind == "gaussian":
            return False
        mean, variance = moments[0], moments[1]
        # Of binary values, and no others in [0, 1], the variance is p (1 - p).
        return self.is_rescaled or bool(np.any(mean * (1.0 - mean) - variance > 1e-9))

    def means(self, moments):
        """The mean value of each unit over data with these moments."""
        if self.shift is None:
            return moments[0]
        return (moments[0] - self.shift) * self.scale

    def origin_and_unit(self, n_features):
        """Where on the caller's scale a unit's values are 0, and what is 1 long.

        Parameters
        ----------
        n_features : int

        Returns
        -------
        origin, unit : float64 ndarrays of shape (n_features,)
            A unit takes the value (x - origin) / unit. The arrays are the caller's own.
        """
        if self.shift is None:
            return np.zeros(n_features), np.ones(n_features)
        return self.shift.copy(), 1.0 / self.scale

    def to_data(self, v):
        """The units' values in the caller's units, in place.

        Parameters
        ----------
        v : ndarray of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The argument.
        """
        if self.shift is not None:
            v /= self.scale
            v += self.shift
        return v
