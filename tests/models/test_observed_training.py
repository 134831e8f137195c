"""RBMs of rows with missing values or categories: their training, and what follows from them."""

import itertools
import math
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning

from sk_dbn import BernoulliRBMStack
from sk_dbn.models.data import Data
from sk_dbn.models.observed_training import ObservedTraining
from sk_dbn.models.rbm import Stack
from sk_dbn.models.rbm_training import RBMTraining, Settings, prepare
from sk_dbn.models.threads import run_serial
from tests import reference_observed as slow
from tests import reference_rbm
from tests.kernels.small_observed import data_of, stack_of, values_of

HIDDEN = {"logistic": "binary", "tanh": "bipolar"}
MIXED = "binary", 3, "gaussian", 2
ENUMERATED = [("binary",) * 3, (3, "binary", 2)]


def settings(**given):
    plain = {
        "algorithm": "cd",
        "n_gibbs_steps": 1,
        "n_chains": 10,
        "n_temperatures": 2,
        "centered": True,
        "momentum": 0.9,
        "l2": 0.0,
        "l1": 0.0,
        "batch_size": 10,
        "sparsity_target": None,
        "sparsity_cost": 0.1,
        "dropout": 0.0,
        "max_norm": None,
        "learn_variance": True,
    }
    return Settings(**{**plain, **given})


def theta_of(stack):
    """W, b, c of the references, and these: what the enumeration takes."""
    W, b, r = stack.coefs[0], stack.intercepts_visible[0], stack.reference
    return W.copy(), b.copy(), stack.intercepts_hidden[0] + r @ W, r.copy()


# ---------------------------------------------------------------------------
# Complete data
# ---------------------------------------------------------------------------


def trained(kind, visible, hidden, X, sees_means, given):
    """A stack after three epochs, with the offsets of the centered gradient kept fixed."""
    stack = Stack([X.shape[1], 7], visible, hidden, [5], np.float64)
    stack.coefs[0][:] = 0.3 * np.random.RandomState(1).normal(size=stack.coefs[0].shape)
    stack.memories[0].sees_means = sees_means
    order, mean, chosen = np.arange(len(X)), X.mean(axis=0), settings(**given)
    data = Data(X, np.float64, np.zeros(X.shape[1]), 1.0)
    prepare(run_serial, stack, 0, data, order, mean)
    stack.memories[0].mu[:] = np.where(np.equal(visible, "gaussian"), 0.0, mean)
    if chosen.centered:
        stack.reference[:] = stack.memories[0].mu
    training = kind(stack, 0, data, chosen, 0.1, order[:64])
    training._rule = training._rule._replace(offset_rate=1e-300 if chosen.centered else 0.0)
    for _ in range(3):
        training.epoch(run_serial, order)
    return stack, training


HALF_GAUSSIAN = ["gaussian"] * 4 + ["bernoulli"] * 5
DECAYING = {"centered": False, "l2": 1e-3, "l1": 1e-3, "max_norm": 1.0}


