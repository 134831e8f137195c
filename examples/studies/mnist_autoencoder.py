"""Deep autoencoder on MNIST: codes of 30 and of 2 numbers, compared with principal components.

A stack of RBMs with layers of 1000, 500, 250 and 30 units learns from the training images. It is
unrolled and trained to reconstruct them [1]. The same network from random weights, with logistic
and with gelu units, and PCA stand beside it. A code of 2 numbers is made in the same way. The
script prints the mean squared error of a test image, summed over pixels, and the accuracy of the
nearest neighbour among the training images' codes. It draws the codes of 2 numbers if matplotlib
is installed (`pip install '.[plot]'`).

    python examples/studies/mnist_autoencoder.py --data mnist.npz
    python examples/studies/mnist_autoencoder.py --data mnist.npz --validate
    python examples/studies/mnist_autoencoder.py --quick

Learning rates and numbers of epochs were chosen on training images that were held out, see
--validate; the test images were scored once, at the end. Ctrl-C interrupts; the same command
continues after the last finished model.

[1] Hinton, G. E. & Salakhutdinov, R. R. (2006). Reducing the dimensionality of data with neural
    networks. Science 313
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from study import MNIST_NEEDED, Parts, fit_timed, load_images, parse_arguments, run

from sk_dbn import BernoulliRBMStack, DBNAutoencoder
from sk_dbn.inspection import LatentSpaceDisplay

HIDDEN = 1000, 500, 250
STACK = {"batch_size": 100, "max_iter": 10, "random_state": 0}
NETWORK = {
    "batch_size": 100,
    "max_iter": 40,
    "learning_rate_init": 0.003,
    "early_stopping": False,
    "random_state": 0,
}
QUICK_HIDDEN = 100, 50
QUICK_STACK = {"max_iter": 5, "random_state": 0}
QUICK_NETWORK = {"max_iter": 40, "early_stopping": False, "random_state": 0}
PUBLISHED = {(30, "pre-trained"): "3.00 [1]", (30, "PCA"): "13.87 [1]"}


MODELS = [
    *[(n_code, name) for n_code in (30, 2) for name in ("pre-trained", "PCA")],
    *[(30, name) for name in ("random", "random, gelu")],
]


def make(n_code, name, quick):
    """Return a model by its name."""
    if name == "PCA":
        return PCA(n_code, random_state=0)
    sizes = (*(QUICK_HIDDEN if quick else HIDDEN), n_code)
    settings = {**(QUICK_NETWORK if quick else NETWORK), "verbose": not quick}
    if name == "pre-trained":
        stack = BernoulliRBMStack(verbose=not quick, **(QUICK_STACK if quick else STACK))
        return DBNAutoencoder(sizes, pretrainer=stack, **settings)
    activation = "gelu" if name == "random, gelu" else "logistic"
    return DBNAutoencoder(sizes, activation=activation, pretrainer=None, **settings)


def squared_error(model, X):
    """Return the mean squared error of the reconstruction, summed over pixels."""
    return float(((model.inverse_transform(model.transform(X)) - X) ** 2).sum(axis=1).mean())


def measure(fitted, X_train, X_test, y_train, y_test):
    """Return the errors of both sets, and the nearest neighbour's accuracy in percent."""
    model, seconds = fitted
    nearest = KNeighborsClassifier(1).fit(model.transform(X_train), y_train)
    return {
        "training error": squared_error(model, X_train),
        "test error": squared_error(model, X_test),
        "accuracy": 100 * nearest.score(model.transform(X_test), y_test),
        "seconds": seconds,
    }


def draw(fits, X, y, path):
    """Draw the codes of 2 numbers of some test images, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return print("\nNo picture: matplotlib is not installed.")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 5.6), layout="constrained")
    for ax, name in zip(axes, ("pre-trained", "PCA")):
        LatentSpaceDisplay.from_estimator(fits[2, name], X[:3000], y[:3000], ax=ax)
        ax.set_title("DBNAutoencoder" if name == "pre-trained" else name)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    print(f"\nPicture: {path}")


def main():
    """Train, score and print."""
    arguments = parse_arguments(__doc__, MNIST_NEEDED)
    quick = arguments.quick
    _, X_train, X_test, y_train, y_test = load_images(arguments)
    settings = [HIDDEN, STACK, NETWORK]
    parts = Parts(arguments, "mnist_autoencoder", settings)
    print(f"{len(X_train)} images to train on, {len(X_test)} to test", flush=True)
    results, fits = {}, {}
    for n_code, name in MODELS:
        fitted = parts.cached(fit_timed)(make(n_code, name, quick), X_train)
        job = fitted, X_train, X_test, y_train, y_test
        results[n_code, name], _ = parts.result(f"{n_code} numbers, {name}", measure, *job)
        fits[n_code, name] = fitted[0]
    print(f"\n{'code':<5}{'model':<14}{'test error':>11} {'published':>10}", end="")
    print(f"{'training':>10}{'accuracy':>10}{'seconds':>9}")
    for (n_code, name), row in results.items():
        print(f"{n_code:<5}{name:<14}{row['test error']:>11.2f}", end=" ")
        published = "-" if quick else PUBLISHED.get((n_code, name), "-")
        print(f"{published:>10}{row['training error']:>10.2f}", end="")
        print(f"{row['accuracy']:>10.2f}{row['seconds']:>9.0f}")
    pixels = KNeighborsClassifier(1).fit(X_train, y_train).score(X_test, y_test)
    print(f"{'':<5}{'all pixels':<14}{'':>32}{100 * pixels:>10.2f}")
    draw(fits, X_test, np.asarray(y_test), arguments.output / "mnist_autoencoder.png")


if __name__ == "__main__":
    run(main)
