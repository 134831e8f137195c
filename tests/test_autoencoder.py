"""The autoencoder: unrolled stacks, codes, reconstructions and their errors."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, WarmStart
from sk_dbn.inspection import ReconstructionDisplay, diagnose

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:X is not scaled"),
]

random = np.random.RandomState(0)
IMAGES = load_digits().data[:300] / 16
TABLE = StandardScaler().fit_transform(load_breast_cancer().data[:200, :8])
DUMMIES = np.column_stack([TABLE, random.randint(0, 2, (200, 2))])
DATA = {"images": IMAGES, "table": TABLE, "dummies": DUMMIES}
# No step, so that the parameters are those before training.
STILL = {
    **{"solver": "sgd", "learning_rate": "constant", "learning_rate_init": 1e-30},
    **{"max_iter": 1, "early_stopping": False, "alpha": 0.0},
}


def make(sizes=(8, 3), **params):
    """A small autoencoder, by default without pre-training."""
    return DBNAutoencoder(
        sizes, **({"pretrainer": None, "random_state": 0, "max_iter": 3} | params)
    )


def squared_error(X, other):
    """Of each row."""
    return ((X - other) ** 2).sum(axis=1)


# ---------------------------------------------------------------------------
# Unrolling
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["images", "table"])
@pytest.mark.parametrize("activation", ["logistic", "tanh"])
@pytest.mark.parametrize("sizes", [(6,), (12, 6), (12, 8, 6)])
def test_an_unrolled_stack_reconstructs_as_the_stack(name, activation, sizes):
    """Before any step, code and reconstruction are the means up and down through the RBMs."""
    X = DATA[name]
    stack = BernoulliRBMStack(sizes, activation=activation, max_iter=2, random_state=0).fit(X)
    codes = {"activation": activation, "code_activation": activation}
    encoder = make(sizes, **codes, **STILL, pretrainer=WarmStart(stack)).fit(X)
    np.testing.assert_allclose(encoder.transform(X), stack.transform(X), atol=1e-5)
    np.testing.assert_allclose(encoder.reconstruct(X), stack.reconstruct(X), atol=1e-4)


@pytest.mark.parametrize("name", list(DATA))
def test_linear_units_take_the_place_of_others_by_least_squares(name):
    """A linear code is the regression of the top units' means on their products, and the linear
    outputs of a table with binary features that of the visible units' means.
    """
    X = DATA[name]
    stack = BernoulliRBMStack((8, 3), max_iter=3, random_state=0).fit(X)
    encoder = make(**STILL, pretrainer=WarmStart(stack), dtype="float64").fit(X)
    n = 1024  # all rows take part
    assert len(X) < n
    means = stack.transform(X).astype(float)
    products = np.log(means) - np.log1p(-means)
    code = encoder.transform(X)
    for j in range(3):
        expected = np.polyval(np.polyfit(products[:, j], means[:, j], 1), products[:, j])
        np.testing.assert_allclose(code[:, j], expected, atol=1e-4)
    if name == "dummies":
        h = np.tanh(0.5 * (code @ encoder.coefs_[2] + encoder.intercepts_[2])) / 2 + 0.5
        x = h @ stack.coefs_[0].T.astype(float) + stack.intercepts_visible_[0]
        p = 1 / (1 + np.exp(-x[:, -2:]))
        for j, output in enumerate(encoder.reconstruct(X)[:, -2:].T):
            expected = np.polyval(np.polyfit(x[:, -2 + j], p[:, j], 1), x[:, -2 + j])
            np.testing.assert_allclose(output, expected, atol=1e-4)


def test_a_stack_is_trained_as_the_network_asks():
    """It gets sizes, activation, precision and visible units; the code is logistic in the stack."""
    stack = BernoulliRBMStack(max_iter=1)
    fitted = make((8, 4), pretrainer=stack, dtype="float64").fit(TABLE)
    assert fitted.pretrainer_.coefs_[1].shape == (8, 4)
    assert fitted.pretrainer_.coefs_[1].dtype == np.float64
    assert fitted.pretrainer_.visible_ == fitted.visible_ == "gaussian"
    with pytest.warns(UserWarning, match="visible='gaussian' of the pretrainer has no effect"):
        make((4,), pretrainer=stack.set_params(visible="gaussian")).fit(IMAGES)


def test_pretraining_is_a_better_start():
    """A deep narrow logistic network begins with a lower loss, and ends with one."""
    common = {"max_iter": 10, "code_activation": "logistic", "early_stopping": False}
    stack = BernoulliRBMStack(max_iter=20)
    losses = [
        make((32, 16, 8), pretrainer=pretrainer, **common).fit(IMAGES).loss_curve_
        for pretrainer in (stack, None)
    ]
    assert losses[0][0] < losses[1][0] and losses[0][-1] < losses[1][-1]


def test_rectified_layers_are_unrolled_without_noise():
    """The code is that of the stack; the way down has the rectifier, not the noisy unit's mean."""
    stack = BernoulliRBMStack((12, 6), activation="relu", max_iter=2, random_state=0).fit(TABLE)
    relu = {"activation": "relu", "code_activation": "relu"}
    encoder = make((12, 6), **relu, **STILL, pretrainer=WarmStart(stack)).fit(TABLE)
    codes = stack.transform(TABLE)
    np.testing.assert_allclose(encoder.transform(TABLE), codes, atol=1e-4)
    h = np.maximum(codes @ stack.coefs_[1].T + stack.intercepts_visible_[1], 0)
    v = h @ stack.coefs_[0].T + stack.intercepts_visible_[0]
    expected = v * TABLE.std(axis=0) + TABLE.mean(axis=0)
    np.testing.assert_allclose(encoder.reconstruct(TABLE), expected, atol=1e-3)


