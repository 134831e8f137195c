"""Slow, obvious versions of what the kernels compute: the oracles of their tests.

Everything is written in NumPy as it stands in the papers, in float64 and without a thought of
speed. Nothing here is imported by the package.
"""

import math

import numpy as np
from scipy.special import expit, ndtr

LEAK = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

# ---------------------------------------------------------------------------
# Activations
# ---------------------------------------------------------------------------


def normal_density(z):
    """Density of the standard normal distribution."""
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def softmax(z):
    """Exponentials that sum to one along the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, LEAK * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
    "gelu": lambda z: z * ndtr(z),
    "swish": lambda z: z * expit(z),
    "softplus": lambda z: np.logaddexp(0, z),
    "step": lambda z: np.where(z >= 0, 1.0, 0.0),
    "exp": np.exp,
    "softmax": softmax,
}

DERIVATIVES = {
    "identity": np.ones_like,
    "logistic": lambda z: expit(z) * expit(-z),
    "tanh": lambda z: 1 / np.cosh(np.minimum(np.abs(z), 300)) ** 2,
    "softsign": lambda z: 1 / (1 + np.abs(z)) ** 2,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, LEAK),
    "elu": lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0))),
    "selu": lambda z: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(z, 0))),
    "gelu": lambda z: ndtr(z) + z * normal_density(z),
    "swish": lambda z: expit(z) * (1 + z * expit(-z)),
    "softplus": expit,
    "step": np.zeros_like,
}

# ---------------------------------------------------------------------------
# Losses: each of one row, summed over outputs
# ---------------------------------------------------------------------------

OUTPUT_ACTIVATIONS = {
    "squared_error": "identity",
    "binary_log_loss": "logistic",
    "log_loss": "softmax",
    "poisson": "exp",
    "absolute_error": "identity",
    "huber": "identity",
    "quantile": "identity",
    "gamma": "exp",
}

# Each loss with what it has to be told: huber where it turns linear, quantile which one, the log
# losses how much of a label is spread over the classes.
LOSSES = [
    ("squared_error", 0.0),
    ("binary_log_loss", 0.0),
    ("binary_log_loss", 0.3),
    ("log_loss", 0.0),
    ("log_loss", 0.3),
    ("poisson", 0.0),
    ("absolute_error", 0.0),
    ("huber", 0.7),
    ("quantile", 0.2),
    ("gamma", 0.0),
]


def xlogy(x, y):
    """x log(y), 0 where x is 0."""
    return np.where(x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, y)))


def one_hot(targets, n_classes):
    """Rows of the identity matrix for the class numbers in an (n_rows, 1) array."""
    return np.eye(n_classes)[np.asarray(targets)[:, 0].astype(int)]


def smooth(loss, targets, n_outputs, option):
    """Targets as numbers, some of them spread evenly over the classes or the two labels."""
    if loss == "log_loss":
        return (1 - option) * one_hot(targets, n_outputs) + option / n_outputs
    if loss == "binary_log_loss":
        return (1 - option) * targets + option / 2
    return targets


def row_losses(loss, outputs, targets, option=0.0):
    """The loss of each row, from the output activations."""
    p, y = outputs, smooth(loss, targets, outputs.shape[1], option)
    gap = np.abs(p - y)
    losses = {
        "squared_error": lambda: 0.5 * gap**2,
        "absolute_error": lambda: gap,
        "huber": lambda: np.where(gap < option, 0.5 * gap**2, option * (gap - 0.5 * option)),
        "quantile": lambda: np.where(y > p, option, 1 - option) * gap,
        "poisson": lambda: p - y + xlogy(y, y / p),
        "gamma": lambda: y / p - 1 - np.log(y / p),
        "log_loss": lambda: -xlogy(y, p),
        "binary_log_loss": lambda: -(xlogy(y, p) + xlogy(1 - y, 1 - p)),
    }
    return losses[loss]().sum(axis=1)


def output_deltas(loss, outputs, targets, option=0.0):
    """The derivative of each row's loss in the products that enter the output activation."""
    p, y = outputs, smooth(loss, targets, outputs.shape[1], option)
    if loss == "absolute_error":
        return np.sign(p - y)
    if loss == "huber":
        return np.clip(p - y, -option, option)
    if loss == "quantile":
        return np.where(p > y, 1 - option, -option)
    return (p - y) / p if loss == "gamma" else p - y


def mean_loss(loss, outputs, targets, weight, option=0.0):
    """Weighted mean of the rows' losses."""
    return np.average(row_losses(loss, outputs, targets, option), weights=weight)


# ---------------------------------------------------------------------------
# Feed-forward networks
# ---------------------------------------------------------------------------


