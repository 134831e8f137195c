"""Losses and the delta of the output layer."""

import numpy as np
import pytest
from sklearn._loss import loss as sklearn_losses
from sklearn.neural_network._base import LOSS_FUNCTIONS

from sk_dbn.kernels.activations import OUTPUT_ACTIVATIONS, activate
from sk_dbn.kernels.losses import LOSSES, output_delta
from tests import reference

DTYPES = [np.float32, np.float64]
N_SAMPLES, N_OUTPUTS = 11, 3
CASES = pytest.mark.parametrize(("loss", "option"), reference.LOSSES)


def targets_for(loss, random, dtype=np.float64):
    """Targets that a loss admits, some of them at the ends of its range."""
    if loss == "log_loss":
        return random.randint(N_OUTPUTS, size=(N_SAMPLES, 1)).astype(dtype)
    if loss == "poisson":
        return random.poisson(1.0, size=(N_SAMPLES, N_OUTPUTS)).astype(dtype)
    if loss == "binary_log_loss":
        return random.randint(2, size=(N_SAMPLES, N_OUTPUTS)).astype(dtype)
    if loss == "gamma":
        return random.gamma(1.0, size=(N_SAMPLES, N_OUTPUTS)).astype(dtype)
    return random.normal(size=(N_SAMPLES, N_OUTPUTS)).astype(dtype)


def outputs_for(loss, random, dtype=np.float64, rows=N_SAMPLES):
    """Outputs as the loss's own activation gives them."""
    a = random.normal(size=(rows, N_OUTPUTS)).astype(dtype)
    code = OUTPUT_ACTIVATIONS[reference.OUTPUT_ACTIVATIONS[loss]]
    activate(code, a, np.zeros(N_OUTPUTS, dtype), np.empty((0, 0), dtype))
    return a


def computed(loss, option, a, targets, rows, weight=None):
    """Loss, weight and delta."""
    weight = np.empty(0, a.dtype) if weight is None else weight.astype(a.dtype)
    delta = np.full_like(a, np.nan)
    total, weights = output_delta(LOSSES[loss], option, a, targets, rows, weight, delta)
    return total, weights, delta


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", list(LOSS_FUNCTIONS))
def test_losses_equal_scikit_learns_networks(loss, weighted, dtype):
    """The mean over rows is scikit-learn's loss; only its squared error averages outputs."""
    for seed in range(5):
        random = np.random.RandomState(seed)
        y, rows = targets_for(loss, random, dtype), random.permutation(N_SAMPLES)
        a = outputs_for(loss, random, dtype)
        weight = random.uniform(0.1, 3, N_SAMPLES).astype(dtype) if weighted else None
        total, weights, _ = computed(loss, 0.0, a, y, rows, weight)
        theirs = reference.one_hot(y, N_OUTPUTS) if loss == "log_loss" else y
        expected = LOSS_FUNCTIONS[loss](
            theirs[rows].astype(float), a, None if weight is None else weight[rows]
        )
        outputs = N_OUTPUTS if loss == "squared_error" else 1
        assert total / weights / outputs == pytest.approx(
            expected, rel=50 * float(np.finfo(dtype).eps)
        )
        assert weights == pytest.approx(N_SAMPLES if weight is None else weight.sum(), rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["log_loss", "binary_log_loss"])
def test_certainty_is_clipped_as_in_scikit_learn(loss, dtype):
    """A probability of 0 where the label says 1 costs -log(eps), not infinity."""
    a = np.array([[0, 0, 1], [1, 0, 0]], dtype)
    y = np.array([[0], [0]], dtype) if loss == "log_loss" else np.array([[1, 0, 0], [1, 0, 0]])
    total, weights, delta = computed(loss, 0.0, a, y.astype(dtype), np.arange(2))
    theirs = reference.one_hot(y, 3) if loss == "log_loss" else y
    with np.errstate(divide="raise"):
        expected = LOSS_FUNCTIONS[loss](theirs, a)
    assert total / weights == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(delta, a - theirs)


