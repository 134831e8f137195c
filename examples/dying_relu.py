"""Rectified linear units that die
===============================

What kills them, and what keeps them alive.

If the input of a unit is below zero for every sample, its output and its gradient are 0: it no
longer learns. Large steps cause this. Networks of three hidden layers of 50 units on scikit-learn's
digits are trained for five epochs, and then with a suitable learning rate. But dead units stay
dead, as `dead_fraction` of the gradient trace shows.

With Adam the learning rate sets the size of the steps, and a rate of 0.1 kills units. It is
compared with a smaller rate, and with units that have a gradient below zero too. In gradient
descent the step is proportional to the gradient, so initial weights that are too large kill units,
and smaller ones do not.

.. code-block:: bash

    python examples/dying_relu.py
    python examples/dying_relu.py --quick
"""

# %%
# .. figure:: /pictures/dying_relu.png
#
#    The share of dead units. At the dashed line the learning rate is reduced.
#
# More about this: :doc:`/initialisation`.

# sphinx_gallery_thumbnail_path = "pictures/dying_relu.png"

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sk_dbn import DBNClassifier

ADAM = {"solver": "adam", "activation": "relu", "learning_rate_init": 0.1}
SGD = {"solver": "sgd", "activation": "relu", "learning_rate_init": 0.05}
RECIPES = {
    "adam, rate 0.1, relu": ADAM,
    "adam, rate 0.1, leaky_relu": ADAM | {"activation": "leaky_relu"},
    "adam, rate 0.1, elu": ADAM | {"activation": "elu"},
    "adam, rate 0.001, relu": ADAM | {"learning_rate_init": 0.001},
    "sgd, N(0, 0.25), relu": SGD | {"init": 0.5},
    "sgd, He, relu": SGD | {"init": "he_normal"},
}
FIRST_EPOCHS, LATER_RATES = 5, {"adam": 0.001, "sgd": 0.01}


def train(recipe, data, later_epochs, seed):
    """Return the share of dead hidden units, before training and by epoch, and test accuracies."""
    X_train, X_test, y_train, y_test = data
    network = DBNClassifier(
        (50, 50, 50),
        **recipe,
        learning_rate="constant",
        batch_size=32,
        max_iter=FIRST_EPOCHS,
        early_stopping=False,
        n_iter_no_change=np.inf,
        dropout=0.0,
        label_smoothing=0.0,
        pretrainer=None,
        warm_start=True,
        random_state=seed,
    )
    network.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    network.set_params(learning_rate_init=LATER_RATES[network.solver], max_iter=later_epochs)
    network.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    dead = network.gradient_trace_.dead_fraction[:, :-1].mean(axis=1)
    return dead, network.validation_scores_


def compare(n_seeds, later_epochs):
    """Print a table and return the mean curves of every recipe."""
    X, y = load_digits(return_X_y=True)
    data = train_test_split(X / 16, y, stratify=y, random_state=0)
    curves = {}
    print(f"{'':<28}{'share of dead units':>24}{'test accuracy':>20}")
    epochs = 0, FIRST_EPOCHS, FIRST_EPOCHS + later_epochs
    cells = "".join(f"{epoch:>8}" for epoch in epochs)
    print(f"{'after epoch':<28}{cells}    {epochs[1]:>8}{epochs[2]:>8}")
    for name, recipe in RECIPES.items():
        runs = [train(recipe, data, later_epochs, seed) for seed in range(n_seeds)]
        dead, scores = (np.mean(part, axis=0) for part in zip(*runs))
        curves[name] = dead, scores
        cells = "".join(f"{x:>8.2f}" for x in dead[[0, FIRST_EPOCHS, -1]])
        cells += "    " + "".join(f"{x:>8.3f}" for x in scores[[FIRST_EPOCHS - 1, -1]])
        print(f"{name:<28}{cells}", flush=True)
    return curves


def plot(curves, path):
    """Draw the share of dead units and the test accuracy by epoch."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, (dead, scores) in curves.items():
        axes[0].plot(range(len(dead)), dead, label=name)
        axes[1].plot(range(1, len(scores) + 1), scores, label=name)
    axes[0].set(title="Dead hidden units", ylabel="share")
    axes[1].set(title="Test accuracy")
    for ax in axes:
        ax.axvline(FIRST_EPOCHS, color="0.6", linestyle="--")
        ax.set(xlabel="epoch", ylim=(-0.02, 1.02))
        ax.grid(alpha=0.3)
    axes[1].legend(fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw(curves, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot(curves, folder / "dying_relu.png")
    print(f"\nPicture: {folder / 'dying_relu.png'}")


def main():
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer networks, in seconds")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder for the picture (default: output/ beside this script)",
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are limited on purpose
    n_seeds, later_epochs = (3, 15) if arguments.quick else (20, 35)
    rates = " and ".join(f"{rate} ({solver})" for solver, rate in LATER_RATES.items())
    print(f"mean of {n_seeds} networks; rate from epoch {FIRST_EPOCHS + 1} on: {rates}\n")
    draw(compare(n_seeds, later_epochs), arguments.output)


if __name__ == "__main__":
    main()