@pytest.mark.parametrize("n_features", [2000, 100_000])
def test_the_code_is_fitted_to_enough_samples(n_features):
    """However wide X is: the linear code has the spread of the stack's top units."""
    X = scipy.sparse.random(250, n_features, 2000 / n_features**1.5, "csr", random_state=0)
    X.data[:] = 1.0
    stack = BernoulliRBMStack((3, 2), init="glorot_normal", max_iter=1, batch_size=50)
    encoder = make((3, 2), **STILL, pretrainer=stack.set_params(random_state=0)).fit(X)
    top = encoder.pretrainer_.transform(X)
    spread, expected = (codes.std(axis=0) for codes in (encoder.transform(X), top))
    np.testing.assert_allclose(spread, expected, rtol=0.05)
    constant = -X.toarray().var(axis=0).sum()
    assert encoder._baseline.constant_score == pytest.approx(constant, rel=0.3)


def test_unrolling_does_not_depend_on_threads_of_blas():
    """Least squares are the same bits in a worker with one thread."""
    X = random.uniform(size=(1000, 784))
    stack = BernoulliRBMStack((250, 100, 30), max_iter=1, batch_size=500, random_state=0).fit(X)
    codes = []
    for limit in (1, 2, 4):
        with threadpool_limits(limit, user_api="blas"):
            encoder = make((250, 100, 30), **STILL, pretrainer=WarmStart(stack)).fit(X)
        codes.append(encoder.coefs_[2])
    assert np.array_equal(codes[0], codes[1]) and np.array_equal(codes[0], codes[2])


# ---------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------


def test_a_linear_autoencoder_is_pca():
    """The minimum of the squared error is the projection on the principal components (Baldi &
    Hornik, 1989).
    """
    linear = {"code_activation": "identity", "solver": "lbfgs", "alpha": 0.0, "tol": 1e-9}
    fitted = make((3,), **linear, max_iter=3000, max_fun=10**5, dtype="float64").fit(TABLE)
    pca = PCA(3).fit(TABLE)
    expected = pca.inverse_transform(pca.transform(TABLE))
    assert fitted.score(TABLE) == pytest.approx(-squared_error(TABLE, expected).mean(), rel=1e-5)
    # The loss is flat at its minimum: an excess of 1e-5 means distances of its root.
    np.testing.assert_allclose(fitted.reconstruct(TABLE), expected, atol=1e-2)


