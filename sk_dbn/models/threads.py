"""The one owner of threads: who may use how many, and who waits for nobody.

Three libraries want the cores: numba's parallel kernels, the BLAS that NumPy calls beside
them, and OpenMP beneath. Inside :func:`threads` the BLAS has one thread and numba has what was
asked for.
"""

import contextlib
import math
import os
import threading
import time

import joblib
import numba
from threadpoolctl import ThreadpoolController

from sk_dbn.models.work import SMALL_WORK

MOMENT, LONG = 1e-4, 1.0  # seconds: about as long as it takes to set a limit, and not so long


class _Turn:
    """What one claimant at a time may have.

    A lock does not tell who holds it, and Ctrl-C may come between taking it and noting so. Here
    both are one step, and who leaves looks whether there is anything to give up.
    """

    def __init__(self):
        self._holder = {}

    def claim(self, claimant):
        """Take the turn if nobody has it; whether the claimant has it now."""
        return self._holder.setdefault("holder", claimant) is claimant

    def belongs_to(self, claimant):
        """Whether the claimant has the turn."""
        return self._holder.get("holder") is claimant

    def give_up(self, claimant):
        """Let the next one have it, if the claimant has it."""
        if self.belongs_to(claimant):
            self._holder.clear()

    def take_over(self, claimant):
        """Take the turn, whoever has it."""
        self._holder = {"holder": claimant}

    def locked(self):
        """Whether anybody has it."""
        return bool(self._holder)


class _BlasLimit:
    """BLAS on one thread while anybody is inside; the previous limit afterwards.

    The limit belongs to the process, so only the first in sets it and only the last out
    restores it. Whoever was interrupted in `enter` or `leave` calls `leave` again.
    """

    def __init__(self):
        self._turn = _Turn()
        self._inside = set()
        self._libraries = None
        self._before = None

    def enter(self, claimant):
        """Set the limit, unless somebody else has done so."""
        self._wait(claimant)
        is_first = not self._inside
        if is_first:
            if self._libraries is None:
                blas = ThreadpoolController().select(user_api="blas")
                self._libraries = blas.lib_controllers
            self._before = [library.get_num_threads() for library in self._libraries]
        self._inside.add(claimant)
        if is_first:
            self._set([1] * len(self._before))
        self._turn.give_up(claimant)

    @property
    def n_inside(self):
        """How many have entered and not left."""
        return len(self._inside)

    def leave(self, claimant):
        """Restore the limit, unless somebody else is inside; nothing if the claimant is not."""
        if claimant not in self._inside and not self._turn.belongs_to(claimant):
            return
        self._wait(claimant)
        if self._inside == {claimant}:
            self._set(self._before)
        self._inside.discard(claimant)
        self._turn.give_up(claimant)

    def _wait(self, claimant):
        begin = time.monotonic()
        while not self._turn.claim(claimant):
            time.sleep(MOMENT)
            if time.monotonic() > begin + LONG:  # its owner was interrupted more than once
                self._turn.take_over(claimant)

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
        # workqueue layer: whoever does not get this turn runs the serial twin.
        self.region = _Turn()
        self.owner = None  # (thread, run) of whoever has the region
        self.n_before = None  # numba's threads before that

    def enter(self, claimant, n_threads):
        """How the claimant is to call kernels."""
        self.blas.enter(claimant)
        if n_threads == 1 or self.serial_only or not self.region.claim(claimant):
            return run_serial
        self.parallel_ran = True
        self.n_before = numba.get_num_threads()  # starts the threads, where that is possible
        self.owner = (threading.get_ident(), run_parallel)
        numba.set_num_threads(n_threads)
        return run_parallel

    def leave(self, claimant):
        """Give up what the claimant has, the whole of it or what is left."""
        if self.region.belongs_to(claimant):
            self.owner = None
            if self.n_before is not None:
                numba.set_num_threads(self.n_before)
            self.n_before = None
            self.region.give_up(claimant)
        self.blas.leave(claimant)

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
        See :func:`effective_n_threads`. With None, other Python threads that are at work here,
        as those of joblib's threading backend, are left a thread each.
    work : float, default=inf
        Floating-point operations to be done. A few are done by the calling thread at once, and
        no limit is set: that would take longer.

    Yields
    ------
    run : callable
        ``run(twins, *args)`` calls the parallel twin of a kernel where that is allowed
        and the serial one elsewhere.
    """
    if work <= SMALL_WORK and n_jobs != 0:
        yield run_serial
        return
    n_threads = effective_n_threads(n_jobs)
    owner = _state.owner  # read once: another thread may leave in between
    if owner is not None and owner[0] == threading.get_ident():
        yield owner[1]  # inside its own outer call
        return
    if n_jobs is None:  # those who are inside have a thread each, or more
        n_threads = max(1, n_threads - _state.blas.n_inside)
    claimant = object()
    try:
        try:
            yield _state.enter(claimant, n_threads)
        finally:
            _state.leave(claimant)
    finally:
        # Ctrl-C may come before the first line of `leave` as well as after the last of `enter`.
        # What it kept from being left is left here, where usually nothing is to be done.
        _state.leave(claimant)
