"""Ten layers that do and do not learn
===================================

What the gradient trace tells about it.

Three networks of ten hidden layers on scikit-learn's digits: logistic units with Glorot's
initialisation, logistic units with weights of standard deviation 1, and self-normalising units
(selu) with LeCun's initialisation. On the way back to the first layer, the gradient almost vanishes
in the first network, shrinks in the second, and keeps its size in the third.

.. code-block:: bash

    python examples/deep_network_gradients.py
    python examples/deep_network_gradients.py --quick
"""

# %%
# .. figure:: /pictures/deep_network_gradients.png
#
#    Gradients of the three networks by layer and epoch.
#
# More about this: :doc:`/trace`.

# sphinx_gallery_thumbnail_path = "pictures/deep_network_gradients.png"

import argparse
import warnings
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sk_dbn import DBNClassifier
from sk_dbn.inspection import GradientTraceDisplay

RECIPES = {
    "logistic, Glorot": {"activation": "logistic", "init": "glorot_uniform"},
    "logistic, standard normal": {"activation": "logistic", "init": "standard_normal"},
    "selu, LeCun": {"activation": "selu", "init": "lecun_normal"},
}
COMMON = {
    "pretrainer": None,
    "learning_rate": "constant",
    "learning_rate_init": 0.001,
    "batch_size": 200,
    "early_stopping": False,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "random_state": 0,
}


def fit_all(max_iter):
    """Return the networks by name, and their test accuracies."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
    networks, accuracies = {}, {}
    for name, recipe in RECIPES.items():
        network = DBNClassifier((30,) * 10, **recipe, **COMMON, max_iter=max_iter)
        networks[name] = network.fit(X_train, y_train)
        accuracies[name] = network.score(X_test, y_test)
    return networks, accuracies


def plot_norms(networks, path):
    """Draw gradient norms by layer and epoch, on one colour scale."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    for ax, (name, network) in zip(axes, networks.items()):
        GradientTraceDisplay.from_estimator(network, ax=ax, norm=LogNorm(1e-8, 10))
        ax.set_title(name)
    figure.savefig(path, dpi=100)
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
    plot_norms(networks, folder / "deep_network_gradients.png")
    print(f"\nPicture: {folder / 'deep_network_gradients.png'}")


def main():
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few epochs, in seconds")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder for the picture (default: output/ beside this script)",
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are limited on purpose
    networks, accuracies = fit_all(max_iter=20 if arguments.quick else 100)
    for name, network in networks.items():
        first, last = network.gradient_trace_.weight_grad_norm[0, [0, -1]]
        print(name)
        print(f"  gradient before training: first layer {first:.1e}, output layer {last:.1e}")
        print(f"  test accuracy after training: {accuracies[name]:.3f}")
    draw(networks, arguments.output)


if __name__ == "__main__":
    main()
