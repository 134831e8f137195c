"""Slow, obvious restricted Boltzmann machines: the oracles of the fast ones' tests.

Small RBMs are enumerated state by state; a training step is written out row by row with
the very random bits that the kernels use, so the two agree to rounding and not on average.
A kind of unit is named by its values: "binary" (0 and 1), "bipolar" (-1 and 1), "gaussian",
"rectified". Visible units of different kinds are named one by one, in a tuple.
"""

import itertools
import math

import numpy as np
from scipy.special import expit, ndtr

VALUES = {"binary": (0.0, 1.0), "bipolar": (-1.0, 1.0)}

# ---------------------------------------------------------------------------
# Enumeration
# ---------------------------------------------------------------------------


def states(kind, n_units):
    """All states of some units, one a row."""
    return np.array(list(itertools.product(VALUES[kind], repeat=n_units)))


def energy(v, h, W, b, c):
    """E(v, h) = -b v - c h - v W h of one state."""
    return -b @ v - c @ h - v @ W @ h


def joint(visible, hidden, W, b, c):
    """P(v, h) of every pair of states, (n_visible_states, n_hidden_states)."""
    V, H = states(visible, len(b)), states(hidden, len(c))
    p = np.array([[math.exp(-energy(v, h, W, b, c)) for h in H] for v in V])
    return p / p.sum()


def free_energies(visible, hidden, W, b, c):
    """-log sum_h exp(-E(v, h)) of every visible state."""
    V, H = states(visible, len(b)), states(hidden, len(c))
    return np.array([-math.log(sum(math.exp(-energy(v, h, W, b, c)) for h in H)) for v in V])


def log_likelihood(data, visible, hidden, W, b, c):
    """Mean of log P(v) when the visible states have the probabilities `data`."""
    return data @ np.log(joint(visible, hidden, W, b, c).sum(axis=1))


def transition_matrix(visible, hidden, W, b, c):
    """P(v' | v) of one Gibbs step, hidden units first."""
    p = joint(visible, hidden, W, b, c)
    h_given_v = p / p.sum(axis=1, keepdims=True)
    v_given_h = (p / p.sum(axis=0)).T
    return h_given_v @ v_given_h


def expectations(visible_distribution, visible, hidden, W, b, c):
    """<v h>, <v> and <h> when v has this distribution and h is drawn from P(h | v)."""
    V, H = states(visible, len(b)), states(hidden, len(c))
    p = joint(visible, hidden, W, b, c)
    p = visible_distribution[:, None] * p / p.sum(axis=1, keepdims=True)
    vh = np.einsum("st,si,tj->ij", p, V, H)
    return vh, p.sum(axis=1) @ V, p.sum(axis=0) @ H


def expected_gradient(data, n_steps, visible, hidden, W, b, c):
    """Expected CD-k gradient of W, b, c; with n_steps None, that of the likelihood."""
    if n_steps is None:
        model = joint(visible, hidden, W, b, c).sum(axis=1)
    else:
        T = transition_matrix(visible, hidden, W, b, c)
        model = data @ np.linalg.matrix_power(T, n_steps)
    first = expectations(data, visible, hidden, W, b, c)
    second = expectations(model, visible, hidden, W, b, c)
    return [x - y for x, y in zip(first, second, strict=True)]


def log_conditionals(v, visible, hidden, W, b, c):
    """log P(v_i | v_-i) of each visible unit."""
    marginal = dict(
        zip(
            map(tuple, states(visible, len(b))),
            joint(visible, hidden, W, b, c).sum(axis=1),
            strict=True,
        )
    )
    result = []
    for i in range(len(v)):
        either = [tuple(np.r_[v[:i], value, v[i + 1 :]]) for value in VALUES[visible]]
        result.append(math.log(marginal[tuple(v)] / sum(marginal[s] for s in either)))
    return np.array(result)


# ---------------------------------------------------------------------------
# Gaussian visible units, alone or beside binary ones, integrated by hand
# ---------------------------------------------------------------------------
#
# E(v, h) = sum_i (v_i - b_i)^2 / (2 s_i) - c h - sum_i v_i (W h)_i / s_i, so v given h is normal
# with the means b + W h and the variances s. A binary unit among them has -b_i v_i as its own
# term, and s_i = 1 (Welling, Rosen-Zvi & Hinton, 2005); `gaussian` says which are not binary.


def gaussian_log_weights(hidden, W, b, c, s, gaussian=True):
    """log of the integral of exp(-E(v, h)) over v, of every hidden state."""
    H = states(hidden, len(c))
    m = b + H @ W.T
    normal = (m**2 - b**2) / (2 * s) + 0.5 * np.log(2 * np.pi * s)
    return H @ c + np.where(gaussian, normal, np.log1p(np.exp(m))).sum(axis=1)


