"""Imputation of missing values
============================

RBMImputer beside scikit-learn's imputers.

In three tables, 10 and 30 % of the entries are hidden at random (NaN), in rows to fit on and in
other rows to complete. The error of numbers is the root mean squared error of the hidden entries in
standard deviations of their feature, and that of categories the share of wrong ones. Both are means
over several random choices of rows and entries. The tables come with scikit-learn:

* diabetes: nine numbers, and the sex as a category,
* breast cancer: 30 numbers, many of them strongly correlated,
* digits: 64 pixels, each in one of four grey levels as categories.

The settings of the RBM were chosen on other random choices of rows and entries.

scikit-learn's imputers read the codes of categories as numbers. `SimpleImputer` fills in the most
frequent category, and what the others fill in is rounded to the nearest one.

Then the imputers stand before a logistic regression: the script prints its cross-validated accuracy
with 30 % of the entries hidden, for the tables with classes.

`--data` reads a file of comma-separated values with a header instead. Columns that are not numbers
are categories; empty fields are missing from the start, and no error is known for them. `--target`
names the column of classes, if there is one.

.. code-block:: bash

    python examples/impute.py
    python examples/impute.py --quick
    python examples/impute.py --data table.csv --target class
"""

# %%
# More about this: :doc:`/missing_values`.

import argparse
import csv
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_dbn import BernoulliRBMStack, RBMImputer

SHARES = 0.1, 0.3


class Table(NamedTuple):
    """Samples whose first `n_numbers` features are numbers, and others codes of categories."""

    X: np.ndarray
    n_numbers: int
    y: np.ndarray | None = None  # classes


