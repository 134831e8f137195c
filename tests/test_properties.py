"""What holds for any parameters and any data: an error that helps, or a model that is finite.

Each case draws an estimator with some parameters from their documented ranges, and a training set
of one of many odd kinds, for `fit` or for calls of `partial_fit`. CI tries the same hundred cases
each time, eleven for each class and method. With SK_DBN_NIGHTLY=1 in the environment there are
2,000 new ones, 222 for each.
"""

import os
import re
import warnings
from numbers import Integral, Number

import joblib
import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import Interval, Options

from sk_dbn import (
    BernoulliRBMStack,
    DBNAutoencoder,
    DBNClassifier,
    DeepMLPRegressor,
    RBMImputer,
    WarmStart,
)

NIGHTLY = os.environ.get("SK_DBN_NIGHTLY", "0") not in ("", "0")
N_TESTS = 9
PROFILE = {
    "max_examples": (2000 if NIGHTLY else 100) // N_TESTS,
    "derandomize": not NIGHTLY,
    "deadline": None,
    "database": None,
    "print_blob": True,
    "suppress_health_check": list(HealthCheck),
}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# ---------------------------------------------------------------------------
# Parameters
# ---------------------------------------------------------------------------

REALS = (
    *(0.0, 5e-324, 1e-300, 1e-30, 1e-8, 1e-3, 0.1, 0.5, 0.9, 1.0 - 1e-9, 1.0, 1.5, 10.0),
    *(1e4, 1e30, 1e300, float("inf")),
)
INTEGERS = 1, 2, 3, 7, 100, 2**31, 10**13

SIZES = st.one_of(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.sampled_from([4, (), (0,), (2, 10**12)]),
)


def values_of(constraint):
    """Values that a constraint of scikit-learn's allows, or nothing where it has no range."""
    if constraint is None:
        return st.none()
    if constraint == "boolean":
        return st.booleans()
    if isinstance(constraint, Interval):
        all_values = INTEGERS if constraint.type is Integral else REALS
        allowed = [x for x in all_values if constraint.is_satisfied_by(x)]
        return st.sampled_from(allowed) if allowed else st.nothing()
    if isinstance(constraint, Options):
        return st.sampled_from(sorted(constraint.options, key=str))
    return st.nothing()


def ranges_of(cls):
    """A strategy for each parameter of an estimator, from its constraints."""
    own = cls._parameter_constraints
    found = {name: st.one_of(*map(values_of, own[name])) for name in own if is_listed(own[name])}
    chosen = {name: value for name, value in BY_HAND.items() if name in own}
    return {name: value for name, value in (found | chosen).items() if not value.is_empty}


def is_listed(constraints):
    return not isinstance(constraints, str)


def few(*values):
    return st.sampled_from(values)


SMALL = {"max_iter": 1, "random_state": 0, "n_jobs": 1}
STACKS = st.builds(
    BernoulliRBMStack,
    algorithm=few("cd", "pcd"),
    visible=few("auto", "gaussian", "bernoulli"),
    **{name: st.just(value) for name, value in SMALL.items()},
)

# What would take long, or is no range: of layers, of features, of other estimators.
BY_HAND = {
    "hidden_layer_sizes": SIZES,
    "max_iter": st.one_of(st.integers(1, 3), st.just([1, 2])),
    "n_gibbs_steps": st.integers(1, 3),
    "n_chains": few(1, 2, 7, 10**13),
    "n_temperatures": few(2, 3, 10**13),
    "n_jobs": few(None, 1, 2, -1, 0),
    "random_state": st.integers(0, 3),
    "verbose": few(0),
    "memory": few(None),
    "estimator": STACKS,
    "n_steps": few(0, 1, 3, "auto"),
    "n_burn_in": few(0, 1, 3),
    "dropout": few(0.0, 0.5, 0.99, (0.2, 0.5), (0.9, 0.0)),
    "pretrained_learning_rate": few(0.0, 0.1, 1.0, 1e300, [0.0, 1.0]),
    "class_weight": few(None, "balanced", {0: 2.0, 1: 0.0}),
    "unlabeled": few(None, -1),
    "categories": few("auto"),
}


def wrapped_stack(draw, X):
    """A fitted stack, frozen or to be fine-tuned."""
    stack = BernoulliRBMStack((3, 2), algorithm="cd", **SMALL)
    try:
        return draw(few(FrozenEstimator, WarmStart))(stack.fit(X))
    except (ValueError, TypeError):
        return None


