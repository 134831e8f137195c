"""The other half of an image
==========================

A restricted Boltzmann machine (RBM) completes images, such as faces.

An RBM is trained on whole images, once with Bernoulli and once with Gaussian units. Then the lower
halves of test images are covered (NaN), and `complete` fills them with their expected values, given
the upper half. The error is compared with that of the mean training image, of the five nearest
training images, and of ridge regression. These methods know in training which half will be missing;
the RBM does not. By default the images are scikit-learn's digits, which need no download. The
picture is drawn if matplotlib is installed (`pip install '.[plot]'`).

.. code-block:: bash

    python examples/complete_faces.py
    python examples/complete_faces.py --quick
    python examples/complete_faces.py --olivetti  # downloads faces of 40 people
    python examples/complete_faces.py --data faces.npz  # its X: (n_images, height, width)
"""

# %%
# .. figure:: /pictures/complete_faces.png
#
#    Lower halves of digits that were covered, and what the models fill in.
#
# More about this: :doc:`/generating`.

# sphinx_gallery_thumbnail_path = "pictures/complete_faces.png"

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_olivetti_faces, load_digits
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor

from sk_dbn import BernoulliRBMStack
from sk_dbn.inspection import ReconstructionDisplay

N_SHOWN = 10
LARGEST = 32  # pixels of a side; larger images are shrunk


def load(arguments):
    """Images of shape (n_images, height, width), values in [0, 1]."""
    if arguments.data is not None:
        with np.load(arguments.data) as file:
            images = file["X"]
    elif arguments.olivetti:
        images = fetch_olivetti_faces(data_home=arguments.data_home).images
    else:
        images = load_digits().images
    images = images.astype("float32") / images.max()
    while max(images.shape[1:]) > LARGEST:
        n, height, width = images.shape
        pairs = images[:, : height // 2 * 2, : width // 2 * 2]
        images = pairs.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return images


def make_rbm(visible, quick):
    """Return a stack of one RBM; ten Gibbs steps per update make a better model of whole images.

    Gaussian units keep their variance of 1. With smaller, learned variances, chains that fill in
    half an image hardly move.
    """
    return BernoulliRBMStack(
        (100,) if quick else (200,),
        visible=visible,
        learn_variance=False,
        learning_rate=0.05,
        n_gibbs_steps=10,
        max_iter=20 if quick else 100,
        annealing=0.5,
        n_iter_no_change=100,
        random_state=0,
    )


def completions(X_train, X_covered, quick):
    """Yield name, completed images and seconds of each method."""
    gap = np.isnan(X_covered[0])
    seen, hidden = X_train[:, ~gap], X_train[:, gap]

    def regression(model):
        return lambda: model.fit(seen, hidden).predict(X_covered[:, ~gap])

    def rbm(visible):
        stack = make_rbm(visible, quick)
        return lambda: stack.fit(X_train).complete(X_covered)[:, gap]

    # Folds are not shuffled: faces are sorted by person, so each fold has different people.
    methods = {
        "mean image": lambda: np.tile(hidden.mean(axis=0), (len(X_covered), 1)),
        "5 nearest images": regression(KNeighborsRegressor(5)),
        "ridge regression": regression(RidgeCV(np.logspace(-1, 3, 9), cv=7)),
        "Bernoulli units": rbm("bernoulli"),
        "Gaussian units": rbm("gaussian"),
    }
    for name, method in methods.items():
        start = time.perf_counter()
        completed = X_covered.copy()
        completed[:, gap] = np.clip(method(), 0, 1)
        yield name, completed, time.perf_counter() - start


def plot_rows(rows, shape, path):
    """Draw one row of images for each name."""
    import matplotlib.pyplot as plt

    n_images = len(rows["original"])
    chosen = np.linspace(0, n_images - 1, min(N_SHOWN, n_images)).astype(int)
    samples = {name: images[chosen] for name, images in rows.items()}
    figure, ax = plt.subplots(figsize=(10, 0.95 * len(rows)), layout="constrained")
    ReconstructionDisplay(samples=samples, image_shape=shape).plot(ax=ax)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw(rows, shape, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot_rows(rows, shape, folder / "complete_faces.png")
    print(f"\nPicture: {folder / 'complete_faces.png'}")


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few epochs, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file with images X")
    parser.add_argument("--olivetti", action="store_true", help="scikit-learn's Olivetti faces")
    parser.add_argument("--data-home", type=Path, help="where scikit-learn keeps data sets")
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
    images = load(arguments)
    X, shape = images.reshape(len(images), -1), images.shape[1:]
    # The last images: faces are sorted by person, so these show other people.
    n_test = len(X) // 8
    X_train, X_test = X[:-n_test], X[-n_test:]
    gap = np.arange(X.shape[1]) >= X.shape[1] // 2
    X_covered = np.where(gap, np.nan, X_test).astype(X.dtype)
    print(
        f"{len(X_train)} images to train on, {n_test} to complete, {shape[0]} x {shape[1]} pixels"
    )
    print("\nsquared error of the covered pixels, relative to the mean image")
    rows, error_of_mean = {"original": X_test, "covered": X_covered}, None
    for name, completed, seconds in completions(X_train, X_covered, arguments.quick):
        error = ((completed - X_test)[:, gap] ** 2).mean()
        error_of_mean = error if error_of_mean is None else error_of_mean
        print(f"  {name:<18} {error / error_of_mean:>6.3f}   ({seconds:.1f} s)", flush=True)
        rows[name] = completed
    draw(rows, shape, arguments.output)


if __name__ == "__main__":
    main()
