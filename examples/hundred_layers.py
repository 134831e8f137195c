"""A hundred hidden layers
=======================

Which of five networks learn, and why the others do not.

Networks have 30 and 100 hidden layers with 100 units each. All are trained in the same way:
gradient descent with clipped gradients, and a learning rate that rises and falls. The units are
self-normalising (selu) with LeCun's weights; the same without clipping; logistic with weights from
N(0, 1); rectified linear with He's weights, without and with residual connections (`shortcut`).

.. code-block:: bash

    python examples/hundred_layers.py                    # scikit-learn's digits, 30 epochs
    python examples/hundred_layers.py --quick            # 30 layers, 8 epochs
    python examples/hundred_layers.py --data mnist.npz   # X_train, y_train, X_test, y_test

The published accuracies come from notebook 11 of Géron's "Hands-On Machine Learning"
(https://github.com/ageron/handson-ml2): 100 layers of 100 units, 5 epochs, validation accuracy on
Fashion-MNIST. That data set is a different and harder one; only the order can be compared.
"""

# %%
# .. figure:: /pictures/hundred_layers.png
#
#    Gradients and activations of a hundred layers on MNIST.
#
# More about this: :doc:`/gradients`.

# sphinx_gallery_thumbnail_path = "pictures/hundred_layers.png"

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sk_dbn import DBNClassifier
from sk_dbn.inspection import ActivationDisplay, GradientTraceDisplay, diagnose

WIDTH = 100
COMMON = {
    "pretrainer": None,
    "solver": "sgd",
    "learning_rate": "one_cycle",
    "learning_rate_init": 0.1,
    "clip_norm": 0.1,
    "early_stopping": False,
    "dropout": 0.0,
    "label_smoothing": 0.0,
}
RECIPES = {
    "selu, LeCun": {"activation": "selu", "init": "lecun_normal"},
    "selu, not clipped": {"activation": "selu", "init": "lecun_normal", "clip_norm": None},
    "logistic, N(0, 1)": {"activation": "logistic", "init": "standard_normal"},
    "relu, He": {"activation": "relu", "init": "he_normal"},
    "relu, shortcuts": {"activation": "relu", "init": "he_normal", "shortcut": True},
}
PUBLISHED = {"selu, LeCun": "0.822", "relu, He": "0.738"}


def load(path):
    """Return standardised images and labels: X_train, X_test, y_train, y_test."""
    if path is None:
        X, y = load_digits(return_X_y=True)
        X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    else:
        with np.load(path) as file:
            names = "X_train", "X_test", "y_train", "y_test"
            X_train, X_test, y_train, y_test = (file[name] for name in names)
    X_train, X_test = (X.reshape(len(X), -1).astype(np.float32) for X in (X_train, X_test))
    mean, std = X_train.mean(), X_train.std()
    return (X_train - mean) / std, (X_test - mean) / std, y_train, y_test


def settings(n_train, quick):
    """Return depths, numbers of epochs and minibatch sizes; small data sets need more epochs."""
    depths = (30,) if quick else (30, 100)
    if n_train >= 10_000:
        return depths, {"max_iter": 5, "batch_size": 100}
    return depths, {"max_iter": 8 if quick else 30, "batch_size": 16 if quick else 32}


def fit_all(data, depths, changes):
    """Print test accuracies, and what `diagnose` finds in the deepest networks; return these."""
    X_train, X_test, y_train, y_test = data
    networks = {}
    head = "".join(f"{depth:>6} layers" for depth in depths)
    print(f"{'test accuracy':<20}{head}   published   found in the deepest")
    for name, recipe in RECIPES.items():
        cells = ""
        for depth in depths:
            network = DBNClassifier((WIDTH,) * depth, **COMMON | changes | recipe)
            networks[name] = network.fit(X_train, y_train)
            cells += f"{network.score(X_test, y_test):>13.3f}"
        found = ", ".join(finding.kind for finding in diagnose(networks[name])) or "nothing"
        print(f"{name:<20}{cells}{PUBLISHED.get(name, '-'):>12}   {found}", flush=True)
    return networks


def print_trace(networks):
    """Print gradient norms by layer, step sizes, and activations before training."""
    n_layers = next(iter(networks.values())).gradient_trace_.n_layers
    layers = np.linspace(0, n_layers - 2, 5).round().astype(int)
    head = "".join(f"{layer + 1:>9}" for layer in layers)
    print(f"\n{'norm of the gradient':<22}{'epoch':>6}{head}   output")
    for name, network in networks.items():
        trace = network.gradient_trace_
        for row in sorted({0, min(1, len(trace.epoch) - 1), len(trace.epoch) - 1}):
            norms = trace.weight_grad_norm[row, [*layers, -1]]
            cells = "".join(f"{norm:>9.0e}" for norm in norms)
            print(f"{name if row == 0 else '':<22}{trace.epoch[row]:>6.0f}{cells}")
    print(f"\n{'':<22}steps over weights   saturated   activations, std")
    print(f"{'mean of hidden layers':<22}{'in training':>18}   {'before':>9}   {'before':>16}")
    for name, network in networks.items():
        trace, hidden = network.gradient_trace_, slice(-1)
        means = (
            trace.update_ratio[1:].mean(axis=0),
            *(values[0] for values in (trace.saturated_fraction, trace.activation_std)),
        )
        steps, saturated, std = (values[hidden].mean() for values in means)
        print(f"{name:<22}{steps:>18.0e}   {saturated:>9.2f}   {std:>16.2f}")


def plot(networks, path):
    """Draw each network's gradients by epoch, and its activations before training."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    figure, axes = plt.subplots(2, len(networks), figsize=(13, 5.4), layout="constrained")
    for (above, below), (name, network) in zip(axes.T, networks.items()):
        display = GradientTraceDisplay.from_estimator(network, ax=above, norm=LogNorm(1e-4, 1e2))
        above.set_title(name)
        activations = ActivationDisplay.from_estimator(
            network, epoch=0, ax=below, markersize=2, capsize=0, elinewidth=0.5
        )
        below.set(ylim=(-2.5, 2.5))
        if below is not axes[1, 0]:
            below.set_ylabel("")
            below.get_legend().remove()
        if below is axes[1, -1]:
            continue
        display.colorbar_.remove()
        activations.fraction_ax_.set(ylabel="", yticks=[])
    figure.savefig(path, dpi=72)
    plt.close(figure)


def draw(networks, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot(networks, folder / "hundred_layers.png")
    print(f"\nPicture: {folder / 'hundred_layers.png'}")


def main():
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="30 layers only, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file (default: scikit-learn's digits)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and shuffling (default: 0)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder for the picture (default: output/ beside this script)",
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are limited on purpose
    data = load(arguments.data)
    depths, changes = settings(len(data[0]), arguments.quick)
    print(f"{len(data[0])} images to train on, {len(data[1])} to test; {WIDTH} units per layer,")
    print(f"{changes['max_iter']} epochs, minibatches of {changes['batch_size']}")
    print("published: 100 layers, 5 epochs, on Fashion-MNIST, which is another data set\n")
    networks = fit_all(data, depths, changes | {"random_state": arguments.seed})
    print_trace(networks)
    draw(networks, arguments.output)


if __name__ == "__main__":
    main()