def draw_parameters(draw, cls, ranges, X):
    """Some parameters, the others as small as tests need them."""
    base = {"hidden_layer_sizes": (3, 2), **SMALL, "n_steps": 3, "n_burn_in": 1}
    params = {name: value for name, value in base.items() if name in cls().get_params()}
    for name in draw(st.lists(st.sampled_from(sorted(ranges)), unique=True, max_size=6)):
        params[name] = draw(ranges[name])
    n_features = X.shape[1]
    if "visible" in params and draw(st.booleans()):
        params["visible"] = draw(
            st.lists(few("gaussian", "bernoulli"), min_size=n_features, max_size=n_features)
        )
    if "pretrainer" in cls().get_params():
        kind = draw(few("auto", None, "stack", "fitted"))
        params["pretrainer"] = {"stack": lambda: draw(STACKS)}.get(kind, lambda: kind)()
        if kind == "fitted":
            params["pretrainer"] = wrapped_stack(draw, X)
    return params


# ---------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------

VALUES = {
    "normal": lambda random, shape: random.normal(size=shape),
    "uniform": lambda random, shape: random.uniform(size=shape),
    "binary": lambda random, shape: random.randint(0, 2, shape).astype(float),
    "counts": lambda random, shape: random.poisson(2.0, shape).astype(float),
    "heavy tails": lambda random, shape: random.standard_cauchy(shape) ** 3,
    "zeros": lambda random, shape: np.zeros(shape),
}


def one_huge(X):
    X[0, -1] = 1e200


def constant_column(X):
    X[:, 0] = 0.3


