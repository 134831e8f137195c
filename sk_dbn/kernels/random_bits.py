"""Random numbers as a hash of where they are used: no state, the same on any thread.

A draw is addressed by (key, row, unit). The key belongs to one use in one step of one
layer, so results do not depend on how the work was shared. The mixer is the 32-bit
finaliser with the multipliers found by C. Wellons (2018); the row enters between its
rounds, so two rows do not walk through one another's sequences.
"""

import numpy as np

from sk_dbn.kernels.compile import EXACT, kernel
from sk_dbn.kernels.elementary import log, sin_turns

u32 = np.uint32


@kernel(forceinline=True)
def mix(x):
    """A 32-bit bijection in which every bit of x reaches every bit of the result."""
    x = u32(x)  # numba widens uint32 arithmetic, hence the casts
    x = u32(x ^ (x >> u32(16)))
    x = u32(x * u32(0x7FEB352D))
    x = u32(x ^ (x >> u32(15)))
    x = u32(x * u32(0x846CA68B))
    return u32(x ^ (x >> u32(16)))


@kernel(forceinline=True)
def derive(key, index):
    """A new key from a key and a counter."""
    return mix(u32(u32(key) ^ mix(u32(u32(index & 0xFFFFFFFF) + u32(0x9E3779B9)))))


@kernel(forceinline=True)
def bits(key, row_key, unit):
    """32 random bits for one unit of one row."""
    x = u32(u32(unit) + u32(key))
    x = u32(x ^ (x >> u32(16)))
    x = u32(x * u32(0x7FEB352D))
    x = u32(x ^ u32(row_key))
    x = u32(x ^ (x >> u32(15)))
    x = u32(x * u32(0x846CA68B))
    return u32(x ^ (x >> u32(16)))


@kernel(fastmath=EXACT)
def fill_normal(key, first_row, out):
    """Independent standard normal draws (Box & Muller, 1958), written to out.

    Unit j of the first half of a row and unit j of the second one share a radius and an
    angle.

    Parameters
    ----------
    key : uint32
    first_row : int, number of out's first row within the step
    out : array (n_rows, n_units), written
    """
    real = out.dtype.type
    n_units = out.shape[1]
    half = (n_units + 1) // 2
    # As many bits and a half as the precision holds exactly.
    n_bits = 23 if out.itemsize == 4 else 32
    drop, unit, turn = u32(32 - n_bits), real(2.0**-n_bits), real(2.0**-32)
    half_bit, quarter, factor = real(0.5), real(0.25), real(-2.0)
    for i in range(out.shape[0]):
        row_key = derive(key, i + first_row)
        first, second = out[i, :half], out[i, half:]
        for j in range(half):
            u = (real(bits(key, row_key, 2 * j) >> drop) + half_bit) * unit
            angle = real(np.int32(bits(key, row_key, 2 * j + 1))) * turn
            radius = np.sqrt(factor * log(u))
            first[j] = radius * sin_turns(angle + quarter)
            if j < n_units - half:
                second[j] = radius * sin_turns(angle)


@kernel(fastmath=EXACT)
def normal_at(key, row, unit, n_units, like):
    """The draw of `fill_normal` for one unit of a row.

    Parameters
    ----------
    key : uint32
    row, unit, n_units : int
    like : array, of the draw's dtype
    """
    real, row_key, half = like.dtype.type, derive(key, row), (n_units + 1) // 2
    n_bits = 23 if like.itemsize == 4 else 32
    j, quarter = (unit, real(0.25)) if unit < half else (unit - half, real(0.0))
    u = real(bits(key, row_key, 2 * j) >> u32(32 - n_bits)) + real(0.5)
    angle = real(np.int32(bits(key, row_key, 2 * j + 1))) * real(2.0**-32)
    return np.sqrt(real(-2.0) * log(u * real(2.0**-n_bits))) * sin_turns(angle + quarter)
