"""Backpropagation: its gradient, its updates, its independence of how the work is cut."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from sk_dbn.kernels.activations import ACTIVATIONS
from sk_dbn.kernels.backpropagation import accumulate_gradient, train_minibatches
from sk_dbn.kernels.optimisers import SOLVERS
from sk_dbn.models.data import Data
from sk_dbn.models.network import Network
from sk_dbn.models.network_training import (
    NO_DROPOUT,
    NetworkBuffers,
    OptimiserState,
    Training,
    TrainingSet,
    loss_and_gradient,
)
from sk_dbn.models.pace import TeamPace
from sk_dbn.models.threads import run_parallel, run_serial
from tests import reference

ROOT = Path(__file__).resolve().parents[2]
N_SAMPLES = 19
LOSSES = pytest.mark.parametrize(("loss", "option"), reference.LOSSES)
TRAINABLE = [name for name in ACTIVATIONS if name != "step"]
SETTINGS = {
    "momentum": 0.9,
    "nesterov": True,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "alpha": 0.3,
}


class Problem:
    """A network, samples for it, and the reference's view of both."""

    def __init__(
        self,
        units,
        activations,
        loss,
        dtype=np.float64,
        weighted=True,
        seed=0,
        option=0.0,
        shortcut=False,
    ):
        random = np.random.RandomState(seed)
        self.activations, self.loss, self.option = activations, loss, option
        out = reference.OUTPUT_ACTIVATIONS[loss]
        self.network = Network(units, activations, out, dtype, shortcut)
        for W, b in zip(self.network.coefs, self.network.intercepts, strict=True):
            W[:] = random.normal(size=W.shape) / np.sqrt(len(W))
            b[:] = random.normal(size=b.shape)
        self.X = random.normal(size=(N_SAMPLES, units[0]))
        self.targets = self.draw_targets(random, units[-1]).astype(dtype)
        weight = random.uniform(0.2, 3, N_SAMPLES) if weighted else np.ones(N_SAMPLES)
        self.weight = weight.astype(dtype)
        self.order = random.permutation(N_SAMPLES)
        kernel_weight = self.weight if weighted else np.empty(0, dtype)
        self.training_set = TrainingSet(
            Data(self.X, dtype), self.targets, kernel_weight, loss, self.order, option
        )

    def draw_targets(self, random, n_outputs):
        if self.loss == "log_loss":
            return random.randint(n_outputs, size=(N_SAMPLES, 1))
        if self.loss == "poisson":
            return random.poisson(1.0, size=(N_SAMPLES, n_outputs))
        if self.loss == "binary_log_loss":
            return random.randint(2, size=(N_SAMPLES, n_outputs))
        if self.loss == "gamma":
            return random.gamma(1.0, size=(N_SAMPLES, n_outputs))
        return random.normal(size=(N_SAMPLES, n_outputs))

    def optimiser(self, solver, **settings):
        return OptimiserState(solver, self.network, **{**SETTINGS, **settings})

    def reference_network(self):
        return {
            "coefs": [W.astype(float) for W in self.network.coefs],
            "intercepts": [b.astype(float) for b in self.network.intercepts],
            "activations": self.activations,
        }

    def reference_loss(self, rows):
        names = [*self.activations, reference.OUTPUT_ACTIVATIONS[self.loss]]
        parameters = self.network.coefs, self.network.intercepts, names
        shortcut = self.network.shortcut
        outputs = reference.forward(self.X[rows], *parameters, shortcut=shortcut)[1][-1]
        samples = self.targets[rows], self.weight[rows]
        return reference.mean_loss(self.loss, outputs, *samples, self.option)

    def gradient(self, rows, batch=5, run=run_serial):
        bench = NetworkBuffers(self.network, batch)
        parts = self.network, self.training_set, rows, bench, TeamPace()
        loss, flat = loss_and_gradient(run, *parts)
        return loss, flat.copy()

    def flat(self, coefs, intercepts):
        """Arrays of each layer as one vector laid out like the parameters."""
        pairs = zip(coefs, intercepts, strict=True)
        return np.concatenate([part.ravel() for pair in pairs for part in pair])


def batches_of(order, size):
    return [order[k : k + size] for k in range(0, len(order), size)]


