"""Conversion to ONNX: onnxruntime computes what the estimator does, to 1e-5."""

import importlib
import sys

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor
from sk_dbn.models.network import ACTIVATIONS, OUTPUT_ACTIVATIONS

skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
onnx = importlib.import_module("sk_dbn.onnx")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

IMAGES = load_digits().data[:120].astype("float32") / 16
DIGITS = load_digits().target[:120]
TABLE = StandardScaler().fit_transform(load_iris().data).astype("float32")
SPECIES = load_iris().target
NAMES = np.array(["setosa", "versicolor", "virginica"])
TARGETS = load_iris().data[:, :2] + 0.1
FEW = {"max_iter": 2, "random_state": 0}
ESTIMATORS = [BernoulliRBMStack, DBNClassifier, DBNAutoencoder, DeepMLPRegressor]
DTYPES = ["float32", "float64"]


def run(estimator, X, options=None):
    """The outputs of the model converted for one row, given all rows."""
    model = skl2onnx.to_onnx(estimator, X[:1], options=options)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    columns = {"X": X}
    if hasattr(X, "columns"):
        columns = {name: X[[name]].to_numpy() for name in X.columns}
    return session.run(None, columns)


def assert_close(actual, expected):
    """Equal to 1e-5, relative to values above 1."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def assert_classifies(classifier, X):
    """The converted model predicts the same labels and probabilities."""
    labels, p = run(classifier, X, {"zipmap": False})
    assert_close(p, classifier.predict_proba(X))
    np.testing.assert_array_equal(labels, classifier.predict(X))


# ---------------------------------------------------------------------------
# Layers
# ---------------------------------------------------------------------------


def test_every_activation_has_a_formula():
    """Those of hidden layers and of outputs."""
    assert set(onnx.FORMULAS) == {*ACTIVATIONS, *OUTPUT_ACTIVATIONS}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 50])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, scale, dtype):
    """Of any input; 'step', which cannot be trained, replaces what was trained."""
    trained = "tanh" if activation == "step" else activation
    regressor = DeepMLPRegressor((7, 5), trained, dtype=dtype, **FEW).fit(TABLE, TARGETS)
    regressor._network.codes[:-1] = ACTIVATIONS[activation]
    X = scale * TABLE
    assert_close(run(regressor, X)[0], regressor.predict(X))


@pytest.mark.parametrize("sizes", [(), (5,), (5, 5, 5), (6, 9, 9, 4, 8)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_shortcuts(sizes, dtype):
    """Also between layers of different widths; the first and the output layer have none."""
    regressor = DeepMLPRegressor(sizes, shortcut=True, dtype=dtype, **FEW).fit(TABLE, TARGETS)
    assert_close(run(regressor, TABLE)[0], regressor.predict(TABLE))


def test_activations_may_differ():
    """Each layer has its own."""
    names = ["relu", "tanh", "softplus"]
    classifier = DBNClassifier((5, 6, 4), names, **FEW).fit(TABLE, SPECIES)
    assert_classifies(classifier, TABLE)


def test_a_hundred_layers():
    """The depth of a graph is not limited by Python's stack."""
    regressor = DeepMLPRegressor((4,) * 100, "relu", shortcut=True, **FEW).fit(TABLE, TARGETS)
    assert_close(run(regressor, TABLE)[0], regressor.predict(TABLE))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_result_has_the_type_of_the_input(dtype):
    """Whatever the precision of the estimator; integers give single precision."""
    stack = BernoulliRBMStack((5,), dtype=dtype, **FEW).fit(IMAGES > 0.5)
    for given, expected in [("float32", "float32"), ("float64", "float64"), ("uint8", "float32")]:
        X = (IMAGES > 0.5).astype(given)
        H = run(stack, X)[0]
        assert H.dtype == expected
        assert_close(H, stack.transform(X))


