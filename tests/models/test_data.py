"""Data described for kernels, and the order of samples that depends on nothing but them."""

import gc

import joblib
import numpy as np
import pytest
import scipy.sparse

from sk_dbn.kernels.gather import gather
from sk_dbn.models.data import Data
from sk_dbn.models.orders import canonical_order
from sk_dbn.models.threads import run_serial
from tests import reference


def samples(n_samples=500, seed=0):
    """Whole numbers, as many dtypes hold them, and targets."""
    random = np.random.RandomState(seed)
    return random.randint(0, 60, size=(n_samples, 12)), random.normal(size=(n_samples, 2))


def order_of(*matrices):
    return canonical_order(run_serial, *(Data(m, np.float32) for m in matrices))


@pytest.mark.parametrize("seed", range(3))
def test_canonical_order_forgets_the_storage(seed):
    """However the samples were shuffled, in canonical order they are the same sequence."""
    X, y = samples(seed=seed)
    order = order_of(X, y)
    assert np.array_equal(np.sort(order), np.arange(len(X)))
    for permutation in (np.random.RandomState(seed).permutation(len(X)), np.arange(len(X))[::-1]):
        shuffled = X[permutation], y[permutation]
        again = order_of(*shuffled)
        assert np.array_equal(shuffled[0][again], X[order])
        assert np.array_equal(shuffled[1][again], y[order])


def test_canonical_order_forgets_dtype_and_layout():
    """Equal content, equal order: dense, Fortran, another precision, sparse."""
    X, y = samples()
    order = order_of(X, y)
    for other in (
        X.astype(np.uint8),
        np.asfortranarray(X.astype(np.float64)),
        np.repeat(X, 2, axis=1)[:, ::2],
        scipy.sparse.csr_matrix(X.astype(np.float32)),
    ):
        assert np.array_equal(order_of(other, np.asfortranarray(y)), order)


def test_canonical_order_brings_equal_samples_together():
    """A sample listed twice stands beside itself, in the order in which it was listed."""
    X, y = samples(50)
    repeated = np.repeat(np.arange(50), 2)
    order = order_of(X[repeated], y[repeated])
    assert np.array_equal(repeated[order[::2]], repeated[order[1::2]])
    assert np.all(order[::2] < order[1::2])
    assert np.array_equal(X[repeated][order[::2]], X[order_of(X, y)])


def test_canonical_order_looks_at_targets_too():
    """Rows with equal inputs and other targets are other samples."""
    X, y = np.ones((40, 3)), np.arange(40.0)[:, None]
    order = order_of(X, y)
    assert np.array_equal(y[order], y[::-1][order_of(X, y[::-1])])
    assert not np.array_equal(order, np.arange(40))


def test_canonical_order_is_not_sorted_by_value():
    """Minibatches must not be made of one class: the order is as good as random."""
    X = np.linspace(0, 1, 4000)[:, None]
    ranks = X[order_of(X), 0]
    assert abs(np.corrcoef(ranks[1:], ranks[:-1])[0, 1]) < 5 / np.sqrt(4000)
    assert abs(np.corrcoef(ranks, np.arange(4000))[0, 1]) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("make", [np.array, scipy.sparse.csr_matrix, np.asfortranarray])
def test_data_keeps_alive_what_it_describes(make):
    """Kernels read by address: the arrays behind it live as long as the description."""
    X, _ = samples()
    data = Data(make(X.astype(float)), np.float64)
    gc.collect()
    fill = [np.full(X.shape, np.nan) for _ in range(50)]  # would land in memory set free
    rows = np.arange(len(X))
    for result, expected in zip(data.moments(rows), reference.column_moments(X, rows)):
        np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert len(fill) == 50


def test_standardisation_of_a_large_mean():
    """A mean a billion times the spread costs no digits: it is subtracted in float64."""
    random = np.random.RandomState(0)
    X = random.randint(-500, 500, size=(9, 4)) / 256.0  # exact beside 2^30
    rows, out, far = np.arange(9), np.empty((2, 9, 4), np.float32), X + 2.0**30
    for k, (values, shift) in enumerate(((X, np.zeros(4)), (far, np.full(4, 2.0**30)))):
        for given in (values, scipy.sparse.csr_array(values)):
            data = Data(given, np.float32, shift=shift, scale=np.full(4, 0.5))
            gather(data.source, rows, out[k])
    assert np.array_equal(out[0], out[1])


def test_order_of_binary_samples_with_binary_targets():
    """Inputs and targets hash independently: (x1=1, y=0) is not (x1=0, y=1)."""
    X = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)] * 2, float)
    y = np.repeat([0.0, 1.0], 8).reshape(-1, 1)
    first = canonical_order(run_serial, Data(X, np.float32), Data(y, np.float32))
    p = np.random.RandomState(0).permutation(16)
    second = canonical_order(run_serial, Data(X[p], np.float32), Data(y[p], np.float32))
    assert np.array_equal(np.hstack([X, y])[first], np.hstack([X, y])[p][second])


def test_a_digest_is_of_content_and_order():
    """Of the rows that are asked for, in that order, and of nothing else."""
    X, _ = samples()
    rows = np.random.RandomState(1).permutation(len(X))[:300]
    digest = Data(X, "float32").digest(rows)
    others = X.copy()
    others[np.setdiff1d(np.arange(len(X)), rows)] += 1
    for same in (others, np.asfortranarray(X), np.hstack([X, X])[:, : X.shape[1]]):
        assert Data(same, "float64").digest(rows) == digest
    assert Data(X[rows], "float32").digest(np.arange(300)) == digest
    changed = X.copy()
    changed[rows[200], 1] += 1
    for other in (changed, X.astype(np.float32), scipy.sparse.csr_matrix(X)):
        assert Data(other, "float32").digest(rows) != digest
    assert Data(X, "float32").digest(rows[::-1]) != digest


def test_a_digest_of_a_sparse_matrix_forgets_the_type_of_its_indices():
    """SciPy chooses it by the size of the whole matrix."""
    narrow = scipy.sparse.random(50, 20, density=0.2, format="csr", random_state=0)
    wide, moved = narrow.copy(), narrow.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    moved.indices = moved.indices[::-1].copy()
    digests = [Data(A, "float32").digest(np.arange(40)) for A in (narrow, wide, moved)]
    assert digests[0] == digests[1] != digests[2]


def test_a_digest_reads_some_rows_at_a_time(monkeypatch):
    """So a memory-mapped file is never in memory as a whole."""
    X, _ = samples()
    read, hash_ = [], joblib.hash
    monkeypatch.setattr("sk_dbn.models.data.BLOCK_VALUES", 100 * X.shape[1])
    monkeypatch.setattr(joblib, "hash", lambda x, *name: read.append(len(x)) or hash_(x))
    Data(X, "float32").digest(np.arange(len(X)))
    assert read == [100] * 5 + [5]
