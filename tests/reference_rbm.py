"""Slow, obvious restricted Boltzmann machines: the oracles of the fast ones' tests.

Small machines are enumerated state by state; a training step is written out row by row with
the very random bits that the kernels use, so the two agree to rounding and not on average.
A kind of unit is named by its values: "binary" (0 and 1), "bipolar" (-1 and 1), "gaussian".
"""

import itertools
import math

import numpy as np

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

MEANS = {
    "binary": lambda x: 1 / (1 + np.exp(-x)),
    "bipolar": np.tanh,
    "gaussian": lambda x: x,
}


def draw(kind, mean, key):
    """Samples of units with these means, (n_rows, n_units)."""
    result = np.empty_like(mean)
    for row, unit in np.ndindex(*mean.shape):
        if kind == "gaussian":
            result[row, unit] = mean[row, unit] + normal(key, row, unit, mean.shape[1])
        else:
            low, high = VALUES[kind]
            p = (mean[row, unit] - low) / (high - low)
            u = (random_word(key, row, unit) >> 8) / 2**24
            result[row, unit] = high if u < p else low
    return result


class SlowMachine:
    """One machine and its training, as the equations stand in the papers.

    Parameters
    ----------
    visible, hidden : str, kinds of units
    W, b, c : arrays (n_visible, n_hidden), (n_visible,), (n_hidden,)
    mu : array (n_visible,), first offset of the visible units
    """

    def __init__(self, visible, hidden, W, b, c, mu):
        self.visible, self.hidden = visible, hidden
        self.W, self.b, self.c = W.copy(), b.copy(), c.copy()
        self.mu, self.lam = mu.copy(), np.zeros_like(c)
        self.velocities = [np.zeros_like(x) for x in (W, b, c)]
        self.chains = None
        self.n_steps = 0

    def mean_hidden(self, v):
        return MEANS[self.hidden](v @ self.W + self.c)

    def mean_visible(self, h):
        return MEANS[self.visible](h @ self.W.T + self.b)

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
    ):
        """One update from the rows v of a minibatch; with `chains` set, persistent."""
        key, last_use = derive(seed, self.n_steps), 2 * n_gibbs_steps + 1
        if not mean_field and self.visible != "gaussian":
            v = draw(self.visible, v, derive(key, last_use))
        h = self.mean_hidden(v)
        state = draw(self.hidden, h, derive(key, 0)) if self.chains is None else self.chains
        for k in range(n_gibbs_steps):
            v_neg = self.mean_visible(state)
            if not mean_field:
                v_neg = draw(self.visible, v_neg, derive(key, 2 * k + 1))
            h_neg = self.mean_hidden(v_neg)
            state = draw(self.hidden, h_neg, derive(key, 2 * k + 2))
        if self.chains is not None:
            self.chains = state
        self._update(v, h, v_neg, h_neg, rate, momentum, l2, l1, centered)

    def _update(self, v, h, v_neg, h_neg, rate, momentum, l2, l1, centered):
        if centered and self.n_steps == 0:
            self.lam = h.mean(axis=0)
        mu, lam = (self.mu, self.lam) if centered else (0 * self.mu, 0 * self.lam)
        # Each phase is divided by the number of its own rows.
        g_W = (v - mu).T @ (h - lam) / len(v) - (v_neg - mu).T @ (h_neg - lam) / len(v_neg)
        g_b = v.mean(axis=0) - v_neg.mean(axis=0) - g_W @ lam
        g_c = h.mean(axis=0) - h_neg.mean(axis=0) - g_W.T @ mu
        self.gradient = [g_W, g_b, g_c]
        decay = [l2 * self.W + l1 * np.sign(self.W), 0.0, 0.0]
        now = min(momentum, 1 - 2.0 ** (-1 - math.log2(self.n_steps // 250 + 1)))
        for i, x in enumerate((self.W, self.b, self.c)):
            self.velocities[i] = now * self.velocities[i] + rate * (self.gradient[i] - decay[i])
            x += self.velocities[i]
        if centered:
            self.mu = 0.99 * self.mu + 0.01 * v.mean(axis=0)
            self.lam = 0.99 * self.lam + 0.01 * h.mean(axis=0)
        self.n_steps += 1
