"""Arithmetic of rows; slices and broadcasts of NumPy's would take longer to compile."""

from sk_dbn.kernels.compile import EXACT, kernel


@kernel
def copy_rows(x, out):
    """out = x."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j]


@kernel
def scale_rows(x, factor, out):
    """out = factor x."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = factor * x[i, j]


@kernel
def add_to_rows(x, more):
    """Each row of x += more."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] += more[j]


@kernel
def sum_columns(x, lo, out):
    """Sums over the rows of some columns of x, from lo on, written to out."""
    n = out.shape[0]
    out[:] = 0
    for i in range(x.shape[0]):
        row = x[i, lo : lo + n]
        for j in range(n):
            out[j] += row[j]


@kernel
def dot(x, y):
    """The sum of the products of two rows."""
    total = x.dtype.type(0.0)
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@kernel(fastmath=EXACT)
def squared_norm(x):
    """The sum of squares of a row."""
    total = x.dtype.type(0.0)
    for j in range(x.shape[0]):
        total += x[j] * x[j]
    return total
