"""The feed-forward network: its parameters in one vector, its training, its predictions."""

from dataclasses import dataclass

import numpy as np

from sk_dbn.kernels.activations import ACTIVATIONS, NEEDS_SLOPES, OUTPUT_ACTIVATIONS
from sk_dbn.kernels.backpropagation import (
    Examples,
    Workspace,
    accumulate_gradient,
    train_minibatches,
)
from sk_dbn.kernels.dropout import Dropout
from sk_dbn.kernels.feed_forward import Layers
from sk_dbn.kernels.losses import LOSSES, sum_loss
from sk_dbn.kernels.optimisers import SOLVERS, Optimiser
from sk_dbn.kernels.statistics import probe_layers
from sk_dbn.models.data import arrays_for_kernels
from sk_dbn.models.forward import forward
from sk_dbn.models.pace import TeamPace
from sk_dbn.models.threads import run_serial
from sk_dbn.models.traces import Recorder
from sk_dbn.models.work import (
    SMALL_WORK,
    TRANSCENDENTAL_WORK,
    row_blocks,
    row_pieces,
    weight_blocks,
)

GRADIENT_ROWS = 512  # rows of a piece of the full gradient
MOST_PROBED, LEAST_PROBED = 256, 32

# Losses that are reported as a mean over outputs, as scikit-learn's networks do it; others as
# their sum. What is minimised is the sum in any case.
MEANS_OF_OUTPUTS = ("squared_error", "absolute_error", "huber", "quantile")

NO_DROPOUT = Dropout(np.empty(0), 0)


def branch_factor(n_hidden):
    """What a layer's own activations are multiplied by beside a shortcut, see `Network`.

    Parameters
    ----------
    n_hidden : int
        Hidden layers.

    Returns
    -------
    float
        One over the number of shortcuts; 0 where there are none.
    """
    return 1.0 / (n_hidden - 1) if n_hidden > 1 else 0.0


