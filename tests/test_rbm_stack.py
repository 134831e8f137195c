"""The stack as users meet it: scikit-learn's contract, reproducibility, errors, quality."""

import copy
import pickle
import signal
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import SimpleImputer
from sklearn.neural_network import BernoulliRBM
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_dbn import BernoulliRBMStack
from sk_dbn.likelihood import log_likelihood
from sk_dbn.models import rbm_training, work
from sk_dbn.models.threads import _state as threads_state


def small(**settings):
    """A stack that is trained in milliseconds."""
    plain = {"hidden_layer_sizes": (6, 4), "max_iter": 3, "random_state": 0}
    return BernoulliRBMStack(**{**plain, **settings})


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)[0] / 16


def parameters(stack):
    parts = [*stack.coefs_, *stack.intercepts_hidden_, *stack.intercepts_visible_]
    return parts if stack.visible_variance_ is None else [*parts, stack.visible_variance_]


# Every algorithm with a setting that has a memory of its own, or a pass over the weights.
ALGORITHMS = {
    "cd": {"algorithm": "cd", "dropout": 0.3},
    "pcd": {"algorithm": "pcd", "sparsity_target": 0.2},
    "fpcd": {"algorithm": "fpcd", "max_norm": 1.0, "dropout": 0.2},
    "pt": {"algorithm": "pt", "n_temperatures": 3, "sparsity_target": 0.2, "max_norm": 1.0},
}
# Of 64 pixels, in ranges that end within the rows of images.
BOTH = tuple("gaussian" if j % 20 < 7 else "bernoulli" for j in range(64))
UNITS = [
    (visible, activation)
    for visible in ("bernoulli", "gaussian")
    for activation in ("logistic", "tanh", "relu")
] + [(BOTH, "logistic"), (BOTH, "relu")]
KINDS = [(algorithm, *units) for algorithm in ALGORITHMS for units in UNITS
         if (algorithm, units[1]) != ("pt", "relu")]  # fmt: skip


def assert_same(one, other):
    """Two stacks have the very same parameters."""
    for x, y in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_array_equal(x, y)


@parametrize_with_checks(
    [
        BernoulliRBMStack(max_iter=5),
        BernoulliRBMStack((8,), visible="gaussian", max_iter=5),
        BernoulliRBMStack((8, 6), activation="tanh", max_iter=5),
        BernoulliRBMStack((8,), algorithm="pcd", n_chains=20, max_iter=5, dtype="float64"),
        BernoulliRBMStack((8,), early_stopping=True, max_iter=5),
        BernoulliRBMStack((8, 6), activation="relu", dropout=0.2, max_iter=5),
        BernoulliRBMStack((8,), algorithm="fpcd", n_chains=20, max_norm=1.0, max_iter=5),
        BernoulliRBMStack((8,), algorithm="pt", n_chains=5, sparsity_target=0.1, max_iter=5),
    ]
)
def test_scikit_learn_contract(estimator, check):
    """Nothing fails and nothing is expected to."""
    check(estimator)


def test_defaults_are_scikit_learns():
    """A name that BernoulliRBM has too has the same default; docs/migration.rst says so."""
    theirs, mine = BernoulliRBM().get_params(), BernoulliRBMStack().get_params()
    assert set(theirs) - set(mine) == {"n_components", "n_iter"}
    assert all(theirs[name] == mine[name] for name in set(theirs) & set(mine))


# ---------------------------------------------------------------------------
# The same numbers whatever the machine or the storage
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm, visible, activation", KINDS)
def test_n_jobs_changes_no_bit(algorithm, visible, activation):
    """The work is cut by its shape and random bits are addressed by what they are for."""
    X = np.random.RandomState(0).uniform(size=(200, 300))
    visible = visible if isinstance(visible, str) else np.resize(visible, 300)
    settings = {"visible": visible, "activation": activation, "batch_size": 100, "max_iter": 1}
    settings |= {"n_chains": 40, "hidden_layer_sizes": (200, 150), **ALGORITHMS[algorithm]}
    stacks = [small(n_jobs=n, **settings).fit(X) for n in (1, 2)]
    assert_same(*stacks)
    np.testing.assert_array_equal(*(stack.transform(X) for stack in stacks))
    for name in ("weight_norm", "reconstruction_kl", "weight_grad_norm"):
        np.testing.assert_array_equal(*(getattr(s.gradient_trace_, name) for s in stacks))


def test_storage_does_not_matter(digits):
    """Any dtype, layout and sparsity of the same values gives the same model."""
    X = (digits[:200] * 16).astype(np.uint8)
    expected = small(visible="bernoulli")
    with pytest.warns(UserWarning, match="outside|Bernoulli"):
        expected.fit(X)
    read_only = X.astype(np.float64)
    read_only.flags.writeable = False
    for other in (
        X.astype(np.float16),
        np.asfortranarray(X, dtype=np.int32),
        read_only,
        X.astype(">f4"),
        np.repeat(X, 2, axis=1)[:, ::2],
        scipy.sparse.csr_array(X.astype(np.float32)),
        scipy.sparse.csc_matrix(X.astype(np.int64)),
    ):
        with pytest.warns(UserWarning, match="Bernoulli"):
            assert_same(small(visible="bernoulli").fit(other), expected)


