"""The loop over epochs, shared by networks and stacks, and its listeners."""

import numpy as np


class Listener:
    """Receives the events of a task: the training of a network or of one layer of a stack.

    A task has a `name`, such as "epoch" or "layer 2 of 3, epoch"; a `stage`, such as "training" or
    "layer", and the `unit` of its progress, "epoch" or "iteration"; `is_preparation`, whether it
    does not train what the estimator predicts with; `n_epochs`, the maximum number of epochs, or
    None if unknown; `n_iter`, the number of complete epochs; `n_before`, those of previous calls;
    `measures`, a dict of the last epoch's results; and `message`, a str or None.
    The methods are called in the thread of the fit. If they raise an error, the fit fails, and the
    estimator is as before; no method is called after that.
    """

    def task_began(self, task):
        """Called before the first epoch."""

    def epoch_began(self, task):
        """Called before each epoch; if the epoch fails, `task_ended` follows."""

    def epoch_ended(self, task):
        """Called after each successful epoch; return True to end the task."""

    def task_ended(self, task):
        """Called when the task has set the final parameters, converged or not.

        Return True to leave out the tasks that would follow, those of the layers above.
        """

    def task_loaded(self, task):
        """Called instead of the others when a layer of a stack was read from a cache.

        Such a task has a `place`, such as "layer 2 of 3". The answer has the same meaning as that
        of `task_ended`.
        """


def train(task, listeners=()):
    """Run a task, epoch after epoch.

    Parameters
    ----------
    task : object
        Has `is_over`; `run_epoch`, which returns False if the epoch failed; `finish`, which sets
        the final parameters; and the attributes listed in `Listener`. Its attribute `is_stopped`
        is set: whether a listener ended it. Where its beginning is told, a listener may set
        `is_complete`: the task has its final parameters already.
    listeners : sequence of Listener

    Returns
    -------
    bool
        Whether a listener wants no other task to follow.
    """
    task.is_stopped = task.is_complete = False
    tell(listeners, "task_began", task)
    while not (task.is_over or task.is_stopped or task.is_complete):
        tell(listeners, "epoch_began", task)
        if not task.run_epoch():
            break
        task.is_stopped = tell(listeners, "epoch_ended", task)
    if not task.is_complete:
        task.finish()
    return tell(listeners, "task_ended", task)


def tell(listeners, event, task):
    """Tell all listeners of an event; return whether one of them answers True."""
    answers = [getattr(listener, event)(task) for listener in listeners]
    return any(answers)


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
