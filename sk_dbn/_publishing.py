"""Listeners that set the fitted attributes after each epoch, so that Ctrl-C keeps them."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sk_dbn.models.loop import Listener


class NetworkListener(Listener):
    """Sets the fitted attributes after each epoch of training, and saves them for Ctrl-C.

    Parameters
    ----------
    estimator : BaseDeepNetwork
    checkpoint : Checkpoint
    """

    def __init__(self, estimator, checkpoint):
        self._estimator, self._checkpoint = estimator, checkpoint

    def task_began(self, task):
        """Remember the values of previous calls; publish what the task has taken over."""
        if task.is_preparation:
            return
        self._before = vars(self._estimator).copy()
        if task.n_iter > 0:
            self.epoch_ended(task)

    def epoch_ended(self, task):
        """Set the fitted attributes."""
        if task.is_preparation:
            return
        network, before = self._estimator, self._before
        network.n_iter_, network.t_, network.loss_ = task.n_iter, task.t, task.losses[-1]
        network.loss_curve_ = [*before["loss_curve_"], *task.losses]
        if task.validation is not None:
            scores, losses = before["validation_scores_"], before["validation_loss_curve_"]
            network.validation_scores_ = [*scores, *task.scores]
            network.validation_loss_curve_ = [*losses, *task.validation_losses]
            best = np.fmax.reduce([before["best_validation_score_"], *task.scores])
            network.best_validation_score_ = float(best)
        if not network._stops_early:
            network.best_loss_ = min([before["best_loss_"], *task.losses])
        self._checkpoint.keep()

    def task_ended(self, task):
        """Keep the final parameters, which may be those of an earlier epoch."""
        if task.is_preparation:
            return
        if task.is_reset:
            self._estimator._optimiser = None
        if task.n_iter > 0:
            self._checkpoint.keep()


class EpochCounts(list):
    """Numbers of epochs of all layers, a list whose minimum is compared with a number.

    scikit-learn's checks evaluate ``n_iter_ >= 1``.
    """

    def __ge__(self, number):
        return min(self) >= number if np.isscalar(number) else super().__ge__(number)


class StackListener(Listener):
    """Sets the fitted attributes after each epoch of `fit`, and warns of divergence.

    `partial_fit` trains all layers for an epoch, so its attributes are set at the end.

    Parameters
    ----------
    estimator : BernoulliRBMStack
    training : StackTraining
    checkpoint : Checkpoint or None
    """

    def __init__(self, estimator, training, checkpoint):
        self._estimator, self._training = estimator, training
        self._checkpoint = checkpoint

    def task_began(self, task):
        """Publish what the task has taken over."""
        if task.n_iter > 0:
            self.epoch_ended(task)

    def epoch_ended(self, task):
        """Set the attributes and save the present state for Ctrl-C."""
        if self._training.n_before is None:  # a call of fit
            self._estimator._publish(self._training)
            if self._checkpoint is not None:
                self._checkpoint.keep()

    def task_ended(self, task):
        """The same for the final parameters, which may be those of an earlier epoch."""
        if any(self._training.n_iter):
            self.epoch_ended(task)
        if task.has_diverged:
            epoch = task.n_before + task.n_iter + task.is_lost
            warnings.warn(
                f"Training of {task.place} diverged in epoch {epoch}; the parameters are those of "
                "the last good epoch. Lower learning_rate or momentum, or scale the data.",
                ConvergenceWarning,
            )

    task_loaded = task_ended
