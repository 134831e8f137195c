"""What is measured on data and activations: moments, fingerprints, a layer's health."""

import numpy as np

from sk_dbn.kernels.activations import IDENTITY, saturation_bounds
from sk_dbn.kernels.blocks import ALONE, in_blocks, twins
from sk_dbn.kernels.compile import entry, routine
from sk_dbn.kernels.feed_forward import add_shortcut, forward_layer, has_shortcut, widest_layer
from sk_dbn.kernels.gather import gather
from sk_dbn.kernels.memory import in_memory
from sk_dbn.kernels.parts import matrix
from sk_dbn.kernels.random_bits import mix

u32, u64 = np.uint32, np.uint64

BLOCK = 256  # rows read together
NEGATIVE_ZERO = u32(0x80000000)  # the bits of float32's -0
NAN = u32(0x7FC00000)  # one of many NaN, which all are missing values

# A unit is dead when what it says varies less than this over the probed rows.
DEAD_RANGE = 1e-6


@entry
def column_moments(source, rows, block, n_before, mean, squares, low, high):
    """Go on with the moments of each column over more rows.

    Blocks of rows are merged by Chan, Golub & LeVeque (1979), so a large mean does not
    cancel the variance away.

    Parameters
    ----------
    source : Source
    rows : int64 array (n_rows,)
    block : int, rows read together
    n_before : int, rows that the moments are of so far
    mean, squares, low, high : float64 arrays (n_columns,), updated: the mean, the sum of squared
        deviations from it, the least and the largest value
    """
    source, n_columns = in_memory(source), mean.shape[0]
    x = np.empty((min(block, rows.shape[0]), n_columns))
    block_mean, block_squares = np.empty(n_columns), np.empty(n_columns)
    for start in range(0, rows.shape[0], block):
        size, n = min(block, rows.shape[0] - start), n_before + start
        gather(source, rows[start : start + size], x[:size])
        block_mean[:] = 0.0
        block_squares[:] = 0.0
        for i in range(size):
            for j in range(n_columns):
                block_mean[j] += x[i, j] / size
                low[j] = min(low[j], x[i, j])
                high[j] = max(high[j], x[i, j])
        for i in range(size):
            for j in range(n_columns):
                block_squares[j] += (x[i, j] - block_mean[j]) ** 2
        for j in range(n_columns):
            gap = block_mean[j] - mean[j]
            squares[j] += block_squares[j] + gap * gap * n * size / (n + size)
            mean[j] += gap * size / (n + size)


@routine
def sum_column_squares(x, out):
    """Sums of squares of the columns of x, in double precision: weights may explode.

    Parameters
    ----------
    x : array (n_rows, n_columns)
    out : float64 array (n_columns,), written
    """
    out[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[j] += np.float64(x[i, j]) * np.float64(x[i, j])


@routine(allocates=True)
def _fingerprint_block(source, first, seed, out, block):
    """The block-th piece of `fingerprints`."""
    lo = block * BLOCK
    hi = min(lo + BLOCK, out.shape[0])
    x = np.empty((hi - lo, source.n_columns), np.float32)
    gather(source, np.arange(first + lo, first + hi), x)
    # Mixed first: column 0 with the next seed must not hash like column 1 with this one.
    seed = mix(u32(u32(seed) ^ u32(0x9E3779B9)))
    for i in range(hi - lo):
        first, second = u32(0), u32(0)
        for j in range(x.shape[1]):
            value = np.float32(x[i, j]).view(np.uint32)
            value = u32(0) if value == NEGATIVE_ZERO else value
            value = value if x[i, j] == x[i, j] else NAN
            hashed = mix(u32(value ^ mix(u32(u32(j) + u32(seed)))))
            first = u32(first + hashed)
            second = u32(second + mix(u32(hashed ^ u32(0x9E3779B9))))
        out[lo + i] = (u64(first) << u64(32)) | u64(second)


@twins
def fingerprints(team, source, first, seed, out):
    """A 64-bit hash of the content of consecutive rows, as float32.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
    source : Source
    first : int, number of the first row
    seed : uint32
    out : uint64 array (n_rows,), written
    """
    n_blocks = (out.shape[0] + BLOCK - 1) // BLOCK
    source = in_memory(source)
    in_blocks(team, n_blocks, _fingerprint_block, (source, first, seed, out))


@routine(allocates=True)
def layer_health(code, a, health):
    """Mean, standard deviation, saturated and dead fraction of a layer's activations.

    Parameters
    ----------
    code : int, the layer's activation
    a : array (n_rows, n_units)
    health : float64 array (4,), written
    """
    n, m = a.shape
    low, high = saturation_bounds(code)
    total, squares, saturated, dead = 0.0, 0.0, 0, 0
    least, most = a[0].copy(), a[0].copy()
    for i in range(n):
        for j in range(m):
            x = np.float64(a[i, j])
            total += x
            squares += x * x
            saturated += 1 if x < low or x > high else 0
        for j in range(m):
            least[j] = min(least[j], a[i, j])
            most[j] = max(most[j], a[i, j])
    for j in range(m):
        dead += 1 if most[j] - least[j] < DEAD_RANGE else 0
    mean = total / (n * m)
    health[0] = mean
    health[1] = np.sqrt(max(squares / (n * m) - mean * mean, 0.0))
    health[2] = saturated / (n * m)
    health[3] = dead / m


@entry
def probe_layers(source, rows, layers, health):
    """The health of every layer on a few rows.

    Where there are shortcuts, mean and standard deviation are of what a layer passes on; saturated
    and dead are units by themselves.

    Parameters
    ----------
    source : Source
    rows : int64 array (n_rows,)
    layers : Layers
    health : float64 array (n_layers, 4), written, see `layer_health`
    """
    source, layers = in_memory(source), in_memory(layers)
    n, n_layers = rows.shape[0], health.shape[0]
    row = n * widest_layer(layers, n_layers)
    work, passed_on = np.empty(2 * row, layers.theta.dtype), np.empty(4)
    no_slopes, a = matrix(work, 0, 0, 0), matrix(work, 0, n, layers.units[0])
    gather(source, rows, a)
    for layer in range(n_layers):
        q = layers.units[layer + 1]
        out = matrix(work, (layer + 1) % 2 * row, n, q)
        forward_layer(ALONE, layers, layer, a, no_slopes, out)
        layer_health(layers.activations[layer], out, health[layer])
        if has_shortcut(layers, layer):
            add_shortcut(layers.branch, a, out, no_slopes)
            layer_health(IDENTITY, out, passed_on)
            for measure in range(2):  # a slice would be checked, with messages to compile
                health[layer, measure] = passed_on[measure]
        a = out
