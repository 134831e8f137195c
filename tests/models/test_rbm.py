"""The stack's mathematics: free energy, first biases, importances."""

import pickle

import numpy as np
import pytest

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, TANH
from sk_dbn.models.data import Data
from sk_dbn.models.rbm import Stack, natural_bias
from sk_dbn.models.rbm_training import (
    MachineTraining,
    Schedule,
    Settings,
    gradient_norms,
    probe_of,
)
from sk_dbn.models.threads import run_serial
from tests import reference_rbm as slow

KINDS = {"logistic": "binary", "tanh": "bipolar"}


def stack_of(visible="bernoulli", hidden="logistic", units=(3, 2), dtype=np.float64):
    stack = Stack(units, visible, hidden, range(len(units) - 1), dtype)
    stack.theta[:] = np.random.RandomState(0).normal(size=stack.theta.size)
    stack.variance[:] = 1.0
    return stack


@pytest.mark.parametrize("hidden", KINDS)
def test_free_energy_equals_enumeration(hidden):
    """-log sum_h exp(-E(v, h)) of all eight visible states."""
    stack = stack_of(hidden=hidden)
    args = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    expected = slow.free_energies("binary", KINDS[hidden], *args)
    np.testing.assert_allclose(stack.free_energy(slow.states("binary", 3)), expected)


@pytest.mark.parametrize("hidden", KINDS)
def test_free_energy_of_gaussian_units(hidden):
    """Its energy is |v - b|^2 / 2 - c h - v W h, summed over the four hidden states."""
    stack = stack_of("gaussian", hidden)
    v = np.random.RandomState(1).normal(size=3)
    W, b, c = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    H = slow.states(KINDS[hidden], 2)
    terms = [np.exp(-0.5 * ((v - b) ** 2).sum() + c @ h + v @ W @ h) for h in H]
    assert stack.free_energy(v[None])[0] == pytest.approx(-np.log(sum(terms)))