def bundled_tables():
    """Map names to tables that come with scikit-learn."""
    measurements = load_diabetes(scaled=False).data
    age, sex, others = np.split(measurements, [1, 2], axis=1)
    cells, diagnosis = load_breast_cancer(return_X_y=True)
    pixels, digits = load_digits(return_X_y=True)
    return {
        "diabetes": Table(np.hstack([age, others, sex]), 9),
        "breast cancer": Table(cells, 30, diagnosis),
        "digits": Table(pixels // 4.25, 0, digits),
    }


def read_column(texts):
    """Return a column as numbers, or as codes of its categories, and whether these are numbers."""
    texts = np.array(texts)
    known = texts != ""
    values = np.full(len(texts), np.nan)
    try:
        values[known] = texts[known].astype(float)
    except ValueError:
        values[known] = np.unique(texts[known], return_inverse=True)[1]
        return values, False
    return values, True


def read_table(path, target):
    """Return the table in a file of comma-separated values."""
    with path.open(newline="") as file:
        names, *rows = csv.reader(file)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    y = np.array(columns.pop(target)) if target else None
    features = [read_column(texts) for texts in columns.values()]
    features.sort(key=lambda feature: not feature[1])
    X = np.column_stack([values for values, _ in features])
    return Table(X, sum(is_number for _, is_number in features), y)


def first_rows(table, n_rows):
    """Return a table of the first rows."""
    y = None if table.y is None else table.y[:n_rows]
    return Table(table.X[:n_rows], table.n_numbers, y)


def hide(X, share, rng):
    """Return a copy of X in which a share of the entries is missing."""
    return np.where(rng.random(X.shape) < share, np.nan, X)


def make_scaler(n_numbers):
    """Return a scaler of the numbers that leaves categories as they are."""
    return make_column_transformer(
        (StandardScaler(), list(range(n_numbers))), remainder="passthrough"
    )


def imputers(n_numbers, n_features, quick):
    """Map names to the imputers that are compared."""
    numbers, categories = list(range(n_numbers)), list(range(n_numbers, n_features))
    stack = BernoulliRBMStack(
        (100,),
        visible=["gaussian"] * n_numbers + ["categorical"] * (n_features - n_numbers),
        handle_unknown="ignore",
        learning_rate=0.3 if n_numbers else 0.5,
        annealing=0.5,
        alpha=0.003,
        n_gibbs_steps=5,
        max_iter=200 if n_numbers and not quick else 50,
        n_iter_no_change=200,
        random_state=0,
    )
    return {
        "SimpleImputer": make_column_transformer(
            (SimpleImputer(), numbers), (SimpleImputer(strategy="most_frequent"), categories)
        ),
        "KNNImputer": KNNImputer(),
        "IterativeImputer": IterativeImputer(max_iter=2 if quick else 10, random_state=0),
        "RBMImputer": RBMImputer(stack, n_steps=200, strategy="most_frequent", random_state=0),
    }


def errors(completed, X, hidden, n_numbers):
    """Return the error of hidden numbers, and the share of wrong categories among hidden ones."""
    is_number = np.arange(X.shape[1]) < n_numbers
    numbers, categories = hidden & is_number, hidden & ~is_number
    nearest = np.clip(np.rint(completed), np.nanmin(X, axis=0), np.nanmax(X, axis=0))
    wrong = nearest[categories] != X[categories]
    squares = (completed[numbers] - X[numbers]) ** 2
    return (
        np.sqrt(squares.mean()) if squares.size else np.nan,
        wrong.mean() if wrong.size else np.nan,
    )


def errors_of(imputer, table, share, seed):
    """Return both errors in rows that the imputer was not fitted on."""
    rng = np.random.default_rng(seed)
    X_train, X = train_test_split(table.X, random_state=seed)
    X_missing = hide(X, share, rng)
    scaler = make_scaler(table.n_numbers)
    X_train = scaler.fit_transform(hide(X_train, share, rng))
    completed = imputer.fit(X_train).transform(scaler.transform(X_missing))
    hidden = np.isnan(X_missing) & ~np.isnan(X)
    return errors(completed, scaler.transform(X), hidden, table.n_numbers)


def print_errors(name, table, n_seeds, quick):
    """Print the errors of every imputer on a table."""
    print(f"\n{name}: {table.X.shape[0]} samples, {table.X.shape[1]} features")
    print(f"{'hidden':<8}{'imputer':<18}{'numbers':>9}{'categories':>12}")
    for share in SHARES:
        for imputer_name, imputer in imputers(table.n_numbers, table.X.shape[1], quick).items():
            scores = [errors_of(imputer, table, share, seed) for seed in range(n_seeds)]
            cells = ["-" if np.isnan(mean) else f"{mean:.3f}" for mean in np.mean(scores, axis=0)]
            print(f"{share:<8.0%}{imputer_name:<18}{cells[0]:>9}{cells[1]:>12}", flush=True)


def print_accuracies(tables, share, n_folds, quick):
    """Print the accuracy of a logistic regression behind every imputer."""
    print(f"\n{'accuracy':<16}{share:.0%} of the entries hidden")
    for name, table in tables.items():
        X = hide(table.X, share, np.random.default_rng(0))
        for imputer_name, imputer in imputers(table.n_numbers, X.shape[1], quick).items():
            classifier = LogisticRegression(max_iter=1000)
            model = make_pipeline(make_scaler(table.n_numbers), imputer, classifier)
            scores = cross_val_score(model, X, table.y, cv=n_folds)
            print(
                f"{name:<16}{imputer_name:<18}{scores.mean():.3f} ± {scores.std():.3f}", flush=True
            )


def parse_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few samples and epochs, in seconds")
    parser.add_argument("--data", type=Path, help=".csv file (default: scikit-learn's tables)")
    parser.add_argument("--target", help="column of the classes in the file")
    return parser.parse_args()


def main():
    """Complete and print."""
    arguments = parse_arguments()
    quick = arguments.quick
    warnings.simplefilter("ignore", ConvergenceWarning)  # IterativeImputer's rounds are limited
    if arguments.data is None:
        tables = bundled_tables()
    else:
        tables = {arguments.data.stem: read_table(arguments.data, arguments.target)}
    if quick:
        tables = {name: first_rows(table, 300) for name, table in tables.items()}
    for name, table in tables.items():
        print_errors(name, table, 1 if quick else 3, quick)
    tables = {name: table for name, table in tables.items() if table.y is not None}
    if tables:
        print_accuracies(tables, SHARES[-1], 2 if quick else 5, quick)


if __name__ == "__main__":
    main()
