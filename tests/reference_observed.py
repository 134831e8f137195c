"""Slow, obvious RBMs of rows with missing values: the oracles of the fast ones' tests.

Each row is an RBM of its own, of the units that were observed in it (Salakhutdinov, Mnih & Hinton,
2007). A feature is "binary", "gaussian", or a number: that of its categories, each of which has a
unit. Hidden units see v - r, for references r; c are the biases that belong to these.
"""

import itertools
import math

import numpy as np
from scipy.special import softmax

from tests.reference_rbm import (
    MEANS,
    WORD,
    SlowRBM,
    derive,
    draw,
    draw_values,
    normal,
    random_word,
    retained,
    states,
)


def units_of(features):
    """The units of each feature, as slices."""
    sizes = [each if isinstance(each, int) else 1 for each in features]
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def units_read(features, X):
    """The values of the units for those of the features, NaN where they are missing."""
    columns = []
    for each, x in zip(features, X.T, strict=True):
        is_one = x[:, None] == np.arange(each) if isinstance(each, int) else x[:, None]
        columns.append(np.where(np.isnan(x)[:, None], np.nan, is_one))
    return np.hstack(columns)


# ---------------------------------------------------------------------------
# Enumeration, for features of two values or of categories
# ---------------------------------------------------------------------------


def row_states(features, v):
    """All states of the units that were observed in a row; the others are NaN."""
    choices = []
    for each, units in zip(features, units_of(features), strict=True):
        if np.isnan(v[units]).any():
            choices.append([v[units]])
        else:
            choices.append(np.eye(each) if isinstance(each, int) else [[0.0], [1.0]])
    return np.array([np.concatenate(state) for state in itertools.product(*choices)])


def row_weights(V, hidden, W, b, c, r):
    """exp(-E(v, h)) of the row's RBM, for states V and all hidden ones."""
    H, known = states(hidden, len(c)), ~np.isnan(V)
    own = np.where(known, V, 0.0) @ b
    return np.exp(own[:, None] + H @ c + np.where(known, V - r, 0.0) @ W @ H.T)


def row_joint(features, v, hidden, W, b, c, r):
    """P(v, h) of every pair of states of the row's RBM, and its visible states."""
    V = row_states(features, v)
    p = row_weights(V, hidden, W, b, c, r)
    return p / p.sum(), V


def log_likelihood(features, rows, *theta):
    """Mean of log P(v) of the rows, each in its own RBM."""
    total = 0.0
    for v in rows:
        p, V = row_joint(features, v, *theta)
        total += math.log(p[is_state(V, v)].sum())
    return total / len(rows)


def is_state(V, v):
    """Which of some states is v."""
    return ((v == V) | np.isnan(v)).all(axis=1)


def expected_gradient(features, rows, n_steps, hidden, W, b, c, r):
    """Expected CD-k gradient of W, b, c, averaged over rows; with n_steps None, the likelihood's.

    Returns
    -------
    gradients of W, b, c, and <h>_data
    """
    H, total = states(hidden, len(c)), [np.zeros_like(x) for x in (W, b, c, c)]
    for v in rows:
        p, V = row_joint(features, v, hidden, W, b, c, r)
        h_given_v, v_given_h = p / p.sum(axis=1, keepdims=True), (p / p.sum(axis=0)).T
        data = is_state(V, v).astype(float)
        model = p.sum(axis=1)
        if n_steps is not None:
            model = data @ np.linalg.matrix_power(h_given_v @ v_given_h, n_steps)
        h, known = h_given_v @ H, ~np.isnan(v)
        total[0] += np.where(known, V - r, 0.0).T @ ((data - model)[:, None] * h)
        total[1] += (data - model) @ np.where(known, V, 0.0)
        total[2] += (data - model) @ h
        total[3] += data @ h
    return [x / len(rows) for x in total]


def feature_distribution(features, v, feature, hidden, W, b, c, r):
    """P of each value of one feature given the others that were observed."""
    units, values = units_of(features)[feature], features[feature]
    moved = np.tile(v, (values if isinstance(values, int) else 2, 1))
    moved[:, units] = np.eye(values) if isinstance(values, int) else [[0.0], [1.0]]
    p = row_weights(moved, hidden, W, b, c, r).sum(axis=1)
    return p / p.sum()


# ---------------------------------------------------------------------------
# One step of training
# ---------------------------------------------------------------------------


