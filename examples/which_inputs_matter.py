"""Which pixels matter, as a Boltzmann machine sees it without labels.

`feature_importances_` of a stack says how much worse it reconstructs its input when a pixel is
hidden from it. SelectFromModel keeps the few pixels that matter most, and a classifier is trained
on these alone. Its accuracy is set against that on as many pixels chosen by chance, mean and
standard deviation over several choices, and on those that vary most, which is the simplest choice
without labels and, where all pixels have one scale, as good. The importances are drawn as an image
where matplotlib is installed (`pip install '.[plot]'`).

    python examples/which_inputs_matter.py
    python examples/which_inputs_matter.py --quick
"""

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


def matters_most(stack, n_kept):
    """Which pixels SelectFromModel keeps, as a mask."""
    selector = SelectFromModel(stack, threshold=-np.inf, max_features=n_kept, prefit=True)
    return selector.get_support()


def varies_most(X, n_kept):
    """The pixels of the largest variance, as a mask."""
    return np.argsort(np.argsort(-X.var(axis=0))) < n_kept


def by_chance(n_features, n_kept, n_choices):
    """Several masks of as many pixels."""
    random = np.random.RandomState(0)
    return [random.permutation(n_features) < n_kept for _ in range(n_choices)]


def accuracy(mask, X_train, X_test, y_train, y_test):
    """Accuracy of a support vector machine that sees these pixels alone."""
    return SVC().fit(X_train[:, mask], y_train).score(X_test[:, mask], y_test)


def plot_kept(figure, importances, masks):
    """The importances as an image, and which pixels are kept."""
    rows = [["all", *N_KEPT[:3]], ["all", *N_KEPT[3:]]]
    axes = figure.subplot_mosaic(rows, width_ratios=[2.3, 1, 1, 1])
    image = axes["all"].imshow(importances.reshape(SHAPE), cmap="viridis")
    axes["all"].set(title="importance, nats an image", xticks=[], yticks=[])
    figure.colorbar(image, ax=axes["all"], shrink=0.8)
    for n_kept, mask in masks.items():
        kept = np.where(mask, importances, np.nan).reshape(SHAPE)
        axes[n_kept].imshow(kept, cmap="viridis", vmin=0, vmax=importances.max())
        axes[n_kept].set(title=f"{n_kept} kept", xticks=[], yticks=[], facecolor="0.9")


def plot_accuracies(figure, table):
    """Accuracy by number of pixels."""
    ax = figure.subplots()
    n_kept = list(table)
    best, simple, mean, spread = np.array(list(table.values())).T
    ax.fill_between(n_kept, mean - spread, mean + spread, color="0.85", label="chance, mean ± sd")
    ax.plot(n_kept, mean, color="0.6")
    ax.plot(n_kept, simple, "s--", color="tab:orange", label="largest variance")
    ax.plot(n_kept, best, "o-", color="tab:purple", label="largest importance")
    ax.set(xlabel="pixels kept, of 64", ylabel="test accuracy", xticks=n_kept)
    ax.grid(alpha=0.3)
    ax.legend(loc="lower right")


def draw(importances, masks, table, folder):
    """Write the picture, or say what is missing for it."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. pip install '.[plot]' brings it.")
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
    """The command line."""
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
    everything = accuracy(np.ones(n_features, dtype=bool), *parts)
    print(f"{len(X_train)} images to train on, {len(parts[1])} to test, {n_features} pixels\n")
    print("accuracy with the pixels of the largest importance, the largest variance, and chance")
    print(f"{'kept':>5} {'importance':>11} {'variance':>9} {'chance':>15}", end="")
    print(f"      all pixels: {everything:.3f}")
    masks, table = {}, {}
    for n_kept in N_KEPT:
        masks[n_kept] = matters_most(stack, n_kept)
        ours, simple = (accuracy(m, *parts) for m in (masks[n_kept], varies_most(X_train, n_kept)))
        chance = [accuracy(m, *parts) for m in by_chance(n_features, n_kept, n_choices)]
        table[n_kept] = ours, simple, np.mean(chance), np.std(chance)
        print("{:>5} {:>11.3f} {:>9.3f} {:>7.3f} ± {:.3f}".format(n_kept, *table[n_kept]))
    draw(stack.feature_importances_, masks, table, arguments.output)


if __name__ == "__main__":
    main()
