"""How probable data are under a trained stack: partition functions and log-likelihoods.

A restricted Boltzmann machine gives exp(-F(v)) / Z to a sample v, F being its free energy.
The partition function Z is a sum over all states of one side of the machine: exact where
that side is small, estimated by annealing where it is not. Everything is in nats.
"""

import warnings
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted

from sk_dbn._rbm_stack import PIECE, BernoulliRBMStack
from sk_dbn.models import memory, partition
from sk_dbn.models.partition import MOST_ENUMERATED, BinaryRBM
from sk_dbn.models.threads import threads
from sk_dbn.models.variational import MOST_LISTED, exact_bound, sampled_bound

__all__ = [
    "AnnealingResult",
    "annealed_importance_sampling",
    "exact_log_partition",
    "log_likelihood",
    "variational_bound",
]

# Where a ladder's spacing changes: shares of the temperatures below, and the betas.
LADDER = [0.0, 500 / 14500, 4500 / 14500, 1.0], [0.0, 0.5, 0.9, 1.0]
FINITE = Interval(Real, None, None, closed="neither")


@dataclass(frozen=True)
class AnnealingResult:
    """An estimate of a log partition function by annealed importance sampling.

    Attributes
    ----------
    log_partition : float
        The estimate of log Z, in nats: the log of the mean of exp(`log_weights`) for
        ``direction='forward'``, less the log of the mean of exp(-`log_weights`) for
        ``'reverse'``.
    standard_error : float
        The estimate's standard error, in nats: the weights' standard deviation over their
        mean and the square root of their number [1]_. It says nothing of states that no
        chain came upon.
    log_weights : ndarray of shape (n_chains,)
        What each chain says of log Z, in nats.
    direction : {'forward', 'reverse'}
        Which way the chains went.

    See Also
    --------
    annealed_importance_sampling : What returns it.

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
        """The estimate that the chains' weights make up."""
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
    """Compute the log partition function of a machine by enumeration.

    Sums over all states of the smaller side: the hidden units, or the visible ones where
    they are fewer and none is Gaussian. Each further unit doubles the time; 25 units beside 784
    take seconds.

    Parameters
    ----------
    stack : BernoulliRBMStack
        A fitted stack.
    layer : int, default=0
        The machine, from the first layer up.
    n_jobs : int, default=None
        Number of threads; None: as many as the process may use. It changes no result.

    Returns
    -------
    log_partition : float
        The log of the sum of exp(-E(v, h)) over all states, in nats; over Gaussian units an
        integral over their standardised values.

    Raises
    ------
    ValueError
        If neither side has 25 units or fewer.

    See Also
    --------
    annealed_importance_sampling : An estimate, for machines of any size.

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
    machine = _machine(stack, layer)
    _check_enumerable(machine, layer)
    with threads(n_jobs) as run:
        return partition.exact_log_partition(run, machine)


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
    """Estimate the log partition function of a machine by annealing.

    Chains go from a machine without weights, whose visible units have the data's means,
    through machines of growing inverse temperature to the machine itself, and are weighted
    on the way [1]_. The mean weight is an unbiased estimate of Z, so that its log on average
    is too low, and rarely too high by much [2]_. Chains that go the other way, from the
    machine to the base [3]_, err on the other side, as long as they start from samples of
    the machine: the two directions enclose log Z.

    Parameters
    ----------
    stack : BernoulliRBMStack
        A fitted stack.
    layer : int, default=0
        The machine, from the first layer up.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Samples whose means the base machine has. By default these are the means that
        training recorded.
    n_chains : int, default=100
        Number of chains, at least 2.
    betas : int or array-like of shape (n_betas,), default=14500
        The ladder of inverse temperatures, increasing from 0 to 1. A number: as many,
        spaced as in [2]_, 500 of 14,500 below 0.5, 4,000 up to 0.9 and 10,000 up to 1.
    direction : {'forward', 'reverse'}, default='forward'
        Whether to go from the base machine up, or from the machine down. Chains that go
        down start from exact samples where one side of the machine has 25 units or fewer
        (which takes the time of :func:`exact_log_partition`). Elsewhere they start where
        annealing up the same ladder and 1,000 Gibbs steps have led, which is close to a
        sample but not the same: a mode that these chains missed is missed again, and the
        estimate may be too low.
    random_state : int, RandomState instance or None, default=None
        Determines the chains.
    n_jobs : int, default=None
        Number of threads; None: as many as the process may use. It changes no result.

    Returns
    -------
    result : AnnealingResult
        The estimate, its standard error and every chain's log weight.

    See Also
    --------
    exact_log_partition : The exact sum, for machines with a small side.

    Notes
    -----
    The chains have the precision of the stack, the weights are summed in float64.

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
    machine, ladder = _machine(stack, layer), _ladder(betas)
    # In double precision each chain's visible units and log weight, in the stack's its hidden.
    chain_size = 8 * (machine.W.shape[0] + 1) + stack._stack.theta.itemsize * machine.W.shape[1]
    memory.require(int(n_chains) * chain_size, "n_chains", n_chains, "take fewer")
    random, base = check_random_state(random_state), _base_biases(stack, layer, X)
    forward = direction == "forward"
    weigh = partition.annealed_log_weights if forward else partition.reversed_log_weights
    with threads(n_jobs) as run:
        dtype = stack._stack.theta.dtype
        log_weights = weigh(run, machine, base, ladder, n_chains, dtype, random)
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
    """Compute the log-likelihood of samples under the first machine.

    That is log P(v) = -F(v) - log Z, F(v) being the stack's ``free_energy``. Bernoulli units
    have probabilities of zeros and ones. Values between are read as their means, with a
    warning; what is computed of them is no log-probability, but at most the expected
    log-likelihood of zeros and ones drawn with these means, as -F is convex. Round such data
    (``X > 0.5``) or draw them (``rng.random(X.shape) < X``) before.

    Parameters
    ----------
    stack : BernoulliRBMStack
        A fitted stack.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples.
    log_partition : float, AnnealingResult or None, default=None
        That of the first machine. None: :func:`exact_log_partition` where one side has 25
        units or fewer, else :func:`annealed_importance_sampling`.
    random_state : int, RandomState instance or None, default=None
        Determines the chains of an estimated `log_partition`.
    n_jobs : int, default=None
        Number of threads; None: as many as the process may use. It changes no result.

    Returns
    -------
    log_likelihood : ndarray of shape (n_samples,)
        In nats; for Gaussian units a density in the standardised units.

    See Also
    --------
    variational_bound : For the stack as a deep belief network.
    BernoulliRBMStack.score_samples : The pseudo-likelihood, which needs no log Z.

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
    machine = _machine(stack, 0)
    X, precise = _read(stack, X), stack._stack.astype(np.float64)
    own = np.concatenate([-precise.free_energy(v) for v in stack._pieces(X, precise)])
    return own - _log_partition(stack, 0, machine, log_partition, random_state, n_jobs)


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
    """Compute a lower bound of the log-likelihood of samples under the deep belief network.

    The network consists of the stack's last machine and of the layers below, each of which
    generates the one beneath it [1]_. Its likelihood is bounded by that of an approximate
    posterior, the upward pass in which each hidden layer is drawn given the one below
    [2]_. For a single machine this is the log-likelihood itself. As there, Bernoulli units
    have a bound of zeros and ones; values between are read as means, with a warning.

    Parameters
    ----------
    stack : BernoulliRBMStack
        A fitted stack.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples.
    log_partition : float, AnnealingResult or None, default=None
        That of the last machine. None: :func:`exact_log_partition` where one side has 25
        units or fewer, else :func:`annealed_importance_sampling`.
    n_samples : int or None, default=100
        How many times the upward pass is drawn for each sample; the mean is an unbiased
        estimate of the bound. None: the bound itself, summed over all states, for up to
        12 units in each hidden layer but the last.
    random_state : int, RandomState instance or None, default=None
        Determines the upward passes, and the chains of an estimated `log_partition`.
    n_jobs : int, default=None
        Number of threads that estimate log Z; None: as many as the process may use. It
        changes no result.

    Returns
    -------
    bound : ndarray of shape (n_samples,)
        In nats; for Gaussian units of a density in the standardised units.

    Raises
    ------
    ValueError
        If ``n_samples=None`` and a hidden layer but the last has more than 12 units.

    See Also
    --------
    log_likelihood : Of the first machine by itself.

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
    check_is_fitted(stack)
    machines = [_machine(stack, layer) for layer in range(stack.n_layers_)]
    if n_samples is None:
        _check_listable(stack)
    X = _read(stack, X)
    random, last = check_random_state(random_state), len(machines) - 1
    log_z = _log_partition(stack, last, machines[last], log_partition, random, n_jobs)
    machine = stack._stack.astype(np.float64)
    pieces = (machine.in_unit_variance(v)[0] for v in stack._pieces(X, machine))
    if n_samples is None:
        bounds = [exact_bound(machines, log_z, v) for v in pieces]
    else:
        bounds = [sampled_bound(machines, log_z, v, n_samples, random) for v in pieces]
    return np.concatenate(bounds) - machine.log_volume


