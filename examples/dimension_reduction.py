"""Dimension reduction
===================

Codes of an autoencoder and of a stack, compared with principal components.

A DBNAutoencoder, a BernoulliRBMStack and PCA reduce images to 2, 4 or 8 numbers, without labels.
The accuracy of the nearest neighbour among the training images' codes measures how much a code
keeps of an image; the mean squared error of the reconstruction, summed over pixels, measures it
without labels. The stack's code is used as log-odds, since the logistic function compresses
distances. The two-dimensional codes are drawn if matplotlib is installed
(`pip install '.[plot]'`).

.. code-block:: bash

    python examples/dimension_reduction.py
    python examples/dimension_reduction.py --quick
    python examples/dimension_reduction.py --data mnist.npz   # X_train, y_train, X_test, y_test
    python examples/dimension_reduction.py --openml mnist_784  # downloads it
"""

# %%
# .. figure:: /pictures/dimension_reduction.png
#
#    Codes of two numbers.
#
# More about this: :doc:`/autoencoders`.

# sphinx_gallery_thumbnail_path = "pictures/dimension_reduction.png"

import argparse
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from sklearn.datasets import fetch_openml, load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sk_dbn import BernoulliRBMStack, DBNAutoencoder
from sk_dbn.inspection import LatentSpaceDisplay

N_DIMENSIONS = (2, 4, 8)


def load(arguments):
    """Return X_train, X_test, y_train, y_test with values of X in [0, 1]."""
    if arguments.data is None:
        if arguments.openml is None:
            X, y = load_digits(return_X_y=True)
        else:
            X, y = fetch_openml(arguments.openml, return_X_y=True, as_frame=False)
        parts = train_test_split(X, y, stratify=y, random_state=0)
    else:
        with np.load(arguments.data) as file:
            parts = [file[name] for name in ("X_train", "X_test", "y_train", "y_test")]
    X_train, X_test, y_train, y_test = parts
    largest = X_train.max()
    X_train, X_test = (X.reshape(len(X), -1).astype("float32") / largest for X in parts[:2])
    return X_train, np.clip(X_test, 0, 1), y_train, y_test


def log_odds(p):
    """Return the logarithm of p / (1 - p), kept finite."""
    return logit(np.clip(p, 1e-15, 1 - 1e-15))


def make_stack(sizes, max_iter):
    """Return a stack that narrows layer by layer, and returns its code as log-odds."""
    # In float32 a probability close to 1 would round to 1, with infinite log-odds.
    stack = BernoulliRBMStack(sizes, max_iter=max_iter, dtype="float64", random_state=0)
    return make_pipeline(stack, FunctionTransformer(log_odds, from_log_odds))


def from_log_odds(x):
    """Return the inverse of `log_odds`."""
    return expit(x)


def accuracy(reducer, X_train, X_test, y_train, y_test):
    """Return the accuracy of the nearest neighbour's label, in the codes of a fitted reducer."""
    nearest = KNeighborsClassifier(n_neighbors=1).fit(reducer.transform(X_train), y_train)
    return nearest.score(reducer.transform(X_test), y_test)


def squared_error(reducer, X):
    """Return the mean squared error of the reconstruction, summed over pixels."""
    return ((reducer.inverse_transform(reducer.transform(X)) - X) ** 2).sum(axis=1).mean()


def plot_codes(reducers, X_test, y_test, path):
    """Draw scatter plots of two-dimensional codes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")
    for ax, (title, reducer) in zip(axes, reducers.items()):
        LatentSpaceDisplay.from_estimator(reducer, X_test, y_test, ax=ax)
        ax.set_title(title)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw(reducers, X_test, y_test, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("No picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot_codes(reducers, X_test, y_test, folder / "dimension_reduction.png")
    print(f"Picture: {folder / 'dimension_reduction.png'}")


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few epochs, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file (default: scikit-learn's digits)")
    parser.add_argument(
        "--hidden", type=int, nargs="+", default=(256, 128, 64), help="layers before the code"
    )
    parser.add_argument("--openml", help="name of a data set to fetch from openml.org")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder for the picture (default: output/ beside this script)",
    )
    return parser.parse_args()


def main():
    """Train, print and draw."""
    arguments = parse_arguments()
    X_train, X_test, y_train, y_test = load(arguments)
    n_train, n_features = X_train.shape
    print(f"{n_train} images to train on, {len(X_test)} to test, {n_features} pixels\n")
    nearest = KNeighborsClassifier(n_neighbors=1).fit(X_train, y_train)
    print(f"accuracy of the nearest neighbour: in all pixels {nearest.score(X_test, y_test):.3f}")
    # An RBM needs some thousands of updates; with more samples an epoch has more updates.
    max_iter = 10 if arguments.quick else int(np.clip(70_000 / n_train, 5, 50))
    for n_dimensions in N_DIMENSIONS:
        sizes = (*arguments.hidden, n_dimensions)
        reducers = {
            "DBNAutoencoder": DBNAutoencoder(
                sizes, max_iter=10 if arguments.quick else 4 * max_iter, random_state=0
            ),
            "BernoulliRBMStack": make_stack(sizes, max_iter),
            "PCA": PCA(n_dimensions, random_state=0),
        }
        print(f"\n{n_dimensions} dimensions        accuracy  squared error")
        for name, reducer in reducers.items():
            reducer.fit(X_train)
            score = accuracy(reducer, X_train, X_test, y_train, y_test)
            print(f"{name:<20} {score:>7.3f} {squared_error(reducer, X_test):>14.2f}", flush=True)
        if n_dimensions == 2:
            draw(reducers, X_test, y_test, arguments.output)


if __name__ == "__main__":
    main()
