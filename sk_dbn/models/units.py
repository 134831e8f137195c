"""The kinds of units of an RBM, in NumPy: one line of a table for each, with its formulas.

The same formulas for training, compiled, are in ``kernels/units.py``. Units of one layer may be of
different kinds; then a code is an array with one code for each unit.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, ndtr, rel_entr, spence

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH
from sk_dbn.kernels.units import FIRST_CATEGORY, NEXT_CATEGORY

VISIBLE_KINDS = {"bernoulli": LOGISTIC, "gaussian": IDENTITY}  # beside "categorical"
HIDDEN_KINDS = {"logistic": LOGISTIC, "tanh": TANH, "relu": RELU}
UNIT_KINDS = VISIBLE_KINDS | HIDDEN_KINDS
CODES = [*set(UNIT_KINDS.values()), FIRST_CATEGORY, NEXT_CATEGORY]


def rectified_mean(x):
    """The mean of max(0, x + e), for normal e of the variance logistic(x).

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    ndarray like x
    """
    s = np.sqrt(expit(x))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(s > 0.0, x / s, -np.inf)
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return (np.where(s > 0.0, x * ndtr(z), 0.0) + s * density).astype(np.asarray(x).dtype)


def rectified_log_partition(x):
    """The integral of log(1 + exp(t)) over t up to x, minus the dilogarithm of -exp(x).

    That is what a noisy rectified linear unit, as a sum of units of 0 and 1, adds to -F(v).

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    ndarray like x
    """
    half = -spence(1.0 + np.exp(-np.abs(x)))
    return np.where(x <= 0.0, half, 0.5 * x * x + np.pi**2 / 6.0 - half)


def _log_odds(p, n_samples):
    """log(p / (1 - p)); one more sample of either value keeps it finite."""
    p = np.clip(p, 1.0 / (n_samples + 1.0), n_samples / (n_samples + 1.0))
    return np.log(p) - np.log1p(-p)


def _binary_divergence(v, p, variance):
    p = np.clip(p, 2.0**-24, 1.0 - 2.0**-24)
    return (rel_entr(v, p) + rel_entr(1.0 - v, 1.0 - p)).sum() / len(v)


def _draw_binary(mean, random, deviation):
    return (random.random(mean.shape, mean.dtype) < mean).astype(mean.dtype)


def _draw_signs(mean, random, deviation):
    u = random.random(mean.shape, mean.dtype)
    return np.where(2.0 * u - 1.0 < mean, 1, -1).astype(mean.dtype)


def _draw_normal(mean, random, deviation):
    return mean + deviation * random.standard_normal(mean.shape, mean.dtype)


def _spread_over(values, starts, n_units):
    """One value of each group, repeated for the units of the group, (..., n_units)."""
    return np.repeat(values, np.diff(np.r_[starts, n_units]), axis=-1)


def softmax_of_groups(x, starts):
    """Means of categories: exp(x), divided by its sum over the units of each group.

    Parameters
    ----------
    x : ndarray of shape (..., n_units)
    starts : int64 ndarray of shape (n_groups,)
        First unit of each group; the first one is 0.

    Returns
    -------
    ndarray like x
    """
    n_units = x.shape[-1]
    highest = np.maximum.reduceat(x, starts, axis=-1)
    e = np.exp(x - _spread_over(highest, starts, n_units))
    return e / _spread_over(np.add.reduceat(e, starts, axis=-1), starts, n_units)


def draw_categories(mean, starts, random):
    """One category of each group, drawn with these probabilities: 1 for it, 0 for the others.

    Parameters
    ----------
    mean : ndarray of shape (..., n_units)
    starts : int64 ndarray of shape (n_groups,)
    random : numpy.random.Generator

    Returns
    -------
    ndarray like mean
    """
    n_units, ends = mean.shape[-1], np.r_[starts[1:], mean.shape[-1]]
    above = np.cumsum(mean, axis=-1, dtype=np.float64)  # sums up to and with each unit
    before = np.concatenate([np.zeros((*mean.shape[:-1], 1)), above[..., ends[:-1] - 1]], axis=-1)
    u = before + random.random(before.shape) * (above[..., ends - 1] - before)
    passed = np.add.reduceat(above <= _spread_over(u, starts, n_units), starts, axis=-1)
    chosen = starts + np.minimum(passed, ends - starts - 1)
    state = np.zeros_like(mean)
    np.put_along_axis(state, chosen, 1, axis=-1)
    return state


@dataclass(frozen=True)
class Formulas:
    """What is known of a kind of units, as functions; None for what its side does not need.

    Parameters
    ----------
    feature : callable
        What a layer passes upward, given products and biases x.
    mean : callable
        The mean of a unit given the other side, of x.
    log_partition : callable or None
        log of the sum of exp(x h) over the values h of a hidden unit.
    energy : callable
        ``energy(v, b)``: what visible units of variance 1 add to the energy by themselves.
    divergence : callable or None
        ``divergence(v, p, variance)``: of means p from values v, in nats per sample.
    bias : callable
        ``bias(mean, n_samples)``: gives an isolated unit its mean in the data.
    draw : callable or None
        ``draw(mean, random, deviation)``: samples of units that have these means.
    is_bounded : bool, default=True
        Whether its values are.
    """

    feature: object
    mean: object
    log_partition: object
    energy: object
    divergence: object
    bias: object
    draw: object
    is_bounded: bool = True


def _linear_energy(v, b):
    return -(v @ b)


def _category_divergence(v, p, variance):
    return rel_entr(v, np.maximum(p, 2.0**-24)).sum() / len(v)


def _log_share(mean, n_samples):
    """log(p), as if each category had been seen half a time more."""
    return np.log((n_samples * mean + 0.5) / (n_samples + 1.0))


def _categories(starts):
    """The formulas of the units of categories, of which these units are the first ones."""
    return Formulas(
        feature=None,
        mean=partial(softmax_of_groups, starts=starts),
        log_partition=None,
        energy=_linear_energy,
        divergence=_category_divergence,
        bias=_log_share,
        draw=lambda mean, random, deviation: draw_categories(mean, starts, random),
    )


FORMULAS = {
    LOGISTIC: Formulas(
        feature=expit,
        mean=expit,
        log_partition=lambda x: np.logaddexp(0.0, x),
        energy=_linear_energy,
        divergence=_binary_divergence,
        bias=_log_odds,  # Hinton (2012), section 8.1
        draw=_draw_binary,
    ),
    TANH: Formulas(
        feature=np.tanh,
        mean=np.tanh,
        log_partition=lambda x: np.logaddexp(x, -x),
        energy=_linear_energy,
        divergence=None,
        bias=lambda mean, n_samples: 0.5 * _log_odds(0.5 + 0.5 * mean, n_samples),
        draw=_draw_signs,
    ),
    IDENTITY: Formulas(
        feature=lambda x: x,
        mean=lambda x: x,
        log_partition=None,
        energy=lambda v, b: 0.5 * ((v - b) ** 2).sum(axis=1),
        divergence=lambda v, p, variance: 0.5 * ((v - p) ** 2 / variance).sum() / len(v),
        bias=lambda mean, n_samples: np.array(mean),
        draw=_draw_normal,
        is_bounded=False,
    ),
    RELU: Formulas(
        feature=lambda x: np.maximum(x, 0),
        mean=rectified_mean,
        log_partition=rectified_log_partition,
        energy=_linear_energy,
        divergence=None,
        bias=lambda mean, n_samples: np.array(mean),
        draw=None,  # does not follow from the mean, see `draw_given`
        is_bounded=False,
    ),
}


def code_of(kinds):
    """The code of some units.

    Parameters
    ----------
    kinds : str or sequence of str, or int64 ndarray
        A name of `UNIT_KINDS`, or one for each unit, or their codes.

    Returns
    -------
    int, or int64 ndarray of shape (n_units,) where units are of different kinds
    """
    codes = [UNIT_KINDS.get(each, each) for each in np.atleast_1d(kinds).tolist()]
    codes = np.array(codes, dtype=np.int64)
    is_one_kind = codes[0] < FIRST_CATEGORY and (codes == codes[0]).all()
    return int(codes[0]) if is_one_kind else codes


def spans_of(code, n_units):
    """Ranges of neighbouring units of one kind, as the kernels take them.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)
    n_units : int

    Returns
    -------
    int64 ndarray of shape (n_spans, 3)
        First unit, end and code of each range.
    """
    codes = np.broadcast_to(code, n_units)
    ends = np.r_[np.flatnonzero(np.diff(codes)) + 1, n_units]
    first = np.r_[0, ends[:-1]]
    return np.ascontiguousarray(np.column_stack([first, ends, codes[first]]), dtype=np.int64)


def by_kind(code):
    """The formulas of each kind among some units, and which units have them.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)

    Returns
    -------
    list of tuples (Formulas, boolean ndarray of shape (n_units,))
        Instead of a mask a slice of all units, if they are of one kind.
    """
    if np.ndim(code) == 0:
        return [(FORMULAS[code], slice(None))]
    is_category = code >= FIRST_CATEGORY
    kinds = [(FORMULAS[each], code == each) for each in np.unique(code[~is_category]).tolist()]
    if is_category.any():
        starts = np.flatnonzero(code[is_category] == FIRST_CATEGORY)
        kinds.append((_categories(starts), is_category))
    return kinds


def are_bounded(code):
    """Whether all units, of one code or several, have bounded values."""
    return all(kind.is_bounded for kind, _ in by_kind(code))


def means(code, x):
    """Means of units, given the other side.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)
    x : ndarray of shape (..., n_units)
        Products and biases.

    Returns
    -------
    ndarray like x
    """
    if np.ndim(code) == 0:
        return FORMULAS[code].mean(x)
    result = np.empty_like(x)
    for kind, units in by_kind(code):
        result[..., units] = kind.mean(x[..., units])
    return result


def own_energies(code, v, b):
    """What visible units of variance 1 add to the energy by themselves.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)
    v : ndarray of shape (n_samples, n_units)
    b : ndarray of shape (n_units,)

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    if np.ndim(code) == 0:
        return FORMULAS[code].energy(v, b)
    return sum(kind.energy(v[:, units], b[units]) for kind, units in by_kind(code))


