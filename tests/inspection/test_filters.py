"""The drawn filters are the estimator's weights."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sk_dbn.inspection import RBMFiltersDisplay


def test_first_layer(fitted):
    """The largest filters first, each divided by its largest value."""
    stack = fitted.stack
    display = RBMFiltersDisplay.from_estimator(stack, n_filters=10)
    norms = np.linalg.norm(stack.components_, axis=1)
    assert (np.diff(norms[display.units]) <= 0).all()
    assert norms[display.units[-1]] >= np.delete(norms, display.units).max()
    np.testing.assert_array_equal(display.filters, stack.components_[display.units])
    page, weights = display.im_.get_array(), stack.components_[display.units[5]]
    tile = page[10:18, 10:18]  # the second of the second row, four in a row
    np.testing.assert_allclose(tile, (weights / abs(weights).max()).reshape(8, 8), rtol=1e-6)


@pytest.mark.parametrize("name", ["stack", "dbn", "pretrainer"])
def test_deeper_layer(fitted, name):
    """Filters of the layer below, added up by the weights of the unit."""
    W = getattr(fitted, name).coefs_
    display = RBMFiltersDisplay.from_estimator(getattr(fitted, name), layer=1)
    expected = W[1].T @ W[0].T
    np.testing.assert_allclose(display.filters, expected[display.units], rtol=1e-4, atol=1e-6)
    assert sorted(display.units) == list(range(9))


def test_other_shapes(fitted):
    """Given by the caller where the features are no square."""
    with pytest.raises(ValueError, match="image_shape must be given"):
        RBMFiltersDisplay.from_estimator(fitted.mlp)
    display = RBMFiltersDisplay.from_estimator(fitted.mlp, image_shape=(2, 5))
    assert display.im_.get_array().shape == (3 * 3 + 1, 4 * 6 + 1)
    with pytest.raises(ValueError, match=r"of 10 pixels, got \(3, 3\)"):
        RBMFiltersDisplay.from_estimator(fitted.mlp, image_shape=(3, 3))


def test_axes_are_the_callers(fitted):
    """And can be used again, with another number of columns."""
    _, ax = plt.subplots()
    display = RBMFiltersDisplay.from_estimator(fitted.stack, ax=ax, cmap="gray")
    assert display.ax_ is ax and display.im_.get_cmap().name == "gray"
    assert display.plot(ax=ax, n_columns=25) is display
    assert display.im_.get_array().shape == (10, 25 * 9 + 1)


def test_units_without_weights_are_drawn():
    """A filter of zeros is grey, not a division by zero."""
    display = RBMFiltersDisplay(filters=np.zeros((2, 4)), units=[0, 1], image_shape=(2, 2)).plot()
    assert np.nanmax(display.im_.get_array()) == 0


@pytest.mark.parametrize("wrong", [{"layer": 2}, {"layer": -1}, {"layer": 0.5}, {"n_filters": 0}])
def test_wrong_choices(fitted, wrong):
    """The error names the parameter and what it may be."""
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be an integer"):
        RBMFiltersDisplay.from_estimator(fitted.stack, **wrong)
