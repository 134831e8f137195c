"""Telling that kernels are being compiled: a first fit is silent for long otherwise."""

import contextlib

from sk_dbn.kernels.blocks import team_address
from sk_dbn.kernels.compile import CACHE_FOLDER, LISTENERS

__all__ = ["CACHE_FOLDER", "compile_sharing", "telling"]


@contextlib.contextmanager
def telling(tell):
    """Report the first compilation of a fit, if there is one.

    Parameters
    ----------
    tell : callable
        Called with a sentence.
    """
    LISTENERS.append(tell)
    try:
        yield
    finally:
        if tell in LISTENERS:
            LISTENERS.remove(tell)


def compile_sharing():
    """Compile what threads share their work by, which a process of one thread does not use."""
    team_address()
