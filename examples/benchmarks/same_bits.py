"""Hashes of the results of many fits: does a change of the code change a bit of them?

Each line has a name and a hash of all parameters, curves, traces and outputs of one estimator.
Bits depend on the processor and on the versions of NumPy and SciPy, so run both on one computer:

    python examples/benchmarks/same_bits.py > before.txt
    git switch other-branch
    python examples/benchmarks/same_bits.py | diff before.txt -

It takes about a minute, and longer if kernels must be compiled.
"""

import argparse
import hashlib
import warnings

import numpy as np
import scipy.sparse
from sklearn.datasets import load_diabetes, load_digits
from sklearn.frozen import FrozenEstimator

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor, WarmStart
from sk_dbn.likelihood import log_likelihood

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS = DIGITS[:600] / 16
LABELS = LABELS[:600]
TABLE, TARGET = load_diabetes(return_X_y=True)
TABLE = (TABLE - TABLE.mean(axis=0)) / TABLE.std(axis=0)
TARGET = (TARGET - TARGET.mean()) / TARGET.std()
FEW = np.where(np.arange(len(LABELS)) % 4 == 0, LABELS, -1)
MIXED = np.column_stack([TABLE[:, :4], TABLE[:, 4:7] > 0])

NETWORKS = {
    "plain": {},
    "sgd": {"solver": "sgd", "nesterovs_momentum": False},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "early_stopping": False, "tol": 0.1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adamw": {"solver": "adamw", "learning_rate": "cosine", "warmup_epochs": 2},
    "nadam": {"solver": "nadam", "l1_ratio": 0.5, "alpha": 0.01},
    "rmsprop": {"solver": "rmsprop", "clip_norm": 0.5},
    "adagrad": {"solver": "adagrad", "clip_value": 0.1},
    "lbfgs": {"solver": "lbfgs", "dropout": 0.0},
    "held out": {"early_stopping": True, "n_iter_no_change": 3},
    "all epochs": {"early_stopping": False},
    "stalled": {"early_stopping": False, "learning_rate": "constant", "tol": 1.0},
    "shortcuts": {"shortcut": True, "activation": "swish", "hidden_layer_sizes": (20, 30, 20)},
    "bounds": {"max_norm": 1.0, "dropout": (0.1, 0.3), "activation": "relu"},
    "selu": {"activation": ["selu", "gelu"], "dropout": 0.2, "init": "orthogonal"},
    "double": {"dtype": "float64", "trace": "batch", "activation": "tanh"},
    "unshuffled": {"shuffle": False, "trace": None, "batch_size": 50},
    "diverging": {"solver": "sgd", "learning_rate_init": 1e4, "activation": "relu"},
}
STACKS = {
    "cd": {},
    "pcd": {"algorithm": "pcd", "n_chains": 20, "n_gibbs_steps": 2},
    "fpcd": {"algorithm": "fpcd", "n_chains": 20, "annealing": 0.0},
    "pt": {"algorithm": "pt", "n_chains": 5, "n_temperatures": 4},
    "relu": {"activation": "relu", "visible": "gaussian"},
    "tanh": {"activation": "tanh", "centered": False, "init": "glorot_normal"},
    "sparse": {"sparsity_target": 0.1, "l1_ratio": 0.5, "alpha": 0.01},
    "bounds": {"max_norm": 0.5, "dropout": 0.3, "dtype": "float64", "trace": "batch"},
    "held out": {"early_stopping": True, "n_iter_no_change": 2},
    "gap": {"early_stopping": "free_energy", "n_iter_no_change": 2, "tol": 1e-3},
    "stalled": {"tol": 10.0, "n_iter_no_change": 2, "annealing": 0.3},
    "diverging": {"learning_rate": 1e6, "visible": "gaussian", "trace": None},
}
OF_A_FIT = (
    *("coefs_", "intercepts_", "intercepts_hidden_", "intercepts_visible_", "loss_curve_"),
    *("validation_scores_", "validation_loss_curve_", "held_out_loss_curve_", "best_loss_"),
    *("best_validation_score_", "loss_", "n_iter_", "t_", "max_iter_", "feature_importances_"),
    *("visible_variance_", "learning_rate_init_", "batch_size_"),
)


