"""Rows read from the caller's data as it lies: dtypes, layouts, sparsity, standardisation."""

import numpy as np
import pytest
import scipy.sparse

from sk_dbn.kernels.feed_forward import predict_rows
from sk_dbn.models.data import Data
from sk_dbn.models.network import Network
from tests import reference

OUT_DTYPES = [np.float32, np.float64]
INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
IN_DTYPES = [np.float32, np.float64, np.float16, bool, *INTEGERS]
ROWS = np.array([3, 0, 0, 8, 2, 7, 3])


def read(X, dtype, rows=ROWS, **kwargs):
    """The rows as a network without layers puts them out."""
    data = Data(X, dtype, **kwargs)
    layers = Network([data.shape[1], 1], [], "identity", dtype).layers
    out = np.full((len(rows), data.shape[1]), np.nan, dtype)
    predict_rows.serial(data.source, rows, layers, 0, 3, out)
    return out


def matrix(dtype, shape=(9, 6)):
    """Values over the whole range of a dtype, its ends among them."""
    random, dtype = np.random.RandomState(0), np.dtype(dtype)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        anything = random.bytes(shape[0] * shape[1] * dtype.itemsize)
        X = np.frombuffer(anything, dtype).reshape(shape).copy()
        X[3, :2] = ends.min, ends.max
        return X
    return random.normal(size=shape).astype(dtype)


def assert_read(X, dtype, rows=ROWS):
    """Every value is the nearest one in the output's precision."""
    expected = reference.gathered(X, rows).astype(dtype)
    np.testing.assert_array_equal(read(X, dtype, rows), expected)


@pytest.mark.parametrize("out", OUT_DTYPES)
@pytest.mark.parametrize("dtype", IN_DTYPES)
def test_every_dtype(dtype, out):
    """A value is converted once, by way of float64, which holds all but the widest integers."""
    assert_read(matrix(dtype), out)
    assert_read(np.asfortranarray(matrix(dtype)), out)


@pytest.mark.parametrize("out", OUT_DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_half(out, order):
    """All 65536 numbers of float16, subnormals, infinities and NaN among them, are exact."""
    X = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape((256, 256), order=order)
    with np.errstate(invalid="ignore"):  # signalling NaN
        assert_read(X, out, np.arange(256)[::-1].copy())


@pytest.mark.parametrize("out", OUT_DTYPES)
def test_extreme_numbers(out):
    """Infinities, NaN, the largest and the smallest numbers pass as NumPy converts them."""
    info = np.finfo(np.float64)
    single = np.finfo(np.float32)
    values = [np.inf, np.nan, -0.0, info.max, info.tiny, info.smallest_subnormal]
    values += [single.max, single.tiny, single.smallest_subnormal, 2.0**24 + 1]
    X = np.array([values, np.negative(values)])
    with np.errstate(over="ignore"):
        assert_read(X, out, np.arange(2))


def layouts(X):
    """The same matrix as it may lie in memory."""
    n, m = X.shape
    wide = np.zeros((2 * n, 3 * m), X.dtype)
    wide[::2, ::3] = X
    swapped = X.dtype.newbyteorder(">" if X.dtype.isnative else "<")
    raw = np.zeros(X.nbytes + 1, np.uint8)
    odd = np.ndarray(X.shape, X.dtype, raw.data, offset=1)
    odd[:] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    fields = np.zeros(n, dtype=[("skip", np.int8), ("row", X.dtype, m)])
    fields["row"] = X
    return {
        "C": X.copy(),
        "F": np.asfortranarray(X),
        "transposed": np.ascontiguousarray(X.T).T,
        "strided rows": np.repeat(X, 2, axis=0)[::2],
        "strided both": wide[::2, ::3],
        "reversed rows": X[::-1].copy()[::-1],
        "reversed columns": X[:, ::-1].copy()[:, ::-1],
        "reversed both": X[::-1, ::-1].copy()[::-1, ::-1],
        "byte-swapped": X.astype(swapped),
        "unaligned": odd,
        "read-only": frozen,
        "field of a record": fields["row"],
        "list": X.tolist(),
    }


@pytest.mark.parametrize("out", OUT_DTYPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, np.uint8])
def test_every_layout(dtype, out):
    """Where a value lies does not change it, and reading changes nothing."""
    X = matrix(dtype)
    for name, laid in layouts(X).items():
        np.testing.assert_array_equal(read(laid, out), X[ROWS].astype(out), name)
        np.testing.assert_array_equal(np.asarray(laid), X, name)


@pytest.mark.parametrize("out", OUT_DTYPES)
def test_shapes_with_ambiguous_strides(out):
    """One row, one column, a repeated row, a repeated column, windows that overlap."""
    x = np.random.RandomState(0).normal(size=9)
    for X in (
        x[:, None],
        np.repeat(x, 2)[::2, None],
        np.broadcast_to(x, (9, 9)),
        np.broadcast_to(x[:, None], (9, 4)),
        np.broadcast_to(x[3], (9, 4)),
        np.lib.stride_tricks.sliding_window_view(np.r_[x, x], 5)[:9],
    ):
        assert_read(X, out)
    assert_read(x[None, :], out, np.zeros(3, np.int64))
    assert_read(x[None, ::-1], out, np.zeros(3, np.int64))


