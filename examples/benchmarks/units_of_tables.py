"""Tables of numbers and categories: Bernoulli units for the dummies, or Gaussian units for all?

Numbers are standardised, categories become columns of 0 and 1. A stack of one restricted Boltzmann
machine learns features from the training samples without labels, with visible="auto" and with
visible="gaussian". A linear classifier on these features predicts the classes of test samples. By
default the table is scikit-learn's breast cancer, with every second feature cut into thirds as a
category.

    python examples/benchmarks/units_of_tables.py
    python examples/benchmarks/units_of_tables.py --quick
    python examples/benchmarks/units_of_tables.py --data adult.npz

The file contains numbers X_num_train, codes of categories X_cat_train and classes y_train. 3,000
samples are for training, 6,000 others for testing.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler

from sk_dbn import BernoulliRBMStack

N_TRAINED, N_TESTED = 3000, 6000


def load(path):
    """Return numbers, codes of categories and classes."""
    if path is None:
        X, y = load_breast_cancer(return_X_y=True)
        thirds = KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf")
        return X[:, ::2], thirds.fit_transform(X[:, 1::2]), y
    with np.load(path) as file:
        return file["X_num_train"], file["X_cat_train"], file["y_train"]


def accuracy(stack, columns, split):
    """Return the test accuracy of a linear classifier on a stack's features."""
    X_train, X_test, y_train, y_test = split
    classifier = LogisticRegression(max_iter=1000)
    model = make_pipeline(columns, stack, StandardScaler(), classifier)
    return model.fit(X_train, y_train).score(X_test, y_test)


def main(data, n_splits, max_iter):
    """Print mean accuracy and its standard error for both choices of units."""
    numbers, categories, y = load(data)
    n_numbers, X = numbers.shape[1], np.hstack([numbers, categories])
    columns = make_column_transformer(
        (StandardScaler(), slice(0, n_numbers)),
        (OneHotEncoder(handle_unknown="ignore"), slice(n_numbers, None)),
    )
    sizes = {"train_size": 2 / 3}
    if len(y) > N_TRAINED + N_TESTED:
        sizes = {"train_size": N_TRAINED, "test_size": N_TESTED}
    print("visible    test accuracy in %, mean of splits (standard error)")
    for visible in ("auto", "gaussian"):
        scores = []
        for seed in range(n_splits):
            split = train_test_split(X, y, stratify=y, random_state=seed, **sizes)
            stack = BernoulliRBMStack((64,), visible=visible, max_iter=max_iter, random_state=seed)
            scores.append(100 * accuracy(stack, columns, split))
        print(f"{visible:<10} {np.mean(scores):.1f} ({np.std(scores) / np.sqrt(n_splits):.1f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two splits and few epochs")
    parser.add_argument("--data", type=Path, help=".npz file with numbers, categories and classes")
    arguments = parser.parse_args()
    main(arguments.data, *((2, 10) if arguments.quick else (10, 50)))
