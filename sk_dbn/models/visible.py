"""Visible units: conversion between the caller's values and those of the units."""

from dataclasses import dataclass, replace

import numpy as np

from sk_dbn.models.data import Data


@dataclass
class VisibleUnits:
    """The kinds of a stack's visible units and the scale on which they read the data.

    Parameters
    ----------
    gaussian : boolean ndarray of shape (n_features,)
        Which units are Gaussian; the others are Bernoulli.
    shift, scale : float64 ndarrays of shape (n_features,) or None
        A unit takes the value (x - shift) * scale; None: x itself. Bernoulli units clip it
        to [0, 1].
    seen : tuple of two floats
        Smallest and largest value of the Bernoulli units in the data that set the scale.
    """

    gaussian: np.ndarray
    shift: np.ndarray | None
    scale: np.ndarray | None
    seen: tuple

    @classmethod
    def suited_to(cls, kind, moments):
        """The units for data with these moments.

        Parameters
        ----------
        kind : {'auto', 'bernoulli', 'gaussian'}, or a sequence of the latter two
            One for all features, or one for each. 'auto': see `gaussian_features`.
        moments : tuple
            As ``Data.moments`` returns them.

        Returns
        -------
        VisibleUnits

        Raises
        ------
        ValueError
            If the range of the values is infinite in double precision.
        """
        mean, variance, low, high = moments
        lowest, highest = float(low.min()), float(high.max())
        if not np.isfinite(highest - lowest):
            raise ValueError(
                f"X must have a range that is finite in double precision, got values from "
                f"{lowest:.4g} to {highest:.4g}; divide them by {highest:.1g}."
            )
        if isinstance(kind, str) and kind == "auto":
            gaussian = gaussian_features(moments)
        else:
            gaussian = np.broadcast_to(np.equal(kind, "gaussian"), mean.shape)
        seen = 0.0, 1.0
        if not gaussian.all():
            seen = float(low[~gaussian].min()), float(high[~gaussian].max())
        fits = 0.0 <= seen[0] and seen[1] <= 1.0
        if fits and not gaussian.any():
            return cls(gaussian, None, None, seen)
        origin, width = (0.0, 1.0) if fits else (seen[0], seen[1] - seen[0])
        if width < np.finfo(float).tiny:  # too narrow to divide by
            width = 1.0
        std = np.where(is_constant(moments), 1.0, np.sqrt(variance))
        scale = np.where(gaussian, 1.0 / np.where(std > 0.0, std, 1.0), 1.0 / width)
        return cls(gaussian, np.where(gaussian, mean, origin), scale, seen)

    @property
    def kind(self):
        """The kind of the units; if they differ, an ndarray of str with the kind of each."""
        kinds = np.where(self.gaussian, "gaussian", "bernoulli")
        return str(kinds[0]) if (kinds == kinds[0]).all() else kinds

    def are(self, kind):
        """Whether the units are of this kind, or these kinds; always True for 'auto'."""
        if isinstance(kind, str) and kind == "auto":
            return True
        asked = np.broadcast_to(np.equal(kind, "gaussian"), self.gaussian.shape)
        return np.array_equal(asked, self.gaussian)

    @property
    def is_rescaled(self):
        """Whether values outside [0, 1] were mapped to it."""
        return not (0.0 <= self.seen[0] and self.seen[1] <= 1.0)

    @property
    def limits(self):
        """Smallest and largest value of each unit, two float64 ndarrays of shape (n_features,)."""
        return np.where(self.gaussian, -np.inf, 0.0), np.where(self.gaussian, np.inf, 1.0)

    def outside(self, moments):
        """Which Bernoulli units get values outside [0, 1], (n_features,)."""
        _, _, low, high = moments
        return ~self.gaussian & ((low < 0.0) | (high > 1.0))

    def can_take(self, moments):
        """Whether data with these moments need no clipping."""
        low, high = (self.means((x,))[~self.gaussian] for x in moments[2:])
        return bool((low >= 0.0).all() and (high <= 1.0).all())

    def data(self, plain, clip=True):
        """The data as these units read it.

        Parameters
        ----------
        plain : Data
            The caller's data, for a model of some precision.
        clip : bool, default=True
            Whether to clip; False is faster if all values are known to be in range.

        Returns
        -------
        Data
        """
        shift, scale = self.shift, self.scale
        if shift is None:
            if not clip:
                return plain
            shift, scale = np.zeros(plain.shape[1]), 1.0
        return Data(plain.X, plain.dtype, shift, scale, self.limits)

    def unclipped(self, plain):
        """The data on the scale of these units, but without limits.

        Parameters
        ----------
        plain : Data

        Returns
        -------
        Data
        """
        if self.shift is None:
            return plain
        return Data(plain.X, plain.dtype, self.shift, self.scale)

    def over(self, variance):
        """Units whose values are divided by their variance, the input of the first weights.

        Parameters
        ----------
        variance : ndarray of shape (n_features,), or (0,) if no unit is Gaussian

        Returns
        -------
        VisibleUnits
        """
        if len(variance) == 0:
            return self
        return replace(self, scale=self.scale / variance.astype(np.float64))

    def are_means(self, moments):
        """Whether Bernoulli units get values between 0 and 1: means, not samples."""
        return self.is_rescaled or not bool(is_binary(moments)[~self.gaussian].all())

    def means(self, moments):
        """The mean value of each unit over data with these moments."""
        if self.shift is None:
            return moments[0]
        return (moments[0] - self.shift) * self.scale

    def origin_and_unit(self, n_features):
        """The caller's value at which a unit is 0, and the caller's distance that is 1.

        Parameters
        ----------
        n_features : int

        Returns
        -------
        origin, unit : float64 ndarrays of shape (n_features,)
            A unit takes the value (x - origin) / unit. The arrays are copies.
        """
        if self.shift is None:
            return np.zeros(n_features), np.ones(n_features)
        return self.shift.copy(), 1.0 / self.scale

    def to_data(self, v):
        """Convert values of the units to the caller's scale, in place.

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


def is_constant(moments):
    """Which features are constant, (n_features,)."""
    low, high = moments[2:]
    return high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))


def is_binary(moments):
    """Which features within [0, 1] have only the values 0 and 1, (n_features,)."""
    mean, variance = moments[:2]
    # For values in [0, 1] the variance is p (1 - p) only if they are binary.
    return mean * (1.0 - mean) - variance <= 1e-9


def gaussian_features(moments):
    """Which features 'auto' gives Gaussian units, (n_features,).

    If all values lie in [0, 1], none. Otherwise all except binary features: a feature with other
    values in [0, 1] varies less than standardised ones, so it is standardised too. If there are
    binary features, a feature that is always 0 or always 1 is taken for a rare category.
    """
    _, _, low, high = moments
    if low.min() >= 0.0 and high.max() <= 1.0:
        return np.zeros(len(low), dtype=bool)
    is_dummy = (low == 0.0) & (high == 1.0) & is_binary(moments)
    is_one_value = (low == high) & ((low == 0.0) | (low == 1.0))
    return ~(is_dummy | is_one_value) if is_dummy.any() else np.ones(len(low), dtype=bool)
