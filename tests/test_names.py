"""Unknown names: the error lists those there are in order, and says which one may be meant."""

import re

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
from sk_dbn._names import SYNONYMS, Names, suggestions

X = np.random.default_rng(0).uniform(size=(20, 3))
Y = {DBNClassifier: (X[:, 0] > 0.5).astype(int), DeepMLPRegressor: X[:, 0], BernoulliRBMStack: None}

MEANT = [
    ("activation", "sigmoid", "'logistic'"),
    ("activation", "linear", "'identity'"),
    ("activation", "silu", "'swish'"),
    ("activation", "leakyrelu", "'leaky_relu'"),
    ("activation", "ReLU", "'relu'"),
    ("activation", "logistc", "'logistic'"),
    ("init", "xavier", "'glorot_uniform' or 'glorot_normal'"),
    ("init", "xavier_uniform", "'glorot_uniform'"),
    ("init", "kaiming", "'he_uniform' or 'he_normal'"),
    ("init", "kaiming_normal_", "'he_normal'"),
    ("init", "gaussian", "'normal'"),
    ("solver", "Adam", "'adam'"),
    ("solver", "l-bfgs", "'lbfgs'"),
    ("learning_rate", "OneCycleLR", "'one_cycle'"),
    ("learning_rate", "cosine_annealing", "'cosine'"),
]


def error_of(estimator):
    """The message of fit's error, which is of scikit-learn's type."""
    with pytest.raises(InvalidParameterError) as error:
        estimator.fit(X, Y[type(estimator)])
    return str(error.value)


@pytest.mark.parametrize(
    ("kind", "parameter", "name", "meant"),
    [
        *[(kind, *case) for kind in (DBNClassifier, DeepMLPRegressor) for case in MEANT],
        (DeepMLPRegressor, "loss", "mse", "'squared_error'"),
        (DeepMLPRegressor, "loss", "MAE", "'absolute_error'"),
        (DeepMLPRegressor, "loss", "smooth_l1", "'huber'"),
        (BernoulliRBMStack, "activation", "sigmoid", "'logistic'"),
        (BernoulliRBMStack, "visible", "binary", "'bernoulli'"),
        (BernoulliRBMStack, "visible", "normal", "'gaussian'"),
        (BernoulliRBMStack, "algorithm", "CD", "'cd'"),
        (BernoulliRBMStack, "init", "xavier", "'glorot_uniform' or 'glorot_normal'"),
        (BernoulliRBMStack, "early_stopping", "reconstruct", "'reconstruction'"),
    ],
)
def test_what_was_meant(kind, parameter, name, meant):
    """Another spelling, another library's name, a slip of the hand; all names in order."""
    message = error_of(kind(**{parameter: name}))
    assert f"The {parameter!r} parameter of {kind.__name__} must be" in message
    assert message.endswith(f"Got {name!r} instead. Did you mean {meant}?")
    listed = re.findall("'([^']+)'", message[message.index("{") : message.index("}")])
    assert listed == sorted(listed) and len(listed) > 1


def test_one_activation_of_several():
    """Names in a list are no scikit-learn parameters, but are met in the same way."""
    with pytest.raises(ValueError, match=r"'sigmoid'\. Did you mean 'logistic'\?"):
        DBNClassifier((4, 3), activation=["tanh", "sigmoid"]).fit(X, Y[DBNClassifier])


@pytest.mark.parametrize("value", ["qqqq", "", 3, None])
def test_what_is_like_nothing_gets_no_suggestion(value):
    """The message then is scikit-learn's."""
    assert error_of(DBNClassifier(solver=value)).endswith(f"Got {value!r} instead.")


@pytest.mark.parametrize("rate", [0.01, 1, np.float64(0.1)])
@pytest.mark.parametrize("kind", [DBNClassifier, DBNAutoencoder, DeepMLPRegressor])
def test_a_number_as_learning_rate(kind, rate):
    """It is the first rate in other libraries; here and in scikit-learn it is a schedule."""
    with pytest.raises(InvalidParameterError, match="The 'learning_rate' parameter") as error:
        kind(learning_rate=rate).fit(X, Y.get(kind))
    assert str(error.value).endswith(f"instead. Did you mean learning_rate_init={rate!r}?")
    assert error_of(BernoulliRBMStack(learning_rate=-0.5)).endswith("Got -0.5 instead.")


def test_synonyms_lead_somewhere():
    """Each stands for a name that some parameter has, and is none of that parameter itself."""
    constraints = [
        c
        for kind in Y
        for of_parameter in kind._parameter_constraints.values()
        for c in of_parameter
        if isinstance(c, Names)
    ]
    for synonym, names in SYNONYMS.items():
        of = [c.options for c in constraints if set(names) <= c.options]
        assert of, synonym
        assert all(suggestions(synonym, options) for options in of)