def gaussian_hidden_distribution(hidden, W, b, c, s, gaussian=True):
    """P(h) of every hidden state."""
    p = np.exp(gaussian_log_weights(hidden, W, b, c, s, gaussian))
    return p / p.sum()


def gaussian_free_energies(V, hidden, W, b, c, s, gaussian=True):
    """-log sum_h exp(-E(v, h)) of the rows of V."""
    H = states(hidden, len(c))
    own = np.where(gaussian, (V - b) ** 2 / (2 * s), -V * b).sum(axis=1)
    return own - np.log(np.exp(H @ c + (V / s) @ W @ H.T).sum(axis=1))


def gaussian_log_likelihood(V, hidden, W, b, c, s, gaussian=True):
    """Mean of log p(v) over the rows of V."""
    log_z = np.log(np.exp(gaussian_log_weights(hidden, W, b, c, s, gaussian)).sum())
    return -gaussian_free_energies(V, hidden, W, b, c, s, gaussian).mean() - log_z


def gaussian_gradient(V, hidden, W, b, c, s, gaussian=True):
    """d log-likelihood / d (W, b, c, log s), from the moments of data and RBM."""
    H, p = states(hidden, len(c)), gaussian_hidden_distribution(hidden, W, b, c, s, gaussian)
    h, pushes, x = MEANS[hidden]((V / s) @ W + c), H @ W.T, b + H @ W.T
    m = np.where(gaussian, x, MEANS["binary"](x))
    data = (
        V.T @ h / len(V),
        V.mean(axis=0),
        h.mean(axis=0),
        ((V - b) ** 2 / 2 - V * (h @ W.T)).mean(axis=0),
    )
    model = m.T @ (p[:, None] * H), p @ m, p @ H, p @ ((s + pushes**2) / 2 - m * pushes)
    g_W, g_b, g_c, g_log_s = (x - y for x, y in zip(data, model, strict=True))
    return g_W / s[:, None], g_b / s, g_c, np.where(gaussian, g_log_s / s, 0.0)


# ---------------------------------------------------------------------------
# Random bits, as in the kernels
# ---------------------------------------------------------------------------

WORD = 2**32


def mix(x):
    """A 32-bit finaliser with Wellons' multipliers."""
    x = (x ^ (x >> 16)) * 0x7FEB352D % WORD
    x = (x ^ (x >> 15)) * 0x846CA68B % WORD
    return x ^ (x >> 16)


def derive(key, index):
    """A new key from a key and a counter."""
    return mix(key ^ mix((index + 0x9E3779B9) % WORD))


def random_word(key, row, unit):
    """32 random bits of one unit of one row."""
    x = (unit + key) % WORD
    x = (x ^ (x >> 16)) * 0x7FEB352D % WORD ^ derive(key, row)
    x = (x ^ (x >> 15)) * 0x846CA68B % WORD
    return x ^ (x >> 16)


def normal(key, row, unit, n_units):
    """A standard normal draw (Box & Muller): two units share a radius and an angle."""
    half = (n_units + 1) // 2
    pair = unit % half
    u = (random_word(key, row, 2 * pair) + 0.5) / WORD
    angle = 2 * math.pi * random_word(key, row, 2 * pair + 1) / WORD
    return math.sqrt(-2 * math.log(u)) * (math.sin(angle) if unit >= half else math.cos(angle))


# ---------------------------------------------------------------------------
# One step of training
# ---------------------------------------------------------------------------


def rectified_mean(x):
    """The mean of max(0, x + e), for normal e of the variance logistic(x)."""
    s = np.sqrt(expit(x))
    return x * ndtr(x / s) + s * np.exp(-0.5 * (x / s) ** 2) / math.sqrt(2 * math.pi)


MEANS = {
    "binary": lambda x: 1 / (1 + np.exp(-x)),
    "bipolar": np.tanh,
    "gaussian": lambda x: x,
    "rectified": rectified_mean,
}

CHAINS = 2**24  # added to a persistent chain's number where rows have numbers too


def columns(kinds, field):
    """Of each unit's column, that of the field which its kind has."""
    fields = {kind: field(kind) for kind in set(kinds)}
    return np.column_stack([fields[kind][:, j] for j, kind in enumerate(kinds)])


def means(kind, x):
    """Means of units whose products and biases are x, (n_rows, n_units)."""
    if isinstance(kind, tuple):
        return columns(kind, lambda each: MEANS[each](x))
    return MEANS[kind](x)


def draw(kind, x, key, variance=None):
    """Samples of units whose products and biases are x, (n_rows, n_units).

    Gaussian units beside others draw from a key of their own.
    """
    if isinstance(kind, tuple):
        own = {"gaussian": derive(key, 1)}
        return columns(kind, lambda each: draw(each, x, own.get(each, key), variance))
    if kind in VALUES:
        return draw_values(kind, MEANS[kind](x), key)
    noise = np.array([[normal(key, *at, x.shape[1]) for at in row] for row in numbers(x.shape)])
    if kind == "gaussian":
        return x + np.sqrt(variance) * noise
    return np.maximum(0.0, x + np.sqrt(expit(x)) * noise)


