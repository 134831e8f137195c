"""A file from which a fit that was killed goes on, to the same bits."""

import json
import os
import time
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

from sk_dbn.models.layer_cache import code
from sk_dbn.models.loop import Listener

FORMAT = 2  # of what is stored; raised when a version stores something else


class TrainingFile(Listener):
    """Stores the tasks of a fit that are complete, and the state of the one under way.

    A task has `progress`, which returns all that its training changes, as arrays, numbers, strings,
    lists, tuples and dicts; and `resume`, which takes it over in the same task of another process.
    Tasks without these are done again. It must be the first of the listeners, so that the others
    see the state that was taken over.

    The file is replaced as a whole, so it is complete at any moment. It is an ``.npz`` archive
    without pickled objects.

    Parameters
    ----------
    path : str or path-like
    interval : float
        Minimum number of seconds between two writes within a task.
    digests : dict of str to str
        Of what the fit depends on, such as the samples and each parameter.
    random : RandomState
        Gets the state that it had when the fit began.

    Raises
    ------
    ValueError
        If there is a file which is damaged, or is none of this fit.
    OSError
        If the file cannot be read or written.
    """

    def __init__(self, path, interval, digests, random):
        self._path, self._interval = Path(path), interval
        self._tasks, self._n_tasks, self._random = {}, 0, random.get_state(legacy=False)
        self._digests = digests
        if self._path.exists():
            self._read()
            random.set_state(self._random)
        else:
            self._write()  # that it cannot be written is better known now than later
        self._written = time.monotonic()

    def task_began(self, task):
        """Take over what was stored of the task; if it is complete, nothing remains to be done."""
        stored = self._next()
        if stored is not None:
            try:
                task.resume(stored["progress"])
            except DAMAGED as error:
                raise self._unusable("is damaged") from error
            task.is_complete, task.is_stopped = stored["is_complete"], stored["is_stopped"]

    def epoch_ended(self, task):
        """Store the state if the last one is old."""
        if time.monotonic() - self._written >= self._interval:
            self._store(task, is_complete=False)

    def task_ended(self, task):
        """Store that the task is complete."""
        if not task.is_complete:
            self._store(task, is_complete=True)

    def task_loaded(self, task):
        """Count a task that was read from a cache."""
        self._next()

    def remove(self):
        """Delete the file, since the fit is complete."""
        self._path.unlink(missing_ok=True)

    def _next(self):
        """What was stored of the next task."""
        self._n_tasks += 1
        return self._tasks.get(str(self._n_tasks))

    def _store(self, task, is_complete):
        """Write the file; a fit does not fail because a disk is full."""
        if not hasattr(task, "progress"):
            return
        self._tasks[str(self._n_tasks)] = {
            "is_complete": is_complete,
            "is_stopped": is_complete and task.is_stopped,
            "progress": task.progress(),
        }
        try:
            self._write()
        except OSError as error:
            warnings.warn(f"checkpoint could not be written: {error}", UserWarning)
        self._written = time.monotonic()

    def _write(self):
        content = {
            "sk_dbn checkpoint": FORMAT,
            "code": list(map(str, code())),
            "digests": self._digests,
            "random": self._random,
            "tasks": self._tasks,
        }
        write_archive(self._path, content)

    def _read(self):
        try:
            stored = read_archive(self._path)
            version, written_by = stored["sk_dbn checkpoint"], stored["code"]
            digests, self._random, self._tasks = (
                stored[name] for name in ("digests", "random", "tasks")
            )
            names = self._digests.keys() | digests.keys()
        except DAMAGED as error:
            raise self._unusable("is no checkpoint of this version, or is damaged") from error
        if version != FORMAT:
            raise self._unusable("is no checkpoint of this version")
        other = sorted(name for name in names if self._digests.get(name) != digests.get(name))
        if other:
            raise self._unusable(f"belongs to another fit, with other {', '.join(other)}")
        if written_by != list(map(str, code())):
            warnings.warn(
                f"checkpoint={str(self._path)!r} was written by other versions of libraries, or on "
                "another kind of processor. The result may differ in the last digits.",
                UserWarning,
            )

    def _unusable(self, why):
        return ValueError(
            f"checkpoint={str(self._path)!r} {why}. The file was not changed; name another path, "
            "or delete the file to start from the beginning. Fits that run one after another or "
            "side by side, as in a search, need a file each; a stack's memory suits them better."
        )


# What reading and resuming may raise if an archive is damaged, or is none.
DAMAGED = (
    *(AttributeError, EOFError, KeyError, NotImplementedError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)


def write_archive(path, value):
    """Write a nested value to an ``.npz`` archive; an old file stays until the new one is complete.

    Parameters
    ----------
    path : Path
    value : nested dicts with str keys, lists and tuples of arrays, numbers, strings and None
    """
    arrays = []
    tree = json.dumps(_tree(value, arrays))
    new = path.with_name(path.name + ".new")
    try:
        with open(new, "wb") as file:
            np.savez(file, tree=np.array(tree), **{f"array{i}": x for i, x in enumerate(arrays)})
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def read_archive(path):
    """Read the nested value of an archive.

    Parameters
    ----------
    path : Path

    Returns
    -------
    object
    """
    with np.load(path, allow_pickle=False) as archive:
        return _value(json.loads(str(archive["tree"])), archive)


def _tree(value, arrays):
    """A value without its arrays, which are appended to a list, as JSON knows it."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError(f"an array of objects cannot be stored: {value!r}")
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, dict):
        return {"dict": {name: _tree(item, arrays) for name, item in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_tree(item, arrays) for item in value]}
    if isinstance(value, list):
        return [_tree(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _value(tree, archive):
    """The value of a tree."""
    if isinstance(tree, list):
        return [_value(item, archive) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "array":
        return archive[f"array{content}"]
    if kind == "tuple":
        return tuple(_value(item, archive) for item in content)
    return {name: _value(item, archive) for name, item in content.items()}
