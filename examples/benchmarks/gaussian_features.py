"""Few labels: a linear classifier on features of Gaussian RBMs, compared with PCA features.

Both learn their features from all training images, without labels. Then logistic regression gets
a few labelled images of each class, or all. One restricted Boltzmann machine (RBM) with Gaussian
visible and rectified linear hidden units, with default settings, is trained for each of several
stratified splits. By default the images are scikit-learn's digits, which need no download.

    python examples/benchmarks/gaussian_features.py
    python examples/benchmarks/gaussian_features.py --quick
    python examples/benchmarks/gaussian_features.py --data faces.npz --units 100

The file contains X of shape (n_images, height, width), and the classes y. Images are shrunk to at
most 32 pixels per side.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_dbn import BernoulliRBMStack

LARGEST = 32  # pixels of a side

# scikit-learn's warning about one labelled sample in each class.
warnings.filterwarnings("ignore", message="The number of unique classes")


def load(path):
    """Return images as rows, and their classes."""
    if path is None:
        return load_digits(return_X_y=True)
    with np.load(path) as file:
        images, y = file["X"].astype("float32"), file["y"]
    while max(images.shape[1:]) > LARGEST:
        n, height, width = images.shape
        pairs = images[:, : height // 2 * 2, : width // 2 * 2]
        images = pairs.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return images.reshape(len(images), -1), y


def accuracies(features, split, counts):
    """Return test accuracies with the first labelled images of each class, for several counts."""
    X_train, X_test, y_train, y_test = split
    scaler = StandardScaler().fit(X_train)
    features.fit(scaler.transform(X_train))
    H_train, H_test = (features.transform(scaler.transform(X)) for X in (X_train, X_test))
    scores = []
    for count in counts:
        rows = [np.flatnonzero(y_train == label)[:count] for label in np.unique(y_train)]
        rows = np.concatenate(rows)
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        scores.append(classifier.fit(H_train[rows], y_train[rows]).score(H_test, y_test))
    return scores


def main(data, n_units, n_splits, max_iter):
    """Print mean accuracy and its standard error for each number of labels."""
    X, y = load(data)
    counts = [1, 2, 4, 8, None]
    scores = {"stack": [], "PCA": []}
    for seed in range(n_splits):
        split = train_test_split(X, y, test_size=0.2, stratify=y, random_state=seed)
        stack = BernoulliRBMStack(
            (n_units,), visible="gaussian", activation="relu", max_iter=max_iter, random_state=seed
        )
        for name, features in ("stack", stack), ("PCA", PCA(n_units, random_state=0)):
            scores[name].append(accuracies(features, split, counts))
    print(f"test accuracy in %, {n_units} features, mean of {n_splits} splits (standard error)")
    print(f"{'labels per class':>17} {'stack':>14} {'PCA':>14}")
    for i, count in enumerate(counts):
        cells = []
        for of_splits in scores.values():
            of_count = 100 * np.array(of_splits)[:, i]
            cells.append(f"{of_count.mean():.1f} ({of_count.std() / np.sqrt(n_splits):.1f})")
        print(f"{count or 'all':>17} {cells[0]:>14} {cells[1]:>14}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two splits and few epochs")
    parser.add_argument("--data", type=Path, help=".npz file with images X and classes y")
    parser.add_argument("--units", type=int, default=50, help="features (default: 50)")
    arguments = parser.parse_args()
    main(arguments.data, arguments.units, *((2, 10) if arguments.quick else (10, 50)))
