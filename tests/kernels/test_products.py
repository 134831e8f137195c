"""Products of any size: tiles of every shape agree with NumPy, as BLAS does for large ones."""

import numpy as np
import pytest

from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.products import (
    BLAS_FACTOR,
    product_nn,
    product_nt,
    product_tn,
)
from tests.kernels.test_blas import DTYPES, NN, NT, TN, inside, operands

# Tiles of every height and width with whole and broken vectors, and a large product.
SMALL_SHAPES = [
    (m, n, k)
    for m in (1, 2, 3, 5, 6, 10)
    for n in (1, 2, 3, 7, 8, 16, 33, 48, 70)
    for k in (1, 7, 16, 35)
]
LARGE_SHAPE = (3, 2050, 2060)


@kernel
def product(kind, A, B, C):
    """One of the three products."""
    if kind == NN:
        product_nn(A, B, C)
    elif kind == NT:
        product_nt(A, B, C)
    else:
        product_tn(C.dtype.type(1.0), A, B, C.dtype.type(0.0), C)


def test_the_shapes_reach_both_ways():
    """The small shapes take tiles, the large one takes BLAS."""
    assert all(n * k <= BLAS_FACTOR for _, n, k in SMALL_SHAPES)
    assert LARGE_SHAPE[1] * LARGE_SHAPE[2] > BLAS_FACTOR


@pytest.mark.parametrize("kind", [NN, NT, TN])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_agree_with_numpy(dtype, kind):
    """Rounding aside, any product is NumPy's; nothing beside a slice is read or written."""
    random = np.random.RandomState(0)
    for m, n, k in [*SMALL_SHAPES, LARGE_SHAPE]:
        A, B, exact = operands(kind, m, n, k, dtype, random)
        larger, C = inside(random.normal(size=(m, n)).astype(dtype))
        product(kind, inside(A)[1], inside(B)[1], C)
        np.testing.assert_allclose(C, exact, 0, 8 * k * np.finfo(dtype).eps)
        assert np.isnan(larger).sum() == larger.size - m * n


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_may_be_scaled_and_added(dtype):
    """product_tn, of which gradients are made, is BLAS's with any alpha and a beta of 0 or 1."""
    random = np.random.RandomState(0)
    for m, n, k in [*SMALL_SHAPES, LARGE_SHAPE]:
        A, B, exact = operands(TN, m, n, k, dtype, random)
        start = random.normal(size=(m, n)).astype(dtype)
        for alpha, beta in ((0.5, 1.0), (-2.0, 0.0)):
            C = start.copy()
            product_tn(dtype(alpha), inside(A)[1], inside(B)[1], dtype(beta), C)
            tolerance = 8 * k * np.finfo(dtype).eps
            np.testing.assert_allclose(C, alpha * exact + beta * start, 0, tolerance)


@pytest.mark.parametrize("kind", [NN, NT, TN])
def test_the_old_content_is_forgotten_and_nan_survives(kind):
    """What the result's memory held does not matter, even NaN; NaN in a factor shows."""
    random = np.random.RandomState(0)
    A, B, exact = operands(kind, 5, 6, 7, np.float64, random)
    A, B = np.ascontiguousarray(A), np.ascontiguousarray(B)
    C = np.full((5, 6), np.nan)
    product(kind, A, B, C)
    np.testing.assert_allclose(C, exact, 1e-12, 1e-12)
    A[0, 0] = np.nan
    product(kind, A, B, C)
    assert np.isnan(C).any() and not np.isnan(C).all()


@pytest.mark.parametrize("kind", [NN, NT, TN])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_does_not_depend_on_the_rows_beside_it(dtype, kind):
    """Bit for bit, a row of a product is the product of the row, whatever tile it is part of."""
    random = np.random.RandomState(0)
    A, B, _ = operands(kind, 9, 33, 70, dtype, random)
    A, B = np.ascontiguousarray(A), np.ascontiguousarray(B)
    together, alone = np.empty((9, 33), dtype), np.empty((1, 33), dtype)
    product(kind, A, B, together)
    for i in range(9):
        row = A[:, i : i + 1] if kind == TN else A[i : i + 1]
        product(kind, row, B, alone)
        np.testing.assert_array_equal(together[i], alone[0])
