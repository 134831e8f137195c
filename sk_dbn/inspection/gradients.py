"""Display of a gradient trace."""

from dataclasses import fields

import numpy as np

from sk_dbn.inspection.canvas import MAX_LAYER_NAMES, axes_for, colors_for, count_epochs
from sk_dbn.inspection.fitted import layer_names, trace_of

# Quantities drawn on a logarithmic scale.
LOGARITHMIC = {"weight_grad_norm", "bias_grad_norm", "update_ratio", "weight_norm"}
LABELS = {
    "weight_grad_norm": "norm of the weights' gradient",
    "bias_grad_norm": "norm of the biases' gradient",
    "update_ratio": "norm of a step / norm of the weights",
    "weight_norm": "norm of the weights",
    "activation_mean": "mean activation",
    "activation_std": "standard deviation of activations",
    "saturated_fraction": "share of saturated activations",
    "dead_fraction": "share of dead units",
    "reconstruction_kl": "divergence of the reconstruction (nats)",
    "reconstruction_mse": "squared error of the reconstruction",
    "free_energy_gap": "gap of free energies (nats)",
}


class GradientTraceDisplay:
    """Gradients, steps, weights or activations of all layers in each epoch.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are
    stored as attributes.

    Parameters
    ----------
    trace : GradientTrace
        The trace to draw.
    layer_names : list of str
        Names of its layers, from the input up.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the trace.
    figure_ : matplotlib Figure
        Figure containing the axes.
    mesh_ : matplotlib QuadMesh or None
        The heat map, whose array has shape (n_layers, n_rows).
    colorbar_ : matplotlib Colorbar or None
        The color scale of the heat map.
    lines_ : list of matplotlib Line2D or None
        One line for each layer, with ``kind='lines'``.

    See Also
    --------
    ActivationDisplay : Activations of all layers in one epoch.

    References
    ----------
    .. [1] Glorot, X. & Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS. Figures 2 to 9.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sk_dbn import DeepMLPRegressor
    >>> from sk_dbn.inspection import GradientTraceDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = DeepMLPRegressor((20,) * 5, max_iter=5, random_state=0).fit(X, y)
    >>> display = GradientTraceDisplay.from_estimator(network)
    >>> display.mesh_.get_array().shape  # 6 layers, before training and after 5 epochs
    (6, 6)
    """

    def __init__(self, *, trace, layer_names):
        self.trace = trace
        self.layer_names = layer_names

    @classmethod
    def from_estimator(
        cls, estimator, *, field="weight_grad_norm", kind="heatmap", ax=None, **kwargs
    ):
        """Draw the trace of a fitted estimator.

        Parameters
        ----------
        estimator : BernoulliRBMStack, DBNAutoencoder, DBNClassifier or DeepMLPRegressor
            Fitted, with ``trace='epoch'`` or ``'batch'``. The trace of pre-training is that of
            the network's `pretrainer_`.
        field : str, default='weight_grad_norm'
            The field of :class:`~sk_dbn.GradientTrace` to draw.
        kind : {'heatmap', 'lines'}, default='heatmap'
            A heat map of layers and epochs, or a line for each layer.
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib, as in `plot`.

        Returns
        -------
        display : GradientTraceDisplay
            The display, already drawn.

        Raises
        ------
        ValueError
            If there is no trace, or the trace has no such field.
        """
        trace = trace_of(estimator, cls.__name__)
        display = cls(trace=trace, layer_names=layer_names(estimator, trace.n_layers))
        return display.plot(ax=ax, field=field, kind=kind, **kwargs)

    def plot(self, ax=None, *, field="weight_grad_norm", kind="heatmap", **kwargs):
        """Draw one field of the trace.

        Norms and ratios are drawn on a logarithmic scale, without zeros.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        field : str, default='weight_grad_norm'
            The field of :class:`~sk_dbn.GradientTrace` to draw.
        kind : {'heatmap', 'lines'}, default='heatmap'
            A heat map of layers and epochs, or a line for each layer.
        **kwargs : dict
            Passed to matplotlib's `pcolormesh` or `plot`.

        Returns
        -------
        display : GradientTraceDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the trace has no such field, or `kind` is neither of the two.
        """
        values = self._values(field)
        if kind not in ("heatmap", "lines"):
            raise ValueError(f"kind must be 'heatmap' or 'lines', got {kind!r}.")
        ax = axes_for(self, ax)
        self.mesh_ = self.colorbar_ = self.lines_ = None
        is_logarithmic = field in LOGARITHMIC and bool((values > 0).any())
        if kind == "heatmap":
            self._draw_map(ax, values, field, is_logarithmic, kwargs)
        else:
            self._draw_lines(ax, values, field, is_logarithmic, kwargs)
        count_epochs(ax)
        return self

    def _values(self, field):
        """The chosen field, (n_rows, n_layers)."""
        names = [f.name for f in fields(self.trace)[1:] if getattr(self.trace, f.name) is not None]
        if field not in names:
            raise ValueError(f"field must be one of {names} in this trace, got {field!r}.")
        return getattr(self.trace, field)

    def _draw_map(self, ax, values, field, is_logarithmic, kwargs):
        """Epochs from left to right, layers from the input up."""
        from matplotlib.colors import LogNorm

        n_layers = values.shape[1]
        if is_logarithmic:
            values = np.ma.masked_less_equal(values, 0.0)
            kwargs = {"norm": LogNorm()} | kwargs
        values = np.ma.masked_invalid(values)
        edges = cell_edges(self.trace.epoch), np.arange(n_layers + 1) + 0.5
        self.mesh_ = ax.pcolormesh(*edges, values.T, **{"cmap": "viridis"} | kwargs)
        self.colorbar_ = ax.figure.colorbar(self.mesh_, ax=ax, label=LABELS[field])
        if n_layers <= MAX_LAYER_NAMES:
            ax.set_yticks(np.arange(1, n_layers + 1), self.layer_names)
        else:
            ax.set_ylabel("layer")

    def _draw_lines(self, ax, values, field, is_logarithmic, kwargs):
        """A line for each layer."""
        self.lines_ = []
        colors = colors_for(values.shape[1])
        for name, color, line in zip(self.layer_names, colors, values.T, strict=True):
            style = {"color": color, "label": name} | kwargs
            self.lines_ += ax.plot(self.trace.epoch, line, **style)
        if is_logarithmic:
            ax.set_yscale("log")
        ax.set_ylabel(LABELS[field])
        if values.shape[1] <= MAX_LAYER_NAMES:
            ax.legend()


def cell_edges(centers):
    """The edges of a heat map's cells with these centers.

    Parameters
    ----------
    centers : ndarray of shape (n,)
        In increasing order.

    Returns
    -------
    ndarray of shape (n + 1,)
        Half-way between neighbours; the first and the last cell are symmetric.
    """
    if len(centers) == 1:
        return centers[0] + np.array([-0.5, 0.5])
    middles = (centers[:-1] + centers[1:]) / 2
    return np.r_[2 * centers[0] - middles[0], middles, 2 * centers[-1] - middles[-1]]
