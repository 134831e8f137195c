"""Tiles of matrix products that stay in registers while their sums are formed.

A processor multiplies faster than it loads and stores. So each element that is loaded has to
serve for several sums, and no sum may leave its register before it is complete. Compilers do not
make that of loops. These two functions are therefore written in vector instructions of LLVM,
which turns them into what the processor has; their Python bodies say what they compute.
"""

import numpy as np
from llvmlite import binding, ir
from numba import TypingError, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.registry import cpu_target

from sk_dbn.kernels.compile import generated

PROCESSOR = cpu_target.target_context.codegen().magic_tuple()  # triple, name, features

# The largest tiles whose sums and factors fit the registers: with AVX-512 32 of 64 bytes; else
# 16 of 32 bytes, where the second kind of tile, which has vectors of both factors, may not be
# as large. The 32 registers of 16 bytes that ARM has hold the same in halves.
CPU_FEATURES = PROCESSOR[2].split(",")
if "+avx512f" in CPU_FEATURES:
    VECTOR_BYTES, MAX_ROWS, MAX_VECTORS, MAX_DOT_ROWS, MAX_DOT_COLUMNS = 64, 6, 4, 6, 4
else:
    VECTOR_BYTES, MAX_ROWS, MAX_VECTORS, MAX_DOT_ROWS, MAX_DOT_COLUMNS = 32, 4, 3, 2, 4
LINE_BYTES = 64  # that memory is read in
SQUARE_BYTES = 16  # of a row of the squares that are transposed: all processors have such vectors

# LLVM 22 made the alignment of masked loads and stores an attribute of the address. Up to LLVM 21
# it is an operand after that.
ALIGNMENT_IS_OPERAND = binding.llvm_version_info[0] < 22

INT64, INT32, BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)


class Matrix:
    """Where the elements of an array lie.

    Parameters
    ----------
    context, builder : numba's and llvmlite's, of the function that is being compiled
    type_ : numba's type of the array
    value : the array's structure
    """

    def __init__(self, context, builder, type_, value):
        view = context.make_array(type_)(context, builder, value)
        self.builder, self.data = builder, view.data
        self.steps = cgutils.unpack_tuple(builder, view.strides, 2)
        self.shape = cgutils.unpack_tuple(builder, view.shape, 2)

    def address(self, i, j):
        """The address of an element."""
        rows, columns = self.builder.mul(i, self.steps[0]), self.builder.mul(j, self.steps[1])
        return cgutils.pointer_add(self.builder, self.data, self.builder.add(rows, columns))


