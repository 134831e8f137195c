"""Partition functions of RBMs of every kind, exact samples, and annealing both ways."""

import numpy as np
import pytest

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH
from sk_dbn.models.partition import (
    BinaryRBM,
    annealed_log_weights,
    base_biases,
    exact_log_partition,
    exact_samples,
    reversed_log_weights,
)
from sk_dbn.models.rbm import Stack
from sk_dbn.models.threads import run_parallel, run_serial
from tests import reference_annealing as slow
from tests import reference_rbm

NAMES = {LOGISTIC: "binary", TANH: "bipolar", IDENTITY: "gaussian"}
BOTH = ("bernoulli", "gaussian", "bernoulli")
KINDS = [
    (visible, hidden, layer)
    for visible in ("bernoulli", "gaussian", BOTH)
    for hidden in ("logistic", "tanh")
    for layer in (0, 1)
]


def stack_of(visible="bernoulli", hidden="logistic", units=(3, 2, 4), scale=1.0):
    stack = Stack(units, visible, hidden, range(len(units) - 1), np.float64)
    stack.theta[:] = scale * np.random.RandomState(0).normal(size=stack.theta.size)
    gaussian = np.broadcast_to(np.equal(visible, "gaussian"), units[0])
    if gaussian.any():
        stack.variance[:] = np.where(gaussian, np.linspace(0.5, 0.9, units[0]), 1.0)
    return stack


def parameters(stack, layer):
    """Kinds, weights and biases of one RBM."""
    visible, hidden = stack.kinds[layer : layer + 2]
    is_one = np.ndim(visible) == 0
    kinds = [NAMES[visible] if is_one else tuple(map(NAMES.get, visible)), NAMES[hidden]]
    W, b = stack.coefs[layer], stack.intercepts_visible[layer]
    theta = W, b, stack.intercepts_hidden[layer]
    return (*kinds, *theta, stack.variance) if "gaussian" in kinds[0] else (*kinds, *theta)


def by_hidden(rbm):
    """log Z of a binary form, summed over a table of the hidden states."""
    H = reference_rbm.states("binary", len(rbm.c))
    scores = H @ rbm.c + rbm.visible_log_sums(H @ rbm.W.T + rbm.b)
    return slow.log_sum(scores) + rbm.offset


@pytest.mark.parametrize("visible, hidden, layer", KINDS)
def test_exact_equals_the_sum_over_all_states(visible, hidden, layer):
    """Whatever values the units take: the binary form and its offset lose nothing."""
    stack = stack_of(visible, hidden)
    expected = slow.log_partition(*parameters(stack, layer))
    exact = exact_log_partition(run_serial, BinaryRBM.of(stack, layer))
    assert exact == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("units", [(40, 11), (11, 40), (1, 1), (9, 9), (700, 9)])
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", "both"])
def test_exact_in_many_blocks_of_states(units, visible):
    """States of more than eight units are cut into blocks, the other side into groups."""
    units = units if visible == "bernoulli" else sorted(units, reverse=True)
    if visible == "both":
        visible = ["gaussian" if j % 3 == 0 else "bernoulli" for j in range(units[0])]
    stack = stack_of(visible, units=units, scale=0.3)
    rbm = BinaryRBM.of(stack, 0)
    if rbm.enumerates_hidden:
        expected = by_hidden(rbm)
    else:  # the same RBM, upside down
        expected = by_hidden(BinaryRBM(rbm.W.T, rbm.c, rbm.b, np.array(False), 0.0))
    for run in (run_serial, run_parallel):
        assert exact_log_partition(run, rbm) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [0.0, 50.0, 400.0, 1e4])
def test_exact_of_weights_beyond_the_range_of_exp(scale):
    """exp(1e5) is no number, yet the largest terms decide and are kept."""
    for hidden in ("logistic", "tanh"):
        rbm = BinaryRBM.of(stack_of(hidden=hidden, units=(30, 10), scale=scale), 0)
        assert exact_log_partition(run_serial, rbm) == pytest.approx(by_hidden(rbm))


def test_exact_has_the_same_bits_in_both_twins():
    """The pieces follow from the shape."""
    rbm = BinaryRBM.of(stack_of(units=(100, 14)), 0)
    assert exact_log_partition(run_serial, rbm) == exact_log_partition(run_parallel, rbm)


