"""What the studies share: command line, images, and parts that are kept when they are finished."""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sk_dbn

MNIST_NEEDED = """\
--data is needed: an .npz file of MNIST with X_train, y_train, X_test, y_test (60,000 and 10,000
images, 0 to 255, in the official order). This downloads MNIST and writes one:

    import numpy as np
    from sklearn.datasets import fetch_openml
    X, y = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False)
    X, y, n = X.astype("uint8"), y.astype("uint8"), 60_000
    np.savez_compressed("mnist.npz", X_train=X[:n], y_train=y[:n], X_test=X[n:], y_test=y[n:])

--quick runs on scikit-learn's digits, in seconds."""


def parse_arguments(description, needed):
    """Parse the command line; say what is `needed` if there are no data."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--data", type=Path, help=".npz file")
    parser.add_argument("--quick", action="store_true", help="scikit-learn's digits, in seconds")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="score on a part of the training set, held out, instead of the test set",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="folder of finished parts and results (default: output/ beside this script)",
    )
    arguments = parser.parse_args()
    if arguments.data is None and not arguments.quick:
        parser.exit(2, needed + "\n")
    return arguments


def load_images(arguments):
    """Return X_unlabelled, X_train, X_test, y_train, y_test, with grey levels in [0, 1].

    X_unlabelled are all training images. With --validate, a sixth of them takes the place of the
    test set: they pre-train without their labels, as the others do.
    """
    if arguments.quick:
        X, y = load_digits(return_X_y=True)
        parts = train_test_split(X, y, stratify=y, random_state=0)
    else:
        with np.load(arguments.data) as file:
            parts = [file[name] for name in ("X_train", "X_test", "y_train", "y_test")]
    X_train, X_test, y_train, y_test = parts
    largest = np.float32(X_train.max())
    X_train, X_test = (X.reshape(len(X), -1).astype("float32") / largest for X in parts[:2])
    X_unlabelled = X_train
    if arguments.validate:
        X_train, X_test, y_train, y_test = train_test_split(
            X_train, y_train, test_size=1 / 6, stratify=y_train, random_state=0
        )
    return X_unlabelled, X_train, X_test, y_train, y_test


def processor():
    """Name the processor and its widest vector instructions, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (s.partition(":") for s in lines)}
    widest = [name for name in ("avx512f", "avx2") if name in facts.get("flags", "").split()]
    return " ".join([facts.get("model name", platform.machine()), *widest[:1]])


def fit_timed(model, X):
    """Return the model, fitted to X, and the seconds that it took."""
    start = time.perf_counter()
    return model.fit(X), round(time.perf_counter() - start, 1)


class Parts:
    """The finished parts of a study. They are kept in a folder, and a rerun continues.

    Results are in a JSON file with the seconds that each took. `settings` is what they depend on
    besides the data: results of other settings, or of another version, are refused. `cached` keeps
    what a function returns.
    """

    def __init__(self, arguments, name, settings):
        suffix = "_quick" * arguments.quick + "_validation" * arguments.validate
        self.path = arguments.output / f"{name}{suffix}.json"
        settings = [sk_dbn.__version__, *settings]
        self.content = {"settings": settings, "processor": processor(), "parts": {}}
        self.cached = joblib.Memory(arguments.output / "kept", verbose=0).cache
        if self.path.exists():
            kept = json.loads(self.path.read_text())
            if kept["settings"] != json.loads(json.dumps(settings)):
                sys.exit(f"{self.path} was made with other settings: remove it or change --output.")
            self.content = kept

    def result(self, name, function, *arguments):
        """Return a part's result, and the seconds that it took; kept, or computed now."""
        parts = self.content["parts"]
        if name not in parts:
            start = time.perf_counter()
            result = function(*arguments)
            parts[name] = {"result": result, "seconds": round(time.perf_counter() - start, 1)}
            beside = self.path.with_name(self.path.name + ".part")
            beside.write_text(json.dumps(self.content, indent=1))
            beside.replace(self.path)  # at once: no half-written file is kept
        return parts[name]["result"], parts[name]["seconds"]


def run(main):
    """Run a study until it ends or is interrupted."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same command continues after the last finished part.")
