"""Time of a search over the depth of a stack, with and without `memory`.

GridSearchCV over a pipeline of a stack and a linear classifier on the digits, with one to four
layers. With `memory` each layer is trained once for each fold, so the search should take little
longer than one over four layers alone. The scores of both searches over depth are the same.

Measure on an idle computer:

    python examples/benchmarks/search_over_depth.py
    python examples/benchmarks/search_over_depth.py --quick
"""

import argparse
import tempfile
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sk_dbn import BernoulliRBMStack

SIZES = (256, 128, 64, 32)


def search(X, y, depths, **params):
    """Return the time of a search over some depths, and the scores of each depth and fold."""
    stack = BernoulliRBMStack(random_state=0, **params)
    grid = {"bernoullirbmstack__hidden_layer_sizes": [SIZES[:depth] for depth in depths]}
    searching = GridSearchCV(make_pipeline(stack, RidgeClassifier()), grid, cv=3, refit=False)
    start = time.perf_counter()
    found = searching.fit(X, y).cv_results_
    seconds = time.perf_counter() - start
    return seconds, np.array([found[f"split{fold}_test_score"] for fold in range(3)]).T


def main():
    """Time three searches, and compare the scores of two."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer epochs, in seconds")
    max_iter = 2 if parser.parse_args().quick else 50
    X, y = load_digits(return_X_y=True)
    X = X / 16
    search(X[:200], y[:200], [2], max_iter=1)  # compiles, or loads compiled code
    depths = range(1, 5)
    with tempfile.TemporaryDirectory() as memory:
        alone, _ = search(X, y, [4], max_iter=max_iter)
        without, scores = search(X, y, depths, max_iter=max_iter)
        kept, scores_kept = search(X, y, depths, max_iter=max_iter, memory=memory)
        again, _ = search(X, y, depths, max_iter=max_iter, memory=memory)
    print(f"{'search over':<28}{'time':>9}{'ratio':>8}")
    for name, seconds in (
        ("4 layers", alone),
        ("1 to 4 layers", without),
        ("1 to 4 layers, with memory", kept),
        ("the same again", again),
    ):
        print(f"{name:<28}{seconds:>7.2f} s{seconds / alone:>8.2f}")
    print(f"scores with memory are the same: {np.array_equal(scores, scores_kept)}")
    print(f"accuracy with 1 to 4 layers: {', '.join(f'{s:.3f}' for s in scores.mean(axis=1))}")


if __name__ == "__main__":
    main()
