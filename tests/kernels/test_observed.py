"""Rows with missing values: what is read of them, what is drawn, and how they train an RBM."""

import numpy as np
import pytest
import scipy.sparse
from scipy.special import softmax

from sk_dbn.kernels.observed_updates import train_observed
from sk_dbn.models.data import Data
from sk_dbn.models.observed_training import ObservedBuffers
from sk_dbn.models.rbm import Stack
from tests import reference_observed as slow
from tests.kernels.small_observed import MIXED, codes_of, data_of, stack_of, values_of
from tests.kernels.small_rbms import KINDS, SEED, parameters, rule, train


def train_observed_rows(stack, data, batch, training_rule, rate=0.0, twin="serial"):
    """Train through the rows in the order of storage; return trace norms and buffers."""
    order, norms = np.arange(data.shape[0]), np.zeros(3)
    buffers, rbm = ObservedBuffers(stack, data, batch), stack.rbm(0)
    buffers.make_room(order)
    rbm = rbm._replace(means=rbm.means._replace(mu=stack.reference))
    kinds = np.array(np.broadcast_to(stack.kinds[0], stack.units[0]))
    arguments = rbm, kinds, data.widest, training_rule, rate, 0, buffers.work, norms
    getattr(train_observed, twin)(data.source, order, batch, *arguments)
    return norms, buffers.work


def table(work, values, n_rows, n_units):
    """Values of slots as a matrix, NaN where a row has no slot for a unit."""
    slots, out = work.slots, np.full((n_rows, n_units), np.nan)
    for row in range(n_rows):
        at = slice(slots.starts[row], slots.ends[row])
        assert (np.diff(slots.unit[at]) > 0).all() and (slots.row[at] == row).all()
        out[row, slots.unit[at]] = getattr(slots, values)[at]
    return out


# ---------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------

FIRST_UNIT = np.array([0, 1, 4, 5, 7])
CATEGORY = np.array([np.nan, 0.0, 0.5, 1.0, np.nan, -1.0, 2.0])
SHIFT, SCALE = np.array([1.0, 0, 0, 0, -0.5, 0, 0]), np.array([2.0, 1, 1, 1, 0.25, 1, 1])
LOW, HIGH = np.array([-1.0, 0, 0, 0, -9, 0, 0]), np.array([1.0, 1, 1, 1, 9, 1, 1])


def naive_reading(X):
    """The units of each row, NaN where they are missing."""
    out = np.full((len(X), 7), np.nan)
    for row, unit in np.ndindex(out.shape):
        x = X[row, np.searchsorted(FIRST_UNIT, unit, "right") - 1]
        if not np.isnan(x):
            number = np.clip((x - SHIFT[unit]) * SCALE[unit], LOW[unit], HIGH[unit])
            out[row, unit] = number if np.isnan(CATEGORY[unit]) else x == CATEGORY[unit]
    return out


def with_holes():
    """Rows of every kind: complete, empty, with a value beyond the limits; exact in float16."""
    return np.array(
        [
            [1.25, 0.5, 3.0, 2.0],
            [np.nan] * 4,
            [7.0, np.nan, -60.0, np.nan],
            [np.nan, 1.0, np.nan, -1.0],
            [0.0, 0.0, np.nan, 7.0],  # a value that is no category: all its units are 0
            [-7.0, 0.0, 0.0, 2.0],
        ]
    )


def stored(X, zeros_missing):
    """A CSR matrix that stores what is not missing, or what is not 0; and a 0 in either case."""
    keep = ~np.isnan(X) if zeros_missing else X != 0
    keep[4, 0] = True
    rows, columns = np.nonzero(keep)
    return scipy.sparse.csr_matrix((X[keep], (rows, columns)), X.shape)