# ---------------------------------------------------------------------------
# The gradient
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@LOSSES
@pytest.mark.parametrize("activation", TRAINABLE)
def test_gradient_equals_central_differences(activation, loss, option, weighted):
    """For every weight and bias, the gradient is what the reference's loss does when it moves.

    In float64 with h = 1e-5 the differences are good to 1e-9; rows in pieces of 5 make the last
    piece short, and a repeated row must count twice.
    """
    problem = Problem([3, 4, 3, 2], [activation] * 2, loss, weighted=weighted, option=option)
    rows = np.r_[problem.order[:12], problem.order[:2]]
    value, gradient = problem.gradient(rows)
    assert value == pytest.approx(problem.reference_loss(rows), rel=1e-12)
    np.testing.assert_allclose(gradient, numerical(problem, rows), rtol=1e-7, atol=1e-8)


def numerical(problem, rows, h=1e-5):
    """Central differences of the reference's loss in every parameter."""
    theta = problem.network.theta
    differences = np.empty_like(theta)
    for k in range(theta.size):
        kept, sides = theta[k], []
        for sign in (1, -1):
            theta[k] = kept + sign * h
            sides.append(problem.reference_loss(rows))
        theta[k] = kept
        differences[k] = (sides[0] - sides[1]) / (2 * h)
    return differences


SHAPES = [[3, 4, 4, 4, 2], [3, 4, 6, 3, 3, 2], [3, 4, 2], [3, 2], [3, 4, 5, 2]]


