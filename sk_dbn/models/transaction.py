"""All or nothing: what training changes in place, and how to return to what it was."""

import numpy as np


class Snapshot:
    """The contents of some objects, to return to.

    Of an array its values, of a random state where it stands, of a plain object its attributes,
    with the contents of those that are arrays, tuples of them or lists. What is appended to a
    list later is taken off again.

    Parameters
    ----------
    *objects : objects
        None among them is left out.
    """

    def __init__(self, *objects):
        self._watched = [(x, _contents(x)) for x in objects if x is not None]

    def extended(self, *objects):
        """A snapshot of other objects as well, those that are in this one as they were."""
        known = {id(x) for x, _ in self._watched}
        new = Snapshot(*(x for x in objects if id(x) not in known))
        new._watched = [*self._watched, *new._watched]
        return new

    def renewed(self):
        """A snapshot of the same objects as they are now."""
        return Snapshot(*(x for x, _ in self._watched))

    def restore(self, *except_for):
        """Return the objects, but for these, to their contents."""
        for x, kept in self._watched:
            if not any(x is other for other in except_for):
                _restore(x, kept)


class Checkpoint:
    """States of an estimator to return to: before a call, and after its last complete epoch.

    An interrupt may come at any moment, while this is written as well. So there is one reference
    to each state, which becomes another one when that is complete.

    Parameters
    ----------
    estimator : object
    """

    def __init__(self, estimator):
        self._estimator = estimator
        self._before = vars(estimator).copy(), Snapshot()
        self._kept = None

    def watch(self, *objects):
        """From now on remember the contents of these objects too, see `Snapshot`."""
        attributes, contents = self._before
        self._before = attributes, contents.extended(*objects)

    def keep(self):
        """Make the present state the one that an interrupt returns to.

        After an epoch, say, so that Ctrl-C costs no more than the epoch it interrupted.
        """
        self._kept = vars(self._estimator).copy(), self._before[1].renewed()

    def restore(self, *except_for):
        """Return the watched objects, but for these, to what was kept, or else was before."""
        (self._kept or self._before)[1].restore(*except_for)

    def restore_all(self, *, interrupted=False):
        """Return watched objects and attributes to what they were before.

        Parameters
        ----------
        interrupted : bool, default=False
            Whether what was kept since is to stay.
        """
        attributes, contents = (interrupted and self._kept) or self._before
        contents.restore()
        vars(self._estimator).clear()
        vars(self._estimator).update(attributes)


class transaction:
    """Undo what a block did to an estimator if the block raises.

    An error undoes all of it, Ctrl-C what came after the last complete epoch. The block gets a
    `Checkpoint`, which it tells of these.

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
        if error is None:
            return
        interrupted = issubclass(error, KeyboardInterrupt)
        try:
            self._checkpoint.restore_all(interrupted=interrupted)
        except KeyboardInterrupt:
            self._checkpoint.restore_all(interrupted=interrupted)  # twice changes nothing
            raise


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
