"""Products of any size: the loops for small ones agree with NumPy, as BLAS does for large."""

import numpy as np
import pytest

from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.products import (
    BLAS_FACTOR,
    BLAS_WORK,
    product_nn,
    product_nt,
    product_tn,
)
from tests.kernels.test_blas import DTYPES, NN, NT, TN, inside, operands

# Every remainder of four in each direction, single rows and columns, and a large product.
SMALL_SHAPES = [(m, n, k) for m in (1, 4, 6, 9) for n in (1, 5, 8, 33) for k in (1, 4, 7, 10)]
LARGE_SHAPE = (3, 520, 540)


@kernel
def product(kind, alpha, A, B, beta, C):
    """One of the three products."""
    if kind == NN:
        product_nn(alpha, A, B, beta, C)
    elif kind == NT:
        product_nt(alpha, A, B, beta, C)
    else:
        product_tn(alpha, A, B, beta, C)


def test_the_shapes_reach_both_ways():
    """The shapes below take the loops, the large one takes BLAS."""
    assert all(m * n * k <= BLAS_WORK and n * k <= BLAS_FACTOR for m, n, k in SMALL_SHAPES)
    assert LARGE_SHAPE[1] * LARGE_SHAPE[2] > BLAS_FACTOR


@pytest.mark.parametrize("kind", [NN, NT, TN])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_equal_numpy(dtype, kind):
    """Rounding aside, any product is NumPy's; nothing beside a slice is read or written."""
    random = np.random.RandomState(0)
    for m, n, k in [*SMALL_SHAPES, LARGE_SHAPE]:
        A, B, exact = operands(kind, m, n, k, dtype, random)
        start = random.normal(size=(m, n)).astype(dtype)
        for alpha, beta in ((1.0, 0.0), (0.5, 1.0), (-2.0, 0.25)):
            larger, C = inside(start)
            product(kind, dtype(alpha), inside(A)[1], inside(B)[1], dtype(beta), C)
            tolerance = 8 * k * np.finfo(dtype).eps
            np.testing.assert_allclose(C, alpha * exact + beta * start, 0, tolerance)
            assert np.isnan(larger).sum() == larger.size - m * n


@pytest.mark.parametrize("kind", [NN, NT, TN])
def test_beta_zero_forgets_and_nan_survives(kind):
    """With beta = 0 the old content does not matter, even NaN; NaN in a factor shows."""
    random = np.random.RandomState(0)
    A, B, exact = operands(kind, 5, 6, 7, np.float64, random)
    C = np.full((5, 6), np.nan)
    product(kind, 1.0, A, B, 0.0, C)
    np.testing.assert_allclose(C, exact, 1e-12, 1e-12)
    A[0, 0] = np.nan
    product(kind, 1.0, A, B, 0.0, C)
    assert np.isnan(C).any() and not np.isnan(C).all()


def test_a_row_does_not_depend_on_the_rows_beside_it():
    """Up to rounding, a row of a product is the product of the row."""
    random = np.random.RandomState(0)
    A, B, _ = operands(NN, 9, 33, 10, np.float64, random)
    together, alone = np.empty((9, 33)), np.empty((1, 33))
    product(NN, 1.0, A, B, 0.0, together)
    for i in range(9):
        product(NN, 1.0, A[i : i + 1], B, 0.0, alone)
        np.testing.assert_allclose(together[i], alone[0], 1e-13, 1e-13)
