"""Time and memory of training an RBM on the entries that are stored, all others missing.

First, the seconds of an epoch on a dense binary matrix, and on a CSR matrix of the same shape with
`not_stored="missing"` and 1 % of the entries stored, zeros among them. An epoch is the difference
of a long and a short fit, each the fastest of three. Products and sums over samples follow from the
number of entries, the update of weights from that of features that occur in a minibatch: most do
in one of 100 samples.

With `--large`, an RBM of ratings is trained: 10 million ratings from 1 to 5, of 10,000 items by
100,000 users, in a process of its own. The script prints the seconds of an epoch, and resident
memory in MB: with the ratings before the fit, and at the peak. Not on Windows, which lacks the
module `resource`.

    python examples/benchmarks/missing_entries.py
    python examples/benchmarks/missing_entries.py --quick
    python examples/benchmarks/missing_entries.py --large
"""

import argparse
import multiprocessing
import resource
import sys
import time

import numpy as np
import scipy.sparse

from sk_dbn import BernoulliRBMStack

SETTINGS = {
    "hidden_layer_sizes": (100,),
    "learning_rate": 0.01,
    "n_iter_no_change": 1_000,
    "random_state": 0,
}
BATCH_SIZES = 100, 1_000


def stored_entries(n, n_features, n_stored, values, seed=0):
    """Return a CSR matrix with `n_stored` random entries a row, one in each block of columns."""
    rng = np.random.default_rng(seed)
    width = n_features // n_stored
    columns = rng.integers(width, size=(n, n_stored), dtype=np.int32)
    columns += width * np.arange(n_stored, dtype=np.int32)
    data = rng.choice(np.array(values, dtype=np.float32), size=n * n_stored)
    starts = np.arange(n + 1, dtype=np.int32) * n_stored
    return scipy.sparse.csr_array((data, columns.ravel(), starts), shape=(n, n_features))


def seconds_of_fit(X, max_iter, **settings):
    """Return the seconds of a fit."""
    stack = BernoulliRBMStack(max_iter=max_iter, **SETTINGS, **settings)
    start = time.perf_counter()
    stack.fit(X)
    return time.perf_counter() - start


def seconds_of_epoch(X, n_epochs, n_rounds, **settings):
    """Return the seconds of an epoch, without the fixed time of a fit."""
    seconds_of_fit(X[: settings["batch_size"]], 1, **settings)  # compiles
    short, long = (
        min(seconds_of_fit(X, max_iter, **settings) for _ in range(n_rounds))
        for max_iter in (1, 1 + n_epochs)
    )
    return (long - short) / n_epochs


def compare(n, n_features, quick):
    """Print the time of an epoch, dense and with missing entries."""
    print(f"{n:,} x {n_features:,}, 100 hidden units")
    rng = np.random.default_rng(0)
    X = np.empty((n, n_features), dtype=np.float32)
    for row in X:
        row[:] = rng.random(n_features) < 0.2
    X_stored = stored_entries(n, n_features, n_features // 100, (0, 1))
    n_rounds = 1 if quick else 3
    for batch_size in BATCH_SIZES:
        settings = {"batch_size": batch_size, "visible": "bernoulli"}
        dense = seconds_of_epoch(X, 2, n_rounds, **settings)
        stored = seconds_of_epoch(X_stored, 20, n_rounds, not_stored="missing", **settings)
        print(f"  minibatches of {batch_size:,}")
        print(f"    dense        {dense:9.4f} s an epoch")
        print(f"    1 % stored   {stored:9.4f} s an epoch, ratio {dense / stored:.1f}", flush=True)


def peak_memory():
    """Return the largest resident memory of this process so far in MB."""
    unit = 1 if sys.platform == "darwin" else 1_024  # bytes, or kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure_ratings(n_users, n_items, n_rated):
    """Print time and memory of an RBM of ratings."""
    X = stored_entries(n_users, n_items, n_rated, (1, 2, 3, 4, 5))
    before = peak_memory()
    settings = {"visible": "categorical", "categories": np.arange(1, 6), "not_stored": "missing"}
    print(f"{n_users:,} users x {n_items:,} items, {X.nnz:,} ratings in 5 categories")
    for batch_size in BATCH_SIZES:
        seconds = seconds_of_epoch(X, 1, 1, batch_size=batch_size, **settings)
        print(f"  minibatches of {batch_size:,}: {seconds:.2f} s an epoch", flush=True)
    print(f"  {before:.0f} MB before the fits, {peak_memory():.0f} MB at their peak")


def main():
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller, in seconds")
    parser.add_argument("--large", action="store_true", help="ten million ratings, too")
    arguments = parser.parse_args()
    quick = arguments.quick
    compare(*((1_000, 500) if quick else (10_000, 5_000)), quick)
    if arguments.large:
        shape = (2_000, 500, 20) if quick else (100_000, 10_000, 100)
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=measure_ratings, args=shape)
        process.start()
        process.join()
        sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