class Network:
    """Layers whose weights and biases are views of one flat vector.

    Parameters
    ----------
    units : sequence of int
        Units of the input, of every hidden layer and of the output.
    activations : sequence of str
        One for every hidden layer.
    out_activation : {'identity', 'logistic', 'exp', 'softmax'}
    dtype : dtype
    shortcut : bool, default=False
        Whether what a hidden layer passes on is added to the activations of the next one.

    Attributes
    ----------
    branch : float
        What these activations are multiplied by: one over the number of shortcuts, or 0 where
        there are none. In a sum of L terms of a mean that is not zero, as rectified ones have,
        1 / L is what keeps it bounded; 1 / sqrt(L) does for independent terms of mean zero
        alone (Marion, Fermanian, Biau & Vert, 2025).
    theta : ndarray of shape (n_parameters,)
    coefs, intercepts : lists of views, (fan_in, fan_out) and (fan_out,)
    """

    def __init__(self, units, activations, out_activation, dtype, shortcut=False):
        self.shortcut = bool(shortcut)
        self.branch = branch_factor(len(activations)) if shortcut else 0.0
        self.units = np.array(units, dtype=np.int64)
        codes = [ACTIVATIONS[name] for name in activations]
        self.codes = np.array([*codes, OUTPUT_ACTIVATIONS[out_activation]])
        fan_in, fan_out = self.units[:-1], self.units[1:]
        ends = np.cumsum(np.column_stack([fan_in * fan_out, fan_out]).ravel())
        starts = np.r_[0, ends[:-1]]
        self._weights_at, self._biases_at = starts[::2].copy(), starts[1::2].copy()
        self._adopt(np.zeros(ends[-1], dtype))

    def _adopt(self, theta):
        """Make theta the parameters; coefs and intercepts become views of it."""
        self.theta = theta
        self.coefs, self.intercepts = [], []
        for p, q, w, b in zip(
            self.units, self.units[1:], self._weights_at, self._biases_at, strict=False
        ):
            self.coefs.append(theta[w : w + p * q].reshape(p, q))
            self.intercepts.append(theta[b : b + q])

    def __getstate__(self):
        state = self.__dict__.copy()
        del state["coefs"], state["intercepts"]  # views, rebuilt from theta
        return state

    def __setstate__(self, state):
        self.__dict__.update(arrays_for_kernels(state))
        self._adopt(self.theta)

    @property
    def n_layers(self):
        """Number of layers with parameters."""
        return len(self.codes)

    def replaced(self, name, arrays):
        """A copy with other weights (`coefs`) or biases (`intercepts`); this one stays."""
        twin = object.__new__(Network)
        twin.__setstate__({**self.__getstate__(), "theta": self.theta.copy()})
        for mine, given in zip(getattr(twin, name), arrays, strict=True):
            mine[:] = given
        return twin

    def output_layer(self):
        """The output layer as a network of its own, whose input are the top hidden units.

        Returns
        -------
        Network
            Its theta is a view of this one's: to train it is to train the output layer.
        """
        top = object.__new__(Network)
        top.shortcut, top.branch = False, 0.0
        top.units, top.codes = self.units[-2:], self.codes[-1:]
        start = self._weights_at[-1]
        top._weights_at = self._weights_at[-1:] - start
        top._biases_at = self._biases_at[-1:] - start
        top._adopt(self.theta[start:])
        return top

    @property
    def layers(self):
        """The kernels' view of the network."""
        at = self._weights_at, self._biases_at
        return Layers(self.theta, self.units, *at, self.codes, self.branch)

    def astype(self, dtype):
        """The same network in another precision; itself when that is the present one."""
        if self.theta.dtype == dtype:
            return self
        return self.with_parameters(self.theta.astype(dtype))

    def with_parameters(self, theta):
        """A network of the same layers with other parameters, of which no copy is made."""
        twin = object.__new__(Network)
        twin.__setstate__({**self.__getstate__(), "theta": theta})
        return twin

    def outputs(self, run, data, n_layers=None, rows=None):
        """The activations of a layer for every row.

        Parameters
        ----------
        run : callable, from `threads`
        data : Data
        n_layers : int, default=None
            How many layers the rows pass; all by default.
        rows : int64 ndarray of shape (n_rows,), default=None
            Which rows; all by default.

        Returns
        -------
        ndarray of shape (n_rows, units[n_layers])
        """
        n_layers = self.n_layers if n_layers is None else n_layers
        return forward(run, data, self.layers, n_layers, rows)


