"""Log-likelihood of test digits
=============================

Under restricted Boltzmann machines of 16 and of 500 hidden units, in nats.

Both restricted Boltzmann machines (RBMs) are trained with persistent chains. The small one is that
of PyDeep's tutorial [1]_, trained as in the tutorial and then with a learning rate that falls to
zero. Pixels are rounded, and the likelihood is exact. The large one is that of Salakhutdinov and
Murray [2]_, with a falling rate. A pixel is 1 with its grey level as probability, drawn again in
each epoch, and once for the test. The partition function is estimated by annealed importance
sampling in both directions, which must agree. Filters and samples of the large RBM are drawn if
matplotlib is installed (`pip install '.[plot]'`).

.. code-block:: bash

    python examples/mnist_likelihood.py                    # scikit-learn's digits
    python examples/mnist_likelihood.py --quick
    python examples/mnist_likelihood.py --data mnist.npz   # X_train and X_test, 0 to 255

.. [1] https://pydeep.readthedocs.io, "Small binary RBM on MNIST"
.. [2] On the quantitative analysis of deep belief networks. ICML 2008
"""

# %%
# .. figure:: /pictures/mnist_likelihood.png
#
#    Filters of the large RBM, and samples that it draws.
#
# More about this: :doc:`/likelihood`.

# sphinx_gallery_thumbnail_path = "pictures/mnist_likelihood.png"

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_dbn import BernoulliRBMStack
from sk_dbn.inspection import RBMFiltersDisplay, ReconstructionDisplay
from sk_dbn.likelihood import annealed_importance_sampling, exact_log_partition, log_likelihood

# Persistent chains can follow small steps only: no momentum. Weight decay would keep weights small.
COMMON = {"algorithm": "pcd", "momentum": 0.0, "alpha": 0.0, "trace": None, "random_state": 0}
PYDEEP = {"learning_rate": 0.01, "n_chains": 100, "annealing": 0.0}
ANNEALED = {"learning_rate": 0.1, "n_chains": 500, "annealing": 0.8}
LARGE = {"learning_rate": 0.1, "n_chains": 100}
# Hidden units of the large RBM, minibatch size, epochs of the small and large RBM, temperatures.
MNIST = 500, 100, 50, 120, 14500
DIGITS = 100, 20, 100, 300, 14500
QUICK = 100, 20, 10, 20, 1000
PUBLISHED = {
    "small": ("PyDeep: constant rate", -143.15, -142.56),
    "large": ("Salakhutdinov, Murray: CD-25", np.nan, -86.34),
}


def load(path):
    """Return training and test images as integers from 0, and the largest value."""
    if path is None:
        parts = train_test_split(load_digits().data, random_state=0)
    else:
        with np.load(path) as file:
            parts = file["X_train"], file["X_test"]
    X_train, X_test = (X.reshape(len(X), -1).astype(np.uint8) for X in parts)
    return X_train, X_test, int(X_train.max())


def rounded(X, largest):
    """Return 1 where the grey level is at least one half."""
    return (X >= largest / 2).astype(np.uint8)


def drawn(X, largest, random):
    """Draw 1 with the grey level as probability."""
    return (random.integers(largest, size=X.shape, dtype=np.uint8) < X).astype(np.uint8)


def independent(B_train, B_test):
    """Return the mean log-likelihood of both sets under independent pixels, as a baseline."""
    p = (B_train.sum(axis=0) + 1) / (len(B_train) + 2)
    means = (B.mean(axis=0) for B in (B_train, B_test))
    return [float(m @ np.log(p) + (1 - m) @ np.log(1 - p)) for m in means]


def report(name, *numbers):
    """Print a line of a table: nats of both sets, log Z, its standard error, training seconds."""
    cells = ["-" if np.isnan(number) else f"{number:.2f}" for number in numbers]
    cells += ["-"] * (5 - len(cells))
    print(f"  {name:<28}" + "".join(f" {cell:>8}" for cell in cells), flush=True)


def report_rbm(name, stack, both, log_z, error, seconds):
    """Print the line of an RBM with this log partition function; return the test set's nats."""
    means = [log_likelihood(stack, B, log_partition=log_z).mean() for B in both]
    report(name, *means, log_z, error, seconds)
    return means[1]


def print_head(title, both):
    """Print the first lines of a table."""
    print(f"\n{title}")
    columns = ("train", "test", "log Z", "error", "seconds")
    print(f"  {'mean of an image, in nats':<28}" + "".join(f" {name:>8}" for name in columns))
    report("independent pixels", *independent(*both))


