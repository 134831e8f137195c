"""Windows of sensor readings with ten labels for each class: when pre-training pays.

A stack learns from all training windows without labels, once. Then ten windows of each class get
their labels, several times. A network that starts from the stack is compared with the same network
from random weights, with logistic regression and with a random forest. All of them see the same
features: quantiles of the readings of each channel, and amplitudes of its lowest frequencies.
Neither depends on the moment at which a window was cut.

    python examples/studies/sensor_few_labels.py --data har_windows.npz
    python examples/studies/sensor_few_labels.py --data har_windows.npz --validate
    python examples/studies/sensor_few_labels.py --quick

Settings were chosen on people of the training set, as held out by --validate; the test set was
scored once, at the end. Ctrl-C interrupts; the same command continues.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.preprocessing import StandardScaler
from study import Parts, fit_timed, parse_arguments, run

from sk_dbn import BernoulliRBMStack, DBNClassifier, WarmStart

NEEDED = """\
--data is needed: an .npz file with X_train and X_test of shape (n_windows, n_channels, n_times),
y_train, y_test, and subject_train, the person of each training window, for --validate. The study
was made for the raw windows and the official split of UCI's "Human Activity Recognition Using
Smartphones" (https://archive.ics.uci.edu/dataset/240): nine channels of 128 readings.

--quick runs on scikit-learn's digits, in seconds, each row of pixels being a channel."""
N_PER_CLASS, N_DRAWS = 10, 10
N_QUANTILES, N_FREQUENCIES = 16, 32
SIZES = (512,)
STACK = {"activation": "relu", "batch_size": 20, "max_iter": 30, "random_state": 0}
NETWORK = {
    "activation": "relu",
    "batch_size": 10,
    "max_iter": 100,
    "learning_rate_init": 0.0005,
    "dropout": (0.2, 0.5),
    "early_stopping": False,
}
QUICK_STACK = {"max_iter": 10}
QUICK_NETWORK = {"max_iter": 20}


def load(arguments):
    """Return X_unlabelled, X_train, X_test, y_train, y_test; with --validate of other people."""
    if arguments.quick:
        digits = load_digits()
        parts = train_test_split(digits.images, digits.target, random_state=0)
    else:
        with np.load(arguments.data) as file:
            parts = [file[name] for name in ("X_train", "X_test", "y_train", "y_test")]
            people = file["subject_train"] if arguments.validate else None
    X_train, X_test, y_train, y_test = parts
    X_unlabelled = X_train
    if arguments.validate:
        split = GroupShuffleSplit(1, test_size=1 / 3, random_state=0)
        train, test = next(split.split(X_train, y_train, people))
        X_train, X_test, y_train, y_test = (
            part[rows] for part in (X_train, y_train) for rows in (train, test)
        )
    return X_unlabelled, X_train, X_test, y_train, y_test


def features(X):
    """Return quantiles and roots of the lowest amplitudes, (n_windows, n_features)."""
    X = X.astype("float32")
    quantiles = np.quantile(X, (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES, axis=2)
    amplitudes = abs(np.fft.rfft(X, axis=2)[:, :, :N_FREQUENCIES]) / X.shape[2]
    parts = np.moveaxis(quantiles, 0, 2), np.sqrt(amplitudes)
    return np.hstack([part.reshape(len(X), -1) for part in parts]).astype("float32")


def models(stack, seed, quick):
    """Return the models that are compared, by name."""
    settings = NETWORK | {"random_state": seed} | (QUICK_NETWORK if quick else {})
    return {
        "pre-trained": DBNClassifier(SIZES, pretrainer=WarmStart(stack), **settings),
        "random": DBNClassifier(SIZES, pretrainer=None, **settings),
        "logistic regression": LogisticRegression(max_iter=1000),
        "random forest": RandomForestClassifier(500, random_state=seed),
    }


def accuracies(stack, seed, quick, X_train, X_test, y_train, y_test):
    """Return the test accuracy in percent of every model, with a few labels of each class."""
    random = np.random.default_rng(seed)
    rows = np.concatenate(
        [
            random.choice(np.flatnonzero(y_train == label), N_PER_CLASS, replace=False)
            for label in np.unique(y_train)
        ]
    )
    return {
        name: 100 * model.fit(X_train[rows], y_train[rows]).score(X_test, y_test)
        for name, model in models(stack, seed, quick).items()
    }


def main():
    """Train, score and print."""
    arguments = parse_arguments(__doc__, NEEDED)
    quick = arguments.quick
    X_unlabelled, X_train, X_test, y_train, y_test = load(arguments)
    settings = [N_PER_CLASS, N_QUANTILES, N_FREQUENCIES, SIZES, STACK, NETWORK]
    parts = Parts(arguments, "sensor_few_labels", settings)
    scaler = StandardScaler().fit(features(X_unlabelled))
    X_unlabelled, X_train, X_test = (
        scaler.transform(features(X)) for X in (X_unlabelled, X_train, X_test)
    )
    stack = BernoulliRBMStack(SIZES, verbose=not quick, **STACK | (QUICK_STACK if quick else {}))
    stack, seconds = parts.cached(fit_timed)(stack, X_unlabelled)
    print(f"{len(X_train)} windows to train on, {len(X_test)} to test, {X_train.shape[1]} features")
    print(f"the stack learned from {len(X_unlabelled)} windows in {seconds:.0f} s", flush=True)
    results = []
    for seed in range(2 if quick else N_DRAWS):
        job = stack, seed, quick, X_train, X_test, y_train, y_test
        scores, seconds = parts.result(f"draw {seed}", accuracies, *job)
        results.append(scores)
        shown = ", ".join(f"{model} {score:.1f}" for model, score in scores.items())
        print(f"draw {seed}: {shown} ({seconds:.0f} s)", flush=True)
    print(f"\ntest accuracy in percent, {N_PER_CLASS} labels for each class, {len(results)} draws")
    for name in results[0]:
        scores = [scores[name] for scores in results]
        print(f"{name:<20} {np.mean(scores):6.2f} ± {np.std(scores):.2f}")


if __name__ == "__main__":
    run(main)