@pytest.mark.parametrize("kind", ["csr", "memory map", "Fortran", "uint8"])
def test_input_of_any_kind_gives_the_same_bits(tmp_path, kind):
    """X is input and target wherever it lies."""
    X = np.round(IMAGES * 16).astype(np.float32 if kind != "uint8" else np.uint8)
    if kind == "csr":
        other = scipy.sparse.csr_matrix(X)
    elif kind == "memory map":
        other = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
        other[:] = X
    else:
        other = np.asfortranarray(X) if kind == "Fortran" else X.astype(np.float32)
    expected, found = make().fit(X), make().fit(other)
    for W, V in zip(expected.coefs_, found.coefs_, strict=True):
        assert np.array_equal(W, V)
    assert np.array_equal(expected.transform(X), found.transform(other))
    assert np.array_equal(expected.score_samples(X), found.score_samples(other))


@pytest.mark.parametrize("n_jobs", [2, None])
def test_the_result_does_not_depend_on_threads(n_jobs):
    """To the bit, reconstruction errors included."""
    X = np.tile(IMAGES, (4, 1))
    one, several = (make((64, 16), n_jobs=jobs).fit(X) for jobs in (1, n_jobs))
    assert all(map(np.array_equal, one.coefs_, several.coefs_))
    assert np.array_equal(one.score_samples(X), several.score_samples(X))


def test_a_weight_of_two_is_a_repetition():
    """And a weight of zero an omission, in pre-training as well."""
    weight = random.randint(0, 3, len(TABLE))
    for pretrainer in (None, BernoulliRBMStack(max_iter=2)):
        model = make(pretrainer=pretrainer, shuffle=False, early_stopping=False, visible="gaussian")
        weighted = model.fit(TABLE, sample_weight=weight).coefs_
        repeated = model.fit(np.repeat(TABLE, weight, axis=0)).coefs_
        for W, V in zip(weighted, repeated, strict=True):
            np.testing.assert_allclose(W, V, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_the_reported_loss_is_that_of_the_reconstruction(loss):
    """On validation samples, which are measured after the last update, in pieces."""
    X = np.tile(IMAGES, (5, 1))  # more rows than are held in memory together
    fitted = make(loss=loss, dtype="float64").fit(IMAGES, X_val=X)
    p = fitted.reconstruct(X)
    if loss == "squared_error":
        expected = 0.5 * ((X - p) ** 2).mean()
    else:
        expected = -(X * np.log(p) + (1 - X) * np.log(1 - p)).sum(axis=1).mean()
    assert fitted.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)
    assert fitted.validation_scores_[-1] == pytest.approx(fitted.score(X), rel=1e-9)


def test_validation_scores_are_those_of_score():
    """Also for values beyond the range of the training data, of which there is a warning."""
    with pytest.warns(UserWarning, match="Bernoulli visible units take values in"):
        fitted = make().fit(IMAGES, X_val=16 * IMAGES)
    assert fitted.validation_scores_[-1] == pytest.approx(fitted.score(16 * IMAGES), rel=1e-5)


def test_bad_validation_samples_are_named():
    """X is right, so the error must not speak of it."""
    with pytest.raises(ValueError, match="^X_val has 5 features, but DBNAutoencoder is expecting"):
        make().fit(IMAGES, X_val=IMAGES[:, :5])
    with pytest.raises(ValueError, match="^X_val must hold real numbers"):
        make().fit(IMAGES, X_val=IMAGES.astype("datetime64[s]"))