def _machine(stack, layer):
    """A machine of a fitted stack, in terms of units of 0 and 1."""
    check_is_fitted(stack)
    if layer >= stack.n_layers_:
        raise ValueError(
            f"layer must be below the stack's number of layers, {stack.n_layers_}, got {layer}."
        )
    return BinaryRBM.of(stack._stack, layer)


def _read(stack, X):
    """Samples as the stack reads them; a warning if they are none of its states."""
    X = stack._read(X, reset=False)
    binary = ~stack._visible.gaussian
    if binary.any():
        # A range seen in fit is brought to [0, 1] with rounding.
        pieces = (v[:, binary] for v in stack._pieces(X, stack._stack))
        if any(np.minimum(v, 1 - v).max() > 1e-6 for v in pieces):
            warnings.warn(
                "X has values between 0 and 1, which Bernoulli units read as means: what is "
                "computed is not the log-likelihood of a state. Round X to zeros and ones, "
                "X > 0.5, or draw them, rng.random(X.shape) < X.",
                UserWarning,
            )
    return X


def _check_enumerable(machine, layer):
    """Enumeration needs a side that is small."""
    if machine.n_enumerated > MOST_ENUMERATED:
        n_visible, n_hidden = machine.W.shape
        n_gaussian = machine.gaussian.sum()
        kind = "Gaussian visible" if n_gaussian == n_visible else "visible"
        if 0 < n_gaussian < n_visible:
            kind += f" ({n_gaussian} of them Gaussian)"
        raise ValueError(
            f"exact_log_partition takes at most {MOST_ENUMERATED} hidden units, or as many "
            f"visible ones that are not Gaussian; the machine of layer={layer} has {n_visible} "
            f"{kind} and {n_hidden} hidden units. Use annealed_importance_sampling."
        )


