"""The drawn losses are the estimator's."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sk_dbn import DBNClassifier, DeepMLPRegressor
from sk_dbn.inspection import LossDisplay


def test_network_with_validation(fitted):
    """Loss of epoch i + 1 at i of the list; validation rows have a loss and a score."""
    dbn = fitted.dbn
    display = LossDisplay.from_estimator(dbn)
    training, validation = display.lines_
    for line, values in (
        (training, dbn.loss_curve_),
        (validation, dbn.validation_loss_curve_),
        (display.score_line_, dbn.validation_scores_),
    ):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert display.score_line_.axes is display.score_ax_
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["training", "validation", "validation score"]


def test_network_without_validation(fitted):
    """Nothing is drawn of what there is not."""
    display = LossDisplay.from_estimator(fitted.mlp)
    (line,) = display.lines_
    np.testing.assert_array_equal(line.get_ydata(), fitted.mlp.loss_curve_)
    assert display.score_ax_ is None and display.score_line_ is None


def test_stack(fitted):
    """The divergence of each machine, from before training to its last epoch."""
    display = LossDisplay.from_estimator(fitted.stack)
    trace = fitted.stack.gradient_trace_
    first, second = display.lines_
    np.testing.assert_array_equal(first.get_ydata(), trace.reconstruction_kl[:, 0])
    np.testing.assert_array_equal(second.get_ydata(), trace.reconstruction_kl[:3, 1])
    np.testing.assert_array_equal(second.get_xdata(), [0, 1, 2])


def test_validation_that_begins_later(digits):
    """Its curve belongs to the last epochs."""
    X, y = digits
    network = DBNClassifier((5,), pretrainer=None, max_iter=3, warm_start=True)
    network = network.fit(X, y).fit(X, y, X_val=X, y_val=y)
    display = LossDisplay.from_estimator(network)
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), np.arange(1, 7))
    np.testing.assert_array_equal(display.lines_[1].get_xdata(), [4, 5, 6])


def test_axes_are_the_callers(fitted):
    """And can be used again."""
    _, ax = plt.subplots()
    display = LossDisplay.from_estimator(fitted.dbn, ax=ax, linewidth=3)
    assert display.ax_ is ax and display.lines_[0].get_linewidth() == 3
    assert display.plot(ax=ax) is display


def test_nothing_to_draw():
    """A network that diverged at once has no curve; the error says so."""
    X = np.random.default_rng(0).normal(size=(50, 3))
    network = DeepMLPRegressor((5,), solver="sgd", learning_rate_init=1e30, batch_size=10)
    with pytest.warns(UserWarning, match="diverged"):
        network.fit(X, X[:, 0])
    with pytest.raises(ValueError, match="no complete epoch"):
        LossDisplay.from_estimator(network)
