"""Matrix products called from compiled code, on whole matrices and on slices."""

import numpy as np
import pytest

from sk_dbn.kernels.blas import gemm_nn, gemm_nt, gemm_tn
from sk_dbn.kernels.compile import kernel

NN, NT, TN = range(3)
DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1, 1), (1, 9, 4), (7, 1, 5), (6, 8, 1), (33, 20, 47), (130, 70, 90)]


@kernel
def product(kind, alpha, A, B, beta, C):
    """One of the three products."""
    if kind == NN:
        gemm_nn(alpha, A, B, beta, C)
    elif kind == NT:
        gemm_nt(alpha, A, B, beta, C)
    else:
        gemm_tn(alpha, A, B, beta, C)


def operands(kind, m, n, k, dtype, random):
    """A and B as a kind of product wants them, and the product."""
    a, b = random.normal(size=(m, k)), random.normal(size=(k, n))
    A = (a.T if kind == TN else a).astype(dtype)
    B = (b.T if kind == NT else b).astype(dtype)
    left = A.T if kind == TN else A
    right = B.T if kind == NT else B
    return A, B, left.astype(float) @ right.astype(float)


def inside(matrix):
    """The same matrix as a part of a larger one: its rows are not next to each other."""
    n, m = matrix.shape
    larger = np.full((n + 2, m + 3), np.nan, matrix.dtype)
    larger[1:-1, 1:-2] = matrix
    return larger, larger[1:-1, 1:-2]


@pytest.mark.parametrize("kind", [NN, NT, TN])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_slices(dtype, kind):
    """BLAS is told each matrix's own row stride; nothing beside a slice is read or written."""
    random = np.random.RandomState(0)
    for m, n, k in SHAPES:
        A, B, exact = operands(kind, m, n, k, dtype, random)
        start = random.normal(size=(m, n)).astype(dtype)
        for alpha, beta in ((1.0, 0.0), (0.5, 1.0), (-2.0, 0.25)):
            larger, C = inside(start)
            alpha, beta = dtype(alpha), dtype(beta)
            product(kind, alpha, inside(A)[1], inside(B)[1], beta, C)
            tolerance = 8 * k * np.finfo(dtype).eps
            np.testing.assert_allclose(C, alpha * exact + beta * start, 0, tolerance)
            assert np.isnan(larger).sum() == larger.size - m * n


@pytest.mark.parametrize("kind", [NN, NT, TN])
def test_products_of_whole_matrices(kind):
    """Contiguous matrices are the same thing with a row stride of their width."""
    random = np.random.RandomState(1)
    for m, n, k in SHAPES:
        A, B, exact = operands(kind, m, n, k, np.float32, random)
        A, B = np.ascontiguousarray(A), np.ascontiguousarray(B)
        C = np.zeros((m, n), np.float32)
        product(kind, np.float32(1), A, B, np.float32(0), C)
        np.testing.assert_allclose(C, exact, 0, 8 * k * np.finfo(np.float32).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_beta_zero_forgets_what_was_there(dtype):
    """With beta = 0 BLAS does not read C, so NaN left in a buffer cannot survive."""
    A, B, exact = operands(NN, 5, 6, 7, dtype, np.random.RandomState(2))
    larger, C = inside(np.full((5, 6), np.nan, dtype))
    product(NN, dtype(1), inside(A)[1], inside(B)[1], dtype(0), C)
    np.testing.assert_allclose(C, exact, 0, 60 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kind", [NN, NT, TN])
def test_nan_and_infinity_reach_the_product(kind):
    """Divergence must be seen: what is not finite in an operand is not finite in its row."""
    for bad in (np.nan, np.inf):
        A, B, _ = operands(kind, 9, 8, 7, np.float64, np.random.RandomState(3))
        A[(2, 4) if kind == TN else (4, 2)] = bad
        C = inside(np.zeros((9, 8)))[1]
        product(kind, 1.0, inside(A)[1], inside(B)[1], 0.0, C)
        assert not np.isfinite(C[4]).any()
        assert np.isfinite(np.delete(C, 4, axis=0)).all()


@pytest.mark.parametrize("kind", [NN, NT, TN])
def test_plain_python_computes_the_same(kind):
    """The NumPy version that stands behind the names outside compiled code agrees."""
    A, B, exact = operands(kind, 4, 5, 6, np.float64, np.random.RandomState(4))
    start = np.ones((4, 5))
    plain = (gemm_nn, gemm_nt, gemm_tn)[kind]
    C = start.copy()
    plain(2.0, A, B, 1.0, C)
    np.testing.assert_allclose(C, 2 * exact + start)
    C[:] = np.nan
    plain(2.0, A, B, 0.0, C)
    np.testing.assert_allclose(C, 2 * exact)
