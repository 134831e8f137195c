"""Trained layers on disk, so that a search over depth trains each layer once."""

import functools
import hashlib
import pickle
import warnings
from dataclasses import asdict

import joblib
import numpy as np
import scipy

from sk_dbn.kernels import SOURCES as KERNEL_SOURCES
from sk_dbn.kernels.compile import ORIGIN
from sk_dbn.kernels.tiles import PROCESSOR
from sk_dbn.models import SOURCES
from sk_dbn.models.loop import tell

DIGEST_BYTES = hashlib.sha256().digest_size


@functools.cache
def code():
    """All that the bits of a trained layer depend on besides data and parameters."""
    return (
        *ORIGIN,
        *PROCESSOR,
        SOURCES.digest,
        np.__version__,
        scipy.__version__,
    )


def key_parts(task):
    """All that the result of training a layer depends on.

    Parameters
    ----------
    task : RBMTask

    Returns
    -------
    dict
    """
    whole, layer = task.whole, task.layer
    stack, orders = whole.stack, whole.orders
    return {
        "code": code(),
        "samples": whole.samples_digest,
        "orders": (orders.shuffle, orders.together),
        "visible": (vars(whole.visible), whole.clip, whole.means),
        "kinds": stack.kinds[: layer + 2],
        "below": (stack.coefs[:layer], stack.intercepts_hidden[:layer], stack.variance),
        "parameters": (asdict(whole.settings), asdict(whole.stopping)),
        "own parameters": (whole.rates[layer], whole.max_iters[layer]),
        "start": task.state(),
    }


class LayerCache:
    """Keeps each trained layer under a hash of all that its training depends on.

    A layer that is read has the same bits as a trained one, and so has the random generator.

    Parameters
    ----------
    memory : joblib.Memory
    version : str
        Version of this package.
    """

    def __init__(self, memory, version):
        self._memory, self._version = memory, version

    def train(self, task, listeners):
        """Train a layer, or read it if the same training was done before.

        Parameters
        ----------
        task : RBMTask
        listeners : sequence of Listener
            Told of the task, or that its result was loaded.

        Returns
        -------
        bool
            Whether a listener wants no other task to follow.
        """
        if not (KERNEL_SOURCES.are_loaded() and SOURCES.are_loaded()):
            return task.train(listeners)  # files were edited, so this process may run other code
        training = _Training(joblib.hash((self._version, key_parts(task))), task, listeners)
        try:
            content = self._load(training)
        except _EndedByListener:
            pass
        except OSError as error:
            if training.has_begun:
                raise
            warn_of_unusable(error)
            return task.train(listeners)
        if training.has_begun:
            return training.is_last
        task.set_state(pickle.loads(content))
        return tell(listeners, "task_loaded", task)

    def _load(self, training):
        """The state of the trained layer, pickled, unless training has begun because of this."""
        cached = self._memory.cache(train_and_store, ignore=["training"], mmap_mode=None)
        was_kept = cached.check_call_in_cache(training.key, training)
        content = _without_digest(training.key, cached(training.key, training))
        if content is None:
            cached.call(training.key, training)
        if was_kept and training.has_begun:
            warnings.warn(
                f"{training.task.place} was trained again: what memory had of it was damaged.",
                UserWarning,
            )
        return content


def warn_of_unusable(error):
    """Warn that layers can neither be read nor kept.

    Parameters
    ----------
    error : OSError
    """
    warnings.warn(
        f"memory is not used, because its directory cannot be written to: {error}", UserWarning
    )


class _EndedByListener(Exception):
    """Training ended for a reason that is not part of the key, so it must not be kept."""


class _Training:
    """The training of a layer, which joblib calls if it has no result of it.

    Parameters
    ----------
    key : str
    task : RBMTask
    listeners : sequence of Listener

    Attributes
    ----------
    has_begun : bool
    is_last : bool
        Whether a listener wants no other task to follow.
    """

    def __init__(self, key, task, listeners):
        self.key, self.task, self._listeners = key, task, listeners
        self.has_begun = self.is_last = False

    def __call__(self):
        self.has_begun = True
        self.is_last = self.task.train(self._listeners)
        if self.task.is_stopped:
            raise _EndedByListener
        return _with_digest(self.key, pickle.dumps(self.task.state()))


def train_and_store(key, training):
    """What joblib keeps under a key. It forgets all results if this function changes.

    Parameters
    ----------
    key : str
    training : callable

    Returns
    -------
    bytes
    """
    return training()


def _with_digest(key, content):
    """The content after a digest, by which damage is noticed."""
    return _digest(key, content) + content


def _without_digest(key, sealed):
    """The content, or None if it was damaged."""
    if not isinstance(sealed, bytes):
        return None
    digest, content = sealed[:DIGEST_BYTES], sealed[DIGEST_BYTES:]
    return content if digest == _digest(key, content) else None


def _digest(key, content):
    total = hashlib.sha256(key.encode())
    total.update(content)
    return total.digest()
