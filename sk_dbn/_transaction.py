"""All or nothing: an estimator is fitted, or left as it was."""

import contextlib

import numpy as np


class Checkpoint:
    """What an estimator's attributes were, and what is changed in place behind them.

    Parameters
    ----------
    estimator : object
    """

    def __init__(self, estimator):
        self._estimator = estimator
        self._watched = []
        self.keep()

    def watch(self, *objects):
        """From now on remember the contents of these arrays and plain objects too.

        Of an object its attributes, of a list among them the length: what is appended
        later is taken off again.
        """
        self._watched = [(x, _contents(x)) for x in objects if x is not None]

    def keep(self):
        """Make the present state the one to return to.

        After an epoch, say, so that Ctrl-C costs no more than the epoch it interrupted.
        """
        self._attributes = vars(self._estimator).copy()
        self._watched = [(x, _contents(x, kept)) for x, kept in self._watched]

    def restore(self, *except_for):
        """Return the watched objects, but for these, to their contents."""
        for x, kept in self._watched:
            if not any(x is other for other in except_for):
                _restore(x, kept)

    def restore_all(self):
        """Return watched objects and attributes to what they were."""
        self.restore()
        vars(self._estimator).clear()
        vars(self._estimator).update(self._attributes)


def _contents(x, into=None):
    """A copy of what is in an array, a random state or a plain object."""
    if isinstance(x, np.ndarray):
        if into is None:
            return x.copy()
        into[:] = x
        return into
    if isinstance(x, np.random.RandomState):
        return x.get_state(legacy=False)
    return {
        name: (value, len(value) if isinstance(value, list) else None)
        for name, value in vars(x).items()
    }


def _restore(x, kept):
    if isinstance(x, np.ndarray):
        x[:] = kept
    elif isinstance(x, np.random.RandomState):
        x.set_state(kept)
    else:
        for name, (value, length) in kept.items():
            if length is not None:
                del value[length:]
            setattr(x, name, value)


@contextlib.contextmanager
def all_or_nothing(estimator):
    """Undo what a block did to an estimator if the block raises.

    Parameters
    ----------
    estimator : object

    Yields
    ------
    checkpoint : Checkpoint
        ``checkpoint.keep()`` makes the present state the one to return to.
    """
    checkpoint = Checkpoint(estimator)
    try:
        yield checkpoint
    except BaseException:
        checkpoint.restore_all()
        raise
