"""Peak memory of a fit beyond its input X.

X is uint8, float64, a memory-mapped float32 file or a CSR matrix. Each fit runs in its own process.
A first fit on a few samples loads and compiles the code. Then the script prints the resident memory
that the real fit adds at its peak in MB, and the part of it that exceeds six times the parameters.
Linux only, since it reads /proc.

    python examples/benchmarks/memory.py
    python examples/benchmarks/memory.py --quick
"""

import argparse
import itertools
import multiprocessing
import os
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import BernoulliRBMStack, DBNClassifier

KINDS = ("uint8", "float64", "memmap", "csr")
MB = 2**20


def make_input(kind, shape, folder):
    """Return X of zeros and ones, a fifth of them 1."""
    rng = np.random.default_rng(0)
    if kind == "csr":
        X = scipy.sparse.random(*shape, density=0.2, format="csr", dtype=np.float32, rng=rng)
        X.data[:] = 1
        return X
    X = np.empty(shape, np.uint8)
    for row in X:
        row[:] = rng.random(shape[1]) < 0.2
    if kind == "memmap":
        path = Path(folder) / "X.npy"
        mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        mapped[:] = X
        mapped.flush()
        return np.load(path, mmap_mode="r")
    return X.astype(kind, copy=False)


class PeakMemory:
    """Peak of resident memory without mapped files, above that at the start."""

    def __enter__(self):
        self._start = self.peak = self._anonymous()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._sample)
        self._watch.start()
        return self

    def __exit__(self, *exception):
        self._over.set()
        self._watch.join()
        self.peak -= self._start

    def _sample(self):
        while not self._over.is_set():
            self.peak = max(self.peak, self._anonymous())
            time.sleep(0.002)

    def _anonymous(self):
        """Return resident bytes without mapped files, which the system can drop."""
        resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def n_parameter_bytes(estimator):
    """Return the bytes of all weights and biases."""
    names = ("coefs_", "intercepts_", "intercepts_hidden_", "intercepts_visible_")
    return sum(array.nbytes for name in names for array in getattr(estimator, name, []))


def measure(estimator, kind, shape):
    """Print the peak memory of a fit, for one kind of X."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    y = np.arange(shape[0]) % 10
    with tempfile.TemporaryDirectory() as folder:
        X = make_input(kind, shape, folder)
        estimator.fit(X[:200], y[:200])
        with PeakMemory() as memory:
            estimator.fit(X, y)
    beyond = memory.peak - 6 * n_parameter_bytes(estimator)
    name = type(estimator).__name__
    print(f"{name:<18} {kind:<8} {memory.peak / MB:8.1f} MB {beyond / MB:8.1f} MB", flush=True)


def main():
    """Measure every kind of input in its own process."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller, in seconds")
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux"):
        sys.exit("This measurement reads /proc/self/statm, which only Linux has.")
    shape, sizes = ((4_000, 200), (50, 50)) if arguments.quick else ((60_000, 784), (500, 250))
    estimators = (
        BernoulliRBMStack(sizes, max_iter=2, batch_size=100),
        DBNClassifier(
            sizes, max_iter=2, batch_size=200, early_stopping=False, dropout=0.0, pretrainer=None
        ),
    )
    print(f"{shape[0]:,} x {shape[1]} input, hidden layers {sizes}")
    print(f"{'estimator':<18} {'X':<8} {'at its peak':>11} {'beyond 6 x':>11}", flush=True)
    context = multiprocessing.get_context("spawn")
    failed = False
    for estimator, kind in itertools.product(estimators, KINDS):
        process = context.Process(target=measure, args=(estimator, kind, shape))
        process.start()
        process.join()
        failed |= process.exitcode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
