"""Windows of sensor readings
==========================

Features that a linear classifier can use, learned without labels.

A restricted Boltzmann machine (RBM) with Gaussian visible and rectified linear hidden units learns
from raw windows. A linear classifier on its features is compared with one on as many PCA features.
The meaning of a window does not depend on the moment at which it was cut: a wave and its negative
mean the same and have opposite values. PCA features are linear in the values, so they hardly
separate the classes. By default the windows are synthetic waves of four frequencies and random
phase, which need no download. The picture shows learned filters, and windows with their
reconstructions; it is drawn if matplotlib is installed (`pip install '.[plot]'`).

.. code-block:: bash

    python examples/sensor_windows.py
    python examples/sensor_windows.py --quick
    python examples/sensor_windows.py --data windows.npz

The file contains X_train and X_test of shape (n_windows, n_channels, n_times), y_train and y_test.
"""

# %%
# .. figure:: /pictures/sensor_windows.png
#
#    Learned filters, and windows with their reconstructions.
#
# More about this: :doc:`/features`.

# sphinx_gallery_thumbnail_path = "pictures/sensor_windows.png"

import argparse
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_dbn import BernoulliRBMStack

N_CHANNELS, N_TIMES = 3, 64
CYCLES = 3.0, 4.0, 5.0, 6.0  # of each class in a window
N_FILTERS, N_WINDOWS = 12, 4  # in the picture


def synthetic(n_windows, random):
    """Return windows of shape (n_windows, N_CHANNELS, N_TIMES) and their classes.

    Each channel contains the wave of the class with its own amplitude, and noise.
    """
    y = random.integers(len(CYCLES), size=n_windows)
    frequency = 2.0 * np.pi * np.array(CYCLES)[y] * random.uniform(0.95, 1.05, n_windows)
    phase = random.uniform(0.0, 2.0 * np.pi, n_windows)
    times = np.arange(N_TIMES) / N_TIMES
    wave = np.sin(frequency[:, None] * times + phase[:, None])
    amplitude = random.uniform(0.5, 1.5, (n_windows, N_CHANNELS))
    noise = 0.5 * random.standard_normal((n_windows, N_CHANNELS, N_TIMES))
    return (amplitude[:, :, None] * wave[:, None] + noise).astype("float32"), y


def load(path, quick):
    """Return X_train, y_train, X_test, y_test, from a file or synthetic."""
    if path is None:
        random = np.random.default_rng(0)
        return *synthetic(1000 if quick else 4000, random), *synthetic(1000, random)
    with np.load(path) as file:
        X_train, y_train, X_test, y_test = (
            file[name] for name in ("X_train", "y_train", "X_test", "y_test")
        )
    return X_train.astype("float32"), y_train, X_test.astype("float32"), y_test


def make_rbm(n_units, seed, quick):
    """Return a stack of one RBM, with defaults except for its units and fewer epochs."""
    return BernoulliRBMStack(
        (n_units,),
        visible="gaussian",
        activation="relu",
        max_iter=10 if quick else 20,
        random_state=seed,
    )


def accuracy(features, data):
    """Return the test accuracy of logistic regression on the features."""
    X_train, y_train, X_test, y_test = data
    classifier = make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=1000))
    return classifier.fit(X_train, y_train).score(X_test, y_test)


def waveforms(ax, window, **style):
    """Draw the channels of a window, one below the other."""
    for channel, values in enumerate(window):
        ax.plot(values - channel * 3.0, linewidth=0.8, **style)
    ax.set(xticks=[], yticks=[])


def plot(stack, windows, shape, path):
    """Draw filters, scaled by their largest weight, and windows with their reconstructions."""
    import matplotlib.pyplot as plt

    n_rows = N_FILTERS // N_WINDOWS
    figure = plt.figure(figsize=(11, 1.9 * n_rows + 0.4), layout="constrained")
    left, right = figure.subfigures(1, 2)
    left.suptitle("learned filters, a line for each channel")
    strongest = np.argsort(-np.linalg.norm(stack.components_, axis=1))[:N_FILTERS]
    for ax, filters in zip(left.subplots(n_rows, N_WINDOWS).flat, stack.components_[strongest]):
        waveforms(ax, (1.4 * filters / abs(filters).max()).reshape(shape))
    right.suptitle("windows (black) and their reconstructions (red)")
    deviation = windows.std()
    pairs = zip(windows, stack.reconstruct(windows), strict=True)
    for ax, (window, reconstruction) in zip(right.subplots(N_WINDOWS // 2, 2).flat, pairs):
        waveforms(ax, window.reshape(shape) / deviation, color="black", alpha=0.5)
        waveforms(ax, reconstruction.reshape(shape) / deviation, color="tab:red")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw(stack, windows, shape, folder):
    """Write the picture, or say that matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed. Install it with: pip install '.[plot]'")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    plot(stack, windows, shape, folder / "sensor_windows.png")
    print(f"\nPicture: {folder / 'sensor_windows.png'}")


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer windows and sizes, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file with X_train, y_train, X_test, y_test")
    parser.add_argument("--seeds", type=int, default=3, help="number of RBM seeds (default: 3)")
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
    X_train, y_train, X_test, y_test = load(arguments.data, arguments.quick)
    shape = X_train.shape[1:]
    data = X_train.reshape(len(X_train), -1), y_train, X_test.reshape(len(X_test), -1), y_test
    print(
        f"{len(X_train)} windows to train on, {len(X_test)} to test, {shape[0]} channels of "
        f"{shape[1]} readings, {len(np.unique(y_train))} classes\n"
    )
    n_seeds = 1 if arguments.quick else arguments.seeds
    print(f"test accuracy of a linear classifier, mean of {n_seeds} seeds (standard error)")
    print(f"{'features':>8} {'stack':>8} {'':>9} {'PCA':>8}")
    for n_units in (20, 40) if arguments.quick else (25, 50, 100):
        stacks = [make_rbm(n_units, seed, arguments.quick) for seed in range(n_seeds)]
        scores = [accuracy(stack, data) for stack in stacks]
        error = f"({np.std(scores) / np.sqrt(n_seeds):.3f})"
        linear = accuracy(PCA(n_units, random_state=0), data)
        print(f"{n_units:>8} {np.mean(scores):>8.3f} {error:>9} {linear:>8.3f}", flush=True)
    draw(stacks[0], data[2][:N_WINDOWS], shape, arguments.output)


if __name__ == "__main__":
    main()
