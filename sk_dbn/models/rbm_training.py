"""Training of one RBM of a stack: its buffers, its epochs, what it is judged by, its trace."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from sk_dbn.kernels.activations import LOGISTIC, RELU
from sk_dbn.kernels.contrastive_divergence import train_rbm
from sk_dbn.kernels.probe import (
    DEAD,
    FREE_ENERGY,
    FREE_ENERGY_SQUARE,
    KL,
    MEAN,
    MSE,
    SATURATED,
    STD,
    probe_rbm,
)
from sk_dbn.kernels.rbm import (
    GradientBuffers,
    LadderBuffers,
    PhaseBuffers,
    RBMWorkspace,
    Rule,
    UpdateBuffers,
)
from sk_dbn.kernels.units import FIRST_CATEGORY
from sk_dbn.kernels.updates import CENTERING_ROWS, push_to_target
from sk_dbn.models.divergence import MUCH_WORSE
from sk_dbn.models.pace import TeamPace
from sk_dbn.models.threads import run_serial
from sk_dbn.models.traces import MAX_PROBED, Recorder, evenly_spaced
from sk_dbn.models.units import are_bounded, natural_bias
from sk_dbn.models.work import SMALL_WORK, are_few, row_blocks, weight_blocks

MIN_PROBED = 64  # rows that an RBM is watched on, where there are as many
MAX_AVERAGED = 4096  # rows that the means of an upper layer's input are taken over
# Gaussian and rectified linear units have no bound, so their RBMs take smaller steps
# (Hinton, 2012, section 13.2): this share of the learning rate for each side that has them.
UNBOUNDED_RATE = 0.1
# Categories are drawn, never reconstructed by means, and that noise takes smaller steps.
CATEGORY_RATE = 0.2
UNIT_WORK = 16  # products with a weight that take as long as to sample a unit
MAX_STEP = 0.1  # of their weights, as a share of the weights' norm
# Learning rate of the variances' logarithms over that of the weights. Chains that start at the
# data do not see what else becomes probable when variances shrink, so there they follow the
# weights slowly, which costs less of the likelihood.
VARIANCE_RATE, PERSISTENT_VARIANCE_RATE = 0.01, 0.1
OFFSET_RATE = 0.01  # of the centered gradient (Melchior, Fischer & Wiskott, 2016)


@dataclass
class Settings:
    """How RBMs are trained, but for their learning rate.

    Parameters
    ----------
    algorithm : {'cd', 'pcd', 'fpcd', 'pt'}
        All but the first have chains that go on from one update to the next, 'fpcd' with fast
        weights, 'pt' at several temperatures.
    n_gibbs_steps, n_chains, n_temperatures : int
    centered : bool
    momentum : float
    l2, l1 : float
    batch_size : int
    sparsity_target : float or None
    sparsity_cost, dropout : float
    max_norm : float or None
    learn_variance : bool
    """

    algorithm: str
    n_gibbs_steps: int
    n_chains: int
    n_temperatures: int
    centered: bool
    momentum: float
    l2: float
    l1: float
    batch_size: int
    sparsity_target: float | None
    sparsity_cost: float
    dropout: float
    max_norm: float | None
    learn_variance: bool

    @property
    def persistent(self):
        """Whether chains go on from one update to the next."""
        return self.algorithm != "cd"

    @property
    def betas(self):
        """The inverse temperatures of the chains, from 1 down to 0."""
        return np.linspace(1.0, 0.0, self.n_temperatures) if self.algorithm == "pt" else np.ones(1)

    def rule(self, memory, visible, hidden, rate):
        """The kernels' view, for the RBM that remembers this and has these kinds of units."""
        is_bounded = are_bounded(visible) and are_bounded(hidden)
        is_sparse = self.sparsity_target is not None
        variance_rate = PERSISTENT_VARIANCE_RATE if self.persistent else VARIANCE_RATE
        return Rule(
            steps=1,
            persistent=int(self.persistent),
            # Persistent chains are samples, whatever the data are.
            mean_field=int(memory.sees_means and (np.all(visible == RELU) or not self.persistent)),
            n_gibbs_steps=int(self.n_gibbs_steps),
            seed=memory.seed,
            momentum=float(self.momentum),
            l2=float(self.l2),
            l1=float(self.l1),
            offset_rate=OFFSET_RATE if self.centered else 0.0,
            fast_rate=float(rate) if self.algorithm == "fpcd" else 0.0,
            sparsity_target=float(self.sparsity_target) if is_sparse else 0.0,
            sparsity_cost=float(self.sparsity_cost) if is_sparse else 0.0,
            dropout=float(self.dropout),
            max_norm=float(self.max_norm or 0.0),
            variance_rate=variance_rate if self.learn_variance else 0.0,
            max_step=0.0 if is_bounded else MAX_STEP,
        )