def test_sample_order_does_not_matter_when_shuffling(digits):
    """The training order follows from the rows' content."""
    X = digits[:100]
    mixed = X[np.random.RandomState(0).permutation(100)]
    assert_same(small().fit(X), small().fit(mixed))


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_dtype_has_many_spellings(digits, name):
    """A name, a type and a dtype are the same stack; the parameter stays what was given."""
    X = digits[:100]
    expected = small(dtype=name).fit(X)
    for dtype in (np.dtype(name).type, np.dtype(name)):
        stack = small(dtype=dtype)
        assert clone(stack).get_params()["dtype"] == dtype
        assert_same(stack.fit(X), expected)
        assert stack.dtype is dtype and stack.transform(X).dtype == name
        stack.set_params(dtype=name).partial_fit(X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_alone_agrees_with_its_batch(digits, dtype):
    """A row's features do not depend on the rows beside it."""
    stack = small(hidden_layer_sizes=(90, 40), dtype=dtype).fit(digits[:300])
    together = stack.transform(digits[:50])
    alone = np.vstack([stack.transform(row[None]) for row in digits[:50]])
    assert together.dtype == dtype
    np.testing.assert_allclose(alone, together, rtol=1e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("algorithm, visible, activation", KINDS)
def test_pickled_and_copied_stacks_go_on_alike(digits, algorithm, visible, activation):
    """Chains, fast weights, activities, velocities and random numbers survive pickling."""
    settings = {"visible": visible, "activation": activation, "n_chains": 10, "max_iter": 2}
    stack = small(**settings, **ALGORITHMS[algorithm]).fit(digits[:100])
    if algorithm == "pt":
        assert len(stack._stack.memories[0].chains) == 10 * 3
    twins = [pickle.loads(pickle.dumps(stack)), copy.deepcopy(stack)]
    stack.partial_fit(digits[100:200])
    for twin in twins:
        twin.partial_fit(digits[100:200])
        assert_same(stack, twin)
        np.testing.assert_array_equal(stack.transform(digits), twin.transform(digits))


@pytest.mark.parametrize("lost", ["chains", "fast_W", "activity", "velocity_variance"])
def test_what_a_machine_remembers_matters(digits, lost):
    """Else the test above would not notice that it was lost."""
    algorithm = "pt" if lost == "activity" else "fpcd"
    settings = {"visible": "gaussian", "n_chains": 10, **ALGORITHMS[algorithm]}
    stack = small(**settings).fit(digits[:100])
    twin = copy.deepcopy(stack)
    getattr(twin._stack.memories[0], lost)[:] = 0
    stack.partial_fit(digits[100:200])
    twin.partial_fit(digits[100:200])
    assert (stack.coefs_[0] != twin.coefs_[0]).any()


def test_parameters_are_pickled_once_and_training_goes_on_in_them(digits):
    """Public parameters are views of the stack's: left out of the pickle, rebuilt from it."""
    stack = small().fit(digits[:100])
    views = {"coefs_", "intercepts_hidden_", "intercepts_visible_", "components_"}
    assert not views & set(stack.__getstate__())
    twin = pickle.loads(pickle.dumps(stack)).partial_fit(digits[:100])
    views = [*parameters(twin), twin.components_]
    assert all(np.shares_memory(x, twin._stack.theta) for x in views)
    assert_same(twin, stack.partial_fit(digits[:100]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_memory_mapped_stacks_go_on(digits, tmp_path, algorithm):
    """joblib's workers get large arrays read-only; training writes to copies of them."""
    stack = small(visible="gaussian", n_chains=10, **ALGORITHMS[algorithm]).fit(digits[:100])
    joblib.dump(stack, tmp_path / "stack.joblib")
    mapped = joblib.load(tmp_path / "stack.joblib", mmap_mode="r")
    np.testing.assert_array_equal(mapped.transform(digits), stack.transform(digits))
    assert_same(mapped.partial_fit(digits[:100]), stack.partial_fit(digits[:100]))


def test_pieces_hold_no_lock_while_they_wait(digits):
    """Whoever pauses in a generator must not keep other threads from the parallel kernels."""
    stack = small(n_jobs=2).fit(digits[:50])
    pieces = stack.model_.astype(np.float64).visible_values(digits)
    next(pieces)
    assert threads_state.owner is None and not threads_state.region.locked()


# ---------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm, visible, activation", KINDS)
def test_partial_fit_in_chunks_equals_fit(digits, algorithm, visible, activation):
    """The same minibatches give the same updates: chains, momentum, offsets, steps go on.

    So do fast weights and the running activities that the target is compared with.
    """
    X, settings = digits[:200], {"shuffle": False, "visible": visible, "activation": activation}
    settings |= {"hidden_layer_sizes": 8, "n_chains": 7, "n_iter_no_change": 100, "annealing": 0.0}
    settings |= ALGORITHMS[algorithm]
    whole = small(**settings, max_iter=2).fit(X)
    chunks = small(**settings, max_iter=1).fit(X)
    for start in range(0, 200, 50):
        chunks.partial_fit(X[start : start + 50])
    assert_same(whole, chunks)


@pytest.mark.parametrize("algorithm, visible, activation", KINDS)
def test_warm_start_goes_on_like_fit(digits, algorithm, visible, activation):
    """Two calls of an epoch are one of two: nothing that a machine remembers begins anew."""
    X, settings = digits[:100], {"shuffle": False, "visible": visible, "activation": activation}
    settings |= {"hidden_layer_sizes": 8, "n_chains": 7, "annealing": 0.0, **ALGORITHMS[algorithm]}
    whole = small(**settings, max_iter=2).fit(X)
    warm = small(**settings, max_iter=1, warm_start=True).fit(X).fit(X)
    assert_same(whole, warm)


def test_partial_fit_from_nothing_and_warm_start(digits):
    """partial_fit may come first, and warm_start goes on from the present parameters."""
    stack = small().partial_fit(digits[:100])
    np.testing.assert_array_equal(stack.n_iter_, [1, 1])
    stack.partial_fit(digits[:100])
    np.testing.assert_array_equal(stack.n_iter_, [2, 2])
    assert stack.gradient_trace_.epoch.tolist() == [0, 1, 2]
    warm = small(warm_start=True).fit(digits[:100])
    before = [x.copy() for x in parameters(warm)]
    steps = warm._stack.memories[0].n_steps
    warm.fit(digits[:100])
    assert warm._stack.memories[0].n_steps == 2 * steps
    assert any((x != y).any() for x, y in zip(before, parameters(warm), strict=True))


def test_partial_fit_in_large_chunks_does_not_saturate(digits):
    """Chunks of 500 are cut into minibatches of 10: the rate belongs to a minibatch.

    BernoulliRBM takes each chunk for a minibatch, its rate times ten small ones' worth, and
    ends at a pseudo-likelihood of -1233. Independent pixels would score about -24.
    """
    stack = BernoulliRBMStack((100,), batch_size=10, random_state=0)
    for _ in range(10):
        for start in range(0, 1500, 500):
            stack.partial_fit(digits[start : start + 500])
    assert stack.score(digits[1500:]) > -24
    assert stack.gradient_trace_.saturated_fraction[-1, 0] < 0.8


def test_visible_biases_start_from_log_odds(digits):
    """Without a step worth speaking of they are log(p / (1 - p)) of the training means."""
    X = digits[:, 10:14]
    stack = BernoulliRBMStack((3,), learning_rate=1e-12, max_iter=1, dtype="float64").fit(X)
    p = X.mean(axis=0)
    np.testing.assert_allclose(stack.intercepts_visible_[0], np.log(p / (1 - p)), atol=1e-9)


def test_gaussian_units_are_standardised_by_the_training_set():
    """Not by the minibatch: moving and scaling all data changes nothing."""
    X = load_breast_cancer().data
    settings = {"hidden_layer_sizes": (8,), "dtype": "float64", "shuffle": False}
    one = small(**settings).fit(X)
    other = small(**settings).fit(100 * X - 7)
    assert one.visible_ == other.visible_ == "gaussian"
    np.testing.assert_allclose(one.coefs_[0], other.coefs_[0], rtol=1e-6)
    np.testing.assert_allclose(100 * one.reconstruct(X) - 7, other.reconstruct(100 * X - 7))
    alone = one.transform(X[:1])
    np.testing.assert_allclose(alone, one.transform(X)[:1])


def test_per_layer_settings_and_stopping(digits):
    """max_iter and learning_rate may differ by layer; tol stops a layer that stands still."""
    X = digits[:100]
    stack = small(max_iter=[2, 4], learning_rate=[0.1, 0.01]).fit(X)
    np.testing.assert_array_equal(stack.n_iter_, [2, 4])
    trace = stack.gradient_trace_
    assert trace.weight_norm.shape == (5, 2)
    assert np.isnan(trace.weight_norm[3:, 0]).all()
    assert np.isfinite(trace.weight_norm[:, 1]).all()
    stopped = small(max_iter=100, tol=1e9, n_iter_no_change=3).fit(X)
    np.testing.assert_array_equal(stopped.n_iter_, [4, 4])  # the first epoch always improves


def test_early_stopping_keeps_the_best_epoch(digits):
    """The parameters are those of the epoch with the least divergence on held-out rows."""
    stack = small(hidden_layer_sizes=20, early_stopping=True, max_iter=30).fit(digits[:300])
    assert stack.gradient_trace_.free_energy_gap.shape == (stack.n_iter_[0] + 1, 1)
    norms = stack.gradient_trace_.weight_norm[:, 0]
    assert np.isclose(np.linalg.norm(stack.coefs_[0]), norms).any()


def test_the_free_energy_gap_stops_learning_by_heart(digits):
    """Few rows and many epochs: new rows are far more likely where the gap stopped training.

    Exact likelihoods, 25 hidden units; the gap between rows trained on and held out has grown
    beyond its standard error at the end of the training that nothing stopped.
    """
    X = (digits > 0.5).astype(np.float32)
    train, new = X[:150], X[1000:1300]
    for seed in range(2):
        settings = {"algorithm": "pcd", "learning_rate": 0.02, "max_iter": 150, "annealing": 0.0}
        stack = BernoulliRBMStack((25,), **settings, n_iter_no_change=20, random_state=seed)
        long = clone(stack).fit(train)
        stack.set_params(early_stopping="free_energy", validation_fraction=0.3).fit(train)
        assert stack.n_iter_[0] < 120
        gain = log_likelihood(stack, new).mean() - log_likelihood(long, new).mean()
        assert gain > 2.0
        gap = stack.gradient_trace_.free_energy_gap[:, 0]
        assert gap[-1] > gap.min()


@pytest.mark.parametrize("visible, activation", UNITS)
def test_the_gap_is_that_of_free_energies(digits, visible, activation):
    """For every kind of units, with a partition function or without, which cancels."""
    X = digits[:100]
    settings = {"visible": visible, "activation": activation, "shuffle": False, "random_state": 1}
    stack = BernoulliRBMStack(
        (20,), max_iter=15, early_stopping="free_energy", validation_fraction=0.4, **settings
    ).fit(X)
    held_out = np.zeros(100, dtype=bool)
    held_out[np.random.RandomState(1).permutation(100)[:40]] = True
    energy = stack.free_energy(X)
    gap = energy[held_out].mean() - energy[~held_out].mean()
    assert stack.gradient_trace_.free_energy_gap[-1, 0] == pytest.approx(gap, abs=1e-3)


def test_trace(digits):
    """Row 0 is the state before training; 'batch' has a row a minibatch; None is off."""
    X = digits[:100]
    untrained = small(init=0.1, trace="batch", max_iter=1).fit(X).gradient_trace_
    assert untrained.epoch.shape == (11,)
    assert untrained.update_ratio[0].tolist() == [0, 0]
    assert (untrained.weight_grad_norm[0] > 0).all()
    assert small(trace=None).fit(X).gradient_trace_ is None
    assert_same(small(trace=None).fit(X), small(trace="batch").fit(X))


def test_a_new_kind_of_trace_begins_anew(digits):
    """Rows an epoch and rows a minibatch do not mix: partial_fit heeds a changed `trace`."""
    stack = small().partial_fit(digits[:100])
    stack.set_params(trace="batch").partial_fit(digits[:100])
    assert stack.gradient_trace_.epoch.shape == (11,)
    stack.partial_fit(digits[:100])
    assert stack.gradient_trace_.epoch.shape == (21,)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_learning_reconstructs(digits, visible):
    """Training lowers the reconstruction's divergence well below that of the means alone."""
    X = digits if visible == "bernoulli" else load_breast_cancer().data
    kl = BernoulliRBMStack((64,), max_iter=20, random_state=0).fit(X).gradient_trace_
    assert kl.reconstruction_kl[-1, 0] < 0.65 * kl.reconstruction_kl[0, 0]


# ---------------------------------------------------------------------------
# What the fitted stack says
# ---------------------------------------------------------------------------


def test_public_shapes(digits):
    """Shapes, dtypes and names of everything a fitted stack offers."""
    stack = small().fit(digits)
    H = stack.transform(digits)
    assert H.shape == (len(digits), 4) and H.dtype == np.float32
    assert stack.inverse_transform(H).shape == digits.shape
    np.testing.assert_allclose(stack.reconstruct(digits), stack.inverse_transform(H), atol=1e-5)
    np.testing.assert_array_equal(stack.components_, stack.coefs_[0].T)
    assert stack.get_feature_names_out()[0] == "bernoullirbmstack0"
    assert stack.n_layers_ == 2
    v = stack.gibbs(digits[:5], n_steps=2)
    assert v.shape == (5, 64) and set(np.unique(v)) <= {0.0, 1.0}
    scores = stack.score_samples(digits)
    np.testing.assert_array_equal(scores, stack.score_samples(digits))
    assert stack.score(digits) == pytest.approx(scores.mean())
    assert stack.free_energy(digits).shape == (len(digits),)


# ---------------------------------------------------------------------------
# What the fitted stack generates
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_are_in_the_datas_units(digits, visible, dtype):
    """A stack that learned nothing but biases gives every pixel's mean back, and its variance."""
    X = digits if visible == "bernoulli" else 8 * digits - 3
    stack = small(visible=visible, dtype=dtype, init="zeros", learning_rate=1e-6).fit(X)
    many = stack.sample(3000, n_steps=1, random_state=0)
    assert many.shape == (3000, 64) and many.dtype == dtype
    error = 5 * np.sqrt(X.var(axis=0) / 3000 if visible == "gaussian" else 0.25 / 3000)
    constant = X.std(axis=0) == 0
    assert (np.abs(many.mean(axis=0) - X.mean(axis=0)) < error + 0.01)[~constant].all()
    if visible == "gaussian":
        np.testing.assert_allclose(many.std(axis=0)[~constant], X.std(axis=0)[~constant], rtol=0.1)
    else:
        assert set(np.unique(many)) == {0.0, 1.0}
    means = stack.sample(5, n_steps=1, return_means=True)
    np.testing.assert_allclose(means, np.tile(X.mean(axis=0), (5, 1)), atol=0.01)


def test_random_state_of_samples(digits):
    """Given, it determines them; else they go on from training, which determines them too."""
    X = np.where(np.arange(64) < 32, np.nan, digits[:20])
    for draw in (
        lambda stack, **given: stack.sample(20, n_steps=2, **given),
        lambda stack, **given: stack.gibbs(digits[:20], **given),
        lambda stack, **given: stack.complete(X, n_steps=2, n_burn_in=0, **given),
    ):
        stack, twin = small().fit(digits[:100]), small().fit(digits[:100])
        given = draw(stack, random_state=7)
        np.testing.assert_array_equal(given, draw(stack, random_state=7))
        np.testing.assert_array_equal(given, draw(stack, random_state=np.random.RandomState(7)))
        first = draw(stack)
        np.testing.assert_array_equal(first, draw(twin))
        assert (first != draw(stack)).any()


@pytest.mark.parametrize("algorithm", ["cd", "pcd"])
def test_n_jobs_changes_no_sample(digits, algorithm):
    """More samples than are drawn at once, by more threads than one."""
    one, two = (
        small(algorithm=algorithm, n_jobs=n_jobs).fit(digits[:100]).sample(1500, n_steps=2)
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_sampling_leaves_persistent_chains_where_they_are(digits):
    """Chains that training goes on with are read, not moved."""
    stack = small(algorithm="pcd", n_chains=10).fit(digits[:100])
    before = stack._stack.memories[-1].chains.copy()
    stack.sample(25)
    np.testing.assert_array_equal(stack._stack.memories[-1].chains, before)


@pytest.mark.filterwarnings("ignore:X has values in")
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_complete_keeps_what_was_observed(digits, visible, dtype):
    """Bit for bit, in X's dtype and beyond the range of the units; and X is not written to."""
    X = (8 * digits[:200] - 3).astype(dtype)
    stack = small(visible=visible).fit(X)
    gaps = np.random.RandomState(0).uniform(size=X.shape) < 0.3
    gaps[0], gaps[1] = True, False
    X_missing = np.where(gaps, np.nan, X).astype(dtype)
    X_missing[2, ~gaps[2]] = 20  # clipped, for the units' eyes only
    X_missing.flags.writeable = False
    done = stack.complete(X_missing, n_steps=10)
    assert done.dtype == dtype and done.shape == X.shape
    np.testing.assert_array_equal(done[~gaps], X_missing[~gaps])
    assert np.isfinite(done).all()
    if visible == "bernoulli":
        assert done[gaps].min() >= -3 and done[gaps].max() <= 5


def test_complete_takes_samples_that_are_read_in_several_pieces(digits, monkeypatch):
    """Wide stacks are read fewer samples at a time than are completed together."""
    X = digits[:50].copy()
    X[:, ::3] = np.nan
    stack = small(random_state=0).fit(digits[:100])
    whole = stack.complete(X, n_steps=3, random_state=0)
    monkeypatch.setattr(work, "PIECE_WORK", 7 * stack.model_.stack.row_work)
    np.testing.assert_array_equal(stack.complete(X, n_steps=3, random_state=0), whole)


def test_complete_without_gaps(digits):
    """There is nothing to do, for integers neither; they become floats that hold them exactly."""
    stack = small().fit(digits[:100])
    np.testing.assert_array_equal(stack.complete(digits[:5]), digits[:5])
    integers = np.full((5, 64), 2**24 + 1)
    done = stack.complete(integers)
    assert done.dtype == np.float64
    np.testing.assert_array_equal(done, integers)


def test_complete_clips_what_it_reads(digits):
    """Bernoulli units read observed values as `transform` does, and give them back as they are."""
    X = np.where(np.arange(64) < 32, np.nan, 3 * digits[:20] - 1)
    stack = small(visible="bernoulli").fit(digits[:100])
    wide, clipped = (stack.complete(x, random_state=0) for x in (X, np.clip(X, 0, 1)))
    np.testing.assert_array_equal(wide[:, :32], clipped[:, :32])
    np.testing.assert_array_equal(wide[:, 32:], X[:, 32:])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_missing_values_have_many_spellings(digits, missing):
    """Lists hold None, data frames with their own types pandas' NA; both mean NaN."""
    X, stack = digits[:5], small().fit(digits[:100])
    expected = stack.complete(np.where(X > 0.9, np.nan, X), random_state=0)
    rows = [[missing if x > 0.9 else x for x in row] for row in X]
    data = pd.DataFrame(rows, dtype="Float64") if missing is pd.NA else rows
    np.testing.assert_array_equal(stack.complete(data, random_state=0), expected)


@pytest.mark.parametrize("names", [None, [f"pixel {i}" for i in range(64)]], ids=["array", "frame"])
def test_complete_returns_what_an_imputer_returns(digits, names):
    """The container that `set_output` names, with index and names; else an array."""
    X = np.where(np.arange(64) < 32, np.nan, digits[:20])
    full = digits[:100]
    if names is not None:
        X, full = pd.DataFrame(X, range(7, 27), names), pd.DataFrame(full, columns=names)
    stack, imputer = small().fit(full), SimpleImputer().fit(full)
    plain = stack.complete(X, random_state=0)
    assert type(plain) is type(imputer.transform(X)) is np.ndarray
    with config_context(transform_output="pandas"):
        assert type(stack.complete(X)) is pd.DataFrame
    done = stack.set_output(transform="pandas").complete(X, random_state=0)
    like = imputer.set_output(transform="pandas").transform(X)
    assert done.columns.equals(like.columns) and done.index.equals(like.index)
    np.testing.assert_array_equal(done, plain)
    assert type(stack.inverse_transform(stack.transform(full))) is np.ndarray
    assert type(stack.reconstruct(full)) is np.ndarray


def test_complete_beats_the_mean(digits):
    """The lower half of digits, from what the machine has seen of others."""
    settings = {"n_gibbs_steps": 10, "annealing": 0.5, "random_state": 0}
    stack = BernoulliRBMStack((100,), **settings).fit(digits[:1500])
    X = digits[1500:].copy()
    X[:, 32:] = np.nan
    error = ((stack.complete(X) - digits[1500:]) ** 2).sum()
    blank = ((digits[:1500, 32:].mean(axis=0) - digits[1500:, 32:]) ** 2).sum()
    assert error < 0.8 * blank
    rough = stack.complete(X, sample_posterior=True, n_steps=50)
    assert set(np.unique(rough[:, 32:])) == {0.0, 1.0}


def test_complete_takes_an_all_missing_row_for_a_chain_of_its_own():
    """Nothing observed: what the machine expects knowing nothing, as chains say too."""
    X = (np.random.RandomState(0).uniform(size=(500, 6)) < np.linspace(0.2, 0.8, 6)).astype(float)
    stack = BernoulliRBMStack((4,), max_iter=5, dtype="float64", random_state=0).fit(X)
    means = stack.complete(np.full((300, 6), np.nan), n_steps=100)
    samples = stack.sample(20_000, n_steps=50)
    np.testing.assert_allclose(means.mean(axis=0), samples.mean(axis=0), atol=0.025)


# Kinds of units, and what training alone does
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("activation, feature", [
    ("logistic", expit), ("tanh", np.tanh), ("relu", lambda x: np.maximum(x, 0)),
])  # fmt: skip
def test_features_know_neither_noise_nor_dropout(digits, activation, feature):
    """Both belong to training: transform is each layer's function of the one below, every time.

    Nor is a feature scaled for what dropout left out, and fast weights have no part in it.
    """
    settings = {"activation": activation, "dropout": 0.5, "algorithm": "fpcd", "n_chains": 10}
    stack = small(dtype="float64", **settings).fit(digits[:200])
    assert stack._stack.memories[0].fast_W.any()
    h = digits[:20]
    for W, c in zip(stack.coefs_, stack.intercepts_hidden_, strict=True):
        h = feature(h @ W + c)
    np.testing.assert_allclose(stack.transform(digits[:20]), h, rtol=1e-12)
    np.testing.assert_array_equal(*(stack.transform(digits[:20]) for _ in range(2)))


def test_dropout_leaves_one_machine(digits):
    """Units that were left counted for more in training, so all of them speak as they are.

    That is what is reconstructed, and what the trace says of it.
    """
    X, stack = digits[:64], small(hidden_layer_sizes=8, dropout=0.5, dtype="float64")
    stack.set_params(max_iter=5, tol=0.0, shuffle=False, learning_rate=0.3).fit(digits)
    x = stack.transform(X) @ stack.coefs_[0].T + stack.intercepts_visible_[0]
    np.testing.assert_allclose(stack.reconstruct(X), expit(x), rtol=1e-12)
    probe = digits[rbm_training.probe_of(np.arange(len(digits)))]
    error = ((probe - stack.reconstruct(probe)) ** 2).mean()
    assert stack.gradient_trace_.reconstruction_mse[-1, 0] == pytest.approx(error)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_max_norm_bounds_the_weights_of_each_hidden_unit(digits, visible):
    """The columns of coefs_, to which a hidden unit's weights belong; rows may be longer."""
    settings = {"visible": visible, "max_norm": 0.5, "max_iter": 5, "learning_rate": 0.5}
    stack = small(hidden_layer_sizes=(90, 4), dtype="float64", **settings).fit(digits[:200])
    first, second = (np.linalg.norm(W, axis=0).max() for W in stack.coefs_)
    assert first == pytest.approx(0.5) and second < 0.5 + 1e-12
    assert np.linalg.norm(stack.coefs_[0], axis=1).max() > 0.5


@pytest.mark.parametrize(
    "activation, dropout, target",
    [
        ("logistic", 0.0, 0.15),
        ("logistic", 0.5, 0.4),
        ("tanh", 0.0, 0.15),
        ("relu", 0.0, 0.15),
        ("relu", 0.5, 0.15),
    ],
)
def test_activity_is_drawn_to_its_target(digits, activation, dropout, target):
    """The mean activity of features, none of which are dropped, comes near the target."""
    settings = {"activation": activation, "dropout": dropout, "max_iter": 20, "tol": 0.0}
    gaps = []
    for cost in (0.0, 1.0):
        stack = BernoulliRBMStack(
            (20,), sparsity_target=target, sparsity_cost=cost, random_state=0, **settings
        ).fit(digits[:500])
        activity = stack.transform(digits[:500]).mean(axis=0)
        if activation == "tanh":
            activity = 0.5 + 0.5 * activity
        gaps.append(abs(activity - target).mean())
    assert gaps[1] < min(0.08, 0.35 * gaps[0])


def test_variances_are_learned_where_they_say_something():
    """Of two features that go together, one is noisy: its variance given the hidden is larger.

    Otherwise it is the feature's, 1, and the first layer acts on standardised values.
    """
    random = np.random.RandomState(0)
    z = random.normal(size=(1000, 1))
    X = np.hstack([z + 0.1 * random.normal(size=(1000, 3)), z + 2 * random.normal(size=(1000, 3))])
    settings = {"hidden_layer_sizes": (10,), "visible": "gaussian", "max_iter": 50}
    s = small(**settings).fit(X).visible_variance_
    assert s[:3].max() < 0.6 * s[3:].min() and s.max() <= 1.0
    fixed = small(**settings, learn_variance=False).fit(X)
    np.testing.assert_array_equal(fixed.visible_variance_, 1.0)
    np.testing.assert_allclose(fixed.visible_scale_, X.std(axis=0), rtol=1e-6)
    assert small().fit(random.uniform(size=(20, 3))).visible_variance_ is None


@pytest.mark.parametrize("init", ["auto", "sklearn"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_layers_do_not_depend_on_those_above(digits, algorithm, init):
    """They are trained before; seeds, first weights and orders of samples are their own."""
    settings = {"n_chains": 7, "max_iter": 2, "init": init, **ALGORITHMS[algorithm]}
    one, three = (small(hidden_layer_sizes=n, **settings).fit(digits[:100]) for n in (9, (9, 8, 7)))
    for name in "coefs_", "intercepts_hidden_", "intercepts_visible_":
        np.testing.assert_array_equal(getattr(one, name)[0], getattr(three, name)[0])
    two = small(hidden_layer_sizes=(9, 8), **settings).fit(digits[:100])
    np.testing.assert_array_equal(two.coefs_[1], three.coefs_[1])


def test_upper_layers_are_trained_on_the_features():
    """Those that transform gives, of which learned variances are a part.

    A second machine that hardly learns keeps the biases that its input's means gave it.
    """
    X = load_breast_cancer().data
    settings = {"learning_rate": [0.1, 1e-12], "dtype": "float64", "max_iter": 5}
    # Persistent chains: there the variances learn fast, so that they differ from 1 by then.
    stack = small(algorithm="pcd", annealing=0.0, **settings).fit(X)
    assert stack.visible_variance_.mean() < 0.95
    v = (X - stack.visible_mean_) / stack.visible_scale_
    p = expit(v @ stack.coefs_[0] + stack.intercepts_hidden_[0]).mean(axis=0)
    np.testing.assert_allclose(stack.intercepts_visible_[1], np.log(p / (1 - p)), atol=1e-8)


def test_gibbs_and_reconstructions_are_in_the_units_of_the_data():
    """Gaussian samples keep mean and spread of the features; variances are those of units of 1."""
    random = np.random.RandomState(0)
    X = random.normal(size=(2000, 2)) * [1.0, 100.0] + [5.0, -300.0]
    stack = small(hidden_layer_sizes=3, visible="gaussian", dtype="float64").fit(X)
    after = stack.gibbs(X, 5)
    assert (abs(after.mean(axis=0) - X.mean(axis=0)) < 0.5 * X.std(axis=0)).all()
    np.testing.assert_allclose(after.std(axis=0), X.std(axis=0), rtol=0.3)


@pytest.mark.parametrize("method", ["gibbs", "reconstruct", "score_samples", "free_energy"])
@pytest.mark.parametrize("algorithm, visible, activation", KINDS)
def test_every_kind_says_something_finite(digits, algorithm, visible, activation, method):
    """Of digits, by all that a fitted stack offers of its first machine."""
    settings = {"visible": visible, "activation": activation, "n_chains": 5}
    stack = small(**settings, max_iter=1, **ALGORITHMS[algorithm]).fit(digits[:50])
    out = getattr(stack, method)(digits[:20])
    assert len(out) == 20 and np.isfinite(out).all()


@pytest.mark.filterwarnings("ignore:X has values in")
@pytest.mark.parametrize("visible", ["auto", "bernoulli", "gaussian"])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_visible_scale_is_what_the_first_layer_acts_on(digits, visible, shift):
    """Applied by hand it gives the first layer, for rows that were trained on and others."""
    X = 4 * digits[:200] + shift if shift else digits[:200]
    stack = small(hidden_layer_sizes=6, visible=visible, dtype="float64").fit(X)
    for rows in (X, X - 2):
        v = (rows - stack.visible_mean_) / stack.visible_scale_
        if stack.visible_ == "bernoulli":
            v = np.clip(v, 0, 1)
        h = expit(v @ stack.coefs_[0] + stack.intercepts_hidden_[0])
        np.testing.assert_allclose(stack.transform(rows), h, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:X has values in")
def test_visible_scale_says_what_it_documents(digits):
    """Nothing, the range or the moments of the rows trained on; the first call's ever after."""
    X, ones = digits[:200], np.ones(64)
    for visible, rows, mean, scale in [
        ("bernoulli", X, 0 * ones, ones),
        ("bernoulli", 4 * X + 3, 3 * ones, 4 * ones),
        ("gaussian", X, X.mean(axis=0), np.where(X.std(axis=0) > 0, X.std(axis=0), 1)),
    ]:
        stack = small(visible=visible).fit(rows)
        for _ in range(2):
            np.testing.assert_allclose(stack.visible_mean_, mean, rtol=1e-12, atol=1e-12)
            variance = ones if visible == "bernoulli" else stack.visible_variance_
            np.testing.assert_allclose(stack.visible_scale_, scale * variance, rtol=1e-6)
            stack.partial_fit(rows + 1)


# ---------------------------------------------------------------------------
# Visible units of both kinds
# ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    """Two numbers, three dummies of one category and one of 0 or 1, which go together."""
    random = np.random.RandomState(0)
    category = random.randint(0, 3, 400)
    numbers = 5.0 * category[:, None] + random.normal(size=(400, 2)) * [1.0, 3.0]
    dummies = np.eye(3)[category]
    flag = (random.uniform(size=400) < 0.2 + 0.3 * category)[:, None]
    return np.hstack([numbers, dummies, flag])


MIXED = ["gaussian"] * 2 + ["bernoulli"] * 4


def test_auto_decides_by_feature(table):
    """Dummies stay Bernoulli beside numbers; what was decided is said, feature by feature."""
    stack = small().fit(table)
    np.testing.assert_array_equal(stack.visible_, MIXED)
    assert stack.visible_.shape == (6,)
    assert_same(stack, small(visible=MIXED).fit(table))
    assert_same(stack, small(visible=np.array(MIXED)).fit(table))
    np.testing.assert_array_equal(np.isnan(stack.visible_variance_), stack.visible_ == "bernoulli")
    np.testing.assert_allclose(stack.visible_mean_, np.r_[table[:, :2].mean(axis=0), np.zeros(4)])
    np.testing.assert_array_equal(stack.visible_scale_[2:], 1.0)
    expected = table[:, :2].std(axis=0) * stack.visible_variance_[:2]
    np.testing.assert_allclose(stack.visible_scale_[:2], expected, rtol=1e-6)
    uniform = small(visible=["gaussian"] * 6).fit(table)
    assert uniform.visible_ == "gaussian"
    assert_same(uniform, small(visible="gaussian").fit(table))
    standardised = (table - table.mean(axis=0)) / table.std(axis=0)
    assert small().fit(np.c_[standardised, np.zeros(400)]).visible_ == "gaussian"


@pytest.mark.parametrize("storage", [np.asarray, np.float32, scipy.sparse.csr_array])
def test_both_kinds_read_every_storage_alike(table, storage):
    """Standardised and clipped column by column, in training and after it."""
    plain, other = small().fit(table), small().fit(storage(table))
    if storage is not np.float32:
        assert_same(plain, other)
    wild = table.copy()
    wild[:, 2:] *= 3.0
    wild[:, :2] *= 9.0
    v = (wild - plain.visible_mean_) / plain.visible_scale_
    v[:, 2:] = np.clip(v[:, 2:], 0, 1)
    h = expit(expit(v @ plain.coefs_[0] + plain.intercepts_hidden_[0]) @ plain.coefs_[1]
              + plain.intercepts_hidden_[1])  # fmt: skip
    np.testing.assert_allclose(plain.transform(storage(wild)), h, rtol=1e-4)


def test_both_kinds_come_back_in_the_units_of_the_data(table):
    """Means and samples: dummies within [0, 1], or 0 and 1, and numbers on their scale."""
    stack = small(hidden_layer_sizes=(8,), max_iter=60, learning_rate=0.3).fit(table)
    found = stack.reconstruct(table)
    assert ((found[:, 2:] >= 0) & (found[:, 2:] <= 1)).all()
    explained = 1 - ((found - table) ** 2).mean(axis=0) / table.var(axis=0)
    assert explained[0] > 0.5 and explained[2:5].min() > 0.3
    h = stack.transform(table)
    np.testing.assert_allclose(stack.inverse_transform(h), found, rtol=1e-4, atol=1e-6)
    after = stack.gibbs(np.repeat(table, 5, axis=0))
    assert (abs(after.mean(axis=0) - table.mean(axis=0)) < 0.2 * table.std(axis=0)).all()
    np.testing.assert_allclose(after.std(axis=0), table.std(axis=0), rtol=0.2)
    for samples in (after, stack.sample(100, n_steps=20)):
        assert np.isin(samples[:, 2:], (0, 1)).all()
        assert samples[:, :2].min() < -1 and samples[:, :2].max() > 5
    missing = table.copy()
    missing[:, 2:5] = np.nan
    filled = stack.complete(missing, n_steps=50)
    np.testing.assert_array_equal(filled[:, [0, 1, 5]], table[:, [0, 1, 5]])
    right = filled[:, 2:5].argmax(axis=1) == table[:, 2:5].argmax(axis=1)
    assert right.mean() > 0.8


@pytest.mark.parametrize("algorithm, activation", [
    (algorithm, activation) for algorithm in ALGORITHMS for activation in ("logistic", "relu")
    if (algorithm, activation) != ("pt", "relu")
])  # fmt: skip
def test_both_kinds_stay_within_bounds(table, algorithm, activation):
    """Rows far from the others, a batch of one row, grey levels: the default rate holds."""
    X = np.c_[table, np.random.RandomState(1).uniform(size=400)]
    X[::40, :2] *= 10.0
    settings = {"visible": [*MIXED, "bernoulli"], "max_iter": 10, **ALGORITHMS[algorithm]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        stack = small(activation=activation, batch_size=1, **settings).fit(X)
    assert np.abs(stack.coefs_[0]).max() < 10.0
    assert np.nanmin(stack.visible_variance_) >= 0.01 and np.nanmax(stack.visible_variance_) <= 1.0
    assert stack.gradient_trace_.reconstruction_mse[-1, 0] < 2.0


@pytest.mark.parametrize("given, found", [
    (["gaussian"] * 5, "sequence of 5"),
    ([*MIXED[:5], "bernouli"], "'bernouli'"),
    ({6: "gaussian"}, "the feature 6"),
    ({"size": "gaussian"}, "'size': X has no feature names"),
    ({0: "auto", 1: "bernouli"}, "'bernouli'"),
    ([*MIXED[:5], 1], "1"),
    ([], "sequence of 0"),
])  # fmt: skip
def test_kinds_are_checked(table, given, found):
    """One for each feature or for some, from those that there are."""
    with pytest.raises(ValueError, match=f"visible must be .* 6 features, got .*{found}"):
        small(visible=given).fit(table)
    with pytest.raises(ValueError, match="'visible'.*'nonsense'"):
        small(visible="nonsense").fit(table)


def test_kinds_cannot_change_while_training_goes_on(table):
    """As little as a kind for all can; the same ones, or 'auto', may be said again."""
    stack = small().fit(table)
    for kinds in (MIXED, np.array(MIXED), "auto"):
        stack.set_params(visible=kinds).partial_fit(table)
    for kinds in (MIXED[::-1], "gaussian", "bernoulli"):
        with pytest.raises(ValueError, match="visible and activation must stay"):
            stack.set_params(visible=kinds).partial_fit(table)
    with pytest.raises(ValueError, match="sequence of 5"):
        stack.set_params(visible=MIXED[1:]).partial_fit(table)


def test_the_warning_of_a_range_names_features(table):
    """Those of Bernoulli units alone, by name where there are names; the rest may be anywhere."""
    X = table.copy()
    X[:, 5] *= 7
    frame = pd.DataFrame(X, columns=["age", "pay", "red", "green", "blue", "member"])
    with pytest.warns(UserWarning, match=r"in \[0, 7\] in feature 'member', but"):
        small(visible=MIXED).fit(frame)
    with pytest.warns(UserWarning, match=r"in \[0, 7\] in feature 5, but"):
        small(visible=MIXED).fit(X)
    with pytest.warns(UserWarning, match=r"in features 0, 1, 5, but"):
        small(visible="bernoulli").fit(X)
    stack = small().fit(table)
    with pytest.warns(UserWarning, match=r"in \[0, 7\] in feature 5, but.*They are clipped"):
        stack.partial_fit(X)


def test_feature_importances_select(digits):
    """Pixels that never vary tell the stack nothing; SelectFromModel drops them."""
    stack = BernoulliRBMStack((32,), max_iter=10, random_state=0)
    with pytest.raises(AttributeError, match="fit"):
        _ = stack.feature_importances_
    selector = SelectFromModel(stack, threshold="mean").fit(digits)
    importances = selector.estimator_.feature_importances_
    np.testing.assert_allclose(importances[digits.std(axis=0) == 0], 0, atol=1e-6)
    assert 5 < selector.transform(digits).shape[1] < 60


# ---------------------------------------------------------------------------
# What goes wrong
# ---------------------------------------------------------------------------


def test_values_outside_bernoullis_range(digits):
    """A warning names range and remedy; the range of fit is remembered, applied and undone."""
    X = digits * 16
    with pytest.warns(UserWarning, match=r"\[0, 16\].*MinMaxScaler.*visible='gaussian'"):
        stack = small(visible="bernoulli").fit(X)
    same = small(visible="bernoulli", shuffle=False).fit(X / 16)
    with pytest.warns(UserWarning):
        other = small(visible="bernoulli", shuffle=False).fit(X)
    np.testing.assert_allclose(other.transform(X), same.transform(X / 16), rtol=1e-3)
    assert stack.reconstruct(X).max() > 1
    np.testing.assert_array_equal(stack.transform(X + 100), stack.transform(np.full_like(X, 16)))


@pytest.mark.parametrize("storage", [np.asarray, scipy.sparse.csr_array])
def test_bernoulli_units_clip_what_comes_later(digits, storage):
    """Whether or not the training data filled [0, 1], every later method reads [0, 1]."""
    X = digits[:100]
    wide, clipped = storage(3 * X), storage(np.clip(3 * X, 0, 1))
    one, other = (small(visible="bernoulli", shuffle=False).fit(storage(X)) for _ in range(2))
    for method in ("transform", "reconstruct", "score_samples", "free_energy"):
        np.testing.assert_array_equal(getattr(one, method)(wide), getattr(one, method)(clipped))
    with pytest.warns(UserWarning, match="clipped"):
        one.partial_fit(wide)
    assert_same(one, other.partial_fit(clipped))
    np.testing.assert_array_equal(one.feature_importances_, other.feature_importances_)


def test_held_out_values_are_clipped_too(digits):
    """The moments are those of the rows trained on; rows held out may lie outside [0, 1]."""
    X = np.r_[digits[:99], 3 * digits[99:100]]
    for seed in range(20):
        order = np.random.RandomState(seed).permutation(100)
        if 99 in order[:50]:
            break
    settings = {"visible": "bernoulli", "shuffle": False, "random_state": seed}
    settings |= {"early_stopping": True, "validation_fraction": 0.5}
    stacks = [small(**settings).fit(x) for x in (X, np.clip(X, 0, 1))]
    gaps = [stack.gradient_trace_.free_energy_gap for stack in stacks]
    np.testing.assert_array_equal(*gaps)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes must be positive integers, .* \(\)"),
        ({"hidden_layer_sizes": (5, 0)}, "hidden_layer_sizes must be positive integers, .* 0"),
        ({"visible": "poisson"}, "visible"),
        ({"activation": "softmax"}, "activation"),
        ({"init": "xavier"}, "init"),
        ({"init": [np.zeros((64, 6))]}, "one array for each of the 2 layers .* 64-6-4 .* got 1"),
        ({"init": [np.zeros((64, 6)), np.zeros((4, 6))]}, r"init\[1\].*\(6, 4\)"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": [0.1]}, "learning_rate.*2"),
        ({"learning_rate": [0.1, -1]}, "learning_rate"),
        ({"max_iter": [3, 0]}, "max_iter"),
        ({"max_iter": [3, 2.5]}, "max_iter"),
        ({"momentum": 1.0}, "momentum"),
        ({"algorithm": "gibbs"}, "algorithm"),
        ({"n_chains": 0}, "n_chains"),
        ({"l1_ratio": 2}, "l1_ratio"),
        ({"batch_size": 0}, "batch_size"),
        ({"early_stopping": True, "validation_fraction": 0.999}, "validation_fraction"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"dtype": np.float16}, "'dtype' .* Got .*float16"),
        ({"learn_variance": "yes"}, "'learn_variance'"),
        ({"n_temperatures": 1}, "'n_temperatures'"),
        ({"max_norm": 0}, "'max_norm'"),
        ({"sparsity_target": 0.0}, "'sparsity_target'"),
        ({"sparsity_cost": -1}, "'sparsity_cost'"),
        ({"dropout": 1.0}, "'dropout'"),
        ({"algorithm": "pt", "activation": "relu"}, "algorithm='pt' .*activation='relu'"),
        ({"algorithm": "pt", "dropout": 0.1}, "algorithm='pt' .*dropout=0.1"),
    ],
)
def test_bad_parameters(digits, settings, message):
    """Each error names the parameter; a fitted stack stays as it was."""
    stack = small().fit(digits[:50])
    before = vars(clone(stack).set_params(**settings)) | {
        k: v for k, v in vars(stack).items() if k.endswith("_")
    }
    stack.set_params(**settings)
    with pytest.raises(ValueError, match=message):
        stack.fit(digits[:50])
    assert all(vars(stack)[name] is value for name, value in before.items() if name.endswith("_"))


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"alpha": -1}, {"trace": "step"}], ids=str)
def test_partial_fit_checks_parameters_each_time(digits, settings):
    """scikit-learn's decorator does so in the first call; they may be set to anything later."""
    for stack in (small(), small().fit(digits[:50])):
        with pytest.raises(ValueError, match=f"'{next(iter(settings))}' parameter"):
            stack.set_params(**settings).partial_fit(digits[:50])


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda X: np.where(X > 0.9, np.inf, X), "infinity"),
        (lambda X: X + 1j, "Complex"),
        (lambda X: X[0], "1D array"),
        (lambda X: X[:0], "0 sample"),
        (lambda X: X.astype(str), "numeric|string"),
        (lambda X: scipy.sparse.csr_array(X + 1j), "real|Complex"),
    ],
)
def test_bad_data(digits, spoil, message):
    """Each error says what is wrong; an unfitted stack stays unfitted."""
    stack = small()
    before = dict(vars(stack))
    for method in (stack.fit, stack.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(spoil(digits[:50]))
        assert vars(stack) == before


def test_the_trace_of_a_first_epoch_that_diverged():
    """It keeps the state before the first update, which is the one that training returns to."""
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 1"):
        stack = small(learning_rate=1e300).fit(np.ones((5, 2)) * 1.7)
    assert stack.gradient_trace_.epoch.tolist() == [0.0]


@pytest.mark.parametrize("dtype, far", [("float32", 1e14), ("float64", 1e150)])
def test_samples_out_of_reach(dtype, far):
    """Too far from those of the first call for the squares of their distances; nothing changes."""
    X = np.random.RandomState(0).normal(size=(30, 2))
    stack = small(visible="gaussian", dtype=dtype).partial_fit(X)
    before = stack.coefs_[0].copy()
    with pytest.raises(ValueError, match="X must have the scale of the samples of the first call"):
        stack.partial_fit(X * [1.0, far])
    np.testing.assert_array_equal(stack.coefs_[0], before)
    assert np.isfinite(stack.partial_fit(X).feature_importances_).all()


def test_use_before_fit_and_wrong_widths(digits):
    """The usual errors, with numbers."""
    for use in (small().transform, small().complete, small().gibbs, lambda X: small().sample()):
        with pytest.raises(NotFittedError):
            use(digits)
    stack = small().fit(digits[:50])
    with pytest.raises(ValueError, match="63 features.*64"):
        stack.transform(digits[:, 1:])
    with pytest.raises(ValueError, match="63 features.*64"):
        stack.partial_fit(digits[:, 1:])
    with pytest.raises(ValueError, match="5 features.*4"):
        stack.inverse_transform(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="63 features.*64"):
        stack.complete(digits[:, 1:])
    with pytest.raises(ValueError, match="infinity"):
        stack.complete(np.where(digits > 0.9, np.inf, digits))
    np.testing.assert_array_equal(stack.complete(scipy.sparse.csr_array(digits)), digits)
    with pytest.raises(ValueError, match="2D array, got scalar"):
        stack.complete(None)
    with pytest.raises(ValueError, match="bytes/strings"):
        stack.complete(np.full((2, 64), "grey"))
    with pytest.raises(ValueError, match="units"):
        stack.set_params(hidden_layer_sizes=(7, 4)).partial_fit(digits[:50])


@pytest.mark.parametrize(
    "method, name, value, least",
    [
        ("gibbs", "n_steps", 0, 1),
        ("gibbs", "n_steps", 1.5, 1),
        ("sample", "n_samples", 0, 1),
        ("sample", "n_samples", 2.0, 1),
        ("sample", "n_steps", -1, 0),
        ("complete", "n_steps", -1, 0),
        ("complete", "n_burn_in", -1, 0),
    ],
)
def test_bad_numbers_of_steps_and_samples(digits, method, name, value, least):
    """Each error names the parameter, the rule and the value."""
    stack = small().fit(digits[:50])
    rows = () if method == "sample" else (digits[:2],)
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least {least}.*{value}"):
        getattr(stack, method)(*rows, **{name: value})


def test_divergence_stops_training_with_the_last_good_parameters():
    """A step that is not a number that float32 can hold is noticed and undone."""
    X = np.random.RandomState(0).normal(size=(200, 30)) * np.ones(30)
    with pytest.warns(ConvergenceWarning, match="layer 1 of 1 diverged.*learning_rate"):
        stack = small(hidden_layer_sizes=(40,), learning_rate=1e45, max_iter=50).fit(X)
    assert all(np.isfinite(x).all() for x in parameters(stack))


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_a_stack_may_not_end_far_worse_than_it_began(digits, visible):
    """Logistic units hold any weights, so a divergence may stay finite for ever."""
    params = {"visible": visible, "learning_rate": 1e4, "max_iter": 10, "n_iter_no_change": 10}
    with pytest.warns(ConvergenceWarning, match="diverged.*learning_rate"):
        stack = small(hidden_layer_sizes=(20, 10), **params).fit(digits[:300])
    X_mean = stack.reconstruct(digits[:300])
    assert np.isfinite(X_mean).all() and np.abs(X_mean).max() < 1e3


@pytest.mark.parametrize("values", [(-1e-310, 4e-310), (0.0, 5e-324), (-1e-308, 0.0), (2.0, 2.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_range_that_cannot_be_divided_by(values, dtype):
    """1 / 1e-310 is infinite; what is learned and shown is finite all the same."""
    X = np.random.RandomState(0).uniform(*values, size=(60, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="X has values|X is not scaled")
        stack = small(visible="bernoulli", dtype=dtype).fit(X)
    assert all(np.isfinite(x).all() for x in parameters(stack))
    assert np.isfinite(stack.transform(X)).all() and np.isfinite(stack.reconstruct(X)).all()
    assert np.isfinite(stack.visible_scale_).all()


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", "auto"])
def test_a_range_beyond_double_precision(visible):
    """No unit of measurement makes numbers of such data: the error says so, nothing is fitted."""
    X = 1.5e308 * np.linspace(-1, 1, 60).reshape(20, 3)
    stack = small(visible=visible)
    with pytest.raises(ValueError, match="X must have a range .* from -1.5e"):
        stack.fit(X)
    assert not hasattr(stack, "coefs_")


def test_batch_size_beyond_the_data_is_clipped(digits):
    """One minibatch of all rows, and the warning of the networks; none for chunks."""
    with pytest.warns(UserWarning, match="Got `batch_size` larger than sample size: .* > 50"):
        clipped = small(batch_size=10**12).fit(digits[:50])
    assert_same(clipped, small(batch_size=50).fit(digits[:50]))
    small(batch_size=10**12).partial_fit(digits[:50]).partial_fit(digits[:3])


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        ({"hidden_layer_sizes": (10**9,)}, "hidden_layer_sizes must fit"),
        ({"hidden_layer_sizes": (4, 2**62)}, "hidden_layer_sizes must fit"),
        ({"hidden_layer_sizes": (2**63, 4)}, "hidden_layer_sizes must fit"),
        ({"algorithm": "pcd", "n_chains": 10**12}, "n_chains must fit"),
        ({"algorithm": "fpcd", "n_chains": 2**63}, "n_chains must fit"),
        ({"algorithm": "pt", "n_temperatures": 10**12}, "n_chains x n_temperatures must fit"),
    ],
    ids=str,
)
def test_what_no_memory_holds(digits, params, rule):
    """The error names the parameter and the memory, before any is asked for."""
    stack = small(**params)
    for method in (stack.fit, stack.partial_fit):
        with pytest.raises(ValueError, match=rf"{rule} .* needs [0-9.,]+ .iB or more"):
            method(digits[:50])
    assert not hasattr(stack, "coefs_")


def test_samples_that_no_memory_holds(digits):
    """Likewise of what is generated."""
    stack = small().fit(digits[:50])
    with pytest.raises(ValueError, match="n_samples must fit .* got 100000000000000, which needs"):
        stack.sample(10**14)


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu"])
def test_gaussian_units_stay_within_bounds(activation):
    """Rows far from the others, correlated features, a batch of one row: the default rate holds."""
    random = np.random.RandomState(0)
    X = random.normal(size=(200, 1)) + 0.3 * random.normal(size=(200, 60))
    X *= np.where(random.uniform(size=(200, 1)) < 0.03, 10.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        stack = small(
            hidden_layer_sizes=(40,), activation=activation, batch_size=1, max_iter=10
        ).fit(X)
    assert np.abs(stack.coefs_[0]).max() < 10.0
    assert stack.gradient_trace_.reconstruction_mse[-1, 0] < 1.0  # that of the mean alone


def interrupting(monkeypatch, at):
    """Raise KeyboardInterrupt at the end of the at-th epoch from now on, its updates made."""
    whole, n_begun = rbm_training.RBMTraining.epoch, iter(range(1, 100))

    def epoch(self, *args):
        whole(self, *args)
        if next(n_begun) == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(rbm_training.RBMTraining, "epoch", epoch)


def continue_by(stack, X, how):
    return stack.partial_fit(X) if how == "partial_fit" else stack.fit(X)


@pytest.mark.parametrize("how", ["partial_fit", "warm start"])
@pytest.mark.parametrize("n_chains", [10, 20])
@pytest.mark.parametrize("reason", ["divergence", "interrupt"])
@pytest.mark.parametrize("algorithm", ["pcd", "fpcd", "pt"])
def test_a_continued_stack_is_left_as_it_was(digits, monkeypatch, how, n_chains, reason, algorithm):
    """What training changes in place is put back: a failed call might not have been made."""
    X, random = digits[:100], np.random.RandomState(0)
    settings = {"n_chains": 10, "warm_start": True, "random_state": random}
    settings |= {"visible": "gaussian", **ALGORITHMS[algorithm], "max_norm": None}
    stack = small(**settings).fit(X)
    before = pickle.dumps(stack)
    stack.set_params(n_chains=n_chains)
    if reason == "divergence":
        # The first layer is trained, the second one's divergence becomes an error.
        stack.set_params(learning_rate=[0.1, 1e38])
        with warnings.catch_warnings(), pytest.raises(ConvergenceWarning):
            warnings.simplefilter("error")
            continue_by(stack, X, how)
    else:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupting(patch, at=1)
            continue_by(stack, X, how)
    stack.set_params(n_chains=10, learning_rate=0.1)
    twin = pickle.loads(before)
    assert_same(stack, twin)
    assert stack.n_iter_ == twin.n_iter_
    assert_same(stack.partial_fit(X), twin.partial_fit(X))  # velocities, chains, numbers too
    np.testing.assert_array_equal(
        stack.gradient_trace_.weight_norm, twin.gradient_trace_.weight_norm
    )


def test_interrupted_epochs_draw_no_random_numbers(digits, monkeypatch):
    """What is kept is the state after the last complete epoch, the generator's included."""
    X, settings = digits[:100], {"hidden_layer_sizes": 6, "warm_start": True}
    expected = small(**settings, max_iter=2).fit(X)
    stack = small(**settings, max_iter=5)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupting(patch, at=3)
        stack.fit(X)
    assert stack.n_iter_ == [2]
    assert_same(stack, expected)
    assert_same(stack.partial_fit(X), expected.partial_fit(X))


def test_ctrl_c_keeps_the_last_complete_epoch(digits):
    """The interrupt is raised again; what was reached is a usable stack with a whole trace."""
    stack = BernoulliRBMStack((128,), max_iter=100_000, n_iter_no_change=100_000, verbose=0)
    small(hidden_layer_sizes=(128,)).fit(digits)  # compiled
    timer = threading.Timer(0.7, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        stack.fit(digits)
    n = stack.n_iter_[0]
    assert n >= 1
    assert stack.gradient_trace_.epoch.tolist() == list(range(n + 1))
    assert np.linalg.norm(stack.coefs_[0]) == pytest.approx(
        stack.gradient_trace_.weight_norm[-1, 0], rel=1e-6
    )
    assert stack.transform(digits).shape == (len(digits), 128)


def test_verbose_tells_of_each_layer(capsys):
    """Which epoch of how many, what it came to, the time; partial_fit counts on."""
    X = np.random.default_rng(0).uniform(size=(30, 4))
    stack = BernoulliRBMStack((3, 2), max_iter=[2, 1], random_state=0, verbose=1).fit(X)
    told = capsys.readouterr().out.splitlines()
    kl = stack.gradient_trace_.reconstruction_kl
    assert [line.split(", time")[0] for line in told] == [
        f"[BernoulliRBMStack] Layer 1 of 2, epoch 1 of 2, reconstruction KL = {kl[1, 0]:.6g}",
        f"[BernoulliRBMStack] Layer 1 of 2, epoch 2 of 2, reconstruction KL = {kl[2, 0]:.6g}",
        f"[BernoulliRBMStack] Layer 2 of 2, epoch 1 of 1, reconstruction KL = {kl[1, 1]:.6g}",
    ]
    assert all("left = " in line for line in told)
    stack.partial_fit(X)
    told = capsys.readouterr().out.splitlines()
    assert [line.split(", reconstruction")[0].split("] ")[1] for line in told] == [
        "Layer 1 of 2, epoch 3",
        "Layer 2 of 2, epoch 2",
    ]
    assert not any("left" in line for line in told)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_weight_decay_leaves_what_centered_hidden_units_tell(l1_ratio):
    """Where values are missing, too: it decays W, and b + W lam stays, lam being the offsets."""
    random = np.random.RandomState(0)
    X = np.column_stack([random.randint(3, size=40), random.random_sample((40, 2)) < 0.5]) * 1.0
    X[random.random_sample(X.shape) < 0.5] = np.nan
    settings = {
        "visible": ["categorical", "bernoulli", "bernoulli"],
        "init": 0.5,
        "l1_ratio": l1_ratio,
        "batch_size": 40,
        "max_iter": 1,
        "dtype": "float64",
        "random_state": 0,
    }
    start = BernoulliRBMStack((4,), learning_rate=1e-300, **settings).fit(X)
    lam = start.transform(X).mean(axis=0)  # offsets start there
    plain, decayed = (BernoulliRBMStack((4,), alpha=a, **settings).fit(X) for a in (0.0, 0.5))
    gap = decayed.coefs_[0] - plain.coefs_[0]
    assert abs(gap).min() > 1e-5
    np.testing.assert_allclose(
        decayed.intercepts_visible_[0] - plain.intercepts_visible_[0], -gap @ lam, rtol=1e-9
    )
