"""How probable data are under a trained stack: partition functions and log-likelihoods.

A restricted Boltzmann machine (RBM) gives a sample v the probability exp(-F(v)) / Z, where F is
its free energy. The partition function Z is a sum over all states of the visible units or of the
hidden units. The sum is exact if one of the two layers is small; otherwise annealing estimates
it. All results are in nats.
"""

import warnings
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from sk_dbn._input import check_real, read_input_again
from sk_dbn._rbm_stack import BernoulliRBMStack
from sk_dbn.models import memory, partition
from sk_dbn.models.data import Data
from sk_dbn.models.fitted_stack import CHUNK_ROWS
from sk_dbn.models.partition import MAX_ENUMERATED, BinaryRBM
from sk_dbn.models.threads import threads
from sk_dbn.models.variational import MAX_LISTED, exact_bound, sampled_bound

__all__ = [
    "AnnealingResult",
    "annealed_importance_sampling",
    "exact_log_partition",
    "log_likelihood",
    "variational_bound",
]

# Where the spacing of the inverse temperatures changes: share of them below, and the beta there.
LADDER = [0.0, 500 / 14500, 4500 / 14500, 1.0], [0.0, 0.5, 0.9, 1.0]
FINITE = Interval(Real, None, None, closed="neither")


@dataclass(frozen=True)
class AnnealingResult:
    """An estimate of a log partition function by annealed importance sampling.

    Attributes
    ----------
    log_partition : float
        The estimate of log Z, in nats. With ``direction='forward'``, the log of the mean of
        exp(`log_weights`); with ``'reverse'``, minus the log of the mean of
        exp(-`log_weights`).
    standard_error : float
        Standard error of the estimate, in nats: the standard deviation of the weights, divided
        by their mean and by the square root of their number [1]_. It does not account for
        states that no chain visited.
    log_weights : ndarray of shape (n_chains,)
        The estimate of log Z from each chain, in nats.
    direction : {'forward', 'reverse'}
        Direction of the chains.

    See Also
    --------
    annealed_importance_sampling : Returns this result.

    References
    ----------
    .. [1] Neal, R. M. (2001). Annealed importance sampling. Statistics and Computing 11.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_dbn.likelihood import AnnealingResult
    >>> result = AnnealingResult(
    ...     log_partition=7.0,
    ...     standard_error=0.1,
    ...     log_weights=np.array([6.8, 7.2]),
    ...     direction="forward",
    ... )
    >>> result.log_partition
    7.0
    """

    log_partition: float
    standard_error: float
    log_weights: np.ndarray
    direction: str

    @classmethod
    def _from_weights(cls, log_weights, direction):
        """The result for these weights of the chains."""
        sign = 1.0 if direction == "forward" else -1.0
        n = len(log_weights)
        highest = (sign * log_weights).max()
        weights = np.exp(sign * log_weights - highest)
        mean = weights.mean()
        log_partition = sign * (highest + np.log(mean))
        standard_error = weights.std(ddof=1) / mean / np.sqrt(n)
        return cls(float(log_partition), float(standard_error), log_weights, direction)


