"""Time of predict_proba and transform, for many samples and for one, compared with scikit-learn.

The script compares DBNClassifier.predict_proba with MLPClassifier's, and
BernoulliRBMStack.transform with BernoulliRBM's, for networks of the same shape. The input is 60,000
x 784 or a single sample, in float32 or float64; scikit-learn's models are trained in the dtype in
which they predict. Times are the best of several calls in turns, after a warm-up.

    python examples/benchmarks/prediction.py
    python examples/benchmarks/prediction.py --quick
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import BernoulliRBM, MLPClassifier

from sk_dbn import BernoulliRBMStack, DBNClassifier

N_TRAINED = 500  # training samples, for one epoch: enough to time predictions


def fitted_pairs(dtype, hidden_layer_sizes, n_features, rng):
    """Yield the pairs to compare: name, our method, scikit-learn's method."""
    X = rng.random((N_TRAINED, n_features)).astype(dtype)
    y = np.arange(N_TRAINED) % 10
    common = {"hidden_layer_sizes": hidden_layer_sizes, "activation": "logistic", "max_iter": 1}
    ours = DBNClassifier(**common, early_stopping=False, pretrainer=None).fit(X, y)
    theirs = MLPClassifier(**common).fit(X, y)
    yield "predict_proba", ours.predict_proba, theirs.predict_proba
    n_hidden = hidden_layer_sizes[0]
    ours = BernoulliRBMStack((n_hidden,), max_iter=1).fit(X)
    theirs = BernoulliRBM(n_hidden, n_iter=1).fit(X)
    yield "transform", ours.transform, theirs.transform


def best_times(methods, X, n_repeats):
    """Return the best of several times of each method in seconds, in turns after a warm-up."""
    best = [np.inf] * len(methods)
    for repeat in range(n_repeats + 1):
        for i, method in enumerate(methods):
            start = time.perf_counter()
            method(X)
            if repeat > 0:
                best[i] = min(best[i], time.perf_counter() - start)
    return best


def main():
    """Measure every case and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller, in seconds")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    n_rows, n_features, sizes = 60_000, 784, (500, 500)
    if arguments.quick:
        n_rows, n_features, sizes = 2_000, 100, (50, 50)
    rng = np.random.default_rng(0)
    print(f"{'method':<14} {'input':<8} {'rows':>6} {'sk_dbn':>11} {'sklearn':>11} {'ratio':>6}")
    for dtype in ("float32", "float64"):
        X = rng.random((n_rows, n_features)).astype(dtype)
        for name, ours, theirs in fitted_pairs(dtype, sizes, n_features, rng):
            for rows, n_repeats in ((X, 5), (X[:1], 200)):
                t_ours, t_theirs = best_times((ours, theirs), rows, n_repeats)
                print(
                    f"{name:<14} {dtype:<8} {len(rows):>6} {t_ours * 1e3:8.3f} ms "
                    f"{t_theirs * 1e3:8.3f} ms {t_theirs / t_ours:6.2f}",
                    flush=True,
                )
    print("\nratio: scikit-learn's time divided by ours. Measure on an idle computer.")


if __name__ == "__main__":
    main()
