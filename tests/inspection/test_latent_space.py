"""The drawn points are the estimator's codes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_dbn import BernoulliRBMStack
from sk_dbn.inspection import LatentSpaceDisplay


def facecolors(display):
    """The colour of each cloud of points."""
    return [tuple(points.get_facecolor()[0]) for points in display.scatters_]


def test_two_units_are_drawn_as_they_are(digits):
    """One cloud for each class, with its label for a marker."""
    X, y = digits
    stack = BernoulliRBMStack((9, 2), max_iter=1, random_state=0).fit(X)
    display = LatentSpaceDisplay.from_estimator(stack, X, y)
    codes = stack.transform(X)
    assert len(display.scatters_) == 10
    for label, points in enumerate(display.scatters_):
        np.testing.assert_allclose(points.get_offsets(), codes[y == label], rtol=1e-6)
    assert display.ax_.get_xlabel() == "unit 1" and display.ax_.get_legend() is None
    assert facecolors(display) == [plt.colormaps["tab10"](label) for label in range(10)]  # no scale


@pytest.mark.parametrize("name", ["stack", "dbn"])
def test_wider_codes_are_projected(fitted, digits, name):
    """By PCA, which the axes say, and how much of the codes it keeps."""
    X, _ = digits
    display = LatentSpaceDisplay.from_estimator(getattr(fitted, name), X)
    codes = getattr(fitted, name).transform(X)
    pca = PCA(2, svd_solver="full").fit(codes)
    (points,) = display.scatters_
    np.testing.assert_allclose(points.get_offsets(), pca.transform(codes), atol=1e-4)
    share = f"{pca.explained_variance_ratio_[0]:.0%}".replace("%", " %")
    label = f"principal component 1 of 9 units ({share} of the variance)"
    assert display.ax_.get_xlabel() == label


def test_quantities_get_a_scale(fitted, digits):
    """A colour by value, and a bar that explains it."""
    X, _ = digits
    display = LatentSpaceDisplay.from_estimator(fitted.stack, X, X.sum(axis=1))
    (points,) = display.scatters_
    np.testing.assert_array_equal(points.get_array(), X.sum(axis=1))
    assert display.colorbar_ is not None and points.get_cmap().name == "viridis"
    assert display.plot(cmap="cool").scatters_[0].get_cmap().name == "cool"


def test_names_of_classes_get_a_legend(fitted, digits):
    """Labels that are too long for a marker."""
    X, y = digits
    display = LatentSpaceDisplay.from_estimator(fitted.stack, X, np.where(y < 5, "low", "high"))
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["high", "low"]


def test_colors_of_classes(fitted, digits):
    """Neighbours in a qualitative map differ; of a gradual one, the whole range is used."""
    X, y = digits
    from_estimator = LatentSpaceDisplay.from_estimator
    set1, cool = plt.colormaps["Set1"], plt.colormaps["cool"]
    display = from_estimator(fitted.stack, X, y % 3, cmap="Set1")
    assert facecolors(display) == [set1(0), set1(1), set1(2)]
    assert facecolors(display.plot(cmap=cool)) == [cool(0.0), cool(0.5), cool(1.0)]
    assert facecolors(display.plot(cmap="tab10")) == facecolors(display.plot())
    assert (
        len(set(facecolors(from_estimator(fitted.stack, X, [f"{i % 25}!" for i in range(200)]))))
        == 25
    )
    with pytest.raises(ValueError, match="cmap='Set1' has 9 colours, but there are 10 classes"):
        from_estimator(fitted.stack, X, y, cmap="Set1")


def test_any_transformer(digits):
    """A pipeline, for example; axes are the caller's and can be used again."""
    X, y = digits
    _, ax = plt.subplots()
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    display = LatentSpaceDisplay.from_estimator(pipeline, X, y, ax=ax, s=5)
    np.testing.assert_allclose(display.codes, pipeline.transform(X))
    assert display.ax_ is ax and display.plot(ax=ax) is display


def test_wrong_choices(fitted, digits):
    """The error says what cannot be drawn, and why."""
    X, y = digits
    from_estimator = LatentSpaceDisplay.from_estimator
    with pytest.raises(TypeError, match="transform, which DeepMLPRegressor does not have"):
        from_estimator(fitted.mlp, X)
    with pytest.raises(NotFittedError):
        from_estimator(BernoulliRBMStack(), X)
    with pytest.raises(ValueError, match="have one unit"):
        from_estimator(BernoulliRBMStack(1, max_iter=1).fit(X), X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        from_estimator(fitted.stack, X, y[:-1])
