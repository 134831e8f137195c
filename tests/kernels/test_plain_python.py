"""The kernels as plain Python: what they compute is NumPy's arithmetic, not the compiler's."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FILES = [
    "activations",
    "backpropagation",
    "dropout",
    "annealing",
    "elementary",
    "enumeration",
    "feed_forward",
    "gather",
    "losses",
    "observed",
    "optimisers",
    "probe",
    "products",
    "random_bits",
    "statistics",
    "units",
    "updates",
]

# Loops over very many numbers, what has a process or a library of its own, and bits that NumPy's
# products do not keep ("beside").
TOO_LONG = (
    "accurate beside central certain different_rows equal_content equal_numpy expectations "
    "fair half hundred_layers large_mean monotone moments neighbours parallel_training "
    "probabilities same_bits threads_drop uncorrelated uniform variance torch ends normals_are "
    "processors beyond"
)


def test_kernels_agree_with_the_reference_without_compilation():
    """Compilation changes speed and nothing else: the tests of the kernels hold without it.

    Arithmetic modulo 2^32 warns of overflow in plain Python, and 1 / exp(-x) of its infinity.
    """
    chosen = " and ".join(f"not {name}" for name in TOO_LONG.split())
    files = [str(ROOT / "tests" / "kernels" / f"test_{name}.py") for name in FILES]
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning", "-k", chosen]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
