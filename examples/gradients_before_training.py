"""Gradients before the first update
=================================

Vanishing and exploding gradients of a textbook.

Chapter 5 of Nielsen's "Neural Networks and Deep Learning" [1]_ asks why deep networks of logistic
units are hard to train, and answers with three experiments. This script repeats them and prints the
book's numbers beside ours, which come from the first rows of the gradient trace.

1. A chain with one neuron per layer. Each layer multiplies the gradient by `|w s'(z)|` on the way
   back, and s'(z) is at most 1/4: with weights from N(0, 1) the gradient vanishes.
2. The same chain with weights of 100 and biases that keep z at 0. The factor is 100/4 = 25, and the
   gradient explodes.
3. Two, three and four hidden layers of 30 units, with weights from N(0, 1/fan_in) and biases from
   N(0, 1). The norm of the gradient of each layer's biases over 1000 images is a mean of 20
   networks; the book has one network of each depth.

.. code-block:: bash

    python examples/gradients_before_training.py                    # scikit-learn's digits
    python examples/gradients_before_training.py --quick
    python examples/gradients_before_training.py --data mnist.npz   # X_train, y_train; 0 to 255

.. [1] Nielsen, M. (2015). http://neuralnetworksanddeeplearning.com/chap5.html; its numbers come
    from fig/generate_gradient.py of https://github.com/mnielsen/neural-networks-and-deep-learning
"""

# %%
# .. figure:: /pictures/gradients_before_training.png
#
#    Left: chains that vanish, and one that explodes. Right: networks by depth.
#
# More about this: :doc:`/gradients`.

# sphinx_gallery_thumbnail_path = "pictures/gradients_before_training.png"

import argparse
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import label_binarize

from sk_dbn import DBNClassifier, DeepMLPRegressor

N_NEURONS = 8  # in a chain
N_IMAGES = 1000
# Norms of the gradients of the biases of the hidden layers, from the first to the last.
BOOK = {2: (0.07, 0.31), 3: (0.012, 0.060, 0.283), 4: (0.003, 0.017, 0.070, 0.285)}
# One epoch with a negligible step: only the initial gradients matter.
ONE_EPOCH = {
    "solver": "sgd",
    "learning_rate": "constant",
    "learning_rate_init": 1e-12,
    "max_iter": 1,
    "early_stopping": False,
    "dropout": 0.0,
    "dtype": "float64",
}


def load(path):
    """Return images in [0, 1] and their labels as ten columns of zeros and ones."""
    if path is None:
        X, y = load_digits(return_X_y=True)
    else:
        with np.load(path) as file:
            X, y = file["X_train"][:N_IMAGES], file["y_train"][:N_IMAGES]
    X = X.reshape(len(X), -1)[:N_IMAGES]
    return X / X.max(), label_binarize(y[:N_IMAGES], classes=range(10))


def trace_from(network, X, y, weights, biases):
    """Return the trace of a network with these initial weights and biases."""
    network.set_params(trace=None).fit(X, y)  # creates the arrays, which are then filled
    for array, values in zip([*network.coefs_, *network.intercepts_], [*weights, *biases]):
        array[:] = values
    return network.set_params(warm_start=True, trace="epoch").fit(X, y).gradient_trace_


def vanishing_chain(seed):
    """Return the gradient norms of the hidden biases, and the absolute weights, from N(0, 1)."""
    chain = DeepMLPRegressor(
        (1,) * N_NEURONS, "logistic", init="standard_normal", random_state=seed, **ONE_EPOCH
    ).fit([[0.5]], [1.0])
    weights = np.abs(np.ravel(chain.coefs_[1:-1]))
    return chain.gradient_trace_.bias_grad_norm[0, :-1], weights


def exploding_chain(weight=100.0):
    """Return the same norms if every weight is 100 and every z is 0."""
    weights = [np.full((1, 1), weight)] * N_NEURONS + [np.ones((1, 1))]
    # The input of the first neuron is x = 0, that of the others s(0) = 1/2: z = weight / 2 + bias.
    biases = [0.0] + [-weight / 2] * (N_NEURONS - 1) + [0.0]
    chain = DeepMLPRegressor((1,) * N_NEURONS, "logistic", **ONE_EPOCH)
    return trace_from(chain, [[0.0]], [1.0], weights, biases).bias_grad_norm[0, :-1]


