"""What a diagnosis computes from a trace is what its names say."""

import numpy as np
import pytest

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
from sk_dbn.inspection.history import History, latest, typical
from sk_dbn.inspection.problems import first_share, growth_over_layers, relative_derivatives
from sk_dbn.models.initialisers import initial_weights
from tests.as_scikit_learn import AS_SCIKIT_LEARN

ACTIVATIONS = ["relu", "selu", "tanh", "logistic", "elu", "softplus", "identity"]


def network(digits, **parameters):
    """A classifier after two epochs."""
    common = {"pretrainer": None, "max_iter": 2, "batch_size": 50, "random_state": 0}
    common |= AS_SCIKIT_LEARN[DBNClassifier]
    return DBNClassifier((12, 9), **(common | parameters)).fit(*digits)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gain_is_one_for_usual_weights(digits, activation):
    """init='auto' is what first weights are measured by, for every activation."""
    gain = History(network(digits, activation=activation)).gain
    np.testing.assert_allclose(gain, 1.0, atol=0.25)
    large = History(network(digits, activation=activation, init=1.0)).gain
    spread = [
        np.std(initial_weights("auto", np.random.RandomState(0), p, q, name)[0])
        for p, q, name in ((64, 12, activation), (12, 9, activation))
    ]
    np.testing.assert_allclose(large[:2], 1 / np.array(spread), rtol=0.25)


def test_gain_of_a_stack(digits):
    """Its usual weights have a standard deviation of 0.01."""
    for init, gain in (("auto", 1.0), (1.0, 100.0)):
        stack = BernoulliRBMStack((12, 9), max_iter=1, init=init, random_state=0).fit(digits[0])
        np.testing.assert_allclose(History(stack).gain, gain, rtol=0.25)


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "nadam", "adagrad"])
def test_first_steps(digits, solver):
    """What is foretold from row 0 is what the first minibatch does, but for its rows.

    Without momentum, and for solvers that correct their moments' bias, the first step is the
    rate times the gradient, or times its sign.
    """
    X, y = digits
    parameters = {"solver": solver, "momentum": 0.0, "trace": "batch", "activation": "tanh"}
    for init, smaller in (("auto", 1.0), (0.01, 0.06)):
        fitted = network(
            (X, y), learning_rate_init=0.001, alpha=0.0, init=init, shuffle=False, **parameters
        )
        history = History(fitted)
        expected = fitted.gradient_trace_.update_ratio[1] * np.minimum(1.0, history.gain)
        np.testing.assert_allclose(history.first_steps, expected, rtol=0.6)
        assert history.gain[1] < 1.5 * smaller


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_first_steps_of_layers_with_rates_of_their_own(digits, solver):
    """A pre-trained layer's step is as much shorter; with a rate of zero the layer is frozen."""
    parameters = {"solver": solver, "momentum": 0.0, "trace": "batch", "alpha": 0.0}
    parameters |= {"shuffle": False, "learning_rate_init": 0.001, "activation": "logistic"}
    stack = BernoulliRBMStack(max_iter=2, learning_rate=0.5)
    fitted = network(digits, pretrainer=stack, pretrained_learning_rate=[0.0, 0.1], **parameters)
    history = History(fitted)
    np.testing.assert_array_equal(history.is_frozen, [True, False, False])
    expected = fitted.gradient_trace_.update_ratio[1] * np.minimum(1.0, history.gain)
    np.testing.assert_allclose(history.first_steps[1:], expected[1:], rtol=0.6)
    assert np.isnan(history.first_steps[0]) and expected[0] == 0.0


def test_derivatives_survive_cancellation(digits):
    """With as many rows of either class the mean derivative cancels; that of weights does not."""
    X, y = digits[0][:32], np.arange(32) % 2
    deep = DBNClassifier((12,) * 6, activation="tanh", init=0.01, pretrainer=None)
    history = History(deep.set_params(max_iter=1, random_state=0, shuffle=False).fit(X, y))
    biases = history.trace.bias_grad_norm[0]
    assert biases[-1] < 1e-6 < history.derivatives[0, -1]
    returned = relative_derivatives(history)[0]
    assert returned[0] < 1e-4 and (np.diff(returned) > 0).all()


