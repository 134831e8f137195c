"""Messages that kernels are being compiled, which makes a first fit slow."""

import contextlib

from sk_dbn.kernels.blocks import team_address
from sk_dbn.kernels.compile import CACHE_FOLDER, LISTENERS

__all__ = ["CACHE_FOLDER", "announce_compilation", "compile_sharing"]


@contextlib.contextmanager
def announce_compilation(say):
    """Report the first compilation of a fit, if there is one.

    Parameters
    ----------
    say : callable
        Called with a sentence.
    """
    LISTENERS.append(say)
    try:
        yield
    finally:
        if say in LISTENERS:
            LISTENERS.remove(say)


def compile_sharing():
    """Compile the code by which threads share work. A process with one thread does not need it."""
    team_address()
