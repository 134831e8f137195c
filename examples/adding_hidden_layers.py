"""Does another hidden layer help?
===============================

Accuracy and the first layer's gradient by the number of layers.

Networks have one to eight hidden layers of 30 units, with six kinds of units and initial weights.
Logistic units with Glorot's weights and with weights from N(0, 1) are the two old ways. Rectified
linear units with He's weights, tanh with Glorot's and selu with LeCun's keep the gradient's size.
Last are logistic units that are pre-trained layer by layer, as a deep belief network.

.. code-block:: bash

    python examples/adding_hidden_layers.py                    # scikit-learn's digits
    python examples/adding_hidden_layers.py --quick
    python examples/adding_hidden_layers.py --data mnist.npz   # X_train, y_train, X_test, y_test

On MNIST it also repeats the first experiment of chapter 5 of Nielsen's "Neural Networks and Deep
Learning" (http://neuralnetworksanddeeplearning.com/chap5.html), and prints the book's accuracies.
"""

# %%
# .. figure:: /pictures/adding_hidden_layers.png
#
#    What the script draws: accuracy and gradients with one to eight layers.
#
# More about this: :doc:`/gradients`.

# sphinx_gallery_thumbnail_path = "pictures/adding_hidden_layers.png"

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import label_binarize

from sk_dbn import BernoulliRBMStack, DBNClassifier

DEPTHS = range(1, 9)
WIDTH = 30
RECIPES = {
    "logistic, Glorot": {"activation": "logistic", "init": "glorot_uniform"},
    "logistic, N(0, 1)": {"activation": "logistic", "init": "standard_normal"},
    "relu, He": {"activation": "relu", "init": "he_normal"},
    "tanh, Glorot": {"activation": "tanh", "init": "glorot_uniform"},
    "selu, LeCun": {"activation": "selu", "init": "lecun_normal"},
    "logistic, pre-trained": {"activation": "logistic", "pretrainer": BernoulliRBMStack()},
}
# No schedule, no regularisation, a fixed number of epochs: only depth and initial weights differ.
PLAIN = {
    "learning_rate": "constant",
    "learning_rate_init": 0.001,
    "early_stopping": False,
    "dropout": 0.0,
    "label_smoothing": 0.0,
}
# Accuracies of 1, 2, 3 and 4 hidden layers on the last 10,000 training images.
BOOK = (0.9648, 0.9690, 0.9657, 0.9653)
BOOK_RECIPE = PLAIN | {
    "solver": "sgd",
    "learning_rate_init": 0.1,
    "momentum": 0.0,
    "batch_size": 10,
    "max_iter": 30,
    "alpha": 0.001,  # the book's lambda / n = 5 / 50,000, times the minibatch size
}


def load(path):
    """Return images in [0, 1] and labels: X_train, X_test, y_train, y_test."""
    if path is None:
        X, y = load_digits(return_X_y=True)
        return train_test_split(X / 16, y, stratify=y, random_state=0)
    with np.load(path) as file:
        names = "X_train", "X_test", "y_train", "y_test"
        X_train, X_test, y_train, y_test = (file[name] for name in names)
    scale = np.float32(X_train.max())
    X_train, X_test = (X.reshape(len(X), -1) / scale for X in (X_train, X_test))
    return X_train, X_test, y_train, y_test


def settings(n_train, quick):
    """Return depths, seeds and numbers of epochs; larger data sets need fewer epochs."""
    is_small = n_train < 10_000
    common = PLAIN | {"batch_size": 32 if is_small else 100}
    common["max_iter"] = 20 if quick or not is_small else 50
    pretraining_epochs = int(np.clip(70_000 / n_train, 5, 50))
    depths, n_seeds = ((1, 4, 8), 1) if quick else (DEPTHS, 3 if is_small else 1)
    return depths, n_seeds, common, pretraining_epochs