class SlowObservedRBM(SlowRBM):
    """One RBM whose rows have missing values, and its training.

    Parameters
    ----------
    features : tuple, see above
    hidden, W, b, c, variance : see SlowRBM; c belong to the references
    r : array (n_visible,), references
    """

    def __init__(self, features, hidden, W, b, c, r, variance=1.0):
        visible = []
        for each in features:
            visible += ["binary"] * each if isinstance(each, int) else [each]
        super().__init__(tuple(visible), hidden, W, b, c, r, variance)
        self.features = features

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
        sparsity_target=0.0,
        sparsity_cost=0.0,
        dropout=0.0,
        max_norm=np.inf,
    ):
        """One update from the rows v of a minibatch, in which NaN are missing values."""
        key, known = derive(seed, self.n_steps), ~np.isnan(v)
        mask = retained(derive(key, 2 * n_gibbs_steps + 2), 0, (len(v), len(self.c)), dropout)
        if not mean_field:
            v = self._draw_data(v, derive(key, 2 * n_gibbs_steps + 1))
        x = self._hidden_products(v, known)
        h, state, v_neg = MEANS[self.hidden](x) * mask, draw(self.hidden, x, derive(key, 0)), v
        for k in range(n_gibbs_steps):
            products = (state * mask) @ self.W.T + self.b
            v_neg = self._draw_visible(products, derive(key, 2 * k + 1), mean_field)
            x = self._hidden_products(v_neg, known)
            h_neg, state = (
                MEANS[self.hidden](x) * mask,
                draw(self.hidden, x, derive(key, 2 * k + 2)),
            )
        if centered and self.n_steps == 0:
            self.lam = h.mean(axis=0)
        self.is_centered = centered
        pushed = h + self._push(sparsity_target, sparsity_cost)
        self._observed_gradient(v, pushed, v_neg, h_neg, known, centered * self.lam)
        self._update(known.any(axis=0), variance_rate, rate, momentum, l2, l1)
        self.W *= np.minimum(1.0, max_norm / np.linalg.norm(self.W, axis=0))
        seen = h.mean(axis=0)
        self.activity = seen if self.activity is None else 0.95 * self.activity + 0.05 * seen
        self.lam = 0.99 * self.lam + 0.01 * seen
        self.n_steps += 1

    def _hidden_products(self, v, known):
        return np.where(known, v - self.mu, 0.0) / self.variance @ self.W + self.c

    def _draw_data(self, v, key):
        """Samples of binary features' means; NaN stays."""
        drawn, v = draw_values("binary", v, key), v.copy()
        for each, units in zip(self.features, units_of(self.features), strict=True):
            if each == "binary":
                v[:, units] = np.where(np.isnan(v[:, units]), np.nan, drawn[:, units])
        return v

    def _draw_visible(self, x, key, mean_field):
        """All visible units, from their products; a draw depends on the row and the unit."""
        n_units, means, v = x.shape[1], MEANS["binary"](x), x.copy()
        drawn = means if mean_field else draw_values("binary", means, key)
        noise_key = key if set(self.features) == {"gaussian"} else derive(key, 1)
        for each, units in zip(self.features, units_of(self.features), strict=True):
            first = units.start
            if each == "binary":
                v[:, first] = drawn[:, first]
            elif each == "gaussian":
                noise = [normal(noise_key, row, first, n_units) for row in range(len(x))]
                v[:, first] += np.sqrt(self.variance[first]) * np.array(noise)
            else:
                p = softmax(x[:, units], axis=1)
                u = [(random_word(key, row, first) >> 8) * 256 / WORD for row in range(len(x))]
                chosen = (np.cumsum(p[:, :-1], axis=1) <= np.array(u)[:, None]).sum(axis=1)
                v[:, units] = np.eye(each)[chosen]
        return v

    def _observed_gradient(self, v, h, v_neg, h_neg, known, lam):
        """The centered gradient; a row contributes nothing to units that it does not have."""
        x, x_neg = (np.where(known, each - self.mu, 0.0) for each in (v, v_neg))
        g_W = (x.T @ (h - lam) - x_neg.T @ (h_neg - lam)) / len(v)
        g_b = np.where(known, v - v_neg, 0.0).mean(axis=0) - g_W @ lam
        sides = [
            np.where(known, (v - self.b) ** 2 / 2 - v * (h @ self.W.T), 0.0).mean(axis=0)
            for v, h in ((v, h), (v_neg, h_neg))
        ]
        g_log_variance = (sides[0] - sides[1]) / self.variance
        self.gradient = [g_W, g_b, (h - h_neg).mean(axis=0), g_log_variance]

    def _update(self, seen, variance_rate, rate, momentum, l2, l1):
        """The step; units that no row has stay as they are."""

        def parts():
            return self.W, self.b, self.variance, *self.velocities[:2], self.velocity_variance

        before = [part.copy() for part in parts()]
        momentum = min(momentum, 1 - 2.0 ** (-1 - math.log2(self.n_steps // 250 + 1)))
        self._step_variance(variance_rate * rate, momentum)
        if self.is_centered:  # the penalty of W leaves b + W lam as it is
            self.gradient[1] = self.gradient[1] + (l2 * self.W + l1 * np.sign(self.W)) @ self.lam
        self._step(rate, momentum, l2, l1)
        for part, old in zip(parts(), before, strict=True):
            part[~seen] = old[~seen]
