"""The stack's mathematics: free energy, first biases, importances."""

import pickle

import numpy as np
import pytest

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, TANH
from sk_dbn.models.data import Data
from sk_dbn.models.rbm import Stack
from sk_dbn.models.rbm_training import (
    RBMTraining,
    Settings,
    learning_rate_scale,
    probe_of,
    spread,
)
from sk_dbn.models.threads import run_serial
from sk_dbn.models.units import (
    natural_bias,
    rectified_log_partition,
    rectified_mean,
    spans_of,
)
from tests import reference_rbm as slow

KINDS = {"logistic": "binary", "tanh": "bipolar"}
BOTH = ("bernoulli", "gaussian", "bernoulli")


def stack_of(visible="bernoulli", hidden="logistic", units=(3, 2), dtype=np.float64):
    stack = Stack(units, visible, hidden, range(len(units) - 1), dtype)
    stack.theta[:] = np.random.RandomState(0).normal(size=stack.theta.size)
    gaussian = np.broadcast_to(np.equal(visible, "gaussian"), units[0])
    if gaussian.any():
        stack.variance[:] = np.where(gaussian, np.linspace(0.4, 0.8, units[0]), 1.0)
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


@pytest.mark.parametrize("hidden", KINDS)
def test_units_of_both_kinds_add_the_terms_of_each(hidden):
    """Free energy, means and conditional densities of two units of 0 and 1 and a Gaussian one.

    All follow from the energy, summed over four hidden states, and of one unit over its values:
    two, or a grid that is finer than a density varies.
    """
    stack, kind, gaussian = stack_of(BOTH, hidden), KINDS[hidden], np.equal(BOTH, "gaussian")
    theta = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    args, v = (kind, *theta, stack.variance), np.array([[1.0, 0.7, 0.0]])
    here = slow.gaussian_free_energies(v, *args, gaussian)
    np.testing.assert_allclose(stack.free_energy(v), here)
    expected, grid = 0.0, np.linspace(-40, 40, 8001)
    for i, values in enumerate(([0.0, 1.0], grid, [0.0, 1.0])):
        moved = np.tile(v, (len(values), 1))
        moved[:, i] = values
        free = slow.gaussian_free_energies(moved, *args, gaussian)
        expected -= np.log(np.exp(here[0] - free).sum() * (0.01 if i == 1 else 1.0))
    np.testing.assert_allclose(stack.pseudo_log_likelihood(run_serial, v), expected, rtol=1e-8)
    H = slow.states(kind, 2)
    x = H @ theta[0].T + theta[1]
    np.testing.assert_allclose(stack.means_down(H), np.where(gaussian, x, 1 / (1 + np.exp(-x))))


def test_spans_are_ranges_of_one_kind():
    """In order, without a gap, as few as there can be; a code for all units is one range."""
    both = np.array([LOGISTIC, IDENTITY, IDENTITY, LOGISTIC])
    expected = [[0, 1, LOGISTIC], [1, 3, IDENTITY], [3, 4, LOGISTIC]]
    np.testing.assert_array_equal(spans_of(both, 4), expected)
    np.testing.assert_array_equal(spans_of(TANH, 4), [[0, 4, TANH]])


