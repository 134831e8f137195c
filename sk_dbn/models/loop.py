"""The loop over epochs, shared by networks and stacks, and its listeners."""

import numpy as np


class Listener:
    """Receives the events of a task: the training of a network or of one layer of a stack.

    A task has a `name`, such as "epoch" or "layer 2 of 3, epoch"; `n_epochs`, the maximum number
    of epochs, or None if unknown; `n_iter`, the number of complete epochs; `n_before`, those of
    previous calls; `measures`, a dict of the last epoch's results; and `message`, a str or None.
    The methods are called in the thread of the fit. If they raise an error, the fit ends.
    """

    def task_began(self, task):
        """Called before the first epoch."""

    def epoch_ended(self, task):
        """Called after each successful epoch; return True to end the task."""

    def task_ended(self, task):
        """Called when the task has set the final parameters, converged or not."""


def train(task, listeners=()):
    """Run a task, epoch after epoch.

    Parameters
    ----------
    task : object
        Has `is_over`; `run_epoch`, which returns False if the epoch failed and restores the
        parameters before it; `finish`, which sets the final parameters; and the attributes
        listed in `Listener`.
    listeners : sequence of Listener
    """
    for listener in listeners:
        listener.task_began(task)
    is_stopped = False
    while not (task.is_over or is_stopped) and task.run_epoch():
        answers = [listener.epoch_ended(task) for listener in listeners]
        is_stopped = any(answers)
    task.finish()
    for listener in listeners:
        listener.task_ended(task)


class Patience:
    """Counts the epochs since a value last improved, and remembers the smallest value.

    Parameters
    ----------
    n_iter_no_change : int or float
        Maximum number of epochs without improvement.

    Attributes
    ----------
    best : float
    n_waiting : int
        Number of epochs since the last improvement.
    """

    def __init__(self, n_iter_no_change):
        self.n_iter_no_change = n_iter_no_change
        self.best, self.n_waiting = np.inf, 0

    def improved(self, value, margin):
        """Count an epoch; return whether it is the best so far.

        Parameters
        ----------
        value : float
            The value to minimise; NaN is no improvement.
        margin : float
            The smallest decrease that counts. If negative, the largest increase that still
            counts, for a value that grows only if training lasts too long.

        Returns
        -------
        bool
        """
        is_better = value <= self.best - margin
        self.n_waiting = 0 if is_better else self.n_waiting + 1
        improved = is_better if margin < 0.0 else value < self.best
        self.best = float(np.fmin(self.best, value))
        return bool(improved)

    @property
    def is_exhausted(self):
        """Whether more than `n_iter_no_change` epochs have passed without an improvement."""
        return self.n_waiting > self.n_iter_no_change