def initial_norms(X, Y, depth, seed):
    """Return the norm of the gradient of each hidden layer's biases, over all images."""
    random, units = np.random.RandomState(seed), [X.shape[1], *[30] * depth, Y.shape[1]]
    weights = [random.normal(0, m**-0.5, (m, n)) for m, n in pairwise(units)]
    biases = [random.normal(size=n) for n in units[1:]]
    # Columns of zeros and ones give logistic outputs with the book's loss.
    network = DBNClassifier(
        (30,) * depth,
        pretrainer=None,
        batch_size=len(X),
        label_smoothing=0.0,
        n_jobs=1,
        **ONE_EPOCH,
    )
    # Row 0 is measured on some of the images, row 1 on the first minibatch, which has all images.
    return trace_from(network, X, Y, weights, biases).bias_grad_norm[1, :-1]


def chains(n_chains):
    """Print how the gradient changes along both kinds of chains."""
    parts = zip(*(vanishing_chain(seed) for seed in range(n_chains)))
    norms, weights = (np.array(part) for part in parts)
    factors = norms[:, :-1] / norms[:, 1:]
    print(f"{n_chains} chains of {N_NEURONS} neurons, weights from N(0, 1)")
    print("factor from a layer to the one before it, |w s'(z)|")
    print(f"  median                  {np.median(factors):.3f}   book: under 0.25")
    print(f"  largest s'(z)           {(factors / weights).max():.3f}   book: 0.25 at most")
    print(f"  share of factors < 1/4  {(factors < 0.25).mean():.3f}")
    print(f"  first to last layer     {np.median(norms[:, 0] / norms[:, -1]):.0e}   (median)")
    exploding = exploding_chain()
    print("\na chain with weights of 100 and z = 0, norm by layer")
    print("  " + " ".join(f"{norm:.1e}" for norm in exploding))
    steps = exploding[:-1] / exploding[1:]
    print(f"  factor from a layer to the one before it: {steps.min():.4f} to {steps.max():.4f}")
    print("  book: 25")
    return norms, exploding


def networks(X, Y, n_seeds):
    """Print the mean norms of each depth, and return them by depth."""
    print(f"\n{X.shape[1]}-30-...-30-10 logistic units, {len(X)} images, networks: {n_seeds}")
    print("norm of the gradient of the biases, and the ratio of each layer to the next")
    means = {}
    for depth, book in BOOK.items():
        norms = [initial_norms(X, Y, depth, seed) for seed in range(n_seeds)]
        means[depth] = np.mean(norms, axis=0)
        for name, row in (("ours", means[depth]), ("book, MNIST", book)):
            ratios = np.divide(row[:-1], row[1:])
            cells = "".join(f"{norm:>8.4f}" for norm in row)
            cells = f"{cells:<34}" + "".join(f"{ratio:>6.2f}" for ratio in ratios)
            print(f"  {depth} hidden, {name:<12}{cells}", flush=True)
    return means


def plot(vanishing, exploding, means, path):
    """Draw the gradient norms of the chains and of the networks by layer."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    layers = range(1, N_NEURONS + 1)
    for norms in vanishing[:20]:
        axes[0].semilogy(layers, norms / norms[-1], color="C0", alpha=0.3)
    axes[0].plot([], color="C0", label="weights from N(0, 1), 20 chains")
    axes[0].plot(layers, exploding / exploding[-1], "o-", color="C3", label="weights of 100, z = 0")
    axes[0].set(title="Chains of one neuron per layer", ylabel="gradient, relative to last layer")
    for (depth, norms), color in zip(means.items(), ("C0", "C1", "C2")):
        layers = range(1, depth + 1)
        axes[1].semilogy(layers, norms, "o-", color=color, label=f"{depth} hidden layers")
        axes[1].plot(layers, BOOK[depth], "x", color=color, markersize=9)
    axes[1].plot([], [], "kx", label="the book (MNIST)")
    axes[1].set(title="30 logistic units per layer", ylabel="norm of the biases' gradient")
    axes[1].set_xticks(range(1, max(means) + 1))
    for ax in axes:
        ax.set_xlabel("hidden layer")
        ax.grid(alpha=0.3)
        ax.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw(vanishing, exploding, means, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot(vanishing, exploding, means, folder / "gradients_before_training.png")
    print(f"\nPicture: {folder / 'gradients_before_training.png'}")


def main():
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer networks, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file (default: scikit-learn's digits)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder for the picture (default: output/ beside this script)",
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch on purpose
    vanishing, exploding = chains(20 if arguments.quick else 200)
    means = networks(*load(arguments.data), 4 if arguments.quick else 20)
    draw(vanishing, exploding, means, arguments.output)


if __name__ == "__main__":
    main()
