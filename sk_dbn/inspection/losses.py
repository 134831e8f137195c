"""Display of the loss over the epochs."""

import numpy as np

from sk_dbn.inspection.canvas import OKABE_ITO, axes_for, colors_for, count_epochs
from sk_dbn.inspection.fitted import check_has, layer_names, trace_of


class LossDisplay:
    """Loss of training and validation samples in each epoch.

    For a network, this is the training loss, which is the mean over an epoch and includes the
    penalty. If there were validation samples, their loss and their score after each epoch are
    drawn too. For a stack, it is the divergence of each RBM's reconstruction.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters are
    stored as attributes.

    Parameters
    ----------
    curves : dict of str to pair of ndarrays of shape (n_epochs,)
        Epochs and losses of each curve, by its name.
    scores : pair of ndarrays of shape (n_epochs,) or None, default=None
        Epochs and scores of the validation samples.
    loss_name : str, default='loss'
        Label of the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the losses.
    score_ax_ : matplotlib Axes or None
        Axes with the scores, on the right.
    figure_ : matplotlib Figure
        Figure containing the axes.
    lines_ : list of matplotlib Line2D
        One line for each curve.
    score_line_ : matplotlib Line2D or None
        Line of the scores.

    See Also
    --------
    GradientTraceDisplay : The trace of each layer over the same epochs.

    References
    ----------
    .. [1] Prechelt, L. (1998). Early stopping - but when? Neural Networks: Tricks of the
       Trade. Section 2.1: losses of training and validation samples.
    .. [2] Hinton, G. E. (2012). A practical guide to training restricted Boltzmann
       machines. Section 5: what the reconstruction error shows and what it does not.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sk_dbn.inspection import LossDisplay
    >>> X = load_digits().data / 16
    >>> stack = BernoulliRBMStack((32, 16), max_iter=5, random_state=0).fit(X)
    >>> display = LossDisplay.from_estimator(stack)
    >>> list(display.curves)
    ['hidden 1', 'hidden 2']
    """

    def __init__(self, *, curves, scores=None, loss_name="loss"):
        self.curves = curves
        self.scores = scores
        self.loss_name = loss_name

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs):
        """Draw the losses of a fitted estimator.

        Parameters
        ----------
        estimator : BernoulliRBMStack, DBNAutoencoder, DBNClassifier or DeepMLPRegressor
            Fitted; a stack with ``trace='epoch'`` or ``'batch'``.
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : LossDisplay
            The display, already drawn.

        Raises
        ------
        ValueError
            If a stack has no trace, or a network has no complete epoch.
        """
        check_has(estimator, "coefs_", cls.__name__)
        if hasattr(estimator, "loss_curve_"):
            display = cls(**_losses_of_network(estimator))
        else:
            trace = trace_of(estimator, cls.__name__)
            names = layer_names(estimator, trace.n_layers)
            lines = zip(names, trace.reconstruction_kl.T, strict=True)
            curves = {name: _finite(trace.epoch, line) for name, line in lines}
            display = cls(curves=curves, loss_name="divergence of the reconstruction (nats)")
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the curves, and the scores on a second axis.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : LossDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        self.lines_, self.score_ax_, self.score_line_ = [], None, None
        for (name, curve), color in zip(
            self.curves.items(), colors_for(len(self.curves)), strict=True
        ):
            self.lines_ += ax.plot(*curve, **{"color": color, "label": name} | kwargs)
        count_epochs(ax)
        ax.set_ylabel(self.loss_name)
        handles = list(self.lines_)
        if self.scores is not None:
            self.score_ax_ = ax.twinx()
            style = {"color": OKABE_ITO[4], "linestyle": ":", "label": "validation score"}
            (self.score_line_,) = self.score_ax_.plot(*self.scores, **style | kwargs)
            self.score_ax_.set_ylabel("validation score (dotted)")
            handles.append(self.score_line_)
        ax.legend(handles=handles)
        return self


def _losses_of_network(estimator):
    """The parameters of a LossDisplay, from a fitted network."""
    n = len(estimator.loss_curve_)
    if n == 0:
        raise ValueError(
            f"this {type(estimator).__name__} has no complete epoch: its training diverged in "
            "the first one. Lower learning_rate_init or scale the data, and fit again."
        )

    def curve(values):
        # If validation began in a later call of fit, its values belong to the last epochs.
        return np.arange(n - len(values) + 1, n + 1), np.array(values, dtype=float)

    curves, scores = {"training": curve(estimator.loss_curve_)}, None
    if estimator.validation_loss_curve_:
        curves["validation"] = curve(estimator.validation_loss_curve_)
        scores = curve(estimator.validation_scores_)
    return {"curves": curves, "scores": scores}


def _finite(epochs, values):
    """A curve without the epochs in which its layer was not trained."""
    trained = ~np.isnan(values)
    return epochs[trained], values[trained]
