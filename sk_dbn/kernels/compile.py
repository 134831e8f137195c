"""How a Python function becomes a kernel, and how its machine code is cached.

A function is compiled in one of three ways:

``kernel``
    a building block, called by other kernels only;
``entry``
    called from Python, serial, cached on disk;
``twins``
    called from Python, a pair of one serial and one parallel function made of the same
    source, both cached on disk. They cut the work in the same pieces, so they return the
    same bits.
"""

import hashlib
import pathlib
import types
from collections import namedtuple

from numba import njit
from numba.core.caching import FunctionCache

# NaN and infinity must survive to be seen, hence neither "nnan" nor "ninf".
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}

# No reassociation, where the order of operations is the point: in range reductions, and in
# loops over parameters. LLVM optimises a function once by itself and again with each caller,
# and reassociates differently: freshly compiled and cached code would differ in last bits.
EXACT = {"contract"}
STRICT = set()

Twins = namedtuple("Twins", "serial parallel")
Twins.__doc__ = "The serial and the parallel compilation of one function."


def kernel_digest(folder=None):
    """Digest of the source of every kernel; part of the name each one is cached under.

    numba's cache notices an edit of the cached function only, not one of the functions
    it calls from other files.
    """
    folder = pathlib.Path(__file__).parent if folder is None else pathlib.Path(folder)
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_DIGEST = kernel_digest()


class ForgivingCache(FunctionCache):
    """numba's disk cache, in which every failure is a miss and never an error.

    A full disk, a cache directory that became read-only and a file cut short by a killed
    process all surface as different exceptions (``OSError``, ``EOFError``,
    ``UnpicklingError``, ...); compiling is the right answer to each.
    """

    def load_overload(self, sig, target_context):
        """The cached machine code of one signature, or None."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            self._forget()
            return None

    def save_overload(self, sig, data):
        """Keep the machine code of one signature, if that is possible."""
        try:
            super().save_overload(sig, data)
        except Exception:
            self._forget()

    def _forget(self):
        try:
            self.flush()
        except Exception:
            self.disable()


def _cached(dispatcher):
    """Give the dispatcher a disk cache where one can be had."""
    try:
        dispatcher._cache = ForgivingCache(dispatcher.py_func)
    except (RuntimeError, OSError, AttributeError):
        pass  # no writable place: compile in every process
    return dispatcher


def _named(function, suffix):
    """A copy of the function under a cache name of its own."""
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__doc__ = function.__doc__
    copy.__module__ = function.__module__
    copy.__qualname__ = f"{function.__qualname__}_{suffix}_{_DIGEST}"
    return copy


def kernel(function=None, *, fastmath=FASTMATH, forceinline=False):
    """Compile a building block that other kernels call."""
    if function is None:
        return lambda f: kernel(f, fastmath=fastmath, forceinline=forceinline)
    return njit(fastmath=set(fastmath), error_model="numpy", nogil=True, forceinline=forceinline)(
        function
    )


def entry(function):
    """Compile a serial function that Python calls, cached on disk."""
    compiled = njit(fastmath=set(FASTMATH), error_model="numpy", nogil=True)
    return _cached(compiled(_named(function, "entry")))


def twins(function):
    """Compile a function with ``prange`` twice: serial and parallel, cached on disk."""
    options = {"fastmath": set(FASTMATH), "error_model": "numpy", "nogil": True}
    serial = njit(**options)(_named(function, "serial"))
    parallel = njit(parallel=True, **options)(_named(function, "parallel"))
    return Twins(_cached(serial), _cached(parallel))
