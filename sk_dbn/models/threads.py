"""Control of threads: how many a call may use.

Numba's parallel kernels, NumPy's BLAS and OpenMP compete for the cores. Inside :func:`threads` BLAS
has one thread, and numba has the number that the caller asked for.
"""

import contextlib
import functools
import math
import os
import threading
import time

import joblib
import numba
from threadpoolctl import ThreadpoolController

from sk_dbn.models.work import SMALL_WORK

MOMENT, LONG = 1e-4, 1.0  # seconds to wait; setting a limit takes about a MOMENT, never LONG


class _OwnedLock:
    """A lock that knows its owner.

    With an ordinary lock, Ctrl-C may come after taking it and before its owner is recorded. Here
    both are one step, so on leaving the owner knows whether it holds the lock.
    """

    def __init__(self):
        self._holder = {}

    def acquire(self, caller):
        """Take the lock if it is free; return whether the caller holds it now."""
        return self._holder.setdefault("holder", caller) is caller

    def is_held_by(self, caller):
        """Whether the caller holds the lock."""
        return self._holder.get("holder") is caller

    def release(self, caller):
        """Release the lock, if the caller holds it."""
        if self.is_held_by(caller):
            self._holder.clear()

    def acquire_by_force(self, caller):
        """Take the lock, even if another caller holds it."""
        self._holder = {"holder": caller}

    def locked(self):
        """Whether any caller holds the lock."""
        return bool(self._holder)


class _BlasLimit:
    """Limits BLAS to one thread while any caller is inside, then restores the previous limit.

    The limit is of the whole process: the first caller sets it and the last one restores it. A
    caller that is interrupted in `enter` or `leave` calls `leave` again.
    """

    def __init__(self):
        self._lock = _OwnedLock()
        self._inside = set()
        self._libraries = None
        self._before = None

    def enter(self, caller):
        """Set the limit, unless another caller has done so."""
        self._wait(caller)
        is_first = not self._inside
        if is_first:
            if self._libraries is None:
                blas = ThreadpoolController().select(user_api="blas")
                self._libraries = blas.lib_controllers
            self._before = [library.get_num_threads() for library in self._libraries]
        self._inside.add(caller)
        if is_first:
            self._set([1] * len(self._before))
        self._lock.release(caller)

    @property
    def n_inside(self):
        """Number of claimants inside."""
        return len(self._inside)

    def leave(self, caller):
        """Leave, and restore the limit if no other caller is inside."""
        if caller not in self._inside and not self._lock.is_held_by(caller):
            return
        self._wait(caller)
        if self._inside == {caller}:
            self._set(self._before)
        self._inside.discard(caller)
        self._lock.release(caller)

    def _wait(self, caller):
        begin = time.monotonic()
        while not self._lock.acquire(caller):
            time.sleep(MOMENT)
            if time.monotonic() > begin + LONG:  # its owner was interrupted more than once
                self._lock.acquire_by_force(caller)

    def _set(self, limits):
        for library, limit in zip(self._libraries, limits, strict=True):
            _release(library)
            library.set_num_threads(limit)
            _release(library)


def _release(library):
    """Let any Python thread set the library's limit.

    threadpoolctl 3.8 and later silently ignore all threads except one, but the thread that
    restores the limit need not be the one that set it.
    """
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)


class _State:
    """The state of this process, which a fork resets."""

    def __init__(self):
        self.parallel_ran = False
        self.serial_only = False
        self.blas = _BlasLimit()
        # Two Python threads inside parallel kernels abort the process with numba's workqueue
        # layer, so a thread that does not get this lock runs serial kernels.
        self.region = _OwnedLock()
        self.owner = None  # (thread, run) of the holder
        self.n_before = None  # numba's number of threads before it

    def enter(self, caller, n_threads):
        """Enter, and return the function by which the caller calls kernels."""
        self.blas.enter(caller)
        if n_threads == 1 or self.serial_only or not self.region.acquire(caller):
            return run_serial
        self.parallel_ran = True
        self.n_before = numba.get_num_threads()  # starts the threads, if possible
        self.owner = (threading.get_ident(), run_parallel)
        numba.set_num_threads(n_threads)
        return run_parallel

    def leave(self, caller):
        """Release all that the caller holds."""
        if self.region.is_held_by(caller):
            self.owner = None
            if self.n_before is not None:
                numba.set_num_threads(self.n_before)
            self.n_before = None
            self.region.release(caller)
        self.blas.leave(caller)

    def after_fork(self):
        # After a fork, OpenMP's threads are gone, and using them aborts the child process.
        serial_only = self.serial_only or self.parallel_ran
        self.__init__()
        self.serial_only = serial_only


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.after_fork)


def _n_cores():
    """The cores that joblib counts for this process."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return _count_cores(os.environ.get("LOKY_MAX_CPU_COUNT"), allowed)


@functools.lru_cache(maxsize=1)
def _count_cores(limit, allowed):
    """`joblib.cpu_count`, which reads files: predicting one sample takes little longer.

    It depends on the arguments, and on the quota of a container, which seldom changes.
    """
    return joblib.cpu_count()


def effective_n_threads(n_jobs=None):
    """The number of threads that a call may use.

    Parameters
    ----------
    n_jobs : int or None
        None: as many as joblib, OpenMP and numba allow this process. Negative: -1 means all
        cores, -2 all but one, and so on.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If n_jobs is 0.
    """
    maximum = numba.config.NUMBA_NUM_THREADS
    if n_jobs is None:
        openmp = os.environ.get("OMP_NUM_THREADS", "")
        openmp = int(openmp) if openmp.isdigit() else maximum
        return max(1, min(maximum, _n_cores(), openmp))
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0; use 1 for no parallelism, -1 for all cores.")
    if n_jobs < 0:
        n_jobs = max(1, _n_cores() + 1 + n_jobs)
    return min(n_jobs, maximum)


def run_serial(kernel, *args):
    """Call the serial version of a kernel."""
    kernel.serial(*args)


def run_parallel(kernel, *args):
    """Call the parallel version of a kernel."""
    kernel.parallel(*args)


@contextlib.contextmanager
def threads(n_jobs=None, work=math.inf):
    """Context in which kernels use the given number of threads.

    Parameters
    ----------
    n_jobs : int or None
        See :func:`effective_n_threads`. None also leaves one thread for each other Python thread
        in this context, as with joblib's threading backend.
    work : float, default=inf
        Number of floating-point operations. Small work is done by the calling thread, without
        setting limits, which would take longer.

    Yields
    ------
    run : callable
        ``run(kernel, *args)`` calls the parallel version of a kernel if that is allowed, else
        the serial one.
    """
    if work <= SMALL_WORK and n_jobs != 0:
        yield run_serial
        return
    n_threads = effective_n_threads(n_jobs)
    owner = _state.owner  # read once: another thread may leave in between
    if owner is not None and owner[0] == threading.get_ident():
        yield owner[1]  # nested in a call of the same thread
        return
    if n_jobs is None:  # leave a thread for each caller inside
        n_threads = max(1, n_threads - _state.blas.n_inside)
    caller = object()
    try:
        try:
            yield _state.enter(caller, n_threads)
        finally:
            _state.leave(caller)
    finally:
        # Ctrl-C may have prevented the first call of `leave`. A second call does no harm.
        _state.leave(caller)
