"""What a network is compared with, and what dropout does to its outputs."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
from sk_dbn._baseline import MIN_COMPARED, RIDGE, Baseline, predict_linearly, signal_share
from sk_dbn.models.data import Data
from sk_dbn.models.network_training import TrainingSet, outputs_with_dropout
from sk_dbn.models.threads import run_serial
from tests import reference

LITTLE = {"max_iter": 2, "learning_rate_init": 1e-5, "early_stopping": False, "random_state": 0}


def orthogonal_columns(n):
    """Two pairs of columns, orthogonal to each other and to a constant."""
    random = np.random.default_rng(0).random((n, 4))
    columns = np.linalg.qr(np.column_stack([np.ones(n), random]))[0]
    return columns[:, 1:3], columns[:, 3:5]


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_share_of_the_signal(noise):
    """It is the covariance of two draws over their variance: (1 - noise^2) / (1 + noise^2).

    Signal and opposite noise are columns of an orthogonal matrix, so they do not correlate.
    """
    signal, other = orthogonal_columns(16)
    first, second = signal + noise * other + 7.0, signal - noise * other
    assert signal_share(first, second) == pytest.approx((1 - noise**2) / (1 + noise**2))


def test_share_of_the_signal_at_its_ends():
    """It is -1 if there is nothing but opposite noise, and unknown if nothing varies."""
    _, noise = orthogonal_columns(16)
    assert signal_share(noise, -noise) == pytest.approx(-1.0)
    assert np.isnan(signal_share(np.ones((3, 2)), np.ones((3, 2))))


def test_gain():
    """It is a share of what separates a constant from a perfect prediction."""
    baseline = Baseline(0.6, 0.2, np.nan, np.nan, 1.0)
    assert baseline.gain() == pytest.approx(0.5)
    assert baseline.gain(1.0) == 1.0 and baseline.gain(0.2) == 0.0
    assert baseline.gain(0.6, constant=0.5) == pytest.approx(0.2)
    assert np.isnan(baseline.gain(1.0, constant=1.0))


def test_linear_model_is_ridge_regression():
    """In its dual form, fitted to every other sample; without features it predicts the mean."""
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(41, 5)), random.normal(size=(41, 2))
    alpha = RIDGE * ((X[::2] - X[::2].mean(axis=0)) ** 2).sum()
    expected = Ridge(alpha=alpha).fit(X[::2], Y[::2]).predict(X[1::2])
    np.testing.assert_allclose(predict_linearly(X, Y), expected)
    constant = np.broadcast_to(Y[::2].mean(axis=0), (20, 2))
    np.testing.assert_allclose(predict_linearly(np.ones((41, 5)), Y), constant)
    for scale in (1e-200, 1e200):  # whose squares are not numbers
        np.testing.assert_allclose(predict_linearly(scale * X, Y), expected)


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


@pytest.fixture(scope="module")
def digits():
    """A few samples of digits."""
    X, y = load_digits(return_X_y=True)
    return X[:200] / 16, y[:200]


def measured(model):
    """The names of what was measured under dropout."""
    names = ("signal", "score_with_dropout", "first_layer_score")
    return {name for name in names if np.isfinite(getattr(model._baseline, name))}


@pytest.mark.parametrize(
    "change, n_samples, expected",
    [
        ({}, 200, {"signal", "score_with_dropout", "first_layer_score"}),
        ({"hidden_layer_sizes": (9,)}, 200, {"signal", "score_with_dropout"}),
        ({}, MIN_COMPARED - 1, set()),
        ({"dropout": 0.0}, 200, set()),
        ({"trace": None}, 200, None),
    ],
    ids=str,
)
def test_what_is_measured_under_dropout(digits, change, n_samples, expected):
    """Nothing without dropout or with few samples; the linear model only below a second layer."""
    X, y = (part[:n_samples] for part in digits)
    network = DBNClassifier((9, 7), pretrainer=None, dropout=0.2, **LITTLE).set_params(**change)
    network.fit(X, y)
    if expected is None:
        assert network._baseline is None
    else:
        assert measured(network) == expected


def test_nothing_is_measured_after_partial_fit(digits):
    """A call of few rows would take longer by half."""
    network = DBNClassifier((9, 7), pretrainer=None, dropout=0.2, **LITTLE)
    assert not measured(network.partial_fit(*digits, classes=np.arange(10)))
    assert measured(network.fit(*digits))


@pytest.mark.parametrize("dropout, expected", [((0.2, 0.0), False), ((0.0, 0.2), True)])
def test_dropout_of_a_frozen_network(digits, dropout, expected):
    """It is that of the output layer's input, which hidden units are; X itself is not dropped."""
    X, y = digits
    stack = FrozenEstimator(BernoulliRBMStack((9, 7), max_iter=1, random_state=0).fit(X))
    network = DBNClassifier((9, 7), pretrainer=stack, dropout=dropout, **LITTLE).fit(X, y)
    assert measured(network) == ({"signal", "score_with_dropout"} if expected else set())


def test_dropout_of_an_autoencoder(digits):
    """There is no linear model of what is the input itself."""
    common = {"pretrainer": None, "dropout": 0.2, "max_iter": 2, "random_state": 0}
    encoder = DBNAutoencoder((9, 7), **common).fit(digits[0])
    assert measured(encoder) == {"signal", "score_with_dropout"}


@pytest.mark.parametrize("every", [2, 40, 200])
def test_only_samples_with_a_weight_are_compared(digits, every):
    """Even if all others have none, and however few they are: the fit does not fail."""
    X, y = digits
    weight = np.where(np.arange(len(X)) % every == 0, 1.5, 0.0)
    network = DBNClassifier((9, 7), pretrainer=None, dropout=0.2, **LITTLE)
    baseline = network.fit(X, y, sample_weight=weight)._baseline
    counts = np.bincount(y[::every])
    assert baseline.constant_score == pytest.approx(counts.max() / counts.sum())
    assert bool(measured(network)) == (len(y[::every]) >= MIN_COMPARED)


@pytest.mark.filterwarnings("ignore")
def test_a_linear_model_that_overflows_is_left_out(digits):
    """The score of infinite predictions would be an error, by which the fit would fail."""
    X, y = digits
    network = DeepMLPRegressor((9, 7), activation="relu", dropout=0.2, **LITTLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sk_dbn._baseline.predict_linearly", lambda X, Y: np.full(Y[1::2].shape, 1e99)
        )
        assert measured(network.fit(X, (y - y.mean()) / y.std())) == {
            "signal",
            "score_with_dropout",
        }