@pytest.mark.parametrize("activation", ["logistic", "elu", "selu", "softsign", "softplus"])
def test_double_precision_is_kept(activation):
    """Nothing is computed in single precision."""
    X = TABLE.astype("float64")
    regressor = DeepMLPRegressor((7, 5), activation, dtype="float64", **FEW).fit(X, TARGETS)
    np.testing.assert_allclose(run(regressor, X)[0], regressor.predict(X), rtol=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_assigned_weights_are_converted(estimator):
    """Not those of the fit."""
    fitted = estimator((5,), **FEW).fit(TABLE, SPECIES)
    fitted.coefs_ = [2 * W for W in fitted.coefs_]
    if estimator is DBNClassifier:
        assert_classifies(fitted, TABLE)
    else:
        method = fitted.predict if estimator is DeepMLPRegressor else fitted.transform
        assert_close(np.squeeze(run(fitted, TABLE)[0]), method(TABLE))


# ---------------------------------------------------------------------------
# Visible units
# ---------------------------------------------------------------------------

MIXED = ["gaussian", "bernoulli"] * 2
VISIBLE = ["bernoulli", "gaussian", "auto", MIXED]


@pytest.mark.parametrize("visible", VISIBLE, ids=str)
@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_stacks(visible, activation, dtype):
    """Values outside the range of the training data are clipped where units are Bernoulli."""
    stack = BernoulliRBMStack((6, 4), visible=visible, activation=activation, dtype=dtype, **FEW)
    stack.fit(TABLE)
    for X in (TABLE, 5 * TABLE, 5 * TABLE.astype("float64")):
        assert_close(run(stack, X)[0], stack.transform(X))


def test_learned_variances_scale_the_input():
    """The first weights read values divided by the variance, in a pre-trained network too."""
    stack = BernoulliRBMStack((6,), visible="gaussian", **FEW).fit(TABLE)
    stack._stack.variance[:] = 0.2, 0.5, 1.0, 2.0  # after two epochs they are still close to 1
    assert_close(run(stack, TABLE)[0], stack.transform(TABLE))
    classifier = DBNClassifier((6,), pretrainer=FrozenEstimator(stack), **FEW)
    assert_classifies(classifier.fit(TABLE, SPECIES), TABLE)


def test_unscaled_bernoulli_units_are_clipped():
    """Those whose training data lie in [0, 1], and which therefore have no scale."""
    stack = BernoulliRBMStack((6,), **FEW).fit(IMAGES)
    X = 3 * IMAGES - 1
    assert_close(run(stack, X)[0], stack.transform(X))
    assert_close(run(stack, X)[0], stack.transform(X.clip(0, 1)))


def test_a_large_mean_costs_no_digits():
    """Single precision alone would have one digit left."""
    X = 1e6 + TABLE.astype("float64")
    stack = BernoulliRBMStack((6,), visible="gaussian", **FEW).fit(X)
    assert_close(run(stack, X)[0], stack.transform(X))


@pytest.mark.parametrize("visible", VISIBLE, ids=str)
def test_pretrained_networks_read_input_as_their_stack(visible):
    """Scaled and clipped; with frozen layers too."""
    stack = BernoulliRBMStack((6, 4), visible=visible, **FEW)
    for pretrainer in (stack, FrozenEstimator(stack.fit(TABLE))):
        classifier = DBNClassifier((6, 4), pretrainer=pretrainer, **FEW).fit(TABLE, SPECIES)
        assert_classifies(classifier, 5 * TABLE)


@pytest.mark.parametrize("visible", VISIBLE, ids=str)
@pytest.mark.parametrize(
    "params", [{}, {"code_activation": "tanh"}, {"pretrainer": None, "shortcut": True}], ids=str
)
def test_autoencoders(visible, params):
    """The result is the code, whatever its activation."""
    autoencoder = DBNAutoencoder((6, 5, 3), visible=visible, **FEW, **params).fit(TABLE)
    for X in (TABLE, 5 * TABLE):
        assert_close(run(autoencoder, X)[0], autoencoder.transform(X))


# ---------------------------------------------------------------------------
# Predictions
# ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", ["squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"]
)
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressors(loss, n_outputs):
    """One column for each output, as skl2onnx has it for all regressors."""
    quantile = 0.3 if loss == "quantile" else None
    regressor = DeepMLPRegressor((6,), loss=loss, quantile=quantile, **FEW)
    regressor.fit(TABLE, TARGETS[:, :n_outputs])
    y = run(regressor, TABLE)[0]
    assert y.shape == (len(TABLE), n_outputs)
    assert_close(y, regressor.predict(TABLE).reshape(y.shape))