def test_early_stopping_keeps_the_best_reconstruction():
    """The parameters are those of the epoch with the smallest loss of the held-out samples."""
    settings = {"early_stopping": True, "learning_rate_init": 0.3, "max_iter": 15}
    fitted = make(**settings, learning_rate="constant").fit(TABLE[:100], X_val=TABLE[100:])
    best = int(np.argmin(fitted.validation_loss_curve_))
    assert best < fitted.n_iter_ - 1
    assert fitted.score(TABLE[100:]) == pytest.approx(fitted.validation_scores_[best], rel=1e-4)


def test_the_first_pass_holds_out_samples():
    """With 'refit', their loss after each epoch is kept."""
    fitted = make(max_iter=5).fit(IMAGES)
    assert len(fitted.held_out_loss_curve_) == 5


def test_training_continues():
    """`partial_fit` and `warm_start` lower the loss further, and read features as before."""
    fitted = make(max_iter=20, learning_rate="constant", early_stopping=False, warm_start=True)
    first = fitted.fit(TABLE).loss_
    assert fitted.fit(TABLE).loss_ < first
    before = fitted.reconstruct(TABLE)
    fitted.partial_fit(TABLE[:50] * 3)
    assert not np.array_equal(before, fitted.reconstruct(TABLE))
    one_pass = make(early_stopping=False, shuffle=False).partial_fit(TABLE)
    assert one_pass.n_iter_ == 1 and len(one_pass.loss_curve_) == 1
    with pytest.raises(ValueError, match="visible must be that of the fitted autoencoder"):
        fitted.set_params(visible="bernoulli").fit(TABLE)


def test_automatic_learning_rate():
    """Lower for depth and width, higher for logistic layers around whatever code, and as high
    with pre-training as without.
    """
    common = {"learning_rate": "one_cycle", "max_iter": 1}
    for pretrainer in (None, BernoulliRBMStack(max_iter=1)):
        fitted = make((400, 20, 3), pretrainer=pretrainer, **common).fit(IMAGES)
        assert fitted.learning_rate_init_ == pytest.approx(0.01 * 3 * 2 / 5 * 200 / 400)
    fitted = make((400, 20, 3), activation="relu", **common).fit(IMAGES)
    assert fitted.learning_rate_init_ == pytest.approx(0.01 * 2 / 5 * 200 / 400)


