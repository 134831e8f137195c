"""All or nothing: an estimator is fitted, or left as it was."""

import numpy as np


class Checkpoint:
    """What an estimator's attributes were, and what is changed in place behind them.

    An interrupt may come at any moment, while this is written as well. So there is one reference
    to the state to return to, which becomes another one when that is complete.

    Parameters
    ----------
    estimator : object
    """

    def __init__(self, estimator):
        self._estimator = estimator
        self._state = vars(estimator).copy(), []

    def watch(self, *objects):
        """From now on remember the contents of these objects too.

        Of an array its values, of a random state where it stands, of a plain object its
        attributes, with the contents of those that are arrays, tuples of them or lists. What is
        appended to a list later is taken off again.
        """
        attributes, watched = self._state
        for x in objects:
            if x is not None and not any(x is known for known, _ in watched):
                watched = [*watched, (x, _contents(x))]
        self._state = attributes, watched

    def keep(self):
        """Make the present state the one to return to.

        After an epoch, say, so that Ctrl-C costs no more than the epoch it interrupted.
        """
        watched = [(x, _contents(x)) for x, _ in self._state[1]]
        self._state = vars(self._estimator).copy(), watched

    def restore(self, *except_for):
        """Return the watched objects, but for these, to their contents."""
        for x, kept in self._state[1]:
            if not any(x is other for other in except_for):
                _restore(x, kept)

    def restore_all(self):
        """Return watched objects and attributes to what they were."""
        self.restore()
        vars(self._estimator).clear()
        vars(self._estimator).update(self._state[0])


def _contents(x):
    """A copy of what is in an array, a random state or a plain object."""
    if isinstance(x, np.ndarray | np.random.RandomState | tuple | list):
        return _values(x)
    return {name: (value, _values(value)) for name, value in vars(x).items()}


def _values(x):
    if isinstance(x, np.ndarray):
        return x.copy()
    if isinstance(x, np.random.RandomState):
        return x.get_state(legacy=False)
    if isinstance(x, tuple):
        return [_values(part) for part in x]
    return len(x) if isinstance(x, list) else None


def _restore(x, kept):
    if isinstance(x, np.ndarray):
        x[...] = kept
    elif isinstance(x, np.random.RandomState):
        x.set_state(kept)
    elif isinstance(x, tuple):
        for part, values in zip(x, kept, strict=True):
            _restore(part, values)
    elif isinstance(x, list):
        del x[kept:]
    elif kept is not None:
        for name, (value, values) in kept.items():
            _restore(value, values)
            setattr(x, name, value)


class all_or_nothing:
    """Undo what a block did to an estimator if the block raises.

    The block gets a `Checkpoint`, whose ``keep()`` makes the present state the one to return to.

    Parameters
    ----------
    estimator : object
    """

    # No generator: one that an interrupt keeps from being resumed is closed when the traceback is
    # dropped, at any later time, and would undo then what was not to be undone.

    def __init__(self, estimator):
        self._checkpoint = Checkpoint(estimator)

    def __enter__(self):
        return self._checkpoint

    def __exit__(self, error, *_):
        try:
            if error is not None:
                self._checkpoint.restore_all()
        except KeyboardInterrupt:
            self._checkpoint.restore_all()  # to do so twice changes nothing
            raise
