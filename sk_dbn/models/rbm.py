"""The stack of restricted Boltzmann machines: its parameters and what follows from them."""

import numpy as np
from scipy.special import softmax

from sk_dbn.kernels.activations import IDENTITY
from sk_dbn.kernels.feed_forward import Layers
from sk_dbn.kernels.pseudo_likelihood import pseudo_log_likelihood
from sk_dbn.kernels.rbm import RBM, Parameters, RunningMeans
from sk_dbn.kernels.units import FIRST_CATEGORY
from sk_dbn.models.data import arrays_for_kernels, parameters_for_kernels
from sk_dbn.models.forward import are_sizes, forward
from sk_dbn.models.pace import Pace
from sk_dbn.models.threads import run_serial
from sk_dbn.models.units import (
    CODES,
    FORMULAS,
    HIDDEN_KINDS,
    UNIT_KINDS,
    code_of,
    mean_divergence,
    means,
    own_energies,
    spans_of,
)
from sk_dbn.models.work import SMALL_WORK, product_work, row_pieces

MAX_SCORED = 64  # visible units that a sample's pseudo-likelihood looks at
SCORED_TOGETHER = 2**14  # hidden units, times samples, of one call at least


class Memory:
    """What the training of one RBM remembers between updates.

    Parameters
    ----------
    n_visible, n_hidden : int
    seed : int
        Key of the RBM's random numbers.
    dtype : dtype

    Attributes
    ----------
    velocity_W, velocity_b, velocity_c : ndarrays like the RBM's weights and biases
    mu, lam : ndarrays of shape (n_visible,) and (n_hidden,)
        Offsets of the centered gradient.
    velocity_variance : ndarray of shape (n_visible,), or (0,) for units that have none
    activity : ndarray of shape (n_hidden,)
        Running mean of the hidden units' means.
    fast_W, fast_b, fast_c : ndarrays like the RBM's weights and biases
        Fast weights; of shapes (0, 0), (0,) and (0,) where there are none.
    chains : ndarray of shape (n_chains * n_temperatures, n_hidden) or None
        Hidden samples of the persistent chains.
    n_chains : int
        How many of these, the first ones, have the RBM's own temperature.
    n_steps : int
        Updates made so far.
    spread : ndarray of shape (2,)
        How much the input varies, where the hidden units are rectified linear.
    sees_means : bool
        Whether the input consists of means rather than of values that the units can take:
        so it is in upper layers, and with grey levels in the first.
    """

    def __init__(self, n_visible, n_hidden, seed, dtype, n_variances=0):
        self.velocity_variance = np.zeros(n_variances, dtype)
        self.activity = np.zeros(n_hidden, dtype)
        self.velocity_W = np.zeros((n_visible, n_hidden), dtype)
        self.velocity_b, self.velocity_c = np.zeros(n_visible, dtype), np.zeros(n_hidden, dtype)
        self.mu, self.lam = np.zeros(n_visible, dtype), np.zeros(n_hidden, dtype)
        self.fast_W = np.zeros((0, 0), dtype)
        self.fast_b, self.fast_c = np.zeros(0, dtype), np.zeros(0, dtype)
        self.chains, self.n_chains = None, 0
        self.n_steps = 0
        self.spread = np.zeros(2)
        self.sees_means = True
        self.seed = int(seed)

    def keep_fast(self, wanted):
        """Go on with the fast weights, from zero where there are none; or forget them."""
        if wanted != bool(self.fast_W.size):
            p, q = self.velocity_W.shape if wanted else (0, 0)
            dtype = self.velocity_W.dtype
            self.fast_W = np.zeros((p, q), dtype)
            self.fast_b, self.fast_c = np.zeros(p, dtype), np.zeros(q, dtype)

    @property
    def averages(self):
        """All arrays but the chains: velocities and running means."""
        arrays = (x for x in vars(self).values() if isinstance(x, np.ndarray))
        return [x for x in arrays if x is not self.chains]

    def __setstate__(self, state):
        self.__dict__.update(arrays_for_kernels(state))

    def fits(self, n_visible, n_hidden, n_variances, dtype):
        """Whether all arrays have the shapes and the precision of such an RBM."""
        new = Memory(n_visible, n_hidden, 0, dtype, n_variances)
        new.keep_fast(bool(self.fast_W.size))
        if self.chains is not None:
            new.chains = np.zeros((max(len(self.chains), self.n_chains), n_hidden), dtype)
        arrays = {name: x for name, x in vars(new).items() if isinstance(x, np.ndarray)}
        mine = [getattr(self, name) for name in arrays]
        return all(
            isinstance(x, np.ndarray) and (x.shape, x.dtype) == (other.shape, other.dtype)
            for x, other in zip(mine, arrays.values(), strict=True)
        )


