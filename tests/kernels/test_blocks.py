"""Work that is cut into blocks: each block is done once, and what one raises is raised."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sk_dbn.kernels.blocks import in_blocks, twins
from sk_dbn.kernels.compile import routine

ROOT = Path(__file__).resolve().parents[2]


@routine(allocates=True)
def fill(n_numbers, out, block):
    """Add one to a number, with as much memory as is asked for."""
    work = np.empty(n_numbers)
    work[0] = 1.0
    out[block] += work[0]


@twins
def fill_all(team, n_numbers, out):
    """The same for each number."""
    in_blocks(team, out.shape[0], fill, (n_numbers, out))


@pytest.mark.parametrize("way", ["serial", "parallel"])
@pytest.mark.parametrize("n_blocks", [0, 1, 7, 100])
def test_each_block_is_done_once(way, n_blocks):
    """A number is added to by its own block alone."""
    out = np.zeros(n_blocks)
    getattr(fill_all, way)(1, out)
    np.testing.assert_array_equal(out, 1.0)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="NumPy allocates elsewhere")
@pytest.mark.parametrize("way", ["serial", "parallel"])
def test_a_block_that_fails_is_noticed(way):
    """Where a block cannot have its memory the caller learns of it, instead of a wrong result."""
    with pytest.raises(MemoryError):
        getattr(fill_all, way)(2**58, np.zeros(7))
    getattr(fill_all, way)(1, out := np.zeros(7))  # and the next call works
    np.testing.assert_array_equal(out, 1.0)


SMALL_STACK = """
import threading
import numpy as np
from sk_dbn import DeepMLPRegressor

X = np.random.default_rng(0).normal(size=(400, 300)).astype("float32")
network = DeepMLPRegressor((300,), batch_size=200, max_iter=1, n_jobs=1).fit(X, X[:, 0])
found = []
threading.stack_size(192 * 1024)
thread = threading.Thread(target=lambda: found.append(network.predict(X)))
thread.start()
thread.join()
np.testing.assert_array_equal(found[0], network.predict(X))
print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="stacks are measured otherwise there")
def test_a_small_stack_is_enough():
    """Panels lie on the stack of whoever multiplies, of which a thread may have little."""
    done = subprocess.run(
        [sys.executable, "-c", SMALL_STACK],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "done\n", done.stderr[-2000:]
