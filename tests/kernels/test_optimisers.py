"""Optimisers against the equations of their papers and against torch."""

import numpy as np
import pytest

from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.optimisers import SOLVERS, end_step, to_step
from sk_dbn.models.network import Network
from sk_dbn.models.network_training import OptimiserState
from tests import reference

N_STEPS = 25
FAN_IN, FAN_OUT = 4, 3
N_WEIGHTS = FAN_IN * FAN_OUT
DEFAULTS = {
    "momentum": 0.9,
    "nesterov": True,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "alpha": 0.05,
}
VARIANTS = {
    "sgd": ("sgd", {}),
    "sgd without Nesterov": ("sgd", {"nesterov": False}),
    "sgd without momentum": ("sgd", {"momentum": 0.0}),
    "adam": ("adam", {}),
    "adam, coarse": ("adam", {"epsilon": 0.1, "beta_1": 0.5, "beta_2": 0.7}),
    "adamw": ("adamw", {}),
    "adamw, coarse": ("adamw", {"epsilon": 0.1, "beta_1": 0.5, "beta_2": 0.7}),
    "nadam": ("nadam", {}),
    "nadam, coarse": ("nadam", {"epsilon": 0.1, "beta_1": 0.5, "beta_2": 0.7}),
    "rmsprop": ("rmsprop", {}),
    "rmsprop, coarse": ("rmsprop", {"epsilon": 0.1, "beta_1": 0.5}),
    "adagrad": ("adagrad", {}),
    "adagrad, coarse": ("adagrad", {"epsilon": 0.1}),
}


@kernel
def run_steps(optimiser, rates, gradients, n_weights, theta):
    """Updates from given gradients; the weights come first, then the biases."""
    for t in range(rates.shape[0]):
        g = gradients[t]
        w, b = theta[:n_weights], theta[n_weights:]
        to_step(optimiser, rates[t], t + 1, False, n_weights, b, g[n_weights:])
        to_step(optimiser, rates[t], t + 1, True, 0, w, g[:n_weights])
        end_step(optimiser, t + 1)
        for k in range(theta.shape[0]):
            theta[k] += g[k]


def problem(dtype=np.float64, seed=0):
    """First parameters, and gradients whose sizes span five orders of magnitude."""
    random = np.random.RandomState(seed)
    size = N_WEIGHTS + FAN_OUT
    gradients = random.normal(size=(N_STEPS, size)) * np.logspace(-3, 2, size)
    return random.normal(size=size).astype(dtype), gradients.astype(dtype)


def compiled(solver, theta, gradients, rates, **settings):
    network = Network([FAN_IN, FAN_OUT], [], "identity", theta.dtype)
    optimiser = OptimiserState(solver, network, **{**DEFAULTS, **settings})
    theta = theta.copy()
    run_steps(optimiser.kernel_state, rates, gradients.copy(), N_WEIGHTS, theta)
    return theta