@pytest.mark.parametrize("weighted", [False, True])
@CASES
def test_delta_is_the_derivative(loss, option, weighted):
    """Central differences of the loss in the products that enter the output activation."""
    code = OUTPUT_ACTIVATIONS[reference.OUTPUT_ACTIVATIONS[loss]]
    random, h = np.random.RandomState(0), 1e-5
    y, rows = targets_for(loss, random), random.permutation(N_SAMPLES)[:7]
    z = random.normal(size=(7, N_OUTPUTS))
    weight = random.uniform(0.1, 3, N_SAMPLES) if weighted else None

    def evaluate(products):
        a = products.copy()
        activate(code, a, np.zeros(N_OUTPUTS), np.empty((0, 0)))
        return computed(loss, option, a, y, rows, weight)

    numerical = np.empty_like(z)
    for place in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[place] = h
        numerical[place] = (evaluate(z + step)[0] - evaluate(z - step)[0]) / (2 * h)
    np.testing.assert_allclose(evaluate(z)[2], numerical, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@CASES
def test_rows_are_those_asked_for(loss, option, dtype):
    """Rows name samples: a repeated row counts as often as it is named."""
    random = np.random.RandomState(1)
    y, weight = targets_for(loss, random, dtype), random.uniform(0.1, 3, N_SAMPLES)
    rows = np.array([4, 4, 0, 9, 4])
    a = outputs_for(loss, random, dtype, rows=5)
    whole = computed(loss, option, a, y, rows, weight)
    single = [computed(loss, option, a[i : i + 1], y, rows[i : i + 1], weight) for i in range(5)]
    assert whole[0] == pytest.approx(sum(s[0] for s in single), rel=1e-6)
    assert whole[1] == pytest.approx(weight[rows].sum(), rel=1e-6)
    np.testing.assert_allclose(whole[2], np.vstack([s[2] for s in single]), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@CASES
def test_nan_reaches_the_loss(loss, option, dtype):
    """Divergence must be seen: clipping a probability does not clip a NaN."""
    random = np.random.RandomState(2)
    a, y = outputs_for(loss, random, dtype), targets_for(loss, random, dtype)
    a[3] = np.nan
    total, _, delta = computed(loss, option, a, y, np.arange(N_SAMPLES))
    assert np.isnan(total)
    assert np.isnan(delta[3]).all() and np.isfinite(np.delete(delta, 3, axis=0)).all()


def test_poisson_without_events():
    """y log(y / mu) is 0 for y = 0, also where mu has underflown to 0."""
    a, y = np.array([[0.0, 2.0]]), np.zeros((1, 2))
    total, _, delta = computed("poisson", 0.0, a, y, np.zeros(1, np.int64))
    assert total == 2
    assert np.array_equal(delta, a)


SKLEARN_LOSSES = {
    "squared_error": lambda option: sklearn_losses.HalfSquaredError(),
    "absolute_error": lambda option: sklearn_losses.AbsoluteError(),
    "huber": lambda option: sklearn_losses.HuberLoss(delta=option),
    "quantile": lambda option: sklearn_losses.PinballLoss(quantile=option),
    "poisson": lambda option: sklearn_losses.HalfPoissonLoss(),
    "gamma": lambda option: sklearn_losses.HalfGammaLoss(),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("loss", "option"), [c for c in reference.LOSSES if c[0] in SKLEARN_LOSSES]
)
def test_losses_equal_scikit_learns_for_regression(loss, option, dtype):
    """Values, with the constants that make the best one zero, and derivatives."""
    random = np.random.RandomState(0)
    y, a = targets_for(loss, random, dtype), outputs_for(loss, random, dtype)
    theirs = SKLEARN_LOSSES[loss](option)
    raw = (np.log(a) if reference.OUTPUT_ACTIVATIONS[loss] == "exp" else a).astype(float)
    truth = y.astype(float)
    values, gradient = theirs.loss_gradient(truth.ravel(), raw.ravel())
    values += theirs.constant_to_optimal_zero(truth.ravel())
    total, _, delta = computed(loss, option, a, y, np.arange(N_SAMPLES))
    tolerance = 50 * float(np.finfo(dtype).eps)
    assert total == pytest.approx(values.sum(), rel=tolerance)
    np.testing.assert_allclose(delta.ravel(), gradient, rtol=tolerance, atol=tolerance)


@CASES
def test_losses_equal_the_reference(loss, option):
    """Value and derivative as they stand in NumPy."""
    random = np.random.RandomState(4)
    y, a = targets_for(loss, random), outputs_for(loss, random)
    total, _, delta = computed(loss, option, a, y, np.arange(N_SAMPLES))
    assert total == pytest.approx(reference.row_losses(loss, a, y, option).sum(), rel=1e-12)
    expected = reference.output_deltas(loss, a, y, option)
    np.testing.assert_allclose(delta, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", ["log_loss", "binary_log_loss"])
@pytest.mark.parametrize("option", [0.0, 0.1, 0.9])
def test_label_smoothing_equals_torch(loss, option):
    """Of classes torch's own; of labels its binary loss of smoothed ones."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    random = np.random.RandomState(0)
    y, z = targets_for(loss, random), random.normal(size=(N_SAMPLES, N_OUTPUTS))
    products, truth = torch.tensor(z, requires_grad=True), torch.tensor(y)
    if loss == "log_loss":
        labels = truth[:, 0].long()
        value = f.cross_entropy(products, labels, label_smoothing=option, reduction="sum")
    else:
        truth = truth * (1 - option) + option / 2
        value = f.binary_cross_entropy_with_logits(products, truth, reduction="sum")
    value.backward()
    activate(OUTPUT_ACTIVATIONS[reference.OUTPUT_ACTIVATIONS[loss]], z, np.zeros(3), z[:0, :0])
    total, _, delta = computed(loss, option, z, y, np.arange(N_SAMPLES))
    assert total == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(delta, products.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("loss", "option"), [("absolute_error", 0.0), ("quantile", 0.3)])
def test_corners_do_not_push(loss, option):
    """Where prediction and target are equal, 0 is among the subgradients, and taken."""
    y = np.array([[1.0, -2.0, 0.0]])
    total, _, delta = computed(loss, option, y.copy(), y, np.zeros(1, np.int64))
    assert total == 0 and not delta.any()


def test_half_the_absolute_error_is_the_median():
    """The pinball loss of 0.5, value and derivative."""
    random = np.random.RandomState(0)
    y, a = targets_for("quantile", random), outputs_for("quantile", random)
    half = computed("quantile", 0.5, a, y, np.arange(N_SAMPLES))
    whole = computed("absolute_error", 0.0, a, y, np.arange(N_SAMPLES))
    assert half[0] == pytest.approx(0.5 * whole[0])
    assert np.array_equal(half[2], 0.5 * whole[2])


def test_names_agree():
    """The output activation that belongs to a loss is one that networks may end with."""
    assert (
        set(LOSSES) == set(reference.OUTPUT_ACTIVATIONS) == {loss for loss, _ in reference.LOSSES}
    )
    assert set(LOSS_FUNCTIONS) <= set(LOSSES)
    assert set(reference.OUTPUT_ACTIVATIONS.values()) == set(OUTPUT_ACTIVATIONS)