@pytest.mark.parametrize(
    "visible, hidden, sees_means, given",
    [
        ("bernoulli", "logistic", False, {}),
        ("bernoulli", "logistic", True, {}),
        ("bernoulli", "tanh", False, {"n_gibbs_steps": 3}),
        ("gaussian", "logistic", True, {}),
        ("gaussian", "relu", True, {}),
        (HALF_GAUSSIAN, "tanh", False, {"learn_variance": False}),
        (HALF_GAUSSIAN, "logistic", True, {}),
        ("bernoulli", "logistic", False, {"dropout": 0.3, "sparsity_target": 0.1}),
        ("bernoulli", "relu", True, {"centered": False}),
        ("bernoulli", "logistic", False, {"centered": False}),
        ("bernoulli", "logistic", False, DECAYING),
        (HALF_GAUSSIAN, "logistic", False, DECAYING),
    ],
)
def test_on_complete_data_it_is_the_training_of_any_rbm(visible, hidden, sees_means, given):
    """The same parameters, velocities and measures, but for rounding.

    Both take the same random bits. Hidden biases of the references decay and are limited
    differently from those at zero, so those settings are compared where both are the same.
    """
    random = np.random.RandomState(0)
    X = random.uniform(size=(203, 9))
    X = X if sees_means else (X < 0.4).astype(float)
    found = []
    for kind in (RBMTraining, ObservedTraining):
        stack, training = trained(kind, visible, hidden, X, sees_means, given)
        memory = stack.memories[0]
        found.append(
            {
                "parameters": stack.theta,
                "velocity of W": memory.velocity_W,
                "velocity of b": memory.velocity_b,
                "velocity of c": memory.velocity_c,
                "velocity of variances": memory.velocity_variance,
                "activity": memory.activity,
                "offsets": memory.lam,
                "norms": training.norms[[0, 2] if memory.lam.any() else [0, 1, 2]],
            }
        )
        found[-1] = {name: np.array(x) for name, x in found[-1].items()}
        found[-1]["measures"] = training.measures(np.arange(64))
    for name, x in found[0].items():
        tolerance = 1e-7 if name == "measures" else 1e-11
        np.testing.assert_allclose(found[1][name], x, tolerance, tolerance, err_msg=name)


# ---------------------------------------------------------------------------
# The gradient
# ---------------------------------------------------------------------------


def some_rows(features):
    """Values of features: complete, with one, two and three of them missing."""
    X = np.nan_to_num(values_of(features, 7, seed=3)).round()
    X[1, 0] = X[2, 1] = X[3, 2] = X[4, :2] = X[5, 1:] = X[6] = np.nan
    return X


@pytest.mark.parametrize("reference", [0.0, 0.3])
@pytest.mark.parametrize("features", ENUMERATED)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_reference_gradient_is_that_of_the_likelihood(hidden, features, reference):
    """Positive minus negative phase of each row's RBM is d log P(observed) / d (W, b, c)."""
    stack = stack_of(features, hidden, n_hidden=2, scale=1.0)
    stack.reference[:] *= reference / 0.3
    *theta, r = theta_of(stack)
    rows, args = slow.units_read(features, some_rows(features)), (HIDDEN[hidden], *theta, r)
    gradient = slow.expected_gradient(features, rows, None, *args)[:3]
    for x, g in zip(theta, gradient, strict=True):
        for index in np.ndindex(*x.shape):
            kept, sides = x[index], []
            for step in (1e-5, -1e-5):
                x[index] = kept + step
                sides.append(slow.log_likelihood(features, rows, *args))
            x[index] = kept
            assert g[index] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("features", ENUMERATED)
def test_expected_gradient_is_powers_of_the_transition_matrix(features, n_steps, centered):
    """CD-k's expectation follows from T^k of each row's own RBM, averaged over all rows.

    That of the centered gradient is the same with h - lam in place of h, and so with what the
    visible biases lose. A mean of n draws within [-1, 1] is within 4.5 / sqrt(n) of its
    expectation, but for one time in 150 000; that of the biases is a sum of three such.
    """
    X, n = some_rows(features), 20_000
    stack, rows = stack_of(features, n_hidden=2, scale=1.0), slow.units_read(features, X)
    expected = slow.expected_gradient(features, rows, n_steps, "binary", *theta_of(stack))
    g_W, g_b, g_c, lam = expected
    if centered:
        g_W = g_W - np.outer(g_b, lam)
        g_b = g_b - g_W @ lam
    stack.memories[0].sees_means = False
    order = np.repeat(np.arange(len(X)), n)
    chosen = settings(centered=centered, momentum=0.0, n_gibbs_steps=n_steps, batch_size=len(order))
    training = ObservedTraining(stack, 0, data_of(features, X), chosen, 1.0, np.arange(len(X)))
    training.epoch(run_serial, order)
    velocity, error = training._rbm.velocity, 4.5 / math.sqrt(len(order))
    np.testing.assert_allclose(velocity.W, g_W, rtol=0, atol=error)
    np.testing.assert_allclose(velocity.b, g_b, rtol=0, atol=3 * error if centered else error)
    np.testing.assert_allclose(velocity.c, g_c, rtol=0, atol=error)


