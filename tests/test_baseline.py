"""What a network is compared with, and what dropout does to its outputs."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

from sk_dbn import DBNClassifier
from sk_dbn._baseline import RIDGE, predict_linearly, signal_share
from sk_dbn.models.data import Data
from sk_dbn.models.network_training import TrainingSet, outputs_with_dropout
from sk_dbn.models.threads import run_serial
from tests import reference


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0, np.inf])
def test_share_of_the_signal(noise):
    """It is the variance between samples over all variance, if draws differ by opposite noise.

    Signal and noise are columns of an orthogonal matrix, so their covariance is exactly zero.
    """
    n = 16
    columns = np.linalg.qr(np.column_stack([np.ones(n), np.random.default_rng(0).random((n, 4))]))[
        0
    ]
    signal, other = columns[:, 1:3], columns[:, 3:5]
    if np.isinf(noise):
        assert signal_share(other, -other) == pytest.approx(-1.0)
        return
    first, second = signal + noise * other + 7.0, signal - noise * other
    assert signal_share(first, second) == pytest.approx((1 - noise**2) / (1 + noise**2))
    assert np.isnan(signal_share(np.ones((3, 2)), np.ones((3, 2))))


def test_linear_model_is_ridge_regression():
    """In its dual form, fitted to every other sample; without features it predicts the mean."""
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(41, 5)), random.normal(size=(41, 2))
    alpha = RIDGE * ((X[::2] - X[::2].mean(axis=0)) ** 2).sum()
    expected = Ridge(alpha=alpha).fit(X[::2], Y[::2]).predict(X[1::2])
    np.testing.assert_allclose(predict_linearly(X, Y), expected)
    constant = np.broadcast_to(Y[::2].mean(axis=0), (20, 2))
    np.testing.assert_allclose(predict_linearly(np.ones((41, 5)), Y), constant)


@pytest.mark.parametrize("activation", ["relu", "selu"])
def test_outputs_with_dropout(activation):
    """They are those of training, which drops other units in each minibatch; weights stay."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:60] / 16, y[:60]
    fit = {"activation": activation, "pretrainer": None, "dtype": "float64", "random_state": 0}
    model = DBNClassifier((9, 7), max_iter=2, **fit).fit(X, y)
    network, rows = model._network, np.arange(3, 48)
    before = network.theta.copy()
    data = Data(X, "float64")
    samples = data, y[:, None].astype(float), np.empty(0), "log_loss", rows
    outputs = outputs_with_dropout(
        run_serial, network, TrainingSet(*samples), rows, 20, (0.3, 0.4), 5
    )
    names = [activation, activation, "softmax"]
    for step, part in enumerate(np.split(rows, [20, 40])):
        drop = reference.dropout([0.3, 0.4, 0.4], 5, step)
        values = reference.forward(X[part], model.coefs_, model.intercepts_, names, drop)[1]
        np.testing.assert_allclose(outputs[part - 3], values[-1], rtol=1e-9)
    np.testing.assert_array_equal(network.theta, before)
