"""Visible units: conversion between the caller's values and those of the units."""

from dataclasses import dataclass, replace

import numpy as np

from sk_dbn.kernels.units import FIRST_CATEGORY, NEXT_CATEGORY
from sk_dbn.models.data import Data, arrays_for_kernels
from sk_dbn.models.units import VISIBLE_KINDS

BEYOND_DATA = 1e6  # how many times larger than the data reconstructions may become


@dataclass
class VisibleUnits:
    """The kinds of a stack's visible units and the scale on which they read the data.

    Parameters
    ----------
    gaussian : boolean ndarray of shape (n_units,)
        Which units are Gaussian; the others are Bernoulli, or the units of categories.
    shift, scale : float64 ndarrays of shape (n_units,) or None
        A unit takes the value (x - shift) * scale; None: x itself. Bernoulli units clip it
        to [0, 1].
    seen : tuple of two floats
        Smallest and largest value of the Bernoulli units in the data that set the scale.
    categories : tuple, default=None
        The categories of each feature, a float64 ndarray with one unit for each, or None where a
        number has one unit. By default no feature has categories.
    unstored : float, default=0.0
        Value of what a sparse matrix does not store; NaN: it is missing.
    reference : float64 ndarray of shape (n_units,), default=None
        What units read where a value is missing: they contribute nothing there to what the hidden
        units are told. Set by `refer_to`.
    """

    gaussian: np.ndarray
    shift: np.ndarray | None
    scale: np.ndarray | None
    seen: tuple
    categories: tuple | None = None
    unstored: float = 0.0
    reference: np.ndarray | None = None

    def __setstate__(self, state):
        vars(self).update(arrays_for_kernels(state))
        of_units = [self.gaussian, self.shift, self.scale, self.reference]
        shapes = {x.shape for x in of_units if x is not None}
        if shapes != {(int(self.first_unit[-1]),)} or self.gaussian.dtype != bool:
            raise ValueError("the stored arrays of the visible units do not fit together.")

    @classmethod
    def suited_to(cls, kind, moments, categories=None, unstored=0.0):
        """The units for data with these moments.

        Parameters
        ----------
        kind : {'auto', 'bernoulli', 'gaussian'}, or a sequence of the latter two
            One for all features, or one for each; of those with categories it does not count.
            'auto': see `gaussian_features`.
        moments : tuple
            As ``Data.moments`` returns them.
        categories, unstored : see `VisibleUnits`

        Returns
        -------
        VisibleUnits
        """
        if categories is None or all(each is None for each in categories):
            return cls(*_numbers(kind, moments), None, unstored)
        counts = [1 if each is None else len(each) for each in categories]
        is_number = np.array([each is None for each in categories])
        gaussian = np.zeros(len(is_number), dtype=bool)
        shift, scale, seen = np.zeros(len(is_number)), np.ones(len(is_number)), (0.0, 1.0)
        if is_number.any():
            of_numbers = kind if isinstance(kind, str) else np.asarray(kind)[is_number]
            parts = _numbers(of_numbers, tuple(x[is_number] for x in moments))
            gaussian[is_number], seen = parts[0], parts[3]
            if parts[1] is not None:
                shift[is_number], scale[is_number] = parts[1:3]
        lines = (np.repeat(line, counts) for line in (gaussian, shift, scale))
        return cls(*lines, seen, tuple(categories), unstored)

    @property
    def first_unit(self):
        """The first unit of each feature, and the number of units; int64 (n_features + 1,)."""
        if self.categories is None:
            return np.arange(self.n_units + 1)
        counts = [1 if each is None else len(each) for each in self.categories]
        return np.r_[0, np.cumsum(counts)].astype(np.int64)

    @property
    def category(self):
        """The category for which each unit stands, NaN for units of numbers; (n_units,)."""
        if self.categories is None:
            return np.full(self.n_units, np.nan)
        return np.concatenate([[np.nan] if x is None else x for x in self.categories])

    @property
    def is_category(self):
        """Which features have categories, (n_features,)."""
        if self.categories is None:
            return np.zeros(self.n_units, dtype=bool)
        return np.array([each is not None for each in self.categories])

    @property
    def n_units(self):
        """Number of units."""
        return len(self.gaussian)

    @property
    def codes(self):
        """Codes of the kinds of units, int64 (n_units,)."""
        numbers = [VISIBLE_KINDS[x] for x in np.where(self.gaussian, "gaussian", "bernoulli")]
        is_first = np.zeros(self.n_units, dtype=bool)
        is_first[self.first_unit[:-1]] = True
        of_categories = np.where(is_first, FIRST_CATEGORY, NEXT_CATEGORY)
        return np.where(np.isnan(self.category), numbers, of_categories).astype(np.int64)

    @property
    def kind(self):
        """The kind of the features; if they differ, an ndarray of str with the kind of each."""
        kinds = np.where(self.gaussian[self.first_unit[:-1]], "gaussian", "bernoulli")
        kinds = np.where(self.is_category, "categorical", kinds)
        return str(kinds[0]) if (kinds == kinds[0]).all() else kinds

    def are(self, kind):
        """Whether the features are of this kind, or these kinds; 'auto' is any but categorical."""
        asked, kinds = np.broadcast_to(kind, self.is_category.shape), np.asarray(self.kind)
        return bool(np.where(asked == "auto", kinds != "categorical", asked == kinds).all())

    @property
    def is_rescaled(self):
        """Whether values outside [0, 1] were mapped to it."""
        return not (0.0 <= self.seen[0] and self.seen[1] <= 1.0)

    @property
    def limits(self):
        """Smallest and largest value of each unit, two float64 ndarrays of shape (n_units,)."""
        return np.where(self.gaussian, -np.inf, 0.0), np.where(self.gaussian, np.inf, 1.0)

    @property
    def _bernoulli(self):
        """Which features have a Bernoulli unit, (n_features,)."""
        return ~self.gaussian[self.first_unit[:-1]] & ~self.is_category

    def outside(self, moments):
        """Which Bernoulli units get values outside [0, 1], (n_features,)."""
        _, _, low, high = moments
        return self._bernoulli & ((low < 0.0) | (high > 1.0))

    def can_take(self, moments):
        """Whether data with these moments need no clipping."""
        low, high = (self.of_features(x)[self._bernoulli] for x in moments[2:])
        return bool((low >= 0.0).all() and (high <= 1.0).all())

    def check_reach(self, moments, dtype):
        """Check that no value is too far from those that set the scale of the Gaussian units.

        Parameters
        ----------
        moments : tuple
            As ``Data.moments`` returns them.
        dtype : dtype
            The precision of the units.

        Raises
        ------
        ValueError
            If one is.
        """
        gaussian = self.gaussian[self.first_unit[:-1]] & (moments[2] <= moments[3])
        if not gaussian.any():
            return
        with np.errstate(over="ignore"):
            farthest = max(np.abs(self.of_features(x)[gaussian]).max() for x in moments[2:])
        low, high = (x[gaussian] for x in moments[2:])
        # Divergences have the squares of distances.
        bound = float(np.sqrt(np.finfo(dtype).max)) / BEYOND_DATA
        if farthest > bound:
            raise ValueError(
                "X must have the scale of the samples of the first call, got values from "
                f"{low.min():.4g} to {high.max():.4g}, up to {farthest:.1g} standard deviations "
                f"(1 for features that were constant) from their mean, but at most {bound:.1g} are "
                f"possible in dtype={np.dtype(dtype).name!r}; scale X like those samples."
            )

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
        has_missing = plain.has_missing or self.unstored != 0.0
        if shift is None:
            if not clip and not has_missing:
                return plain
            shift, scale = np.zeros(plain.shape[1]), 1.0
        read = Data(
            plain.X,
            plain.dtype,
            shift,
            scale,
            self.limits,
            unstored=self.unstored,
            units=self.categories and (self.first_unit, self.category),
            fill=self.reference if has_missing else None,
        )
        if plain.unstored == self.unstored:
            read.has_missing = plain.has_missing  # which takes a pass over the values
        return read

    def unclipped(self, plain):
        """The data on the scale of these units, but without limits.

        Parameters
        ----------
        plain : Data

        Returns
        -------
        Data
        """
        return Data(plain.X, plain.dtype, self.shift, self.scale, unstored=self.unstored)

    def over(self, variance):
        """Units whose values are divided by their variance, the input of the first weights.

        Parameters
        ----------
        variance : ndarray of shape (n_units,), or (0,) if no unit is Gaussian

        Returns
        -------
        VisibleUnits
        """
        if len(variance) == 0:
            return self
        return replace(self, scale=self.scale / variance.astype(np.float64))

    def are_means(self, moments):
        """Whether Bernoulli units get values between 0 and 1: means, not samples."""
        return self.is_rescaled or not bool(is_binary(moments)[self._bernoulli].all())

    def of_features(self, x):
        """Values of features, one for each, as their units read them; categories stay 0 or 1.

        Parameters
        ----------
        x : float64 ndarray of shape (n_features,)

        Returns
        -------
        float64 ndarray of shape (n_features,)
        """
        if self.shift is None:
            return x
        first = self.first_unit[:-1]
        return (x - self.shift[first]) * self.scale[first]

    def refer_to(self, means):
        """Set the references: a mean for Bernoulli units, 0 for all others.

        What Gaussian units read has the mean 0. Categories keep the form of the paper that has
        them (Salakhutdinov, Mnih & Hinton, 2007): which of them were observed at all says
        something, and references at their means would take it away.

        Parameters
        ----------
        means : float64 ndarray of shape (n_units,)
        """
        is_bernoulli = ~self.gaussian & np.isnan(self.category)
        self.reference = np.where(is_bernoulli, means, 0.0)

    def means(self, moments):
        """The mean value of each feature's unit over data with these moments, see `of_features`."""
        return self.of_features(moments[0])

    def origin_and_unit(self):
        """The caller's value at which a unit is 0, and the caller's distance that is 1.

        Returns
        -------
        origin, unit : float64 ndarrays of shape (n_units,)
            A unit takes the value (x - origin) / unit. The arrays are copies.
        """
        if self.shift is None:
            return np.zeros(self.n_units), np.ones(self.n_units)
        return self.shift.copy(), 1.0 / self.scale

    def to_data(self, v, expected=False):
        """Convert values of the units to the caller's scale, in place where they are numbers.

        Parameters
        ----------
        v : ndarray of shape (n_samples, n_units)
        expected : bool, default=False
            Whether a feature with categories gets their mean, weighted by v, in place of the one
            with the largest v.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The argument where no feature has categories.
        """
        if self.shift is not None:
            v /= self.scale
            v += self.shift
        if self.categories is None:
            return v
        X = np.empty((len(v), len(self.categories)), v.dtype)
        for i, (values, start) in enumerate(zip(self.categories, self.first_unit, strict=False)):
            if values is None:
                X[:, i] = v[:, start]
            elif expected:
                X[:, i] = v[:, start : start + len(values)] @ values
            else:
                X[:, i] = values[v[:, start : start + len(values)].argmax(axis=1)]
        return X


