"""Time of a training epoch: DeepMLPRegressor compared with scikit-learn and torch.

For each shape of network: samples in random order, relu, Adam, squared error. Each line has the
time of one epoch (after a warm-up, the best of several) and its ratio to ours. All libraries take
turns in one run. torch (the `bench` extra) is skipped if it is not installed.

    python examples/benchmarks/network_epoch.py
    python examples/benchmarks/network_epoch.py --quick
"""

import argparse
import time
import warnings
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from sk_dbn import DeepMLPRegressor

SHAPES = [  # rows, features, width, depth, batch size
    (10_000, 20, 100, 1, 32),
    (10_000, 20, 100, 10, 32),
    (10_000, 20, 100, 30, 32),
    (10_000, 20, 100, 10, 200),
    (20_000, 784, 500, 3, 128),
    (20_000, 784, 1000, 4, 256),
]
QUICK_SHAPES = [(1_000, 20, 100, 1, 32), (1_000, 20, 50, 5, 32)]

CAVEAT = """
Measure on an idle computer. Times do not include compilation: sk_dbn compiles its kernels in the
first fit after an installation and then keeps them on disk."""


def regressors(width, depth, batch_size, n_epochs, dtype="float32"):
    """Return our network and scikit-learn's, which has the precision of its data."""
    common = {
        "hidden_layer_sizes": (width,) * depth,
        "batch_size": batch_size,
        "max_iter": n_epochs,
        "n_iter_no_change": n_epochs,
    }
    common |= {"activation": "relu", "learning_rate_init": 0.001, "early_stopping": False}
    ours = DeepMLPRegressor(**common, learning_rate="constant", dropout=0.0, dtype=dtype)
    return ours, MLPRegressor(**common)


def torch_network(n_features, width, depth, dtype="float32"):
    """Return the same network in torch, with He's weights as in ours."""
    import torch

    layers = []
    for fan_in in [n_features, *[width] * (depth - 1)]:
        layers += [torch.nn.Linear(fan_in, width), torch.nn.ReLU(inplace=True)]
        torch.nn.init.kaiming_normal_(layers[-2].weight)
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 1)).to(getattr(torch, dtype))


def torch_training(X, y, width, depth, batch_size, n_threads, n_epochs):
    """Return a function that trains the same network in torch, in the precision of X."""
    import torch

    dtype, loss = X.dtype.name, torch.nn.MSELoss()
    X, y = torch.from_numpy(X), torch.from_numpy(y.reshape(-1, 1))

    def train():
        torch.set_num_threads(n_threads)
        network = torch_network(X.shape[1], width, depth, dtype)  # new weights, as in every fit
        optimiser = torch.optim.Adam(network.parameters(), fused=True)
        for _ in range(n_epochs):
            for rows in torch.randperm(len(X)).split(batch_size):
                optimiser.zero_grad(set_to_none=True)
                loss(network(X[rows]), y[rows]).backward()
                optimiser.step()

    return train


def runs_of(X, y, width, depth, batch_size, n_epochs):
    """Map names to functions that train for n_epochs; the first is ours."""
    ours, theirs = regressors(width, depth, batch_size, n_epochs)
    runs = {"sk_dbn": partial(ours.fit, X, y)}
    for dtype in ("float32", "float64"):
        runs[f"sklearn {dtype}"] = partial(theirs.fit, X.astype(dtype), y.astype(dtype))
    try:
        for n_threads in (1, 2):
            name = f"torch, {n_threads} thread" + "s" * (n_threads > 1)
            runs[name] = torch_training(X, y, width, depth, batch_size, n_threads, n_epochs)
    except ImportError:
        pass
    return runs


def best_times(runs, n_repeats, pause=0.0):
    """Return the best of several times of every run in seconds, in turns after a warm-up.

    A pause of seconds before each turn lets the threads of the library before it fall asleep:
    OpenMP's wait for more work in a loop, at the cost of whoever comes next.
    """
    best = dict.fromkeys(runs, np.inf)
    for repeat in range(n_repeats + 1):
        for name, run in runs.items():
            time.sleep(pause)
            start = time.perf_counter()
            run()
            if repeat > 0:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main():
    """Measure every shape and print a line for each library."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two small networks, in seconds")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a fit (default: 3)")
    parser.add_argument("--repeats", type=int, default=3, help="timed fits (default: 3)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    rng = np.random.default_rng(0)
    for n, d, width, depth, batch_size in QUICK_SHAPES if arguments.quick else SHAPES:
        X = rng.standard_normal((n, d), dtype=np.float32)
        y = np.sin(X[:, 0])
        print(f"{d}-{width}x{depth}-1, batches of {batch_size}, {n:,} rows", flush=True)
        runs = runs_of(X, y, width, depth, batch_size, arguments.epochs)
        times = best_times(runs, 1 if arguments.quick else arguments.repeats)
        for name, seconds in times.items():
            ratio = seconds / times["sk_dbn"]
            print(f"  {name:<16} {seconds / arguments.epochs:8.4f} s  {ratio:6.2f} x ours")
        if not any(name.startswith("torch") for name in times):
            print("  torch is not installed")
    print(CAVEAT)


if __name__ == "__main__":
    main()