# ---------------------------------------------------------------------------
# Codes and reconstructions
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"shortcut": True}, {"code_activation": "logistic"}])
@pytest.mark.parametrize("sizes", [(4,), (8, 3), (8, 8, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_decoding_codes_is_reconstruction(sizes, params, dtype):
    """In both precisions and with shortcuts, which pass the code too."""
    fitted = make(sizes, **params, dtype=dtype).fit(TABLE)
    codes = fitted.transform(TABLE)
    assert codes.dtype == dtype and codes.shape == (len(TABLE), sizes[-1])
    decoded, made = fitted.inverse_transform(codes), fitted.reconstruct(TABLE)
    assert decoded.dtype == made.dtype == dtype
    np.testing.assert_allclose(decoded, made, atol=1e-5)
    with pytest.raises(ValueError, match=f"expects {sizes[-1]}: one for each unit of the code"):
        fitted.inverse_transform(TABLE)


def test_reconstructions_have_the_units_of_the_data():
    """Whatever the scale of a feature; scores are in standardised units."""
    scaled = TABLE * [1, 1000, 1, 1, 1, 1, 1, 0.001] + 5
    common = {"max_iter": 200, "learning_rate_init": 0.01, "activation": "tanh"}
    fitted, plain = (make(**common).fit(X) for X in (scaled, TABLE))
    assert np.corrcoef(fitted.reconstruct(scaled)[:, 1], scaled[:, 1])[0, 1] > 0.8
    assert fitted.score(scaled) == pytest.approx(plain.score(TABLE), rel=0.1)
    errors = (fitted.reconstruct(scaled) - scaled) / scaled.std(axis=0)
    np.testing.assert_allclose(
        fitted.score_samples(scaled), -(errors**2).sum(axis=1), rtol=1e-2, atol=1e-4
    )


def test_anomalies_have_low_scores():
    """Samples unlike those in training, and values outside the range of the training data."""
    fitted = make((32, 8), max_iter=100).fit(IMAGES)
    others = random.uniform(size=(50, 64))
    assert fitted.score_samples(others).max() < np.quantile(fitted.score_samples(IMAGES), 0.05)
    beyond = IMAGES.copy()
    beyond[:, 0] = 4.0
    assert (fitted.score_samples(beyond) < -9.0).all()


def test_pixels_beyond_one_are_mapped_and_come_back():
    """With Bernoulli units: a warning, and reconstructions in the range of X."""
    X, params = np.round(IMAGES * 16), {"visible": "bernoulli", "max_iter": 50}
    params |= {"shuffle": False, "early_stopping": False}  # orders depend on the values
    with pytest.warns(UserWarning, match="Bernoulli visible units take values in"):
        fitted = make(**params).fit(X)
    made = fitted.reconstruct(X)
    assert made.min() >= 0 and 4 < made.max() <= 16
    scaled = make(**params).fit(X / 16)
    np.testing.assert_allclose(scaled.reconstruct(X / 16), made / 16, atol=1e-3)


def test_names_and_containers():
    """Names of outputs, pandas by `set_output`, and errors before `fit`."""
    pandas = pytest.importorskip("pandas")
    with pytest.raises(NotFittedError):
        make().transform(TABLE)
    with pytest.raises(NotFittedError):
        make().inverse_transform(TABLE)
    frame = pandas.DataFrame(TABLE, columns=list("abcdefgh"))
    fitted = make().set_output(transform="pandas").fit(frame)
    assert list(fitted.transform(frame).columns) == [f"dbnautoencoder{i}" for i in range(3)]
    assert isinstance(fitted.reconstruct(frame), np.ndarray)


# ---------------------------------------------------------------------------
# Parameters
# ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params, X, message",
    [
        ({"loss": "log_loss"}, TABLE, "loss='log_loss' needs 'bernoulli' features only"),
        ({"sizes": ()}, TABLE, "hidden_layer_sizes must be positive integers"),
        ({"activation": ["tanh", "relu"]}, TABLE, "one for each of the 1 hidden layers, got 2"),
        ({"code_activation": "step"}, TABLE, "'code_activation' parameter"),
        ({"visible": ["gaussian"]}, TABLE, "one kind for each of the 8 features"),
        ({"pretrainer": BernoulliRBMStack(), "activation": "selu"}, TABLE, "pre-training needs"),
        ({"pretrainer": BernoulliRBMStack(), "shortcut": True}, TABLE, "pretrainer must be None"),
    ],
)
def test_bad_parameters(params, X, message):
    """An error that names the parameter, the rule and the value."""
    with pytest.raises(ValueError, match=message):
        make(**params).fit(X)


def test_frozen_layers_are_refused():
    """An autoencoder whose encoder is not trained is the stack itself."""
    stack = BernoulliRBMStack((8, 3), max_iter=1).fit(TABLE)
    with pytest.raises(ValueError, match="must not be a FrozenEstimator"):
        make(pretrainer=FrozenEstimator(stack)).fit(TABLE)
    with pytest.raises(ValueError, match="visible must be that of the fitted pretrainer"):
        make(pretrainer=WarmStart(stack), visible="bernoulli").fit(TABLE)


def test_first_weights_can_be_given():
    """One array for each layer of encoder and decoder."""
    units = [8, 4, 2, 4, 8]
    init = [random.normal(size=shape) for shape in pairwise(units)]
    fitted = make((4, 2), init=init, **STILL).fit(TABLE)
    for W, V in zip(init, fitted.coefs_, strict=True):
        np.testing.assert_allclose(W, V, rtol=1e-6)


def test_scores_that_overflow():
    """Minus infinity, without a warning of NumPy's."""
    fitted = make(dtype="float64").fit(np.array([[np.nan, 1e200]]))
    assert fitted.score_samples(np.zeros((1, 2))) == -np.inf


def test_a_search_maximises_the_score():
    """Over the size of the code and parameters of the stack."""
    grid = {"hidden_layer_sizes": [(8, 1), (8, 4)], "pretrainer__learning_rate": [0.01, 0.1]}
    model = make(pretrainer=BernoulliRBMStack(max_iter=2), max_iter=100, activation="tanh")
    search = GridSearchCV(model.set_params(code_activation="tanh"), grid, cv=2).fit(TABLE)
    assert search.best_params_["hidden_layer_sizes"] == (8, 4)


def test_values_beyond_those_of_the_fit_are_warned_of():
    """In every training call: their clipping changes what is learned."""
    stack = BernoulliRBMStack((8, 3), max_iter=1).fit(IMAGES)
    fitted = make().fit(IMAGES)
    with pytest.warns(UserWarning, match="Bernoulli visible units take values in"):
        fitted.partial_fit(16 * IMAGES)
    with pytest.warns(UserWarning, match="Bernoulli visible units take values in"):
        make(pretrainer=WarmStart(stack)).fit(16 * IMAGES)


# ---------------------------------------------------------------------------
# Inspection
# ---------------------------------------------------------------------------


def test_diagnosis():
    """Of a deep logistic autoencoder before training, of one that learns and of one that cannot."""
    deep = make((20,) * 5, init=1e-3, code_activation="logistic")
    assert "vanishing" in {finding.kind for finding in diagnose(deep, IMAGES)}
    learns = make((32, 8), max_iter=60).fit(IMAGES, X_val=IMAGES[:50])
    assert not diagnose(learns)
    learns.set_params(hidden_layer_sizes=(4, 3, 2), activation="relu")
    assert not diagnose(learns)  # it is of the fitted network
    cannot = make((8,), max_iter=30, alpha=1e6).fit(IMAGES)
    assert "too strong a penalty" in {finding.kind for finding in diagnose(cannot)}


def test_displays_take_it():
    """Rows of originals and reconstructions."""
    pytest.importorskip("matplotlib")
    fitted = make().fit(IMAGES)
    display = ReconstructionDisplay.from_estimator(fitted, IMAGES, n_samples=4)
    np.testing.assert_allclose(display.samples["reconstruction"], fitted.reconstruct(IMAGES[:4]))


@pytest.mark.parametrize("pretrainer", [None, "auto"])
@pytest.mark.parametrize("visible, loss", [
    ("bernoulli", "squared_error"), ("bernoulli", "log_loss"), ("gaussian", "squared_error")
])  # fmt: skip
def test_missing_values_have_no_loss(visible, loss, pretrainer):
    """What is missing is neither seen nor scored; codes tell it better than its mean does."""
    X = load_digits().data[:400] / 16
    missing = np.random.RandomState(0).random_sample(X.shape) < 0.3
    X_missing = np.where(missing, np.nan, X)
    settings = {"visible": visible, "loss": loss, "pretrainer": pretrainer, "random_state": 0}
    encoder = DBNAutoencoder((32, 16), max_iter=20, **settings).fit(X_missing)
    found = encoder.reconstruct(X_missing)
    of_means = np.broadcast_to(np.nanmean(X_missing, axis=0), X.shape)
    error, error_of_means = (((x - X)[missing] ** 2).mean() for x in (found, of_means))
    assert error < 0.75 * error_of_means
    if visible == "bernoulli":  # whose outputs are on the scale of X
        squares = np.where(missing, 0, (found - X) ** 2).sum(axis=1)
        np.testing.assert_allclose(encoder.score_samples(X_missing), -squares, rtol=1e-4)
    np.testing.assert_allclose(encoder.score(X_missing), encoder.score_samples(X_missing).mean())