def probe_of(order):
    """A few rows, evenly spaced in the order of training."""
    return evenly_spaced(order, min(MAX_PROBED, max(MIN_PROBED, len(order) // 16)))


def prepare(run, stack, layer, data, order, means=None, counts=None):
    """What an RBM that was never trained takes from its input.

    Its means give visible biases and offsets. The most that it varies in any direction bounds
    the learning rate, see `learning_rate_scale`.

    Parameters
    ----------
    run : callable, from `threads`
    stack : Stack
    layer : int
    data : Data
    order : int64 ndarray
        The samples to train on.
    means : ndarray of shape (n_visible,), default=None
        The input's means; taken from evenly spaced rows when not given.
    counts : ndarray of shape (n_visible,), default=None
        How many values these are the means of; by default one of each sample.
    """
    if means is None:
        rows = evenly_spaced(order, MAX_AVERAGED)
        means = np.zeros(stack.units[layer])
        for start in range(0, len(rows), MAX_PROBED):
            piece = rows[start : start + MAX_PROBED]
            means += stack.means_up(run, data, layer, piece).sum(axis=0, dtype=float)
        means /= len(rows)
    stack.memories[layer].mu[:] = means
    kind = stack.kinds[layer]
    stack.intercepts_visible[layer][:] = natural_bias(
        kind, means, len(order) if counts is None else np.maximum(counts, 1)
    )
    if stack.kinds[layer + 1] == RELU:
        v = stack.means_up(run, data, layer, probe_of(order))
        stack.memories[layer].spread[:] = spread(v)


def spread(v):
    """How much some rows vary together, and how much each of them alone.

    Parameters
    ----------
    v : ndarray of shape (n_rows, n_units)

    Returns
    -------
    together, alone : float
        The variance in the direction in which they vary most, the largest eigenvalue of the
        covariance; and the mean squared distance from their mean, each row's weighted by
        itself, so that few far rows count.
    """
    v = v - v.mean(axis=0, dtype=np.float64)
    products = v @ v.T  # of which, over n_rows, the eigenvalues are those of the covariance
    squares = np.diag(products)
    together = float(np.linalg.eigvalsh(products / len(v))[-1])
    return together, float((squares**2).sum() / max(squares.sum(), 1e-30))


def learning_rate_scale(stack, layer, batch_size):
    """What share of the learning rate an RBM's steps take.

    Where neither side has a bound, a direction of variance s is learned like the power method
    does: weights w along it grow by the rate times s w, and what they reconstruct pulls them
    back by its cube and more. With steps beyond 1 / s, weights that came near overshoot, each
    time further. A row at the squared distance d from the mean counts for d among the rows of
    its minibatch, whatever its direction.

    Parameters
    ----------
    stack : Stack
    layer : int
    batch_size : int

    Returns
    -------
    float
    """
    sides = stack.kinds[layer : layer + 2]
    share = UNBOUNDED_RATE ** sum(not are_bounded(code) for code in sides)
    if np.any(np.greater_equal(sides[0], FIRST_CATEGORY)):
        share = min(share, CATEGORY_RATE)
    together, alone = stack.memories[layer].spread
    return min(share, 1.0 / max(together + alone / batch_size, 1.0))


class RBMBuffers:
    """The buffers of a training run and the cuts of its work, which depend on its shape.

    Parameters
    ----------
    stack : Stack
    layer : int
    n_states : int
        Persistent chains, at all temperatures; 0 when each row of a minibatch starts its own.
    batch : int
        Maximum number of rows of a minibatch.
    betas : ndarray of shape (n_temperatures,), default=(1.0,)
        Inverse temperatures of the chains.
    """

    def __init__(self, stack, layer, n_states, batch, betas=(1.0,)):
        p, q = (int(n) for n in stack.units[layer : layer + 2])
        is_gaussian = layer == 0 and len(stack.variance) > 0
        n_chains = n_states // len(betas) or batch
        n_rows = batch + n_chains + CENTERING_ROWS
        is_few = are_few(max(batch, n_chains), stack.units[layer : layer + 2], stack.theta.dtype)
        n_row_blocks, n_chain_blocks, n_blocks = _blocks(batch, n_chains, p, q, is_few)
        self.batch = batch
        self.is_small = max(n_row_blocks, n_chain_blocks, n_blocks) == 1
        n_phases = n_row_blocks + (n_chain_blocks if n_states else 0)
        widest = int(stack.units[: layer + 1].max()) if layer else 0
        empty = partial(np.zeros, dtype=stack.theta.dtype)
        phases = PhaseBuffers(
            v=empty((n_rows, p)),
            h=empty((n_rows, q)),
            u=empty((n_rows if is_gaussian else 0, p)),
            chains=empty((n_states or batch, q)),
            lower=empty((n_row_blocks, 2, -(-batch // n_row_blocks) * widest)),
            h_sums=empty((n_phases, 2, q)),
        )
        ladder = _ladder_buffers(empty, betas, n_states, p, q, is_gaussian)
        gradient = gradient_buffers(empty, n_blocks, n_rows, p, q, is_gaussian)
        squares, sums = np.zeros((n_blocks, q)), np.zeros((n_blocks, 4))
        update = UpdateBuffers(squares, sums, share=np.ones(1))
        self.work = RBMWorkspace(phases, ladder, gradient, update)

    def call(self, run):
        """How to call a kernel on this amount of work."""
        return run_serial if self.is_small else run


def _blocks(batch, n_chains, p, q, is_few):
    """In how many blocks rows, chains and visible units are cut; one each if that does not pay."""
    rows = (1, 1) if is_few else (row_blocks(batch), row_blocks(n_chains))
    blocks = *rows, weight_blocks(p)
    # Operations for each row and weight, that can be shared. In a single piece rows mostly go
    # through the phases on one thread: the update is left, and it moves the weights between caches,
    # which pays only for more of them.
    operations = 8.0 if is_few or max(blocks[:2]) > 1 else 3.0
    is_large = operations * max(batch, n_chains) * (p * q + UNIT_WORK * (p + q)) > SMALL_WORK
    return blocks if is_large else (1, 1, 1)


def _ladder_buffers(empty, betas, n_states, p, q, is_gaussian):
    """The buffers of chains at several temperatures; None where there is one."""
    if len(betas) == 1:
        return None
    return LadderBuffers(
        betas=np.array(betas, empty(0).dtype),
        v=empty((n_states, p)),
        u=empty((n_states if is_gaussian else 0, p)),
        h=empty((n_states, q)),
        b=empty((len(betas), p)),
        c=empty((len(betas), q)),
        h_mu=empty(q),
    )


def gradient_buffers(empty, n_blocks, n_rows, p, q, is_gaussian):
    """The buffers of the gradient of an RBM of p visible and q hidden units."""
    return GradientBuffers(
        W=empty((p, q)),
        v_pos=empty(p),
        v_gap=empty(p),
        v_mu=empty((n_blocks, n_rows)),
        v_squares=empty(p if is_gaussian else 0),
        h_pos=empty(q),
        h_gap=empty(q),
        h_lam=empty(n_rows),
        lam=empty(q),
        push=empty(q),
    )


class RBMTraining:
    """Minibatch training of one RBM.

    Parameters
    ----------
    stack : Stack
    layer : int
    data : Data
    settings : Settings
    rate : float
        Learning rate.
    probe : int64 ndarray
        Training rows that the RBM is watched on.
    held_out : int64 ndarray, default=None
        Validation rows; the reconstruction is judged on them, else on the probe.
    watches_gap : bool, default=False
        Whether the gap of free energies is judged instead.
    """

    def __init__(self, stack, layer, data, settings, rate, probe, held_out=None, watches_gap=False):
        self.watches_gap = watches_gap
        self.stack, self.layer, self.data = stack, layer, data
        self.settings, self.rate = settings, float(rate)
        self.probe, self.held_out = probe, held_out
        self.norms = np.zeros(3)
        memory, betas = stack.memories[layer], settings.betas
        n_states = settings.n_chains * len(betas)
        if not settings.persistent:
            memory.chains = None
        elif memory.chains is None or (len(memory.chains), memory.n_chains) != (
            n_states,
            settings.n_chains,
        ):
            memory.chains = first_chains(stack, layer, n_states)
        memory.n_chains = settings.n_chains
        memory.keep_fast(settings.algorithm == "fpcd")
        self._rule = settings.rule(memory, *stack.kinds[layer : layer + 2], self.rate)
        self._rbm = stack.rbm(layer)
        self.buffers = self._buffers(settings.batch_size)
        self._measured = {}
        self._pace = TeamPace()
        if self._rule.sparsity_cost > 0.0 and memory.n_steps > 0:
            push_to_target(self._rbm, self._rule, self.buffers.work.gradient.push)

    def epoch(self, run, order, recorder=None):
        """Visit the samples once, in the order given.

        Parameters
        ----------
        run : callable, from `threads`
        order : int64 ndarray
        recorder : RBMRecorder, default=None
        """
        batch = self.buffers.batch
        n_batches = -(-len(order) // batch)
        each = recorder is not None and recorder.each_batch
        run = self.buffers.call(run)
        for way, first, end in self._pace.team_calls(run, n_batches, each):
            self._minibatches(way, order[first * batch : end * batch], end - first)
            if each:
                recorder.record(self, end / n_batches, 1)
        if recorder is not None and not each:
            recorder.record(self, 1.0, n_batches)

    def _minibatches(self, run, order, count):
        """One compiled call."""
        self._call(run, order, self._rule, self.buffers, self.norms)
        self.stack.memories[self.layer].n_steps += count

    def _call(self, run, order, rule, buffers, norms):
        run(
            train_rbm,
            self.data.source,
            order,
            buffers.batch,
            self.stack.layers,
            self._rbm,
            rule,
            self.rate,
            self.stack.memories[self.layer].n_steps,
            buffers.work,
            norms,
        )

    def _buffers(self, batch):
        n_states = len(self._rbm.chains)
        return RBMBuffers(self.stack, self.layer, n_states, batch, self.settings.betas)

    def gradient_norms(self, run):
        """Norms of the weights' and the biases' gradient over the probe, which changes nothing.

        Parameters
        ----------
        run : callable, from `threads`

        Returns
        -------
        weights, biases : float
        """
        buffers, norms = self._buffers(len(self.probe)), np.zeros(3)
        # The twin that training takes, so that the other one need not be compiled.
        call = self.buffers.call(run)
        self._call(call, self.probe, self._rule._replace(steps=0), buffers, norms)
        return norms[0], norms[1]

    def measures(self, rows):
        """What the RBM makes of some rows.

        Parameters
        ----------
        rows : int64 ndarray

        Returns
        -------
        float64 ndarray of shape (8,)
            Means over pieces of the rows, see `probe_rbm`.
        """
        total = np.zeros(8)
        for start in range(0, len(rows), MAX_PROBED):
            piece = rows[start : start + MAX_PROBED]
            total += len(piece) * self._measures_together(piece)
        return total / len(rows)

    def _measures_together(self, rows):
        """`measures` of as many rows as are looked at together."""
        out = np.zeros(8)
        probe_rbm(self.data.source, rows, self.stack.layers, self._rbm, out)
        return out

    def seen(self):
        """`measures` of the probe, taken once between two updates."""
        return self._once("seen", self.probe)

    def unseen(self):
        """`measures` of the held-out rows, taken once between two updates."""
        return self._once("unseen", self.held_out)

    def _once(self, name, rows):
        n_steps = self.stack.memories[self.layer].n_steps
        if self._measured.get(name, (None,))[0] != n_steps:
            self._measured[name] = n_steps, self.measures(rows)
        return self._measured[name][1]

    def divergence(self):
        """The reconstruction's divergence from the rows it is judged on, in nats a row."""
        return (self.seen() if self.held_out is None else self.unseen())[KL]

    def worst(self):
        """The divergence that training may not end with; on the way there, it may be more.

        It is held against that at the beginning, or a nat for each visible unit.
        """
        return MUCH_WORSE * np.fmax(self.divergence(), float(self.stack.units[self.layer]))

    def free_energy_gap(self):
        """How much higher the free energy of held-out rows is than that of training rows.

        Returns
        -------
        gap, standard_error : float
            In nats a row.
        """
        means, variances = [], []
        for seen, rows in ((self.seen(), self.probe), (self.unseen(), self.held_out)):
            means.append(seen[FREE_ENERGY])
            spread = seen[FREE_ENERGY_SQUARE] - seen[FREE_ENERGY] ** 2
            variances.append(max(spread, 0.0) / len(rows))
        return means[1] - means[0], np.sqrt(sum(variances))

    def verdict(self, tol):
        """What an epoch is judged by, and by how much it must fall to count as better.

        Persistent chains do not minimise the divergence of reconstructions, which may rise
        while the likelihood does: without held-out rows every epoch counts as better.

        Returns
        -------
        value, margin : float
            In nats a row.
        """
        if self.watches_gap:
            gap, standard_error = self.free_energy_gap()
            return gap, -standard_error
        if self.settings.persistent and self.held_out is None:
            return self.divergence(), -np.inf
        return self.divergence(), tol

    def is_finite(self):
        """Whether every parameter is a finite number."""
        return all(np.isfinite(x).all() for x in self._rbm.parameters)

    @property
    def changing(self):
        """The arrays and objects that an epoch changes."""
        rbm = self._rbm
        chain = () if rbm.chain.W is rbm.parameters.W else rbm.chain
        return *rbm.parameters, *chain, self.stack.memories[self.layer]

    @property
    def own(self):
        """The arrays that an epoch changes and that are no part of the stack."""
        return ()


def first_chains(stack, layer, n_chains):
    """Hidden samples of chains that start from noise.

    Parameters
    ----------
    stack : Stack
    layer : int
    n_chains : int

    Returns
    -------
    ndarray of shape (n_chains, n_hidden)
    """
    random = np.random.RandomState(stack.memories[layer].seed)
    shape = n_chains, stack.units[layer + 1]
    if stack.kinds[layer + 1] == RELU:
        return np.maximum(random.standard_normal(shape), 0.0).astype(stack.theta.dtype)
    ones = random.randint(0, 2, shape)
    low = 0 if stack.kinds[layer + 1] == LOGISTIC else -1
    return np.where(ones == 1, 1, low).astype(stack.theta.dtype)


class RBMRecorder(Recorder):
    """Collects the rows of one RBM's gradient trace."""

    def record_start(self, run, training):
        """Row 0: the state before the first update, its gradient over the probe."""
        self._append(0.0, training, *training.gradient_norms(run), 0.0)

    def record(self, training, progress, n_batches):
        """One row from what the last n_batches minibatches left in `training.norms`."""
        means = training.norms / n_batches
        training.norms[:] = 0.0
        self._append(self.advance(progress), training, *means)

    def _append(self, epoch, training, w_norm, bias_norm, update_ratio):
        seen = training.seen()
        row = {
            "weight_grad_norm": w_norm,
            "bias_grad_norm": bias_norm,
            "update_ratio": update_ratio,
            "weight_norm": np.linalg.norm(training.stack.coefs[training.layer]),
            "activation_mean": seen[MEAN],
            "activation_std": seen[STD],
            "saturated_fraction": seen[SATURATED],
            "dead_fraction": seen[DEAD],
            "reconstruction_kl": seen[KL],
            "reconstruction_mse": seen[MSE],
        }
        if training.held_out is not None:
            unseen = training.unseen()
            row["free_energy_gap"] = unseen[FREE_ENERGY] - seen[FREE_ENERGY]
        elif self.has("free_energy_gap"):
            row["free_energy_gap"] = np.nan  # a partial_fit after a fit with held-out rows
        self.add(epoch, {name: np.array([value]) for name, value in row.items()})
