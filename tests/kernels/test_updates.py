"""Steps of RBMs: their length, their bounds, the momentum, and that there may be none."""

import math

import numpy as np
import pytest

from sk_dbn.kernels.updates import momentum_at
from tests import reference_rbm as slow
from tests.kernels.small_rbms import SEED, gaussian_rbm, parameters, rule, stack_of, train


def test_variances_stay_between_their_bounds():
    """However far off the data are: a step of at most a tenth, from 0.01 to the feature's 1."""
    for X, bound in ((np.zeros((20, 3)), 0.01), (np.full((20, 3), 30.0), 1.0)):
        stack, _ = gaussian_rbm()
        before = stack.variance.copy()
        train(stack, X, 20, rule(variance_rate=10.0), 0.5)
        ratio = np.log(stack.variance / before)
        assert (abs(ratio) < 0.1 + 1e-12).all()
        for k in range(60):
            stack.theta[:-3] = 0.0
            train(stack, X, 20, rule(variance_rate=10.0), 0.5, first=k)
        np.testing.assert_allclose(stack.variance, bound)


def test_trace_norms_are_those_of_the_gradient():
    """What the kernel adds up per minibatch are Euclidean norms, before decay and momentum."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    stack = stack_of("bernoulli", "logistic", (5, 4))
    rbm = slow.SlowRBM("binary", "binary", *parameters(stack), X.mean(axis=0))
    norms, _ = train(stack, X, 10, rule(l2=0.3), 0.1)
    W = rbm.W.copy()
    rbm.step(X, seed=SEED, rate=0.1, momentum=0.0, l2=0.3, centered=False)
    g_W, g_b, g_c = rbm.gradient[:3]
    assert norms[0] == pytest.approx(np.linalg.norm(g_W))
    assert norms[1] == pytest.approx(np.linalg.norm(np.r_[g_b, g_c]))
    assert norms[2] == pytest.approx(np.linalg.norm(rbm.W - W) / np.linalg.norm(W))


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("hidden", ["logistic", "relu"])
def test_long_steps_are_shortened(visible, hidden):
    """All parameters then take the same share of their step, and the weights' has its limit."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    steps = []
    for settings in ({}, {"max_step": 1e-3}, {"max_step": 1e3}):
        stack = stack_of(visible, hidden, (5, 4))
        before = stack.theta.copy()
        norms, _ = train(stack, X, 10, rule(offset_rate=0.01, **settings), 0.1)
        steps.append(stack.theta - before)
    free, limited, unlimited = steps
    most = 1e-3 * max(1.0, np.linalg.norm(before[:20]))
    assert np.linalg.norm(free[:20]) > most
    assert np.linalg.norm(limited[:20]) == pytest.approx(most)
    np.testing.assert_allclose(limited, free * (most / np.linalg.norm(free[:20])), atol=1e-12)
    np.testing.assert_array_equal(unlimited, free)
    assert norms[0] == pytest.approx(np.linalg.norm(free[:20]) / 0.1)  # before the limit


def test_a_bound_holds_weights_of_any_size():
    """The squares of these are beyond single precision; weights must not become zero for that."""
    stack = stack_of("bernoulli", "logistic", (5, 4), np.float32, scale=1e25)
    train(stack, np.zeros((10, 5)), 10, rule(max_norm=0.5), 0.0)
    np.testing.assert_allclose(np.linalg.norm(stack.coefs[0], axis=0), 0.5, rtol=1e-6)


def test_momentum_cannot_add_up_to_long_steps():
    """The limit is that of what the weights change by, update after update."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    stack = stack_of("gaussian", "relu", (5, 4))
    for step in range(20):
        before = stack.coefs[0].copy()
        settings = rule(momentum=0.9, max_step=1e-2)
        train(stack, X, 10, settings, 1.0, first=10_000 + step)
        most = 1e-2 * max(1.0, np.linalg.norm(before))
        assert np.linalg.norm(stack.coefs[0] - before) <= most * (1 + 1e-9)


def test_steps_of_weights_that_are_zero_are_limited():
    """Weights may start from zero: what limits the first step is then not their norm."""
    X = np.random.RandomState(3).uniform(size=(10, 5))
    stack = stack_of("gaussian", "logistic", (5, 4), scale=0.0)
    stack.intercepts_hidden[0][:] = [-1.0, 0.0, 1.0, 2.0]
    train(stack, X, 10, rule(max_step=1e-3), 0.1)
    assert np.linalg.norm(stack.coefs[0]) == pytest.approx(1e-3)


def test_momentum_rises_as_published():
    """min(most, 1 - 2^(-1 - log2(floor(t / 250) + 1))), Sutskever et al. (2013), equation 5."""
    for t in (0, 249, 250, 499, 500, 1000, 10_000):
        expected = 1 - 2 ** (-1 - math.log2(t // 250 + 1))
        assert momentum_at(t, 0.99) == pytest.approx(min(0.99, expected))
    assert momentum_at(10_000, 0.3) == 0.3
