"""What numba has to keep is tried before code is cached: each part is broken once here."""

import re

import numba
import pytest

from tests.tiny_package import Tiny

ALL_WARNINGS = "import warnings; warnings.simplefilter('always')\n"

CALLS = """
import numpy as np
from tiny import caller
x, out = np.arange(3.0), np.empty(3)
caller.many.serial(x, out)
print(*out)
"""

REBUILD = """
import numba
from numba.core.compiler import CompileResult
rebuild = CompileResult._rebuild.__func__
CompileResult._rebuild = classmethod(lambda cls, *parts: {})
"""

LISTING = """
from types import SimpleNamespace
import tiny.compile
real = tiny.compile._routines_called
tiny.compile._routines_called = lambda library: real({})
"""

COMPILE = """
from numba.core.caching import NullCache
from numba.core.registry import CPUDispatcher
compile_ = CPUDispatcher.compile
class Other(NullCache):
    pass
def compile_without(self, sig):
    cache, self._cache = self._cache, Other()
    {}
    try:
        return compile_(self, sig)
    finally:
        self._cache = cache
CPUDispatcher.compile = compile_without
"""

# What is changed, and how that is told.
BROKEN = {
    "no way to reduce a result": (
        "from numba.core.compiler import CompileResult; del CompileResult._reduce",
        "AttributeError: .*_reduce",
    ),
    "no way to rebuild a result": (
        "from numba.core.compiler import CompileResult; del CompileResult._rebuild",
        "AttributeError: .*_rebuild",
    ),
    "another result": (
        REBUILD.format("rebuild(cls, *parts)._replace(signature=numba.void())"),
        "another signature",
    ),
    "no preparation of a result": (
        REBUILD.format("rebuild(cls, *parts[:8], [], *parts[9:])"),
        "does not prepare",
    ),
    "no module of a library": (
        LISTING.format("SimpleNamespace()"),
        "AttributeError: .*_final_module",
    ),
    "a module without its declarations": (
        LISTING.format("SimpleNamespace(_final_module=SimpleNamespace(functions=[]))"),
        "does not tell which functions",
    ),
    "no name of the processor": (
        "from numba.core.codegen import CPUCodegen; del CPUCodegen.magic_tuple",
        "AttributeError: .*magic_tuple",
    ),
    "no word on addresses": (
        "from numba.core.codegen import CodeLibrary; del CodeLibrary.has_dynamic_globals",
        "AttributeError: .*has_dynamic_globals",
    ),
    "a cache that is not asked": (COMPILE.format(""), "without asking the cache"),
    "a cache that gets nothing": (
        COMPILE.format("self._cache.load_overload = cache.load_overload"),
        "without asking the cache",
    ),
}


@pytest.mark.parametrize(("change", "words"), BROKEN.values(), ids=BROKEN)
def test_what_numba_no_longer_does_is_told(tmp_path, change, words):
    """Kernels work, nothing is kept, and one warning says what is wrong and what to do."""
    tiny = Tiny(tmp_path)
    process = tiny.start(ALL_WARNINGS + change + "\n", CALLS)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.split() == ["1.0", "2.0", "3.0"]
    told = [line for line in err.splitlines() if "Warning: " in line]
    assert len(told) == 1, err
    version = re.escape(numba.__version__)
    rule = f"RuntimeWarning: sk_dbn cannot cache .* numba {version}: .*{words}.* supports"
    assert re.search(rule, told[0]), told[0]
    assert not tiny.cache_files()
