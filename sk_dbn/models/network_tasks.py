"""The training of a network epoch by epoch: when it ends, and what it returns to."""

from dataclasses import dataclass

import numpy as np

from sk_dbn.models.network_training import TrainingSet


@dataclass
class Validation:
    """Samples that are scored after every epoch.

    Parameters
    ----------
    samples : TrainingSet
    y : ndarray
        What the score compares with, for the samples in their order.
    score : callable
        ``score(outputs, y, sample_weight)``.
    by_loss : bool
        Whether it is their loss that decides which epoch is the best, as there is nothing to
        explain where all targets are equal.
    """

    samples: TrainingSet
    y: np.ndarray
    score: object
    by_loss: bool

    def measure(self, run, network):
        """Score and loss of a network.

        Parameters
        ----------
        run : callable, from `threads`
        network : Network

        Returns
        -------
        score, loss : float
            The score is NaN where an output is not finite or there is nothing to explain.
        """
        samples = self.samples
        outputs = samples.outputs(run, network, samples.order)
        weight = samples.sample_weight
        weight = None if weight.size == 0 else weight[samples.order]
        score = np.nan  # a regressor may have left the range of numbers
        if np.isfinite(outputs).all() and (len(outputs) > 1 or not self.by_loss):
            score = self.score(outputs, self.y, weight)
        return float(score), float(samples.loss_of(outputs))


class NetworkTask:
    """Backpropagation in minibatches, as `loop.train` works at it.

    Parameters
    ----------
    run : callable, from `threads`
    training : Training
    orders : Orders
        Of the samples to train on.
    schedule : Schedule
    n_epochs : int
        Maximum number of epochs.
    """

    name, n_before, message = "epoch", 0, None

    def __init__(self, run, training, orders, schedule, n_epochs):
        self.run, self.training, self.orders = run, training, orders
        self.schedule, self.n_epochs = schedule, n_epochs
        self.n_iter, self.measures = 0, {}

    @property
    def is_over(self):
        """Whether there is no epoch to follow."""
        return self.n_iter >= self.n_epochs

    def visit(self, recorder=None):
        """Visit the samples once; the mean loss and the learning rates of the updates."""
        order = self.orders.next()
        rates = self.schedule.rates(self.training.n_updates(order))
        return float(self.training.epoch(self.run, order, rates, recorder)), rates

    def finish(self):
        """Leave the parameters as they are."""


