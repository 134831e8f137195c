"""Features as images: the shape of an image, and many images on one page."""

from math import isqrt
from numbers import Integral

import numpy as np


def image_shape_of(n_features, image_shape=None):
    """The height and width of images with a given number of pixels.

    Parameters
    ----------
    n_features : int
    image_shape : tuple (height, width) or None
        None: a square.

    Returns
    -------
    tuple (height, width)

    Raises
    ------
    ValueError
        If the shape has another number of pixels, or no shape is given and they form no square.
    """
    if image_shape is None:
        side = isqrt(n_features)
        if side * side != n_features:
            raise ValueError(
                f"image_shape must be given, (height, width), because {n_features} features are "
                "not the pixels of a square."
            )
        return side, side
    shape = tuple(image_shape) if np.ndim(image_shape) == 1 else (image_shape,)
    whole = all(isinstance(side, Integral) and side > 0 for side in shape)
    if len(shape) != 2 or not whole or shape[0] * shape[1] != n_features:
        raise ValueError(
            f"image_shape must be (height, width) of {n_features} pixels, got {image_shape!r}."
        )
    return shape


def page_of(images, image_shape, n_columns):
    """Images in rows and columns, with a border of NaN around each.

    Parameters
    ----------
    images : ndarray of shape (n_images, n_pixels)
    image_shape : tuple (height, width)
    n_columns : int

    Returns
    -------
    ndarray of shape (n_rows * (height + 1) + 1, n_columns * (width + 1) + 1)
    """
    height, width = image_shape
    n_rows = -(-len(images) // n_columns)
    tiles = np.full((n_rows * n_columns, height + 1, width + 1), np.nan)
    tiles[: len(images), 1:, 1:] = images.reshape(-1, height, width)
    tiles = tiles.reshape(n_rows, n_columns, height + 1, width + 1)
    page = tiles.transpose(0, 2, 1, 3).reshape(n_rows * (height + 1), -1)
    return np.pad(page, ((0, 1), (0, 1)), constant_values=np.nan)