@pytest.mark.parametrize("hidden", KINDS)
def test_means_are_the_conditional_expectations(hidden):
    """E[h | v] and E[v | h] of the enumerated machine."""
    stack = stack_of(hidden=hidden)
    args = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    V, H = slow.states("binary", 3), slow.states(KINDS[hidden], 2)
    p = slow.joint("binary", KINDS[hidden], *args)
    up = stack.means_up(run_serial, Data(V, np.float64))
    np.testing.assert_allclose(up, p @ H / p.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(stack.means_down(H), p.T @ V / p.sum(axis=0)[:, None])


def test_natural_biases():
    """log(p / (1 - p)), atanh(m) and m: each gives an isolated unit the mean it is to have."""
    p, m = np.array([0.1, 0.5, 0.99]), np.array([-0.9, 0.0, 0.5])
    np.testing.assert_allclose(natural_bias(LOGISTIC, p, 1000), np.log(p / (1 - p)))
    np.testing.assert_allclose(natural_bias(TANH, m, 1000), np.arctanh(m))
    np.testing.assert_allclose(natural_bias(IDENTITY, m, 1000), m)


def test_natural_bias_of_a_constant_unit_is_finite():
    """A unit that is always on has seen n ones and, for all we know, not quite n + 1."""
    np.testing.assert_allclose(
        natural_bias(LOGISTIC, np.array([0.0, 1.0]), 9), [-np.log(9), np.log(9)]
    )
    assert np.isfinite(natural_bias(TANH, np.array([-1.0, 1.0]), 1)).all()


def test_parameters_are_views_of_one_vector_after_pickling_too():
    """Training writes to theta; what users read must be the same memory."""
    stack = pickle.loads(pickle.dumps(stack_of(units=(4, 3, 2))))
    parts = [*stack.coefs, *stack.intercepts_hidden, *stack.intercepts_visible]
    assert all(np.shares_memory(part, stack.theta) for part in parts)
    assert sum(part.size for part in parts) == stack.theta.size


def test_arrays_are_writable_after_unpickling():
    """Read-only ones, as joblib's workers get them, become copies that kernels can train."""
    stack = stack_of(units=(4, 3, 2))
    arrays = [stack.theta, *(x for x in vars(stack.memories[0]).values() if np.ndim(x))]
    for x in arrays:
        x.flags.writeable = False
    # Protocol 5 hands out-of-band buffers back as they are: read-only.
    buffers = []
    state = pickle.dumps(stack, protocol=5, buffer_callback=buffers.append)
    twin = pickle.loads(state, buffers=[bytes(b.raw()) for b in buffers])
    memories = [x for m in twin.memories for x in vars(m).values() if np.ndim(x)]
    assert all(x.flags.writeable for x in [twin.theta, *twin.coefs, *memories])


def test_gradient_norms_change_no_parameter():
    """The step has length zero, but zero times an infinite gradient is not zero."""
    stack = stack_of("gaussian", dtype=np.float32)
    X = np.full((4, 3), 1e38, dtype=np.float32)
    settings = Settings(
        algorithm="cd",
        n_gibbs_steps=1,
        n_chains=1,
        n_temperatures=2,
        centered=True,
        momentum=0.9,
        l2=0.0,
        l1=0.0,
        batch_size=4,
        sparsity_target=None,
        sparsity_cost=0.0,
        dropout=0.0,
        max_norm=None,
        learn_variance=True,
    )
    training = MachineTraining(stack, 0, Data(X, np.float32), settings, 0.1, np.arange(4))
    before = stack.theta.copy()
    norms = gradient_norms(run_serial, training)
    assert not np.isfinite(norms).all()
    np.testing.assert_array_equal(stack.theta, before)


def test_importances_equal_their_definition():
    """Replace one unit by its mean, reconstruct through all layers, compare the divergences."""
    stack = stack_of(units=(5, 4, 3))
    V = np.random.RandomState(1).uniform(size=(20, 5))

    def divergence(seen):
        h = seen
        for W, c in zip(stack.coefs, stack.intercepts_hidden, strict=True):
            h = 1 / (1 + np.exp(-(h @ W + c)))
        p = stack.means_down(h)
        terms = V * np.log(V / p) + (1 - V) * np.log((1 - V) / (1 - p))
        return terms.sum(axis=1).mean()

    expected = []
    for i in range(5):
        hidden = V.copy()
        hidden[:, i] = V[:, i].mean()
        expected.append(divergence(hidden) - divergence(V))
    np.testing.assert_allclose(stack.importances(V, V.mean(axis=0)), expected, atol=1e-10)


def test_a_constant_rate_ends_where_nothing_improves():
    """An improvement by less than tol does not count, but the best is the best."""
    rule = Schedule(max_iter=100, n_iter_no_change=3, annealing=0.0)
    assert [rule.improved(x, 0.1) for x in (5.0, 4.0, 3.95, 3.96, 3.94)] == [
        True, True, True, False, True,
    ]  # fmt: skip
    assert rule.is_over and rule.n_iter == 5 and rule.best == 3.94
    assert not Schedule(1, 10, 0.0).is_over


def test_a_gap_may_rise_within_its_error():
    """A gap near its least is kept; one that has grown for long enough ends the training."""
    rule = Schedule(max_iter=100, n_iter_no_change=2, annealing=0.0)
    kept = [rule.improved(x, -1.0) for x in (0.5, 0.0, 0.9, 1.1, 0.8, 2.0, 2.1)]
    assert kept == [True, True, True, False, True, False, False]
    assert rule.is_over and rule.best == 0.0


@pytest.mark.parametrize("n_better, n_constant", [(100, 6), (1, 3)])
def test_the_rate_falls_to_zero_at_last(n_better, n_constant):
    """Constant while there is improvement, then linear over its share of the epochs."""
    schedule, shares = Schedule(max_iter=10, n_iter_no_change=2, annealing=0.4), []
    while not schedule.is_over:
        shares.append(schedule.share_of_rate)
        schedule.improved(-float(min(len(shares), n_better)), 0.1)
    assert shares == [1.0] * n_constant + [0.875, 0.625, 0.375, 0.125]


def test_probe_is_spread_over_the_order():
    """Evenly spaced rows of the training order, at most 256, at least 32 where there are."""
    assert len(probe_of(np.arange(10))) == 10
    assert len(probe_of(np.arange(100))) == 32
    assert len(probe_of(np.arange(100_000))) == 256
    probe = probe_of(np.arange(1000)[::-1])
    assert probe[0] == 999 and probe[-1] == 0