def _check_listable(stack):
    """The exact bound needs inner layers that are small."""
    inner = [len(c) for c in stack.intercepts_hidden_[:-1]]
    if max(inner, default=0) > MOST_LISTED:
        raise ValueError(
            f"n_samples=None takes at most {MOST_LISTED} units in each hidden layer but the "
            f"last, the stack has {inner}. Set n_samples to a number of samples."
        )


def _ladder(betas):
    """The inverse temperatures, checked."""
    if isinstance(betas, Integral):
        memory.require(8 * int(betas), "betas", betas, "take fewer")
        return np.interp(np.linspace(0.0, 1.0, betas), *LADDER)
    ladder = np.array(betas, dtype=np.float64)
    ends = ladder.ndim == 1 and len(ladder) >= 2 and ladder[0] == 0.0 and ladder[-1] == 1.0
    if not ends or not (np.diff(ladder) >= 0.0).all():
        raise ValueError(
            "betas must be a number of inverse temperatures, or these in increasing order from "
            f"0 to 1, got {betas!r}."
        )
    return ladder


def _base_biases(stack, layer, X):
    """Visible biases of a machine without weights, from the means of a layer's input."""
    kind, unit = stack._stack.kinds[layer], 1.0
    if layer == 0 and len(stack._stack.variance):
        unit = np.sqrt(stack._stack.variance)  # as in BinaryRBM
    if X is None:
        return partition.base_biases(kind, stack._stack.memories[layer].mu / unit)
    X = stack._read(X, reset=False)
    n = X.shape[0]
    means = sum(
        stack._means_up(X[start : start + PIECE], layer).sum(axis=0, dtype=np.float64)
        for start in range(0, n, PIECE)
    )
    return partition.base_biases(kind, means / n / unit, n)


def _log_partition(stack, layer, machine, given, random_state, n_jobs):
    """log Z of a machine: given, or the best that is to be had."""
    if given is None and machine.n_enumerated <= MOST_ENUMERATED:
        return exact_log_partition(stack, layer, n_jobs=n_jobs)
    if given is None:
        given = annealed_importance_sampling(stack, layer, random_state=random_state, n_jobs=n_jobs)
    return given.log_partition if isinstance(given, AnnealingResult) else float(given)
