"""A minibatch read from the caller's data as it lies: any dtype, dense or CSR.

Compiling an epoch once per dtype and layout would cost minutes, so data is described by
addresses and codes (:class:`Source`) and read through typed views made here. Common
dtypes in contiguous rows have loops that vectorise, all else is read value by value.
"""

import ctypes
from collections import namedtuple

import numpy as np
from numba import config, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from sk_dbn.kernels.compile import EXACT, kernel, routine

DTYPES = (
    np.float32,
    np.float64,
    np.uint8,
    np.int8,
    np.uint16,
    np.int16,
    np.uint32,
    np.int32,
    np.uint64,
    np.int64,
)
FLOAT16 = len(DTYPES)  # read as uint16 and decoded here: numba has no float16 on CPUs

Source = namedtuple(
    "Source",
    "dtype address size row_stride column_stride indices indptr wide_index "
    "n_columns sparse shift scale low high unstored first_unit category fill",
)
Source.__doc__ = """Where the rows of a matrix lie and what is done to each value read.

dtype : int, position in DTYPES, or FLOAT16
address, size : int, first element and number of elements from there on
row_stride, column_stride : int, in elements (dense)
indices, indptr, wide_index : int, addresses of CSR's index arrays; 1 when they are int64
n_columns : int
sparse : int, 1 for CSR
shift, scale : float64 arrays (n_units,) or (0,); a value becomes (value - shift) * scale,
    in float64, so that a large mean costs no digits ...
low, high : float64 arrays like shift; ... clipped to [low, high]
unstored : float, value of what a CSR matrix does not store: 0, or NaN if that is missing
first_unit : int64 array (n_columns + 1,), the first unit that reads each column; (0,) where each
    column is read by one unit
category : float64 array (n_units,), the value of a column for which a unit is 1, and 0 otherwise;
    NaN for units that read numbers; (0,) where all units do
fill : float64 array (n_units,), what units read where a value is missing (NaN); (0,) for NaN
"""


def array_at(address, size, dtype):
    """The `size` elements of `dtype` that lie at `address`, as an array."""
    dtype = np.dtype(dtype)
    buffer = (ctypes.c_char * int(size * dtype.itemsize)).from_address(int(address))
    return np.frombuffer(buffer, dtype=dtype)


@intrinsic
def _array_at(typingctx, address, size, dtype):
    """The same; numba's ``carray`` takes long to compile."""
    type_ = types.Array(dtype.dtype, 1, "C")

    def generate(context, builder, signature, values):
        address, size, _ = values
        real = context.get_data_type(type_.dtype)
        data, itemsize = builder.inttoptr(address, real.as_pointer()), context.get_abi_sizeof(real)
        array = context.make_array(type_)(context, builder)
        steps = [context.get_constant(types.intp, itemsize)]
        populate_array(array, data, [size], steps, steps[0], None)
        return array._getvalue()

    return type_(types.intp, types.intp, dtype), generate


def value(address, index, dtype):
    """The index-th value of `dtype` from an address on."""
    return array_at(address + index * np.dtype(dtype).itemsize, 1, dtype)[0]


@intrinsic
def _value(typingctx, address, index, dtype):
    """The same."""

    def generate(context, builder, signature, values):
        address, index, _ = values
        real = context.get_data_type(dtype.dtype)
        place = builder.gep(builder.inttoptr(address, real.as_pointer()), [index])
        return context.unpack_value(builder, dtype.dtype, place)

    return dtype.dtype(types.intp, types.intp, dtype), generate


if not config.DISABLE_JIT:
    array_at, value = _array_at, _value


@kernel
def half_to_single(bits):
    """The value of a float16 given by its 16 bits."""
    sign = -1.0 if bits & 0x8000 else 1.0
    exponent = (bits >> 10) & 0x1F
    fraction = bits & 0x3FF
    if exponent == 0:
        return sign * fraction * 2.0**-24
    if exponent == 31:
        return np.nan if fraction else sign * np.inf
    return sign * (1024 + fraction) * 2.0 ** (exponent - 25)


@kernel
def value_at(code, address, index):
    """The index-th value of an array of any dtype, as a float64."""
    if code == 0:
        return np.float64(value(address, index, np.float32))
    if code == 1:
        return np.float64(value(address, index, np.float64))
    if code == 2:
        return np.float64(value(address, index, np.uint8))
    if code == 3:
        return np.float64(value(address, index, np.int8))
    if code == 4:
        return np.float64(value(address, index, np.uint16))
    if code == 5:
        return np.float64(value(address, index, np.int16))
    if code == 6:
        return np.float64(value(address, index, np.uint32))
    if code == 7:
        return np.float64(value(address, index, np.int32))
    if code == 8:
        return np.float64(value(address, index, np.uint64))
    if code == 9:
        return np.float64(value(address, index, np.int64))
    return half_to_single(np.int64(value(address, index, np.uint16)))


@kernel
def integer_at(wide, address, index):
    """The index-th value of CSR's index arrays, int64 or int32."""
    if wide:
        return value(address, index, np.int64)
    return np.int64(value(address, index, np.int32))