def dropped(name, a, rate, key):
    """Activations with some units dropped, and what their derivative is multiplied by.

    Srivastava et al. (2014), section 10, for expectations that stay; for selu Klambauer et al.
    (2017), "alpha dropout", for means and variances that stay.
    """
    keeps = random_bits(key, np.arange(len(a)), a.shape[1]) * 2.0**-32 >= rate
    q = 1.0 - rate
    if name == "selu":
        low = -SELU_SCALE * SELU_ALPHA
        scale = (q + low**2 * q * (1 - q)) ** -0.5
        shift = -scale * (1 - q) * low
        return scale * np.where(keeps, a, low) + shift, scale * keeps
    return a * keeps / q, keeps / q


def dropout(rates, seed, step):
    """What drops units of each layer in one step, as `forward` wants it."""
    step_key = derive(seed, step)
    return lambda layer, name, a: dropped(name, a, rates[layer], derive(step_key, layer))


def no_dropout(layer, name, a):
    """Every unit takes part."""
    return a, 1.0


def shared_units(layer, coefs, shortcut):
    """How many units of a hidden layer and of the one above have a shortcut between them."""
    return min(coefs[layer].shape) if shortcut and 0 < layer < len(coefs) - 1 else 0


def passes(X, coefs, intercepts, activations, drop=no_dropout, shortcut=False):
    """Products z, activations a, a[0] being the input, and factors of their derivatives.

    A shortcut adds the first units of a hidden layer to those of the next one, whose own
    activations are divided by the number of shortcuts; He et al. (2015), option A.
    """
    a, factor = drop(0, "identity", np.asarray(X, dtype=float))
    products, values, factors = [], [a], [factor]
    for layer, name in enumerate(activations):
        products.append(values[-1] @ coefs[layer] + intercepts[layer])
        a, factor = ACTIVATIONS[name](products[-1]), 1.0
        if layer + 1 < len(coefs):
            a, factor = drop(layer + 1, name, a)
        n = shared_units(layer, coefs, shortcut)
        branch = np.where(np.arange(a.shape[1]) < n, 1 / max(len(coefs) - 2, 1), 1.0)
        a, factor = a * branch, factor * branch
        a[:, :n] += values[-1][:, :n]
        values.append(a)
        factors.append(factor)
    return products, values, factors


def forward(X, coefs, intercepts, activations, drop=no_dropout, shortcut=False):
    """Products z and activations a of every layer; a[0] is the input."""
    return passes(X, coefs, intercepts, activations, drop, shortcut)[:2]


def backward(
    X,
    targets,
    weight,
    coefs,
    intercepts,
    activations,
    loss,
    option=0.0,
    drop=no_dropout,
    shortcut=False,
):
    """Gradients of the weighted mean loss with respect to each W and each b."""
    activations = [*activations, OUTPUT_ACTIVATIONS[loss]]
    products, values, factors = passes(X, coefs, intercepts, activations, drop, shortcut)
    delta = output_deltas(loss, values[-1], targets, option) * (weight / weight.sum())[:, None]
    coef_grads, intercept_grads, whole = [], [], None
    for layer in range(len(coefs) - 1, -1, -1):
        coef_grads.insert(0, values[layer].T @ delta)
        intercept_grads.insert(0, delta.sum(axis=0))
        if layer > 0:
            above, whole = whole, delta @ coefs[layer].T
            n = shared_units(layer, coefs, shortcut)
            whole[:, :n] += above[:, :n] if n else 0.0
            delta = (
                whole * factors[layer] * DERIVATIVES[activations[layer - 1]](products[layer - 1])
            )
    return coef_grads, intercept_grads


# ---------------------------------------------------------------------------
# Optimisers: theta after one step, from the gradient g of step t = 1, 2, ...
# ---------------------------------------------------------------------------


def sgd(theta, g, t, memory, *, rate, momentum, nesterov, **_):
    """Sutskever et al. (2013), equations 1 to 4, the gradient being given at theta."""
    v = memory["v"] = momentum * memory.get("v", 0.0) - rate * g
    return theta + (momentum * v - rate * g if nesterov else v)


def moments(g, t, memory, beta_1, beta_2):
    """Running means of g and of g squared, and both without their bias."""
    m = memory["m"] = beta_1 * memory.get("m", 0.0) + (1 - beta_1) * g
    v = memory["v"] = beta_2 * memory.get("v", 0.0) + (1 - beta_2) * g**2
    return m, v, m / (1 - beta_1**t), v / (1 - beta_2**t)


def adam(theta, g, t, memory, *, rate, beta_1, beta_2, epsilon, **_):
    """Kingma & Ba (2015), the form at the end of section 2: epsilon beside sqrt(v)."""
    m, v, _, _ = moments(g, t, memory, beta_1, beta_2)
    rate_t = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return theta - rate_t * m / (np.sqrt(v) + epsilon)


