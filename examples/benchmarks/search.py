"""Time of a grid search with one worker compared with two.

GridSearchCV over DBNClassifier on the digits, with joblib's loky and threading backends. With one
worker, each fit has one thread (n_jobs=1 of the classifier) or all cores (None). With two workers,
each has its share of the cores (None). On two cores that is one thread, so the first ratio is at
most 2.

    python examples/benchmarks/search.py
    python examples/benchmarks/search.py --quick
"""

import argparse
import time
import warnings

import joblib
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sk_dbn import DBNClassifier


def seconds(classifier, grid, X, y, backend, n_jobs):
    """Return the time of a search, after a small one that starts workers and loads kernels."""
    with joblib.parallel_config(backend):
        search = GridSearchCV(classifier, grid, cv=3, n_jobs=n_jobs, refit=False)
        search.fit(X[:100], y[:100])
        start = time.perf_counter()
        search.fit(X, y)
    return time.perf_counter() - start


def main():
    """Time all searches and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller, in seconds")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_digits(return_X_y=True)
    X = X / 16
    max_iter, sizes = (5, (50,)) if arguments.quick else (30, (256, 128))
    settings = {"pretrainer": None, "max_iter": max_iter, "random_state": 0}
    free = DBNClassifier(sizes, **settings)
    one = DBNClassifier(sizes, n_jobs=1, **settings)
    grid = {"learning_rate_init": [0.0003, 0.001, 0.003, 0.01]}
    print(f"{joblib.cpu_count()} cores, {3 * len(grid['learning_rate_init'])} fits")
    print(f"{'backend':<10} {'2 workers':>11} {'1, a thread':>11} {'ratio':>6} ", end="")
    print(f"{'1, all cores':>12} {'ratio':>6}")
    for backend in ("loky", "threading"):
        two = seconds(free, grid, X, y, backend, 2)
        print(f"{backend:<10} {two:9.2f} s", end="")
        for classifier, width in ((one, 9), (free, 11)):
            alone = seconds(classifier, grid, X, y, backend, 1)
            print(f" {alone:{width - 1}.2f} s {alone / two:6.2f}", end=" ")
        print(flush=True)
    print("\nratio: time of one worker divided by that of two. Measure on an idle computer.")


if __name__ == "__main__":
    main()
