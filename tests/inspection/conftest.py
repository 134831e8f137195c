"""Fitted estimators to be looked at, and a page to draw on that no screen is needed for."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor


@pytest.fixture(autouse=True)
def agg():
    """Matplotlib without a screen; figures are closed after each test."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="session")
def digits():
    """Two hundred digits with values in [0, 1], and their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:200] / 16, y[:200]


@pytest.fixture(scope="session")
def fitted(digits):
    """One of each estimator, trained a little."""
    X, y = digits
    stack = BernoulliRBMStack((25, 9), max_iter=[3, 2], random_state=0).fit(X)
    dbn = DBNClassifier((25, 9), max_iter=4, pretrainer=BernoulliRBMStack(max_iter=2))
    dbn = dbn.set_params(random_state=0).fit(X, y, X_val=X[:50], y_val=y[:50])
    X_diabetes, y_diabetes = load_diabetes(return_X_y=True)
    y_diabetes = (y_diabetes - y_diabetes.mean()) / np.std(y_diabetes)
    mlp = DeepMLPRegressor((10, 10), max_iter=3, random_state=0).fit(X_diabetes, y_diabetes)
    return SimpleNamespace(stack=stack, dbn=dbn, pretrainer=dbn.pretrainer_, mlp=mlp)
