"""The loop over epochs, which is one for networks and stacks, and what is told of it."""

import numpy as np


class Listener:
    """Is told of a task, such as the training of a network or of one layer of a stack.

    A task has a name, such as "epoch" or "layer 2 of 3, epoch"; `n_epochs`, the maximum number of
    its epochs, or None where nobody knows it; `n_iter`, those that are complete; `n_before`, those
    of calls before; `measures`, what the last one came to by name; and `message`, what else is
    to be said of it, or None. Methods are called in the thread of the fit; what they raise ends
    it.
    """

    def task_began(self, task):
        """Before the first epoch."""

    def epoch_ended(self, task):
        """After an epoch that is to be kept; True ends the task."""

    def task_ended(self, task):
        """When the parameters are what the task leaves, whether it converged or not."""


def train(task, listeners=()):
    """Work at a task, epoch after epoch.

    Parameters
    ----------
    task : object
        Has `is_over`; `run_epoch`, which returns False and leaves the parameters of the epoch
        before where one went wrong; and `finish`, which decides on the parameters that stay.
        See `Listener` for what else it has.
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
    """Counts the epochs since a value last fell, and remembers the smallest one.

    Parameters
    ----------
    n_iter_no_change : int or float
        How many such epochs are too many.

    Attributes
    ----------
    best : float
    n_waiting : int
        Epochs without an improvement up to now.
    """

    def __init__(self, n_iter_no_change):
        self.n_iter_no_change = n_iter_no_change
        self.best, self.n_waiting = np.inf, 0

    def improved(self, value, margin):
        """Count an epoch; return whether it is to be kept as the best so far.

        Parameters
        ----------
        value : float
            What is to fall; NaN is no improvement.
        margin : float
            By how much it must fall to count. If negative, by how much it may rise: a value
            that grows only when training has gone too far.

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
        """Whether too many epochs have passed without an improvement."""
        return self.n_waiting > self.n_iter_no_change
