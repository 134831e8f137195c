"""Messages about the progress of training."""

import time

from sk_dbn.models.loop import Listener


class Progress(Listener):
    """Prints a line for each epoch if verbose.

    Parameters
    ----------
    verbose : bool or int
        Whether to print.
    estimator : object
        Its class name begins each line.
    """

    def __init__(self, verbose, estimator):
        self.verbose, self.name = verbose, type(estimator).__name__

    def task_began(self, task):
        """Start the clock."""
        self._start, self._n_before = time.perf_counter(), task.n_iter
        if task.n_iter > 0:
            self.say(f"{task.name} {task.n_iter}: read from the checkpoint")

    def epoch_ended(self, task):
        """Print the number of the epoch, its results, and the elapsed and remaining time."""
        seconds = time.perf_counter() - self._start
        count = f"{task.name} {task.n_before + task.n_iter}"
        parts = [f"{name} = {value:.6g}" for name, value in task.measures.items()]
        parts.append(f"time = {seconds:.1f}s")
        if task.n_epochs is not None:
            count += f" of {task.n_epochs}"
            of_epoch = seconds / (task.n_iter - self._n_before)
            left = of_epoch * (task.n_epochs - task.n_iter)
            parts.append(f"left = {left:.1f}s")  # the maximum: training may stop earlier
        self.say(", ".join([count, *parts]))
        if task.message:
            self.say(task.message)

    def task_loaded(self, task):
        """Print that a layer was not trained."""
        self.say(f"{task.place}: read from memory")

    def say(self, message):
        """Print a message if verbose.

        Parameters
        ----------
        message : str
        """
        if self.verbose:
            print(f"[{self.name}] {message[0].upper()}{message[1:]}")
