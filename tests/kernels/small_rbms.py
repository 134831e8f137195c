"""RBMs of a few units with random parameters, and their training by kernels alone."""

import numpy as np

from sk_dbn.kernels.contrastive_divergence import train_rbm
from sk_dbn.kernels.rbm import Rule
from sk_dbn.models.data import Data
from sk_dbn.models.rbm import Stack
from sk_dbn.models.rbm_training import RBMBuffers

KINDS = {
    "bernoulli": "binary",
    "gaussian": "gaussian",
    "logistic": "binary",
    "tanh": "bipolar",
    "relu": "rectified",
}
# Spans of one and of two units.
MIXED = {n: tuple("gaussian" if j % 3 == 1 else "bernoulli" for j in range(n)) for n in (3, 5, 260)}
SEED = 11
ALPHA = 1e-4


def stack_of(visible, hidden, units=(3, 2), dtype=np.float64, scale=1.0):
    """A stack with random parameters."""
    random = np.random.RandomState(0)
    stack = Stack(units, visible, hidden, [SEED] * (len(units) - 1), dtype)
    stack.theta[:] = scale * random.normal(size=stack.theta.size)
    stack.variance[:] = 1.0
    return stack


def slow_kind(visible):
    """The reference's name of a kind, or its names of several."""
    return KINDS[visible] if isinstance(visible, str) else tuple(KINDS[kind] for kind in visible)


def are_gaussian(visible, n_units):
    """Which of the visible units are Gaussian."""
    return np.broadcast_to(np.equal(visible, "gaussian"), n_units)


def set_variances(stack, visible, values):
    """Give the Gaussian units these variances."""
    gaussian = are_gaussian(visible, stack.units[0])
    if gaussian.any():
        stack.variance[gaussian] = np.array(values)[gaussian]


def values_of(visible, random, n_rows, n_units):
    """Data that such units can have: normal ones, and means in [0, 1]."""
    gaussian, size = are_gaussian(visible, n_units), (n_rows, n_units)
    return np.where(gaussian, random.normal(size=size), random.uniform(size=size))


def rule(**settings):
    """A training rule; plain CD-1 without decay, momentum or centering but for `settings`."""
    plain = {
        "steps": 1,
        "persistent": 0,
        "mean_field": 0,
        "n_gibbs_steps": 1,
        "seed": SEED,
        "momentum": 0.0,
        "l2": 0.0,
        "l1": 0.0,
        "offset_rate": 0.0,
        "fast_rate": 0.0,
        "sparsity_target": 0.0,
        "sparsity_cost": 0.0,
        "dropout": 0.0,
        "max_norm": 0.0,
        "variance_rate": 0.0,
        "max_step": 0.0,
    }
    return Rule(**{**plain, **settings})


def train(
    stack, X, batch, training_rule, rate, chains=None, twin="serial", layer=0, first=0, betas=(1.0,)
):
    """Train one RBM through X in the order of storage; return trace norms and buffers."""
    data, norms, memory = Data(X, stack.theta.dtype), np.zeros(3), stack.memories[layer]
    memory.keep_fast(training_rule.fast_rate > 0.0)
    memory.chains = chains
    bench = RBMBuffers(stack, layer, 0 if chains is None else len(chains), batch, betas)
    args = data.source, np.arange(len(X)), batch, stack.layers, stack.rbm(layer)
    getattr(train_rbm, twin)(*args, training_rule, rate, first, bench.work, norms)
    return norms, bench.work


def parameters(stack):
    return stack.coefs[0].copy(), stack.intercepts_visible[0].copy(), stack.intercepts_hidden[0]


def gaussian_rbm(hidden="logistic", scale=1.0, visible="gaussian"):
    """An RBM of three units, of which Gaussian ones have different variances; its parameters."""
    stack = stack_of(visible, hidden, scale=scale)
    set_variances(stack, visible, (0.4, 0.7, 1.0))
    return stack, [x.copy() for x in (*parameters(stack), stack.variance)]


WITH_GAUSSIAN = ["gaussian", MIXED[3]]