def mean_divergence(code, v, p, variance):
    """Divergence of visible units' means from their values, in nats per sample.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)
    v, p : ndarrays of shape (n_samples, n_units)
    variance : ndarray of shape (n_units,), or (0,) where no unit is Gaussian

    Returns
    -------
    float
    """
    if np.ndim(code) == 0:
        return FORMULAS[code].divergence(v, p, variance)
    if len(variance) == 0:
        variance = np.ones(v.shape[1], v.dtype)
    return sum(
        kind.divergence(v[:, units], p[:, units], variance[units]) for kind, units in by_kind(code)
    )


def natural_bias(code, mean, n_samples):
    """The bias that gives an isolated unit the mean it has in the data.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)
    mean : ndarray of shape (n_units,)
    n_samples : int or ndarray of shape (n_units,)

    Returns
    -------
    ndarray of shape (n_units,)
    """
    if np.ndim(code) == 0:
        return FORMULAS[code].bias(mean, n_samples)
    bias, n_samples = np.empty(len(mean)), np.broadcast_to(n_samples, len(mean))
    for kind, units in by_kind(code):
        bias[units] = kind.bias(mean[units], n_samples[units])
    return bias


def draw(code, mean, random, deviation=1.0):
    """Samples of units that have these means.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)
        Any but RELU.
    mean : float32 or float64 ndarray of shape (..., n_units)
    random : numpy.random.Generator
    deviation : float or ndarray of shape (n_units,), default=1.0
        Standard deviation of Gaussian units.

    Returns
    -------
    ndarray like mean
    """
    if np.ndim(code) == 0:
        return FORMULAS[code].draw(mean, random, deviation)
    state, deviation = np.empty_like(mean), np.broadcast_to(deviation, code.shape)
    for kind, units in by_kind(code):
        state[..., units] = kind.draw(mean[..., units], random, deviation[units])
    return state


def draw_given(code, x, random, deviation=1.0):
    """Samples of units given the other side.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)
    x : float32 or float64 ndarray of shape (..., n_units)
        Products and biases.
    random : numpy.random.Generator
    deviation : float or ndarray of shape (n_units,), default=1.0
        Standard deviation of Gaussian units.

    Returns
    -------
    ndarray like x
    """
    if np.all(code == RELU):
        return np.maximum(x + np.sqrt(expit(x)) * random.standard_normal(x.shape, x.dtype), 0)
    return draw(code, means(code, x), random, deviation)
