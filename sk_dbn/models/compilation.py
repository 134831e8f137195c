"""Telling that kernels are being compiled: a first fit is silent for long otherwise."""

import contextlib

from sk_dbn.kernels.compile import CACHE_FOLDER, LISTENERS

__all__ = ["CACHE_FOLDER", "telling"]


@contextlib.contextmanager
def telling(tell):
    """Have it told when the first kernel of this process is compiled.

    Parameters
    ----------
    tell : callable
        Called with a sentence.
    """
    LISTENERS.append(tell)
    try:
        yield
    finally:
        LISTENERS.remove(tell)