def train_on_draws(X, largest, n_epochs, settings, random):
    """Return an RBM trained on new draws of the images in each epoch, with a falling rate."""
    stack = BernoulliRBMStack(**settings)
    for epoch in range(n_epochs):
        # Quadratically: the chains catch up with the RBM while the rate is small.
        rate = settings["learning_rate"] * (1 - epoch / n_epochs) ** 2
        stack.set_params(learning_rate=rate).partial_fit(drawn(X, largest, random))
    return stack


def small(both, n_jobs, batch_size, n_epochs):
    """Train RBMs of 16 hidden units, and print their exact likelihood."""
    print_head(f"16 hidden units, rounded pixels, {n_epochs} epochs", both)
    common = COMMON | {"batch_size": batch_size, "max_iter": n_epochs, "n_jobs": n_jobs}
    common |= {"tol": 0.0, "n_iter_no_change": n_epochs}  # no stop before the last epoch
    for name, settings in {"constant rate": PYDEEP, "falling rate": ANNEALED}.items():
        start = time.perf_counter()
        stack = BernoulliRBMStack(16, **common, **settings).fit(both[0])
        seconds = time.perf_counter() - start
        log_z = exact_log_partition(stack, n_jobs=n_jobs)
        report_rbm(f"{name}, exact", stack, both, log_z, 0.0, seconds)


def large(images, largest, n_jobs, n_hidden, batch_size, n_epochs, betas):
    """Train an RBM on draws, and print its likelihood by annealing in both directions."""
    random = np.random.default_rng(0)
    both = [drawn(X, largest, random) for X in images]
    print_head(f"{n_hidden} hidden units, drawn pixels, {n_epochs} epochs", both)
    settings = {"hidden_layer_sizes": n_hidden, "batch_size": batch_size, "n_jobs": n_jobs}
    start = time.perf_counter()
    stack = train_on_draws(images[0], largest, n_epochs, COMMON | LARGE | settings, random)
    seconds, tests = time.perf_counter() - start, []
    for direction in ("forward", "reverse"):
        result = annealed_importance_sampling(
            stack, betas=betas, direction=direction, random_state=0, n_jobs=n_jobs
        )
        estimate = result.log_partition, result.standard_error
        name = f"falling rate, {direction}"
        tests.append(report_rbm(name, stack, both, *estimate, seconds))
    if abs(tests[0] - tests[1]) > 1.0:
        print("  The two directions disagree, so trust neither: use more betas.")
    return stack


def samples_from_noise(stack, n_steps):
    """Return samples after Gibbs steps from noise, by number of steps."""
    v = np.random.default_rng(0).integers(2, size=(8, stack.n_features_in_))
    rows, n_done = {"noise": v}, 0
    for n in (n_steps // 100, n_steps // 10, n_steps):
        v, n_done = stack.gibbs(v, n - n_done), n
        rows[f"{n} steps"] = v
    return rows


def draw(stack, n_steps, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 5.3), layout="constrained")
    RBMFiltersDisplay.from_estimator(stack, ax=axes[0])
    axes[0].set_title("64 filters")
    side = round(stack.n_features_in_**0.5)
    samples = samples_from_noise(stack, n_steps)
    ReconstructionDisplay(samples=samples, image_shape=(side, side)).plot(ax=axes[1])
    axes[1].set_title("samples after Gibbs steps from noise")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "mnist_likelihood.png", dpi=100)
    print(f"\nPicture: {folder / 'mnist_likelihood.png'}")


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few epochs and betas, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file (default: scikit-learn's digits)")
    parser.add_argument("--n-jobs", type=int, help="threads (default: all; changes no number)")
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
    *images, largest = load(arguments.data)
    (n_train, n_pixels), n_test = images[0].shape, len(images[1])
    is_mnist = (n_train, n_pixels) == (60_000, 784)
    recipe = QUICK if arguments.quick else MNIST if is_mnist else DIGITS
    n_hidden, batch_size, small_epochs, large_epochs, betas = recipe
    print(f"{n_train} images to train on, {n_test} to test, {n_pixels} pixels")
    print(f"persistent chains, one Gibbs step, minibatches of {batch_size}, no momentum or decay")
    small([rounded(X, largest) for X in images], arguments.n_jobs, batch_size, small_epochs)
    if is_mnist:
        report(*PUBLISHED["small"])
    stack = large(images, largest, arguments.n_jobs, n_hidden, batch_size, large_epochs, betas)
    if is_mnist:
        report(*PUBLISHED["large"])
    draw(stack, 200 if arguments.quick else 2000, arguments.output)


if __name__ == "__main__":
    main()