def duplicates(X):
    X[len(X) // 3 :] = X[0]


def missing(X):
    X[::3, ::2] = np.nan


def missing_row(X):
    X[-1] = np.nan


def missing_column(X):
    X[:, 0] = np.nan


def infinite(X):
    X[-1, 0] = np.inf


ODDITIES = (
    *(one_huge, constant_column, duplicates, missing, missing_row, missing_column, infinite),
)
SCALES = 1.0, 1.0, 1.0, 1e-310, 1e-40, 1e-5, 1e5, 1e18, 1e30, 1e38, 1e150, 1e307


def read_only(X):
    X.flags.writeable = False
    return X


CONTAINERS = {
    "array": lambda X: X,
    "columns": np.asfortranarray,
    "single": lambda X: X.astype(np.float32),
    "half": lambda X: X.astype(np.float16),
    "integers": lambda X: np.nan_to_num(X, posinf=0.0, neginf=0.0).clip(-1e9, 1e9).astype(int),
    "bools": lambda X: X > 0,
    "read-only": read_only,
    "backwards": lambda X: X[::-1, ::-1],
    "other bytes": lambda X: X.astype(X.dtype.newbyteorder()),
    "csr": scipy.sparse.csr_matrix,
    "csc": scipy.sparse.csc_array,
    "half empty": lambda X: scipy.sparse.csr_matrix(np.where(np.arange(len(X))[:, None] % 2, 0, X)),
    "frame": lambda X: pytest.importorskip("pandas").DataFrame(X).add_prefix("x"),
    "categories": lambda X: (
        pytest.importorskip("pandas")
        .DataFrame({f"x{i}": X[:, i] if i else (X[:, i] > 0) for i in range(X.shape[1])})
        .astype({"x0": "category"})
    ),
}


@st.composite
def inputs(draw):
    """X of one of many kinds."""
    shape = draw(few(1, 2, 3, 7, 20, 60, 120)), draw(few(1, 2, 5, 12))
    random = np.random.RandomState(draw(st.integers(0, 99)))
    with np.errstate(over="ignore", invalid="ignore"):
        X = draw(few(*VALUES.values()))(random, shape) * draw(few(*SCALES))
        X += draw(few(0.0, 0.0, 0.0, 1.0, 1e6, -1e30))
        for change in draw(st.lists(few(*ODDITIES), max_size=2)) if draw(st.booleans()) else ():
            change(X)
        return CONTAINERS[draw(few(*CONTAINERS))](X)


def labels(draw, random, n):
    rare = np.where(np.arange(n) == n // 2, 1, 0)
    kinds = {
        "two": random.randint(0, 2, n),
        "many": random.randint(0, 9, n),
        "rare": rare,
        "several rare": np.where(np.arange(n) < n // 2, 0, np.arange(n)),
        "one": np.zeros(n, int),
        "text": random.choice(["a", "b", "c"], n),
        "unknown": random.randint(-1, 2, n),
        "several": random.randint(0, 2, (n, 3)),
        "reals": random.normal(size=n),
    }
    return kinds[draw(few(*kinds))]


def targets(draw, random, n):
    kinds = {
        "plain": random.normal(size=n),
        "two": random.normal(size=(n, 2)),
        "constant": np.full(n, 3.0),
        "huge": random.normal(size=n) * 1e37,
        "too huge": random.normal(size=n) * 1e300,
        "tiny": random.normal(size=n) * 1e-300,
        "counts": random.poisson(3.0, n),
        "far": 1e8 + random.normal(size=n),
        "one far": np.where(np.arange(n) == 0, 1e30, random.normal(size=n)),
        "text": np.array(["a"] * n),
        "objects": np.array(["a"] * n, object),
    }
    return kinds[draw(few(*kinds))]


def weights(draw, random, n):
    kinds = {
        "none": None,
        "counts": random.randint(0, 3, n),
        "reals": random.uniform(size=n),
        "tiny": random.uniform(size=n) * 1e-300,
        "huge": random.uniform(size=n) * 1e300,
        "one": np.where(np.arange(n) == 0, 1.0, 0.0),
        "zeros": np.zeros(n),
        "negative": -np.ones(n),
    }
    return kinds[draw(few("none", "none", "none", *kinds))]


# ---------------------------------------------------------------------------
# What holds
# ---------------------------------------------------------------------------

OF_DATA = "X y X_val y_val sample_weight Sample array samples? labels? class(es)? features?".split()
OF_DATA += ["could not convert string"]  # NumPy's words for text, which scikit-learn keeps


def assert_helps(error, estimator):
    """The message names a parameter, X or y, or what scikit-learn's messages speak of."""
    names = [name.rpartition("__")[2] for name in estimator.get_params(deep=True)]
    names = "|".join([*names, *OF_DATA])
    assert re.search(rf"\b({names})\b", str(error)), repr(error)


def assert_finite(estimator):
    """Every number of every public fitted attribute is finite, but for documented NaN."""
    for name in dir(type(estimator)) + list(vars(estimator)):
        if name.endswith("_") and not name.startswith("_") and name not in MAY_BE_NAN:
            value = getattr(estimator, name, None)
            for x in value if isinstance(value, list | tuple) else [value]:
                if isinstance(x, np.ndarray | Number) and np.asarray(x).dtype.kind == "f":
                    assert np.isfinite(x).all(), (name, x)


# visible_variance_: of Bernoulli units. The losses: of a network that had no good epoch.
MAY_BE_NAN = {"visible_variance_", "loss_", "best_loss_", "best_validation_score_"}
MAY_BE_NAN |= {"held_out_loss_curve_"}  # of a first pass that diverged, before training did

OUTPUTS = {
    BernoulliRBMStack: ["transform", "reconstruct", "free_energy", "score_samples"],
    DBNClassifier: ["predict_proba", "predict", "transform"],
    DeepMLPRegressor: ["predict"],
    DBNAutoencoder: ["transform", "reconstruct", "score_samples"],
    RBMImputer: ["transform"],
}


def assert_output_is_finite(estimator, X):
    """Of all samples and of one, and probabilities sum to one."""
    for name in OUTPUTS[type(estimator)]:
        for part in (X, X[:1]):
            out = np.asarray(getattr(estimator, name)(part))
            assert len(out) == part.shape[0]
            if out.dtype.kind == "f":
                is_finite = np.isfinite(out)
                if name == "score_samples":
                    is_finite |= out == -np.inf  # documented: beyond the range of numbers
                assert is_finite.all(), (name, out)
            if name == "predict_proba" and not estimator._is_multilabel:
                np.testing.assert_allclose(out.sum(axis=1), 1.0, rtol=1e-6)


def strict_warnings():
    """Those of this package's own arithmetic are errors; all others are kept."""
    warnings.simplefilter("always")
    warnings.filterwarnings("error", category=RuntimeWarning, module="sk_dbn")


def check(estimator, X, *args, **fit_params):
    """Fit: a helpful error and no fitted attribute, or numbers that are finite."""
    with warnings.catch_warnings(record=True) as caught:
        strict_warnings()
        try:
            estimator.fit(X, *args, **fit_params)
        except (ValueError, TypeError) as error:
            assert_helps(error, estimator)
            assert not hasattr(estimator, "coefs_") and not hasattr(estimator, "n_features_in_")
            return
        assert_finite(estimator)
        has_diverged = any("diverged" in str(w.message) for w in caught)
        assert has_diverged or np.isfinite(getattr(estimator, "loss_", 0.0))
        if not (has_diverged or (fit_params and holds_infinity(X))):
            assert_output_is_finite(estimator, X)
        elif not hasattr(X, "iloc"):  # the first weights may be too large for X
            assert_output_is_finite(estimator, np.zeros(X.shape))


def holds_infinity(X):
    """Whether a network reads values of X as infinite: samples without weight may have such."""
    X = X.toarray() if scipy.sparse.issparse(X) else np.asarray(X, dtype=float)
    return bool(np.nanmax(np.abs(X), initial=0.0) > 1e37)


SUPERVISED = {DBNClassifier: labels, DeepMLPRegressor: targets}


@pytest.mark.parametrize("cls", OUTPUTS, ids=lambda cls: cls.__name__)
def test_fit_helps_or_is_finite(cls):
    """Whatever the parameters and the data: nothing else, and no warning of NumPy's."""
    ranges = ranges_of(cls)

    @settings(**PROFILE)
    @given(st.data())
    def one_case(data):
        draw = data.draw
        X = draw(inputs())
        estimator = cls(**draw_parameters(draw, cls, ranges, X))
        random, args, weight = np.random.RandomState(1), (), {}
        if cls in SUPERVISED:
            args = (SUPERVISED[cls](draw, random, X.shape[0]),)
        if cls in SUPERVISED or cls is DBNAutoencoder:
            weight = {"sample_weight": weights(draw, random, X.shape[0])}
        check(estimator, X, *args, **weight)

    one_case()


# ---------------------------------------------------------------------------
# Calls of partial_fit
# ---------------------------------------------------------------------------


def part_of(draw, y, n):
    """The rows of one call: one of them, those of one class, or more, in a view if possible."""
    start = draw(st.integers(0, n - 1))
    parts = {
        "one": slice(start, start + 1),
        "some": slice(start, start + 20),
        "all": slice(None),
        "one class": slice(None)
        if y is None
        else np.flatnonzero((y == y[start]).reshape(n, -1)[:, 0]),
    }
    return parts[draw(few(*parts))]


def draw_call(draw, cls, X, y, is_first):
    """The arguments of a call: a part of X, rarely other samples, in any container."""
    rows = part_of(draw, y, X.shape[0])
    part = X.iloc[rows] if hasattr(X, "iloc") else X[rows]
    kind = draw(few("same", "same", "same", "csr", "array", "other"))
    if kind == "csr" and not hasattr(X, "iloc"):
        part = scipy.sparse.csr_matrix(part, dtype=float)
    elif kind == "array" and scipy.sparse.issparse(X):
        part = part.toarray()
    elif kind == "other":
        part = draw(inputs())
    n, random = part.shape[0], np.random.RandomState(2)
    args = {"X": part}
    if cls in SUPERVISED:
        args["y"] = SUPERVISED[cls](draw, random, n) if kind == "other" else y[rows]
    if draw(st.booleans()):
        args["sample_weight"] = weights(draw, random, n)
    if cls is DBNClassifier and (is_first or draw(few(False, False, True))):
        args["classes"] = classes_of(draw, y)
    return args


def classes_of(draw, y):
    """All classes, rarely some more, or what is wrong: too few, or none."""
    known = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
    other = np.array(["z"] if known.dtype.kind == "U" else [77])
    kinds = {"more": np.append(known, other), "first": known[:1], "none": None}
    return kinds.get(draw(few(*["all"] * 6, *kinds)), known)


def check_calls(estimator, draw, cls, X, y, ranges):
    """Each call raises a helpful error and changes nothing, or leaves finite numbers."""
    is_first = True
    for _ in range(draw(st.integers(1, 4))):
        if draw(few(False, False, False, True)):
            estimator.set_params(**draw_parameters(draw, cls, ranges, X))
        call, before = draw_call(draw, cls, X, y, is_first), joblib.hash(vars(estimator))
        with warnings.catch_warnings(record=True) as caught:
            strict_warnings()
            try:
                estimator.partial_fit(**call)
            except (ValueError, TypeError) as error:
                assert_helps(error, estimator)
                assert joblib.hash(vars(estimator)) == before
                continue
            except AttributeError:  # as in scikit-learn, where the solver has no minibatches
                assert estimator.solver == "lbfgs"
                continue
            is_first = False
            assert_finite(estimator)
            has_diverged = any("diverged" in str(w.message) for w in caught)
            assert has_diverged or np.isfinite(getattr(estimator, "loss_", 0.0))
            if not (has_diverged or holds_infinity(call["X"])):
                assert_output_is_finite(estimator, call["X"])
            elif not hasattr(X, "iloc"):
                assert_output_is_finite(estimator, np.zeros(call["X"].shape))


@pytest.mark.parametrize(
    "cls", [cls for cls in OUTPUTS if hasattr(cls(), "partial_fit")], ids=lambda cls: cls.__name__
)
def test_partial_fit_helps_or_is_finite(cls):
    """Whatever the parameters and the data of each call; an error leaves all as it was."""
    ranges = ranges_of(cls)

    @settings(**PROFILE)
    @given(st.data())
    def one_case(data):
        draw = data.draw
        X = draw(inputs())
        estimator = cls(**draw_parameters(draw, cls, ranges, X))
        y = None
        if cls in SUPERVISED:
            y = SUPERVISED[cls](draw, np.random.RandomState(1), X.shape[0])
        check_calls(estimator, draw, cls, X, y, ranges)

    one_case()