def test_holes_at_random_scale_the_gradient():
    """To first order in W, that of the weights by (1 - q)^2, and biases' stays zero where it is.

    A pair of units is observed together so often, and the term of a unit with itself is that of
    the model. References at the means are what makes a missing unit contribute nothing.
    """
    random, features, q, errors = np.random.RandomState(0), ("binary",) * 3, 0.3, []
    V = reference_rbm.states("binary", 3)
    data, W, c = random.dirichlet(np.ones(8)), random.normal(size=(3, 2)), random.normal(size=2)
    mean, lam = data @ V, 1 / (1 + np.exp(-c))
    for scale in (1e-2, 1e-3):
        b = np.log(mean / (1 - mean)) - scale * W @ lam
        theta, sums = ("binary", scale * W, b, c, mean), []
        for share in (0.0, q):
            total = [0.0, 0.0, 0.0]
            for (v, p), holes in itertools.product(zip(V, data, strict=True), V):
                n = holes.sum()
                p_holes = share**n * (1 - share) ** (3 - n)
                row = np.where(holes == 1, np.nan, v)[None]
                parts = slow.expected_gradient(features, row, None, *theta)[:3]
                total = [x + p * p_holes * g for x, g in zip(total, parts, strict=True)]
            sums.append(total)
        gaps = [sums[1][0] - (1 - q) ** 2 * sums[0][0], *sums[0][1:], *sums[1][1:]]
        errors.append(max(abs(x).max() for x in gaps) / abs(sums[0][0]).max())
    assert errors[0] < 0.1 and errors[1] < 0.2 * errors[0]


def test_holes_at_random_leave_the_weights_as_they_are():
    """Weights of complete data and of the same with a fifth missing, over several seeds.

    Two hidden causes with four noisy features each. Holes move a weight by less than a tenth of
    the largest one, and all weights together by less than a twentieth. Zeros in their place would
    move them by far more.
    """
    n, is_own = 2000, np.eye(2)[np.arange(8) % 2]
    found = {"complete": [], "holes": [], "zeros": []}
    for seed in range(3):
        random = np.random.RandomState(seed)
        causes = random.randint(0, 2, (n, 2)) @ is_own.T
        X = np.where(random.uniform(size=causes.shape) < 0.25, 1 - causes, causes)
        holes = np.where(random.uniform(size=X.shape) < 0.2, np.nan, X)
        for name, data in zip(found, (X, holes, np.nan_to_num(holes)), strict=True):
            stack = BernoulliRBMStack(
                (2,), init=[0.3 * is_own], learning_rate=0.1, annealing=0.5, alpha=0.0,
                batch_size=50, max_iter=20, tol=0.0, n_iter_no_change=99, trace=None,
                random_state=seed,
            ).fit(data)  # fmt: skip
            found[name].append(stack.coefs_[0])
    whole, holes, zeros = (np.mean(each, axis=0) for each in found.values())
    assert whole.min() > -0.2 and whole.max() > 1.5
    assert abs(holes - whole).max() < 0.1 * whole.max()
    assert np.vdot(holes, whole) / np.vdot(whole, whole) == pytest.approx(1.0, abs=0.05)
    assert np.vdot(zeros, whole) / np.vdot(whole, whole) < 0.9


@pytest.mark.parametrize("n_steps", [0, 7])
@pytest.mark.parametrize("hidden", ["logistic", "tanh", "relu"])
def test_gradient_norms_change_nothing(hidden, n_steps):
    """Neither parameters nor memory; they are the norms of the step that the same rows make."""
    stack, X = stack_of(MIXED, hidden, scale=0.2, dtype=np.float32), values_of(MIXED, 20)
    memory, data = stack.memories[0], data_of(MIXED, X, np.float32)
    memory.n_steps = n_steps
    chosen = settings(batch_size=20, l2=0.1, l1=0.1, dropout=0.3, max_norm=0.5)
    training = ObservedTraining(stack, 0, data, chosen, 0.1, np.arange(20))

    def bits():
        arrays = [*training.changing, *vars(memory).values(), stack.theta]
        return [x.tobytes() for x in arrays if isinstance(x, np.ndarray)]

    before = bits()
    norms = training.gradient_norms(run_serial)
    assert bits() == before
    training.epoch(run_serial, training.probe)
    assert bits() != before
    np.testing.assert_allclose(norms, training.norms[:2], rtol=1e-5)