LAYOUTS = {
    "C": lambda X: X,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "float16": lambda X: X.astype(np.float16),
    "float32": lambda X: X.astype(np.float32),
    "CSR": lambda X: stored(X, False),
    "CSR of what was observed": lambda X: stored(X, True),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_read_as_units(layout, dtype):
    """What was observed, standardised and clipped, or 1 for the category; nothing for NaN.

    In a sparse matrix a stored zero is an observed one, a stored NaN is missing, and what is not
    stored is one or the other.
    """
    X, unstored = with_holes(), np.nan if "observed" in layout else 0.0
    data = Data(
        LAYOUTS[layout](X), dtype, SHIFT, SCALE, (LOW, HIGH), unstored=unstored,
        units=(FIRST_UNIT, CATEGORY),
    )  # fmt: skip
    assert data.is_listed == ("observed" in layout) and data.has_missing and data.widest == 3
    stack = Stack((7, 2), codes_of(("binary", 3, "gaussian", 2)), "logistic", [SEED], dtype)
    _, work = train_observed_rows(stack, data, len(X), rule(steps=0, mean_field=1))
    np.testing.assert_array_equal(table(work, "v_pos", len(X), 7), naive_reading(X))


def test_sparse_rows_may_be_unsorted_and_empty():
    """Entries in any order, doubles (which add up) and a row without any, as SciPy has them."""
    parts = [1.0, 2.0, 4.0, np.nan, 3.0], [2, 0, 2, 1, 1], [0, 3, 3, 5]  # NaN + 3 is NaN
    X = scipy.sparse.csr_matrix(parts, shape=(3, 3))
    expected = [[2.0, np.nan, 5.0], [np.nan] * 3, [np.nan] * 3]
    stack = stack_of(("gaussian",) * 3)
    for index in (np.int32, np.int64):
        X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
        data = Data(X, np.float64, np.zeros(3), 1.0, unstored=np.nan)
        _, work = train_observed_rows(stack, data, 3, rule(steps=0))
        np.testing.assert_array_equal(table(work, "v_pos", 3, 3), expected)
        data = Data(X, np.float64, np.zeros(3), 1.0)
        _, work = train_observed_rows(stack, data, 3, rule(steps=0))
        np.testing.assert_array_equal(table(work, "v_pos", 3, 3), X.toarray())


@pytest.mark.parametrize("n_blocks", [1, 2, 5])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.97, 1.0])
def test_slots_by_unit_are_a_partition(n_blocks, share, monkeypatch):
    """Each slot is listed once, by unit and then by row, and each unit belongs to one block.

    A block has at most as many slots as its part and one unit more.
    """
    for blocks in ("row_blocks", "weight_blocks"):
        monkeypatch.setattr(f"sk_dbn.models.observed_training.{blocks}", lambda n: n_blocks)
    monkeypatch.setattr("sk_dbn.models.observed_training.SMALL_WORK", 0.0)
    features, n_rows = ("binary", 3, 2) * 6, 37
    X = values_of(features, n_rows, share)
    stack = stack_of(features)
    _, work = train_observed_rows(stack, data_of(features, X), n_rows, rule(steps=0))
    slots, present = work.slots, ~np.isnan(slow.units_read(features, X))
    units, rows = np.nonzero(present.T)
    listed = slots.by_unit[: len(units)]
    np.testing.assert_array_equal(slots.unit[listed], units)
    np.testing.assert_array_equal(slots.row[listed], rows)
    np.testing.assert_array_equal(slots.unit_starts, np.r_[0, np.cumsum(present.sum(axis=0))])
    cuts = slots.cuts
    assert len(cuts) == n_blocks + 1 and cuts[0] == 0 and cuts[-1] == len(stack.reference)
    assert (np.diff(cuts) >= 0).all()
    sizes = np.diff(slots.unit_starts[cuts])
    assert sizes.max() <= len(units) / n_blocks + present.sum(axis=0).max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_moments_leave_out_what_is_missing(layout):
    """NumPy's moments of each column without its NaN, over many blocks of rows.

    A column without any value has zeros, and no range; a large mean costs the variance no digits.
    """
    random = np.random.RandomState(0)
    X = random.randint(-8, 8, size=(700, 4)) + 16.0
    X[random.uniform(size=X.shape) < 0.3] = np.nan
    X[:, 2], X[4, 0] = np.nan, 0.0
    listed = "observed" in layout
    data = Data(LAYOUTS[layout](X), np.float32, unstored=np.nan if listed else 0.0)
    rows = random.permutation(700)[:600]
    count, *moments = data.observed_moments(rows)
    seen = X[rows][:, [0, 1, 3]]
    np.testing.assert_array_equal(count, (~np.isnan(X[rows])).sum(axis=0))
    functions = np.nanmean, np.nanvar, np.nanmin, np.nanmax
    of_nothing = 0.0, 0.0, np.inf, -np.inf
    parts = moments, data.moments(rows), functions, of_nothing
    for found, also, function, nothing in zip(*parts, strict=True):
        np.testing.assert_allclose(found[[0, 1, 3]], function(seen, axis=0), rtol=1e-12)
        assert found[2] == nothing
        np.testing.assert_array_equal(found, also)
    far = Data(X + 2.0**24, np.float64).observed_moments(rows)[2]
    np.testing.assert_allclose(far, moments[1], rtol=1e-6)


