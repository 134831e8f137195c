"""Products of any size: tiles of every shape agree with NumPy, panels copied or not."""

import os
import platform
import subprocess
import sys
from itertools import product as pairs
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding, ir
from numba import types
from numba.core.registry import cpu_target

from sk_dbn.kernels.blocks import ALONE, twins
from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.products import (
    COPY_BYTES,
    FAR_BYTES,
    MIN_BYTES,
    MIN_ROWS,
    ROWS_AT_ONCE,
    TERMS_AT_ONCE,
    product_nn,
    product_nt,
    product_tn,
)
from sk_dbn.kernels.tiles import MAX_ROWS, MAX_VECTORS, VECTOR_BYTES, Vectors

NN, NT, TN = range(3)
DTYPES = [np.float32, np.float64]
ROOT = Path(__file__).resolve().parents[2]

# Tiles of every height, more rows than are taken at once, and none.
ROWS = [*range(MAX_ROWS + 2), ROWS_AT_ONCE + 5]
# Rows, columns and terms of products whose panels are copied: of sums in one block and in several,
# of a first factor whose copy takes several chunks, of a second one that is fetched ahead.
COPIED = [
    (2 * MIN_ROWS, 135, TERMS_AT_ONCE),
    (2 * MIN_ROWS + 1, 530, 2 * TERMS_AT_ONCE + 3),
    (COPY_BYTES // 200, 330, 61),
    (2 * MIN_ROWS + 5, 1030, 259),
]
# Processors with smaller registers; the second one does not load parts of them.
PROCESSORS = {"haswell": "+avx,+avx2,+fma", "nehalem": "+sse4.2"}


def shapes(dtype):
    """Rows, columns and terms: whole vectors, one column less and one more, and none."""
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    whole = lanes * np.arange(MAX_VECTORS + 2)
    columns = {2, 3, *whole, *(whole[1:] - 1), *(whole + 1)}
    return [*pairs(ROWS, sorted(map(int, columns)), (0, 1, lanes - 1, 2 * lanes + 3)), *COPIED]


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


@kernel
def product(kind, A, B, C):
    """One of the three products."""
    if kind == NN:
        product_nn(ALONE, A, B, C)
    elif kind == NT:
        product_nt(ALONE, A, B, C)
    else:
        product_tn(C.dtype.type(1.0), A, B, C.dtype.type(0.0), C)


@twins
def shared_product(team, kind, A, B, C):
    """One of the two products whose columns a team may share."""
    if kind == NN:
        product_nn(team, A, B, C)
    else:
        product_nt(team, A, B, C)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 2 * MIN_ROWS])