@kernel
def _copy_contiguous(flat, row_stride, rows, out):
    """Dense rows of a common dtype: a loop that vectorises."""
    real = out.dtype.type
    for i in range(rows.shape[0]):
        row = flat[rows[i] * row_stride : rows[i] * row_stride + out.shape[1]]
        for j in range(out.shape[1]):
            out[i, j] = real(row[j])


@kernel
def _copy_strided(source, rows, out):
    """Dense rows of any dtype and any strides."""
    real = out.dtype.type
    for i in range(rows.shape[0]):
        start = rows[i] * source.row_stride
        for j in range(out.shape[1]):
            index = start + j * source.column_stride
            out[i, j] = real(value_at(source.dtype, source.address, index))


@kernel
def _copy_sparse(source, rows, out):
    """Rows of a CSR matrix; entries listed twice add up."""
    real = out.dtype.type
    wide = source.wide_index == 1
    out[:] = real(0.0)
    for i in range(rows.shape[0]):
        first = integer_at(wide, source.indptr, rows[i])
        for p in range(first, integer_at(wide, source.indptr, rows[i] + 1)):
            j = integer_at(wide, source.indices, p)
            out[i, j] += real(value_at(source.dtype, source.address, p))


@kernel(fastmath=EXACT)
def standardised(source, unit, x):
    """A number as a unit reads it; NaN stays NaN."""
    z = (x - source.shift[unit]) * source.scale[unit]
    z = source.low[unit] if z < source.low[unit] else z
    return source.high[unit] if z > source.high[unit] else z


@kernel
def units_of(source, column):
    """The units, first to end, that read a column."""
    if source.first_unit.shape[0] == 0:
        return column, column + 1
    return source.first_unit[column], source.first_unit[column + 1]


@kernel(fastmath=EXACT)
def unit_value(source, unit, x):
    """What a unit makes of a value of its column, which is not NaN."""
    if source.category.shape[0] > 0:
        category = source.category[unit]
        if category == category:
            return 1.0 if x == category else 0.0
    return standardised(source, unit, x)


@kernel
def is_listed(source):
    """Whether rows list what has been observed, once each, all else being missing."""
    return source.sparse == 1 and source.unstored != source.unstored


@kernel
def read_row(source, row, x):
    """The values of a row as they are, in float64; entries listed twice add up."""
    wide = source.wide_index == 1
    if source.sparse == 1:
        x[:] = source.unstored
        first = integer_at(wide, source.indptr, row)
        for p in range(first, integer_at(wide, source.indptr, row + 1)):
            j, z = integer_at(wide, source.indices, p), value_at(source.dtype, source.address, p)
            x[j] = z if is_listed(source) else x[j] + z
    else:
        start = row * source.row_stride
        for j in range(x.shape[0]):
            index = start + j * source.column_stride
            x[j] = value_at(source.dtype, source.address, index)


@kernel(fastmath=EXACT)
def _read_units(source, x, out):
    """A row as units read it where some read categories, or something in place of NaN."""
    real = out.dtype.type
    for column in range(x.shape[0]):
        first, end = units_of(source, column)
        for j in range(first, end):
            if x[column] == x[column]:
                out[j] = real(unit_value(source, j, x[column]))
            else:
                out[j] = real(source.fill[j] if source.fill.shape[0] > 0 else np.nan)


@kernel(fastmath=EXACT, allocates=True)
def _copy_standardised(source, rows, out):
    """Rows of any kind, standardised in float64 and clipped."""
    real = out.dtype.type
    x = np.empty(source.n_columns)
    for i in range(rows.shape[0]):
        read_row(source, rows[i], x)
        if source.first_unit.shape[0] > 0 or source.fill.shape[0] > 0:
            _read_units(source, x, out[i])
        else:
            for j in range(x.shape[0]):
                out[i, j] = real(standardised(source, j, x[j]))


@routine(allocates=True)
def forget_missing(source, rows, out):
    """NaN where a value is missing, in place of what units read there.

    Parameters
    ----------
    source : Source
    rows : int64 array (n_rows,)
    out : array (n_rows, n_units), as `gather` wrote it; updated
    """
    if source.fill.shape[0] == 0:
        return
    x = np.empty(source.n_columns)
    for i in range(rows.shape[0]):
        read_row(source, rows[i], x)
        for column in range(x.shape[0]):
            if x[column] != x[column]:
                first, end = units_of(source, column)
                for j in range(first, end):
                    out[i, j] = out.dtype.type(np.nan)


@routine(allocates=True)
def gather(source, rows, out):
    """Read rows of the source, in out's precision, standardised and clipped.

    Parameters
    ----------
    source : Source
    rows : int64 array (n_rows,)
    out : array (n_rows, n_columns), written
    """
    code, address, size = source.dtype, source.address, source.size
    if source.shift.shape[0] > 0:
        _copy_standardised(source, rows, out)
    elif source.sparse == 1:
        _copy_sparse(source, rows, out)
    elif source.column_stride != 1:
        _copy_strided(source, rows, out)
    elif code == 0:
        _copy_contiguous(array_at(address, size, np.float32), source.row_stride, rows, out)
    elif code == 1:
        _copy_contiguous(array_at(address, size, np.float64), source.row_stride, rows, out)
    elif code == 2:
        _copy_contiguous(array_at(address, size, np.uint8), source.row_stride, rows, out)
    else:
        _copy_strided(source, rows, out)
