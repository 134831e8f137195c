"""Training of the first RBM of a stack where values are missing or are categories."""

from functools import partial

import numpy as np
import scipy.sparse

from sk_dbn.kernels.activations import IDENTITY, saturation_bounds
from sk_dbn.kernels.observed import Slots
from sk_dbn.kernels.observed_updates import ObservedPhases, ObservedWorkspace, train_observed
from sk_dbn.kernels.probe import (
    DEAD,
    FREE_ENERGY,
    FREE_ENERGY_SQUARE,
    KL,
    MEAN,
    MSE,
    SATURATED,
    STD,
)
from sk_dbn.kernels.rbm import UpdateBuffers
from sk_dbn.kernels.statistics import DEAD_RANGE
from sk_dbn.models.rbm_training import RBMTraining, gradient_buffers
from sk_dbn.models.threads import run_serial
from sk_dbn.models.units import FORMULAS, mean_divergence, means
from sk_dbn.models.work import SMALL_WORK, row_blocks, row_pieces, weight_blocks

HEALTH = MEAN, STD, SATURATED, DEAD  # the first measures
MAX_TOGETHER = 2**14  # slots whose products are computed together
SLACK = 1.2  # of buffers that grow, over what is needed


class ObservedBuffers:
    """The buffers of a training run and the cuts of its work, see `RBMBuffers`.

    Parameters
    ----------
    stack : Stack
    data : Data
    batch : int
        Maximum number of rows of a minibatch.
    """

    def __init__(self, stack, data, batch):
        p, q = (int(n) for n in stack.units[:2])
        self.batch, self._sizes = batch, _sizes(data, p)
        # Operations for each slot and hidden unit, in both phases and the gradient. Where rows are
        # cut follows from the shape alone, since the same samples may be dense or sparse.
        work = 10.0 * batch * q
        is_cut = work * p > SMALL_WORK
        n_row_blocks, n_blocks = (row_blocks(batch), weight_blocks(p)) if is_cut else (1, 1)
        is_shared = max(n_row_blocks, n_blocks) > 1 and work * self._sizes.mean() > SMALL_WORK
        self.is_small = not is_shared
        empty = partial(np.zeros, dtype=stack.theta.dtype)
        whole = partial(np.zeros, dtype=np.int64)
        terms = max(n_row_blocks, n_blocks), max(int(self._sizes.max()), 2 * batch)
        slots = Slots(
            unit=whole(0),
            v_pos=empty(0),
            v_neg=empty(0),
            row=whole(0),
            starts=whole(batch),
            ends=whole(batch),
            columns=np.zeros((n_row_blocks, 0 if data.is_listed else data.shape[1])),
            chosen=whole(terms),
            factors=empty(terms),
            unit_starts=whole(p + 1),
            by_unit=whole(0),
            cuts=whole(n_blocks + 1),
        )
        sums = empty((n_row_blocks, 2, q))
        phases = ObservedPhases(empty((2 * batch, q)), empty((batch, q)), sums)
        gradient = gradient_buffers(empty, 0, 0, p, q, len(stack.variance) > 0)
        update = UpdateBuffers(np.zeros((n_blocks, q)), np.zeros((n_blocks, 4)), np.ones(1))
        self.work = ObservedWorkspace(phases, slots, gradient, update)

    def make_room(self, order):
        """Let every minibatch of this order have a slot for each of its observed units."""
        starts = np.arange(0, len(order), self.batch)
        needed, slots = int(np.add.reduceat(self._sizes[order], starts).max()), self.work.slots
        if needed > len(slots.unit):
            needed = int(SLACK * needed)
            names = "unit", "v_pos", "v_neg", "row", "by_unit"
            larger = {name: np.zeros(needed, getattr(slots, name).dtype) for name in names}
            self.work = self.work._replace(slots=slots._replace(**larger))

    def call(self, run):
        """How to call a kernel on this amount of work."""
        return run_serial if self.is_small else run


def _sizes(data, n_units):
    """Maximum number of units observed in each sample, (n_samples,)."""
    if not data.is_listed:
        return np.full(data.shape[0], n_units)
    return np.diff(data.X.indptr).astype(np.int64) * data.widest


