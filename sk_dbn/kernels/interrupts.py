"""Ctrl-C while numba takes up what was defined since it last compiled.

numba takes each definition of a type, an attribute or a function from a list, once. What was taken
and not yet entered when an interrupt came would be unknown for the rest of the process: "Unknown
attribute 'shape' of type array". So an interrupt waits until that is over, half a second at most.
"""

import contextlib
import signal
import threading


@contextlib.contextmanager
def uninterrupted():
    """Context in which Ctrl-C waits until its end."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield  # Python raises no KeyboardInterrupt here
        return
    heard = []
    signal.signal(signal.SIGINT, lambda *args: heard.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if heard:
            before(*heard[-1])
