"""Display of samples beside their reconstruction."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array

from sk_dbn._input import check_sparse, to_dense
from sk_dbn.inspection.canvas import OKABE_ITO, axes_for, colors_for
from sk_dbn.inspection.fitted import check_has
from sk_dbn.inspection.images import image_shape_of, page_of

KINDS = ("auto", "images", "lines")
MISSING = OKABE_ITO[2]


class ReconstructionDisplay:
    """Samples beside their reconstruction, as images or as lines.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are
    stored as attributes. Reconstructions by other methods can be added to `samples` before
    `plot` is called again.

    Parameters
    ----------
    samples : dict of str to ndarray of shape (n_samples, n_features)
        The originals and their reconstructions, by name. NaN is drawn as missing.
    image_shape : tuple (height, width) or None, default=None
        Shape of the images; None: the samples are not images.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the samples.
    figure_ : matplotlib Figure
        Figure containing the axes.
    im_ : matplotlib AxesImage or None
        All images in one, with a row for each name.
    lines_ : list of lists of matplotlib Line2D or None
        A list for each name, with a line for each sample.

    See Also
    --------
    RBMFiltersDisplay : The weights of single units.

    References
    ----------
    .. [1] Hinton, G. E. & Salakhutdinov, R. R. (2006). Reducing the dimensionality of data
       with neural networks. Science 313. Figure 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sk_dbn.inspection import ReconstructionDisplay
    >>> X = load_digits().data / 16
    >>> stack = BernoulliRBMStack((32, 16), max_iter=5, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(stack, X, n_samples=5)
    >>> display.samples["reconstruction"].shape
    (5, 64)
    """

    def __init__(self, *, samples, image_shape=None):
        self.samples = samples
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls, estimator, X, *, n_samples=10, kind="auto", image_shape=None, ax=None, **kwargs
    ):
        """Draw samples beside their reconstruction by a fitted estimator.

        Parameters
        ----------
        estimator : BernoulliRBMStack or transformer
            Fitted, with `reconstruct`, or with `transform` and `inverse_transform`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        n_samples : int, default=10
            Number of samples to draw, from the first.
        kind : {'auto', 'images', 'lines'}, default='auto'
            'auto': images if `image_shape` is given or the features form a square.
        image_shape : tuple (height, width), default=None
            Shape of the images. None: a square.
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `imshow` or `plot`.

        Returns
        -------
        display : ReconstructionDisplay
            The display, already drawn.

        Raises
        ------
        TypeError
            If the estimator cannot reconstruct.
        ValueError
            If the features are not the pixels of such images.
        """
        if not hasattr(estimator, "reconstruct"):
            check_has(estimator, "inverse_transform", cls.__name__)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer of at least 1, got {n_samples!r}.")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {list(KINDS)}, got {kind!r}.")
        X = check_sparse(X, "X")
        X = X[:n_samples] if hasattr(X, "shape") else list(X)[:n_samples]
        if hasattr(estimator, "reconstruct"):
            made = estimator.reconstruct(X)
        else:
            made = estimator.inverse_transform(estimator.transform(X))
        is_listed = getattr(estimator, "not_stored", "zero") == "missing"
        X, made = _dense(X, np.nan if is_listed else 0.0), _dense(made, 0.0)
        shape = _image_shape(kind, X.shape[1], image_shape)
        display = cls(samples={"original": X, "reconstruction": made}, image_shape=shape)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the samples.

        Images are drawn with one row for each name, lines with one colour for each name.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `imshow` or `plot`.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        self.im_ = self.lines_ = None
        if self.image_shape is None:
            self._draw_lines(ax, kwargs)
        else:
            self._draw_images(ax, kwargs)
        return self

    def _draw_images(self, ax, kwargs):
        """Draw a page with a row for each name."""
        from matplotlib.colors import ListedColormap

        images = np.concatenate(list(self.samples.values()))
        first = next(iter(self.samples.values()))
        page = page_of(images, self.image_shape, len(first))
        low, high = np.nanmin(first), np.nanmax(first)
        style = {"cmap": "gray", "vmin": low, "vmax": high, "interpolation": "nearest"}
        self.im_ = ax.imshow(page, **style | kwargs)
        missing = page_of(np.isnan(images), self.image_shape, len(first))
        ax.imshow(np.ma.masked_not_equal(missing, 1), cmap=ListedColormap([MISSING]))
        height = self.image_shape[0] + 1
        middles = height * (np.arange(len(self.samples)) + 0.5)
        ax.set(xticks=[], frame_on=False)
        ax.set_yticks(middles, self.samples, va="center")
        ax.tick_params(left=False)

    def _draw_lines(self, ax, kwargs):
        """Draw each sample as a line over the features, one above the other."""
        self.lines_ = []
        first = next(iter(self.samples.values()))
        above = -line_distance(first) * np.arange(len(first))  # the first on top
        colors = colors_for(len(self.samples))
        for (name, rows), color in zip(self.samples.items(), colors, strict=True):
            style = {"color": color, "linewidth": 1.2} | kwargs
            lines = [
                ax.plot(row + shift, **style)[0] for row, shift in zip(rows, above, strict=True)
            ]
            lines[0].set_label(name)
            self.lines_.append(lines)
        ax.set(xlabel="feature", ylabel="sample")
        ax.set_yticks(above + np.nanmean(first, axis=1), range(len(first)))
        ax.legend(loc="upper right")


def line_distance(rows):
    """The vertical distance at which lines do not cross.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)

    Returns
    -------
    float
    """
    return 1.1 * float(np.nanmax(rows) - np.nanmin(rows)) or 1.0


def _image_shape(kind, n_features, image_shape):
    """The shape of the images, or None for lines."""
    if kind == "lines":
        return None
    if kind == "auto" and image_shape is None and round(n_features**0.5) ** 2 != n_features:
        return None
    return image_shape_of(n_features, image_shape)


def _dense(X, unstored):
    """X as a dense array, in which NaN stands for missing values.

    Parameters
    ----------
    X : as the caller gave it
    unstored : float
        Value of what a sparse matrix does not store.
    """
    X = to_dense(X, unstored) if sparse.issparse(X) else X
    return check_array(X, dtype="numeric", ensure_all_finite="allow-nan")
