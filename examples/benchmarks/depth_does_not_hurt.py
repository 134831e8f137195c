"""Are features of a deeper stack as good for a linear classifier as those of one layer?

On scikit-learn's digits, one, two or three layers of 100, 80 and 60 hidden units are followed by
logistic regression. The script prints the mean test accuracy over seeds, compared with as many
`BernoulliRBM` in a pipeline. In the column "annealed" the upper layers have more epochs than the
first, and a learning rate that falls to zero over most of them.

    python examples/benchmarks/depth_does_not_hurt.py
    python examples/benchmarks/depth_does_not_hurt.py --seeds 20
    python examples/benchmarks/depth_does_not_hurt.py --quick
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from sk_dbn import BernoulliRBMStack

SIZES = (100, 80, 60)


def accuracy(features, split):
    """Return the test accuracy of logistic regression on the features."""
    X_train, X_test, y_train, y_test = split
    classifier = LogisticRegression(C=10.0, max_iter=2000)
    with threadpool_limits(1):  # threads cost more than they gain in products this small
        return make_pipeline(features, classifier).fit(X_train, y_train).score(X_test, y_test)


def ours(depth, seed, n_epochs):
    """Return a stack of the first layers, in float64, in which lbfgs converges fast."""
    settings = {} if n_epochs is None else {"max_iter": n_epochs}
    return BernoulliRBMStack(SIZES[:depth], random_state=seed, dtype="float64", **settings)


def annealed(depth, seed, n_epochs):
    """Return the same stack with longer training of upper layers and a rate that falls to zero."""
    max_iter = [50, 200, 200][:depth] if n_epochs is None else n_epochs
    return ours(depth, seed, None).set_params(max_iter=max_iter, annealing=0.8, alpha=1e-5)


def theirs(depth, seed, n_epochs):
    """Return a pipeline of as many `BernoulliRBM`, with their own defaults."""
    settings = {} if n_epochs is None else {"n_iter": n_epochs}
    return make_pipeline(*(BernoulliRBM(n, random_state=seed, **settings) for n in SIZES[:depth]))


def main(n_seeds, n_epochs):
    """Print mean accuracy and its standard error for each depth."""
    X, y = load_digits(return_X_y=True)
    X /= 16
    print(f"test accuracy in %, mean of {n_seeds} seeds (standard error)")
    print(f"{'layers':>6} {'BernoulliRBMStack':>18} {'annealed':>18} {'BernoulliRBM':>18}")
    for depth in (1, 2, 3):
        row = []
        for build in (ours, annealed, theirs):
            scores = [
                accuracy(
                    build(depth, seed, n_epochs),
                    train_test_split(X, y, stratify=y, random_state=seed),
                )
                for seed in range(n_seeds)
            ]
            error = np.std(scores, ddof=1) / np.sqrt(n_seeds)
            row.append(f"{100 * np.mean(scores):.2f} ({100 * error:.2f})")
        print(f"{depth:>6}" + "".join(f" {cell:>18}" for cell in row))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds and few epochs, in seconds")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds (default: 10)")
    arguments = parser.parse_args()
    main(*((2, 5) if arguments.quick else (arguments.seeds, None)))
