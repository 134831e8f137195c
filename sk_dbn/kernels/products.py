"""Matrix products of any size: small ones in loops that vectorise, large ones by BLAS.

A layer of a hundred units and a minibatch of tens of rows is too small for BLAS, which
packs its operands first. Four rows of the result and four terms of the sum are worked on
at once, so that a vector of the result is loaded and stored once for sixteen
multiplications.
"""

from sk_dbn.kernels.blas import gemm_nn, gemm_nt, gemm_tn
from sk_dbn.kernels.compile import EXACT, kernel, routine

BLAS_WORK = 2**24  # multiplications beyond which a product is left to BLAS
BLAS_FACTOR = 2**18  # likewise elements of the second factor: no longer in a core's cache


@kernel(forceinline=True)
def _is_small(m, n, k):
    return m * n * k <= BLAS_WORK and n * k <= BLAS_FACTOR


@kernel
def _clear(C):
    """Zeros in place of whatever C holds."""
    zero = C.dtype.type(0.0)
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            C[i, j] = zero


@kernel(forceinline=True)
def _four(alpha, a, k):
    """alpha times the elements k to k + 3."""
    return alpha * a[k], alpha * a[k + 1], alpha * a[k + 2], alpha * a[k + 3]


@kernel(fastmath=EXACT)
def _add_four_rows(alpha, A, i, B, C):
    """C[i:i+4] += alpha A[i:i+4] B, four terms of the sum at a time."""
    n_terms = A.shape[1]
    whole = n_terms - n_terms % 4
    c0, c1, c2, c3 = C[i], C[i + 1], C[i + 2], C[i + 3]
    for k in range(0, whole, 4):
        a00, a01, a02, a03 = _four(alpha, A[i], k)
        a10, a11, a12, a13 = _four(alpha, A[i + 1], k)
        a20, a21, a22, a23 = _four(alpha, A[i + 2], k)
        a30, a31, a32, a33 = _four(alpha, A[i + 3], k)
        b0, b1, b2, b3 = B[k], B[k + 1], B[k + 2], B[k + 3]
        for j in range(C.shape[1]):
            x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
            c0[j] = c0[j] + a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
            c1[j] = c1[j] + a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
            c2[j] = c2[j] + a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
            c3[j] = c3[j] + a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
    for k in range(whole, n_terms):
        a0, a1 = alpha * A[i, k], alpha * A[i + 1, k]
        a2, a3 = alpha * A[i + 2, k], alpha * A[i + 3, k]
        b = B[k]
        for j in range(C.shape[1]):
            c0[j] += a0 * b[j]
            c1[j] += a1 * b[j]
            c2[j] += a2 * b[j]
            c3[j] += a3 * b[j]


@kernel(fastmath=EXACT)
def _add_two_rows(alpha, A, i, B, C):
    """C[i:i+2] += alpha A[i:i+2] B, four terms of the sum at a time."""
    n_terms = A.shape[1]
    whole = n_terms - n_terms % 4
    c0, c1 = C[i], C[i + 1]
    for k in range(0, whole, 4):
        a00, a01, a02, a03 = _four(alpha, A[i], k)
        a10, a11, a12, a13 = _four(alpha, A[i + 1], k)
        b0, b1, b2, b3 = B[k], B[k + 1], B[k + 2], B[k + 3]
        for j in range(C.shape[1]):
            x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
            c0[j] = c0[j] + a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
            c1[j] = c1[j] + a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
    for k in range(whole, n_terms):
        a0, a1, b = alpha * A[i, k], alpha * A[i + 1, k], B[k]
        for j in range(C.shape[1]):
            c0[j] += a0 * b[j]
            c1[j] += a1 * b[j]


@kernel(fastmath=EXACT)
def _add_row(alpha, A, i, B, C):
    """C[i] += alpha A[i] B, four terms of the sum at a time."""
    n_terms = A.shape[1]
    whole = n_terms - n_terms % 4
    c = C[i]
    for k in range(0, whole, 4):
        a0, a1, a2, a3 = _four(alpha, A[i], k)
        b0, b1, b2, b3 = B[k], B[k + 1], B[k + 2], B[k + 3]
        for j in range(C.shape[1]):
            c[j] = c[j] + a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]
    for k in range(whole, n_terms):
        a, b = alpha * A[i, k], B[k]
        for j in range(C.shape[1]):
            c[j] += a * b[j]


