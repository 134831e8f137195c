"""Rows of which some values are missing: the units that have been observed, and their moments.

A row is an RBM of its own, with the visible units that were observed in it (Salakhutdinov, Mnih &
Hinton, 2007, section 2). So a minibatch is a list of units and values for each row, here called
slots, instead of a matrix.
"""

from collections import namedtuple

import numpy as np

from sk_dbn.kernels.compile import entry, kernel
from sk_dbn.kernels.gather import integer_at, is_listed, read_row, unit_value, units_of, value_at
from sk_dbn.kernels.memory import in_memory

Slots = namedtuple(
    "Slots", "unit v_pos v_neg row starts ends columns chosen factors unit_starts by_unit cuts"
)
Slots.__doc__ = """The observed units of a minibatch.

unit : int64 array (n_slots,), in ascending order within a row
v_pos, v_neg : arrays (n_slots,), values in the positive and in the negative phase
row : int64 array (n_slots,), number of the row within the minibatch
starts, ends : int64 arrays (n_rows,), the slots of each row
columns : float64 array (n_row_blocks, n_columns), a row as it lies, see `gather.read_row`; or
    (n_row_blocks, 0) where rows are read entry by entry
chosen, factors : arrays (n_blocks, n_terms), int64 and real, terms of a sum of rows
unit_starts : int64 array (n_units + 1,), where the slots of each unit begin ...
by_unit : int64 array (n_slots,), ... in this list of slots, ordered by unit and row
cuts : int64 array (n_unit_blocks + 1,), first unit of each block, and the number of units
"""


@kernel
def _append(source, column, x, unit, v, n):
    """Append the units of an observed column; returns how many there are then."""
    first, end = units_of(source, column)
    for i in range(first, end):
        unit[n] = i
        v[n] = v.dtype.type(unit_value(source, i, x))
        n += 1
    return n


@kernel
def read_observed(source, row, columns, unit, v):
    """The units of a row that have been observed.

    Parameters
    ----------
    source : gather.Source, with a scale for each unit
    row : int
    columns : float64 array (n_columns,), or (0,) where the source `is_listed`; overwritten
    unit : int64 array (n_units,), written: the units in ascending order
    v : array like unit, written: their values

    Returns
    -------
    int, their number
    """
    n = 0
    if is_listed(source):
        wide = source.wide_index == 1
        first = integer_at(wide, source.indptr, row)
        for p in range(first, integer_at(wide, source.indptr, row + 1)):
            column = integer_at(wide, source.indices, p)
            x = value_at(source.dtype, source.address, p)
            if x == x:
                n = _append(source, column, x, unit, v, n)
        return n
    read_row(source, row, columns)
    for column in range(columns.shape[0]):
        if columns[column] == columns[column]:
            n = _append(source, column, columns[column], unit, v, n)
    return n


@kernel
def space_of_row(source, row, n_units, widest):
    """Maximum number of units of a row that may have been observed.

    Parameters
    ----------
    source : gather.Source
    row, n_units : int
    widest : int, maximum number of units that read one column
    """
    if not is_listed(source):
        return n_units
    wide = source.wide_index == 1
    first = integer_at(wide, source.indptr, row)
    return (integer_at(wide, source.indptr, row + 1) - first) * widest


@entry
def observed_moments(source, rows, count, mean, squares, low, high):
    """Go on with the moments of what has been observed over more rows (Welford, 1962).

    Parameters
    ----------
    source : gather.Source, with a scale for each unit
    rows : int64 array (n_rows,)
    count, mean, squares, low, high : float64 arrays (n_units,), updated: number of rows in which
        a unit was observed, the mean, the sum of squared deviations from it, the least and the
        largest value
    """
    source, n_units = in_memory(source), mean.shape[0]
    columns = np.empty(0 if is_listed(source) else source.n_columns)
    unit, v = np.empty(n_units, np.int64), np.empty(n_units)
    for k in range(rows.shape[0]):
        for s in range(read_observed(source, rows[k], columns, unit, v)):
            i, x = unit[s], v[s]
            count[i] += 1.0
            gap = x - mean[i]
            mean[i] += gap / count[i]
            squares[i] += gap * (x - mean[i])
            low[i] = min(low[i], x)
            high[i] = max(high[i], x)
