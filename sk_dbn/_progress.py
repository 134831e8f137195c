"""What is told of training while it goes on."""

import time


class Progress:
    """Counts the epochs of one phase of training, and tells of each where that is wanted.

    Parameters
    ----------
    verbose : bool or int
        Whether to tell.
    estimator : object
        Who tells.
    unit : str
        What is counted, such as ``"epoch"``; what it is an epoch of goes before.
    n_epochs : int, default=None
        How many there are at most; None where nobody knows, as in calls of partial_fit.
    n_before : int, default=0
        How many there were in previous calls.
    """

    def __init__(self, verbose, estimator, unit, n_epochs=None, n_before=0):
        self.verbose, self.unit, self.n_epochs = verbose, unit, n_epochs
        self.who, self.n_before, self.n_done = type(estimator).__name__, n_before, 0
        self._start = time.perf_counter()

    def end_epoch(self, measures):
        """Count an epoch and tell what it came to.

        Parameters
        ----------
        measures : dict of str to float
        """
        self.n_done += 1
        seconds = time.perf_counter() - self._start
        count = f"{self.unit} {self.n_before + self.n_done}"
        told = [f"{name} = {value:.6g}" for name, value in measures.items()]
        told.append(f"time = {seconds:.1f}s")
        if self.n_epochs is not None:
            count += f" of {self.n_epochs}"
            left = seconds / self.n_done * (self.n_epochs - self.n_done)
            told.append(f"left = {left:.1f}s")  # at most, since it may stop before
        self.say(", ".join([count, *told]))

    def say(self, words):
        """Print a message of another kind.

        Parameters
        ----------
        words : str
        """
        if self.verbose:
            print(f"[{self.who}] {words[0].upper()}{words[1:]}")
