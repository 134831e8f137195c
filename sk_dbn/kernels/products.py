"""Matrix products of any size, by tiles that stay in registers.

What a tile multiplies has to come from the nearest cache. The rows of a large matrix are too far
apart for that: a few columns of them lie on as many pages of memory, and where the distance is a
power of two all compete for the same few places of the cache. So the product is taken a block of
terms at a time, and within it a panel of columns at a time. The panel is copied to where its rows
lie side by side, and so is the first factor where it is transposed (Goto & van de Geijn, 2008,
Anatomy of high-performance matrix multiplication, section 4). For few rows the copy would take
longer than the product: they read the second factor where it lies.

Threads mostly share the rows, and each reads the whole second factor. Where that is large and the
rows are few, reading it takes longer than to multiply, so they share its columns. The sums are the
same, whatever the columns are divided into.
"""

from sk_dbn.kernels.blocks import ALONE, in_blocks
from sk_dbn.kernels.compile import EXACT, kernel, routine
from sk_dbn.kernels.tiles import (
    LINE_BYTES,
    MAX_DOT_COLUMNS,
    MAX_DOT_ROWS,
    MAX_ROWS,
    MAX_VECTORS,
    SQUARE_BYTES,
    VECTOR_BYTES,
    copy_columns,
    dot_tile,
    multiply_tile,
    prefetch,
    scratch,
    strided,
    transpose_square,
)

# A panel and the copy of the first factor lie on the stack, which threads have little of: 128 KiB
# with some C libraries. The panel takes 24 or 32 KiB.
TERMS_AT_ONCE = 256 if VECTOR_BYTES == 32 else 128  # rows of a panel
COPY_BYTES = 2**16  # of the first factor
ROWS_AT_ONCE = 48  # of the first factor in `_dots`, which stay in cache while the second one passes

# Fewer rows do not repay the copy of a panel. A wide vector reads four times as many columns of a
# row at once as a narrow one, so that it needs the copy less.
MIN_ROWS = 24 if VECTOR_BYTES == 32 else 64
# Nor does a second factor whose rows lie near each other: bytes of a block of its terms.
MIN_BYTES = 2**16

PANEL_LINES = (MAX_VECTORS * VECTOR_BYTES - 1) // LINE_BYTES + 2  # that a row of a panel touches
FAR_BYTES = 2**20  # of a second factor that the second cache does not hold: it is prefetched

MIN_PART_COLUMNS, MAX_PARTS = 128, 16  # of a product whose columns threads share

panel_memory = scratch(TERMS_AT_ONCE * MAX_VECTORS * VECTOR_BYTES)
copy_memory = scratch(COPY_BYTES)


@kernel(forceinline=True)
def _pieces(n, most):
    """Into how many pieces of at most so many elements n elements are cut."""
    return (n + most - 1) // most


@kernel(forceinline=True)
def _is_transposed(M):
    """Whether the columns of a matrix are contiguous, and not its rows."""
    return M.strides[1] != M.itemsize


@kernel
def _transpose(M, row, column, out):
    """out = M[row : row + n_columns, column : column + n_rows].T.

    Parameters
    ----------
    M : array, rows contiguous
    row, column : int
    out : array (n_rows, n_columns), rows contiguous, written
    """
    side = SQUARE_BYTES // M.itemsize
    n_rows, n_columns = out.shape
    whole_rows, whole_columns = n_rows // side * side, n_columns // side * side
    for j in range(0, whole_columns, side):
        for i in range(0, whole_rows, side):
            transpose_square(M, row + j, column + i, out, i, j)
        for i in range(whole_rows, n_rows):
            for k in range(j, j + side):
                out[i, k] = M[row + k, column + i]
    for i in range(n_rows):
        for j in range(whole_columns, n_columns):
            out[i, j] = M[row + j, column + i]


