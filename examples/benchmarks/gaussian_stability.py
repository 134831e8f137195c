"""Does training with Gaussian units ever diverge, and is it ever silent about it?

Stacks of random settings and sizes are trained on data of random kinds: normal features, correlated
ones, heavy tails, outliers, constant features; about half of them as tables, where every second
feature is 0 or 1 and has a Bernoulli unit beside the Gaussian ones. A run has diverged if it warns
so; then the weights are those of the last good epoch. A run is silent if it does not warn and has
left a number that is not finite in its parameters or features. What is finite may still be useless:
a run is worse for it if its first machine reconstructs with twice the error that it had before it
was trained. First the learning rate is random too, from 0.0001 to 1, then it is the default.

    python examples/benchmarks/gaussian_stability.py
    python examples/benchmarks/gaussian_stability.py --quick
"""

import argparse
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import BernoulliRBMStack

N_ROWS = 300


def normal(random, n_features):
    """Independent normal features."""
    return random.standard_normal((N_ROWS, n_features))


def correlated(random, n_features):
    """One factor that all features share, and a little noise."""
    return random.standard_normal((N_ROWS, 1)) + 0.05 * normal(random, n_features)


def heavy_tails(random, n_features):
    """Student's t of one and a half degrees of freedom, whose variance is infinite."""
    return random.standard_t(1.5, (N_ROWS, n_features))


def outliers(random, n_features):
    """Three rows a thousand times as far out as the others."""
    X = normal(random, n_features)
    X[:3] *= 1000.0
    return X


def constant(random, n_features):
    """Half of the features are constant, and one is so but for a single row."""
    X = normal(random, n_features)
    X[:, ::2] = 7.0
    X[0, 0] = 8.0
    return X


KINDS = (normal, correlated, heavy_tails, outliers, constant)


def as_table(X):
    """Every second feature as 0 or 1: whether it was positive."""
    X[:, 1::2] = X[:, 1::2] > 0
    return X


def random_settings(random):
    """Settings of a stack but for its learning rate."""
    activation = random.choice(["logistic", "tanh", "relu"])
    algorithms = ["cd", "pcd", "fpcd"] + ["pt"] * (activation != "relu")
    return {
        "hidden_layer_sizes": tuple(map(int, random.integers(1, 100, random.integers(1, 4)))),
        "visible": "gaussian",  # but for tables
        "learn_variance": bool(random.integers(2)),
        "activation": str(activation),
        "algorithm": str(random.choice(algorithms)),
        "n_gibbs_steps": int(random.choice([1, 2, 5])),
        "n_chains": int(random.choice([10, 100])),
        "n_temperatures": 4,
        "centered": bool(random.integers(2)),
        "momentum": float(random.choice([0.0, 0.5, 0.9, 0.99])),
        "alpha": float(random.choice([0.0, 1e-4, 1e-2])),
        "batch_size": int(random.choice([1, 10, 50, 300])),
        "max_iter": 20,
        "n_iter_no_change": 20,
        "random_state": int(random.integers(2**31)),
    }


def outcome(stack, X):
    """'well', 'diverged', 'silent' or 'worse'."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stack.fit(X)
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        return "diverged"
    results = *stack.coefs_, *stack.intercepts_hidden_, *stack.intercepts_visible_
    gaussian = np.broadcast_to(stack.visible_, X.shape[1]) == "gaussian"
    results += stack.visible_variance_[gaussian], stack.transform(X), stack.reconstruct(X)
    if not all(np.isfinite(x).all() for x in results):
        return "silent"
    error = stack.gradient_trace_.reconstruction_mse[:, 0]
    return "worse" if error[-1] > 2.0 * max(error[0], 0.01) else "well"


def trial(seed, learning_rate=None):
    """Train a stack of random settings on random data; the settings, the data and the outcome."""
    random = np.random.default_rng(seed)
    make, n_features = KINDS[random.integers(len(KINDS))], int(random.integers(1, 60))
    settings = random_settings(random)
    if learning_rate is None:
        settings["learning_rate"] = float(10.0 ** random.uniform(-4, 0))
    else:
        settings["learning_rate"] = learning_rate
    X, name = make(random, n_features), make.__name__
    if n_features > 1 and random.integers(2):
        X, name = as_table(X), f"{name} with dummies"
        settings["visible"] = np.resize(["gaussian", "bernoulli"], n_features).tolist()
    return settings, name, outcome(BernoulliRBMStack(**settings), X)


def main(n_trials):
    """Print how the runs ended, and the settings of those that did not end well."""
    default = BernoulliRBMStack().learning_rate
    ends = {"diverged": "diverged, warned", "silent": "NaN, silently", "worse": "worse for it"}
    print(f"{'learning rate':<18} {'runs':>5}" + "".join(f" {end:>20}" for end in ends.values()))
    for name, rate in (("0.0001 to 1", None), (f"{default}, the default", default)):
        trials = [trial(seed, rate) for seed in range(n_trials)]
        counts = (sum(end == kind for *_, end in trials) for kind in ends)
        print(f"{name:<18} {n_trials:>5}" + "".join(f" {n:>20}" for n in counts), flush=True)
        for settings, data, end in trials:
            if end != "well":
                print(f"  {end} on {data}: {settings}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten runs of each, in seconds")
    main(10 if parser.parse_args().quick else 100)
