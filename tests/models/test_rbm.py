"""The stack's mathematics: free energy, Gibbs steps, first biases, importances."""

import pickle

import numpy as np
import pytest

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH
from sk_dbn.models.data import Data
from sk_dbn.models.rbm import (
    MEANS,
    Stack,
    draw,
    draw_given,
    natural_bias,
    rectified_log_partition,
    rectified_mean,
)
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
    stack.variance[:] = np.linspace(0.4, 0.8, len(stack.variance))
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
    """Its energy is sum (v - b)^2 / (2 s) - c h - v / s W h, summed over four hidden states."""
    stack = stack_of("gaussian", hidden)
    v, s = np.random.RandomState(1).normal(size=3), stack.variance
    W, b, c = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    H = slow.states(KINDS[hidden], 2)
    terms = [np.exp(-((v - b) ** 2 / (2 * s)).sum() + c @ h + v / s @ W @ h) for h in H]
    assert stack.free_energy(v[None])[0] == pytest.approx(-np.log(sum(terms)))


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_free_energy_of_rectified_units(visible):
    """Many units of 0 and 1 with biases that fall in steps of one, to the midpoint rule's error.

    Each rectified unit's sum lacks at most logistic(x) / 24 of the integral.
    """
    stack = stack_of(visible, "relu")
    v = np.random.RandomState(1).normal(size=3)
    W, b, c = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    s = stack.variance if visible == "gaussian" else 1.0
    x = v / s @ W + c
    copies = np.logaddexp(0, x[:, None] - np.arange(1, 80) + 0.5).sum()
    own = ((v - b) ** 2 / (2 * s)).sum() if visible == "gaussian" else -v @ b
    gap = own - copies - stack.free_energy(v[None])[0]
    expected = (1 / (1 + np.exp(-x))).sum() / 24
    assert gap == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("hidden", [*KINDS, "relu"])
def test_pseudo_likelihood_of_gaussian_units_is_a_density(hidden):
    """log p(v_i | v_-i): exp(-F) over its integral along one unit, whatever its variance."""
    stack = stack_of("gaussian", hidden)
    if hidden == "relu":
        stack.coefs[0][:] *= 0.2  # so that there is a density
    v, expected = np.random.RandomState(1).normal(size=3), 0.0
    for i in range(3):
        moved = np.tile(v, (8001, 1))
        moved[:, i] = np.linspace(-40, 40, 8001)
        free = stack.free_energy(moved)
        here = stack.free_energy(v[None])[0]
        expected -= np.log(np.exp(here - free).sum() * 0.01)
    found = stack.pseudo_log_likelihood(run_serial, v[None])
    np.testing.assert_allclose(found, [expected], rtol=1e-8)


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


@pytest.mark.parametrize("hidden", KINDS)
def test_gibbs_follows_the_transition_matrix(hidden):
    """Frequencies after two steps from one state: a chi-square within 4.5 deviations."""
    stack, n = stack_of(hidden=hidden), 40_000
    args = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    V = slow.states("binary", 3)
    after = stack.gibbs(np.tile(V[5], (n, 1)), 2, np.random.RandomState(0))
    T = np.linalg.matrix_power(slow.transition_matrix("binary", KINDS[hidden], *args), 2)
    frequency = np.array([(after == v).all(axis=1).mean() for v in V])
    assert frequency.sum() == pytest.approx(1.0)
    assert (np.abs(frequency - T[5]) < 4.5 * np.sqrt(T[5] / n)).all()


@pytest.mark.parametrize("hidden", KINDS)
def test_gibbs_of_gaussian_units_has_their_variances(hidden):
    """After a step from one state: a mixture of normal densities of the means b + W h.

    Its first and second moments are known; those of the draws are within 4.5 deviations.
    """
    stack, n = stack_of("gaussian", hidden), 40_000
    W, b, c = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    v, s, H = np.array([0.5, -1.0, 0.3]), stack.variance, slow.states(KINDS[hidden], 2)
    p = np.exp(H @ (v / s @ W + c))
    p /= p.sum()
    m = b + H @ W.T
    mean, square = p @ m, p @ m**2 + s
    fourth = p @ (m**4 + 6 * m**2 * s + 3 * s**2)
    after = stack.gibbs(np.tile(v, (n, 1)), 1, np.random.RandomState(0))
    for x, first, second in ((after, mean, square), (after**2, square, fourth)):
        error = np.sqrt((second - first**2) / n)
        assert (abs(x.mean(axis=0) - first) < 4.5 * error).all()