def adamw(theta, g, t, memory, *, rate, beta_1, beta_2, epsilon, decays, alpha, l1=0.0, **_):
    """Loshchilov & Hutter (2019), algorithm 2; `decays` says which parameters decay."""
    _, _, m_hat, v_hat = moments(g, t, memory, beta_1, beta_2)
    step = m_hat / (np.sqrt(v_hat) + epsilon)
    return theta - rate * (step + (alpha * theta + l1 * np.sign(theta)) * decays)


def nadam(theta, g, t, memory, *, rate, beta_1, beta_2, epsilon, **_):
    """Dozat (2016), algorithm 2, with the momentum schedule of its section 3.2."""
    m, _, _, v_hat = moments(g, t, memory, beta_1, beta_2)

    def mu(step):
        return beta_1 * (1 - 0.5 * 0.96 ** (0.004 * step))

    product = memory["product"] = memory.get("product", 1.0) * mu(t)
    m_bar = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
    return theta - rate * m_bar / (np.sqrt(v_hat) + epsilon)


def rmsprop(theta, g, t, memory, *, rate, beta_1, epsilon, **_):
    """Tieleman & Hinton (2012), lecture 6.5, with the decay 0.9 called beta_1."""
    v = memory["v"] = beta_1 * memory.get("v", 0.0) + (1 - beta_1) * g**2
    return theta - rate * g / (np.sqrt(v) + epsilon)


def adagrad(theta, g, t, memory, *, rate, epsilon, **_):
    """Duchi, Hazan & Singer (2011), figure 1 with diagonal matrices."""
    v = memory["v"] = memory.get("v", 0.0) + g**2
    return theta - rate * g / (np.sqrt(v) + epsilon)


SOLVERS = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "nadam": nadam,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
}

# ---------------------------------------------------------------------------
# Random bits: arithmetic modulo 2^32, whole arrays at once
# ---------------------------------------------------------------------------


def u32(x):
    """The argument modulo 2^32, as a flat array of uint32."""
    return (np.atleast_1d(x).astype(np.int64) % 2**32).astype(np.uint32)


def mix(x):
    """Finaliser of C. Wellons (2018), "lowbias32"."""
    x = u32(x)
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def derive(key, index):
    """A new key from a key and a counter (or an array of counters)."""
    return mix(u32(key) ^ mix(u32(index) + np.uint32(0x9E3779B9)))


def random_bits(key, rows, n_units):
    """32 random bits for each unit of each row: uint32 of shape (n_rows, n_units)."""
    row_keys = derive(key, rows)[:, None]
    x = np.arange(n_units, dtype=np.uint32) + u32(key)
    x = x ^ (x >> np.uint32(16))
    x = (x * np.uint32(0x7FEB352D))[None, :]
    x = x ^ row_keys
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def binary_sample(p, key, first_row, low):
    """1 where the top 24 bits, read as a fraction, lie below p; else low."""
    rows = np.arange(first_row, first_row + p.shape[0])
    u = (random_bits(key, rows, p.shape[1]) >> np.uint32(8)) * 2.0**-24
    return np.where(u < p, 1.0, low)


def normal_sample(key, first_row, shape, n_bits=32):
    """Box & Muller (1958): units of the first and of the second half share radius and angle.

    The radius comes from the first n_bits of 32 random bits.
    """
    n_rows, n_units = shape
    rows, half = np.arange(first_row, first_row + n_rows), (n_units + 1) // 2
    b = random_bits(key, rows, 2 * half)
    u = ((b[:, ::2] >> np.uint32(32 - n_bits)) + 0.5) * 2.0**-n_bits
    angle = 2 * np.pi * b[:, 1::2] * 2.0**-32
    radius = np.sqrt(-2 * np.log(u))
    return np.hstack([radius * np.cos(angle), radius * np.sin(angle)])[:, :n_units]


def row_fingerprints(X, seed):
    """The hash of each row of a dense matrix, by its content as float32."""
    x = (np.asarray(X).astype(np.float32) + np.float32(0)).view(np.uint32)  # -0 + 0 is 0
    seed = mix(np.array([seed], dtype=np.uint32) ^ np.uint32(0x9E3779B9))
    column_keys = mix(np.arange(x.shape[1], dtype=np.uint32) + seed)
    hashed = mix((x ^ column_keys).ravel()).reshape(x.shape)
    again = mix((hashed ^ np.uint32(0x9E3779B9)).ravel()).reshape(x.shape)
    first, second = hashed.sum(axis=1, dtype=np.uint32), again.sum(axis=1, dtype=np.uint32)
    return first.astype(np.uint64) << np.uint64(32) | second.astype(np.uint64)


# ---------------------------------------------------------------------------
# Rows of a data matrix, and what is measured on them
# ---------------------------------------------------------------------------


