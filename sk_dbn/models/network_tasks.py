"""The training of a network epoch by epoch: when it ends, and which parameters it keeps."""

from dataclasses import dataclass

import numpy as np

from sk_dbn.models.data import Data
from sk_dbn.models.forward import inputs
from sk_dbn.models.network_training import TrainingSet, rows_in_memory, squared_distances
from sk_dbn.models.traces import evenly_spaced
from sk_dbn.models.transaction import Snapshot

# Which parameters are kept if training diverges.
INITIAL, LAST_GOOD, BEST = "before training", "of the last good epoch", "of the best epoch"


@dataclass
class Validation:
    """Samples that are scored after every epoch.

    Parameters
    ----------
    samples : TrainingSet
    y : ndarray
        Their targets, in the order of the samples.
    score : callable
        ``score(outputs, y, sample_weight)``.
    by_loss : bool
        Whether their loss, not their score, decides which epoch is the best. R^2 cannot do so
        if all targets are equal.
    """

    samples: TrainingSet
    y: np.ndarray
    score: object
    by_loss: bool

    def measure(self, run, network):
        """Compute the score and the loss of a network.

        Parameters
        ----------
        run : callable, from `threads`
        network : Network

        Returns
        -------
        score, loss : float
            The score is NaN if an output is not finite, or if `by_loss` and there is one sample.
        """
        samples = self.samples
        outputs = samples.outputs(run, network, samples.order)
        weight = samples.sample_weight
        weight = None if weight.size == 0 else weight[samples.order]
        score = np.nan  # scikit-learn's scores need finite outputs
        if np.isfinite(outputs).all() and (len(outputs) > 1 or not self.by_loss):
            score = self.score(outputs, self.y, weight)
        return float(score), float(samples.loss_of(outputs))


@dataclass
class ReconstructionValidation:
    """Samples whose reconstruction is scored after every epoch.

    Parameters
    ----------
    samples : TrainingSet
        Without targets: they are the input.
    unclipped : Data
        The same samples without limits, from which distances are measured.
    """

    samples: TrainingSet
    unclipped: Data
    by_loss = True

    @property
    def y(self):
        """Some of the samples, on the scale of the network."""
        rows = evenly_spaced(self.samples.order, rows_in_memory(self.unclipped.shape[1]))
        return inputs(self.unclipped, rows)

    def measure(self, run, network):
        """Compute the score and the loss of a network.

        Parameters
        ----------
        run : callable, from `threads`
        network : Network

        Returns
        -------
        score, loss : float
            The score is minus the mean squared distance of samples from their reconstruction.
        """
        samples, distance, loss, total = self.samples, 0.0, 0.0, 0.0
        network = network.astype(samples.data.dtype)
        for rows in samples.pieces(network):
            outputs = samples.outputs(run, network, rows)
            of_piece, weight = samples.sums_of(outputs, rows)
            squares = squared_distances(outputs, inputs(self.unclipped, rows))
            if samples.sample_weight.size:
                squares *= samples.sample_weight[rows]
            distance, loss, total = distance + squares.sum(), loss + of_piece, total + weight
        total = total or 1.0
        return -float(distance / total), float(samples.loss_factor * loss / total)


class NetworkTask:
    """Backpropagation in minibatches, a task for `loop.train`.

    Parameters
    ----------
    run : callable, from `threads`
    training : Training
    orders : Orders
        Orders of the samples to train on.
    schedule : Schedule
    n_epochs : int
        Maximum number of epochs.
    """

    stage, unit, name = "training", "epoch", "epoch"
    is_preparation, n_before, message = False, 0, None

    def __init__(self, run, training, orders, schedule, n_epochs):
        self.run, self.training, self.orders = run, training, orders
        self.schedule, self.n_epochs = schedule, n_epochs
        self.n_iter, self.measures = 0, {}

    @property
    def is_over(self):
        """Whether the last epoch is complete."""
        return self.n_iter >= self.n_epochs

    def visit(self, recorder=None):
        """Train on each sample once; return the mean loss and the learning rates."""
        order = self.orders.next()
        rates = self.schedule.rates(self.training.n_updates(order))
        return float(self.training.epoch(self.run, order, rates, recorder)), rates

    def finish(self):
        """Keep the parameters as they are."""

    # Attributes that change from epoch to epoch, beside the contents of `_changing`.
    _varying = ("n_iter", "measures")

    @property
    def _changing(self):
        """The objects that training changes in place."""
        training = self.training
        return training.network.theta, training.optimiser, self.schedule, self.orders.random

    def progress(self):
        """The state between two epochs, see `TrainingFile`."""
        varying = {name: getattr(self, name) for name in self._varying}
        return varying | {"contents": Snapshot(*self._changing).contents()}

    def resume(self, progress):
        """Take over the state of the same training."""
        for name in self._varying:
            setattr(self, name, progress[name])
        Snapshot(*self._changing).filled(progress["contents"]).restore()


