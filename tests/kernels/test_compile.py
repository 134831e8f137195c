"""Compilation, and that cached code is never stale, on copies of a tiny package and in this one."""

import gc
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from sk_dbn.kernels import SOURCES
from sk_dbn.kernels import compile as compiling
from sk_dbn.kernels.backpropagation import train_minibatches
from sk_dbn.kernels.feed_forward import Layers, predict_rows
from sk_dbn.kernels.statistics import column_moments
from sk_dbn.models.data import Data
from tests.tiny_package import CACHED, CALLEE, NOT_CACHED, ONE_MORE, SCRIPT, Tiny


def test_quick_flags_are_numbas_flags():
    """Values, equality and hash are those of the class that numba compares, as it is today."""
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing is compiled")
    quick, plain = compiling._QuickFlags(), compiling.Flags()
    assert quick.values() == plain.values() and hash(quick) == hash(plain)
    for flags in (quick, plain):
        flags.nrt, flags.error_model = True, "numpy"
    other = quick.copy()
    assert quick.values() == plain.values() and hash(quick) == hash(plain)
    assert other == quick
    other.nrt = False
    assert other != quick


@pytest.fixture
def tiny(tmp_path):
    return Tiny(tmp_path)


def test_cache_is_used_and_never_stale(tiny):
    """A second process compiles nothing; an edit in a file that is only called recompiles all.

    numba looks at the file of the cached function alone, so the digest of every kernel file in
    the function's name is what makes the edit of the callee seen. Undoing the edit finds the old
    machine code again. The loop that threads share is cached like any other kernel.
    """
    assert tiny.run() == (ONE_MORE, NOT_CACHED)
    assert tiny.run() == (ONE_MORE, CACHED)
    (tiny.folder / "callee.py").write_text(CALLEE.replace("x + 1.0", "x + 5.0"))
    assert tiny.run() == ([v + 4 for v in ONE_MORE], NOT_CACHED)
    (tiny.folder / "callee.py").write_text(CALLEE)
    assert tiny.run() == (ONE_MORE, CACHED)


def test_a_routine_is_found_again_or_compiled_again(tiny):
    """Cached callers hold a routine's symbol and not its code: losing its files loses nothing.

    The routine is loaded before its callers are, or compiled when its own files are gone.
    """
    tiny.run()
    own = [path for path in tiny.cache_files() if "shift_one" in path.name]
    assert own
    for path in own:
        path.unlink()
    assert tiny.run() == (ONE_MORE, CACHED)
    assert all(path.exists() for path in own)


def test_a_routine_is_called_from_python_too(tiny):
    """Compiled from the same source, with the wrapper that Python needs."""
    script = "import numpy as np; from tiny.callee import shift_one; out = np.zeros(2); "
    script += "shift_one(np.arange(2.0), out, 1); print(*out, shift_one.__name__)"
    process = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(tiny.folder.parent)},
        capture_output=True,
        text=True,
    )
    assert process.stdout.split() == ["0.0", "2.0", "shift_one"], process.stderr


def test_compilation_can_be_switched_off(tiny):
    """NUMBA_DISABLE_JIT leaves plain functions, twins among them."""
    script = SCRIPT[: SCRIPT.rindex("print")] + "print(0, 0, 0)"
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": str(tiny.folder.parent), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert [float(v) for v in process.stdout.splitlines()[0].split()] == ONE_MORE


OUTSIDE = """
import numpy as np
from tiny import caller
for kernel in caller.many:
    try:
        kernel(np.arange(2.0), np.empty(3))
    except IndexError as error:
        print(error)
"""


def test_indices_can_be_checked(tiny):
    """With NUMBA_BOUNDSCHECK=1, in which ``.ci/kernels`` runs these tests, kernels do raise."""
    out, err = tiny.start(script=OUTSIDE, NUMBA_BOUNDSCHECK="1").communicate()
    assert out.splitlines() == ["index is out of bounds"] * 2, err


def test_cached_names_differ():
    """Two compilations of one name must not overwrite one another in the cache."""
    functions = [train_minibatches.serial.compiled, column_moments]
    names = [kernel.py_func.__qualname__ for kernel in functions]
    assert len(set(names)) == 2
    assert all(name.endswith(SOURCES.digest) for name in names)


def test_a_name_is_cached_once():
    """Else the code of one function would be loaded for the other, and its symbol called."""

    def shift(by):
        def shifted(x):
            return x + by

        return shifted

    for kind in ("entry", "routine"):  # which are told apart
        compiling._named(shift(1), kind)
        with pytest.raises(ValueError, match="shifted of .*test_compile.* of two functions"):
            compiling._named(shift(2), kind)


def test_nan_and_infinity_are_not_assumed_away():
    """ "nnan" and "ninf" would let the compiler remove the checks that find divergence."""
    for flags in (compiling.FASTMATH, compiling.EXACT):
        assert flags.isdisjoint({"nnan", "ninf", "fast"})


def signatures():
    """How many machine codes of functions called from Python this process has."""
    return {
        k: len(k.overloads) for k in gc.get_objects() if issubclass(type(k), compiling.EntryPoint)
    }


def test_read_only_arrays_share_machine_code():
    """Whether an array may be written to is part of numba's type of it, not of its machine code.

    So arrays that are mapped from a file or frozen, those in tuples too, compile nothing and load
    nothing. Only kernels of this package take them so: for others they stay read-only.
    """
    X, theta = np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0, 0.5])
    fields = theta, np.array([2, 1]), np.array([0]), np.array([2]), np.array([0])

    def outputs(*fields):
        rows, out = np.arange(3), np.empty((3, 1))
        for arrays in (rows, *fields):
            arrays.flags.writeable = fields[0].flags.writeable
        predict_rows.serial(Data(X, float).source, rows, Layers(*fields, 0.0), 1, 8, out)
        return out

    expected, before = outputs(*fields), signatures()
    theta.flags.writeable = False
    np.testing.assert_array_equal(outputs(*fields), expected)
    assert signatures() == before
    assert not numba.typeof(theta).mutable
    with pytest.raises(numba.TypingError, match="readonly"):
        numba.njit(lambda x: x.fill(0.0))(theta)