def expected(solver, theta, gradients, rates, **settings):
    settings = {**DEFAULTS, **settings}
    settings["decays"] = np.arange(len(theta)) < N_WEIGHTS
    theta, memory = theta.astype(float), {}
    for t, (g, rate) in enumerate(zip(gradients.astype(float), rates, strict=True), start=1):
        theta = reference.SOLVERS[solver](theta, g, t, memory, rate=rate, **settings)
    return theta


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", VARIANTS)
def test_steps_equal_the_equations(name, dtype):
    """Several steps at a falling rate, so that what is remembered between them shows."""
    solver, settings = VARIANTS[name]
    theta, gradients = problem(dtype)
    rates = 0.1 / np.sqrt(1 + np.arange(N_STEPS))
    result = compiled(solver, theta, gradients, rates, **settings)
    right = expected(solver, theta, gradients, rates, **settings)
    tolerance = (1e-4 if dtype == np.float32 else 1e-12) * np.maximum(1, np.abs(right))
    assert np.all(np.abs(result - right) < tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
def test_no_gradient_no_step(solver, dtype):
    """0 / (sqrt(0) + epsilon) is 0 and never NaN: a unit that is dead stays as it is."""
    theta, gradients = problem(dtype)
    result = compiled(solver, theta, 0 * gradients, np.full(N_STEPS, 0.1), alpha=0.0)
    assert np.array_equal(result, theta)


@pytest.mark.parametrize("solver", SOLVERS)
def test_first_steps_are_bounded(solver):
    """The adaptive solvers' first step is the rate in size, whatever the gradient's size."""
    theta, gradients = problem()
    step = compiled(solver, theta, gradients[:1], np.array([0.01]), alpha=0.0) - theta
    size = {"sgd": 0.019 * np.abs(gradients[0]), "rmsprop": 0.01 / np.sqrt(0.1)}
    # nadam: g / |g| and, of the mean m = (1 - beta_1) g, the share mu_2 / (1 - mu_1 mu_2).
    mu_1, mu_2 = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * t)) for t in (1, 2))
    size["nadam"] = 0.01 * (1 + 0.1 * mu_2 / (1 - mu_1 * mu_2))
    np.testing.assert_allclose(np.abs(step), size.get(solver, 0.01), rtol=1e-3)
    assert np.array_equal(np.sign(step), -np.sign(gradients[0]))


@pytest.mark.parametrize("solver", SOLVERS)
def test_nan_gradient_reaches_its_parameter_only(solver):
    """Divergence must be seen, and where: a NaN spreads to no other parameter."""
    theta, gradients = problem()
    gradients[3, 5] = np.nan
    result = compiled(solver, theta, gradients, np.full(N_STEPS, 0.01))
    assert np.array_equal(np.flatnonzero(np.isnan(result)), [5])


def torch_optimisers(torch):
    """Our settings in torch's parametrisation.

    torch's velocity leaves the rate out, so the two SGDs agree for a constant rate; its Adam
    adds epsilon after the bias correction, so the two agree for a vanishing epsilon.
    """
    o, rate, betas, eps = torch.optim, 0.1, (0.9, 0.999), 1e-8
    return {
        "sgd": ({}, lambda p: o.SGD(p, lr=rate, momentum=0.9, nesterov=True)),
        "sgd plain": ({"nesterov": False}, lambda p: o.SGD(p, lr=rate, momentum=0.9)),
        "adam": ({"epsilon": 1e-30}, lambda p: o.Adam(p, lr=rate, betas=betas, eps=1e-30)),
        "adamw": ({}, lambda p: o.AdamW(p, lr=rate, betas=betas, eps=eps, weight_decay=0.05)),
        "nadam": ({}, lambda p: o.NAdam(p, lr=rate, betas=betas, eps=eps, momentum_decay=0.004)),
        "rmsprop": ({}, lambda p: o.RMSprop(p, lr=rate, alpha=0.9, eps=eps)),
        "adagrad": ({}, lambda p: o.Adagrad(p, lr=rate, eps=eps)),
    }


@pytest.mark.parametrize("name", ["sgd", "sgd plain", *list(SOLVERS)[1:]])
def test_steps_equal_torch(name):
    """The same gradients lead torch to the same weights (biases: torch would decay them)."""
    torch = pytest.importorskip("torch")
    settings, make = torch_optimisers(torch)[name]
    theta, gradients = problem(seed=1)
    parameter = torch.nn.Parameter(torch.tensor(theta))
    optimiser = make([parameter])
    for g in gradients:
        parameter.grad = torch.tensor(g)
        optimiser.step()
    result = compiled(name.split()[0], theta, gradients, np.full(N_STEPS, 0.1), **settings)
    theirs = parameter.detach().numpy()
    rtol = 1e-6 if name == "nadam" else 1e-10  # torch keeps nadam's product in float32
    np.testing.assert_allclose(result[:N_WEIGHTS], theirs[:N_WEIGHTS], rtol, 1e-2 * rtol)