@kernel
def _add_product(alpha, A, B, C):
    """C += alpha A B for small matrices; A may be a transposed view."""
    n = C.shape[0]
    for i in range(0, n - 3, 4):
        _add_four_rows(alpha, A, i, B, C)
    if n % 4 > 1:
        _add_two_rows(alpha, A, n - n % 4, B, C)
    if n % 2 == 1:
        _add_row(alpha, A, n - 1, B, C)


@kernel(forceinline=True)
def _next_three(k, n):
    """k + 1, k + 2 and k + 3, none of them beyond the last of n."""
    return min(k + 1, n - 1), min(k + 2, n - 1), min(k + 3, n - 1)


@kernel(forceinline=True)
def _dots_4x4(A, i, B, j, C):
    """C[i:i+4, j:j+4] = A[i:i+4] B[j:j+4]^T; what would lie beyond the end repeats the last."""
    i1, i2, i3 = _next_three(i, A.shape[0])
    j1, j2, j3 = _next_three(j, B.shape[0])
    a0, a1, a2, a3 = A[i], A[i1], A[i2], A[i3]
    b0, b1, b2, b3 = B[j], B[j1], B[j2], B[j3]
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
    c0, c1, c2, c3 = C[i], C[i1], C[i2], C[i3]
    c0[j], c0[j1], c0[j2], c0[j3] = s00, s01, s02, s03
    c1[j], c1[j1], c1[j2], c1[j3] = s10, s11, s12, s13
    c2[j], c2[j1], c2[j2], c2[j3] = s20, s21, s22, s23
    c3[j], c3[j1], c3[j2], c3[j3] = s30, s31, s32, s33


@kernel(forceinline=True)
def _dots_2x4(A, i, B, j, C):
    """C[i:i+2, j:j+4] likewise."""
    i1 = min(i + 1, A.shape[0] - 1)
    j1, j2, j3 = _next_three(j, B.shape[0])
    a0, a1 = A[i], A[i1]
    b0, b1, b2, b3 = B[j], B[j1], B[j2], B[j3]
    zero = C.dtype.type(0.0)
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = zero
    for k in range(A.shape[1]):
        x0, x1 = a0[k], a1[k]
        y0, y1, y2, y3 = b0[k], b1[k], b2[k], b3[k]
        s00 += x0 * y0
        s01 += x0 * y1
        s02 += x0 * y2
        s03 += x0 * y3
        s10 += x1 * y0
        s11 += x1 * y1
        s12 += x1 * y2
        s13 += x1 * y3
    c0, c1 = C[i], C[i1]
    c0[j], c0[j1], c0[j2], c0[j3] = s00, s01, s02, s03
    c1[j], c1[j1], c1[j2], c1[j3] = s10, s11, s12, s13


@kernel
def _product_of_rows(A, B, C):
    """C = A B^T for small matrices."""
    n = C.shape[0]
    for i in range(0, n - 2, 4):
        for j in range(0, C.shape[1], 4):
            _dots_4x4(A, i, B, j, C)
    if n % 4 == 1 or n % 4 == 2:
        for j in range(0, C.shape[1], 4):
            _dots_2x4(A, n - n % 4, B, j, C)


@routine
def product_nn(A, B, C):
    """C = A B.

    Parameters
    ----------
    A, B : arrays (m, k) and (k, n), rows contiguous
    C : array (m, n), rows contiguous, written
    """
    if _is_small(A.shape[0], B.shape[1], A.shape[1]):
        _clear(C)
        _add_product(C.dtype.type(1.0), A, B, C)
    else:
        gemm_nn(C.dtype.type(1.0), A, B, C.dtype.type(0.0), C)


@routine
def product_nt(A, B, C):
    """C = A B^T, for A (m, k), B (n, k) and C (m, n), as `product_nn`."""
    if _is_small(A.shape[0], B.shape[0], A.shape[1]):
        _product_of_rows(A, B, C)
    else:
        gemm_nt(C.dtype.type(1.0), A, B, C.dtype.type(0.0), C)


@routine
def product_tn(alpha, A, B, beta, C):
    """C = alpha A^T B + beta C, for A (k, m), B (k, n) and C (m, n), as `product_nn`.

    Parameters
    ----------
    alpha, beta : scalars of the matrices' dtype; beta is 0 (whatever C holds) or 1
    """
    if _is_small(A.shape[1], B.shape[1], A.shape[0]):
        if beta == 0:
            _clear(C)
        _add_product(alpha, A.T, B, C)
    else:
        gemm_tn(alpha, A, B, beta, C)
