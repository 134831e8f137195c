"""The drawn trace is the estimator's."""

from dataclasses import fields, replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import LogNorm

from sk_dbn import BernoulliRBMStack, DBNClassifier
from sk_dbn.inspection import GradientTraceDisplay
from sk_dbn.inspection.gradients import LABELS, LOGARITHMIC, cell_edges
from sk_dbn.models.traces import MEASURES

NAMES = ["stack", "dbn", "pretrainer", "mlp"]


@pytest.mark.parametrize("name", NAMES)
def test_map_shows_the_trace(fitted, name):
    """One cell for each layer and row; what is padding or zero on a log scale is left out."""
    estimator = getattr(fitted, name)
    trace = estimator.gradient_trace_
    for field in MEASURES:
        values = getattr(trace, field)
        if values is None:
            continue
        display = GradientTraceDisplay.from_estimator(estimator, field=field)
        drawn = display.mesh_.get_array()
        left_out = np.isnan(values.T)
        if field in LOGARITHMIC:
            assert isinstance(display.mesh_.norm, LogNorm)
            left_out |= values.T <= 0
        np.testing.assert_array_equal(np.ma.getmaskarray(drawn), left_out)
        np.testing.assert_array_equal(drawn[~left_out], values.T[~left_out])
        assert display.lines_ is None
        display.figure_.canvas.draw()
        plt.close(display.figure_)


@pytest.mark.parametrize("name", NAMES)
def test_lines_show_the_trace(fitted, name):
    """One line for each layer, over the epochs."""
    estimator = getattr(fitted, name)
    display = GradientTraceDisplay.from_estimator(estimator, kind="lines", field="update_ratio")
    trace = estimator.gradient_trace_
    for line, values in zip(display.lines_, trace.update_ratio.T, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), trace.epoch)
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert display.ax_.get_yscale() == "log"
    assert display.mesh_ is None


def test_cells_lie_around_their_epochs(fitted):
    """The state before training is centered at epoch 0."""
    edges = cell_edges(fitted.dbn.gradient_trace_.epoch)
    np.testing.assert_array_equal(edges, np.arange(6) - 0.5)
    np.testing.assert_array_equal(cell_edges(np.array([0.0, 0.5, 1.5])), [-0.25, 0.25, 1.0, 2.0])
    np.testing.assert_array_equal(cell_edges(np.array([3.0])), [2.5, 3.5])


def test_a_trace_by_minibatch_can_be_drawn(digits):
    """Its epochs are fractions."""
    X, y = digits
    network = DBNClassifier((5,), pretrainer=None, max_iter=2, batch_size=50)
    network = network.set_params(trace="batch").fit(X, y)
    display = GradientTraceDisplay.from_estimator(network)
    assert display.mesh_.get_array().shape == (2, 9)
    stack = BernoulliRBMStack((5,), max_iter=1, batch_size=50, trace="batch").fit(X)
    for field in ("weight_grad_norm", "reconstruction_kl"):
        GradientTraceDisplay.from_estimator(stack, field=field).figure_.canvas.draw()


def test_many_layers_are_counted_rather_than_named(digits):
    """Thirty names do not fit beside a picture, nor into a legend."""
    X, y = digits
    network = DBNClassifier((4,) * 29, activation="tanh", pretrainer=None, max_iter=1)
    display = GradientTraceDisplay.from_estimator(network.fit(X, y))
    assert display.ax_.get_ylabel() == "layer"
    display.plot(kind="lines")
    assert len(display.lines_) == 30 and display.ax_.get_legend() is None


def test_axes_and_style_are_the_callers(fitted):
    """Drawn into a given axes, twice, with what the caller prefers."""
    figure, ax = plt.subplots()
    display = GradientTraceDisplay.from_estimator(fitted.dbn, ax=ax, cmap="cividis")
    assert display.ax_ is ax and display.figure_ is figure
    assert display.mesh_.get_cmap().name == "cividis"
    assert display.plot(ax=ax, kind="lines", linestyle="--") is display
    assert display.lines_[0].get_linestyle() == "--" and display.lines_[0].axes is ax


def test_zeros_are_drawn_on_a_plain_scale(fitted):
    """Nothing has no order of magnitude."""
    trace = fitted.mlp.gradient_trace_
    nothing = replace(trace, weight_grad_norm=np.zeros_like(trace.weight_grad_norm))
    display = GradientTraceDisplay(trace=nothing, layer_names=["a", "b", "c"]).plot()
    assert not isinstance(display.mesh_.norm, LogNorm)
    display.figure_.canvas.draw()


def test_wrong_choices(fitted):
    """The error lists what there is: a network has no reconstruction."""
    with pytest.raises(ValueError, match="field must be one of.*'dead_fraction'.*got 'recon"):
        GradientTraceDisplay.from_estimator(fitted.dbn, field="reconstruction_kl")
    with pytest.raises(ValueError, match="field must be one of"):
        GradientTraceDisplay.from_estimator(fitted.dbn, field="epoch")
    with pytest.raises(ValueError, match="kind must be 'heatmap' or 'lines', got 'bars'"):
        GradientTraceDisplay.from_estimator(fitted.dbn, kind="bars")


def test_every_field_has_a_label(fitted):
    """A new column of the trace needs one."""
    assert list(LABELS) == [f.name for f in fields(fitted.stack.gradient_trace_)[1:]]
