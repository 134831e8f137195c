"""Optimisers: from a gradient to the step, in one pass over the parameters.

To add one: a code in ``SOLVERS`` and a branch in `coefficients` (or, if it fits neither
of the two loops of `to_step`, a loop there).
"""

import math
from collections import namedtuple

import numpy as np

from sk_dbn.kernels.compile import STRICT, kernel, routine

SGD, ADAM, ADAMW, NADAM, RMSPROP, ADAGRAD = range(6)
NO_STEP = -1  # gradients alone: parameters stay as they are

SOLVERS = {
    "sgd": SGD,
    "adam": ADAM,
    "adamw": ADAMW,
    "nadam": NADAM,
    "rmsprop": RMSPROP,
    "adagrad": ADAGRAD,
}

MOMENTUM_DECAY = 0.004  # psi of nadam (Dozat, 2016)

Optimiser = namedtuple(
    "Optimiser",
    "code first second state momentum nesterov beta_1 beta_2 epsilon factors alpha l1 clip_value "
    "clip_norm max_norm",
)
Optimiser.__doc__ = """What a solver keeps and what it was told.

code : int
first, second : arrays (n_parameters,) or (0,), running means of g and of g squared
state : float64 array (1,), product of nadam's momenta so far
momentum, beta_1, beta_2, epsilon : float
nesterov : bool
factors : float64 array (n_layers,), of the learning rate; a layer with 0 stays as it is
alpha, l1 : float, L2 and L1 penalty of the weights; for adamw the decoupled decay
clip_value : float, the most a component of the gradient may be in size; 0 for any
clip_norm : float, the most the whole gradient may have as norm; 0 for any
max_norm : float, the most a unit's incoming weights may have as norm; 0 for any
"""


@kernel(fastmath=STRICT)
def coefficients(optimiser, rate, step):
    """The numbers of one step of the adaptive solvers.

    All of them are, with g the gradient, m and v its running mean and mean square,

        m = b1 m + (1 - b1) g,    v = d v + e g^2,
        step = -(c_g g + c_m m) / (s sqrt(v) + epsilon) - decay theta.

    Parameters
    ----------
    optimiser : Optimiser
    rate : float, learning rate
    step : int, counted from 1

    Returns
    -------
    b1, d, e, c_g, c_m, s, decay : float
    """
    b1, b2, code = optimiser.beta_1, optimiser.beta_2, optimiser.code
    m_unbiased, v_unbiased = 1.0 - b1**step, 1.0 - b2**step
    if code == ADAM:  # Kingma & Ba (2015), section 2, last paragraph
        return b1, b2, 1.0 - b2, 0.0, rate * math.sqrt(v_unbiased) / m_unbiased, 1.0, 0.0
    if code == ADAMW:  # Loshchilov & Hutter (2019), algorithm 2, with rate * alpha as decay
        s, decay = 1.0 / math.sqrt(v_unbiased), rate * optimiser.alpha
        return b1, b2, 1.0 - b2, 0.0, rate / m_unbiased, s, decay
    if code == NADAM:  # Dozat (2016), algorithm 2, with m's decay fixed at b1, as in torch
        mu = b1 * (1.0 - 0.5 * 0.96 ** (step * MOMENTUM_DECAY))
        mu_next = b1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * MOMENTUM_DECAY))
        product = optimiser.state[0] * mu
        c_g = rate * (1.0 - mu) / (1.0 - product)
        c_m = rate * mu_next / (1.0 - product * mu_next)
        return b1, b2, 1.0 - b2, c_g, c_m, 1.0 / math.sqrt(v_unbiased), 0.0
    if code == RMSPROP:  # Tieleman & Hinton (2012), lecture 6.5
        return 0.0, b1, 1.0 - b1, rate, 0.0, 1.0, 0.0
    # ADAGRAD: Duchi, Hazan & Singer (2011), figure 1, diagonal
    return 0.0, 1.0, 1.0, rate, 0.0, 1.0, 0.0


@routine(fastmath=STRICT)
def add_signs(factor, x, out):
    """out += factor sign(x), the gradient of an L1 penalty where x is not 0.

    Returns
    -------
    size : the sum of the sizes of x
    """
    factor, zero = x.dtype.type(factor), x.dtype.type(0.0)
    size = zero
    for k in range(x.shape[0]):
        size += abs(x[k])
        out[k] += factor if x[k] > zero else (-factor if x[k] < zero else zero)
    return size


@routine(fastmath=STRICT)
def clip(most, g):
    """Bring every component of g into [-most, most]; NaN stays NaN."""
    most = g.dtype.type(most)
    for k in range(g.shape[0]):
        x = most if g[k] > most else g[k]
        g[k] = -most if x < -most else x


@kernel(fastmath=STRICT)
def end_step(optimiser, step):
    """Advance what changes once a step, after all parameters were updated."""
    if optimiser.code == NADAM:
        decay = 1.0 - 0.5 * 0.96 ** (step * MOMENTUM_DECAY)
        optimiser.state[0] *= optimiser.beta_1 * decay


@routine(fastmath=STRICT)
def to_step(optimiser, rate, step, decays, at, theta, g):
    """Turn a stretch of the gradient into the step to be added to the parameters.

    Parameters
    ----------
    optimiser : Optimiser, its running means are updated
    rate : float, learning rate
    step : int, counted from 1
    decays : bool, whether decoupled decay applies (to weights, never to biases)
    at : int, where the stretch begins among all parameters
    theta : array (n,), the parameters
    g : array (n,), the gradient; on return the step
    """
    real = theta.dtype.type
    n = g.shape[0]
    if optimiser.code == SGD:
        momentum, lr = real(optimiser.momentum), real(rate)
        m = optimiser.first[at : at + n]
        if optimiser.nesterov:
            for k in range(n):
                m[k] = momentum * m[k] - lr * g[k]
                g[k] = momentum * m[k] - lr * g[k]
        else:
            for k in range(n):
                m[k] = momentum * m[k] - lr * g[k]
                g[k] = m[k]
        return
    c = coefficients(optimiser, rate, step)
    b1, d, e, c_g, c_m, s = real(c[0]), real(c[1]), real(c[2]), real(c[3]), real(c[4]), real(c[5])
    one_b1, decay = real(1.0 - c[0]), real(c[6] if decays else 0.0)
    epsilon = real(optimiser.epsilon)
    v = optimiser.second[at : at + n]
    if optimiser.first.shape[0] == 0:  # rmsprop and adagrad have no mean
        for k in range(n):
            v[k] = d * v[k] + e * g[k] * g[k]
            g[k] = -c_g * g[k] / (s * np.sqrt(v[k]) + epsilon)
        return
    m = optimiser.first[at : at + n]
    for k in range(n):
        m[k] = b1 * m[k] + one_b1 * g[k]
        v[k] = d * v[k] + e * g[k] * g[k]
        g[k] = -(c_g * g[k] + c_m * m[k]) / (s * np.sqrt(v[k]) + epsilon) - decay * theta[k]