# ---------------------------------------------------------------------------
# What follows from the parameters
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("features", ENUMERATED)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_free_energy_is_that_of_the_rows_own_rbm(hidden, features):
    """-log sum_h exp(-E) over the observed units, whatever the references are."""
    stack = stack_of(features, hidden, n_hidden=2, scale=1.0)
    rows = slow.units_read(features, some_rows(features))
    expected = -np.log(slow.row_weights(rows, HIDDEN[hidden], *theta_of(stack)).sum(axis=1))
    np.testing.assert_allclose(stack.free_energy(rows), expected, rtol=1e-12)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_gaussian_units_that_are_missing_have_no_energy(hidden):
    """The free energy of some units is that of an RBM which has no others."""
    features = "gaussian", "binary", "gaussian", "binary"
    stack = stack_of(features, hidden, n_hidden=2, scale=1.0)
    W, b, c, r = theta_of(stack)
    v, gaussian = np.array([0.7, 1.0, -1.2, 0.0]), np.equal(features, "gaussian")
    for chosen in itertools.product([False, True], repeat=4):
        known = np.array(chosen)
        own_c = c - r[known] @ W[known]
        expected = reference_rbm.gaussian_free_energies(
            v[None, known], HIDDEN[hidden], W[known], b[known], own_c, stack.variance[known],
            gaussian[known],
        )  # fmt: skip
        found = stack.free_energy(np.where(known, v, np.nan)[None])
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("features", ENUMERATED)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_conditionals_and_pseudo_likelihood_equal_enumeration(hidden, features):
    """P(feature | other observed ones) of each value, and its logarithms summed over features."""
    stack = stack_of(features, hidden, n_hidden=2, scale=1.0)
    rows, units = slow.units_read(features, some_rows(features)), slow.units_of(features)
    args, expected = (HIDDEN[hidden], *theta_of(stack)), np.zeros(len(rows))
    for i, of_feature in enumerate(units):
        p = [slow.feature_distribution(features, v, i, *args) for v in rows]
        np.testing.assert_allclose(stack.conditional(rows, of_feature), p, rtol=1e-10)
        for row, values in enumerate(rows[:, of_feature]):
            if not np.isnan(values[0]):
                chosen = values.argmax() if len(values) > 1 else int(values[0])
                expected[row] += np.log(p[row][chosen])
    found = stack.pseudo_log_likelihood(run_serial, rows)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_pseudo_likelihood_beside_holes_is_a_density(hidden):
    """exp(-F) over its sum, or its integral, along one feature, of three kinds side by side."""
    features = "gaussian", 3, "binary", "gaussian"
    stack = stack_of(features, hidden, n_hidden=2, scale=1.0)
    X = np.array([[0.4, 1.0, 1.0, -0.7], [0.4, np.nan, 1.0, np.nan], [np.nan, 2.0, np.nan, 1.1]])
    rows, expected, grid = slow.units_read(features, X), np.zeros(3), np.linspace(-40, 40, 8001)
    choices = grid[:, None], np.eye(3), np.array([[0.0], [1.0]]), grid[:, None]
    for row, v in enumerate(rows):
        here = stack.free_energy(v[None])[0]
        for units, values in zip(slow.units_of(features), choices, strict=True):
            if not np.isnan(v[units]).any():
                moved = np.tile(v, (len(values), 1))
                moved[:, units] = values
                width = 0.01 if values is choices[0] or values is choices[3] else 1.0
                expected[row] -= np.log(np.exp(here - stack.free_energy(moved)).sum() * width)
    found = stack.pseudo_log_likelihood(run_serial, rows)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_many_categories_and_large_weights():
    """Probabilities that no exponential function holds, and all features of more than 64 units."""
    features = (70, 30, "binary")
    stack = stack_of(features, n_hidden=5, scale=1.0)
    stack.theta[:] *= 300.0
    X = np.array([[69.0, 0.0, 1.0], [0.0, np.nan, 1.0], [33.0, 29.0, np.nan]])
    rows, expected = slow.units_read(features, X), np.zeros(3)
    for i, units in enumerate(slow.units_of(features)):
        for row, v in enumerate(rows):
            values = np.eye(features[i]) if i < 2 else np.array([[0.0], [1.0]])
            moved = np.tile(v, (len(values), 1))
            moved[:, units] = values
            if not np.isnan(X[row, i]):
                free = stack.free_energy(moved)
                here = stack.free_energy(v[None])[0]
                expected[row] -= here - free.min() + np.log(np.exp(free.min() - free).sum())
    found = stack.pseudo_log_likelihood(run_serial, rows)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert expected.min() < -800


