"""Display of how the loss fell."""

import numpy as np

from sk_dbn.inspection.canvas import OKABE_ITO, axes_for, colors_for, count_epochs
from sk_dbn.inspection.fitted import check_has, layer_names, trace_of


class LossDisplay:
    """Loss of training and validation rows, epoch by epoch.

    Of a network the loss of the rows trained on, which is the mean over an epoch and includes
    the penalty, and where there were validation rows their loss after the epoch and their score.
    Of a stack the divergence of each machine's reconstruction.

    It is recommended to use :meth:`from_estimator` to create one. All parameters are stored
    as attributes.

    Parameters
    ----------
    curves : dict of str to pair of ndarrays of shape (n_epochs,)
        Name of each curve to its epochs and its losses.
    scores : pair of ndarrays of shape (n_epochs,) or None, default=None
        Epochs and scores of validation rows.
    loss_name : str, default='loss'
        What is on the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the losses.
    score_ax_ : matplotlib Axes or None
        Axes on the right with the scores.
    figure_ : matplotlib Figure
        Figure containing them.
    lines_ : list of matplotlib Line2D
        One for each curve.
    score_line_ : matplotlib Line2D or None
        That of the scores.

    See Also
    --------
    GradientTraceDisplay : What each layer did meanwhile.

    References
    ----------
    .. [1] Prechelt, L. (1998). Early stopping - but when? Neural Networks: Tricks of the
       Trade. Section 2.1: losses of training and validation rows.
    .. [2] Hinton, G. E. (2012). A practical guide to training restricted Boltzmann
       machines. Section 5: what the reconstruction says of a machine and what not.

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
        estimator : BernoulliRBMStack, DBNClassifier or DeepMLPRegressor
            Fitted; a stack with ``trace='epoch'`` or ``'batch'``.
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        display : LossDisplay
            Drawn.

        Raises
        ------
        ValueError
            If a stack has no trace, or a network no complete epoch.
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
        """Draw the curves, and the scores on an axis of their own.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: a new figure.
        **kwargs : dict
            Passed on to matplotlib's `plot`.

        Returns
        -------
        display : LossDisplay
            Itself.
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
    """What a LossDisplay is made of, from a fitted network."""
    n = len(estimator.loss_curve_)
    if n == 0:
        raise ValueError(
            f"this {type(estimator).__name__} has no complete epoch: its training diverged in "
            "the first one. Lower learning_rate_init or scale the data, and fit again."
        )

    def curve(values):
        # Where validation began in a later call of fit, its values are those of the last epochs.
        return np.arange(n - len(values) + 1, n + 1), np.array(values, dtype=float)

    curves, scores = {"training": curve(estimator.loss_curve_)}, None
    if estimator.validation_loss_curve_:
        curves["validation"] = curve(estimator.validation_loss_curve_)
        scores = curve(estimator.validation_scores_)
    return {"curves": curves, "scores": scores}


def _finite(epochs, values):
    """A curve without the rows that its layer was not trained in."""
    trained = ~np.isnan(values)
    return epochs[trained], values[trained]