class Stack:
    """RBMs whose weights and biases are views of one flat vector.

    Parameters
    ----------
    units : sequence of int
        Visible units and those of every hidden layer.
    visible : {'bernoulli', 'gaussian'}, or a sequence of these, or int64 ndarray
        Kind of the first layer's visible units, or of each, or their codes; above, they are the
        hidden units below.
    hidden : {'logistic', 'tanh', 'relu'}
        Kind of the hidden units: 0 and 1, -1 and 1, or noisy rectified linear.
    seeds : sequence of int
        One per RBM.
    dtype : dtype

    Attributes
    ----------
    theta : ndarray of shape (n_parameters,)
    coefs, intercepts_hidden, intercepts_visible : lists of views of theta
        Of shapes (n_visible, n_hidden), (n_hidden,) and (n_visible,), one per RBM.
    kinds : list of int
        Codes of the visible units and of every hidden layer; the first one is an int64 ndarray
        of shape (n_visible,) where visible units are of different kinds.
    variance : ndarray of shape (n_visible,), view of theta
        Of the first RBM's Gaussian visible units, 1 for Bernoulli units beside them; of
        shape (0,) where no unit is Gaussian.
    memories : list of Memory
    reference : ndarray of shape (n_visible,)
        Values of the first RBM's visible units that contribute as much as a missing value does.
    """

    def __init__(self, units, visible, hidden, seeds, dtype):
        self.units = np.array(units, dtype=np.int64)
        self.kinds = [code_of(visible)] + [UNIT_KINDS[hidden]] * self.n_layers
        n_parameters, n_variances = self._lay_out()
        sizes = zip(self.units[:-1], self.units[1:], seeds, strict=True)
        self.memories = [
            Memory(*args, dtype, 0 if layer else n_variances) for layer, args in enumerate(sizes)
        ]
        self.reference = np.zeros(int(self.units[0]), dtype)
        theta = np.r_[np.zeros(n_parameters), np.ones(n_variances)]
        self._adopt(parameters_for_kernels(theta, dtype))

    def _lay_out(self):
        """Find where each RBM's parameters begin; return the number of these, and of variances."""
        p, q = self.units[:-1], self.units[1:]
        ends = np.cumsum(np.column_stack([p * q, q, p]).ravel())
        starts = np.r_[0, ends[:-1]].reshape(self.n_layers, 3)
        self._weights_at, self._hidden_at, self._visible_at = starts.T.copy()
        return ends[-1], int(p[0]) if np.any(np.equal(self.kinds[0], IDENTITY)) else 0

    def _adopt(self, theta):
        """Make theta the parameters; the lists become views of it."""
        self.theta = theta
        self.coefs, self.intercepts_hidden, self.intercepts_visible = [], [], []
        at = zip(self._weights_at, self._hidden_at, self._visible_at, strict=True)
        for (w, c, b), p, q in zip(at, self.units[:-1], self.units[1:], strict=True):
            self.coefs.append(theta[w : w + p * q].reshape(p, q))
            self.intercepts_hidden.append(theta[c : c + q])
            self.intercepts_visible.append(theta[b : b + p])
        self.variance = theta[b + p :]

    def __getstate__(self):
        names = "units", "kinds", "theta", "memories", "reference"
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state):
        self.__dict__.update(arrays_for_kernels(state))
        self.check()
        self._adopt(parameters_for_kernels(self.theta))

    def check(self):
        """Check that what was stored belongs together, since kernels do not check sizes.

        Raises
        ------
        ValueError
            If it does not.
        """
        if not self._fits():
            raise ValueError("the stored parameters and layers of a stack do not fit together.")

    def _fits(self):
        """Whether what was stored belongs together."""
        if not are_sizes(self.units):
            return False
        n_parameters, n_variances = self._lay_out()
        variances, dtype = [n_variances] + [0] * (self.n_layers - 1), self.theta.dtype
        layers = zip(self.memories, self.units[:-1], self.units[1:], variances, strict=True)
        return (
            self.theta.shape == (n_parameters + n_variances,)
            and self.theta.dtype in (np.float32, np.float64)
            and self.reference.shape == (self.units[0],)
            and len(self.kinds) == len(self.units)
            and np.shape(self.kinds[0]) in ((), (self.units[0],))
            and np.isin(self.kinds[0], CODES).all()
            and set(self.kinds[1:]) <= set(HIDDEN_KINDS.values())
            and all(memory.fits(*sizes, dtype) for memory, *sizes in layers)
        )

    @property
    def n_layers(self):
        """Number of RBMs."""
        return len(self.units) - 1

    @property
    def row_work(self):
        """What NumPy does for a row that passes all layers, in floating-point operations."""
        return product_work(self.theta.size, self.units.sum())

    @property
    def layers(self):
        """The kernels' view of the means passed upward."""
        activations = np.array(self.kinds[1:], dtype=np.int64)
        return Layers(self.theta, self.units, self._weights_at, self._hidden_at, activations)

    def rbm(self, layer):
        """The kernels' view of one RBM."""
        memory = self.memories[layer]
        variance = self.variance if layer == 0 else self.variance[:0]
        theta = self.coefs[layer], self.intercepts_visible[layer], self.intercepts_hidden[layer]
        chain, fast = theta, (memory.fast_W, memory.fast_b, memory.fast_c)
        if memory.fast_W.size:
            chain = tuple(x + f for x, f in zip(theta, fast, strict=True))
        return RBM(
            parameters=Parameters(*theta, variance),
            velocity=Parameters(
                memory.velocity_W, memory.velocity_b, memory.velocity_c, memory.velocity_variance
            ),
            chain=Parameters(*chain, variance),
            fast=Parameters(*fast, variance[:0]),
            means=RunningMeans(memory.mu, memory.lam, memory.activity),
            chains=theta[0][:0] if memory.chains is None else memory.chains,
            spans=spans_of(self.kinds[layer], len(theta[1])),
            hidden=self.kinds[layer + 1],
            layer=layer,
        )

    def astype(self, dtype):
        """The same parameters in another precision; itself when that is the present one."""
        if self.theta.dtype == dtype:
            return self
        return self._with(parameters_for_kernels(self.theta, dtype))

    def _with(self, theta):
        """A stack with other parameters; the rest is shared."""
        twin = object.__new__(Stack)
        vars(twin).update(vars(self))
        twin._adopt(theta)
        return twin

    def replaced(self, name, arrays):
        """A copy with other `coefs`, `intercepts_hidden` or `intercepts_visible`; this one stays.

        What training remembers goes on in the copy.
        """
        twin = self._with(parameters_for_kernels(self.theta))
        for mine, given in zip(getattr(twin, name), arrays, strict=True):
            mine[:] = given
        return twin

    def means_up(self, run, data, n_layers=None, rows=None):
        """Means of a layer's units, each layer given the means below.

        Parameters
        ----------
        run : callable, from `threads`
        data : Data
            In the precision of the parameters.
        n_layers : int, default=None
            How many layers the rows pass; all by default, 0 gives the visible units.
        rows : int64 ndarray of shape (n_rows,), default=None
            All by default.

        Returns
        -------
        ndarray of shape (n_rows, units[n_layers])
        """
        n_layers = self.n_layers if n_layers is None else n_layers
        return forward(run, data, self.layers, n_layers, rows)

    def means_down(self, h):
        """Means of the visible units, each layer given the means above.

        Parameters
        ----------
        h : ndarray of shape (n_samples, units[-1])

        Returns
        -------
        ndarray of shape (n_samples, units[0])
        """
        parts = [self._means_down(h[part]) for part in row_pieces(len(h), self.row_work)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _means_down(self, h):
        for layer in reversed(range(self.n_layers)):
            x = h @ self.coefs[layer].T + self.intercepts_visible[layer]
            h = means(self.kinds[layer], x)
        return h

    def free_energy(self, v):
        """-log of the sum over h of exp(-E(v, h)), of the first RBM.

        Parameters
        ----------
        v : ndarray of shape (n_samples, units[0])
            NaN where a value is missing: that unit then is no part of the sample's RBM.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        x = self.hidden_products(v)
        v, _, b, _ = self.in_unit_variance(v)
        no_energy = np.where(np.equal(self.kinds[0], IDENTITY), b, 0)
        own = own_energies(self.kinds[0], np.where(np.isnan(v), no_energy, v), b)
        return own - FORMULAS[self.kinds[1]].log_partition(x).sum(axis=1)

    def hidden_products(self, v):
        """Products and biases of the first RBM's hidden units, given visible ones.

        Parameters
        ----------
        v : ndarray of shape (n_samples, units[0])
            NaN where a value is missing.

        Returns
        -------
        ndarray of shape (n_samples, units[1])
        """
        v, W, _, c = self.in_unit_variance(np.where(np.isnan(v), self.reference, v))
        return v @ W + c

    def in_unit_variance(self, v):
        """The first RBM's parameters and values of its visible units, in units of their
        standard deviation.

        A Gaussian unit of variance s takes the values v / sqrt(s) of one of variance 1, whose
        bias and weights are divided by sqrt(s) likewise.

        Parameters
        ----------
        v : ndarray of shape (n_samples, units[0])

        Returns
        -------
        v, W, b, c : ndarrays
        """
        W, b, c = self.coefs[0], self.intercepts_visible[0], self.intercepts_hidden[0]
        if len(self.variance) == 0:
            return v, W, b, c
        deviation = np.sqrt(self.variance)
        return v / deviation, W / deviation[:, None], b / deviation, c

    @property
    def log_volume(self):
        """Sum of the logarithms of the visible units' standard deviations."""
        return 0.5 * float(np.log(self.variance.astype(np.float64)).sum())

    def pseudo_log_likelihood(self, run, v):
        """Sum over features of log P(v_i | v_-i), of the first RBM.

        Parameters
        ----------
        run : callable, from `threads`
        v : float64 ndarray of shape (n_samples, units[0])
            NaN where a value is missing; it is left out.

        Returns
        -------
        ndarray of shape (n_samples,)
            Exact for up to `MAX_SCORED` features, else estimated from as many.
        """
        missing, x = np.isnan(v), self.hidden_products(v)
        v, W, b, _ = self.in_unit_variance(v)
        n_chosen = int(min(self.units[0], MAX_SCORED))
        out, pace = np.zeros(len(v)), Pace()
        call = run if len(v) * n_chosen * W.shape[1] > SMALL_WORK / 100 else run_serial
        visible = np.array(np.broadcast_to(self.kinds[0], len(b)), dtype=np.int64)
        # A call takes some rows, and as many of their units as it has the time for.
        n_rows = max(16, SCORED_TOGETHER // W.shape[1])
        for start in range(0, len(v), n_rows):
            part = slice(start, start + n_rows)
            arrays = v[part], x[part], W, b
            for units in pace.calls(n_chosen):
                call(
                    pseudo_log_likelihood,
                    visible,
                    self.kinds[1],
                    *arrays,
                    n_chosen,
                    *units,
                    out[part],
                )
        if len(self.variance) == 0 or not missing.any():
            return out - self.log_volume
        return out - ~missing @ (0.5 * np.log(self.variance.astype(np.float64)))

    def conditional(self, v, units):
        """Distribution of one feature given the others, of the first RBM.

        Parameters
        ----------
        v : ndarray of shape (n_samples, units[0])
            NaN where a value is missing. That of the feature is not used.
        units : slice
            Its units: one of 0 and 1, or one for each of its categories.

        Returns
        -------
        ndarray of shape (n_samples, n_values)
        """
        v = v.copy()
        v[:, units] = np.nan
        x, log_partition = self.hidden_products(v), FORMULAS[self.kinds[1]].log_partition
        W, b, r = (
            part[units] for part in (self.coefs[0], self.intercepts_visible[0], self.reference)
        )
        kind = np.broadcast_to(self.kinds[0], v.shape[1])[units.start]
        states = np.eye(len(b)) if kind == FIRST_CATEGORY else np.array([[0.0], [1.0]])
        scores = [state @ b + log_partition(x + (state - r) @ W).sum(axis=1) for state in states]
        return softmax(np.column_stack(scores), axis=1)

    def importances(self, v, hidden, starts):
        """What the reconstruction loses when a feature is hidden.

        Parameters
        ----------
        v : ndarray of shape (n_samples, units[0])
            NaN where a value is missing.
        hidden : ndarray of shape (units[0],)
            What the visible units of a hidden feature read.
        starts : int64 ndarray of shape (n_features,)
            First unit of each feature.

        Returns
        -------
        ndarray of shape (n_features,)
            Increase of the reconstruction's divergence from v, in nats a sample.
        """
        stack = self.astype(np.float64)
        v = v.astype(np.float64)
        W, x = stack.coefs[0], stack.hidden_products(v)
        if len(stack.variance) > 0:
            W = W / stack.variance[:, None]
        loss, ends = np.empty(len(starts)), np.r_[starts[1:], v.shape[1]]
        intact = stack._reconstruction_divergence(v, x)
        known = np.where(np.isnan(v), stack.reference, v)
        for i, units in enumerate(map(slice, starts, ends)):
            gap = np.where(np.isnan(v[:, units]), 0.0, hidden[units] - known[:, units])
            loss[i] = stack._reconstruction_divergence(v, x + gap @ W[units]) - intact
        return loss

    def _reconstruction_divergence(self, v, x):
        """Mean divergence from v of the reconstruction, given the first layer's products."""
        h = FORMULAS[self.kinds[1]].feature(x)
        for layer in range(1, self.n_layers):
            x = h @ self.coefs[layer] + self.intercepts_hidden[layer]
            h = FORMULAS[self.kinds[layer + 1]].feature(x)
        p = self._means_down(h)
        return mean_divergence(self.kinds[0], np.where(np.isnan(v), p, v), p, self.variance)

    def has_kinds(self, visible, hidden):
        """Whether the visible and hidden units are of these kinds."""
        return (
            np.array_equal(self.kinds[0], code_of(visible)) and self.kinds[1] == UNIT_KINDS[hidden]
        )