# ---------------------------------------------------------------------------
# The estimator
# ---------------------------------------------------------------------------

KIND_OF = {"binary": "bernoulli", "gaussian": "gaussian"}


def fitted(X, features=MIXED, partial=False, **given):
    """A stack of two layers, after a few epochs."""
    visible = [KIND_OF.get(each, "categorical") for each in features]
    plain = {"max_iter": 3, "random_state": 0, "batch_size": 10}
    stack = BernoulliRBMStack((6, 4), visible=visible, **{**plain, **given})
    return stack.partial_fit(X) if partial else stack.fit(X)


def bits_of(stack, X):
    """All that was learned, and what it makes of X."""
    parts = [*stack.coefs_, *stack.intercepts_hidden_, *stack.intercepts_visible_]
    parts += [stack.transform(X), stack.free_energy(X), stack.score_samples(X)]
    parts += [x for x in vars(stack.gradient_trace_).values() if isinstance(x, np.ndarray)]
    return b"".join(np.asarray(x).tobytes() for x in parts)


def stored(X):
    """A CSR matrix of what is not missing."""
    rows, columns = np.nonzero(~np.isnan(X))
    return scipy.sparse.csr_matrix((X[rows, columns], (rows, columns)), X.shape)


def test_how_samples_are_stored_changes_no_bit():
    """Memory order, precision, NaN of either sign, a sparse matrix of what was observed.

    Processors make NaN with a sign, where libraries do not.
    """
    X = np.round(4 * values_of(MIXED, 60)) / 4  # exact in every precision
    X[:, 0] = np.where(np.isnan(X[:, 0]), np.nan, X[:, 0] > 0.5)
    expected = bits_of(fitted(X), X)
    for dtype in (np.float32, np.float16):
        assert bits_of(fitted(X.astype(dtype)), X) == expected
    assert bits_of(fitted(np.asfortranarray(X)), X) == expected
    assert bits_of(fitted(np.copysign(X, np.where(np.isnan(X), -1.0, X))), X) == expected
    listed = stored(X)
    assert bits_of(fitted(listed, not_stored="missing"), listed) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_sparse_batches_are_dense_ones(dtype):
    """To the bit: how the work is cut depends on the samples, not on how they are stored."""
    random = np.random.RandomState(0)
    X = np.where(random.uniform(size=(300, 70)) < 0.8, np.nan, random.randint(0, 2, (300, 70)))
    found = []
    for samples, not_stored in ((X, "zero"), (stored(X), "missing")):
        stack = BernoulliRBMStack(
            (80,), visible="bernoulli", batch_size=100, max_iter=2, not_stored=not_stored,
            dtype=dtype, random_state=0,
        ).fit(samples)  # fmt: skip
        found.append(bits_of(stack, samples))
    assert found[0] == found[1]


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_number_of_threads_changes_no_bit(share):
    """Enough work to be shared, in rows and in units of very different numbers of values."""
    random = np.random.RandomState(0)
    X = random.randint(0, 2, (200, 150)).astype(float)
    X[random.uniform(size=X.shape) < share * np.linspace(0.2, 1.1, 150)] = np.nan
    found = set()
    for n_jobs in (1, 2):
        stack = BernoulliRBMStack(
            (120,), batch_size=100, max_iter=2, n_jobs=n_jobs, random_state=0
        ).fit(X)
        found.add(bits_of(stack, X))
    assert len(found) == 1


