"""Which samples to label
======================

The accuracy with labels for one sample in a hundred: chosen at random, or by clusters.

A stack learns features from all training images without labels, once. Then one image in a hundred
gets its label: at random, or the ones nearest to the centers of as many clusters of the features.
Six models are trained on these: logistic regression on the pixels and on the features; a network
that starts from the stack, with default settings and with those that keep more of the features;
this network with self-training; and label spreading on the features. The script prints mean and
standard deviation of the test accuracy over several choices of the images, and how many classes
they have.

.. code-block:: bash

    python examples/samples_to_label.py
    python examples/samples_to_label.py --quick
    python examples/samples_to_label.py --data mnist.npz   # X_train, y_train, X_test, y_test
"""

# %%
# More about this: :doc:`/few_labels`.

import argparse
import warnings
from pathlib import Path

import numpy as np
from few_labels import KEEPING, SIZES, load
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sk_dbn import BernoulliRBMStack, DBNClassifier, WarmStart

MOST_IMAGES = 6000  # of MNIST, stratified by class
STACK = {"annealing": 0.5, "sparsity_target": 0.1, "random_state": 0}
NAMES = (
    "logistic regression on pixels",
    "logistic regression on features",
    "network, default fine-tuning",
    "network, features kept",
    "the same with self-training",
    "label spreading on features",
)


def models(stack, seed):
    """Return the models that are compared, in the order of NAMES."""
    common = {"pretrainer": WarmStart(stack), "max_iter": 100, "random_state": seed}
    linear, features = LogisticRegression(max_iter=1000), FrozenEstimator(stack)
    kept = DBNClassifier(SIZES, **KEEPING, **common)
    return [
        linear,
        make_pipeline(features, linear),
        DBNClassifier(SIZES, **common),
        kept,
        SelfTrainingClassifier(kept, max_iter=3),
        make_pipeline(features, LabelSpreading(kernel="knn", n_neighbors=7)),
    ]


def at_random(H, n_labels, seed):
    """Return random rows."""
    return np.random.RandomState(seed).choice(len(H), n_labels, replace=False)


def by_clusters(H, n_labels, seed):
    """Return the rows of the features H that are nearest to the centers of clusters."""
    centers = KMeans(n_labels, n_init=3, random_state=seed).fit(H).cluster_centers_
    return pairwise_distances_argmin(centers, H)


def accuracies(stack, rows, seed, X_train, X_test, y_train, y_test):
    """Return the test accuracy of every model; the last two see the other samples, too."""
    y_few = np.full(len(y_train), -1)
    y_few[rows] = y_train[rows]
    scores = []
    for i, model in enumerate(models(stack, seed)):
        seen = (X_train, y_few) if i >= len(NAMES) - 2 else (X_train[rows], y_train[rows])
        scores.append(model.fit(*seen).score(X_test, y_test))
    return scores


def main():
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one choice of images, few epochs")
    parser.add_argument("--data", type=Path, help=".npz file (default: scikit-learn's digits)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    # Of label spreading, for test images near which there are none that a label has reached.
    warnings.filterwarnings("ignore", "invalid value", RuntimeWarning, module="sklearn")
    X_train, X_test, y_train, y_test = load(arguments.data)
    if len(X_train) > MOST_IMAGES:
        some = {"train_size": MOST_IMAGES, "stratify": y_train, "random_state": 0}
        X_train, _, y_train, _ = train_test_split(X_train, y_train, **some)
    n_labels = round(len(X_train) / 100) + (len(X_train) % 100 > 0)
    n_seeds = 1 if arguments.quick else 10 if arguments.data is None else 3
    epochs = 10 if arguments.quick else 100 if arguments.data is None else 20
    stack = BernoulliRBMStack(SIZES, max_iter=epochs, **STACK).fit(X_train)
    H = stack.transform(X_train)
    print(f"{len(X_train)} images to train on, {n_labels} of them with labels")
    parts = X_train, X_test, y_train, y_test
    for choose in (at_random, by_clusters):
        chosen = [choose(H, n_labels, seed) for seed in range(n_seeds)]
        n_classes = [len(np.unique(y_train[rows])) for rows in chosen]
        results = np.array(
            [accuracies(stack, rows, seed, *parts) for seed, rows in enumerate(chosen)]
        )
        print(f"\n{choose.__name__.replace('_', ' ')}; classes: {n_classes}")
        for name, scores in zip(NAMES, results.T, strict=True):
            print(f"{name:<32} {scores.mean():.3f} ± {scores.std():.3f}", flush=True)


if __name__ == "__main__":
    main()