@pytest.mark.parametrize("activation", TRAINABLE)
def test_gradient_with_shortcuts_equals_central_differences(activation):
    """Of equal and of other widths, wider and narrower; the first and the output have none."""
    for units in SHAPES:
        problem = Problem(units, [activation] * (len(units) - 2), "log_loss", shortcut=True)
        rows = problem.order[:7]
        value, gradient = problem.gradient(rows)
        assert value == pytest.approx(problem.reference_loss(rows), rel=1e-12)
        np.testing.assert_allclose(gradient, numerical(problem, rows), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_with_shortcuts_equals_the_reference_for_mixed_layers(dtype):
    """Each layer has an activation of its own, those with kept slopes among others."""
    units = [6, *np.random.RandomState(1).randint(1, 9, size=len(TRAINABLE)), 3]
    problem = Problem(units, TRAINABLE, "squared_error", dtype, shortcut=True)
    rows, n = problem.order, problem.network
    _, gradient = problem.gradient(rows, batch=7)
    samples = problem.X[rows], problem.targets[rows], problem.weight[rows].astype(float)
    parameters = [[part.astype(float) for part in parts] for parts in (n.coefs, n.intercepts)]
    expected = reference.backward(*samples, *parameters, TRAINABLE, "squared_error", shortcut=True)
    error = np.abs(gradient - problem.flat(*expected)).max() / np.abs(gradient).max()
    assert error < 500 * np.finfo(dtype).eps


@pytest.mark.parametrize("activation", TRAINABLE)
def test_gradient_with_shortcuts_equals_torch(activation):
    """Automatic differentiation of a + f(a W + b) / 3 on the units that both layers have."""
    torch = pytest.importorskip("torch")
    problem = Problem(
        [5, 6, 4, 7, 7, 3], [activation] * 4, "log_loss", weighted=False, shortcut=True
    )
    f, pad = torch_activations(torch)[activation], torch.nn.functional.pad
    parts = [
        [torch.tensor(part, requires_grad=True) for part in parts]
        for parts in (problem.network.coefs, problem.network.intercepts)
    ]
    a = f(torch.tensor(problem.X) @ parts[0][0] + parts[1][0])
    for W, b in zip(parts[0][1:4], parts[1][1:4], strict=True):
        own, n = f(a @ W + b), min(W.shape)
        a = pad(a[:, :n] + own[:, :n] / 3, (0, W.shape[1] - n)) + pad(own[:, n:], (n, 0))
    products = a @ parts[0][4] + parts[1][4]
    torch_losses(torch, 0.0)["log_loss"](products, torch.tensor(problem.targets)).backward()
    expected = problem.flat(*[[part.grad.numpy() for part in kind] for kind in parts])
    _, gradient = problem.gradient(problem.order)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("activation", ["relu", "tanh", "selu", "logistic"])
def test_signals_and_gradients_pass_a_hundred_layers_with_shortcuts(activation):
    """Neither what goes up nor what comes down grows or shrinks by more than threefold.

    Weights are those that suit the activation without shortcuts. The sum of 99 terms f / 99 is
    their mean, no larger than they are at any depth; each layer's derivative is 1 + f' W / 99.
    """
    random, width = np.random.RandomState(0), 100
    network = Network([width] * 101 + [1], [activation] * 100, "identity", np.float64, True)
    variance = 2 / width if activation == "relu" else 1 / width
    for W in network.coefs:
        W[:] = random.normal(size=W.shape) * np.sqrt(variance)
    X = random.normal(size=(200, width))
    layers = network.coefs, network.intercepts, [*[activation] * 100, "identity"]
    _, values = reference.forward(X, *layers, shortcut=True)
    spread = [a.std(axis=0).mean() for a in values[1:-1]]
    size = [np.sqrt((a**2).mean()) for a in values[1:-1]]
    assert max(spread) < 1.5 * min(spread) and max(size) < 3 * min(size)
    data = Data(X, np.float64)
    part = TrainingSet(data, np.zeros((200, 1)), np.empty(0), "squared_error", np.arange(200))
    bench = NetworkBuffers(network, 200)
    _, gradient = loss_and_gradient(run_serial, network, part, part.order, bench, TeamPace())
    norms = [np.linalg.norm(gradient[at : at + width]) for at in network._biases_at[1:-1]]
    assert max(norms) < 3 * min(norms)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_equals_the_reference_for_mixed_layers(seed, dtype):
    """Each layer uses its own activation's derivative, those with kept slopes among others."""
    names = list(np.random.RandomState(seed).permutation(TRAINABLE))
    units = [6, *np.random.RandomState(seed).randint(1, 9, size=len(names)), 3]
    for loss, option in reference.LOSSES:
        problem = Problem(units, names, loss, dtype, seed=seed, option=option)
        rows, n = problem.order, problem.network
        _, gradient = problem.gradient(rows, batch=7)
        samples = problem.X[rows], problem.targets[rows], problem.weight[rows].astype(float)
        parameters = [[part.astype(float) for part in parts] for parts in (n.coefs, n.intercepts)]
        expected = problem.flat(*reference.backward(*samples, *parameters, names, loss, option))
        error = np.abs(gradient - expected).max() / np.abs(expected).max()
        assert error < 500 * np.finfo(dtype).eps


def torch_activations(torch):
    f = torch.nn.functional
    return {
        "identity": lambda z: z,
        "logistic": torch.sigmoid,
        "tanh": torch.tanh,
        "softsign": f.softsign,
        "relu": torch.relu,
        "leaky_relu": lambda z: f.leaky_relu(z, 0.01),
        "elu": f.elu,
        "selu": f.selu,
        "gelu": f.gelu,
        "swish": f.silu,
        "softplus": lambda z: f.softplus(z, threshold=1e9),
    }


def torch_losses(torch, option):
    """Mean over rows of the sum over outputs, from the products of the last layer."""
    f = torch.nn.functional
    return {
        "squared_error": lambda z, y: 0.5 * ((z - y) ** 2).sum(1).mean(),
        "logistic_squared_error": lambda z, y: 0.5 * ((torch.sigmoid(z) - y) ** 2).sum(1).mean(),
        "binary_log_loss": lambda z, y: (
            f.binary_cross_entropy_with_logits(z, (1 - option) * y + option / 2, reduction="none")
            .sum(1)
            .mean()
        ),
        "log_loss": lambda z, y: f.cross_entropy(z, y[:, 0].long(), label_smoothing=option),
        "poisson": lambda z, y: f.poisson_nll_loss(z, y, reduction="none").sum(1).mean(),
        "absolute_error": lambda z, y: f.l1_loss(z, y, reduction="none").sum(1).mean(),
        "huber": lambda z, y: f.huber_loss(z, y, reduction="none", delta=option).sum(1).mean(),
        "quantile": lambda z, y: (
            torch.maximum(option * (y - z), (option - 1) * (y - z)).sum(1).mean()
        ),
        "gamma": lambda z, y: (z + y * torch.exp(-z)).sum(1).mean(),
    }


@LOSSES
@pytest.mark.parametrize("activation", TRAINABLE)
def test_gradient_equals_torch(activation, loss, option):
    """An independent implementation, automatic differentiation, finds the same gradient."""
    torch = pytest.importorskip("torch")
    problem = Problem([5, 6, 4, 3], [activation] * 2, loss, weighted=False, option=option)
    f = torch_activations(torch)[activation]
    parts = [
        [torch.tensor(part, requires_grad=True) for part in parts]
        for parts in (problem.network.coefs, problem.network.intercepts)
    ]
    a = torch.tensor(problem.X)
    for layer, (W, b) in enumerate(zip(*parts, strict=True)):
        a = a @ W + b
        a = f(a) if layer < 2 else a
    torch_losses(torch, option)[loss](a, torch.tensor(problem.targets)).backward()
    expected = problem.flat(*[[part.grad.numpy() for part in kind] for kind in parts])
    _, gradient = problem.gradient(problem.order)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-13)


