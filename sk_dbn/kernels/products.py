"""Matrix products of any size: small ones in loops that vectorise, large ones by BLAS.

A layer of a hundred units and a minibatch of tens of rows is too small for BLAS, which
packs its operands first. Four rows of the result and four terms of the sum are worked on
at once, so that a vector of the result is loaded and stored once for sixteen
multiplications.
"""

from sk_dbn.kernels.blas import gemm_nn, gemm_nt, gemm_tn
from sk_dbn.kernels.compile import EXACT, kernel

BLAS_WORK = 2**24  # multiplications beyond which a product is left to BLAS
BLAS_FACTOR = 2**18  # likewise elements of the second factor: no longer in a core's cache


@kernel(forceinline=True)
def _is_small(m, n, k):
    return m * n * k <= BLAS_WORK and n * k <= BLAS_FACTOR


@kernel
def _scale(factor, C):
    """C *= factor, where 0 makes zeros of anything."""
    if factor == 0:
        C[:] = 0
    elif factor != 1:
        for i in range(C.shape[0]):
            for j in range(C.shape[1]):
                C[i, j] *= factor


@kernel(fastmath=EXACT)
def _add_four_rows(A, i, B, C):
    """C[i:i+4] += A[i:i+4] B, four terms of the sum at a time."""
    n_terms = A.shape[1]
    whole = n_terms - n_terms % 4
    c0, c1, c2, c3 = C[i], C[i + 1], C[i + 2], C[i + 3]
    for k in range(0, whole, 4):
        a00, a01, a02, a03 = A[i, k], A[i, k + 1], A[i, k + 2], A[i, k + 3]
        a10, a11, a12, a13 = A[i + 1, k], A[i + 1, k + 1], A[i + 1, k + 2], A[i + 1, k + 3]
        a20, a21, a22, a23 = A[i + 2, k], A[i + 2, k + 1], A[i + 2, k + 2], A[i + 2, k + 3]
        a30, a31, a32, a33 = A[i + 3, k], A[i + 3, k + 1], A[i + 3, k + 2], A[i + 3, k + 3]
        b0, b1, b2, b3 = B[k], B[k + 1], B[k + 2], B[k + 3]
        for j in range(C.shape[1]):
            x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
            c0[j] = c0[j] + a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
            c1[j] = c1[j] + a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
            c2[j] = c2[j] + a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
            c3[j] = c3[j] + a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
    for k in range(whole, n_terms):
        a0, a1, a2, a3 = A[i, k], A[i + 1, k], A[i + 2, k], A[i + 3, k]
        b = B[k]
        for j in range(C.shape[1]):
            c0[j] += a0 * b[j]
            c1[j] += a1 * b[j]
            c2[j] += a2 * b[j]
            c3[j] += a3 * b[j]


@kernel(fastmath=EXACT)
def _add_row(A, i, B, C):
    """C[i] += A[i] B, four terms of the sum at a time."""
    n_terms = A.shape[1]
    whole = n_terms - n_terms % 4
    c = C[i]
    for k in range(0, whole, 4):
        a0, a1, a2, a3 = A[i, k], A[i, k + 1], A[i, k + 2], A[i, k + 3]
        b0, b1, b2, b3 = B[k], B[k + 1], B[k + 2], B[k + 3]
        for j in range(C.shape[1]):
            c[j] = c[j] + a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]
    for k in range(whole, n_terms):
        a, b = A[i, k], B[k]
        for j in range(C.shape[1]):
            c[j] += a * b[j]


@kernel
def _add_product(A, B, C):
    """C += A B for small matrices; A may be a transposed view."""
    whole = C.shape[0] - C.shape[0] % 4
    for i in range(0, whole, 4):
        _add_four_rows(A, i, B, C)
    for i in range(whole, C.shape[0]):
        _add_row(A, i, B, C)


@kernel(forceinline=True)
def _add_dots_4x4(A, i, B, j, C):
    """C[i:i+4, j:j+4] += A[i:i+4] B[j:j+4]^T."""
    a0, a1, a2, a3 = A[i], A[i + 1], A[i + 2], A[i + 3]
    b0, b1, b2, b3 = B[j], B[j + 1], B[j + 2], B[j + 3]
    zero = C.dtype.type(0.0)
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = zero
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = zero
    for k in range(A.shape[1]):
        x0, x1, x2, x3 = a0[k], a1[k], a2[k], a3[k]
        y0, y1, y2, y3 = b0[k], b1[k], b2[k], b3[k]
        s00 += x0 * y0
        s01 += x0 * y1
        s02 += x0 * y2
        s03 += x0 * y3
        s10 += x1 * y0
        s11 += x1 * y1
        s12 += x1 * y2
        s13 += x1 * y3
        s20 += x2 * y0
        s21 += x2 * y1
        s22 += x2 * y2
        s23 += x2 * y3
        s30 += x3 * y0
        s31 += x3 * y1
        s32 += x3 * y2
        s33 += x3 * y3
    sums = (s00, s01, s02, s03), (s10, s11, s12, s13), (s20, s21, s22, s23), (s30, s31, s32, s33)
    for row in range(4):
        for column in range(4):
            C[i + row, j + column] += sums[row][column]


@kernel(forceinline=True)
def _add_dot(A, i, B, j, C):
    """C[i, j] += A[i] . B[j]."""
    a, b = A[i], B[j]
    s = C.dtype.type(0.0)
    for k in range(A.shape[1]):
        s += a[k] * b[k]
    C[i, j] += s


@kernel
def _add_product_of_rows(A, B, C):
    """C += A B^T for small matrices."""
    m, n = C.shape
    m4, n4 = m - m % 4, n - n % 4
    for i in range(0, m4, 4):
        for j in range(0, n4, 4):
            _add_dots_4x4(A, i, B, j, C)
        for j in range(n4, n):
            for row in range(i, i + 4):
                _add_dot(A, row, B, j, C)
    for i in range(m4, m):
        for j in range(n):
            _add_dot(A, i, B, j, C)


@kernel
def product_nn(alpha, A, B, beta, C):
    """C = alpha A B + beta C.

    Parameters
    ----------
    alpha, beta : scalars of the matrices' dtype, alpha not 0
    A, B : arrays (m, k) and (k, n), rows contiguous
    C : array (m, n), rows contiguous, written
    """
    if _is_small(A.shape[0], B.shape[1], A.shape[1]):
        _scale(beta / alpha, C)
        _add_product(A, B, C)
        _scale(alpha, C)
    else:
        gemm_nn(alpha, A, B, beta, C)


@kernel
def product_nt(alpha, A, B, beta, C):
    """C = alpha A B^T + beta C, for A (m, k), B (n, k) and C (m, n), as `product_nn`."""
    if _is_small(A.shape[0], B.shape[0], A.shape[1]):
        _scale(beta / alpha, C)
        _add_product_of_rows(A, B, C)
        _scale(alpha, C)
    else:
        gemm_nt(alpha, A, B, beta, C)


@kernel
def product_tn(alpha, A, B, beta, C):
    """C = alpha A^T B + beta C, for A (k, m), B (k, n) and C (m, n), as `product_nn`."""
    if _is_small(A.shape[1], B.shape[1], A.shape[0]):
        _scale(beta / alpha, C)
        _add_product(A.T, B, C)
        _scale(alpha, C)
    else:
        gemm_tn(alpha, A, B, beta, C)
