"""Display of the codes of samples."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from sk_dbn.inspection.canvas import axes_for, colors_for
from sk_dbn.inspection.fitted import check_has

MAX_CLASSES = 20  # numbers with more distinct values are a quantity, not labels


class LatentSpaceDisplay:
    """Codes of samples as points in the plane, coloured by label or by a number.

    Codes of two units are drawn directly. For codes of more units, the first two principal
    components are drawn, and the labels of the axes say so.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are
    stored as attributes.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, 2)
        Coordinates of the points.
    y : ndarray of shape (n_samples,) or None, default=None
        Labels or numbers that determine the colours.
    axis_names : tuple of 2 str, default=('unit 1', 'unit 2')
        Labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the points.
    figure_ : matplotlib Figure
        Figure containing the axes.
    scatters_ : list of matplotlib PathCollection
        One for each class, in the order of the labels; or one for all points.
    colorbar_ : matplotlib Colorbar or None
        The color scale, if y is a number.

    See Also
    --------
    ReconstructionDisplay : Samples as reconstructed from their codes.

    References
    ----------
    .. [1] Hinton, G. E. & Salakhutdinov, R. R. (2006). Reducing the dimensionality of data
       with neural networks. Science 313. Figure 3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sk_dbn.inspection import LatentSpaceDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> stack = BernoulliRBMStack((32, 16), max_iter=5, random_state=0).fit(X / 16)
    >>> display = LatentSpaceDisplay.from_estimator(stack, X / 16, y)
    >>> display.axis_names[0]
    'principal component 1 of 16 units (... % of the variance)'
    """

    def __init__(self, *, codes, y=None, axis_names=("unit 1", "unit 2")):
        self.codes = codes
        self.y = y
        self.axis_names = axis_names

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, ax=None, **kwargs):
        """Draw the codes of samples, as a fitted estimator's `transform` returns them.

        Parameters
        ----------
        estimator : BernoulliRBMStack, DBNClassifier or transformer
            Fitted, with `transform`. It may be a pipeline.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,), default=None
            Labels or numbers that determine the colours.
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `scatter`.

        Returns
        -------
        display : LatentSpaceDisplay
            The display, already drawn.

        Raises
        ------
        TypeError
            If the estimator has no `transform`.
        ValueError
            If its codes have fewer than two units, or y has another length.
        """
        check_has(estimator, "transform", cls.__name__)
        codes = check_array(estimator.transform(X), dtype=[np.float64, np.float32])
        if codes.shape[1] < 2:
            raise ValueError(
                f"the codes of this {type(estimator).__name__} have one unit; a plane needs two."
            )
        if y is not None:
            y = column_or_1d(y)
            check_consistent_length(codes, y)
        codes, names = _in_the_plane(codes)
        return cls(codes=codes, y=y, axis_names=names).plot(ax=ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the points.

        Each class has its own colour. If all labels are single characters, they are the
        markers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `scatter`.

        Returns
        -------
        display : LatentSpaceDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        self.colorbar_ = None
        if self.y is None:
            self.scatters_ = [ax.scatter(*self.codes.T, **{"s": 20} | kwargs)]
        elif _are_numbers(self.y):
            style = {"s": 20, "c": self.y, "cmap": "viridis"} | kwargs
            self.scatters_ = [ax.scatter(*self.codes.T, **style)]
            self.colorbar_ = ax.figure.colorbar(self.scatters_[0], ax=ax, label="y")
        else:
            self._draw_classes(ax, kwargs)
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        return self

    def _draw_classes(self, ax, kwargs):
        """Draw the points of each class in its own colour."""
        classes, labels = np.unique(self.y, return_inverse=True)
        are_characters = all(len(str(name)) == 1 for name in classes)
        self.scatters_ = []
        for label, (name, color) in enumerate(zip(classes, class_colors(classes), strict=True)):
            style = {"s": 20, "color": color, "label": str(name)}
            if are_characters:
                style |= {"marker": f"${name}$", "s": 30, "linewidths": 0.3}
            points = self.codes[labels == label]
            self.scatters_.append(ax.scatter(*points.T, **style | kwargs))
        if not are_characters:
            ax.legend()


def class_colors(classes):
    """A colour for each class, not ordered if there are few: classes have no order."""
    import matplotlib.pyplot as plt

    n = len(classes)
    for name, size in (("tab10", 10), ("tab20", 20)):
        if n <= size:
            return list(plt.colormaps[name](np.arange(n)))
    return colors_for(n)


def _in_the_plane(codes):
    """Codes in two dimensions, and the labels of the axes."""
    n_units = codes.shape[1]
    if n_units == 2:
        return codes, ("unit 1", "unit 2")
    pca = PCA(2, svd_solver="full").fit(codes)
    names = tuple(
        f"principal component {i} of {n_units} units ({share:.0%} of the variance)".replace(
            "%", " %"
        )
        for i, share in enumerate(pca.explained_variance_ratio_, start=1)
    )
    return pca.transform(codes), names


def _are_numbers(y):
    """Whether y is a quantity and not a class."""
    if y.dtype.kind not in "iuf":
        return False
    return bool((y != np.floor(y)).any()) or len(np.unique(y)) > MAX_CLASSES