class Vectors:
    """Writes instructions on vectors of numbers, where a builder stands.

    Parameters
    ----------
    context, builder : numba's and llvmlite's, of the function that is being compiled
    dtype : numba's type of the numbers
    n_bytes : int, of a vector
    """

    def __init__(self, context, builder, dtype, n_bytes=VECTOR_BYTES):
        self.builder, self.real = builder, context.get_value_type(dtype)
        self.size = dtype.bitwidth // 8
        self.lanes = n_bytes // self.size
        self.type = ir.VectorType(self.real, self.lanes)
        self.masks = ir.VectorType(BIT, self.lanes)
        self.name = f"v{self.lanes}f{dtype.bitwidth}.p0"  # by which LLVM has intrinsics for it
        self.zeros = ir.Constant(self.type, [0.0] * self.lanes)

    def fill(self, x):
        """A vector of one number, or of one bit."""
        undefined = ir.Constant(ir.VectorType(x.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, x, INT32(0))
        return self.choose(first, first, [0] * self.lanes)

    def choose(self, x, y, lanes):
        """A vector of some lanes of two; those of the second are counted on."""
        lanes = ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)
        return self.builder.shuffle_vector(x, y, lanes)

    def first(self, n):
        """A mask of the first n lanes."""
        lanes = ir.Constant(ir.VectorType(INT64, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lanes, self.fill(n))

    def read(self, address):
        """One number."""
        address = self.builder.bitcast(address, self.real.as_pointer())
        return self.builder.load(address, align=self.size)

    def write(self, x, address):
        """One number, or a vector of any length."""
        address = self.builder.bitcast(address, x.type.as_pointer())
        self.builder.store(x, address, align=self.size)

    def load(self, address, mask):
        """The lanes of a mask, None for all, with zeros in place of the others."""
        address = self.builder.bitcast(address, self.type.as_pointer())
        if mask is None:
            return self.builder.load(address, align=self.size)
        return self._masked("load", self.type, [address, mask, self.zeros], 0)

    def store(self, x, address, mask):
        """The lanes of a mask, None for all."""
        if mask is None:
            self.write(x, address)
            return
        address = self.builder.bitcast(address, self.type.as_pointer())
        self._masked("store", ir.VoidType(), [x, address, mask], 1)

    def _masked(self, name, returned, arguments, k_address):
        attributes = {}
        if ALIGNMENT_IS_OPERAND:
            arguments.insert(k_address + 1, INT32(self.size))
        else:
            attributes[k_address] = ()
        type_ = ir.FunctionType(returned, [argument.type for argument in arguments])
        name = f"llvm.masked.{name}.{self.name}"
        function = cgutils.get_or_insert_function(self.builder.module, type_, name)
        call = self.builder.call(function, arguments, arg_attrs=attributes)
        for attribute in call.arg_attributes.values():
            attribute.align = self.size
        return call

    def add_product(self, x, y, total):
        """total + x y, rounded once where the processor can."""
        product = self.builder.fmul(x, y, flags=("contract",))
        return self.builder.fadd(product, total, flags=("contract",))

    def loop(self, start, end, step, sums, body):
        """Repeat ``sums = body(k, sums)`` for k from start in steps as long as k < end.

        Parameters
        ----------
        start, end : numbers of LLVM's
        step : int
        sums : list of vectors
        body : callable, which writes instructions without branches

        Returns
        -------
        list of the vectors in sums
        """
        builder, before = self.builder, self.builder.block
        head, inside, after = (
            builder.append_basic_block(name) for name in ("head", "inside", "after")
        )
        builder.branch(head)
        builder.position_at_end(head)
        variables = [builder.phi(INT64), *(builder.phi(self.type) for _ in sums)]
        k, *now = variables
        builder.cbranch(builder.icmp_signed("<", k, end), inside, after)
        builder.position_at_end(inside)
        new = [builder.add(k, INT64(step)), *body(k, now)]
        builder.branch(head)
        for variable, first, next_ in zip(variables, [start, *sums], new, strict=True):
            variable.add_incoming(first, before)
            variable.add_incoming(next_, inside)
        builder.position_at_end(after)
        return now

    def totals(self, sums):
        """The sum over the lanes of each of four vectors, as a vector of four."""
        builder, lanes = self.builder, self.lanes
        fours = range(0, lanes, 4)

        def halves(x, y, low, high):
            """Of every four lanes of x and y some from either, and what is added to them."""
            low = [four + lane for four in fours for lane in low]
            high = [four + lane for four in fours for lane in high]
            return builder.fadd(self.choose(x, y, low), self.choose(x, y, high))

        # of (a b c d) and (a' b' c' d'): (a + c, a' + c', b + d, b' + d')
        x, y = (
            halves(*pair, (0, lanes, 1, lanes + 1), (2, lanes + 2, 3, lanes + 3))
            for pair in (sums[:2], sums[2:])
        )
        total = halves(x, y, (0, 1, lanes, lanes + 1), (2, 3, lanes + 2, lanes + 3))
        while lanes > 4:
            lanes //= 2
            low, high = list(range(lanes)), list(range(lanes, 2 * lanes))
            total = builder.fadd(self.choose(total, total, low), self.choose(total, total, high))
        return total


def each_size(builder, n, m, most, tile):
    """Instructions for each size of a tile, of which n and m choose at run time.

    Parameters
    ----------
    builder : llvmlite's
    n, m : numbers of LLVM's
    most : pair of int, the most that n and m are
    tile : callable, which writes instructions for an n and an m
    """
    size = builder.add(builder.mul(n, INT64(most[1] + 1)), m)
    end = builder.append_basic_block("end")
    switch = builder.switch(size, end)
    for rows in range(1, most[0] + 1):
        for columns in range(1, most[1] + 1):
            block = builder.append_basic_block(f"tile_{rows}_{columns}")
            switch.add_case(INT64(rows * (most[1] + 1) + columns), block)
            builder.position_at_end(block)
            tile(rows, columns)
            builder.branch(end)
    builder.position_at_end(end)


def scratch(n_bytes):
    """A function that gives memory for numbers like those of a matrix.

    The memory lasts until the function's caller returns, and may hold anything.
    """

    def write(context, builder, signature, arguments):
        type_, size = signature.return_type, signature.return_type.dtype.bitwidth // 8
        real = context.get_value_type(type_.dtype)
        with builder.goto_entry_block():  # `alloca_once` would fill it with zeros at each call
            memory = builder.alloca(ir.ArrayType(real, n_bytes // size))
        memory.align = LINE_BYTES
        array = context.make_array(type_)(context, builder)
        context.populate_array(
            array,
            data=builder.bitcast(memory, real.as_pointer()),
            shape=cgutils.pack_array(builder, [INT64(n_bytes // size)]),
            strides=cgutils.pack_array(builder, [INT64(size)]),
            itemsize=INT64(size),
            meminfo=None,
        )
        return array._getvalue()

    @generated(lambda C: types.Array(C.dtype, 1, "C")(C), write)
    def memory(C):
        return np.empty(n_bytes // C.itemsize, C.dtype)

    return memory


def write_strided(context, builder, signature, arguments):
    """Instructions of `strided`, which are none but to count who holds the memory."""
    return impl_ret_borrowed(context, builder, signature.return_type, arguments[0])


@generated(lambda A: A.copy(layout="A", readonly=False)(A), write_strided)
def strided(A):
    """The same matrix, of a type that does not say how it lies: one compilation for all."""
    return A


def write_multiply(context, builder, signature, arguments):
    """Instructions of `multiply_tile`: each row of the tile is a few vectors of sums.

    Reading a part of a vector takes long on some processors. The rows of B are read in whole
    vectors, beyond their end too, as long as that is not beyond the end of B.
    """
    alpha, A, i, n_rows, B, from_, j, n_columns, C, is_added = arguments
    A, B, C = (Matrix(context, builder, signature.args[k], arguments[k]) for k in (1, 4, 8))
    vectors = Vectors(context, builder, signature.args[0])
    n_terms = A.shape[1]
    n_vectors, whole, last = cut(builder, vectors, n_columns)
    n_safe = safe_rows(builder, B, n_terms, builder.add(from_, whole), vectors.size)

    def tile(n, m):
        rows = [builder.add(i, INT64(r)) for r in range(n)]
        offsets = [INT64(r * vectors.lanes) for r in range(m)]

        def body(k, sums, masks=(None,) * m):
            x = [
                vectors.load(B.address(k, builder.add(from_, c)), mask)
                for c, mask in zip(offsets, masks, strict=True)
            ]
            a = [vectors.fill(vectors.read(A.address(r, k))) for r in rows]
            return [vectors.add_product(a[s // m], x[s % m], sums[s]) for s in range(n * m)]

        def masked_body(k, sums):
            return body(k, sums, [None] * (m - 1) + [last])

        columns = [builder.add(j, c) for c in offsets]
        sums = vectors.loop(INT64(0), n_safe, 1, [vectors.zeros] * (n * m), body)
        sums = vectors.loop(n_safe, n_terms, 1, sums, masked_body)
        factor = vectors.fill(alpha)

        def write(masks):
            for s, total in enumerate(sums):
                address, mask = C.address(rows[s // m], columns[s % m]), masks[s % m]
                old = builder.select(is_added, vectors.load(address, mask), vectors.zeros)
                vectors.store(vectors.add_product(factor, total, old), address, mask)

        whole_or_part(builder, whole, n_columns, m, last, write)

    each_size(builder, n_rows, n_vectors, (MAX_ROWS, MAX_VECTORS), tile)


def cut(builder, vectors, n_columns):
    """How many vectors some columns take, how many columns these have, a mask of the last one."""
    lanes = INT64(vectors.lanes)
    n_vectors = builder.sdiv(builder.add(n_columns, INT64(vectors.lanes - 1)), lanes)
    whole = builder.mul(n_vectors, lanes)
    return n_vectors, whole, vectors.first(builder.sub(lanes, builder.sub(whole, n_columns)))


def whole_or_part(builder, whole, n_columns, m, last, write):
    """Instructions for m whole vectors, and for as many of which the last one is a part."""
    with builder.if_else(builder.icmp_signed("==", whole, n_columns)) as (then, otherwise):
        with then:
            write([None] * m)
        with otherwise:
            write([None] * (m - 1) + [last])


def safe_rows(builder, B, n_terms, end, size):
    """How many of the first rows of B can be read up to a column beyond the last one.

    None, where no row lies behind the first one.
    """
    stride = builder.sdiv(B.steps[0], INT64(size))
    over = builder.sub(end, B.shape[1])
    is_ascending = builder.icmp_signed(">", stride, INT64(0))
    stride = builder.select(is_ascending, stride, INT64(1))
    lost = builder.sdiv(builder.add(over, builder.sub(stride, INT64(1))), stride)
    n_safe = builder.sub(n_terms, lost)
    some_are = builder.and_(is_ascending, builder.icmp_signed(">", n_safe, INT64(0)))
    n_safe = builder.select(some_are, n_safe, INT64(0))
    return builder.select(builder.icmp_signed(">", over, INT64(0)), n_safe, n_terms)


def check_types(A, B, C):
    """Refuse what the instructions would misread, while a caller is compiled."""
    if not A.dtype == B.dtype == C.dtype:
        raise TypingError(f"tiles need one dtype, got {A}, {B} and {C}.")


def type_multiply(alpha, A, i, n_rows, B, from_, j, n_columns, C, is_added):
    """The signature of `multiply_tile`."""
    check_types(A, B, C)
    i64 = types.int64
    return types.void(C.dtype, A, i64, i64, B, i64, i64, i64, C, types.boolean)


@generated(type_multiply, write_multiply)
def multiply_tile(alpha, A, i, n_rows, B, from_, j, n_columns, C, is_added):
    """Some rows and columns of C = alpha A B (+ C).

    Parameters
    ----------
    alpha : scalar of the matrices' dtype
    A : array (m, n_terms)
    i, n_rows : int, first row and how many, at most MAX_ROWS
    B : array of n_terms rows, contiguous
    from_ : int, the first column of B
    j, n_columns : int, the first column of C and how many, at most MAX_VECTORS times the
        numbers in VECTOR_BYTES
    C : array (m, n), rows contiguous, written
    is_added : bool, whether to what C holds
    """
    product = alpha * (A[i : i + n_rows] @ B[:, from_ : from_ + n_columns])
    part = C[i : i + n_rows, j : j + n_columns]
    part[...] = part + product if is_added else product


def write_copy(context, builder, signature, arguments):
    """Instructions of `copy_columns`."""
    B, first, j, n_columns, panel = arguments
    B, panel = (Matrix(context, builder, signature.args[k], arguments[k]) for k in (0, 4))
    vectors = Vectors(context, builder, signature.args[0].dtype)
    n_vectors, whole, last = cut(builder, vectors, n_columns)

    def copy(masks):
        def body(k, sums):
            row = builder.add(first, k)
            for c, mask in enumerate(masks):
                c = INT64(c * vectors.lanes)
                x = vectors.load(B.address(row, builder.add(j, c)), mask)
                vectors.store(x, panel.address(k, c), None)
            return []

        vectors.loop(INT64(0), panel.shape[0], 1, [], body)

    def size(_, m):
        whole_or_part(builder, whole, n_columns, m, last, copy)

    each_size(builder, INT64(1), n_vectors, (1, MAX_VECTORS), size)


def type_copy(B, first, j, n_columns, panel):
    """The signature of `copy_columns`."""
    check_types(B, B, panel)
    return types.void(B, types.int64, types.int64, types.int64, panel)


@generated(type_copy, write_copy)
def copy_columns(B, first, j, n_columns, panel):
    """The first columns of panel = B[first : first + len(panel), j : j + n_columns].

    Parameters
    ----------
    B : array (n_terms, n), rows contiguous
    first : int, the first row
    j, n_columns : int, likewise, at most the panel's
    panel : array (n_rows, MAX_VECTORS times the numbers in VECTOR_BYTES), written; what is
        written beyond n_columns does not matter
    """
    panel[:, :n_columns] = B[first : first + panel.shape[0], j : j + n_columns]


def write_prefetch(context, builder, signature, arguments):
    """Instructions of `prefetch`."""
    B, i, j = arguments
    address = Matrix(context, builder, signature.args[0], B).address(i, j)
    type_ = ir.FunctionType(ir.VoidType(), [address.type, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, type_, "llvm.prefetch.p0")
    builder.call(function, [address, INT32(0), INT32(2), INT32(1)])


@generated(lambda B, i, j: types.void(B, types.int64, types.int64), write_prefetch)
def prefetch(B, i, j):
    """Ask for an element that will be read soon; it need not exist."""


def write_transpose(context, builder, signature, arguments):
    """Instructions of `transpose_square`: rows are interleaved as often as halves their number."""
    B, c, k, panel, to_k, to_c = arguments
    B, panel = (Matrix(context, builder, signature.args[n], arguments[n]) for n in (0, 3))
    vectors = Vectors(context, builder, signature.args[0].dtype, SQUARE_BYTES)
    n = vectors.lanes
    x = [vectors.load(B.address(builder.add(c, INT64(r)), k), None) for r in range(n)]
    for half in (n // 2,) * (n.bit_length() - 1):
        low = [lane for r in range(half) for lane in (r, r + n)]
        high = [lane for r in range(half, n) for lane in (r, r + n)]
        pairs = [(x[r], x[r + half]) for r in range(half)]
        x = [vectors.choose(*pair, part) for pair in pairs for part in (low, high)]
    for r, row in enumerate(x):
        vectors.write(row, panel.address(builder.add(to_k, INT64(r)), to_c))


def type_transpose(B, c, k, panel, to_k, to_c):
    """The signature of `transpose_square`."""
    check_types(B, B, panel)
    i64 = types.int64
    return types.void(B, i64, i64, panel, i64, i64)


@generated(type_transpose, write_transpose)
def transpose_square(B, c, k, panel, to_k, to_c):
    """Write a square of B, as many numbers as are in SQUARE_BYTES, transposed into a panel.

    Parameters
    ----------
    B : array (n, n_terms), rows contiguous
    c, k : int, row and column of its first element
    panel : array (n_rows, n_columns), rows contiguous, written
    to_k, to_c : int, row and column of where it is written
    """
    n = SQUARE_BYTES // B.itemsize
    panel[to_k : to_k + n, to_c : to_c + n] = B[c : c + n, k : k + n].T


def write_dots(context, builder, signature, arguments):
    """Instructions of `dot_tile`: each sum is a vector, which is added up at the end."""
    A, i, n_rows, B, j, n_columns, C = arguments
    A, B, C = (Matrix(context, builder, signature.args[k], arguments[k]) for k in (0, 3, 6))
    vectors = Vectors(context, builder, signature.args[6].dtype)
    lanes, n_terms = INT64(vectors.lanes), A.shape[1]
    whole = builder.mul(builder.sdiv(n_terms, lanes), lanes)
    rest = vectors.first(builder.sub(n_terms, whole))

    def tile(n, m):
        rows = [builder.add(i, INT64(r)) for r in range(n)]
        columns = [builder.add(j, INT64(r)) for r in range(m)]

        def body(k, sums, mask=None):
            x = [vectors.load(A.address(r, k), mask) for r in rows]
            y = [vectors.load(B.address(c, k), mask) for c in columns]
            return [vectors.add_product(x[s // m], y[s % m], sums[s]) for s in range(n * m)]

        zeros = [vectors.zeros] * (n * m)
        sums = body(whole, vectors.loop(INT64(0), whole, vectors.lanes, zeros, body), rest)
        for r, row in enumerate(rows):
            total = vectors.totals(sums[r * m : (r + 1) * m] + [vectors.zeros] * (4 - m))
            if m == 4:
                vectors.write(total, C.address(row, columns[0]))
                continue
            for c, column in enumerate(columns):
                x = builder.extract_element(total, INT32(c))
                vectors.write(x, C.address(row, column))

    each_size(builder, n_rows, n_columns, (MAX_DOT_ROWS, MAX_DOT_COLUMNS), tile)


def type_dots(A, i, n_rows, B, j, n_columns, C):
    """The signature of `dot_tile`."""
    check_types(A, B, C)
    return types.void(A, types.int64, types.int64, B, types.int64, types.int64, C)


@generated(type_dots, write_dots)
def dot_tile(A, i, n_rows, B, j, n_columns, C):
    """Some rows and columns of C = A B^T.

    Parameters
    ----------
    A : array (m, n_terms), rows contiguous
    i, n_rows : int, first row and how many, at most MAX_DOT_ROWS
    B : array (n, n_terms), rows contiguous
    j, n_columns : int, likewise, at most MAX_DOT_COLUMNS
    C : array (m, n), rows contiguous, written
    """
    rows, columns = slice(i, i + n_rows), slice(j, j + n_columns)
    C[rows, columns] = A[rows] @ B[columns].T
