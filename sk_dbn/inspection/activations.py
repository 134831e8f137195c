"""Display of the activations of all layers in one epoch."""

import numpy as np

from sk_dbn.inspection.canvas import MAX_LAYER_NAMES, OKABE_ITO, axes_for
from sk_dbn.inspection.fitted import layer_names, trace_of

WIDTH = 0.3  # of a bar


class ActivationDisplay:
    """Mean and standard deviation of activations, with the share of saturated and dead units.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are
    stored as attributes.

    Parameters
    ----------
    mean, std : ndarray of shape (n_layers,)
        Mean and standard deviation of a layer's activations, over units and samples.
    saturated_fraction : ndarray of shape (n_layers,)
        Share of activations within 1 % of the end of a bounded range.
    dead_fraction : ndarray of shape (n_layers,)
        Share of units with the same output for every sample.
    epoch : ndarray of shape (n_layers,)
        Epoch in which they were measured.
    layer_names : list of str
        Names of the layers, from the input up.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with mean and standard deviation.
    fraction_ax_ : matplotlib Axes
        Axes with the fractions, on the right.
    figure_ : matplotlib Figure
        Figure containing the axes.
    errorbar_ : matplotlib ErrorbarContainer
        Mean, with error bars of one standard deviation.
    saturated_bars_, dead_bars_ : matplotlib BarContainer
        Bars of the fractions.

    See Also
    --------
    GradientTraceDisplay : The same quantities over all epochs.

    References
    ----------
    .. [1] Glorot, X. & Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS. Section 3: saturation from layer to layer.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import DBNClassifier
    >>> from sk_dbn.inspection import ActivationDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> network = DBNClassifier(
    ...     (30,) * 5, activation="tanh", pretrainer=None, max_iter=5, random_state=0
    ... )
    >>> display = ActivationDisplay.from_estimator(network.fit(X / 16, y))
    >>> display.mean.shape
    (6,)
    """

    def __init__(self, *, mean, std, saturated_fraction, dead_fraction, epoch, layer_names):
        self.mean = mean
        self.std = std
        self.saturated_fraction = saturated_fraction
        self.dead_fraction = dead_fraction
        self.epoch = epoch
        self.layer_names = layer_names

    @classmethod
    def from_estimator(cls, estimator, *, epoch=None, ax=None, **kwargs):
        """Draw the activations of a fitted estimator's layers.

        Parameters
        ----------
        estimator : BernoulliRBMStack, DBNAutoencoder, DBNClassifier or DeepMLPRegressor
            Fitted, with ``trace='epoch'`` or ``'batch'``.
        epoch : int or float, default=None
            The epoch to draw; 0 is before the first update. None: the last epoch of each layer.
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `errorbar`.

        Returns
        -------
        display : ActivationDisplay
            The display, already drawn.

        Raises
        ------
        ValueError
            If there is no trace, or the trace has no such epoch.
        """
        trace = trace_of(estimator, cls.__name__)
        rows, layers = _rows(trace, epoch), np.arange(trace.n_layers)
        display = cls(
            mean=trace.activation_mean[rows, layers],
            std=trace.activation_std[rows, layers],
            saturated_fraction=trace.saturated_fraction[rows, layers],
            dead_fraction=trace.dead_fraction[rows, layers],
            epoch=trace.epoch[rows],
            layer_names=layer_names(estimator, trace.n_layers),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw mean and standard deviation on the left axis, and the fractions on the right one.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `errorbar`.

        Returns
        -------
        display : ActivationDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        layers = np.arange(1, len(self.mean) + 1)
        style = {"color": OKABE_ITO[0], "fmt": "o", "capsize": 3, "label": "activation"}
        self.errorbar_ = ax.errorbar(layers, self.mean, yerr=self.std, **style | kwargs)
        self.fraction_ax_ = ax.twinx()
        # The bars are behind the points, so the axes of the points must be transparent.
        ax.set_zorder(self.fraction_ax_.get_zorder() + 1)
        ax.patch.set_visible(False)
        fractions = {"saturated": self.saturated_fraction, "dead": self.dead_fraction}
        # Bars narrower than a pixel would disappear if they were snapped to whole pixels.
        snap = None if len(layers) <= MAX_LAYER_NAMES else False
        self.saturated_bars_, self.dead_bars_ = (
            self.fraction_ax_.bar(layers + at, values, WIDTH, color=color, label=name, snap=snap)
            for (name, values), color, at in zip(
                fractions.items(), OKABE_ITO[1:3], (-WIDTH / 2, WIDTH / 2), strict=True
            )
        )
        if len(layers) <= MAX_LAYER_NAMES:
            ax.set_xticks(layers, self.layer_names, rotation=45 if len(layers) > 5 else 0)
        else:
            ax.set_xlabel("layer")
        ax.set_ylabel("activation, mean and standard deviation")
        self.fraction_ax_.set(ylim=(0, 1), ylabel="share of saturated activations, dead units")
        bars = [self.saturated_bars_, self.dead_bars_]
        ax.legend(handles=[self.errorbar_, *bars], labels=["activation", *fractions])
        return self


def _rows(trace, epoch):
    """The row of the trace to draw, for each layer."""
    if epoch is None:
        is_traced = ~np.isnan(trace.weight_norm)
        last = len(trace.epoch) - 1 - is_traced[::-1].argmax(axis=0)
        return np.where(is_traced.any(axis=0), last, 0)
    rows = np.flatnonzero(trace.epoch == epoch)
    if len(rows) == 0:
        raise ValueError(
            f"epoch must be in the trace, {trace.epoch[0]:g} to {trace.epoch[-1]:g}, got {epoch!r}."
        )
    return np.full(trace.n_layers, rows[0])
