"""Initial weights: each entry of ``INITIALISERS`` is a formula from a paper.

To add one, add a function (random, fan_in, fan_out) -> array to ``INITIALISERS``.
"""

import numbers

import numpy as np

from sk_dbn.kernels.activations import FACTS

LOGISTIC_GAIN = 4.0  # factor of the weights of logistic units, see `auto`


def _normal(variance):
    """Weights of N(0, variance(fan_in, fan_out))."""

    def draw(random, fan_in, fan_out):
        return random.normal(0.0, np.sqrt(variance(fan_in, fan_out)), (fan_in, fan_out))

    return draw


def _uniform(variance):
    """Weights uniform in [-r, r] with r^2 = 3 variance(fan_in, fan_out)."""

    def draw(random, fan_in, fan_out):
        r = np.sqrt(3.0 * variance(fan_in, fan_out))
        return random.uniform(-r, r, (fan_in, fan_out))

    return draw


def glorot(fan_in, fan_out):
    """Variance of Glorot & Bengio (2010), equation 12."""
    return 2.0 / (fan_in + fan_out)


def he(fan_in, fan_out):
    """Variance of He, Zhang, Ren & Sun (2015), equation 10."""
    return 2.0 / fan_in


def lecun(fan_in, fan_out):
    """Variance of LeCun, Bottou, Orr & Müller (1998), equation 16."""
    return 1.0 / fan_in


def orthogonal(random, fan_in, fan_out):
    """Orthonormal rows or columns (Saxe, McClelland & Ganguli, 2014)."""
    tall = random.normal(size=(max(fan_in, fan_out), min(fan_in, fan_out)))
    Q, R = np.linalg.qr(tall)
    Q *= np.sign(np.diag(R))  # makes Q uniform over all orthogonal matrices
    return Q if fan_in >= fan_out else Q.T


INITIALISERS = {
    "glorot_normal": _normal(glorot),
    "glorot_uniform": _uniform(glorot),
    "he_normal": _normal(he),
    "he_uniform": _uniform(he),
    "lecun_normal": _normal(lecun),
    "lecun_uniform": _uniform(lecun),
    "orthogonal": orthogonal,
    "normal": _normal(lambda fan_in, fan_out: 0.01**2),  # Hinton (2012), section 8
    "standard_normal": _normal(lambda fan_in, fan_out: 1.0),
    "zeros": lambda random, fan_in, fan_out: np.zeros((fan_in, fan_out)),
}
NAMES = ("auto", *INITIALISERS, "sklearn")

VARIANCES = {"glorot_uniform": glorot, "he_normal": he, "lecun_normal": lecun}


def auto_std(activation, fan_in, fan_out):
    """The standard deviation of weights with 'auto', given the layer's activation."""
    std = np.sqrt(VARIANCES[FACTS[activation].init](fan_in, fan_out))
    return LOGISTIC_GAIN * std if activation == "logistic" else std


def auto(random, fan_in, fan_out, activation, below):
    """Weights and biases of one layer with 'auto'.

    Since ``logistic(z) = (1 + tanh(z / 2)) / 2``, a layer of logistic units above another one is
    equivalent to tanh units, ``tanh(W (2 h - 1))``, if its weights are 4 W and its biases are minus
    half of their sums. So logistic units have Glorot's weights times 4, and above logistic units
    their biases subtract the mean of 1/2. Deep networks then pass gradients as with tanh units.
    """
    W = INITIALISERS[FACTS[activation].init](random, fan_in, fan_out)
    if activation != "logistic":
        return W, np.zeros(fan_out)
    W *= LOGISTIC_GAIN
    return W, -0.5 * W.sum(axis=0) if below == "logistic" else np.zeros(fan_out)


def streams(random, n_layers):
    """Draw a random generator for each layer, whatever the number of layers above it.

    Parameters
    ----------
    random : RandomState
    n_layers : int

    Returns
    -------
    list of RandomState
    """
    entropy = random.randint(0, 2**32, size=4, dtype=np.uint32).tolist()
    children = np.random.SeedSequence(entropy).spawn(n_layers)
    return [np.random.RandomState(np.random.MT19937(child)) for child in children]


def initial_weights(init, random, fan_in, fan_out, activation, below=None):
    """Weights and biases of one layer.

    Parameters
    ----------
    init : str, float or ndarray of shape (fan_in, fan_out)
        A name of ``NAMES``; a float is the standard deviation of a normal distribution;
        an array is taken as it is.
    random : numpy.random.RandomState
    fan_in, fan_out : int
    activation : str
        The layer's activation, which 'auto' and 'sklearn' depend on.
    below : str, default=None
        Activation of the hidden layer below; None for the first layer.

    Returns
    -------
    weights : ndarray of shape (fan_in, fan_out)
    biases : ndarray of shape (fan_out,)
        Zeros, except with 'sklearn', and with 'auto' for logistic units above logistic units.
    """
    zeros = np.zeros(fan_out)
    if isinstance(init, str):
        if init == "sklearn":
            r = np.sqrt((2.0 if activation == "logistic" else 6.0) / (fan_in + fan_out))
            weights = random.uniform(-r, r, (fan_in, fan_out))
            return weights, random.uniform(-r, r, fan_out)
        if init == "auto":
            return auto(random, fan_in, fan_out, activation, below)
        return INITIALISERS[init](random, fan_in, fan_out), zeros
    if isinstance(init, numbers.Real):
        return random.normal(0.0, init, (fan_in, fan_out)), zeros
    return np.array(init), zeros