def test_step_stops_the_gradient():
    """The derivative of a jump is zero wherever it exists: nothing below it is trained."""
    problem = Problem([3, 4, 2], ["step"], "squared_error")
    _, gradient = problem.gradient(problem.order)
    n_first = problem.network.coefs[0].size + problem.network.intercepts[0].size
    assert not gradient[:n_first].any() and gradient[n_first:].all()


def test_gradient_does_not_depend_on_the_pieces():
    """A sum over rows, whatever rows are worked on together."""
    problem = Problem([4, 6, 3], ["gelu"], "log_loss")
    _, whole = problem.gradient(problem.order, batch=N_SAMPLES)
    for batch in (1, 2, 7, 18, 100):
        _, pieces = problem.gradient(problem.order, batch=batch)
        np.testing.assert_allclose(pieces, whole, rtol=1e-12, atol=1e-15)


# ---------------------------------------------------------------------------
# Minibatch training
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
@LOSSES
def test_epochs_equal_the_reference(loss, option, solver, dtype):
    """Weights, loss and norms after three epochs of minibatches in a given order.

    Of 19 samples in batches of 4 the last batch has 3: its gradient is a mean over 3. The penalty
    is divided by the sum of the minibatch's weights and touches no bias; for adamw it is a decay.
    """
    problem = Problem([5, 7, 4, 3], ["tanh", "swish"], loss, dtype, option=option)
    expected, memory = problem.reference_network(), {"step": 0}
    training = Training(problem.network, problem.training_set, problem.optimiser(solver), 4)
    tolerance = 1e-3 if dtype == np.float32 else 1e-10
    for epoch in range(3):
        order = np.random.RandomState(epoch).permutation(N_SAMPLES)
        data = problem.X, problem.targets, problem.weight.astype(float), loss
        rate = 0.02 / (epoch + 1)
        data_loss, penalty, norms = reference.train(
            expected,
            *data,
            batches_of(order, 4),
            solver,
            {**SETTINGS, "rate": rate},
            memory,
            option,
        )
        training.norms[:] = 0
        value = training.epoch(run_serial, order, rate)
        factor = problem.training_set.loss_factor
        assert value == pytest.approx(factor * data_loss + penalty, rel=tolerance)
        np.testing.assert_allclose(training.norms, norms, rtol=tolerance)
    assert training.optimiser.n_steps == memory["step"] == 15
    theta = problem.flat(expected["coefs"], expected["intercepts"])
    np.testing.assert_allclose(problem.network.theta, theta, rtol=tolerance, atol=tolerance)


