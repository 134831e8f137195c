"""Time of a training epoch for every sampler and kind of units.

Each line has the time of one epoch (after a warm-up, the best of several in turns) and its ratio to
contrastive divergence on Bernoulli units with one Gibbs step. For parallel tempering the ratio per
temperature is printed too.

    python examples/benchmarks/sampler_epoch.py
    python examples/benchmarks/sampler_epoch.py --quick
"""

import argparse
import time

import numpy as np

from sk_dbn import BernoulliRBMStack

N_TEMPERATURES = 5
VARIANTS = {
    "cd": {},
    "cd, 5 steps": {"n_gibbs_steps": 5},
    "pcd": {"algorithm": "pcd"},
    "fpcd": {"algorithm": "fpcd"},
    "pt": {"algorithm": "pt", "n_temperatures": N_TEMPERATURES},
    "tanh": {"activation": "tanh"},
    "relu": {"activation": "relu"},
    "gaussian": {"visible": "gaussian"},
    "gaussian, variance 1": {"visible": "gaussian", "learn_variance": False},
    "gaussian, relu": {"visible": "gaussian", "activation": "relu"},
    "sparsity": {"sparsity_target": 0.1},
    "dropout": {"dropout": 0.2},
    "max_norm": {"max_norm": 3.0},
}


def stacks_of(n_hidden, batch_size, n_epochs, n_jobs):
    """Map the name of each variant to an unfitted stack of one RBM."""
    common = {
        "hidden_layer_sizes": (n_hidden,),
        "learning_rate": 0.01,
        "n_chains": batch_size,
        "batch_size": batch_size,
        "max_iter": n_epochs,
        "n_iter_no_change": n_epochs,
        "n_jobs": n_jobs,
        "random_state": 0,
    }
    return {name: BernoulliRBMStack(**common | own) for name, own in VARIANTS.items()}


def best_times(stacks, X, n_rounds):
    """Return the best time of a fit of each in seconds, in turns after a warm-up."""
    best = dict.fromkeys(stacks, np.inf)
    for i in range(n_rounds + 1):
        for name, stack in stacks.items():
            start = time.perf_counter()
            stack.fit(X)
            if i:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main(quick, n_jobs):
    """Print a line for each variant."""
    n, n_visible, n_hidden, batch_size, n_epochs = 10_000, 784, 500, 100, 2
    if quick:
        n, n_visible, n_hidden, batch_size, n_epochs = 300, 64, 50, 10, 1
    X = (np.random.default_rng(0).random((n, n_visible)) < 0.13).astype(np.float32)
    times = best_times(stacks_of(n_hidden, batch_size, n_epochs, n_jobs), X, 1 if quick else 3)
    print(f"{n_visible}-{n_hidden}, {n} rows, minibatches and chains of {batch_size}")
    for name, seconds in times.items():
        line = f"  {name:<22} {1000 * seconds / n_epochs:9.2f} ms an epoch"
        line += f" {seconds / times['cd']:6.2f}"
        if name == "pt":
            line += f"   ({seconds / times['cd'] / N_TEMPERATURES:.2f} a temperature)"
        print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small shape, in seconds")
    parser.add_argument("--n-jobs", type=int, default=None, help="threads (default: all)")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.n_jobs)