def gathered(X, rows, shift=None, scale=None, limits=(-np.inf, np.inf)):
    """Rows of a dense or sparse matrix, standardised and clipped where there is a shift."""
    X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    out = X[rows].astype(float)
    if shift is not None:
        out = np.clip((out - shift) * scale, *limits)
    return out


def column_moments(X, rows):
    """Mean, variance, minimum and maximum of each column, in extended precision."""
    x = np.asarray(X)[rows].astype(np.longdouble)
    return [m.astype(float) for m in (x.mean(0), x.var(0), x.min(0), x.max(0))]


def layer_health(a, low, high, dead_range=1e-6):
    """Mean, standard deviation, saturated and dead fraction of activations (rows, units)."""
    a = np.asarray(a, dtype=float)
    saturated, dead = (a < low) | (a > high), np.ptp(a, axis=0) < dead_range
    return np.array([a.mean(), a.std(), saturated.mean(), dead.mean()])


# ---------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------


def clipped(gradients, *, clip_value=np.inf, clip_norm=np.inf, **_):
    """Each component brought into [-clip_value, clip_value], then all scaled down to clip_norm.

    Pascanu, Mikolov & Bengio (2013), algorithm 1.
    """
    gradients = [np.clip(g, -clip_value, clip_value) for g in gradients]
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return [g * min(1.0, clip_norm / (norm or 1.0)) for g in gradients]


def train(
    network,
    X,
    targets,
    weight,
    loss,
    batches,
    solver,
    settings,
    memory=None,
    option=0.0,
    drops=None,
):
    """Minibatch training of float64 lists of coefs and intercepts, in place.

    Parameters
    ----------
    network : dict of coefs, intercepts and activations (of the hidden layers)
    X, targets, weight : arrays of all samples
    loss : str
    batches : list of arrays of row numbers
    solver : str
    settings : dict for the solver; alpha and l1 are the L2 and L1 penalty of the weights,
        clip_value and clip_norm bound the gradient, max_norm the columns of the weights;
        factors are those of the layers' rates, and a layer with 0 is left alone
    memory : dict, what the solver remembered from an earlier call
    option : float, of the loss
    drops : callable, from the number of a step to its `dropout`; none by default

    Returns
    -------
    loss, penalty : floats, means over minibatches weighted by their rows
    norms : array (n_layers, 3), sums over minibatches of the norms of the weights'
        gradient, the biases' gradient, the weights' step over the weights
    """
    memory = {"step": 0} if memory is None else memory
    coefs, intercepts = network["coefs"], network["intercepts"]
    names = [*network["activations"], OUTPUT_ACTIVATIONS[loss]]
    totals, norms = np.zeros(2), np.zeros((len(coefs), 3))
    alpha, l1 = settings["alpha"], settings.get("l1", 0.0)
    penalised, factors = solver != "adamw", settings.get("factors", [1.0] * len(coefs))
    for rows in batches:
        drop = no_dropout if drops is None else drops(memory["step"])
        memory["step"] += 1
        x, y, w = X[rows], targets[rows], weight[rows]
        outputs = forward(x, coefs, intercepts, names, drop)[1][-1]
        penalty = sum(0.5 * alpha * (W**2).sum() + l1 * np.abs(W).sum() for W in coefs) / w.sum()
        of_loss = mean_loss(loss, outputs, y, w, option)
        totals += len(rows) * np.array([of_loss, penalty if penalised else 0.0])
        layers = coefs, intercepts, network["activations"]
        gradients = backward(x, y, w, *layers, loss, option, drop)
        norms[:, :2] += [[np.linalg.norm(g) for g in pair] for pair in zip(*gradients, strict=True)]
        entering = [G.copy() for G in gradients[0]]
        for G, W in zip(entering, coefs, strict=True):
            G += (alpha * W + l1 * np.sign(W)) / w.sum() if penalised else 0.0
        entering = clipped([*entering, *gradients[1]], **settings)
        before = [W.copy() for W in coefs]
        for k, (theta, g) in enumerate(zip([*coefs, *intercepts], entering, strict=True)):
            kept, own = memory.setdefault(k, {}), {**settings, "decays": k < len(coefs)}
            own["rate"] = settings["rate"] * factors[k % len(coefs)]
            theta[:] = SOLVERS[solver](theta, g, memory["step"], kept, **own)
        for layer, (W, V) in enumerate(zip(before, coefs, strict=True)):
            norms[layer, 2] += np.linalg.norm(V - W) / (np.linalg.norm(W) or np.inf)
            lengths = np.linalg.norm(V, axis=0)
            most = settings.get("max_norm", np.inf) if factors[layer] else np.inf
            V *= np.minimum(1.0, most / np.maximum(lengths, 1e-300))
    return *(totals / sum(map(len, batches))), norms