BOUNDS = {
    "l1": {"l1_ratio": 0.4},
    "only l1": {"l1_ratio": 1.0},
    "components": {"clip_value": 0.03},
    "norm": {"clip_norm": 0.5},
    "a norm that no gradient has": {"clip_norm": 1e6},
    "units": {"max_norm": 0.9},
    "all": {"l1_ratio": 0.4, "clip_value": 0.1, "clip_norm": 0.5, "max_norm": 1.1},
    "rates of layers": {"factors": [0.3, 2.0, 1.0]},
}
BOUNDS["all, and rates of layers"] = {**BOUNDS["all"], "factors": [0.0, 0.3, 1.0]}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("bounds", BOUNDS)
def test_bounded_epochs_equal_the_reference(bounds, solver, dtype):
    """Penalties, then bounds of components, then of the norm, then the step, then its units.

    Each layer's step is that of its own rate, adamw's decay too. Loss and norms are what they are
    without bounds: the norms are those of the data's gradient.
    """
    problem = Problem([5, 7, 4, 3], ["tanh", "swish"], "log_loss", dtype)
    expected, memory, bounds = problem.reference_network(), {"step": 0}, BOUNDS[bounds]
    optimiser = problem.optimiser(solver, **bounds)
    training = Training(problem.network, problem.training_set, optimiser, 4)
    ratio, tolerance = bounds.get("l1_ratio", 0.0), 1e-3 if dtype == np.float32 else 1e-10
    settings = {**SETTINGS, **bounds, "rate": 0.02}
    settings |= {"alpha": (1 - ratio) * SETTINGS["alpha"], "l1": ratio * SETTINGS["alpha"]}
    data = problem.X, problem.targets, problem.weight.astype(float), "log_loss"
    for _ in range(3):
        batches = batches_of(problem.order, 4)
        *losses, norms = reference.train(expected, *data, batches, solver, settings, memory)
        training.norms[:] = 0
        value = training.epoch(run_serial, problem.order, 0.02)
        assert value == pytest.approx(sum(losses), rel=tolerance)
        np.testing.assert_allclose(training.norms, norms, rtol=tolerance)
    theta = problem.flat(expected["coefs"], expected["intercepts"])
    np.testing.assert_allclose(problem.network.theta, theta, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_layer_with_rate_zero_stays_as_it_is(solver):
    """To the bit, though its weights are penalised and too long; the layers beside it learn."""
    problem = Problem([5, 7, 4, 3], ["tanh", "swish"], "log_loss", np.float32)
    before = Problem([5, 7, 4, 3], ["tanh", "swish"], "log_loss", np.float32).network
    optimiser = problem.optimiser(solver, **BOUNDS["all"] | {"factors": [1.0, 0.0, 1.0]})
    training = Training(problem.network, problem.training_set, optimiser, 4)
    for _ in range(3):
        training.epoch(run_serial, problem.order, 0.02)
    ours, theirs = (n.coefs + n.intercepts for n in (problem.network, before))
    assert [np.array_equal(p, q) for p, q in zip(ours, theirs)] == [False, True, False] * 2
    np.testing.assert_array_equal(training.norms[:, 2] > 0, [True, False, True])


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_factor_everywhere_is_a_scaled_rate(solver):
    """To the bit: a factor of a half of twice the rate is the rate."""
    thetas = []
    for factor in (1.0, 0.5):
        problem = Problem([5, 7, 3], ["tanh"], "log_loss", np.float32)
        optimiser = problem.optimiser(solver, l1_ratio=0.4, factors=factor)
        training = Training(problem.network, problem.training_set, optimiser, 4)
        training.epoch(run_serial, problem.order, 0.02 / factor)
        thetas.append(problem.network.theta)
    np.testing.assert_array_equal(*thetas)


@pytest.mark.parametrize("solver", SOLVERS)
def test_bounds_that_nothing_reaches_change_nothing(solver):
    """Bit for bit: forming the gradient and stepping in two regions is what one region does."""
    far = {"clip_value": 1e30, "clip_norm": 1e30, "max_norm": 1e30}
    for n_blocks in ((1, 1), (3, 2)):
        plain, bounded = (
            minibatch_calls(
                Problem([5, 7, 3], ["gelu"], "log_loss"), "serial", [5], n_blocks, solver, **bounds
            )
            for bounds in ({}, far)
        )
        assert all(map(np.array_equal, plain, bounded))


def test_clipped_gradients_equal_torch():
    """torch's own clipping, of a gradient without penalty, then a plain step of descent."""
    torch = pytest.importorskip("torch")
    for bounds in ({"clip_norm": 0.1}, {"clip_value": 0.01}):
        problem = Problem([5, 6, 3], ["tanh"], "log_loss", weighted=False)
        before = problem.network.theta.copy()
        _, gradient = problem.gradient(problem.order)
        parameter = torch.nn.Parameter(torch.tensor(before))
        parameter.grad = torch.tensor(gradient)
        if "clip_norm" in bounds:
            torch.nn.utils.clip_grad_norm_([parameter], 0.1)
        else:
            torch.nn.utils.clip_grad_value_([parameter], 0.01)
        optimiser = problem.optimiser("sgd", alpha=0.0, momentum=0.0, nesterov=False, **bounds)
        training = Training(problem.network, problem.training_set, optimiser, N_SAMPLES)
        training.epoch(run_serial, problem.order, 1.0)
        step = before - problem.network.theta
        # torch adds 1e-6 to the norm that it divides by
        np.testing.assert_allclose(step, parameter.grad.numpy(), rtol=2e-5, atol=1e-14)
        assert np.abs(step).max() < 0.9 * np.abs(gradient).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_unit_outgrows_max_norm(dtype):
    """After every update, in every layer; what is shorter stays as it is, and so do biases."""
    problem = Problem([5, 7, 4, 3], ["tanh", "relu"], "squared_error", dtype)
    optimiser = problem.optimiser("sgd", momentum=0.0, max_norm=1.0)
    training = Training(problem.network, problem.training_set, optimiser, 4)
    before = problem.network.theta.copy()
    training.epoch(run_serial, problem.order[:4], 0.0)
    ours = problem.network
    theirs = Problem([5, 7, 4, 3], ["tanh", "relu"], "squared_error", dtype).network
    assert np.array_equal(theirs.theta, before)
    for W, V, b, c in zip(ours.coefs, theirs.coefs, ours.intercepts, theirs.intercepts):
        norms = np.linalg.norm(V, axis=0)
        assert (norms < 1).any() and (norms > 1).any()
        np.testing.assert_array_equal(W[:, norms < 1], V[:, norms < 1])
        np.testing.assert_allclose(W, V / np.maximum(norms, 1), rtol=10 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(b, c)
    for _ in range(5):
        training.epoch(run_serial, problem.order, 0.5)
        for W in ours.coefs:
            assert np.linalg.norm(W, axis=0).max() < 1 + 10 * np.finfo(dtype).eps


def test_an_exploding_gradient_can_be_clipped():
    """One whose square is beyond single precision still has a norm, and a direction."""
    problem = Problem([4, 3], [], "squared_error", np.float32)
    problem.X[:] *= 1e12
    optimiser = problem.optimiser("sgd", alpha=0.0, momentum=0.0, nesterov=False, clip_norm=2.0)
    training = Training(problem.network, problem.training_set, optimiser, N_SAMPLES)
    before = problem.network.theta.copy()
    training.epoch(run_serial, problem.order, 1.0)
    assert np.linalg.norm(problem.network.theta - before) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("bounds", [{"clip_norm": 1.0}, {"clip_value": 1.0}, {"max_norm": 1.0}])
def test_bounds_do_not_hide_what_is_not_a_number(bounds):
    """Divergence must be seen: NaN and infinity come through to the weights."""
    problem = Problem([4, 5, 3], ["tanh"], "log_loss")
    problem.X[2, 1] = np.nan
    optimiser = problem.optimiser("sgd", **bounds)
    training = Training(problem.network, problem.training_set, optimiser, 4)
    assert np.isnan(training.epoch(run_serial, problem.order, 0.1))
    assert np.isnan(problem.network.theta).any()


def test_minibatches_are_visited_in_order():
    """Another order gives other weights; the same minibatches, shuffled inside, the same."""
    results = []
    order = np.arange(N_SAMPLES)
    inside = np.concatenate([rows[::-1] for rows in batches_of(order, 4)])
    for visited in (order, inside, order[::-1].copy()):
        problem = Problem([5, 7, 3], ["tanh"], "squared_error")
        training = Training(problem.network, problem.training_set, problem.optimiser("sgd"), 4)
        training.epoch(run_serial, visited, 0.1)
        results.append(problem.network.theta)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-10, atol=1e-12)
    assert np.abs(results[0] - results[2]).max() > 1e-3


@pytest.mark.parametrize("solver", SOLVERS)
def test_penalty_spares_the_biases(solver):
    """Without a data gradient only the penalty acts: weights shrink, biases stay as they are."""
    problem = Problem([4, 5, 2], ["identity"], "squared_error")
    problem.X[:], problem.targets[:] = 0, 0
    for b in problem.network.intercepts:
        b[:] = 0
    before = [W.copy() for W in problem.network.coefs]
    training = Training(problem.network, problem.training_set, problem.optimiser(solver), 5)
    training.epoch(run_serial, problem.order, 1e-3)
    for old, W, b in zip(before, problem.network.coefs, problem.network.intercepts, strict=True):
        assert np.all(np.abs(W) < np.abs(old))
        assert not b.any()


def test_weights_are_as_good_as_repetitions():
    """A sample of weight 2 adds what two samples of weight 1 add, in one minibatch."""
    single = Problem([4, 5, 3], ["relu"], "log_loss")
    double = Problem([4, 5, 3], ["relu"], "log_loss", weighted=False)
    counts = np.random.RandomState(3).randint(0, 3, N_SAMPLES)
    single.weight[:] = counts
    repeated = np.repeat(np.arange(N_SAMPLES), counts)
    for problem, order in ((single, np.arange(N_SAMPLES)), (double, repeated)):
        optimiser = problem.optimiser("adam")
        training = Training(problem.network, problem.training_set, optimiser, len(order))
        for _ in range(5):
            training.epoch(run_serial, order, 0.1)
    np.testing.assert_allclose(single.network.theta, double.network.theta, rtol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_minibatch_in_which_nothing_counts_is_harmless(solver):
    """The gradient of a sum over no samples is zero, not 0 / 0."""
    problem = Problem([4, 5, 3], ["relu"], "log_loss")
    problem.weight[:4] = 0
    training = Training(problem.network, problem.training_set, problem.optimiser(solver), 4)
    before = problem.network.theta.copy()
    assert training.epoch(run_serial, np.arange(4), 0.1) == 0
    if solver != "adamw":  # which decays the weights at every step
        assert np.array_equal(problem.network.theta, before)
    assert np.isfinite(training.epoch(run_serial, np.arange(N_SAMPLES), 0.1))
    assert np.isfinite(problem.network.theta).all()
    loss, gradient = problem.gradient(np.arange(4))
    assert loss == 0 and not gradient.any()


def test_nan_in_the_data_reaches_loss_and_weights():
    """Divergence must be seen: nothing between input and weights swallows a NaN."""
    for activation in ("logistic", "tanh", "softsign", "gelu"):
        problem = Problem([4, 5, 3], [activation], "log_loss")
        problem.X[2, 1] = np.nan
        training = Training(problem.network, problem.training_set, problem.optimiser("sgd"), 4)
        assert np.isnan(training.epoch(run_serial, problem.order, 0.1))
        assert np.isnan(problem.network.theta).any()


# ---------------------------------------------------------------------------
# How the work is cut
# ---------------------------------------------------------------------------


def minibatch_calls(problem, twin, counts, n_blocks=(1, 1), solver="nadam", batch=4, **settings):
    """Train in calls of so many minibatches each; return all that the calls leave."""
    optimiser = problem.optimiser(solver, **settings).kernel_state
    work = NetworkBuffers(problem.network, batch).work._replace(
        row_sums=np.zeros((n_blocks[0], 2)),
        layer_sums=np.zeros((n_blocks[1], problem.network.n_layers, 7)),
        column_squares=np.zeros((n_blocks[1], problem.network.units.sum())),
    )
    loss, norms, done = np.zeros(3), np.zeros((problem.network.n_layers, 3)), 0
    part = problem.training_set
    for count in counts:
        getattr(train_minibatches, twin)(
            part.data.source,
            part.examples,
            problem.order[done * batch : (done + count) * batch],
            batch,
            problem.network.layers,
            NO_DROPOUT,
            optimiser,
            0.1 / np.sqrt(1.0 + done + np.arange(count)),
            done,
            work,
            loss,
            norms,
        )
        done += count
    return [problem.network.theta, loss, norms, optimiser.first, optimiser.second]


@pytest.mark.parametrize("solver", SOLVERS)
def test_calls_may_be_cut_anywhere(solver):
    """Nothing lives in a call but what is handed to it: five minibatches in any calls are equal."""
    results = [
        minibatch_calls(Problem([5, 7, 3], ["gelu"], "log_loss"), "serial", counts, (2, 2), solver)
        for counts in ([5], [1] * 5, [2, 3], [4, 1])
    ]
    for result in results[1:]:
        assert all(map(np.array_equal, results[0], result))


@pytest.mark.parametrize("bounds", [None, "all"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_agree_bit_for_bit_for_any_blocks(dtype, bounds):
    """Both twins sum the same blocks in the same order; other blocks agree to rounding.

    More blocks than rows leave some blocks empty, which must be no special case.
    """
    reference_result, bounds = None, {} if bounds is None else BOUNDS[bounds]
    for n_blocks in ((1, 1), (2, 3), (3, 2), (16, 16)):
        serial, parallel = (
            minibatch_calls(
                Problem([5, 7, 6, 3], ["swish", "tanh"], "log_loss", dtype),
                twin,
                [5],
                n_blocks,
                **bounds,
            )
            for twin in ("serial", "parallel")
        )
        assert all(map(np.array_equal, serial, parallel))
        reference_result = reference_result or serial
        for first, second in zip(reference_result, serial, strict=True):
            tolerance = 1e-3 if dtype == np.float32 else 1e-9
            np.testing.assert_allclose(first, second, tolerance, tolerance)


def test_gradient_twins_agree_bit_for_bit():
    """The same of the full gradient."""
    for n_blocks in ((1, 1), (2, 3), (16, 16)):
        problem = Problem([5, 7, 3], ["gelu"], "poisson")
        results = []
        for twin in ("serial", "parallel"):
            work = NetworkBuffers(problem.network, 4).work._replace(
                row_sums=np.zeros((n_blocks[0], 2)), layer_sums=np.zeros((n_blocks[1], 2, 7))
            )
            part, sums = problem.training_set, np.zeros(2)
            getattr(accumulate_gradient, twin)(
                part.data.source,
                part.examples,
                problem.order,
                4,
                problem.network.layers,
                NO_DROPOUT,
                0.125,
                work,
                sums,
            )
            results.append([work.gradient, sums])
        assert all(map(np.array_equal, *results))


NUMBER_OF_THREADS = """
import hashlib, sys
import numba, numpy as np
from sk_dbn.models.data import Data
from sk_dbn.models.network import Network
from sk_dbn.models.network_training import OptimiserState, Training, TrainingSet
from sk_dbn.models.network_training import loss_and_gradient
from sk_dbn.models.pace import TeamPace
from sk_dbn.models.threads import threads

for n_jobs in (1, 2, 3, 4):
    random = np.random.RandomState(0)
    network = Network([120, 130, 110, 3], ["tanh", "relu"], "identity", np.float64)
    network.theta[:] = 0.1 * random.normal(size=network.theta.size)
    X, y = random.normal(size=(300, 120)), random.normal(size=(300, 3))
    weight, order = random.uniform(size=300), np.arange(300)  # whose sum depends on its order
    part = TrainingSet(Data(X, np.float64), y, weight, "squared_error", order)
    settings = dict(momentum=0.9, nesterov=True, beta_1=0.9, beta_2=0.999, epsilon=1e-8, alpha=0.1)
    training = Training(network, part, OptimiserState("adam", network, **settings), 128)
    assert not training.buffers.is_small
    with threads(n_jobs) as run:
        assert numba.get_num_threads() == n_jobs or n_jobs == 1
        losses = [training.epoch(run, order, 0.01) for _ in range(3)]
        loss, gradient = loss_and_gradient(run, network, part, order, training.buffers, TeamPace())
    results = network.theta, np.array(losses), training.norms, np.array(loss), gradient
    print(hashlib.sha256(b"".join(part.tobytes() for part in results)).hexdigest())
"""


def test_any_number_of_threads_gives_the_same_bits():
    """Work is cut by the shape of the problem, so who does which piece is of no account."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", NUMBER_OF_THREADS],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    digests = done.stdout.split()
    assert len(digests) == 4 and len(set(digests)) == 1


@pytest.mark.parametrize(
    "bounds",
    [(0.0, 0.0, None, None, None), (0.1, 0.5, 1e-3, None, 0.9), (0.1, 0.5, None, 1e-2, 0.9)],
    ids=["free", "clip_value", "clip_norm"],
)
def test_parallel_training_equals_serial_training(bounds):
    """The same through the interface that estimators use, with work large enough to share.

    Penalties and bounds are sums over all blocks, each with a stage of its own.
    """
    thetas = []
    for run in (run_serial, run_parallel):
        problem = Problem([150, 180, 3], ["tanh"], "squared_error", np.float32)
        order, optimiser = np.resize(problem.order, 300), problem.optimiser("adam")
        optimiser.set_bounds(*bounds)
        training = Training(problem.network, problem.training_set, optimiser, 100)
        assert not training.buffers.is_small
        training.epoch(run, order, 0.01)
        thetas.append(problem.network.theta)
    assert np.array_equal(*thetas)


@pytest.mark.parametrize("loss", ["squared_error", "binary_log_loss"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_matrix, np.float64])
def test_the_input_may_be_the_target(loss, weighted, make):
    """Without targets each sample is to be answered by itself, as if they had been a copy of X.

    Dropout of the input does not reach the targets: what is answered is the sample before it.
    """
    random = np.random.RandomState(0)
    X, weight = random.uniform(size=(23, 6)), random.uniform(size=23 if weighted else 0)
    X, order = X.astype(np.float32), np.arange(23)
    results = []
    for targets in (X, None):
        network = Network(
            [6, 4, 6], ["tanh"], "logistic" if "log" in loss else "identity", np.float32
        )
        network.theta[:] = np.random.RandomState(1).normal(size=network.theta.size)
        data = Data(make(X), np.float32)
        part = TrainingSet(data, targets, weight.astype(np.float32), loss, order, 0.0)
        optimiser = OptimiserState("sgd", network)
        optimiser.seed = 3
        training = Training(network, part, optimiser, 5, dropout=(0.4, 0.2))
        losses = [training.epoch(run_serial, order, 0.1) for _ in range(3)]
        outputs = network.outputs(run_serial, data)
        results.append(
            [network.theta, *losses, part.loss_of(outputs), part.loss_of(outputs[:7], order[:7])]
        )
    for copied, itself in zip(*results, strict=True):
        np.testing.assert_array_equal(copied, itself)
