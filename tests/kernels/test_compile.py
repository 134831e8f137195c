"""Compilation and its disk cache, on copies of a tiny package in processes of their own."""

import ast
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sk_dbn.kernels import compile as compiling
from sk_dbn.kernels.backpropagation import train_minibatches
from sk_dbn.kernels.statistics import column_moments

KERNELS = Path(compiling.__file__).parent

CALLEE = """
from tiny.compile import kernel, routine

@kernel
def shift(x):
    return x + 1.0

@routine
def shift_one(x, i, out):
    out[i] = shift(x[i])
"""

CALLER = """
import numpy as np
from numba import prange
from tiny.callee import shift, shift_one
from tiny.compile import entry, twins

@entry
def single(x):
    return shift(x)

@twins
def many(x, out):
    for i in prange(out.shape[0]):
        shift_one(x, i, out)
"""

# Prints the results and, for each of the three functions, whether it came from the cache.
SCRIPT = """
import numpy as np
from tiny import caller
x, kernels = np.arange(3.0), [caller.single, *caller.many]
results = [float(caller.single(1.0))]
for kernel in caller.many:
    out = np.empty(3)
    kernel(x, out)
    results += out.tolist()
print(*results)
print(*[sum(kernel.stats.cache_hits.values()) for kernel in kernels])
"""

