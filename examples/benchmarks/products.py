"""Speed of matrix products with the shapes of training, compared with NumPy's BLAS.

One thread each, float32, the best of several runs in turns: C = A B (forward), C = A B^T (back) and
C = A^T B (gradient), for the rows of a minibatch and a layer's fan_in and fan_out. NumPy's BLAS is
mostly OpenBLAS. The first line names its code for the processor, and the width of our vectors. On a
processor with AVX-512, this restricts both to AVX2:

    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx,+avx2,+fma OPENBLAS_CORETYPE=Haswell python ...

    python examples/benchmarks/products.py
    python examples/benchmarks/products.py --quick
"""

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from sk_dbn.kernels.blocks import ALONE
from sk_dbn.kernels.products import product_nn, product_nt, product_tn
from sk_dbn.kernels.tiles import VECTOR_BYTES

SHAPES = [  # rows, fan_in, fan_out
    (10, 64, 100),
    (32, 100, 100),
    (200, 100, 100),
    (32, 512, 512),
    (50, 784, 500),
    (64, 1024, 1024),
    (128, 1000, 1000),
    (128, 1024, 1024),
    (128, 2000, 2000),
    (128, 2048, 2048),
]
ONE, ZERO = np.float32(1), np.float32(0)


def pairs(n, p, q):
    """Return name, our product and NumPy's product of the same matrices."""
    random = np.random.default_rng(0)
    a, W, d = (random.random(shape, dtype=np.float32) for shape in ((n, p), (p, q), (n, q)))
    forward, back, gradient = (np.empty(shape, np.float32) for shape in ((n, q), (n, p), (p, q)))
    return [
        ("forward", lambda: product_nn(ALONE, a, W, forward), lambda: np.dot(a, W, forward)),
        ("back", lambda: product_nt(ALONE, d, W, back), lambda: np.dot(d, W.T, back)),
        (
            "gradient",
            lambda: product_tn(ONE, a, d, ZERO, gradient),
            lambda: np.dot(a.T, d, gradient),
        ),
    ]


def seconds(function, n_calls):
    """Return the mean time of a call."""
    start = time.perf_counter()
    for _ in range(n_calls):
        function()
    return (time.perf_counter() - start) / n_calls


def main(shapes, n_repeats):
    """Print billions of operations per second, and the ratio."""
    code = {library.get("architecture") for library in threadpool_info()} - {None}
    code = ", ".join(sorted(code)) or "unknown"
    print(f"code of NumPy's BLAS: {code}; our vectors: {VECTOR_BYTES} bytes")
    head = f"{'product':<10}{'sk_dbn':>8}{'NumPy':>8}{'ratio':>8}"
    print(f"{'rows':>5}{'fan_in':>8}{'fan_out':>9}  {head}   (billions of operations per second)")
    for n, p, q in shapes:
        operations = 2 * n * p * q
        n_calls = max(1, int(2e8 / operations))
        for name, *both in pairs(n, p, q):
            for function in both:
                function()
            times = np.min([[seconds(f, n_calls) for f in both] for _ in range(n_repeats)], axis=0)
            ours, theirs = operations / times / 1e9
            cells = f"{ours:>8.0f}{theirs:>8.0f}{ours / theirs:>8.2f}"
            print(f"{n:>5}{p:>8}{q:>9}  {name:<10}{cells}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two shapes, in seconds")
    quick = parser.parse_args().quick
    with threadpool_limits(1):
        main(SHAPES[:2] if quick else SHAPES, 3 if quick else 15)
