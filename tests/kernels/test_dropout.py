"""Dropout: its bits, its expectations, its gradient."""

import numpy as np
import pytest
from scipy.stats import norm

from sk_dbn.kernels.activations import ACTIVATIONS
from sk_dbn.kernels.backpropagation import accumulate_gradient
from sk_dbn.kernels.dropout import Dropout, drop_units
from sk_dbn.models.data import Data
from sk_dbn.models.network import Network
from sk_dbn.models.network_training import NetworkBuffers, OptimiserState, Training, TrainingSet
from sk_dbn.models.threads import run_parallel, run_serial
from tests import reference

DTYPES = [np.float32, np.float64]
TRAINABLE = [name for name in ACTIVATIONS if name != "step"]
N_SAMPLES = 23


def thinned(name, a, rate, key=5, first_row=0):
    """What the kernel makes of activations, and of derivatives of one."""
    a, slopes = a.copy(), np.ones_like(a)
    drop_units(ACTIVATIONS[name], rate, np.uint32(key), first_row, a, slopes)
    return a, slopes


# ---------------------------------------------------------------------------
# Units
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.95])
@pytest.mark.parametrize("name", ["identity", "relu", "selu"])
def test_units_are_dropped_as_in_the_reference(name, rate, dtype):
    """The same units, by the same bits, and the same values in place of theirs.

    But for rounding, relative to the terms of a sum that may cancel.
    """
    a = np.random.RandomState(0).normal(size=(9, 13)).astype(dtype)
    for got, expected in zip(thinned(name, a, rate), reference.dropped(name, a, rate, 5)):
        eps = 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(got, expected, rtol=eps, atol=eps * np.abs(expected).max())


def test_a_rate_of_zero_drops_nothing():
    """Whatever bits there are: no number is below zero."""
    a = np.random.RandomState(0).normal(size=(300, 200))
    for name in ("relu", "selu"):
        assert np.array_equal(thinned(name, a, 0.0)[0], a)


def test_rows_are_known_by_their_position():
    """A minibatch in pieces is the minibatch: so who works on which rows is of no account."""
    a = np.random.RandomState(0).normal(size=(9, 13))
    whole, _ = thinned("tanh", a, 0.5)
    pieces = [thinned("tanh", a[lo : lo + 2], 0.5, first_row=lo)[0] for lo in range(0, 9, 2)]
    assert np.array_equal(np.vstack(pieces), whole)


