"""Display of the weights of hidden units."""

from functools import reduce
from numbers import Integral

import numpy as np

from sk_dbn.inspection.canvas import axes_for
from sk_dbn.inspection.fitted import check_has
from sk_dbn.inspection.images import image_shape_of, page_of


class RBMFiltersDisplay:
    """The weights of hidden units as images.

    For a unit of the first layer, the filter is its weights. For a unit of a deeper layer, it is
    the weighted sum of the filters of the layer below, with the unit's weights.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are
    stored as attributes.

    Parameters
    ----------
    filters : ndarray of shape (n_filters, n_features)
        One row for each unit.
    units : ndarray of shape (n_filters,)
        Indices of these units in the layer.
    image_shape : tuple (height, width)
        Shape of the images.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the images.
    figure_ : matplotlib Figure
        Figure containing the axes.
    im_ : matplotlib AxesImage
        All filters in one image, each divided by its largest absolute value.

    See Also
    --------
    ReconstructionDisplay : Samples as all units together reconstruct them.

    References
    ----------
    .. [1] Hinton, G. E. (2012). A practical guide to training restricted Boltzmann
       machines. Section 15: displaying what is happening during training.
    .. [2] Lee, H., Ekanadham, C. & Ng, A. (2008). Sparse deep belief net model for visual
       area V2. NIPS. Section 4: the second layer as a linear combination of the first.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sk_dbn.inspection import RBMFiltersDisplay
    >>> X = load_digits().data / 16
    >>> stack = BernoulliRBMStack((32, 16), max_iter=5, random_state=0).fit(X)
    >>> RBMFiltersDisplay.from_estimator(stack, layer=1).filters.shape
    (16, 64)
    """

    def __init__(self, *, filters, units, image_shape):
        self.filters = filters
        self.units = units
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        layer=0,
        n_filters=64,
        image_shape=None,
        n_columns=None,
        ax=None,
        **kwargs,
    ):
        """Draw the filters of a fitted estimator.

        Parameters
        ----------
        estimator : BernoulliRBMStack, DBNAutoencoder, DBNClassifier or DeepMLPRegressor
            Fitted. A network has the weights after fine-tuning, its `pretrainer_` those before.
        layer : int, default=0
            Index of the layer in `coefs_`.
        n_filters : int, default=64
            Maximum number of filters. Those with the largest norm are drawn, largest first.
        image_shape : tuple (height, width), default=None
            Shape of the images. None: a square.
        n_columns : int, default=None
            Number of images in a row. None: about the number of rows.
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `imshow`.

        Returns
        -------
        display : RBMFiltersDisplay
            The display, already drawn.

        Raises
        ------
        ValueError
            If there is no such layer, or the features are not the pixels of such images.
        """
        check_has(estimator, "coefs_", cls.__name__)
        if getattr(estimator, "categories_", None) is not None:
            raise ValueError(
                "filters are images of the weights of features with one visible unit each, but the "
                "stack has categorical features, with one for each category."
            )
        image_shape = image_shape_of(estimator.n_features_in_, image_shape)
        n_layers = len(estimator.coefs_)
        if not isinstance(layer, Integral) or not 0 <= layer < n_layers:
            raise ValueError(f"layer must be an integer from 0 to {n_layers - 1}, got {layer!r}.")
        if not isinstance(n_filters, Integral) or n_filters < 1:
            raise ValueError(f"n_filters must be an integer of at least 1, got {n_filters!r}.")
        filters = reduce(np.matmul, estimator.coefs_[: layer + 1]).T
        norms = np.linalg.norm(filters, axis=1)
        units = np.argsort(-norms, kind="stable")[:n_filters]
        display = cls(filters=filters[units], units=units, image_shape=image_shape)
        return display.plot(ax=ax, n_columns=n_columns, **kwargs)

    def plot(self, ax=None, *, n_columns=None, **kwargs):
        """Draw the filters in rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        n_columns : int, default=None
            Number of images in a row. None: about the number of rows.
        **kwargs : dict
            Passed to matplotlib's `imshow`.

        Returns
        -------
        display : RBMFiltersDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        if n_columns is None:
            n_columns = int(np.ceil(np.sqrt(len(self.filters))))
        largest = np.abs(self.filters).max(axis=1, keepdims=True)
        images = self.filters / np.where(largest > 0, largest, 1.0)
        page = page_of(images, self.image_shape, n_columns)
        style = {"cmap": "cividis", "vmin": -1.0, "vmax": 1.0, "interpolation": "nearest"}
        self.im_ = ax.imshow(page, **style | kwargs)
        ax.set(xticks=[], yticks=[], frame_on=False)
        return self