def check_range(moments, dtype):
    """Check that there are values, none too large for the arithmetic of the units.

    Parameters
    ----------
    moments : tuple
        As ``Data.moments`` returns them.
    dtype : dtype
        The precision of the units, which has to hold reconstructions too.

    Raises
    ------
    ValueError
        If there are none, or one is too large.
    """
    _, variance, low, high = moments
    lowest, highest = float(low.min()), float(high.max())
    if lowest > highest:
        raise ValueError("X must have values, but all are missing.")
    largest, bound = max(-lowest, highest), float(np.finfo(dtype).max) / BEYOND_DATA
    if largest > bound or not np.isfinite(variance).all():
        raise ValueError(
            f"X must have a range with room for reconstructions in dtype={np.dtype(dtype).name!r}, "
            f"got values from {lowest:.4g} to {highest:.4g}; divide them by {largest:.1g}."
        )


def _numbers(kind, moments):
    """`gaussian`, `shift`, `scale` and `seen` of units of numbers, see `VisibleUnits.suited_to`."""
    mean, variance, low, high = moments
    gaussian = _are_gaussian(kind, moments)
    seen = 0.0, 1.0
    if not gaussian.all():
        seen = float(low[~gaussian].min()), float(high[~gaussian].max())
    fits = 0.0 <= seen[0] and seen[1] <= 1.0
    if fits and not gaussian.any():
        return gaussian, None, None, seen
    origin, width = (0.0, 1.0) if fits else (seen[0], seen[1] - seen[0])
    if width < np.finfo(float).tiny:  # too narrow to divide by
        width = 1.0
    std = np.where(is_constant(moments), 1.0, np.sqrt(variance))
    scale = np.where(gaussian, 1.0 / np.where(std > 0.0, std, 1.0), 1.0 / width)
    return gaussian, np.where(gaussian, mean, origin), scale, seen


def _are_gaussian(kind, moments):
    """Which features have Gaussian units by these kinds, of which some may be 'auto'."""
    asked = np.broadcast_to(kind, moments[0].shape)
    gaussian = asked == "gaussian"
    is_free = asked == "auto"
    if is_free.any():
        gaussian[is_free] = gaussian_features(tuple(x[is_free] for x in moments))
    return gaussian


def is_constant(moments):
    """Which features are constant, (n_features,)."""
    low, high = moments[2:]
    return high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))


def is_binary(moments):
    """Which features within [0, 1] have only the values 0 and 1, (n_features,)."""
    mean, variance = np.clip(moments[0], 0.0, 1.0), moments[1]
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
