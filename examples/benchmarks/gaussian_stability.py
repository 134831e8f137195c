"""Does training with Gaussian units ever diverge, and is it ever silent about it?

Stacks with random settings and sizes are trained on data of random kinds: normal features,
correlated features, heavy tails, outliers, constant features. About half of the data are tables, in
which every second feature is 0 or 1 and has a Bernoulli unit beside the Gaussian units. A run is
"diverged" if it warns about divergence; then the weights are those of the last good epoch. A run is
"silent" if it does not warn and leaves values in its parameters or features that are not finite.
Finite results can be useless too: a run is "worse" if the reconstruction error of its first RBM is
more than twice that before training. First the learning rate is random too, from 0.0001 to 1, then
it is the default.

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
    """Return independent normal features."""
    return random.standard_normal((N_ROWS, n_features))


def correlated(random, n_features):
    """Return features that share one factor, with a little noise."""
    return random.standard_normal((N_ROWS, 1)) + 0.05 * normal(random, n_features)


def heavy_tails(random, n_features):
    """Return Student's t with 1.5 degrees of freedom, whose variance is infinite."""
    return random.standard_t(1.5, (N_ROWS, n_features))


def outliers(random, n_features):
    """Return normal features with three samples a thousand times as large as the others."""
    X = normal(random, n_features)
    X[:3] *= 1000.0
    return X


def constant(random, n_features):
    """Return features of which half are constant, one of them except for a single sample."""
    X = normal(random, n_features)
    X[:, ::2] = 7.0
    X[0, 0] = 8.0
    return X


KINDS = (normal, correlated, heavy_tails, outliers, constant)


def as_table(X):
    """Replace every second feature by 0 or 1: whether it was positive."""
    X[:, 1::2] = X[:, 1::2] > 0
    return X


def random_settings(random):
    """Return random settings of a stack, without its learning rate."""
    activation = random.choice(["logistic", "tanh", "relu"])
    algorithms = ["cd", "pcd", "fpcd"] + ["pt"] * (activation != "relu")
    return {
        "hidden_layer_sizes": tuple(map(int, random.integers(1, 100, random.integers(1, 4)))),
        "visible": "gaussian",  # changed for tables
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
    """Return 'good', 'diverged', 'silent' or 'worse'."""
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
    return "worse" if error[-1] > 2.0 * max(error[0], 0.01) else "good"


def trial(seed, learning_rate=None):
    """Train a stack with random settings on random data; return settings, data and outcome."""
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
    """Print counts of outcomes, and the settings of runs whose outcome was not good."""
    default = BernoulliRBMStack().learning_rate
    ends = {
        "diverged": "diverged, warned",
        "silent": "NaN, no warning",
        "worse": "worse than before",
    }
    print(f"{'learning rate':<18} {'runs':>5}" + "".join(f" {end:>20}" for end in ends.values()))
    for name, rate in (("0.0001 to 1", None), (f"{default}, the default", default)):
        trials = [trial(seed, rate) for seed in range(n_trials)]
        counts = (sum(end == kind for *_, end in trials) for kind in ends)
        print(f"{name:<18} {n_trials:>5}" + "".join(f" {n:>20}" for n in counts), flush=True)
        for settings, data, end in trials:
            if end != "good":
                print(f"  {end} on {data}: {settings}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten runs of each, in seconds")
    main(10 if parser.parse_args().quick else 100)