@validate_params(
    {
        "stack": [BernoulliRBMStack],
        "layer": [Interval(Integral, 0, None, closed="left")],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def exact_log_partition(stack, layer=0, *, n_jobs=None):
    """Compute the log partition function of an RBM by enumeration.

    The sum is over all states of the hidden units, or of the visible units if there are fewer
    of them and none is Gaussian. Each additional unit doubles the time; an RBM of 784 and 25
    units takes seconds.

    Parameters
    ----------
    stack : BernoulliRBMStack
        A fitted stack.
    layer : int, default=0
        Index of the RBM; 0 is the first.
    n_jobs : int, default=None
        Number of threads; None: as many as the process may use. The result does not depend
        on it.

    Returns
    -------
    log_partition : float
        The log of the sum of exp(-E(v, h)) over all states, in nats. For Gaussian units the
        sum is an integral over their standardised values.

    Raises
    ------
    ValueError
        If more than 25 units would have to be enumerated.

    See Also
    --------
    annealed_importance_sampling : An estimate, for RBMs of any size.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sk_dbn.likelihood import exact_log_partition
    >>> X = load_digits().data / 16
    >>> stack = BernoulliRBMStack((12,), max_iter=5, random_state=0).fit(X)
    >>> bool(exact_log_partition(stack) > 0)
    True
    """
    rbm = _binary_rbm(stack.model_, layer)
    _check_enumerable(rbm, layer)
    with threads(n_jobs) as run:
        return partition.exact_log_partition(run, rbm)


@validate_params(
    {
        "stack": [BernoulliRBMStack],
        "layer": [Interval(Integral, 0, None, closed="left")],
        "n_chains": [Interval(Integral, 2, None, closed="left")],
        "betas": [Interval(Integral, 2, None, closed="left"), "array-like"],
        "direction": [StrOptions({"forward", "reverse"})],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def annealed_importance_sampling(
    stack,
    layer=0,
    *,
    X=None,
    n_chains=100,
    betas=14500,
    direction="forward",
    random_state=None,
    n_jobs=None,
):
    """Estimate the log partition function of an RBM by annealed importance sampling.

    The chains start at a base model: an RBM without weights whose visible units have the means
    of the data. They pass through RBMs of increasing inverse temperature to the RBM itself,
    and their importance weights are updated at each step [1]_. The mean weight is an unbiased
    estimate of Z. Its log is too low on average, and rarely much too high [2]_. Chains in the
    reverse direction, from the RBM to the base model [3]_, give an estimate that is too high on
    average if they start from samples of the RBM. The two directions then bracket log Z.

    Parameters
    ----------
    stack : BernoulliRBMStack
        A fitted stack.
    layer : int, default=0
        Index of the RBM; 0 is the first.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Samples whose means the base model gets. By default, it gets the means recorded during
        training.
    n_chains : int, default=100
        Number of chains, at least 2.
    betas : int or array-like of shape (n_betas,), default=14500
        Inverse temperatures, increasing from 0 to 1. An int is their number; they are then
        spaced as in [2]_: of 14,500, there are 500 below 0.5, 4,000 from 0.5 to 0.9 and 10,000
        from 0.9 to 1.
    direction : {'forward', 'reverse'}, default='forward'
        'forward' goes from the base model to the RBM, 'reverse' from the RBM to the base
        model. Reverse chains start from exact samples if the RBM is small enough for
        :func:`exact_log_partition`; drawing them takes the same time as that function.
        Otherwise, their start is the result of forward annealing over the same temperatures
        followed by 1,000 Gibbs steps. This is close to a sample of the RBM, but not exact: if
        the forward chains miss a mode, the reverse chains miss it too, and the estimate may be
        too low.
    random_state : int, RandomState instance or None, default=None
        Determines the chains.
    n_jobs : int, default=None
        Number of threads; None: as many as the process may use. The result does not depend
        on it.

    Returns
    -------
    result : AnnealingResult
        The estimate, its standard error and the log weight of each chain.

    See Also
    --------
    exact_log_partition : The exact sum, for RBMs with few visible or few hidden units.

    Notes
    -----
    The chains are computed in the precision of the stack, the weights in float64.

    References
    ----------
    .. [1] Neal, R. M. (2001). Annealed importance sampling. Statistics and Computing 11.
    .. [2] Salakhutdinov, R. & Murray, I. (2008). On the quantitative analysis of deep belief
       networks. ICML, sections 3 and 5.
    .. [3] Burda, Y., Grosse, R. & Salakhutdinov, R. (2015). Accurate and conservative
       estimates of MRF log-likelihood using reverse annealing. AISTATS.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sk_dbn.likelihood import annealed_importance_sampling, exact_log_partition
    >>> X = load_digits().data / 16
    >>> stack = BernoulliRBMStack((12,), max_iter=5, random_state=0).fit(X)
    >>> result = annealed_importance_sampling(stack, betas=1000, random_state=0)
    >>> bool(abs(result.log_partition - exact_log_partition(stack)) < 0.1)
    True
    """
    rbm, betas = _binary_rbm(stack.model_, layer), _inverse_temperatures(betas)
    dtype = stack.model_.stack.theta.dtype
    # A chain has its visible units and its log weight in float64, its hidden units in dtype.
    chain_size = 8 * (rbm.W.shape[0] + 1) + dtype.itemsize * rbm.W.shape[1]
    memory.require(int(n_chains) * chain_size, "n_chains", n_chains, "take fewer")
    random, base = check_random_state(random_state), _base_biases(stack, layer, X)
    forward = direction == "forward"
    weigh = partition.annealed_log_weights if forward else partition.reversed_log_weights
    with threads(n_jobs) as run:
        log_weights = weigh(run, rbm, base, betas, n_chains, dtype, random)
    return AnnealingResult._from_weights(log_weights, direction)


@validate_params(
    {
        "stack": [BernoulliRBMStack],
        "log_partition": [FINITE, AnnealingResult, None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def log_likelihood(stack, X, *, log_partition=None, random_state=None, n_jobs=None):
    """Compute the log-likelihood of samples under the first RBM.

    This is log P(v) = -F(v) - log Z, where F(v) is the stack's ``free_energy``. For Bernoulli
    units, only zeros and ones have a probability. Values between 0 and 1 are taken as means,
    with a warning. The result for them is not a log-probability. Because -F is convex, it is a
    lower bound on the expected log-likelihood of zeros and ones drawn with these means. To avoid
    this, round such data first (``X > 0.5``), or draw zeros and ones
    (``rng.random(X.shape) < X``).

    Parameters
    ----------
    stack : BernoulliRBMStack
        A fitted stack.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples.
    log_partition : float, AnnealingResult or None, default=None
        Log partition function of the first RBM. None: computed by :func:`exact_log_partition`
        if the RBM is small enough, otherwise by :func:`annealed_importance_sampling`.
    random_state : int, RandomState instance or None, default=None
        Determines the chains if `log_partition` is estimated.
    n_jobs : int, default=None
        Number of threads; None: as many as the process may use. The result does not depend
        on it.

    Returns
    -------
    log_likelihood : ndarray of shape (n_samples,)
        In nats. For Gaussian units, the log of a density of the standardised values.

    See Also
    --------
    variational_bound : A lower bound for the whole stack, as a deep belief network.
    sk_dbn.BernoulliRBMStack.score_samples : The pseudo-likelihood, which needs no log Z.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sk_dbn.likelihood import log_likelihood
    >>> X = (load_digits().data > 7).astype(float)
    >>> stack = BernoulliRBMStack((12,), max_iter=5, random_state=0).fit(X)
    >>> log_likelihood(stack, X).shape
    (1797,)
    """
    model = stack.model_.astype(np.float64)
    rbm = _binary_rbm(stack.model_, 0)
    X = _read(stack, X)
    _warn_of_means(stack.model_, X)
    energies = np.concatenate([model.stack.free_energy(v) for v in model.visible_values(X)])
    return -energies - _log_partition(stack, 0, rbm, log_partition, random_state, n_jobs)


@validate_params(
    {
        "stack": [BernoulliRBMStack],
        "log_partition": [FINITE, AnnealingResult, None],
        "n_samples": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def variational_bound(
    stack, X, *, log_partition=None, n_samples=100, random_state=None, n_jobs=None
):
    """Compute a lower bound on the log-likelihood of samples under the deep belief network.

    The deep belief network consists of the stack's last RBM and the layers below it, each of
    which generates the layer beneath [1]_. The bound uses an approximate posterior: an upward
    pass in which each hidden layer is drawn given the layer below [2]_. For a single RBM, the
    bound is the log-likelihood itself. As in :func:`log_likelihood`, Bernoulli units should be
    zeros and ones; values between are taken as means, with a warning.

    Parameters
    ----------
    stack : BernoulliRBMStack
        A fitted stack.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples.
    log_partition : float, AnnealingResult or None, default=None
        Log partition function of the last RBM. None: computed by :func:`exact_log_partition`
        if the RBM is small enough, otherwise by :func:`annealed_importance_sampling`.
    n_samples : int or None, default=100
        Number of upward passes drawn for each sample. Their mean is an unbiased estimate of
        the bound. None: compute the bound exactly, by summing over all states. This is possible
        for up to 12 units in each hidden layer except the last.
    random_state : int, RandomState instance or None, default=None
        Determines the upward passes, and the chains if `log_partition` is estimated.
    n_jobs : int, default=None
        Number of threads for the estimate of log Z; None: as many as the process may use. The
        result does not depend on it.

    Returns
    -------
    bound : ndarray of shape (n_samples,)
        In nats. For Gaussian units, a bound on the log of a density of the standardised
        values.

    Raises
    ------
    ValueError
        If ``n_samples=None`` and a hidden layer other than the last has more than 12 units.

    See Also
    --------
    log_likelihood : The log-likelihood under the first RBM alone.

    References
    ----------
    .. [1] Hinton, G. E., Osindero, S. & Teh, Y.-W. (2006). A fast learning algorithm for deep
       belief nets. Neural Computation 18.
    .. [2] Salakhutdinov, R. & Murray, I. (2008). On the quantitative analysis of deep belief
       networks. ICML, section 4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_dbn import BernoulliRBMStack
    >>> from sk_dbn.likelihood import variational_bound
    >>> X = (load_digits().data > 7).astype(float)
    >>> stack = BernoulliRBMStack((24, 12), max_iter=5, random_state=0).fit(X)
    >>> variational_bound(stack, X[:10], random_state=0).shape
    (10,)
    """
    model = stack.model_.astype(np.float64)
    rbms = [_binary_rbm(stack.model_, layer) for layer in range(stack.n_layers_)]
    if n_samples is None:
        _check_listable(stack)
    X = _read(stack, X)
    _warn_of_means(stack.model_, X)
    random, last = check_random_state(random_state), len(rbms) - 1
    log_z = _log_partition(stack, last, rbms[last], log_partition, random, n_jobs)
    pieces = (model.stack.in_unit_variance(v)[0] for v in model.visible_values(X))
    if n_samples is None:
        bounds = [exact_bound(rbms, log_z, v) for v in pieces]
    else:
        bounds = [sampled_bound(rbms, log_z, v, n_samples, random) for v in pieces]
    return np.concatenate(bounds) - model.stack.log_volume


def _binary_rbm(model, layer):
    """An RBM of a fitted stack, in terms of units that are 0 or 1."""
    n_layers = model.stack.n_layers
    if layer >= n_layers:
        raise ValueError(
            f"layer must be less than the stack's number of layers, {n_layers}, got {layer}."
        )
    return BinaryRBM.of(model.stack, layer)


def _read(stack, X):
    """The samples, validated as in the stack's methods; none of their values may be missing."""
    X = check_real(read_input_again(stack, X, ensure_all_finite="allow-nan"))
    if Data(X, stack.dtype, unstored=stack.model_.visible.unstored).has_missing:
        raise ValueError(
            "Input X contains NaN, but likelihoods need all values: what was observed in a sample "
            "is an RBM with a partition function of its own. Use stack.score_samples(X), or fill "
            "missing values with stack.complete(X)."
        )
    return X


def _warn_of_means(model, X):
    """Warn if Bernoulli units get other values than 0 and 1."""
    binary = ~model.visible.gaussian
    if binary.any():
        # 1e-6: mapping the range seen in fit to [0, 1] has rounding errors.
        pieces = (v[:, binary] for v in model.visible_values(X))
        if any(np.minimum(v, 1 - v).max() > 1e-6 for v in pieces):
            warnings.warn(
                "X has values between 0 and 1, which Bernoulli units take as means: the result is "
                "not the log-likelihood of a state. Round X to zeros and ones, X > 0.5, or draw "
                "them, rng.random(X.shape) < X.",
                UserWarning,
            )


def _check_enumerable(rbm, layer):
    """Only a small number of units can be enumerated."""
    if rbm.n_enumerated > MAX_ENUMERATED:
        n_visible, n_hidden = rbm.W.shape
        n_gaussian = rbm.gaussian.sum()
        kind = "Gaussian visible" if n_gaussian == n_visible else "visible"
        if 0 < n_gaussian < n_visible:
            kind += f" ({n_gaussian} of them Gaussian)"
        raise ValueError(
            f"exact_log_partition needs at most {MAX_ENUMERATED} hidden units, or as few visible "
            f"units of which none is Gaussian; the RBM with layer={layer} has {n_visible} {kind} "
            f"and {n_hidden} hidden units. Use annealed_importance_sampling."
        )


def _check_listable(stack):
    """The exact bound needs small inner layers."""
    inner = [len(c) for c in stack.intercepts_hidden_[:-1]]
    if max(inner, default=0) > MAX_LISTED:
        raise ValueError(
            f"n_samples=None takes at most {MAX_LISTED} units in each hidden layer except the "
            f"last; the stack has {inner}. Set n_samples to a number of samples."
        )


def _inverse_temperatures(betas):
    """The inverse temperatures, checked."""
    if isinstance(betas, Integral):
        memory.require(8 * int(betas), "betas", betas, "take fewer")
        return np.interp(np.linspace(0.0, 1.0, betas), *LADDER)
    values = np.array(betas, dtype=np.float64)
    has_ends = values.ndim == 1 and len(values) >= 2 and values[0] == 0.0 and values[-1] == 1.0
    if not has_ends or not (np.diff(values) >= 0.0).all():
        raise ValueError(
            "betas must be the number of inverse temperatures, or an array of them in increasing "
            f"order from 0 to 1, got {betas!r}."
        )
    return values


def _base_biases(stack, layer, X):
    """Visible biases of the base model, from the means of the RBM's input."""
    model, rbms = stack.model_, stack.model_.stack
    kind, unit = rbms.kinds[layer], 1.0
    if layer == 0 and len(rbms.variance):
        unit = np.sqrt(rbms.variance)  # as in BinaryRBM
    if X is None:
        return partition.base_biases(kind, rbms.memories[layer].mu / unit)
    X = _read(stack, X)
    n = X.shape[0]
    means = sum(
        model.means_up(X[start : start + CHUNK_ROWS], layer).sum(axis=0, dtype=np.float64)
        for start in range(0, n, CHUNK_ROWS)
    )
    return partition.base_biases(kind, means / n / unit, n)


def _log_partition(stack, layer, rbm, given, random_state, n_jobs):
    """log Z of an RBM: the given one, else the exact one if possible, else an estimate."""
    if given is None and rbm.n_enumerated <= MAX_ENUMERATED:
        return exact_log_partition(stack, layer, n_jobs=n_jobs)
    if given is None:
        given = annealed_importance_sampling(stack, layer, random_state=random_state, n_jobs=n_jobs)
    return given.log_partition if isinstance(given, AnnealingResult) else float(given)