class OptimiserState:
    """What an optimiser remembers between updates.

    Parameters
    ----------
    solver : {'sgd', 'adam', 'adamw', 'nadam', 'rmsprop', 'adagrad'}
    network : Network
    momentum, beta_1, beta_2, epsilon : float
    nesterov : bool
    **bounds
        See `set_bounds`.

    Attributes
    ----------
    n_steps : int
        Updates made so far.
    seed : int or None
        Key of the random bits that belong to the steps, where they need any.
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
        has_first = solver not in ("rmsprop", "adagrad")
        self.kernel_state = Optimiser(
            code=SOLVERS[solver],
            first=np.zeros(size if has_first else 0, dtype),
            second=np.zeros(size if solver != "sgd" else 0, dtype),
            state=np.ones(1),
            momentum=float(momentum),
            nesterov=bool(nesterov),
            beta_1=float(beta_1),
            beta_2=float(beta_2),
            epsilon=float(epsilon),
            **dict.fromkeys(("alpha", "l1", "clip_value", "clip_norm", "max_norm"), 0.0),
        )
        self.n_steps, self.seed = 0, None
        self.n_parameters = size
        self.set_bounds(**bounds)

    def set_bounds(self, alpha=0.0, l1_ratio=0.0, clip_value=None, clip_norm=None, max_norm=None):
        """Say what holds gradients and weights back from now on.

        Parameters
        ----------
        alpha : float
            Penalty of the weights; for adamw the decoupled decay.
        l1_ratio : float
            Share of the L1 norm in the penalty, the rest being half the squares.
        clip_value, clip_norm : float or None
            The most that a component of the gradient, and its norm, may be in size.
        max_norm : float or None
            The most that a unit's incoming weights may have as norm.
        """
        self.kernel_state = self.kernel_state._replace(
            alpha=alpha * (1.0 - l1_ratio),
            l1=alpha * float(l1_ratio),
            clip_value=float(clip_value or 0.0),
            clip_norm=float(clip_norm or 0.0),
            max_norm=float(max_norm or 0.0),
        )

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.kernel_state = Optimiser(**arrays_for_kernels(self.kernel_state._asdict()))


@dataclass
class TrainingSet:
    """Inputs, targets and weights, as a network is trained on them.

    Parameters
    ----------
    data : Data
    targets : ndarray of shape (n_samples, n_outputs), or (n_samples, 1) class numbers
    sample_weight : ndarray of shape (n_samples,), or (0,) for all ones
    loss : str
    order : int64 ndarray
        The samples to train on, a repeated one as often as it counts.
    option : float, default=0.0
        What the loss has to be told: the quantile, where huber turns linear, or how much the
        log losses smooth the labels.
    """

    data: object
    targets: np.ndarray
    sample_weight: np.ndarray
    loss: str
    order: np.ndarray
    option: float = 0.0

    @property
    def examples(self):
        """The kernels' view."""
        return Examples(self.targets, self.sample_weight, LOSSES[self.loss], float(self.option))

    @property
    def total_weight(self):
        """Sum of the weights over `order`."""
        if self.sample_weight.size == 0:
            return float(len(self.order))
        return float(self.sample_weight[self.order].sum(dtype=float))

    @property
    def loss_factor(self):
        """What the loss, summed over outputs, is multiplied by to be reported."""
        return 1.0 / self.targets.shape[1] if self.loss in MEANS_OF_OUTPUTS else 1.0

    def outputs(self, run, network, rows):
        """What a network says of some rows, computed in the precision of the data."""
        return network.astype(self.data.dtype).outputs(run, self.data, rows=rows)

    def loss_of(self, outputs, rows=None):
        """The reported loss of the network's outputs for some rows, those of `order` by default."""
        rows = self.order if rows is None else rows
        of_loss = LOSSES[self.loss], float(self.option)
        total = weights = 0.0
        for part in row_pieces(len(outputs), TRANSCENDENTAL_WORK * outputs.shape[1]):
            args = outputs[part], self.targets, rows[part], self.sample_weight
            loss, weight = sum_loss(*of_loss, *args)
            total, weights = total + loss, weights + weight
        return self.loss_factor * total / (weights or 1.0)  # zero where no row counts

    def probe_loss(self, run, network):
        """The reported loss of the probe, without penalty; not finite where an output is not."""
        outputs = self.outputs(run, network, self.probe)
        return float(self.loss_of(outputs, self.probe)) if np.isfinite(outputs).all() else np.inf

    @property
    def probe(self):
        """A fixed sample of rows that the trace's activations are measured on."""
        n = len(self.order)
        size = min(n, MOST_PROBED, max(LEAST_PROBED, n // 32))
        return self.order[np.linspace(0, n - 1, size).astype(np.int64)]


class Workbench:
    """The buffers of a training run and the cuts of its work, which depend on its shape.

    Parameters
    ----------
    network : Network
    batch : int
        Most rows that are worked on together.
    has_max_norm : bool, default=False
        Whether the norm of each unit's weights is to be bounded.
    drops : bool, default=False
        Whether units are to be dropped.
    """

    def __init__(self, network, batch, has_max_norm=False, drops=False):
        units, theta = network.units, network.theta
        work = 6.0 * batch * theta.size  # three products of two operations each
        fan_in = int(units[:-1].max())
        n_row_blocks = n_weight_blocks = 1
        if work > SMALL_WORK:
            n_row_blocks, n_weight_blocks = row_blocks(batch), weight_blocks(fan_in)
        self.batch = batch
        self.is_small = n_row_blocks == n_weight_blocks == 1
        values_at = np.r_[0, np.cumsum(units)]
        n_values = values_at[-1] * batch
        keeps = drops or network.branch > 0.0 or np.isin(network.codes, NEEDS_SLOPES).any()
        self.work = Workspace(
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
        """How to call a kernel on this amount of work."""
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
        Share of the input's and of the hidden units that is dropped in each step.
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
        self.bench = Workbench(network, batch_size, has_max_norm, any(dropout))
        self.norms = np.zeros((network.n_layers, 3))
        self._pace = TeamPace()

    def n_updates(self, order):
        """Minibatches of an epoch."""
        return -(-len(order) // self.bench.batch)

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
            Mean loss over the epoch's minibatches, penalty included, each taken before
            its update.
        """
        batch, loss = self.bench.batch, np.zeros(3)
        n_batches = self.n_updates(order)
        rates = np.array(np.broadcast_to(rates, n_batches), float)
        each = recorder is not None and recorder.each_batch
        run = self.bench.call(run)
        for way, first, end in self._pace.team_calls(run, n_batches, each):
            piece = order[first * batch : end * batch]
            self._minibatches(way, piece, rates[first:end], loss)
            if recorder is not None and (each or end == n_batches):
                recorder.record(self, end / n_batches, 1 if each else n_batches)
        data_loss, penalty, n_rows = loss
        return (self.training_set.loss_factor * data_loss + penalty) / n_rows

    def _minibatches(self, run, order, rates, loss):
        """One compiled call."""
        run(
            train_minibatches,
            self.training_set.data.source,
            self.training_set.examples,
            order,
            self.bench.batch,
            self.network.layers,
            self.dropout,
            self.optimiser.kernel_state,
            rates,
            self.optimiser.n_steps,
            self.bench.work,
            loss,
            self.norms,
        )
        self.optimiser.n_steps += len(rates)


def loss_and_gradient(run, network, training_set, order, bench, pace):
    """The data's loss and its gradient over many rows, without penalty.

    Parameters
    ----------
    run : callable, from `threads`
    network : Network
    training_set : TrainingSet
    order : int64 ndarray
        The rows, a repeated one as often as it counts.
    bench : Workbench
        Its gradient is the result and stays valid until its next use.
    pace : TeamPace

    Returns
    -------
    loss : float
        Weighted mean over rows, summed over outputs.
    gradient : ndarray of shape (n_parameters,)
    """
    weight = training_set.sample_weight
    total = len(order) if weight.size == 0 else float(weight[order].sum(dtype=float))
    total = total or 1.0  # where no row counts, loss and gradient are zero
    bench.work.gradient[:] = 0
    sums, batch = np.zeros(2), bench.batch
    for way, first, end in pace.team_calls(bench.call(run), -(-len(order) // batch)):
        way(
            accumulate_gradient,
            training_set.data.source,
            training_set.examples,
            order[first * batch : end * batch],
            batch,
            network.layers,
            NO_DROPOUT,
            1.0 / total,
            bench.work,
            sums,
        )
    return sums[0] / total, bench.work.gradient


class NetworkRecorder(Recorder):
    """Collects the rows of a network's gradient trace.

    Attributes
    ----------
    below : dict of str to ndarray of shape (n_layers - 1,)
        Measures of hidden layers that are frozen, with which each row begins; empty where all
        layers are trained.
    """

    below = {}

    def look_below(self, network, data, probe):
        """Measure frozen layers, once: there are no gradients and no steps of theirs, so NaN."""
        seen = {name: values[:-1] for name, values in _health(network, data, probe).items()}
        unseen = ("weight_grad_norm", "bias_grad_norm", "update_ratio")
        nothing = np.full(network.n_layers - 1, np.nan)
        self.below = {**dict.fromkeys(unseen, nothing), **seen}

    def record_start(self, run, network, training_set, batch_size):
        """Row 0: the state before the first update, its gradient over the probe.

        The gradient comes from steps of length zero, so that no other kernel is needed.
        """
        probe, theta = training_set.probe, network.theta.copy()
        still = OptimiserState("sgd", network, momentum=0.0, nesterov=False)
        training = Training(network, training_set, still, min(batch_size, len(probe)))
        training.epoch(run, probe, 0.0)
        network.theta[:] = theta  # zero times a gradient that is not finite is not zero
        n_batches = -(-len(probe) // training.bench.batch)
        w_norm, b_norm, update_ratio = training.norms.T / n_batches
        self._append(0.0, network, training_set, w_norm, b_norm, update_ratio)

    def record_gradient(self, network, training_set, gradient, update_ratio):
        """One row for an iteration over all rows, from its gradient."""
        self.n_epochs += 1
        _, w, b = zip(*_parts(network, gradient), strict=True)
        norms = [np.array([np.linalg.norm(x) for x in part]) for part in (w, b)]
        self._append(self.n_epochs, network, training_set, *norms, update_ratio)

    def record(self, training, progress, n_batches):
        """One row from what the last n_batches minibatches left in `training.norms`."""
        means = training.norms.T / n_batches
        training.norms[:] = 0.0
        epoch = self.advance(progress)
        self._append(epoch, training.network, training.training_set, *means)

    def _append(self, epoch, network, training_set, w_norm, b_norm, update_ratio):
        row = {
            "weight_grad_norm": w_norm,
            "bias_grad_norm": b_norm,
            "update_ratio": update_ratio,
            **_health(network, training_set.data, training_set.probe),
        }
        if self.below:
            row = {name: np.concatenate([self.below[name], row[name]]) for name in row}
        self.add(epoch, row)


def _health(network, data, probe):
    """What a network's weights and activations are, one value a layer."""
    health = np.zeros((network.n_layers, 4))
    probe_layers(data.source, probe, network.layers, health)
    mean, std, saturated, dead = health.T.copy()
    return {
        "weight_norm": np.array([np.linalg.norm(W) for W in network.coefs], float),
        "activation_mean": mean,
        "activation_std": std,
        "saturated_fraction": saturated,
        "dead_fraction": dead,
    }


def _parts(network, vector):
    """(layer, weights, biases) of a vector laid out like the parameters."""
    at = zip(network.coefs, network._weights_at, network._biases_at, strict=True)
    for layer, (W, w, b) in enumerate(at):
        yield layer, vector[w : w + W.size], vector[b : b + W.shape[1]]


class LbfgsObjective:
    """Loss over all rows and its gradient as functions of one float64 vector.

    Parameters
    ----------
    run : callable, from `threads`
    network : Network
        Its parameters are overwritten by each evaluation.
    training_set : TrainingSet
    alpha : float
        L2 penalty of the weights, divided by the sum of the samples' weights.
    recorder : NetworkRecorder or None
    """

    def __init__(self, run, network, training_set, alpha, recorder):
        self.run, self.network, self.training_set = run, network, training_set
        self.alpha, self.recorder = alpha, recorder
        self.bench = Workbench(network, min(GRADIENT_ROWS, len(training_set.order)))
        self._pace = TeamPace()
        self._previous = network.theta.astype(np.float64)
        self.loss = np.inf

    def __call__(self, theta):
        """Loss (summed over outputs) and gradient at theta."""
        network = self.network
        network.theta[:] = theta
        train = self.training_set
        loss, gradient = loss_and_gradient(
            self.run, network, train, train.order, self.bench, self._pace
        )
        gradient = gradient.astype(np.float64)
        decay = self.alpha / self.training_set.total_weight
        penalty = 0.0
        for (_, g, _), W in zip(_parts(network, gradient), network.coefs, strict=True):
            w = W.ravel().astype(np.float64)
            penalty += 0.5 * decay * (w @ w)
            g += decay * w
        self.loss = float(self.training_set.loss_factor * loss + penalty)
        return loss + penalty, gradient

    def reported(self, theta):
        """The loss as it is reported, a mean over outputs."""
        self(theta)
        return self.loss

    def end_iteration(self, theta):
        """Record the trace's row of an iteration that ended at theta."""
        network = self.network
        network.theta[:] = theta
        if self.recorder is not None:
            steps = _parts(network, theta - self._previous)
            ratios = [
                np.linalg.norm(step) / (np.linalg.norm(W) or 1.0)
                for (_, step, _), W in zip(steps, network.coefs, strict=True)
            ]
            self.recorder.record_gradient(
                network, self.training_set, self.bench.work.gradient, np.array(ratios)
            )
        self._previous = theta.copy()