@pytest.mark.parametrize("out", OUT_DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_mapped(tmp_path, order, out):
    """A file mapped read-only is read in place: the array that kernels see is the map."""
    X = np.asarray(matrix(np.float32), order=order)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert np.shares_memory(Data(mapped, out).X, mapped)
    assert_read(mapped, out)


def test_common_layouts_are_not_copied():
    """Memory beyond X is a minibatch: native dtypes are read in place in any order."""
    for dtype in IN_DTYPES:
        X = matrix(dtype)
        for laid in (X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X[:, ::2]):
            assert np.shares_memory(Data(laid, np.float32).X, laid)


def test_other_dtypes_are_converted():
    """What kernels cannot read becomes float64: extended precision, Python's numbers."""
    X = matrix(np.float64)
    for other in (X.astype(np.longdouble), X.astype(object)):
        np.testing.assert_array_equal(read(other, np.float64), X[ROWS])


def sparse(dtype=np.float64, index=np.int32):
    """A CSR matrix with empty rows, its dense twin."""
    X = matrix(dtype)
    X[np.random.RandomState(1).uniform(size=X.shape) < 0.6] = 0
    X[[0, 7]] = 0
    csr = scipy.sparse.csr_matrix(X)
    csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
    return csr, X


@pytest.mark.parametrize("out", OUT_DTYPES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csr_array])
def test_csr(container, index, out):
    """Rows of a CSR matrix equal those of its dense twin; rows without entries are zeros."""
    csr, X = sparse(index=index)
    csr = container(csr)
    csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
    np.testing.assert_array_equal(read(csr, out), X[ROWS].astype(out))


@pytest.mark.parametrize("out", OUT_DTYPES)
@pytest.mark.parametrize("dtype", [d for d in IN_DTYPES if d != np.float16])
def test_csr_of_every_dtype(dtype, out):
    """Values of a sparse matrix have the dtypes of dense ones."""
    csr, X = sparse(dtype)
    np.testing.assert_array_equal(read(csr, out), X[ROWS].astype(float).astype(out))


@pytest.mark.parametrize("out", OUT_DTYPES)
def test_csr_as_it_may_lie(out):
    """Unsorted indices, duplicates (summed, as SciPy does) and index arrays of two widths."""
    values, columns, starts = [1.0, 2.0, 4.0, 8.0, 16.0], [3, 0, 3, 1, 1], [0, 0, 3, 5]
    expected = np.array([[0, 0, 0, 0], [2, 0, 0, 5], [0, 24, 0, 0]])
    rows = np.array([2, 0, 1])
    csr = scipy.sparse.csr_matrix((values, columns, starts), shape=(3, 4))
    np.testing.assert_array_equal(read(csr, out, rows), expected[rows])
    for widths in ((np.int32, np.int64), (np.int64, np.int32)):
        csr.indices, csr.indptr = (np.array(columns, widths[0]), np.array(starts, widths[1]))
        np.testing.assert_array_equal(read(csr, out, rows), expected[rows])


@pytest.mark.parametrize("out", OUT_DTYPES)
def test_csr_parts_in_any_layout(out):
    """The three arrays of a CSR matrix may be strided, reversed, read-only or byte-swapped."""
    csr, X = sparse()

    def every_other(a):
        return np.repeat(a, 2)[::2]

    def reverse(a):
        return a[::-1].copy()[::-1]

    def swap(a):
        return a.astype(a.dtype.newbyteorder(">"))

    def freeze(a):
        a = a.copy()
        a.flags.writeable = False
        return a

    for laid in (every_other, reverse, swap, freeze):
        other = csr.copy()
        other.data, other.indices, other.indptr = map(laid, (csr.data, csr.indices, csr.indptr))
        np.testing.assert_array_equal(read(other, out), X[ROWS].astype(out), laid.__name__)


def test_empty_csr():
    """A matrix without a single entry has no values to read."""
    empty = scipy.sparse.csr_matrix((9, 6))
    np.testing.assert_array_equal(read(empty, np.float32), np.zeros((7, 6)))


@pytest.mark.parametrize("out", OUT_DTYPES)
@pytest.mark.parametrize("limits", [(-np.inf, np.inf), (-0.5, 1.25)])
def test_standardise_and_clip(limits, out):
    """(x - shift) scale, then clipped, for every way of reading; NaN is not clipped away."""
    csr, dense = sparse()
    dense[2, 1] = np.nan
    shift, scale = np.linspace(-1, 1, 6), np.linspace(0.5, 2, 6)
    for X in (dense, np.asfortranarray(dense), dense.astype(np.float16), csr):
        expected = reference.gathered(X, ROWS, shift, scale, limits)
        result = read(X, out, shift=shift, scale=scale, limits=limits)
        np.testing.assert_allclose(result, expected, 8 * np.finfo(out).eps, 8 * np.finfo(out).eps)


def test_no_clipping_without_a_shift():
    """Limits belong to the standardisation: without one, values pass as they are."""
    X = matrix(np.float64)
    np.testing.assert_array_equal(read(X, np.float64, limits=(-0.1, 0.1)), X[ROWS])
