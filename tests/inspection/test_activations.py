"""The drawn activations are those of the trace at one epoch."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sk_dbn import DBNClassifier
from sk_dbn.inspection import ActivationDisplay


def drawn(display):
    """Means, half lengths of their bars, and heights of both fractions."""
    data, _, (bars,) = display.errorbar_.lines
    heights = [
        [bar.get_height() for bar in container]
        for container in (display.saturated_bars_, display.dead_bars_)
    ]
    half = [(segment[1, 1] - segment[0, 1]) / 2 for segment in bars.get_segments()]
    return data.get_ydata(), half, *heights


@pytest.mark.parametrize("name", ["dbn", "mlp"])
@pytest.mark.parametrize("epoch", [None, 0, 2])
def test_network(fitted, name, epoch):
    """The chosen row, by default the last."""
    estimator = getattr(fitted, name)
    trace = estimator.gradient_trace_
    display = ActivationDisplay.from_estimator(estimator, epoch=epoch)
    row = -1 if epoch is None else epoch
    fields = ("activation_mean", "activation_std", "saturated_fraction", "dead_fraction")
    for values, field in zip(drawn(display), fields, strict=True):
        np.testing.assert_allclose(values, getattr(trace, field)[row], atol=1e-12)
    assert display.fraction_ax_.get_ylim() == (0, 1)


def test_stack_by_default_shows_the_last_epoch_of_each_layer(fitted):
    """The second machine was trained for fewer epochs than the first."""
    display = ActivationDisplay.from_estimator(fitted.stack)
    mean = fitted.stack.gradient_trace_.activation_mean
    np.testing.assert_array_equal(display.mean, [mean[3, 0], mean[2, 1]])
    np.testing.assert_array_equal(display.epoch, [3, 2])


def test_axes_are_the_callers(fitted):
    """And can be used again."""
    _, ax = plt.subplots()
    display = ActivationDisplay.from_estimator(fitted.dbn, ax=ax)
    assert display.ax_ is ax and display.plot(ax=ax) is display
    display.figure_.canvas.draw()


def test_unknown_epoch(fitted):
    """The error says which there are."""
    with pytest.raises(ValueError, match="epoch must be in the trace, 0 to 4, got 9"):
        ActivationDisplay.from_estimator(fitted.dbn, epoch=9)


def test_many_layers_are_counted_rather_than_named(digits):
    """A hundred names do not fit below a picture."""
    X, y = digits
    deep = DBNClassifier((5,) * 30, pretrainer=None, max_iter=1).fit(X, y)
    ax = ActivationDisplay.from_estimator(deep).ax_
    assert ax.get_xlabel() == "layer"
    assert not any("hidden" in label.get_text() for label in ax.get_xticklabels())