def measure(recipe, depth, data, n_seeds, pretraining_epochs, common):
    """Return mean test accuracy, and mean norm of the first layer's gradient before fine-tuning."""
    X_train, X_test, y_train, y_test = data
    accuracies, norms = [], []
    for seed in range(n_seeds):
        recipe = {"pretrainer": None, **recipe}
        network = DBNClassifier((WIDTH,) * depth, **recipe, **common, random_state=seed)
        if isinstance(network.pretrainer, BernoulliRBMStack):
            network.set_params(pretrainer__max_iter=pretraining_epochs)
        network.fit(X_train, y_train)
        accuracies.append(network.score(X_test, y_test))
        norms.append(network.gradient_trace_.weight_grad_norm[0, 0])
    return np.mean(accuracies), np.mean(norms)


def compare(data, depths, n_seeds, common, pretraining_epochs):
    """Print and return accuracies and gradient norms of every recipe, each of shape (n_depths,)."""
    results = {}
    for name, recipe in RECIPES.items():
        pairs = [
            measure(recipe, depth, data, n_seeds, pretraining_epochs, common) for depth in depths
        ]
        results[name] = np.array(pairs).T
        accuracies, norms = results[name]
        print(f"{name:<22}accuracy" + "".join(f"{x:>9.3f}" for x in accuracies))
        print(f"{'':<22}gradient" + "".join(f"{x:>9.0e}" for x in norms), flush=True)
    return results


def repeat_book(X, y):
    """Print the accuracies of the book's first experiment, ours above the book's."""
    Y = label_binarize(y, classes=range(10))  # ten logistic outputs, as in the book
    print("\nChapter 5: 30 epochs of plain gradient descent on 50,000 images, 10,000 to validate")
    accuracies = []
    for depth in range(1, 5):
        network = DBNClassifier(
            (WIDTH,) * depth,
            init="lecun_normal",
            pretrainer=None,
            random_state=0,
            **BOOK_RECIPE,
        ).fit(X[:50_000], Y[:50_000])
        predicted = network.predict_proba(X[50_000:]).argmax(axis=1)
        accuracies.append(np.mean(predicted == y[50_000:]))
    for name, row in (("ours", accuracies), ("book", BOOK)):
        print(f"{name:<22}accuracy" + "".join(f"{x:>9.4f}" for x in row))


def plot(depths, results, path):
    """Draw accuracy and norm of the first layer's gradient by the number of hidden layers."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for i, (name, (accuracies, norms)) in enumerate(results.items()):
        style = {"marker": "osv^Dx"[i], "color": f"C{i}", "label": name}
        axes[0].plot(depths, accuracies, **style)
        axes[1].semilogy(depths, norms, **style)
    axes[0].set(title="Test accuracy")
    axes[1].set(title="Gradient of the first layer's weights, before the first update")
    axes[1].title.set_fontsize(10)
    for ax in axes:
        ax.set(xlabel="hidden layers", xticks=depths)
        ax.grid(alpha=0.3)
    axes[0].legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw(depths, results, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot(depths, results, folder / "adding_hidden_layers.png")
    print(f"\nPicture: {folder / 'adding_hidden_layers.png'}")


def main():
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer depths and epochs, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file (default: scikit-learn's digits)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder for the picture (default: output/ beside this script)",
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are limited on purpose
    data = load(arguments.data)
    n_train, n_features = data[0].shape
    depths, n_seeds, common, pretraining_epochs = settings(n_train, arguments.quick)
    print(f"{n_train} images to train on, {len(data[1])} to test; {WIDTH} units per layer,")
    print(f"{common['max_iter']} epochs, minibatches of {common['batch_size']}, seeds: {n_seeds}")
    print("test accuracy, and norm of the first layer's gradient before the first update\n")
    print(f"{'hidden layers':<30}" + "".join(f"{depth:>9}" for depth in depths))
    results = compare(data, depths, n_seeds, common, pretraining_epochs)
    if (n_train, n_features) == (60_000, 784) and not arguments.quick:
        repeat_book(data[0], data[2])
    draw(depths, results, arguments.output)


if __name__ == "__main__":
    main()
