"""A fit on data that are not scaled warns once, and says of what and what to do."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from sk_dbn import BernoulliRBMStack, DBNClassifier, DeepMLPRegressor
from sk_dbn._scaling import feature_remedy

pd = pytest.importorskip("pandas")


@pytest.fixture
def X():
    """Five standardised features."""
    return np.random.default_rng(0).normal(size=(60, 5))


def messages(estimator, *data, method="fit", **kwargs):
    """The warnings of a fit that tell of scales."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ConvergenceWarning)
        getattr(estimator, method)(*data, **kwargs)
    return [str(w.message) for w in caught if "not scaled" in str(w.message)]


def regressor(**parameters):
    return DeepMLPRegressor((5,), **({"max_iter": 1, "random_state": 0} | parameters))


def test_names_and_remedy(X):
    """Three features at most are named, by their names where there are any."""
    frame = pd.DataFrame(X * [1, 1e4, 1, 100, 10], columns=list("abcde"))
    (message,) = messages(regressor(), frame, X[:, 0])
    assert "features 'b' (" in message and "'d' (" in message and "'a'" not in message
    assert "make_pipeline(StandardScaler(), DeepMLPRegressor(...))" in message
    (message,) = messages(regressor(), X * 1e4, X[:, 0])
    assert message.count("±") == 4 and " and 2 more, " in message
    (message,) = messages(regressor(), scipy.sparse.csr_array(X * 1e4), X[:, 0])
    assert "MaxAbsScaler()" in message


def test_targets(X):
    """Of several the ones that it is; what is to be an exponential must stay positive."""
    (message,) = messages(regressor(), X, 1e6 * X[:, 0])
    assert "TransformedTargetRegressor(DeepMLPRegressor(...), transformer=Sta" in message
    (message,) = messages(regressor(), X, np.c_[X[:, 0], 1e6 * X[:, 1]])
    assert "outputs of y 1 (" in message
    (message,) = messages(regressor(loss="poisson"), X, 1e6 * np.exp(X[:, 0]))
    assert "Divide y by its mean" in message
    for message in (both := messages(regressor(), 1e6 * X, 1e6 * X[:, 0])):
        both_scalers = "(make_pipeline(StandardScaler(), DeepMLPRegressor(...)), transformer=Sta"
        assert f"Use TransformedTargetRegressor{both_scalers}" in message
        assert ", from sklearn.compose, sklearn.pipeline and sklearn.preprocessing." in message
    assert len(both) == 2


def test_well_scaled_data_are_not_warned_of(X):
    """Nor a constant target, which has no scale."""
    for y in (X[:, 0], np.ones(60)):
        assert messages(regressor(), X, y) == []
    labels = (X[:, 0] > 0).astype(int)
    for pretrainer in (None, "auto", BernoulliRBMStack(max_iter=1)):
        assert messages(DBNClassifier((5,), max_iter=1, pretrainer=pretrainer), X, labels) == []


def test_only_the_first_call_warns(X):
    """Training that goes on has been warned of."""
    network = regressor(warm_start=True)
    assert len(messages(network, 1e6 * X, X[:, 0])) == 1
    assert messages(network, 1e6 * X, X[:, 0]) == []
    network = regressor()
    assert len(messages(network, 1e6 * X, X[:, 0], method="partial_fit")) == 1
    assert messages(network, 1e6 * X, X[:, 0], method="partial_fit") == []


def test_what_a_stack_standardises(X):
    """Gaussian units do it by themselves; for Bernoulli units features may be too small."""
    labels = (X[:, 0] > 0).astype(int)
    stack = BernoulliRBMStack((5,), max_iter=1, random_state=0)
    assert messages(stack, 1e6 * X + 1e7) == []
    small = 1e-4 * (X - X.min()) / np.ptp(X)
    (message,) = messages(stack, small)
    assert "make_pipeline(MinMaxScaler(), BernoulliRBMStack(...))" in message
    network = DBNClassifier((5,), activation="logistic", max_iter=1, random_state=0)
    network.set_params(pretrainer=BernoulliRBMStack(max_iter=1))
    assert messages(network, 1e6 * X + 1e7, labels) == []
    (message,) = messages(network, small, labels)
    assert "MinMaxScaler(), DBNClassifier" in message
    network.set_params(pretrainer=FrozenEstimator(stack))
    assert messages(network, small, labels) == []


def test_rows_that_do_not_count_do_not_count(X):
    """A weight of 0 leaves a row out, of its scale as well."""
    far = np.vstack([X, np.full((3, 5), 1e6)])
    y, weight = np.r_[X[:, 0], 1e9, 1e9, 1e9], np.r_[np.ones(60), 0, 0, 0]
    assert len(messages(regressor(), far, y)) == 2
    assert messages(regressor(), far, y, weight) == []


def test_a_stack_of_several_kinds():
    """The remedy is named also where the kinds of the features are an array."""
    frame = pd.DataFrame({"a": [True, False] * 4, "b": np.full(8, -1e30) / 3}).iloc[:7]
    stack = BernoulliRBMStack((2,), max_iter=1)
    told = messages(stack, frame.astype({"a": "category"}))
    assert stack.visible_.tolist() == ["categorical", "gaussian"]
    assert all("StandardScaler(), BernoulliRBMStack(...)" in message for message in told)
    assert "StandardScaler()" in feature_remedy(stack)
