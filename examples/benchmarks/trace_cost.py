"""Cost of gradient_trace_: fits with trace="epoch" compared with fits with trace=None.

The two take turns, and the best of several fits counts, for a deep narrow network, networks with
dropout, whose effect is measured after training, a wide network and a stack of one restricted
Boltzmann machine.

    python examples/benchmarks/trace_cost.py
    python examples/benchmarks/trace_cost.py --quick
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import BernoulliRBMStack, DeepMLPRegressor

# A fixed number of epochs.
PLAIN = {"activation": "relu", "learning_rate": "constant", "early_stopping": False, "dropout": 0.0}
# Learns too little to be spared the measurement of dropout.
DROPOUT = PLAIN | {"dropout": 0.2, "learning_rate_init": 1e-5}
CASES = [  # name, rows, features, estimator
    ("20-100x10-1", 10_000, 20, DeepMLPRegressor((100,) * 10, batch_size=32, **PLAIN)),
    ("20-100x10-1", 10_000, 20, DeepMLPRegressor((100,) * 10, batch_size=200, **PLAIN)),
    ("with dropout", 10_000, 20, DeepMLPRegressor((100,) * 10, batch_size=32, **DROPOUT)),
    ("with dropout", 1_000, 20, DeepMLPRegressor((100,) * 2, batch_size=32, **DROPOUT)),
    ("784-500x3-1", 10_000, 784, DeepMLPRegressor((500,) * 3, batch_size=128, **PLAIN)),
    ("784-500 stack", 10_000, 784, BernoulliRBMStack((500,), batch_size=100)),
]
QUICK_CASES = [
    ("20-50x5-1", 1_000, 20, DeepMLPRegressor((50,) * 5, batch_size=32, **PLAIN)),
    ("with dropout", 1_000, 20, DeepMLPRegressor((50,) * 5, batch_size=32, **DROPOUT)),
    ("100-50 stack", 1_000, 100, BernoulliRBMStack((50,), batch_size=100)),
]


def best_times(estimator, X, y, n_repeats):
    """Return the best time of a fit with the trace and without it, in seconds."""
    best = {"epoch": np.inf, None: np.inf}
    for repeat in range(n_repeats + 1):
        for trace in best:
            estimator.set_params(trace=trace)
            start = time.perf_counter()
            estimator.fit(X, y)
            if repeat > 0:
                best[trace] = min(best[trace], time.perf_counter() - start)
    return best["epoch"], best[None]


def main():
    """Measure every case and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller, in seconds")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of a fit (default: 5)")
    parser.add_argument("--repeats", type=int, default=5, help="timed fits (default: 5)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    rng = np.random.default_rng(0)
    print(f"{'model':<14} {'batch':>5} {'traced':>10} {'not traced':>11} {'cost':>7}")
    for name, n, d, estimator in QUICK_CASES if arguments.quick else CASES:
        X = rng.random((n, d), dtype=np.float32)
        y = np.sin(X[:, 0] * 6)
        estimator.set_params(max_iter=arguments.epochs, random_state=0)
        traced, untraced = best_times(estimator, X, y, 2 if arguments.quick else arguments.repeats)
        print(
            f"{name:<14} {estimator.batch_size:>5} {traced:8.3f} s {untraced:9.3f} s "
            f"{traced / untraced - 1:+7.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
