"""Quickstart: accuracy, gradients and filters
===========================================

A deep belief network on scikit-learn's digits.

The script trains a logistic regression, scikit-learn's multilayer perceptron and a DBNClassifier on
the same scaled images, all with their defaults, and a DBNClassifier that a stack of restricted
Boltzmann machines (RBMs) pre-trains. It prints their test accuracies, and the gradients of the last
one by layer and epoch. It draws these gradients, and the features that the first layer learned
without labels, if matplotlib is installed (`pip install '.[plot]'`).

.. code-block:: bash

    python examples/quickstart.py
    python examples/quickstart.py --output some/folder
"""

# %%
# .. figure:: /pictures/quickstart_gradients.png
#
#    The norm of each layer's gradient, in pre-training and in fine-tuning.
#
# More about this: :doc:`/getting_started`.

# sphinx_gallery_thumbnail_path = "pictures/quickstart_gradients.png"

import argparse
import time
import warnings
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sk_dbn import BernoulliRBMStack, DBNClassifier
from sk_dbn.inspection import GradientTraceDisplay, RBMFiltersDisplay

TRACED_EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100, 200)


def models():
    """Map names to models. By default, a DBNClassifier pre-trains only if labels are missing."""
    return {
        "LogisticRegression": LogisticRegression(),
        "MLPClassifier": MLPClassifier(random_state=0),
        "DBNClassifier": DBNClassifier(random_state=0),
        "DBNClassifier, pre-trained": DBNClassifier(pretrainer=BernoulliRBMStack(), random_state=0),
    }


def print_gradients(trace):
    """Print the norm of each layer's gradient, before training and after some epochs."""
    n_hidden = trace.n_layers - 1
    names = [f"hidden {layer}" for layer in range(1, n_hidden + 1)] + ["output"]
    print("epoch" + "".join(f"{name:>12}" for name in names))
    last = len(trace.epoch) - 1
    for epoch in sorted({last, *(epoch for epoch in TRACED_EPOCHS if epoch < last)}):
        norms = trace.weight_grad_norm[epoch]
        print(f"{epoch:>5}" + "".join(f"{norm:>12.4f}" for norm in norms))


def plot_gradients(dbn, path):
    """Draw gradient norms by epoch, of the RBMs in pre-training and of the network afterwards."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    GradientTraceDisplay.from_estimator(dbn.pretrainer_, kind="lines", ax=axes[0])
    GradientTraceDisplay.from_estimator(dbn, kind="lines", ax=axes[1])
    axes[0].set_title("Pre-training, one RBM after the other")
    axes[1].set(title="Fine-tuning", ylabel="")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def plot_filters(stack, path):
    """Draw the strongest hidden units' weights of the first RBM as images."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(9, 4.1), layout="constrained")
    RBMFiltersDisplay.from_estimator(stack, n_filters=60, n_columns=12, ax=ax)
    ax.set_title("Filters of the first layer, learned without labels")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw(dbn, folder):
    """Write the two pictures, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo pictures: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot_gradients(dbn, folder / "quickstart_gradients.png")
    plot_filters(dbn.pretrainer_, folder / "quickstart_filters.png")
    print(f"\nPictures: {folder / 'quickstart_gradients.png'}")
    print(f"          {folder / 'quickstart_filters.png'}")


def main():
    """Fit, compare, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder for the pictures (default: output/ beside this script)",
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # of MLPClassifier
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    print(f"digits: {len(X_train)} images to train on, {len(X_test)} to test\n")
    print("test accuracy (one image more or less is 0.002)")
    for name, model in models().items():
        start = time.perf_counter()
        pipeline = make_pipeline(MinMaxScaler(clip=True), model).fit(X_train, y_train)
        seconds = time.perf_counter() - start
        accuracy = pipeline.score(X_test, y_test)
        print(f"  {name:<32} {accuracy:.3f}   ({seconds:.1f} s)", flush=True)
    dbn = pipeline[-1]
    print("\nDBNClassifier, pre-trained: norm of the gradient of each layer's weights")
    print_gradients(dbn.gradient_trace_)
    draw(dbn, arguments.output)


if __name__ == "__main__":
    main()