def test_clipping_shortens_the_first_step(digits):
    """A gradient longer than `clip_norm` enters the step with that length."""
    parameters = {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0, "alpha": 0.0}
    parameters |= {"trace": "batch", "activation": "tanh", "shuffle": False}
    fitted = network(digits, clip_norm=0.01, **parameters)
    history = History(fitted)
    assert history.clipping < 0.1
    expected = fitted.gradient_trace_.update_ratio[1]
    np.testing.assert_allclose(history.first_steps, expected, rtol=0.6)
    assert History(network(digits, clip_norm=100.0, **parameters)).clipping == 1.0
    assert History(network(digits, **parameters)).clipping == 1.0


def test_first_share_is_that_of_the_schedule(digits):
    """All of a constant rate; of one that rises from zero over four epochs an eighth."""
    fitted = network(digits)
    expected = {"constant": 1.0, "one_cycle": 1 / 25}
    for name, share in expected.items():
        parameters = fitted.get_params() | {"learning_rate": name, "max_iter": 10**6}
        assert first_share(History(fitted, parameters=parameters)) == pytest.approx(share, rel=1e-3)
    parameters = fitted.get_params() | {"warmup_epochs": 4.0}
    assert first_share(History(fitted, parameters=parameters)) == pytest.approx(1 / 8, rel=0.02)


def test_derivatives_pass_shortcuts(digits):
    """Of L linear layers each adds 1 / L of what it makes of its input.

    So the derivative changes by a factor of at most 1 + norm / L from one to the next, whatever
    the factor of the layer's own part; that of Glorot's weights is about 2.
    """
    X, y = digits
    deep = DBNClassifier((20,) * 40, activation="identity", shortcut=True, max_iter=1)
    deep.set_params(pretrainer=None, random_state=0).fit(X, y)
    history = History(deep)
    assert history.branches[0] == history.branches[-1] == 1.0
    np.testing.assert_array_equal(history.branches[1:-1], 1 / 39)
    biases = history.trace.bias_grad_norm[0, :-1] / history.branches[:-1]
    assert (np.abs(np.diff(np.log(biases))) < 0.1).all()
    assert growth_over_layers(history)[0].max() < np.exp(3)
    assert relative_derivatives(history)[0].min() > 1e-2


def test_growth(digits):
    """It is that of activations forward and of derivatives back; 1 where there is none."""
    linear = History(network(digits, activation="identity", init=0.5))
    trace = linear.trace
    rms = np.hypot(trace.activation_mean, trace.activation_std)
    growth = growth_over_layers(linear)
    assert (growth[:, 1] >= rms[:, 1] / rms[:, 0] * (1 - 1e-12)).all()
    assert (growth[:, 0] >= 1).all()


def test_words_for_layers(digits):
    """Neighbours are drawn together, the output has a name of its own."""
    history = History(network(digits))
    assert history.in_words((0,)) == "hidden 1"
    assert history.in_words((0, 1)) == "hidden 1-2"
    assert history.in_words((0, 2)) == "hidden 1, output"
    assert history.in_words((0, 1, 2)) == "hidden 1-2, output"
    assert history.in_words((2,)) == "output"
    assert history.in_words(()) == "all layers"
    autoencoder = DBNAutoencoder((9, 8, 7, 2), max_iter=1, pretrainer=None).fit(digits[0])
    history = History(autoencoder)
    assert history.in_words(range(8)) == "encoder 1-3, code, decoder 1-3, output"
    assert history.in_words((1, 2, 4, 6, 7)) == "encoder 2-3, decoder 1, decoder 3, output"


def test_padding_does_not_count():
    """Layers that stopped earlier are padded with NaN; their last rows are those before."""
    nan = np.nan
    values = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, nan], [4.0, nan], [9.0, nan]])
    np.testing.assert_array_equal(latest(values), [9.0, 6.0])
    np.testing.assert_array_equal(typical(values), [3.0, 5.5])
    nothing = np.full((2, 1), nan)
    assert np.isnan(latest(nothing)).all() and np.isnan(typical(nothing)).all()


def test_curves(digits):
    """Those of the estimator; none of one that was not trained."""
    X, y = digits
    fitted = network(digits)
    np.testing.assert_array_equal(History(fitted).losses, fitted.loss_curve_)
    assert History(fitted).validation_losses.size == 0
    assert History(fitted, is_trained=False).losses.size == 0
    regressor = DeepMLPRegressor((5,), max_iter=2).fit(X, y, X_val=X, y_val=y)
    np.testing.assert_array_equal(
        History(regressor).validation_losses, regressor.validation_loss_curve_
    )