LABELS = {
    "integers": SPECIES - 1,
    "small integers": SPECIES.astype("uint8"),
    "floats": SPECIES + 0.0,
    "strings": NAMES[SPECIES],
    "objects": NAMES.astype(object)[SPECIES],
    "not ASCII": np.array(["ä", "ö", "ü"])[SPECIES],
}
LABELS |= {f"two {kind}": np.where(SPECIES == 1, y[0], y[-1]) for kind, y in LABELS.items()}
LABELS |= {"booleans": SPECIES == 1, "one": np.zeros(150), "one string": NAMES[0 * SPECIES]}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_classes(y, dtype):
    """Labels are strings or int64."""
    classifier = DBNClassifier((6,), dtype=dtype, **FEW).fit(TABLE, y)
    assert_classifies(classifier, TABLE)
    labels, p = run(classifier, TABLE, {"zipmap": False})
    assert labels.dtype == (object if y.dtype.kind in "UO" else np.int64)
    assert labels.shape == (150,) and p.shape == (150, len(classifier.classes_))


@pytest.mark.parametrize("n_labels", [2, 3])
def test_multilabel(n_labels):
    """Each label has a column, of its probability and of 0 or 1."""
    Y = np.column_stack([SPECIES == 1, SPECIES > 0, TABLE[:, 0] > 0])[:, :n_labels].astype(int)
    classifier = DBNClassifier((6,), **(FEW | {"max_iter": 20})).fit(TABLE, Y)
    assert classifier.predict(TABLE).any()
    assert_classifies(classifier, TABLE)


def test_options_of_classifiers():
    """Those that skl2onnx has for its own."""
    classifier = DBNClassifier((6,), **FEW).fit(TABLE, NAMES[SPECIES])
    p = classifier.predict_proba(TABLE)
    labels, dicts = run(classifier, TABLE)
    np.testing.assert_array_equal(labels, classifier.predict(TABLE))
    assert_close([dicts[0][name] for name in NAMES], p[0])
    columns = run(classifier, TABLE, {"zipmap": "columns"})[1:]
    assert_close(np.transpose(columns), p)
    positions = run(classifier, TABLE, {"zipmap": False, "nocl": True})[0]
    np.testing.assert_array_equal(positions, p.argmax(axis=1))
    names = run(classifier, TABLE, {"zipmap": False, "output_class_labels": True})[2]
    np.testing.assert_array_equal(names, NAMES)


# ---------------------------------------------------------------------------
# Pipelines
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_after_a_scaler(estimator):
    """And a stack's features go into another estimator."""
    X = load_iris().data.astype("float32")
    y = NAMES[SPECIES] if estimator is DBNClassifier else TARGETS
    pipeline = make_pipeline(StandardScaler(), estimator((6,), **FEW)).fit(X, y)
    if estimator is DBNClassifier:
        assert_classifies(pipeline, X)
        return
    method = pipeline.predict if estimator is DeepMLPRegressor else pipeline.transform
    assert_close(run(pipeline, X)[0], method(X))
    if estimator is not DeepMLPRegressor:
        features = make_pipeline(pipeline, LogisticRegression()).fit(X, NAMES[SPECIES])
        assert_classifies(features, X)


def test_features_of_a_classifier():
    """With the option `transform`, alone, before another step and beside another transformer."""
    classifier = DBNClassifier((6, 4), **FEW).fit(TABLE, SPECIES)
    assert_close(run(classifier, TABLE, {"transform": True})[0], classifier.transform(TABLE))
    features = {DBNClassifier: {"transform": True}, LogisticRegression: {"zipmap": False}}
    pipeline = make_pipeline(DBNClassifier((6,), **FEW), LogisticRegression()).fit(TABLE, SPECIES)
    assert_close(run(pipeline, TABLE, features)[1], pipeline.predict_proba(TABLE))
    union = make_union(DBNClassifier((6,), **FEW), StandardScaler()).fit(TABLE, SPECIES)
    assert_close(run(union, TABLE, features)[0], union.transform(TABLE))


