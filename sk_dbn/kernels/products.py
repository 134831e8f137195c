"""Matrix products of any size, by tiles that stay in registers, or by BLAS.

BLAS packs its operands first, which takes as long as the product of a layer of a hundred units
with a minibatch of tens of rows. Only where a factor outgrows the caches does packing pay.
"""

from sk_dbn.kernels.blas import gemm_nn, gemm_nt, gemm_tn
from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.tiles import (
    MOST_DOT_COLUMNS,
    MOST_DOT_ROWS,
    MOST_ROWS,
    MOST_VECTORS,
    VECTOR_BYTES,
    dot_tile,
    multiply_tile,
)

# Elements of the second factor beyond which a product is left to BLAS. With registers of 64
# bytes tiles were faster up to 2000 x 2000 and 40,000 x 100, whichever code OpenBLAS took; with
# those of 32 bytes up to 1000 x 1000.
BLAS_FACTOR = 2**22 if VECTOR_BYTES == 64 else 2**20
ROWS_AT_ONCE = 48  # of the first factor, which stay in cache while the second one passes


@kernel(forceinline=True)
def _pieces(n, most):
    """Into how many pieces of at most so many elements n elements are cut."""
    return (n + most - 1) // most


@kernel(fastmath=EXACT)
def _multiply(alpha, A, B, C, is_added):
    """C = alpha A B (+ C), tile by tile; A may be a transposed view."""
    m, n = C.shape[0], C.shape[1]
    lanes = VECTOR_BYTES // C.itemsize
    n_vectors, n_row_tiles = _pieces(n, lanes), _pieces(m, MOST_ROWS)
    n_column_tiles = _pieces(n_vectors, MOST_VECTORS)
    for s in range(n_column_tiles):
        j = n_vectors * s // n_column_tiles * lanes
        end = min(n_vectors * (s + 1) // n_column_tiles * lanes, n)
        for t in range(n_row_tiles):
            i = m * t // n_row_tiles
            n_rows = m * (t + 1) // n_row_tiles - i
            multiply_tile(alpha, A, i, n_rows, B, j, end - j, C, is_added)


@kernel(fastmath=EXACT)
def _dots(A, B, C):
    """C = A B^T, tile by tile."""
    m, n = C.shape[0], C.shape[1]
    for first in range(0, m, ROWS_AT_ONCE):
        n_rows = min(ROWS_AT_ONCE, m - first)
        n_row_tiles = _pieces(n_rows, MOST_DOT_ROWS)
        for j in range(0, n, MOST_DOT_COLUMNS):
            n_columns = min(MOST_DOT_COLUMNS, n - j)
            for t in range(n_row_tiles):
                i = first + n_rows * t // n_row_tiles
                end = first + n_rows * (t + 1) // n_row_tiles
                dot_tile(A, i, end - i, B, j, n_columns, C)


@routine
def product_nn(A, B, C):
    """C = A B.

    Parameters
    ----------
    A, B : arrays (m, k) and (k, n), rows contiguous
    C : array (m, n), rows contiguous, written
    """
    if B.size <= BLAS_FACTOR:
        _multiply(C.dtype.type(1.0), A, B, C, False)
    else:
        gemm_nn(C.dtype.type(1.0), A, B, C.dtype.type(0.0), C)


@routine
def product_nt(A, B, C):
    """C = A B^T, for A (m, k), B (n, k) and C (m, n), as `product_nn`."""
    if B.size <= BLAS_FACTOR:
        _dots(A, B, C)
    else:
        gemm_nt(C.dtype.type(1.0), A, B, C.dtype.type(0.0), C)


@routine
def product_tn(alpha, A, B, beta, C):
    """C = alpha A^T B + beta C, for A (k, m), B (k, n) and C (m, n), as `product_nn`.

    Parameters
    ----------
    alpha, beta : scalars of the matrices' dtype; beta is 0 (whatever C holds) or 1
    """
    if B.size <= BLAS_FACTOR:
        _multiply(alpha, A.T, B, C, beta != 0)
    else:
        gemm_tn(alpha, A, B, beta, C)