def draw_values(kind, mean, key):
    """Samples of units of two values that have these means, (n_rows, n_units)."""
    low, high = VALUES[kind]
    words = [[random_word(key, *at) for at in row] for row in numbers(mean.shape)]
    return np.where((np.array(words) >> 8) / 2**24 < (mean - low) / (high - low), high, low)


def draw_data(kind, v, key):
    """Samples of data that are means; Gaussian units' data are values already."""
    if isinstance(kind, tuple):
        return columns(kind, lambda each: draw_data(each, v, key))
    return v if kind == "gaussian" else draw_values(kind, v, key)


def numbers(shape, first_row=0):
    """Number of the row and number of the unit, of each unit of each row."""
    return [[(first_row + i, j) for j in range(shape[1])] for i in range(shape[0])]


def retained(key, first_row, shape, dropout):
    """0 for units that dropout leaves out; the others count for as much more."""
    words = [[random_word(key, *at) for at in row] for row in numbers(shape, first_row)]
    return (np.array(words) / WORD >= dropout) / (1 - dropout)


def swap_probability(betas, interactions):
    """That two chains at these inverse temperatures change places (Desjardins et al., 2010)."""
    return min(1.0, math.exp((betas[0] - betas[1]) * (interactions[1] - interactions[0])))


def tempered(beta, W, b, c, s, mu, lam):
    """Weights and biases at an inverse temperature: beta times the centered interaction.

    (v - mu) W (h - lam) = v W h - mu W h - v W lam + a constant
    """
    return beta * W, b + (1 - beta) * (W @ lam), c + (1 - beta) * (mu / s @ W)