def test_a_classifier_before_another_step_needs_the_option():
    """Labels and probabilities would be two inputs of the next step."""
    stack = BernoulliRBMStack((3,), **FEW)
    pipeline = make_pipeline(DBNClassifier((6,), **FEW), stack).fit(TABLE, SPECIES)
    with pytest.raises(RuntimeError, match=r"at most 1 input.*'label', 'probabilities'"):
        run(pipeline, TABLE, {"zipmap": False})


def test_a_table_with_text():
    """Columns of a data frame are inputs of the model, by name."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(TABLE, columns=["a", "b", "c", "d"])
    table["colour"] = pandas.Series(np.array(["red", "green"])[SPECIES % 2], dtype=object)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["colour"]), remainder=StandardScaler()
    )
    pipeline = make_pipeline(columns, DBNClassifier((6,), **FEW)).fit(table, NAMES[SPECIES])
    table.loc[0, "colour"] = "blue"
    assert_classifies(pipeline, table)


@pytest.mark.parametrize("kind", ["stack", "network"])
def test_categories_are_an_error(kind):
    """In a data frame, where skl2onnx passes a column each, and in a matrix."""
    pd = pytest.importorskip("pandas")
    params = {"max_iter": 1, "random_state": 0}
    model = BernoulliRBMStack((3,), **params)
    if kind == "network":
        model = DBNClassifier((3,), pretrainer=BernoulliRBMStack(max_iter=1), **params)
    colour = pd.Categorical(["red", "blue"] * 20)
    table = pd.DataFrame({"size": np.linspace(0, 1, 40, dtype=np.float32), "colour": colour})
    with pytest.raises(ValueError, match="cannot be converted to ONNX; encode the categories"):
        skl2onnx.to_onnx(model.fit(table, [0, 1] * 20), table[:1])
    if kind == "stack":
        codes = np.tile([0.0, 1.0], 20).reshape(-1, 1).astype(np.float32)
        model = BernoulliRBMStack((3,), visible="categorical", **params).fit(codes)
        with pytest.raises(ValueError, match="cannot be converted to ONNX; encode the categories"):
            skl2onnx.to_onnx(model, codes[:1])


def test_the_best_of_a_search():
    """It is converted like a fit of its own."""
    search = GridSearchCV(DBNClassifier((6,), **FEW), {"alpha": [0.1, 1.0]}, cv=2)
    assert_classifies(search.fit(TABLE, SPECIES), TABLE)


# ---------------------------------------------------------------------------
# What is promised of every conversion
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_model_does_not_depend_on_n_jobs(estimator):
    """Fits have the same bits, and nothing of the machine goes into the model."""
    one, two = (
        skl2onnx.to_onnx(
            estimator((9, 5), n_jobs=n_jobs, **FEW).fit(IMAGES, DIGITS), IMAGES[:1]
        ).SerializeToString()
        for n_jobs in (1, 2)
    )
    assert one == two


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("options", [None, {"zipmap": False}], ids=str)
def test_an_unfitted_estimator_is_named(estimator, options):
    """By scikit-learn's usual error, in a pipeline too."""
    options = options if estimator is DBNClassifier else None
    for unfitted in (estimator(), make_pipeline(StandardScaler().fit(TABLE), estimator())):
        with pytest.raises(NotFittedError, match=rf"This {estimator.__name__} instance is not fit"):
            skl2onnx.to_onnx(unfitted, TABLE[:1], options=options)


def test_what_to_install(monkeypatch):
    """The error names the extra."""
    monkeypatch.delitem(sys.modules, "sk_dbn.onnx")
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"needs skl2onnx.* pip install 'sk-dbn\[onnx\]'"):
        importlib.import_module("sk_dbn.onnx")
