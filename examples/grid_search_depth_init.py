"""How many layers, and which initial weights?
===========================================

A grid search over both, with heat maps.

GridSearchCV searches over one to five hidden layers and eight initialisations, for a DBNClassifier
without pre-training on scikit-learn's digits (logistic units, accuracy) and for a DeepMLPRegressor
on its diabetes data (rectified linear units, R^2). The heat maps are drawn if matplotlib is
installed (`pip install '.[plot]'`).

.. code-block:: bash

    python examples/grid_search_depth_init.py
    python examples/grid_search_depth_init.py --quick
"""

# %%
# .. figure:: /pictures/grid_search_depth_init.png
#
#    Mean test score by initialisation and depth.
#
# More about this: :doc:`/searches`.

# sphinx_gallery_thumbnail_path = "pictures/grid_search_depth_init.png"

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sk_dbn import DBNClassifier, DeepMLPRegressor

DEPTHS = (1, 2, 3, 4, 5)
INITS = (
    "zeros",
    "normal",
    "standard_normal",
    "glorot_uniform",
    "he_normal",
    "lecun_normal",
    "orthogonal",
    "sklearn",
)


def problems(quick):
    """Yield each problem as title, estimator, X, y."""
    common = {"batch_size": 32, "max_iter": 60, "trace": None, "random_state": 0}
    # As scikit-learn trains: schedules and regularisation would need a search of their own.
    common |= {"learning_rate": "constant", "learning_rate_init": 0.001}
    common |= {"early_stopping": False, "dropout": 0.0}
    if quick:
        common |= {"max_iter": 10, "learning_rate_init": 0.01}
    X, y = load_digits(return_X_y=True)
    n = 300 if quick else len(X)
    dbn = DBNClassifier(pretrainer=None, label_smoothing=0.0, **common)
    yield "digits, logistic, accuracy", dbn, X[:n] / 16, y[:n]
    X, y = load_diabetes(return_X_y=True)
    mlp = DeepMLPRegressor(activation="relu", **common)
    yield "diabetes, relu, R^2", mlp, X / X.std(axis=0), (y - y.mean()) / y.std()


def search(estimator, X, y, width, cv):
    """Return cross-validated scores of shape (n_depths, n_inits)."""
    grid = {"hidden_layer_sizes": [(width,) * depth for depth in DEPTHS], "init": INITS}
    result = GridSearchCV(estimator, grid, cv=cv, n_jobs=2).fit(X, y)
    best = result.best_params_
    print(
        f"best: {len(best['hidden_layer_sizes'])} hidden layers from {best['init']!r}, "
        f"{result.best_score_:.3f}"
    )
    # Parameters are sorted by name, and the last one, init, changes fastest.
    return result.cv_results_["mean_test_score"].reshape(len(DEPTHS), len(INITS))


def text(score, digits):
    """Format a score; far below zero, print only its magnitude."""
    if score > -10:
        return f"{round(score, digits) + 0.0:.{digits}f}"
    return f"{score:.0e}".replace("e+0", "e")


def print_scores(scores):
    """Print one line for each initialisation, one column for each depth."""
    print(f"{'hidden layers':<16}" + "".join(f"{depth:>8}" for depth in DEPTHS))
    for init, row in zip(INITS, scores.T):
        print(f"{init:<16}" + "".join(f"{text(score, 3):>8}" for score in row))


def plot_scores(all_scores, path):
    """Draw a heat map for each problem."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(all_scores), figsize=(10, 4.2), layout="constrained")
    for ax, (title, scores) in zip(axes, all_scores.items()):
        low, high = max(0.0, scores.min()), scores.max()
        image = ax.imshow(scores.T, cmap="cividis", vmin=low, vmax=high, aspect="auto")
        for (depth, init), score in np.ndenumerate(scores):
            color = "white" if score < (low + high) / 2 else "black"
            ax.text(depth, init, text(score, 2), ha="center", va="center", color=color)
        ax.set(title=title, xlabel="hidden layers")
        ax.set_xticks(range(len(DEPTHS)), DEPTHS)
        ax.set_yticks(range(len(INITS)), INITS)
        figure.colorbar(image, ax=ax)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw(all_scores, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("No picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot_scores(all_scores, folder / "grid_search_depth_init.png")
    print(f"Picture: {folder / 'grid_search_depth_init.png'}")


def main():
    """Search, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples and epochs, in seconds")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder for the picture (default: output/ beside this script)",
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are limited on purpose
    all_scores = {}
    for title, estimator, X, y in problems(arguments.quick):
        print(title)
        scores = search(estimator, X, y, *((20, 2) if arguments.quick else (50, 3)))
        print_scores(scores)
        print(flush=True)
        all_scores[title] = scores
    draw(all_scores, arguments.output)


if __name__ == "__main__":
    main()
