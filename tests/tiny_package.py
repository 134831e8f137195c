"""A package of two kernel files beside copies of the real files that compile."""

import os
import subprocess
import sys
from pathlib import Path

from sk_dbn.kernels import compile as compiling

KERNELS = Path(compiling.__file__).parent

REAL = (
    *("__init__.py", "sources.py", "interrupts.py"),
    *("blocks.py", "compile.py", "cache.py", "self_test.py"),
)

CALLEE = """
from tiny.compile import kernel, routine

@kernel
def shift(x):
    return x + 1.0

@routine
def shift_one(x, out, i):
    out[i] = shift(x[i])
"""

CALLER = """
from tiny.blocks import in_blocks, twins
from tiny.callee import shift, shift_one
from tiny.compile import entry

@entry
def single(x):
    return shift(x)

@twins
def many(team, x, out):
    in_blocks(team, out.shape[0], shift_one, (x, out))
"""

# Prints the results and, for each function that Python calls and the loop that threads share, how
# much of it came from the cache.
SCRIPT = """
import numpy as np
from tiny import caller
from tiny.blocks import _team as team
x = np.arange(3.0)
results = [float(caller.single(one)) for one in (1.0, np.float32(1.0))]
for kernel in caller.many:
    out = np.empty(3)
    kernel(x, out)
    results += out.tolist()
print(*results)
print(*(sum(k.stats.cache_hits.values()) for k in (caller.single, caller.many[0].compiled, team)))
"""

ONE_MORE = [2.0, 2.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
NOT_CACHED, CACHED = [0, 0, 0], [2, 1, 1]


class Tiny:
    """The package, a folder for its cache, and processes that run it."""

    def __init__(self, folder):
        self.folder, self.cache = folder / "tiny", folder / "cache"
        self.folder.mkdir()
        for name in REAL:
            source = (KERNELS / name).read_text("utf-8")
            (self.folder / name).write_text(source.replace("sk_dbn.kernels", "tiny"), "utf-8")
        (self.folder / "callee.py").write_text(CALLEE)
        (self.folder / "caller.py").write_text(CALLER)

    def start(self, before="", script=SCRIPT, cwd=None, **environment):
        """A process that imports the package and runs its kernels."""
        settings = {"NUMBA_CACHE_DIR": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", before + script],
            env={**os.environ, **settings, "PYTHONPATH": str(self.folder.parent), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )

    def result(self, process):
        """What it computed, and what came from the cache."""
        out, err = process.communicate()
        assert process.returncode == 0 and not err, err
        values, hits = out.splitlines()
        return [float(v) for v in values.split()], [int(h) for h in hits.split()]

    def run(self, before="", cwd=None, **environment):
        return self.result(self.start(before, cwd=cwd, **environment))

    def cache_files(self):
        """What lies in the cache, leftovers included."""
        return sorted(path for path in self.cache.rglob("*") if path.is_file())
