"""What is told of training while it goes on."""

import time

from sk_dbn.models.loop import Listener


class Progress(Listener):
    """Tells of each epoch where that is wanted.

    Parameters
    ----------
    verbose : bool or int
        Whether to tell.
    estimator : object
        Who tells.
    """

    def __init__(self, verbose, estimator):
        self.verbose, self.who = verbose, type(estimator).__name__

    def task_began(self, task):
        """Begin to measure the time."""
        self._start = time.perf_counter()

    def epoch_ended(self, task):
        """Tell which epoch of how many ended, what it came to, and the time that is left."""
        seconds = time.perf_counter() - self._start
        count = f"{task.name} {task.n_before + task.n_iter}"
        told = [f"{name} = {value:.6g}" for name, value in task.measures.items()]
        told.append(f"time = {seconds:.1f}s")
        if task.n_epochs is not None:
            count += f" of {task.n_epochs}"
            left = seconds / task.n_iter * (task.n_epochs - task.n_iter)
            told.append(f"left = {left:.1f}s")  # at most, since it may stop before
        self.say(", ".join([count, *told]))
        if task.message:
            self.say(task.message)

    def say(self, words):
        """Print a message of another kind.

        Parameters
        ----------
        words : str
        """
        if self.verbose:
            print(f"[{self.who}] {words[0].upper()}{words[1:]}")