@pytest.mark.parametrize("name", ["relu", "selu"])
@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7])
def test_expectations_stay(name, rate):
    """Of n draws the mean is within z sd / sqrt(n) of what it was, for all tests at 1e-6 in all.

    The standard deviation of each draw is known: sqrt(p / q) a of inverted dropout, and
    A sqrt(p q) (a - low) of alpha dropout, whose expectation is A q a, as A p low + B is zero.
    """
    values = np.array([-1.2, -0.3, 0.4, 2.5])
    n, p, q, low = 40_000, rate, 1 - rate, -reference.SELU_SCALE * reference.SELU_ALPHA
    n_tests = 6 * values.size
    draws = np.concatenate(
        [thinned(name, np.tile(values, (n // 8, 1)), rate, key=key)[0] for key in range(8)]
    )
    scale = (q * (1 + p * low**2)) ** -0.5
    mean = scale * q * values if name == "selu" else values
    sd = scale * np.sqrt(p * q) * (values - low) if name == "selu" else np.sqrt(p / q) * values
    bound = norm.isf(1e-6 / 2 / n_tests) * np.abs(sd) / np.sqrt(n)
    assert (np.abs(draws.mean(axis=0) - mean) < bound).all()


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    """Of activations with mean 0 and variance 1, exactly in expectation over what is dropped.

    With the mask's expectation in place of draws: E = A (q m + p low) + B and
    E[a^2] = A^2 (q m2 + p low^2) + 2 A B (q m + p low) + B^2, both from the kernel's own values.
    """
    a = np.random.RandomState(0).normal(size=(1, 4000))
    a = (a - a.mean()) / a.std()
    out, slopes = thinned("selu", a, rate)
    kept = slopes > 0
    fill = out[~kept]
    assert np.ptp(fill) == 0
    scale = slopes[kept][0]
    shift = (out[kept] - scale * a[kept]).mean()
    q, kept_values = 1 - rate, scale * a + shift
    mean = q * kept_values.mean() + rate * fill[0]
    square = q * (kept_values**2).mean() + rate * fill[0] ** 2
    assert mean == pytest.approx(0, abs=1e-12)
    assert square - mean**2 == pytest.approx(1, abs=1e-12)


def test_alpha_dropout_is_torchs():
    """Where a unit is kept, and where not, torch has the same two values."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    a = torch.full((1000,), 0.37, dtype=torch.float64)
    theirs = torch.nn.functional.alpha_dropout(a, 0.3, training=True).unique().numpy()
    ours = np.unique(thinned("selu", np.full((1, 1000), 0.37), 0.3)[0])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_nan_survives_where_it_is_not_dropped():
    """Divergence must be seen."""
    out, _ = thinned("relu", np.full((50, 50), np.nan), 0.5)
    assert 0.3 < np.isnan(out).mean() < 0.7


# ---------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------


class Problem:
    """A network whose hidden units are dropped, and samples for it."""

    def __init__(self, activations, rates, units=(5, 7, 6, 3), dtype=np.float64, shortcut=False):
        random = np.random.RandomState(0)
        self.names, self.rates = activations, rates
        self.network = Network(units, activations, "softmax", dtype, shortcut)
        for W, b in zip(self.network.coefs, self.network.intercepts, strict=True):
            W[:] = random.normal(size=W.shape) / np.sqrt(len(W))
            b[:] = random.normal(size=b.shape)
        self.X = random.normal(size=(N_SAMPLES, units[0]))
        self.y = random.randint(units[-1], size=(N_SAMPLES, 1)).astype(dtype)
        self.order = random.permutation(N_SAMPLES)
        data = Data(self.X, dtype)
        no_weight = np.empty(0, dtype)
        self.training_set = TrainingSet(data, self.y, no_weight, "log_loss", self.order)

    @property
    def each_rate(self):
        return np.array([self.rates[0], *[self.rates[1]] * len(self.names)])

    def training(self, solver="sgd", batch=4, seed=77):
        optimiser = OptimiserState(solver, self.network, momentum=0.9, nesterov=True, alpha=0.3)
        optimiser.seed = seed
        return Training(self.network, self.training_set, optimiser, batch, self.rates)

    def gradient(self, seed, rows):
        """Loss and gradient with the units dropped that step 0 drops."""
        bench, sums = NetworkBuffers(self.network, len(rows), drops=True), np.zeros(2)
        part = self.training_set
        accumulate_gradient.serial(
            part.data.source,
            part.examples,
            rows,
            len(rows),
            self.network.layers,
            Dropout(self.each_rate, seed),
            1.0 / len(rows),
            bench.work,
            sums,
        )
        return sums[0] / sums[1], bench.work.gradient.copy()

    def reference_loss(self, seed, rows):
        names = [*self.names, "softmax"]
        drop = reference.dropout(self.each_rate, seed, 0)
        layers = self.network.coefs, self.network.intercepts, names
        outputs = reference.forward(self.X[rows], *layers, drop, self.network.shortcut)[1][-1]
        return reference.row_losses("log_loss", outputs, self.y[rows]).mean()


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("rates", [(0.0, 0.4), (0.3, 0.0), (0.2, 0.5)], ids=str)
@pytest.mark.parametrize("activation", TRAINABLE)
def test_gradient_of_what_is_left_equals_central_differences(activation, rates, shortcut):
    """With the mask fixed the loss is a smooth function, and the gradient is its own.

    A shortcut goes past the units that are dropped.
    """
    units = (5, 4, 6, 3, 3) if shortcut else (5, 7, 6, 3)
    problem = Problem([activation] * (len(units) - 2), rates, units, shortcut=shortcut)
    rows = problem.order[:9]
    for seed in (0, 1):
        value, gradient = problem.gradient(seed, rows)
        assert value == pytest.approx(problem.reference_loss(seed, rows), rel=1e-12)
        theta, h = problem.network.theta, 1e-5
        numerical = np.empty_like(theta)
        for k in range(theta.size):
            kept, sides = theta[k], []
            for sign in (1, -1):
                theta[k] = kept + sign * h
                sides.append(problem.reference_loss(seed, rows))
            theta[k] = kept
            numerical[k] = (sides[0] - sides[1]) / (2 * h)
        np.testing.assert_allclose(gradient, numerical, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rates", [(0.0, 0.4), (0.2, 0.5)], ids=str)
@pytest.mark.parametrize("names", [["selu", "selu"], ["gelu", "relu"], ["tanh", "swish"]], ids=str)
def test_epochs_equal_the_reference(names, rates, dtype):
    """Three epochs with other units dropped in each step; losses are of the units left."""
    problem = Problem(names, rates, dtype=dtype)
    expected = {
        "coefs": [W.astype(float) for W in problem.network.coefs],
        "intercepts": [b.astype(float) for b in problem.network.intercepts],
        "activations": names,
    }
    training, memory, tolerance = (
        problem.training(),
        {"step": 0},
        1e-3 if dtype == DTYPES[0] else 1e-9,
    )
    settings = {"alpha": 0.3, "rate": 0.05, "momentum": 0.9, "nesterov": True}
    data = problem.X, problem.y, np.ones(N_SAMPLES), "log_loss"
    batches = [problem.order[k : k + 4] for k in range(0, N_SAMPLES, 4)]
    for _ in range(3):
        training.norms[:] = 0
        value = training.epoch(run_serial, problem.order, 0.05)
        *losses, norms = reference.train(
            expected,
            *data,
            batches,
            "sgd",
            settings,
            memory,
            drops=lambda step: reference.dropout(problem.each_rate, 77, step),
        )
        assert value == pytest.approx(sum(losses), rel=tolerance)
        np.testing.assert_allclose(training.norms, norms, rtol=tolerance)
    for W, V in zip(problem.network.coefs, expected["coefs"], strict=True):
        np.testing.assert_allclose(W, V, rtol=tolerance, atol=tolerance)


def test_the_input_may_be_dropped_without_hidden_layers():
    """A linear model reads an input with holes."""
    problem = Problem([], (0.5, 0.0), units=(5, 3))
    value, _ = problem.gradient(3, problem.order)
    assert value == pytest.approx(problem.reference_loss(3, problem.order), rel=1e-12)


def test_every_step_drops_other_units_and_every_seed_too():
    """Two epochs over the same minibatch at a rate of zero have other losses."""
    losses = set()
    for seed in (1, 2):
        training = Problem(["tanh", "tanh"], (0.0, 0.5)).training(batch=N_SAMPLES, seed=seed)
        for _ in range(3):
            losses.add(training.epoch(run_serial, np.arange(N_SAMPLES), 0.0))
    assert len(losses) == 6


def test_rates_of_zero_are_no_dropout():
    """Bit for bit."""
    thetas = []
    for rates in ((0.0, 0.0), (0.0, 1e-30)):
        problem = Problem(["tanh", "relu"], rates)
        problem.training("adam").epoch(run_serial, problem.order, 0.1)
        thetas.append(problem.network.theta)
    np.testing.assert_allclose(*thetas, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_drop_the_same_units(dtype):
    """Work large enough to share, on the serial and on the parallel twin."""
    thetas = []
    for run in (run_serial, run_parallel):
        problem = Problem(["selu", "tanh"], (0.2, 0.5), units=(150, 180, 60, 3), dtype=dtype)
        order = np.resize(problem.order, 300)
        training = problem.training("adam", batch=100)
        assert not training.buffers.is_small
        training.epoch(run, order, 0.01)
        thetas.append(problem.network.theta)
    assert np.array_equal(*thetas)