# ---------------------------------------------------------------------------
# Drawing
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_units", [1, 2, 5, 6])
@pytest.mark.parametrize("mixed", [False, True])
def test_noise_is_that_of_complete_rows(n_units, dtype, mixed):
    """`normal_at` is `fill_normal`, to the bit: an RBM draws the same where nothing is missing.

    Without weights, what a Gaussian unit draws is its bias and its noise, of an even number of
    units and of an odd one.
    """
    kinds = ["gaussian"] * n_units + ["bernoulli"] * mixed
    X, draws = np.zeros((9, len(kinds))), []
    for is_observed in (False, True):
        stack = Stack((len(kinds), 2), kinds, "logistic", [SEED], dtype)
        if is_observed:
            data = Data(X, dtype, np.zeros(len(kinds)), 1.0)
            _, work = train_observed_rows(stack, data, 9, rule(steps=0))
            draws.append(table(work, "v_neg", *X.shape).astype(dtype))
        else:
            _, work = train(stack, X, 9, rule(steps=0), 0.0)
            draws.append(work.phases.v[9:18])
    np.testing.assert_array_equal(*draws)
    assert (draws[0][:, :n_units] != 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_have_their_probabilities(dtype):
    """Categories by softmax, Bernoulli units by the logistic function, over many rows.

    Without weights, products are the biases. One category of each observed feature is 1. Means
    lie within five standard errors; large biases overflow nowhere, and leave no doubt.
    """
    features, n = (3, "binary", 1, 2, 3), 20_000
    stack = stack_of(features, dtype=dtype)
    stack.coefs[0][:], b = 0.0, stack.intercepts_visible[0]
    b[:] = -1.0, 0.5, 1.0, 0.7, 3.0, 0.0, 2.0, 1e4, -1e4, 1e4
    b[-1] = -np.inf  # a probability that underflows
    X = np.zeros((n, 5))
    X[::3, 0], X[1::3, 1], X[::2, 3] = np.nan, np.nan, np.nan
    data = data_of(features, X, dtype)
    _, work = train_observed_rows(stack, data, n, rule(steps=0))
    v = table(work, "v_neg", n, 10)
    np.testing.assert_array_equal(np.isnan(v), np.isnan(slow.units_read(features, X)))
    for units in slow.units_of(features):
        drawn, x = v[~np.isnan(v[:, units.start]), units], b[units].astype(float)
        assert np.isin(drawn, (0, 1)).all()
        if units.start == 3:
            p = 1 / (1 + np.exp(-x))
        else:
            p = softmax(x)
            np.testing.assert_array_equal(drawn.sum(axis=1), 1)
        error = 5 * np.sqrt(p * (1 - p) / len(drawn))
        assert (abs(drawn.mean(axis=0) - p) <= error + 1e-15).all()


def test_what_is_drawn_does_not_depend_on_what_is_missing():
    """Draws are addressed by row and unit, so that observed units draw what they draw in any case.

    Without weights, products do not tell which units were observed.
    """
    X, draws = values_of(MIXED, 50), []
    for values in (X, np.nan_to_num(X)):
        stack = stack_of(MIXED)
        stack.coefs[0][:] = 0.0
        _, work = train_observed_rows(stack, data_of(MIXED, values), 50, rule(steps=0))
        draws.append(table(work, "v_neg", 50, 9))
    known = ~np.isnan(draws[0])
    np.testing.assert_array_equal(draws[0][known], draws[1][known])
    assert 0 < known.mean() < 1


# ---------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------

SETTINGS = [
    {"centered": False, "momentum": 0.0},
    {"centered": True, "momentum": 0.9, "l2": 0.1, "l1": 0.05, "n_gibbs_steps": 3},
    {"centered": True, "momentum": 0.9, "mean_field": True, "max_norm": 0.8},
    {"centered": True, "momentum": 0.9, "dropout": 0.3, "sparsity_target": 0.1,
     "sparsity_cost": 0.5, "variance_rate": 0.3, "n_gibbs_steps": 2},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("hidden", ["logistic", "tanh", "relu"])
@pytest.mark.parametrize("features", [MIXED, ("binary",) * 5, ("gaussian",) * 3, (3, 2, 3)])
def test_training_equals_the_reference(features, hidden, settings):
    """Four updates, the last from a short minibatch, bit by bit but for rounding.

    A row without any value takes part in the hidden biases, and a unit that no row of a minibatch
    has stays as it is, with its velocity.
    """
    settings = dict(settings)
    X = values_of(features, 33)
    X[3], X[10:20, 0] = np.nan, np.nan
    stack = stack_of(features, hidden, scale=0.2)
    memory, r = stack.memories[0], stack.reference
    variance = stack.variance if len(stack.variance) else 1.0
    rbm = slow.SlowObservedRBM(features, KINDS[hidden], *parameters(stack), r, variance)
    rate = 0.02 if hidden == "relu" else 0.1
    v = slow.units_read(features, X)
    for start in range(0, 33, 10):
        rbm.step(v[start : start + 10], seed=SEED, rate=rate, **settings)
    offset_rate = 0.01 * settings.pop("centered")
    settings["mean_field"] = int(settings.pop("mean_field", False))
    compiled = rule(offset_rate=offset_rate, **settings)
    train_observed_rows(stack, data_of(features, X), 10, compiled, rate)
    velocities = memory.velocity_W, memory.velocity_b, memory.velocity_c
    pairs = [*zip(parameters(stack), rbm.parameters, strict=True)]
    pairs += [*zip(velocities, rbm.velocities, strict=True), (memory.activity, rbm.activity)]
    pairs += [(memory.lam, rbm.lam)] if offset_rate else []
    pairs += [(stack.variance, rbm.variance)] if len(stack.variance) else []
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6 if hidden == "relu" else 1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [{"momentum": 0.9}, {"max_step": 1e-3, "max_norm": 0.8}])
def test_parallel_training_is_the_serial_one_to_the_bit(settings, dtype):
    """The work is cut by its shape, here into several blocks of rows and of units."""
    features, results = (*MIXED, "binary") * 15, []
    X = values_of(features, 150, 0.7)
    for twin in ("serial", "parallel"):
        stack = stack_of(features, n_hidden=130, dtype=dtype, scale=0.1)
        data, training_rule = data_of(features, X, dtype), rule(offset_rate=0.01, **settings)
        norms, work = train_observed_rows(stack, data, 64, training_rule, 0.1, twin)
        assert min(len(work.phases.h_sums), len(work.update.sums)) > 1
        results.append([stack.theta, norms, stack.memories[0].activity, work.phases.h])
    for serial, parallel in zip(*results, strict=True):
        np.testing.assert_array_equal(serial, parallel)
        assert np.isfinite(serial).all()
