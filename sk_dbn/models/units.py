"""The kinds of units of an RBM, in NumPy: one line of a table for each, with its formulas.

The same formulas for training, compiled, are in ``kernels/units.py``. Units of one layer may be of
different kinds; then a code is an array with one code for each unit.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr, rel_entr, spence

from sk_dbn.kernels.activations import IDENTITY, LOGISTIC, RELU, TANH

VISIBLE_KINDS = {"bernoulli": LOGISTIC, "gaussian": IDENTITY}
HIDDEN_KINDS = {"logistic": LOGISTIC, "tanh": TANH, "relu": RELU}
UNIT_KINDS = VISIBLE_KINDS | HIDDEN_KINDS


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
    kinds : str or sequence of str
        A name of `UNIT_KINDS`, or one for each unit.

    Returns
    -------
    int, or int64 ndarray of shape (n_units,) where units are of different kinds
    """
    codes = np.array([UNIT_KINDS[name] for name in np.atleast_1d(kinds)], dtype=np.int64)
    return int(codes[0]) if (codes == codes[0]).all() else codes


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
    return [(FORMULAS[each], code == each) for each in np.unique(code).tolist()]


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
    return sum(
        kind.divergence(v[:, units], p[:, units], variance[units]) for kind, units in by_kind(code)
    )


def natural_bias(code, mean, n_samples):
    """The bias that gives an isolated unit the mean it has in the data.

    Parameters
    ----------
    code : int, or int64 ndarray of shape (n_units,)
    mean : ndarray of shape (n_units,)
    n_samples : int

    Returns
    -------
    ndarray of shape (n_units,)
    """
    if np.ndim(code) == 0:
        return FORMULAS[code].bias(mean, n_samples)
    bias = np.empty(len(mean))
    for kind, units in by_kind(code):
        bias[units] = kind.bias(mean[units], n_samples)
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