def test_kinds_that_agree_are_one_kind():
    """A name for each unit is the name for all where they are the same, to the last attribute."""
    one, other = stack_of("gaussian"), stack_of(["gaussian"] * 3)
    assert one.kinds == other.kinds and other.has_kinds("gaussian", "logistic")
    assert stack_of(BOTH).has_kinds(np.array(BOTH), "logistic")
    assert not stack_of(BOTH).has_kinds("gaussian", "logistic")
    assert not stack_of(BOTH).has_kinds(BOTH[::-1][1:] + BOTH[:1], "logistic")


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
    """E[h | v] and E[v | h] of the enumerated RBM."""
    stack = stack_of(hidden=hidden)
    args = stack.coefs[0], stack.intercepts_visible[0], stack.intercepts_hidden[0]
    V, H = slow.states("binary", 3), slow.states(KINDS[hidden], 2)
    p = slow.joint("binary", KINDS[hidden], *args)
    up = stack.means_up(run_serial, Data(V, np.float64))
    np.testing.assert_allclose(up, p @ H / p.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(stack.means_down(H), p.T @ V / p.sum(axis=0)[:, None])


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


def test_natural_biases():
    """log(p / (1 - p)), atanh(m) and m: each gives an isolated unit the mean it is to have."""
    p, m = np.array([0.1, 0.5, 0.99]), np.array([-0.9, 0.0, 0.5])
    np.testing.assert_allclose(natural_bias(LOGISTIC, p, 1000), np.log(p / (1 - p)))
    np.testing.assert_allclose(natural_bias(TANH, m, 1000), np.arctanh(m))
    np.testing.assert_allclose(natural_bias(IDENTITY, m, 1000), m)
    both = natural_bias(np.array([LOGISTIC, IDENTITY, LOGISTIC]), p, 1000)
    np.testing.assert_allclose(both, [np.log(1 / 9), 0.5, np.log(99)])


def test_natural_bias_of_a_constant_unit_is_finite():
    """A unit that is always on has seen n ones and, for all we know, not quite n + 1."""
    np.testing.assert_allclose(
        natural_bias(LOGISTIC, np.array([0.0, 1.0]), 9), [-np.log(9), np.log(9)]
    )
    assert np.isfinite(natural_bias(TANH, np.array([-1.0, 1.0]), 1)).all()


def test_fast_weights_begin_at_zero_and_go_on():
    """As long as they are wanted; without them an RBM's chains run on the weights themselves."""
    stack = stack_of()
    memory, rbm = stack.memories[0], stack.rbm(0)
    assert rbm.chain.W is rbm.parameters.W and rbm.chain.c is rbm.parameters.c
    assert all(x.size == 0 for x in rbm.fast)
    memory.keep_fast(True)
    memory.fast_W += 1.0
    memory.fast_b += 2.0
    memory.keep_fast(True)
    rbm = stack.rbm(0)
    np.testing.assert_array_equal(rbm.chain.W, stack.coefs[0] + 1.0)
    np.testing.assert_array_equal(rbm.chain.b, stack.intercepts_visible[0] + 2.0)
    assert rbm.fast.W is memory.fast_W and rbm.parameters.W is stack.coefs[0]
    memory.keep_fast(False)
    assert stack.rbm(0).chain.W is stack.coefs[0]


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


TRAINED = [
    (hidden, algorithm)
    for hidden in ("logistic", "tanh", "relu")
    for algorithm in ("cd", "pcd", "fpcd", "pt")
    if (hidden, algorithm) != ("relu", "pt")  # which has no rectified linear units
]


def training_of(stack, algorithm, X):
    """The training of an RBM whose memory is random, with all that a step may depend on."""
    settings = Settings(
        algorithm=algorithm,
        n_gibbs_steps=2,
        n_chains=5,
        n_temperatures=3,
        centered=True,
        momentum=0.9,
        l2=0.1,
        l1=0.1,
        batch_size=len(X),
        sparsity_target=0.2,
        sparsity_cost=0.5,
        dropout=0.0 if algorithm == "pt" else 0.3,
        max_norm=0.5,
        learn_variance=True,
    )
    memory, data = stack.memories[0], Data(X, stack.theta.dtype)
    memory.keep_fast(algorithm == "fpcd")
    random = np.random.RandomState(3)
    for x in vars(memory).values():
        if isinstance(x, np.ndarray):
            x[...] = random.normal(size=x.shape)
    return RBMTraining(stack, 0, data, settings, 0.1, np.arange(len(X)))


def bits_of(training):
    """All that an epoch may change, and what the chains run on."""
    arrays = [*training.changing[:-1], *vars(training.stack.memories[0]).values()]
    return [x.tobytes() if isinstance(x, np.ndarray) else x for x in arrays]


@pytest.mark.parametrize("value", [1.0, 1e38])
@pytest.mark.parametrize("n_steps", [0, 7])
@pytest.mark.parametrize("hidden, algorithm", TRAINED)
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", BOTH, "relu"])
def test_gradient_norms_change_nothing(visible, hidden, algorithm, n_steps, value):
    """Neither parameters nor memory, of any algorithm and unit, even where there is no gradient.

    They are the norms of the step that the same rows would make.
    """
    stack = stack_of(visible, hidden, dtype=np.float32)
    X = np.full((4, 3), value, dtype=np.float32)
    X[1:] *= np.random.RandomState(4).uniform(size=(3, 3))
    training = training_of(stack, algorithm, X)
    stack.memories[0].n_steps = n_steps
    before = bits_of(training)
    norms = training.gradient_norms(run_serial)
    assert bits_of(training) == before
    is_finite = np.isfinite(norms).all()  # where data are read as means, it may be in any case
    assert is_finite if value == 1.0 else not is_finite or visible != "gaussian"
    training.buffers.work.gradient.push[:] = 0.0
    with np.errstate(over="ignore"):
        training.epoch(run_serial, training.probe)
    assert bits_of(training) != before
    np.testing.assert_allclose(norms, training.norms[:2], rtol=1e-5)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", BOTH + BOTH[:2]])
@pytest.mark.parametrize("hidden", ["logistic", "relu"])
def test_importances_equal_their_definition(visible, hidden):
    """Replace one unit by its mean, reconstruct through all layers, compare the divergences."""
    stack = stack_of(visible, hidden, units=(5, 4, 3))
    V = np.random.RandomState(1).uniform(size=(20, 5))
    s = stack.variance if len(stack.variance) else 1.0
    gaussian = np.broadcast_to(np.equal(visible, "gaussian"), 5)

    def divergence(seen):
        h = seen / s
        for W, c in zip(stack.coefs, stack.intercepts_hidden, strict=True):
            x = h @ W + c
            h = np.maximum(0, x) if hidden == "relu" else 1 / (1 + np.exp(-x))
        p = stack.means_down(h)
        squares = (V - p) ** 2 / (2 * s)
        p = np.clip(p, 2.0**-24, 1 - 2.0**-24)
        terms = V * np.log(V / p) + (1 - V) * np.log((1 - V) / (1 - p))
        return np.where(gaussian, squares, terms).sum(axis=1).mean()

    expected = []
    for i in range(5):
        masked = V.copy()
        masked[:, i] = V[:, i].mean()
        expected.append(divergence(masked) - divergence(V))
    np.testing.assert_allclose(
        stack.importances(V, V.mean(axis=0), np.arange(5)), expected, rtol=1e-9, atol=1e-10
    )


def test_probe_is_spread_over_the_order():
    """Evenly spaced rows of the training order, at most 256, at least 64 where there are."""
    assert len(probe_of(np.arange(10))) == 10
    assert len(probe_of(np.arange(100))) == 64
    assert len(probe_of(np.arange(100_000))) == 256
    probe = probe_of(np.arange(1000)[::-1])
    assert probe[0] == 999 and probe[-1] == 0


def test_spread_is_the_covariances():
    """Its largest eigenvalue, and E|v|^4 / E|v|^2 of the distances from the mean."""
    v = np.random.RandomState(0).normal(size=(50, 8)) * np.arange(1, 9) + 3.0
    together, alone = spread(v)
    assert together == pytest.approx(np.linalg.eigvalsh(np.cov(v.T, bias=True))[-1])
    squares = ((v - v.mean(axis=0)) ** 2).sum(axis=1)
    assert alone == pytest.approx((squares**2).mean() / squares.mean())
    assert spread(np.ones((4, 3))) == (0.0, 0.0)


def test_steps_are_smaller_where_units_have_no_bound():
    """A tenth for each such side; with rectified linear units less where the input varies more."""
    assert learning_rate_scale(stack_of("bernoulli", "logistic"), 0, 10) == 1.0
    assert learning_rate_scale(stack_of("gaussian", "logistic"), 0, 10) == pytest.approx(0.1)
    assert learning_rate_scale(stack_of(BOTH, "logistic"), 0, 10) == pytest.approx(0.1)
    stack = stack_of("gaussian", "relu", (3, 2, 2))
    assert [learning_rate_scale(stack, layer, 10) for layer in (0, 1)] == pytest.approx(
        [0.01, 0.01]
    )
    stack.memories[0].spread[:] = 300.0, 2000.0
    assert learning_rate_scale(stack, 0, 10) == pytest.approx(1 / 500)
    assert learning_rate_scale(stack, 0, 1) == pytest.approx(1 / 2300)