class FirstPass(NetworkTask):
    """The first pass of early_stopping='refit', which measures the loss of held-out samples.

    Parameters
    ----------
    held_out : TrainingSet
    *task
        See `NetworkTask`.

    Attributes
    ----------
    losses, rates : lists of float
        Loss of the held-out samples and mean learning rate, for each epoch.
    """

    stage, name, is_preparation = "held-out samples", "held-out samples, epoch", True
    _varying = (*NetworkTask._varying, "losses", "rates")

    def __init__(self, held_out, *task):
        super().__init__(*task)
        self.held_out, self.losses, self.rates = held_out, [], []

    def run_epoch(self):
        """Run one epoch; return False if the loss of the held-out samples is not finite."""
        _, rates = self.visit()
        loss = self.held_out.loss_by(self.run, self.training.network)
        self.losses.append(float(loss))
        self.rates.append(float(rates.mean()))
        self.n_iter += 1
        self.measures = {"loss": self.losses[-1]}
        self.schedule.end_epoch(self.n_iter * len(self.orders.rows))
        return bool(np.isfinite(self.losses[-1]))


class FineTuning(NetworkTask):
    """The training of a network until its loss or its score no longer improves.

    Parameters
    ----------
    *task
        See `NetworkTask`.
    divergence_check : DivergenceCheck
    patience : Patience
        Counts the epochs without improvement of the loss or of the validation score.
    tol : float
        The smallest improvement that counts.
    validation : Validation or None
    stops_early : bool
        Whether the validation samples decide when training ends and which epoch is the best.
    best : ndarray of shape (n_parameters,) or None
        The best parameters of previous calls.
    checkpoint : Checkpoint
        Keeps the last complete epoch.
    recorder : NetworkRecorder or None
    n_seen : int
        Number of samples seen in previous calls.
    n_before : int or None
        Number of epochs of previous calls, if this is a call of `partial_fit`.

    Attributes
    ----------
    losses, scores, validation_losses : list of float
        Of all complete epochs; the last two are empty without validation samples.
    t : int
        Number of samples seen, including previous calls.
    has_converged : bool
        Whether training ended because nothing improved.
    divergence : tuple of int, float and str, or None
        If training diverged: the epoch, its loss, and which parameters were kept.
    is_reset : bool
        Whether the parameters are of an earlier epoch, so the optimiser must start again.
    """

    _varying = (
        *(*NetworkTask._varying, "t", "losses", "scores", "validation_losses", "best"),
        *("has_converged", "divergence", "is_reset", "message"),
    )

    def __init__(
        self,
        *task,
        divergence_check,
        patience,
        tol,
        validation,
        stops_early,
        best,
        checkpoint,
        recorder,
        n_seen,
        n_before,
    ):
        super().__init__(*task)
        self.is_incremental = n_before is not None
        self.limit, self.n_before = self.n_epochs, n_before or 0
        if self.is_incremental:
            self.limit, self.n_epochs = 1, None
        self.divergence_check, self.patience, self.tol = divergence_check, patience, tol
        self.validation, self.stops_early, self.best = validation, stops_early, best
        self.checkpoint, self.recorder, self.t = checkpoint, recorder, n_seen
        self.losses, self.scores, self.validation_losses = [], [], []
        self.has_converged, self.divergence, self.is_reset = False, None, False
        self._random = Snapshot(self.orders.random)  # after the initial weights were drawn

    @property
    def _changing(self):
        return *super()._changing, self.patience

    def progress(self):
        """The state between two epochs, see `TrainingFile`."""
        check, recorder = self.divergence_check, self.recorder
        return super().progress() | {
            "check": (check.good, check.is_first, check.reference_loss),
            "recorder": recorder and recorder.__getstate__(),
        }

    def resume(self, progress):
        """Take over the state of the same training."""
        super().resume(progress)
        check = self.divergence_check
        check.good, check.is_first, check.reference_loss = progress["check"]
        if self.recorder is not None:
            self.recorder.__setstate__(progress["recorder"])

    @property
    def theta(self):
        """The parameters."""
        return self.training.network.theta

    @property
    def is_over(self):
        """Whether training has converged or the last epoch is complete."""
        return self.n_iter >= self.limit or self.has_converged

    def run_epoch(self):
        """Run one epoch; if it diverged, restore the parameters and return False."""
        before = self.theta.copy()
        loss, _ = self.visit(self.recorder)
        if self._has_diverged(loss):
            self._restore_last_epoch(loss)
            return False
        self.divergence_check.end_epoch(loss, before)
        self.n_iter, self.t = self.n_iter + 1, self.t + len(self.orders.rows)
        self.losses.append(loss)
        if self._improved() and self.stops_early:
            self.best = self.theta.copy()
        self.schedule.end_epoch(self.t)
        self._check_patience()
        return True

    def _has_diverged(self, loss):
        """Whether an epoch ruined the weights."""
        check = self.divergence_check
        if not np.isfinite(self.theta).all() or check.is_unrecoverable(loss):
            return True
        # In fit, the next epoch or `finish` computes the loss of these weights.
        return self.is_incremental and check.is_unrecoverable(check.loss_of(self.theta))

    def _restore_last_epoch(self, loss):
        """Restore the weights of the last good epoch, but keep the trace."""
        self.checkpoint.restore(self.recorder)
        if self.n_iter == 0:
            self._random.restore()  # the checkpoint has that of before the call
        kept, check = INITIAL if self.n_iter == 0 else LAST_GOOD, self.divergence_check
        # The loss of the last epoch did not include its last updates, which may have been bad.
        if self.n_iter > 0 and check.is_too_large(check.loss_of(self.theta)):
            kept = self._restore_good()
        self.divergence = self.n_before + self.n_iter + 1, loss, kept

    def _restore_good(self):
        """Restore the last good weights; return which they are."""
        self.theta[:], self.is_reset = self.divergence_check.good, True
        return INITIAL if self.divergence_check.is_first else LAST_GOOD

    def _improved(self):
        """Validate, count the epoch, and return whether it is the best so far."""
        watched = self.losses[-1]
        self.measures = {"loss": watched}
        if self.validation is not None:
            score, loss = self.validation.measure(self.run, self.training.network)
            self.scores.append(score)
            self.validation_losses.append(loss)
            self.measures["validation score"] = score
            if self.stops_early:
                watched = loss if self.validation.by_loss else -score
        return self.patience.improved(watched, self.tol)

    def _check_patience(self):
        """End training, or reduce the learning rate, if nothing improves."""
        self.message, schedule = None, self.schedule
        if not self.patience.is_exhausted or (schedule.is_under_way and not self.stops_early):
            return
        self.has_converged = schedule.on_plateau()
        what = "Training loss"
        if self.stops_early:
            what = "Validation loss" if self.validation.by_loss else "Validation score"
        then = "Stopping." if self.has_converged else f"Setting learning rate to {schedule.rate:f}"
        self.message = (
            f"{what} did not improve more than tol={self.tol:f} for "
            f"{self.patience.n_iter_no_change} consecutive epochs. {then}"
        )
        if not self.has_converged:
            self.patience.n_waiting = 0

    def finish(self):
        """Restore the best parameters with early stopping; restore good ones if they diverged."""
        check = self.divergence_check
        if self.best is not None and not check.is_too_large(check.loss_of(self.best)):
            self.theta[:] = self.best
            if self.divergence is not None:
                self.divergence = *self.divergence[:2], BEST
        if self.is_incremental or self.divergence is not None:
            return
        loss = check.loss_of(self.theta)
        if check.is_too_large(loss):
            self.divergence = self.n_iter, loss, self._restore_good()