@pytest.mark.parametrize("hidden", KINDS)
def test_gibbs_keeps_the_distribution_of_gaussian_units(hidden):
    """Chains that start from exact samples stay so: the hidden distribution is unchanged."""
    stack, n, kind = stack_of("gaussian", hidden), 40_000, KINDS[hidden]
    theta = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    p, H = slow.gaussian_hidden_distribution(kind, *theta, stack.variance), slow.states(kind, 2)
    random = np.random.RandomState(1)
    h = H[random.choice(len(H), n, p=p)]
    v = h @ theta[0].T + theta[1] + np.sqrt(stack.variance) * random.normal(size=(n, 3))
    mean = p @ (theta[1] + H @ theta[0].T)
    after = stack.gibbs(v, 3, random)
    assert (abs(after.mean(axis=0) - mean) < 4.5 * after.std(axis=0) / np.sqrt(n)).all()


def test_gibbs_of_rectified_units_draws_their_noise():
    """The visible means average over max(0, x + e), and the values of h are unbounded.

    With Gaussian visible units the mean after a step is b + W E[h], its variance s + the noise's.
    """
    stack, n = stack_of("gaussian", "relu"), 40_000
    W, b, c = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    v = np.array([0.5, -1.0, 0.3])
    x = v / stack.variance @ W + c
    after = stack.gibbs(np.tile(v, (n, 1)), 1, np.random.RandomState(0))
    mean = b + rectified_mean(x) @ W.T
    assert (abs(after.mean(axis=0) - mean) < 4.5 * after.std(axis=0) / np.sqrt(n)).all()
    h = draw_given(RELU, np.tile(x, (n, 1)), np.random.RandomState(1))
    assert h.min() >= 0 and (h > 0).any()
    spread = stack.variance + h.var(axis=0) @ (W**2).T
    np.testing.assert_allclose(after.var(axis=0), spread, rtol=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rectified_functions_have_no_holes(dtype):
    """Where exp(x) is no number the mean is 0 or x itself, and nothing warns."""
    x = np.array([-1e4, -800.0, -90.0, 0.0, 90.0, 1e4], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        mean, log_sum = rectified_mean(x), rectified_log_partition(x)
    assert mean.dtype == log_sum.dtype == dtype
    np.testing.assert_array_equal(mean[:3], 0.0)
    np.testing.assert_allclose(mean[4:], x[4:], rtol=1e-6)
    assert mean[3] == pytest.approx(np.sqrt(0.5 / (2 * np.pi)), rel=1e-6)
    np.testing.assert_allclose(log_sum[4:], x[4:].astype(float) ** 2 / 2, rtol=1e-3)


def test_dropout_thins_what_hidden_units_say_to_the_layer_below():
    """Means down are of the share that training left, as it is all that the weights are used to.

    Means up are not: whoever reads features reads all of them (Srivastava et al., 2014).
    """
    stack, V = stack_of(units=(3, 2, 4)), slow.states("binary", 3)
    up = stack.means_up(run_serial, Data(V, np.float64))
    stack.memories[0].retained, stack.memories[1].retained = 0.5, 0.8
    np.testing.assert_array_equal(stack.means_up(run_serial, Data(V, np.float64)), up)
    logistic = MEANS[LOGISTIC]
    h = logistic(0.8 * up @ stack.coefs[1].T + stack.intercepts_visible[1])
    expected = logistic(0.5 * h @ stack.coefs[0].T + stack.intercepts_visible[0])
    np.testing.assert_allclose(stack.means_down(up), expected)


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


def test_draws_have_the_means():
    """Samples of every kind average to what they were drawn from."""
    random, n = np.random.RandomState(0), 40_000
    for kind, means in [(LOGISTIC, [0.0, 0.2, 1.0]), (TANH, [-1.0, 0.3, 1.0])]:
        samples = draw(kind, np.tile(means, (n, 1)), random)
        np.testing.assert_allclose(samples.mean(axis=0), means, atol=4.5 / np.sqrt(n))
        np.testing.assert_array_equal(samples[:, [0, 2]], np.tile(means, (n, 1))[:, [0, 2]])
    samples = draw(IDENTITY, np.full((n, 1), 3.0), random)
    assert samples.mean() == pytest.approx(3.0, abs=4.5 / np.sqrt(n))
    assert samples.std() == pytest.approx(1.0, abs=0.02)


def test_fast_weights_begin_at_zero_and_go_on():
    """As long as they are wanted; without them a machine's chains run on the weights themselves."""
    stack = stack_of()
    memory, machine = stack.memories[0], stack.machine(0)
    assert machine.chain_W is machine.W and machine.chain_c is machine.c
    assert machine.fast_W.size == machine.fast_b.size == machine.fast_c.size == 0
    memory.keep_fast(True)
    memory.fast_W += 1.0
    memory.fast_b += 2.0
    memory.keep_fast(True)
    machine = stack.machine(0)
    np.testing.assert_array_equal(machine.chain_W, stack.coefs[0] + 1.0)
    np.testing.assert_array_equal(machine.chain_b, stack.intercepts_visible[0] + 2.0)
    assert machine.fast_W is memory.fast_W and machine.W is stack.coefs[0]
    memory.keep_fast(False)
    assert stack.machine(0).chain_W is stack.coefs[0]


def test_parameters_are_views_of_one_vector_after_pickling_too():
    """Training writes to theta; what users read must be the same memory."""
    stack = pickle.loads(pickle.dumps(stack_of("gaussian", units=(4, 3, 2))))
    parts = [*stack.coefs, *stack.intercepts_hidden, *stack.intercepts_visible, stack.variance]
    assert all(np.shares_memory(part, stack.theta) for part in parts)
    assert sum(part.size for part in parts) == stack.theta.size


def test_arrays_are_writable_after_unpickling():
    """Read-only ones, as joblib's workers get them, become copies that kernels can train."""
    stack = stack_of("gaussian", units=(4, 3, 2))
    for memory in stack.memories:
        memory.keep_fast(True)
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


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("hidden", ["logistic", "relu"])
def test_importances_equal_their_definition(visible, hidden):
    """Replace one unit by its mean, reconstruct through all layers, compare the divergences."""
    stack = stack_of(visible, hidden, units=(5, 4, 3))
    V = np.random.RandomState(1).uniform(size=(20, 5))
    s = stack.variance if visible == "gaussian" else 1.0

    def divergence(seen):
        h = seen / s
        for W, c in zip(stack.coefs, stack.intercepts_hidden, strict=True):
            x = h @ W + c
            h = np.maximum(0, x) if hidden == "relu" else 1 / (1 + np.exp(-x))
        p = stack.means_down(h)
        if visible == "gaussian":
            return ((V - p) ** 2 / (2 * s)).sum(axis=1).mean()
        p = np.clip(p, 2.0**-24, 1 - 2.0**-24)
        terms = V * np.log(V / p) + (1 - V) * np.log((1 - V) / (1 - p))
        return terms.sum(axis=1).mean()

    expected = []
    for i in range(5):
        masked = V.copy()
        masked[:, i] = V[:, i].mean()
        expected.append(divergence(masked) - divergence(V))
    np.testing.assert_allclose(
        stack.importances(V, V.mean(axis=0)), expected, rtol=1e-9, atol=1e-10
    )


def test_a_constant_rate_ends_where_nothing_improves():
    """An improvement by less than tol does not count, but the best is the best."""
    rule = Schedule(max_iter=100, tol=0.1, n_iter_no_change=3, annealing=0.0)
    assert [rule.improved(x) for x in (5.0, 4.0, 3.95, 3.96, 3.94)] == [
        True, True, True, False, True,
    ]  # fmt: skip
    assert rule.is_over and rule.n_iter == 5 and rule.best == 3.94
    assert not Schedule(1, 0.0, 10, 0.0).is_over


@pytest.mark.parametrize("n_better, n_constant", [(100, 6), (1, 3)])
def test_the_rate_falls_to_zero_at_last(n_better, n_constant):
    """Constant while there is improvement, then linear over its share of the epochs."""
    schedule, shares = Schedule(max_iter=10, tol=0.1, n_iter_no_change=2, annealing=0.4), []
    while not schedule.is_over:
        shares.append(schedule.share_of_rate)
        schedule.improved(-float(min(len(shares), n_better)))
    assert shares == [1.0] * n_constant + [0.875, 0.625, 0.375, 0.125]


def test_probe_is_spread_over_the_order():
    """Evenly spaced rows of the training order, at most 256, at least 32 where there are."""
    assert len(probe_of(np.arange(10))) == 10
    assert len(probe_of(np.arange(100))) == 32
    assert len(probe_of(np.arange(100_000))) == 256
    probe = probe_of(np.arange(1000)[::-1])
    assert probe[0] == 999 and probe[-1] == 0