class ObservedTraining(RBMTraining):
    """Minibatch training of the first RBM where values are missing or are categories.

    Each sample is an RBM of its own, of the units that were observed, see
    ``kernels/observed_phases.py``. While it is trained, its hidden biases are those that belong to
    the references r, c' = c + r W, and the biases c of the stack follow from them.
    """

    def __init__(self, stack, layer, data, settings, rate, probe, held_out=None, watches_gap=False):
        super().__init__(stack, layer, data, settings, rate, probe, held_out, watches_gap)
        theta, velocity = self._rbm.parameters, self._rbm.velocity
        self._kinds = np.array(np.broadcast_to(stack.kinds[0], len(theta.b)), dtype=np.int64)
        self._rbm = self._rbm._replace(
            parameters=theta._replace(c=theta.c + stack.reference @ theta.W),
            velocity=velocity._replace(c=velocity.c + stack.reference @ velocity.W),
            means=self._rbm.means._replace(mu=stack.reference),
        )

    def _buffers(self, batch):
        return ObservedBuffers(self.stack, self.data, batch)

    def _call(self, run, order, rule, buffers, norms):
        buffers.make_room(order)
        run(
            train_observed,
            self.data.source,
            order,
            buffers.batch,
            self._rbm,
            self._kinds,
            self.data.widest,
            rule,
            self.rate,
            self.stack.memories[self.layer].n_steps,
            buffers.work,
            norms,
        )
        if rule.steps == 1:
            self._follow()

    @np.errstate(over="ignore", invalid="ignore")  # divergence is seen in what was measured
    def _follow(self):
        """Derive the stack's hidden biases, and their velocity, from those of the references."""
        stack, rbm = self.stack, self._rbm
        theta, velocity, r = rbm.parameters, rbm.velocity, stack.reference
        for c, part in (
            (stack.intercepts_hidden[0], theta),
            (stack.memories[0].velocity_c, velocity),
        ):
            c[:] = part.c - r @ part.W if r.any() else part.c  # without reading all weights

    @np.errstate(over="ignore", invalid="ignore")  # divergence is seen in what was measured
    def _measures_together(self, rows):
        """What `probe_rbm` measures, of what was observed in the rows."""
        n_rows, (row, unit, v) = len(rows), self.data.observed(rows)
        stack, out = self.stack, np.empty(8)
        code, b, s = self._kinds[unit], stack.intercepts_visible[0][unit], np.ones_like(v)
        if len(stack.variance) > 0:
            s = stack.variance[unit]
        factors = (v - stack.reference[unit]) / s, (row, unit)
        factors = scipy.sparse.csr_array(factors, shape=(n_rows, len(stack.reference)))
        x = factors @ stack.coefs[0] + self._rbm.parameters.c
        hidden = FORMULAS[stack.kinds[1]]
        h = hidden.mean(x)
        out[: len(HEALTH)] = _health(stack.kinds[1], h)
        p = means(code, _products(h, row, stack.coefs[0], unit) + b)
        nats = mean_divergence(code, v[np.newaxis], p[np.newaxis], s)
        nats += 0.5 * np.log(s.astype(np.float64)).sum()
        out[KL] = nats / n_rows
        out[MSE] = ((v - p).astype(np.float64) ** 2).sum() / max(len(v), 1)
        own = np.where(code == IDENTITY, 0.5 * (v - b) ** 2 / s, -b * v)
        energy = np.bincount(row, own, n_rows) - hidden.log_partition(x).sum(axis=1)
        out[FREE_ENERGY], out[FREE_ENERGY_SQUARE] = energy.mean(), (energy**2).mean()
        return out

    @property
    def changing(self):
        """The arrays and objects that an epoch changes."""
        return *super().changing, self.stack.intercepts_hidden[0], self._rbm.velocity.c

    @property
    def own(self):
        """The biases of the references: those of the stack give them only up to rounding."""
        return self._rbm.parameters.c, self._rbm.velocity.c


def _products(h, row, W, unit):
    """The products of rows of h with rows of W, some at a time, (n_slots,)."""
    parts = [
        np.einsum("ij,ij->i", h[row[part]], W[unit[part]])
        for part in row_pieces(len(row), 4.0 * W.shape[1], MAX_TOGETHER)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, h.dtype)


def _health(hidden, h):
    """Mean, standard deviation, saturated and dead fraction of hidden means, see `layer_health`."""
    low, high = saturation_bounds(hidden)
    saturated, dead = (h < low) | (h > high), np.ptp(h, axis=0) < DEAD_RANGE
    return h.mean(dtype=np.float64), h.std(dtype=np.float64), saturated.mean(), dead.mean()
