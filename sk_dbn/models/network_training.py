"""Minibatch training of a network: samples, optimiser, buffers and epochs."""

from dataclasses import dataclass

import numpy as np

from sk_dbn.kernels.activations import NEEDS_SLOPES
from sk_dbn.kernels.backpropagation import (
    Examples,
    NetworkWorkspace,
    accumulate_gradient,
    train_minibatches,
)
from sk_dbn.kernels.dropout import Dropout
from sk_dbn.kernels.losses import LOSSES, sum_loss
from sk_dbn.kernels.optimisers import NO_STEP, SOLVERS, Optimiser
from sk_dbn.models.data import Data, arrays_for_kernels
from sk_dbn.models.forward import inputs
from sk_dbn.models.pace import TeamPace
from sk_dbn.models.threads import run_serial
from sk_dbn.models.traces import MAX_PROBED, evenly_spaced
from sk_dbn.models.work import (
    SMALL_WORK,
    TRANSCENDENTAL_WORK,
    are_few,
    row_blocks,
    row_pieces,
    weight_blocks,
)

# Of reconstructions held in memory: number of values; minimum (a minibatch) and maximum of rows.
CHUNK_VALUES, MIN_CHUNK, MAX_CHUNK = 2**18, 200, 1024
MIN_PROBED = 32  # samples on which the trace measures activations, if there are as many

# Losses that are reported as a mean over outputs, as in scikit-learn; others are reported as a
# sum. The sum is minimised in all cases.
MEANS_OF_OUTPUTS = (
    *("squared_error", "logistic_squared_error"),
    *("absolute_error", "huber", "quantile"),
)

NO_DROPOUT = Dropout(np.empty(0), 0)


