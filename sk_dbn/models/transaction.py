"""Restoring an estimator after an error or Ctrl-C."""

import numpy as np


class Snapshot:
    """A copy of the contents of objects, to restore them.

    It copies the values of an array, the state of a random generator, and the attributes of other
    objects, including the contents of attributes that are arrays, tuples of them or lists. Of a
    list only its length is restored, which removes items that were appended later.

    Parameters
    ----------
    *objects : objects
        None is ignored.
    """

    def __init__(self, *objects):
        self._watched = [(x, _contents(x)) for x in objects if x is not None]

    def extended(self, *objects):
        """A snapshot with further objects; the contents of the present ones stay as stored."""
        known = {id(x) for x, _ in self._watched}
        new = Snapshot(*(x for x in objects if id(x) not in known))
        new._watched = [*self._watched, *new._watched]
        return new

    def renewed(self):
        """A snapshot of the same objects with their present contents."""
        return Snapshot(*(x for x, _ in self._watched))

    def contents(self):
        """What was copied: arrays, numbers, strings, and lists and dicts of these."""
        return [_of_attributes(kept) if _has_attributes(x) else kept for x, kept in self._watched]

    def filled(self, contents):
        """A snapshot of the same objects with the contents of one in another process."""
        new, pairs = Snapshot(), zip(self._watched, contents, strict=True)
        new._watched = [
            (x, _with_attributes(x, kept) if _has_attributes(x) else kept) for (x, _), kept in pairs
        ]
        return new

    def restore(self, *except_for):
        """Restore all objects except these."""
        for x, kept in self._watched:
            if not any(x is other for other in except_for):
                _restore(x, kept)


class Checkpoint:
    """The states of an estimator before a call and after its last complete epoch.

    Ctrl-C may come at any moment, even while a state is saved. So each state has one reference,
    which is replaced only when the new state is complete.

    Parameters
    ----------
    estimator : object
    """

    def __init__(self, estimator):
        self._estimator = estimator
        self._before = vars(estimator).copy(), Snapshot()
        self._kept = None

    def watch(self, *objects):
        """Save and restore these objects too, see `Snapshot`."""
        attributes, contents = self._before
        self._before = attributes, contents.extended(*objects)

    def keep(self):
        """Save the present state, which Ctrl-C then restores."""
        self._kept = vars(self._estimator).copy(), self._before[1].renewed()

    def restore(self, *except_for):
        """Restore the watched objects, except these, from the last saved state."""
        (self._kept or self._before)[1].restore(*except_for)

    def restore_all(self, *, interrupted=False):
        """Restore the watched objects and the attributes from before the call.

        Parameters
        ----------
        interrupted : bool, default=False
            Whether to restore the last saved state instead, if there is one.
        """
        attributes, contents = (interrupted and self._kept) or self._before
        contents.restore()
        vars(self._estimator).clear()
        vars(self._estimator).update(attributes)


class transaction:
    """Context that undoes the changes of an estimator if its block raises an error.

    After an error all changes are undone; after Ctrl-C those since the last complete epoch. The
    block gets a `Checkpoint`, which saves the epochs.

    Parameters
    ----------
    estimator : object
    """

    # A class, not a generator: an interrupted generator is closed when the traceback is deleted,
    # perhaps much later, and would then undo changes that should stay.

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
            self._checkpoint.restore_all(interrupted=interrupted)  # doing it twice is safe
            raise


def _contents(x):
    """A copy of the contents of an array, a random state or another object."""
    if not _has_attributes(x):
        return _values(x)
    return {name: (value, _values(value)) for name, value in vars(x).items()}


def _has_attributes(x):
    """Whether the contents of an object are its attributes."""
    return not isinstance(x, np.ndarray | np.random.RandomState | tuple | list)


def _of_attributes(kept):
    """The values of attributes: the contents of those that have any, the others themselves."""
    return {name: value if values is None else values for name, (value, values) in kept.items()}


def _with_attributes(x, values):
    """The contents of an object with other values of its attributes."""
    return {
        name: (values[name], None) if _values(value) is None else (value, values[name])
        for name, value in vars(x).items()
    }


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
        if x.shape != kept.shape:
            raise ValueError(f"an array of shape {x.shape} cannot become one of {kept.shape}.")
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