class SlowRBM:
    """One RBM and its training, as the equations stand in the papers.

    Parameters
    ----------
    visible, hidden : str, kinds of units; visible may be a tuple of str
    W, b, c : arrays (n_visible, n_hidden), (n_visible,), (n_hidden,)
    mu : array (n_visible,), first offset of the visible units
    variance : array (n_visible,), of Gaussian visible units, 1 for others
    """

    def __init__(self, visible, hidden, W, b, c, mu, variance=1.0):
        self.visible, self.hidden = visible, hidden
        self.W, self.b, self.c = W.copy(), b.copy(), c.copy()
        self.variance = np.ones_like(b) * variance
        self.mu, self.lam = mu.copy(), np.zeros_like(c)
        self.velocities = [np.zeros_like(x) for x in (W, b, c)]
        self.velocity_variance = np.zeros_like(b)
        self.fast = [np.zeros_like(x) for x in (W, b, c)]
        self.activity = None
        self.chains = None
        self.n_steps = 0

    @property
    def parameters(self):
        return self.W, self.b, self.c

    @property
    def is_gaussian(self):
        """Which visible units are Gaussian: their noise is part of them, and never left out."""
        return np.array([self.visible] if isinstance(self.visible, str) else self.visible) == (
            "gaussian"
        )

    def step(
        self,
        v,
        *,
        seed,
        rate,
        momentum,
        l2=0.0,
        l1=0.0,
        n_gibbs_steps=1,
        centered=True,
        mean_field=False,
        variance_rate=0.0,
        fast_rate=0.0,
        betas=None,
        sparsity_target=0.0,
        sparsity_cost=0.0,
        dropout=0.0,
        max_norm=np.inf,
    ):
        """One update from the rows v of a minibatch; with `chains` set, persistent."""
        key, n_hidden = derive(seed, self.n_steps), len(self.c)
        mask_key = derive(key, 2 * n_gibbs_steps + 2)
        if not mean_field:
            v = draw_data(self.visible, v, derive(key, 2 * n_gibbs_steps + 1))
        mask = retained(mask_key, 0, (len(v), n_hidden), dropout)
        x = v / self.variance @ self.W + self.c
        h = MEANS[self.hidden](x) * mask
        if betas is not None:
            v_neg, h_neg = self._tempered(key, n_gibbs_steps, betas)
        elif self.chains is not None:
            mask = retained(mask_key, CHAINS, self.chains.shape, dropout)
            v_neg, h_neg, self.chains = self._gibbs(
                key, n_gibbs_steps, mean_field, self.chains, mask
            )
        else:
            state = draw(self.hidden, x, derive(key, 0)) * mask
            v_neg, h_neg, _ = self._gibbs(key, n_gibbs_steps, mean_field, state, mask)
        push = self._push(sparsity_target, sparsity_cost)
        self._gradient(v, h, push, v_neg, h_neg, centered)
        now = min(momentum, 1 - 2.0 ** (-1 - math.log2(self.n_steps // 250 + 1)))
        self._step_variance(variance_rate * rate, now)
        self._step(rate, now, l2, l1)
        self.W *= np.minimum(1.0, max_norm / np.linalg.norm(self.W, axis=0))
        self.fast = [
            0.95 * x + fast_rate * g for x, g in zip(self.fast, self.gradient[:3], strict=True)
        ]
        seen = h.mean(axis=0)
        self.activity = seen if self.activity is None else 0.95 * self.activity + 0.05 * seen
        if centered:
            self.mu = 0.99 * self.mu + 0.01 * v.mean(axis=0)
            self.lam = 0.99 * self.lam + 0.01 * h.mean(axis=0)
        self.n_steps += 1

    def _gibbs(self, key, n_steps, mean_field, state, mask):
        """Chains under the weights and the fast weights, from hidden samples on."""
        W, b, c = (x + f for x, f in zip(self.parameters, self.fast, strict=True))
        for k in range(n_steps):
            x = state @ W.T + b
            v = draw(self.visible, x, derive(key, 2 * k + 1), self.variance)
            if mean_field:
                v = np.where(self.is_gaussian, v, means(self.visible, x))
            x = v / self.variance @ W + c
            h = MEANS[self.hidden](x) * mask
            state = draw(self.hidden, x, derive(key, 2 * k + 2)) * mask
        return v, h, state

    def _tempered(self, key, n_steps, betas):
        """Chains at several temperatures, those of the first one first."""
        n, s = len(self.chains) // len(betas), self.variance
        lam = np.zeros_like(self.c) if self.activity is None else self.activity
        rbms = [tempered(beta, *self.parameters, s, self.mu, lam) for beta in betas]

        def at_each(field, values):
            pieces = np.split(values, len(betas))
            return np.concatenate([field(x, *m) for x, m in zip(pieces, rbms, strict=True)])

        for k in range(n_steps):
            x = at_each(lambda h, W, b, c: h @ W.T + b, self.chains)
            v = draw(self.visible, x, derive(key, 2 * k + 1), s)
            x = at_each(lambda v, W, b, c: v / s @ W + c, v)
            self.chains = draw(self.hidden, x, derive(key, 2 * k + 2))
            interactions = ((v - self.mu) / s @ self.W * (self.chains - lam)).sum(axis=1)
            use = derive(key, 2 * n_steps + 3 + k)
            for chain in range(n):
                for t in range((key + k) % 2, len(betas) - 1, 2):
                    pair = np.array([t * n + chain, (t + 1) * n + chain])
                    u = (random_word(use, chain, t) + 0.5) / WORD
                    if u < swap_probability(betas[t : t + 2], interactions[pair]):
                        self.chains[pair] = self.chains[pair[::-1]]
        return v[:n], MEANS[self.hidden](v[:n] / s @ self.W + self.c)

    def _push(self, target, cost):
        """Towards the target activity, whose gradient's rows all have it (Hinton, 2012)."""
        if cost == 0.0 or self.activity is None:
            return 0.0
        is_bipolar = self.hidden == "bipolar"
        return cost * (target - (0.5 + 0.5 * self.activity if is_bipolar else self.activity))

    def _gradient(self, v, h, push, v_neg, h_neg, centered):
        if centered and self.n_steps == 0:
            self.lam = h.mean(axis=0)
        mu, lam = (self.mu, self.lam) if centered else (0 * self.mu, 0 * self.lam)
        h = h + push
        # Each phase is divided by the number of its own rows.
        g_W = (v - mu).T @ (h - lam) / len(v) - (v_neg - mu).T @ (h_neg - lam) / len(v_neg)
        g_b = v.mean(axis=0) - v_neg.mean(axis=0) - g_W @ lam
        g_c = h.mean(axis=0) - h_neg.mean(axis=0) - g_W.T @ mu
        sides = [
            ((v - self.b) ** 2 / 2 - v * (h @ self.W.T)).mean(axis=0) / self.variance
            for v, h in ((v, h), (v_neg, h_neg))
        ]
        self.gradient = [g_W, g_b, g_c, sides[0] - sides[1]]

    def _step_variance(self, rate, momentum):
        if rate > 0.0:
            step = momentum * self.velocity_variance + rate * self.gradient[3]
            self.velocity_variance = np.where(self.is_gaussian, np.clip(step, -0.1, 0.1), 0.0)
            self.variance = np.clip(self.variance * np.exp(self.velocity_variance), 0.01, 1.0)

    def _step(self, rate, momentum, l2, l1):
        decay = [l2 * self.W + l1 * np.sign(self.W), 0.0, 0.0]
        for i, x in enumerate(self.parameters):
            self.velocities[i] = momentum * self.velocities[i] + rate * (
                self.gradient[i] - decay[i]
            )
            x += self.velocities[i]
