"""Random numbers as a hash of where they are used: no state, the same on any thread.

A draw is addressed by (key, row, unit). The key belongs to one use in one step of one
layer, so results do not depend on how the work was shared. The mixer is the 32-bit
finaliser with the multipliers found by C. Wellons (2018); the row enters between its
rounds, so two rows do not walk through one another's sequences.
"""

import math

import numpy as np

from sk_dbn.kernels.compile import kernel

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


@kernel
def add_standard_normal(key, first_row, out):
    """Add to each element an independent draw of N(0, 1) (Box & Muller, 1958).

    Parameters
    ----------
    key : uint32
    first_row : int, number of out's first row within the step
    out : array (n_rows, n_units), updated
    """
    real = out.dtype.type
    n_units = out.shape[1]
    for i in range(out.shape[0]):
        row_key = derive(key, i + first_row)
        for j in range(0, n_units, 2):
            u = (np.float64(bits(key, row_key, j)) + 0.5) * 2.0**-32
            angle = 2.0 * math.pi * np.float64(bits(key, row_key, j + 1)) * 2.0**-32
            radius = math.sqrt(-2.0 * math.log(u))
            out[i, j] += real(radius * math.cos(angle))
            if j + 1 < n_units:
                out[i, j + 1] += real(radius * math.sin(angle))