def test_holes_may_come_later():
    """Training continues from complete samples to ones with missing values, and back."""
    complete = values_of(MIXED, 40, share=0.0)
    stack = fitted(complete, partial=True)
    for X in (values_of(MIXED, 40), complete, values_of(MIXED, 40, share=0.8)):
        before = stack.coefs_[0].copy()
        stack.partial_fit(X)
        assert all(np.isfinite(x).all() for x in (*stack.coefs_, *stack.intercepts_hidden_))
        assert (stack.coefs_[0] != before).any()
    assert np.isfinite(stack.transform(X)).all()


def test_rows_and_columns_without_values():
    """A sample without any is what the biases make of it; a feature without any learns nothing.

    With one value in each sample, too, or a category that was seen once, all is finite.
    """
    X = values_of(MIXED, 60)
    X[5], X[:, 2] = np.nan, np.nan
    X[:, 1] = np.where(X[:, 1] == 2, 0.0, X[:, 1])
    X[7, 1] = 2.0
    one_each = np.full((60, 4), np.nan)
    one_each[np.arange(60), np.arange(60) % 4] = np.nan_to_num(X)[np.arange(60), np.arange(60) % 4]
    for samples in (X, one_each):
        stack = fitted(samples, init=0.1)
        parts = [*stack.coefs_, *stack.intercepts_hidden_, *stack.intercepts_visible_]
        measures = (
            stack.transform(samples),
            stack.free_energy(samples),
            stack.score_samples(samples),
        )
        assert all(np.isfinite(x).all() for x in (*parts, *measures, stack.feature_importances_))
        complete = stack.complete(samples, n_steps=5, random_state=0)
        assert np.isfinite(complete).all() and np.isin(complete[:, 3], (0, 1)).mean() < 1
        np.testing.assert_array_equal(complete[~np.isnan(samples)], samples[~np.isnan(samples)])
    stack = fitted(X, init=0.1)
    nothing = stack.free_energy(X[5:6])
    c = stack._stack.intercepts_hidden[0] + stack._stack.reference @ stack.coefs_[0]
    np.testing.assert_allclose(nothing, -np.logaddexp(0, c).sum(), rtol=1e-5)
    assert stack.score_samples(X[5:6]) == 0.0
    before = fitted(X, init=0.1, max_iter=1)  # the same first weights
    np.testing.assert_array_equal(before.coefs_[0][4], stack.coefs_[0][4])
    assert stack.intercepts_visible_[0][4] == 0.0


def test_divergence_ends_with_the_last_good_weights():
    """A learning rate that is far too large: a warning, and numbers that are finite."""
    X = values_of(MIXED, 80)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        stack = fitted(X, learning_rate=1e4, max_iter=20)
    parts = [*stack.coefs_, *stack.intercepts_hidden_, *stack.intercepts_visible_]
    assert all(np.isfinite(x).all() for x in parts)
    assert np.isfinite(stack.transform(X)).all()


@pytest.mark.parametrize("activation", ["logistic", "relu"])
def test_divergence_is_seen_without_numpys_warnings(activation):
    """What an RBM is watched by overflows when it diverges; no more is said than that it did."""
    X = np.where(np.eye(12) == 1.0, np.nan, np.linspace(-1e30, 1.0, 12))
    stack = BernoulliRBMStack((3,), learning_rate=1e300, activation=activation, max_iter=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        stack.fit(X)
    assert np.isfinite(stack.coefs_[0]).all()
