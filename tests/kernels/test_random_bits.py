"""Counter-based random numbers: equal to the reference, uniform and independent.

The statistical tests look at fixed keys, so they give one answer for ever; each allows a
family-wise error of `ALPHA` over everything it looks at (Bonferroni), so that a sound
generator had next to no chance to be refused when the keys were chosen.
"""

import itertools

import numpy as np
import pytest
import scipy.stats

from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.random_bits import bits, derive, fill_normal
from tests import reference

DTYPES = [np.float32, np.float64]
ALPHA = 1e-4
SEEDS = [0, 1, 2, 12345, 2**31, 2**32 - 1]
KEYS = [np.uint32(reference.derive(seed, 7)[0]) for seed in SEEDS]


@kernel
def fill(key, first_row, out):
    """The bits of a block of rows."""
    for i in range(out.shape[0]):
        row_key = derive(key, i + first_row)
        for j in range(out.shape[1]):
            out[i, j] = bits(key, row_key, j)


def block(key, n_rows, n_units, first_row=0):
    out = np.empty((n_rows, n_units), np.uint32)
    fill(np.uint32(key), first_row, out)
    return out


def normals(key, shape, first_row=0, dtype=np.float64):
    out = np.full(shape, np.nan, dtype)
    fill_normal(np.uint32(key), first_row, out)
    return out


def uniforms(key, n_rows, n_units):
    """Centred uniform numbers of unit variance."""
    return ((block(key, n_rows, n_units) + 0.5) * 2.0**-32 - 0.5) * np.sqrt(12)


def assert_standard_normal(scores):
    """No score is further out than the family's error allows."""
    limit = scipy.stats.norm.isf(ALPHA / 2 / len(scores))
    assert np.abs(scores).max() < limit


@pytest.mark.parametrize("seed", SEEDS)
def test_bits_equal_the_reference(seed):
    """The compiled arithmetic is modulo 2^32, wrap-around of rows and keys included."""
    for first_row in (0, 5, 2**31 - 3, 2**32 - 2):
        expected = reference.random_bits(seed, np.arange(4) + first_row, 33)
        assert np.array_equal(block(seed, 4, 33, first_row), expected)


def test_top_and_bottom_bits_are_uniform():
    """Chi-square of the top and the bottom byte over 2^18 draws of each key."""
    p_values = []
    for key in KEYS:
        drawn = block(key, 512, 512).ravel()
        for byte in (drawn >> np.uint32(24), drawn & np.uint32(255)):
            p_values.append(scipy.stats.chisquare(np.bincount(byte, minlength=256)).pvalue)
    assert min(p_values) > ALPHA / len(p_values)


def test_every_bit_is_a_fair_coin():
    """Each of the 32 bits is set in half of the draws, but for binomial noise."""
    scores = []
    for key in KEYS:
        drawn = block(key, 512, 512).ravel()
        for bit in range(32):
            share = ((drawn >> np.uint32(bit)) & np.uint32(1)).mean()
            scores.append((share - 0.5) * 2 * np.sqrt(drawn.size))
    assert_standard_normal(scores)


def test_rows_units_and_keys_are_uncorrelated():
    """Neighbours in each of the three directions of a draw's address share nothing."""
    scores = []
    for seed in SEEDS:
        key, following = (reference.derive(seed, k)[0] for k in (7, 8))
        u, later = uniforms(key, 512, 512), uniforms(following, 512, 512)
        pairs = [(u, later)]
        for lag in (1, 2, 3, 16, 64):
            pairs += [(u[lag:], u[:-lag]), (u[:, lag:], u[:, :-lag])]
        scores += [(a * b).sum() / np.sqrt(a.size) for a, b in pairs]
    assert_standard_normal(scores)


def test_neighbours_differ_in_half_of_their_bits():
    """Sharper than a correlation: the exclusive or of neighbours is itself fair bits."""
    scores = []
    for key in KEYS:
        drawn = block(key, 512, 512)
        for a, b in ((drawn[1:], drawn[:-1]), (drawn[:, 1:], drawn[:, :-1])):
            n_set = np.unpackbits((a ^ b).ravel().view(np.uint8)).sum(dtype=np.int64)
            scores.append((n_set - 16 * a.size) / np.sqrt(8 * a.size))
    assert_standard_normal(scores)


def test_row_and_unit_sums_have_binomial_variance():
    """Rows, and units, are not alike as wholes: their sums vary as sums of independent draws."""
    scores = []
    for key in KEYS:
        u = uniforms(key, 512, 512)
        for sums in (u.sum(axis=0), u.sum(axis=1)):
            chi2 = (sums**2 / 512).sum()
            scores.append(scipy.stats.norm.isf(scipy.stats.chi2.sf(chi2, 512)))
    assert_standard_normal(scores)


def test_derived_keys_are_distinct_and_uniform():
    """For one key `derive` is a bijection of the counter, so no two uses share a key."""
    for seed in SEEDS:
        keys = reference.derive(seed, np.arange(2**16))
        assert len(np.unique(keys)) == 2**16
        counts = np.bincount(keys >> np.uint32(24), minlength=256)
        assert scipy.stats.chisquare(counts).pvalue > ALPHA / len(SEEDS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_units", [1, 2, 7, 64])
def test_normals_equal_the_reference(dtype, n_units):
    """Also for an odd number of units, where the last radius serves one unit only."""
    out = normals(KEYS[1], (9, n_units), 3, dtype)
    n_bits = 23 if dtype == np.float32 else 32
    expected = reference.normal_sample(KEYS[1], 3, (9, n_units), n_bits)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=4 * np.finfo(dtype).eps)


def test_normals_are_standard_normal():
    """Kolmogorov-Smirnov over 10^5 draws, and no correlation inside a Box-Muller pair."""
    p_values = []
    for key in KEYS:
        z = normals(key, (400, 256))
        first, second = z[:, :128].ravel(), z[:, 128:].ravel()
        p_values.append(scipy.stats.kstest(z.ravel(), "norm").pvalue)
        p_values.append(scipy.stats.pearsonr(first, second).pvalue)
        p_values.append(scipy.stats.pearsonr(first**2, second**2).pvalue)
    assert min(p_values) > ALPHA / len(p_values)


def test_normal_moments():
    """Mean, variance, skewness and kurtosis, each within its standard error's bound."""
    scores = []
    for key in KEYS:
        z = normals(key, (400, 256)).ravel()
        moments = (z, z**2 - 1, z**3, z**4 - 3)  # of variance 1, 2, 15 and 96
        scores += [
            m.sum() / np.sqrt(z.size * variance)
            for m, variance in zip(moments, (1, 2, 15, 96), strict=True)
        ]
    assert_standard_normal(scores)


def test_results_do_not_depend_on_how_rows_are_cut():
    """A draw's address holds its row's number in the step, so any blocks of rows give the same."""
    whole, noise = block(KEYS[0], 23, 11, 100), normals(KEYS[0], (23, 11), 100)
    for cuts in ([0, 23], [0, 1, 2, 23], [0, 7, 8, 15, 23]):
        blocks = list(itertools.pairwise(cuts))
        cut = [block(KEYS[0], hi - lo, 11, 100 + lo) for lo, hi in blocks]
        assert np.array_equal(np.vstack(cut), whole)
        cut = [normals(KEYS[0], (hi - lo, 11), 100 + lo) for lo, hi in blocks]
        assert np.array_equal(np.vstack(cut), noise)
