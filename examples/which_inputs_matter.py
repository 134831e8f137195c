"""Which pixels matter?
====================

Feature importances of a restricted Boltzmann machine, without labels.

`feature_importances_` of a stack says how much worse it reconstructs its input when a pixel is
hidden from it. SelectFromModel keeps the most important pixels, and a classifier is trained on
these alone. Its accuracy is compared with that on as many random pixels (mean and standard
deviation over several choices) and on the pixels with the largest variance. The latter are the
simplest choice without labels and, since all pixels have one scale, as good. The importances are
drawn as an image if matplotlib is installed (`pip install '.[plot]'`).

.. code-block:: bash

    python examples/which_inputs_matter.py
    python examples/which_inputs_matter.py --quick
"""

# %%
# .. figure:: /pictures/which_inputs_matter.png
#
#    How important each pixel is.
#
# More about this: :doc:`/features`.

# sphinx_gallery_thumbnail_path = "pictures/which_inputs_matter.png"

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from sk_dbn import BernoulliRBMStack

N_KEPT = (3, 6, 10, 13, 19, 32)
SHAPE = 8, 8


def most_important(stack, n_kept):
    """Return a mask of the pixels that SelectFromModel keeps."""
    selector = SelectFromModel(stack, threshold=-np.inf, max_features=n_kept, prefit=True)
    return selector.get_support()


def most_variable(X, n_kept):
    """Return a mask of the pixels with the largest variance."""
    return np.argsort(np.argsort(-X.var(axis=0))) < n_kept


def random_masks(n_features, n_kept, n_choices):
    """Return several masks of random pixels."""
    random = np.random.RandomState(0)
    return [random.permutation(n_features) < n_kept for _ in range(n_choices)]


def accuracy(mask, X_train, X_test, y_train, y_test):
    """Return the test accuracy of a support vector machine on these pixels alone."""
    return SVC().fit(X_train[:, mask], y_train).score(X_test[:, mask], y_test)


def plot_kept(figure, importances, masks):
    """Draw the importances as an image, and the pixels that are kept."""
    rows = [["all", *N_KEPT[:3]], ["all", *N_KEPT[3:]]]
    axes = figure.subplot_mosaic(rows, width_ratios=[2.3, 1, 1, 1])
    image = axes["all"].imshow(importances.reshape(SHAPE), cmap="viridis")
    axes["all"].set(title="importance, nats per image", xticks=[], yticks=[])
    figure.colorbar(image, ax=axes["all"], shrink=0.8)
    for n_kept, mask in masks.items():
        kept = np.where(mask, importances, np.nan).reshape(SHAPE)
        axes[n_kept].imshow(kept, cmap="viridis", vmin=0, vmax=importances.max())
        axes[n_kept].set(title=f"{n_kept} kept", xticks=[], yticks=[], facecolor="0.9")


def plot_accuracies(figure, table):
    """Draw the accuracy by number of pixels."""
    ax = figure.subplots()
    n_kept = list(table)
    best, simple, mean, spread = np.array(list(table.values())).T
    ax.fill_between(n_kept, mean - spread, mean + spread, color="0.85", label="random, mean ± sd")
    ax.plot(n_kept, mean, color="0.6")
    ax.plot(n_kept, simple, "s--", color="tab:orange", label="largest variance")
    ax.plot(n_kept, best, "o-", color="tab:purple", label="largest importance")
    ax.set(xlabel="pixels kept, of 64", ylabel="test accuracy", xticks=n_kept)
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right")


def draw(importances, masks, table, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 3.8), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.6, 1])
    plot_kept(left, importances, masks)
    plot_accuracies(right, table)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "which_inputs_matter.png", dpi=100)
    plt.close(figure)
    print(f"\nPicture: {folder / 'which_inputs_matter.png'}")


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few epochs and choices, in seconds")
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
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X / 16, y, stratify=y, random_state=0)
    X_train, n_features = parts[0], X.shape[1]
    stack = BernoulliRBMStack(100, max_iter=10 if arguments.quick else 50, random_state=0)
    stack.fit(X_train)
    n_choices = 5 if arguments.quick else 20
    with_all = accuracy(np.ones(n_features, dtype=bool), *parts)
    print(f"{len(X_train)} images to train on, {len(parts[1])} to test, {n_features} pixels\n")
    print("accuracy with the pixels of the largest importance, the largest variance, and at random")
    print(f"{'kept':>5} {'importance':>11} {'variance':>9} {'random':>15}", end="")
    print(f"      all pixels: {with_all:.3f}")
    masks, table = {}, {}
    for n_kept in N_KEPT:
        masks[n_kept] = most_important(stack, n_kept)
        chosen = masks[n_kept], most_variable(X_train, n_kept)
        best, simple = (accuracy(mask, *parts) for mask in chosen)
        scores = [accuracy(mask, *parts) for mask in random_masks(n_features, n_kept, n_choices)]
        table[n_kept] = best, simple, np.mean(scores), np.std(scores)
        print("{:>5} {:>11.3f} {:>9.3f} {:>7.3f} ± {:.3f}".format(n_kept, *table[n_kept]))
    draw(stack.feature_importances_, masks, table, arguments.output)


if __name__ == "__main__":
    main()