@pytest.mark.parametrize("kind", [NN, NT])
def test_shared_columns_are_the_same_columns(kind, m, dtype):
    """To the last bit; their number is no multiple of that of parts or of a vector's numbers."""
    A, B, expected = operands(kind, m, 1037, 517, dtype, np.random.RandomState(0))
    A, B = np.ascontiguousarray(A), np.ascontiguousarray(B)
    assert B.nbytes > FAR_BYTES
    C, alone = (np.full((m, 1037), np.nan, dtype) for _ in range(2))
    shared_product.parallel(kind, A, B, C)
    shared_product.serial(kind, A, B, alone)
    np.testing.assert_array_equal(C, alone)
    np.testing.assert_allclose(C, expected, rtol=1e-3, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_shapes_reach_every_way(dtype):
    """Tiles of each height and width, read where they lie; and copies, in blocks and chunks."""
    *_, several_blocks, several_chunks, far = COPIED
    small, size = [s for s in shapes(dtype) if s not in COPIED], np.dtype(dtype).itemsize
    lanes = VECTOR_BYTES // size
    assert {m for m, _, _ in small} >= set(range(1, MAX_ROWS + 1))
    assert {-(-n // lanes) for _, n, _ in small} >= set(range(1, MAX_VECTORS + 1))
    assert all(min(k, TERMS_AT_ONCE) * n * size < MIN_BYTES for _, n, k in small)
    assert all(m >= 2 * MIN_ROWS for m, _, _ in COPIED)
    assert all(min(k, TERMS_AT_ONCE) * n * size > MIN_BYTES for _, n, k in COPIED)
    assert several_blocks[2] > 2 * TERMS_AT_ONCE
    assert several_chunks[0] * several_chunks[2] * size > COPY_BYTES
    assert far[1] * far[2] * size > FAR_BYTES


@pytest.mark.parametrize("kind", [NN, NT, TN])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_agree_with_numpy(dtype, kind):
    """Rounding aside, any product is NumPy's; nothing beside a slice counts or is written."""
    random = np.random.RandomState(0)
    for m, n, k in shapes(dtype):
        A, B, exact = operands(kind, m, n, k, dtype, random)
        larger, C = inside(random.normal(size=(m, n)).astype(dtype))
        product(kind, inside(A)[1], inside(B)[1], C)
        np.testing.assert_allclose(C, exact, 0, 8 * k * np.finfo(dtype).eps)
        assert np.isnan(larger).sum() == larger.size - m * n


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_transposed_factor_of_any_size_is_copied(dtype):
    """Chunks of the first factor's copy have room for it, however its rows are divided."""
    random = np.random.RandomState(0)
    n = MIN_BYTES // 60 // np.dtype(dtype).itemsize
    for k in (61, 100, 192, 200, 255, 300):
        A, B = (random.normal(size=(k, size)).astype(dtype) for size in (700, n))
        exact, tolerance = A.T.astype(float) @ B.astype(float), 8 * k * np.finfo(dtype).eps
        for m in range(max(MIN_ROWS, 60), 700, 7 if k < 300 else 97):
            C = np.empty((m, n), dtype)
            product_tn(dtype(1.0), A[:, :m], B, dtype(0.0), C)
            np.testing.assert_allclose(C, exact[:m], 0, tolerance)


@pytest.mark.parametrize("kind", [NN, NT, TN])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_column_is_as_good_as_a_row(dtype, kind):
    """Where a column's elements lie side by side the product takes its transpose: NumPy's again."""
    random = np.random.RandomState(0)
    for m, n, k in [
        (5, 1, 70),
        (130, 1, 3),
        (70, 1, 700),
        (70, 33, 1),
        (3, 9, 1),
        (7, 1, 1),
        (4, 1, 0),
    ]:
        A, B, exact = operands(kind, m, n, k, dtype, random)
        C, tolerance = np.full((m, n), np.nan, dtype), 8 * k * np.finfo(dtype).eps
        A, B = np.ascontiguousarray(A), np.ascontiguousarray(B)
        product(kind, A, B, C)
        np.testing.assert_allclose(C, exact, 0, tolerance)
        if kind == TN:
            product_tn(dtype(-2.0), A, B, dtype(1.0), C)
            np.testing.assert_allclose(C, -exact, 0, 3 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_may_be_scaled_and_added(dtype):
    """product_tn, of which gradients are made, takes any alpha, and a beta of 0 or 1."""
    random = np.random.RandomState(0)
    for m, n, k in shapes(dtype):
        A, B, exact = operands(TN, m, n, k, dtype, random)
        start = random.normal(size=(m, n)).astype(dtype)
        for alpha, beta in ((0.5, 1.0), (-2.0, 0.0)):
            C = start.copy()
            product_tn(dtype(alpha), inside(A)[1], inside(B)[1], dtype(beta), C)
            tolerance = 8 * k * np.finfo(dtype).eps
            np.testing.assert_allclose(C, alpha * exact + beta * start, 0, tolerance)


@pytest.mark.parametrize("kind", [NN, NT, TN])
@pytest.mark.parametrize("shape", [(5, 6, 7), *COPIED])
def test_the_old_content_is_forgotten_and_nan_survives(kind, shape):
    """What the result's memory held does not matter, even NaN; NaN in a factor shows."""
    random = np.random.RandomState(0)
    A, B, exact = operands(kind, *shape, np.float64, random)
    A, B = np.ascontiguousarray(A), np.ascontiguousarray(B)
    C = np.full(shape[:2], np.nan)
    product(kind, A, B, C)
    np.testing.assert_allclose(C, exact, 1e-12, 1e-12)
    for bad in (np.nan, np.inf):
        A[0, 0] = bad
        product(kind, A, B, C)
        assert not np.isfinite(C[0]).any() and np.isfinite(C[1:]).all()


@pytest.mark.parametrize("kind", [NN, NT, TN])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9, 33, 70), COPIED[1]])
def test_a_row_does_not_depend_on_the_rows_beside_it(dtype, kind, shape):
    """Bit for bit, a row of a product is the product of the row, whatever tile it is part of.

    With a transposed second factor that holds for the few rows that take no copy of it.
    """
    m, n, k = shape
    m = min(m, 2 * MIN_ROWS - 1) if kind == NT else m
    random = np.random.RandomState(0)
    A, B, _ = operands(kind, m, n, k, dtype, random)
    A, B = np.ascontiguousarray(A), np.ascontiguousarray(B)
    together, alone = np.empty((m, n), dtype), np.empty((1, n), dtype)
    product(kind, A, B, together)
    for i in range(m):
        row = A[:, i : i + 1] if kind == TN else A[i : i + 1]
        product(kind, row, B, alone)
        np.testing.assert_array_equal(together[i], alone[0])


END_OF_A_PAGE = """
import ctypes, mmap
import numpy as np
from tests.kernels.test_products import DTYPES, NT, TN, inside, product

page, libc = mmap.PAGESIZE, ctypes.CDLL(None)
memory = mmap.mmap(-1, 100 * page)
beyond = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + 99 * page
assert libc.mprotect(ctypes.c_void_p(beyond), ctypes.c_size_t(page), 0) == 0

def at_the_end(matrix):
    copy = np.frombuffer(memory, matrix.dtype, matrix.size, 99 * page - matrix.nbytes)
    copy = copy.reshape(matrix.shape)
    copy[:] = matrix
    return copy

def repeated(matrix):
    steps = 0, matrix.itemsize
    return np.lib.stride_tricks.as_strided(matrix[-1:], matrix.shape, steps)

for dtype in DTYPES:
    for m, n, k in [(1, 1, 1), (5, 7, 3), (6, 33, 20), (7, 70, 35), (130, 27, 300)]:
        for kind, (a, b) in enumerate([((m, k), (k, n)), ((m, k), (n, k)), ((k, m), (k, n))]):
            for which in range(3):
                matrices = [np.ones(shape, dtype) for shape in (a, b, (m, n))]
                matrices[which] = at_the_end(matrices[which])
                product(kind, *matrices)
                assert (matrices[2] == k).all()
            for view in (np.flipud, repeated):
                for which in range(2):
                    matrices = [np.random.rand(*shape).astype(dtype) for shape in (a, b, (m, n))]
                    matrices = [inside(matrix)[1] for matrix in matrices]
                    matrices[which] = view(at_the_end(matrices[which]))
                    A, B, C = matrices
                    product(kind, A, B, C)
                    exact = (A.T if kind == TN else A) @ (B.T if kind == NT else B)
                    np.testing.assert_allclose(C, exact, 8 * k * np.finfo(dtype).eps)
print("done")
"""


def run_python(code, **environment):
    """What a program prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, *code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="memory is protected in another way there")
def test_nothing_beyond_the_last_element_is_read():
    """Each matrix in turn ends where memory ends that may be read.

    Also where the first row lies last, and where all rows are the same one.
    """
    assert run_python(["-c", END_OF_A_PAGE]) == "done\n"


def test_intrinsics_are_of_the_form_that_llvm_has():
    """LLVM rewrites an intrinsic of an older form while it may; then it knows it no more."""
    module = ir.Module()
    module.triple = binding.get_default_triple()
    type_ = ir.FunctionType(ir.VoidType(), [ir.FloatType().as_pointer(), ir.IntType(64)])
    builder = ir.IRBuilder(ir.Function(module, type_, "f").append_basic_block())
    vectors = Vectors(cpu_target.target_context, builder, types.float32)
    address, n = builder.function.args
    mask = vectors.first(n)
    vectors.store(vectors.load(address, mask), address, mask)
    builder.ret_void()
    understood = binding.parse_assembly(str(module))
    understood = {
        function.name.split(".v")[0]: len(list(function.arguments))
        for function in understood.functions
        if function.is_declaration
    }
    written = {f.name.split(".v")[0]: len(f.args) for f in module.functions if f.is_declaration}
    assert set(written) == {"llvm.masked.load", "llvm.masked.store"}
    assert written == understood, (
        f"LLVM {binding.llvm_version_info} takes {understood} operands, and sk_dbn writes {written}"
        ": change the form in `Vectors._masked` of sk_dbn/kernels/tiles.py from this LLVM on"
    )
    # An alignment of one byte, the default, would be correct and slow.
    assert str(module).count("align 4") + str(module).count("i32 4,") == 2, module


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="not their processor")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_tiles_of_other_processors(processor):
    """Smaller registers, and no loads of parts of them: the same tests, compiled for these."""
    tests = "agree_with_numpy or scaled_and_added or beside_it"
    settings = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": PROCESSORS[processor]}
    code = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"float32 and ({tests})"]
    run_python([*code, str(Path(__file__))], **settings)