def rows_in_memory(n_features):
    """How many samples and their reconstructions to hold in memory."""
    return int(np.clip(CHUNK_VALUES // n_features, MIN_CHUNK, MAX_CHUNK))


def squared_distances(a, b):
    """The squared distance of each row of a from that of b, float64 of shape (n_rows,).

    Values that are missing (NaN) in b are left out. Overflow gives infinity.
    """
    with np.errstate(over="ignore"):
        gap = a.astype(np.float64) - b
        gap[np.isnan(b)] = 0.0
        return (gap**2).sum(axis=1)


def has_moments(code):
    """Whether an optimiser keeps first moments of gradients, and second ones.

    Parameters
    ----------
    code : int
        See ``kernels.optimisers``.

    Returns
    -------
    first, second : bool
    """
    of_second_only = SOLVERS["rmsprop"], SOLVERS["adagrad"]
    return code not in (NO_STEP, *of_second_only), code not in (NO_STEP, SOLVERS["sgd"])


class OptimiserState:
    """The state of an optimiser between updates.

    Parameters
    ----------
    solver : {'sgd', 'adam', 'adamw', 'nadam', 'rmsprop', 'adagrad'} or None
        None: gradients are computed, but parameters do not change.
    network : Network
    momentum, beta_1, beta_2, epsilon : float
    nesterov : bool
    **bounds
        See `set_bounds`.

    Attributes
    ----------
    n_steps : int
        Number of updates so far.
    seed : int or None
        Seed of the random bits for dropout.
    """

    def __init__(
        self,
        solver,
        network,
        *,
        momentum=0.9,
        nesterov=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        **bounds,
    ):
        size, dtype = network.theta.size, network.theta.dtype
        code = NO_STEP if solver is None else SOLVERS[solver]
        has_first, has_second = has_moments(code)
        self.kernel_state = Optimiser(
            code=code,
            first=np.zeros(size if has_first else 0, dtype),
            second=np.zeros(size if has_second else 0, dtype),
            state=np.ones(1),
            momentum=float(momentum),
            nesterov=bool(nesterov),
            beta_1=float(beta_1),
            beta_2=float(beta_2),
            epsilon=float(epsilon),
            factors=np.ones(network.n_layers),
            **dict.fromkeys(("alpha", "l1", "clip_value", "clip_norm", "max_norm"), 0.0),
        )
        self.n_steps, self.seed = 0, None
        self.n_parameters = size
        self.set_bounds(**bounds)

    def set_bounds(
        self, alpha=0.0, l1_ratio=0.0, clip_value=None, clip_norm=None, max_norm=None, factors=1.0
    ):
        """Set the penalty, the bounds of gradients and weights, and the layers' learning rates.

        Parameters
        ----------
        alpha : float
            Strength of the penalty; for adamw the decoupled weight decay.
        l1_ratio : float
            Share of the L1 norm in the penalty; the rest is half the squared L2 norm.
        clip_value, clip_norm : float or None
            Maximum absolute value of a component of the gradient, and maximum of its L2 norm.
        max_norm : float or None
            Maximum L2 norm of a unit's incoming weights.
        factors : float or array-like of shape (n_layers,)
            Factors of the learning rate; a layer with 0 stays as it is.
        """
        factors = np.broadcast_to(factors, self.kernel_state.factors.shape)
        self.kernel_state = self.kernel_state._replace(
            alpha=alpha * (1.0 - l1_ratio),
            l1=alpha * float(l1_ratio),
            clip_value=float(clip_value or 0.0),
            clip_norm=float(clip_norm or 0.0),
            max_norm=float(max_norm or 0.0),
            factors=factors.astype(float),
        )

    def __getstate__(self):
        return vars(self) | {"kernel_state": self.kernel_state._asdict()}

    @property
    def averages(self):
        """Running means of gradients and of their squares, and the solver's own state."""
        return [self.kernel_state.first, self.kernel_state.second, self.kernel_state.state]

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.kernel_state = Optimiser(**arrays_for_kernels(state["kernel_state"]))
        code, first, second, step = self.kernel_state[:4]
        sizes = tuple(has * self.n_parameters for has in has_moments(code))
        known = code in SOLVERS.values() and first.dtype == second.dtype
        if not known or (first.shape, second.shape, step.shape) != (*zip(sizes), (1,)):
            raise ValueError("the stored arrays of an optimiser do not fit together.")


@dataclass
class TrainingSet:
    """Inputs, targets and weights to train a network on.

    Parameters
    ----------
    data : Data
    targets : ndarray of shape (n_samples, n_outputs), or (n_samples, 1) class numbers; or None
        None: the targets are the input, which is read a minibatch at a time.
    sample_weight : ndarray of shape (n_samples,), or (0,) for all ones
    loss : str
    order : int64 ndarray
        Indices of the samples to train on; a sample is listed as often as it counts.
    option : float, default=0.0
        Parameter of the loss: the quantile, delta of huber, or the label smoothing of log losses.
    """

    data: object
    targets: np.ndarray | None
    sample_weight: np.ndarray
    loss: str
    order: np.ndarray
    option: float = 0.0

    @property
    def examples(self):
        """The kernels' view of the targets."""
        targets = np.empty((0, 0), self.data.dtype) if self.targets is None else self.targets
        return Examples(targets, self.sample_weight, LOSSES[self.loss], float(self.option))

    def of_output_layer(self, run, network):
        """The same samples for the output layer alone, whose input is the top hidden layer.

        Its activations are computed once, (n_rows, n_top_units), for the rows of `order`.
        """
        rows, order = np.unique(self.order, return_inverse=True)
        network = network.astype(self.data.dtype)
        features = network.outputs(run, self.data, network.n_layers - 1, rows)
        weight = self.sample_weight[rows] if self.sample_weight.size else self.sample_weight
        samples = Data(features, features.dtype), self.targets[rows], weight
        return TrainingSet(*samples, self.loss, order, self.option)

    @property
    def total_weight(self):
        """Sum of the weights over `order`."""
        if self.sample_weight.size == 0:
            return float(len(self.order))
        return float(self.sample_weight[self.order].sum(dtype=float))

    @property
    def loss_factor(self):
        """The factor between the loss summed over outputs and the reported loss."""
        n_outputs = self.data.shape[1] if self.targets is None else self.targets.shape[1]
        return 1.0 / n_outputs if self.loss in MEANS_OF_OUTPUTS else 1.0

    def outputs(self, run, network, rows):
        """The outputs of a network for some rows, in the precision of the data."""
        return network.astype(self.data.dtype).outputs(run, self.data, rows=rows)

    def pieces(self, network):
        """The rows of `order` in pieces whose outputs fit into memory.

        Only outputs that reconstruct the input may be too many.
        """
        if self.targets is not None:
            return [self.order]
        n_rows = rows_in_memory(self.data.shape[1])
        parts = row_pieces(len(self.order), 2.0 * network.theta.size, n_rows)
        return (self.order[part] for part in parts)

    def loss_by(self, run, network):
        """The reported loss of a network."""
        network = network.astype(self.data.dtype)
        sums = [
            self.sums_of(self.outputs(run, network, rows), rows) for rows in self.pieces(network)
        ]
        loss, weight = np.sum(sums, axis=0)
        return self.loss_factor * loss / (weight or 1.0)

    def loss_of(self, outputs, rows=None):
        """The reported loss of outputs for some rows, those of `order` by default."""
        loss, weight = self.sums_of(outputs, self.order if rows is None else rows)
        return self.loss_factor * loss / (weight or 1.0)  # zero if no row counts

    def sums_of(self, outputs, rows):
        """The sums of losses and of weights of outputs for some rows."""
        of_loss, weight = (LOSSES[self.loss], float(self.option)), self.sample_weight
        total = weights = 0.0
        for part in row_pieces(len(outputs), TRANSCENDENTAL_WORK * outputs.shape[1]):
            args = self.targets, rows[part], weight
            if self.targets is None:
                y = inputs(self.data.unfilled, rows[part])
                args = y, np.arange(len(y)), weight[rows[part]] if weight.size else weight
            loss, sum_of_weights = sum_loss(*of_loss, outputs[part], *args)
            total, weights = total + loss, weights + sum_of_weights
        return total, weights

    def probe_loss(self, run, network):
        """The reported loss of the probe, without penalty; infinite if an output is not finite."""
        outputs = self.outputs(run, network, self.probe)
        return float(self.loss_of(outputs, self.probe)) if np.isfinite(outputs).all() else np.inf

    @property
    def probe(self):
        """The fixed rows on which the trace measures activations."""
        size = min(MAX_PROBED, max(MIN_PROBED, len(self.order) // 32))
        return evenly_spaced(self.order, size)


class NetworkBuffers:
    """The buffers of a training run, whose sizes also define how threads share its work.

    Parameters
    ----------
    network : Network
    batch : int
        Maximum number of rows of a minibatch.
    has_max_norm : bool, default=False
        Whether the norm of each unit's weights is bounded.
    drops : bool, default=False
        Whether there is dropout.
    """

    def __init__(self, network, batch, has_max_norm=False, drops=False):
        units, theta = network.units, network.theta
        work = 6.0 * batch * theta.size  # three products of two operations each
        fan_in = int(units[:-1].max())
        n_row_blocks = n_weight_blocks = 1
        if work > SMALL_WORK:
            is_few = are_few(batch, units, theta.dtype)
            n_row_blocks = 1 if is_few else row_blocks(batch)
            n_weight_blocks = weight_blocks(fan_in)
        self.batch = batch
        self.is_small = n_row_blocks == n_weight_blocks == 1
        values_at = np.r_[0, np.cumsum(units)]
        n_values = values_at[-1] * batch
        keeps = drops or network.branch > 0.0 or NEEDS_SLOPES[network.codes].any()
        self.work = NetworkWorkspace(
            values_at=values_at,
            values=np.zeros(n_values, theta.dtype),
            deltas=np.zeros(n_values, theta.dtype),
            slopes=np.zeros(n_values if keeps else 0, theta.dtype),
            gradient=np.zeros_like(theta),
            row_sums=np.zeros((n_row_blocks, 2)),
            layer_sums=np.zeros((n_weight_blocks, network.n_layers, 7)),
            column_squares=np.zeros((n_weight_blocks, values_at[-1] if has_max_norm else 0)),
            totals=np.zeros(2),
        )

    def call(self, run):
        """`run`, or `run_serial` if the work is too small to share."""
        return run_serial if self.is_small else run


class Training:
    """Minibatch training of a network.

    Parameters
    ----------
    network : Network
    training_set : TrainingSet
    optimiser : OptimiserState
        With a seed if there is dropout.
    batch_size : int
    dropout : pair of floats, default=(0.0, 0.0)
        Shares of the input's and of the hidden units that are dropped in each step.
    """

    def __init__(self, network, training_set, optimiser, batch_size, dropout=(0.0, 0.0)):
        self.network = network
        self.training_set = training_set
        self.optimiser = optimiser
        self.dropout = NO_DROPOUT
        if any(dropout):
            rates = np.array([dropout[0], *[dropout[1]] * (network.n_layers - 1)])
            self.dropout = Dropout(rates, optimiser.seed)
        has_max_norm = optimiser.kernel_state.max_norm > 0.0
        self.buffers = NetworkBuffers(network, batch_size, has_max_norm, any(dropout))
        self.norms = np.zeros((network.n_layers, 3))
        self._pace = TeamPace()

    def n_updates(self, order):
        """Number of minibatches of an epoch."""
        return -(-len(order) // self.buffers.batch)

    def epoch(self, run, order, rates, recorder=None):
        """Visit the samples once, in the order given.

        Parameters
        ----------
        run : callable, from `threads`
        order : int64 ndarray
        rates : float or float64 ndarray of shape (n_updates,)
        recorder : NetworkRecorder, default=None

        Returns
        -------
        float
            Mean loss over the minibatches, penalty included, each before its update.
        """
        batch, loss = self.buffers.batch, np.zeros(3)
        n_batches = self.n_updates(order)
        rates = np.array(np.broadcast_to(rates, n_batches), float)
        each = recorder is not None and recorder.each_batch
        run = self.buffers.call(run)
        for way, first, end in self._pace.team_calls(run, n_batches, each):
            piece = order[first * batch : end * batch]
            self._minibatches(way, piece, rates[first:end], loss)
            if each:
                recorder.record(self, end / n_batches, 1)
        if recorder is not None and not each:
            recorder.record(self, 1.0, n_batches)
        data_loss, penalty, n_rows = loss
        return (self.training_set.loss_factor * data_loss + penalty) / n_rows

    def _minibatches(self, run, order, rates, loss):
        """Train on some minibatches in one compiled call."""
        run(
            train_minibatches,
            self.training_set.data.source,
            self.training_set.examples,
            order,
            self.buffers.batch,
            self.network.layers,
            self.dropout,
            self.optimiser.kernel_state,
            rates,
            self.optimiser.n_steps,
            self.buffers.work,
            loss,
            self.norms,
        )
        self.optimiser.n_steps += len(rates)


def outputs_with_dropout(run, network, training_set, rows, batch_size, dropout, seed):
    """The outputs of a network for some rows, each with other units dropped.

    Parameters
    ----------
    run : callable, from `threads`
    network : Network
    training_set : TrainingSet
    rows : int64 ndarray of shape (n_rows,)
    batch_size : int
        Maximum number of rows at a time.
    dropout : pair of floats
        See `Training`.
    seed : int
        Seed of the random bits.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    no_steps, batch = OptimiserState(None, network), min(batch_size, len(rows))
    no_steps.seed = seed
    training = Training(network, training_set, no_steps, batch, dropout)
    work, n_outputs = training.buffers.work, int(network.units[-1])
    first = work.values_at[network.n_layers] * batch
    outputs = np.empty((len(rows), n_outputs), work.values.dtype)
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        training.epoch(run, part, 0.0)
        values = work.values[first : first + len(part) * n_outputs]
        outputs[start : start + batch] = values.reshape(len(part), n_outputs)
    return outputs


def loss_and_gradient(run, network, training_set, order, buffers, pace):
    """The loss of many rows and its gradient, without penalty.

    Parameters
    ----------
    run : callable, from `threads`
    network : Network
    training_set : TrainingSet
    order : int64 ndarray
        The rows; a row is listed as often as it counts.
    buffers : NetworkBuffers
        The returned gradient is a view of them, valid until their next use.
    pace : TeamPace

    Returns
    -------
    loss : float
        Weighted mean over rows, summed over outputs.
    gradient : ndarray of shape (n_parameters,)
    """
    weight = training_set.sample_weight
    total = len(order) if weight.size == 0 else float(weight[order].sum(dtype=float))
    total = total or 1.0  # if no row counts, loss and gradient are zero
    buffers.work.gradient[:] = 0
    sums, batch = np.zeros(2), buffers.batch
    for way, first, end in pace.team_calls(buffers.call(run), -(-len(order) // batch)):
        way(
            accumulate_gradient,
            training_set.data.source,
            training_set.examples,
            order[first * batch : end * batch],
            batch,
            network.layers,
            NO_DROPOUT,
            1.0 / total,
            buffers.work,
            sums,
        )
    return sums[0] / total, buffers.work.gradient
