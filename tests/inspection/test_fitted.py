"""What cannot be shown is refused by an error that says why and what to do."""

import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
from sk_dbn.inspection import (
    ActivationDisplay,
    GradientTraceDisplay,
    LossDisplay,
    RBMFiltersDisplay,
)
from sk_dbn.inspection.fitted import layer_names

DISPLAYS = [ActivationDisplay, GradientTraceDisplay, LossDisplay, RBMFiltersDisplay]
TRACES = [ActivationDisplay, GradientTraceDisplay, LossDisplay]


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("estimator", [BernoulliRBMStack(), DBNClassifier(), DeepMLPRegressor()])
def test_unfitted(display, estimator):
    """scikit-learn's error, which names the estimator."""
    with pytest.raises(NotFittedError, match=type(estimator).__name__):
        display.from_estimator(estimator)


@pytest.mark.parametrize("display", DISPLAYS)
def test_other_estimators(display, digits):
    """What is no model of this package is named; of a pipeline the last step is asked for."""
    X, y = digits
    with pytest.raises(TypeError, match="which PCA does not have"):
        display.from_estimator(PCA(2).fit(X))
    pipeline = make_pipeline(MinMaxScaler(), BernoulliRBMStack(4, max_iter=1)).fit(X)
    with pytest.raises(TypeError, match=r"pass its last step, pipeline\[-1\]"):
        display.from_estimator(pipeline)
    search = GridSearchCV(BernoulliRBMStack(4, max_iter=1), {"n_gibbs_steps": [1]}, cv=2).fit(X)
    with pytest.raises(
        TypeError, match=r"does not have; pass the fitted one inside, .best_estimator_"
    ):
        display.from_estimator(search)
    with pytest.raises(TypeError, match="got None"):
        display.from_estimator(None)


@pytest.mark.parametrize("display", TRACES)
def test_no_trace(display, digits):
    """The error names the parameter that records one."""
    stack = BernoulliRBMStack(4, max_iter=1, trace=None).fit(digits[0])
    with pytest.raises(ValueError, match="trace=None. Set trace='epoch'"):
        display.from_estimator(stack)


def test_layer_names(fitted):
    """A network ends in its output, a stack in a hidden layer."""
    assert layer_names(fitted.dbn, 3) == ["hidden 1", "hidden 2", "output"]
    assert layer_names(fitted.mlp, 3) == ["hidden 1", "hidden 2", "output"]
    assert layer_names(fitted.stack, 2) == ["hidden 1", "hidden 2"]


@pytest.mark.parametrize(
    "sizes, names",
    [
        ((2,), ["code", "output"]),
        ((4, 2), ["encoder 1", "code", "decoder 1", "output"]),
        ((4, 3, 2), ["encoder 1", "encoder 2", "code", "decoder 1", "decoder 2", "output"]),
    ],
)
def test_layer_names_of_an_autoencoder(digits, sizes, names):
    """A layer of the decoder has the number it has there, so the code has none."""
    autoencoder = DBNAutoencoder(sizes, max_iter=1, pretrainer=None).fit(digits[0])
    assert layer_names(autoencoder, autoencoder.gradient_trace_.n_layers) == names
    for display in ActivationDisplay, GradientTraceDisplay:
        assert display.from_estimator(autoencoder).layer_names == names