def arrays(value):
    """Yield every number in nested lists and arrays, as arrays."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from arrays(part)
    elif value is not None and not isinstance(value, str):
        yield np.ascontiguousarray(value)


def digest(*values):
    """Return a hash of the bits of values; all NaN count as one number."""
    total = hashlib.sha256()
    for array in arrays(values):
        total.update(np.where(np.isnan(array), np.nan, array).tobytes())
    return total.hexdigest()[:16]


def digest_of_fit(estimator, *outputs):
    """Return the hash of all fitted attributes and of some outputs."""
    trace = estimator.gradient_trace_
    left = [getattr(estimator, name, None) for name in OF_A_FIT]
    return digest(left, [] if trace is None else list(vars(trace).values()), *outputs)


def networks(names):
    """Yield hashes of regressors and classifiers with each set of parameters and each loss."""
    for name in names or NETWORKS:
        given = {"hidden_layer_sizes": (20, 20), "max_iter": 12, "random_state": 0}
        given |= NETWORKS[name]
        network = DeepMLPRegressor(**given).fit(TABLE, TARGET)
        yield f"regressor, {name}", digest_of_fit(network, network.predict(TABLE))
        given |= {"dtype": "float64"} if name == "diverging" else {}
        network = DBNClassifier(**given).fit(DIGITS, LABELS)
        yield f"classifier, {name}", digest_of_fit(network, network.predict_proba(DIGITS))
    for loss in () if names else ("absolute_error", "huber", "poisson", "gamma"):
        y = TARGET + 5 if loss in ("poisson", "gamma") else TARGET
        network = DeepMLPRegressor((20,), loss=loss, max_iter=5, random_state=0).fit(TABLE, y)
        yield f"regressor, {loss}", digest_of_fit(network)


def other_fits():
    """Yield hashes for weights, validation samples, several calls, sparse input, pretrainers."""
    common = {"hidden_layer_sizes": (20, 10), "max_iter": 8, "random_state": 0}
    weight = np.random.RandomState(0).uniform(size=len(LABELS))
    network = DBNClassifier(class_weight="balanced", **common).fit(DIGITS, LABELS, weight)
    yield "weights", digest_of_fit(network)
    network = DBNClassifier(**common).fit(DIGITS, LABELS, (10 * weight).astype(int))
    yield "whole weights", digest_of_fit(network)
    network = DBNClassifier(early_stopping=True, **common)
    network.fit(DIGITS[:400], LABELS[:400], X_val=DIGITS[400:], y_val=LABELS[400:])
    yield "validation rows", digest_of_fit(network)
    network = DeepMLPRegressor(warm_start=True, **common).fit(TABLE, TARGET).fit(TABLE, TARGET)
    yield "warm start", digest_of_fit(network)
    network = DBNClassifier(dropout=0.2, **common)
    for _ in range(3):
        network.partial_fit(DIGITS, LABELS, classes=range(10))
    yield "partial_fit", digest_of_fit(network)
    network = DBNClassifier(**common).fit(DIGITS, np.eye(10, dtype=int)[LABELS])
    yield "labels", digest_of_fit(network)
    network = DBNClassifier(**common).fit(scipy.sparse.csr_matrix(DIGITS), LABELS)
    yield "sparse input", digest_of_fit(network)
    network = DBNClassifier(unlabeled=-1, **common).fit(DIGITS, FEW)
    yield "few labels", digest_of_fit(network)
    given = BernoulliRBMStack(max_iter=3, algorithm="pcd")
    network = DBNClassifier(activation="tanh", pretrainer=given, **common).fit(DIGITS, LABELS)
    yield "pre-training", digest_of_fit(network)
    stack = BernoulliRBMStack((20, 10), max_iter=3, random_state=0).fit(DIGITS)
    for wrapper in FrozenEstimator, WarmStart:
        network = DBNClassifier(pretrainer=wrapper(stack), **common).fit(DIGITS, LABELS)
        yield wrapper.__name__, digest_of_fit(network, network.transform(DIGITS))


def stacks(names):
    """Yield hashes of stacks with each set of parameters, and of other ways to use them."""
    for name in names or STACKS:
        given = {"hidden_layer_sizes": (20, 10), "max_iter": 6, "random_state": 0}
        given |= STACKS[name]
        X = TABLE if given.get("visible") == "gaussian" else DIGITS
        stack = BernoulliRBMStack(**given).fit(X)
        outputs = [stack.transform(X), stack.reconstruct(X), stack.free_energy(X)]
        outputs += [stack.sample(5, n_steps=20), stack.gibbs(X[:5], 3)]
        outputs += [stack.score_samples(X[:50])]
        yield f"stack, {name}", digest_of_fit(stack, *outputs)
    if names:
        return
    stack = BernoulliRBMStack((20, 10), max_iter=4, random_state=0).fit(MIXED)
    missing = np.where(np.arange(MIXED.size).reshape(MIXED.shape) % 5 == 0, np.nan, MIXED)
    yield "mixed units", digest_of_fit(stack, stack.complete(missing, n_steps=20))
    stack.set_params(warm_start=True).fit(MIXED).partial_fit(MIXED)
    yield "going on", digest_of_fit(stack)
    stack = BernoulliRBMStack((10,), algorithm="pcd", max_iter=4, random_state=0)
    for _ in range(3):
        stack.partial_fit(DIGITS)
    yield "stack, partial_fit", digest_of_fit(stack)
    yield "likelihood", digest(log_likelihood(stack, DIGITS))


def main():
    """Print a line for each fit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one network and one stack")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    for name, bits in networks(["plain"] if quick else None):
        print(f"{name:<28}{bits}", flush=True)
    for name, bits in [] if quick else other_fits():
        print(f"{name:<28}{bits}", flush=True)
    for name, bits in stacks(["cd"] if quick else None):
        print(f"{name:<28}{bits}", flush=True)


if __name__ == "__main__":
    main()