def test_unknown_hidden_units_are_refused():
    """What has neither two values nor a formula must not be summed as if it had."""
    stack = stack_of()
    stack.kinds[1] = RELU
    with pytest.raises(ValueError, match="two values"):
        BinaryRBM.of(stack, 0)


@pytest.mark.parametrize("units", [(3, 2), (2, 3), (3, 10), (10, 3)])
def test_exact_samples_have_the_exact_distribution(units):
    """Frequencies of the first two units' states within 4.5 deviations, from either side."""
    stack, n = stack_of(units=units, scale=0.7), 40_000
    rbm = BinaryRBM.of(stack, 0)
    v = exact_samples(run_serial, rbm, n, np.random.RandomState(0))
    p = reference_rbm.joint(*parameters(stack, 0)).sum(axis=1)
    V = reference_rbm.states("binary", units[0])
    for state in reference_rbm.states("binary", 2):
        expected = p[(V[:, :2] == state).all(axis=1)].sum()
        frequency = (v[:, :2] == state).all(axis=1).mean()
        assert abs(frequency - expected) < 4.5 * np.sqrt(expected / n)


@pytest.mark.parametrize("visible", ["gaussian", BOTH])
def test_exact_samples_of_gaussian_units(visible):
    """Their means are the hidden states' means, weighted; within 4.5 deviations.

    They are in units of the standard deviations, as the binary form is.
    """
    stack, n = stack_of(visible, "tanh"), 40_000
    v = exact_samples(run_serial, BinaryRBM.of(stack, 0), n, np.random.RandomState(0))
    v *= np.sqrt(stack.variance)
    V, _ = slow.visible_states(parameters(stack, 0)[0], 3)
    visible, hidden, *theta = parameters(stack, 0)
    p = np.exp(-slow.energies(visible, V, reference_rbm.states(hidden, 2), *theta)).sum(axis=1)
    p /= p.sum()
    spread = np.sqrt(p @ V**2 - (p @ V) ** 2)
    assert (abs(v.mean(axis=0) - p @ V) < 4.5 * spread / np.sqrt(n)).all()


@pytest.mark.parametrize("visible, hidden, layer", KINDS)
def test_weights_are_unbiased_both_ways(visible, hidden, layer):
    """E[w] = Z up and E[1 / w] = 1 / Z down, on any ladder; within 4.5 deviations."""
    stack, n, betas = stack_of(visible, hidden, scale=0.5), 20_000, np.array([0.0, 0.4, 1.0])
    rbm, random = BinaryRBM.of(stack, layer), np.random.RandomState(0)
    base = base_biases(stack.kinds[layer], np.full(len(rbm.b), 0.3))
    exact = exact_log_partition(run_serial, rbm)
    args = run_serial, rbm, base, betas, n, np.float64, random
    for ratios in (
        np.exp(annealed_log_weights(*args) - exact),
        np.exp(exact - reversed_log_weights(*args)),
    ):
        assert abs(ratios.mean() - 1.0) < 4.5 * ratios.std() / np.sqrt(n)
        assert ratios.std() > 0.0


def test_base_of_the_data_alone_is_exact():
    """Without weights and with the base's own biases, every temperature is the base."""
    stack = stack_of(units=(5, 4))
    stack.coefs[0][:] = 0.0
    stack.intercepts_hidden[0][:] = 0.0
    rbm, betas = BinaryRBM.of(stack, 0), np.linspace(0.0, 1.0, 5)
    args = run_serial, rbm, rbm.b, betas, 3, np.float64, np.random.RandomState(0)
    exact = exact_log_partition(run_serial, rbm)
    np.testing.assert_allclose(annealed_log_weights(*args), exact)
    np.testing.assert_allclose(reversed_log_weights(*args), exact)


def test_base_biases_give_the_means():
    """In terms of units of 0 and 1 that is the log-odds, smoothed; of Gaussian ones the mean."""
    p = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(base_biases(LOGISTIC, p), np.log(p / (1 - p)))
    np.testing.assert_allclose(base_biases(TANH, 2 * p - 1), np.log(p / (1 - p)), atol=1e-12)
    np.testing.assert_array_equal(base_biases(IDENTITY, p), p)
    mixed = base_biases(np.array([LOGISTIC, IDENTITY, LOGISTIC]), p)
    np.testing.assert_allclose(mixed, [np.log(1 / 9), 0.5, np.log(9)])
    np.testing.assert_allclose(base_biases(LOGISTIC, np.array([0.0]), 9), -np.log(9))
