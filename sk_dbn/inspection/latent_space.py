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
    def from_estimator(cls, estimator, X, y=None, *, ax=None, cmap=None, **kwargs):
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
        cmap : str or matplotlib Colormap, default=None
            Colours of the classes or of the numbers. None: 'tab10' or 'tab20' for classes if they
            are enough, otherwise 'viridis'.
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
            If its codes have fewer than two units, y has another length, or `cmap` has fewer
            colours than there are classes.
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
        return cls(codes=codes, y=y, axis_names=names).plot(ax=ax, cmap=cmap, **kwargs)

    def plot(self, ax=None, *, cmap=None, **kwargs):
        """Draw the points.

        Each class has its own colour. If all labels are single characters, they are the
        markers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        cmap : str or matplotlib Colormap, default=None
            Colours of the classes or of the numbers. None: 'tab10' or 'tab20' for classes if they
            are enough, otherwise 'viridis'.
        **kwargs : dict
            Passed to matplotlib's `scatter`.

        Returns
        -------
        display : LatentSpaceDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `cmap` has fewer colours than there are classes.
        """
        ax = axes_for(self, ax)
        self.colorbar_ = None
        if self.y is None:
            self.scatters_ = [ax.scatter(*self.codes.T, **{"s": 20, "cmap": cmap} | kwargs)]
        elif _are_numbers(self.y):
            style = {"s": 20, "c": self.y, "cmap": "viridis" if cmap is None else cmap}
            self.scatters_ = [ax.scatter(*self.codes.T, **style | kwargs)]
            self.colorbar_ = ax.figure.colorbar(self.scatters_[0], ax=ax, label="y")
        else:
            self._draw_classes(ax, cmap, kwargs)
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        return self

    def _draw_classes(self, ax, cmap, kwargs):
        """Draw the points of each class in its own colour."""
        classes, labels = np.unique(self.y, return_inverse=True)
        are_characters = all(len(str(name)) == 1 for name in classes)
        colors, self.scatters_ = class_colors(len(classes), cmap), []
        for label, (name, color) in enumerate(zip(classes, colors, strict=True)):
            style = {"s": 20, "color": color, "label": str(name)}
            if are_characters:
                style |= {"marker": f"${name}$", "s": 30, "linewidths": 0.3}
            points = self.codes[labels == label]
            self.scatters_.append(ax.scatter(*points.T, **style | kwargs))
        if not are_characters:
            ax.legend()


def class_colors(n, cmap=None):
    """n colours that differ: the first ones of a qualitative map, else evenly spaced ones."""
    import matplotlib.pyplot as plt

    if cmap is None and n > MAX_CLASSES:
        return colors_for(n)
    cmap = plt.get_cmap(("tab10" if n <= 10 else "tab20") if cmap is None else cmap)
    if cmap.N < n:
        raise ValueError(f"cmap={cmap.name!r} has {cmap.N} colours, but there are {n} classes.")
    return list(cmap(np.arange(n) if cmap.N <= MAX_CLASSES else np.linspace(0.0, 1.0, n)))


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
