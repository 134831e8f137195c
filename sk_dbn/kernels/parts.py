"""Parts of contiguous buffers as arrays.

numba has slices and ``reshape`` for that, which take much longer to compile.
"""

from numba import TypingError, config, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


def vector(flat, at, n):
    """The n elements of a contiguous array from one on, as a view that does not outlive it."""
    return flat.reshape(-1)[at : at + n]


def matrix(flat, at, n, m):
    """The n m elements of a contiguous array from one on, as n rows, a view like `vector`."""
    return flat.reshape(-1)[at : at + n * m].reshape(n, m)


def _part(flat, n_sizes):
    """The signature, and what writes the instructions, of a part with so many sizes."""
    if not isinstance(flat, types.Array) or flat.layout != "C":
        raise TypingError(f"parts are of contiguous arrays, got {flat}.")
    type_ = types.Array(flat.dtype, n_sizes, "C")

    def generate(context, builder, signature, values):
        whole = context.make_array(flat)(context, builder, values[0])
        array, sizes = context.make_array(type_)(context, builder), values[2:]
        steps = [whole.itemsize]
        for size in reversed(sizes[1:]):
            steps.insert(0, builder.mul(steps[0], size))
        data = builder.gep(whole.data, [values[1]])
        populate_array(array, data, sizes, steps, whole.itemsize, None)
        return array._getvalue()

    return type_(flat, *[types.intp] * (1 + n_sizes)), generate


@intrinsic
def _vector(typingctx, flat, at, n):
    return _part(flat, 1)


@intrinsic
def _matrix(typingctx, flat, at, n, m):
    return _part(flat, 2)


if not config.DISABLE_JIT:
    vector, matrix = _vector, _matrix