class Rehearsal(NetworkTask):
    """The training of a copy of a network without some samples, whose loss is taken each time.

    Parameters
    ----------
    held_out : TrainingSet
    *task
        See `NetworkTask`.

    Attributes
    ----------
    losses, rates : lists of float
        Loss of the samples held out, and mean learning rate, of every epoch.
    """

    name = "held-out samples, epoch"

    def __init__(self, held_out, *task):
        super().__init__(*task)
        self.held_out, self.losses, self.rates = held_out, [], []

    def run_epoch(self):
        """One epoch; False if the loss is not finite, which then is the last one."""
        _, rates = self.visit()
        network, held_out = self.training.network, self.held_out
        outputs = network.outputs(self.run, held_out.data, rows=held_out.order)
        self.losses.append(float(held_out.loss_of(outputs)))
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
    yardstick : Yardstick
    patience : Patience
        Of the loss, or of what is watched of the validation samples, which is then to fall.
    tol : float
        The smallest improvement that counts.
    validation : Validation or None
    stops_early : bool
        Whether the validation samples decide when training ends and which epoch is the best.
    best : ndarray of shape (n_parameters,) or None
        The best parameters of calls before.
    checkpoint : Checkpoint
        Keeps the last complete epoch.
    recorder : NetworkRecorder or None
    n_seen : int
        Samples seen in calls before.
    n_before : int or None
        Epochs of calls before where this is one epoch of many.

    Attributes
    ----------
    loss, score, validation_loss : float
        Of the last complete epoch; the latter two NaN without validation samples.
    t : int
        Samples seen, those of calls before included.
    has_converged : bool
        Whether training ended since nothing improved.
    divergence : tuple of int, float and bool, or None
        Where training went wrong: the epoch, its loss, and whether the parameters are those
        that training began with, rather than of a later epoch.
    is_reset : bool
        Whether it then returned to an epoch before the last one, to which the optimiser does not
        belong.
    """

    def __init__(
        self,
        *task,
        yardstick,
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
        self.is_one_of_many = n_before is not None
        self.limit, self.n_before = self.n_epochs, n_before or 0
        if self.is_one_of_many:
            self.limit, self.n_epochs = 1, None
        self.yardstick, self.patience, self.tol = yardstick, patience, tol
        self.validation, self.stops_early, self.best = validation, stops_early, best
        self.checkpoint, self.recorder, self.t = checkpoint, recorder, n_seen
        self.loss = self.score = self.validation_loss = np.nan
        self.has_converged, self.divergence, self.is_reset = False, None, False

    @property
    def theta(self):
        """The parameters that are trained."""
        return self.training.network.theta

    @property
    def is_over(self):
        """Whether there is no epoch to follow."""
        return self.n_iter >= self.limit or self.has_converged

    def run_epoch(self):
        """One epoch; False if it ruined the parameters, which then are as before."""
        before = self.theta.copy()
        loss, _ = self.visit(self.recorder)
        if self._is_lost(loss):
            self._retreat(loss)
            return False
        self.yardstick.end_epoch(loss, before)
        self.n_iter, self.t = self.n_iter + 1, self.t + len(self.orders.rows)
        self.loss = loss
        if self._improved() and self.stops_early:
            self.best = self.theta.copy()
        self.schedule.end_epoch(self.t)
        self._look_at_patience()
        return True

    def _is_lost(self, loss):
        """Whether an epoch ruined the weights. Of many, a later one shows what the last did."""
        if not np.isfinite(self.theta).all() or self.yardstick.is_hopeless(loss):
            return True
        yardstick = self.yardstick
        return self.is_one_of_many and yardstick.is_hopeless(yardstick.loss_of(self.theta))

    def _retreat(self, loss):
        """Return to the weights of the last good epoch; the trace shows what happened."""
        self.checkpoint.restore(self.recorder)
        is_first = self.n_iter == 0
        if not is_first and self.yardstick.is_worse(self.yardstick.loss_of(self.theta)):
            # That epoch's loss was measured before its last updates, which were bad.
            is_first = self._return_to_good()
        self.divergence = self.n_iter + 1, loss, is_first

    def _return_to_good(self):
        """Take the last good weights, and no momentum; whether training began with them."""
        self.theta[:], self.is_reset = self.yardstick.good, True
        return self.yardstick.is_first

    def _improved(self):
        """Count an epoch for the patience; whether it is the best so far."""
        self.measures, watched = {"loss": self.loss}, self.loss
        if self.validation is not None:
            score, loss = self.validation.measure(self.run, self.training.network)
            self.score, self.validation_loss = score, loss
            self.measures["validation score"] = score
            if self.stops_early:
                watched = loss if self.validation.by_loss else -score
        return self.patience.improved(watched, self.tol)

    def _look_at_patience(self):
        """End training, or let the schedule go on to smaller rates, where nothing improves."""
        self.message, schedule = None, self.schedule
        if not self.patience.is_exhausted or (schedule.is_under_way and not self.stops_early):
            return
        self.has_converged = schedule.on_plateau()
        what = "Validation score" if self.stops_early else "Training loss"
        then = "Stopping." if self.has_converged else f"Setting learning rate to {schedule.rate:f}"
        self.message = (
            f"{what} did not improve more than tol={self.tol:f} for "
            f"{self.patience.n_iter_no_change} consecutive epochs. {then}"
        )
        if not self.has_converged:
            self.patience.n_waiting = 0

    def finish(self):
        """Return to the best epoch where that was asked for, and to a good one in any case."""
        yardstick = self.yardstick
        if self.best is not None and not yardstick.is_worse(yardstick.loss_of(self.best)):
            self.theta[:] = self.best
        if self.is_one_of_many or self.divergence is not None:
            return
        loss = yardstick.loss_of(self.theta)
        if yardstick.is_worse(loss):
            self.divergence = self.n_iter, loss, self._return_to_good()
