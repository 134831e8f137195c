"""What is stored of an estimator in pickles and skops files, and what is checked on loading."""

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_dbn
from sk_dbn import (
    BernoulliRBMStack,
    DBNAutoencoder,
    DBNClassifier,
    DeepMLPRegressor,
    RBMImputer,
    WarmStart,
)
from sk_dbn._persistence import FORMAT

STORED = Path(__file__).parent / "stored"
random = np.random.RandomState(0)
X = random.uniform(size=(80, 6)).astype(np.float32)
y = (X.sum(axis=1) > 3).astype(int)
gaps = np.where(random.uniform(size=X.shape) < 0.1, np.nan, X)
PARAMS = {"max_iter": 2, "random_state": 0}
table = pd.DataFrame(X, columns=list("abcdef")).assign(
    kind=pd.Categorical(np.where(y, "high", "low"))
)


def stack(**params):
    return BernoulliRBMStack((5, 3), **PARAMS, **params)


def fitted(name):
    """An estimator of each kind of what may be stored, and an X that it takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "unfitted": lambda: (DBNClassifier(), X),
            "stack": lambda: (stack().fit(X), X),
            "chains": lambda: (stack(algorithm="fpcd", n_chains=10).fit(X), X),
            "gaps": lambda: (stack().fit(gaps), gaps),
            "kinds": lambda: (stack(visible=["bernoulli", "gaussian"] * 3).fit(X), X),
            "categories": lambda: (stack().fit(table), table),
            "imputer": lambda: (RBMImputer(stack()).fit(gaps), gaps),
            "autoencoder": lambda: (DBNAutoencoder((5, 2), **PARAMS).fit(X), X),
            "classifier": lambda: (DBNClassifier((5, 3), **PARAMS).fit(X, y.astype(str)), X),
            "no trace": lambda: (DBNClassifier((5,), trace=None, **PARAMS).fit(X, y), X),
            "each batch": lambda: (DBNClassifier((5,), trace="batch", **PARAMS).fit(X, y), X),
            "pre-trained": lambda: (
                DBNClassifier((5, 3), pretrainer=BernoulliRBMStack(max_iter=2), **PARAMS).fit(X, y),
                X,
            ),
            "frozen": lambda: (
                DBNClassifier((5, 3), pretrainer=FrozenEstimator(stack().fit(X)), **PARAMS).fit(
                    X, y
                ),
                X,
            ),
            "warm": lambda: (
                DBNClassifier((5, 3), pretrainer=WarmStart(stack().fit(X)), **PARAMS).fit(X, y),
                X,
            ),
            "early": lambda: (
                DeepMLPRegressor((5,), early_stopping=True, **PARAMS).fit(X, y),
                X,
            ),
            "lbfgs": lambda: (DeepMLPRegressor((5,), solver="lbfgs", **PARAMS).fit(X, y), X),
            "partial": lambda: (
                DeepMLPRegressor((5,), shortcut=True, **PARAMS).partial_fit(X, y),
                X,
            ),
            "pipeline": lambda: (
                make_pipeline(StandardScaler(), DeepMLPRegressor((5,), **PARAMS)).fit(X, y),
                X,
            ),
        }[name]()


CASES = [
    *("unfitted", "stack", "chains", "gaps", "kinds", "categories", "imputer", "autoencoder"),
    *("classifier", "no trace", "each batch", "pre-trained", "frozen", "warm", "early", "lbfgs"),
    *("partial", "pipeline"),
]


def through_skops(estimator):
    """Stored and loaded by skops, with the public classes as the only ones to trust."""
    skops = pytest.importorskip("skops.io")
    stored = skops.dumps(estimator)
    untrusted = skops.get_untrusted_types(data=stored)
    public = {
        f"{cls.__module__}.{cls.__qualname__}"
        for cls in vars(sk_dbn).values()
        if isinstance(cls, type)
    }
    assert set(untrusted) <= public
    return skops.loads(stored, trusted=untrusted)


WAYS = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "copy": copy.deepcopy,
    "skops": through_skops,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_a_loaded_estimator_is_the_one_that_was_stored(name, way):
    """Its predictions, trace and importances are the same bits, and so is further training."""
    estimator, data = fitted(name)
    loaded = WAYS[way](estimator)
    for method in ("predict", "predict_proba", "transform"):
        if name != "unfitted" and hasattr(estimator, method):
            np.testing.assert_array_equal(
                getattr(loaded, method)(data), getattr(estimator, method)(data)
            )
    trace = getattr(estimator, "gradient_trace_", None)
    if trace is not None:
        pd.testing.assert_frame_equal(loaded.gradient_trace_.to_frame(), trace.to_frame())
    if hasattr(estimator, "feature_importances_"):
        np.testing.assert_array_equal(loaded.feature_importances_, estimator.feature_importances_)
    if name not in ("unfitted", "early") and hasattr(estimator, "partial_fit"):
        targets = y.astype(str) if name == "classifier" else y
        for each in estimator, loaded:
            each.partial_fit(data, targets)
        for mine, other in zip(loaded.coefs_, estimator.coefs_, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_pickles_hold_the_version_and_no_inner_class():
    """So a new version may change its inner classes and still read them."""
    state = stack().fit(X).__getstate__()
    assert state["_sk_dbn_version"] == sk_dbn.__version__
    inner = [type(value) for value in state.values() if type(value).__module__.startswith("sk_dbn")]
    assert inner == []


@pytest.mark.parametrize("change", [{"_sk_dbn_format": 99}, {"_sk_dbn_format": 0}])
def test_another_format_is_an_error_that_names_the_version(change):
    """A newer version may store what this one does not know."""
    state = stack().fit(X).__getstate__() | change | {"_sk_dbn_version": "7.0"}
    with pytest.raises(ValueError, match=r"stored by sk_dbn 7\.0, in a format"):
        BernoulliRBMStack().__setstate__(state)


def damaged(state, path, value):
    """A state of which one value is another."""
    state = copy.deepcopy(state)
    of = state
    for name in path[:-1]:
        of = of[name]
    of[path[-1]] = value(of[path[-1]])
    return state


@pytest.mark.parametrize(
    "path, value",
    [
        (("_stack", "state", "theta"), lambda x: x[:-1]),
        (("_stack", "state", "units"), lambda x: x + 1),
        (("_stack", "state", "units"), lambda x: -x),
        (("_stack", "state", "kinds"), lambda x: [7, *x[1:]]),
        (("_stack", "state", "kinds"), lambda x: x[:-1]),
        (("_stack", "state", "kinds"), lambda x: [x[0], 100, *x[2:]]),
        (("_stack", "state", "kinds"), lambda x: [np.full(6, 101), *x[1:]]),
        (("_stack", "state", "theta"), lambda x: x.astype(int)),
        (("_stack", "state", "reference"), lambda x: x[:2]),
        (("_stack", "state", "memories", 0, "state", "velocity_W"), lambda x: x[:, :1]),
        (("_stack", "state", "memories", 0, "state", "mu"), lambda x: x.astype("f8")),
        (("_stack", "state", "memories", 0, "state", "chains"), lambda x: np.zeros((200, 9), "f4")),
        (("_stack", "state", "memories", 0, "state", "chains"), lambda x: np.zeros((9, 5), "f4")),
        (("_stack", "state", "memories"), lambda x: x[:1]),
        (("_visible", "state", "gaussian"), lambda x: x[:3]),
        (("_visible", "state", "scale"), lambda x: np.ones(3)),
        (("_visible", "kind of part"), lambda x: "Popen"),
        (("_visible", "state"), lambda x: {}),
        (("n_features_in_",), lambda x: 3),
        (("_means",), lambda x: x[:3]),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_parts_of_a_stack_that_do_not_fit_are_an_error(path, value):
    """Kernels do not check sizes, so a damaged file must not reach them."""
    state = damaged(stack().fit(X).__getstate__(), path, value)
    with pytest.raises(ValueError, match="stored"):
        BernoulliRBMStack().__setstate__(state)


@pytest.mark.parametrize(
    "path, value",
    [
        (("_network", "state", "theta"), lambda x: np.r_[x, x]),
        (("_network", "state", "units"), lambda x: x[::-1]),
        (("_network", "state", "codes"), lambda x: x + 1000),
        (("_network", "state", "theta"), lambda x: x.astype(int)),
        (("_network", "state", "theta"), lambda x: x.astype("f8")),
        (("_optimiser", "state", "kernel_state", "first"), lambda x: x[:2]),
        (("_optimiser", "state", "kernel_state", "code"), lambda x: 77),
        (("_optimiser", "state", "n_parameters"), lambda x: x + 1),
        (("n_features_in_",), lambda x: 3),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_parts_of_a_network_that_do_not_fit_are_an_error(path, value):
    """The same."""
    network = DBNClassifier((5,), **PARAMS).fit(X, y)
    with pytest.raises(ValueError, match="stored"):
        DBNClassifier().__setstate__(damaged(network.__getstate__(), path, value))


@pytest.mark.parametrize("path", sorted(STORED.glob("*.pkl")), ids=lambda path: path.stem)
def test_what_earlier_versions_stored_is_read(path):
    """One file for each format that was ever in use, with the outputs of that time."""
    stored = pickle.loads(path.read_bytes())
    for method, model in stored["models"].items():
        outputs = getattr(model, method)(stored["X"])
        np.testing.assert_allclose(outputs, stored["outputs"][method], rtol=1e-4, atol=1e-5)


def test_the_present_format_is_among_them():
    """A new format needs a file of its own."""
    assert {path.stem for path in STORED.glob("*.pkl")} >= {f"format_{FORMAT}"}
