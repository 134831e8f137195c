"""The one owner of threads: who may use how many, and who waits for nobody.

Three libraries want the cores: numba's parallel kernels, the BLAS they call, and OpenMP
beneath. Inside :func:`threads` the BLAS has one thread and numba has what was asked for.
"""

import contextlib
import math
import os
import threading

import joblib
import numba
from threadpoolctl import ThreadpoolController

from sk_dbn.models.work import SMALL_WORK


class _BlasLimit:
    """BLAS on one thread while anybody is inside; the previous limit afterwards.

    The limit belongs to the process, so only the first in sets it and only the last out
    restores it.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._inside = 0
        self._libraries = None
        self._before = None

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                if self._libraries is None:
                    blas = ThreadpoolController().select(user_api="blas")
                    self._libraries = blas.lib_controllers
                self._before = [library.get_num_threads() for library in self._libraries]
                self._set([1] * len(self._before))
            self._inside += 1

    def __exit__(self, *exception):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._set(self._before)

    def _set(self, limits):
        for library, limit in zip(self._libraries, limits, strict=True):
            _release(library)
            library.set_num_threads(limit)
            _release(library)


def _release(library):
    """Let every Python thread set the library's limit.

    threadpoolctl 3.8 and later obey one thread at a time and silently ignore the others,
    but whoever is last out here need not be who was first in.
    """
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)


class _State:
    """What a fork changes: the lock, the limit, and whether OpenMP is still usable."""

    def __init__(self):
        self.parallel_ran = False
        self.serial_only = False
        self.blas = _BlasLimit()
        # Two Python threads inside parallel kernels abort the process on numba's
        # workqueue layer: whoever does not get this lock runs the serial twin.
        self.region = threading.Lock()
        self.owner = None  # (thread, run) of whoever holds the region

    def after_fork(self):
        # OpenMP's pool does not survive a fork, and entering it again aborts the child.
        serial_only = self.serial_only or self.parallel_ran
        self.__init__()
        self.serial_only = serial_only


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.after_fork)


def effective_n_threads(n_jobs=None):
    """How many threads a call may use.

    Parameters
    ----------
    n_jobs : int or None
        None: as many as joblib, OpenMP and numba allow this process. Negative:
        counted from the number of cores, -1 meaning all.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If n_jobs is 0.
    """
    most = numba.config.NUMBA_NUM_THREADS
    if n_jobs is None:
        openmp = os.environ.get("OMP_NUM_THREADS", "")
        openmp = int(openmp) if openmp.isdigit() else most
        return max(1, min(most, joblib.cpu_count(), openmp))
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0; use 1 for no parallelism, -1 for all cores.")
    if n_jobs < 0:
        n_jobs = max(1, joblib.cpu_count() + 1 + n_jobs)
    return min(n_jobs, most)


def run_serial(kernel, *args):
    """Call the serial twin of a kernel."""
    kernel.serial(*args)


def run_parallel(kernel, *args):
    """Call the parallel twin of a kernel."""
    kernel.parallel(*args)


@contextlib.contextmanager
def threads(n_jobs=None, work=math.inf):
    """Run kernels on a number of threads.

    Parameters
    ----------
    n_jobs : int or None
        See :func:`effective_n_threads`.
    work : float, default=inf
        Floating-point operations to be done; a few are done by the calling thread at once.

    Yields
    ------
    run : callable
        ``run(twins, *args)`` calls the parallel twin of a kernel where that is allowed
        and the serial one elsewhere.
    """
    if work <= SMALL_WORK and n_jobs != 0:
        with _state.blas:  # a single row may still be one of a wide layer
            yield run_serial
        return
    n_threads = effective_n_threads(n_jobs)
    owner = _state.owner  # read once: another thread may leave in between
    if owner is not None and owner[0] == threading.get_ident():
        yield owner[1]  # inside its own outer call
        return
    with _state.blas:
        wanted = n_threads > 1 and not _state.serial_only
        region = _state.region
        if not (wanted and region.acquire(blocking=False)):
            yield run_serial
            return
        before = None
        try:
            _state.parallel_ran = True
            before = numba.get_num_threads()  # starts the threads, where that is possible
            _state.owner = (threading.get_ident(), run_parallel)
            numba.set_num_threads(n_threads)
            yield run_parallel
        finally:
            _state.owner = None
            if before is not None:
                numba.set_num_threads(before)
            region.release()
