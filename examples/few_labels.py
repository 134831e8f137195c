"""When pre-training pays
======================

The accuracy of six models by the number of labels.

A stack learns features from all training images without labels, once. Then some of the images get
their labels. Six models are trained on these: logistic regression on the pixels and on the stack's
features, scikit-learn's MLPClassifier, and a network of the same sizes without and with
pre-training by the stack. These networks are trained like scikit-learn's, with a constant rate and
without dropout, so that only their initial weights differ. The last network is pre-trained too and
keeps more of the features: it starts from a linear model on them, the pre-trained layers learn at a
tenth of the output layer's rate, and there is dropout. The script prints mean and standard
deviation of the test accuracy over several random choices of the labelled images.

.. code-block:: bash

    python examples/few_labels.py
    python examples/few_labels.py --quick
    python examples/few_labels.py --data mnist.npz   # X_train, y_train, X_test, y_test
"""

# %%
# More about this: :doc:`/few_labels`.

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from sk_dbn import BernoulliRBMStack, DBNClassifier, WarmStart

SIZES = 256, 128
PLAIN = {
    "learning_rate": "constant",
    "learning_rate_init": 0.001,
    "early_stopping": False,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "init": "glorot_uniform",
}
KEEPING = {"output_layer_first": True, "pretrained_learning_rate": 0.1, "dropout": 0.5}
NAMES = (
    *("on pixels", "on features", "MLPClassifier", "not pre-trained", "pre-trained"),
    "features kept",
)


def load(path):
    """Return X_train, X_test, y_train, y_test with values of X in [0, 1]."""
    if path is None:
        X, y = load_digits(return_X_y=True)
        parts = train_test_split(X, y, stratify=y, random_state=0)
    else:
        with np.load(path) as file:
            parts = [file[name] for name in ("X_train", "X_test", "y_train", "y_test")]
    X_train, X_test, y_train, y_test = parts
    X_train, X_test = (X.reshape(len(X), -1).astype("float32") for X in (X_train, X_test))
    return X_train / X_train.max(), X_test / X_train.max(), y_train, y_test


def models(stack, n_labels, seed):
    """Return the models that are compared, in the order of NAMES."""
    # By default a few hundred samples are one or two minibatches: too few updates per epoch.
    common = {"batch_size": max(10, n_labels // 100), "max_iter": 100, "random_state": seed}
    linear = LogisticRegression(max_iter=1000)
    return [
        linear,
        make_pipeline(FrozenEstimator(stack), linear),
        MLPClassifier(SIZES, **common),
        DBNClassifier(SIZES, pretrainer=None, **PLAIN, **common),
        DBNClassifier(SIZES, pretrainer=WarmStart(stack), **PLAIN, **common),
        DBNClassifier(SIZES, pretrainer=WarmStart(stack), **(PLAIN | KEEPING), **common),
    ]


def labelled(y, n_labels, seed):
    """Return the indices of the labelled samples, stratified by class."""
    rows = np.arange(len(y))
    if n_labels == len(y):
        return rows
    return train_test_split(rows, train_size=n_labels, stratify=y, random_state=seed)[0]


def accuracies(stack, n_labels, seed, X_train, X_test, y_train, y_test):
    """Return the test accuracy of every model, trained on the labelled samples."""
    rows = labelled(y_train, n_labels, seed)
    return [
        model.fit(X_train[rows], y_train[rows]).score(X_test, y_test)
        for model in models(stack, n_labels, seed)
    ]


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few epochs and labels, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file (default: scikit-learn's digits)")
    return parser.parse_args()


def main():
    """Train and print."""
    arguments = parse_arguments()
    warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred epochs are enough
    parts = load(arguments.data)
    n_train = len(parts[0])
    print(f"{n_train} images to train on, {len(parts[1])} to test")
    start = time.perf_counter()
    # An RBM needs some thousands of updates; with more samples an epoch has more updates.
    max_iter = 10 if arguments.quick else int(np.clip(600_000 / n_train, 10, 100))
    stack = BernoulliRBMStack(
        SIZES, max_iter=max_iter, annealing=0.5, sparsity_target=0.1, random_state=0
    ).fit(parts[0])
    seconds = time.perf_counter() - start
    print(f"the stack learned its features in {seconds:.1f} s\n", flush=True)
    print(f"{'':>6}{'logistic regression':>36}{'network':>72}")
    print("labels" + "".join(f"{name:>18}" for name in NAMES))
    counts = (50, 200) if arguments.quick else (20, 50, 100, 200, 500, 1000, 10_000)
    for n_labels in sorted({min(n, n_train) for n in counts}):
        seeds = range(2 if arguments.quick else 5)
        scores = np.array([accuracies(stack, n_labels, seed, *parts) for seed in seeds])
        cells = zip(scores.mean(axis=0), scores.std(axis=0))
        print(f"{n_labels:>6}" + "".join(f"{m:>10.3f} ± {s:.3f}" for m, s in cells), flush=True)


if __name__ == "__main__":
    main()
