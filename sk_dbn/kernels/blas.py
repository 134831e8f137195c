"""Matrix products inside compiled code: BLAS called without copies or temporaries.

All matrices are row-major with contiguous rows. BLAS is column-major, so it is asked for
the transposed product. In plain Python the same names compute the same with NumPy.
"""

import scipy.linalg.blas  # noqa: F401  (numba's BLAS helper needs scipy's)
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

NO, YES = ord("n"), ord("t")  # BLAS's codes: transpose or not


@intrinsic
def _xgemm(typingctx, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
    """Call ?gemm through the helper that numba's own ``np.dot`` uses."""
    real, i = alpha, types.intp
    signature = types.void(i, i, i, i, i, real, i, i, i, i, real, i, i)
    kind = ord("s") if real == types.float32 else ord("d")
    ir_real = ir.FloatType() if real == types.float32 else ir.DoubleType()

    def codegen(context, builder, sig, args):
        ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc = args
        char, ptr, intp = ir.IntType(8), ir.IntType(8).as_pointer(), cgutils.intp_t
        helper = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(
                ir.IntType(32),
                [char, char, char, *[intp] * 3, ptr, ptr, intp, ptr, intp, ptr, ptr, intp],
            ),
            "numba_xxgemm",
        )

        def slot(value):
            place = cgutils.alloca_once(builder, ir_real)
            builder.store(value, place)
            return builder.bitcast(place, ptr)

        def pointer(value):
            return builder.inttoptr(value, ptr)

        sizes = [m, n, k]
        ab = [slot(alpha), pointer(a), lda, pointer(b), ldb]
        transposes = [builder.trunc(ta, char), builder.trunc(tb, char)]
        out = [slot(beta), pointer(c), ldc]
        builder.call(helper, [char(kind), *transposes, *sizes, *ab, *out])
        return context.get_dummy_value()

    return signature, codegen


def gemm_nn(alpha, A, B, beta, C):
    """C = alpha A B + beta C, for A (m, k), B (k, n) and C (m, n)."""
    C[...] = alpha * (A @ B) + (beta * C if beta else 0)


def gemm_nt(alpha, A, B, beta, C):
    """C = alpha A B^T + beta C, for A (m, k), B (n, k) and C (m, n)."""
    C[...] = alpha * (A @ B.T) + (beta * C if beta else 0)


def gemm_tn(alpha, A, B, beta, C):
    """C = alpha A^T B + beta C, for A (k, m), B (k, n) and C (m, n)."""
    C[...] = alpha * (A.T @ B) + (beta * C if beta else 0)


@overload(gemm_nn)
def _gemm_nn(alpha, A, B, beta, C):
    size = A.dtype.bitwidth // 8

    def compiled(alpha, A, B, beta, C):
        m, n, k = A.shape[0], B.shape[1], A.shape[1]
        lda, ldb, ldc = A.strides[0] // size, B.strides[0] // size, C.strides[0] // size
        a, b, c = A.ctypes.data, B.ctypes.data, C.ctypes.data
        _xgemm(NO, NO, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)

    return compiled


@overload(gemm_nt)
def _gemm_nt(alpha, A, B, beta, C):
    size = A.dtype.bitwidth // 8

    def compiled(alpha, A, B, beta, C):
        m, n, k = A.shape[0], B.shape[0], A.shape[1]
        lda, ldb, ldc = A.strides[0] // size, B.strides[0] // size, C.strides[0] // size
        a, b, c = A.ctypes.data, B.ctypes.data, C.ctypes.data
        _xgemm(YES, NO, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)

    return compiled


@overload(gemm_tn)
def _gemm_tn(alpha, A, B, beta, C):
    size = A.dtype.bitwidth // 8

    def compiled(alpha, A, B, beta, C):
        m, n, k = A.shape[1], B.shape[1], A.shape[0]
        lda, ldb, ldc = A.strides[0] // size, B.strides[0] // size, C.strides[0] // size
        a, b, c = A.ctypes.data, B.ctypes.data, C.ctypes.data
        _xgemm(NO, YES, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)

    return compiled
