"""Samples and reconstructions are drawn as they are."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from sk_dbn import BernoulliRBMStack
from sk_dbn.inspection import ReconstructionDisplay
from sk_dbn.inspection.reconstructions import line_distance


def test_images(fitted, digits):
    """Originals in the upper row, reconstructions in the lower."""
    X, _ = digits
    display = ReconstructionDisplay.from_estimator(fitted.stack, X, n_samples=3)
    page = display.im_.get_array()
    assert page.shape == (2 * 9 + 1, 3 * 9 + 1)
    rows = X[:3], fitted.stack.reconstruct(X[:3])
    for row, images in enumerate(rows):
        for i, image in enumerate(images):
            tile = page[1 + 9 * row : 9 + 9 * row, 1 + 9 * i : 9 + 9 * i]
            np.testing.assert_allclose(tile, image.reshape(8, 8), rtol=1e-5)
    assert display.lines_ is None


def test_lines(fitted, digits):
    """The same, one above the other at equal distances, the first on top."""
    X, _ = digits
    display = ReconstructionDisplay.from_estimator(fitted.stack, X, n_samples=3, kind="lines")
    distance = line_distance(X[:3])
    assert distance > np.ptp(X[:3])
    rows = X[:3], fitted.stack.reconstruct(X[:3])
    for lines, samples in zip(display.lines_, rows, strict=True):
        for i, (line, sample) in enumerate(zip(lines, samples, strict=True)):
            np.testing.assert_allclose(line.get_ydata() + i * distance, sample, atol=1e-5)
    assert display.im_ is None


def test_kind_follows_from_the_features(digits):
    """Nine features make a square, ten do not unless a shape is given."""
    X, _ = digits
    nine, ten = (BernoulliRBMStack(4, max_iter=1).fit(X[:, 20 : 20 + n]) for n in (9, 10))
    from_estimator = ReconstructionDisplay.from_estimator
    assert from_estimator(nine, X[:, 20:29]).image_shape == (3, 3)
    assert from_estimator(ten, X[:, 20:30]).image_shape is None
    assert from_estimator(ten, X[:, 20:30], image_shape=(2, 5)).image_shape == (2, 5)
    with pytest.raises(ValueError, match="image_shape must be given"):
        from_estimator(ten, X[:, 20:30], kind="images")
    with pytest.raises(ValueError, match=r"of 10 pixels, got \(5, 5\)"):
        from_estimator(ten, X[:, 20:30], image_shape=(5, 5))


@pytest.mark.parametrize("container", [sparse.csr_matrix, pd.DataFrame, np.ndarray.tolist])
def test_containers(fitted, digits, container):
    """What the estimator takes can be drawn."""
    X, _ = digits
    display = ReconstructionDisplay.from_estimator(fitted.stack, container(X), n_samples=2)
    np.testing.assert_array_equal(display.samples["original"], X[:2])


def test_any_transformer_that_goes_back(digits):
    """PCA reconstructs, too."""
    X, _ = digits
    pca = PCA(5).fit(X)
    display = ReconstructionDisplay.from_estimator(pca, X)
    expected = pca.inverse_transform(pca.transform(X[:10]))
    np.testing.assert_allclose(display.samples["reconstruction"], expected)


def test_more_rows_can_be_added(fitted, digits):
    """Other methods' results, with missing pixels, are one more row."""
    X, _ = digits
    _, ax = plt.subplots()
    display = ReconstructionDisplay.from_estimator(fitted.stack, X, n_samples=2, ax=ax)
    display.samples["covered"] = np.where(np.arange(64) < 32, np.nan, X[:2])
    assert display.plot(ax=ax) is display and display.ax_ is ax
    assert display.im_.get_array().shape == (3 * 9 + 1, 2 * 9 + 1)
    missing = ax.images[-1].get_array()
    assert missing.count() == 2 * 32  # as many pixels have the colour of what is missing
    display.image_shape = None
    display.plot().figure_.canvas.draw()


def test_wrong_choices(fitted, digits):
    """The error says what cannot be drawn, and why."""
    X, _ = digits
    from_estimator = ReconstructionDisplay.from_estimator
    with pytest.raises(TypeError, match="inverse_transform, which DBNClassifier does not have"):
        from_estimator(fitted.dbn, X)
    with pytest.raises(NotFittedError):
        from_estimator(BernoulliRBMStack(), X)
    with pytest.raises(ValueError, match="n_samples must be an integer of at least 1, got 0"):
        from_estimator(fitted.stack, X, n_samples=0)
    with pytest.raises(ValueError, match="kind must be one of"):
        from_estimator(fitted.stack, X, kind="bars")