@kernel
def _prefetch_part(B, first, n_terms, j, n_columns, t, n_parts):
    """Ask for the t-th part of a panel that will be copied next."""
    lo, hi = first + n_terms * t // n_parts, first + n_terms * (t + 1) // n_parts
    if _is_transposed(B):
        for c in range(j, min(j + n_columns, B.shape[1])):
            prefetch(B, lo, c)
            prefetch(B, hi - 1, c)
    else:
        for k in range(lo, hi):
            for line in range(PANEL_LINES):
                prefetch(B, k, j + line * (LINE_BYTES // B.itemsize))


@kernel(fastmath=EXACT)
def _multiply_rows(alpha, A, B, first, C, adds, copies, panel):
    """C = alpha A B[first : first + n_terms] (+ C), for A (m, n_terms), panel by panel."""
    (m, n_terms), n = A.shape, C.shape[1]
    lanes = VECTOR_BYTES // C.itemsize
    n_vectors, n_row_tiles = _pieces(n, lanes), _pieces(m, MAX_ROWS)
    n_panels = _pieces(n_vectors, MAX_VECTORS)
    is_far = copies and B.size * B.itemsize > FAR_BYTES
    for s in range(n_panels):
        j = n_vectors * s // n_panels * lanes
        n_columns = min(n_vectors * (s + 1) // n_panels * lanes, n) - j
        if _is_transposed(B):
            _transpose(B.T, j, first, panel[:, :n_columns])
        elif copies:
            copy_columns(B, first, j, n_columns, panel)
        factor, at = (panel, 0) if copies else (B[first : first + n_terms], j)
        for t in range(n_row_tiles):
            if is_far:
                _prefetch_part(B, first, n_terms, j + n_columns, n_columns, t, n_row_tiles)
            i = m * t // n_row_tiles
            n_rows = m * (t + 1) // n_row_tiles - i
            multiply_tile(alpha, A, i, n_rows, factor, at, j, n_columns, C, adds)


@routine(fastmath=EXACT)
def _multiply(alpha, A, B, C, adds):
    """C = alpha A B (+ C).

    Parameters
    ----------
    alpha : scalar of the matrices' dtype
    A, B : arrays (m, n_terms) and (n_terms, n), rows or columns contiguous
    C : array (m, n), rows contiguous, written
    adds : bool, whether to what C holds
    """
    m, n_terms = A.shape
    block_bytes = min(n_terms, TERMS_AT_ONCE) * B.strides[0]
    copies = _is_transposed(B) or (m >= MIN_ROWS and block_bytes >= MIN_BYTES)
    copies_rows = copies and _is_transposed(A)
    width = MAX_VECTORS * VECTOR_BYTES // C.itemsize
    panels, rows_space = panel_memory(C).reshape(TERMS_AT_ONCE, width), copy_memory(C)
    for first in range(0, max(n_terms, 1), TERMS_AT_ONCE):
        size = min(TERMS_AT_ONCE, n_terms - first)
        panel = strided(panels[:size])
        n_chunks = _pieces(m, rows_space.size // max(size, 1)) if copies_rows else 1
        for chunk in range(n_chunks):
            lo, hi = m * chunk // n_chunks, m * (chunk + 1) // n_chunks
            rows = A[lo:hi, first : first + size]
            if copies_rows:
                rows = strided(rows_space[: (hi - lo) * size].reshape(hi - lo, size))
                _transpose(A.T, first, lo, rows)
            _multiply_rows(alpha, rows, B, first, C[lo:hi], adds or first > 0, copies, panel)


@routine(fastmath=EXACT)
def _dots(A, B, C):
    """C = A B^T, tile by tile, for A (m, k), B (n, k) and C (m, n) of contiguous rows."""
    m, n = C.shape
    for first in range(0, m, ROWS_AT_ONCE):
        n_rows = min(ROWS_AT_ONCE, m - first)
        n_row_tiles = _pieces(n_rows, MAX_DOT_ROWS)
        for j in range(0, n, MAX_DOT_COLUMNS):
            n_columns = min(MAX_DOT_COLUMNS, n - j)
            for t in range(n_row_tiles):
                i = first + n_rows * t // n_row_tiles
                end = first + n_rows * (t + 1) // n_row_tiles
                dot_tile(A, i, end - i, B, j, n_columns, C)


@kernel(forceinline=True)
def _is_vector(M):
    """Whether a matrix is one column whose elements lie side by side, hence its transpose a row."""
    return M.shape[1] == 1 and M.strides[0] == M.itemsize


@routine
def _columns_block(A, B, C, by_dots, n_parts, part):
    """The part-th piece of the columns of C = A B, by `_dots` or by `_multiply`."""
    align = LINE_BYTES // C.itemsize if n_parts > 1 else 1
    lo = C.shape[1] * part // n_parts // align * align
    hi = C.shape[1] * (part + 1) // n_parts // align * align if part + 1 < n_parts else C.shape[1]
    if by_dots:
        _dots(A, B[:, lo:hi].T, C[:, lo:hi])
    else:
        _multiply(C.dtype.type(1.0), A, B[:, lo:hi], C[:, lo:hi], False)


@kernel
def is_shared(B):
    """Whether a team that is given to a product shares the columns of its second factor."""
    return B.size * B.itemsize > FAR_BYTES and B.shape[1] >= 2 * MIN_PART_COLUMNS


@kernel
def _product(team, A, B, C, by_dots):
    """C = A B, whose columns are shared by the team where B is large."""
    if team != ALONE and is_shared(B):
        n_parts = min(C.shape[1] // MIN_PART_COLUMNS, MAX_PARTS)
        in_blocks(team, n_parts, _columns_block, (A, B, C, by_dots, n_parts))
    else:
        _columns_block(A, B, C, by_dots, 1, 0)


@kernel
def product_nn(team, A, B, C):
    """C = A B.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`; `ALONE` where the caller is one of several threads
    A, B : arrays (m, k) and (k, n), rows contiguous
    C : array (m, n), rows contiguous, written
    """
    _product(team, strided(A), strided(B), strided(C), _is_vector(B))


@kernel
def product_nt(team, A, B, C):
    """C = A B^T, for A (m, k), B (n, k) and C (m, n), as `product_nn`.

    Few rows take sums over vectors of terms, since to transpose B takes twice as long as to copy
    it. The order of the sums, and so their rounding, depends on which way they go.
    """
    by_dots = A.shape[0] < 2 * MIN_ROWS and not _is_vector(B)
    _product(team, strided(A), strided(B).T, strided(C), by_dots)


@kernel
def product_tn(alpha, A, B, beta, C):
    """C = alpha A^T B + beta C, for A (k, m), B (k, n) and C (m, n), as `product_nn`.

    Parameters
    ----------
    alpha, beta : scalars of the matrices' dtype; beta is 0 (whatever C holds) or 1
    """
    if _is_vector(B) and _is_vector(C):
        _multiply(alpha, strided(B).T, strided(A), strided(C).T, beta != 0)
    else:
        _multiply(alpha, strided(A).T, strided(B), strided(C), beta != 0)