ONE_MORE = [2.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
NOT_CACHED, CACHED = [0, 0, 0], [1, 1, 1]


class Tiny:
    """A package of two kernel files beside a copy of the real `compile`."""

    def __init__(self, folder):
        self.folder, self.cache = folder / "tiny", folder / "cache"
        self.folder.mkdir()
        (self.folder / "__init__.py").touch()
        shutil.copy(KERNELS / "compile.py", self.folder)
        (self.folder / "callee.py").write_text(CALLEE)
        (self.folder / "caller.py").write_text(CALLER)

    def start(self, before="", **environment):
        """A process that imports the package and runs its kernels."""
        settings = {"NUMBA_CACHE_DIR": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", before + SCRIPT],
            env={**os.environ, **settings, "PYTHONPATH": str(self.folder.parent), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self, process):
        """What it computed, and what came from the cache."""
        out, err = process.communicate()
        assert process.returncode == 0 and not err, err
        values, hits = out.splitlines()
        return [float(v) for v in values.split()], [int(h) for h in hits.split()]

    def run(self, before="", **environment):
        return self.result(self.start(before, **environment))

    def cache_files(self, suffix):
        return [path for path in self.cache.rglob("*") if path.suffix == suffix]


@pytest.fixture
def tiny(tmp_path):
    return Tiny(tmp_path)


def test_cache_is_used_and_never_stale(tiny):
    """A second process compiles nothing; an edit in a file that is only called recompiles all.

    numba looks at the file of the cached function alone, so the digest of every kernel file in
    the function's name is what makes the edit of the callee seen. Undoing the edit finds the old
    machine code again. Both twins are cached, under different names.
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
    own = [path for path in tiny.cache.rglob("*") if "shift_one" in path.name]
    assert own
    for path in own:
        path.unlink()
    assert tiny.run() == (ONE_MORE, CACHED)
    assert all(path.exists() for path in own)


def test_a_routine_is_called_from_python_too(tiny):
    """Compiled from the same source, with the wrapper that Python needs."""
    script = "import numpy as np; from tiny.callee import shift_one; out = np.zeros(2); "
    script += "shift_one(np.arange(2.0), 1, out); print(*out, shift_one.__name__)"
    process = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(tiny.folder.parent)},
        capture_output=True,
        text=True,
    )
    assert process.stdout.split() == ["0.0", "2.0", "shift_one"], process.stderr


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_cache_files_are_misses(tiny, suffix):
    """A process killed while writing, or a bad disk, costs a compilation and no more."""
    tiny.run()
    damages = (lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[::-1])
    for damage, path in zip(itertools.cycle(damages), tiny.cache_files(suffix)):
        path.write_bytes(damage(path.read_bytes()))
    assert tiny.run() == (ONE_MORE, NOT_CACHED)
    assert tiny.run() == (ONE_MORE, CACHED)  # and the damage was mended


def test_no_place_for_a_cache(tiny):
    """Files where the directories should be: numba's three places fail, compilation does not."""
    blocked = tiny.folder.parent / "blocked"
    for path in (blocked, tiny.folder / "__pycache__"):
        path.write_text("a file, not a directory")
    places = dict.fromkeys(["NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME"], str(blocked))
    assert tiny.run(**places) == (ONE_MORE, NOT_CACHED)
    assert not tiny.cache_files(".nbc")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_read_only_cache_directory(tiny):
    """A directory that may not be written is no place for a cache, and no error."""
    tiny.cache.mkdir(mode=0o500)
    assert tiny.run()[0] == ONE_MORE


FULL_DISK = """
import errno, numba.core.caching as caching
class Full:
    def __getattr__(self, name):
        return getattr(os, name)
    def replace(self, *args):
        raise OSError(errno.ENOSPC, "No space left on device")
import os
caching.os = Full()
"""

FULL_WHILE_WRITING = """
import builtins, errno, io
class Full(io.FileIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")
def full_open(path, mode="r", *args, **kwargs):
    return Full(path, mode) if mode == "wb" else builtins.open(path, mode, *args, **kwargs)
import numba.core.caching as caching
caching.open = full_open
"""

VANISHED = """
import os, shutil
from tiny import caller
shutil.rmtree(os.environ["NUMBA_CACHE_DIR"])
"""


@pytest.mark.parametrize(
    "trouble", [FULL_DISK, FULL_WHILE_WRITING, VANISHED], ids=["rename", "write", "vanished"]
)
def test_trouble_while_saving(tiny, trouble):
    """The disk fills, or the directory goes, between import and the first call: no error."""
    assert tiny.run(before=trouble) == (ONE_MORE, NOT_CACHED)
    assert tiny.run()[0] == ONE_MORE


def test_processes_may_compile_at_the_same_time(tiny):
    """Files are written aside and renamed, so whoever comes last replaces equals by equals."""
    for values, _ in map(tiny.result, [tiny.start() for _ in range(3)]):
        assert values == ONE_MORE
    assert tiny.run() == (ONE_MORE, CACHED)


def test_compilation_can_be_switched_off(tiny):
    """NUMBA_DISABLE_JIT leaves plain functions, both twins among them."""
    script = SCRIPT[: SCRIPT.rindex("print")] + "print(0, 0, 0)"
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": str(tiny.folder.parent), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert [float(v) for v in process.stdout.splitlines()[0].split()] == ONE_MORE


def test_digest_is_of_names_and_contents(tmp_path):
    """Any change to any kernel file changes the digest, and nothing else does."""
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    before = compiling.kernel_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("not a kernel")
    os.utime(tmp_path / "a.py", (0, 0))
    assert compiling.kernel_digest(tmp_path) == before
    (tmp_path / "b.py").write_text("3")
    edited = compiling.kernel_digest(tmp_path)
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    assert len({before, edited, compiling.kernel_digest(tmp_path)}) == 3


def test_cached_names_differ():
    """Two compilations of one function must not overwrite one another in the cache."""
    functions = [*train_minibatches, column_moments]
    names = [kernel.py_func.__qualname__ for kernel in functions]
    assert len(set(names)) == 3
    assert all(name.endswith(compiling.kernel_digest()) for name in names)


def test_nan_and_infinity_are_not_assumed_away():
    """ "nnan" and "ninf" would let the compiler remove the checks that find divergence."""
    for flags in (compiling.FASTMATH, compiling.EXACT):
        assert flags.isdisjoint({"nnan", "ninf", "fast"})


# ---------------------------------------------------------------------------
# What may stand in a twin
# ---------------------------------------------------------------------------

REDUCTIONS = {"sum", "prod", "mean", "var", "std", "min", "max", "argmin", "argmax", "dot"}


def twin_functions():
    """Every function of the kernel files that is compiled as twins."""
    for path in sorted(KERNELS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                if any(getattr(d, "id", "") == "twins" for d in node.decorator_list):
                    yield path.stem, node


def shared_among_threads(function):
    """What the compiler would turn into a parallel region of its own: array reductions."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    names = [c.func.attr for c in calls if isinstance(c.func, ast.Attribute)]
    return [name for name in names if name in REDUCTIONS]


def test_twins_reduce_nothing_themselves():
    """An array's sum, written in a parallel function, is summed by thread: its last bits depend
    on their number. Reductions belong in a serial kernel, which adds blocks in their order.
    """
    found = {name: shared_among_threads(function) for name, function in twin_functions()}
    assert found and not any(found.values()), found
    bad = ast.parse("@twins\ndef f(x):\n    return x[:, 1].sum() + max(1, 2)").body[0]
    assert shared_among_threads(bad) == ["sum"]
