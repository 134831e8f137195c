"""Shapes of images are found or checked, and pages put every pixel where it belongs."""

import numpy as np
import pytest

from sk_dbn.inspection.images import image_shape_of, page_of


def test_image_shape():
    """Squares are found, other shapes have to be given."""
    assert image_shape_of(64) == (8, 8)
    assert image_shape_of(12, (3, 4)) == (3, 4)
    assert image_shape_of(12, np.array([4, 3])) == (4, 3)
    with pytest.raises(ValueError, match="image_shape must be given, .* 12 features"):
        image_shape_of(12)


@pytest.mark.parametrize("shape", [(3, 5), (12,), 12, (2, 2, 3), (-3, -4), (1.5, 8), "34"])
def test_wrong_image_shape(shape):
    """The error says how many pixels there are, and what was given."""
    with pytest.raises(ValueError, match=r"image_shape must be \(height, width\) of 12 pixels"):
        image_shape_of(12, shape)


def test_page():
    """Image i stands in row i // n_columns, surrounded by NaN; the rest is empty."""
    images = np.arange(1.0, 31.0).reshape(5, 6)
    page = page_of(images, (2, 3), n_columns=3)
    assert page.shape == (2 * 3 + 1, 3 * 4 + 1)
    for i, image in enumerate(images):
        top, left = 1 + 3 * (i // 3), 1 + 4 * (i % 3)
        np.testing.assert_array_equal(page[top : top + 2, left : left + 3], image.reshape(2, 3))
    assert np.isnan(page).sum() == page.size - images.size
